package gate

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"checkpoint/gate"
	"checkpoint/gate/signal"
	"checkpoint/tui/look"
	"checkpoint/verify"
)

const (
	// tickEvery is the screen's own clock: it wears notices off and lets a card
	// be pressed away.
	tickEvery = 50 * time.Millisecond
	// viewEvery keeps the live view at 18 pictures a second.
	viewEvery = 55 * time.Millisecond
	// settle is how long a card must have stood before a key can take it: the
	// guard's finger was already on its way.
	settle = 300 * time.Millisecond
	// noticeFor is how long an answer to a key stands.
	noticeFor = 4 * time.Second
	// stale is when a card that leaves by time is taken away even if nobody said
	// so: a green screen must never stand for nobody.
	stale = 4 * time.Second
	// remembered is how many verdicts the log of this run holds.
	remembered = 500
)

// model is the root model. Its fields change in Update only, which reads no
// clock, no file and no channel.
type model struct {
	ctx context.Context // for the commands; a tea.Cmd takes no argument
	cfg Config
	style
	keys KeyMap

	w, h    int
	profile colorprofile.Profile
	dark    bool
	now     time.Time // of the last tick

	state  gate.State
	stated bool
	begun  gate.Started
	// testsUntil ends the self-test's claim to the panel; zero until the first tick.
	testsUntil time.Time
	coach      gate.Coached
	card       *card
	recent     []seen // newest last
	mode       signal.Mode

	notice      string
	noticeUntil time.Time
	dialog      dialog

	finder    *look.Viewfinder
	picture   gate.View
	viewing   bool      // a view was shown at least once
	readAt    time.Time // when a code was last outlined; zero: never
	panelW    int       // size of the live view in cells
	panelH    int
	viewLines []string

	cached cache
	ended  bool
}

// seen is one line of the log: no person, no code.
type seen struct {
	at     time.Time
	card   uint64
	name   verify.Name
	reason verify.Reason
	choice gate.Choice
}

// cache is the part of the screen that changes only with its inputs.
type cache struct {
	key   cacheKey
	lines []string
}

type cacheKey struct {
	card     uint64 // 0: the idle panel
	name     verify.Name
	w, h, sh int
	mark     bool // recording, or a code waits
	coach    gate.Coached
	read     bool // a code is read
	free     bool // no code is asked here
	begun    bool // the self-test stands
	first    bool // nobody was judged yet
	stated   bool
	cameraOK bool
	cameraIs string
}

// New makes the screen. It ends when ctx is done, the events end, or the guard
// leaves.
func New(ctx context.Context, cfg Config) tea.Model { return newModel(ctx, cfg) }

func newModel(ctx context.Context, cfg Config) *model {
	if cfg.Local == nil {
		cfg.Local = time.Local
	}
	m := &model{ctx: ctx, cfg: cfg, dark: true, profile: colorprofile.ANSI256, mode: cfg.SoundMode}
	m.style = style{
		chars: look.NewCharset(cfg.Console, cfg.Blocks), glyphs: look.NewGlyphs(), lang: cfg.Lang, blocks: cfg.Blocks,
		phones: look.Phones{Isolation: cfg.IsolationPhone, Technician: cfg.TechnicianPhone},
	}
	m.keys = NewKeyMap(m.say)
	m.keys.Line.SetEnabled(m.cfg.SwitchLine != nil)
	m.dress()
	return m
}

// dress makes what depends on the terminal's colours.
func (m *model) dress() {
	m.theme = look.NewTheme(m.profile, m.dark, m.cfg.Console)
	m.finder = look.NewViewfinder(m.theme, m.blocks)
	m.viewLines = nil
	m.cached = cache{}
}

func (m *model) say(p look.Phrase) string { return m.chars.Say(p, m.lang) }

// The messages.
type (
	gateSaid    struct{ e gate.Event }
	gateStopped struct{}
	viewTaken   struct {
		v  gate.View
		ok bool
	}
	viewDue  struct{}
	ticked   time.Time
	unlocked struct {
		ok  bool
		err error
		to  dialogKind
	}
	askFailed struct{ err error }
	askDone   struct{ p look.Phrase }
)

// Init starts the streams: one command outstanding each.
func (m *model) Init() tea.Cmd {
	return tea.Batch(m.nextEvent(), m.nextView(), tick(), tea.RequestBackgroundColor)
}

func tick() tea.Cmd { return tea.Tick(tickEvery, func(t time.Time) tea.Msg { return ticked(t) }) }

func (m *model) nextEvent() tea.Cmd {
	ctx, events := m.ctx, m.cfg.Events
	return func() tea.Msg {
		select {
		case e, open := <-events:
			if !open {
				return gateStopped{}
			}
			return gateSaid{e}
		case <-ctx.Done():
			return gateStopped{}
		}
	}
}

func (m *model) nextView() tea.Cmd {
	ctx, views := m.ctx, m.cfg.Views
	if views == nil {
		return nil
	}
	return func() tea.Msg {
		v, ok := views(ctx)
		return viewTaken{v, ok}
	}
}

// Update takes one message.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.w, m.h = msg.Width, msg.Height
		m.viewLines = nil
	case tea.ColorProfileMsg:
		m.profile = msg.Profile
		m.dress()
	case tea.BackgroundColorMsg:
		m.dark = msg.IsDark()
		m.dress()
	case ticked:
		m.tick(time.Time(msg))
		return m, tick()
	case gateSaid:
		return m, tea.Batch(m.hear(msg.e), m.nextEvent())
	case gateStopped:
		m.ended = true
		m.drop()
		return m, tea.Quit
	case viewTaken:
		if !msg.ok {
			m.picture, m.viewing, m.viewLines = gate.View{}, false, nil
			return m, nil
		}
		m.picture, m.viewing = msg.v, true
		if len(msg.v.Codes) > 0 {
			m.readAt = m.now
		}
		m.redraw()
		return m, tea.Tick(viewEvery, func(time.Time) tea.Msg { return viewDue{} })
	case viewDue:
		return m, m.nextView()
	case Beep:
		return m, tea.Raw("\a")
	case unlocked:
		return m, m.unlocked(msg)
	case askFailed:
		if m.card != nil {
			m.card.asked = false
		}
		m.tell(m.say(look.SayFailed))
	case askDone:
		m.tell(m.say(msg.p))
	case tea.KeyPressMsg:
		return m, m.press(msg)
	}
	return m, nil
}

// tick moves the screen's clock.
func (m *model) tick(at time.Time) {
	m.now = at
	if m.testsUntil.IsZero() && len(m.begun.Tests) > 0 {
		m.testsUntil = at.Add(testsFor)
	}
	if m.notice != "" && at.After(m.noticeUntil) {
		m.notice = ""
	}
	if c := m.card; c != nil {
		if c.since.IsZero() {
			c.since = at
		}
		if c.leaves == gate.ByTime && !c.recording && at.Sub(c.since) > stale {
			m.drop()
		}
	}
}

// tell shows an answer for a while.
func (m *model) tell(s string) {
	m.notice, m.noticeUntil = s, m.now.Add(noticeFor)
}

// drop takes the card away with all that was drawn of it.
func (m *model) drop() {
	m.card = nil
	m.cached = cache{}
}

// hear takes an event of the gate.
func (m *model) hear(e gate.Event) tea.Cmd {
	switch e := e.(type) {
	case gate.Started:
		m.begun = e
	case gate.State:
		m.state, m.stated = e, true
	case gate.Coached:
		m.coach = e
	case gate.Judged:
		m.remember(seen{at: e.At, card: e.Card, name: e.Verdict.Name, reason: e.Verdict.Reason})
		if e.Leaves == gate.NeverShown {
			return nil
		}
		m.dialog = dialog{} // a verdict comes before everything
		m.drop()
		m.card = newCard(e, m.state.Policy.IDCheck)
		m.coach = gate.Coached{}
		return m.sound(e.Verdict.Name)
	case gate.Recorded:
		if m.card != nil && m.card.id == e.Card {
			m.card.recording = false
			if !m.card.since.IsZero() {
				m.card.since = m.now
			}
			if e.Failed {
				m.drop()
			}
		}
	case gate.Chosen:
		return m.chosen(e)
	case gate.Cleared:
		if m.card != nil && m.card.id == e.Card {
			m.drop()
			return m.hush()
		}
	case gate.Voided:
		m.tell(m.say(look.SayVoided))
	case gate.ManualDone:
		m.tell(m.say(look.SayManualDone) + ": " + m.say(look.Class(e.Class)))
	case gate.HandedOver:
		m.tell(m.say(look.SayHandedOver) + ": " + m.chars.Foreign(e.Shift))
	case gate.Refused:
		if m.card != nil {
			m.card.asked = false
		}
		m.tell(m.say(look.Refusal(e.What)))
	case gate.Ended:
		m.ended = true
	}
	return nil
}

// chosen shows what stands after a choice. The person is gone from here on.
func (m *model) chosen(e gate.Chosen) tea.Cmd {
	for i := range m.recent {
		if m.recent[i].card == e.Card {
			m.recent[i].choice = e.Choice
		}
	}
	if m.card == nil || m.card.id != e.Card {
		return nil
	}
	m.drop()
	if e.Becomes == verify.NoVerdict {
		return m.hush()
	}
	c := &card{id: e.Card, name: e.Becomes, reason: verify.OK, leaves: gate.ByKey, why: look.SayMismatched}
	if e.Becomes.Admits() {
		c.leaves, c.why = gate.ByTime, look.SayMatched
	}
	m.card = c
	return m.sound(e.Becomes)
}

func (m *model) remember(s seen) {
	if len(m.recent) == remembered {
		m.recent = append(m.recent[:0], m.recent[1:]...)
	}
	m.recent = append(m.recent, s)
}

// sound and hush work in commands: a player may take a lock.
func (m *model) sound(n verify.Name) tea.Cmd {
	s := m.cfg.Sound
	if s == nil {
		return nil
	}
	return func() tea.Msg { s.Play(n); return nil }
}

func (m *model) hush() tea.Cmd {
	s := m.cfg.Sound
	if s == nil {
		return nil
	}
	return func() tea.Msg { s.Stop(); return nil }
}
