package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// check holds what JSON alone cannot say.
func (s *Snapshot) check() error {
	if s.Form != Form {
		return fmt.Errorf("form is %.40q, not %q", s.Form, Form)
	}
	if s.Version == 0 {
		return errors.New("version must be at least 1")
	}
	if s.Issued.IsZero() {
		return errors.New("issued is missing")
	}
	if err := utc("issued", s.Issued); err != nil {
		return err
	}
	revoked := len(s.Revoked.Superseded) + len(s.Revoked.Withdrawn)
	if err := errors.Join(
		s.Issuers.check(), s.Policy.check(), s.DayKeys.check(),
		dated("revoked", s.Revoked.Issued, revoked, MaxRevoked),
		dated("dcc_keys", s.DCCKeys.Issued, len(s.DCCKeys.Keys), MaxDCCKeys),
	); err != nil {
		return err
	}
	s.skipBadDCCKeys()
	return nil
}

// dated holds a list to its limit, and to having a date.
func dated(list string, issued time.Time, n, most int) error {
	if n > most {
		return fmt.Errorf("%s: %d entries, at most %d", list, n, most)
	}
	if n > 0 && issued.IsZero() {
		return fmt.Errorf("%s: issued is missing", list)
	}
	if err := utc("issued", issued); err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	return nil
}

func (l *Issuers) check() error {
	if err := dated("issuers", l.Issued, len(l.Keys), MaxIssuers); err != nil {
		return err
	}
	for i, k := range l.Keys {
		if err := k.check(); err != nil {
			return fmt.Errorf("issuers: key %d: %w", i, err)
		}
	}
	return nil
}

func (l *Policies) check() error {
	if err := dated("policy", l.Issued, len(l.Rules), MaxPolicies); err != nil {
		return err
	}
	for i, p := range l.Rules {
		if err := p.check(); err != nil {
			return fmt.Errorf("policy: rule %d: %w", i, err)
		}
	}
	return nil
}

func (l *DayKeys) check() error {
	if err := dated("day_keys", l.Issued, len(l.Keys), MaxDayKeys); err != nil {
		return err
	}
	for i, k := range l.Keys {
		if err := k.check(); err != nil {
			return fmt.Errorf("day_keys: key %d: %w", i, err)
		}
		for _, other := range l.Keys[:i] {
			if k.ID == other.ID || k.From.Before(other.To) && other.From.Before(k.To) {
				return fmt.Errorf("day_keys: key %d: same id as, or overlaps, another", i)
			}
		}
	}
	return nil
}

// skipBadDCCKeys leaves out what cannot be used and says why. A key that was
// broken already as JSON has its place in DCCKeys.bad.
func (s *Snapshot) skipBadDCCKeys() {
	s.Skipped = append(s.Skipped, s.DCCKeys.bad...)
	good := s.DCCKeys.Keys[:0]
	for i, k := range s.DCCKeys.Keys {
		_, err := k.Read()
		if err == nil {
			err = errors.Join(utc("not_before", k.NotBefore), utc("not_after", k.NotAfter))
		}
		if err != nil {
			s.Skipped = append(s.Skipped, Skipped{List: "dcc_keys", Index: s.DCCKeys.places[i], KID: k.KID.String(), Why: err.Error()})
			continue
		}
		good = append(good, k)
	}
	s.DCCKeys.Keys = good
	s.DCCKeys.bad, s.DCCKeys.places = nil, nil
}

// UnmarshalJSON reads the keys one by one, so that a broken one (bad base64,
// bad hex, a key that is not known) is left out alone.
func (d *DCCKeys) UnmarshalJSON(data []byte) error {
	var raw struct {
		Issued time.Time         `json:"issued"`
		Keys   []json.RawMessage `json:"keys"`
	}
	if err := decodeStrict(data, &raw); err != nil {
		return err
	}
	if len(raw.Keys) > MaxDCCKeys {
		return fmt.Errorf("dcc_keys: %d entries, at most %d", len(raw.Keys), MaxDCCKeys)
	}
	*d = DCCKeys{Issued: raw.Issued}
	d.read(raw.Keys)
	return nil
}

// read reads the keys one by one.
func (d *DCCKeys) read(raw []json.RawMessage) {
	for i, r := range raw {
		var k DCCKey
		if err := decodeStrict(r, &k); err != nil {
			d.bad = append(d.bad, Skipped{List: "dcc_keys", Index: i, KID: k.KID.String(), Why: strings.TrimPrefix(err.Error(), "json: ")})
			continue
		}
		d.Keys = append(d.Keys, k)
		d.places = append(d.places, i)
	}
}

func decodeStrict(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}

func (k IssuerKey) check() error {
	if k.Algorithm != "ES256" {
		return fmt.Errorf("alg is %.20q, not \"ES256\"", k.Algorithm)
	}
	key, err := k.Public()
	if err != nil {
		return err
	}
	if spki, err := x509.MarshalPKIXPublicKey(key); err != nil || !bytes.Equal(spki, k.SPKI) {
		return errors.New("spki is not in the usual encoding")
	}
	if sum := sha256.Sum256(k.SPKI); !bytes.Equal(sum[:8], k.KID[:]) {
		return errors.New("kid is not the first 8 bytes of SHA-256 of spki")
	}
	if err := text("name", k.Name, 80); err != nil {
		return err
	}
	if !region(k.Country) || len(k.Country) != 2 {
		return fmt.Errorf("country is %.20q, not two capital letters", k.Country)
	}
	if len(k.Regions) == 0 || len(k.Regions) > MaxRegions {
		return fmt.Errorf("regions must be 1 to %d", MaxRegions)
	}
	for _, r := range k.Regions {
		if !region(r) || !Covers(k.Country, r) {
			return fmt.Errorf("region %.20q is not in %s", r, k.Country)
		}
	}
	if len(k.Colours) == 0 || len(k.Colours) > 4 {
		return errors.New("colours must be 1 to 4")
	}
	for _, c := range k.Colours {
		switch c {
		case Green, Amber, Red, Gold:
		default:
			return fmt.Errorf("colour %.20q", c)
		}
	}
	if k.NotBefore.IsZero() || !k.NotBefore.Before(k.NotAfter) {
		return errors.New("not_before must come before not_after")
	}
	return errors.Join(utc("not_before", k.NotBefore), utc("not_after", k.NotAfter))
}

// Public is the key itself.
func (k IssuerKey) Public() (*ecdsa.PublicKey, error) {
	any, err := x509.ParsePKIXPublicKey(k.SPKI)
	if err != nil {
		return nil, errors.New("spki cannot be read")
	}
	key, ok := any.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("spki is not a P-256 key")
	}
	return key, nil
}

// Formats that a policy may name.
var formats = map[string]bool{"native": true, "dcc": true, "ch_light": true, "shc": true, "nzcp": true, "vds_nc": true}

func (p Policy) check() error {
	if p.From.IsZero() {
		return errors.New("from is missing")
	}
	if err := utc("from", p.From); err != nil {
		return err
	}
	if !word(p.Venue, 32) {
		return fmt.Errorf("venue is %.40q: 1 to 32 of a-z 0-9 _ -", p.Venue)
	}
	if len(p.Formats) == 0 && !p.NoCheck {
		return errors.New("formats is empty and no_check is not set")
	}
	if len(p.Formats) > len(formats) {
		return errors.New("too many formats")
	}
	for _, f := range p.Formats {
		if !formats[f] {
			return fmt.Errorf("format %.20q", f)
		}
	}
	numbers := []struct {
		name     string
		got, max int
	}{
		{"test_age_h", p.TestAgeH, 24 * 366},
		{"fresh_h", p.FreshH, 24 * 366},
		{"limit_h", p.LimitH, 24 * 366},
		{"replay_window_s", p.ReplayS, 3600},
	}
	add := func(name string, got, max int) {
		numbers = append(numbers, struct {
			name     string
			got, max int
		}{name, got, max})
	}
	const days = 366 * 10
	if v := p.Vaccination; v != nil {
		add("vaccination.doses", v.Doses, 20)
		add("vaccination.min_days", v.MinDays, days)
		add("vaccination.max_days", v.MaxDays, days)
	}
	if d := p.DCC; d != nil {
		add("dcc.vaccination.min_days", d.Vaccination.MinDays, days)
		add("dcc.vaccination.max_days", d.Vaccination.MaxDays, days)
		add("dcc.test.naat_h", d.Test.NAATHours, 24*366)
		add("dcc.test.rapid_h", d.Test.RapidHours, 24*366)
		add("dcc.recovery.min_days", d.Recovery.MinDays, days)
		add("dcc.recovery.max_days", d.Recovery.MaxDays, days)
	}
	for _, n := range numbers {
		if n.got < 0 || n.got > n.max {
			return fmt.Errorf("%s is %d, must be 0 to %d", n.name, n.got, n.max)
		}
	}
	if p.Fresh() > p.Limit() {
		return errors.New("fresh_h is more than limit_h")
	}
	switch p.FullDisk {
	case "", CountOn, Stop:
	default:
		return fmt.Errorf("full_disk is %.20q", string(p.FullDisk))
	}
	switch p.RulesFailed {
	case "", FailedMore, FailedAmber:
	default:
		return fmt.Errorf("rules_failed is %.20q", string(p.RulesFailed))
	}
	return nil
}

func (k DayKey) check() error {
	if len(k.ID) == 0 || len(k.ID) > 16 || !word(strings.ToLower(k.ID), 16) {
		return fmt.Errorf("id is %.40q: 1 to 16 of A-Z a-z 0-9 _ -", k.ID)
	}
	if k.From.IsZero() || !k.From.Before(k.To) {
		return errors.New("from must come before to")
	}
	if err := errors.Join(utc("from", k.From), utc("to", k.To)); err != nil {
		return err
	}
	if k.Destroyed {
		if len(k.PublicKey) > 0 {
			return errors.New("destroyed and a public key")
		}
		return nil
	}
	if _, err := hpke.MLKEM768X25519().NewPublicKey(k.PublicKey); err != nil {
		return errors.New("public_key is not an ML-KEM-768 + X25519 key")
	}
	return nil
}

func utc(name string, t time.Time) error {
	if t.Location() != time.UTC { // +00:00 is another spelling
		return fmt.Errorf("%s is not in UTC (…Z)", name)
	}
	return nil
}

func text(name, s string, max int) error {
	if s == "" || utf8.RuneCountInString(s) > max {
		return fmt.Errorf("%s must have 1 to %d characters", name, max)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError { // no line ends, no turning of the writing direction
			return fmt.Errorf("%s holds a character that cannot be shown", name)
		}
	}
	return nil
}

func word(s string, max int) bool {
	return s != "" && len(s) <= max && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// region reports whether s is like "CN" or "CN-4201".
func region(s string) bool {
	if len(s) < 2 || len(s) > 16 || strings.Trim(s[:2], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return false
	}
	for i, group := range strings.Split(s[2:], "-") {
		if (i == 0) != (group == "") || strings.Trim(group, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
			return false
		}
	}
	return true
}
