package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"checkpoint/record"
)

// Errors of a body.
var (
	errNotWhole = errors.New("the body did not come whole")
	errNotZstd  = errors.New("the body is not zstd")
	errTooLarge = errors.New("the body is too large")
)

// intake turns bodies into segments' bytes in constant memory: at most
// Limits.InFlight bodies of maxBody are held at once, and Limits.Readers are
// unpacked at once, each into a buffer of record.MaxSegment that is used again.
type intake struct {
	inFlight chan struct{}
	buffers  chan []byte // record.MaxSegment+1 bytes each, made when first used
	bodies   sync.Pool   // *[]byte
	decoder  *zstd.Decoder
}

func newIntake(l Limits) (*intake, error) {
	// DecodeAll is stateless: as many decoders as readers, each used by one at a
	// time. The cap of the buffer is the limit, so that a frame that claims, or
	// makes, more than a segment stops there (a bomb of 256 KiB could make 8 GiB).
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(l.Readers), zstd.WithDecoderLowmem(true),
		zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(record.MaxSegment+1))
	if err != nil {
		return nil, err
	}
	in := &intake{inFlight: make(chan struct{}, l.InFlight), buffers: make(chan []byte, l.Readers), decoder: decoder}
	for range l.Readers {
		in.buffers <- nil
	}
	in.bodies.New = func() any { b := make([]byte, 0, 16<<10); return &b }
	return in, nil
}

// enter takes a place for a body, without waiting; the caller leaves.
func (in *intake) enter() bool {
	select {
	case in.inFlight <- struct{}{}:
		return true
	default:
		return false
	}
}

func (in *intake) leave() { <-in.inFlight }

// read reads a body of at most maxBody into a buffer that the caller gives back.
func (in *intake) read(r *http.Request) (*[]byte, error) {
	if r.ContentLength > maxBody {
		return nil, errTooLarge
	}
	body := in.bodies.Get().(*[]byte)
	b, err := readAll((*body)[:0], r.Body, maxBody)
	*body = b
	if err != nil {
		in.giveBack(body)
		return nil, err
	}
	return body, nil
}

// keepBody is the largest buffer that is used again: a usual segment is a
// tenth of it, and one large body must not hold its memory for ever.
const keepBody = 64 << 10

func (in *intake) giveBack(body *[]byte) {
	if cap(*body) <= keepBody {
		in.bodies.Put(body)
	}
}

// readAll reads r to its end into b, which grows up to limit bytes.
func readAll(b []byte, r io.Reader, limit int) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			if len(b) > limit {
				return b, errTooLarge
			}
			grown := make([]byte, len(b), min(2*cap(b), limit+1))
			copy(grown, b)
			b = grown
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case len(b) > limit:
			return b, errTooLarge
		case err == io.EOF: //nolint:errorlint // io.Reader's contract
			return b, nil
		case err != nil:
			return b, fmt.Errorf("%w: %w", errNotWhole, err)
		}
	}
}

// unpack unpacks a body and lends the bytes to use, which must not keep them.
// It waits for one of the readers.
func (in *intake) unpack(ctx context.Context, body []byte, use func(segment []byte)) error {
	var buffer []byte
	select {
	case buffer = <-in.buffers:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { in.buffers <- buffer }()
	if buffer == nil {
		buffer = make([]byte, record.MaxSegment+1)
	}
	segment, err := in.decoder.DecodeAll(body, buffer[:0])
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return errTooLarge
	case err != nil, len(segment) == 0:
		return errNotZstd // its text may quote the input's bytes
	case len(segment) > record.MaxSegment:
		return errTooLarge
	}
	use(segment)
	return nil
}

// bodyRefusal is the answer to a body that cannot be read.
func bodyRefusal(err error) *refusal {
	switch {
	case errors.Is(err, errTooLarge):
		return &refusal{status: http.StatusRequestEntityTooLarge, word: "too_large", detail: "at most 256 KiB compressed and 1 MiB in full: split it"}
	case errors.Is(err, errNotZstd):
		return &refusal{status: http.StatusBadRequest, word: "not_zstd", detail: "the body is not one whole zstd frame: send it again"}
	case errors.Is(err, errNotWhole):
		return &refusal{status: http.StatusBadRequest, word: "not_whole", detail: "the body did not come whole: send it again"}
	}
	return &refusal{status: http.StatusServiceUnavailable, word: "stopped", detail: "the request was given up", after: time.Second}
}

// readBody reads a body of at most limit bytes.
func (h *Hub) readBody(r *http.Request, limit int) ([]byte, *refusal) {
	if r.ContentLength > int64(limit) {
		return nil, &refusal{status: http.StatusRequestEntityTooLarge, word: "too_large", detail: fmt.Sprintf("at most %d bytes", limit)}
	}
	b, err := readAll(make([]byte, 0, 1024), r.Body, limit)
	if errors.Is(err, errTooLarge) {
		return nil, &refusal{status: http.StatusRequestEntityTooLarge, word: "too_large", detail: fmt.Sprintf("at most %d bytes", limit)}
	}
	if err != nil {
		return nil, bodyRefusal(err)
	}
	return b, nil
}
