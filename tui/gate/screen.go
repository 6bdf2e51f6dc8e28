package gate

import (
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"checkpoint/tui/look"
	"checkpoint/verify"
)

// The screen's rows: a header of two lines and a banner when something must be
// said, the body, and a foot of two lines. What is lower than tall rows is all
// body.
const tall = 14

// sideView is the width from which the live view stays beside a card.
const sideView = 170

// dialogWide is a dialog with all keys beside each other, promptWide the
// narrowest big prompt.
const (
	dialogWide = 76
	promptWide = 50
)

// View is the whole screen.
func (m *model) View() tea.View {
	v := tea.NewView(m.screen())
	v.AltScreen = true
	v.WindowTitle = "checkpoint"
	v.DisableBracketedPasteMode = true
	return v
}

// screen is the whole screen as lines.
func (m *model) screen() string {
	if m.w < 1 || m.h < 1 || m.ended {
		return ""
	}
	lines := make([]string, 0, m.h)
	x, y, w, h := m.body()
	if y > 0 {
		lines = append(lines, m.header(y)...)
	}
	if x > 0 && (m.viewLines == nil || m.panelW != x || m.panelH != h) {
		m.redraw() // a dialog and a card leave it another width
	}
	side, main := m.viewLines, []string(nil)
	if m.dialog.kind != noDialog {
		main = look.Fit(m.dialogBox(w, h), w, h)
	} else {
		main = m.panel(w, h)
	}
	for i := range h {
		l := main[i]
		if x > 0 {
			if i < len(side) {
				l = side[i] + l
			} else {
				l = strings.Repeat(" ", x) + l
			}
		}
		lines = append(lines, l)
	}
	if y > 0 {
		lines = append(lines, m.foot()...)
	}
	return strings.Join(lines, "\n")
}

// body is the rectangle between header and foot that is not the live view.
func (m *model) body() (x, y, w, h int) {
	if m.h < tall {
		return 0, 0, m.w, m.h
	}
	y = 2
	if m.banner() != "" {
		y = 3
	}
	h = m.h - y - 2
	switch showing := m.card != nil || m.dialog.kind == noDialog && m.free(); {
	case m.cfg.Views == nil || m.w < 60:
	case showing && m.w < sideView:
	case showing:
		x = m.w * 3 / 10
	case m.dialog.kind != noDialog:
		if x = min(m.w*54/100, m.w-dialogWide); x < 32 {
			x = 0
		}
	default:
		x = m.w * 54 / 100
		if m.blocks == look.HalfBlocks { // room for three big characters
			x = min(x, max(m.w-promptWide, 24))
		}
	}
	return x, y, m.w - x, h
}

// redraw makes the live view's lines anew; it costs what the view costs, so it
// happens once a picture and not once a frame.
func (m *model) redraw() {
	x, _, _, h := m.body()
	if x < 8 || h < 4 {
		m.viewLines = nil
		return
	}
	p := m.picture
	var pic []string
	if m.viewing {
		pic = m.finder.Draw(p.Luma, p.Width, p.Height, p.Codes, x-2, h-2)
	}
	if pic == nil {
		none := m.theme.Muted.Render(ansi.Truncate(m.say(look.SayNoPicture), x-2, look.Tail))
		pic = look.Fit(lipgloss.Place(x-2, h-2, lipgloss.Center, lipgloss.Center, none), x-2, h-2)
	}
	m.viewLines = m.box(m.theme.Muted.Render(" "+m.say(look.SayCamera)+" "), "").Around(pic, x)
	m.panelW, m.panelH = x, h
}

// box is a frame in the terminal's lines.
func (m *model) box(title, note string) look.Box {
	return look.Box{Border: m.chars.Border, Edge: m.theme.Lines, Title: title, Note: note}
}

// panel is the verdict, or what stands where nobody is being judged. It is
// drawn anew only when something in it has changed.
func (m *model) panel(w, h int) []string {
	k := cacheKey{w: w, h: h, sh: m.h, coach: m.coach, read: m.reading(), free: m.free(), begun: m.testing(), first: len(m.recent) == 0,
		cameraOK: m.state.CameraOK, cameraIs: m.state.CameraIs, stated: m.stated}
	if c := m.card; c != nil {
		k.card, k.name, k.mark = c.id, c.name, c.recording
	}
	if m.cached.lines != nil && m.cached.key == k {
		return m.cached.lines
	}
	var lines []string
	switch {
	case m.card != nil:
		cv := look.NewCanvas(w, h)
		top, end := m.draw(cv, 0, 0, w, h, m.h, m.card)
		if m.h < tall { // else it stands in the foot
			m.finishFirst(cv, top, end)
		}
		lines = cv.Lines()
	case k.free:
		cv := look.NewCanvas(w, h)
		m.draw(cv, 0, 0, w, h, m.h, &card{name: verify.NoCheck, reason: verify.NoCheckRequired, why: look.Why(verify.NoCheckRequired)})
		lines = cv.Lines()
	default:
		lines = m.idle(w, h)
	}
	m.cached = cache{k, lines}
	return lines
}

// finishFirst says on a card that the next code waits: in a row that the card
// leaves free, never on the card's own words. Where all rows are taken it is
// left out: who stands there comes first.
func (m *model) finishFirst(cv *look.Canvas, top, end int) {
	say := m.waits(cv.W - 1)
	row := cv.H - 1
	if row < end {
		row = 0
	}
	if say != "" && (row >= end || row < top) {
		cv.Put(cv.W-look.Width(say)-1, row, say)
	}
}

// waits says that the next code waits for the card's key, "" when none does.
func (m *model) waits(width int) string {
	if m.card == nil || !m.coach.FinishFirst {
		return ""
	}
	return m.theme.Banner.Render(ansi.Truncate(" "+m.say(look.SayFinishFirst)+" ", width, look.Tail))
}

// free says that the policy asks for no code here.
func (m *model) free() bool { return m.stated && !m.state.Policy.Required && m.state.CameraOK }
