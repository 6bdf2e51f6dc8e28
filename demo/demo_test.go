package demo

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"checkpoint/camera/synth"
	"checkpoint/decode"
	"checkpoint/trust"
	"checkpoint/verify"
)

var morning = time.Date(2026, 3, 2, 7, 30, 0, 0, time.UTC)

func world(t testing.TB, seed uint64) *World {
	t.Helper()
	w, err := New(Config{Seed: seed, Now: morning})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestVerdicts: a gate with the world's trust says what is expected to
// everything that is shown.
func TestVerdicts(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		w := world(t, seed)
		v := verify.New(w.Snapshot()).At(w.Venue())
		at := morning
		for n := uint64(1); n <= 250; n++ {
			text, want, err := w.Text(n, at)
			if err != nil {
				t.Fatal(err)
			}
			got := v.Check(text, verify.Instant{Time: at.Add(1500 * time.Millisecond), Quality: verify.ClockSynced})
			if got.Name != want.Verdict || got.Reason != want.Reason {
				t.Errorf("seed %d, person %d (%s): %v, %v, want %v, %v; %+v", seed, n, want.What, got.Name, got.Reason, want.Verdict, want.Reason, got.Checks)
			}
			at = at.Add(4 * time.Second)
		}
	}
}

// TestOpening: a gate that takes 1.6 s a person, and a guard who takes 2 s
// where a key is needed, has seen all eight verdicts within 30 s.
func TestOpening(t *testing.T) {
	w := world(t, 9)
	seen := map[verify.Name]bool{}
	spent := time.Duration(0)
	for n := uint64(1); spent < 30*time.Second; n++ {
		_, want, err := w.Text(n, morning.Add(spent))
		if err != nil {
			t.Fatal(err)
		}
		spent += 1600 * time.Millisecond
		switch want.Verdict {
		case verify.Amber, verify.Red, verify.CheckID, verify.Invalid:
			spent += 2 * time.Second
		}
		if spent <= 30*time.Second {
			seen[want.Verdict] = true
		}
	}
	for _, name := range []verify.Name{
		verify.Pass, verify.PassGold, verify.Amber, verify.Red, verify.Refresh, verify.Invalid, verify.NotOurs, verify.CheckID,
	} {
		if !seen[name] {
			t.Errorf("%v is not shown within 30 s", name)
		}
	}
}

func TestMorningIsMostlyGreen(t *testing.T) {
	w := world(t, 4)
	count := map[verify.Name]int{}
	difficulty := map[synth.Difficulty]int{}
	sum := 0
	for a := range acts {
		sum += acts[a].often
	}
	if sum != 1000 {
		t.Errorf("the acts come %d times in a thousand", sum)
	}
	const people = 2000
	for n := uint64(100); n < 100+people; n++ {
		p := w.person(n)
		count[acts[p.act].expect.Verdict]++
		difficulty[p.difficulty]++
	}
	green := count[verify.Pass] + count[verify.PassGold]
	if green*100 < people*85 || count[verify.Pass] < 5*count[verify.PassGold]/2 || count[verify.Red] == 0 || count[verify.Red]*100 > people {
		t.Errorf("the morning is %v", count)
	}
	for _, d := range []synth.Difficulty{synth.Easy, synth.Normal, synth.Hard} {
		if difficulty[d] < people/10 {
			t.Errorf("difficulties are %v", difficulty)
		}
	}
}

func TestSameSeedSameWorld(t *testing.T) {
	a, b, other := world(t, 7), world(t, 7), world(t, 8)
	if !bytes.Equal(a.SignedTrust(), b.SignedTrust()) {
		t.Error("two worlds of one seed publish different trust")
	}
	if bytes.Equal(a.SignedTrust(), other.SignedTrust()) {
		t.Error("another seed publishes the same trust")
	}
	for n := uint64(1); n < 40; n++ {
		ta, ea, err := a.Text(n, morning)
		if err != nil {
			t.Fatal(err)
		}
		tb, eb, err := b.Text(n, morning)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ta, tb) || ea != eb {
			t.Errorf("person %d differs between two worlds of one seed", n)
		}
	}
	drawn, err := New(Config{Now: morning})
	if err != nil {
		t.Fatal(err)
	}
	if drawn.Seed() == 0 {
		t.Error("no seed was drawn")
	}
	if _, err := New(Config{Seed: 1}); err == nil {
		t.Error("a world without a time")
	}
}

func TestTrustIsSignedAndSealable(t *testing.T) {
	w := world(t, 7)
	s, err := trust.ParseSigned(w.SignedTrust(), w.Pin())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []time.Duration{0, 12 * time.Hour, 25 * time.Hour} {
		if _, ok := s.DayKeyAt(morning.Add(h)); !ok {
			t.Errorf("no day key %v from the start", h)
		}
	}
	if len(s.Skipped) > 0 {
		t.Errorf("left out: %v", s.Skipped)
	}
}

// TestSizes: symbols fit what a 640×480 camera reads.
func TestSizes(t *testing.T) {
	w := world(t, 3)
	for n := uint64(1); n <= 60; n++ {
		text, want, err := w.Text(n, morning)
		if err != nil {
			t.Fatal(err)
		}
		m, err := decode.Encode(text, decode.LevelM)
		if err != nil {
			t.Fatal(err)
		}
		if m.Version > 15 {
			t.Errorf("person %d (%s): %d characters, version %d", n, want.What, len(text), m.Version)
		}
		if strings.Contains(want.What, "certificate") {
			t.Logf("%s: %d characters, version %d", want.What, len(text), m.Version)
		}
	}
}

// clock moves only when somebody sleeps.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func (c *clock) sleep(ctx context.Context, d time.Duration) error {
	c.t = c.t.Add(d)
	return ctx.Err()
}

// TestMorningThroughTheCamera holds the opening up to the synthetic camera,
// reads the frames and judges what was read: easy and normal ones are read
// within 2 s of being whole in view, and every verdict is the expected one.
func TestMorningThroughTheCamera(t *testing.T) {
	w := world(t, 5)
	c := &clock{morning}
	expect := map[uint64]Expect{}
	cam, err := synth.New(synth.Config{Seed: 5, Now: c.now, Sleep: c.sleep, Next: func(n uint64, at time.Time) synth.Prop {
		p, e, err := w.Prop(n, at)
		if err != nil {
			t.Fatal(err)
		}
		expect[n] = e
		return p
	}})
	if err != nil {
		t.Fatal(err)
	}
	v := verify.New(w.Snapshot()).At(w.Venue())
	s := decode.NewScanner(decode.Options{})
	read := map[uint64]bool{}
	whole := map[uint64]time.Time{}
	for cam.Shown() < 15 {
		f, err := cam.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		n := f.Truth.Presentation
		if n == 0 || read[n] {
			continue
		}
		if !f.Truth.WholeSince.IsZero() {
			whole[n] = f.Truth.WholeSince
		}
		res := s.Scan(decode.Image{Luma: f.Luma, Width: f.Width, Height: f.Height, Stride: f.Stride})
		if len(res.Symbols) == 0 {
			continue
		}
		read[n] = true
		cam.Taken(n)
		got := v.Check(res.Symbols[0].Payload, verify.Instant{Time: f.Captured, Quality: verify.ClockSynced})
		if want := expect[n]; got.Name != want.Verdict || got.Reason != want.Reason {
			t.Errorf("person %d (%s): %v, %v, want %v, %v", n, want.What, got.Name, got.Reason, want.Verdict, want.Reason)
		}
		if p := w.person(n); p.difficulty != synth.Hard {
			// A code may be read when its last corner is still out of view.
			if since, ok := whole[n]; ok && f.Captured.Sub(since) > 2*time.Second {
				t.Errorf("person %d (%s, difficulty %d): read %v after it was whole in view", n, expect[n].What, p.difficulty, f.Captured.Sub(since))
			}
		}
	}
	t.Logf("%d of %d were whole in view when they were read", len(whole), len(read))
	for n := uint64(1); n < cam.Shown(); n++ {
		if p := w.person(n); !read[n] && p.difficulty != synth.Hard {
			t.Errorf("person %d (%s, difficulty %d): not read", n, expect[n].What, p.difficulty)
		}
	}
}
