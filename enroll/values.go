package enroll

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of the JSON forms, bytes.
const (
	MaxRequest = 16 << 10
	MaxGrant   = 1 << 20 // it may hold the root metadata
	MaxReport  = 16 << 10
	MaxOrders  = 4 << 10

	tokenText   = 43 // characters of 32 bytes in base64url
	maxName     = 64
	maxCSR      = 2 << 10
	maxCert     = 4 << 10
	maxRoot     = 512 << 10
	maxInterval = 24 * 60 * 60
	maxCamera   = 160
	maxLists    = 64
	maxRungs    = 16
)

// ParseRequest reads a request; Prove checks its proofs.
func ParseRequest(b []byte) (Request, error) {
	var r Request
	if err := strict(b, MaxRequest, &r); err != nil {
		return Request{}, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return r, r.check()
}

func (r Request) check() error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrRequest, what) }
	var device [16]byte
	n, err := hex.Decode(device[:], []byte(r.Device[:min(len(r.Device), 32)]))
	switch {
	case err != nil || n != 16 || len(r.Device) != 32 || strings.ToLower(r.Device) != r.Device:
		return bad("device: want 32 hex digits in small letters")
	case r.Token != "" && len(r.Token) != tokenText:
		return bad("token: want 32 bytes in base64url")
	case len(r.CSR) == 0 || len(r.CSR) > maxCSR:
		return bad("csr")
	case len(r.Segment) != ed25519.PublicKeySize:
		return bad("segment_key: want 32 bytes")
	case len(r.Proof) != ed25519.SignatureSize:
		return bad("proof: want 64 bytes")
	case len(r.OldCert) > maxCert || len(r.OldProof) > 128 || (len(r.OldCert) == 0) != (len(r.OldProof) == 0):
		return bad("old_cert and old_proof")
	case r.Token != "" && len(r.OldCert) > 0:
		return bad("a token and an old certificate")
	}
	if err := name("version", r.Version, 0, maxName); err != nil {
		return fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return nil
}

// ParseGrant reads a grant.
func ParseGrant(b []byte) (Grant, error) {
	var g Grant
	if err := strict(b, MaxGrant, &g); err != nil {
		return Grant{}, fmt.Errorf("%w: %w", ErrGrant, err)
	}
	err := place(g.State, g.Gate, g.Venue, g.VenueType, g.Interval)
	switch {
	case err != nil:
	case g.State == "revoked":
		err = errors.New("state")
	case len(g.Chain) < 1 || len(g.Chain) > 4:
		err = errors.New("chain: want 1 to 4 certificates")
	case len(g.Root) > maxRoot:
		err = errors.New("root: too large")
	case g.Time.IsZero():
		err = errors.New("time is missing")
	case g.Word != "" && (len(g.Word) != 6 || strings.Trim(g.Word, "0123456789") != ""):
		err = errors.New("word: want six digits")
	}
	for _, c := range g.Chain {
		if len(c) == 0 || len(c) > maxCert {
			err = errors.New("chain: a certificate of that size is none")
		}
	}
	if err != nil {
		return Grant{}, fmt.Errorf("%w: %w", ErrGrant, err)
	}
	return g, nil
}

// ErrReport: not a report, or not the answer to one.
var ErrReport = errors.New("not a report")

// ParseReport reads a report.
func ParseReport(b []byte) (Report, error) {
	var r Report
	if err := strict(b, MaxReport, &r); err != nil {
		return Report{}, fmt.Errorf("%w: %w", ErrReport, err)
	}
	err := errors.Join(name("version", r.Version, 0, maxName), name("camera", r.Camera, 0, maxCamera))
	switch {
	case err != nil:
	case r.Time.IsZero():
		err = errors.New("time is missing")
	case r.Clock != "synced" && r.Clock != "rtc" && r.Clock != "estimated" && r.Clock != "unknown":
		err = errors.New("clock: want synced, rtc, estimated or unknown")
	case len(r.Ages) > maxLists || len(r.Rungs) > maxRungs:
		err = errors.New("too many lists or rungs")
	case r.OldestS < 0 || r.VerdictP50MS < 0 || r.VerdictP95MS < 0 || r.DiskUsed < 0 || r.FPS < 0 ||
		math.IsNaN(r.FPS) || r.FPS > 1000 || r.DiskUsed > 1000 || r.DiskDays < -1:
		err = errors.New("a figure that cannot be")
	}
	const maxAge = math.MaxInt32 // 68 years
	for list, age := range r.Ages {
		// An age below zero is a list from the future of a gate whose clock is
		// behind: just then the hub must hear of it.
		if err == nil && (name("list_ages_s", list, 1, maxName) != nil || age > maxAge || age < -maxAge) {
			err = errors.New("list_ages_s")
		}
	}
	for _, rung := range r.Rungs {
		if err == nil {
			err = name("rungs", rung, 1, 32)
		}
	}
	if err != nil {
		return Report{}, fmt.Errorf("%w: %w", ErrReport, err)
	}
	return r, nil
}

// ParseOrders reads the answer to a report.
func ParseOrders(b []byte) (Orders, error) {
	var o Orders
	err := strict(b, MaxOrders, &o)
	if err == nil {
		err = place(o.State, o.Gate, o.Venue, o.VenueType, o.Interval)
	}
	if err == nil && o.Time.IsZero() {
		err = errors.New("time is missing")
	}
	if err != nil {
		return Orders{}, fmt.Errorf("%w: %w", ErrReport, err)
	}
	return o, nil
}

// place checks what a hub says of a gate.
func place(state, gate, venue, venueType string, interval int) error {
	if state != "active" && state != "pending" && state != "revoked" {
		return errors.New("state: want active, pending or revoked")
	}
	if interval < 1 || interval > maxInterval {
		return fmt.Errorf("upload_interval_s: want 1 to %d", maxInterval)
	}
	if !ValidVenueType(venueType) {
		return errors.New("venue_type: want 1 to 32 of a-z 0-9 _ -")
	}
	return errors.Join(name("gate", gate, 1, maxName), name("venue", venue, 1, maxName))
}

// ValidVenueType reports whether s can name a kind of place, as policies do: 1
// to 32 of a-z 0-9 _ -.
func ValidVenueType(s string) bool {
	return s != "" && len(s) <= 32 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// name checks a text that people see: printable, of least to most bytes.
func name(what, s string, least, most int) error {
	if len(s) < least || len(s) > most || !utf8.ValidString(s) {
		return fmt.Errorf("%s: want %d to %d bytes", what, least, most)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%s: a character that cannot be shown", what)
		}
	}
	return nil
}

// maxDepth is how deep the JSON forms are nested.
const maxDepth = 4

// strict decodes one JSON object of at most limit bytes: no unknown keys, no
// key twice, nothing after it, null nowhere.
func strict(b []byte, limit int, v any) error {
	if len(b) > limit {
		return fmt.Errorf("%d bytes, at most %d", len(b), limit)
	}
	if !utf8.Valid(b) {
		return errors.New("not UTF-8")
	}
	scan := json.NewDecoder(bytes.NewReader(b))
	scan.UseNumber()
	if err := walk(scan, 0); err != nil {
		return err
	}
	if _, err := scan.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// walk goes over one JSON value for what encoding/json lets pass: keys that
// stand twice, keys that it takes for another by folding case, null.
func walk(dec *json.Decoder, depth int) error {
	tok, err := dec.Token()
	if err != nil {
		return errors.New("not JSON")
	}
	if depth > maxDepth {
		return errors.New("nested too deep")
	}
	switch tok {
	case json.Delim('{'):
		seen := make(map[string]bool)
		for dec.More() {
			key, err := dec.Token()
			name, ok := key.(string)
			if err != nil || !ok {
				return errors.New("not JSON")
			}
			if seen[name] || depth == 0 && strings.ToLower(name) != name {
				return fmt.Errorf("key %.40q stands twice, or is not in small letters", name)
			}
			for _, c := range []byte(name) {
				if c > '~' || c < ' ' {
					return fmt.Errorf("unknown key %.40q", name)
				}
			}
			seen[name] = true
			if err := walk(dec, depth+1); err != nil {
				return err
			}
		}
		_, err = dec.Token()
	case json.Delim('['):
		for dec.More() {
			if err := walk(dec, depth+1); err != nil {
				return err
			}
		}
		_, err = dec.Token()
	case nil:
		return errors.New("null stands for nothing here; leave the key out")
	}
	if err != nil {
		return errors.New("not JSON")
	}
	return nil
}
