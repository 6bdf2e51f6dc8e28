package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"checkpoint/camera/synth"
	"checkpoint/demo"
	"checkpoint/gate"
	"checkpoint/trust"
	tuigate "checkpoint/tui/gate"
	"checkpoint/verify"
)

func newDemoCommand(a *app) *cobra.Command {
	var o demoOptions
	c := &cobra.Command{
		Use:   "demo",
		Short: "See a gate at work, without hardware, keys or network",
		Long: "See a gate at work: an issuer, a policy and a drawn camera in which people hold\n" +
			"up phones and papers; the same screen, the same judging, a real database file.\n" +
			"A synthetic guard answers the cards that wait for one, until you press a key.",
		Example: `# The screen
checkpoint demo

# Thirty seconds as JSON events, the same people every time
checkpoint demo --headless --seconds 30 --seed 7

# Keep the rows
checkpoint demo --db /tmp/demo.db`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := configOf(c)
			if err != nil {
				return err
			}
			return a.runDemo(c.Context(), cfg, o)
		},
	}
	settingFlags(c, "db", "lang", "color", "blocks", "view", "plain", "sound", "player", "log.path")
	c.Flags().BoolVar(&o.headless, "headless", false, "no screen: print events as JSON lines")
	c.Flags().IntVar(&o.seconds, "seconds", 0, "stop after so many seconds; 0: when you leave")
	c.Flags().Uint64Var(&o.seed, "seed", 0, "who comes and what they hold up; 0: drawn, and printed")
	return c
}

type demoOptions struct {
	headless bool
	seconds  int
	seed     uint64
}

// demoClock vouches for the machine's time: the demo's codes are signed by it.
type demoClock struct{ now func() time.Time }

func (c demoClock) Now() (time.Time, verify.Quality) { return c.now(), verify.ClockSynced }

func (a *app) runDemo(ctx context.Context, cfg config, o demoOptions) error {
	if o.seconds < 0 || o.seconds > 7*24*3600 {
		return usagef("--seconds %d: want 0 to 604800", o.seconds)
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	if o.seconds > 0 {
		var end context.CancelFunc
		ctx, end = context.WithTimeout(ctx, time.Duration(o.seconds)*time.Second)
		defer end()
	}

	cfg.Source = []string{"demo"}
	keys, done, err := a.keys(cfg, o.headless)
	if err != nil {
		return err
	}
	defer done()
	cfg, tidy, err := demoFiles(cfg, defaultConfig(osEnv))
	if err != nil {
		return err
	}
	defer tidy()
	world, err := demo.New(demo.Config{Seed: o.seed, Now: a.now()})
	if err != nil {
		return faultf("%w", err)
	}
	fmt.Fprintf(a.err, "checkpoint: demo seed %d\n", world.Seed())

	s, err := a.openDemo(ctx, cfg, world)
	if err != nil {
		return err
	}
	defer s.Close()
	camera, err := synth.New(synth.Config{
		Seed: world.Seed(),
		Next: func(n uint64, at time.Time) synth.Prop {
			prop, _, err := world.Prop(n, a.now())
			if err != nil {
				s.log.Error("demo", "error", err)
			}
			return prop
		},
	})
	if err != nil {
		return faultf("%w", err)
	}
	s.closers = append(s.closers, camera.Close)
	s.pictures = []gate.Pictures{camera}

	far := s.beginOffice(ctx, world)
	gc := s.config()
	gc.NewTrust, gc.Line = far.newTrust, far.line
	gc.Answers = func(n uint64, leaves gate.Leaves) {
		if leaves == gate.ByKey {
			camera.Keep(n)
		} else {
			camera.Taken(n)
		}
	}
	return a.stand(ctx, s, gc, keys, func(g *gate.Gate) watcher {
		return &guard{ctx: ctx, gate: g, leave: camera.Advance, also: far.saw}
	})
}

// demoFiles puts the demo's database and log into a folder of their own, which
// goes with the demo, unless they were named.
func demoFiles(cfg, defaults config) (config, func(), error) {
	dir, err := os.MkdirTemp("", "checkpoint-demo-")
	if err != nil {
		return cfg, nil, faultf("%w", err)
	}
	if cfg.DB == defaults.DB {
		cfg.DB = filepath.Join(dir, "gate.db")
	}
	if cfg.Log.Path == defaults.Log.Path {
		cfg.Log.Path = filepath.Join(dir, "checkpoint.log")
	}
	return cfg, func() { os.RemoveAll(dir) }, nil
}

// openDemo opens a station that trusts the demo's world. The world's keys are
// thrown away with it, so its trust is checked as any signed trust but not
// installed; a file that a real gate uses is not played with.
func (a *app) openDemo(ctx context.Context, cfg config, world *demo.World) (*station, error) {
	cfg.Gate, cfg.Venue, cfg.VenueType = "Gate B3", "演示 DEMO · 西直门 Line 2", world.Venue()
	cfg.IsolationTel, cfg.TechnicianTel = "010-5550 0101", "010-5550 0199"
	cfg.Kiosk, cfg.PINHash = false, ""
	s, err := a.openStation(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := s.trustWorld(ctx, a, world); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *station) trustWorld(ctx context.Context, a *app, world *demo.World) error {
	installed, err := s.db.Trust(ctx)
	if err != nil {
		return faultf("%w", err)
	}
	enrolled, ok, err := s.db.Enrolment(ctx)
	if err != nil {
		return faultf("%w", err)
	}
	if len(installed) > 0 || ok && enrolled.Venue != s.cfg.Venue {
		return usagef("--db %s: a real gate uses this file; the demo keeps its hands off it", s.cfg.DB)
	}
	snapshot, err := trust.ParseSigned(world.SignedTrust(), world.Pin())
	if err != nil {
		return faultf("%w", err)
	}
	s.clock = gate.NewClock(demoClock{a.now}, gate.Floor{}, time.Time{})
	if ok {
		// The hub of the demo before went with it.
		if err := s.db.NewDevice(ctx, s.stamp(), "another demo"); err != nil {
			return faultf("%w", err)
		}
	}
	s.hold(ctx, snapshot)
	return nil
}

// guard is the demo's synthetic guard: it answers cards that wait for a key
// after two seconds, until a person has pressed a key.
type guard struct {
	ctx     context.Context
	gate    *gate.Gate
	leave   func() // the person in view goes
	also    func(gate.Event)
	retired atomic.Bool
}

const guardThinks = 2 * time.Second

func (d *guard) saw(e gate.Event) {
	d.also(e)
	switch e := e.(type) {
	case gate.Judged:
		if e.Leaves == gate.ByKey {
			d.later(e.Card, e.Verdict.Name)
		}
	case gate.Chosen:
		if e.Becomes == verify.Amber {
			d.later(e.Card, e.Becomes)
		}
		d.leave()
	case gate.Cleared:
		d.leave()
	}
}

func (d *guard) later(card uint64, name verify.Name) {
	if d.retired.Load() {
		return
	}
	time.AfterFunc(guardThinks, func() {
		if d.retired.Load() {
			return
		}
		switch name {
		case verify.CheckID:
			d.gate.Choose(d.ctx, card, gate.ChoiceMatch)
		case verify.Red:
			d.gate.Choose(d.ctx, card, gate.ChoiceIsolated)
		default:
			d.gate.Dismiss(d.ctx, card)
		}
	})
}

func (d *guard) desk(real tuigate.Desk) tuigate.Desk { return handed{real, d} }

// handed is the desk once more; the first thing asked of it retires the
// synthetic guard.
type handed struct {
	tuigate.Desk
	guard *guard
}

func (h handed) Choose(ctx context.Context, card uint64, c gate.Choice) error {
	h.guard.retired.Store(true)
	return h.Desk.Choose(ctx, card, c)
}

func (h handed) Dismiss(ctx context.Context, card uint64) error {
	h.guard.retired.Store(true)
	return h.Desk.Dismiss(ctx, card)
}
