package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"

	"checkpoint/decode"
	"checkpoint/gate"
	"checkpoint/gate/signal"
	"checkpoint/tui/look"
	"checkpoint/verify"
)

// desk notes what the screen asked.
type desk struct {
	asked []string
	right string // the PIN
	fail  error
}

func (d *desk) note(f string, a ...any) error {
	d.asked = append(d.asked, fmt.Sprintf(f, a...))
	return d.fail
}
func (d *desk) Choose(_ context.Context, card uint64, c gate.Choice) error {
	return d.note("choose %d %d", card, c)
}
func (d *desk) Dismiss(_ context.Context, card uint64) error { return d.note("dismiss %d", card) }
func (d *desk) Void(context.Context) error                   { return d.note("void") }
func (d *desk) Manual(_ context.Context, c gate.ManualClass, allowed bool) error {
	return d.note("manual %d %t", c, allowed)
}
func (d *desk) HandOver(_ context.Context, shift string) error { return d.note("hand over %s", shift) }
func (d *desk) Unlock(_ context.Context, pin string) (bool, error) {
	return pin == d.right, d.note("unlock")
}
func (d *desk) LowerFloor(context.Context) error { return d.note("lower floor") }

// sounds notes what was played.
type sounds struct{ played []string }

func (s *sounds) Play(n verify.Name)    { s.played = append(s.played, n.String()) }
func (s *sounds) Stop()                 { s.played = append(s.played, "stop") }
func (s *sounds) SetMode(m signal.Mode) { s.played = append(s.played, m.String()) }

// drive is a screen that is fed by hand: commands run at once.
type drive struct {
	t *testing.T
	*model
	desk  *desk
	heard *sounds
	at    time.Time
	quit  bool
}

func newDrive(t *testing.T, change func(*Config)) *drive {
	t.Helper()
	d := &drive{t: t, desk: &desk{right: "2468"}, heard: &sounds{}, at: time.Unix(100, 0)}
	cfg := someConfig(look.English)
	cfg.Desk, cfg.Sound = d.desk, d.heard
	if change != nil {
		change(&cfg)
	}
	d.model = newModel(t.Context(), cfg)
	d.send(tea.WindowSizeMsg{Width: 80, Height: 24})
	d.send(tea.ColorProfileMsg{Profile: colorprofile.ANSI})
	d.say(someState())
	return d
}

// send gives a message and runs what it asks for.
func (d *drive) send(msg tea.Msg) {
	d.t.Helper()
	_, cmd := d.Update(msg)
	d.run(cmd)
}

func (d *drive) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case nil:
	case tea.BatchMsg:
		for _, c := range msg {
			d.run(c)
		}
	case tea.QuitMsg:
		d.quit = true
	case unlocked, askFailed, askDone:
		d.send(msg)
	}
}

// say gives an event of the gate, without waiting for the next one.
func (d *drive) say(e gate.Event) { d.run(d.hear(e)) }

// pass lets time go by.
func (d *drive) pass(by time.Duration) {
	for end := d.at.Add(by); d.at.Before(end); {
		d.at = d.at.Add(50 * time.Millisecond)
		d.model.tick(d.at)
	}
}

func (d *drive) press(keys ...string) {
	d.t.Helper()
	for _, k := range keys {
		d.send(keyOf(k))
	}
}

func keyOf(k string) tea.KeyPressMsg {
	switch k {
	case "enter":
		return tea.KeyPressMsg{Code: tea.KeyEnter}
	case "esc":
		return tea.KeyPressMsg{Code: tea.KeyEscape}
	case "space":
		return tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}
	case "ctrl+c":
		return tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}
	}
	return tea.KeyPressMsg{Code: []rune(k)[0], Text: k}
}

func (d *drive) wantAsked(want ...string) {
	d.t.Helper()
	if got := strings.Join(d.desk.asked, "; "); got != strings.Join(want, "; ") {
		d.t.Errorf("asked %q, want %q", got, want)
	}
	d.desk.asked = nil
}

func TestKeysOfCards(t *testing.T) {
	for _, tc := range []struct {
		name verify.Name
		key  string
		want string
	}{
		{verify.CheckID, "y", "choose 7 1"},
		{verify.CheckID, "n", "choose 7 2"},
		{verify.CheckID, "l", "choose 7 3"},
		{verify.CheckID, "x", ""},
		{verify.CheckID, "m", ""},
		{verify.Red, "1", "choose 7 4"},
		{verify.Red, "2", "choose 7 3"},
		{verify.Red, "3", "choose 7 5"},
		{verify.Red, "4", "choose 7 6"},
		{verify.Red, "space", ""},
		{verify.Red, "v", ""},
		{verify.Amber, "x", "dismiss 7"},
		{verify.Amber, "space", "dismiss 7"},
		{verify.Invalid, "enter", "dismiss 7"},
		{verify.IssuerFault, "m", "dismiss 7"},
		{verify.More, "esc", "dismiss 7"},
		{verify.Refresh, "x", ""},
		{verify.Pass, "v", "void"},
		{verify.Device, "x", ""}, // stands until mended
	} {
		t.Run(tc.name.String()+" "+tc.key, func(t *testing.T) {
			d := newDrive(t, nil)
			d.say(judged(tc.name, 7))
			d.pass(time.Second)
			d.press(tc.key)
			if tc.want == "" {
				d.wantAsked()
			} else {
				d.wantAsked(tc.want)
			}
			if d.card == nil {
				t.Error("the card left before the gate said so")
			}
		})
	}
}

// TestHelpOverACard: help can be read while somebody stands there; the card
// stays, and so do its keys, which do nothing while the help hides it.
func TestHelpOverACard(t *testing.T) {
	for _, tc := range []struct {
		name             verify.Name
		key, want, shows string
	}{
		{verify.CheckID, "y", "choose 7 1", "张*三"},
		{verify.CheckID, "l", "choose 7 3", "张*三"},
		{verify.Red, "1", "choose 7 4", "isolation point"},
		{verify.Red, "2", "choose 7 3", "isolation point"},
	} {
		for _, help := range []string{"?", "h"} {
			d := newDrive(t, nil)
			d.say(judged(tc.name, 7))
			d.pass(time.Second)
			d.press(help)
			if s := ansi.Strip(d.screen()); !strings.Contains(s, "Each scan has one verdict") || strings.Contains(s, tc.shows) {
				t.Fatalf("%v: %s does not open the help:\n%s", tc.name, help, s)
			}
			d.press(tc.key) // leaves the help, as any key does, and no more
			d.press(help, "esc")
			d.wantAsked()
			if s := d.screen(); d.card == nil || d.dialog.kind != noDialog || !strings.Contains(s, tc.shows) {
				t.Errorf("%v: the card is not back after esc", tc.name)
			}
			d.press(tc.key)
			d.wantAsked(tc.want)
			if d.dialog.kind != noDialog {
				t.Errorf("%v: %s opens a dialog", tc.name, tc.key)
			}
		}
	}
}

func TestFingerAlreadyOnItsWay(t *testing.T) {
	for _, n := range []verify.Name{verify.Amber, verify.Red, verify.CheckID, verify.Invalid} {
		d := newDrive(t, nil)
		d.say(judged(n, 7))
		d.press("y", "1", "x") // before the first tick
		d.pass(250 * time.Millisecond)
		d.press("y", "1", "x")
		d.wantAsked()
		d.pass(200 * time.Millisecond)
		d.press("y", "1", "x")
		if len(d.desk.asked) != 1 { // the one key that counts, once
			t.Errorf("%v: asked %q", n, d.desk.asked)
		}
	}
}

func TestRefusedCommandCanBeRepeated(t *testing.T) {
	d := newDrive(t, nil)
	d.say(judged(verify.Red, 7))
	d.pass(time.Second)
	d.press("1")
	d.say(gate.Refused{What: "record_failed"})
	if !strings.Contains(d.screen(), "could not be recorded") {
		t.Error("a refusal is not told")
	}
	d.desk.fail = errors.New("x")
	d.press("1")
	d.desk.fail = nil
	d.press("1")
	d.wantAsked("choose 7 4", "choose 7 4", "choose 7 4")
}

func TestMatchBecomesPass(t *testing.T) {
	d := newDrive(t, nil)
	d.say(judged(verify.CheckID, 7))
	if !strings.Contains(d.screen(), "张*三") {
		t.Fatal("check_id does not show the name to compare")
	}
	d.say(gate.Chosen{Card: 7, To: 7, Seq: 8, Choice: gate.ChoiceMatch, Becomes: verify.PassGold})
	if d.card == nil || d.card.name != verify.PassGold || d.card.leaves != gate.ByTime {
		t.Fatalf("after a match stands %+v, want pass_gold", d.card)
	}
	if s := d.screen(); strings.Contains(s, "张") {
		t.Error("the name stands after the match")
	}
	d.say(gate.Cleared{Card: 7})
	d.say(judged(verify.CheckID, 8))
	d.say(gate.Chosen{Card: 8, To: 9, Seq: 10, Choice: gate.ChoiceMismatch, Becomes: verify.Amber})
	if d.card == nil || d.card.name != verify.Amber || d.card.leaves != gate.ByKey {
		t.Fatalf("after a mismatch stands %+v, want amber by key", d.card)
	}
	if got := strings.Join(d.heard.played, " "); got != "check_id pass_gold stop check_id amber" {
		t.Errorf("played %q", got)
	}
}

// TestNothingOfAPerson looks for a name and number in all that the screen
// keeps, once the verdict has left.
func TestNothingOfAPerson(t *testing.T) {
	const name, number, born = "ZZQQ*X", "9Q7W", "1901-02-03"
	holds := func(d *drive) bool {
		all := fmt.Sprintf("%+v %+v %+v %+v %s", *d.model, d.recent, d.cached, d.dialog, d.screen())
		if d.card != nil {
			all += fmt.Sprintf("%+v", *d.card)
		}
		return strings.Contains(all, name) || strings.Contains(all, number) || strings.Contains(all, born)
	}
	for _, n := range verify.Names() {
		t.Run(n.String(), func(t *testing.T) {
			for _, idCheck := range []bool{false, true} {
				d := newDrive(t, nil)
				s := someState()
				s.Policy.IDCheck = idCheck
				d.say(s)
				e := judged(n, 7)
				e.Verdict.Person = verify.Person{Name: name, Document: number, DocType: 2, Born: born}
				e.Verdict.Subject, e.Verdict.ID, e.Verdict.Issuer = []byte(name), number, name
				d.say(e)
				d.screen()
				asks := n == verify.CheckID || idCheck && n != verify.NotOurs && n != verify.Invalid
				if got := holds(d); got != asks {
					t.Errorf("id check %t: shown %t, want %t", idCheck, got, asks)
				}
				d.say(gate.Cleared{Card: 7})
				if holds(d) {
					t.Errorf("id check %t: something of the person is still there", idCheck)
				}
			}
		})
	}
}

func TestHostileNameIsCleaned(t *testing.T) {
	d := newDrive(t, nil)
	e := judged(verify.CheckID, 7)
	e.Verdict.Person = verify.Person{Name: "a\x1b]0;owned\x07\u202eb\n\n" + strings.Repeat("x", 500), Document: "\x1b[31m1", Born: "1987\x1b]0;owned\x07\u202e" + strings.Repeat("7", 500)}
	d.say(e)
	s := d.screen()
	if strings.Contains(s, "\x1b]") || strings.Contains(s, "\x07") || strings.Contains(s, "\u202e") || strings.Contains(s, strings.Repeat("x", 41)) || strings.Contains(s, strings.Repeat("7", longestBorn)) {
		t.Error("a name reaches the screen as it is")
	}
	if n := strings.Count(s, "\n"); n != 23 {
		t.Errorf("%d lines, want 24", n+1)
	}
}

// TestBirthDateToCompare: a certificate from abroad is compared with a passport
// by name and birth date, which stand beside each other as they are written.
func TestBirthDateToCompare(t *testing.T) {
	for _, tc := range []struct {
		lang           look.Lang
		console        bool
		name, born     string
		want           string
		width, maxRows int
	}{
		{look.English, false, "MUSTERMANN ERIKA", "1987-03-12", "MUSTERMANN ERIKA   born 1987-03-12", 74, 1},
		{look.Chinese, false, "MUSTERMANN ERIKA", "1987-03-12", "MUSTERMANN ERIKA   出生 1987-03-12", 74, 1},
		{look.Chinese, true, "Müstermann Ærika", "1987-03", "Mustermann AErika   born 1987-03", 74, 1},
		{look.English, false, "", "1987", "born 1987", 74, 1},
		{look.English, false, "MUSTERMANN ERIKA", "", "MUSTERMANN ERIKA", 74, 1},
		{look.English, false, "MUSTERMANN ERIKA", "1987-03-12", "born 1987-03-12", 20, 2},
	} {
		d := newDrive(t, func(c *Config) { c.Lang, c.Console = tc.lang, tc.console })
		e := judged(verify.CheckID, 7)
		e.Verdict.IDWhy, e.Verdict.Person = verify.IDForeign, verify.Person{Name: tc.name, Born: tc.born}
		d.say(e)
		lines := d.personLines(d.card.person, tc.width)
		if len(lines) > tc.maxRows || lines[len(lines)-1] != tc.want {
			t.Errorf("%q %q in %d cells: %q, want %q", tc.name, tc.born, tc.width, lines, tc.want)
		}
		if s := ansi.Strip(d.screen()); tc.width == 74 && !strings.Contains(s, tc.want) {
			t.Errorf("not on the screen: %q in\n%s", tc.want, s)
		}
	}
}

// TestPromptIsBig: whoever comes reads the prompt from afar, on the smallest
// screen too, and the lines do not touch.
func TestPromptIsBig(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {80, 25}, {100, 30}, {120, 40}, {200, 50}} {
		for _, l := range []look.Lang{look.Chinese, look.English} {
			for _, banner := range []bool{false, true} {
				for _, console := range []bool{false, true} {
					d := newDrive(t, func(c *Config) {
						c.Lang, c.Console = l, console
						c.Views = func(context.Context) (gate.View, bool) { return gate.View{}, false }
					})
					s := someState()
					if banner {
						s.KeysAge = 30 * time.Hour
					}
					d.say(s)
					d.send(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
					x, _, w, h := d.body()
					if x < 24 {
						t.Errorf("%v: the live view is %d cells wide", size, x)
					}
					p := d.prompt(w, h)
					if len(p.words) < 2 || p.lang != l {
						t.Errorf("%v language %d banner %t: %d lines in language %d", size, l, banner, len(p.words), p.lang)
					}
					for _, b := range p.words {
						if _, rows := d.cells(b); rows < 6 {
							t.Errorf("%v: a line of %d rows", size, rows)
						}
					}
				}
			}
		}
	}
}

// TestSelfTestIsShown: where there is no room for it beside the big prompt it
// has the panel for a while, every line of it.
func TestSelfTestIsShown(t *testing.T) {
	d := newDrive(t, nil)
	e := gate.Started{}
	for _, n := range []string{"camera", "light", "time", "keys", "disk", "queue", "sound"} {
		e.Tests = append(e.Tests, gate.SelfTest{Name: n, OK: n != "sound", Detail: "as it is"})
	}
	d.say(e)
	d.pass(time.Second)
	if n := strings.Count(d.screen(), "as it is"); n != len(e.Tests) {
		t.Errorf("%d of %d lines stand on the screen", n, len(e.Tests))
	}
	d.pass(testsFor)
	if s := d.screen(); strings.Contains(s, look.SayShowCode.EN) || !strings.Contains(s, "█") {
		t.Error("the prompt did not become big")
	}
	d.send(tea.WindowSizeMsg{Width: 120, Height: 40})
	if s := ansi.Strip(d.screen()); strings.Count(s, "as it is") != 1 || !strings.Contains(s, "sound  as it is") {
		t.Errorf("what failed does not stand alone where there is room for it:\n%s", s)
	}
	d.say(judged(verify.Pass, 1))
	d.say(gate.Cleared{Card: 1})
	if strings.Contains(d.screen(), "as it is") {
		t.Error("the self-test stands after the first verdict")
	}
}

// TestSelfTestInChinese: what the tests found is told in the guard's language,
// in their own words only where nothing better is known.
func TestSelfTestInChinese(t *testing.T) {
	names := []string{"camera", "light", "time", "keys", "disk", "queue", "sound"}
	for _, l := range []look.Lang{look.Chinese, look.English} {
		for _, ok := range []bool{true, false} {
			d := newDrive(t, func(c *Config) { c.Lang = l })
			e := gate.Started{Tests: []gate.SelfTest{{Name: "modem", OK: ok, Detail: "two bars"}}}
			for _, n := range names {
				e.Tests = append(e.Tests, gate.SelfTest{Name: n, OK: ok, Detail: "as it is"})
			}
			d.say(e)
			d.pass(time.Second)
			s := ansi.Strip(d.screen())
			want := 0
			if l == look.English {
				want = len(names)
			}
			if n := strings.Count(s, "as it is"); n != want || !strings.Contains(s, "modem  two bars") {
				t.Errorf("language %d, ok %t: %d details, want %d\n%s", l, ok, n, want, s)
			}
			for _, n := range names {
				if p := look.Tested(n, ok, ""); l == look.Chinese && !strings.Contains(s, look.Test(n).ZH+"  "+p.ZH) {
					t.Errorf("ok %t: %s does not say %q\n%s", ok, n, p.ZH, s)
				}
			}
		}
	}
}

// TestAnyPlace: a policy for every kind of place has a word of its own.
func TestAnyPlace(t *testing.T) {
	for l, want := range map[look.Lang]string{look.Chinese: "策略: 通用，", look.English: "policy: any place, "} {
		d := newDrive(t, func(c *Config) { c.Lang = l })
		s := someState()
		s.Policy.Venue = "any"
		d.say(s)
		if got := ansi.Strip(d.titleBar()); !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}

// TestHintOrOutline: a code that is outlined can be read, so nobody is told at
// the same time how to hold it.
func TestHintOrOutline(t *testing.T) {
	d := newDrive(t, func(c *Config) {
		c.Views = func(context.Context) (gate.View, bool) { return gate.View{}, false }
	})
	says := func() bool { return strings.Contains(d.screen(), "closer") }
	d.pass(time.Second)
	d.say(gate.Coached{Hint: decode.HintFar})
	if !says() {
		t.Fatal("the hint is not on the screen")
	}
	d.Update(viewTaken{*someView(), true})
	if says() {
		t.Error("a hint beside an outline")
	}
	blank := someView()
	blank.Codes = nil
	d.Update(viewTaken{*blank, true})
	if says() {
		t.Error("the hint comes and goes with the frames")
	}
	d.pass(readFor)
	if !says() {
		t.Error("the hint does not come back")
	}
}

func TestIdleSaysWhatTheCameraLacks(t *testing.T) {
	d := newDrive(t, nil)
	d.screen()
	s := someState()
	for _, why := range []string{"it was unplugged", "it is black"} {
		s.CameraOK, s.CameraIs = false, why
		d.say(s)
		if !strings.Contains(d.screen(), why) {
			t.Errorf("the idle panel does not say %q", why)
		}
	}
}

func TestDialogs(t *testing.T) {
	d := newDrive(t, nil)
	d.press("m", "9", "2", "x", "a")
	d.wantAsked("manual 2 true")
	d.press("m", "4", "r")
	d.wantAsked("manual 4 false")
	d.press("m", "esc", "2", "a")
	d.wantAsked()
	d.press("g", "1", "?", "7", "enter")
	d.wantAsked("hand over 17")
	d.press("v")
	d.wantAsked("void")
	d.press("s")
	if got := d.heard.played[len(d.heard.played)-1]; got != "quiet" {
		t.Errorf("the sound became %q, want quiet", got)
	}
	d.press("t", "1", "enter")
	d.wantAsked("unlock")
	if d.dialog.kind == techDialog {
		t.Fatal("a wrong PIN opens the settings")
	}
	d.press("t", "2", "4", "6", "8")
	if strings.Contains(d.screen(), "2468") {
		t.Error("the PIN stands on the screen")
	}
	d.press("enter", "f")
	d.wantAsked("unlock", "lower floor")
	// A verdict comes before any dialog.
	d.say(judged(verify.Red, 3))
	if d.dialog.kind != noDialog || !strings.Contains(d.screen(), "isolation point") {
		t.Error("a dialog hides a verdict")
	}
}

func TestLeaving(t *testing.T) {
	d := newDrive(t, nil)
	d.press("q")
	if !d.quit {
		t.Error("q does not leave")
	}
	for _, k := range []string{"q", "ctrl+c"} {
		d = newDrive(t, func(c *Config) { c.Kiosk = true })
		d.press(k)
		d.press("1", "enter")
		if d.quit {
			t.Errorf("%s leaves a kiosk with a wrong PIN", k)
		}
		d.press(k, "2", "4", "6", "8", "enter")
		if !d.quit {
			t.Errorf("%s does not leave a kiosk with the PIN", k)
		}
	}
	d = newDrive(t, func(c *Config) { c.Kiosk, c.HasPIN = true, false })
	d.press("q", "enter", "ctrl+c")
	if d.quit {
		t.Error("a kiosk without a PIN can be left")
	}
}

func TestCardLeavesByItself(t *testing.T) {
	d := newDrive(t, nil)
	d.say(judged(verify.Pass, 7))
	d.pass(stale + 200*time.Millisecond)
	if d.card != nil {
		t.Error("a green screen stands for nobody")
	}
	e := judged(verify.Pass, 8)
	e.Recording = true
	d.say(e)
	if !strings.Contains(d.screen(), "recording") {
		t.Error("no mark while the row is being recorded")
	}
	d.say(gate.Recorded{Card: 8, Seq: 9})
	if strings.Contains(d.screen(), "recording") {
		t.Error("the mark stays after the row is recorded")
	}
	d.say(gate.Cleared{Card: 7}) // an old card's end does not end the new one
	if d.card == nil {
		t.Error("a late answer took a newer card")
	}
}

func TestBanners(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*gate.State)
		want   string
	}{
		{"fresh keys say nothing", func(s *gate.State) { s.KeysAge = 11 * time.Hour }, ""},
		{"12 hours are a notice only", func(s *gate.State) { s.KeysAge = 13 * time.Hour }, ""},
		{"24 hours are a banner", func(s *gate.State) { s.KeysAge = 25 * time.Hour }, "over 24 hours"},
		{"verify only", func(s *gate.State) { s.Rungs = append(s.Rungs, gate.VerifyOnly) }, "verify only"},
		{"an estimated time asks some for the ID", func(s *gate.State) {
			s.Quality, s.Rungs = verify.ClockEstimated, []gate.Rung{gate.TimeEstimated}
		}, "some green codes will ask for the ID card"},
		{"the worst rung counts", func(s *gate.State) { s.Rungs = append(s.Rungs, gate.VerifyOnly, gate.KeysStale) }, "keys are stale"},
		{"unrecorded", func(s *gate.State) { s.Unrecorded = 3 }, "3 not recorded"},
		{"disk", func(s *gate.State) { s.DiskUsed = .85 }, "85 %"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDrive(t, nil)
			s := someState()
			tc.change(&s)
			d.say(s)
			if got := d.banner(); tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("banner %q, want %q", got, tc.want)
			}
			if tc.want != "" && !strings.Contains(d.screen(), tc.want) {
				t.Error("the banner is not on the screen")
			}
		})
	}
}

func TestFinishFirst(t *testing.T) {
	d := newDrive(t, nil)
	d.say(judged(verify.Amber, 7))
	d.say(gate.Coached{FinishFirst: true})
	if !strings.Contains(d.screen(), "finish this person first") {
		t.Error("the coach does not say to finish first")
	}
}

func TestSwitchLine(t *testing.T) {
	n := 0
	d := newDrive(t, func(c *Config) { c.SwitchLine = func() { n++ } })
	d.press("o", "o")
	if n != 2 {
		t.Errorf("o twice switched %d times", n)
	}
	if d.press("?"); !strings.Contains(ansi.Strip(d.View().Content), "offline/online") {
		t.Error("the help does not name the key")
	}
	for i, name := range verify.Names() {
		d := newDrive(t, func(c *Config) { c.SwitchLine = func() { n++ } })
		d.say(judged(name, uint64(i+1)))
		n = 0
		if d.press("o"); n != 1 {
			t.Errorf("under %v o switched %d times", name, n)
		}
	}
	d = newDrive(t, nil)
	d.press("o", "?")
	if strings.Contains(ansi.Strip(d.View().Content), "offline/online") {
		t.Error("the help names a key that does nothing here")
	}
}

func TestLineBanners(t *testing.T) {
	for _, tc := range []struct {
		name string
		line gate.Line
		want string
	}{
		{"revoked", gate.Line{Enrolled: true, Revoked: true}, "call the technician"},
		{"pending", gate.Line{Enrolled: true, Word: "042 137"}, "042 137"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDrive(t, nil)
			s := someState()
			s.Line, s.KeysAge, s.DiskUsed, s.Rungs = tc.line, time.Hour, 0.1, []gate.Rung{gate.Queueing}
			d.say(s)
			if screen := ansi.Strip(d.View().Content); !strings.Contains(screen, tc.want) {
				t.Errorf("the screen does not say %q:\n%s", tc.want, screen)
			}
		})
	}
}
