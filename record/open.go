package record

import (
	"crypto/hpke"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// RowKey opens the rows of one step of one context, and nothing else.
type RowKey [32]byte

// Opener turns a context and headquarters' private key of its day into row
// keys. It belongs where orders are checked, never on a gate. It is not safe
// for use by several goroutines.
type Opener struct {
	context Context
	chain   [32]byte
	step    uint32
	keys    map[uint32]RowKey
}

// NewOpener decapsulates a context. private is the day key as
// hpke.PrivateKey.Bytes gives it (32 bytes of seed). It returns ErrDayKey when
// it is not a key and ErrOpen when the context is not of that key, device,
// epoch and day. Nothing proves here that the key is the right one: a wrong
// key shows at the first row.
func NewOpener(private []byte, c Context) (*Opener, error) {
	key, err := hpke.MLKEM768X25519().NewPrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDayKey, err)
	}
	if len(c.Enc) != encSize || len(c.Day) == 0 || len(c.Day) > maxDay {
		return nil, fmt.Errorf("%w: context of %d bytes", ErrOpen, len(c.Enc))
	}
	r, err := hpke.NewRecipient(c.Enc, key, hpke.HKDFSHA256(), hpke.ExportOnly(), c.info())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOpen, err)
	}
	secret, err := r.Export(ratchetLabel, 32)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOpen, err)
	}
	return &Opener{context: c, chain: [32]byte(secret), keys: make(map[uint32]RowKey)}, nil
}

// RowKey is the key of one step. Steps may be asked for in any order.
func (o *Opener) RowKey(step uint32) (RowKey, error) {
	if step > maxStep {
		return RowKey{}, fmt.Errorf("%w: step %d", ErrOpen, step)
	}
	for len(o.keys) <= int(step) {
		key, err := rowKey(&o.chain)
		if err != nil {
			return RowKey{}, err
		}
		o.keys[o.step] = RowKey(key)
		if err := nextChain(&o.chain); err != nil {
			return RowKey{}, err
		}
		o.step++
	}
	return o.keys[step], nil
}

// Open is RowKey and OpenScan in one.
func (o *Opener) Open(r Row) ([]byte, error) {
	scan, ok := r.Body.(Scan)
	if !ok || scan.Sealed.Context != o.context.ID {
		return nil, fmt.Errorf("%w: row %d is not of this context", ErrOpen, r.Seq)
	}
	key, err := o.RowKey(scan.Sealed.Step)
	if err != nil {
		return nil, err
	}
	return OpenScan(key, r)
}

// OpenScan opens one sealed scan: SubjectNative or SubjectForeign bytes, with
// the zeros that fill it. It returns ErrOpen when the row is not of this key,
// or its identity, time, verdict or box was changed.
func OpenScan(key RowKey, r Row) ([]byte, error) {
	scan, ok := r.Body.(Scan)
	if !ok || len(scan.Sealed.Box) == 0 {
		return nil, fmt.Errorf("%w: row %d holds no sealed subject", ErrOpen, r.Seq)
	}
	box, err := chacha20poly1305.New(key[:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOpen, err)
	}
	aad := appendAAD(nil, r.Identity, scan.Sealed, r.WallMS, scan.Verdict)
	subject, err := box.Open(nil, nonce(scan.Sealed.Index), scan.Sealed.Box, aad)
	if err != nil {
		return nil, fmt.Errorf("%w: row %d", ErrOpen, r.Seq)
	}
	return subject, nil
}
