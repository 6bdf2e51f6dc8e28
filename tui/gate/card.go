package gate

import (
	"time"

	"github.com/charmbracelet/x/ansi"

	"checkpoint/gate"
	"checkpoint/tui/look"
	"checkpoint/verify"
)

// card is what the screen keeps of a verdict while it stands: words to show,
// never the subject or an id. It is dropped whole when the verdict leaves.
type card struct {
	id        uint64
	name      verify.Name
	reason    verify.Reason
	leaves    gate.Leaves
	recording bool

	why    look.Phrase // the reason in a phrase
	format string      // of an unsupported kind, cleaned
	person person      // zero when nothing of a person is shown

	since time.Time // of the first tick that saw it; zero until then
	asked bool      // a key was pressed and the gate is at work on it
}

// person is what is compared with an ID card or a passport, cleaned.
type person struct {
	name, born, number string
	doc                look.Phrase // kind of document; with a number only
}

// longestBorn bounds a birth date as it stands in a certificate: 1987-03-12 and
// what issuers make of it.
const longestBorn = 12

// newPerson cleans what a code says of a person.
func newPerson(p verify.Person) person {
	out := person{name: look.Clean(p.Name), born: ansi.Truncate(look.Clean(p.Born), longestBorn, look.Tail)}
	if n := look.Clean(p.Document); n != "" {
		out.number, out.doc = "*"+n, look.DocType(p.DocType)
	}
	return out
}

// personLines are a person in lines of at most width cells. Name, birth date and
// document stand beside each other as far as they fit, and each is kept whole.
func (s *style) personLines(p person, width int) []string {
	parts := make([]string, 0, 3)
	if p.name != "" {
		parts = append(parts, s.chars.ASCII(p.name))
	}
	if p.born != "" {
		parts = append(parts, s.chars.Say(look.SayBorn, s.lang)+" "+s.chars.ASCII(p.born))
	}
	if p.number != "" {
		parts = append(parts, s.chars.Say(p.doc, s.lang)+" "+s.chars.ASCII(p.number))
	}
	var out []string
	for _, part := range parts {
		if n := len(out) - 1; n >= 0 && look.Width(out[n])+3+look.Width(part) <= width {
			out[n] += "   " + part
			continue
		}
		out = append(out, wrap(part, width)...)
	}
	return out
}

// newCard keeps what is shown of a verdict. The person is shown for comparing
// with an ID card only: on check_id, and where the policy asks it of everybody.
func newCard(e gate.Judged, idCheck bool) *card {
	v := e.Verdict
	c := &card{id: e.Card, name: v.Name, reason: v.Reason, leaves: e.Leaves, recording: e.Recording}
	c.why = look.Why(v.Reason)
	switch {
	case v.Name == verify.CheckID:
		c.why = look.WhyID(v.IDWhy)
	case v.Name == verify.Device && e.Leaves != gate.WhenMended && v.Reason == verify.OK:
		c.why = look.Why(verify.Internal)
	}
	if v.Reason == verify.UnsupportedFormat {
		c.format = look.Clean(v.FormatName)
	}
	if v.Name == verify.CheckID || idCheck && v.Signature == verify.SignatureValid && v.Name != verify.Invalid {
		c.person = newPerson(v.Person)
	}
	return c
}

// byKey reports that only a key takes the card off the screen.
func (c *card) byKey() bool { return c.leaves == gate.ByKey }

// line is one line of text on a card.
type line struct {
	text   string
	action bool // the one next action: set off from the rest
	small  bool // first to go when there is no room
}

// lines are the phrases of a card, most important first, at most width cells
// wide each.
func (s *style) lines(c *card, width int) []line {
	say := func(p look.Phrase) string { return s.chars.Say(p, s.lang) }
	var out []line
	add := func(text string, action, small bool) {
		if text == "" {
			return
		}
		parts := wrap(text, width)
		for _, t := range parts {
			out = append(out, line{t, action, small})
		}
	}
	why := say(c.why)
	if c.format != "" {
		why += ": " + s.chars.ASCII(c.format)
	}
	if c.name != verify.Pass && c.name != verify.PassGold || c.reason != verify.OK {
		add(why, false, false)
	}
	for _, l := range s.personLines(c.person, width) {
		add(l, false, false)
	}
	add(say(look.Action(c.name, c.reason, s.phones)), true, false)
	switch {
	case c.name == verify.Red:
		add(say(look.SayRedKeys), false, false)
	case c.leaves == gate.ByKey && c.name != verify.CheckID:
		add(say(look.SayAnyKey), false, true)
	}
	if c.recording {
		add(s.chars.Lamp+" "+say(look.SayRecording), false, false)
	}
	if s.chars.Han {
		// The other language, if there is room.
		other := look.English
		if s.lang == look.English {
			other = look.Chinese
		}
		if c.name != verify.Pass && c.name != verify.PassGold {
			add(s.chars.Say(c.why, other), false, true)
		}
		add(s.chars.Say(look.Action(c.name, c.reason, s.phones), other), false, true)
	}
	return out
}

// wrap breaks text into lines of at most width cells, at spaces where there are
// any, never more than three.
func wrap(text string, width int) []string {
	if width < 4 {
		width = 4
	}
	var out []string
	for text != "" && len(out) < 3 {
		if look.Width(text) <= width {
			return append(out, text)
		}
		head := ansi.Truncate(text, width, "")
		if i := lastBreak(head); i > len(head)/3 {
			head = head[:i]
		}
		out = append(out, trim(head))
		text = trim(text[len(head):])
	}
	return out
}

func trim(s string) string {
	for len(s) > 0 && s[0] == ' ' {
		s = s[1:]
	}
	for len(s) > 0 && s[len(s)-1] == ' ' {
		s = s[:len(s)-1]
	}
	return s
}

// lastBreak is the index after the last character that a line may end with.
func lastBreak(s string) int {
	at := -1
	for i, r := range s {
		switch r {
		case ' ':
			at = i
		case '，', '；', '：', '。', '、':
			at = i + len("，")
		}
	}
	return at
}

// draw paints a card on a rectangle of a canvas. Words and phrases stand in the
// rows from top to before end; the rest is ground.
func (s *style) draw(cv *look.Canvas, x, y, w, h, screenH int, c *card) (top, end int) {
	k := s.theme.Card(c.name)
	s.theme.Ground(cv, x, y, w, h, c.name)
	fw, fh := k.FrameWide, k.FrameHigh()
	if k.Bars {
		fw, fh = 6, 1+h/24
	}
	if h < 12 { // no room for a frame's height
		fh = 0
	}
	if w < 40 {
		fw = 0
	}
	ix, iy, iw, ih := x+fw, y+fh, w-2*fw, h-2*fh
	lines := s.lines(c, iw-2)
	must := 0
	for _, l := range lines {
		if !l.small {
			must++
		}
	}
	p := s.plan(c.name, iw, ih, must, screenH)
	if ih >= 26 {
		// Room enough for both languages and for air, unless the words would
		// become small for it.
		if airy := s.plan(c.name, iw, ih-4, len(lines), screenH); airy.score >= good {
			p = airy
		}
	}
	textRows := ih - p.rows
	if n := len(lines); n > must && n >= textRows && p.text == "" {
		lines = noSmall(lines, max(must, textRows-1)) // air is worth more
	}
	for len(lines) > textRows {
		i := len(lines) - 1
		for i > 0 && !lines[i].small {
			i--
		}
		if !lines[i].small { // nothing left that may go: the last, but never the action
			i = len(lines) - 1
			for i > 0 && lines[i].action {
				i--
			}
		}
		lines = append(lines[:i], lines[i+1:]...)
		if len(lines) == 0 {
			break
		}
	}
	// Spread what is left over above, between and below.
	spare := max(ih-p.rows-len(lines), 0)
	above := spare / 3
	if len(p.words) == 0 {
		above = spare / 2
	}
	row := iy + above
	top = row
	if k.Bars { // one plate for everything, the bars around it
		wide := 0
		for _, part := range p.words {
			bw, _ := s.cells(part)
			wide = max(wide, bw)
		}
		for _, l := range lines {
			wide = max(wide, look.Width(l.text))
		}
		wide = min(wide+6, iw)
		cv.Fill(ix+(iw-wide)/2, iy, wide, ih, k.Style)
	}
	plate := k.Texture != ""
	for i, part := range p.words {
		if i > 0 {
			row += wordGap
		}
		bw, bh := s.cells(part)
		bx := ix + (iw-bw)/2
		if plate {
			cv.Fill(bx-2, row, bw+4, bh, k.Style)
		}
		cv.Bitmap(bx, row, part, k.Style, s.blocks)
		row += bh
	}
	if p.text != "" {
		s.plateText(cv, ix, row, iw, p.text, k, line{})
		row++
	}
	if len(p.words) > 0 && spare-above > 0 {
		row += min((spare-above+1)/2, 2)
	}
	for _, l := range lines {
		s.plateText(cv, ix, row, iw, l.text, k, l)
		row++
	}
	return top, row
}

// noSmall drops small lines from the end until n are left.
func noSmall(lines []line, n int) []line {
	for i := len(lines) - 1; i >= 0 && len(lines) > n; i-- {
		if lines[i].small {
			lines = append(lines[:i], lines[i+1:]...)
		}
	}
	return lines
}

// plateText is a centred line on a card; the action stands on a plate of the
// ink's colour.
func (s *style) plateText(cv *look.Canvas, x, y, w int, text string, k look.Card, l line) {
	on := k.Style
	if l.action {
		on = s.theme.Inverse(k)
	}
	pad := 0
	if l.action || k.Texture != "" {
		pad = min(1, max(0, w-look.Width(text))/2)
	}
	text = ansi.Truncate(text, w, look.Tail)
	cv.Put(x+(w-look.Width(text))/2-pad, y, on.Padding(0, pad).Render(text))
}
