package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"checkpoint/localdb"
	"checkpoint/trust"
	"checkpoint/trust/tuf"
	"checkpoint/verify"
)

// errNoTrust says that no trust snapshot was ever installed.
var errNoTrust = errors.New("no trust is installed: checkpoint trust install FILE")

// errNoHubTrust says that a gate of a hub has not got its trust yet.
var errNoHubTrust = errors.New("no trust has come from the hub yet: run the gate, or checkpoint stick import DIR")

// installed is a snapshot out of the gate's file, its signatures checked again.
type installed struct {
	*trust.Snapshot
	signer    string    // name of the key that signed it, or root of its signers
	since     time.Time // when it was installed
	venueType string    // kind of place that the gate goes by
}

// holding is what a gate with that file trusts: what its hub's signers say, or,
// for a gate alone, what the pinned key has signed, else what is left of a hub
// that it belonged to. A gate that runs goes by the same rule; see loadTrust.
func (a *app) holding(ctx context.Context, cfg config, file localdb.Peeked) (installed, error) {
	e := file.Enrolment
	if e == nil && len(file.Trust) > 0 {
		return installedTrust(file.Trust, cfg)
	}
	kept, err := localdb.PeekRepositories(ctx, cfg.DB)
	if err != nil {
		return installed{}, faultf("installed trust: %w", err)
	}
	var first []byte
	if e != nil {
		first, cfg.VenueType = e.FirstRoot, e.VenueType
	} else if len(kept) == 0 {
		return installed{}, faultf("%w", errNoTrust)
	}
	held, err := tuf.Open(ctx, atRest(kept), first, a.now)
	if err != nil {
		return installed{}, faultf("installed trust: %w", err)
	}
	g, ok := held.Generation()
	switch {
	case ok:
	case held.Damage() != nil:
		return installed{}, faultf("installed trust: %w", held.Damage())
	case len(file.Trust) > 0 && cfg.trustKey() != nil:
		return installedTrust(file.Trust, cfg)
	default:
		return installed{}, faultf("%w", errNoHubTrust)
	}
	now := installed{held.Snapshot(), rootOf(held.Root()), time.Time{}, cfg.VenueType}
	for _, k := range kept {
		if k.Version == g.Version {
			now.since = time.UnixMilli(k.InstalledMS).UTC()
		}
	}
	return now, nil
}

// rootOf names who vouches for a repository.
func rootOf(root []byte) string {
	sum := sha256.Sum256(root)
	return rootName + hex.EncodeToString(sum[:8])
}

const rootName = "root "

// atRest are generations as they were read from a file that is not ours.
type atRest []localdb.Repository

func (r atRest) Generations(context.Context) ([]tuf.Generation, error) { return generations(r), nil }
func (r atRest) Keep(context.Context, tuf.Generation) error            { return errors.ErrUnsupported }

// installedTrust is the newest of the snapshots kept, the newest first, that
// the pinned key has signed. One that is damaged gives way to the one before
// it. Without any it is errNoTrust.
func installedTrust(kept []localdb.Trust, cfg config) (installed, error) {
	if len(kept) == 0 {
		return installed{}, faultf("%w", errNoTrust)
	}
	key := cfg.trustKey()
	if key == nil {
		return installed{}, usagef("no trust_key is configured: without it nothing tells true trust from false")
	}
	var first error
	for _, k := range kept {
		s, err := trust.ParseSigned(k.Bytes, key)
		if err == nil {
			return installed{s, trust.PinID(key), time.UnixMilli(k.InstalledMS).UTC(), cfg.VenueType}, nil
		}
		if first == nil {
			first = err
		}
	}
	return installed{}, faultf("installed trust: %w", first)
}

// maxAhead is how far ahead of a synced clock a snapshot may be dated. What is
// installed lifts the floor of the gate's time, and nothing but a technician
// lowers that again.
const maxAhead = 24 * time.Hour

// dated says whether the snapshot's date can be believed at the machine's time
// now: no when a synced clock says otherwise. Any other clock may be the wrong
// one itself, so then it is only a warning.
func dated(s *trust.Snapshot, now time.Time, q verify.Quality) (warning string, refused error) {
	ahead := s.Issued.Sub(now)
	if ahead <= maxAhead {
		return "", nil
	}
	what := fmt.Sprintf("version %d is dated %s, %s ahead of this machine's clock, %s", s.Version,
		s.Issued.UTC().Format(time.RFC3339), age(ahead), now.UTC().Format(time.RFC3339))
	if q == verify.ClockSynced {
		return "", fmt.Errorf("%s, which is synced", what)
	}
	return "warning: " + what + ", which is not synced: one of the two is wrong", nil
}

// mayFollow says whether next, row in the gate's file, may take the place of
// what is kept there, the newest first. What it says stands without a path.
func mayFollow(next *trust.Snapshot, row localdb.Trust, kept []localdb.Trust, cfg config) error {
	if len(kept) == 0 {
		return nil
	}
	switch newest := kept[0]; {
	case next.Version < newest.Version:
		return fmt.Errorf("version %d is older than version %d, which is installed", next.Version, newest.Version)
	case next.Version == newest.Version && !bytes.Equal(row.Bytes, newest.Bytes):
		return fmt.Errorf("version %d is installed already, with other contents", next.Version)
	}
	now, err := installedTrust(kept, cfg)
	if err != nil {
		return nil // nothing that the pinned key vouches for
	}
	return trust.Follows(next, now.Snapshot)
}

// judge is what scan and explain judge with: trust, venue and instant.
type judge struct {
	check  *verify.Verifier
	trust  *trust.Snapshot
	signer string // "" for a snapshot that nobody signed
	at     func() verify.Instant
}

// judgeOf makes the judge of a command line. at is the text of --at, loose the
// file of --insecure-trust; both may be empty. With --at the instant stands
// still and counts as synced: whoever names a time means it.
func (a *app) judgeOf(ctx context.Context, cfg config, at, loose string) (judge, error) {
	j := judge{}
	if at != "" {
		t, err := time.Parse(time.RFC3339, at)
		if err != nil {
			return judge{}, usagef("--at %q: want a time such as 2026-11-23T08:00:00Z (RFC 3339)", at)
		}
		if t.Year() < 2000 || t.Year() > 2200 {
			return judge{}, usagef("--at %q: want a year from 2000 to 2200", at)
		}
		j.at = func() verify.Instant { return verify.Instant{Time: t.UTC(), Quality: verify.ClockSynced} }
	}
	if loose != "" {
		data, err := readBounded(loose, trust.MaxBytes)
		if err != nil {
			return judge{}, faultf("--insecure-trust: %w", err)
		}
		if trust.IsSigned(data) {
			return judge{}, usagef("--insecure-trust %s: this snapshot is signed: install it with checkpoint trust install", loose)
		}
		if j.trust, err = trust.Parse(data); err != nil {
			return judge{}, faultf("--insecure-trust %s: %w", loose, err)
		}
		if j.at == nil {
			wall := a.machineClock()
			j.at = func() verify.Instant {
				t, quality := wall.Now()
				return verify.Instant{Time: t.UTC(), Quality: quality}
			}
		}
	} else {
		file, err := a.peek(ctx, cfg)
		if missing(err) {
			return judge{}, faultf("%s: %w, or --insecure-trust FILE", cfg.DB, errNoTrust)
		}
		if err != nil {
			return judge{}, err
		}
		now, err := a.holding(ctx, cfg, file)
		if err != nil {
			return judge{}, err
		}
		j.trust, j.signer, cfg.VenueType = now.Snapshot, now.signer, now.venueType
		if j.at == nil {
			j.at = a.guardedClock(file.Clock, now.Anchor()).At
		}
	}
	j.check = verify.New(j.trust).At(cfg.VenueType)
	return j, nil
}

// readBounded reads a regular file of at most so many bytes. A folder, a
// device or a named pipe is refused before it is opened: opening one can wait
// for ever.
func readBounded(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return data, nil
}
