package gate

import (
	"bytes"
	"context"

	"checkpoint/trust"
)

// renew asks once whether trust came in, and hands it to the loop. Reading and
// checking it may take seconds on a small board: it is the housekeeper who
// waits.
func (g *Gate) renew(ctx context.Context) {
	if g.cfg.NewTrust == nil {
		return
	}
	t, ok := g.cfg.NewTrust(ctx)
	if !ok || t.Checker == nil {
		return
	}
	select {
	case g.upkeep <- keep{trust: t}:
	case <-ctx.Done():
	}
}

// swap makes t what holds from the next code on.
func (g *Gate) swap(t Trust) {
	before := g.trust.Snapshot
	g.trust = t
	if t.VenueType != "" {
		g.cfg.Name, g.cfg.Venue, g.cfg.VenueType = t.Name, t.Venue, t.VenueType
		g.state.Name, g.state.Venue = t.Name, t.Venue
	}
	if s := g.seals; s != nil && !sameKey(dayKey(before, s.Day()), dayKey(t.Snapshot, s.Day())) {
		g.seals = nil
	}
	if t.Snapshot != nil {
		g.cfg.Clock.Anchored(t.Snapshot.Anchor())
	}
	g.cfg.Log.Info("new trust holds", "version", g.version())
	g.beat()
}

// dayKey is the key that goes by that name, nil for none.
func dayKey(s *trust.Snapshot, id string) *trust.DayKey {
	if s == nil {
		return nil
	}
	for i := range s.DayKeys.Keys {
		if s.DayKeys.Keys[i].ID == id {
			return &s.DayKeys.Keys[i]
		}
	}
	return nil
}

// sameKey reports whether what was begun with one key may go on with the other.
func sameKey(a, b *trust.DayKey) bool {
	return a != nil && b != nil && !a.Destroyed && !b.Destroyed && bytes.Equal(a.PublicKey, b.PublicKey)
}
