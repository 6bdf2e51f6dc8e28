package gate

import (
	"context"
	"errors"
	"time"

	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/tui/look/clean"
	"checkpoint/verify"
)

// What the guard is told comes after the row is on the disk. A write is begun
// in a goroutine of its own; while it runs the gate goes on looking, but
// judges nothing new.

// lateAfter is when the verdict goes out with the recording mark.
const lateAfter = 100 * time.Millisecond

// pending is a write under way.
type pending struct {
	late    *time.Timer
	began   time.Time
	tooLong func()         // after lateAfter, at most once
	then    func(written)  // when it has ended
	drafts  []record.Draft // for one more try under a new epoch
	again   func() []record.Draft
}

// written is how a write ended.
type written struct {
	seq  uint64
	err  error
	took time.Duration
}

// write begins a write. again makes the drafts anew after a change of epoch;
// nil: they are the same.
func (g *Gate) write(drafts []record.Draft, again func() []record.Draft, tooLong func(), then func(written)) {
	if tooLong == nil {
		tooLong = func() {}
	}
	g.pending = &pending{
		late: time.NewTimer(lateAfter), began: time.Now(), tooLong: tooLong, then: then,
		drafts: drafts, again: again,
	}
	g.commit(drafts)
}

func (g *Gate) commit(drafts []record.Draft) {
	began := g.pending.began
	// Not the run's context: a row whose verdict is being waited for is
	// written even when the gate is told to stop.
	ctx := context.WithoutCancel(g.ctx)
	go func() {
		seq, err := g.cfg.Ledger.Append(ctx, drafts...)
		g.wrote <- written{seq, err, time.Since(began)}
	}()
}

// finish ends the pending write.
func (g *Gate) finish(w written) {
	p := g.pending
	if errors.Is(w.err, localdb.ErrIdentity) && p.again != nil {
		g.seals = nil
		drafts := p.again()
		p.again = nil
		g.commit(drafts)
		return
	}
	p.late.Stop()
	g.pending = nil
	switch {
	case w.err == nil:
		g.ended.Rows += uint64(len(p.drafts))
		at, _, _ := g.now()
		g.cfg.Clock.Wrote(at)
	case !errors.Is(w.err, localdb.ErrNoScan) && !errors.Is(w.err, localdb.ErrVoided):
		g.cfg.Log.Error("a row could not be written", "error", w.err)
	}
	p.then(w)
}

// note is an event row that nobody waits for; it goes with the next idle
// moment.
type note struct {
	code  record.EventCode
	value int64
}

// maxNotes bounds them while the disk does not answer.
const maxNotes = 64

func (g *Gate) note(e record.Event) {
	if len(g.notes) >= maxNotes {
		return
	}
	_, stamp, _ := g.now()
	g.notes = append(g.notes, record.Draft{Stamp: stamp, Body: e})
}

// noteRarely notes an event that codes can cause, at most once a minute each.
func (g *Gate) noteRarely(e record.Event) {
	_, _, mono := g.now()
	n := note{e.Code, e.Value}
	if when, ok := g.noted[n]; ok && mono.Sub(when) < time.Minute {
		return
	}
	g.noted[n] = mono
	g.note(e)
}

// flush writes the notes and says what changed, when nothing is under way.
func (g *Gate) flush() {
	if g.pending == nil && len(g.notes) > 0 {
		drafts := g.notes
		g.notes = nil
		g.write(drafts, nil, nil, func(w written) {
			if w.err != nil && len(g.notes) == 0 && !errors.Is(w.err, localdb.ErrFull) {
				g.cfg.Log.Error("events lost", "count", len(drafts))
			}
		})
	}
	if g.hint != g.coached && g.mention(g.hint) {
		g.coached = g.hint
	}
}

// record writes what a verdict leaves behind, then tells it.
func (g *Gate) record(j Judged, stamp record.Stamp, from time.Time) {
	v := j.Verdict
	switch v.Name {
	case verify.Pass, verify.PassGold, verify.CheckID, verify.More, verify.Amber, verify.Red, verify.Invalid:
	default:
		g.count(v, stamp)
		g.judged(j, from)
		return
	}

	told := false
	make := func() []record.Draft { return []record.Draft{g.seal(v, stamp)} }
	g.write(make(), make, func() {
		j.Recording, told = true, true
		j.Card = g.judged(j, from)
	}, func(w written) {
		j.Seq, j.DurableMS = w.seq, ms(w.took)
		failed := w.err != nil
		if failed {
			j.Seq, j.DurableMS = 0, -1
			if err := g.cfg.Ledger.Unrecorded(); err != nil {
				g.cfg.Log.Error("a scan without a row could not even be counted", "error", err)
			}
			at, _, _ := g.now()
			full := errors.Is(w.err, localdb.ErrFull) || errors.Is(w.err, localdb.ErrNoSpace)
			failed = !full || g.policy(at).StopsWhenFull()
		}
		if failed {
			j.Verdict = verify.Verdict{Name: verify.Device, Reason: verify.NoDisk, Format: v.Format, Signature: v.Signature}
			j.Leaves = ByKeyOrCode
		}
		if !told {
			g.judged(j, from)
			return
		}
		g.recorded(j, failed)
	})
}

// recorded ends the recording mark of a card, which may have left since. When
// the row failed the device's own card comes up: the guard was told what is not
// so.
func (g *Gate) recorded(j Judged, failed bool) {
	at, _, _ := g.now()
	g.tell(Recorded{At: at.Time, Card: j.Card, Seq: j.Seq, Failed: failed})
	if failed {
		g.device(verify.NoDisk, ByKeyOrCode)
		return
	}
	if g.card.number == j.Card {
		g.card.seq = j.Seq
	}
	if j.Seq != 0 {
		g.last.seq, g.last.id = j.Seq, j.Verdict.ID
	}
	g.admit(j.Verdict.Name, j.Verdict.ID)
}

// count counts a verdict that leaves no scan row.
func (g *Gate) count(v verify.Verdict, stamp record.Stamp) {
	switch v.Name {
	case verify.Device:
		g.noteRarely(record.Event{Code: record.EventDevice, Value: int64(v.Reason)})
	case verify.IssuerFault:
		g.noteRarely(record.Event{Code: record.EventAlarm, Value: int64(v.Reason)})
	}
	g.cfg.Ledger.Count(stamp, uint8(v.Name), uint8(v.Reason))
}

// seal makes the row of a scan. Without a key for the day, or when sealing
// fails, it says nothing about the person; invalid codes name nobody.
func (g *Gate) seal(v verify.Verdict, stamp record.Stamp) record.Draft {
	scan := record.Scan{
		Verdict: uint8(v.Name), Reason: uint8(v.Reason), Format: uint8(v.Format),
		Issuer: record.CutIssuer(clean.String(v.Issuer)), Trust: v.TrustVersion,
	}
	plain := record.Draft{Stamp: stamp, Body: scan}
	if v.Name == verify.Invalid || len(v.Subject) == 0 {
		return plain
	}
	s := g.sealer(stamp)
	if s == nil {
		return plain
	}
	d, err := s.Scan(stamp, scan, v.Subject)
	if errors.Is(err, record.ErrContextSpent) {
		g.seals = nil
		if s = g.sealer(stamp); s != nil {
			d, err = s.Scan(stamp, scan, v.Subject)
		}
	}
	if err != nil {
		g.cfg.Log.Error("a subject could not be sealed", "error", err)
		return plain
	}
	return d
}

// sealer is the sealer of the stamp's day, nil when there is no key for it.
func (g *Gate) sealer(stamp record.Stamp) *record.Sealer {
	day, ok := g.trust.Snapshot.DayKeyAt(time.UnixMilli(stamp.WallMS))
	if !ok {
		return nil
	}
	if g.seals != nil && g.seals.Day() == day.ID {
		return g.seals
	}
	s, err := record.NewSealer(g.cfg.Ledger.Identity(), record.DayKey{Day: day.ID, Public: day.PublicKey}, stamp)
	if err != nil {
		g.cfg.Log.Error("the day's key is of no use", "day", day.ID, "error", err)
		return nil
	}
	g.seals = s // what another day's sealer knew is of no use any more, but to a thief
	return s
}
