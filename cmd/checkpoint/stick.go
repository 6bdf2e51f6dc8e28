package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/uplink"
)

func newStickCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "stick [command]",
		Short: "Carry rows up and trust down where there is no line",
		Long: "Carry rows up and trust down on a stick, for a gate without a line. The same\n" +
			"segments, receipts and trust as over the network, in the same bytes: what is\n" +
			"changed on the way is refused. With upload = \"stick\" the gate never calls its hub.\n\n" +
			"One round: export here, hub stick import and hub stick export at the hub, import\n" +
			"here. A stick can serve many gates. Stop the gate first: it has its file open.",
		Example: `# What waits goes on the stick; nothing is removed here
checkpoint stick export /media/stick

# Receipts and trust come back; rows with a receipt may be purged
checkpoint stick import /media/stick`,
		Args: cobra.ArbitraryArgs,
		RunE: group,
	}
	for _, sub := range []struct {
		use, short string
		do         func(*app, context.Context, *station, string) error
	}{
		{"export DIR", "Write all segments that wait to a stick", (*app).stickExport},
		{"import DIR", "Take receipts and trust from a stick", (*app).stickImport},
	} {
		cmd := &cobra.Command{
			Use: sub.use, Short: sub.short,
			Long:    sub.short + ".\n\nExit status: 0 done; 3 the stick or the gate's file could not be used; 4 what is\non the stick is refused.",
			Example: "checkpoint stick " + sub.use[:6] + " /media/stick",
			Args:    cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				cfg, err := configOf(c)
				if err != nil {
					return err
				}
				return a.atStick(c.Context(), cfg, args[0], sub.do)
			},
		}
		settingFlags(cmd, "db", "cap_mb", "retention_days", "log.path", "log.max_mb")
		c.AddCommand(cmd)
	}
	return c
}

// atStick opens the gate's file and its enrolment for one of the two ways.
func (a *app) atStick(ctx context.Context, cfg config, dir string, do func(*app, context.Context, *station, string) error) error {
	ctx, stop := untilSignal(ctx)
	defer stop()
	s, err := a.openStation(ctx, cfg)
	if errors.Is(err, localdb.ErrInUse) {
		return faultf("stick: stop the gate first: it has %s open", cfg.DB)
	}
	if err != nil {
		return err
	}
	defer s.Close()
	if s.up, err = s.openUpstream(ctx); err != nil {
		return faultf("stick: %w", err)
	}
	return do(a, ctx, s, dir)
}

func (a *app) stickExport(ctx context.Context, s *station, dir string) error {
	if s.up == nil {
		return usagef("stick export: this gate belongs to no hub: checkpoint enroll")
	}
	if err := s.db.CutAll(ctx, s.up.sign); err != nil {
		return faultf("stick export: %w", err)
	}
	tally, err := uplink.ExportSegments(ctx, dir, s.db.Cuts(ctx))
	if err != nil {
		return faultf("stick export: %w", err)
	}
	return a.tell("segments", "written to the stick", tally)
}

func (a *app) stickImport(ctx context.Context, s *station, dir string) error {
	if s.up == nil {
		return usagef("stick import: this gate belongs to no hub: checkpoint enroll")
	}
	// Trust first: it names the keys that the receipts are signed by.
	changed, err := s.up.trust.Refresh(ctx, uplink.StickTrust(dir))
	switch {
	case errors.Is(err, uplink.ErrMissing):
		fmt.Fprintln(a.err, "checkpoint: there is no trust on this stick")
	case err != nil:
		return refusedf("stick import: trust: %w; what is installed stays", err)
	case changed:
		s.up.took(ctx)
		if _, err := fmt.Fprintf(a.out, "installed trust version %d\n", s.up.trust.Snapshot().Version); err != nil {
			return err
		}
	}
	tally, err := uplink.ImportReceipts(ctx, dir, s.db.Identity().Device, s.up.receiptKeys(),
		func(ctx context.Context, r record.Receipt, raw []byte) error {
			err := s.db.Settle(ctx, s.stamp(), r, raw)
			if errors.Is(err, record.ErrReceipt) || errors.Is(err, localdb.ErrNoCut) {
				return fmt.Errorf("%w: %w", uplink.ErrSkip, err)
			}
			return err
		})
	if err != nil {
		return faultf("stick import: %w", err)
	}
	return a.tell("receipts", "taken from the stick", tally)
}

// tell says what became of the files of a stick. Files that could not be taken
// are named, and are exit status 4.
func (a *app) tell(what, done string, t uplink.Tally) error {
	if _, err := fmt.Fprintf(a.out, "%d %s %s, %d were there already\n", t.Done, what, done, t.Same); err != nil {
		return err
	}
	for _, s := range t.Skips {
		fmt.Fprintf(a.err, "checkpoint: %s: %s\n", oneLine(s.Name), oneLine(s.Why))
	}
	if t.Skipped > 0 {
		return refusedf("stick: %d %s were left out", t.Skipped, what)
	}
	return nil
}
