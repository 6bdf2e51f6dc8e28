package healthcode

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
)

// strict refuses what RFC 8949 §4.2 does not allow in deterministic encoding
// and what this format never holds; deterministic writes it. A decoded value
// that does not encode to the same bytes again was not deterministic: this one
// comparison catches long integers, unsorted keys, nulls and wrong types.
var (
	strict        = must(cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, MaxNestedLevels: 8, MaxArrayElements: 16, MaxMapPairs: 16, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField}.DecMode())
	deterministic = must(cbor.CoreDetEncOptions().EncMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // options that are constants
	}
	return v
}

const (
	tagSign1   = 0xd2 // RFC 9052 §2: tag 18, in its one byte
	sigSize    = 64   // ES256, RFC 9053 §2.1
	majorBytes = 2
	majorArray = 4
	majorMap   = 5
)

// message is a COSE_Sign1 with an empty unprotected header.
type message struct {
	protected []byte // the bytes of the map
	payload   []byte
	signature []byte
}

type wireMessage struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected cbor.RawMessage
	Payload     []byte
	Signature   []byte
}

var emptyMap = cbor.RawMessage{0xa0}

// parseMessage reads exactly one tagged COSE_Sign1 that is deterministic, has
// an empty unprotected header, an attached payload and a 64-byte signature.
func parseMessage(raw []byte) (message, error) {
	if err := strict.Wellformed(raw); err != nil {
		return message{}, ErrCBOR
	}
	if raw[0] != tagSign1 {
		return message{}, fmt.Errorf("%w: tag 18 is missing", ErrCOSE)
	}
	var parts []cbor.RawMessage
	if raw[1]>>5 != majorArray || strict.Unmarshal(raw[1:], &parts) != nil || len(parts) != 4 {
		return message{}, fmt.Errorf("%w: not an array of four", ErrCOSE)
	}
	for i, major := range [4]byte{majorBytes, majorMap, majorBytes, majorBytes} {
		if parts[i][0]>>5 != major {
			return message{}, fmt.Errorf("%w: element %d", ErrCOSE, i)
		}
	}
	var w wireMessage
	if err := strict.Unmarshal(raw[1:], &w); err != nil {
		return message{}, ErrCBOR
	}
	if again, err := deterministic.Marshal(w); err != nil || !bytes.Equal(again, raw[1:]) {
		return message{}, fmt.Errorf("%w: not the shortest form", ErrCBOR)
	}
	switch {
	case !bytes.Equal(w.Unprotected, emptyMap):
		return message{}, fmt.Errorf("%w: the unprotected header is not empty", ErrCOSE)
	case len(w.Payload) == 0:
		return message{}, fmt.Errorf("%w: no payload", ErrCOSE)
	case len(w.Signature) != sigSize:
		return message{}, fmt.Errorf("%w: the signature has %d bytes", ErrCOSE, len(w.Signature))
	}
	return message{protected: w.Protected, payload: w.Payload, signature: w.Signature}, nil
}

// badHeader says what is wrong with a protected header that is not the one
// allowed: broken CBOR, or another map.
func badHeader(protected []byte) error {
	var m map[int64]cbor.RawMessage
	if len(protected) > 0 {
		if err := strict.Wellformed(protected); err != nil {
			return fmt.Errorf("%w: protected header", ErrCBOR)
		}
		if err := strict.Unmarshal(protected, &m); err != nil {
			if _, dup := err.(*cbor.DupMapKeyError); dup {
				return fmt.Errorf("%w: protected header: a key stands twice", ErrCBOR)
			}
			return fmt.Errorf("%w: protected header", ErrCOSE)
		}
	}
	_, alg := m[1]
	_, kid := m[4]
	_, kcwt := m[13]
	if !kid && !kcwt && (alg || len(m) == 0) {
		return ErrKidMissing
	}
	return fmt.Errorf("%w: protected header", ErrCOSE)
}

// encode is the deterministic bytes of m.
func (m message) encode() ([]byte, error) {
	b, err := deterministic.Marshal(wireMessage{Protected: m.protected, Unprotected: emptyMap, Payload: m.payload, Signature: m.signature})
	if err != nil {
		return nil, err
	}
	return append([]byte{tagSign1}, b...), nil
}

// toBeSigned is the Sig_structure of RFC 9052 §4.4.
func (m message) toBeSigned() ([]byte, error) {
	return deterministic.Marshal([]any{"Signature1", m.protected, []byte{}, m.payload})
}

// holds verifies the signature with ES256, because the key is a P-256 key; the
// header's algorithm is compared elsewhere and never chooses.
func (m message) holds(key *ecdsa.PublicKey) bool {
	if key == nil || key.Curve != elliptic.P256() {
		return false
	}
	v, err := cose.NewVerifier(cose.AlgorithmES256, key)
	if err != nil {
		return false
	}
	tbs, err := m.toBeSigned()
	return err == nil && v.Verify(tbs, m.signature) == nil
}

// sign sets the signature. With a nil rand an *ecdsa.PrivateKey signs
// deterministically (RFC 6979).
func (m *message) sign(rand io.Reader, key crypto.Signer) error {
	pub, ok := key.Public().(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() {
		return ErrKey
	}
	signer, err := cose.NewSigner(cose.AlgorithmES256, sha256Signer{key})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	tbs, err := m.toBeSigned()
	if err != nil {
		return err
	}
	m.signature, err = signer.Sign(rand, tbs)
	return err
}

// sha256Signer tells the key which hash it signs: go-cose passes no options,
// and deterministic signatures need them.
type sha256Signer struct{ crypto.Signer }

func (s sha256Signer) Sign(rand io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	return s.Signer.Sign(rand, digest, crypto.SHA256)
}
