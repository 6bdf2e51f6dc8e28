package demo

import (
	"bytes"

	"checkpoint/healthcode"
	"checkpoint/healthcode/base45"
)

// forge flips one bit of a credential's signature, as whoever edits a code and
// cannot sign it ends up with a signature that does not fit.
func forge(c *healthcode.Credential) (*healthcode.Credential, error) {
	text := bytes.TrimPrefix([]byte(c.Text()), []byte(healthcode.CredentialPrefix))
	raw, err := base45.Decode(text, len(text))
	if err != nil {
		return nil, err
	}
	raw[len(raw)-9] ^= 0x10 // the signature is the last 64 bytes
	return healthcode.Parse(base45.AppendEncode([]byte(healthcode.CredentialPrefix), raw))
}
