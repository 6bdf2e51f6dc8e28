package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"iter"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"checkpoint/hub"
	"checkpoint/hub/store"
	"checkpoint/record"
	"checkpoint/uplink"
)

// stickGate makes a gate that is enrolled at the hub in DIR, and writes N
// segments of it, or of a gate that nobody knows (!), to the stick.
func stickGate(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: stickgate DIR STICK")
	}
	a, ctx := newApp(), context.Background()
	cfg := defaultConfig()
	cfg.dir, cfg.Names = ts.MkAbs(args[0]), []string{"localhost"}
	o, err := a.openHub(ctx, cfg, nil)
	ts.Check(err)
	defer o.store.Close()
	day, err := benchDay(time.Now())
	ts.Check(err)
	g, err := newBenchGate(0, day, time.Now())
	ts.Check(err)
	if !neg {
		enrolHere(ctx, ts, o.hub, o.store, g)
	}
	var cuts []record.Cut
	for range 3 {
		_, cut, err := g.next(7)
		ts.Check(err)
		cuts = append(cuts, cut)
	}
	_, err = uplink.ExportSegments(ctx, ts.MkAbs(args[1]), each(cuts))
	ts.Check(err)
}

// enrolHere enrols a gate without a net.
func enrolHere(ctx context.Context, ts *testscript.TestScript, h *hub.Hub, s keeper, g *benchGate) {
	token, err := h.Invite(ctx, g.name, g.venue, "any", false, 0)
	ts.Check(err)
	gate, use, err := s.UseToken(ctx, sha256.Sum256(token.Secret[:]), store.Enrolment{Device: g.id.Device, SegmentKey: g.key.Public().(ed25519.PublicKey), TLSKey: [32]byte{1}, Word: "123456", At: time.Now()})
	ts.Check(err)
	if use != store.TokenGood || gate.State != store.Active {
		ts.Fatalf("not enrolled: use %d, %s", use, gate.State)
	}
}

func each[T any](all []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, one := range all {
			if !yield(one, nil) {
				return
			}
		}
	}
}
