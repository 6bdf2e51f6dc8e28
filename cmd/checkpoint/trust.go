package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/trust"
	"checkpoint/trust/tuf"
	"checkpoint/uplink"
	"github.com/spf13/cobra"
)

func newTrustCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "trust [command]",
		Short: "Install and show the keys, lists and policies that hold",
		Long: "What a gate trusts: issuer keys, revocations, policies, day keys. A gate of a hub\n" +
			"gets it there, as files that several signers vouch for (TUF), from the root that\n" +
			"its enrolment named. A gate alone has one signed snapshot; who may sign it is\n" +
			"pinned in the configuration (trust_key).",
		Example: `# Take a new snapshot from a stick
checkpoint trust install /media/stick/trust.signed

# What holds, how old is it, who signed it?
checkpoint trust show`,
		Args: cobra.ArbitraryArgs,
		RunE: group,
	}
	c.AddCommand(newTrustInstallCommand(a), newTrustShowCommand(a), newTrustSignCommand(a))
	return c
}

func newTrustInstallCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "install FILE|DIR",
		Short: "Install a signed snapshot, or a hub's trust from a folder",
		Long: "Install a signed trust snapshot. One that the pinned key has not signed, that is\n" +
			"older than what is installed, changes a day key that was published, or is dated\n" +
			"more than a day ahead of a synced clock, is refused and what is installed stays.\n" +
			"While the gate runs the file is left beside its database, and the gate checks\n" +
			"and takes it by itself without a pause.\n\n" +
			"A gate of a hub takes no snapshot but the hub's trust, from a stick or any folder\n" +
			"that holds the files of its repository; stop the gate first.\n\n" +
			"Exit status: 0 installed, installed already, or left for a gate that is slow to\n" +
			"take it; 3 the file or the database could not be used; 4 refused.",
		Example: `checkpoint trust install trust.signed

# At a gate of a hub
checkpoint trust install /media/stick`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := configOf(c)
			if err != nil {
				return err
			}
			return a.installTrust(c.Context(), cfg, args[0])
		},
	}
	settingFlags(c, "db", "trust_key", "cap_mb", "retention_days", "log.path", "log.max_mb")
	return c
}

func (a *app) installTrust(ctx context.Context, cfg config, path string) error {
	info, err := os.Stat(path)
	folder := err == nil && info.IsDir()
	// What is wrong with the file, if anything, whoever opens it says better.
	if file, err := a.peek(ctx, cfg); err == nil && file.Enrolment != nil {
		if !folder {
			return usagef("trust install: this gate takes its trust from its hub, %s, not from a snapshot; without a line: checkpoint trust install DIR", file.Enrolment.URL)
		}
		return a.atStick(ctx, cfg, path, (*app).installRepository)
	}
	key := cfg.trustKey()
	if key == nil {
		return usagef("trust install: no trust_key is configured: without it nothing tells true trust from false")
	}
	if folder {
		return usagef("trust install: %s is a folder; want a signed snapshot, one file, at a gate that belongs to no hub", path)
	}
	data, err := readBounded(path, trust.MaxBytes)
	if err != nil {
		return faultf("trust install: %w", err)
	}
	s, err := trust.ParseSigned(data, key)
	switch {
	case errors.Is(err, trust.ErrSignature):
		return refusedf("trust install %s: %w", path, err)
	case err != nil && !trust.IsSigned(data):
		return refusedf("trust install %s: not a signed snapshot; what is installed stays", path)
	case err != nil:
		return faultf("trust install %s: %w", path, err)
	}
	now, quality := a.machineClock().Now()
	warning, err := dated(s, now, quality)
	if err != nil {
		return refusedf("trust install %s: %w; what is installed stays", path, err)
	}
	if warning != "" {
		fmt.Fprintf(a.err, "checkpoint: %s\n", warning)
	}
	taken := true
	err = a.installNow(ctx, cfg, s, key, data)
	if errors.Is(err, localdb.ErrInUse) {
		taken, err = a.leaveTrust(ctx, cfg, path, s, trustRow(s, key, data, record.Stamp{}))
	}
	var known *exitError
	var no *refusal
	switch {
	case errors.As(err, &no):
		return refusedf("trust install %s: %w; what is installed stays", path, no.why)
	case errors.As(err, &known):
		return err
	case err != nil:
		return faultf("trust install: %w", err)
	}
	if !taken {
		_, err = fmt.Fprintf(a.out, "not taken after %v: the gate takes it later, at the latest at its next start; checkpoint trust show tells\n", takenWithin)
		return err
	}
	_, err = fmt.Fprintf(a.out, "installed trust version %d of %s, signed by key %s\n", s.Version, s.Issued.Format(time.RFC3339), trust.PinID(key))
	if n := len(s.Skipped); n > 0 && err == nil {
		_, err = fmt.Fprintf(a.out, "left out %d foreign keys that cannot be used; checkpoint trust show names them\n", n)
	}
	return err
}

// installRepository installs a hub's trust from a stick, or the folder itself.
func (a *app) installRepository(ctx context.Context, s *station, dir string) error {
	var from tuf.Fetcher = uplink.StickTrust(dir)
	if _, err := os.Stat(filepath.Join(dir, "timestamp.json")); err == nil {
		from = tuf.Folder{FS: os.DirFS(dir)}
	}
	err := a.takeRepository(ctx, s, "trust install", from)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, uplink.ErrStickEmpty) {
		return faultf("trust install: there is no trust in %s: want timestamp.json in it, or in its folder trust", dir)
	}
	return err
}

// installNow installs a snapshot that was checked into a file that no gate has
// open.
func (a *app) installNow(ctx context.Context, cfg config, s *trust.Snapshot, key ed25519.PublicKey, data []byte) error {
	db, err := a.openDB(ctx, cfg)
	if err != nil {
		return err
	}
	// The stamp of the row, and so the floor, goes by the clock that is guarded
	// by what stood in the file before this.
	stamp := stampAt(thisBoot(), a.guardedClock(db.Clock(), time.Time{}).At())
	row := trustRow(s, key, data, stamp)
	kept, err := db.Trust(ctx)
	if err == nil {
		if why := mayFollow(s, row, kept, cfg); why != nil {
			err = &refusal{why}
		} else {
			err = db.InstallTrust(ctx, stamp, row)
		}
	}
	if closing := db.Close(ctx, stamp); err == nil {
		err = closing
	}
	return err
}

// trustRow is what the file keeps of a signed snapshot.
func trustRow(s *trust.Snapshot, key ed25519.PublicKey, data []byte, at record.Stamp) localdb.Trust {
	return localdb.Trust{Version: s.Version, KeyID: trust.PinID(key), Bytes: data, InstalledMS: at.WallMS, IssuedMS: s.Issued.UnixMilli()}
}

func newTrustShowCommand(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "show",
		Short:   "Show what is installed: lists, ages, signer",
		Example: "checkpoint trust show\n\ncheckpoint trust show --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := configOf(c)
			if err != nil {
				return err
			}
			return a.showTrust(c.Context(), cfg, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	settingFlags(c, "db", "trust_key", "venue_type")
	return c
}

func (a *app) showTrust(ctx context.Context, cfg config, asJSON bool) error {
	file, err := a.peek(ctx, cfg)
	if missing(err) {
		return faultf("%s: %w", cfg.DB, errNoTrust)
	}
	if err != nil {
		return err
	}
	now, err := a.holding(ctx, cfg, file)
	if err != nil {
		return err
	}
	at := a.guardedClock(file.Clock, now.Anchor()).At()
	r := trustOf(now.Snapshot, now.signer, at.Time)
	if asJSON {
		return printJSON(a.out, r)
	}
	var b strings.Builder
	r.lines(&b)
	fmt.Fprintf(&b, "installed  %s\n", now.since.Format(time.RFC3339))
	fmt.Fprintf(&b, "policy     %s: %s\n", now.venueType, policyLine(now.PolicyAt(now.venueType, at.Time)))
	for _, k := range now.Issuers.Keys {
		fmt.Fprintf(&b, "issuer     %s  %s, %s, may assign %s, until %s\n", k.KID, oneLine(k.Name),
			strings.Join(k.Regions, " "), words(k.Colours), k.NotAfter.Format(time.RFC3339))
	}
	for _, s := range now.Skipped {
		fmt.Fprintf(&b, "left out   %s %d, key %s: %s\n", s.List, s.Index, oneLine(s.KID), oneLine(s.Why))
	}
	_, err = io.WriteString(a.out, b.String())
	return err
}

func words[T ~string](all []T) string {
	var b strings.Builder
	for i, w := range all {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(w))
	}
	return b.String()
}

func policyLine(p trust.Policy) string {
	if p.NoCheck {
		return "no code is asked for"
	}
	s := "code required"
	if len(p.Formats) > 0 {
		s += " (" + strings.Join(p.Formats, " ") + ")"
	}
	if d := p.TestAge(); d > 0 {
		s += fmt.Sprintf(", test within %d h", d/time.Hour)
	}
	if p.IDCheck {
		s += ", ID check of everybody"
	}
	return s + fmt.Sprintf(", lists fresh for %d h, good for %d h", p.Fresh()/time.Hour, p.Limit()/time.Hour)
}
