package gate

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"checkpoint/trust"
)

func TestLineShowsInTheHeader(t *testing.T) {
	var line atomic.Pointer[Line]
	line.Store(&Line{Enrolled: true, Online: true})
	onDesk(t, func(c *Config, _ *trust.Policy) {
		c.Line = func() Line { return *line.Load() }
	}, func(t *testing.T, d *desk) {
		header := func(until func(State) bool) State {
			for e := range d.g.Events() {
				if s, ok := e.(State); ok && until(s) {
					return s
				}
			}
			t.Fatal("the gate ended")
			return State{}
		}
		if s := header(func(s State) bool { return s.Line.Online }); slices.Contains(s.Rungs, Queueing) {
			t.Errorf("online: %v", s.Rungs)
		}
		cut := Line{Enrolled: true, OfflineSince: time.Now(), Problem: "no route to the hub"}
		line.Store(&cut)
		s := header(func(s State) bool { return !s.Line.Online })
		if s.Line != cut || !slices.Contains(s.Rungs, Queueing) {
			t.Errorf("offline: %+v, rungs %v", s.Line, s.Rungs)
		}
	})
}

// An upstream moves a gate with the trust that goes by its new place.
func TestTrustMovesTheGate(t *testing.T) {
	var next atomic.Pointer[Trust]
	onDesk(t, func(c *Config, _ *trust.Policy) {
		c.NewTrust = func(context.Context) (Trust, bool) {
			if t := next.Swap(nil); t != nil {
				return *t, true
			}
			return Trust{}, false
		}
	}, func(t *testing.T, d *desk) {
		next.Store(&Trust{Checker: strict{2}, Name: "A1", Venue: "Mall", VenueType: "mall"})
		for e := range d.g.Events() {
			if s, ok := e.(State); ok && s.Venue == "Mall" && s.Name == "A1" && s.Policy.Venue == "mall" {
				return
			}
		}
		t.Error("the gate ended where it was")
	})
}
