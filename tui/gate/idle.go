package gate

import (
	"slices"
	"time"

	"github.com/charmbracelet/x/ansi"

	"checkpoint/gate"
	"checkpoint/tui/look"
)

// testsFor is how long the self-test has the panel where there is no room for
// it beside the big prompt.
const testsFor = 8 * time.Second

// testing says that the self-test has just been made.
func (m *model) testing() bool {
	return len(m.recent) == 0 && len(m.begun.Tests) > 0 && (m.testsUntil.IsZero() || m.now.Before(m.testsUntil))
}

// idle asks for the code and coaches.
func (m *model) idle(w, h int) []string {
	tests := m.begun.Tests
	if len(m.recent) > 0 {
		tests = nil
	}
	p := m.prompt(w, h)
	if p.rows+len(tests)+5 > h {
		if m.testing() {
			p = prompt{boxed: h >= 8 && w >= 30, text: look.SayShowCode}
		} else { // only what the technician has to mend
			tests = slices.DeleteFunc(slices.Clone(tests), func(t gate.SelfTest) bool { return t.OK })
		}
	}
	iw, ih := w, h
	if p.boxed {
		iw, ih = w-2, h-2
	}
	cv := look.NewCanvas(iw, ih)
	strong := m.theme.Strong
	at := ih - 1 // the hint
	if p.boxed {
		at--
	}
	row := (ih - p.rows - 3) / 2
	row = max(0, min(row, at-5-len(tests)-p.rows))
	for i, b := range p.words {
		if i > 0 {
			row += wordGap
		}
		bw, bh := m.cells(b)
		cv.Bitmap((iw-bw)/2, row, b, strong, m.blocks)
		row += bh
	}
	if len(p.words) == 0 {
		cv.PutCentered(0, row, iw, strong.Render(m.say(p.text)))
		row++
	}
	if other := m.other(p); other != "" {
		if p.boxed {
			row++
		}
		cv.PutCentered(0, row, iw, strong.Render(other))
		row++
	}
	y := at - 2
	for _, t := range slices.Backward(tests) { // a line each, as many as there is room for
		style := m.theme.Muted
		if !t.OK {
			style = m.theme.Notice
		}
		if y < row {
			break
		}
		cv.Put(2, y, style.Render(ansi.Truncate(m.testLine(t), max(0, iw-4), look.Tail)))
		y--
	}
	if say := m.hint(); say != "" {
		cv.PutCentered(0, at, iw, m.theme.Notice.Render(say))
	}
	if !p.boxed {
		return cv.Lines()
	}
	return m.box("", "").Around(cv.Lines(), w)
}

// hint is what keeps a code from being read, "" when nothing.
func (m *model) hint() string {
	if m.stated && !m.state.CameraOK {
		t := m.say(look.SayNoPicture)
		if m.state.CameraIs != "" {
			t += ": " + m.chars.Foreign(m.state.CameraIs)
		}
		return t
	}
	if m.reading() {
		return ""
	}
	if mark, hint := look.Coach(m.coach.Hint); mark != "" {
		return mark + "  " + m.say(hint) + "  " + mark
	}
	return ""
}

// readFor is how long a code that was outlined counts as readable, so that a
// hint does not come and go with every frame.
const readFor = time.Second

// reading says that the code in view can be read: a hint how to hold it would
// contradict the outline around it.
func (m *model) reading() bool { return !m.readAt.IsZero() && m.now.Sub(m.readAt) < readFor }

// prompt is how the idle panel asks for a code: big words in one language, in a
// box where there is room for one.
type prompt struct {
	plan
	text  look.Phrase // what the big words say
	lang  look.Lang   // of the big words
	boxed bool
}

// prompt finds the best way: the large language before the other one, the whole
// phrase before the short one, in a box before without.
func (m *model) prompt(w, h int) prompt {
	boxed := h >= 8 && w >= 30
	other := look.English
	if m.lang == look.English {
		other = look.Chinese
	}
	for _, l := range []look.Lang{m.lang, other} {
		for _, boxed := range []bool{boxed, false} {
			for _, text := range []look.Phrase{look.SayShowCode, look.SayShowShort} {
				iw, ih := w, h-2
				if boxed {
					iw, ih = w-2, h-6
				}
				if p := m.big(text, l, iw, ih); len(p.words) > 0 {
					return prompt{p, text, l, boxed}
				}
			}
		}
	}
	return prompt{boxed: boxed, text: look.SayShowCode}
}

// big writes a phrase in one language in big glyphs, if it fits.
func (m *model) big(text look.Phrase, l look.Lang, w, h int) plan {
	const need, loudHan, loudLatin = 6, 12, 10 // rows of a line; larger would shout
	atMost := func(options []option, most int) []option {
		for i := range options {
			options[i].line = min(options[i].line, most)
		}
		return options
	}
	s := m.style
	s.lang = look.Chinese // one word: the order is of no account
	if l == look.Chinese {
		return s.best(atMost(m.hanOptions(text.ZH, w, h), loudHan), nil, h, 0, need, "")
	}
	return s.best(nil, atMost(m.latinOptions(text.EN, w, h), loudLatin), h, 0, need, "")
}

// other is the prompt in the language that is not large, "" where it cannot be
// written.
func (m *model) other(p prompt) string {
	l := m.lang
	if len(p.words) > 0 {
		l = p.lang
	}
	switch {
	case l == look.Chinese && (len(p.words) > 0 || m.chars.Han):
		return look.SayShowCode.EN
	case m.chars.Han:
		return look.SayShowCode.ZH
	}
	return ""
}
