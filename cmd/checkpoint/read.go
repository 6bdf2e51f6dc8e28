package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"checkpoint/camera"
	"checkpoint/decode"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

func newReadCommand(a *app) *cobra.Command {
	var bench, fast bool
	c := &cobra.Command{
		Use:   "read [FILE…]",
		Short: "Print what codes in pictures hold, judging nothing",
		Long: "Read the codes in pictures (PNG, JPEG, PGM) and print their payloads, one a\n" +
			"line. Without FILE, paths come one a line on standard input. On a terminal\n" +
			"payloads are shown with escapes; in a pipe they are the bytes as they are.\n" +
			"This is the one command that prints what a code holds.\n\n" +
			"Exit status: 0 a code in every picture, 1 none in some, 3 a picture could not\n" +
			"be used. With --bench always 0 (docs/formats.md, \"Reading bench\").",
		Example: `# What is in this picture?
checkpoint read code.png

# Judge it elsewhere
checkpoint read code.png | checkpoint explain --insecure-trust trust.json

# Measure the reader
ls *.pgm | checkpoint read --bench`,
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, files []string) error {
			effort := decode.Thorough
			if fast {
				effort = decode.Fast
			}
			r := readRun{app: a, reader: decode.NewScanner(decode.Options{Effort: effort})}
			one := r.payloads
			if bench {
				// One thread, so that its processor time can be told.
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				one = r.bench
			}
			if len(files) > 0 {
				for _, file := range files {
					if err := one(file); err != nil {
						return err
					}
				}
				return r.status
			}
			err := eachLine(a.in, maxPath, func(n int, line []byte, long bool) error {
				if long {
					line = []byte(fmt.Sprintf("line %d", n)) // no such path
				}
				return one(string(line))
			})
			return errors.Join(err, r.status)
		},
	}
	c.Flags().BoolVar(&bench, "bench", false, "print path, milliseconds and payloads in hex, tab-separated")
	c.Flags().BoolVar(&fast, "fast", false, "read as one frame of a camera: the work that 33 ms allow")
	return c
}

type readRun struct {
	*app
	reader *decode.Scanner
	status error // the worst so far
}

func (r *readRun) scan(p camera.Picture) decode.Result {
	return r.reader.Scan(decode.Image{Luma: p.Luma, Width: p.Width, Height: p.Height, Stride: p.Width})
}

// payloads prints what a picture holds.
func (r *readRun) payloads(file string) error {
	p, err := camera.LoadPicture(file)
	if err != nil {
		r.status = silent(r.report(faultf("%w", err)))
		return nil
	}
	res := r.scan(p)
	if len(res.Symbols) == 0 {
		why := ""
		if res.Hint != decode.HintNone {
			why = " (" + res.Hint.String() + ")"
		}
		r.report(fmt.Errorf("%s: no code found%s", file, why))
		if r.status == nil {
			r.status = silent(exitNotAdmitted)
		}
	}
	screen := isTerminal(r.out)
	for _, s := range res.Symbols {
		var line []byte
		if screen {
			line = fmt.Appendf(nil, "%s: version %d-%s, module %.1f px: %s\n", oneLine(file), s.Version, s.Level, s.ModulePx, printable(s.Payload))
		} else {
			line = append(bytes.Clone(s.Payload), '\n')
		}
		if _, err := r.out.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// bench prints one line of the reading bench.
func (r *readRun) bench(file string) error {
	p, err := camera.LoadPicture(file)
	if err != nil {
		r.report(faultf("%w", err))
		_, err = fmt.Fprintf(r.out, "%s\t0.000\t-\n", oneLine(file))
		return err
	}
	cpu := threadTime()
	start := time.Now()
	res := r.scan(p)
	took := time.Since(start)
	used := threadTime() - cpu
	payloads := make([]string, len(res.Symbols))
	for i, s := range res.Symbols {
		payloads[i] = fmt.Sprintf("%x", s.Payload)
	}
	if len(payloads) == 0 {
		payloads = []string{"-"}
	}
	_, err = fmt.Fprintf(r.out, "%s\t%.3f\t%s\t%.3f\n", oneLine(file), millis(took), strings.Join(payloads, ","), millis(used))
	return err
}

// threadTime is the processor time of this thread. clock_gettime(2) knows it to
// the nanosecond; getrusage(2) with RUSAGE_THREAD only as of the last tick,
// which is longer than a reading. The collector works on other threads; its
// share is not in it.
func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// printable shows bytes that may be anything: what is no printable UTF-8 as
// escapes, and what would turn or hide text as well.
func printable(payload []byte) string {
	quoted := strconv.QuoteToGraphic(string(payload))
	return oneLine(strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
