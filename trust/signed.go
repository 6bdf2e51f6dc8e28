package trust

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// SignedForm is the first word of a signed snapshot.
const SignedForm = "checkpoint-trust-signed/1"

// The domain of the signature: nothing else that the same key signs begins so.
const signedDomain = "checkpoint-trust-signed/1\x00"

// Sign makes the signed form: one line with form, key id and signature, and
// below it the JSON form, byte for byte what was signed. The same snapshot and
// key give the same bytes.
func Sign(s *Snapshot, key ed25519.PrivateKey) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("sign trust snapshot: not an Ed25519 key")
	}
	body, err := Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("sign trust snapshot: %w", err)
	}
	sig := ed25519.Sign(key, append([]byte(signedDomain), body...))
	head := fmt.Sprintf("%s %s %s\n", SignedForm, PinID(key.Public().(ed25519.PublicKey)), base64.StdEncoding.EncodeToString(sig))
	return append([]byte(head), body...), nil
}

// PinID names a pinned key on screens and in the signed form: the first 8
// bytes of the SHA-256 of the 32-byte key, in hex. It is a name, not a proof.
func PinID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}

// IsSigned reports whether data claims to be the signed form.
func IsSigned(data []byte) bool { return bytes.HasPrefix(data, []byte(SignedForm+" ")) }

// ParseSigned reads a signed snapshot. Nothing of the body is read before the
// signature by the pinned key holds; if it does not, the error is ErrSignature.
func ParseSigned(data []byte, pinned ed25519.PublicKey) (*Snapshot, error) {
	if len(data) > MaxBytes {
		return nil, ErrTooLarge
	}
	if len(pinned) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: no key is pinned", ErrSignature)
	}
	head, body, ok := bytes.Cut(data, []byte("\n"))
	if !ok || !IsSigned(data) || len(head) > 256 {
		return nil, fmt.Errorf("%w: not the signed form", ErrFormat)
	}
	words := bytes.Split(head, []byte(" "))
	if len(words) != 3 {
		return nil, fmt.Errorf("%w: the first line must have three words", ErrFormat)
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(string(words[2]))
	if err != nil || len(sig) != ed25519.SignatureSize {
		return nil, fmt.Errorf("%w: the signature is not 64 bytes in base64", ErrFormat)
	}
	if id := PinID(pinned); string(words[1]) != id {
		return nil, fmt.Errorf("%w: signed by another key than %s", ErrSignature, id)
	}
	if !ed25519.Verify(pinned, append([]byte(signedDomain), body...), sig) {
		return nil, ErrSignature
	}
	return Parse(body)
}
