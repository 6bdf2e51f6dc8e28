package tuf

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// roleKeys are who may sign for a role, and how many must.
type roleKeys struct {
	threshold int
	ids       []string
	keys      map[string]*metadata.Key
	names     map[string]any // by key id, for people
}

// keysOf reads them from what vouches for the role: root or targets metadata.
func keysOf(by any, role string) (roleKeys, error) {
	switch by := by.(type) {
	case *metadata.Metadata[metadata.RootType]:
		if by == nil {
			break
		}
		if r := by.Signed.Roles[role]; r != nil {
			names, _ := by.Signed.UnrecognizedFields["names"].(map[string]any)
			return roleKeys{r.Threshold, r.KeyIDs, by.Signed.Keys, names}, nil
		}
	case *metadata.Metadata[metadata.TargetsType]:
		if by == nil {
			break
		}
		if d := by.Signed.Delegations; d != nil {
			for _, r := range d.Roles {
				if r.Name == role {
					names, _ := by.Signed.UnrecognizedFields["names"].(map[string]any)
					return roleKeys{r.Threshold, r.KeyIDs, d.Keys, names}, nil
				}
			}
		}
	}
	return roleKeys{}, fmt.Errorf("nobody vouches for role %s", role)
}

// public is a key of the role, by its id.
func (k roleKeys) public(id string) (ed25519.PublicKey, bool) {
	key := k.keys[id]
	if key == nil {
		return nil, false
	}
	b, err := hex.DecodeString(key.Value.PublicKey)
	return b, err == nil && len(b) == ed25519.PublicKeySize
}

// name is how people call a key: by its name, else by its id.
func (k roleKeys) name(id string) string {
	if name, ok := k.names[id].(string); ok && printable(name, 80) {
		return name
	}
	return id[:min(len(id), 8)]
}

// signers gives the ids of those keys of a role that have signed: each key once,
// under however many ids it stands.
func signers(by any, role string, of any) ([]string, error) {
	keys, err := keysOf(by, role)
	if err != nil {
		return nil, err
	}
	payload, signatures, err := signedPart(of)
	if err != nil {
		return nil, err
	}
	var signed []string
	counted := map[string]bool{}
	for _, id := range keys.ids {
		key, ok := keys.public(id)
		if !ok || counted[string(key)] {
			continue
		}
		for _, s := range signatures {
			if s.KeyID == id && ed25519.Verify(key, payload, s.Signature) {
				counted[string(key)] = true
				signed = append(signed, id)
				break
			}
		}
	}
	return signed, nil
}

// signedPart is what signatures are over (OLPC canonical JSON), and they.
func signedPart(of any) (payload []byte, signatures []metadata.Signature, err error) {
	switch of := of.(type) {
	case *metadata.Metadata[metadata.RootType]:
		payload, err = cjson.EncodeCanonical(of.Signed)
		return payload, of.Signatures, err
	case *metadata.Metadata[metadata.TimestampType]:
		payload, err = cjson.EncodeCanonical(of.Signed)
		return payload, of.Signatures, err
	case *metadata.Metadata[metadata.SnapshotType]:
		payload, err = cjson.EncodeCanonical(of.Signed)
		return payload, of.Signatures, err
	case *metadata.Metadata[metadata.TargetsType]:
		payload, err = cjson.EncodeCanonical(of.Signed)
		return payload, of.Signatures, err
	}
	return nil, nil, errors.New("not metadata")
}

// sign makes the signature of one key over metadata.
func sign(of any, key ed25519.PrivateKey) (metadata.Signature, error) {
	if len(key) != ed25519.PrivateKeySize {
		return metadata.Signature{}, errors.New("not an Ed25519 key")
	}
	payload, _, err := signedPart(of)
	if err != nil {
		return metadata.Signature{}, err
	}
	id, _, err := tufKey(key.Public().(ed25519.PublicKey))
	return metadata.Signature{KeyID: id, Signature: ed25519.Sign(key, payload)}, err
}

// tufKey is a public key as metadata has it, and its id.
func tufKey(public ed25519.PublicKey) (string, *metadata.Key, error) {
	key, err := metadata.KeyFromPublicKey(public)
	if err != nil {
		return "", nil, err
	}
	id, err := key.ID()
	return id, key, err
}
