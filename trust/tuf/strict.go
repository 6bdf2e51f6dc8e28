package tuf

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Limits of metadata's shape.
const (
	maxDepth      = 12
	maxMembers    = MaxFiles + 8 // of an object; targets metadata names so many files
	maxEntries    = 1024         // of a list
	maxText       = 4096         // bytes of a string
	maxSignatures = 64
	maxKeys       = 64 // of one role
)

// read reads metadata of one type. What go-tuf would take, or would fall over
// (it dereferences what null or a missing part leaves nil, and panics at an
// Ed25519 key of another length), is refused before.
func read[T metadata.Roles](file string, data []byte) (*metadata.Metadata[T], error) {
	if err := scan(data); err != nil {
		return nil, &Refused{BadMetadata, file, err}
	}
	var head struct {
		Signed struct {
			SpecVersion string `json:"spec_version"`
		} `json:"signed"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, &Refused{BadMetadata, file, errors.New("not metadata")}
	}
	if !strings.HasPrefix(head.Signed.SpecVersion, "1.") {
		return nil, &Refused{UnknownSpec, file, fmt.Errorf("TUF specification version %.20q", head.Signed.SpecVersion)}
	}
	m, err := new(metadata.Metadata[T]).FromBytes(data)
	if err != nil {
		return nil, &Refused{BadMetadata, file, err}
	}
	if len(m.Signatures) > maxSignatures {
		return nil, &Refused{BadMetadata, file, errors.New("too many signatures")}
	}
	return m, nil
}

func readRoot(file string, data []byte) (*metadata.Metadata[metadata.RootType], error) {
	m, err := read[metadata.RootType](file, data)
	if err != nil {
		return nil, err
	}
	err = dated(m.Signed.Version, m.Signed.Expires, m.Signed.UnrecognizedFields)
	switch {
	case err != nil:
	case !m.Signed.ConsistentSnapshot:
		err = errors.New("consistent_snapshot is not true")
	default:
		err = goodKeys(m.Signed.Keys)
	}
	for _, role := range []string{RoleRoot, RoleTimestamp, RoleSnapshot, RoleTargets} {
		r := m.Signed.Roles[role]
		switch {
		case err != nil:
		case r == nil:
			err = fmt.Errorf("role %s is missing", role)
		case r.Threshold < 1 || len(r.KeyIDs) == 0 || len(r.KeyIDs) > maxKeys:
			err = fmt.Errorf("threshold or keys of role %s", role)
		}
	}
	if err != nil {
		return nil, &Refused{BadMetadata, file, err}
	}
	return m, nil
}

func readTimestamp(file string, data []byte) (*metadata.Metadata[metadata.TimestampType], error) {
	m, err := read[metadata.TimestampType](file, data)
	if err != nil {
		return nil, err
	}
	if err = dated(m.Signed.Version, m.Signed.Expires, m.Signed.UnrecognizedFields); err == nil {
		err = goodMeta(m.Signed.Meta, RoleSnapshot)
	}
	if err == nil && len(m.Signed.Meta) != 1 {
		err = errors.New("names more than snapshot.json")
	}
	if err != nil {
		return nil, &Refused{BadMetadata, file, err}
	}
	return m, nil
}

func readSnapshot(file string, data []byte) (*metadata.Metadata[metadata.SnapshotType], error) {
	m, err := read[metadata.SnapshotType](file, data)
	if err != nil {
		return nil, err
	}
	if m.Signed.UnrecognizedFields["issued"] == nil {
		err = versioned(m.Signed.Version, m.Signed.Expires)
	} else {
		err = dated(m.Signed.Version, m.Signed.Expires, m.Signed.UnrecognizedFields)
	}
	if err == nil {
		err = goodMeta(m.Signed.Meta, RoleTargets, RoleDayKeys, RoleRevoked)
	}
	if err != nil {
		return nil, &Refused{BadMetadata, file, err}
	}
	return m, nil
}

// readTargets reads the metadata of targets or of a role that they delegate to;
// it says itself whose it is, so that what the same hands have signed as one
// cannot be shown as another.
func readTargets(file, role string, data []byte) (*metadata.Metadata[metadata.TargetsType], error) {
	m, err := read[metadata.TargetsType](file, data)
	if err != nil {
		return nil, err
	}
	err = dated(m.Signed.Version, m.Signed.Expires, m.Signed.UnrecognizedFields)
	if got, _ := m.Signed.UnrecognizedFields["role"].(string); err == nil && got != role {
		err = fmt.Errorf("is for role %.40q, not %s", got, role)
	}
	if err == nil && m.Signed.Delegations != nil {
		err = goodKeys(m.Signed.Delegations.Keys)
	}
	for name, t := range m.Signed.Targets {
		if err == nil && (t.Length < 0 || len(t.Hashes["sha256"]) != 32 || name == "" || len(name) > MaxName) {
			err = fmt.Errorf("target %.80q without length or SHA-256", name)
		}
	}
	if err != nil {
		return nil, &Refused{BadMetadata, file, err}
	}
	return m, nil
}

func versioned(version int64, expires time.Time) error {
	switch {
	case version < 1 || version > maxVersion:
		return fmt.Errorf("version %d", version)
	case expires.IsZero() || expires.Location() != time.UTC:
		return errors.New("expires is missing or not in UTC")
	}
	return nil
}

// dated holds metadata to a version, an end, and the date that our profile adds.
func dated(version int64, expires time.Time, more map[string]any) error {
	if err := versioned(version, expires); err != nil {
		return err
	}
	issued, err := issuedIn(more)
	if err != nil {
		return err
	}
	if issued.After(expires) {
		return errors.New("issued after it expires")
	}
	return nil
}

// issuedIn is the signed field "issued", which TUF does not have.
func issuedIn(more map[string]any) (time.Time, error) {
	text, _ := more["issued"].(string)
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Location() != time.UTC || t.IsZero() {
		return time.Time{}, errors.New("issued is missing or no time in UTC")
	}
	return t, nil
}

// goodKeys takes Ed25519 keys only.
func goodKeys(keys map[string]*metadata.Key) error {
	for id, k := range keys {
		if k == nil || k.Type != metadata.KeyTypeEd25519 || k.Scheme != metadata.KeySchemeEd25519 {
			return fmt.Errorf("key %.16q is not for Ed25519", id)
		}
		if b, err := hex.DecodeString(k.Value.PublicKey); err != nil || len(b) != ed25519.PublicKeySize {
			return fmt.Errorf("key %.16q is not 32 bytes in hex", id)
		}
	}
	return nil
}

func goodMeta(meta map[string]*metadata.MetaFiles, roles ...string) error {
	for _, role := range roles {
		m := meta[role+".json"]
		switch {
		case m == nil:
			return fmt.Errorf("does not name %s.json", role)
		case m.Version < 1 || m.Version > maxVersion || m.Length < 0:
			return fmt.Errorf("version or length of %s.json", role)
		}
		for kind := range m.Hashes {
			if kind != "sha256" && kind != "sha512" {
				return fmt.Errorf("hash of %s.json", role)
			}
		}
	}
	return nil
}

// scan walks JSON once for what encoding/json lets pass or guesses at: a key
// that stands twice (in whatever case: it folds it), null, fractions, depth,
// endless lists, anything after the value.
func scan(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := scanValue(dec, 0); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

func scanValue(dec *json.Decoder, depth int) error {
	tok, err := dec.Token()
	if err != nil {
		return errors.New("not JSON")
	}
	if depth > maxDepth {
		return errors.New("nested too deep")
	}
	switch tok := tok.(type) {
	case nil:
		return errors.New("null")
	case string:
		if len(tok) > maxText {
			return errors.New("an endless text")
		}
	case json.Number:
		n, err := tok.Int64()
		if err != nil || n > maxVersion || n < -maxVersion || tok.String() != fmt.Sprint(n) {
			return fmt.Errorf("number %.30s", tok)
		}
	case json.Delim:
		if tok == '{' {
			return scanObject(dec, depth)
		}
		for n := 0; dec.More(); n++ {
			if n == maxEntries {
				return errors.New("an endless list")
			}
			if err := scanValue(dec, depth+1); err != nil {
				return err
			}
		}
		if _, err := dec.Token(); err != nil {
			return errors.New("not JSON")
		}
	}
	return nil
}

func scanObject(dec *json.Decoder, depth int) error {
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return errors.New("not JSON")
		}
		key, _ := tok.(string)
		for _, r := range key {
			if r < ' ' || r > '~' { // no letter that folds into another
				return fmt.Errorf("key %.40q", key)
			}
		}
		folded := strings.ToLower(key)
		if seen[folded] || len(key) > MaxName {
			return fmt.Errorf("key %.40q stands twice, or is endless", key)
		}
		if seen[folded] = true; len(seen) > maxMembers {
			return errors.New("an endless object")
		}
		if err := scanValue(dec, depth+1); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return errors.New("not JSON")
	}
	return nil
}
