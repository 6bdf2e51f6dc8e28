package gate

import (
	"sync"
	"time"

	"checkpoint/verify"
)

// Floor is what a gate remembers of time across restarts.
type Floor struct {
	Anchor time.Time     // newest offline-signed time installed (trust, program)
	Floor  time.Time     // latest time that is known to have passed; never before Anchor
	Run    time.Duration // monotonic time the gate has run since Anchor was installed
}

// WallClock is what the machine says: the wall time, and whether it is kept by
// the network or by a clock chip. Spans are measured by the monotonic clock of
// time.Now, which no time server moves.
type WallClock interface {
	Now() (at time.Time, quality verify.Quality)
}

// Clock is the guarded clock: it never goes below the time that the gate knows
// has passed, and it says how far it can be trusted.
//
// The floor rises by the anchor, by own rows written while synced, by the hub's
// signed time, and, while the clock is estimated, by the issuer times of three
// good codes. The last three are bounded by what the offline signers dated, so neither a false time
// server nor a holder can push it far ahead and freeze the gate.
//
// A Clock may be used by several goroutines.
type Clock struct {
	wall WallClock

	mu      sync.Mutex
	f       Floor
	started time.Time // since when run counts; monotonic
	run     time.Duration

	// While the wall is below the floor time goes on from floorAt by the
	// monotonic clock.
	floorAt time.Time

	hub, hubAt time.Time // the hub's signed time, and when it was heard; zero: never

	lastWall, lastMono time.Time // for jumps
	votes              [3]vote
	voted              int
}

type vote struct {
	id  string
	iat time.Time
}

const (
	syncedAhead = 12 * time.Hour     // own synced rows may lift the floor so far past the anchor
	votesAhead  = 7 * 24 * time.Hour // codes may, so a mall reopens after a holiday
	voteMargin  = 60 * time.Second

	// jumpLimit is how far wall and monotonic time may part before it is a
	// jump. As far below the floor the wall is still believed: a time server
	// that takes back a second must not leave a gate on estimated time.
	jumpLimit = 90 * time.Second
)

// NewClock makes a clock from what was remembered. An anchor newer than the
// remembered one begins its run anew.
func NewClock(wall WallClock, remembered Floor, anchor time.Time) *Clock {
	at, _ := wall.Now()
	mono := time.Now()
	c := &Clock{wall: wall, f: remembered, started: mono, floorAt: mono, lastWall: at.Round(0), lastMono: mono}
	c.run = remembered.Run
	c.raiseAnchor(anchor)
	if c.f.Floor.Before(c.f.Anchor) {
		c.f.Floor = c.f.Anchor
	}
	return c
}

// At is the guarded time now.
func (c *Clock) At() verify.Instant {
	at, _ := c.read()
	return at
}

// read gives the guarded time, and the monotonic time that spans are measured
// by.
func (c *Clock) read() (verify.Instant, time.Time) {
	wall, q := c.wall.Now()
	mono := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.guard(wall, q, mono), mono
}

func (c *Clock) guard(wall time.Time, q verify.Quality, mono time.Time) verify.Instant {
	if q != verify.ClockSynced && !c.hub.IsZero() {
		return verify.Instant{Time: c.hub.Add(mono.Sub(c.hubAt)).UTC(), Quality: verify.ClockSynced}
	}
	if low := c.low(mono); wall.Round(0).Before(low.Add(-jumpLimit)) {
		return verify.Instant{Time: low.UTC(), Quality: verify.ClockEstimated}
	}
	return verify.Instant{Time: wall.Round(0).UTC(), Quality: q}
}

// low is the floor as it has grown by monotonic time in this process.
func (c *Clock) low(mono time.Time) time.Time { return c.f.Floor.Add(max(0, mono.Sub(c.floorAt))) }

func (c *Clock) raise(to, mono time.Time) bool {
	if !to.After(c.low(mono)) {
		return false
	}
	c.f.Floor, c.floorAt = to.Round(0).UTC(), mono
	return true
}

// Anchored says that trust with this offline-signed time was installed.
func (c *Clock) Anchored(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raiseAnchor(at)
	c.raise(c.f.Anchor, time.Now())
}

func (c *Clock) raiseAnchor(at time.Time) {
	if at.After(c.f.Anchor) {
		c.f.Anchor, c.f.Run, c.run, c.started = at.Round(0).UTC(), 0, 0, time.Now()
	}
}

func (c *Clock) ran(mono time.Time) time.Duration { return c.run + max(0, mono.Sub(c.started)) }

// Wrote says that a row was written at the instant at. Rows of a synced clock
// lift the floor, at most syncedAhead past anchor plus the time run since.
func (c *Clock) Wrote(at verify.Instant) {
	if at.Quality != verify.ClockSynced {
		return
	}
	mono := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raise(earlier(at.Time, c.f.Anchor.Add(syncedAhead+c.ran(mono))), mono)
}

// Heard says that the hub signed this time just now. It lifts the floor as own
// rows do and no further, so that a seized hub cannot freeze a gate; and where
// it lies between floor and that bound, a wall that no time server keeps gives
// way to it.
func (c *Clock) Heard(at time.Time) {
	mono := time.Now()
	at = at.Round(0).UTC()
	c.mu.Lock()
	defer c.mu.Unlock()
	most := c.f.Anchor.Add(syncedAhead + c.ran(mono))
	if !at.After(most) && !at.Before(c.low(mono).Add(-jumpLimit)) {
		c.hub, c.hubAt = at, mono
	}
	c.raise(earlier(at, most), mono)
}

// Vote is the issuer's iat of a native code that was good in everything else.
// It counts only while the clock is estimated; three different ids lift the
// floor to the smallest of the three less a minute.
func (c *Clock) Vote(id string, iat time.Time) bool {
	wall, q := c.wall.Now()
	mono := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.guard(wall, q, mono); at.Quality > verify.ClockEstimated || id == "" || iat.IsZero() {
		return false
	}
	for i := range min(c.voted, len(c.votes)) {
		if c.votes[i].id == id {
			return false
		}
	}
	c.votes[c.voted%len(c.votes)] = vote{id, iat}
	if c.voted++; c.voted < len(c.votes) {
		return false
	}
	least := c.votes[0].iat
	for _, v := range c.votes[1:] {
		least = earlier(least, v.iat)
	}
	return c.raise(earlier(least.Add(-voteMargin), c.f.Anchor.Add(votesAhead+c.ran(mono))), mono)
}

// Lower sets the floor back to the anchor: the technician knows better.
func (c *Clock) Lower() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.f.Floor, c.floorAt = c.f.Anchor, time.Now()
	c.hub, c.hubAt = time.Time{}, time.Time{} // it speaks again soon, and is bounded by the anchor
	c.votes, c.voted = [3]vote{}, 0
}

// Remember is what to store so that a restart knows it.
func (c *Clock) Remember() Floor {
	wall, _ := c.wall.Now()
	mono := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.f
	f.Run = c.ran(mono)
	if low := c.low(mono); wall.Round(0).Before(low.Add(-jumpLimit)) {
		f.Floor = low.UTC() // running on the floor: what has passed has passed
	}
	return f
}

// Jumped reports a step of more than 90 s between wall and monotonic time
// since the last call: positive when the wall went ahead.
func (c *Clock) Jumped() (time.Duration, bool) {
	wall, _ := c.wall.Now()
	mono := time.Now()
	wall = wall.Round(0)
	c.mu.Lock()
	defer c.mu.Unlock()
	d := wall.Sub(c.lastWall) - mono.Sub(c.lastMono)
	c.lastWall, c.lastMono = wall, mono
	return d, d > jumpLimit || d < -jumpLimit
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
