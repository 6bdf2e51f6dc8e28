package record

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

const (
	receiptMagic  = "ckrct/1\n"
	receiptDomain = "checkpoint receipt 1\x00"
	receiptBody   = len(receiptMagic) + 16 + 8 + 8 + 8 + 8 + 32 + 8 + 1 + 1 + 8

	// ReceiptSize is how many bytes each receipt has.
	ReceiptSize = receiptBody + ed25519.SignatureSize
)

// KeyID is the first 8 bytes of SHA-256 of the 32-byte key.
func KeyID(key ed25519.PublicKey) [8]byte {
	sum := sha256.Sum256(key)
	return [8]byte(sum[:8])
}

// signed is what a receipt's signature covers, without its domain.
func (r Receipt) signed(b []byte) []byte {
	b = append(b, receiptMagic...)
	b = append(b, r.Device[:]...)
	b = append(b, r.Epoch[:]...)
	b = binary.BigEndian.AppendUint64(b, r.Number)
	b = binary.BigEndian.AppendUint64(b, r.First)
	b = binary.BigEndian.AppendUint64(b, r.Last)
	b = append(b, r.SHA256[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.TimeMS))
	b = append(b, byte(r.Disposition), byte(r.Reason))
	return append(b, r.KeyID[:]...)
}

// SignReceipt gives r the key's id and signature.
func SignReceipt(r Receipt, key ed25519.PrivateKey) Receipt {
	r.KeyID = KeyID(key.Public().(ed25519.PublicKey))
	copy(r.Signature[:], ed25519.Sign(key, r.signed([]byte(receiptDomain))))
	return r
}

// Verify reports whether key signed r.
func (r Receipt) Verify(key ed25519.PublicKey) bool {
	return len(key) == ed25519.PublicKeySize && KeyID(key) == r.KeyID &&
		ed25519.Verify(key, r.signed([]byte(receiptDomain)), r.Signature[:])
}

// Covers reports whether r is about exactly the bytes of c.
func (r Receipt) Covers(c Cut) bool {
	return r.Identity == c.Identity && r.Number == c.Number && r.First == c.First && r.Last == c.Last && r.SHA256 == c.SHA256
}

// AppendReceipt appends the ReceiptSize bytes of r to b (docs/formats.md,
// "Receipt").
func AppendReceipt(b []byte, r Receipt) []byte { return append(r.signed(b), r.Signature[:]...) }

// ParseReceipt reads a receipt; its signature is for Verify. It returns
// ErrReceipt for anything else.
func ParseReceipt(b []byte) (Receipt, error) {
	if len(b) != ReceiptSize || string(b[:len(receiptMagic)]) != receiptMagic {
		return Receipt{}, fmt.Errorf("%w: %d bytes", ErrReceipt, len(b))
	}
	p := parser{rest: b[len(receiptMagic):]}
	var r Receipt
	copy(r.Device[:], p.take(16))
	copy(r.Epoch[:], p.take(8))
	r.Number, r.First, r.Last = p.uint64(), p.uint64(), p.uint64()
	copy(r.SHA256[:], p.take(32))
	r.TimeMS = int64(p.uint64())
	r.Disposition, r.Reason = Disposition(p.byte()), RefusedFor(p.byte())
	copy(r.KeyID[:], p.take(8))
	copy(r.Signature[:], p.take(ed25519.SignatureSize))
	switch {
	case r.Number == 0 || r.First == 0 || r.Last < r.First:
		return Receipt{}, fmt.Errorf("%w: of rows %d to %d", ErrReceipt, r.First, r.Last)
	case r.Disposition == Stored && r.Reason == 0, r.Disposition == Refused && r.Reason != 0:
		return r, nil
	}
	return Receipt{}, fmt.Errorf("%w: disposition %d, reason %d", ErrReceipt, r.Disposition, r.Reason)
}
