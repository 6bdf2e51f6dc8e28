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

// WallClock is what the machine says: the wall time with a monotonic reading,
// and whether it is kept by the network or by a clock chip.
type WallClock interface {
	Now() (at time.Time, quality verify.Quality)
}

// Clock is the guarded clock: it never goes below the time that the gate knows
// has passed, and it says how far it can be trusted.
//
// The floor rises by the anchor, by own rows written while synced, and, while
// the clock is estimated, by the issuer times of three good codes. The last
// two are bounded by what the offline signers dated, so neither a false time
// server nor a holder can push it far ahead and freeze the gate.
//
// A Clock may be used by several goroutines.
type Clock struct {
	wall WallClock

	mu      sync.Mutex
	f       Floor
	started time.Time // monotonic start of this process
	run     time.Duration

	// While the wall is below the floor time goes on from floorAt by the
	// monotonic clock.
	floorAt time.Time

	lastWall time.Time // for jumps
	votes    [3]vote
	voted    int
}

type vote struct {
	id  string
	iat time.Time
}

const (
	syncedAhead = 12 * time.Hour     // own synced rows may lift the floor so far past the anchor
	votesAhead  = 7 * 24 * time.Hour // codes may, so a mall reopens after a holiday
	voteMargin  = 60 * time.Second
	jumpLimit   = 90 * time.Second
)

// NewClock makes a clock from what was remembered. An anchor newer than the
// remembered one begins its run anew.
func NewClock(wall WallClock, remembered Floor, anchor time.Time) *Clock {
	now, _ := wall.Now()
	c := &Clock{wall: wall, f: remembered, started: now, floorAt: now, lastWall: now}
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

// read gives the guarded time and the wall's own reading, which carries the
// monotonic time.
func (c *Clock) read() (verify.Instant, time.Time) {
	wall, q := c.wall.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.guard(wall, q), wall
}

func (c *Clock) guard(wall time.Time, q verify.Quality) verify.Instant {
	if low := c.low(wall); wall.Round(0).Before(low) {
		return verify.Instant{Time: low.UTC(), Quality: verify.ClockEstimated}
	}
	return verify.Instant{Time: wall.Round(0).UTC(), Quality: q}
}

// low is the floor as it has grown by monotonic time in this process.
func (c *Clock) low(wall time.Time) time.Time {
	grown := wall.Sub(c.floorAt) // monotonic
	if grown < 0 {
		grown = 0
	}
	return c.f.Floor.Add(grown)
}

func (c *Clock) raise(to, wall time.Time) bool {
	if low := c.low(wall); !to.After(low) {
		return false
	}
	c.f.Floor, c.floorAt = to.Round(0).UTC(), wall
	return true
}

// Anchored says that trust with this offline-signed time was installed.
func (c *Clock) Anchored(at time.Time) {
	wall, _ := c.wall.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raiseAnchor(at)
	c.raise(c.f.Anchor, wall)
}

func (c *Clock) raiseAnchor(at time.Time) {
	if at.After(c.f.Anchor) {
		now, _ := c.wall.Now()
		c.f.Anchor, c.f.Run, c.run, c.started = at.Round(0).UTC(), 0, 0, now
	}
}

func (c *Clock) ranSince(wall time.Time) time.Duration {
	if d := wall.Sub(c.started); d > 0 {
		return c.run + d
	}
	return c.run
}

// Wrote says that a row was written at the instant at. Rows of a synced clock
// lift the floor, at most syncedAhead past anchor plus the time run since.
func (c *Clock) Wrote(at verify.Instant) {
	if at.Quality != verify.ClockSynced {
		return
	}
	wall, _ := c.wall.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raise(earlier(at.Time, c.f.Anchor.Add(syncedAhead+c.ranSince(wall))), wall)
}

// Vote is the issuer's iat of a native code that was good in everything else.
// It counts only while the clock is estimated; three different ids lift the
// floor to the smallest of the three less a minute.
func (c *Clock) Vote(id string, iat time.Time) bool {
	wall, q := c.wall.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.guard(wall, q); at.Quality > verify.ClockEstimated || id == "" || iat.IsZero() {
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
	return c.raise(earlier(least.Add(-voteMargin), c.f.Anchor.Add(votesAhead+c.ranSince(wall))), wall)
}

// Lower sets the floor back to the anchor: the technician knows better.
func (c *Clock) Lower() {
	wall, _ := c.wall.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.f.Floor, c.floorAt = c.f.Anchor, wall
	c.votes, c.voted = [3]vote{}, 0
}

// Remember is what to store so that a restart knows it.
func (c *Clock) Remember() Floor {
	wall, _ := c.wall.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.f
	f.Run = c.ranSince(wall)
	if low := c.low(wall); wall.Round(0).Before(low) {
		f.Floor = low.UTC() // running on the floor: what has passed has passed
	}
	return f
}

// Jumped reports a step of more than 90 s between wall and monotonic time
// since the last call: positive when the wall went ahead.
func (c *Clock) Jumped() (time.Duration, bool) {
	wall, _ := c.wall.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	mono := wall.Sub(c.lastWall)
	byWall := wall.Round(0).Sub(c.lastWall.Round(0))
	c.lastWall = wall
	d := byWall - mono
	return d, d > jumpLimit || d < -jumpLimit
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
