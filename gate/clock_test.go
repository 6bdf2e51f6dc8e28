package gate

import (
	"testing"
	"testing/synctest"
	"time"

	"checkpoint/verify"
)

var builtAt = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// clockAt is a clock whose wall says builtAt+wallAhead, with the anchor at builtAt.
func clockAt(w *wall, wallAhead time.Duration, q verify.Quality) *Clock {
	w.offset, w.quality = time.Until(builtAt.Add(wallAhead)), q
	return NewClock(w, Floor{}, builtAt)
}

func TestClockBelowItsFloorRunsOnTheFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clockAt(&wall{}, -10*365*24*time.Hour, verify.ClockUnknown)
		time.Sleep(time.Hour)
		at := c.At()
		if want := builtAt.Add(time.Hour); !at.Time.Equal(want) || at.Quality != verify.ClockEstimated {
			t.Errorf("got %v %v, want %v estimated", at.Time, at.Quality, want)
		}
	})
}

func TestSyncedRowsLiftTheFloorOnlySoFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wall{}
		c := clockAt(w, 0, verify.ClockSynced)
		time.Sleep(time.Hour)
		// A false time server: ten years ahead, and a row is written.
		w.mu.Lock()
		w.offset += 10 * 365 * 24 * time.Hour
		w.mu.Unlock()
		c.Wrote(c.At())
		if d, jumped := c.Jumped(); !jumped || d < 9*365*24*time.Hour {
			t.Errorf("jump of %v not seen", d)
		}
		w.mu.Lock()
		w.offset -= 10 * 365 * 24 * time.Hour
		w.mu.Unlock()
		at := c.At()
		if most := builtAt.Add(time.Hour + syncedAhead); at.Time.After(most) {
			t.Errorf("floor was pushed to %v, at most %v", at.Time, most)
		}
	})
}

func TestThreeCodesLiftAnEstimatedClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clockAt(&wall{}, -365*24*time.Hour, verify.ClockUnknown)
		day := 24 * time.Hour
		for _, v := range []struct {
			id   string
			iat  time.Time
			want bool
		}{
			{"a", builtAt.Add(3 * day), false},
			{"a", builtAt.Add(3 * day), false}, // the same again is no second vote
			{"b", builtAt.Add(2 * day), false},
			{"c", builtAt.Add(4 * day), true},
		} {
			if got := c.Vote(v.id, v.iat); got != v.want {
				t.Errorf("vote %s: lifted %v, want %v", v.id, got, v.want)
			}
		}
		if want := builtAt.Add(2*day - time.Minute); !c.At().Time.Equal(want) {
			t.Errorf("at %v, want the smallest less a minute, %v", c.At().Time, want)
		}
		for _, id := range []string{"d", "e", "f"} { // a stolen key, years ahead
			c.Vote(id, builtAt.Add(1000*day))
		}
		if most := builtAt.Add(votesAhead); c.At().Time.After(most) {
			t.Errorf("codes pushed the clock to %v, at most %v", c.At().Time, most)
		}
		c.Lower()
		if !c.At().Time.Equal(builtAt) {
			t.Errorf("lowered to %v, want the anchor", c.At().Time)
		}
	})
}

func TestSyncedClockTakesNoVotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clockAt(&wall{}, time.Hour, verify.ClockSynced)
		for _, id := range []string{"a", "b", "c"} {
			if c.Vote(id, builtAt.Add(48*time.Hour)) {
				t.Error("a vote moved a synced clock")
			}
		}
	})
}

func TestClockRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wall{}
		c := clockAt(w, -time.Hour, verify.ClockUnknown)
		time.Sleep(10 * time.Minute)
		f := c.Remember()
		again := NewClock(w, f, builtAt)
		if got := again.At().Time; got.Before(builtAt.Add(10 * time.Minute)) {
			t.Errorf("after a restart %v, before what had passed", got)
		}
		if f.Run != 10*time.Minute {
			t.Errorf("run %v, want 10m", f.Run)
		}
	})
}

func TestHoldingTablesAreBounded(t *testing.T) {
	at := time.Now()
	m := newMemory(at)
	for i := range 3 * maxTracked {
		text := []byte{byte(i), byte(i >> 8), byte(i >> 16)}
		m.holds(text, string(text), verify.NotOurs, at.Add(time.Duration(i)*time.Millisecond))
	}
	if len(m.texts) > maxTracked || len(m.ids) > maxTracked {
		t.Errorf("%d texts and %d ids tracked, at most %d", len(m.texts), len(m.ids), maxTracked)
	}
}

func TestMemoryLastsOverTheTurnOfItsKeys(t *testing.T) {
	at := time.Now()
	m := newMemory(at)
	m.admitted("x", at.Add(55*time.Minute))
	if !m.used("x", 30*time.Minute, at.Add(70*time.Minute)) {
		t.Error("forgotten after 15 minutes because the key turned")
	}
	if m.used("x", time.Hour, at.Add(4*time.Hour)) {
		t.Error("still known when both keys are gone")
	}
}

func TestSmallStepsBackAreNotBelowTheFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wall{}
		c := clockAt(w, time.Hour, verify.ClockSynced)
		c.Wrote(c.At())
		w.mu.Lock()
		w.offset -= 5 * time.Second
		w.mu.Unlock()
		if at := c.At(); at.Quality != verify.ClockSynced || !at.Time.Equal(builtAt.Add(time.Hour-5*time.Second)) {
			t.Errorf("five seconds back: %v %v, want the wall, synced", at.Time, at.Quality)
		}
		w.mu.Lock()
		w.offset -= time.Hour
		w.mu.Unlock()
		if at := c.At(); at.Quality != verify.ClockEstimated {
			t.Errorf("an hour back: %v, want estimated", at.Quality)
		}
	})
}

func TestHubTime(t *testing.T) {
	for _, tc := range []struct {
		name    string
		wall    time.Duration // past the anchor
		quality verify.Quality
		hub     time.Duration
		want    time.Duration
		is      verify.Quality
	}{
		{"it mends a clock that stands years behind", -365 * 24 * time.Hour, verify.ClockUnknown, time.Hour, time.Hour, verify.ClockSynced},
		{"and a clock chip that runs years ahead", 10 * 365 * 24 * time.Hour, verify.ClockRTC, time.Hour, time.Hour, verify.ClockSynced},
		{"a time server goes before it", 2 * time.Hour, verify.ClockSynced, time.Hour, 2 * time.Hour, verify.ClockSynced},
		{"far ahead it lifts the floor to its bound and no more", -time.Hour, verify.ClockUnknown, 365 * 24 * time.Hour, syncedAhead, verify.ClockEstimated},
		{"below the floor it is not believed", -time.Hour, verify.ClockUnknown, -365 * 24 * time.Hour, 0, verify.ClockEstimated},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clockAt(&wall{}, tc.wall, tc.quality)
				c.Heard(builtAt.Add(tc.hub))
				at := c.At()
				if !at.Time.Equal(builtAt.Add(tc.want)) || at.Quality != tc.is {
					t.Errorf("%v %v, want %v %v", at.Time, at.Quality, builtAt.Add(tc.want), tc.is)
				}
				time.Sleep(time.Hour)
				if on := c.At().Time.Sub(at.Time); on != time.Hour {
					t.Errorf("an hour later it is %v later", on)
				}
			})
		})
	}
}
