package record

import "errors"

// ErrReceipt: the bytes are not a receipt, or its signature does not hold.
var ErrReceipt = errors.New("not a receipt")

// Disposition is what became of a segment for good.
type Disposition uint8

// The dispositions.
const (
	Stored  Disposition = 1 // durably upstream: the gate may purge exactly those bytes
	Refused Disposition = 2 // never acceptable: the gate may purge them, counted
)

// RefusedFor is why a segment is refused for good.
type RefusedFor uint8

// The reasons; 0 with Stored.
const (
	ForForm      RefusedFor = 1 // not a segment by the rules of its version
	ForSignature RefusedFor = 2 // not signed by a key of this device
	ForVenue     RefusedFor = 3 // a venue that this device never stood in
	ForRetention RefusedFor = 4 // its day is past the hub's retention
	ForDestroyed RefusedFor = 5 // its day was destroyed
)

// Receipt is what a hub signs about one segment. Its byte form stands in
// docs/formats.md, "Receipt".
type Receipt struct {
	Identity
	Number      uint64
	First, Last uint64
	SHA256      [32]byte // of the segment's bytes
	TimeMS      int64    // the hub's clock, UTC Unix ms: also a signed time for the gate
	Disposition Disposition
	Reason      RefusedFor
	KeyID       [8]byte // first 8 bytes of SHA-256 of the Ed25519 key
	Signature   [64]byte
}
