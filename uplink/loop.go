package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"checkpoint/enroll"
	"checkpoint/record"
)

// Hub is where a loop sends; Client is one.
type Hub interface {
	Send(ctx context.Context, cut record.Cut) (Answer, error)
	Report(ctx context.Context, r enroll.Report) (enroll.Orders, error)
}

// Outbox is where segments wait.
type Outbox interface {
	// NextCut gives the oldest segment that is neither settled nor set aside;
	// false when there is none. With all, also the unfinished tail. The same
	// segment has the same bytes each time; one whose bytes cannot be had any more
	// comes without them, beside ErrLost, and is set aside.
	NextCut(ctx context.Context, all bool) (record.Cut, bool, error)
	// Settle keeps a receipt, or signed refusal, that holds and covers its cut.
	Settle(ctx context.Context, r record.Receipt, raw []byte) error
	// SetAside keeps a segment and skips it from now on.
	SetAside(ctx context.Context, c record.Cut, why string, newEpoch bool) error
}

// ErrLost: a segment that an outbox cannot make again.
var ErrLost = errors.New("the bytes that were signed cannot be made again")

// LoopConfig is what a Loop needs: the first four must be there; other functions
// that are nil are not called. All are called from Run's goroutine, one at a
// time. Errors of the client that they return are to be wrapped, not hidden.
type LoopConfig struct {
	Hub    Hub
	Outbox Outbox
	Clock  func() (now time.Time, ok bool)                  // the guarded clock
	Report func(ctx context.Context) (enroll.Report, error) // how the gate is

	Orders    func(ctx context.Context, o enroll.Orders) error             // what the hub wants of it; its time is not signed
	Trust     func(ctx context.Context) error                              // refreshes trust from the hub
	Lifetime  func() (from, until time.Time, ok bool)                      // of the gate's certificate; not ok: not enrolled
	Renew     func(ctx context.Context, expired bool) error                // gets and keeps a new certificate
	Destroyed func(ctx context.Context, day string) (erased bool, e error) // signed trust says that the day is destroyed, and its rows are erased now
	HubTime   func(ms int64)                                               // from receipts that hold: the hub's clock, UTC Unix ms
	State     func(State)                                                  // when it changed
	Log       *slog.Logger

	Interval      time.Duration // upload interval until the hub names one; 1 min
	TrustInterval time.Duration // 10 min
	Start         time.Duration // the first try comes at random within it; 5 s, negative: at once
	Spread        time.Duration // after an outage longer than this, sending begins at random within it; 60 s, negative: at once

	Now   func() time.Duration                                             // monotonic; nil: this machine's
	Sleep func(ctx context.Context, d time.Duration, wake <-chan struct{}) // until d is over, something comes on wake, or ctx ends; nil: in real time
	Rand  func(n int64) int64                                              // uniform in [0, n); nil: math/rand/v2
}

// The loop's own times.
const (
	askPending = time.Minute // a technician is about to compare the word
	askRevoked = time.Hour
	longest    = 15 * time.Minute // between two looks at what is due
	maxOrder   = 24 * time.Hour   // the longest upload interval that is taken from a hub
	soon       = 10 * time.Second // until the hub hears of something new
	freshTrust = time.Minute      // younger, and trust is not asked for again because of one segment
)

// Loop sends what waits and fetches what is new, until its context ends.
type Loop struct {
	c    LoopConfig
	wake chan struct{}

	mu     sync.Mutex
	held   bool
	cancel context.CancelFunc // of the step under way

	// All below is Run's alone.
	state    State
	told     State // as published last
	problems [troubles]string
	interval time.Duration
	lineUp   bool          // the last that went got an answer
	fails    int           // of the line, in a row
	downAt   time.Duration // when the line went down
	retryAt  time.Duration // nothing goes before it
	restAt   time.Duration // after an outage: no segments and no trust before it
	tailAt   time.Duration // the unfinished segment does not go before it
	report   task
	trust    task
	renew    task
	sending  task              // after an answer to a segment that settles nothing
	outbox   task              // after a fault of the store
	asked    time.Duration     // while waiting: when the last asking was
	fetched  time.Duration     // when trust was asked for last
	last     record.SegmentKey // what was settled or set aside last
}

// task is something that comes again and again.
type task struct {
	at    time.Duration // not before
	fails int           // in a row
	ill   bool          // the hub answered, and not as it should
}

// NewLoop makes a loop; Run starts it.
func NewLoop(c LoopConfig) (*Loop, error) {
	if c.Hub == nil || c.Outbox == nil || c.Clock == nil || c.Report == nil {
		return nil, errors.New("uplink: Hub, Outbox, Clock and Report are needed")
	}
	for _, d := range []struct {
		of *time.Duration
		is time.Duration
	}{{&c.Interval, time.Minute}, {&c.TrustInterval, 10 * time.Minute}, {&c.Start, 5 * time.Second}, {&c.Spread, time.Minute}} {
		if *d.of == 0 {
			*d.of = d.is
		}
	}
	if c.Now == nil {
		began := time.Now()
		c.Now = func() time.Duration { return time.Since(began) }
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	if c.Rand == nil {
		c.Rand = rand.Int64N
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Loop{c: c, wake: make(chan struct{}, 1), interval: c.Interval}, nil
}

func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// Wake says that something may wait now. It does not block, and does not
// shorten a wait after a failure.
func (l *Loop) Wake() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Set(false) holds the line down on purpose, and ends what is under way;
// Set(true) lets it up again, at once.
func (l *Loop) Set(online bool) {
	l.mu.Lock()
	l.held = !online
	if l.held && l.cancel != nil {
		l.cancel()
	}
	l.mu.Unlock()
	l.Wake()
}

// Run works until ctx ends, and returns its cause. It has no goroutine left
// when it returns.
func (l *Loop) Run(ctx context.Context) error {
	now := l.c.Now()
	l.downAt, l.retryAt = now, now+l.within(l.c.Start)
	l.report.at, l.tailAt = l.retryAt, l.retryAt // what an earlier run left goes now
	l.fetched = now - freshTrust
	l.state.OfflineSince, _ = l.c.Clock()
	l.told.Online = true // so that the first state is another
	l.publish()
	for ctx.Err() == nil {
		wait := l.once(ctx)
		if ctx.Err() == nil && wait > 0 {
			l.c.Sleep(ctx, wait, l.wake)
		}
	}
	return context.Cause(ctx)
}

// once does what is due, if the line is not held down, and says how long
// nothing will be.
func (l *Loop) once(outer context.Context) time.Duration {
	ctx, cancel := context.WithCancel(outer)
	defer cancel()
	l.mu.Lock()
	held := l.held
	if !held {
		l.cancel = cancel
	}
	l.mu.Unlock()

	wait := longest
	if held {
		l.hold()
	} else {
		l.release()
		wait = l.step(ctx)
	}
	l.mu.Lock()
	l.cancel = nil
	if l.held && !held {
		wait = 0 // it went down in the middle: say so
	}
	l.mu.Unlock()
	l.publish()
	return wait
}

func (l *Loop) hold() {
	if l.state.Held {
		return
	}
	l.state.Held, l.lineUp = true, false
	l.problem(ofLine, "")
	l.judge()
}

// release begins anew at once: a person did it, and watches.
func (l *Loop) release() {
	if !l.state.Held {
		return
	}
	now := l.c.Now()
	l.state.Held = false
	l.fails, l.retryAt, l.restAt, l.downAt, l.tailAt = 0, now, now, now, now
	l.report, l.trust.at, l.sending = task{at: now}, min(l.trust.at, now), task{}
}

// step does what is due, in order, until the line goes down.
func (l *Loop) step(ctx context.Context) time.Duration {
	if wait := l.retryAt - l.c.Now(); wait > 0 {
		return wait
	}
	switch enrolled := l.enrolled(); {
	case !enrolled:
		l.wait(WaitEnrol)
	case l.state.Waiting == WaitEnrol:
		l.wait(WaitNothing)
	}
	if l.expired() {
		l.renewal(ctx, true) // without it nothing but trust gets through
	}
	for _, do := range []func(context.Context){l.reporting, l.refresh, l.renewing, l.drain} {
		if ctx.Err() != nil || l.retryAt > l.c.Now() {
			break
		}
		do(ctx)
		l.publish()
	}
	return l.idle()
}

// idle is how long nothing is due.
func (l *Loop) idle() time.Duration {
	now := l.c.Now()
	if l.retryAt > now {
		return l.retryAt - now
	}
	next := now + longest
	if l.state.Waiting != WaitEnrol {
		next = min(next, l.reportAt())
	}
	if l.c.Trust != nil {
		next = min(next, max(l.trust.at, l.restAt))
	}
	if l.renew.at > now && l.renewable() {
		next = min(next, l.renew.at)
	}
	if l.state.Waiting == WaitNothing {
		free := l.drainAt()
		next = min(next, max(l.tailAt, free))
		if free > now {
			next = min(next, free) // complete segments wait for it, too
		}
	}
	return max(next-now, time.Millisecond)
}

// reportAt is when the next report goes. One who waits asks by it.
func (l *Loop) reportAt() time.Duration {
	switch l.state.Waiting {
	case WaitConfirm, WaitCertificate:
		return max(l.report.at, l.asked+askPending)
	case WaitRevoked:
		return max(l.report.at, l.asked+askRevoked)
	}
	return l.report.at
}

// reporting tells the hub how the gate is, if it is time.
func (l *Loop) reporting(ctx context.Context) {
	if l.state.Waiting == WaitEnrol || l.c.Now() < l.reportAt() {
		return
	}
	report, err := l.c.Report(ctx)
	if err != nil {
		l.failed(ctx, &l.report, ofReport, err)
		return
	}
	l.asked = l.c.Now()
	orders, err := l.c.Hub.Report(ctx, report)
	if err != nil {
		l.failed(ctx, &l.report, ofReport, err)
		return
	}
	l.done(&l.report, ofReport, l.interval)
	l.reached()
	if l.state.Waiting == WaitCertificate {
		l.wait(WaitNothing)
	}
	l.obey(ctx, orders)
}

// obey takes what the hub wants.
func (l *Loop) obey(ctx context.Context, o enroll.Orders) {
	if o.Interval > 0 {
		l.interval = time.Duration(min(o.Interval, int(maxOrder/time.Second))) * time.Second
		l.report.at = l.c.Now() + l.interval
		l.tailAt = min(l.tailAt, l.report.at)
	}
	switch o.State {
	case "active":
		l.wait(WaitNothing)
	case "pending":
		l.wait(WaitConfirm)
	case "revoked":
		l.wait(WaitRevoked)
	}
	if l.c.Orders == nil {
		return
	}
	if err := l.c.Orders(ctx, o); err != nil && ctx.Err() == nil {
		l.problem(ofReport, err.Error())
	}
}

// refresh brings trust down, if it is time. It needs no certificate: a gate
// that is pending or revoked goes on judging by fresh lists.
func (l *Loop) refresh(ctx context.Context) {
	if l.c.Trust != nil && l.c.Now() >= max(l.trust.at, l.restAt) {
		l.fetch(ctx)
	}
}

func (l *Loop) fetch(ctx context.Context) {
	l.fetched = l.c.Now()
	err := l.c.Trust(ctx)
	var line *LineError
	switch {
	case err == nil:
		l.done(&l.trust, ofTrust, l.c.TrustInterval)
		l.reached()
	case errors.As(err, &line) && l.state.Waiting == WaitNothing && ctx.Err() == nil:
		// A file may be too large for a thin line that carries all else: let the
		// next report say whether the line is down, and let trust wait.
		l.again(&l.trust, ofTrust, err.Error())
		l.report.at = min(l.report.at, l.c.Now())
	default:
		l.failed(ctx, &l.trust, ofTrust, err)
	}
}

func (l *Loop) enrolled() bool {
	if l.c.Lifetime == nil {
		return true
	}
	_, _, ok := l.c.Lifetime()
	return ok
}

func (l *Loop) renewable() bool {
	return l.c.Renew != nil && l.c.Lifetime != nil && l.enrolled() && l.state.Waiting != WaitRevoked
}

// expired says whether the certificate is surely past its end. An estimated
// clock is never ahead, so what it says is past is past.
func (l *Loop) expired() bool {
	if l.c.Renew == nil || l.c.Lifetime == nil {
		return false
	}
	_, until, ok := l.c.Lifetime()
	now, _ := l.c.Clock()
	return ok && now.After(until)
}

// renewing renews the certificate from a third of its life on.
func (l *Loop) renewing(ctx context.Context) {
	if !l.renewable() {
		return
	}
	from, until, _ := l.c.Lifetime()
	if now, _ := l.c.Clock(); now.Sub(from) >= until.Sub(from)/3 {
		l.renewal(ctx, l.expired())
	}
}

func (l *Loop) renewal(ctx context.Context, expired bool) {
	if l.c.Now() < l.renew.at || l.state.Waiting == WaitRevoked && l.c.Now() < l.asked+askRevoked {
		return
	}
	if expired {
		l.asked = l.c.Now()
	}
	if err := l.c.Renew(ctx, expired); err != nil {
		l.failed(ctx, &l.renew, ofRenewal, err)
		return
	}
	l.done(&l.renew, ofRenewal, longest)
	l.c.Log.Info("certificate renewed", "expired", expired)
	l.reached()
	if l.state.Waiting == WaitRevoked || l.state.Waiting == WaitCertificate {
		l.wait(WaitNothing)
		l.report.at = l.c.Now()
	}
}

// untaken: the hub does not take the certificate, so perhaps it is past its
// end, and this clock has not noticed. Trust comes down all the same.
func (l *Loop) untaken(ctx context.Context) {
	l.reached()
	l.wait(WaitCertificate)
	if l.c.Renew != nil {
		l.renewal(ctx, true)
	}
}

// drainAt is when segments may go.
func (l *Loop) drainAt() time.Duration {
	return max(l.retryAt, l.restAt, l.sending.at, l.outbox.at)
}

// drain sends what waits, oldest first, until nothing does.
func (l *Loop) drain(ctx context.Context) {
	for ctx.Err() == nil && l.state.Waiting == WaitNothing && l.c.Now() >= l.drainAt() {
		cut, found, err := l.next(ctx)
		if err == nil && found && cut.SegmentKey == l.last {
			err = fmt.Errorf("segment %d is done, and waits again", cut.Number) // never in circles
		}
		if found && errors.Is(err, ErrLost) {
			l.setAside(ctx, cut, "damaged", false)
			continue
		}
		if err != nil {
			l.stuck(ctx, err)
			return
		}
		l.problem(ofOutbox, "")
		if !found {
			return
		}
		l.send(ctx, cut)
		l.publish()
		if l.c.Now() >= l.reportAt() {
			return // a long queue: report, and come back
		}
	}
}

// next gives the oldest segment; the unfinished tail once an interval.
func (l *Loop) next(ctx context.Context) (record.Cut, bool, error) {
	cut, found, err := l.c.Outbox.NextCut(ctx, false)
	if err != nil || found || l.c.Now() < l.tailAt {
		return cut, found, err
	}
	if cut, found, err = l.c.Outbox.NextCut(ctx, true); err == nil {
		l.tailAt = l.c.Now() + l.interval
	}
	return cut, found, err
}

func (l *Loop) send(ctx context.Context, cut record.Cut) {
	a, err := l.c.Hub.Send(ctx, cut)
	if err != nil {
		l.failed(ctx, &l.sending, ofSending, err)
		return
	}
	if a.Outcome != Later && a.Outcome != Garbage {
		l.done(&l.sending, ofSending, 0)
		l.reached()
	}
	switch a.Outcome {
	case Received, Refused:
		l.settle(ctx, cut, a)
	case Conflict:
		l.setAside(ctx, cut, a.Outcome.String(), true)
	case TooLarge, Foreign:
		l.setAside(ctx, cut, a.Outcome.String(), false)
	case Gone:
		l.gone(ctx, cut, a)
	case Pending:
		l.wait(WaitConfirm)
	case Revoked:
		l.wait(WaitRevoked)
	default: // Later, Garbage
		if a.Stale {
			l.trust.at = min(l.trust.at, max(l.c.Now(), l.fetched+freshTrust))
		}
		l.notNow(a)
	}
}

// notNow: an answer to a segment that settles nothing. A hub that is busy is so
// for everything; one that cannot take segments may hear reports all the same,
// and a report that is heard must not make the segments come faster.
func (l *Loop) notNow(a Answer) {
	if a.Busy {
		l.down(a.Line, a.After)
		return
	}
	l.again(&l.sending, ofSending, a.Line)
	l.sending.at += a.After
	l.sending.ill = true
	l.reached()
}

func (l *Loop) settle(ctx context.Context, cut record.Cut, a Answer) {
	if err := l.c.Outbox.Settle(ctx, a.Receipt, a.Raw); err != nil {
		l.stuck(ctx, err)
		return
	}
	l.finish(cut)
	l.state.LastReceipt, _ = l.c.Clock()
	if l.c.HubTime != nil {
		l.c.HubTime(a.Receipt.TimeMS)
	}
	if a.Outcome == Refused {
		l.c.Log.Warn("segment refused for good", "number", cut.Number, "reason", int(a.Receipt.Reason))
		l.reportSoon()
	}
}

func (l *Loop) setAside(ctx context.Context, cut record.Cut, why string, newEpoch bool) {
	if err := l.c.Outbox.SetAside(ctx, cut, why, newEpoch); err != nil {
		l.stuck(ctx, err)
		return
	}
	l.finish(cut)
	l.state.Aside++
	l.reportSoon()
	l.c.Log.Warn("segment set aside", "number", cut.Number, "why", why, "new_epoch", newEpoch)
}

// gone: a hub says that the day of a segment was destroyed. Signed trust
// decides, the newest there is.
func (l *Loop) gone(ctx context.Context, cut record.Cut, a Answer) {
	erased, err := l.destroyed(ctx, cut.Day)
	if err == nil && !erased && l.c.Trust != nil && l.c.Now() >= l.fetched+freshTrust {
		l.fetch(ctx)
		erased, err = l.destroyed(ctx, cut.Day)
	}
	switch {
	case err != nil:
		l.stuck(ctx, err)
	case erased:
		l.finish(cut)
		l.c.Log.Info("rows of a destroyed day erased", "number", cut.Number)
	case ctx.Err() == nil:
		l.setAside(ctx, cut, a.Outcome.String(), false)
	}
}

func (l *Loop) destroyed(ctx context.Context, day string) (bool, error) {
	if l.c.Destroyed == nil {
		return false, nil
	}
	return l.c.Destroyed(ctx, day)
}

// finish: a segment is out of the way.
func (l *Loop) finish(cut record.Cut) {
	l.last = cut.SegmentKey
	l.outbox.fails = 0
}

// reportSoon lets the hub's people hear of what happened, once for a run of it.
func (l *Loop) reportSoon() { l.report.at = min(l.report.at, l.c.Now()+soon) }

// failed sorts the failure of a task: of the line, of the hub's will, or its
// own.
func (l *Loop) failed(ctx context.Context, t *task, of trouble, err error) {
	if ctx.Err() != nil {
		return // stopped, or held down: nobody's fault
	}
	var line *LineError
	var no *Refusal
	refused := errors.As(err, &no)
	switch {
	case errors.Is(err, ErrNotTaken) && t != &l.renew:
		l.untaken(ctx)
	case errors.As(err, &line):
		l.down(err.Error(), 0)
	case refused && no.Status == http.StatusForbidden && no.Word == "pending":
		l.reached()
		l.wait(WaitConfirm)
	case refused && (no.Status == http.StatusUnauthorized || no.Status == http.StatusForbidden && no.Word == "revoked"):
		l.reached()
		l.wait(WaitRevoked)
	case refused && (no.Status == http.StatusTooManyRequests || no.Status == http.StatusServiceUnavailable):
		l.down(err.Error(), no.RetryAfter)
	default:
		l.again(t, of, err.Error())
		t.ill = refused
		l.judge()
	}
}

// done: a task went well and comes again.
func (l *Loop) done(t *task, of trouble, in time.Duration) {
	*t = task{at: l.c.Now() + in}
	l.problem(of, "")
}

// again: a task failed by itself, the line is not to blame.
func (l *Loop) again(t *task, of trouble, line string) {
	t.fails++
	t.at = l.c.Now() + fullJitter(t.fails, l.c.Rand)
	l.problem(of, line)
}

// stuck: the store failed. Nothing is sent until it works.
func (l *Loop) stuck(ctx context.Context, err error) {
	if ctx.Err() == nil {
		l.again(&l.outbox, ofOutbox, "segments cannot be read or marked: "+err.Error())
	}
}

// reached: the hub answered.
func (l *Loop) reached() {
	l.lineUp, l.fails = true, 0
	l.problem(ofLine, "")
	l.judge()
}

// down: no answer, or one that says not now. All waits, at least as long as the
// hub asks, and then some, at random.
func (l *Loop) down(line string, after time.Duration) {
	l.lineUp = false
	l.fails++
	now := l.c.Now()
	l.retryAt = now + after + fullJitter(l.fails, l.c.Rand)
	l.report.at = min(l.report.at, now) // the lightest question first
	l.problem(ofLine, line)
	l.judge()
}

// judge says whether the gate is online: it reaches a hub that is well.
func (l *Loop) judge() {
	online := l.lineUp && !l.report.ill && !l.sending.ill
	if online == l.state.Online {
		return
	}
	now := l.c.Now()
	l.state.Online = online
	if !online {
		l.downAt = now
		l.state.OfflineSince, _ = l.c.Clock()
		l.c.Log.Warn("hub not reached")
		return
	}
	if out := now - l.downAt; l.c.Spread > 0 && out > l.c.Spread {
		// Every gate of the city sees this moment: do not empty all queues in it.
		l.restAt = now + l.within(l.c.Spread)
	}
	l.state.OfflineSince = time.Time{}
	l.c.Log.Info("hub reached")
}

// wait says what keeps the gate from sending, or that nothing does.
func (l *Loop) wait(what Waiting) {
	if l.state.Waiting == what {
		return
	}
	l.state.Waiting = what
	l.asked = l.c.Now()
	l.problem(ofWaiting, what.line())
	l.c.Log.Info("uplink waits", "for", string(what))
}

func (l *Loop) problem(of trouble, line string) { l.problems[of] = line }

// publish tells the state if it is another than it was told last.
func (l *Loop) publish() {
	l.state.Problem = ""
	for _, p := range l.problems {
		if p != "" {
			l.state.Problem = p
			break
		}
	}
	if l.state == l.told {
		return
	}
	l.told = l.state
	if l.c.State != nil {
		l.c.State(l.state)
	}
}

func (l *Loop) within(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(l.c.Rand(int64(d)))
}
