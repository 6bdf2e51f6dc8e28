package record

import "crypto/sha256"

// Link is one value of the chain: the first 16 bytes of SHA-256(previous link
// ‖ canonical row). The link before the first row is zero.
//
// The chain proves order and completeness of what was written; it cannot stop
// someone who owns the gate from writing a false future.
type Link [16]byte

// Next is the link of the row whose canonical bytes are given.
func (l Link) Next(row []byte) Link {
	h := sha256.New()
	h.Write(l[:])
	h.Write(row)
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return Link(sum[:16])
}
