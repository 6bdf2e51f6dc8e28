package hub

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

func TestTurnstile(t *testing.T) {
	turns := newTurnstile(Limits{PerGate: 2, GateRate: 10, GateBurst: 5})
	a, b := [16]byte{1}, [16]byte{2}
	enter := func(device [16]byte, at time.Time) bool { _, ok := turns.enter(device, at); return ok }
	if first, second := enter(a, noon), enter(a, noon); !first || !second {
		t.Fatal("two in flight are refused")
	}
	if enter(a, noon) {
		t.Error("a third in flight is let in")
	}
	if !enter(b, noon) {
		t.Error("another gate has to wait for the first")
	}
	turns.leave(a)
	turns.leave(a)
	n := 0
	for ; n < 20 && enter(a, noon); n++ {
		turns.leave(a)
	}
	if n != 3 {
		t.Errorf("%d more in the burst, want 3", n)
	}
	if !enter(a, noon.Add(time.Second)) {
		t.Error("a second later it may not send")
	}
	turns.sweep(noon.Add(time.Hour))
	if len(turns.gates) != 2 { // both are inside
		t.Errorf("%d gates are remembered, want 2", len(turns.gates))
	}
	turns.leave(a)
	turns.leave(b)
	turns.sweep(noon.Add(time.Hour))
	if len(turns.gates) != 0 {
		t.Errorf("%d gates are remembered an hour later", len(turns.gates))
	}
}

// A gate that drains fourteen days (20 000 scans a day, 50 a segment) is
// never held up for more than the rate says.
func TestFortnightPasses(t *testing.T) {
	turns := newTurnstile(Limits{}.filled())
	at := noon
	for range 14 * 20_000 / 50 {
		for {
			wait, ok := turns.enter([16]byte{1}, at)
			if ok {
				break
			}
			at = at.Add(wait)
		}
		turns.leave([16]byte{1})
		at = at.Add(2 * time.Millisecond)
	}
	if took := at.Sub(noon); took > 2*time.Minute {
		t.Errorf("a fortnight takes %v", took)
	}
}

func TestGateThatSendsTooMuchIsToldToWait(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.GateBurst, c.Limits.GateRate = 3, 1 })
	g := w.gate("A1")
	for range 3 {
		c := g.cut(pass())
		w.taken(g.post(c), c)
	}
	c := g.cut(pass())
	a := g.post(c)
	w.refused(a, http.StatusTooManyRequests, "slow_down")
	if s, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || s < 1 || s > 2 {
		t.Errorf("Retry-After = %q", a.header.Get("Retry-After"))
	}
	other := w.gate("A2")
	mine := other.cut(pass())
	w.taken(other.post(mine), mine)
	w.advance(time.Second)
	w.taken(g.post(c), c)
}

func TestOneGateHoldsFewPlaces(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.PerGate = 2 })
	letGo := w.held()
	g, other := w.gate("A1"), w.gate("A2")
	first, second, third, mine := g.cut(pass()), g.cut(pass()), g.cut(pass()), other.cut(pass())
	var waiting sync.WaitGroup
	waiting.Go(func() { w.taken(g.post(first), first) })
	until(t, "the first to wait", func() bool { n, _ := w.hub.queue.depth(); return n == 1 })
	waiting.Go(func() { w.taken(g.post(second), second) })
	until(t, "the second to wait", func() bool { n, _ := w.hub.queue.depth(); return n == 2 })
	w.refused(g.post(third), http.StatusTooManyRequests, "slow_down")
	waiting.Go(func() { w.taken(other.post(mine), mine) })
	until(t, "the other gate's to wait", func() bool { n, _ := w.hub.queue.depth(); return n == 3 })
	letGo()
	waiting.Wait()
	_ = w.hub.queue.drain(context.Background())
}

func TestRetryAfterIsSpread(t *testing.T) {
	seen := map[string]bool{}
	for range 500 {
		s := retryAfter(30 * time.Second)
		if n, err := strconv.Atoi(s); err != nil || n < 30 || n > 60 {
			t.Fatalf("Retry-After = %q", s)
		}
		seen[s] = true
	}
	if len(seen) < 20 {
		t.Errorf("only %d different waits", len(seen))
	}
}
