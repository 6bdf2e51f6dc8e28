package camera

import (
	"bytes"
	"errors"
	"fmt"
	"image/jpeg"
	"image/png"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// ErrPicture is behind every refusal of a picture's content or kind.
var ErrPicture = errors.New("not a usable picture")

// Picture is one whole grey picture.
type Picture struct {
	Luma   []byte // Width × Height, rows top to bottom, no padding
	Width  int
	Height int
}

// Limits bound a picture before its pixels are unpacked. A zero field stands
// for its default.
type Limits struct {
	Bytes  int64 // of the file; default 64 MiB
	Pixels int64 // width × height; default 64 million
}

func (l Limits) withDefaults() Limits {
	if l.Bytes <= 0 {
		l.Bytes = 64 << 20
	}
	if l.Pixels <= 0 {
		l.Pixels = 64_000_000
	}
	return l
}

// check refuses a size before memory is taken for it.
func (l Limits) check(w, h int) error {
	switch {
	case w <= 0 || h <= 0:
		return fmt.Errorf("%w: no pixels", ErrPicture)
	case int64(w) > l.Pixels/int64(h):
		return fmt.Errorf("%w: %d × %d pixels, more than %d million", ErrPicture, w, h, l.Pixels/1_000_000)
	}
	return nil
}

// LoadPicture reads the picture in the file path with the default limits. It
// opens regular files only, never a device or a pipe. The error is one line
// and names the file.
func LoadPicture(path string) (Picture, error) {
	p, err := load(path, Limits{})
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err // the path stands in front already
		}
		return Picture{}, fmt.Errorf("%q: %w", path, err)
	}
	return p, nil
}

func load(path string, l Limits) (Picture, error) {
	l = l.withDefaults()
	// Looked at before it is opened: opening alone can block (a pipe) or do
	// something (a tape, a serial line).
	st, err := os.Stat(path)
	if err != nil {
		return Picture{}, err
	}
	if err := regular(st, l); err != nil {
		return Picture{}, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return Picture{}, err
	}
	defer f.Close()
	if st, err = f.Stat(); err != nil { // it may have been exchanged meanwhile
		return Picture{}, err
	}
	if err := regular(st, l); err != nil {
		return Picture{}, err
	}
	return ReadPicture(f, l)
}

func regular(st os.FileInfo, l Limits) error {
	switch {
	case st.IsDir():
		return fmt.Errorf("%w: a folder", ErrPicture)
	case !st.Mode().IsRegular():
		return fmt.Errorf("%w: a device or pipe, not a file", ErrPicture)
	case st.Size() == 0:
		return fmt.Errorf("%w: the file is empty", ErrPicture)
	case st.Size() > l.Bytes:
		return fmt.Errorf("%w: %d bytes, more than %d", ErrPicture, st.Size(), l.Bytes)
	}
	return nil
}

// ReadPicture reads one PNG, JPEG or PGM (P2, P5; 8 and 16 bit) to grey:
// Rec. 601 luma as in JPEG, transparency on white. It reads at most
// limits.Bytes and takes no memory for pixels before the size in the header
// has passed limits.Pixels. Refusals are ErrPicture.
func ReadPicture(r io.Reader, limits Limits) (Picture, error) {
	l := limits.withDefaults()
	b, err := io.ReadAll(io.LimitReader(r, l.Bytes+1))
	switch {
	case err != nil:
		return Picture{}, fmt.Errorf("read picture: %w", err)
	case len(b) == 0:
		return Picture{}, fmt.Errorf("%w: the file is empty", ErrPicture)
	case int64(len(b)) > l.Bytes:
		return Picture{}, fmt.Errorf("%w: more than %d bytes", ErrPicture, l.Bytes)
	}
	switch {
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		return readPNG(b, l)
	case bytes.HasPrefix(b, []byte{0xff, 0xd8}):
		return readJPEG(b, l)
	case bytes.HasPrefix(b, []byte("P5")), bytes.HasPrefix(b, []byte("P2")):
		return readPGM(b, l)
	}
	return Picture{}, fmt.Errorf("%w: neither PNG, JPEG nor PGM", ErrPicture)
}

func readPNG(b []byte, l Limits) (Picture, error) {
	c, err := png.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return Picture{}, fmt.Errorf("%w: %w", ErrPicture, err)
	}
	if err := l.check(c.Width, c.Height); err != nil {
		return Picture{}, err
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return Picture{}, fmt.Errorf("%w: %w", ErrPicture, err)
	}
	return fromImage(img, nil), nil
}

func readJPEG(b []byte, l Limits) (Picture, error) {
	// Each scan of a progressive JPEG walks the whole picture again: bounded,
	// or a small file costs minutes.
	b, err := mendJPEG(b, nil, maxScans)
	if err != nil {
		return Picture{}, err
	}
	c, err := jpeg.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return Picture{}, fmt.Errorf("%w: %w", ErrPicture, err)
	}
	if err := l.check(c.Width, c.Height); err != nil {
		return Picture{}, err
	}
	img, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		return Picture{}, fmt.Errorf("%w: %w", ErrPicture, err)
	}
	return fromImage(img, nil), nil
}
