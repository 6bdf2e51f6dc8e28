package gate

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/charmbracelet/colorprofile"

	"checkpoint/decode"
	"checkpoint/gate"
	"checkpoint/tui/look"
	"checkpoint/verify"
)

var update = flag.Bool("update", false, "write the golden files anew")

var morning = time.Date(2021, 3, 8, 6, 3, 27, 0, time.UTC)

// someState is an ordinary morning, offline for two hours.
func someState() gate.State {
	return gate.State{
		At: morning, Quality: verify.ClockSynced, Name: "Gate B3", Venue: "西直门 Line 2",
		Policy: gate.Policy{Venue: "subway", Required: true}, Rungs: []gate.Rung{gate.Full, gate.Queueing},
		CameraOK: true, FPS: 29.2, Line: gate.Line{Enrolled: true, OfflineSince: morning.Add(-130 * time.Minute)},
		Waiting: 1204, Oldest: morning.Add(-2 * time.Hour), KeysAge: 3 * time.Hour, DiskDays: 41, DiskUsed: .1,
		Today: gate.Counts{verify.Pass: 1150, verify.PassGold: 40, verify.Amber: 9, verify.Red: 2, verify.Invalid: 3}, Shift: "17",
	}
}

// judged is a typical event of each verdict.
func judged(n verify.Name, id uint64) gate.Judged {
	e := gate.Judged{At: morning.Add(-time.Duration(40-3*id) * time.Second), Card: id, Seq: id}
	v := &e.Verdict
	v.Name, v.Signature = n, verify.SignatureValid
	e.Leaves = gate.ByKey
	switch n {
	case verify.Pass, verify.PassGold:
		v.Reason, e.Leaves = verify.OK, gate.ByTime
	case verify.CheckID:
		v.Reason, v.IDWhy, v.Person = verify.OK, verify.IDPaper, verify.Person{Name: "张*三", Document: "123X", DocType: 1}
	case verify.More:
		v.Reason, e.Leaves = verify.TestTooOld, gate.ByKeyOrCode
	case verify.Amber:
		v.Reason = verify.TestOverdue
	case verify.Red:
		v.Reason = verify.Contact
	case verify.Refresh:
		v.Reason, e.Leaves = verify.PresentationMissing, gate.ByNextCode
	case verify.NotOurs:
		v.Reason, e.Leaves, v.Signature = verify.NotAHealthCode, gate.ByNextCode, verify.SignatureNone
	case verify.Invalid:
		v.Reason, v.Signature = verify.BadSignature, verify.SignatureInvalid
	case verify.IssuerFault:
		v.Reason = verify.ReasonMissing
	case verify.Device:
		v.Reason, e.Leaves = verify.NoCamera, gate.WhenMended
	case verify.NoCheck:
		v.Reason = verify.NoCheckRequired
	}
	return e
}

func someConfig(l look.Lang) Config {
	return Config{Lang: l, Local: time.FixedZone("CST", 8*3600), HasPIN: true, IsolationPhone: "8010 1234", TechnicianPhone: "8010 5678", Version: "test"}
}

// history is what was judged before, so that the foot is not empty.
func history() []gate.Event {
	return []gate.Event{someState(), judged(verify.NotOurs, 1), gate.Cleared{Card: 1}, judged(verify.Amber, 2), gate.Cleared{Card: 2},
		judged(verify.PassGold, 3), gate.Cleared{Card: 3}, judged(verify.Pass, 4), gate.Cleared{Card: 4}}
}

// someView is a picture with a code's outline: a soft gradient with squares.
func someView() *gate.View {
	v := &gate.View{Width: 160, Height: 120, Luma: make([]byte, 160*120)}
	for y := range 120 {
		for x := range 160 {
			l := 40 + x/2 + y/3
			if x >= 50 && x < 110 && y >= 30 && y < 90 {
				l = 235
				if (x-50)/4*7%5 > (y-30)/4*3%4 {
					l = 15
				}
			}
			v.Luma[y*160+x] = byte(l)
		}
	}
	v.Codes = [][4]decode.Point{{{X: 50, Y: 30}, {X: 110, Y: 30}, {X: 110, Y: 90}, {X: 50, Y: 90}}}
	return v
}

// still is the screen at the moment of one verdict; NoVerdict: nobody there.
func still(n verify.Name, cfg Config, w, h int, p colorprofile.Profile) string {
	events := history()
	switch n {
	case verify.NoVerdict:
	case verify.NoCheck:
		s := someState()
		s.Policy.Required = false
		events = append(events, s)
	default:
		events = append(events, judged(n, 9))
	}
	return Still(cfg, w, h, p, someView(), events...)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got+"\n" {
		t.Errorf("%s differs; got:\n%s\nwant:\n%s", path, got, want)
	}
}

// TestScreens holds every verdict's screen against its golden file.
func TestScreens(t *testing.T) {
	names := append([]verify.Name{verify.NoVerdict}, verify.Names()...)
	for _, tc := range []struct {
		w, h int
		l    look.Lang
		p    colorprofile.Profile
		name string
	}{
		{80, 24, look.Chinese, colorprofile.ANSI, "80x24-zh-16"},
		{80, 24, look.English, colorprofile.ANSI, "80x24-en-16"},
		{80, 24, look.Chinese, colorprofile.ASCII, "80x24-zh-none"},
		{120, 40, look.Chinese, colorprofile.ANSI, "120x40-zh-16"},
		{120, 40, look.English, colorprofile.ASCII, "120x40-en-none"},
		{120, 40, look.English, colorprofile.TrueColor, "120x40-en-truecolor"},
	} {
		for _, n := range names {
			name := fmt.Sprintf("%s-%s", tc.name, n)
			t.Run(name, func(t *testing.T) {
				golden(t, name, still(n, someConfig(tc.l), tc.w, tc.h, tc.p))
			})
		}
	}
}
