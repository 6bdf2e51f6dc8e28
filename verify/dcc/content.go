package dcc

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Kind is what a certificate certifies.
type Kind uint8

// The kinds.
const (
	NoKind Kind = iota
	Vaccination
	Test
	Recovery
	Light // Swiss: valid, without saying why
)

// Letter is the key of the kind in the content, "" for Light.
func (k Kind) Letter() string { return [...]string{"", "v", "t", "r", ""}[k%5] }

// Claims are what a certificate says. Texts are unsanitised, without blanks
// around them, and empty when absent.
type Claims struct {
	Issuer  string    // CWT iss, mostly a country
	Issued  time.Time // zero: not said
	Expires time.Time // zero: not said

	Surname, Given     string // as written
	SurnameT, GivenT   string // as in the machine-readable zone
	Birth              string // as written, may be partial
	Kind               Kind
	Disease            string // SNOMED CT code
	Country, Authority string // co, is
	ID                 string // ci, the UVCI

	Dose, Doses int       // vaccination: dn of sd; -1 not said
	Given1      time.Time // vaccination: day of this dose (dt); recovery: first positive test (fr)

	TestType string    // LOINC: LP6464-4 NAAT, LP217198-3 rapid
	Sampled  time.Time // sc
	Result   string    // SNOMED CT code (tr)

	From, Until time.Time // recovery: df, du (days)
}

const (
	maxString = 256            // bytes read of any text
	lightLife = 48 * time.Hour // a light certificate without an end holds so long, as Switzerland published it in 2021
)

type wire struct {
	Issuer  cbor.RawMessage          `cbor:"1,keyasint"`
	Expires cbor.RawMessage          `cbor:"4,keyasint"`
	Issued  cbor.RawMessage          `cbor:"6,keyasint"`
	Health  map[int64]map[string]any `cbor:"-260,keyasint"`
	Light   map[int64]map[string]any `cbor:"-250,keyasint"` // the Swiss light certificate's
}

// Claims reads the content. The errors are ErrCBOR and ErrSchema. A light
// certificate has no entry and needs no end.
func (p *Proven) Claims(light bool) (*Claims, error) {
	if lenient.Wellformed(p.payload) != nil {
		return nil, fmt.Errorf("%w: content", ErrCBOR)
	}
	var w wire
	if lenient.Unmarshal(p.payload, &w) != nil {
		return nil, fmt.Errorf("%w: a wrong type or a key that stands twice", ErrSchema)
	}
	health := w.Health
	if light {
		health = w.Light
	}
	doc, ok := health[1]
	if !ok {
		return nil, fmt.Errorf("%w: no health certificate in it", ErrSchema)
	}
	c := &Claims{Dose: -1, Doses: -1}
	var err error
	if c.Issued, err = numericDate(w.Issued); err != nil {
		return nil, fmt.Errorf("%w: iat", ErrSchema)
	}
	if c.Expires, err = numericDate(w.Expires); err != nil || c.Expires.IsZero() && !light {
		return nil, fmt.Errorf("%w: exp", ErrSchema)
	}
	if light && c.Expires.IsZero() {
		if c.Issued.IsZero() {
			return nil, fmt.Errorf("%w: neither iat nor exp", ErrSchema)
		}
		c.Expires = c.Issued.Add(lightLife)
	}
	if len(w.Issuer) > 0 {
		var iss any
		_ = lenient.Unmarshal(w.Issuer, &iss) // another type is no issuer
		c.Issuer = text(iss)
	}
	nam, _ := doc["nam"].(map[any]any)
	c.Surname, c.Given = text(nam["fn"]), text(nam["gn"])
	c.SurnameT, c.GivenT = text(nam["fnt"]), text(nam["gnt"])
	c.Birth = text(doc["dob"])
	if c.Surname == "" && c.Given == "" && c.SurnameT == "" && c.GivenT == "" {
		return nil, fmt.Errorf("%w: no name, so nothing to compare a card with", ErrSchema)
	}

	entry, kind, err := oneEntry(doc)
	if err != nil {
		return nil, err
	}
	if light {
		if kind != NoKind {
			return nil, fmt.Errorf("%w: a light certificate with an entry", ErrSchema)
		}
		c.Kind = Light
		return c, nil
	}
	if kind == NoKind {
		return nil, fmt.Errorf("%w: neither vaccination nor test nor recovery", ErrSchema)
	}
	c.Kind = kind
	c.Disease, c.Country, c.Authority, c.ID = text(entry["tg"]), text(entry["co"]), text(entry["is"]), text(entry["ci"])
	switch kind {
	case Vaccination:
		c.Dose, c.Doses = count(entry["dn"]), count(entry["sd"])
		c.Given1 = day(text(entry["dt"]))
	case Test:
		c.TestType, c.Result = text(entry["tt"]), text(entry["tr"])
		c.Sampled = moment(text(entry["sc"]))
	case Recovery:
		c.Given1, c.From, c.Until = day(text(entry["fr"])), day(text(entry["df"])), day(text(entry["du"]))
	}
	return c, nil
}

// oneEntry finds the only entry. Absent, null and empty groups are the same; a
// certificate with two entries is refused: it would let one be judged and the
// other be shown.
func oneEntry(doc map[string]any) (entry map[any]any, kind Kind, err error) {
	for _, k := range []Kind{Vaccination, Test, Recovery} {
		group, ok := doc[k.Letter()]
		if !ok || group == nil {
			continue
		}
		list, ok := group.([]any)
		if !ok {
			return nil, NoKind, fmt.Errorf("%w: %s is not a list", ErrSchema, k.Letter())
		}
		for _, e := range list {
			m, ok := e.(map[any]any)
			if !ok {
				return nil, NoKind, fmt.Errorf("%w: %s holds something else", ErrSchema, k.Letter())
			}
			if kind != NoKind {
				return nil, NoKind, fmt.Errorf("%w: two entries in one certificate", ErrSchema)
			}
			entry, kind = m, k
		}
	}
	return entry, kind, nil
}

func text(v any) string {
	s, _ := v.(string)
	if len(s) > maxString {
		s = strings.ToValidUTF8(s[:maxString], "")
	}
	return strings.TrimSpace(s)
}

// count is a small whole number, given as an integer or as a float; -1 for
// anything else.
func count(v any) int {
	var f float64
	switch n := v.(type) {
	case uint64:
		f = float64(n)
	case float64:
		f = n
	default:
		return -1
	}
	if f != math.Trunc(f) || f < 0 || f > 99 {
		return -1
	}
	return int(f)
}

// numericDate reads a NumericDate (RFC 8392 §2): an integer or a float, with
// or without tag 1. Absent and null are the zero time.
func numericDate(raw cbor.RawMessage) (time.Time, error) {
	if len(raw) > 0 && raw[0] == 0xc1 {
		raw = raw[1:]
	}
	if len(raw) == 0 || raw[0] == 0xf6 {
		return time.Time{}, nil
	}
	var v any
	if err := lenient.Unmarshal(raw, &v); err != nil {
		return time.Time{}, err
	}
	var f float64
	switch n := v.(type) {
	case uint64:
		f = float64(n)
	case float64:
		f = n
	default:
		return time.Time{}, ErrSchema
	}
	if !(f >= 0 && f <= 253402300799) {
		return time.Time{}, ErrSchema
	}
	sec, frac := math.Modf(f)
	return time.Unix(int64(sec), int64(frac*1e9)).UTC(), nil
}

// day reads the day at the start of a date or date-time; zero when it is none.
func day(s string) time.Time {
	if len(s) > 10 {
		s = s[:10]
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// moment reads the spellings of a date-time that issuers use; without a zone
// it is UTC. Zero when it is none.
func moment(s string) time.Time {
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999Z07",
		"2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02T15:04",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
