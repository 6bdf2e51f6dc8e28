package wedge

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// next is the next text as a string, or the error.
func next(t *testing.T, s *Source) (string, error) {
	t.Helper()
	text, err := s.Next(t.Context())
	if err == nil && text.At.IsZero() {
		t.Error("a text without a time")
	}
	return string(text.Bytes), err
}

func want(t *testing.T, s *Source, text string) {
	t.Helper()
	got, err := next(t, s)
	if err != nil || got != text {
		t.Fatalf("Next = %.60q, %v, want %.60q", got, err, text)
	}
}

func wantErr(t *testing.T, s *Source, err error) {
	t.Helper()
	if text, got := next(t, s); !errors.Is(got, err) {
		t.Fatalf("Next = %.60q, %v, want error %v", text, got, err)
	}
}

func lines(t *testing.T) (*Source, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenLines(r, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); r.Close(); w.Close() })
	return s, w
}

func TestLines(t *testing.T) {
	s, w := lines(t)
	long := strings.Repeat("A", MaxText)
	go func() {
		fmt.Fprintf(w, "GHC1:ONE\r\n\n\r\rHC1:TWO\nHC1:TH")
		fmt.Fprintf(w, "REE\r%s\n%sB\nafter\n\x00\xff\t\nlast", long, long)
		w.Close()
	}()
	for _, text := range []string{"GHC1:ONE", "HC1:TWO", "HC1:THREE", long, "after", "\x00\xff\t", "last"} {
		want(t, s, text)
	}
	wantErr(t, s, ErrEnd)
	wantErr(t, s, ErrEnd)
	if got := s.Dropped(); got != 1 {
		t.Errorf("Dropped = %d, want 1: the line of MaxText + 1", got)
	}
}

func TestLinesOfARegularFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "texts")
	if err := os.WriteFile(path, []byte("one\ntwo"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := OpenLines(f, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want(t, s, "one")
	want(t, s, "two")
	wantErr(t, s, ErrEnd)
}

// A Next that waits must end with its context, and with Close.
func TestWaitEnds(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(s *Source, cancel context.CancelCauseFunc)
		want error
	}{
		{"by its context", func(_ *Source, cancel context.CancelCauseFunc) { cancel(errEnough) }, errEnough},
		{"by Close", func(s *Source, _ context.CancelCauseFunc) { s.Close() }, os.ErrClosed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _ := lines(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			got := make(chan error)
			go func() {
				_, err := s.Next(ctx)
				got <- err
			}()
			tc.end(s, cancel)
			if err := <-got; !errors.Is(err, tc.want) {
				t.Errorf("Next = %v, want %v", err, tc.want)
			}
		})
	}
}

var errEnough = errors.New("enough")

func TestNextAfterACancelledOne(t *testing.T) {
	s, w := lines(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Next = %v, want context.Canceled", err)
	}
	fmt.Fprintln(w, "still there")
	want(t, s, "still there")
}

// line is a pseudo terminal that stands for a serial line: what is written to
// the returned file arrives at path.
func line(t *testing.T) (master *os.File, path string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		if os.Getenv("CHECKPOINT_NO_SKIP") == "1" {
			t.Fatal(err)
		}
		t.Skip("no pseudo terminals here:", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return master, fmt.Sprintf("/dev/pts/%d", n)
}

// send writes once the other side has set the line raw, so that nothing is
// echoed or flushed: until then the terminal of a pty is in cooked mode.
func send(t *testing.T, master *os.File, text string) {
	t.Helper()
	for {
		mode, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS2)
		if err != nil {
			t.Error(err)
			return
		}
		if mode.Lflag&unix.ICANON == 0 {
			break
		}
	}
	if _, err := master.WriteString(text); err != nil {
		t.Error(err)
	}
}

func TestSerialLine(t *testing.T) {
	master, path := line(t)
	s, err := OpenSerial(path, 115200, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	go send(t, master, "HC1:A\x03\x11\x7fB\rHC1:C\r\nHC1:D\n")
	for _, text := range []string{"HC1:A\x03\x11\x7fB", "HC1:C", "HC1:D"} {
		want(t, s, text) // control characters pass: the line is raw
	}
	mode, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS2)
	if err != nil {
		t.Fatal(err)
	}
	if mode.Ospeed != 115200 {
		t.Errorf("line speed = %d, want 115200", mode.Ospeed)
	}
}

// The path of a device is a link that comes and goes, as udev makes them.
func TestSerialLineLostAndFound(t *testing.T) {
	first, one := line(t)
	link := filepath.Join(t.TempDir(), "scanner")
	s, err := OpenSerial(link, 9600, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	wantErr(t, s, ErrLost) // not plugged in yet

	if err := os.Symlink(one, link); err != nil {
		t.Fatal(err)
	}
	go send(t, first, "before\rhalf a co")
	want(t, s, "before")

	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	first.Close()
	wantErr(t, s, ErrLost)

	second, two := line(t)
	if err := os.Symlink(two, link); err != nil {
		t.Fatal(err)
	}
	go send(t, second, "after\r")
	want(t, s, "after")
	if got := s.Dropped(); got != 1 {
		t.Errorf("Dropped = %d, want 1: the half code", got)
	}
}

func TestSerialIsNotASerialLine(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("text\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, dir, filepath.Join(dir, "missing"), "/dev/null"} {
		for name, open := range map[string]func() (*Source, error){
			"serial": func() (*Source, error) { return OpenSerial(path, 9600, time.Now) },
			"evdev":  func() (*Source, error) { return OpenEvdev(path, time.Now) },
		} {
			t.Run(name+" "+filepath.Base(path), func(t *testing.T) {
				s, err := open()
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				wantErr(t, s, ErrLost)
			})
		}
	}
}

func TestPauseEndsWhatWasBefore(t *testing.T) {
	a := assembler{pause: staleAfter}
	at := time.Unix(1_800_000_000, 0)
	feed := func(text string, at time.Time) (got []string) {
		for i := range len(text) {
			if b := a.put(text[i], at); b != nil {
				got = append(got, string(b))
			}
		}
		return got
	}
	feed("junk", at)
	if got := feed("GHC1:X\n", at.Add(staleAfter+time.Millisecond)); len(got) != 1 || got[0] != "GHC1:X" {
		t.Errorf("after a pause: %q, want the new text alone", got)
	}
	if a.dropped != 1 {
		t.Errorf("dropped = %d, want 1", a.dropped)
	}
	feed("GHC1:", at)
	if got := feed("Y\n", at.Add(staleAfter)); len(got) != 1 || got[0] != "GHC1:Y" {
		t.Errorf("within the pause: %q, want the whole text", got)
	}
}

// typing is the event stream of a keyboard scanner that types text.
func typing(text string) []byte {
	var b bytes.Buffer
	for i := range len(text) {
		for code, chars := range usKeys {
			switch text[i] {
			case 0:
			case chars[0]:
				key(&b, uint16(code), pressed)
				key(&b, uint16(code), released)
			case chars[1]:
				key(&b, keyLeftShift, pressed)
				key(&b, uint16(code), pressed)
				key(&b, uint16(code), released)
				key(&b, keyLeftShift, released)
			default:
				continue
			}
			break
		}
	}
	return b.Bytes()
}

func enter() []byte {
	var b bytes.Buffer
	key(&b, keyEnter, pressed)
	key(&b, keyEnter, released)
	return b.Bytes()
}

func key(b *bytes.Buffer, code uint16, value int32) {
	event(b, evKey, code, value)
	event(b, evSyn, 0, 0)
}

func event(b *bytes.Buffer, kind, code uint16, value int32) {
	e := make([]byte, eventSize)
	binary.NativeEndian.PutUint16(e[eventSize-8:], kind)
	binary.NativeEndian.PutUint16(e[eventSize-6:], code)
	binary.NativeEndian.PutUint32(e[eventSize-4:], uint32(value))
	b.Write(e)
}

// everyChar is what Base45, Base64, JSON and numeric credentials are made of.
const everyChar = ` !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_` + "`abcdefghijklmnopqrstuvwxyz{|}~"

func TestKeyEvents(t *testing.T) {
	var at time.Time
	texts := func(stream []byte) (got []string) {
		var r keyReader
		r.feed(stream, at, func(b []byte) { got = append(got, string(b)) })
		return got
	}
	var caps, control, repeat, gap bytes.Buffer
	key(&caps, keyCapsLock, pressed)
	key(&caps, keyCapsLock, released)
	caps.Write(typing("hC1"))
	key(&control, keyLeftCtrl, pressed)
	key(&control, 27, pressed) // ]
	key(&control, 28-12, released)
	key(&control, keyLeftCtrl, released)
	key(&repeat, 30, pressed)
	key(&repeat, 30, 2)
	key(&repeat, 30, 2)
	gap.Write(typing("HC1:LO"))
	event(&gap, evSyn, synDropped, 0)
	gap.Write(typing("ST"))
	gap.Write(enter())
	gap.Write(typing("HC1:NEXT"))

	for _, tc := range []struct {
		name   string
		stream []byte
		want   string
	}{
		{"every printable character", typing(everyChar), everyChar},
		{"caps lock turns letters around", caps.Bytes(), "Hc1"},
		{"a control character", control.Bytes(), "\x1d"},
		{"a held key types once", repeat.Bytes(), "a"},
		{"after events were dropped, the next text", gap.Bytes(), "HC1:NEXT"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := texts(append(tc.stream, enter()...)); len(got) != 1 || got[0] != tc.want {
				t.Errorf("typed %q, want %q alone", got, tc.want)
			}
		})
	}
}

// A device gives events in whatever pieces; texts do not depend on them.
func TestKeyEventsThroughAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s, err := newSource("pipe", false, &keyReader{}, time.Now, func() (int, error) {
		return unix.FcntlInt(r.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	go func() {
		stream := append(typing("GHP1:A b*"), enter()...)
		for i := range stream {
			w.Write(stream[i : i+1])
		}
		w.Write(typing("cut o"))
		w.Close()
	}()
	want(t, s, "GHP1:A b*")
	wantErr(t, s, ErrLost)
	if got := s.Dropped(); got != 1 {
		t.Errorf("Dropped = %d, want 1", got)
	}
}

// FuzzReaders: whatever a device sends, texts are whole lines within the limit,
// and the pieces in which bytes arrive do not matter.
func FuzzReaders(f *testing.F) {
	f.Add([]byte("GHC1:A\r\nB\n\n\rC"), uint8(3))
	f.Add(append(typing("HC1:Az*"), enter()...), uint8(7))
	f.Add(bytes.Repeat([]byte("A"), MaxText+2), uint8(200))
	f.Fuzz(func(t *testing.T, data []byte, piece uint8) {
		var at time.Time
		for name, fresh := range map[string]func() reader{
			"bytes": func() reader { return &byteReader{whole: true} },
			"keys":  func() reader { return &keyReader{} },
		} {
			var whole, pieces [][]byte
			r := fresh()
			r.feed(data, at, func(b []byte) { whole = append(whole, b) })
			r.end(func(b []byte) { whole = append(whole, b) })
			r = fresh()
			for rest := data; len(rest) > 0; {
				n := min(int(piece)+1, len(rest))
				r.feed(rest[:n], at, func(b []byte) { pieces = append(pieces, b) })
				rest = rest[n:]
			}
			r.end(func(b []byte) { pieces = append(pieces, b) })
			if len(whole) != len(pieces) {
				t.Fatalf("%s: %d texts at once, %d in pieces", name, len(whole), len(pieces))
			}
			for i, text := range whole {
				if !bytes.Equal(text, pieces[i]) {
					t.Fatalf("%s: text %d differs", name, i)
				}
				if len(text) == 0 || len(text) > MaxText || bytes.ContainsAny(text, "\r\n") {
					t.Fatalf("%s: text of %d bytes, or with a line end", name, len(text))
				}
			}
		}
	})
}
