package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"checkpoint/camera"
	"checkpoint/decode"
	"github.com/spf13/cobra"
)

// maxTextLine bounds a line of --texts, bytes. The longest symbol holds 7089.
const maxTextLine = 8 << 10

func newScanCommand(a *app) *cobra.Command {
	var at, loose, texts string
	var asJSON bool
	c := &cobra.Command{
		Use:   "scan [FILE…]",
		Short: "Judge codes in pictures or texts",
		Long: "Read the codes in pictures (PNG, JPEG, PGM) and print a verdict for each.\n" +
			"Trust comes from the gate's file, as installed; --insecure-trust takes an\n" +
			"unsigned snapshot instead, to check a code against keys of your own.\n\n" +
			"Exit status: 0 all admitted, 1 something not admitted or not found, 3 a file\n" +
			"could not be used.",
		Example: `# What does this code say at eight o'clock?
checkpoint scan --at 2026-11-23T08:00:00Z code.png

# One JSON object a symbol
checkpoint scan --json --insecure-trust trust.json *.png

# Texts, one a line, as a hand scanner gives them
checkpoint scan --texts - <texts.txt`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, files []string) error {
			if (len(files) == 0) == (texts == "") {
				return usagef("scan: name pictures, or texts with --texts FILE (- for standard input)")
			}
			cfg, err := configOf(c)
			if err != nil {
				return err
			}
			j, err := a.judgeOf(c.Context(), cfg, at, loose)
			if err != nil {
				return err
			}
			s := scanRun{app: a, judge: j, json: asJSON}
			if texts != "" {
				err = s.texts(texts)
			} else {
				err = s.pictures(files)
			}
			return errors.Join(err, s.status())
		},
	}
	c.Flags().StringVar(&at, "at", "", "judge as of this time (RFC 3339) instead of now")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a symbol")
	c.Flags().StringVar(&texts, "texts", "", "file of texts, one a line; - for standard input")
	c.Flags().StringVar(&loose, "insecure-trust", "", "unsigned trust snapshot (JSON) to judge by")
	settingFlags(c, "db", "venue_type", "trust_key")
	return c
}

// scanRun is one run of scan: what it judges with and what has come of it.
type scanRun struct {
	*app
	judge
	json    bool
	refused bool // something was not admitted
	faulty  bool // a file could not be used
}

// status is the exit status of what was scanned; nil when all were admitted.
func (s *scanRun) status() error {
	switch {
	case s.faulty:
		return silent(exitFault)
	case s.refused:
		return silent(exitNotAdmitted)
	}
	return nil
}

// fault says what is wrong with one file and lets the others have their turn.
func (s *scanRun) fault(err error) {
	s.faulty = true
	s.report(err)
}

func (s *scanRun) print(r scanReport) error {
	if !r.Admit {
		s.refused = true
	}
	if s.json {
		return printJSON(s.out, r)
	}
	_, err := fmt.Fprintln(s.out, r.line())
	return err
}

func (s *scanRun) text(file string, symbol *symbolReport, read time.Duration, text []byte) error {
	at := s.at()
	start := time.Now()
	v := s.check.Check(text, at)
	return s.print(judged(file, symbol, read, time.Since(start), v, at))
}

func (s *scanRun) pictures(files []string) error {
	reader := decode.NewScanner(decode.Options{Effort: decode.Thorough})
	for _, file := range files {
		p, err := camera.LoadPicture(file)
		if err != nil {
			s.fault(err)
			continue
		}
		start := time.Now()
		res := reader.Scan(decode.Image{Luma: p.Luma, Width: p.Width, Height: p.Height, Stride: p.Width})
		read := time.Since(start)
		if len(res.Symbols) == 0 {
			err = s.print(unread(file, read, s.at()))
		}
		for i, symbol := range res.Symbols {
			err = errors.Join(err, s.text(file, symbolOf(i+1, symbol), read, symbol.Payload))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *scanRun) texts(path string) error {
	in := s.in
	if path != "-" {
		info, err := os.Stat(path)
		if err == nil && info.IsDir() {
			err = fmt.Errorf("%s is a folder", path)
		}
		if err != nil {
			return faultf("--texts: %w", err)
		}
		f, err := os.Open(path)
		if err != nil {
			return faultf("--texts: %w", err)
		}
		defer f.Close()
		in = f
	}
	return eachLine(in, maxTextLine, func(n int, line []byte, long bool) error {
		if long {
			s.fault(faultf("%s: line %d: longer than any code (%d bytes)", path, n, maxTextLine))
			return nil
		}
		return s.text(path, &symbolReport{Index: n}, 0, line)
	})
}

// eachLine calls do for every line that is not empty, counted from 1, without
// its line end. A line of more than most bytes is told of, but not kept: half
// a code is another code.
func eachLine(in io.Reader, most int, do func(n int, line []byte, long bool) error) error {
	r := bufio.NewReaderSize(in, most+2)
	for n := 1; ; n++ {
		line, err := r.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return faultf("read lines: %w", err)
		}
		if !long {
			line = bytes.TrimRight(line, "\r\n")
		}
		if long || len(line) > 0 {
			if bad := do(n, line, long || len(line) > most); bad != nil {
				return bad
			}
		}
		if err != nil {
			return nil
		}
	}
}
