package camera

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// ends fails the test when goroutines that it began outlive it.
func ends(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() { until(t, "the goroutines ended", func() bool { return runtime.NumGoroutine() <= before }) })
}

// server sends what body writes, as a stream, and ends with the test.
func server(t *testing.T, kind string, body func(w io.Writer, r *http.Request)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		body(flusher{w}, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

type flusher struct{ w http.ResponseWriter }

func (f flusher) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	f.w.(http.Flusher).Flush()
	return n, err
}

const replace = "multipart/x-mixed-replace; boundary=frame"

func streamOf(t *testing.T, url string, o Options) *Stream {
	t.Helper()
	s, err := OpenStream(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStreamForms(t *testing.T) {
	jpg := stripTables(rampJPEG(64, 48))
	for name, form := range map[string]struct{ kind, part string }{
		"with lengths":            {replace, fmt.Sprintf("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n", len(jpg), jpg)},
		"without lengths":         {replace, fmt.Sprintf("--frame\r\nContent-Type: image/jpeg\r\n\r\n%s\r\n", jpg)},
		"bare line ends":          {replace, fmt.Sprintf("--frame\ncontent-length:%d\n\n%s\n", len(jpg), jpg)},
		"dashes in the type":      {"multipart/x-mixed-replace; boundary=--frame", fmt.Sprintf("--frame\r\nContent-Length: %d\r\n\r\n%s\r\n", len(jpg), jpg)},
		"no boundary in type":     {"multipart/x-mixed-replace", fmt.Sprintf("--any\r\nContent-Length: %d\r\n\r\n%s\r\n", len(jpg), jpg)},
		"a boundary with a space": {"multipart/x-mixed-replace; boundary=my frame", fmt.Sprintf("--my frame\r\nContent-Length: %d\r\n\r\n%s\r\n", len(jpg), jpg)},
		"no headers at all":       {replace, fmt.Sprintf("--frame\r\n\r\n%s\r\n", jpg)},
	} {
		t.Run(name, func(t *testing.T) {
			ends(t)
			url := server(t, form.kind, func(w io.Writer, r *http.Request) {
				for r.Context().Err() == nil {
					if _, err := io.WriteString(w, form.part); err != nil {
						return
					}
				}
			})
			s := streamOf(t, url, Options{MustOpen: true})
			var last uint64
			for range 3 {
				f, err := s.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				wantRamp(t, f, 64, 48, 8)
				if f.Seq <= last {
					t.Errorf("sequence %d after %d", f.Seq, last)
				}
				last = f.Seq
			}
		})
	}
}

// A camera that closes the connection is asked again; the loss is told once,
// broken frames are counted.
func TestStreamConnectsAgain(t *testing.T) {
	ends(t)
	jpg := rampJPEG(64, 48)
	var calls atomic.Int32
	again := make(chan struct{})
	url := server(t, replace, func(w io.Writer, r *http.Request) {
		if calls.Add(1) == 2 {
			<-again
		}
		for _, b := range [][]byte{[]byte("rubbish"), nil, jpg} {
			fmt.Fprintf(w, "--frame\r\nContent-Length: %d\r\n\r\n%s\r\n", len(b), b)
		}
		if calls.Load() > 1 {
			<-r.Context().Done()
		}
	})
	s := streamOf(t, url, Options{})
	frames, losses := 0, 0
	for frames == 0 || losses == 0 {
		switch f, err := s.Next(t.Context()); {
		case errors.Is(err, ErrLost):
			losses++
			frames++ // the frame may have gone with the connection
		case err != nil:
			t.Fatal(err)
		default:
			wantRamp(t, f, 64, 48, 8)
			frames++
		}
	}
	if st := s.Stats(); st.Lost == "" {
		t.Errorf("%+v", st)
	}
	close(again)
	f, err := s.Next(t.Context())
	if err != nil {
		t.Fatalf("after the loss: %v", err)
	}
	wantRamp(t, f, 64, 48, 8)
	if st := s.Stats(); losses != 1 || st.Reopens == 0 || st.Corrupt == 0 || st.Lost != "" {
		t.Errorf("%d losses, %+v", losses, st)
	}
}

func TestStreamStall(t *testing.T) {
	ends(t)
	var calls atomic.Int32
	jpg := rampJPEG(64, 48)
	url := server(t, replace, func(w io.Writer, r *http.Request) {
		if calls.Add(1) > 1 {
			fmt.Fprintf(w, "--frame\r\nContent-Length: %d\r\n\r\n%s\r\n", len(jpg), jpg)
		} else {
			io.WriteString(w, "--frame\r\n") // and then nothing
		}
		<-r.Context().Done()
	})
	s := streamOf(t, url, Options{Stall: 50 * time.Millisecond})
	if _, err := s.Next(t.Context()); !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "too long") {
		t.Errorf("error = %v", err)
	}
	for {
		if _, err := s.Next(t.Context()); err == nil {
			break
		} else if !errors.Is(err, ErrLost) {
			t.Fatal(err)
		}
	}
}

func TestOpenStreamRefuses(t *testing.T) {
	ends(t)
	text := server(t, "text/html", func(w io.Writer, _ *http.Request) { io.WriteString(w, "hello") })
	secret := strings.Replace(text, "http://", "http://user:secret@", 1) + "/?token=secret"
	for url, says := range map[string]string{text: "not an MJPEG stream", secret: "not an MJPEG stream", "http://127.0.0.1:1/": "refused"} {
		_, err := OpenStream(t.Context(), url, Options{MustOpen: true})
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("error = %v, want %q", err, says)
		}
	}
	// Waited for, and Close ends the wait.
	s := streamOf(t, "http://127.0.0.1:1/", Options{})
	if _, err := s.Next(t.Context()); !errors.Is(err, ErrLost) {
		t.Errorf("error = %v", err)
	}
	got := make(chan error)
	go func() { _, err := s.Next(context.Background()); got <- err }()
	s.Close()
	if err := <-got; !errors.Is(err, ErrClosed) {
		t.Errorf("error = %v", err)
	}
}

func TestPartsBounds(t *testing.T) {
	for name, s := range map[string]string{
		"a frame too large":  "--frame\r\nContent-Length: 99999999999\r\n\r\n",
		"a negative length":  "--frame\r\nContent-Length: -1\r\n\r\n",
		"no boundary":        strings.Repeat("x\n", 100),
		"an endless line":    strings.Repeat("x", 1<<16),
		"endless headers":    "--frame\r\n" + strings.Repeat("a: b\r\n", 100),
		"a body without end": "--frame\r\n\r\n" + strings.Repeat("x\n", maxPart),
	} {
		if b, err := newParts(strings.NewReader(s), "frame").next(nil); !errors.Is(err, errParts) {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
}

func FuzzParts(f *testing.F) {
	f.Add([]byte("--frame\r\nContent-Length: 3\r\n\r\nabc\r\n--frame\r\n\r\nxyz\r\n--frame--\r\n"), "frame")
	f.Add([]byte("--\n\nx\n--\n\n"), "")
	f.Fuzz(func(t *testing.T, b []byte, boundary string) {
		p := newParts(bytes.NewReader(b), boundary)
		var buf []byte
		for range len(b) + 2 {
			var err error
			if buf, err = p.next(buf); err != nil {
				return
			}
			if len(buf) > len(b) {
				t.Fatalf("%d bytes out of %d", len(buf), len(b))
			}
		}
		t.Error("parts without end")
	})
}

// The reader of frames allocates nothing in the steady state.
func TestLatestAllocates(t *testing.T) {
	l := newLatest()
	src := rampYUYV(64, 48)
	lay := layout{Format: fourYUYV, Width: 64, Height: 48, Stride: 128, Size: len(src)}
	seq := uint64(0)
	once := func() {
		seq++
		l.filling.fill(src, lay)
		l.filling.seq = seq
		l.put()
		if f, err := l.next(t.Context(), time.Second); err != nil || f.Seq != seq {
			t.Fatalf("frame %d, %v", f.Seq, err)
		}
	}
	for range 3 {
		once()
	}
	if n := testing.AllocsPerRun(100, once); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func TestLatestNewestWins(t *testing.T) {
	l := newLatest()
	put := func(seq uint64) {
		l.filling.luma, l.filling.width, l.filling.height, l.filling.seq = append(l.filling.luma[:0], byte(seq)), 1, 1, seq
		l.put()
	}
	put(1)
	f, err := l.next(t.Context(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for s := uint64(2); s <= 9; s++ {
		put(s)
	}
	if f.Seq != 1 || f.Luma[0] != 1 {
		t.Errorf("the lent frame changed: %+v", f)
	}
	if f, err = l.next(t.Context(), time.Second); err != nil || f.Seq != 9 || f.Luma[0] != 9 {
		t.Errorf("%+v, %v", f, err)
	}
	if st := l.snapshot(); st.Dropped != 7 || st.Frames != 2 {
		t.Errorf("%+v", st)
	}
	// A loss is told once, the better words of a second one are in the
	// counters, and the frame before it is not lent any more.
	put(10)
	l.lose(errStall)
	l.lose(errHangUp)
	if _, err := l.next(t.Context(), time.Second); !errors.Is(err, ErrLost) || !errors.Is(err, errStall) {
		t.Errorf("error = %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := l.next(ctx, time.Second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v", err)
	}
	if st := l.snapshot(); st.Lost != errHangUp.Error() {
		t.Errorf("%+v", st)
	}
	put(11)
	if f, err := l.next(t.Context(), time.Second); err != nil || f.Seq != 11 || l.snapshot().Lost != "" {
		t.Errorf("%+v, %v", f, err)
	}
}
