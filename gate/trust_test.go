package gate

import (
	"context"
	"crypto/hpke"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"checkpoint/trust"
	"checkpoint/verify"
)

// strict judges everything red and says which trust it was.
type strict struct{ version uint64 }

func (s strict) Check(_ []byte, _ verify.Instant) verify.Verdict {
	return verify.Verdict{Name: verify.Invalid, Reason: verify.Revoked, Format: verify.FormatNative, TrustVersion: s.version}
}

func TestNewTrustHoldsFromTheNextCodeOn(t *testing.T) {
	var next atomic.Pointer[Trust]
	slow := time.Duration(0)
	onDesk(t, func(c *Config, _ *trust.Policy) {
		c.NewTrust = func(context.Context) (Trust, bool) {
			if t := next.Swap(nil); t != nil {
				time.Sleep(slow) // in the bubble's time: a board that checks for long
				return *t, true
			}
			return Trust{}, false
		}
	}, func(t *testing.T, d *desk) {
		d.show("pass:1")
		if j := d.judged(); j.Verdict.Name != verify.Pass {
			t.Fatalf("got %v, want pass", j.Verdict.Name)
		}
		issued := time.Now().Add(3 * time.Hour)
		slow = 3 * time.Second
		next.Store(&Trust{Checker: strict{4}, Snapshot: &trust.Snapshot{Version: 4, Issued: issued}})
		time.Sleep(2 * time.Second) // in the bubble: it is being checked, the gate goes on with the old
		d.show("pass:2")
		for {
			if j, ok := d.next().(Judged); ok {
				if j.Verdict.Name != verify.Pass {
					t.Errorf("while new trust is checked: %v, want pass", j.Verdict.Name)
				}
				break
			}
		}
		for state := range d.g.Events() { // the header says so as soon as it holds
			if s, ok := state.(State); ok && s.KeysAge == 0 && s.Quality == verify.ClockEstimated {
				break // its date is the anchor, and the wall is behind it
			}
		}
		d.show("pass:3")
		for {
			if j, ok := d.next().(Judged); ok {
				if j.Verdict.Name != verify.Invalid || j.Verdict.TrustVersion != 4 {
					t.Errorf("got %v by trust %d, want invalid by 4", j.Verdict.Name, j.Verdict.TrustVersion)
				}
				break
			}
		}
		if at := d.g.cfg.Clock.At(); at.Time.Before(issued) {
			t.Errorf("the clock is at %v, before the anchor %v", at.Time, issued)
		}
	})
}

// A hook that never ends must not keep the gate from ending, nor from judging.
func TestNewTrustDoesNotBlockTheGate(t *testing.T) {
	onDesk(t, func(c *Config, _ *trust.Policy) {
		c.NewTrust = func(ctx context.Context) (Trust, bool) {
			<-ctx.Done()
			return Trust{Checker: strict{9}}, true
		}
	}, func(t *testing.T, d *desk) {
		d.show("pass:1")
		if j := d.judged(); j.Verdict.Name != verify.Pass {
			t.Errorf("got %v, want pass", j.Verdict.Name)
		}
	})
}

func TestSwapDropsSealersOfOtherKeys(t *testing.T) {
	public := func() []byte {
		k, err := hpke.MLKEM768X25519().GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		return k.PublicKey().Bytes()
	}
	one, two := public(), public()
	for _, tc := range []struct {
		name string
		then []trust.DayKey
		kept bool
	}{
		{"the same key", []trust.DayKey{{ID: "d", PublicKey: one}}, true},
		{"another key under its name", []trust.DayKey{{ID: "d", PublicKey: two}}, false},
		{"destroyed", []trust.DayKey{{ID: "d", Destroyed: true}}, false},
		{"gone", nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now := time.Now()
				day := trust.DayKey{ID: "d", From: now.Add(-time.Hour), To: now.Add(time.Hour), PublicKey: one}
				rows := &ledger{counts: map[string]int{}, void: map[uint64]bool{}}
				g, err := New(Config{
					Clock: NewClock(&wall{quality: verify.ClockSynced}, Floor{}, now), Boot: Boot{Since: now}, Ledger: rows,
					Texts: []Texts{typed{}},
					Trust: Trust{Checker: words{}, Snapshot: &trust.Snapshot{Version: 1, Issued: now, DayKeys: trust.DayKeys{Keys: []trust.DayKey{day}}}},
				})
				if err != nil {
					t.Fatal(err)
				}
				_, stamp, _ := g.now()
				before := g.sealer(stamp)
				if before == nil {
					t.Fatal(errors.New("no sealer"))
				}
				for i := range tc.then {
					tc.then[i].From, tc.then[i].To = day.From, day.To
				}
				g.swap(Trust{Checker: words{}, Snapshot: &trust.Snapshot{Version: 2, Issued: now, DayKeys: trust.DayKeys{Keys: tc.then}}})
				if kept := g.seals == before; kept != tc.kept {
					t.Errorf("kept %v, want %v", kept, tc.kept)
				}
			})
		})
	}
}
