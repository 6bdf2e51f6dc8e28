package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The exit codes of docs/formats.md; this program has no use for 1.
const (
	exitDone    = 0
	exitUsage   = 2
	exitFault   = 3
	exitRefused = 4
)

// exitError is an error that knows its exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }

func (e *exitError) Unwrap() error { return e.err }

// usagef says that the command line or the configuration is wrong: exit 2.
func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// faultf says that the machine, the store or a file is at fault: exit 3. An error without
// a code of its own counts as this too.
func faultf(format string, args ...any) error {
	return &exitError{exitFault, fmt.Errorf(format, args...)}
}

// refusedf says that the hub, or signed data, refused: exit 4.
func refusedf(format string, args ...any) error {
	return &exitError{exitRefused, fmt.Errorf(format, args...)}
}

// asUsage keeps the code of err and makes it wrong usage when it has none:
// what cobra itself returns is always about the command line.
func asUsage(err error) error {
	var e *exitError
	if errors.As(err, &e) {
		return err
	}
	return &exitError{exitUsage, err}
}

// report prints a failure as one line and returns the exit status.
func (a *app) report(err error) int {
	if err == nil {
		return exitDone
	}
	code := exitFault
	var e *exitError
	if errors.As(err, &e) {
		code = e.code
	}
	fmt.Fprintf(a.err, "hub: %s\n", oneLine(err.Error()))
	return code
}

// maxLine bounds a message: enough for two paths and a sentence.
const maxLine = 1200

// oneLine makes a text harmless for a terminal and one line long: line breaks
// become "; ", control characters, bidi controls and bytes that are not UTF-8
// are shown as escapes. File names come from outside, too.
func oneLine(s string) string {
	if strings.Contains(s, "\n") {
		var parts []string
		for part := range strings.SplitSeq(s, "\n") {
			if part = strings.TrimSpace(part); part != "" {
				parts = append(parts, part)
			}
		}
		s = strings.Join(parts, "; ")
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if b.Len() > maxLine {
			b.WriteString("…")
			break
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r != ' ' && !unicode.IsPrint(r):
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}
