package record

import (
	"crypto/ed25519"
	"errors"
)

// Limits of a segment.
const (
	MaxSegmentRows = 256
	MaxSegment     = 1 << 20 // bytes, not compressed
	MaxVenue       = 64      // bytes of a venue's name
)

// ErrSegment: the bytes are not a segment, or the rows do not make one.
var ErrSegment = errors.New("not a segment")

// SegmentKey names a segment: what is stored under one key never changes.
type SegmentKey struct {
	Identity
	Number uint64 // from 1 within (device, epoch), no gap
	Day    string // id of the day key, or the UTC date of the hour where no row is sealed
	Venue  string
	Hour   int64 // hours since 1970, UTC, of the wall time of every row
}

// Segment is a run of rows that goes up as one: at most MaxSegmentRows of one
// epoch, hour and venue, sealed in at most one context.
type Segment struct {
	SegmentKey
	First, Last uint64   // seqs
	Before      Link     // of the row before First
	Head        Link     // of Last
	ContextID   [16]byte // zero: no row is sealed
	Context     *Context // stands once an hour, in the first segment that names it; else nil
	Rows        []Row
}

// Cut is a segment as it goes up.
type Cut struct {
	SegmentKey
	First, Last uint64
	SHA256      [32]byte // of Bytes
	Bytes       []byte   // signed, not compressed
}

// Signer signs the digest of a segment with the device's key.
type Signer func(digest [32]byte) [ed25519.SignatureSize]byte
