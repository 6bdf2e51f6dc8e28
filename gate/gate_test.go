package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"checkpoint/gate/wedge"
	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/trust"
	"checkpoint/verify"
)

// A desk is a gate with everything around it replaced by what a test steers:
// the words typed are codes, "pass:7" is a code that is judged pass with id 7.

type wall struct {
	mu      sync.Mutex
	offset  time.Duration
	quality verify.Quality
}

func (w *wall) Now() (time.Time, verify.Quality) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.offset), w.quality
}

type typed struct{ words chan string }

func (t typed) Next(ctx context.Context) (wedge.Text, error) {
	select {
	case w, ok := <-t.words:
		switch {
		case !ok:
			return wedge.Text{}, wedge.ErrEnd
		case w == "(lost)":
			return wedge.Text{}, wedge.ErrLost
		}
		return wedge.Text{Bytes: []byte(w), At: time.Now()}, nil
	case <-ctx.Done():
		return wedge.Text{}, ctx.Err()
	}
}

type words struct{}

func (words) Check(text []byte, _ verify.Instant) verify.Verdict {
	name, id, _ := strings.Cut(string(text), ":")
	id, _, _ = strings.Cut(id, "@") // "pass:7@2" is a renewal of "pass:7"
	v := verify.Verdict{Reason: verify.OK, Format: verify.FormatNative, ID: id, Subject: make([]byte, 32), Person: verify.Person{Name: "张*"}}
	if name == "panic" {
		panic("a code made for this")
	}
	for _, n := range verify.Names() {
		if n.String() == name {
			v.Name = n
		}
	}
	if v.Name == verify.CheckID {
		v.Under = verify.PassGold
	}
	return v
}

type ledger struct {
	mu     sync.Mutex
	rows   []record.Draft
	counts map[string]int
	unrec  int
	fail   error
	slow   time.Duration
	void   map[uint64]bool
	id     record.Identity
}

func (l *ledger) Identity() record.Identity { return l.id }
func (l *ledger) Append(_ context.Context, d ...record.Draft) (uint64, error) {
	l.mu.Lock()
	slow, fail := l.slow, l.fail
	l.mu.Unlock()
	time.Sleep(slow) // in the bubble's time
	if fail != nil {
		return 0, fail
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	first := uint64(len(l.rows) + 1)
	l.rows = append(l.rows, d...)
	for _, r := range d {
		if v, ok := r.Body.(record.Void); ok {
			l.void[v.To] = true
		}
	}
	return first, nil
}
func (l *ledger) Count(_ record.Stamp, verdict, reason uint8) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[fmt.Sprint(verify.Name(verdict), " ", verify.Reason(reason))]++
}
func (l *ledger) Unrecorded() error { l.mu.Lock(); defer l.mu.Unlock(); l.unrec++; return nil }
func (l *ledger) LastScan(_ context.Context, at record.Stamp, within time.Duration) (localdb.LastScan, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.rows) - 1; i >= 0; i-- {
		if _, ok := l.rows[i].Body.(record.Scan); ok && !l.void[uint64(i+1)] {
			return localdb.LastScan{Seq: uint64(i + 1)}, at.MonoMS-l.rows[i].MonoMS <= uint64(within.Milliseconds()), nil
		}
	}
	return localdb.LastScan{}, false, nil
}
func (l *ledger) Counts(context.Context, time.Time, time.Time) ([]localdb.HourCount, error) {
	return []localdb.HourCount{{Verdict: uint8(verify.Pass), N: 10}}, nil
}
func (l *ledger) Status(record.Stamp) (localdb.Status, error)      { return localdb.Status{}, nil }
func (l *ledger) Tick(context.Context, record.Stamp) error         { return nil }
func (l *ledger) RaiseFloor(context.Context, int64) error          { return nil }
func (l *ledger) LowerFloor(context.Context, record.Stamp) error   { return nil }
func (l *ledger) Purge(context.Context, record.Stamp) (int, error) { return 0, nil }
func (l *ledger) Checkpoint(context.Context) error                 { return nil }
func (l *ledger) set(fail error, slow time.Duration) {
	l.mu.Lock()
	l.fail, l.slow = fail, slow
	l.mu.Unlock()
}
func (l *ledger) scans() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.rows {
		if _, ok := r.Body.(record.Scan); ok {
			n++
		}
	}
	return n
}

type desk struct {
	t     *testing.T
	g     *Gate
	rows  *ledger
	clock *wall
	in    typed
	stop  context.CancelFunc
	over  chan struct{}
	ended bool
}

func newDesk(t *testing.T, change func(*Config, *trust.Policy)) *desk {
	t.Helper()
	d := &desk{
		t: t, rows: &ledger{counts: map[string]int{}, void: map[uint64]bool{}},
		clock: &wall{quality: verify.ClockSynced}, in: typed{make(chan string)}, over: make(chan struct{}),
	}
	now := time.Now()
	policy := trust.Policy{Venue: trust.AnyVenue, ReplayS: 600, Formats: []string{"native"}}
	cfg := Config{
		Clock:  NewClock(d.clock, Floor{}, now),
		Boot:   Boot{Since: now, Mono: time.Minute},
		Ledger: d.rows, Texts: []Texts{d.in},
	}
	if change != nil {
		change(&cfg, &policy)
	}
	cfg.Trust = Trust{Checker: words{}, Snapshot: &trust.Snapshot{Version: 3, Issued: now, Policy: trust.Policies{Rules: []trust.Policy{policy}}}}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.g = g
	ctx, stop := context.WithCancel(t.Context())
	d.stop = stop
	go func() { g.Run(ctx); close(d.over) }()
	return d
}

// next is the next event that is not the header or the coach.
func (d *desk) next() Event {
	d.t.Helper()
	for e := range d.g.Events() {
		switch e.(type) {
		case State, Coached, Started:
		default:
			return e
		}
	}
	d.t.Fatal("the gate ended")
	return nil
}

func (d *desk) judged() Judged {
	d.t.Helper()
	e := d.next()
	j, ok := e.(Judged)
	if !ok {
		d.t.Fatalf("got %T %+v, want Judged", e, e)
	}
	return j
}

// quiet fails when anything but header and coach is said within span.
func (d *desk) quiet(span time.Duration) {
	d.t.Helper()
	deadline := time.After(span)
	for {
		select {
		case e := <-d.g.Events():
			switch e.(type) {
			case State, Coached, Started:
			default:
				d.t.Fatalf("said %T %+v, want nothing", e, e)
			}
		case <-deadline:
			return
		}
	}
}

func (d *desk) show(word string) { d.in.words <- word }

// end stops the gate and checks that all its goroutines are gone: synctest
// fails a bubble in which one is left.
func (d *desk) end() Ended {
	d.t.Helper()
	d.ended = true
	d.stop()
	var last Event
	for e := range d.g.Events() {
		last = e
	}
	<-d.over
	end, ok := last.(Ended)
	if !ok {
		d.t.Fatalf("last event is %T, want Ended", last)
	}
	return end
}

func onDesk(t *testing.T, change func(*Config, *trust.Policy), do func(t *testing.T, d *desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, change)
		do(t, d)
		if !d.ended {
			d.end()
		}
	})
}

func TestVerdictComesAfterItsRow(t *testing.T) {
	onDesk(t, nil, func(t *testing.T, d *desk) {
		d.rows.set(nil, 30*time.Millisecond)
		d.show("pass:1")
		j := d.judged()
		if j.Seq == 0 || d.rows.scans() != 1 || j.Recording || j.DurableMS < 29 {
			t.Errorf("got %+v with %d rows; want a row before the verdict", j, d.rows.scans())
		}
		if j.Verdict.Subject != nil || j.Verdict.ID != "" {
			t.Error("an event carries a subject or an id")
		}
	})
}

func TestSlowDiskShowsRecordingMark(t *testing.T) {
	onDesk(t, nil, func(t *testing.T, d *desk) {
		d.rows.set(nil, 400*time.Millisecond)
		began := time.Now()
		d.show("pass:1")
		j := d.judged()
		if !j.Recording || j.Seq != 0 {
			t.Errorf("got %+v, want the recording mark", j)
		}
		if after := time.Since(began); after > 1100*time.Millisecond {
			t.Errorf("told after %v", after)
		}
		if r, ok := d.next().(Recorded); !ok || r.Failed || r.Seq == 0 || r.Card != j.Card {
			t.Errorf("got %+v, want Recorded with the row", r)
		}
	})
}

func TestRowThatFailsMakesTheGateADevice(t *testing.T) {
	for _, slow := range []time.Duration{0, 300 * time.Millisecond} {
		onDesk(t, nil, func(t *testing.T, d *desk) {
			d.rows.set(localdb.ErrDamaged, slow)
			d.show("pass:1")
			j := d.judged()
			if slow == 0 {
				if j.Verdict.Name != verify.Device || j.Verdict.Reason != verify.NoDisk || j.Verdict.Person != (verify.Person{}) {
					t.Errorf("got %v/%v, want device/no_disk and nobody's name", j.Verdict.Name, j.Verdict.Reason)
				}
			} else if r, ok := d.next().(Recorded); !ok || !r.Failed {
				t.Errorf("got %+v, want Recorded failed", r)
			} else if own := d.judged(); own.Verdict.Reason != verify.NoDisk || own.Leaves != ByKeyOrCode {
				t.Errorf("got %+v, want the device's own card", own)
			}
			if d.rows.unrec != 1 {
				t.Errorf("unrecorded = %d, want 1", d.rows.unrec)
			}
			d.rows.set(nil, 0)
			time.Sleep(6 * time.Second)
			d.show("pass:1")
			for {
				if j, ok := d.next().(Judged); ok {
					if j.Verdict.Name != verify.Pass {
						t.Errorf("a pass that was never durable counts as used: %v/%v", j.Verdict.Name, j.Verdict.Reason)
					}
					return
				}
			}
		})
	}
}

func TestFullDiskGoesOnWhereThePolicySaysSo(t *testing.T) {
	for i, full := range []trust.FullDisk{trust.CountOn, trust.Stop, trust.CountOn, trust.Stop} {
		onDesk(t, func(_ *Config, p *trust.Policy) { p.FullDisk = full }, func(t *testing.T, d *desk) {
			d.rows.set([]error{localdb.ErrFull, localdb.ErrNoSpace}[i/2], 0)
			d.show("pass:1")
			want := verify.Pass
			if full == trust.Stop {
				want = verify.Device
			}
			if j := d.judged(); j.Verdict.Name != want || j.Seq != 0 || d.rows.unrec != 1 {
				t.Errorf("%s: got %v seq %d unrecorded %d, want %v, no row, 1", full, j.Verdict.Name, j.Seq, d.rows.unrec, want)
			}
			d.rows.set(nil, 0)
		})
	}
}

func TestSameCodeInViewIsOneScan(t *testing.T) {
	onDesk(t, nil, func(t *testing.T, d *desk) {
		d.show("pass:1")
		d.judged()
		for range 20 { // 20 s in view, never out of it for 5 s
			d.show("pass:1@renewed")
			d.show("pass:1")
			synctest.Wait()
			time.Sleep(time.Second)
		}
		if got := d.rows.scans(); got != 1 {
			t.Errorf("%d scans, want 1", got)
		}
	})
}

func TestShownAgainIsAlreadyUsed(t *testing.T) {
	onDesk(t, nil, func(t *testing.T, d *desk) {
		d.show("pass:1")
		d.judged()
		time.Sleep(6 * time.Second)
		d.next() // cleared
		d.show("pass:1@other phone")
		if j := d.judged(); j.Verdict.Name != verify.Refresh || j.Verdict.Reason != verify.AlreadyUsed || j.Verdict.Person.Name != "" {
			t.Errorf("got %v/%v, want refresh/already_used", j.Verdict.Name, j.Verdict.Reason)
		}
		time.Sleep(11 * time.Minute)
		d.show("pass:1")
		if j := d.judged(); j.Verdict.Name != verify.Pass {
			t.Errorf("after the window: got %v, want pass", j.Verdict.Name)
		}
	})
	onDesk(t, func(_ *Config, p *trust.Policy) { p.TwoWay = true }, func(t *testing.T, d *desk) {
		d.show("pass:1")
		d.judged()
		time.Sleep(6 * time.Second)
		d.next()
		d.show("pass:1")
		if j := d.judged(); j.Verdict.Name != verify.Pass {
			t.Errorf("two-way gate: got %v, want pass", j.Verdict.Name)
		}
	})
}

func TestRedRepeatsAsItself(t *testing.T) {
	onDesk(t, nil, func(t *testing.T, d *desk) {
		for range 2 {
			d.show("red:1")
			j := d.judged()
			if j.Verdict.Name != verify.Red || j.Leaves != ByKey {
				t.Fatalf("got %v", j.Verdict.Name)
			}
			d.g.Choose(t.Context(), j.Card, ChoiceIsolated)
			if c, ok := d.next().(Chosen); !ok || c.To != j.Seq || c.Seq == 0 {
				t.Fatalf("got %+v, want Chosen about row %d", c, j.Seq)
			}
			d.next() // cleared
			time.Sleep(6 * time.Second)
		}
	})
}

func TestCardThatLeavesByKeyHoldsTheNextCode(t *testing.T) {
	onDesk(t, nil, func(t *testing.T, d *desk) {
		d.show("amber:1")
		j := d.judged()
		d.show("pass:2")
		d.quiet(3 * time.Second)
		d.g.Dismiss(t.Context(), j.Card)
		if _, ok := d.next().(Cleared); !ok {
			t.Fatal("not cleared")
		}
		d.show("pass:2")
		if j := d.judged(); j.Verdict.Name != verify.Pass {
			t.Errorf("got %v, want pass: it was seen but not judged before", j.Verdict.Name)
		}
	})
}

func TestCheckID(t *testing.T) {
	for choice, want := range map[Choice]verify.Name{
		ChoiceMatch: verify.PassGold, ChoiceMismatch: verify.Amber, ChoiceLeft: verify.NoVerdict,
	} {
		onDesk(t, nil, func(t *testing.T, d *desk) {
			d.show("check_id:1")
			j := d.judged()
			d.g.Dismiss(t.Context(), j.Card) // not by any key
			if r, ok := d.next().(Refused); !ok || r.What != "no_card" {
				t.Fatalf("got %+v, want a refusal", r)
			}
			d.g.Choose(t.Context(), j.Card, choice)
			if c, ok := d.next().(Chosen); !ok || c.Becomes != want {
				t.Errorf("choice %d became %+v, want %v", choice, c, want)
			}
			if choice == ChoiceMismatch {
				d.g.Dismiss(t.Context(), j.Card)
			}
			d.next() // cleared, by time or by key
			time.Sleep(6 * time.Second)
			d.show("check_id:1")
			again := d.judged().Verdict
			if used := again.Reason == verify.AlreadyUsed; used != (choice == ChoiceMatch) {
				t.Errorf("after choice %d: %v/%v", choice, again.Name, again.Reason)
			}
		})
	}
}

func TestVoid(t *testing.T) {
	onDesk(t, nil, func(t *testing.T, d *desk) {
		d.g.Void(t.Context())
		if r, ok := d.next().(Refused); !ok || r.What != "nothing_to_void" {
			t.Fatalf("got %+v", r)
		}
		d.show("pass:1")
		j := d.judged()
		d.g.Void(t.Context())
		if v, ok := d.next().(Voided); !ok || v.To != j.Seq {
			t.Fatalf("got %+v, want Voided %d", v, j.Seq)
		}
		d.next() // cleared
		d.show("pass:1@again")
		if j := d.judged(); j.Verdict.Name != verify.Pass {
			t.Errorf("after a void: %v/%v, want pass", j.Verdict.Name, j.Verdict.Reason)
		}
		time.Sleep(2 * time.Minute)
		d.next() // cleared
		d.g.Void(t.Context())
		if r, ok := d.next().(Refused); !ok || r.What != "nothing_to_void" {
			t.Fatalf("voided after two minutes: %+v", r)
		}
	})
}

func TestPanicInACheckIsADeviceFault(t *testing.T) {
	onDesk(t, nil, func(t *testing.T, d *desk) {
		d.show("panic:1")
		if j := d.judged(); j.Verdict.Name != verify.Device || j.Verdict.Reason != verify.Internal {
			t.Errorf("got %v/%v", j.Verdict.Name, j.Verdict.Reason)
		}
		d.show("pass:1")
		if j := d.judged(); j.Verdict.Name != verify.Pass {
			t.Errorf("after it: %v", j.Verdict.Name)
		}
		if end := d.end(); end.Faults != 1 {
			t.Errorf("%d faults counted, want 1", end.Faults)
		}
	})
}

func TestLostSourceIsADeviceFaultUntilItIsBack(t *testing.T) {
	onDesk(t, nil, func(t *testing.T, d *desk) {
		d.show("(lost)")
		if j := d.judged(); j.Verdict.Reason != verify.NoCamera || j.Leaves != WhenMended {
			t.Fatalf("got %+v", j.Verdict)
		}
		d.show("pass:1")
		if _, ok := d.next().(Cleared); !ok {
			t.Fatal("the fault stays")
		}
		if j := d.judged(); j.Verdict.Name != verify.Pass {
			t.Errorf("got %v", j.Verdict.Name)
		}
	})
}

func TestHeadlessLatch(t *testing.T) {
	onDesk(t, func(c *Config, _ *trust.Policy) { c.Latch = 4 * time.Second }, func(t *testing.T, d *desk) {
		d.show("red:1")
		d.judged()
		began := time.Now()
		if _, ok := d.next().(Cleared); !ok || time.Since(began) != 4*time.Second {
			t.Errorf("left after %v, want 4s", time.Since(began))
		}
	})
}

func TestCountedVerdictsLeaveNoRow(t *testing.T) {
	onDesk(t, nil, func(t *testing.T, d *desk) {
		for i, name := range []string{"refresh", "not_ours", "more", "invalid"} {
			d.show(fmt.Sprintf("%s:%d", name, i))
			j := d.judged()
			if hasRow := j.Seq != 0; hasRow != (i >= 2) {
				t.Errorf("%s: row %d", name, j.Seq)
			}
		}
		d.show("no_check:9")
	})
}

func TestManualAndHandOver(t *testing.T) {
	onDesk(t, nil, func(t *testing.T, d *desk) {
		d.g.Manual(t.Context(), ManualChild, true)
		if m, ok := d.next().(ManualDone); !ok || m.Seq == 0 || m.Class != ManualChild || !m.Allowed {
			t.Errorf("got %+v", m)
		}
		d.show("pass:1")
		d.judged()
		d.g.HandOver(t.Context(), "4711")
		if h, ok := d.next().(HandedOver); !ok || h.Counts[verify.Pass] != 1 || h.Shift != "4711" {
			t.Errorf("got %+v, want the shift's one pass", h)
		}
		if err := d.g.HandOver(t.Context(), "\x1b[2J"); err == nil {
			t.Error("an escape sequence was taken for a shift number")
		}
	})
}

func TestPINLocksAfterFiveTries(t *testing.T) {
	hash, err := HashPIN("2580", []byte("saltsalt"))
	if err != nil {
		t.Fatal(err)
	}
	pin, err := ParsePIN(hash)
	if err != nil {
		t.Fatal(err)
	}
	onDesk(t, func(c *Config, _ *trust.Policy) { c.PIN = pin }, func(t *testing.T, d *desk) {
		try := func(p string) bool {
			t.Helper()
			ok, err := d.g.Unlock(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
		if !try("2580") {
			t.Fatal("the right PIN was refused")
		}
		for range 5 {
			if try("0000") {
				t.Fatal("a wrong PIN was taken")
			}
		}
		if try("2580") {
			t.Error("not locked after five wrong tries")
		}
		time.Sleep(5*time.Minute + time.Second)
		if !try("2580") {
			t.Error("still locked after five minutes")
		}
	})
}

func TestEndWritesWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		d.rows.set(nil, 300*time.Millisecond)
		d.show("pass:1")
		d.judged()
		end := d.end()
		if d.rows.scans() != 1 || end.Rows != uint64(len(d.rows.rows)) {
			t.Errorf("end %+v with %d rows", end, len(d.rows.rows))
		}
	})
}

func TestStoppedGateRefusesCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		d.end()
		if err := d.g.Void(t.Context()); !errors.Is(err, ErrStopped) {
			t.Errorf("got %v, want ErrStopped", err)
		}
	})
}

func TestShownReadAndMissed(t *testing.T) {
	at := time.Now()
	var p people
	var shown, read uint64
	for _, f := range []struct {
		n     uint64
		whole time.Time
		read  bool
	}{
		{0, time.Time{}, false},
		{1, time.Time{}, false}, {1, at, false}, {1, at, true}, {1, at, true}, // read at the second try
		{2, time.Time{}, false}, {0, time.Time{}, false}, // only ever half in view: nothing to read
		{3, at, false}, {3, at, false}, {4, at, true}, // the third was never read
	} {
		s, r := p.sees(f.n, f.whole, f.read)
		shown, read = shown+s, read+r
	}
	if shown += p.leave(); shown != 3 || read != 2 {
		t.Errorf("shown %d, read %d; want 3 and 2", shown, read)
	}
}

func TestRowThatOutlastsItsCard(t *testing.T) {
	onDesk(t, nil, func(t *testing.T, d *desk) {
		d.rows.set(nil, 3*time.Second) // the pass leaves after 1.8 s
		d.show("pass:1")
		if j := d.judged(); !j.Recording {
			t.Fatalf("got %+v, want the recording mark", j)
		}
		for recorded := false; !recorded; {
			_, recorded = d.next().(Recorded)
		}
		d.rows.set(nil, 0)
		time.Sleep(6 * time.Second)
		d.show("pass:1@other phone")
		if j := d.judged(); j.Verdict.Reason != verify.AlreadyUsed {
			t.Errorf("shown again after a slow row: %v/%v, want already_used", j.Verdict.Name, j.Verdict.Reason)
		}
	})
	onDesk(t, nil, func(t *testing.T, d *desk) {
		d.rows.set(localdb.ErrDamaged, 3*time.Second)
		d.show("pass:1")
		d.judged()
		for recorded := false; !recorded; {
			_, recorded = d.next().(Recorded)
		}
		d.rows.set(nil, 0)
		j := d.judged() // the device's own card
		if j.Verdict.Name != verify.Device || j.Verdict.Reason != verify.NoDisk {
			t.Errorf("after the row failed: %v/%v, want device/no_disk", j.Verdict.Name, j.Verdict.Reason)
		}
		d.g.Dismiss(t.Context(), j.Card)
		if c, ok := d.next().(Cleared); !ok || c.Card != j.Card {
			t.Errorf("got %+v, want the card cleared", c)
		}
	})
}
