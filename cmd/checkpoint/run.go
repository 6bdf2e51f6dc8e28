package main

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"

	"checkpoint/gate"
	"checkpoint/gate/signal"
	tuigate "checkpoint/tui/gate"
	"checkpoint/tui/look"
)

func newRunCommand(a *app) *cobra.Command {
	headless := false
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the gate",
		Long: "Run the gate: look, judge, record, tell. Without sources it looks for a camera\n" +
			"and waits until there is one. --headless prints events, one JSON object a line.",
		Example: `# The gate of /etc/checkpoint/checkpoint.toml
checkpoint run

# The camera by its place on the bus, leaving only with the PIN
checkpoint run --source v4l2:/dev/v4l/by-id/usb-046d_C270-video-index0 --kiosk

# A folder of pictures, judged one after the other, as JSON
checkpoint run --headless --source dir:pictures --latch 200ms

# A hand scanner beside the camera
checkpoint run --source v4l2:auto --source evdev:/dev/input/by-id/usb-scanner-event-kbd`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := configOf(c)
			if err != nil {
				return err
			}
			return a.runGate(c.Context(), cfg, headless)
		},
	}
	settingFlags(c)
	c.Flags().BoolVar(&headless, "headless", false, "no screen: print events as JSON lines")
	return c
}

func (a *app) runGate(ctx context.Context, cfg config, headless bool) error {
	ctx, stop := untilSignal(ctx)
	defer stop()
	keys, done, err := a.keys(cfg, headless)
	if err != nil {
		return err
	}
	defer done()
	s, err := a.openStation(ctx, cfg)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.joinUpstream(ctx); err != nil {
		return err
	}
	if err := s.loadTrust(ctx); err != nil {
		return err
	}
	if err := s.open(ctx, a.in); err != nil {
		return err
	}
	if err := s.beginUpstream(ctx); err != nil {
		return err
	}
	gc := s.config()
	gc.NewTrust = s.newTrust
	if headless { // nobody will press a key
		gc.Latch = time.Duration(cfg.Latch)
	}
	if s.up == nil {
		return a.stand(ctx, s, gc, keys, nil)
	}
	gc.NewTrust, gc.Line = s.up.newTrust, s.up.line
	return a.stand(ctx, s, gc, keys, func(*gate.Gate) watcher { return reporter{s.up} })
}

// reporter lets the figures for the hub see what the gate says.
type reporter struct{ *upstream }

func (r reporter) saw(e gate.Event)                 { r.figures.saw(e) }
func (r reporter) desk(d tuigate.Desk) tuigate.Desk { return d }

// watcher sees every event and every key on their way, as the demo's guard
// does. Its methods are called from one goroutine each.
type watcher interface {
	saw(gate.Event)
	desk(tuigate.Desk) tuigate.Desk
}

// stand runs a gate with the ends that were asked for: a screen or plain lines
// with the guard's keys, or events as JSON where there are no keys (nil).
func (a *app) stand(ctx context.Context, s *station, gc gate.Config, keys io.Reader, w func(*gate.Gate) watcher) error {
	mode, err := signal.ParseMode(s.cfg.Sound)
	if err != nil {
		return usagef("sound: %w", err)
	}
	sc := signal.Config{Mode: mode, Command: s.cfg.Player, Failed: func(err error) {
		s.log.Error("the sound player failed; the bell takes over", "error", err)
	}}
	headless := keys == nil
	if headless {
		gc.AtEnd = true
		player := signal.NewPlayer(sc)
		defer player.Close()
		gc.Signal = player
	} else {
		gc.Views = s.cfg.View && !s.cfg.Plain
	}
	g, err := gate.New(gc)
	if err != nil {
		return faultf("%w", err)
	}
	var watch watcher
	if w != nil {
		watch = w(g)
	}

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan struct{})
	var broke error
	go func() {
		defer close(ended)
		broke = g.Run(ctx)
	}()
	events := watched(g.Events(), watch)
	defer func() {
		stop()
		for range events { // whatever was left to say
		}
		<-ended
	}()

	if headless {
		if err := headlessly(a.out, events); err != nil {
			return err
		}
		if <-ended; broke != nil {
			return faultf("%w", broke)
		}
		return nil
	}
	return a.screen(ctx, s, g, events, keys, watch, sc)
}

// watched passes events on, after the watcher saw them.
func watched(events <-chan gate.Event, w watcher) <-chan gate.Event {
	if w == nil {
		return events
	}
	out := make(chan gate.Event, 64)
	go func() {
		defer close(out)
		for e := range events {
			w.saw(e)
			out <- e
		}
	}()
	return out
}

func headlessly(out io.Writer, events <-chan gate.Event) error {
	w := newEventWriter(out)
	for e := range events {
		if err := w.write(e); err != nil {
			return unwritten(err, "write events")
		}
	}
	return nil
}

// unwritten is the end of a gate whose output cannot be written.
func unwritten(err error, doing string) error {
	if errors.Is(err, syscall.EPIPE) {
		return faultf("the reader of this output went away, so the gate has stopped")
	}
	return faultf("%s: %w", doing, err)
}

// screen runs the full screen, or the plain one, until the guard leaves.
func (a *app) screen(ctx context.Context, s *station, g *gate.Gate, events <-chan gate.Event, keys io.Reader, w watcher, sc signal.Config) error {
	lang, err := look.ParseLang(s.cfg.Lang)
	if err != nil {
		return usagef("lang: %w", err)
	}
	blocks, err := look.ParseBlocks(s.cfg.Blocks)
	if err != nil {
		return usagef("blocks: %w", err)
	}
	options, err := tuigate.ProgramOptions(s.cfg.Color)
	if err != nil {
		return usagef("color: %w", err)
	}
	var desk tuigate.Desk = g
	if w != nil {
		desk = w.desk(g)
	}
	_, hasPIN := s.cfg.pin()
	tc := tuigate.Config{
		Desk: desk, Events: events, SoundMode: sc.Mode, Lang: lang, Blocks: blocks,
		Console: os.Getenv("TERM") == "linux", Kiosk: s.cfg.Kiosk, HasPIN: hasPIN,
		IsolationPhone: s.cfg.IsolationTel, TechnicianPhone: s.cfg.TechnicianTel, Version: version(),
	}
	if s.line != nil {
		tc.SwitchLine = s.line
	}
	if s.cfg.View {
		tc.Views = func(ctx context.Context) (gate.View, bool) {
			select {
			case v := <-g.Views():
				return v, true
			case <-ctx.Done():
				return gate.View{}, false
			}
		}
	}
	if s.cfg.Plain {
		sc.Beep = func() { io.WriteString(a.out, "\a") }
		player := signal.NewPlayer(sc)
		defer player.Close()
		tc.Sound = player
		if err := tuigate.Plain(ctx, tc, keys, a.out); err != nil {
			return unwritten(err, "write lines")
		}
		return nil
	}

	var program *tea.Program
	sc.Beep = func() { program.Send(tuigate.Beep{}) }
	player := signal.NewPlayer(sc)
	defer player.Close()
	tc.Sound = player
	program = tea.NewProgram(tuigate.New(ctx, tc), append(options, tea.WithContext(ctx), tea.WithInput(keys), tea.WithOutput(a.out))...)
	if _, err := program.Run(); err != nil && ctx.Err() == nil && !errors.Is(err, tea.ErrInterrupted) {
		return faultf("screen: %w", err)
	}
	return nil
}
