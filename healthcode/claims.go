package healthcode

import (
	"crypto/ecdsa"
	"fmt"
)

// Colour is what an authority assigned, hc key 1.
type Colour uint8

// The colours.
const (
	Green Colour = 0
	Amber Colour = 1
	Red   Colour = 2
	Gold  Colour = 3 // vaccinated
)

var colours = [...]string{"green", "amber", "red", "gold"}

// String is the colour's stable word.
func (c Colour) String() string {
	if int(c) < len(colours) {
		return colours[c]
	}
	return "unknown"
}

// The reasons for amber and red, hc key 3.
const (
	ReasonContact            = 10
	ReasonSamePlace          = 11
	ReasonSymptoms           = 12
	ReasonCase               = 20
	ReasonSuspected          = 21
	ReasonRiskArea           = 30
	ReasonEntry              = 31
	ReasonTestOverdue        = 40
	ReasonDeclarationMissing = 41
)

// Claims are what a credential says. Times are Unix seconds, 0 when absent.
type Claims struct {
	Issuer    string // e.g. "CN-420100": ISO 3166-1 and region code
	Subject   [12]byte
	Expires   int64
	NotBefore int64 // optional
	Issued    int64
	CTI       [8]byte          // random; what revocation and replay look at
	Holder    *ecdsa.PublicKey // the phone's key; nil: paper

	Colour Colour
	Until  int64  // end of the measure; amber and red
	Reason uint64 // Reason…; amber and red
	Basis  string // legal basis, a registry id; amber and red

	Name        string      // masked by the issuer
	Document    Document    // zero: none
	Vaccinated  Vaccination // zero: not; gold needs it
	Tested      int64       // the last negative test
	Nationality string      // ICAO three letters; with a passport only
}

// Document is what the masked name is compared with.
type Document struct {
	Type uint8  // 1 resident ID · 2 passport · 3 HK/Macao · 4 Taiwan · 5 foreign permanent resident · 6 residence permit
	Last string // its last 4 characters
}

// Vaccination is how often and when last.
type Vaccination struct {
	Doses uint8
	Last  int32 // days since 1970-01-01
}

// Limits of the claims.
const (
	MaxIssuer = 16 // bytes
	MaxBasis  = 12
	MaxName   = 40 // characters, of at most 4 bytes

	MaxLifeBound = 24 * 3600     // seconds from iat to exp with a holder key
	MaxLifePaper = 7 * 24 * 3600 // and without
	MaxMeasure   = 28 * 24 * 3600
)

// Complete says whether an issuer may issue this: that the claims have their
// form, that amber and red say why, on what basis and until when, and that
// paper has something to compare with an identity card. A credential that lacks
// these can be read (the gate then shows the issuer's fault, or asks for a card
// in vain), but Issue does not make it.
func (c *Claims) Complete() error {
	if err := c.check(); err != nil {
		return err
	}
	if c.Holder == nil && c.Name == "" && c.Document == (Document{}) {
		return fmt.Errorf("%w: paper with neither a masked name nor a document is anybody's", ErrSchema)
	}
	if c.Colour != Amber && c.Colour != Red {
		return nil
	}
	switch {
	case !KnownReason(c.Reason):
		return fmt.Errorf("%w: %s without a reason", ErrSchema, c.Colour)
	case c.Basis == "":
		return fmt.Errorf("%w: %s without a legal basis", ErrSchema, c.Colour)
	case c.Until == 0 || c.Until-c.Issued > MaxMeasure || c.Until <= c.Issued:
		return fmt.Errorf("%w: %s without an end within 28 days", ErrSchema, c.Colour)
	}
	return nil
}

// KnownReason reports whether r is one of the reasons.
func KnownReason(r uint64) bool {
	switch r {
	case ReasonContact, ReasonSamePlace, ReasonSymptoms, ReasonCase, ReasonSuspected,
		ReasonRiskArea, ReasonEntry, ReasonTestOverdue, ReasonDeclarationMissing:
		return true
	}
	return false
}
