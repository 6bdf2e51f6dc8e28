package main

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestKeysAndCodesDoNotShare holds that standard input is read by one side only:
// a gate whose keys and codes came out of one pipe lost codes.
func TestKeysAndCodesDoNotShare(t *testing.T) {
	pipe, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer w.Close()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminal to be had: %v", err)
	}
	defer terminal.Close()

	const own, none = "standard input", "nothing"
	for _, tc := range []struct {
		name     string
		in       *os.File
		out      io.Writer
		plain    bool
		headless bool
		source   string
		want     string // own, none, or a part of the error
	}{
		{name: "a screen at a terminal", in: terminal, out: terminal, source: "v4l2:auto", want: own},
		{name: "lines at a terminal", in: terminal, out: terminal, plain: true, source: "v4l2:auto", want: own},
		{name: "lines driven by a program", in: pipe, out: io.Discard, plain: true, source: "v4l2:auto", want: own},
		{name: "codes from a pipe, lines to a file", in: pipe, out: io.Discard, plain: true, source: "stdin", want: none},
		{name: "codes where the keys are", in: terminal, out: terminal, source: "stdin", want: "cannot give codes too"},
		{name: "codes where the keys are, lines", in: terminal, out: terminal, plain: true, source: "stdin", want: "cannot give codes too"},
		{name: "codes typed, no screen", in: terminal, out: terminal, headless: true, source: "stdin", want: ""},
		{name: "a screen into a file", in: terminal, out: io.Discard, source: "v4l2:auto", want: "no terminal to draw on"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := &app{in: tc.in, out: tc.out, err: io.Discard}
			keys, done, err := a.keys(config{Plain: tc.plain, Source: []string{tc.source}}, tc.headless)
			if err != nil {
				var e *exitError
				if !errors.As(err, &e) || e.code != exitUsage || tc.want == "" || !strings.Contains(err.Error(), tc.want) {
					t.Fatalf("error %v, want wrong usage: %q", err, tc.want)
				}
				return
			}
			defer done()
			got := own
			switch {
			case keys == nil:
				got = ""
			case keys != io.Reader(tc.in):
				if n, err := keys.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Fatalf("reads %d, %v", n, err)
				}
				got = none
			}
			if got != tc.want {
				t.Errorf("keys from %q, want %q", got, tc.want)
			}
		})
	}
}
