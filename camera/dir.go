package camera

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxDirEntries bounds a picture folder.
const maxDirEntries = 200_000

// Dir shows the pictures of a folder, every one, in natural order. Files that
// are not named .png, .jpg, .jpeg or .pgm are not looked at.
type Dir struct {
	path  string
	names []string
	truth map[string]shown
	o     Options
	every time.Duration

	// Only Next's caller touches these.
	at      int       // next picture
	last    time.Time // when the last one was lent
	good    int       // of this pass
	seq     uint64
	offset  uint64 // added to presentation numbers: each pass shows new ones
	highest uint64 // presentation number of the folder
	whole   map[uint64]time.Time

	done chan struct{}
	mu   sync.Mutex
	end  bool
	st   Stats
}

// OpenDir opens the folder at path. It refuses one without pictures, and one
// whose presentations.tsv is broken or names a picture that is not there.
func OpenDir(path string, o Options) (*Dir, error) {
	names, err := pictureNames(path)
	if err != nil {
		return nil, err
	}
	if o.FPS < 0 || o.FPS > 1000 {
		return nil, fmt.Errorf("picture folder: %g pictures a second is not possible", o.FPS)
	}
	d := &Dir{path: path, names: names, o: o, whole: make(map[uint64]time.Time), done: make(chan struct{})}
	if o.FPS > 0 {
		d.every = time.Duration(float64(time.Second) / o.FPS)
	}
	d.st.Is = fmt.Sprintf("folder of %d pictures", len(names))
	if err := d.readTruth(); err != nil {
		return nil, err
	}
	return d, nil
}

func pictureNames(path string) ([]string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("picture folder: %w", err)
	}
	if !st.IsDir() {
		return nil, fmt.Errorf("picture folder %q: not a folder", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("picture folder: %w", err)
	}
	defer f.Close()
	all, err := f.Readdirnames(maxDirEntries + 1)
	switch {
	case len(all) > maxDirEntries:
		return nil, fmt.Errorf("picture folder %q: more than %d files", path, maxDirEntries)
	case err != nil && len(all) > 0, err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("picture folder: %w", err)
	}
	names := slices.DeleteFunc(all, func(n string) bool {
		switch strings.ToLower(filepath.Ext(n)) {
		case ".png", ".jpg", ".jpeg", ".pgm":
			return strings.HasPrefix(n, ".") // hidden, such as a copy being written
		}
		return true
	})
	if len(names) == 0 {
		return nil, fmt.Errorf("picture folder %q: no pictures (.png, .jpg, .jpeg, .pgm) in it", path)
	}
	slices.SortFunc(names, natural)
	return names, nil
}

func (d *Dir) readTruth() error {
	f, err := os.Open(filepath.Join(d.path, PresentationsFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("picture folder: %w", err)
	}
	defer f.Close()
	if d.truth, err = readPresentations(f); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(d.path, PresentationsFile), err)
	}
	here := make(map[string]bool, len(d.names))
	for _, name := range d.names {
		here[name] = true
	}
	missing := ""
	for name, s := range d.truth {
		d.highest = max(d.highest, s.presentation)
		if !here[name] && (missing == "" || name < missing) {
			missing = name
		}
	}
	if missing != "" {
		return fmt.Errorf("%s: %q is not among the pictures", filepath.Join(d.path, PresentationsFile), missing)
	}
	return nil
}

// Next lends the next picture when its time has come (Options.FPS). Broken
// pictures are counted, logged and passed over. After the last one it returns
// ErrEnd, or begins again with Options.Loop; the presentations of each pass
// are new ones, with numbers that go on. A pass without one good picture is
// ErrPicture.
func (d *Dir) Next(ctx context.Context) (Frame, error) {
	for {
		if err := d.stopped(ctx); err != nil {
			return Frame{}, err
		}
		if d.at == len(d.names) {
			if d.good == 0 {
				return Frame{}, fmt.Errorf("picture folder %q: %w in it", d.path, ErrPicture)
			}
			if !d.o.Loop {
				return Frame{}, ErrEnd
			}
			d.at, d.good = 0, 0
			d.offset += d.highest
			clear(d.whole)
		}
		name := d.names[d.at]
		d.at++
		d.seq++
		p, err := LoadPicture(filepath.Join(d.path, name))
		if err != nil {
			d.mu.Lock()
			d.st.Corrupt++
			d.mu.Unlock()
			d.o.log().Warn("picture passed over", "error", err)
			continue
		}
		if err := d.pace(ctx); err != nil {
			return Frame{}, err
		}
		d.good++
		d.last = time.Now()
		d.mu.Lock()
		d.st.Frames++
		d.mu.Unlock()
		return Frame{
			Luma: p.Luma, Width: p.Width, Height: p.Height, Stride: p.Width,
			Seq: d.seq, Captured: d.last, Name: name, Truth: d.truthOf(name, d.last),
		}, nil
	}
}

func (d *Dir) truthOf(name string, at time.Time) Truth {
	s := d.truth[name]
	if s.presentation == 0 {
		return Truth{}
	}
	n := s.presentation + d.offset
	since, ok := d.whole[n]
	if !ok && s.whole {
		since = at
		d.whole[n] = at
	}
	return Truth{Presentation: n, WholeSince: since}
}

func (d *Dir) stopped(ctx context.Context) error {
	select {
	case <-d.done:
		return ErrClosed
	default:
		return ctx.Err()
	}
}

// pace waits until the next picture is due.
func (d *Dir) pace(ctx context.Context) error {
	if d.every == 0 || d.last.IsZero() {
		return nil
	}
	t := time.NewTimer(time.Until(d.last.Add(d.every)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-d.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stats counts; Dropped is always 0.
func (d *Dir) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.st
}

// Close ends a waiting Next. It never fails.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.end {
		d.end = true
		close(d.done)
	}
	return nil
}
