package main

import (
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
)

// keys are where the guard's keys come from, for a gate with a screen or with
// plain lines. They never share standard input with codes: two readers of one
// stream would each get half of it, and a code would be taken for keys.
//
// Keys come from standard input, or from the terminal that the program was
// started at when standard input gives codes or is no terminal. Plain lines do
// without keys where there is no such terminal; a screen does not, as some of
// its cards leave by key only. A headless
// gate has none (nil). Call done when the keys are not needed any more.
func (a *app) keys(cfg config, headless bool) (_ io.Reader, done func(), err error) {
	in, _ := a.in.(*os.File)
	atTerminal := in != nil && term.IsTerminal(int(in.Fd()))
	codes := slices.Contains(cfg.Source, source{kind: "stdin"}.String())
	done = func() {}
	switch {
	case headless:
		return nil, done, nil
	case codes && atTerminal:
		return nil, nil, usagef("source stdin: this terminal gives the guard's keys and cannot give codes too: pipe the codes in, or use --headless")
	case !cfg.Plain && !isTerminal(a.out):
		return nil, nil, usagef("there is no terminal to draw on: --headless prints events, --plain prints lines")
	case atTerminal, cfg.Plain && !codes:
		return a.in, done, nil
	case cfg.Plain && !isTerminal(a.out):
		return strings.NewReader(""), done, nil
	}
	tty, err := os.Open("/dev/tty") // tty(4): the controlling terminal
	switch {
	case err == nil:
		return tty, func() { tty.Close() }, nil
	case cfg.Plain:
		return strings.NewReader(""), done, nil
	}
	return nil, nil, usagef("there is no terminal to take keys from: --headless prints events, --plain prints lines")
}
