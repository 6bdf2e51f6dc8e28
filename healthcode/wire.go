package healthcode

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"unicode/utf8"
)

// maxTime is the greatest Unix second that is read: the year 9999.
const maxTime = 253402300799

// wireClaims is the CWT claims set. A zero that is written out is not
// deterministic here (omitempty leaves it out), so absent and zero are one.
type wireClaims struct {
	Issuer    string   `cbor:"1,keyasint,omitempty"`
	Subject   []byte   `cbor:"2,keyasint,omitempty"`
	Expires   uint64   `cbor:"4,keyasint,omitempty"`
	NotBefore uint64   `cbor:"5,keyasint,omitempty"`
	Issued    uint64   `cbor:"6,keyasint,omitempty"`
	CTI       []byte   `cbor:"7,keyasint,omitempty"`
	Confirm   *wireCnf `cbor:"8,keyasint,omitempty"`
	Health    wireHC   `cbor:"-65537,keyasint"`
}

// wireCnf is RFC 8747 §3.2: a COSE_Key, here always EC2 P-256 with a sign bit
// for y (RFC 9053 §7.1.1).
type wireCnf struct {
	Key wireKey `cbor:"1,keyasint"`
}

type wireKey struct {
	Type  int    `cbor:"1,keyasint"`
	Curve int    `cbor:"-1,keyasint"`
	X     []byte `cbor:"-2,keyasint"`
	Odd   bool   `cbor:"-3,keyasint"`
}

type wireHC struct {
	Colour      uint8      `cbor:"1,keyasint"` // green is 0 and still stands
	Until       uint64     `cbor:"2,keyasint,omitempty"`
	Reason      uint64     `cbor:"3,keyasint,omitempty"`
	Basis       string     `cbor:"4,keyasint,omitempty"`
	Name        string     `cbor:"5,keyasint,omitempty"`
	Document    *wireDoc   `cbor:"6,keyasint,omitempty"`
	Vaccinated  *wireDoses `cbor:"7,keyasint,omitempty"`
	Tested      uint64     `cbor:"8,keyasint,omitempty"`
	Nationality string     `cbor:"9,keyasint,omitempty"`
}

type wireDoc struct {
	_    struct{} `cbor:",toarray"`
	Type uint8
	Last string
}

type wireDoses struct {
	_     struct{} `cbor:",toarray"`
	Doses uint8
	Last  uint32
}

// decodeExact reads deterministic CBOR with no key that v does not know.
func decodeExact(b []byte, v any) error {
	if err := strict.Wellformed(b); err != nil {
		return fmt.Errorf("%w: content", ErrCBOR) // the library's words may quote content
	}
	if err := strict.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: a wrong type, an unknown key or one that stands twice", ErrSchema)
	}
	if again, err := deterministic.Marshal(v); err != nil || !bytes.Equal(again, b) {
		return fmt.Errorf("%w: not the one encoding of its content", ErrSchema)
	}
	return nil
}

func decodeClaims(payload []byte) (*Claims, error) {
	var w wireClaims
	if err := decodeExact(payload, &w); err != nil {
		return nil, err
	}
	if len(w.Subject) != 12 || len(w.CTI) != 8 {
		return nil, fmt.Errorf("%w: sub or cti", ErrSchema)
	}
	for _, t := range []uint64{w.Expires, w.NotBefore, w.Issued, w.Health.Until, w.Health.Tested} {
		if t > maxTime {
			return nil, fmt.Errorf("%w: a time after the year 9999", ErrSchema)
		}
	}
	h := &w.Health
	c := &Claims{
		Issuer: w.Issuer, Subject: [12]byte(w.Subject), Expires: int64(w.Expires), NotBefore: int64(w.NotBefore),
		Issued: int64(w.Issued), CTI: [8]byte(w.CTI),
		Colour: Colour(h.Colour), Until: int64(h.Until), Reason: h.Reason, Basis: h.Basis,
		Name: h.Name, Tested: int64(h.Tested), Nationality: h.Nationality,
	}
	if w.Confirm != nil {
		key, err := w.Confirm.Key.public()
		if err != nil {
			return nil, err
		}
		c.Holder = key
	}
	if h.Document != nil {
		c.Document = Document{Type: h.Document.Type, Last: h.Document.Last}
		if h.Document.Type == 0 {
			return nil, fmt.Errorf("%w: document", ErrSchema)
		}
	}
	if h.Vaccinated != nil {
		if h.Vaccinated.Doses == 0 || h.Vaccinated.Last > maxTime/86400 {
			return nil, fmt.Errorf("%w: vaccination", ErrSchema)
		}
		c.Vaccinated = Vaccination{Doses: h.Vaccinated.Doses, Last: int32(h.Vaccinated.Last)}
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Claims) encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	w := wireClaims{
		Issuer: c.Issuer, Subject: c.Subject[:], Expires: uint64(c.Expires), NotBefore: uint64(c.NotBefore),
		Issued: uint64(c.Issued), CTI: c.CTI[:],
		Health: wireHC{
			Colour: uint8(c.Colour), Until: uint64(c.Until), Reason: c.Reason, Basis: c.Basis,
			Name: c.Name, Tested: uint64(c.Tested), Nationality: c.Nationality,
		},
	}
	if c.Holder != nil {
		point, err := c.Holder.Bytes()
		if err != nil || c.Holder.Curve != elliptic.P256() {
			return nil, ErrKey
		}
		w.Confirm = &wireCnf{wireKey{Type: 2, Curve: 1, X: point[1:33], Odd: point[64]&1 == 1}}
	}
	if c.Document != (Document{}) {
		w.Health.Document = &wireDoc{Type: c.Document.Type, Last: c.Document.Last}
	}
	if c.Vaccinated != (Vaccination{}) {
		w.Health.Vaccinated = &wireDoses{Doses: c.Vaccinated.Doses, Last: uint32(c.Vaccinated.Last)}
	}
	return deterministic.Marshal(w)
}

// public is the key as a point on the curve.
func (k wireKey) public() (*ecdsa.PublicKey, error) {
	if k.Type != 2 || k.Curve != 1 || len(k.X) != 32 {
		return nil, fmt.Errorf("%w: holder key", ErrSchema)
	}
	compressed := append([]byte{2}, k.X...)
	if k.Odd {
		compressed[0] = 3
	}
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), compressed)
	if x == nil {
		return nil, fmt.Errorf("%w: holder key is no point", ErrSchema)
	}
	point := make([]byte, 65)
	point[0] = 4
	x.FillBytes(point[1:33])
	y.FillBytes(point[33:])
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, fmt.Errorf("%w: holder key is no point", ErrSchema)
	}
	return key, nil
}

// check holds the rules of form: what no signed content may break.
func (c *Claims) check() error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrSchema, what) }
	life := int64(MaxLifePaper)
	if c.Holder != nil {
		life = MaxLifeBound
	}
	switch {
	case !validRegion(c.Issuer):
		return bad("iss")
	case c.Issued <= 0 || c.Issued > maxTime:
		return bad("iat")
	case c.Expires <= c.Issued || c.Expires > maxTime || c.Expires-c.Issued > life:
		return bad("exp")
	case c.NotBefore < 0 || c.NotBefore > c.Expires:
		return bad("nbf")
	case c.Colour > Gold:
		return bad("colour")
	case c.Until < 0 || c.Until > maxTime:
		return bad("until")
	case len(c.Basis) > MaxBasis:
		return bad("legal basis")
	case len(c.Name) > 4*MaxName || utf8.RuneCountInString(c.Name) > MaxName || !utf8.ValidString(c.Name):
		return bad("name")
	case c.Document != (Document{}) && (c.Document.Type < 1 || c.Document.Type > 6 || c.Document.Last == "" ||
		len(c.Document.Last) > 16 || utf8.RuneCountInString(c.Document.Last) > 4 || !utf8.ValidString(c.Document.Last)):
		return bad("document")
	case c.Vaccinated != (Vaccination{}) && (c.Vaccinated.Doses == 0 || c.Vaccinated.Last < 0 || int64(c.Vaccinated.Last) > c.Issued/86400+1):
		return bad("vaccination")
	case c.Colour == Gold && c.Vaccinated == (Vaccination{}):
		return bad("gold without a vaccination")
	case c.Tested < 0 || c.Tested > c.Issued:
		return bad("last test")
	case c.Nationality != "" && (c.Document.Type != 2 || !upper(c.Nationality, 3)):
		return bad("nationality")
	}
	return nil
}

// validRegion reports whether s is like "CN" or "CN-420100": ISO 3166-1 and
// groups of letters and digits after hyphens.
func validRegion(s string) bool {
	if len(s) < 2 || len(s) > MaxIssuer || !upper(s[:2], 2) {
		return false
	}
	for i := 2; i < len(s); i++ {
		switch ch := s[i]; {
		case ch == '-':
			if i+1 == len(s) || s[i+1] == '-' {
				return false
			}
		case i == 2, (ch < '0' || ch > '9') && (ch < 'A' || ch > 'Z'):
			return false
		}
	}
	return true
}

func upper(s string, n int) bool {
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return len(s) == n
}
