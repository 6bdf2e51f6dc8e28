package gate

import (
	"context"
	"fmt"
	"strings"

	"charm.land/bubbles/v2/help"
	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

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

// dialogBox is the dialog as a block of w × h cells, or less.
func (m *model) dialogBox(w, h int) string {
	title, lines := m.dialogText(w-4, h-3)
	text := strings.Join(lines, "\n")
	if w < look.BoxMinW || h < look.BoxMinH {
		return text
	}
	if lipgloss.Height(text) < h-4 {
		text = "\n" + text
	}
	return m.box(m.theme.Strong.Render(" "+title+" "), m.theme.Muted.Render(" "+m.say(look.SayClose)+" ")).Page(text, w, h)
}

// dialogText is a dialog's title and lines, most of them at most w cells wide.
func (m *model) dialogText(w, h int) (title string, lines []string) {
	say, d := m.say, m.dialog
	add := func(block ...string) { lines = append(lines, block...) }
	strong := func(s string) string { return m.theme.Strong.Render(s) }
	para := func(s string) {
		for p := range strings.SplitSeq(s, "\n") {
			add(wrap(p, w)...)
		}
	}
	switch d.kind {
	case manualDialog:
		title = say(look.SayManual)
		if d.class == 0 {
			add(m.options(look.SayClasses)...)
		} else {
			add(strong(say(look.Class(d.class))), "")
			add(m.options(look.SayAllowed)...)
		}
		add("")
		para(say(look.SayNoNames))
	case shiftDialog:
		title = say(look.SayHandOver)
		add(say(look.SayShiftNumber), strong("> "+d.typed+"_"), "")
		if m.state.Shift != "" {
			add(say(look.SayShift) + ": " + m.chars.Foreign(m.state.Shift))
		}
		add(m.counts(w))
	case pinDialog:
		title = say(look.SayTechnician)
		if d.to == leaveDialog {
			add(say(look.SayPINToLeave), "")
		}
		add(say(look.SayPIN))
		if d.busy {
			add(say(look.SayChecking) + " ...")
		} else {
			add(strong("> " + strings.Repeat("*", len(d.typed)) + "_"))
		}
		if m.notice != "" {
			add("", m.theme.Notice.Render(m.notice))
		}
	case logDialog:
		title = say(look.SayLog)
		if len(m.recent) == 0 {
			add(say(look.SayNoLog))
		}
		for i := len(m.recent) - 1 - d.scroll; i >= 0 && len(lines) < h; i-- {
			add(ansi.Truncate(m.logLine(m.recent[i], true), w, look.Tail))
		}
	case techDialog:
		title = say(look.SayTechnician)
		add("checkpoint "+look.Clean(m.cfg.Version), m.chars.Foreign(m.begun.Source), "", strong(say(look.SaySelfTest)))
		for _, t := range m.begun.Tests {
			style := m.theme.Text
			if !t.OK {
				style = m.theme.Notice
			}
			add(style.Render(ansi.Truncate(" "+m.testLine(t), w, look.Tail)))
		}
		if l := m.state.Line; l.Enrolled {
			is := say(look.SayOnline)
			if !l.Online {
				is = say(look.SayOffline)
			}
			if l.Problem != "" {
				is += ": " + m.chars.Foreign(l.Problem)
			}
			add(ansi.Truncate(" "+say(look.SayLine)+"  "+is, w, look.Tail))
		}
		add("")
		add(m.options(look.SayLowerFloor)...)
		add(m.option("q", say(look.SayKeyLeave)))
	default:
		title = say(look.SayHelp)
		para(say(look.SayHelpText))
		add("", m.keysHelp(w), "", m.legend())
	}
	return title, lines
}

// option is a key that can be pressed now, as a key's cap, and what it does.
func (m *model) option(k, does string) string {
	return m.theme.Strong.Reverse(true).Padding(0, 1).Render(k) + " " + m.theme.Strong.Render(does)
}

// options are the keys of a phrase that lists them.
func (m *model) options(p look.Phrase) []string {
	var out []string
	for o := range strings.SplitSeq(m.say(p), "   ") {
		k, does, _ := strings.Cut(o, " ")
		out = append(out, m.option(k, does))
	}
	return out
}

// keysHelp is every key, in columns where they fit beside each other.
func (m *model) keysHelp(w int) string {
	h := help.New()
	h.FullSeparator = "   "
	h.Styles.FullKey, h.Styles.FullDesc, h.Styles.FullSeparator = m.theme.Strong, m.theme.Text, m.theme.Text
	if all := h.FullHelpView(m.keys.FullHelp()); lipgloss.Width(all) <= w {
		return all
	}
	h.ShortSeparator, h.Styles.ShortKey, h.Styles.ShortDesc, h.Styles.ShortSeparator = "   ", m.theme.Strong, m.theme.Text, m.theme.Text
	var rows []string
	for _, group := range m.keys.FullHelp() {
		rows = append(rows, h.ShortHelpView(group))
	}
	return strings.Join(rows, "\n")
}

// legend is every verdict in its colours, in two columns.
func (m *model) legend() string {
	var columns [2][]string
	for i, n := range verify.Names() {
		chip := m.theme.Card(n).Style.Padding(0, 1).Render(m.chars.Symbol(n))
		columns[i%2] = append(columns[i%2], chip+" "+m.wordText(look.Word(n)))
	}
	left := lipgloss.NewStyle().PaddingRight(3).Render(strings.Join(columns[0], "\n"))
	return lipgloss.JoinHorizontal(lipgloss.Top, left, strings.Join(columns[1], "\n"))
}

// testLine is one line of the self-test.
func (m *model) testLine(t gate.SelfTest) string {
	mark := m.chars.Symbol(verify.Pass)
	if !t.OK {
		mark = m.chars.Symbol(verify.IssuerFault)
	}
	return fmt.Sprintf("%s %s  %s", mark, m.say(look.Test(t.Name)), m.say(look.Tested(t.Name, t.OK, t.Detail)))
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
