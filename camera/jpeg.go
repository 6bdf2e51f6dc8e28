package camera

import (
	"bytes"
	"errors"
	"fmt"
	"image/jpeg"

	"checkpoint/camera/mjpeg"
)

const (
	// maxScans bounds the scans of a JPEG file; encoders of progressive files
	// write about ten.
	maxScans = 100
	// maxFrameScans bounds those of a camera's frame, which has one, or one
	// a component.
	maxFrameScans = 4
)

// JPEG markers (T.81 table B.1).
const (
	markSOI  = 0xd8
	markEOI  = 0xd9
	markSOS  = 0xda
	markDHT  = 0xc4
	markTEM  = 0x01
	markRST0 = 0xd0
	markRST7 = 0xd7
)

var errScans = fmt.Errorf("%w: JPEG with too many scans", ErrPicture)

// mendJPEG walks the segments of a JPEG and gives it back ready for
// image/jpeg: with the standard Huffman tables when it has none before its
// first scan, as the frames of most webcams. The result is b itself, or lies
// in buf, which grows as needed. It refuses more than most scans; anything
// else that is wrong is left for image/jpeg to find.
func mendJPEG(b, buf []byte, most int) ([]byte, error) {
	if len(b) < 4 || b[0] != 0xff || b[1] != markSOI {
		return nil, fmt.Errorf("%w: not JPEG", ErrPicture)
	}
	tables, insert, scans := false, 0, 0
	for at := 2; ; {
		// To the next marker, over entropy-coded data and fill bytes.
		n := bytes.IndexByte(b[at:], 0xff)
		if n < 0 || at+n+1 >= len(b) {
			break
		}
		at += n
		m := b[at+1]
		if m == 0xff {
			at++
			continue
		}
		if m == 0 || m == markTEM || m == markSOI || m >= markRST0 && m <= markRST7 {
			at += 2
			continue
		}
		if m == markEOI || at+4 > len(b) {
			break
		}
		switch m {
		case markDHT:
			tables = true
		case markSOS:
			if scans == 0 && !tables {
				insert = at
			}
			if scans++; scans > most {
				return nil, errScans
			}
		}
		size := int(b[at+2])<<8 | int(b[at+3])
		if size < 2 || at+2+size > len(b) {
			break
		}
		at += 2 + size
	}
	if insert == 0 {
		return b, nil
	}
	buf = append(buf[:0], b[:insert]...)
	buf = append(buf, standardHuffman...)
	return append(buf, b[insert:]...), nil
}

// unpacker turns Motion JPEG frames to grey, keeping its buffers.
type unpacker struct {
	luma   mjpeg.Decoder
	mended []byte
	reader bytes.Reader
}

var errFrameSize = errors.New("frame of another size than agreed")

// grey unpacks one frame of at most most pixels into dst, which grows as
// needed. Any failure is ErrPicture and means this frame only.
func (u *unpacker) grey(b, dst []byte, most int) (Picture, error) {
	u.luma.Pixels = most
	p, err := u.luma.Decode(b, dst, mjpeg.Full)
	switch {
	case err == nil && p.Damaged:
		return Picture{}, fmt.Errorf("%w: a part of it is damaged", ErrPicture) // the next one comes anyway
	case err == nil:
		return Picture{Luma: p.Luma, Width: p.Width, Height: p.Height}, nil
	case errors.Is(err, mjpeg.ErrSize):
		return Picture{}, fmt.Errorf("%w: %w", ErrPicture, errFrameSize)
	case !errors.Is(err, mjpeg.ErrUnsupported):
		return Picture{}, fmt.Errorf("%w: %w", ErrPicture, err)
	}
	return u.other(b, dst, most)
}

// other unpacks a frame that only image/jpeg knows: of a network camera, as
// webcams send none.
func (u *unpacker) other(b, dst []byte, most int) (Picture, error) {
	whole, err := mendJPEG(b, u.mended, maxFrameScans)
	if err != nil {
		return Picture{}, err
	}
	if len(whole) != len(b) { // tables were put in, so whole is our own memory
		u.mended, b = whole, whole
	}
	u.reader.Reset(b)
	c, err := jpeg.DecodeConfig(&u.reader)
	if err != nil {
		return Picture{}, fmt.Errorf("%w: %w", ErrPicture, err)
	}
	if c.Width <= 0 || c.Height <= 0 || c.Width > most/c.Height {
		return Picture{}, fmt.Errorf("%w: %w", ErrPicture, errFrameSize)
	}
	u.reader.Reset(b)
	img, err := jpeg.Decode(&u.reader)
	if err != nil {
		return Picture{}, fmt.Errorf("%w: %w", ErrPicture, err)
	}
	return fromImage(img, dst), nil
}
