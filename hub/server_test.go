package hub

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"checkpoint/enroll"
)

// served is a hub that serves on a listener of its own.
type served struct {
	w    *world
	url  string
	stop context.CancelFunc
	done chan error
}

func serve(t *testing.T, w *world) *served {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &served{w: w, url: "https://" + ln.Addr().String(), stop: cancel, done: make(chan error, 1)}
	go func() { s.done <- w.hub.serve(ctx, ln, w.tls()) }()
	t.Cleanup(cancel)
	return s
}

func (s *served) post(client *http.Client, body []byte) (answered, error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.url+enroll.PathSegments, bytes.NewReader(body))
	if err != nil {
		return answered{}, err
	}
	r.Header.Set("Content-Encoding", "zstd")
	return do(client, r)
}

// When a hub is stopped it answers what it took, and takes no more.
func TestStopAnswersWhatWasTaken(t *testing.T) {
	w := newWorld(t)
	s := serve(t, w)
	g := w.gate("A1")
	c := g.cut(pass())
	letGo := w.held()
	answers := make(chan answered, 1)
	go func() {
		a, err := s.post(g.client, pack(c.Bytes))
		if err != nil {
			t.Error(err)
		}
		answers <- a
	}()
	until(t, "the segment to wait", func() bool { n, _ := w.hub.queue.depth(); return n == 1 })
	s.stop()
	until(t, "the hub to stop taking", func() bool {
		conn, err := net.DialTimeout("tcp", strings.TrimPrefix(s.url, "https://"), time.Second)
		if err != nil {
			return true
		}
		conn.Close()
		return false
	})
	if err := w.hub.Ready(t.Context()); !errors.Is(err, errStopping) {
		t.Errorf("ready = %v while it stops", err)
	}
	select {
	case err := <-s.done:
		t.Fatalf("it ended (%v) before the segment was answered", err)
	default:
	}
	letGo()
	w.taken(<-answers, c)
	if err := <-s.done; err != nil {
		t.Errorf("serve = %v", err)
	}
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.StopTimeout = 20 * time.Millisecond })
	s := serve(t, w)
	g := w.gate("A1")
	letGo := w.held()
	defer letGo()
	go func() { _, _ = s.post(g.client, pack(g.cut(pass()).Bytes)) }()
	until(t, "the segment to wait", func() bool { n, _ := w.hub.queue.depth(); return n == 1 })
	s.stop()
	if err := <-s.done; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("serve = %v", err)
	}
}

// One connection is kept for all that a gate sends, and it is HTTP/1.1 though
// the client would rather speak HTTP/2.
func TestServeKeepsTheConnection(t *testing.T) {
	w := newWorld(t)
	s := serve(t, w)
	g := w.gate("A1")
	g.client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	for range 5 {
		c := g.cut(passes(2)...)
		a, err := s.post(g.client, pack(c.Bytes))
		if err != nil {
			t.Fatal(err)
		}
		w.taken(a, c)
		if a.protocol != "HTTP/1.1" {
			t.Errorf("protocol = %s", a.protocol)
		}
	}
	if n := w.hub.conns.open.Load(); n != 1 {
		t.Errorf("%d connections for five segments, want 1", n)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	w := newWorld(t)
	s := serve(t, w)
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err == nil {
		conn.Close()
		t.Error("TLS 1.2 is served")
	}
	until(t, "the failure to be counted", func() bool { return strings.Contains(w.metrics(), `connection_errors_total{kind="handshake"} 1`) })
	if strings.Contains(w.log.String(), "127.0.0.1") {
		t.Errorf("the log names an address:\n%s", w.log.String())
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.Connections = 2 })
	s := serve(t, w)
	address := strings.TrimPrefix(s.url, "https://")
	dial := func() *tls.Conn {
		raw, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { raw.Close() })
		return tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	}
	shakes := func(c *tls.Conn, wait time.Duration) bool {
		_ = c.SetDeadline(time.Now().Add(wait))
		return c.Handshake() == nil
	}
	first, second, third := dial(), dial(), dial()
	if !shakes(first, 5*time.Second) || !shakes(second, 5*time.Second) {
		t.Fatal("the first two are not served")
	}
	if n := w.hub.conns.open.Load(); n != 2 {
		t.Errorf("%d connections are open, want 2", n)
	}
	if shakes(third, 100*time.Millisecond) {
		t.Error("a third is served beside them")
	}
	third.Close()
	first.Close()
	if fourth := dial(); !shakes(fourth, 5*time.Second) {
		t.Error("a place that was given back is not given on")
	}
}

// Above three quarters of the connections whoever shows no certificate is
// asked to go.
func TestStrangersGiveWay(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.Connections = 4 })
	next := w.hub.wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for open, want := range map[int64]string{3: "", 4: "close"} {
		w.hub.conns.open.Store(open)
		rec := newRecorder()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		next.ServeHTTP(rec, r)
		if got := rec.header.Get("Connection"); got != want {
			t.Errorf("%d open: Connection = %q, want %q", open, got, want)
		}
	}
}

func TestServeEndsWithItsListener(t *testing.T) {
	w := newWorld(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := w.hub.serve(t.Context(), ln, w.tls()); err == nil {
		t.Error("no error of a listener that is closed")
	}
}

func (w *world) ops(path string) (int, string) {
	rec := newRecorder()
	r, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, path, nil)
	w.hub.Ops().ServeHTTP(rec, r)
	b, _ := io.ReadAll(&rec.body)
	return rec.status, string(b)
}

func (w *world) metrics() string { _, text := w.ops("/metrics"); return text }
