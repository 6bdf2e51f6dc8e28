package main

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"checkpoint/demo"
	"checkpoint/demo/office"
	"checkpoint/gate"
	"checkpoint/hub/store/sqlite"
)

// farEnd is the demo's hub, and the demo gate's way to it. It comes up beside
// the gate, which does not wait for it: no gate waits for its hub.
type farEnd struct {
	up atomic.Pointer[upstream]

	mu   sync.Mutex
	held bool // the line was cut on purpose
}

// arrive lays the way before the gate, cut or not as it was turned until now.
func (f *farEnd) arrive(up *upstream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	up.loop.Set(!f.held)
	f.up.Store(up)
}

// beginOffice starts a hub in a folder of its own, and makes the demo's gate one
// of its gates: a code, keys, mutual TLS, trust by TUF, as with any hub. The
// station's Close ends all of it.
func (s *station) beginOffice(ctx context.Context, world *demo.World) *farEnd {
	far := new(farEnd)
	s.line = far.turn
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	var closers []func() error
	go func() {
		defer close(ended)
		up, close, err := s.joinOffice(ctx, world)
		closers = close
		if err != nil {
			if ctx.Err() == nil {
				s.log.Error("the demo's hub", "error", err)
			}
			return
		}
		far.arrive(up)
	}()
	s.closers = append(s.closers, func() error {
		stop()
		<-ended
		if up := far.up.Load(); up != nil {
			up.end()
		}
		for i := len(closers) - 1; i >= 0; i-- {
			if err := closers[i](); err != nil {
				s.log.Error("closing the demo's hub", "error", err)
			}
		}
		return nil
	})
	return far
}

// joinOffice opens the hub and enrols the gate. What it gives to close must be
// closed, error or not.
func (s *station) joinOffice(ctx context.Context, world *demo.World) (up *upstream, closers []func() error, err error) {
	dir, err := os.MkdirTemp("", "checkpoint-demo-hub-")
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, func() error { return os.RemoveAll(dir) })
	folder := filepath.Join(dir, "data")
	if err := sqlite.Migrate(ctx, folder); err != nil {
		return nil, closers, err
	}
	data, err := sqlite.Open(ctx, folder, sqlite.Options{})
	if err != nil {
		return nil, closers, err
	}
	o, err := office.Open(ctx, office.Config{Dir: dir, Store: data, Snapshot: world.Snapshot(), Log: s.log})
	if err != nil {
		data.Close()
		return nil, closers, err
	}
	closers = append(closers, o.Close)
	token, err := o.Invite(ctx, s.cfg.Gate, s.cfg.Venue, s.cfg.VenueType)
	if err != nil {
		return nil, closers, err
	}
	if _, err := s.enroll(ctx, token, false); err != nil {
		return nil, closers, err
	}
	s.pace = pace{start: -1, spread: -1} // somebody watches
	if up, err = s.openUpstream(ctx); err != nil {
		return nil, closers, err
	}
	return up, closers, up.run(ctx)
}

// turn cuts the line off, or joins it again.
func (f *farEnd) turn() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = !f.held
	if up := f.up.Load(); up != nil {
		up.loop.Set(!f.held)
	}
}

func (f *farEnd) line() gate.Line {
	if up := f.up.Load(); up != nil {
		return up.line()
	}
	return gate.Line{}
}

func (f *farEnd) newTrust(ctx context.Context) (gate.Trust, bool) {
	if up := f.up.Load(); up != nil {
		return up.newTrust(ctx)
	}
	return gate.Trust{}, false
}

func (f *farEnd) saw(e gate.Event) {
	if up := f.up.Load(); up != nil {
		up.figures.saw(e)
	}
}
