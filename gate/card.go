package gate

import (
	"time"

	"checkpoint/verify"
)

// card is what stands on the screen.
type card struct {
	on      bool
	number  uint64
	name    verify.Name
	under   verify.Name
	reason  verify.Reason
	leaves  Leaves
	seq     uint64
	id      string // in memory only; what replay looks at once it is admitted
	since   time.Time
	byFault bool // stands for a fault of the device, not for a code
}

// waits says that the card stays until a key.
func (c card) waits() bool { return c.on && c.leaves == ByKey }

// passFor is how long a pass stands.
const passFor = 1800 * time.Millisecond

// judged puts a card on the screen, with sound and relay.
func (g *Gate) judged(j Judged, from time.Time) uint64 {
	at, _, mono := g.now()
	g.cards++
	j.At, j.Card = at.Time, g.cards
	if !from.IsZero() {
		j.ViewToVerdictMS = ms(max(0, mono.Sub(from)))
	}
	g.put(card{
		on: true, number: j.Card, name: j.Verdict.Name, under: j.Verdict.Under, reason: j.Verdict.Reason,
		leaves: j.Leaves, seq: j.Seq, id: j.Verdict.ID, since: mono,
	})
	if j.Seq != 0 {
		g.last.seq, g.last.id = j.Seq, j.Verdict.ID
	}
	g.ended.Scans++
	g.tally(j.Verdict.Name)
	if !j.Recording {
		g.admit(j.Verdict.Name, j.Verdict.ID)
	}
	j.Verdict.Subject, j.Verdict.ID = nil, "" // nobody above needs them
	g.tell(j)
	g.cfg.Signal.Play(j.Verdict.Name)
	if g.cfg.Answers != nil && j.Presentation != 0 {
		g.cfg.Answers(j.Presentation, j.Leaves)
	}
	return j.Card
}

// put changes the card and sets the clock by which it leaves.
func (g *Gate) put(c card) {
	g.card = c
	g.leaving.Stop()
	switch {
	case c.leaves == ByTime:
		g.leaving.Reset(passFor)
	case c.leaves == ByKey && g.cfg.Latch > 0:
		g.leaving.Reset(g.cfg.Latch)
	}
}

// admit remembers, for replay, who was let in.
func (g *Gate) admit(name verify.Name, id string) {
	if name == verify.Pass || name == verify.PassGold {
		_, _, mono := g.now()
		g.mem.admitted(id, mono)
	}
}

// clear takes the card off the screen; a fault of the device takes its place.
func (g *Gate) clear() {
	if !g.card.on {
		return
	}
	at, _, mono := g.now()
	if g.card.leaves == ByKey {
		g.answered = mono
	}
	gone := g.card
	g.card.on, g.card.leaves, g.card.id = false, ByNextCode, ""
	g.leaving.Stop()
	g.cfg.Signal.Stop()
	g.tell(Cleared{At: at.Time, Card: gone.number})
	g.settle()
}

// settle shows the device's own fault when it has one and no person is being
// dealt with, and takes it away when it is mended.
func (g *Gate) settle() {
	reason := g.fault()
	switch {
	case g.card.on && g.card.byFault && g.card.reason != reason:
		g.clear() // comes back here for a second fault
	case reason == verify.NoReason || g.pending != nil || g.card.waits() ||
		g.card.on && (g.card.byFault || g.card.leaves == ByTime):
	default:
		g.device(reason, WhenMended)
	}
}

// device shows a card of the device's own.
func (g *Gate) device(reason verify.Reason, leaves Leaves) {
	at, stamp, mono := g.now()
	g.cards++
	v := verify.Verdict{Name: verify.Device, Reason: reason, TrustVersion: g.version()}
	g.put(card{
		on: true, number: g.cards, name: v.Name, reason: reason, leaves: leaves, since: mono,
		byFault: leaves == WhenMended,
	})
	g.cfg.Ledger.Count(stamp, uint8(v.Name), uint8(v.Reason))
	g.tell(Judged{
		At: at.Time, Card: g.cards, Verdict: v, Leaves: leaves,
		DurableMS: -1, ViewToVerdictMS: -1,
	})
	g.cfg.Signal.Play(verify.Device)
}

// barred reports whether the device's own fault stands on the screen and no
// code could change that.
func (g *Gate) barred() bool {
	return g.card.on && g.card.byFault && g.card.reason != verify.NoCamera
}

// fault is what keeps the whole gate from judging, or NoReason.
func (g *Gate) fault() verify.Reason {
	at, _, _ := g.now()
	policy := g.policy(at)
	switch {
	case policy.NoCheck && g.trust.Snapshot != nil && g.trust.Snapshot.Age(at.Time) <= policy.Limit():
		return verify.NoReason
	case len(g.lost) > 0 && len(g.lost) == g.eyes:
		return verify.NoCamera
	case g.trust.Snapshot == nil || g.keysAge(at) > policy.Limit():
		return verify.KeysStale
	case policy.NeedTime && at.Quality <= verify.ClockEstimated:
		return verify.NoTime
	}
	return verify.NoReason
}

func (g *Gate) version() uint64 {
	if g.trust.Snapshot == nil {
		return 0
	}
	return g.trust.Snapshot.Version
}

// keysAge is how long ago the signer last vouched for what is trusted;
// negative when nothing is installed.
func (g *Gate) keysAge(at verify.Instant) (oldest time.Duration) {
	if g.trust.Snapshot == nil {
		return -1
	}
	for _, a := range g.trust.Snapshot.Ages(at.Time) {
		if a.Entries > 0 || a.List == "issuers" {
			oldest = max(oldest, a.Age)
		}
	}
	return oldest
}
