package tuf

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"unicode"
	"unicode/utf8"
)

// RolesForm is the form of a roles file.
const RolesForm = "checkpoint-roles/1"

// Roles says whose keys sign what: the roles file of a ceremony.
type Roles struct {
	Form      string   `json:"form"`
	Root      RoleFile `json:"root"`      // offline; vouches for all of them
	Targets   RoleFile `json:"targets"`   // offline; issuers, policy, keys
	DayKeys   RoleFile `json:"daykeys"`   // offline; the custodians
	Revoked   RoleFile `json:"revoked"`   // headquarters, every 12 h
	Snapshot  RoleFile `json:"snapshot"`  // the hub
	Timestamp RoleFile `json:"timestamp"` // the hub
}

// RoleFile is one role of it.
type RoleFile struct {
	Threshold int         `json:"threshold"`
	Keys      []RoleOwner `json:"keys"`
}

// RoleOwner is a key and whose it is.
type RoleOwner struct {
	Name string `json:"name"`          // for people
	Key  string `json:"key,omitempty"` // 32 bytes in hex
	PEM  string `json:"pem,omitempty"` // or a file beside the roles file
}

// ReadRoles reads a roles file and the PEM files that it names, which lie beside
// it.
func ReadRoles(folder fs.FS, name string) (*Roles, error) {
	data, err := readSmall(folder, name)
	if err != nil {
		return nil, fmt.Errorf("read roles: %w", err)
	}
	if err := scan(data); err != nil {
		return nil, fmt.Errorf("roles %s: %w", name, err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	r := new(Roles)
	if err := dec.Decode(r); err != nil {
		return nil, fmt.Errorf("roles %s: %w", name, err)
	}
	for role, f := range r.all() {
		for i := range f.Keys {
			k := &f.Keys[i]
			if k.PEM == "" {
				continue
			}
			b, err := readSmall(folder, path.Join(path.Dir(name), k.PEM))
			if err != nil {
				return nil, fmt.Errorf("roles %s: %s: %w", name, role, err)
			}
			key, err := ParsePublicKey(b)
			if err != nil {
				return nil, fmt.Errorf("roles %s: %s: %w", name, k.PEM, err)
			}
			if k.Key != "" {
				return nil, fmt.Errorf("roles %s: %s: key and pem stand side by side", name, role)
			}
			k.Key, k.PEM = hex.EncodeToString(key), ""
		}
	}
	return r, r.Check()
}

func (r *Roles) all() map[string]*RoleFile {
	return map[string]*RoleFile{
		RoleRoot: &r.Root, RoleTargets: &r.Targets, RoleDayKeys: &r.DayKeys, RoleRevoked: &r.Revoked,
		RoleSnapshot: &r.Snapshot, RoleTimestamp: &r.Timestamp,
	}
}

// Check says what is wrong with it: a threshold that cannot be met, a key twice
// in one role, an online key in an offline role.
func (r *Roles) Check() error {
	if r.Form != RolesForm {
		return fmt.Errorf("roles: form is %.40q, not %q", r.Form, RolesForm)
	}
	online := map[string]bool{}
	for role, f := range r.all() {
		seen := map[string]bool{}
		for _, k := range f.Keys {
			b, err := hex.DecodeString(k.Key)
			switch {
			case err != nil || len(b) != ed25519.PublicKeySize || hex.EncodeToString(b) != k.Key:
				return fmt.Errorf("roles: %s: a key that is not 32 bytes in lower-case hex", role)
			case !printable(k.Name, 80):
				return fmt.Errorf("roles: %s: a key without a name of 1 to 80 characters", role)
			case seen[k.Key]:
				return fmt.Errorf("roles: %s: the key of %s stands twice", role, k.Name)
			}
			seen[k.Key] = true
			if role == RoleSnapshot || role == RoleTimestamp {
				online[k.Key] = true
			}
		}
		if len(seen) == 0 || len(seen) > maxKeys || f.Threshold < 1 || f.Threshold > len(seen) {
			return fmt.Errorf("roles: %s: threshold %d of %s", role, f.Threshold, plural(len(seen), "key"))
		}
	}
	for role, f := range r.all() {
		for _, k := range f.Keys {
			if online[k.Key] && role != RoleSnapshot && role != RoleTimestamp {
				return fmt.Errorf("roles: the key of %s is the hub's and may not sign %s", k.Name, role)
			}
		}
	}
	return nil
}

// Weak says in words where one lost or stolen key is enough; none: nowhere.
func (r *Roles) Weak() (words []string) {
	for _, role := range []string{RoleRoot, RoleTargets, RoleDayKeys} {
		f := r.all()[role]
		if f.Threshold < 2 {
			words = append(words, role+": one key alone can sign")
		}
		if len(f.Keys) == f.Threshold {
			words = append(words, role+": one lost key ends it")
		}
	}
	return words
}

func printable(s string, most int) bool {
	if s == "" || utf8.RuneCountInString(s) > most {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return false
		}
	}
	return true
}

// NewKey makes an Ed25519 key: the private one as PKCS#8 and the public one as
// SubjectPublicKeyInfo, both PEM.
func NewKey() (private, public []byte, err error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if private, err = MarshalKey(key); err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	return private, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), err
}

// MarshalKey is a private key as PKCS#8 PEM.
func MarshalKey(key ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

// ParseKey reads a private key that NewKey made, or openssl genpkey.
func ParseKey(data []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("not a PEM private key (PKCS#8)")
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the private key cannot be read")
	}
	key, ok := any.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("not an Ed25519 key")
	}
	return key, nil
}

// ParsePublicKey reads a public key that NewKey made, or openssl pkey -pubout.
func ParsePublicKey(data []byte) (ed25519.PublicKey, error) {
	any, _, err := publicPEM(data)
	if err != nil {
		return nil, err
	}
	key, ok := any.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("not an Ed25519 key")
	}
	return key, nil
}

// publicPEM reads a PEM public key, or the public key of a PEM certificate, and
// gives its SubjectPublicKeyInfo too.
func publicPEM(data []byte) (key any, spki []byte, err error) {
	block, _ := pem.Decode(data)
	switch {
	case block == nil:
		return nil, nil, errors.New("not PEM")
	case block.Type == "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, errors.New("the certificate cannot be read")
		}
		return cert.PublicKey, cert.RawSubjectPublicKeyInfo, nil
	case block.Type == "PUBLIC KEY":
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, nil, errors.New("the public key cannot be read")
		}
		return key, block.Bytes, nil
	}
	return nil, nil, fmt.Errorf("PEM %.40q, neither a public key nor a certificate", block.Type)
}
