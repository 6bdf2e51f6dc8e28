package healthcode

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"

	"checkpoint/healthcode/base45"
)

// The prefixes, and the most characters that may follow one: the alphanumeric
// capacity of a version 31 symbol at M, far above what is ever issued.
const (
	CredentialPrefix   = "GHC1:"
	PresentationPrefix = "GHP1:"
	MaxText            = 2900
)

// KeyID is the first 8 bytes of SHA-256 of the DER SubjectPublicKeyInfo.
func KeyID(key *ecdsa.PublicKey) ([8]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil || key.Curve != elliptic.P256() {
		return [8]byte{}, ErrKey
	}
	sum := sha256.Sum256(spki)
	return [8]byte(sum[:8]), nil
}

// The protected header {1: -7, 4: kid} has one encoding: these bytes, then kid.
var credentialHeader = []byte{0xa2, 0x01, 0x26, 0x04, 0x48}

// Credential is a GHC1: code whose shape holds. Nothing is known of its
// content until Verify.
type Credential struct {
	kid [8]byte
	msg message
	raw []byte // the tagged COSE_Sign1
}

// Parse reads the text of a static credential, prefix included. The errors are
// ErrPrefix, ErrBase45, ErrCBOR, ErrCOSE and ErrKidMissing.
func Parse(text []byte) (*Credential, error) {
	raw, err := unwrap(text, CredentialPrefix)
	if err != nil {
		return nil, err
	}
	return parseCredential(raw)
}

func parseCredential(raw []byte) (*Credential, error) {
	msg, err := parseMessage(raw)
	if err != nil {
		return nil, err
	}
	kid, ok := bytes.CutPrefix(msg.protected, credentialHeader)
	if !ok || len(kid) != 8 {
		return nil, badHeader(msg.protected)
	}
	return &Credential{kid: [8]byte(kid), msg: msg, raw: raw}, nil
}

// KeyID names the key that is said to have signed.
func (c *Credential) KeyID() [8]byte { return c.kid }

// Text is the credential as it stands in a QR code.
func (c *Credential) Text() string { return wrap(c.raw, CredentialPrefix) }

// Verify checks the issuer's signature. The error is ErrSignature.
func (c *Credential) Verify(issuer *ecdsa.PublicKey) (*Proven, error) {
	if !c.msg.holds(issuer) {
		return nil, ErrSignature
	}
	return &Proven{payload: c.msg.payload}, nil
}

// Proven is a credential whose issuer's signature holds. Only Verify makes a
// useful one.
type Proven struct{ payload []byte }

// Claims reads the content. The error is ErrSchema, or ErrCBOR when the
// content is not deterministic CBOR.
func (p *Proven) Claims() (*Claims, error) { return decodeClaims(p.payload) }

// Issue signs a credential that an authority stands behind: the claims must be
// Complete. With a nil rand an *ecdsa.PrivateKey signs deterministically
// (RFC 6979).
func Issue(rand io.Reader, issuer crypto.Signer, c *Claims) (*Credential, error) {
	if err := c.Complete(); err != nil {
		return nil, fmt.Errorf("issue: %w", err)
	}
	return Sign(rand, issuer, c)
}

// Sign is Issue without the question whether amber and red say why and until
// when: for tests, and to show a guard what an issuer's fault looks like.
func Sign(rand io.Reader, issuer crypto.Signer, c *Claims) (*Credential, error) {
	payload, err := c.encode()
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	key, ok := issuer.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, ErrKey
	}
	kid, err := KeyID(key)
	if err != nil {
		return nil, err
	}
	msg := message{protected: append(bytes.Clone(credentialHeader), kid[:]...), payload: payload}
	if err := msg.sign(rand, issuer); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	raw, err := msg.encode()
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return &Credential{kid: kid, msg: msg, raw: raw}, nil
}

func unwrap(text []byte, prefix string) ([]byte, error) {
	body, ok := bytes.CutPrefix(text, []byte(prefix))
	if !ok {
		return nil, ErrPrefix
	}
	raw, err := base45.Decode(body, MaxText)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBase45, err)
	}
	return raw, nil
}

func wrap(raw []byte, prefix string) string {
	b := make([]byte, 0, len(prefix)+base45.EncodedLen(len(raw)))
	return string(base45.AppendEncode(append(b, prefix...), raw))
}
