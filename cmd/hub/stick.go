package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"

	"github.com/spf13/cobra"

	"checkpoint/record"
	"checkpoint/trust/tuf"
	"checkpoint/uplink"
)

func newStickCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "stick [command]",
		Short: "Serve gates without a line, by a USB stick",
		Long: "Serve gates without a line. A round: hub stick export, then at each gate\n" +
			"checkpoint stick import and export, then hub stick import; the receipts of one\n" +
			"round go out with the next.",
		Example: `hub stick import /media/stick
hub stick export /media/stick`,
		Args: cobra.ArbitraryArgs,
		RunE: group,
	}
	c.AddCommand(newStickImportCommand(a), newStickExportCommand(a))
	return c
}

func newStickImportCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "import DIR",
		Short: "Take the segments on a stick, and leave their receipts on it",
		Long: "Take the segments on the stick mounted at DIR. For each that is stored, and for\n" +
			"each that is refused for good, a signed receipt is left on the stick. Whose they\n" +
			"are is known by their own signatures. Taken twice they are stored once.\n\n" +
			"Exit status: 0 also when files were skipped: standard error says which; 3 the\n" +
			"stick or the store failed: what is done is done, and need not be done again.",
		Example: `hub stick import /media/stick`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withHub(c, func(ctx context.Context, at *office) error { return a.stickImport(ctx, at, args[0]) })
		},
	}
	hereFlags(c, a)
	return c
}

// errFull: the receipts cannot be written, so no more is taken.
var errFull = errors.New("receipts cannot be written")

func (a *app) stickImport(ctx context.Context, at *office, dir string) error {
	ctx, stop := untilTold(ctx)
	defer stop()
	var segments uplink.Tally
	var failed error
	// Each receipt is written when its segment is stored: a stick that is pulled
	// out holds what it can hold.
	receipts := func(yield func([]byte, error) bool) {
		segments, failed = uplink.ImportSegments(ctx, dir, func(ctx context.Context, s uplink.StickSegment) error {
			receipt, err := at.take(ctx, s.Bytes)
			if err != nil {
				return err
			}
			if !yield(receipt, nil) {
				return errFull
			}
			return nil
		})
	}
	written, err := uplink.ExportReceipts(ctx, dir, receipts)
	if errors.Is(failed, errFull) {
		failed = nil // err says why
	}
	a.skipped(segments)
	a.skipped(written)
	fmt.Fprintf(a.out, "%d segments taken, %d skipped; %d receipts on the stick\n", segments.Done, segments.Skipped, written.Done+written.Same)
	if err := errors.Join(failed, err); err != nil {
		return faultf("stick import: %w", err)
	}
	return nil
}

// take gives the hub one segment. One that it will not have is skipped.
func (o *office) take(ctx context.Context, segment []byte) ([]byte, error) {
	response, err := o.send(ctx, http.MethodPost, pathSegments, "application/octet-stream", bytes.NewReader(segment))
	var no *refusedError
	if errors.As(err, &no) && no.status < 500 {
		return nil, fmt.Errorf("%w: %s", uplink.ErrSkip, no.Detail)
	}
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	receipt, err := io.ReadAll(io.LimitReader(response.Body, int64(record.ReceiptSize)+1))
	if err != nil {
		return nil, faultf("the hub's answer broke off: %w", err)
	}
	return receipt, nil
}

func (a *app) skipped(t uplink.Tally) {
	for _, s := range t.Skips {
		fmt.Fprintf(a.err, "hub: skipped %s: %s\n", oneLine(s.Name), oneLine(s.Why))
	}
	if more := t.Skipped - len(t.Skips); more > 0 {
		fmt.Fprintf(a.err, "hub: skipped %d more\n", more)
	}
}

func newStickExportCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:     "export DIR",
		Short:   "Put what gates are to trust on a stick",
		Example: `hub stick export /media/stick`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withHub(c, func(ctx context.Context, at *office) error {
				t, err := uplink.ExportTrust(ctx, args[0], stickFiles(at.trust(ctx)))
				if err != nil {
					return faultf("stick export: %w", err)
				}
				_, err = fmt.Fprintf(a.out, "trust is on the stick: %d files, %d of them new\n", t.Done+t.Same, t.Done)
				return err
			})
		},
	}
	hereFlags(c, a)
	return c
}

func stickFiles(files iter.Seq2[tuf.File, error]) iter.Seq2[uplink.TrustFile, error] {
	return func(yield func(uplink.TrustFile, error) bool) {
		for f, err := range files {
			if !yield(uplink.TrustFile{Name: f.Name, Bytes: f.Bytes}, err) {
				return
			}
		}
	}
}
