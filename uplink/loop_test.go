package uplink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"checkpoint/enroll"
	"checkpoint/record"
)

var gateA = record.Identity{Device: [16]byte{0xa}, Epoch: [8]byte{1}}

// queue is n complete segments.
func queue(n int) []record.Cut {
	cuts := make([]record.Cut, n)
	for i := range cuts {
		cuts[i] = cutOf(gateA, uint64(i+1), uint64(i*10+1), uint64(i*10+10))
	}
	return cuts
}

func problemIs(p string) func(record.Cut) (Answer, error) {
	return func(record.Cut) (Answer, error) { return Answer{Outcome: Later, Line: p}, nil }
}

func TestEverythingGoesUpInOrder(t *testing.T) {
	box, hub := &fakeBox{cuts: queue(5), tail: queue(7)[5:6]}, &fakeHub{send: received}
	run(t, time.Minute, &virtual{}, LoopConfig{Hub: hub, Outbox: box})
	if len(box.settled) != 6 || len(hub.sent) != 6 {
		t.Fatalf("settled %d of 6 in %d sends", len(box.settled), len(hub.sent))
	}
	for i, r := range box.settled {
		if r.Number != uint64(i+1) {
			t.Errorf("segment %d came as number %d", r.Number, i+1)
		}
	}
}

func TestTheTailGoesOnceAnInterval(t *testing.T) {
	box := &fakeBox{}
	var at []time.Duration
	v := &virtual{}
	hub := &fakeHub{send: func(c record.Cut) (Answer, error) { at = append(at, v.now); return received(c) }}
	n := uint64(0)
	v.during = func() { // there is always a row that waits
		if len(box.tail) == 0 {
			n++
			box.tail = []record.Cut{cutOf(gateA, n, n, n)}
		}
	}
	tick := v.during
	l := loopOf(t, v, LoopConfig{Hub: hub, Outbox: box, Interval: 10 * time.Minute})
	v.during = func() { tick(); l.Wake() }
	// Wakes must not make it go sooner: sleep a second at a time.
	inner := l.c.Sleep
	l.c.Sleep = func(ctx context.Context, d time.Duration, wake <-chan struct{}) {
		inner(ctx, min(d, time.Second), wake)
	}
	runLoop(t, time.Hour, v, l)
	if len(at) < 6 || len(at) > 7 {
		t.Errorf("%d tails in an hour, want one each ten minutes: %v", len(at), at)
	}
	for i := range at[1:] {
		if gap := at[i+1] - at[i]; gap < 10*time.Minute {
			t.Errorf("a tail %v after the one before", gap)
		}
	}
}

func TestACompleteSegmentGoesWhenTheLoopWakes(t *testing.T) {
	v, box := &virtual{}, &fakeBox{}
	var at time.Duration
	hub := &fakeHub{send: func(c record.Cut) (Answer, error) { at = v.now; return received(c) }}
	l := loopOf(t, v, LoopConfig{Hub: hub, Outbox: box, Interval: time.Hour})
	l.c.Sleep = func(ctx context.Context, d time.Duration, wake <-chan struct{}) {
		if v.now > 2*time.Minute && v.now < 3*time.Minute && len(box.settled) == 0 {
			box.cuts = queue(1)
			l.Wake()
		}
		v.sleep(ctx, min(d, 45*time.Second), wake)
	}
	runLoop(t, 10*time.Minute, v, l)
	if at == 0 || at > 3*time.Minute {
		t.Errorf("went after %v, want within the third minute", at)
	}
}

// A day of 500: the same segment all day, ever more slowly, and then all of it.
func TestADayOfFailuresLosesNothingAndHammersNobody(t *testing.T) {
	for _, tc := range []struct {
		name    string
		reports bool // are heard
		send    func(record.Cut) (Answer, error)
	}{
		{"500 to everything", false, problemIs("the hub says no (500)")},
		{"500 to segments only", true, problemIs("the hub says no (500)")},
		{"no line", false, func(record.Cut) (Answer, error) { return Answer{}, &LineError{Host: "hub", Is: ErrNoRoute} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, box := &virtual{}, &fakeBox{cuts: queue(20)}
			var states []State
			hub := &fakeHub{}
			day := 24 * time.Hour
			hub.send = func(c record.Cut) (Answer, error) {
				if v.now > day {
					return received(c)
				}
				if c.Number != 1 {
					t.Errorf("segment %d went before the first was settled", c.Number)
				}
				return tc.send(c)
			}
			hub.report = func() (enroll.Orders, error) {
				switch {
				case v.now > day || tc.reports:
					return enroll.Orders{State: "active"}, nil
				case tc.name == "no line":
					return enroll.Orders{}, &LineError{Host: "hub", Is: ErrNoRoute}
				}
				return enroll.Orders{}, &Refusal{Status: 500}
			}
			l := run(t, day, v, LoopConfig{Hub: hub, Outbox: box, State: func(s State) { states = append(states, s) }})
			// At the cap one wait is 150 s in the middle: 576 a day.
			if n := len(hub.sent); n > 750 || tc.name != "no line" && n < 400 {
				t.Errorf("%d sends in a day", n)
			}
			if last := states[len(states)-1]; last.Online || last.OfflineSince.IsZero() || last.Problem == "" {
				t.Errorf("after a day of it the screen says %+v", last)
			}
			runLoop(t, 12*time.Minute, v, l)
			if len(box.settled) != 20 {
				t.Errorf("settled %d of 20 after it", len(box.settled))
			}
			if last := states[len(states)-1]; !last.Online || last.Problem != "" || last.LastReceipt.IsZero() {
				t.Errorf("afterwards the screen says %+v", last)
			}
		})
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	v, box := &virtual{}, &fakeBox{cuts: queue(2)}
	hub := &fakeHub{}
	var refused time.Duration
	hub.send = func(c record.Cut) (Answer, error) {
		switch {
		case len(hub.sent) == 1:
			refused = v.now
			return Answer{Outcome: Later, Busy: true, After: 30 * time.Minute, Line: "busy"}, nil
		case v.now < refused+30*time.Minute:
			t.Errorf("sent again after %v", v.now-refused)
		}
		return received(c)
	}
	hub.report = func() (enroll.Orders, error) {
		if refused > 0 && v.now < refused+30*time.Minute {
			t.Errorf("a report %v after a busy hub asked for half an hour", v.now-refused)
		}
		return enroll.Orders{State: "active"}, nil
	}
	l := loopOf(t, v, LoopConfig{Hub: hub, Outbox: box})
	l.c.Sleep = func(ctx context.Context, d time.Duration, wake <-chan struct{}) {
		l.Wake() // rows come all the time
		<-l.wake
		v.sleep(ctx, min(d, time.Minute), wake)
	}
	runLoop(t, 35*time.Minute, v, l)
	if len(box.settled) != 2 {
		t.Errorf("settled %d of 2", len(box.settled))
	}
}

// After an outage a gate waits at random up to Spread before it sends.
func TestAfterAnOutageSendingIsSpread(t *testing.T) {
	var waits []time.Duration
	for seed := range int64(20) {
		v, box := &virtual{}, &fakeBox{cuts: queue(1)}
		hub := &fakeHub{}
		var back, sent time.Duration
		hub.report = func() (enroll.Orders, error) {
			if v.now < time.Hour {
				return enroll.Orders{}, &LineError{Host: "hub", Is: ErrNobody}
			}
			if back == 0 {
				back = v.now
			}
			return enroll.Orders{State: "active"}, nil
		}
		hub.send = func(c record.Cut) (Answer, error) { sent = v.now; return received(c) }
		k := seed * 7919
		run(t, 2*time.Hour, v, LoopConfig{Hub: hub, Outbox: box, Rand: func(n int64) int64 { k = k*6364136223846793005 + 1442695040888963407; return int64(uint64(k)>>1) % n }})
		if sent < back || sent > back+time.Minute {
			t.Errorf("sent %v after the line came back", sent-back)
		}
		waits = append(waits, sent-back)
	}
	slices.Sort(waits)
	if waits[4] > 30*time.Second || waits[15] < 20*time.Second {
		t.Errorf("not spread: %v", waits)
	}
}

func TestPoisonBlocksNobody(t *testing.T) {
	for _, tc := range []struct {
		outcome Outcome
		epochs  int
		why     string
	}{
		{Conflict, 1, "conflict"},
		{TooLarge, 0, "too_large"},
		{Foreign, 0, "not_your_device"},
		{Gone, 0, "gone"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			box, hub := &fakeBox{cuts: queue(4)}, &fakeHub{}
			hub.send = func(c record.Cut) (Answer, error) {
				if c.Number == 2 {
					return Answer{Outcome: tc.outcome, Line: tc.why}, nil
				}
				return received(c)
			}
			var last State
			run(t, time.Minute, &virtual{}, LoopConfig{Hub: hub, Outbox: box, State: func(s State) { last = s }})
			if len(box.settled) != 3 || !slices.Equal(box.aside, []string{tc.why}) || box.epochs != tc.epochs || last.Aside != 1 {
				t.Errorf("settled %d, aside %v, epochs %d, told %d", len(box.settled), box.aside, box.epochs, last.Aside)
			}
			if hub.reports < 2 {
				t.Error("the hub did not hear of it soon")
			}
		})
	}
}

// A day is erased when signed trust says that it is destroyed, and then only;
// trust that is not fresh is asked for anew before.
func TestADestroyedDayIsErasedOnSignedWordOnly(t *testing.T) {
	for known, want := range map[string]int{"at once": 1, "after a refresh": 1, "never": 0} {
		t.Run(known, func(t *testing.T) {
			v, box, hub := &virtual{}, &fakeBox{}, &fakeHub{}
			hub.send = func(c record.Cut) (Answer, error) {
				if c.Number < 3 {
					return Answer{Outcome: Gone}, nil
				}
				return received(c)
			}
			v.during = func() {
				if v.now > 5*time.Minute && len(box.settled)+len(box.aside) == 0 {
					box.cuts = queue(4)
				}
			}
			trusts, erased := 0, 0
			run(t, 15*time.Minute, v, LoopConfig{Hub: hub, Outbox: box, TrustInterval: time.Hour,
				Trust: func(context.Context) error { trusts++; return nil },
				Destroyed: func(_ context.Context, day string) (bool, error) {
					if known == "never" || known == "after a refresh" && trusts < 2 {
						return false, nil
					}
					erased++
					box.cuts = slices.DeleteFunc(box.cuts, func(c record.Cut) bool { return c.Number < 3 })
					return true, nil
				}})
			if erased != want || len(box.aside) != 2*(1-want) || box.epochs != 0 || len(box.settled) != 2 {
				t.Errorf("erased %d, aside %v, epochs %d, settled %d", erased, box.aside, box.epochs, len(box.settled))
			}
			if most := 2; trusts > most {
				t.Errorf("trust was asked for %d times because of two segments", trusts)
			}
		})
	}
}

func TestRevokedStopsSendingAndAsksEachHour(t *testing.T) {
	v, box, hub := &virtual{}, &fakeBox{cuts: queue(2)}, &fakeHub{}
	revoked, trusts := true, 0
	hub.send = func(c record.Cut) (Answer, error) {
		if revoked {
			return Answer{Outcome: Revoked}, nil
		}
		return received(c)
	}
	hub.report = func() (enroll.Orders, error) {
		if revoked && v.now > time.Minute {
			return enroll.Orders{}, &Refusal{Status: 403, Word: "revoked"}
		}
		return enroll.Orders{State: "active"}, nil
	}
	var last State
	l := run(t, 10*time.Hour, v, LoopConfig{Hub: hub, Outbox: box, State: func(s State) { last = s },
		Trust: func(context.Context) error { trusts++; return nil }})
	if len(hub.sent) != 1 || hub.reports < 9 || hub.reports > 12 {
		t.Errorf("%d sends and %d reports in ten hours of a revoked gate", len(hub.sent), hub.reports)
	}
	if trusts < 50 {
		t.Errorf("trust came %d times: a revoked gate goes on judging", trusts)
	}
	if last.Waiting != WaitRevoked || !strings.Contains(last.Problem, "technician") {
		t.Errorf("the screen says %+v", last)
	}
	revoked = false
	runLoop(t, 2*time.Hour, v, l)
	if len(box.settled) != 2 || last.Waiting != WaitNothing || last.Problem != "" {
		t.Errorf("let in again: settled %d, %+v", len(box.settled), last)
	}
}

func TestPendingAsksEachMinute(t *testing.T) {
	v, box, hub := &virtual{}, &fakeBox{cuts: queue(1)}, &fakeHub{send: received}
	hub.report = func() (enroll.Orders, error) {
		if v.now < 10*time.Minute {
			return enroll.Orders{State: "pending", Interval: 3600}, nil
		}
		return enroll.Orders{State: "active", Interval: 3600}, nil
	}
	var last State
	l := run(t, 9*time.Minute, v, LoopConfig{Hub: hub, Outbox: box, State: func(s State) { last = s }})
	if len(hub.sent) != 0 || last.Waiting != WaitConfirm || last.Problem == "" {
		t.Errorf("pending: %d sends, %+v", len(hub.sent), last)
	}
	if hub.reports > 10 {
		t.Errorf("%d reports in nine minutes", hub.reports)
	}
	runLoop(t, 3*time.Hour, v, l)
	if len(box.settled) != 1 || last.Waiting != WaitNothing {
		t.Errorf("confirmed: settled %d, %+v", len(box.settled), last)
	}
}

func TestTheCertificateIsRenewed(t *testing.T) {
	const life = 14 * 24 * time.Hour
	for _, tc := range []struct {
		name       string
		age        time.Duration
		untaken    bool // the hub's clock knows better
		fails      int
		wantWithin time.Duration
		wantOld    bool // over renew-expired
		wantNone   bool
	}{
		{name: "young", age: 24 * time.Hour, wantNone: true},
		{name: "a third of its life is over", age: life/3 + time.Minute, wantWithin: time.Minute},
		{name: "the first try fails", age: life/3 + time.Minute, fails: 3, wantWithin: 20 * time.Minute},
		{name: "past its end", age: life + time.Hour, wantWithin: time.Minute, wantOld: true},
		{name: "past its end by the hub's clock", age: time.Hour, untaken: true, wantWithin: time.Minute, wantOld: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, box, hub := &virtual{}, &fakeBox{cuts: queue(1)}, &fakeHub{}
			from := epochStart.Add(-tc.age)
			var renewed time.Duration
			var old bool
			stale := func() bool { return tc.untaken && renewed == 0 || v.clockPast(from.Add(life)) }
			hub.report = func() (enroll.Orders, error) {
				if stale() {
					return enroll.Orders{}, &LineError{Host: "hub", Is: ErrNotTaken}
				}
				return enroll.Orders{State: "active"}, nil
			}
			hub.send = func(c record.Cut) (Answer, error) {
				if stale() {
					t.Error("sent with a certificate that is not taken")
				}
				return received(c)
			}
			run(t, time.Hour, v, LoopConfig{Hub: hub, Outbox: box,
				Lifetime: func() (time.Time, time.Time, bool) { return from, from.Add(life), true },
				Renew: func(_ context.Context, expired bool) error {
					if tc.fails--; tc.fails >= 0 {
						return &Refusal{Status: 500}
					}
					renewed, old = v.now, expired
					from, _ = v.clock()
					return nil
				}})
			switch {
			case tc.wantNone:
				if renewed != 0 {
					t.Errorf("renewed after %v", renewed)
				}
			case renewed == 0 || renewed > tc.wantWithin || old != tc.wantOld:
				t.Errorf("renewed after %v, expired %v", renewed, old)
			}
			if len(box.settled) != 1 {
				t.Error("what waited did not go")
			}
		})
	}
}

func (v *virtual) clockPast(t time.Time) bool { now, _ := v.clock(); return now.After(t) }

func TestTrustComesDownThoughTheCertificateDoesNotHold(t *testing.T) {
	v, hub := &virtual{}, &fakeHub{send: received}
	hub.report = func() (enroll.Orders, error) { return enroll.Orders{}, &LineError{Host: "hub", Is: ErrNotTaken} }
	trusts := 0
	var last State
	run(t, time.Hour, v, LoopConfig{Hub: hub, Outbox: &fakeBox{cuts: queue(1)}, State: func(s State) { last = s },
		Trust: func(context.Context) error { trusts++; return nil },
		Renew: func(context.Context, bool) error { return &Refusal{Status: 403, Word: "too_old"} }})
	if trusts < 5 || len(hub.sent) != 0 || last.Waiting != WaitCertificate {
		t.Errorf("trust %d times, %d sends, %+v", trusts, len(hub.sent), last)
	}
}

func TestATrustFileTooLargeForTheLineKeepsNoRecordsBack(t *testing.T) {
	v, box, hub := &virtual{}, &fakeBox{cuts: queue(3)}, &fakeHub{send: received}
	run(t, time.Hour, v, LoopConfig{Hub: hub, Outbox: box,
		Trust: func(context.Context) error { v.pass(3 * time.Minute); return &LineError{Host: "hub", Is: ErrTimeout} }})
	if len(box.settled) != 3 {
		t.Errorf("settled %d of 3", len(box.settled))
	}
}

func TestAStoreThatFailsIsTriedAgainAndToldOf(t *testing.T) {
	v, box, hub := &virtual{}, &fakeBox{cuts: queue(2), err: errors.New("disk is full")}, &fakeHub{send: received}
	var states []State
	l := run(t, 10*time.Minute, v, LoopConfig{Hub: hub, Outbox: box, State: func(s State) { states = append(states, s) }})
	if last := states[len(states)-1]; !last.Online || !strings.Contains(last.Problem, "disk is full") {
		t.Errorf("the screen says %+v", last)
	}
	if len(v.sleeps) > 60 {
		t.Errorf("%d rounds in ten minutes", len(v.sleeps))
	}
	box.err = nil
	runLoop(t, 6*time.Minute, v, l)
	if len(box.settled) != 2 || states[len(states)-1].Problem != "" {
		t.Errorf("settled %d, %+v", len(box.settled), states[len(states)-1])
	}
}

// lossyBox cannot make its second segment again.
type lossyBox struct{ fakeBox }

func (b *lossyBox) NextCut(ctx context.Context, all bool) (record.Cut, bool, error) {
	c, found, err := b.fakeBox.NextCut(ctx, all)
	if found && c.Number == 2 {
		return record.Cut{SegmentKey: c.SegmentKey}, true, fmt.Errorf("segment 2: %w", ErrLost)
	}
	return c, found, err
}

func TestASegmentThatCannotBeMadeAgainBlocksNobody(t *testing.T) {
	box, hub := &lossyBox{fakeBox{cuts: queue(3)}}, &fakeHub{send: received}
	run(t, time.Minute, &virtual{}, LoopConfig{Hub: hub, Outbox: box})
	if len(box.settled) != 2 || !slices.Equal(box.aside, []string{"damaged"}) || box.epochs != 0 {
		t.Errorf("settled %d, aside %v", len(box.settled), box.aside)
	}
}

// A hub older than the gate cannot read its segments, and hears its reports.
func TestAnOldHubHearsReportsAllTheSame(t *testing.T) {
	box, hub := &fakeBox{cuts: queue(1)}, &fakeHub{}
	hub.send = func(c record.Cut) (Answer, error) {
		return classify(answer{status: 503, body: []byte(`{"error":"newer_form","detail":"bring the hub up to date"}`), header: http.Header{"Retry-After": {"300"}}}, c, nil), nil
	}
	var last State
	run(t, time.Hour, &virtual{}, LoopConfig{Hub: hub, Outbox: box, State: func(s State) { last = s }})
	if hub.reports < 55 || len(hub.sent) > 13 || last.Online || !strings.Contains(last.Problem, "up to date") {
		t.Errorf("%d reports, %d sends, %+v", hub.reports, len(hub.sent), last)
	}
}

// An outbox that gives a settled segment again must not make a loop that turns
// on the spot.
type foolishBox struct{ fakeBox }

func (b *foolishBox) Settle(context.Context, record.Receipt, []byte) error { return nil }

func TestASettledSegmentThatComesAgainIsNotSentInCircles(t *testing.T) {
	hub := &fakeHub{send: received}
	var last State
	run(t, time.Hour, &virtual{}, LoopConfig{Hub: hub, Outbox: &foolishBox{fakeBox{cuts: queue(1)}}, State: func(s State) { last = s }})
	if len(hub.sent) != 1 || !strings.Contains(last.Problem, "segment 1") {
		t.Errorf("sent %d times, %+v", len(hub.sent), last)
	}
}

func TestHeldDownNothingGoesAndLetUpItGoesAtOnce(t *testing.T) {
	v, box, hub := &virtual{}, &fakeBox{cuts: queue(3)}, &fakeHub{send: received}
	var last State
	l := loopOf(t, v, LoopConfig{Hub: hub, Outbox: box, State: func(s State) { last = s }})
	l.Set(false)
	runLoop(t, time.Hour, v, l)
	if hub.reports != 0 || len(hub.sent) != 0 || !last.Held || last.Online || last.OfflineSince.IsZero() {
		t.Errorf("held: %d reports, %d sends, %+v", hub.reports, len(hub.sent), last)
	}
	l.Set(true)
	runLoop(t, 10*time.Second, v, l)
	if len(box.settled) != 3 || last.Held || !last.Online {
		t.Errorf("let up: settled %d, %+v", len(box.settled), last)
	}
}

// Holding the line down ends a request that is under way, and is no failure.
func TestHoldingEndsWhatIsUnderWay(t *testing.T) {
	v, box, hub := &virtual{}, &fakeBox{cuts: queue(1)}, &fakeHub{}
	l := loopOf(t, v, LoopConfig{Hub: waiting{hub}, Outbox: box})
	hub.send = func(record.Cut) (Answer, error) { l.Set(false); return Answer{}, nil }
	var states []State
	l.c.State = func(s State) { states = append(states, s) }
	runLoop(t, time.Hour, v, l)
	if last := states[len(states)-1]; !last.Held || last.Problem != "" || len(hub.sent) != 1 {
		t.Errorf("%d sends, %+v", len(hub.sent), last)
	}
}

// waiting is a hub whose answer never comes.
type waiting struct{ *fakeHub }

func (w waiting) Send(ctx context.Context, c record.Cut) (Answer, error) {
	_, _ = w.fakeHub.Send(ctx, c)
	<-ctx.Done()
	return Answer{}, ctx.Err()
}

func TestOrdersSetTheInterval(t *testing.T) {
	v, hub := &virtual{}, &fakeHub{send: received}
	interval := 0
	hub.report = func() (enroll.Orders, error) { return enroll.Orders{State: "active", Interval: interval}, nil }
	var heard []enroll.Orders
	c := LoopConfig{Hub: hub, Outbox: &fakeBox{}, Orders: func(_ context.Context, o enroll.Orders) error { heard = append(heard, o); return nil }}
	for _, tc := range []struct{ seconds, least, most int }{{0, 59, 61}, {-5, 59, 61}, {600, 6, 8}, {1 << 30, 1, 2}} {
		interval, hub.reports = tc.seconds, 0
		run(t, time.Hour, v, c)
		if hub.reports < tc.least || hub.reports > tc.most {
			t.Errorf("interval %d: %d reports in an hour", tc.seconds, hub.reports)
		}
	}
	if len(heard) == 0 {
		t.Error("nobody heard the orders")
	}
}

func TestTheHubsTimeComesFromReceiptsAlone(t *testing.T) {
	var times []int64
	hub := &fakeHub{send: received, report: func() (enroll.Orders, error) {
		return enroll.Orders{State: "active", Time: time.Unix(1<<40, 0)}, nil
	}}
	run(t, time.Minute, &virtual{}, LoopConfig{Hub: hub, Outbox: &fakeBox{cuts: queue(2)}, HubTime: func(ms int64) { times = append(times, ms) }})
	if !slices.Equal(times, []int64{1, 1}) {
		t.Errorf("times %v", times)
	}
}

func TestAGateThatIsNotEnrolledFetchesTrustOnly(t *testing.T) {
	hub, trusts := &fakeHub{send: received}, 0
	var last State
	run(t, time.Hour, &virtual{}, LoopConfig{Hub: hub, Outbox: &fakeBox{cuts: queue(1)}, State: func(s State) { last = s },
		Lifetime: func() (a, b time.Time, ok bool) { return }, Trust: func(context.Context) error { trusts++; return nil }})
	if hub.reports != 0 || len(hub.sent) != 0 || trusts < 5 || last.Waiting != WaitEnrol {
		t.Errorf("%d reports, %d sends, trust %d times, %+v", hub.reports, len(hub.sent), trusts, last)
	}
}

// Run in real time ends when its context does, from any wait.
func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	published := make(chan State, 10)
	l, err := NewLoop(LoopConfig{Hub: &fakeHub{send: received}, Outbox: &fakeBox{}, Start: -1,
		Clock:  func() (time.Time, bool) { return epochStart, true },
		Report: func(context.Context) (enroll.Report, error) { return enroll.Report{}, nil },
		State:  func(s State) { published <- s }})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	for s := range published {
		if s.Online {
			break
		}
	}
	why := errors.New("the gate stops")
	cancel(why)
	if err := <-done; err != why {
		t.Errorf("Run = %v", err)
	}
}
