package record

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
)

// ErrNewerSegment: a segment of a form or kind that this program does not know.
var ErrNewerSegment = errors.New("segment of a newer form")

// segmentFamily begins every form of segment there will be.
const segmentFamily = "ckseg/"

// SegmentHead reads what the header of b says, though the rest of b may be
// broken: enough to name in a receipt what is refused. Day and Venue are empty
// when they are not valid. It returns ErrNewerSegment for a form or kind that
// this program does not know, which is no reason to refuse it for good, and
// ErrSegment when there is no header. Bytes stays empty.
func SegmentHead(b []byte) (Cut, error) {
	if len(b) < segmentHead || len(b) > MaxSegment || !strings.HasPrefix(string(b[:len(segmentMagic)]), segmentFamily) {
		return Cut{}, fmt.Errorf("%w: %d bytes without a header", ErrSegment, len(b))
	}
	if string(b[:len(segmentMagic)]) != segmentMagic {
		return Cut{}, ErrNewerSegment
	}
	p := parser{rest: b[len(segmentMagic):]}
	if kind := p.byte(); kind != kindRows {
		return Cut{}, fmt.Errorf("%w: kind %d", ErrNewerSegment, kind)
	}
	c := Cut{SHA256: sha256.Sum256(b)}
	copy(c.Device[:], p.take(16))
	copy(c.Epoch[:], p.take(8))
	c.Number, c.First = p.uint64(), p.uint64()
	c.Last = c.First + uint64(p.uint16()) - 1
	c.Hour = int64(p.uint64())
	if c.Number == 0 || c.Number > maxNumber || c.First == 0 || c.Last < c.First || c.Last > maxNumber {
		return Cut{}, fmt.Errorf("%w: number %d, rows %d to %d", ErrSegment, c.Number, c.First, c.Last)
	}
	p.take(2 * len(Link{}))
	day, venue := p.text(), p.text()
	if !p.bad && ValidDay(day) && ValidVenue(venue) {
		c.Day, c.Venue = day, venue
	}
	return c, nil
}
