package gate

import (
	"context"
	"fmt"
	"strings"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"checkpoint/gate"
	"checkpoint/tui/look"
	"checkpoint/verify"
)

type dialogKind uint8

const (
	noDialog dialogKind = iota
	manualDialog
	shiftDialog
	logDialog
	helpDialog
	pinDialog
	techDialog
	leaveDialog // not drawn: what the PIN is asked for
)

// dialog is what stands in place of the live view until esc.
type dialog struct {
	kind   dialogKind
	class  gate.ManualClass // manual: chosen in the first step
	typed  string           // shift or PIN; gone with the dialog
	to     dialogKind       // pin: what it opens
	busy   bool             // the PIN is being tried
	scroll int              // log
}

// longest is how much may be typed.
const longest = 16

func (m *model) pressDialog(k tea.KeyPressMsg) tea.Cmd {
	d := &m.dialog
	if key.Matches(k, m.keys.Back) {
		m.dialog = dialog{}
		return nil
	}
	switch d.kind {
	case manualDialog:
		return m.pressManual(k)
	case shiftDialog, pinDialog:
		return m.pressTyped(k)
	case logDialog:
		switch k.String() {
		case "down", "j", "pgdown":
			d.scroll = min(d.scroll+m.h/2, max(0, len(m.recent)-1))
		case "up", "k", "pgup":
			d.scroll = max(0, d.scroll-m.h/2)
		default:
			m.dialog = dialog{}
		}
	case techDialog:
		if key.Matches(k, m.keys.LowerFloor) {
			return m.askThen(m.cfg.Desk.LowerFloor, look.SayFloorLowered)
		}
		if key.Matches(k, m.keys.Leave) {
			return tea.Quit
		}
	default:
		m.dialog = dialog{}
	}
	return nil
}

func (m *model) pressManual(k tea.KeyPressMsg) tea.Cmd {
	d := &m.dialog
	if d.class == 0 {
		if s := k.String(); len(s) == 1 && s[0] >= '1' && s[0] <= '4' {
			d.class = gate.ManualClass(s[0] - '0')
		}
		return nil
	}
	allowed := key.Matches(k, m.keys.Allowed)
	if !allowed && !key.Matches(k, m.keys.Refused) {
		return nil
	}
	class, desk := d.class, m.cfg.Desk
	m.dialog = dialog{}
	return m.ask(func(ctx context.Context) error { return desk.Manual(ctx, class, allowed) })
}

func (m *model) pressTyped(k tea.KeyPressMsg) tea.Cmd {
	d := &m.dialog
	switch {
	case d.busy:
	case key.Matches(k, m.keys.Erase):
		if d.typed != "" {
			d.typed = d.typed[:len(d.typed)-1]
		}
	case k.String() == "enter":
		if d.typed == "" {
			return nil
		}
		typed, desk := d.typed, m.cfg.Desk
		if d.kind == shiftDialog {
			m.dialog = dialog{}
			return m.ask(func(ctx context.Context) error { return desk.HandOver(ctx, typed) })
		}
		ctx, to := m.ctx, d.to
		d.typed, d.busy = "", true
		return func() tea.Msg {
			ok, err := desk.Unlock(ctx, typed)
			return unlocked{ok, err, to}
		}
	default:
		// Letters, digits and, for a PIN, any other printable ASCII.
		for _, r := range k.Text {
			word := r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-'
			if len(d.typed) < longest && (word || d.kind == pinDialog && r > ' ' && r < 0x7F) {
				d.typed += string(r)
			}
		}
	}
	return nil
}

func (m *model) unlocked(u unlocked) tea.Cmd {
	if m.dialog.kind == pinDialog {
		m.dialog = dialog{}
	}
	switch {
	case u.err != nil:
		m.tell(m.say(look.SayFailed))
	case !u.ok: // the gate said why
	case u.to == leaveDialog:
		m.drop()
		return tea.Quit
	case m.card == nil || !m.card.byKey():
		m.dialog = dialog{kind: u.to}
	}
	return nil
}

// drawDialog paints the dialog into a rectangle.
func (m *model) drawDialog(cv *look.Canvas, x, y, w, h int) {
	title, lines := m.dialogText(w-4, h-3)
	cv.Frame(x, y, w, h, m.theme.Lines, m.chars.Lines)
	cv.TextIn(x+2, y, w-4, " "+title+" ", m.theme.Strong)
	foot := " " + m.say(look.SayClose) + " "
	cv.TextIn(x+w-2-look.Width(foot), y+h-1, look.Width(foot), foot, m.theme.Muted)
	row := y + 1
	if len(lines) < h-4 {
		row++
	}
	for _, l := range lines {
		if row >= y+h-1 {
			return
		}
		p := m.theme.Text
		if strings.HasPrefix(l, "\x01") { // a line that matters
			l, p = l[1:], m.theme.Strong
		}
		cv.TextIn(x+2, row, w-4, l, p)
		row++
	}
}

func (m *model) dialogText(w, h int) (title string, lines []string) {
	say, d := m.say, m.dialog
	para := func(s string) {
		for p := range strings.SplitSeq(s, "\n") {
			lines = append(lines, wrap(p, w)...)
		}
	}
	switch d.kind {
	case manualDialog:
		title = say(look.SayManual)
		if d.class == 0 {
			for p := range strings.SplitSeq(say(look.SayClasses), "   ") {
				lines = append(lines, "\x01"+p)
			}
		} else {
			lines = append(lines, say(look.Class(d.class)), "")
			for p := range strings.SplitSeq(say(look.SayAllowed), "   ") {
				lines = append(lines, "\x01"+p)
			}
		}
		lines = append(lines, "")
		para(say(look.SayNoNames))
	case shiftDialog:
		title = say(look.SayHandOver)
		lines = append(lines, say(look.SayShiftNumber), "\x01> "+d.typed+"_", "")
		if m.state.Shift != "" {
			lines = append(lines, say(look.SayShift)+": "+m.chars.Foreign(m.state.Shift))
		}
		lines = append(lines, say(look.SayToday)+": "+m.counts(99))
	case pinDialog:
		title = say(look.SayTechnician)
		prompt := look.SayPIN
		if d.to == leaveDialog {
			lines = append(lines, say(look.SayPINToLeave), "")
		}
		lines = append(lines, say(prompt))
		if d.busy {
			lines = append(lines, say(look.SayChecking)+" ...")
		} else {
			lines = append(lines, "\x01> "+strings.Repeat("*", len(d.typed))+"_")
		}
		if m.notice != "" {
			lines = append(lines, "", m.notice)
		}
	case logDialog:
		title = say(look.SayLog)
		if len(m.recent) == 0 {
			lines = append(lines, say(look.SayNoLog))
		}
		for i := len(m.recent) - 1 - d.scroll; i >= 0 && len(lines) < h; i-- {
			lines = append(lines, m.logLine(m.recent[i], true))
		}
	case techDialog:
		title = say(look.SayTechnician)
		lines = append(lines, "checkpoint "+look.Clean(m.cfg.Version), m.chars.Foreign(m.begun.Source), "")
		lines = append(lines, "\x01"+say(look.SaySelfTest))
		for _, t := range m.begun.Tests {
			lines = append(lines, " "+m.testLine(t))
		}
		lines = append(lines, "", "\x01"+say(look.SayLowerFloor), "\x01q "+say(look.SayKeyLeave))
	default:
		title = say(look.SayHelp)
		para(say(look.SayHelpText))
		lines = append(lines, "")
		for _, group := range m.keys.FullHelp() {
			var b strings.Builder
			for _, k := range group {
				fmt.Fprintf(&b, "%s %s   ", k.Help().Key, k.Help().Desc)
			}
			lines = append(lines, "\x01"+b.String())
		}
		lines = append(lines, "")
		half := ""
		for i, n := range verify.Names() {
			l := m.chars.Symbol(n) + " " + m.wordText(look.Word(n))
			if i%2 == 0 {
				half = l + strings.Repeat(" ", max(2, 26-look.Width(l)))
				continue
			}
			lines = append(lines, half+l)
		}
	}
	return title, lines
}

// testLine is one line of the self-test.
func (m *model) testLine(t gate.SelfTest) string {
	mark := m.chars.Symbol(verify.Pass)
	if !t.OK {
		mark = m.chars.Symbol(verify.IssuerFault)
	}
	return fmt.Sprintf("%s %s  %s", mark, m.say(look.Test(t.Name)), m.chars.Foreign(t.Detail))
}

// logLine is one verdict in words.
func (m *model) logLine(s seen, long bool) string {
	l := s.at.In(m.cfg.Local).Format("15:04:05") + " " + m.chars.Symbol(s.name) + " " + m.say(look.Phrase{ZH: look.Word(s.name).ZH, EN: strings.ToLower(look.Word(s.name).EN)})
	if s.name == verify.PassGold && m.lang == look.Chinese && m.chars.Han {
		l += "+"
	}
	if s.reason != verify.OK && s.reason != verify.NoReason {
		l += " " + m.say(look.Why(s.reason))
	}
	if long && s.choice != 0 {
		l += " -> " + m.say(choiceWord(s.choice))
	}
	return l
}

func choiceWord(c gate.Choice) look.Phrase {
	switch c {
	case gate.ChoiceMatch:
		return look.SayMatch
	case gate.ChoiceMismatch:
		return look.SayMismatch
	case gate.ChoiceLeft:
		return look.SayLeft
	case gate.ChoiceIsolated:
		return look.SayIsolated
	case gate.ChoiceEmergency:
		return look.SayEmergency
	}
	return look.SaySupervisor
}
