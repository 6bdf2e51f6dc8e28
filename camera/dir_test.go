package camera

import (
	"context"
	"errors"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// folder makes a replay folder: name → content.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const dot = "P5 1 1 255\n\x80"

func TestNatural(t *testing.T) {
	want := []string{"a", "a1", "a01", "a2", "a10", "a10b2", "a10b10", "b", "b99999999999999999999998", "b99999999999999999999999"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, natural)
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestDirShowsAllInOrder(t *testing.T) {
	dir := folder(t, map[string]string{
		"f10.pgm": dot, "f9.PNG": string(pngOf(t, image.NewGray(image.Rect(0, 0, 2, 2)))), "f2.jpg": "broken", "f1.jpeg": string(rampJPEG(8, 8)),
		"notes.txt": "no picture", ".f3.pgm": dot,
	})
	d, err := OpenDir(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var names []string
	var seqs []uint64
	for {
		f, err := d.Next(t.Context())
		if errors.Is(err, ErrEnd) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names, seqs = append(names, f.Name), append(seqs, f.Seq)
		if f.Truth != (Truth{}) || f.Captured.IsZero() || len(f.Luma) != f.Width*f.Height {
			t.Errorf("%+v", f)
		}
	}
	if !slices.Equal(names, []string{"f1.jpeg", "f9.PNG", "f10.pgm"}) || !slices.Equal(seqs, []uint64{1, 3, 4}) {
		t.Errorf("names %q, sequence %v", names, seqs)
	}
	if s := d.Stats(); s.Frames != 3 || s.Corrupt != 1 {
		t.Errorf("%+v", s)
	}
	if _, err := d.Next(t.Context()); !errors.Is(err, ErrEnd) {
		t.Errorf("after the end: %v", err)
	}
}

func TestDirTruth(t *testing.T) {
	dir := folder(t, map[string]string{
		"1.pgm": dot, "2.pgm": dot, "3.pgm": dot, "4.pgm": dot, "5.pgm": dot,
		PresentationsFile: "# file, presentation, whole\n1.pgm\t1\tno\n2.pgm\t1\tyes\r\n\n3.pgm\t1\tyes\n4.pgm\t2\tyes\n",
	})
	d, err := OpenDir(dir, Options{Loop: true})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for pass := range uint64(2) {
		var since time.Time
		for i, want := range []uint64{1, 1, 1, 2, 0} {
			f, err := d.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if want != 0 {
				want += 2 * pass // each pass holds up new things
			}
			if f.Truth.Presentation != want {
				t.Errorf("pass %d, %s: presentation %d, want %d", pass, f.Name, f.Truth.Presentation, want)
			}
			switch i {
			case 0, 4:
				if !f.Truth.WholeSince.IsZero() {
					t.Errorf("%s is not whole", f.Name)
				}
			case 1:
				since = f.Captured
				fallthrough
			case 2:
				if !f.Truth.WholeSince.Equal(since) {
					t.Errorf("%s: whole since %v, want %v", f.Name, f.Truth.WholeSince, since)
				}
			case 3:
				if !f.Truth.WholeSince.Equal(f.Captured) {
					t.Errorf("%s: whole since %v", f.Name, f.Truth.WholeSince)
				}
			}
		}
	}
}

func TestOpenDirRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, says string
		files      map[string]string
	}{
		{"nothing", "no pictures", nil},
		{"texts only", "no pictures", map[string]string{"a.txt": "x"}},
		{"truth without tabs", "line 2", map[string]string{"a.pgm": dot, PresentationsFile: "#\na.pgm 1 yes\n"}},
		{"truth with another word", "line 1", map[string]string{"a.pgm": dot, PresentationsFile: "a.pgm\t1\tmaybe\n"}},
		{"truth with a negative number", "line 1", map[string]string{"a.pgm": dot, PresentationsFile: "a.pgm\t-1\tyes\n"}},
		{"truth twice", "twice", map[string]string{"a.pgm": dot, PresentationsFile: "a.pgm\t1\tyes\na.pgm\t2\tyes\n"}},
		{"truth of no picture", "not among", map[string]string{"a.pgm": dot, PresentationsFile: "b.pgm\t1\tyes\n"}},
		{"truth of a long line", "line 1", map[string]string{"a.pgm": dot, PresentationsFile: strings.Repeat("x", 5000)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := OpenDir(folder(t, tc.files), Options{})
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error = %v, want one with %q", err, tc.says)
			}
		})
	}
	for path, says := range map[string]string{"/does/not/exist": "no such", os.Args[0]: "not a folder"} {
		if _, err := OpenDir(path, Options{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A loop over broken pictures only must not turn for ever.
func TestDirLoopOfBrokenPictures(t *testing.T) {
	d, err := OpenDir(folder(t, map[string]string{"a.png": "x", "b.png": "y"}), Options{Loop: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Next(t.Context()); !errors.Is(err, ErrPicture) {
		t.Errorf("error = %v", err)
	}
}

func TestDirPace(t *testing.T) {
	d, err := OpenDir(folder(t, map[string]string{"a.pgm": dot, "b.pgm": dot, "c.pgm": dot}), Options{FPS: 100})
	if err != nil {
		t.Fatal(err)
	}
	var at []time.Time
	for range 3 {
		f, err := d.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, f.Captured)
	}
	if got := at[2].Sub(at[0]); got < 20*time.Millisecond {
		t.Errorf("three pictures at 100 a second within %v", got)
	}
	// A wait for a picture that is due next year ends with its context, and
	// with Close.
	d, err = OpenDir(folder(t, map[string]string{"a.pgm": dot, "b.pgm": dot, "c.pgm": dot}), Options{FPS: 1e-7})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := d.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v", err)
	}
	got := make(chan error)
	go func() { _, err := d.Next(t.Context()); got <- err }()
	d.Close()
	if err := <-got; !errors.Is(err, ErrClosed) {
		t.Errorf("error = %v", err)
	}
}

// The example in the documentation is a good one.
func TestPresentationsExample(t *testing.T) {
	f, err := os.Open("../docs/examples/presentations.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := readPresentations(f)
	if err != nil {
		t.Fatal(err)
	}
	if want := (shown{1, true}); len(all) != 5 || all["f3.png"] != want || all["f1.png"] != (shown{}) {
		t.Errorf("%+v", all)
	}
}

func FuzzPresentations(f *testing.F) {
	f.Add("a.pgm\t1\tyes\nb.pgm\t1\tno\n")
	f.Add("# c\n\n\t\t\n")
	f.Fuzz(func(t *testing.T, s string) {
		all, err := readPresentations(strings.NewReader(s))
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("more than a line: %q", err)
		}
		for name, x := range all {
			if name == "" || x.whole && x.presentation == 0 {
				t.Errorf("%q: %+v", name, x)
			}
		}
	})
}
