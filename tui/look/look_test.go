package look

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"

	"checkpoint/decode"
	"checkpoint/gate"
	"checkpoint/verify"
)

// TestEveryWordCanBeDrawn: each verdict's words and symbol have glyphs in every
// cut, of the size that the cut says, with ink in them.
func TestEveryWordCanBeDrawn(t *testing.T) {
	g := NewGlyphs()
	check := func(cut Cut, word string) {
		t.Helper()
		b, ok := cut.Write(word)
		ink := 0
		for _, on := range b.ink {
			if on {
				ink++
			}
		}
		if !ok || b.H != cut.Size || ink < b.W*b.H/10 || ink > b.W*b.H*99/100 && word != "■" {
			t.Errorf("%q in the cut of %d: complete %t, %d×%d with %d ink", word, cut.Size, ok, b.W, b.H, ink)
		}
	}
	for _, n := range append(verify.Names(), verify.NoVerdict) {
		w := Word(n)
		for _, c := range g.Han {
			check(c, w.ZH)
			check(c, SayShowCode.ZH)
		}
		for _, c := range g.Latin {
			check(c, w.EN)
			check(c, SayShowCode.EN)
			check(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
		}
		for _, c := range g.Symbols {
			check(c, Symbol(n))
		}
		for line := range strings.FieldsSeq(w.EN) {
			if len(line) > 8 {
				t.Errorf("%q is longer than 8 letters", line)
			}
		}
	}
}

// TestGlyphsDiffer: no two characters of a cut are drawn alike.
func TestGlyphsDiffer(t *testing.T) {
	g := NewGlyphs()
	for _, cuts := range [][]Cut{g.Han, g.Latin, g.Symbols} {
		for _, c := range cuts {
			for a, ab := range c.glyphs {
				for b, bb := range c.glyphs {
					if a < b && ab.W == bb.W && equal(ab, bb) {
						t.Errorf("%c and %c of the cut of %d are the same", a, b, c.Size)
					}
				}
			}
		}
	}
}

func equal(a, b Bitmap) bool {
	for i := range a.ink {
		if a.ink[i] != b.ink[i] {
			return false
		}
	}
	return true
}

func TestScale(t *testing.T) {
	b := Bitmap{W: 2, H: 1, ink: []bool{true, false}}
	s := b.Scale(2, 3)
	if s.W != 4 || s.H != 3 || !s.On(1, 2) || s.On(2, 0) || s.On(-1, 0) || s.On(0, 3) {
		t.Errorf("scaled to %+v", s)
	}
}

// TestEverythingIsSaid: every verdict and reason has words in both languages,
// the Chinese ones Chinese and the English ones not.
func TestEverythingIsSaid(t *testing.T) {
	check := func(what string, p Phrase) {
		t.Helper()
		han := func(s string) bool {
			return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) })
		}
		if !han(p.ZH) || han(p.EN) || p.EN == "" {
			t.Errorf("%s is said %q and %q", what, p.ZH, p.EN)
		}
		if strings.ContainsAny(p.EN, "\t\x1b") || p != (Phrase{strings.TrimSpace(p.ZH), strings.TrimSpace(p.EN)}) {
			t.Errorf("%s has characters to spare: %q %q", what, p.ZH, p.EN)
		}
	}
	unknown := Why(verify.Reason(255))
	for _, r := range verify.Reasons() {
		check(r.String(), Why(r))
		if Why(r) == unknown {
			t.Errorf("%v is not in the catalogue", r)
		}
		for _, n := range append(verify.Names(), verify.NoVerdict) {
			for _, tel := range []Phones{{}, {"110", "120"}} {
				check(n.String()+" "+r.String(), Action(n, r, tel))
			}
		}
	}
	for n := range uint8(8) {
		check("document", DocType(n))
		check("identity", WhyID(verify.IDWhy(n)))
	}
	for r := gate.Queueing; r <= gate.ManualOnly; r++ {
		check("rung", Rung(r))
	}
	// An estimated clock asks for the ID where a time of the code lies ahead of
	// it, and nobody else: a green code beside the banner is no contradiction.
	if p := Rung(gate.TimeEstimated); !strings.Contains(p.EN, "some green codes") || !strings.Contains(p.ZH, "部分绿码") {
		t.Errorf("an estimated time is told as %v", p)
	}
	for _, name := range []string{"camera", "light", "time", "keys", "disk", "queue", "sound"} {
		well, ill := Tested(name, true, "said so"), Tested(name, false, "said so")
		check(name, Test(name))
		check(name, well)
		check(name, ill)
		if well.ZH == ill.ZH || well.EN != "said so" {
			t.Errorf("the test of %s ends well with %v, else with %v", name, well, ill)
		}
	}
	if p := Tested("modem", false, "said\x1b so"); p != (Phrase{"said so", "said so"}) {
		t.Errorf("an unknown test says %q", p)
	}
	for _, v := range []string{"any", "subway", "mall", "hospital", "school", "office", "station", "park"} {
		check(v, VenueType(v))
	}
	for h := decode.HintDark; h <= decode.HintCutOff; h++ {
		mark, p := Coach(h)
		check("coach", p)
		if mark == "" {
			t.Errorf("hint %v has no mark", h)
		}
	}
	for _, w := range []string{"void_too_late", "nothing_to_void", "record_failed", "no_card", "pin_wrong", "pin_locked", "anything"} {
		check(w, Refusal(w))
	}
}

// TestRedAndAmberAreComplete: what a guard must never leave out.
func TestRedAndAmberAreComplete(t *testing.T) {
	red := Action(verify.Red, verify.Contact, Phones{Isolation: "8010 1234"})
	for _, want := range []string{"isolation point", "do not let go", "8010 1234"} {
		if !strings.Contains(red.EN, want) {
			t.Errorf("red says %q, without %q", red.EN, want)
		}
	}
	if amber := Action(verify.Amber, verify.Contact, Phones{}); !strings.Contains(amber.EN, "emergency care is never refused") || !strings.Contains(amber.ZH, "急救") {
		t.Errorf("amber says %v", amber)
	}
}

// TestViewIsStill: noise of a camera changes nothing on the screen, a real
// change does.
func TestViewIsStill(t *testing.T) {
	for _, p := range []colorprofile.Profile{colorprofile.TrueColor, colorprofile.ANSI256, colorprofile.ANSI, colorprofile.ASCII} {
		v := NewViewfinder(NewTheme(p, true, false), HalfBlocks)
		luma := make([]byte, 64*48)
		for i := range luma {
			luma[i] = byte(i * 7)
		}
		noise := rand.New(rand.NewPCG(1, 2))
		first := v.Draw(luma, 64, 48, nil, 64, 24)
		for range 20 {
			noisy := make([]byte, len(luma))
			for i, l := range luma {
				noisy[i] = byte(max(0, min(255, int(l)+noise.IntN(9)-4)))
			}
			if got := v.Draw(noisy, 64, 48, nil, 64, 24); strings.Join(got, "\n") != strings.Join(first, "\n") {
				t.Fatalf("%v: noise of ±4 changes the view", p)
			}
		}
		for i := range luma {
			luma[i] = 255 - luma[i]
		}
		if got := v.Draw(luma, 64, 48, nil, 64, 24); strings.Join(got, "\n") == strings.Join(first, "\n") {
			t.Errorf("%v: the negative looks the same", p)
		}
	}
}

func TestOutlineIsDrawn(t *testing.T) {
	v := NewViewfinder(NewTheme(colorprofile.ANSI, true, false), Spaces)
	luma := make([]byte, 40*40)
	code := [4]decode.Point{{X: 10, Y: 10}, {X: 30, Y: 10}, {X: 30, Y: 30}, {X: 10, Y: 30}}
	out := strings.Join(v.Draw(luma, 40, 40, [][4]decode.Point{code}, 40, 20), "\n")
	if !strings.Contains(out, "106") { // bright cyan ground
		t.Errorf("no outline in %q", out)
	}
	out = strings.Join(v.Draw(luma, 40, 40, nil, 40, 20), "\n")
	if strings.Contains(out, "106") {
		t.Error("the outline stays when the code has gone")
	}
}

// TestViewOfAnything: any picture in any size, true or not, gives exactly the
// cells that were asked for.
func TestViewOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom([]colorprofile.Profile{colorprofile.TrueColor, colorprofile.ANSI256, colorprofile.ANSI, colorprofile.ASCII}).Draw(t, "profile")
		b := rapid.SampledFrom([]Blocks{HalfBlocks, Spaces}).Draw(t, "blocks")
		v := NewViewfinder(NewTheme(p, rapid.Bool().Draw(t, "dark"), false), b)
		for range 3 {
			w, h := rapid.IntRange(-1, 200).Draw(t, "w"), rapid.IntRange(-1, 150).Draw(t, "h")
			luma := make([]byte, max(0, w*h+rapid.IntRange(-3, 3).Draw(t, "off")))
			for i := range luma {
				luma[i] = byte(i * 31)
			}
			f := rapid.OneOf(rapid.Float64Range(-1e3, 1e3), rapid.Float64())
			code := [4]decode.Point{{X: f.Draw(t, "x"), Y: f.Draw(t, "y")}, {X: 3, Y: 4}, {X: f.Draw(t, "x"), Y: 5}, {X: 7, Y: 8}}
			cols, rows := rapid.IntRange(0, 150).Draw(t, "cols"), rapid.IntRange(1, 60).Draw(t, "rows")
			out := v.Draw(luma, w, h, [][4]decode.Point{code}, cols, rows)
			if cols > 0 && len(out) != rows {
				t.Fatalf("%d lines, want %d", len(out), rows)
			}
			for _, l := range out {
				if n := ansi.StringWidth(l); n != cols {
					t.Fatalf("a line of %d cells, want %d", n, cols)
				}
			}
		}
	})
}

func TestCanvas(t *testing.T) {
	c := NewCanvas(6, 1)
	c.Put(0, 0, lipgloss.NewStyle().Foreground(lipgloss.Red).Render("码码码"))
	c.Put(1, 0, "x") // on the second half of a wide character
	if got := ansi.Strip(c.Lines()[0]); got != " x码码" {
		t.Errorf("got %q", got)
	}
	c.Put(4, 0, "码码")
	c.Put(5, 0, "码") // does not fit
	if n := ansi.StringWidth(c.Lines()[0]); n != 6 {
		t.Errorf("the line is %d wide", n)
	}
	c = NewCanvas(3, 2)
	c.Fill(-5, -5, 50, 50, lipgloss.NewStyle().Background(lipgloss.RGBColor{R: 1, G: 2, B: 3}))
	c.Put(-1, 9, "far away")
	if got, want := c.Lines()[1], "\x1b[48;2;1;2;3m   \x1b[m"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestBoxes: a box and what is made to fit are exactly the cells that were
// asked for, whatever stands in them.
func TestBoxes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"", "码", "plain", "\x1b[1mbold 码\x1b[m", "a\nb码b\n\nccc", strings.Repeat("长", 99)})
		w, h := rapid.IntRange(BoxMinW, 90).Draw(t, "w"), rapid.IntRange(BoxMinH, 30).Draw(t, "h")
		line := func(label string) string { return strings.ReplaceAll(text.Draw(t, label), "\n", "") }
		b := Box{Border: lipgloss.RoundedBorder(), Edge: lipgloss.NewStyle().Foreground(lipgloss.Red), Title: line("title"), Note: line("note")}
		for what, lines := range map[string][]string{
			"page": strings.Split(b.Page(text.Draw(t, "text"), w, h), "\n"),
			"fit":  Fit(text.Draw(t, "text"), w, h),
		} {
			if len(lines) != h {
				t.Errorf("%s: %d lines, want %d", what, len(lines), h)
			}
			for _, l := range lines {
				if n := ansi.StringWidth(l); n != w {
					t.Errorf("%s: %q is %d cells wide, want %d", what, ansi.Strip(l), n, w)
				}
			}
		}
		left, right := line("left"), line("right")
		if n := ansi.StringWidth(Spread(w, left, right)); n != w {
			t.Errorf("spread: %d cells, want %d", n, w)
		}
	})
}

func TestForeign(t *testing.T) {
	linux := NewCharset(true, HalfBlocks)
	for in, want := range map[string]string{"张*三": "·*·", "Müller Ægir": "Muller AEgir", "a\x1b[1m": "a[1m"} {
		if got := linux.Foreign(in); got != want {
			t.Errorf("Foreign(%q) = %q, want %q", in, got, want)
		}
	}
	if got := NewCharset(false, HalfBlocks).Foreign("张*三"); got != "张*三" {
		t.Errorf("a terminal with Han gets %q", got)
	}
}

func TestParsing(t *testing.T) {
	if _, err := ParseBlocks("dots"); err == nil {
		t.Error("unknown blocks are taken")
	}
	if _, err := ParseLang("fr"); err == nil {
		t.Error("an unknown language is taken")
	}
	if _, _, err := ParseColor("32"); err == nil {
		t.Error("an unknown number of colours is taken")
	}
	for s, want := range map[string]colorprofile.Profile{"truecolor": colorprofile.TrueColor, "256": colorprofile.ANSI256, "16": colorprofile.ANSI, "none": colorprofile.ASCII} {
		if got, auto, err := ParseColor(s); got != want || auto || err != nil {
			t.Errorf("ParseColor(%q) = %v, %t, %v", s, got, auto, err)
		}
	}
}

// BenchmarkView draws 64 × 36 cells from 160 × 120 pixels, all of which change.
func BenchmarkView(b *testing.B) {
	v := NewViewfinder(NewTheme(colorprofile.TrueColor, true, false), HalfBlocks)
	luma := make([]byte, 160*120)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for j := range luma {
			luma[j] = byte(i*37 + j*11)
		}
		v.Draw(luma, 160, 120, nil, 64, 36)
	}
}
