package trust

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Names of a repository's targets. Deltas of the revocations are named by
// DeltaName, EU revocations and rules by a kid and a country in their folders.
const (
	TargetIssuers     = "issuers.json"
	TargetPolicy      = "policy.json"
	TargetDayKeys     = "daykeys.json"
	TargetReceiptKeys = "receipt-keys.json"
	TargetHubCA       = "hub-ca.json"
	TargetDCCKeys     = "dcc-keys.json"
	TargetRevoked     = "revoked.bin"
	TargetValueSets   = "valuesets.json"
	TargetSHCIssuers  = "shc-issuers.json"
	TargetSHCRevoked  = "shc-revoked.json"
	TargetNZCP        = "nzcp-did.json"
	TargetCSCA        = "csca.json"

	dccRevokedFolder = "dcc-revoked/"
	dccRulesFolder   = "dcc-rules/"
)

// Forms of the JSON targets.
const (
	formIssuers     = "checkpoint-issuers/1"
	formPolicy      = "checkpoint-policy/1"
	formDayKeys     = "checkpoint-daykeys/1"
	formReceiptKeys = "checkpoint-receipt-keys/1"
	formHubCA       = "checkpoint-hub-ca/1"
	formDCCKeys     = "checkpoint-dcc-keys/1"
	formDCCRules    = "checkpoint-dcc-rules/1"
	formValueSets   = "checkpoint-valuesets/1"
	formSHCIssuers  = "checkpoint-shc-issuers/1"
	formSHCRevoked  = "checkpoint-shc-revoked/1"
	formNZCP        = "checkpoint-nzcp-did/1"
	formCSCA        = "checkpoint-csca/1"
)

// Limits of lists that only repositories have.
const (
	MaxReceiptKeys = 64
	MaxHubCA       = 16
)

// required are the targets without which nothing can be judged or sealed.
var required = []string{TargetIssuers, TargetPolicy, TargetDayKeys, TargetRevoked}

// RequiredTargets are the names of those that every repository must have.
func RequiredTargets() []string { return slices.Clone(required) }

// Required reports whether a repository must have this target.
func Required(name string) bool { return slices.Contains(required, name) }

// table says of each target by name its form and how long it may be.
var table = map[string]struct {
	form  string
	limit int64
}{
	TargetIssuers:     {formIssuers, 8 << 20},
	TargetPolicy:      {formPolicy, 2 << 20},
	TargetDayKeys:     {formDayKeys, 2 << 20},
	TargetReceiptKeys: {formReceiptKeys, 64 << 10},
	TargetHubCA:       {formHubCA, 64 << 10},
	TargetDCCKeys:     {formDCCKeys, 24 << 20},
	TargetRevoked:     {"", revokedHead + MaxRevokedIDs*8},
	TargetValueSets:   {formValueSets, 1 << 20},
	TargetSHCIssuers:  {formSHCIssuers, 8 << 20},
	TargetSHCRevoked:  {formSHCRevoked, 8 << 20},
	TargetNZCP:        {formNZCP, 64 << 10},
	TargetCSCA:        {formCSCA, 8 << 20},
}

// TargetLimit is the greatest length of a target in bytes. It reports false for
// a name that this program does not know: a newer one's, which is let be.
func TargetLimit(name string) (int64, bool) {
	if t, ok := table[name]; ok {
		return t.limit, true
	}
	if _, _, ok := ParseDeltaName(name); ok {
		return deltaHead + MaxDeltaIDs*8, true
	}
	if _, ok := dccRevokedName(name); ok {
		return dccRevokedHead + 32 + MaxDCCRevoked*16, true
	}
	if _, ok := dccRulesName(name); ok {
		return 1 << 20, true
	}
	return 0, false
}

// TargetForm is the form of a JSON target; "" for one that is not JSON.
func TargetForm(name string) string {
	if _, ok := dccRulesName(name); ok {
		return formDCCRules
	}
	return table[name].form
}

func dccRevokedName(name string) (kid string, ok bool) {
	kid, ok = strings.CutPrefix(name, dccRevokedFolder)
	b, err := hex.DecodeString(kid)
	return kid, ok && err == nil && len(b) >= 1 && len(b) <= 32 && hex.EncodeToString(b) == kid
}

func dccRulesName(name string) (country string, ok bool) {
	country, inFolder := strings.CutPrefix(name, dccRulesFolder)
	country, isJSON := strings.CutSuffix(country, ".json")
	return country, inFolder && isJSON && len(country) == 2 && region(country)
}

// ReceiptKey is a key with which hubs sign receipts.
type ReceiptKey struct {
	ID        ID                `json:"id"`  // first 8 bytes of SHA-256 of Key
	Key       ed25519.PublicKey `json:"key"` // 32 bytes; base64 in JSON
	NotBefore time.Time         `json:"not_before"`
	NotAfter  time.Time         `json:"not_after"`
}

// HubCA is a certificate authority of hubs: a gate that knows no other proof
// pins its key.
type HubCA struct {
	SPKI      Fingerprint `json:"spki_sha256"` // SHA-256 of its SubjectPublicKeyInfo
	Name      string      `json:"name"`        // for the operator
	NotBefore time.Time   `json:"not_before"`
	NotAfter  time.Time   `json:"not_after"`
}

// Fingerprint is a SHA-256. In JSON 64 lower-case hex digits.
type Fingerprint [sha256.Size]byte

// MarshalText is the fingerprint in lower-case hex.
func (f Fingerprint) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, f[:]), nil }

// UnmarshalText reads exactly 64 lower-case hex digits.
func (f *Fingerprint) UnmarshalText(text []byte) error {
	b, err := parseHex(text)
	if err != nil || len(b) != len(f) {
		return errors.New("fingerprint must be 64 lower-case hex digits")
	}
	copy(f[:], b)
	return nil
}

// Assemble makes the snapshot of a repository's targets: version is that of its
// snapshot metadata, issued the date at which its newest timestamp vouched for
// all of it. Each target is held to its limit and read as strictly as Parse; one
// bad target refuses all, with ErrFormat or ErrTooLarge and its name. A name
// that TargetLimit does not know is refused too: leave it out.
//
// Deltas are applied to revoked.bin; Snapshot.Revoked and its date are what they
// lead to. The snapshot keeps parts of the bytes given, which must not change.
func Assemble(version uint64, issued time.Time, targets map[string][]byte) (*Snapshot, error) {
	s := &Snapshot{Form: Form, Version: version, Issued: issued}
	if version == 0 || issued.IsZero() {
		return nil, fmt.Errorf("%w: no version or date", ErrFormat)
	}
	if err := utc("issued", issued); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	for _, name := range required {
		if targets[name] == nil {
			return nil, fmt.Errorf("%w: %s is missing", ErrFormat, name)
		}
	}
	names := make([]string, 0, len(targets))
	for name := range targets {
		names = append(names, name)
	}
	slices.Sort(names) // so that the same targets give the same error
	deltas := map[string][]byte{}
	for _, name := range names {
		b := targets[name]
		limit, known := TargetLimit(name)
		if !known {
			return nil, fmt.Errorf("%w: a target named %.80q is not known", ErrFormat, name)
		}
		if int64(len(b)) > limit {
			return nil, fmt.Errorf("%w: %s has %d bytes, at most %d", ErrTooLarge, name, len(b), limit)
		}
		if _, _, isDelta := ParseDeltaName(name); isDelta {
			deltas[name] = b
			continue
		}
		if err := s.take(name, b); err != nil {
			if errors.Is(err, ErrTooLarge) {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			return nil, fmt.Errorf("%w: %s: %w", ErrFormat, name, err)
		}
	}
	if err := s.revoke(targets[TargetRevoked], deltas); err != nil {
		return nil, err
	}
	return s, nil
}

// CheckTarget says whether Assemble would take one target by itself. A delta is
// held to its own form only.
func CheckTarget(name string, b []byte) error {
	limit, known := TargetLimit(name)
	switch {
	case !known:
		return fmt.Errorf("%w: a target named %.80q is not known", ErrFormat, name)
	case int64(len(b)) > limit:
		return fmt.Errorf("%w: %s has %d bytes, at most %d", ErrTooLarge, name, len(b), limit)
	}
	var err error
	if from, to, isDelta := ParseDeltaName(name); isDelta {
		var d *RevokedDelta
		if d, err = ParseRevokedDelta(b); err == nil && (d.From != from || d.To != to) {
			err = ErrFormat
		}
	} else if name == TargetRevoked {
		_, err = ParseRevoked(b)
	} else if err = new(Snapshot).take(name, b); err != nil && !errors.Is(err, ErrTooLarge) {
		err = fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// take reads one target into its place.
func (s *Snapshot) take(name string, b []byte) (err error) {
	f := &s.Foreign
	var skipped []Skipped
	switch name {
	case TargetIssuers:
		var file struct {
			Form string `json:"form"`
			Issuers
		}
		err = readTarget(b, formIssuers, scanner{longest: map[string]int{"keys": MaxIssuers}}, &file, &file.Form, &file.Issued)
		s.Issuers = file.Issuers
		err = errors.Join(err, s.Issuers.check())
	case TargetPolicy:
		var file struct {
			Form string `json:"form"`
			Policies
		}
		err = readTarget(b, formPolicy, scanner{longest: map[string]int{"rules": MaxPolicies}}, &file, &file.Form, &file.Issued)
		s.Policy = file.Policies
		err = errors.Join(err, s.Policy.check())
	case TargetDayKeys:
		var file struct {
			Form string `json:"form"`
			DayKeys
		}
		err = readTarget(b, formDayKeys, scanner{longest: map[string]int{"keys": MaxDayKeys}}, &file, &file.Form, &file.Issued)
		s.DayKeys = file.DayKeys
		err = errors.Join(err, s.DayKeys.check())
	case TargetReceiptKeys:
		s.ReceiptKeys, s.ReceiptKeysIssued, err = parseReceiptKeys(b)
	case TargetHubCA:
		s.HubCA, s.HubCAIssued, err = parseHubCA(b)
	case TargetDCCKeys:
		err = s.takeDCCKeys(b)
	case TargetRevoked: // with its deltas
	case TargetValueSets:
		f.ValueSets, err = parseValueSets(b)
	case TargetSHCIssuers:
		f.SHCIssuers, skipped, err = parseSHCIssuers(b)
	case TargetSHCRevoked:
		f.SHCRevoked, err = parseSHCRevoked(b)
	case TargetNZCP:
		f.NZCP, err = parseNZCP(b)
	case TargetCSCA:
		f.CSCA, skipped, err = parseCSCA(b)
	default:
		return s.takeFromFolder(name, b)
	}
	s.Skipped = append(s.Skipped, skipped...)
	return err
}

func (s *Snapshot) takeFromFolder(name string, b []byte) error {
	if kid, ok := dccRevokedName(name); ok {
		r, err := ParseDCCRevoked(b)
		if err == nil && r.KID.String() != kid {
			err = errors.New("the list of another key")
		}
		if len(s.Foreign.DCCRevoked) == MaxDCCRevokedKID {
			return ErrTooLarge
		}
		s.Foreign.DCCRevoked = append(s.Foreign.DCCRevoked, r)
		return err
	}
	country, _ := dccRulesName(name)
	c, err := parseDCCRules(b)
	if err == nil && c.Country != country {
		err = errors.New("the rules of another country")
	}
	s.Foreign.DCCRules = append(s.Foreign.DCCRules, c)
	return err
}

func (s *Snapshot) takeDCCKeys(b []byte) error {
	var file struct {
		Form   string            `json:"form"`
		Issued time.Time         `json:"issued"`
		Keys   []json.RawMessage `json:"keys"`
	}
	if err := readTarget(b, formDCCKeys, scanner{longest: map[string]int{"keys": MaxDCCKeys}}, &file, &file.Form, &file.Issued); err != nil {
		return err
	}
	s.DCCKeys = DCCKeys{Issued: file.Issued}
	s.DCCKeys.read(file.Keys)
	s.skipBadDCCKeys()
	return nil
}

// revoke takes the revocations: the list and what leads on from it.
func (s *Snapshot) revoke(list []byte, deltas map[string][]byte) error {
	base, err := ParseRevoked(list)
	if err != nil {
		return fmt.Errorf("%s: %w", TargetRevoked, err)
	}
	chain, err := RevokedChain(base.Sequence, deltas)
	if err != nil {
		return err
	}
	last, err := base.Follow(chain...)
	if err != nil {
		return err
	}
	s.Revoked = Revocations{Issued: last.Issued, Superseded: last.Superseded, Withdrawn: last.Withdrawn}
	return nil
}

func parseReceiptKeys(b []byte) ([]ReceiptKey, time.Time, error) {
	var file struct {
		Form   string       `json:"form"`
		Issued time.Time    `json:"issued"`
		Keys   []ReceiptKey `json:"keys"`
	}
	if err := readTarget(b, formReceiptKeys, scanner{longest: map[string]int{"keys": MaxReceiptKeys}}, &file, &file.Form, &file.Issued); err != nil {
		return nil, time.Time{}, err
	}
	for i, k := range file.Keys {
		sum := sha256.Sum256(k.Key)
		switch {
		case len(k.Key) != ed25519.PublicKeySize:
			return nil, time.Time{}, fmt.Errorf("key %d is not 32 bytes", i)
		case !bytes.Equal(k.ID[:], sum[:8]):
			return nil, time.Time{}, fmt.Errorf("key %d: id is not the first 8 bytes of SHA-256 of the key", i)
		}
		if err := lasting(k.NotBefore, k.NotAfter); err != nil {
			return nil, time.Time{}, fmt.Errorf("key %d: %w", i, err)
		}
		for _, other := range file.Keys[:i] {
			if other.ID == k.ID {
				return nil, time.Time{}, fmt.Errorf("key %d stands twice", i)
			}
		}
	}
	return file.Keys, file.Issued, nil
}

func parseHubCA(b []byte) ([]HubCA, time.Time, error) {
	var file struct {
		Form   string    `json:"form"`
		Issued time.Time `json:"issued"`
		Keys   []HubCA   `json:"keys"`
	}
	if err := readTarget(b, formHubCA, scanner{longest: map[string]int{"keys": MaxHubCA}}, &file, &file.Form, &file.Issued); err != nil {
		return nil, time.Time{}, err
	}
	for i, k := range file.Keys {
		if err := errors.Join(text("name", k.Name, 80), lasting(k.NotBefore, k.NotAfter)); err != nil {
			return nil, time.Time{}, fmt.Errorf("key %d: %w", i, err)
		}
		if k.SPKI == (Fingerprint{}) {
			return nil, time.Time{}, fmt.Errorf("key %d: spki_sha256 is missing", i)
		}
	}
	return file.Keys, file.Issued, nil
}

func lasting(from, to time.Time) error {
	if from.IsZero() || !from.Before(to) {
		return errors.New("not_before must come before not_after")
	}
	return errors.Join(utc("not_before", from), utc("not_after", to))
}

// readTarget reads a JSON target into a struct whose form and date are at form
// and issued.
func readTarget(data []byte, want string, s scanner, into any, form *string, issued *time.Time) error {
	if err := s.scan(data); err != nil {
		return err
	}
	if err := decodeStrict(data, into); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if *form != want {
		return fmt.Errorf("form is %.40q, not %q", *form, want)
	}
	if issued.IsZero() {
		return errors.New("issued is missing")
	}
	return utc("issued", *issued)
}

// Targets makes the targets of which Assemble makes s again, but for its own
// version and date: what a demonstration or a test publishes. It refuses what
// Assemble would. The revocations are list number sequence.
func Targets(s *Snapshot, sequence uint64) (map[string][]byte, error) {
	issued := func(own time.Time) time.Time {
		if own.IsZero() {
			return s.Issued
		}
		return own
	}
	made := map[string][]byte{}
	put := func(name string, v any) error {
		b, err := json.MarshalIndent(v, "", "  ")
		made[name] = append(b, '\n')
		return err
	}
	type keys[T any] struct {
		Form   string    `json:"form"`
		Issued time.Time `json:"issued"`
		Keys   []T       `json:"keys"`
	}
	err := errors.Join(
		put(TargetIssuers, keys[IssuerKey]{formIssuers, issued(s.Issuers.Issued), list(s.Issuers.Keys)}),
		put(TargetDayKeys, keys[DayKey]{formDayKeys, issued(s.DayKeys.Issued), list(s.DayKeys.Keys)}),
		put(TargetPolicy, struct {
			Form   string    `json:"form"`
			Issued time.Time `json:"issued"`
			Rules  []Policy  `json:"rules"`
		}{formPolicy, issued(s.Policy.Issued), list(s.Policy.Rules)}),
	)
	if len(s.DCCKeys.Keys) > 0 {
		err = errors.Join(err, put(TargetDCCKeys, keys[DCCKey]{formDCCKeys, issued(s.DCCKeys.Issued), s.DCCKeys.Keys}))
	}
	if len(s.ReceiptKeys) > 0 {
		err = errors.Join(err, put(TargetReceiptKeys, keys[ReceiptKey]{formReceiptKeys, issued(s.ReceiptKeysIssued), s.ReceiptKeys}))
	}
	if len(s.HubCA) > 0 {
		err = errors.Join(err, put(TargetHubCA, keys[HubCA]{formHubCA, issued(s.HubCAIssued), s.HubCA}))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	index := s.Revoked.Index()
	revoked := RevokedList{Sequence: sequence, Issued: issued(s.Revoked.Issued).Truncate(time.Millisecond),
		Superseded: without(slices.Compact(slices.Clone(index.superseded)), index.withdrawn), Withdrawn: slices.Compact(slices.Clone(index.withdrawn))}
	if made[TargetRevoked], err = revoked.AppendBinary(nil); err != nil {
		return nil, err
	}
	_, err = Assemble(max(1, s.Version), s.Issued, made)
	return made, err
}

// list is never null in JSON.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}
