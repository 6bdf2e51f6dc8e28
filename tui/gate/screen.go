package gate

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"checkpoint/tui/look"
	"checkpoint/verify"
)

// The screen's rows: a header of two lines and a banner when something must be
// said, the body, and a foot of two lines. What is lower than tall rows is all
// body.
const tall = 14

// sideView is the width from which the live view stays beside a card.
const sideView = 170

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
	side := m.viewLines
	var main []string
	switch {
	case m.dialog.kind != noDialog:
		cv := look.NewCanvas(w, h)
		m.drawDialog(cv, 0, 0, w, h)
		main = cv.Lines()
	default:
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
	x = 0
	switch showing := m.card != nil || m.dialog.kind == noDialog && m.free(); {
	case m.cfg.Views == nil || m.w < 60:
	case showing && m.w < sideView:
	case showing:
		x = m.w * 3 / 10
	case m.dialog.kind != noDialog && m.w < 100:
	default:
		x = m.w * 54 / 100
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
	cv := look.NewCanvas(x, h)
	cv.Frame(0, 0, x, h, m.theme.Lines, m.chars.Lines)
	cv.Text(2, 0, " "+m.say(look.SayCamera)+" ", m.theme.Muted)
	box := cv.Lines()
	p := m.picture
	var pic []string
	if m.viewing {
		pic = m.finder.Draw(p.Luma, p.Width, p.Height, p.Codes, x-2, h-2)
	}
	if pic == nil {
		cv.Centered(1, h/2, x-2, m.say(look.SayNoPicture), m.theme.Muted)
		m.viewLines = cv.Lines()
		return
	}
	side := look.NewCanvas(1, 1)
	side.Set(0, 0, m.chars.Lines.Down, m.theme.Lines)
	edge := side.Lines()[0]
	m.viewLines = append(m.viewLines[:0], box[0])
	for _, l := range pic {
		m.viewLines = append(m.viewLines, edge+l+edge)
	}
	m.viewLines = append(m.viewLines, box[h-1])
	m.panelW, m.panelH = x, h
}

// panel is the verdict, or what stands where nobody is being judged. It is
// drawn anew only when something in it has changed.
func (m *model) panel(w, h int) []string {
	x, _, _, _ := m.body()
	if x > 0 && (m.viewLines == nil || m.panelW != x || m.panelH != h) {
		m.panelW, m.panelH = x, h
		m.redraw()
	}
	k := cacheKey{w: w, h: h, sh: m.h, coach: m.coach, free: m.free(), begun: len(m.recent) == 0 && len(m.begun.Tests) > 0}
	if c := m.card; c != nil {
		k.card, k.name, k.mark = c.id, c.name, c.recording
	}
	if m.cached.lines != nil && m.cached.key == k {
		return m.cached.lines
	}
	cv := look.NewCanvas(w, h)
	if m.card != nil {
		m.draw(cv, 0, 0, w, h, m.h, m.card)
		if m.coach.FinishFirst && h > 3 {
			t := " " + m.say(look.SayFinishFirst) + " "
			cv.TextIn(w-look.Width(t)-1, h-1, look.Width(t), t, m.theme.Banner)
		}
	} else if k.free {
		m.draw(cv, 0, 0, w, h, m.h, &card{name: verify.NoCheck, reason: verify.NoCheckRequired, why: look.Why(verify.NoCheckRequired)})
	} else {
		m.idle(cv, w, h)
	}
	m.cached = cache{k, cv.Lines()}
	return m.cached.lines
}

// free says that the policy asks for no code here.
func (m *model) free() bool { return m.stated && !m.state.Policy.Required && m.state.CameraOK }

// idle asks for the code and coaches.
func (m *model) idle(cv *look.Canvas, w, h int) {
	word := look.SayShowCode
	mark, hint := look.Coach(m.coach.Hint)
	boxed := h >= 8 && w >= 30
	in := 0
	if boxed {
		cv.Frame(0, 0, w, h, m.theme.Lines, m.chars.Lines)
		in = 1
	}
	iw, ih := w-2*in, h-2*in
	words, other := m.wordsFor(word, iw, ih-4)
	row := in + max(0, (ih-words.rows-3)/2)
	for i, b := range words.words {
		if i > 0 {
			row += words.gap
		}
		bw, bh := m.cells(b)
		cv.Bitmap(in+(iw-bw)/2, row, b, m.theme.Strong, m.blocks)
		row += bh
	}
	if words.text != "" {
		cv.Centered(in, row, iw, words.text, m.theme.Strong)
		row++
	}
	if other != words.text && (m.chars.Han || other == word.EN) {
		cv.Centered(in, row+1, iw, other, m.theme.Strong)
	}
	at := h - 2 - in
	if len(m.recent) == 0 { // just started: the self-test, a line each
		y := at - 2
		for _, t := range slices.Backward(m.begun.Tests) {
			if y <= row+1 {
				break
			}
			p := m.theme.Muted
			if !t.OK {
				p = m.theme.Notice
			}
			cv.TextIn(in+2, y, iw-4, m.testLine(t), p)
			y--
		}
	}
	switch {
	case m.stated && !m.state.CameraOK:
		t := m.say(look.SayNoPicture)
		if m.state.CameraIs != "" {
			t += ": " + m.chars.Foreign(m.state.CameraIs)
		}
		cv.Centered(in, at, iw, t, m.theme.Notice)
	case mark != "":
		cv.Centered(in, at, iw, mark+"  "+m.say(hint)+"  "+mark, m.theme.Notice)
	}
}

// wordsFor are the idle panel's big words: the large language, or the other
// where only that one fits. What is left to say stands below as text.
func (m *model) wordsFor(word look.Phrase, w, h int) (p plan, other string) {
	const need = 6
	han := m.hanOptions(word.ZH, w, h)
	for i := range han {
		han[i].line = min(han[i].line, 12) // larger would shout
	}
	latin := m.latinOptions(word.EN, w, h)
	for i := range latin {
		latin[i].line = min(latin[i].line, 10)
	}
	s := m.style
	s.lang = look.Chinese // one word: the order is of no account
	inHan, inLatin := s.best(han, nil, h, 0, need, ""), s.best(nil, latin, h, 0, need, "")
	switch {
	case len(inHan.words) > 0 && (m.lang == look.Chinese || len(inLatin.words) == 0):
		return inHan, word.EN
	case len(inLatin.words) > 0:
		return inLatin, word.ZH
	}
	if inHan.text = m.say(word); inHan.text == word.EN {
		return inHan, m.chars.Say(word, look.Chinese)
	}
	return inHan, word.EN
}
