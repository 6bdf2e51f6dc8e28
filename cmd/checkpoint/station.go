package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"checkpoint/camera"
	"checkpoint/gate"
	"checkpoint/gate/wedge"
	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/trust"
	"checkpoint/trust/tuf"
	"checkpoint/tui/look/clean"
	"checkpoint/verify"
)

// station is a gate on this machine: its file, its clock, what it trusts and
// where it looks. Close gives everything back.
type station struct {
	cfg   config
	log   *slog.Logger
	db    *localdb.DB
	clock *gate.Clock
	boot  gate.Boot
	trust gate.Trust

	pictures []gate.Pictures
	texts    []gate.Texts
	replay   bool
	later    time.Time // no look for new trust before
	closers  []func() error

	up   *upstream // nil: a gate alone
	pace pace
	line func() // cuts the way upstream off, and joins it again; nil: nobody may
}

// pace is how often a gate speaks to its hub; zero fields are package uplink's
// own times.
type pace struct {
	trust, start, spread time.Duration
}

// openStation opens log, file and clock; trust and sources follow.
func (a *app) openStation(ctx context.Context, cfg config) (_ *station, err error) {
	s := &station{cfg: cfg, boot: thisBoot(), trust: gate.Trust{Checker: verify.New(nil)}, pace: a.pace}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	log, file, err := cfg.openLog()
	if err != nil {
		return nil, err
	}
	s.log, s.closers = log, append(s.closers, file.Close)
	if s.db, err = a.openDB(ctx, cfg); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func() error { return s.db.Close(context.Background(), s.stamp()) })
	s.clock = a.guardedClock(s.db.Clock(), builtAt())
	return s, nil
}

func (s *station) stamp() record.Stamp { return stampAt(s.boot, s.clock.At()) }

// loadTrust takes what was left while no gate ran, then what is installed: from
// the hub, where the gate belongs to one and has its trust already. A gate
// without trust runs, and says so.
func (s *station) loadTrust(ctx context.Context) error {
	if s.up != nil {
		e := s.up.enrolment()
		s.cfg.Gate, s.cfg.Venue, s.cfg.VenueType = e.Gate, e.Venue, e.VenueType
		if snapshot := s.up.trust.Snapshot(); snapshot != nil {
			s.up.took(ctx) // also what an earlier run could not erase
			s.trust = s.up.held(snapshot)
			if g, ok := s.up.trust.Generation(); ok {
				s.clock.Anchored(g.Anchor)
			}
			return nil
		}
	}
	s.newTrust(ctx)
	kept, err := s.db.Trust(ctx)
	if err != nil {
		return faultf("installed trust: %w", err)
	}
	now, err := installedTrust(kept, s.cfg)
	if errors.Is(err, errNoTrust) {
		s.loadLeft(ctx)
		return nil
	}
	if err != nil {
		return err
	}
	s.hold(ctx, now.Snapshot)
	return nil
}

// loadLeft takes what is left of a hub that the gate belonged to: until it is
// enrolled anew, it goes on judging.
func (s *station) loadLeft(ctx context.Context) {
	if s.up != nil {
		return
	}
	left, err := tuf.Open(ctx, repository{s}, nil, func() time.Time { return s.clock.At().Time })
	if err != nil { // there is none
		return
	}
	if snapshot := left.Snapshot(); snapshot != nil {
		s.sayLeftOut(snapshot)
		s.trust = trustIn(snapshot, s.cfg.VenueType)
		s.clock.Anchored(snapshot.Anchor())
	}
}

// hold makes a snapshot that was checked the one that holds.
func (s *station) hold(ctx context.Context, snapshot *trust.Snapshot) {
	s.sayLeftOut(snapshot)
	s.trust = trustIn(snapshot, s.cfg.VenueType)
	if err := s.db.RaiseAnchor(ctx, s.stamp(), snapshot.Issued.UnixMilli()); err != nil {
		// A full disk must not close a gate. The anchor holds for this run and is
		// raised again at the next.
		s.log.Error("the time anchor could not be stored", "error", err)
	}
	s.clock.Anchored(snapshot.Issued)
}

// sayLeftOut logs which keys of a snapshot cannot be used.
func (s *station) sayLeftOut(snapshot *trust.Snapshot) {
	for _, skipped := range snapshot.Skipped {
		s.log.Warn("a key was left out", "list", skipped.List, "index", skipped.Index, "why", skipped.Why)
	}
}

// trustIn is what a gate in that kind of place judges with under a snapshot.
func trustIn(snapshot *trust.Snapshot, venueType string) gate.Trust {
	return gate.Trust{Checker: verify.New(snapshot).At(venueType), Snapshot: snapshot}
}

// open opens the configured sources.
func (s *station) open(ctx context.Context, stdin io.Reader) error {
	for _, from := range s.cfg.sources() {
		switch from.kind {
		case "v4l2", "dir", "mjpeg":
			if err := s.openPictures(ctx, from); err != nil {
				return err
			}
		default:
			if err := s.openTexts(from, stdin); err != nil {
				return err
			}
		}
	}
	if s.replay && len(s.pictures) > 1 {
		return usagef("source: a folder of pictures cannot be mixed with cameras")
	}
	return nil
}

func (s *station) openPictures(ctx context.Context, from source) error {
	o := camera.Options{
		Log: s.log, Width: s.cfg.Camera.Width, Height: s.cfg.Camera.Height, FPS: float64(s.cfg.Camera.FPS),
		Format: fourCC(s.cfg.Camera.Format),
	}
	src, err := camera.Open(ctx, from.String(), o)
	if err != nil {
		return faultf("%w", err)
	}
	s.closers = append(s.closers, src.Close)
	s.pictures = append(s.pictures, src)
	s.replay = s.replay || from.kind == "dir"
	return nil
}

func fourCC(format string) string {
	switch format {
	case "mjpeg":
		return "MJPG"
	case "auto":
		return ""
	}
	return strings.ToUpper(format)
}

func (s *station) openTexts(from source, stdin io.Reader) error {
	var src *wedge.Source
	var err error
	switch from.kind {
	case "evdev":
		src, err = wedge.OpenEvdev(from.path, time.Now)
	case "serial":
		src, err = wedge.OpenSerial(from.path, from.baud, time.Now)
	default:
		f, ok := stdin.(*os.File)
		if !ok {
			return faultf("source stdin: standard input is not a file")
		}
		src, err = wedge.OpenLines(f, time.Now)
	}
	if err != nil {
		return faultf("%w", err)
	}
	s.closers = append(s.closers, src.Close)
	s.texts = append(s.texts, src)
	return nil
}

// config is the gate's own configuration, as far as the station knows it.
func (s *station) config() gate.Config {
	pin, _ := s.cfg.pin()
	return gate.Config{
		Name: s.cfg.Gate, Venue: s.cfg.Venue, VenueType: s.cfg.VenueType,
		DB: s.cfg.DB, Version: version(), Source: s.sources(), Tests: s.selfTests(),
		Pictures: s.pictures, Texts: s.texts, Replay: s.replay,
		Clock: s.clock, Boot: s.boot, Ledger: s.db, Trust: s.trust, PIN: pin, Log: s.log,
	}
}

// sources names the sources, without the password of a network camera.
func (s *station) sources() string {
	names := make([]string, len(s.cfg.Source))
	for i, name := range s.cfg.Source {
		names[i] = name
		if address, ok := strings.CutPrefix(name, "mjpeg:"); ok {
			if u, err := url.Parse(address); err == nil {
				names[i] = "mjpeg:" + u.Redacted()
			}
		}
	}
	return strings.Join(names, " ")
}

// cameraSoon is how long the self-test waits for a camera to say how it is.
const cameraSoon = 500 * time.Millisecond

// cameraTest says how the picture sources are. A camera that needs longer than
// cameraSoon is no fault yet; one that is not there says so by then.
func (s *station) cameraTest() gate.SelfTest {
	t := gate.SelfTest{Name: "camera", OK: true, Detail: s.sources()}
	for _, p := range s.pictures {
		src, ok := p.(*camera.Source)
		if !ok {
			continue
		}
		st := src.Stats()
		for end := time.Now().Add(cameraSoon); st.Lost == "" && st.Is == "" && time.Now().Before(end); st = src.Stats() {
			time.Sleep(10 * time.Millisecond)
		}
		switch {
		case st.Lost != "":
			t.OK, t.Detail = false, clean.Bounded(st.Lost, 120)
		case st.Is != "":
			t.Detail = clean.Bounded(st.Is, 120)
		}
	}
	return t
}

// selfTests are the lines that a start shows.
func (s *station) selfTests() []gate.SelfTest {
	at := s.clock.At()
	tests := []gate.SelfTest{
		s.cameraTest(),
		{Name: "time", OK: at.Quality > verify.ClockEstimated, Detail: clockWords(at.Quality)},
	}
	keys := gate.SelfTest{Name: "keys", Detail: "no trust installed: checkpoint trust install FILE"}
	if s.up != nil {
		keys.Detail = errNoHubTrust.Error()
	}
	if snap := s.trust.Snapshot; snap != nil {
		age := max(0, at.Time.Sub(snap.Issued))
		limit := snap.PolicyAt(s.cfg.VenueType, at.Time).Limit()
		keys = gate.SelfTest{Name: "keys", OK: age <= limit, Detail: fmt.Sprintf("version %d, %s old", snap.Version, age.Round(time.Minute))}
	}
	tests = append(tests, keys)
	if st, err := s.db.Status(s.stamp()); err == nil {
		tests = append(tests,
			gate.SelfTest{Name: "disk", OK: !st.Warn, Detail: fmt.Sprintf("%d %% of its room used", int(st.Share*100))},
			gate.SelfTest{Name: "queue", OK: true, Detail: fmt.Sprintf("%d rows", st.Waiting)})
	}
	return append(tests, gate.SelfTest{Name: "sound", OK: s.cfg.Sound != "off", Detail: s.cfg.Sound})
}

// Close closes what was opened, the last first, and logs what went wrong.
func (s *station) Close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i](); err != nil && i > 0 {
			s.log.Error("closing", "error", err)
		}
	}
	s.closers = nil
}

// clockWords says where the time comes from.
func clockWords(q verify.Quality) string {
	switch q {
	case verify.ClockSynced:
		return "kept by the network"
	case verify.ClockRTC:
		return "from the clock chip"
	case verify.ClockEstimated:
		return "estimated: it is not earlier than this"
	}
	return "nobody vouches for it"
}

// builtAt is the date of the commit that the program was built from: it is
// surely not earlier than that.
func builtAt() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
				return t
			}
		}
	}
	return time.Time{}
}
