package healthcode

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"fmt"
	"io"
)

// The protected header {1: -7, 13: COSE_Sign1} (RFC 9528 kcwt) begins with
// these bytes; the tagged credential follows as it was issued.
var presentationHeader = []byte{0xa2, 0x01, 0x26, 0x0d}

// Presentation is a GHP1: code whose shape holds, the credential's included.
type Presentation struct {
	credential *Credential
	msg        message
}

// ParsePresentation reads the text of a dynamic presentation, prefix included.
// The errors are those of Parse.
func ParsePresentation(text []byte) (*Presentation, error) {
	raw, err := unwrap(text, PresentationPrefix)
	if err != nil {
		return nil, err
	}
	msg, err := parseMessage(raw)
	if err != nil {
		return nil, err
	}
	inner, ok := bytes.CutPrefix(msg.protected, presentationHeader)
	if !ok {
		return nil, badHeader(msg.protected)
	}
	c, err := parseCredential(inner)
	if err != nil {
		return nil, fmt.Errorf("credential in the presentation: %w", err)
	}
	return &Presentation{credential: c, msg: msg}, nil
}

// Credential is the credential that is shown.
func (p *Presentation) Credential() *Credential { return p.credential }

// Verify checks the phone's signature with the key that the proven credential
// names and returns when the presentation was made, in Unix seconds. The error
// is ErrHolder, also when holder is nil: a paper has no phone.
func (p *Presentation) Verify(holder *ecdsa.PublicKey) (made int64, err error) {
	if !p.msg.holds(holder) {
		return 0, ErrHolder
	}
	var w wirePresentation
	if err := decodeExact(p.msg.payload, &w); err != nil {
		return 0, err
	}
	if w.Issued == 0 || w.Issued > maxTime {
		return 0, fmt.Errorf("%w: presentation time", ErrSchema)
	}
	return int64(w.Issued), nil
}

type wirePresentation struct {
	Issued uint64 `cbor:"6,keyasint,omitempty"`
}

// Present is what the phone shows from made (Unix seconds) on: the credential
// under a signature by the holder's key. It returns the text of the code.
// Whether the key is the one that the credential names is the caller's to
// know. With a nil rand an *ecdsa.PrivateKey signs deterministically.
func Present(rand io.Reader, holder crypto.Signer, c *Credential, made int64) (string, error) {
	if made <= 0 || made > maxTime {
		return "", fmt.Errorf("present: %w: presentation time", ErrSchema)
	}
	payload, err := deterministic.Marshal(wirePresentation{Issued: uint64(made)})
	if err != nil {
		return "", fmt.Errorf("present: %w", err)
	}
	msg := message{protected: append(bytes.Clone(presentationHeader), c.raw...), payload: payload}
	if err := msg.sign(rand, holder); err != nil {
		return "", fmt.Errorf("present: %w", err)
	}
	raw, err := msg.encode()
	if err != nil {
		return "", fmt.Errorf("present: %w", err)
	}
	return wrap(raw, PresentationPrefix), nil
}
