package trust

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Form is the value of "form" in the JSON form of a snapshot.
const Form = "checkpoint-trust/1"

// Limits of the JSON form. What is larger is refused before it is read.
const (
	MaxBytes    = 32 << 20
	MaxIssuers  = 4096
	MaxRegions  = 64
	MaxPolicies = 1024
	MaxRevoked  = 500_000
	MaxDCCKeys  = 10_000
	MaxDayKeys  = 400
)

// Errors that callers branch on. Details are wrapped around them.
var (
	ErrFormat     = errors.New("not a usable trust snapshot")
	ErrTooLarge   = errors.New("trust snapshot too large")
	ErrSignature  = errors.New("trust snapshot is not signed by the pinned key")
	ErrRolledBack = errors.New("trust snapshot is older than the one installed")
	ErrDayKey     = errors.New("trust snapshot changes a published day key")
)

// Snapshot is everything that a gate trusts, at one version. It is read-only
// once parsed.
type Snapshot struct {
	Form    string    `json:"form"`
	Version uint64    `json:"version"` // rises by at least one at every change
	Issued  time.Time `json:"issued"`  // when the signer vouched for all of it

	Issuers Issuers     `json:"issuers,omitzero"`
	Policy  Policies    `json:"policy,omitzero"`
	Revoked Revocations `json:"revoked,omitzero"`
	DCCKeys DCCKeys     `json:"dcc_keys,omitzero"`
	DayKeys DayKeys     `json:"day_keys,omitzero"`

	// What only a repository's targets hold (Assemble): no part of the JSON form.
	ReceiptKeys       []ReceiptKey `json:"-"` // hubs' keys, which sign receipts
	ReceiptKeysIssued time.Time    `json:"-"`
	HubCA             []HubCA      `json:"-"` // hubs' certificate authorities
	HubCAIssued       time.Time    `json:"-"`
	Foreign           Foreign      `json:"-"` // what foreign credentials need beside DCCKeys

	// OfflineIssued is the newest date that an offline key has signed, where
	// Issued is an online one's; zero: Issued is an offline date itself.
	OfflineIssued time.Time `json:"-"`

	// Skipped are the foreign keys that were left out, and why. Parse sets it;
	// it is no part of the form.
	Skipped []Skipped `json:"-"`
}

// Anchor is the newest date in s that an offline key has signed: time has passed
// it, whoever holds the hub.
func (s *Snapshot) Anchor() time.Time {
	if s.OfflineIssued.IsZero() {
		return s.Issued
	}
	return s.OfflineIssued
}

// ID is an 8-byte id: a native kid or cti. In JSON 16 lower-case hex digits.
type ID [8]byte

// String is the id in hex.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText is the id in lower-case hex.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText reads exactly 16 lower-case hex digits.
func (id *ID) UnmarshalText(text []byte) error {
	b, err := parseHex(text)
	if err != nil || len(b) != len(id) {
		return fmt.Errorf("id must be 16 lower-case hex digits")
	}
	copy(id[:], b)
	return nil
}

// KeyID is a foreign key id of 1 to 32 bytes. In JSON lower-case hex.
type KeyID []byte

// String is the key id in hex.
func (id KeyID) String() string { return hex.EncodeToString(id) }

// MarshalText is the key id in lower-case hex.
func (id KeyID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id), nil }

// UnmarshalText reads 2 to 64 lower-case hex digits.
func (id *KeyID) UnmarshalText(text []byte) error {
	b, err := parseHex(text)
	if err != nil || len(b) < 1 || len(b) > 32 {
		return fmt.Errorf("key id must be 1 to 32 bytes in lower-case hex")
	}
	*id = b
	return nil
}

func parseHex(text []byte) ([]byte, error) {
	for _, c := range text {
		if c >= 'A' && c <= 'F' {
			return nil, errors.New("upper-case hex")
		}
	}
	return hex.DecodeString(string(text))
}

// Issuers is the list of keys that sign native codes.
type Issuers struct {
	Issued time.Time   `json:"issued,omitzero"`
	Keys   []IssuerKey `json:"keys,omitempty"`
}

// IssuerKey is one key that signs native codes and what it may sign.
type IssuerKey struct {
	KID       ID        `json:"kid"`  // first 8 bytes of SHA-256 of SPKI
	Algorithm string    `json:"alg"`  // "ES256", the only one
	SPKI      []byte    `json:"spki"` // DER SubjectPublicKeyInfo, P-256; base64 in JSON
	Name      string    `json:"name"` // for the operator
	Country   string    `json:"country"`
	Regions   []string  `json:"regions"` // "CN", "CN-42", "CN-4201": that and all below
	Colours   []Colour  `json:"colours"` // which it may assign
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
}

// Colour is a colour word: "green", "amber", "red" or "gold".
type Colour string

// The colours.
const (
	Green Colour = "green"
	Amber Colour = "amber"
	Red   Colour = "red"
	Gold  Colour = "gold"
)

// Revocations are the cti values of native codes that no longer hold.
type Revocations struct {
	Issued     time.Time `json:"issued,omitzero"`
	Superseded []ID      `json:"superseded,omitempty"` // the person has a newer code
	Withdrawn  []ID      `json:"withdrawn,omitempty"`  // key or code stolen
}

// DCCKeys is the list of keys that sign EU Digital COVID Certificates.
type DCCKeys struct {
	Issued time.Time `json:"issued,omitzero"`
	Keys   []DCCKey  `json:"keys,omitempty"`

	bad    []Skipped // while parsing: keys that are broken as JSON
	places []int     // while parsing: where each of Keys stood
}

// DCCKey is one document signer: either its certificate, or a bare key with
// what the certificate would say.
type DCCKey struct {
	KID  KeyID  `json:"kid"`
	Cert []byte `json:"cert,omitempty"` // DER certificate; base64 in JSON

	SPKI      []byte    `json:"spki,omitempty"`  // instead of Cert
	Usage     []string  `json:"usage,omitempty"` // with SPKI: of "v", "t", "r"; none = unrestricted
	Country   string    `json:"country,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"`
}

// Skipped names an entry that was left out.
type Skipped struct {
	List  string // "dcc_keys"
	Index int
	KID   string // hex
	Why   string
}

// DayKeys are headquarters' public keys, to which subjects are sealed.
type DayKeys struct {
	Issued time.Time `json:"issued,omitzero"`
	Keys   []DayKey  `json:"keys,omitempty"`
}

// DayKey is the public key of one day: an HPKE key for the hybrid KEM
// ML-KEM-768 + X25519 (crypto/hpke MLKEM768X25519), 1216 bytes.
type DayKey struct {
	ID        string    `json:"id"`   // e.g. "2026-11-23", at most 16 characters
	From      time.Time `json:"from"` // holds from here
	To        time.Time `json:"to"`   // to before here
	PublicKey []byte    `json:"public_key,omitempty"`
	Destroyed bool      `json:"destroyed,omitempty"` // the private key is gone; no PublicKey then
}

// DayKeyAt is the day key that holds at t. It reports false when there is
// none, or when it is destroyed: then the gate verifies and records nothing
// about the person.
func (s *Snapshot) DayKeyAt(t time.Time) (DayKey, bool) {
	if s == nil {
		return DayKey{}, false
	}
	for _, k := range s.DayKeys.Keys {
		if !t.Before(k.From) && t.Before(k.To) {
			return k, !k.Destroyed
		}
	}
	return DayKey{}, false
}

// Age is how old one list is.
type Age struct {
	// List is "issuers", "policy", "revoked", "dcc_keys", "day_keys"; where a
	// repository has them also "receipt_keys", "hub_ca", "dcc_revoked",
	// "dcc_rules", "valuesets", "shc_issuers", "shc_revoked", "nzcp_did", "csca".
	List      string
	Issued    time.Time     // the list's own date; of several files the oldest
	Confirmed time.Time     // the signed date that last vouched for it
	Age       time.Duration // since Confirmed; 0 when that lies ahead
	Entries   int
}

// Ages tells for each list its own date and how long ago the signer last
// vouched for it: at the snapshot's date; for revocations at the older of that
// and the list's own date, because a list that is not made anew may lack the
// newest entries. Of the lists that only a repository has those stand here that
// it does have.
func (s *Snapshot) Ages(now time.Time) []Age {
	if s == nil {
		return nil
	}
	older := func(own time.Time) time.Time {
		if !own.IsZero() && own.Before(s.Issued) {
			return own
		}
		return s.Issued
	}
	ages := []Age{
		{List: "issuers", Issued: s.Issuers.Issued, Confirmed: s.Issued, Entries: len(s.Issuers.Keys)},
		{List: "policy", Issued: s.Policy.Issued, Confirmed: s.Issued, Entries: len(s.Policy.Rules)},
		{List: "revoked", Issued: s.Revoked.Issued, Confirmed: older(s.Revoked.Issued), Entries: len(s.Revoked.Superseded) + len(s.Revoked.Withdrawn)},
		{List: "dcc_keys", Issued: s.DCCKeys.Issued, Confirmed: s.Issued, Entries: len(s.DCCKeys.Keys)},
		{List: "day_keys", Issued: s.DayKeys.Issued, Confirmed: s.Issued, Entries: len(s.DayKeys.Keys)},
	}
	add := func(list string, issued, confirmed time.Time, entries int) {
		if !issued.IsZero() {
			ages = append(ages, Age{List: list, Issued: issued, Confirmed: confirmed, Entries: entries})
		}
	}
	f := &s.Foreign
	add("receipt_keys", s.ReceiptKeysIssued, s.Issued, len(s.ReceiptKeys))
	add("hub_ca", s.HubCAIssued, s.Issued, len(s.HubCA))
	issued, n := f.dccRevoked()
	add("dcc_revoked", issued, older(issued), n)
	issued, n = f.dccRules()
	add("dcc_rules", issued, s.Issued, n)
	add("valuesets", f.ValueSets.Issued, s.Issued, len(f.ValueSets.Sets))
	add("shc_issuers", f.SHCIssuers.Issued, s.Issued, len(f.SHCIssuers.Issuers))
	add("shc_revoked", f.SHCRevoked.Issued, older(f.SHCRevoked.Issued), len(f.SHCRevoked.Lists))
	add("nzcp_did", f.NZCP.Issued, s.Issued, len(f.NZCP.Issuers))
	add("csca", f.CSCA.Issued, s.Issued, len(f.CSCA.Certificates))
	for i := range ages {
		ages[i].Age = max(0, now.Sub(ages[i].Confirmed))
	}
	return ages
}

// Age is how long ago the signer vouched for all of it; 0 when that lies ahead.
func (s *Snapshot) Age(now time.Time) time.Duration { return max(0, now.Sub(s.Issued)) }

// Follows says whether next may take the place of what is installed. It returns
// ErrRolledBack for a lower version, and ErrDayKey when a day key that was
// published has become another one or has gone, or one that was destroyed has
// come back: whoever asks for that wants to open what is sealed. The same version
// may be installed again; nil is followed by everything.
func Follows(next, installed *Snapshot) error {
	if installed == nil {
		return nil
	}
	if next == nil || next.Version < installed.Version {
		return fmt.Errorf("%w: version %d is installed", ErrRolledBack, installed.Version)
	}
	return DaysFollow(next, installed)
}

// DaysFollow is the part of Follows about day keys, whatever the versions are:
// a day that was published keeps its key and its times, one that was destroyed
// stays so, and one that is not over when the next list is issued is not left
// out, else it could come back as another in two steps.
func DaysFollow(next, installed *Snapshot) error {
	if installed == nil {
		return nil
	}
	now := make(map[string]DayKey, len(next.DayKeys.Keys))
	for _, k := range next.DayKeys.Keys {
		now[k.ID] = k
	}
	for _, was := range installed.DayKeys.Keys {
		k, ok := now[was.ID]
		switch {
		case !ok && was.To.After(next.DayKeys.Issued):
			return fmt.Errorf("%w: %s was published and is missing", ErrDayKey, was.ID)
		case !ok:
		case !k.From.Equal(was.From) || !k.To.Equal(was.To):
			return fmt.Errorf("%w: %s has other times than published", ErrDayKey, k.ID)
		case k.Destroyed:
		case was.Destroyed:
			return fmt.Errorf("%w: %s was destroyed and is back", ErrDayKey, k.ID)
		case !bytes.Equal(k.PublicKey, was.PublicKey):
			return fmt.Errorf("%w: %s is another key than the one published", ErrDayKey, k.ID)
		}
	}
	return nil
}
