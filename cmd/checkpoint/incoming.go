package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"checkpoint/gate"
	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/trust"
	"checkpoint/tui/look/clean"
	"checkpoint/verify"
)

// Trust for a gate that runs: trust install leaves the signed file beside the
// database, as that belongs to the gate, and the gate takes it.

// lookAgain is how long a gate waits after it could not use what was left for
// a reason that may pass, such as a full disk.
const lookAgain = time.Minute

// newTrust is gate.Config.NewTrust: it takes what was left, if anything was.
// Whoever left it is not believed: everything is checked here again. What is
// refused is set aside, said once, and what holds goes on to hold.
func (s *station) newTrust(ctx context.Context) (gate.Trust, bool) {
	if time.Now().Before(s.later) {
		return gate.Trust{}, false
	}
	data, err := s.db.IncomingTrust(trust.MaxBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return gate.Trust{}, false
	}
	var snapshot *trust.Snapshot
	if err == nil {
		// Not the guarded clock: that one may stand where a snapshot has put it.
		now, quality := machineClock{now: time.Now}.Now()
		snapshot, err = s.takeTrust(ctx, data, now, quality)
	}
	switch refused := (*refusal)(nil); {
	case errors.Is(err, localdb.ErrTrust):
		s.refuseTrust(ctx, err)
		return gate.Trust{}, false
	case errors.As(err, &refused):
		s.refuseTrust(ctx, refused.why)
		return gate.Trust{}, false
	case err != nil:
		s.later = time.Now().Add(lookAgain)
		if ctx.Err() == nil {
			s.log.Error("new trust could not be installed", "error", err)
		}
		return gate.Trust{}, false
	}
	if err := s.db.DropIncoming(); err != nil {
		s.later = time.Now().Add(lookAgain)
		s.log.Error("new trust is installed, but its file stays", "error", err)
	}
	s.sayLeftOut(snapshot)
	return trustIn(snapshot, s.cfg.VenueType), true
}

// refusal says that a snapshot may not be taken, whenever it is tried.
type refusal struct{ why error }

func (r *refusal) Error() string { return r.why.Error() }

// takeTrust checks a signed snapshot with the pinned key and installs it; now
// is the machine's time.
func (s *station) takeTrust(ctx context.Context, data []byte, now time.Time, quality verify.Quality) (*trust.Snapshot, error) {
	key := s.cfg.trustKey()
	if key == nil {
		return nil, &refusal{errors.New("no trust_key is configured")}
	}
	snapshot, err := trust.ParseSigned(data, key)
	if err != nil {
		return nil, &refusal{err}
	}
	warning, err := dated(snapshot, now, quality)
	if err != nil {
		return nil, &refusal{err}
	}
	kept, err := s.db.Trust(ctx)
	if err != nil {
		return nil, err
	}
	stamp := s.stamp()
	row := trustRow(snapshot, key, data, stamp)
	if err := mayFollow(snapshot, row, kept, s.cfg); err != nil {
		return nil, &refusal{err}
	}
	if err := s.db.InstallTrust(ctx, stamp, row); err != nil {
		return nil, err
	}
	if warning != "" {
		s.log.Warn(warning)
	}
	return snapshot, nil
}

// refuseTrust sets what was left aside and says why, in the rows and the log.
func (s *station) refuseTrust(ctx context.Context, why error) {
	s.sayRefused(ctx, why, false)
	if err := s.db.RefuseIncoming(); err != nil {
		s.later = time.Now().Add(24 * time.Hour) // or it would be refused again every second
		s.log.Error("refused trust could not be set aside", "error", err)
	}
}

// sayRefused says why trust was refused, in the rows and the log; alarm: somebody
// with keys did what nobody may do.
func (s *station) sayRefused(ctx context.Context, why error, alarm bool) {
	text := clean.String(oneLine(why.Error()))
	s.log.Error("new trust was refused; what is installed stays", "why", text)
	rows := []record.Draft{{Stamp: s.stamp(), Body: record.Event{Code: record.EventTrustRefused, Text: record.CutText(text)}}}
	if alarm {
		rows = append(rows, record.Draft{Stamp: s.stamp(), Body: record.Event{Code: record.EventAlarm, Text: record.CutText(text)}})
	}
	if _, err := s.db.Append(ctx, rows...); err != nil && ctx.Err() == nil {
		s.log.Error("that trust was refused could not be recorded", "error", err)
	}
}

// takenWithin is how long trust install waits for a running gate: it looks once
// a second, and checks 3 MB in half a second to some seconds.
const takenWithin = 3 * time.Second

// leaveTrust is trust install while a gate has the file open.
func (a *app) leaveTrust(ctx context.Context, cfg config, path string, s *trust.Snapshot, n localdb.Trust) (taken bool, err error) {
	seen, err := a.peek(ctx, cfg)
	if err != nil {
		return false, err
	}
	if err := mayFollow(s, n, seen.Trust, cfg); err != nil {
		return false, &refusal{err}
	}
	same, err := seen.Accepts(n)
	if same || err != nil {
		return same, err
	}
	if err := localdb.LeaveTrust(cfg.DB, n.Bytes); err != nil {
		return false, faultf("trust install: %w", err)
	}
	_, err = fmt.Fprintf(a.out, "%s is in use: left trust version %d beside it; the running gate takes it within seconds\n", oneLine(cfg.DB), n.Version)
	if err != nil {
		return false, err
	}
	end := time.NewTimer(takenWithin)
	defer end.Stop()
	beat := time.NewTicker(50 * time.Millisecond)
	defer beat.Stop()
	for localdb.LeftTrust(cfg.DB) {
		select {
		case <-beat.C:
		case <-end.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	if seen, err = a.peek(ctx, cfg); err != nil {
		return false, err
	}
	if len(seen.Trust) == 0 || seen.Trust[0].Version < n.Version {
		return false, refusedf("trust install %s: the running gate refused it, its log says why; what is installed stays", path)
	}
	return true, nil
}
