package hub

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"checkpoint/hub/store"
	"checkpoint/record"
)

// until waits for a condition.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// held is a store whose Put waits until it is let go.
func (w *world) held() (letGo func()) {
	gate := make(chan struct{})
	w.store.onPut = func([]store.Incoming) { <-gate }
	return sync.OnceFunc(func() { close(gate) })
}

func (w *world) incoming(n int) []store.Incoming {
	list := make([]store.Incoming, n)
	for i := range list {
		list[i] = store.Incoming{SegmentKey: record.SegmentKey{Identity: record.Identity{Device: [16]byte{byte(i), byte(i >> 8)}}, Number: 1, Day: "2026-11-25"}, First: 1, Last: 1}
	}
	return list
}

func TestWhatWaitsIsCommittedTogether(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.BatchSize = 6 })
	letGo := w.held()
	defer letGo()
	const n = 11
	var waiting sync.WaitGroup
	for _, in := range w.incoming(n) {
		waiting.Go(func() {
			if put, err := w.hub.queue.put(in); err != nil || put.Outcome != store.Stored {
				t.Errorf("put = %v, %v", put, err)
			}
		})
	}
	until(t, "all to wait", func() bool { depth, _ := w.hub.queue.depth(); return depth == n })
	letGo()
	waiting.Wait()
	if w.store.puts > 4 || w.store.largest != 6 {
		t.Errorf("%d commits, the largest of %d; want at most 4, of 6", w.store.puts, w.store.largest)
	}
	if depth, size := w.hub.queue.depth(); depth != 0 || size != 0 {
		t.Errorf("%d segments and %d bytes are left", depth, size)
	}
}

// One segment that the store chokes on fails alone.
func TestOneBadSegmentDoesNotStopTheOthers(t *testing.T) {
	w := newWorld(t)
	list := w.incoming(9)
	letGo := make(chan struct{})
	w.store.onPut = func(batch []store.Incoming) {
		<-letGo
		w.store.set(func() {
			w.store.fail = nil
			for _, in := range batch {
				if in.Device == list[4].Device {
					w.store.fail = errors.New("constraint failed")
				}
			}
		})
	}
	var waiting sync.WaitGroup
	for i, in := range list {
		waiting.Go(func() {
			if _, err := w.hub.queue.put(in); (err != nil) != (i == 4) {
				t.Errorf("segment %d: %v", i, err)
			}
		})
	}
	until(t, "all to wait", func() bool { depth, _ := w.hub.queue.depth(); return depth == len(list) })
	close(letGo)
	waiting.Wait()
	if n := w.store.stored(); n != len(list)-1 {
		t.Errorf("%d stored, want %d", n, len(list)-1)
	}
}

// What one gate has in flight is stored in its order, though a later segment
// was read faster.
func TestBatchIsInTheOrderOfStreams(t *testing.T) {
	w := newWorld(t)
	letGo := w.held()
	var waiting sync.WaitGroup
	put := func(in store.Incoming, depth int) {
		waiting.Go(func() {
			if got, err := w.hub.queue.put(in); err != nil || got.Outcome != store.Stored || got.MissingFrom != 0 {
				t.Errorf("segment %d: %+v, %v", in.Number, got, err)
			}
		})
		until(t, "it to wait", func() bool { n, _ := w.hub.queue.depth(); return n == depth })
	}
	other := w.incoming(2)[1]
	put(other, 1) // keeps the committer busy
	for i, n := range []uint64{3, 1, 2} {
		in := w.incoming(1)[0]
		in.Number, in.First, in.Last = n, n, n
		put(in, i+2)
	}
	letGo()
	waiting.Wait()
}

func TestFullQueueSaysSo(t *testing.T) {
	for _, tc := range []struct {
		name  string
		limit func(*Limits)
	}{
		{"segments", func(l *Limits) { l.QueueSize = 2 }},
		{"bytes", func(l *Limits) { l.QueueBytes = 2 * entryOverhead }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, func(c *Config) { tc.limit(&c.Limits) })
			letGo := w.held()
			var waiting sync.WaitGroup
			for _, in := range w.incoming(2) {
				waiting.Go(func() { _, _ = w.hub.queue.put(in) })
			}
			until(t, "both to wait", func() bool { depth, _ := w.hub.queue.depth(); return depth == 2 })
			if _, err := w.hub.queue.put(store.Incoming{}); !errors.Is(err, errBusy) {
				t.Errorf("error = %v, want busy", err)
			}
			g := w.gate("A1")
			w.refused(g.post(g.cut(pass())), http.StatusServiceUnavailable, "busy")
			letGo()
			waiting.Wait()
		})
	}
}

func TestStuckStoreIsNotReady(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.StuckAfter = time.Millisecond })
	letGo := w.held()
	var waiting sync.WaitGroup
	waiting.Go(func() { _, _ = w.hub.queue.put(w.incoming(1)[0]) })
	until(t, "the hub to see it", func() bool { return errors.Is(w.hub.Ready(t.Context()), errStuck) })
	letGo()
	waiting.Wait()
	if err := w.hub.Ready(t.Context()); err != nil {
		t.Errorf("ready = %v", err)
	}
}

// A balancer sends nothing to a hub that is not ready: it must find out by
// itself that the store is back.
func TestReadyAgainWithoutTraffic(t *testing.T) {
	w := newWorld(t)
	w.hub.queue.note(store.ErrFull)
	if err := w.hub.queue.failed(time.Now()); !errors.Is(err, store.ErrFull) {
		t.Errorf("failed = %v", err)
	}
	if err := w.hub.queue.failed(time.Now().Add(failedFor + time.Second)); err != nil {
		t.Errorf("failed = %v long after", err)
	}
}

// A client that goes away in the middle of a commit leaves nothing undone: its
// place stays taken until then, and the gap that was found is told.
func TestClientThatLeaves(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.PerGate = 1 })
	g := w.gate("A1")
	first := g.cut(pass())
	w.taken(g.post(first), first)
	g.cut(pass()) // never sent
	late := g.cut(pass())
	letGo := w.held()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.hub.postSegment(newRecorder(), g.request(pack(late.Bytes)).WithContext(ctx))
	}()
	until(t, "the segment to wait", func() bool { n, _ := w.hub.queue.depth(); return n == 1 })
	cancel()
	if _, ok := w.hub.turns.enter(g.id.Device, w.now()); ok {
		t.Error("its place is given on while its segment waits")
	}
	letGo()
	<-done
	if kinds := w.store.openAlarms(); !slices.Equal(kinds, []string{"gap"}) {
		t.Errorf("alarms = %v, want gap", kinds)
	}
}

func TestReadAllStopsAtTheLimit(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 17, 99, 100} {
		b, err := readAll(make([]byte, 0, 16), bytes.NewReader(make([]byte, n)), 100)
		if err != nil || len(b) != n {
			t.Errorf("%d bytes: %d, %v", n, len(b), err)
		}
	}
	b, err := readAll(make([]byte, 0, 16), bytes.NewReader(make([]byte, 101)), 100)
	if !errors.Is(err, errTooLarge) || cap(b) > 128 {
		t.Errorf("101 bytes: %v, in %d", err, cap(b))
	}
}
