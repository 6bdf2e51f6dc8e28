package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of what foreign credentials need.
const (
	MaxDCCRevoked    = 500_000 // hashes of one kid
	MaxDCCRevokedKID = 2048    // files
	MaxDCCRules      = 512     // of one country
	MaxCountries     = 256
	MaxValueSets     = 64
	MaxValues        = 4096 // of one value set
	MaxSHCIssuers    = 4096
	MaxSHCKeys       = 64      // of one issuer
	MaxSHCRevoked    = 200_000 // of one key
	MaxNZCPIssuers   = 64
	MaxCSCA          = 4096
)

// Foreign is what credentials of other places need beside the keys of EU
// certificates. A part that a repository does not have is zero, without a date.
type Foreign struct {
	DCCRevoked []DCCRevoked // by kid, rising
	DCCRules   []DCCCountry // by country, rising
	ValueSets  ValueSets
	SHCIssuers SHCIssuers
	SHCRevoked SHCRevoked
	NZCP       NZCPIssuers
	CSCA       CSCAs
}

// dccRevoked and dccRules give the oldest date and the entries of several files.
func (f *Foreign) dccRevoked() (oldest time.Time, n int) {
	for _, r := range f.DCCRevoked {
		if oldest.IsZero() || r.Issued.Before(oldest) {
			oldest = r.Issued
		}
		n += len(r.UCI) + len(r.CountryUCI) + len(r.Signature)
	}
	return oldest, n
}

func (f *Foreign) dccRules() (oldest time.Time, n int) {
	for _, r := range f.DCCRules {
		if oldest.IsZero() || r.Issued.Before(oldest) {
			oldest = r.Issued
		}
		n += len(r.Rules)
	}
	return oldest, n
}

// DCCHash is what an EU revocation batch names: the first 16 bytes of the
// SHA-256 of an identifier, of country and identifier, or of the signature
// (EU DCC revocation, hash types UCI, COUNTRYCODEUCI and SIGNATURE).
type DCCHash [16]byte

// DCCRevoked is the target dcc-revoked/<kid in hex>: what the country that
// signs with that key has revoked.
//
//	 0   4  "CKDR"
//	 4   1  form 1
//	 5   1  length of the kid, 1 to 32
//	 6   2  zero
//	 8   8  issued, Unix milliseconds
//	16   8  expires, Unix milliseconds; 0: does not
//	24   4  how many of UCI
//	28   4  how many of country and UCI
//	32   4  how many of the signature
//	36   4  zero
//	40   …  kid, then 16 bytes each, the three lists rising
type DCCRevoked struct {
	KID        KeyID
	Issued     time.Time
	Expires    time.Time // zero: does not
	UCI        []DCCHash
	CountryUCI []DCCHash
	Signature  []DCCHash
}

const (
	dccRevokedMagic = "CKDR"
	dccRevokedHead  = 40
)

// ParseDCCRevoked reads a target dcc-revoked/<kid>.
func ParseDCCRevoked(b []byte) (DCCRevoked, error) {
	bad := func(why string) (DCCRevoked, error) {
		return DCCRevoked{}, fmt.Errorf("%w: EU revocations: %s", ErrFormat, why)
	}
	switch {
	case len(b) < dccRevokedHead+1 || string(b[:4]) != dccRevokedMagic:
		return bad("not a list of them")
	case b[4] != 1:
		return bad("a form that this program does not know: install a newer one")
	case b[5] == 0 || b[5] > 32 || b[6] != 0 || b[7] != 0 || binary.BigEndian.Uint32(b[36:]) != 0:
		return bad("head")
	}
	r := DCCRevoked{}
	var err error
	if r.Issued, err = readMS(b[8:]); err != nil {
		return bad("issued")
	}
	if binary.BigEndian.Uint64(b[16:]) != 0 {
		if r.Expires, err = readMS(b[16:]); err != nil || !r.Expires.After(r.Issued) {
			return bad("expires")
		}
	}
	kid := dccRevokedHead + int(b[5])
	total := uint64(0)
	for at := 24; at < 36; at += 4 {
		total += uint64(binary.BigEndian.Uint32(b[at:]))
	}
	if total > MaxDCCRevoked || uint64(len(b)) != uint64(kid)+16*total {
		return bad("as many hashes as it says are not there")
	}
	r.KID = slices.Clone(b[dccRevokedHead:kid])
	rest := b[kid:]
	for at, list := range []*[]DCCHash{&r.UCI, &r.CountryUCI, &r.Signature} {
		n := int(binary.BigEndian.Uint32(b[24+4*at:]))
		*list = make([]DCCHash, n)
		for i := range *list {
			copy((*list)[i][:], rest)
			rest = rest[16:]
			if i > 0 && bytes.Compare((*list)[i-1][:], (*list)[i][:]) >= 0 {
				return bad("hashes are not in rising order")
			}
		}
	}
	return r, nil
}

// AppendBinary appends the bytes of the target to b.
func (r DCCRevoked) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	if len(r.KID) == 0 || len(r.KID) > 32 || !goodMS(r.Issued) || !r.Expires.IsZero() && !goodMS(r.Expires) {
		return nil, fmt.Errorf("%w: EU revocations: kid or dates", ErrFormat)
	}
	b = append(append(b, dccRevokedMagic...), 1, byte(len(r.KID)), 0, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Issued.UnixMilli()))
	expires := uint64(0)
	if !r.Expires.IsZero() {
		expires = uint64(r.Expires.UnixMilli())
	}
	b = binary.BigEndian.AppendUint64(b, expires)
	for _, n := range []int{len(r.UCI), len(r.CountryUCI), len(r.Signature), 0} {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	b = append(b, r.KID...)
	for _, list := range [][]DCCHash{r.UCI, r.CountryUCI, r.Signature} {
		for i := range list {
			b = append(b, list[i][:]...)
		}
	}
	_, err := ParseDCCRevoked(b[start:])
	return b, err
}

// DCCCountry is the target dcc-rules/<CC>.json: the business rules of a country,
// as the EU gateway gives them.
type DCCCountry struct {
	Country string
	Issued  time.Time
	Rules   []DCCRule
}

// DCCRule is one business rule (EU DCC validation rules, schema 1.3). Its logic
// is CertLogic, which is not read here.
type DCCRule struct {
	Identifier      string
	Type            string // "Acceptance" or "Invalidation"
	CertificateType string // "General", "Test", "Vaccination" or "Recovery"
	Version         string
	SchemaVersion   string
	Engine          string // "CERTLOGIC"
	EngineVersion   string
	Region          string // "" the whole country
	ValidFrom       time.Time
	ValidTo         time.Time
	AffectedFields  []string
	Logic           json.RawMessage
}

type dccRulesFile struct {
	Form    string            `json:"form"`
	Issued  time.Time         `json:"issued"`
	Country string            `json:"country"`
	Rules   []json.RawMessage `json:"rules"`
}

func parseDCCRules(data []byte) (DCCCountry, error) {
	var file dccRulesFile
	if err := readTarget(data, formDCCRules, scanner{longest: map[string]int{"rules": MaxDCCRules}, free: "rules"}, &file, &file.Form, &file.Issued); err != nil {
		return DCCCountry{}, err
	}
	c := DCCCountry{Country: file.Country, Issued: file.Issued}
	if len(c.Country) != 2 || !region(c.Country) {
		return c, errors.New("country is not two capital letters")
	}
	seen := make(map[string]bool, len(file.Rules))
	for i, raw := range file.Rules {
		r, err := readDCCRule(raw, c.Country)
		if err == nil && seen[r.Identifier+" "+r.Version] {
			err = errors.New("stands twice")
		}
		if err != nil {
			return c, fmt.Errorf("rule %d: %w", i, err)
		}
		seen[r.Identifier+" "+r.Version] = true
		c.Rules = append(c.Rules, r)
	}
	return c, nil
}

// readDCCRule reads a rule by the exact spelling of its keys.
func readDCCRule(raw []byte, country string) (DCCRule, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return DCCRule{}, errors.New("not an object")
	}
	r := DCCRule{Logic: fields["Logic"]}
	var ruleCountry, from, to string
	texts := map[string]*string{
		"Identifier": &r.Identifier, "Type": &r.Type, "CertificateType": &r.CertificateType, "Version": &r.Version,
		"SchemaVersion": &r.SchemaVersion, "Engine": &r.Engine, "EngineVersion": &r.EngineVersion, "Region": &r.Region,
		"Country": &ruleCountry, "ValidFrom": &from, "ValidTo": &to,
	}
	for name, value := range fields {
		switch target, isText := texts[name]; {
		case isText:
			if err := json.Unmarshal(value, target); err != nil || len(*target) > 80 {
				return r, fmt.Errorf("%s is no short text", name)
			}
		case name == "AffectedFields":
			if err := json.Unmarshal(value, &r.AffectedFields); err != nil {
				return r, errors.New("AffectedFields is no list of texts")
			}
		case name == "Logic", name == "Description":
		default:
			return r, fmt.Errorf("unknown field %.40q", name)
		}
	}
	var err error
	switch {
	case r.Identifier == "" || r.Version == "":
		return r, errors.New("fields Identifier or Version are missing")
	case ruleCountry != country:
		return r, fmt.Errorf("field Country is %.10q, not %s", ruleCountry, country)
	case r.Type != "Acceptance" && r.Type != "Invalidation":
		return r, fmt.Errorf("field Type is %.20q", r.Type)
	case !slices.Contains([]string{"General", "Test", "Vaccination", "Recovery"}, r.CertificateType):
		return r, fmt.Errorf("field CertificateType is %.20q", r.CertificateType)
	case len(r.Logic) == 0 || r.Logic[0] != '{' || len(r.Logic) > 32<<10:
		return r, errors.New("field Logic must be an object of at most 32 KiB")
	}
	if r.ValidFrom, err = time.Parse(time.RFC3339, from); err != nil {
		return r, errors.New("field ValidFrom is no time")
	}
	if r.ValidTo, err = time.Parse(time.RFC3339, to); err != nil || !r.ValidTo.After(r.ValidFrom) {
		return r, errors.New("field ValidTo is no time after ValidFrom")
	}
	r.ValidFrom, r.ValidTo = r.ValidFrom.UTC(), r.ValidTo.UTC()
	return r, nil
}

// ValueSets is the target valuesets.json: the codes that rules speak of.
type ValueSets struct {
	Issued time.Time  `json:"issued"`
	Sets   []ValueSet `json:"sets,omitempty"`
}

// ValueSet is one of them.
type ValueSet struct {
	ID    string   `json:"id"`   // "vaccines-covid-19-names"
	Date  string   `json:"date"` // its own, "2022-01-26"
	Codes []string `json:"codes"`
}

func parseValueSets(data []byte) (ValueSets, error) {
	var file struct {
		Form string `json:"form"`
		ValueSets
	}
	if err := readTarget(data, formValueSets, scanner{longest: map[string]int{"sets": MaxValueSets, "codes": MaxValues}}, &file, &file.Form, &file.Issued); err != nil {
		return ValueSets{}, err
	}
	seen := map[string]bool{}
	for i, s := range file.Sets {
		if !word(s.ID, 80) || seen[s.ID] {
			return ValueSets{}, fmt.Errorf("set %d: id is %.40q, or stands twice", i, s.ID)
		}
		seen[s.ID] = true
		if _, err := time.Parse(time.DateOnly, s.Date); err != nil {
			return ValueSets{}, fmt.Errorf("set %s: date is no date", s.ID)
		}
		for _, c := range s.Codes {
			if err := text("code", c, 80); err != nil {
				return ValueSets{}, fmt.Errorf("set %s: %w", s.ID, err)
			}
		}
	}
	return file.ValueSets, nil
}

// SHCIssuers is the target shc-issuers.json: who signs SMART Health Cards.
type SHCIssuers struct {
	Issued  time.Time   `json:"issued"`
	Issuers []SHCIssuer `json:"issuers,omitempty"`
}

// SHCIssuer is one of them, by the URL that stands in its cards.
type SHCIssuer struct {
	ISS  string  `json:"iss"`
	Name string  `json:"name"`
	Keys []ECKey `json:"keys"`
}

// ECKey is a P-256 public key as a JWK has it (RFC 7518 §6.2.1).
type ECKey struct {
	ID string `json:"id"` // SHC: the JWK thumbprint, base64url; NZCP: the fragment of the method's id
	X  string `json:"x"`  // base64url, 32 bytes
	Y  string `json:"y"`
}

// Public is the key itself.
func (k ECKey) Public() (*ecdsa.PublicKey, error) {
	x, err1 := base64.RawURLEncoding.Strict().DecodeString(k.X)
	y, err2 := base64.RawURLEncoding.Strict().DecodeString(k.Y)
	if err1 != nil || err2 != nil || len(x) != 32 || len(y) != 32 {
		return nil, errors.New("x or y is not 32 bytes in base64url")
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		return nil, errors.New("x and y are no point of P-256")
	}
	return key, nil
}

// Thumbprint is the JWK thumbprint (RFC 7638 §3), which is a SMART key's kid.
func (k ECKey) Thumbprint() string {
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + k.X + `","y":"` + k.Y + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// parseSHCIssuers leaves broken keys out one by one, as of DCC keys.
func parseSHCIssuers(data []byte) (SHCIssuers, []Skipped, error) {
	var file struct {
		Form string `json:"form"`
		SHCIssuers
	}
	if err := readTarget(data, formSHCIssuers, scanner{longest: map[string]int{"issuers": MaxSHCIssuers, "keys": MaxSHCKeys}}, &file, &file.Form, &file.Issued); err != nil {
		return SHCIssuers{}, nil, err
	}
	var skipped []Skipped
	seen := map[string]bool{}
	for i := range file.Issuers {
		s := &file.Issuers[i]
		u, err := url.Parse(s.ISS)
		if err != nil || u.Scheme != "https" || u.Host == "" || len(s.ISS) > 300 || seen[s.ISS] {
			return SHCIssuers{}, nil, fmt.Errorf("issuer %d: iss is no https URL, or stands twice", i)
		}
		seen[s.ISS] = true
		if err := text("name", s.Name, 120); err != nil {
			return SHCIssuers{}, nil, fmt.Errorf("issuer %d: %w", i, err)
		}
		good := s.Keys[:0]
		for _, k := range s.Keys {
			_, err := k.Public()
			if err == nil && k.ID != k.Thumbprint() {
				err = errors.New("id is not the thumbprint of the key")
			}
			if err != nil {
				skipped = append(skipped, Skipped{List: "shc_issuers", Index: i, KID: clip(k.ID), Why: err.Error()})
				continue
			}
			good = append(good, k)
		}
		s.Keys = good
	}
	return file.SHCIssuers, skipped, nil
}

// clip shortens what is shown of something that was refused.
func clip(s string) string { return strings.Trim(strconv.QuoteToASCII(s[:min(len(s), 64)]), `"`) }

// SHCRevoked is the target shc-revoked.json: card revocation lists, by the key
// that signed the cards (SMART Health Cards, "Revocation").
type SHCRevoked struct {
	Issued time.Time        `json:"issued"`
	Lists  []SHCRevokedList `json:"lists,omitempty"`
}

// SHCRevokedList is that of one key.
type SHCRevokedList struct {
	KID     string   `json:"kid"`
	Counter uint64   `json:"ctr"`
	RIDs    []string `json:"rids"` // "rid", or "rid.seconds": those issued before that instant
}

func parseSHCRevoked(data []byte) (SHCRevoked, error) {
	var file struct {
		Form string `json:"form"`
		SHCRevoked
	}
	if err := readTarget(data, formSHCRevoked, scanner{longest: map[string]int{"lists": MaxSHCIssuers, "rids": MaxSHCRevoked}}, &file, &file.Form, &file.Issued); err != nil {
		return SHCRevoked{}, err
	}
	seen := map[string]bool{}
	for i, l := range file.Lists {
		if !base64url(l.KID, 43, 43) || seen[l.KID] || l.Counter == 0 {
			return SHCRevoked{}, fmt.Errorf("list %d: kid is no thumbprint or stands twice, or ctr is missing", i)
		}
		seen[l.KID] = true
		for _, rid := range l.RIDs {
			id, seconds, dated := strings.Cut(rid, ".")
			n, err := strconv.ParseUint(seconds, 10, 40)
			if !base64url(id, 1, 24) || dated && (err != nil || strconv.FormatUint(n, 10) != seconds) {
				return SHCRevoked{}, fmt.Errorf("list %d: a rid that cannot be", i)
			}
		}
	}
	return file.SHCRevoked, nil
}

func base64url(s string, least, most int) bool {
	return len(s) >= least && len(s) <= most &&
		strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// NZCPIssuers is the target nzcp-did.json: of the DID document of who signs New
// Zealand's passes that which a gate needs, the assertion methods.
type NZCPIssuers struct {
	Issued  time.Time    `json:"issued"`
	Issuers []NZCPIssuer `json:"issuers,omitempty"`
}

// NZCPIssuer is one of them.
type NZCPIssuer struct {
	DID  string  `json:"did"` // "did:web:nzcp.identity.health.nz"
	Keys []ECKey `json:"keys"`
}

func parseNZCP(data []byte) (NZCPIssuers, error) {
	var file struct {
		Form string `json:"form"`
		NZCPIssuers
	}
	if err := readTarget(data, formNZCP, scanner{longest: map[string]int{"issuers": MaxNZCPIssuers}}, &file, &file.Form, &file.Issued); err != nil {
		return NZCPIssuers{}, err
	}
	for i, s := range file.Issuers {
		host, isWeb := strings.CutPrefix(s.DID, "did:web:")
		if !isWeb || host == "" || len(s.DID) > 200 || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-:%") != "" {
			return NZCPIssuers{}, fmt.Errorf("issuer %d: did is not did:web:…", i)
		}
		for _, k := range s.Keys {
			if !base64url(k.ID, 1, 80) {
				return NZCPIssuers{}, fmt.Errorf("issuer %d: id of a key is not 1 to 80 of A-Z a-z 0-9 - _", i)
			}
			if _, err := k.Public(); err != nil {
				return NZCPIssuers{}, fmt.Errorf("issuer %d: key %s: %w", i, k.ID, err)
			}
		}
	}
	return file.NZCPIssuers, nil
}

// CSCAs is the target csca.json: certificates of the authorities under which
// visible digital seals (ICAO VDS-NC) are signed.
type CSCAs struct {
	Issued       time.Time
	Certificates []CSCA
}

// CSCA is one of them, read.
type CSCA struct {
	Cert      []byte // DER
	Key       crypto.PublicKey
	Country   string // of the certificate's subject, "" none
	NotBefore time.Time
	NotAfter  time.Time
}

func parseCSCA(data []byte) (CSCAs, []Skipped, error) {
	var file struct {
		Form         string    `json:"form"`
		Issued       time.Time `json:"issued"`
		Certificates [][]byte  `json:"certificates"`
	}
	if err := readTarget(data, formCSCA, scanner{longest: map[string]int{"certificates": MaxCSCA}}, &file, &file.Form, &file.Issued); err != nil {
		return CSCAs{}, nil, err
	}
	all := CSCAs{Issued: file.Issued}
	var skipped []Skipped
	for i, der := range file.Certificates {
		c, err := readCSCA(der)
		if err != nil {
			skipped = append(skipped, Skipped{List: "csca", Index: i, Why: err.Error()})
			continue
		}
		all.Certificates = append(all.Certificates, c)
	}
	return all, skipped, nil
}

func readCSCA(der []byte) (CSCA, error) {
	var s DCCSigner
	spki, err := s.readCertificate(der)
	if err != nil {
		return CSCA{}, err
	}
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return CSCA{}, errors.New("the public key cannot be read")
	}
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve.Params().BitSize < 256 {
			return CSCA{}, fmt.Errorf("a key on %s", key.Curve.Params().Name)
		}
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < 2048 || n > 8192 {
			return CSCA{}, fmt.Errorf("an RSA key of %d bits", n)
		}
	default:
		return CSCA{}, errors.New("neither an ECDSA nor an RSA key")
	}
	return CSCA{Cert: der, Key: key, Country: s.Country, NotBefore: s.NotBefore, NotAfter: s.NotAfter}, nil
}
