package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

func TestExitCodes(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		code int
		line string
	}{
		{"done", nil, 0, ""},
		{"not admitted, and silent", silent(exitNotAdmitted), 1, ""},
		{"wrong usage", usagef("no %s", "way"), 2, "checkpoint: no way\n"},
		{"a fault, wrapped", fmt.Errorf("open: %w", faultf("disk")), 3, "checkpoint: open: disk\n"},
		{"an error without a code is a fault", io.ErrUnexpectedEOF, 3, "checkpoint: unexpected EOF\n"},
		{"refused", refusedf("older"), 4, "checkpoint: older\n"},
		{"the first code of several", errors.Join(faultf("disk"), silent(exitNotAdmitted)), 3, "checkpoint: disk\n"},
		{"cobra's own errors are wrong usage", asUsage(errors.New("accepts 1 arg")), 2, "checkpoint: accepts 1 arg\n"},
		{"several lines are one", errors.New("a\n\n  b\n"), 3, "checkpoint: a; b\n"},
		{"escapes are shown", errors.New("\x1b[31m\u202e\xff\tx"), 3, "checkpoint: \\x1b[31m\\u202e\\xff\\tx\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b bytes.Buffer
			a := &app{err: &b}
			if got := a.report(tc.err); got != tc.code {
				t.Errorf("exit code %d, want %d", got, tc.code)
			}
			if b.String() != tc.line {
				t.Errorf("said %q, want %q", b.String(), tc.line)
			}
		})
	}
}

func TestOneLineIsBounded(t *testing.T) {
	if got := oneLine(strings.Repeat("\x1b", 1<<20)); len(got) > maxLine+32 {
		t.Errorf("%d bytes", len(got))
	}
}

func TestVersion(t *testing.T) {
	for _, tc := range []struct {
		info debug.BuildInfo
		want string
	}{
		{debug.BuildInfo{}, "(devel) commit unknown"},
		{debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-11-23T08:00:00Z"}, {Key: "vcs.modified", Value: "true"},
		}}, "v1.2.3 commit abc+, 2026-11-23T08:00:00Z"},
	} {
		if got := versionOf(&tc.info); got != tc.want {
			t.Errorf("version = %q, want %q", got, tc.want)
		}
	}
}

func TestLogStaysUnderItsCap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "folder", "log")
	const limit = 4096
	f, err := openCapped(path, limit)
	if err != nil {
		t.Fatal(err)
	}
	total := func() (n int64) {
		for _, p := range []string{path, path + ".1"} {
			if info, err := os.Stat(p); err == nil {
				n += info.Size()
			}
		}
		return n
	}
	for i := range 500 {
		if _, err := fmt.Fprintf(f, "record %03d %s\n", i, strings.Repeat("x", i%90)); err != nil {
			t.Fatal(err)
		}
		if n := total(); n > limit {
			t.Fatalf("after record %d the log has %d bytes, over its cap of %d", i, n, limit)
		}
	}
	if _, err := f.Write(make([]byte, limit)); err != nil || total() > limit {
		t.Errorf("a record longer than a file: %v, %d bytes", err, total())
	}
	text, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(text, []byte("record 499 ")) {
		t.Errorf("the newest record is not in the log: %v", err)
	}
	before, err := os.ReadFile(path + ".1")
	if err != nil || bytes.Contains(before, []byte("record 000 ")) || !bytes.HasSuffix(before, []byte("\n")) {
		t.Errorf("the predecessor is not the file before, with whole records: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("late\n")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
	if f, err = openCapped(path, limit); err != nil || f.size == 0 {
		t.Errorf("opened again: %v, does not go on", err)
	} else {
		f.Close()
	}
	if _, err := openCapped(t.TempDir(), limit); err == nil {
		t.Error("a folder was taken for a log")
	}
}

func TestEachLine(t *testing.T) {
	var got []string
	err := eachLine(strings.NewReader("a\r\n\n"+strings.Repeat("x", 11)+"\n"+strings.Repeat("y", 100)+"\n0123456789\nlast"), 10, func(n int, line []byte, long bool) error {
		if long {
			line = []byte("long")
		}
		got = append(got, fmt.Sprintf("%d %s", n, line))
		return nil
	})
	want := "1 a|3 long|4 long|5 0123456789|6 last"
	if s := strings.Join(got, "|"); err != nil || s != want {
		t.Errorf("lines = %s, %v, want %s", s, err, want)
	}
	broken := io.MultiReader(strings.NewReader("a\n"), failing{})
	if err := eachLine(broken, 10, func(int, []byte, bool) error { return nil }); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error = %v, want that of the reader", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }
