package camera

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	maxPart      = 8 << 20 // bytes of one frame
	maxPartLine  = 4096    // bytes of one header line
	maxPartLines = 64      // header lines, and lines of rubbish before a boundary
)

// errParts says that a stream is not what multipart/x-mixed-replace looks
// like, or too large.
var errParts = errors.New("broken stream")

// parts cuts a multipart stream (RFC 2046 §5.1) into its bodies. It is more
// patient than mime/multipart, since cameras are less exact: the dashes of the
// boundary may be missing or doubled, line ends may be bare LF, and the length
// may be given or not.
type parts struct {
	r        *bufio.Reader
	boundary string // without leading dashes; "" takes any line of two dashes
}

func newParts(r io.Reader, boundary string) *parts {
	return &parts{r: bufio.NewReaderSize(r, maxPartLine), boundary: strings.TrimLeft(boundary, "-")}
}

// next reads the body of the next part into buf, which grows as needed, to at
// most maxPart bytes. io.EOF is the end of the stream between parts.
func (p *parts) next(buf []byte) ([]byte, error) {
	buf = buf[:0]
	for n := 0; ; n++ {
		line, err := p.line()
		if err != nil {
			return buf, err
		}
		if n > maxPartLines {
			return buf, fmt.Errorf("%w: no boundary", errParts)
		}
		if isBoundary(line, p.boundary) {
			break
		}
	}
	size := -1
	for n := 0; ; n++ {
		line, err := p.line()
		if err != nil {
			return buf, unexpected(err)
		}
		if n > maxPartLines {
			return buf, fmt.Errorf("%w: too many header lines", errParts)
		}
		if len(line) == 0 {
			break // also at once: RFC 2046 allows a part without headers
		}
		name, value, _ := strings.Cut(string(line), ":")
		if strings.EqualFold(strings.TrimSpace(name), "Content-Length") {
			if size, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || size < 0 || size > maxPart {
				return buf, fmt.Errorf("%w: frame of %.20q bytes", errParts, strings.TrimSpace(value))
			}
		}
	}
	if size >= 0 {
		// Grown as bytes come, not as promised.
		for len(buf) < size {
			step := min(size-len(buf), 64<<10)
			at := len(buf)
			if cap(buf) < at+step {
				buf = append(buf, make([]byte, step)...)
			}
			buf = buf[:at+step]
			if _, err := io.ReadFull(p.r, buf[at:]); err != nil {
				return buf[:0], unexpected(err)
			}
		}
		return buf, nil
	}
	return p.upToBoundary(buf)
}

// upToBoundary reads a body whose length was not given. The boundary line is
// left for the next call.
func (p *parts) upToBoundary(buf []byte) ([]byte, error) {
	for begin := true; ; {
		if begin {
			if head, err := p.r.Peek(len(p.boundary) + 6); (err == nil || len(head) > 2) && bytes.HasPrefix(head, []byte("--")) &&
				bytes.HasPrefix(bytes.TrimLeft(head, "-"), []byte(p.boundary)) {
				return bytes.TrimSuffix(bytes.TrimSuffix(buf, []byte("\n")), []byte("\r")), nil
			}
		}
		piece, err := p.r.ReadSlice('\n')
		if len(buf)+len(piece) > maxPart {
			return buf[:0], fmt.Errorf("%w: frame of more than %d bytes", errParts, maxPart)
		}
		buf = append(buf, piece...)
		switch {
		case err == nil:
			begin = true
		case errors.Is(err, bufio.ErrBufferFull):
			begin = false
		default:
			return buf[:0], unexpected(err)
		}
	}
}

// line reads one short line without its end.
func (p *parts) line() ([]byte, error) {
	b, err := p.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("%w: line of more than %d bytes", errParts, maxPartLine)
	}
	if err != nil {
		if len(b) > 0 {
			err = unexpected(err)
		}
		return nil, err
	}
	return bytes.TrimRight(b, "\r\n"), nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func isBoundary(line []byte, boundary string) bool {
	core := bytes.TrimLeft(line, "-")
	if boundary == "" {
		return len(line)-len(core) >= 2
	}
	return bytes.Equal(bytes.TrimRight(core, " \t"), []byte(boundary))
}
