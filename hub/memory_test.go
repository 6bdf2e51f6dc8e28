package hub

import (
	"crypto/rand"
	"runtime"
	"testing"
)

// Ten thousand bad requests leave nothing behind, and none costs more memory
// than a body: the buffer that a bomb is unpacked into is used again.
func TestBadRequestsLeaveNothingBehind(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.GateBurst, c.Limits.GateRate = 1<<30, 1<<30 })
	g := w.gate("A1")
	c := g.cut(passes(50)...)
	whole := pack(c.Bytes)
	noise := make([]byte, maxBody+1)
	_, _ = rand.Read(noise)
	other := w.gate("A2").cut(passes(50)...)
	bodies := [][]byte{nil, noise[:300], noise, whole[:len(whole)/2], flip(whole, 30), pack(make([]byte, 16<<20)), pack(other.Bytes),
		pack(c.Bytes[:len(c.Bytes)-9]), pack(flip(c.Bytes, len(c.Bytes)-1)), pack(flip(c.Bytes, 200)), pack([]byte("ckseg/2\n"))}
	n := 10_000
	if testing.Short() {
		n = 1000
	}
	send := func(n int) {
		for i := range n {
			rec := newRecorder()
			w.hub.postSegment(rec, g.request(bodies[i%len(bodies)]))
			if rec.status < 400 {
				t.Fatalf("body %d: status %d", i%len(bodies), rec.status)
			}
		}
	}
	send(len(bodies) * 3) // what is made once
	goroutines := runtime.NumGoroutine()
	before := heap()
	send(n)
	after := heap()
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("%d bytes are left of %d bad requests", grown, n)
	}
	if each := (after.TotalAlloc - before.TotalAlloc) / uint64(n); each > 24<<10 {
		t.Errorf("a bad request takes %d bytes", each)
	}
	if now := runtime.NumGoroutine(); now > goroutines {
		t.Errorf("%d goroutines, %d before", now, goroutines)
	}
	rec := newRecorder()
	w.hub.postSegment(rec, g.request(whole))
	w.taken(answered{status: rec.status, body: rec.body.Bytes()}, c)
}

func heap() (m runtime.MemStats) {
	runtime.GC()
	runtime.GC() // pools keep what they hold for one more
	runtime.ReadMemStats(&m)
	return m
}
