package gate

import (
	"context"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"checkpoint/gate"
	"checkpoint/gate/signal"
	"checkpoint/tui/look"
	"checkpoint/verify"
)

// press takes a key: the card's first, then the dialog's, then the gate's.
func (m *model) press(k tea.KeyPressMsg) tea.Cmd {
	if key.Matches(k, m.keys.Force) {
		return m.leave()
	}
	// Disabled where there is nothing to switch; it is about no card.
	if key.Matches(k, m.keys.Line) && m.dialog.kind == noDialog {
		return func() tea.Msg { m.cfg.SwitchLine(); return nil }
	}
	if m.card != nil && m.dialog.kind == noDialog {
		if done, cmd := m.pressCard(k); done {
			return cmd
		}
	}
	if m.dialog.kind != noDialog {
		return m.pressDialog(k)
	}
	switch {
	case key.Matches(k, m.keys.Leave):
		return m.leave()
	case key.Matches(k, m.keys.Manual):
		m.dialog = dialog{kind: manualDialog}
	case key.Matches(k, m.keys.Shift):
		m.dialog = dialog{kind: shiftDialog}
	case key.Matches(k, m.keys.Log):
		m.dialog = dialog{kind: logDialog}
	case key.Matches(k, m.keys.Help):
		m.dialog = dialog{kind: helpDialog}
	case key.Matches(k, m.keys.Technician):
		if !m.cfg.HasPIN {
			m.tell(m.say(look.SayNoPIN))
			return nil
		}
		m.dialog = dialog{kind: pinDialog, to: techDialog}
	case key.Matches(k, m.keys.Sound):
		return m.nextSound()
	case key.Matches(k, m.keys.Void):
		return m.ask(m.cfg.Desk.Void)
	}
	return nil
}

// pressCard is what a key does to the card; done says that it does nothing
// else.
func (m *model) pressCard(k tea.KeyPressMsg) (done bool, cmd tea.Cmd) {
	c := m.card
	ready := !c.since.IsZero() && m.now.Sub(c.since) >= settle && !c.asked
	choose := func(choice gate.Choice) (bool, tea.Cmd) {
		if !ready {
			return true, nil
		}
		c.asked = true
		id, desk := c.id, m.cfg.Desk
		return true, tea.Batch(m.hush(), m.ask(func(ctx context.Context) error { return desk.Choose(ctx, id, choice) }))
	}
	switch c.name {
	case verify.CheckID:
		switch {
		case key.Matches(k, m.keys.Match):
			return choose(gate.ChoiceMatch)
		case key.Matches(k, m.keys.Mismatch):
			return choose(gate.ChoiceMismatch)
		case key.Matches(k, m.keys.Left):
			return choose(gate.ChoiceLeft)
		}
		return !key.Matches(k, m.keys.Leave, m.keys.Sound, m.keys.Help), nil
	case verify.Red:
		switch {
		case key.Matches(k, m.keys.Isolated):
			return choose(gate.ChoiceIsolated)
		case key.Matches(k, m.keys.RedLeft):
			return choose(gate.ChoiceLeft)
		case key.Matches(k, m.keys.RedEmergency):
			return choose(gate.ChoiceEmergency)
		case key.Matches(k, m.keys.RedSuperior):
			return choose(gate.ChoiceSupervise)
		}
		return !key.Matches(k, m.keys.Leave, m.keys.Sound, m.keys.Help), m.hush()
	}
	switch c.leaves {
	case gate.ByKey, gate.ByKeyOrCode:
	case gate.WhenMended:
		return false, m.hush() // the alarm was heard; the card stays
	default:
		return false, nil
	}
	if !ready {
		return true, nil
	}
	c.asked = true
	id, desk := c.id, m.cfg.Desk
	dismiss := m.ask(func(ctx context.Context) error { return desk.Dismiss(ctx, id) })
	// The manual card is what some of these cards ask for: one key does both.
	if key.Matches(k, m.keys.Manual) {
		m.dialog = dialog{kind: manualDialog}
	}
	return true, tea.Batch(m.hush(), dismiss)
}

// leave ends the program; a kiosk asks for the PIN.
func (m *model) leave() tea.Cmd {
	if !m.cfg.Kiosk {
		m.drop()
		return tea.Quit
	}
	if !m.cfg.HasPIN {
		m.tell(m.say(look.SayNoPIN))
		return nil
	}
	m.dialog = dialog{kind: pinDialog, to: leaveDialog}
	return nil
}

// nextSound goes through loud, quiet and off.
func (m *model) nextSound() tea.Cmd {
	m.mode = (m.mode + 1) % (signal.Off + 1)
	m.tell(m.say([...]look.Phrase{look.SayLoud, look.SayQuiet, look.SaySoundOff}[m.mode]))
	s, mode := m.cfg.Sound, m.mode
	if s == nil {
		return nil
	}
	return func() tea.Msg { s.SetMode(mode); return nil }
}

// askWithin bounds how long the screen waits for the gate to take a wish.
const askWithin = 5 * time.Second

// ask passes a wish to the gate; what comes of it is an event.
func (m *model) ask(do func(context.Context) error) tea.Cmd { return m.askThen(do, look.Phrase{}) }

// askThen is ask for a wish that no event answers.
func (m *model) askThen(do func(context.Context) error, then look.Phrase) tea.Cmd {
	ctx := m.ctx
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, askWithin)
		defer cancel()
		if err := do(ctx); err != nil {
			return askFailed{err}
		}
		if !then.Zero() {
			return askDone{then}
		}
		return nil
	}
}
