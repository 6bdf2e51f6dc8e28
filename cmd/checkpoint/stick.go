package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/trust/tuf"
	"checkpoint/uplink"
)

func newStickCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "stick [command]",
		Short: "Carry rows up and trust down where there is no line",
		Long: "Carry rows up and trust down on a stick, for a gate without a line: the same\n" +
			"segments, receipts and trust as over the network, in the same bytes, so what is\n" +
			"changed on the way is refused. With upload = \"stick\" the gate never calls its hub.\n\n" +
			"One round: export here; import and export at the hub (hub stick); import here. A\n" +
			"stick can serve many gates, and a round can be repeated. Stop the gate first: it\n" +
			"has its file open.",
		Example: `# What waits goes on the stick; nothing is removed here
checkpoint stick export /media/stick

# Receipts and trust come back; rows with a receipt may be purged
checkpoint stick import /media/stick`,
		Args: cobra.ArbitraryArgs,
		RunE: group,
	}
	for _, sub := range []struct {
		use, short, long string
		do               func(*app, context.Context, *station, string) error
	}{
		{"export DIR", "Write all segments that wait to a stick",
			"Write all segments that wait for a receipt to a stick, also those that were set\n" +
				"aside. Nothing is removed here: the rows stay until their receipts come back.",
			(*app).stickExport},
		{"import DIR", "Take receipts and trust from a stick",
			"Take trust and receipts from a stick. Trust is checked as if it came from the hub;\n" +
				"rows that a receipt covers go when their retention is over.",
			(*app).stickImport},
	} {
		cmd := &cobra.Command{
			Use: sub.use, Short: sub.short,
			Long:    sub.long + "\n\nExit status: 0 done; 2 the gate belongs to no hub; 3 the stick or the gate's file\ncould not be used; 4 something on the stick was refused.",
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
	if err := s.joinUpstream(ctx); err != nil {
		return err
	}
	if s.up == nil {
		return usagef("stick: this gate belongs to no hub: checkpoint enroll")
	}
	return do(a, ctx, s, dir)
}

func (a *app) stickExport(ctx context.Context, s *station, dir string) error {
	if err := s.db.CutAll(ctx, s.up.sign); err != nil {
		return faultf("stick export: %w", err)
	}
	tally, err := uplink.ExportSegments(ctx, dir, s.cuts(ctx))
	if err != nil {
		return faultf("stick export: %w", err)
	}
	return a.tell("segments", "written to the stick", tally)
}

// cuts are the segments for a stick, with the one that cannot be made again
// named in the words of package uplink, which goes on after it.
func (s *station) cuts(ctx context.Context) iter.Seq2[record.Cut, error] {
	return func(yield func(record.Cut, error) bool) {
		for c, err := range s.db.Cuts(ctx) {
			if !yield(c, lost(c, err)) {
				return
			}
		}
	}
}

func (a *app) stickImport(ctx context.Context, s *station, dir string) error {
	// Trust first: it names the keys that the receipts are signed by.
	err := a.takeRepository(ctx, s, "stick import", uplink.StickTrust(dir))
	none := errors.Is(err, uplink.ErrMissing) || errors.Is(err, uplink.ErrStickEmpty)
	if none {
		fmt.Fprintln(a.err, "checkpoint: there is no trust on this stick")
	} else if err != nil {
		return err
	}
	tally, err := uplink.ImportReceipts(ctx, dir, s.db.Identity().Device, s.up.receiptKeys(),
		func(ctx context.Context, r record.Receipt, raw []byte) error {
			err := s.db.Settle(ctx, s.stamp(), r, raw)
			if errors.Is(err, record.ErrReceipt) || errors.Is(err, localdb.ErrNoCut) {
				return fmt.Errorf("%w: %w", uplink.ErrSkip, err)
			}
			return err
		})
	if errors.Is(err, uplink.ErrStickEmpty) && !none {
		_, err = fmt.Fprintln(a.err, "checkpoint: there are no receipts on this stick")
		return err
	}
	if err != nil {
		return faultf("stick import: %w", err)
	}
	return a.tell("receipts", "taken from the stick", tally)
}

// takeRepository takes a gate's trust from a folder, and says so.
func (a *app) takeRepository(ctx context.Context, s *station, doing string, from tuf.Fetcher) error {
	changed, err := s.up.follow(ctx, from)
	var no *tuf.Refused
	switch {
	case errors.As(err, &no):
		return refusedf("%s: %w; what is installed stays", doing, err)
	case err != nil:
		return faultf("%s: trust: %w", doing, err)
	}
	done := "is installed already"
	if changed {
		done = "is installed"
	}
	_, err = fmt.Fprintf(a.out, "trust version %d %s\n", s.up.trust.Snapshot().Version, done)
	return err
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
