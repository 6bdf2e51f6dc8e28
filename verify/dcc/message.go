package dcc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
)

// lenient accepts any well-formed CBOR without duplicate keys. A date-time
// with tag 0 becomes its text.
var lenient = must(cbor.DecOptions{
	DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 16, MaxArrayElements: 64, MaxMapPairs: 64,
	TimeTagToAny: cbor.TimeTagToRFC3339Nano, BignumTag: cbor.BignumTagForbidden,
}.DecMode())

var deterministic = must(cbor.CoreDetEncOptions().EncMode())

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // options that are constants
	}
	return v
}

// Message is a COSE_Sign1 whose shape holds.
type Message struct {
	protected []byte
	payload   []byte
	signature []byte
	kid       []byte
}

// Parse reads a COSE_Sign1 (RFC 9052 §4.2): tagged 18, tagged 61 and 18, or
// untagged. The key id is that of the protected header, or else of the
// unprotected one. The errors are ErrCBOR, ErrCOSE and ErrKidMissing.
func Parse(raw []byte) (*Message, error) {
	if lenient.Wellformed(raw) != nil {
		return nil, ErrCBOR
	}
	var parts []cbor.RawMessage
	body := untag(untag(raw, 61), 18)
	if len(body) == 0 || body[0]>>5 != 4 || lenient.Unmarshal(body, &parts) != nil || len(parts) != 4 {
		return nil, fmt.Errorf("%w: not an array of four", ErrCOSE)
	}
	for i, major := range [4]byte{2, 5, 2, 2} {
		if parts[i][0]>>5 != major {
			return nil, fmt.Errorf("%w: element %d", ErrCOSE, i)
		}
	}
	m := new(Message)
	if lenient.Unmarshal(parts[0], &m.protected) != nil || lenient.Unmarshal(parts[2], &m.payload) != nil ||
		lenient.Unmarshal(parts[3], &m.signature) != nil {
		return nil, fmt.Errorf("%w: a byte string cannot be read", ErrCOSE)
	}
	if len(m.payload) == 0 || len(m.signature) == 0 {
		return nil, fmt.Errorf("%w: no payload or no signature", ErrCOSE)
	}
	protected := m.protected
	if len(protected) == 0 {
		protected = []byte{0xa0} // RFC 9052 §3: the empty map as an empty string
	}
	for i, header := range [][]byte{protected, parts[1]} {
		kid, err := readHeader(header, i == 0)
		if err != nil {
			return nil, err
		}
		if m.kid == nil {
			m.kid = kid
		}
	}
	if m.kid == nil {
		return nil, ErrKidMissing
	}
	return m, nil
}

// untag takes one tag off, when it is the given one.
func untag(raw []byte, tag byte) []byte {
	switch {
	case tag < 24 && len(raw) > 1 && raw[0] == 0xc0|tag:
		return raw[1:]
	case tag >= 24 && len(raw) > 2 && raw[0] == 0xd8 && raw[1] == tag:
		return raw[2:]
	}
	return raw
}

// readHeader takes the key id out of a header, nil when it has none. A header
// that names a label as critical which is not known here is refused (RFC 9052
// §3.1, crit).
func readHeader(header []byte, protected bool) ([]byte, error) {
	var labels map[any]cbor.RawMessage
	if header[0]>>5 != 5 || lenient.Wellformed(header) != nil {
		return nil, fmt.Errorf("%w: header", ErrCBOR)
	}
	if err := lenient.Unmarshal(header, &labels); err != nil {
		return nil, fmt.Errorf("%w: header", ErrCBOR)
	}
	if raw, ok := labels[uint64(2)]; ok && !(protected && known(raw, labels)) {
		return nil, fmt.Errorf("%w: a critical header that is not known", ErrCOSE)
	}
	raw, ok := labels[uint64(4)]
	if !ok {
		return nil, nil
	}
	var kid []byte
	if raw[0]>>5 != 2 || lenient.Unmarshal(raw, &kid) != nil || len(kid) == 0 || len(kid) > 32 {
		return nil, fmt.Errorf("%w: key id", ErrCOSE)
	}
	return kid, nil
}

// known reports whether crit is a list, not empty, of labels that this package
// reads (alg, kid) and that stand in the same header.
func known(crit cbor.RawMessage, labels map[any]cbor.RawMessage) bool {
	var list []uint64
	if lenient.Unmarshal(crit, &list) != nil || len(list) == 0 {
		return false
	}
	for _, label := range list {
		if _, stands := labels[label]; !stands || label != 1 && label != 4 {
			return false
		}
	}
	return true
}

// KeyID names the key that is said to have signed.
func (m *Message) KeyID() []byte { return m.kid }

// Algorithm is the COSE algorithm of a key: ES256 for P-256, PS256 for RSA
// (RFC 9053 §2.1, RFC 8230 §2), "" for any other.
func Algorithm(key crypto.PublicKey) string {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return "ES256"
		}
	case *rsa.PublicKey:
		return "PS256"
	}
	return ""
}

// Verify checks the signature with the key's own algorithm. The error is
// ErrSignature.
func (m *Message) Verify(key crypto.PublicKey) (*Proven, error) {
	var alg cose.Algorithm
	switch Algorithm(key) {
	case "ES256":
		alg = cose.AlgorithmES256
	case "PS256":
		alg = cose.AlgorithmPS256
	default:
		return nil, ErrSignature
	}
	v, err := cose.NewVerifier(alg, key)
	if err != nil {
		return nil, ErrSignature
	}
	protected := m.protected
	if len(protected) == 1 && protected[0] == 0xa0 {
		protected = []byte{} // RFC 9052 §4.4: no protected header is the empty string, however it was sent
	}
	tbs, err := deterministic.Marshal([]any{"Signature1", protected, []byte{}, m.payload}) // RFC 9052 §4.4
	if err != nil || v.Verify(tbs, m.signature) != nil {
		return nil, ErrSignature
	}
	return &Proven{payload: m.payload}, nil
}

// SignatureHash is the SIGNATURE identifier of the EU revocation lists: the
// first 16 bytes of SHA-256 of r for ES256, of the whole signature otherwise.
func (m *Message) SignatureHash(key crypto.PublicKey) [16]byte {
	sig := m.signature
	if Algorithm(key) == "ES256" {
		sig = sig[:len(sig)/2]
	}
	sum := sha256.Sum256(sig)
	return [16]byte(sum[:16])
}

// Proven is a message whose signature holds. Only Verify makes a useful one.
type Proven struct{ payload []byte }
