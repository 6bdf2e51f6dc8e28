package gate

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/vt"

	"checkpoint/gate"
	"checkpoint/tui/look"
	"checkpoint/verify"
)

// terminal is a terminal in memory.
type terminal struct {
	mu    sync.Mutex
	e     *vt.Emulator
	bells int
}

func (t *terminal) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// Where its input is no terminal the program counts on a line discipline that
	// returns the carriage at a line feed.
	_, err := t.e.Write(bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")))
	return len(b), err
}

func (t *terminal) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.e.String()
}

func (t *terminal) alt() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.e.IsAltScreen()
}

// until waits for a condition that the program brings about.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	late := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-late:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

// answering is a gate that does what it is asked.
type answering struct {
	desk
	events chan gate.Event
	mu     sync.Mutex
	chosen []gate.Choice
}

func (a *answering) Choose(_ context.Context, card uint64, c gate.Choice) error {
	a.mu.Lock()
	a.chosen = append(a.chosen, c)
	a.mu.Unlock()
	a.events <- gate.Chosen{Card: card, Choice: c, Becomes: verify.Pass}
	return nil
}

// TestWholeProgram runs the program in a terminal in memory: a person with a
// paper code, a match, a pass, and the way out.
func TestWholeProgram(t *testing.T) {
	term := &terminal{e: vt.NewEmulator(80, 24)}
	term.e.SetCallbacks(vt.Callbacks{Bell: func() { term.bells++ }})
	// The emulator answers queries into a pipe that somebody must empty. Its Close
	// may not be called beside Read; closing the pipe may.
	drained := make(chan struct{})
	go func() { defer close(drained); io.Copy(io.Discard, term.e) }()
	defer func() { term.e.InputPipe().(io.Closer).Close(); <-drained }()

	in, keys := io.Pipe()
	defer keys.Close()
	g := &answering{events: make(chan gate.Event, 16)}
	cfg := someConfig(look.English)
	cfg.Desk, cfg.Events = g, g.events
	pictures := make(chan gate.View, 1)
	cfg.Views = func(ctx context.Context) (gate.View, bool) {
		select {
		case v := <-pictures:
			return v, true
		case <-ctx.Done():
			return gate.View{}, false
		}
	}
	options, err := ProgramOptions("16")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := tea.NewProgram(New(ctx, cfg), append(options, tea.WithInput(in), tea.WithOutput(term), tea.WithWindowSize(80, 24),
		tea.WithEnvironment([]string{"TERM=xterm-256color"}), tea.WithoutSignalHandler())...)
	ended := make(chan error, 1)
	go func() { _, err := p.Run(); ended <- err }()

	g.events <- someState()
	pictures <- *someView()
	until(t, "the idle screen", func() bool {
		s := term.String()
		return strings.Contains(s, look.SayShowCode.ZH) && strings.Contains(s, "▀") // the English words are big glyphs
	})
	if !term.alt() {
		t.Error("not on the alternate screen")
	}
	p.Send(Beep{})
	until(t, "the bell", func() bool { term.mu.Lock(); defer term.mu.Unlock(); return term.bells == 1 })

	g.events <- judged(verify.CheckID, 1)
	until(t, "the name to compare", func() bool { return strings.Contains(term.String(), "123X") })
	// The first key may come before the card has stood long enough.
	until(t, "the choice", func() bool {
		io.WriteString(keys, "y")
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.chosen) > 0
	})
	until(t, "the pass", func() bool { return strings.Contains(term.String(), "let through") })
	if s := term.String(); strings.Contains(s, "123X") || strings.Contains(s, "张") {
		t.Error("the person stands after the match")
	}
	g.events <- gate.Cleared{Card: 1}
	until(t, "the idle screen again", func() bool { return strings.Contains(term.String(), look.SayShowCode.ZH) })

	for i := range 50 { // a storm of sizes
		p.Send(tea.WindowSizeMsg{Width: 20 + i*3, Height: 5 + i})
	}
	p.Send(tea.WindowSizeMsg{Width: 80, Height: 24})
	io.WriteString(keys, "q")
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	if term.alt() {
		t.Error("the terminal is left on the alternate screen")
	}
}

// TestEndsWithTheGate: when the events end so does the program.
func TestEndsWithTheGate(t *testing.T) {
	events := make(chan gate.Event)
	close(events)
	cfg := someConfig(look.Chinese)
	cfg.Events = events
	in, keys := io.Pipe()
	defer keys.Close()
	p := tea.NewProgram(New(t.Context(), cfg), tea.WithInput(in), tea.WithOutput(io.Discard), tea.WithoutSignalHandler())
	if _, err := p.Run(); err != nil {
		t.Error(err)
	}
}

// TestPlain runs the plain screen through a morning.
func TestPlain(t *testing.T) {
	events := make(chan gate.Event)
	d := &desk{}
	s := &sounds{}
	cfg := someConfig(look.English)
	cfg.Desk, cfg.Events, cfg.Sound = d, events, s
	in, keys := io.Pipe()
	var mu sync.Mutex
	var out strings.Builder
	has := func(want string) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return strings.Contains(out.String(), want) }
	}
	ended := make(chan error, 1)
	go func() {
		ended <- Plain(t.Context(), cfg, in, writerFunc(func(b []byte) (int, error) { mu.Lock(); defer mu.Unlock(); return out.Write(b) }))
	}()
	events <- someState()
	events <- judged(verify.Red, 1)
	until(t, "the red line", has("ISOLATE 隔离. contact of a case. lead to the isolation point, do not let go, call 8010 1234."))
	io.WriteString(keys, "1\n")
	io.WriteString(keys, "m 2 a\n")
	io.WriteString(keys, "s\n")
	until(t, "the sound", has("sound: quiet"))
	events <- gate.Cleared{Card: 1}
	events <- judged(verify.Amber, 2)
	io.WriteString(keys, "\n")
	events <- gate.Voided{}
	until(t, "the void", has("the last scan was voided"))
	io.WriteString(keys, "q\n")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := strings.Join(d.asked, "; "); got != "choose 1 4; manual 2 true; dismiss 2" {
		t.Errorf("asked %q", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if strings.ContainsAny(out.String(), "\x1b\r") {
		t.Error("the plain screen moves the cursor")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
