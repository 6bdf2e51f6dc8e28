package main

import (
	"slices"
	"sync"

	"checkpoint/enroll"
	"checkpoint/gate"
	"checkpoint/tui/look/clean"
)

// figures gathers from a gate's events what its hub is told of how it is.
type figures struct {
	mu       sync.Mutex
	state    gate.State
	verdicts []float64
	next     int
}

// lastVerdicts is over how many verdicts the time to one is told.
const lastVerdicts = 256

// saw takes an event on its way to the screen.
func (f *figures) saw(e gate.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch e := e.(type) {
	case gate.State:
		f.state = e
	case gate.Judged:
		if e.ViewToVerdictMS < 0 {
			return
		}
		if len(f.verdicts) < lastVerdicts {
			f.verdicts = append(f.verdicts, e.ViewToVerdictMS)
			return
		}
		f.verdicts[f.next] = e.ViewToVerdictMS
		f.next = (f.next + 1) % lastVerdicts
	}
}

// report fills in what events told.
func (f *figures) report(r *enroll.Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state
	r.Camera = "ok"
	if !s.CameraOK {
		r.Camera = clean.Bounded(s.CameraIs, 80)
		if r.Camera == "" {
			r.Camera = "no picture"
		}
	}
	r.FPS, r.Shown, r.Read = float64(int(s.FPS*10))/10, s.Shown, s.Read
	for _, rung := range s.Rungs {
		r.Rungs = append(r.Rungs, rung.String())
	}
	if len(f.verdicts) > 0 {
		sorted := slices.Sorted(slices.Values(f.verdicts))
		r.VerdictP50MS = int(sorted[len(sorted)/2])
		r.VerdictP95MS = int(sorted[(len(sorted)-1)*95/100])
	}
}
