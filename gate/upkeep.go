package gate

import (
	"context"
	"time"

	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/verify"
)

// keep is what the housekeeper found.
type keep struct {
	status localdb.Status
	err    error
	trust  Trust // with a checker: new trust, and nothing else
}

// housekeep does what must be done now and then and may wait for the disk:
// hourly counts, the time floor, purging, the figures of the header, new trust.
func (g *Gate) housekeep(ctx context.Context) {
	beat := time.NewTicker(time.Second)
	defer beat.Stop()
	var floor int64
	for n := 0; ; n++ {
		_, stamp, _ := g.now()
		if err := g.cfg.Ledger.Tick(ctx, stamp); err != nil && ctx.Err() == nil && n%60 == 0 {
			g.cfg.Log.Error("upkeep of the database", "error", err)
		}
		if n%60 == 0 {
			if f := g.cfg.Clock.Remember().Floor.UnixMilli(); f > floor {
				if err := g.cfg.Ledger.RaiseFloor(ctx, f); err == nil {
					floor = f
				}
			}
		}
		if n%600 == 30 {
			g.purge(ctx, stamp)
		}
		st, err := g.cfg.Ledger.Status(stamp)
		select {
		case g.upkeep <- keep{status: st, err: err}:
		case <-ctx.Done():
			return
		}
		g.renew(ctx)
		select {
		case <-beat.C:
		case <-ctx.Done():
			return
		}
	}
}

// purge removes what has had its time, in small steps so that a scan never
// waits long behind it.
func (g *Gate) purge(ctx context.Context, stamp record.Stamp) {
	gone := 0
	for {
		n, err := g.cfg.Ledger.Purge(ctx, stamp)
		if err != nil {
			if ctx.Err() == nil {
				g.cfg.Log.Error("old rows could not be removed", "error", err)
			}
			return
		}
		if gone += n; n == 0 || ctx.Err() != nil {
			break
		}
	}
	if gone > 0 {
		g.cfg.Log.Info("old rows removed", "rows", gone)
		if err := g.cfg.Ledger.Checkpoint(ctx); err != nil && ctx.Err() == nil {
			g.cfg.Log.Error("emptying the database's log", "error", err)
		}
	}
}

// keep takes in the housekeeper's figures.
func (g *Gate) keep(k keep) {
	switch {
	case k.trust.Checker != nil:
		g.swap(k.trust)
		return
	case k.err != nil:
		return
	}
	s := &g.state
	s.Waiting, s.Oldest = k.status.Waiting, time.Time{}
	if k.status.OldestMS > 0 {
		s.Oldest = time.UnixMilli(k.status.OldestMS)
	}
	s.DiskDays, s.DiskUsed, s.Unrecorded = k.status.DaysLeft, k.status.Share, k.status.Unrecorded
}

// begin says what the gate is and reads what today brought so far.
func (g *Gate) begin() {
	at, stamp, mono := g.now()
	g.day = at.Time.In(g.cfg.Zone).Format(time.DateOnly)
	g.state = State{Name: g.cfg.Name, Venue: g.cfg.Venue, CameraOK: true, DiskDays: -1}
	if h, err := g.cfg.Ledger.Counts(g.ctx, midnight(at.Time, g.cfg.Zone), at.Time); err == nil {
		for _, c := range h {
			if int(c.Verdict) < len(g.state.Today) {
				g.state.Today[c.Verdict] += c.N
			}
		}
	} else {
		g.cfg.Log.Error("today's counts could not be read", "error", err)
	}
	if st, err := g.cfg.Ledger.Status(stamp); err == nil {
		g.keep(keep{status: st})
	}
	g.cfg.Clock.Jumped() // from here on
	g.frameAt(mono)
	g.tell(Started{At: at.Time, DB: g.cfg.DB, Version: g.cfg.Version, Source: g.cfg.Source, Tests: g.cfg.Tests})
	g.note(record.Event{Code: record.EventStarted, Text: record.CutText(g.cfg.Version)})
	g.leaving = time.NewTimer(time.Hour)
	g.leaving.Stop()
	g.beat()
}

// cutShort is how long a code must have been whole in view for the end of the
// run to count it as missed: one that came just then had no chance.
const cutShort = time.Second

// end waits for the row that is being written, writes what is left to say, and
// says goodbye.
func (g *Gate) end() {
	g.note(record.Event{Code: record.EventStopped})
	for g.pending != nil || len(g.notes) > 0 {
		if g.pending == nil {
			g.flush()
			continue
		}
		g.finish(<-g.wrote)
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(g.ctx), 2*time.Second)
	defer stop()
	if err := g.cfg.Ledger.RaiseFloor(ctx, g.cfg.Clock.Remember().Floor.UnixMilli()); err != nil {
		g.cfg.Log.Error("the time floor could not be stored", "error", err)
	}
	if _, _, mono := g.now(); mono.Sub(g.people.whole) >= cutShort {
		g.ended.Shown += g.people.leave()
	}
	g.ended.Missed = g.ended.Shown - g.ended.Read
	at, _, _ := g.now()
	g.ended.At, g.ended.Faults = at.Time, g.faults.scanner+g.faults.checker
	g.tell(g.ended)
	close(g.events)
}

// beat is once a second: time, faults and the header.
func (g *Gate) beat() {
	at, stamp, mono := g.now()
	if d, jumped := g.cfg.Clock.Jumped(); jumped {
		g.note(record.Event{Code: record.EventClockJump, Value: d.Milliseconds()})
		g.cfg.Log.Warn("the clock jumped", "by", d)
	}
	if day := at.Time.In(g.cfg.Zone).Format(time.DateOnly); day != g.day {
		g.day, g.state.Today = day, Counts{}
	}
	g.mem.blind.turn(mono)
	if g.seals != nil && g.seals.Turn(stamp) != nil {
		g.seals = nil // spent: the next scan begins a context of its own
	}
	g.settle()

	s, policy := &g.state, g.policy(at)
	s.At, s.Quality = at.Time, at.Quality
	s.Policy = Policy{Venue: g.cfg.VenueType, Required: !policy.NoCheck, IDCheck: policy.IDCheck}
	s.KeysAge = g.keysAge(at)
	s.CameraOK, s.CameraIs = len(g.lost) == 0, ""
	for _, why := range g.lost {
		s.CameraIs = why
	}
	s.FPS, s.Frames, s.Shown, s.Read = g.frameAt(mono), g.ended.Frames, g.ended.Shown, g.ended.Read
	if g.cfg.Line != nil {
		s.Line = g.cfg.Line()
	}
	s.Rungs = g.rungs(at)
	g.mention(g.state)
}

// frameAt gives the frame rate since it was last asked.
func (g *Gate) frameAt(mono time.Time) float64 {
	span := mono.Sub(g.pace.since)
	if span < 100*time.Millisecond {
		return g.state.FPS
	}
	fps := float64(g.ended.Frames-g.pace.frames) / span.Seconds()
	g.pace.since, g.pace.frames = mono, g.ended.Frames
	return fps
}

// rungs are the steps of the ladder that hold.
func (g *Gate) rungs(at verify.Instant) (r []Rung) {
	if g.state.Line.Enrolled && !g.state.Line.Online {
		r = append(r, Queueing)
	}
	if _, ok := g.trust.Snapshot.DayKeyAt(at.Time); !ok {
		r = append(r, VerifyOnly)
	}
	if at.Quality <= verify.ClockEstimated {
		r = append(r, TimeEstimated)
	}
	if age := g.keysAge(at); age < 0 || age > g.policy(at).Fresh() {
		r = append(r, KeysStale)
	}
	if g.fault() != verify.NoReason {
		r = append(r, ManualOnly)
	}
	if len(r) == 0 {
		r = append(r, Full)
	}
	return r
}

func (g *Gate) tally(n verify.Name) {
	if int(n) < len(g.state.Today) {
		g.state.Today[n]++
		g.shift[n]++
	}
}

func midnight(at time.Time, zone *time.Location) time.Time {
	y, m, d := at.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone)
}
