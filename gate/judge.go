package gate

import (
	"errors"
	"time"

	"checkpoint/record"
	"checkpoint/tui/look/clean"
	"checkpoint/verify"
)

// look takes in what a source saw: the coach's hint, who is in view, and of
// the codes at most one that is new.
func (g *Gate) look(l look) {
	if l.ended || l.lost {
		g.away(l)
		return
	}
	if _, was := g.lost[l.source]; was {
		delete(g.lost, l.source)
		g.note(record.Event{Code: record.EventMended, Value: int64(verify.NoCamera)})
		g.beat()
	}
	if l.picture {
		if g.ended.Frames++; g.ended.Frames == 1 {
			g.beat() // the screen need not wait a second to know
		}
		shown, read := g.people.sees(l.presentation, l.whole, len(l.codes) > 0)
		g.ended.Shown += shown
		g.ended.Read += read
	}
	if l.broken {
		g.faults.scanner++
		g.cfg.Log.Error("a fault in the decoder cost a frame", "faults", g.faults.scanner)
	}

	_, _, mono := g.now()
	var fresh *sight
	held, waits := false, false
	for i := range l.codes {
		c := &l.codes[i]
		switch {
		case g.mem.sees(c.text, mono):
			held = true
		case fresh == nil || c.px > fresh.px:
			fresh = c
		}
	}
	switch {
	case fresh == nil || g.pending != nil || g.barred():
	case g.card.leaves == ByKey:
		waits = true
	case held && g.card.on && mono.Sub(g.card.since) < besides:
		// Two people's codes in one view: the first verdict stands long enough
		// to be seen before the second takes its place.
	default:
		g.judge(l, fresh.text)
	}
	if l.picture || waits {
		g.hint = Coached{Hint: l.hint, FinishFirst: waits}
	}
}

// besides is how long a card stands while its own code and another are both in
// view.
const besides = time.Second

// away notes a source that is lost for now or has ended.
func (g *Gate) away(l look) {
	if l.ended {
		g.eyes--
		delete(g.lost, l.source)
		if l.fault != nil {
			g.broke = errors.Join(g.broke, l.fault)
			g.cfg.Log.Error("a source ended", "error", l.fault)
		}
		return
	}
	if _, was := g.lost[l.source]; !was {
		g.note(record.Event{Code: record.EventDevice, Value: int64(verify.NoCamera)})
	}
	g.lost[l.source] = clean.Bounded(l.why, maxWhy)
	g.cfg.Log.Warn("source lost", "source", l.source, "why", g.lost[l.source])
	g.beat()
}

// maxWhy bounds what is said of a lost source, in graphemes: a device names
// itself.
const maxWhy = 120

// judge gives a text its verdict and begins to record it.
func (g *Gate) judge(l look, text []byte) {
	at, stamp, mono := g.now()
	start := time.Now()
	v := g.check(text, at)
	took := time.Since(start)
	policy := g.policy(at)

	if g.mem.renews(text, v.ID, v.Name, mono) {
		return
	}
	if wouldAdmit(v) && !policy.TwoWay && g.mem.used(v.ID, policy.ReplayWindow(), mono) {
		v.Name, v.Reason, v.Under, v.IDWhy = verify.Refresh, verify.AlreadyUsed, 0, verify.IDNone
		v.Person, v.Subject = verify.Person{}, nil
	}
	g.mem.holds(text, v.ID, v.Name, mono)
	if v.Name == verify.NoCheck {
		return
	}
	g.vote(v, at)

	j := Judged{
		Verdict: v, Leaves: leavesBy(v.Name), ReadMS: ms(l.read), CheckMS: ms(took),
		DurableMS: -1, ViewToVerdictMS: -1, Presentation: l.presentation,
	}
	from := l.captured
	if !l.whole.IsZero() {
		from = l.whole
		if g.answered.After(from) {
			from = g.answered // until then the person waited for the guard, not for the gate
		}
	}
	g.record(j, stamp, from)
}

func wouldAdmit(v verify.Verdict) bool {
	return v.Name == verify.Pass || v.Name == verify.PassGold || v.Name == verify.CheckID
}

// check judges; a panic is a device fault, never a pass, and the gate goes on.
func (g *Gate) check(text []byte, at verify.Instant) (v verify.Verdict) {
	defer func() {
		if recover() != nil {
			g.faults.checker++
			g.cfg.Log.Error("a fault while judging a code", "faults", g.faults.checker)
			v = verify.Verdict{Name: verify.Device, Reason: verify.Internal}
		}
	}()
	return g.trust.Checker.Check(text, at)
}

// vote lets a native code that is good in everything but the clock help a gate
// that does not know the time.
func (g *Gate) vote(v verify.Verdict, at verify.Instant) {
	if v.Format != verify.FormatNative || v.Signature != verify.SignatureValid || !wouldAdmit(v) {
		return
	}
	if g.cfg.Clock.Vote(v.ID, v.IssuedAt) {
		now, _, _ := g.now()
		g.note(record.Event{Code: record.EventTimeFromCodes, Value: now.Time.UnixMilli()})
		g.cfg.Log.Info("time lifted by three codes", "by", now.Time.Sub(at.Time))
	}
}

// leavesBy is how a verdict's card leaves the screen.
func leavesBy(n verify.Name) Leaves {
	switch n {
	case verify.Pass, verify.PassGold:
		return ByTime
	case verify.Refresh, verify.NotOurs:
		return ByNextCode
	case verify.More, verify.Device:
		return ByKeyOrCode
	case verify.NoCheck:
		return NeverShown
	default: // check_id, amber, red, invalid, issuer_fault, and whatever else is no yes
		return ByKey
	}
}
