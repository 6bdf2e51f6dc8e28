package hub

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub/store"
)

// The benchmarks post segments of 50 sealed native rows, as gates that upload
// once in ten seconds make them. "store" is a store that keeps nothing, to see
// what the hub itself costs. Machine and figures stand in the commit.

const benchRows = 50

// nothing keeps nothing: it answers like a store that stored.
type nothing struct{ *memStore }

func (nothing) Put(_ context.Context, batch []store.Incoming) ([]store.Put, error) {
	puts := make([]store.Put, len(batch))
	for i := range puts {
		puts[i].Outcome = store.Stored
	}
	return puts, nil
}

func benchWorld(b *testing.B) *world {
	var mem *memStore
	w := newWorld(b, func(c *Config) {
		c.Limits.GateBurst, c.Limits.GateRate = 1<<30, 1<<30
		mem = c.Store.(*memStore)
		c.Store = nothing{mem}
	})
	return w
}

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func perRow(b *testing.B, began time.Duration) {
	rows := float64(b.N * benchRows)
	b.ReportMetric(rows/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64((cpu()-began).Microseconds())/rows, "cpu-µs/row")
}

// bodies are packed segments of one gate.
func (g *gate) bodies(n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		list[i] = pack(g.cutSealed(benchRows).Bytes)
	}
	return list
}

// BenchmarkHandler is one segment from body to receipt, in process.
func BenchmarkHandler(b *testing.B) {
	w := benchWorld(b)
	const gates = 8
	var list [gates]*gate
	var bodies [gates][][]byte
	for i := range list {
		list[i] = w.gate(fmt.Sprint("G", i))
		bodies[i] = list[i].bodies(16)
	}
	b.SetBytes(int64(len(bodies[0][0])))
	b.ReportAllocs()
	began := cpu()
	b.ResetTimer()
	var next sync.Mutex
	left := b.N
	var all sync.WaitGroup
	for i := range list {
		all.Go(func() {
			r := list[i].request(nil)
			for n := 0; ; n++ {
				next.Lock()
				if left--; left < 0 {
					next.Unlock()
					return
				}
				next.Unlock()
				body := bodies[i][n%len(bodies[i])]
				r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
				rec := newRecorder()
				w.hub.postSegment(rec, r)
				if rec.status != http.StatusOK {
					b.Errorf("status = %d %s", rec.status, rec.body.String())
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	perRow(b, began)
}

// BenchmarkLoopback is the same over mutual TLS on this machine, its clients
// on the same processors, one connection a gate that is kept.
func BenchmarkLoopback(b *testing.B) {
	w := benchWorld(b)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.hub.serve(ctx, ln, w.tls()) }()
	defer func() { stop(); <-done }()
	const gates = 16
	var list [gates]*gate
	var bodies [gates][][]byte
	for i := range list {
		list[i] = w.gate(fmt.Sprint("G", i))
		bodies[i] = list[i].bodies(16)
	}
	url := "https://" + ln.Addr().String() + enroll.PathSegments
	send := func(g *gate, body []byte) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Encoding", "zstd")
		response, err := g.client.Do(r)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d: %w", response.StatusCode, err)
		}
		return nil
	}
	for i := range list { // shake hands before it counts
		if err := send(list[i], bodies[i][0]); err != nil {
			b.Fatal(err)
		}
	}
	runtime.GC()
	began := cpu()
	b.ResetTimer()
	var next sync.Mutex
	left := b.N
	var all sync.WaitGroup
	for i := range list {
		all.Go(func() {
			for n := 0; ; n++ {
				next.Lock()
				if left--; left < 0 {
					next.Unlock()
					return
				}
				next.Unlock()
				if err := send(list[i], bodies[i][n%len(bodies[i])]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	perRow(b, began)
}
