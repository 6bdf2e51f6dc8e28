package gate

import (
	"context"
	"image/color"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"pgregory.net/rapid"

	"checkpoint/gate"
	"checkpoint/tui/look"
	"checkpoint/verify"
)

// shown is a screen in a terminal's memory.
func shown(t *testing.T, s string, w, h int) *vt.Emulator {
	t.Helper()
	e := vt.NewEmulator(w, h)
	t.Cleanup(func() { e.Close() })
	if _, err := e.WriteString(strings.ReplaceAll(s, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	return e
}

// fit checks that a screen is exactly w × h cells.
func fit(t interface{ Errorf(string, ...any) }, s string, w, h int) {
	lines := strings.Split(s, "\n")
	if len(lines) != h {
		t.Errorf("%d lines at %d×%d", len(lines), w, h)
	}
	for i, l := range lines {
		if n := ansi.StringWidth(l); n != w {
			t.Errorf("line %d is %d cells wide at %d×%d: %q", i, n, w, h, ansi.Strip(l))
		}
	}
}

// TestBigEnough holds the ground to 60 % of the screen and symbol and words to
// a quarter of its height, from the smallest screen to a wall's.
func TestBigEnough(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {80, 25}, {90, 30}, {100, 30}, {100, 37}, {120, 30}, {120, 40}, {128, 48}, {132, 43}, {160, 45}, {160, 50}, {200, 50}, {213, 60}, {240, 67}} {
		w, h := size[0], size[1]
		for _, l := range []look.Lang{look.Chinese, look.English} {
			for _, n := range verify.Names() {
				s := still(n, someConfig(l), w, h, colorprofile.ANSI)
				fit(t, s, w, h)
				m := newModel(t.Context(), someConfig(l))
				m.w, m.h = w, h
				m.cfg.Views = nil
				c := newCard(judged(n, 1), false)
				k := m.theme.Card(n)
				bw, bh := w-2*k.FrameWide, h-4-2*k.FrameHigh()
				must := 0
				for _, line := range m.lines(c, bw-2) {
					if !line.small {
						must++
					}
				}
				if k.Bars {
					bw, bh = w-12, h-4-2*(1+(h-4)/24) // as draw reckons it, of the body
				}
				if p := m.plan(n, bw, bh, must, h); p.score < good-100 {
					t.Errorf("%v at %d×%d, language %d: a word is lower than a quarter (score %d)", n, w, h, l, p.score)
				}
			}
		}
	}
}

// TestGroundFills counts the cells of the verdict's own colours.
func TestGroundFills(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {120, 40}, {200, 50}, {20, 5}} {
		w, h := size[0], size[1]
		for _, n := range verify.Names() {
			if n == verify.NoCheck { // plain: it has the terminal's own ground
				continue
			}
			e := shown(t, still(n, someConfig(look.Chinese), w, h, colorprofile.ANSI), w, h)
			painted := 0
			for y := range h {
				for x := range w {
					c := e.CellAt(x, y)
					if c == nil || c.Width == 0 && x > 0 {
						c = e.CellAt(x-1, y) // the second half of a wide character
					}
					if c != nil && c.Style.Bg != nil {
						painted++
					}
				}
			}
			if painted*10 < w*h*6 {
				t.Errorf("%v fills %d of %d cells at %d×%d", n, painted, w*h, w, h)
			}
		}
	}
}

// signature is what tells a card from others at a glance: its ground, frame and
// texture, without words.
func signature(th look.Theme, n verify.Name) string {
	cv := look.NewCanvas(40, 12)
	th.Ground(cv, 0, 0, 40, 12, n)
	return strings.Join(cv.Lines(), "\n")
}

// TestFamiliesDiffer holds that no two verdicts look alike, least of all of
// different families, with any number of colours.
func TestFamiliesDiffer(t *testing.T) {
	for _, p := range []colorprofile.Profile{colorprofile.TrueColor, colorprofile.ANSI256, colorprofile.ANSI, colorprofile.ASCII} {
		for _, console := range []bool{false, true} {
			th := look.NewTheme(p, true, console)
			seen := map[string]verify.Name{}
			for _, n := range verify.Names() {
				s := signature(th, n)
				if other, ok := seen[s]; ok {
					t.Errorf("%v and %v look alike with %v", n, other, p)
				}
				seen[s] = n
			}
		}
	}
	// With 16 colours the grounds are those that the manual names.
	th := look.NewTheme(colorprofile.ANSI, true, false)
	for n, want := range map[verify.Name]color.Color{
		verify.Pass: lipgloss.Green, verify.PassGold: lipgloss.Green, verify.CheckID: lipgloss.BrightWhite, verify.More: lipgloss.Blue,
		verify.Amber: lipgloss.BrightYellow, verify.Red: lipgloss.Red, verify.Refresh: lipgloss.Magenta, verify.NotOurs: lipgloss.BrightBlack,
		verify.Invalid: lipgloss.Black, verify.IssuerFault: lipgloss.BrightBlack, verify.NoCheck: lipgloss.NoColor{},
	} {
		if got := th.Card(n).Style.GetBackground(); got != want {
			t.Errorf("%v has ground %v, want %v", n, got, want)
		}
	}
	// What is worth a look can be seen on a light terminal too.
	if light := look.NewTheme(colorprofile.TrueColor, false, false); light.Notice.GetForeground() == look.NewTheme(colorprofile.TrueColor, true, false).Notice.GetForeground() {
		t.Error("a notice has the same ink on light and on dark")
	}
	// Red and green belong to one verdict each: neither a device's fault nor an
	// unreadable code may borrow them.
	for _, n := range []verify.Name{verify.Refresh, verify.NotOurs, verify.Invalid, verify.IssuerFault, verify.Device, verify.NoVerdict} {
		switch th.Card(n).Style.GetBackground() {
		case lipgloss.Red, lipgloss.BrightRed, lipgloss.Green, lipgloss.BrightGreen:
			t.Errorf("%v stands on red or green", n)
		}
	}
}

// TestTinyScreen: below the smallest size the symbol, the word and the action
// still stand.
func TestTinyScreen(t *testing.T) {
	for _, n := range verify.Names() {
		s := ansi.Strip(still(n, someConfig(look.Chinese), 20, 5, colorprofile.ANSI))
		word := look.Word(n)
		action := []rune(look.Action(n, judged(n, 1).Verdict.Reason, look.Phones{}).ZH)
		for _, want := range []string{look.Symbol(n), word.ZH, word.EN, string(action[:2])} {
			if !strings.Contains(s, want) {
				t.Errorf("%v at 20×5 lacks %q:\n%s", n, want, s)
			}
		}
	}
}

// TestAnySize draws everything at any size, kind of terminal and order of
// events: never a panic, always exactly the screen.
func TestAnySize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := someConfig(rapid.SampledFrom([]look.Lang{look.Chinese, look.English}).Draw(t, "lang"))
		cfg.Blocks = rapid.SampledFrom([]look.Blocks{look.HalfBlocks, look.Spaces}).Draw(t, "blocks")
		cfg.Console = rapid.Bool().Draw(t, "console")
		p := rapid.SampledFrom([]colorprofile.Profile{colorprofile.TrueColor, colorprofile.ANSI256, colorprofile.ANSI, colorprofile.ASCII}).Draw(t, "colours")
		w, h := rapid.IntRange(1, 250).Draw(t, "w"), rapid.IntRange(1, 80).Draw(t, "h")
		n := rapid.SampledFrom(append(verify.Names(), verify.NoVerdict)).Draw(t, "verdict")
		e := judged(n, 9)
		e.Recording = rapid.Bool().Draw(t, "recording")
		e.Verdict.Person = verify.Person{Name: rapid.String().Draw(t, "name"), Document: rapid.String().Draw(t, "document"), Born: rapid.String().Draw(t, "born")}
		e.Verdict.Reason = rapid.SampledFrom(verify.Reasons()).Draw(t, "reason")
		if e.Leaves == gate.ByKey {
			coversNothing(t, cfg, w, h, e)
		}
		state := someState()
		state.KeysAge *= 9
		fit(t, Still(cfg, w, h, p, someView(), append(history(), e)...), w, h)
		fit(t, Still(cfg, w, h, p, someView(), append(history(), state)...), w, h)
		d := newModel(t.Context(), cfg)
		d.w, d.h = w, h
		d.hear(state)
		d.dialog.kind = dialogKind(rapid.IntRange(1, int(techDialog)).Draw(t, "dialog"))
		fit(t, d.screen(), w, h)
		// The same with a live view, in whatever order things come and go.
		d.cfg.Views = func(context.Context) (gate.View, bool) { return gate.View{}, false }
		for range 4 {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				d.dialog.kind = dialogKind(rapid.IntRange(0, int(techDialog)).Draw(t, "dialog"))
			case 1:
				d.Update(viewTaken{*someView(), true})
			case 2:
				d.hear(e)
			case 3:
				d.drop()
			}
			fit(t, d.screen(), w, h)
		}
	})
}

// runs are how many blocks of big words stand on a screen with ground between.
func runs(screen string) int {
	n, in := 0, false
	for l := range strings.SplitSeq(ansi.Strip(screen), "\n") {
		big := strings.ContainsAny(l, "█▀▄")
		if big && !in {
			n++
		}
		in = big
	}
	return n
}

// TestBigWordsNeverTouch: whoever is on the card, the two big words have ground
// between them, or one is big and both stand as text.
func TestBigWordsNeverTouch(t *testing.T) {
	people := []verify.Person{{}, {Name: "张*三", Document: "123X", DocType: 1},
		{Name: "WOLFESCHLEGELSTEINHAUSENBERGERDORFF HUBE", Born: "1987-03-12", Document: "123X", DocType: 2}}
	for _, size := range [][2]int{{80, 24}, {80, 25}, {84, 26}, {100, 30}, {120, 40}, {200, 50}} {
		w, h := size[0], size[1]
		for _, l := range []look.Lang{look.Chinese, look.English} {
			for _, console := range []bool{false, true} {
				for i, p := range people {
					for _, n := range verify.Names() {
						cfg := someConfig(l)
						cfg.Console = console
						e, state := judged(n, 9), someState()
						e.Verdict.IDWhy, e.Verdict.Person, state.Policy.IDCheck = verify.IDForeign, p, true
						state.KeysAge = 30 * time.Hour // a banner takes one row more
						s := Still(cfg, w, h, colorprofile.ANSI, nil, state, e)
						m := newModel(t.Context(), cfg)
						if runs(s) < 2 && !strings.Contains(ansi.Strip(s), m.wordText(look.Word(n))) {
							t.Errorf("%v at %d×%d, language %d, console %t, person %d: the big words touch\n%s", n, w, h, l, console, i, ansi.Strip(s))
						}
					}
				}
			}
		}
	}
}

// coversNothing checks that the word to finish first changes nothing where a
// card has words: in the foot where there is one, else on ground alone. It
// reports whether the word stands on the screen.
func coversNothing(t interface{ Errorf(string, ...any) }, cfg Config, w, h int, e gate.Judged) bool {
	events := append(history(), e)
	without := strings.Split(Still(cfg, w, h, colorprofile.ANSI, nil, events...), "\n")
	with := strings.Split(Still(cfg, w, h, colorprofile.ANSI, nil, append(events, gate.Coached{FinishFirst: true})...), "\n")
	fit(t, strings.Join(with, "\n"), w, h)
	changed := false
	for y := range without {
		if with[y] == without[y] {
			continue
		}
		changed = true
		under := strings.Trim(ansi.Strip(without[y]), " ▒")
		if h >= tall && y != h-2 || h < tall && under != "" {
			t.Errorf("%v at %d×%d: the coach stands on %q: %q", e.Verdict.Name, w, h, under, ansi.Strip(with[y]))
		}
	}
	return changed
}

// TestFinishFirstCoversNothing walks all sizes, from a strip to a wall.
func TestFinishFirstCoversNothing(t *testing.T) {
	widths, heights := []int{12, 20, 33, 40, 60, 79, 80, 100, 120, 170, 240}, []int{1, 2, 3, 4, 5, 7, 9, 11, 12, 13, 14, 16, 20, 24, 25, 30, 40, 60}
	for _, w := range widths {
		for _, h := range heights {
			for _, l := range []look.Lang{look.Chinese, look.English} {
				for _, n := range []verify.Name{verify.Red, verify.CheckID, verify.Amber, verify.Invalid, verify.IssuerFault} {
					cfg := someConfig(l)
					cfg.Console = w%20 == 0
					if said := coversNothing(t, cfg, w, h, judged(n, 9)); h >= tall && !said {
						t.Errorf("%v at %d×%d: the coach says nothing", n, w, h)
					}
				}
			}
		}
	}
	// The smallest screen of a bare console, where the choices end the card.
	cfg := someConfig(look.English)
	cfg.Console = true
	s := ansi.Strip(Still(cfg, 80, 24, colorprofile.ANSI, nil, append(history(), judged(verify.Red, 9), gate.Coached{FinishFirst: true})...))
	for _, want := range []string{look.SayRedKeys.EN, look.SayFinishFirst.EN, look.Why(verify.Contact).EN, "isolation point"} {
		if !strings.Contains(s, want) {
			t.Errorf("not on the screen: %q\n%s", want, s)
		}
	}
}

// TestConsoleHasNoHan: the bare Linux console gets ASCII, line drawing and
// blocks only.
func TestConsoleHasNoHan(t *testing.T) {
	cfg := someConfig(look.Chinese)
	cfg.Console = true
	for _, n := range append(verify.Names(), verify.NoVerdict) {
		for _, r := range ansi.Strip(still(n, cfg, 80, 25, colorprofile.ANSI)) {
			if r > 0x7E && !strings.ContainsRune("█▀▄▒─│┌┐└┘·", r) {
				t.Errorf("%v shows %q on the console", n, r)
			}
		}
	}
}

// TestSpacesHaveNothingAmbiguous: where ambiguous characters take two cells
// none is written.
func TestSpacesHaveNothingAmbiguous(t *testing.T) {
	cfg := someConfig(look.Chinese)
	cfg.Blocks = look.Spaces
	for _, n := range append(verify.Names(), verify.NoVerdict) {
		s := ansi.Strip(still(n, cfg, 120, 40, colorprofile.ANSI))
		if i := strings.IndexAny(s, "…█▀▄▒─│╭╮╰╯·●⇡✓✚▭◐▲■⟳✕⚙○"); i >= 0 {
			t.Errorf("%v shows %q with --blocks space", n, s[i:min(len(s), i+6)])
		}
	}
}

func BenchmarkVerdict(b *testing.B) {
	cfg := someConfig(look.Chinese)
	m := newModel(b.Context(), cfg)
	m.w, m.h = 120, 40
	e := judged(verify.CheckID, 1)
	b.ReportAllocs()
	for b.Loop() {
		m.hear(e)
		m.screen()
	}
}

func BenchmarkLiveFrame(b *testing.B) {
	cfg := someConfig(look.Chinese)
	cfg.Views = func(context.Context) (gate.View, bool) { return gate.View{}, false }
	m := newModel(b.Context(), cfg)
	m.w, m.h, m.profile = 120, 40, colorprofile.TrueColor
	m.dress()
	m.hear(someState())
	v := *someView()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for j := range v.Luma {
			v.Luma[j] += byte(i + j) // every pixel changes
		}
		m.Update(viewTaken{v, true})
		m.screen()
	}
}
