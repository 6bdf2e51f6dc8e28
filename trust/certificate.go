package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// DCCSigner is a DCCKey, read.
type DCCSigner struct {
	KID       KeyID
	Key       crypto.PublicKey // *ecdsa.PublicKey on P-256, or *rsa.PublicKey of 2048 to 8192 bits
	Country   string           // ISO 3166-1, "" when not said
	NotBefore time.Time
	NotAfter  time.Time // zero: no end
	Usage     Usage
}

// Usage is which kinds of certificate a key may sign. The zero Usage is
// unrestricted.
type Usage struct{ Vaccination, Test, Recovery bool }

// Restricted reports whether the key may sign only some kinds.
func (u Usage) Restricted() bool { return u != Usage{} }

// Read takes the key and its limits out of the certificate, or out of the
// fields that stand in its place.
//
// Real lists hold certificates that crypto/x509 refuses, such as one with a
// negative serial number. The signer of the snapshot has vouched for each of
// them, so only what is needed is read: validity, country, key, extended key
// usage (RFC 5280 §4.1).
func (k DCCKey) Read() (DCCSigner, error) {
	s := DCCSigner{KID: k.KID, Country: k.Country, NotBefore: k.NotBefore, NotAfter: k.NotAfter}
	if len(k.KID) == 0 {
		return s, errors.New("no kid")
	}
	spki := k.SPKI
	switch {
	case len(k.Cert) > 0 && len(k.SPKI) > 0:
		return s, errors.New("cert and spki stand side by side")
	case len(k.Cert) > 0:
		if len(k.Usage) > 0 || k.Country != "" || !k.NotBefore.IsZero() || !k.NotAfter.IsZero() {
			return s, errors.New("usage, country and dates stand in the certificate, not beside it")
		}
		var err error
		if spki, err = s.readCertificate(k.Cert); err != nil {
			return s, err
		}
	default:
		if k.Country != "" && (len(k.Country) != 2 || !region(k.Country)) {
			return s, errors.New("country is not two capital letters")
		}
		for _, u := range k.Usage {
			switch u {
			case "v":
				s.Usage.Vaccination = true
			case "t":
				s.Usage.Test = true
			case "r":
				s.Usage.Recovery = true
			default:
				return s, fmt.Errorf("usage %.8q", u)
			}
		}
	}
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return s, errors.New("the public key cannot be read")
	}
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return s, fmt.Errorf("a key on %s", key.Curve.Params().Name)
		}
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < 2048 || n > 8192 { // RFC 8230 §6.1; above, one check takes too long
			return s, fmt.Errorf("an RSA key of %d bits", n)
		}
	default:
		return s, errors.New("neither an ECDSA nor an RSA key")
	}
	s.Key = key
	return s, nil
}

var errCertificate = errors.New("not an X.509 certificate")

// readCertificate sets validity, country and usage, and returns the DER of the
// SubjectPublicKeyInfo.
func (s *DCCSigner) readCertificate(der []byte) ([]byte, error) {
	in := cryptobyte.String(der)
	var cert, tbs, validity, subject, spki cryptobyte.String
	if !in.ReadASN1(&cert, cbasn1.SEQUENCE) || !in.Empty() || !cert.ReadASN1(&tbs, cbasn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(cbasn1.Tag(0).ContextSpecific().Constructed()) || // version
		!tbs.SkipASN1(cbasn1.INTEGER) || // serial, of whatever sign
		!tbs.SkipASN1(cbasn1.SEQUENCE) || // signature algorithm
		!tbs.SkipASN1(cbasn1.SEQUENCE) || // issuer
		!tbs.ReadASN1(&validity, cbasn1.SEQUENCE) ||
		!tbs.ReadASN1(&subject, cbasn1.SEQUENCE) ||
		!tbs.ReadASN1Element(&spki, cbasn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(cbasn1.Tag(1).ContextSpecific()) ||
		!tbs.SkipOptionalASN1(cbasn1.Tag(2).ContextSpecific()) {
		return nil, errCertificate
	}
	if !readTime(&validity, &s.NotBefore) || !readTime(&validity, &s.NotAfter) {
		return nil, fmt.Errorf("%w: validity", errCertificate)
	}
	s.Country = country(subject)

	var list, extensions cryptobyte.String
	var present bool
	if !tbs.ReadOptionalASN1(&list, &present, cbasn1.Tag(3).ContextSpecific().Constructed()) {
		return nil, errCertificate
	}
	if present && !list.ReadASN1(&extensions, cbasn1.SEQUENCE) {
		return nil, errCertificate
	}
	for !extensions.Empty() {
		var ext, value cryptobyte.String
		var id asn1.ObjectIdentifier
		if !extensions.ReadASN1(&ext, cbasn1.SEQUENCE) || !ext.ReadASN1ObjectIdentifier(&id) ||
			!ext.SkipOptionalASN1(cbasn1.BOOLEAN) || !ext.ReadASN1(&value, cbasn1.OCTET_STRING) {
			return nil, errCertificate
		}
		if id.Equal(oidExtendedKeyUsage) {
			if err := s.readUsage(value); err != nil {
				return nil, err
			}
		}
	}
	return spki, nil
}

func readTime(in *cryptobyte.String, t *time.Time) bool {
	if in.PeekASN1Tag(cbasn1.UTCTime) {
		return in.ReadASN1UTCTime(t)
	}
	return in.ReadASN1GeneralizedTime(t)
}

var (
	oidExtendedKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidCountry          = asn1.ObjectIdentifier{2, 5, 4, 6}
)

// readUsage looks for the three DCC usages, which issuers spell in two ways.
// An empty list, or one of other usages only, restricts nothing.
func (s *DCCSigner) readUsage(value cryptobyte.String) error {
	var list cryptobyte.String
	if !value.ReadASN1(&list, cbasn1.SEQUENCE) {
		return fmt.Errorf("%w: key usage", errCertificate)
	}
	for !list.Empty() {
		var id asn1.ObjectIdentifier
		if !list.ReadASN1ObjectIdentifier(&id) {
			return fmt.Errorf("%w: key usage", errCertificate)
		}
		switch id.String() {
		case "1.3.6.1.4.1.1847.2021.1.1", "1.3.6.1.4.1.0.1847.2021.1.1":
			s.Usage.Test = true
		case "1.3.6.1.4.1.1847.2021.1.2", "1.3.6.1.4.1.0.1847.2021.1.2":
			s.Usage.Vaccination = true
		case "1.3.6.1.4.1.1847.2021.1.3", "1.3.6.1.4.1.0.1847.2021.1.3":
			s.Usage.Recovery = true
		}
	}
	return nil
}

// country is the first countryName in a subject, "" when there is none.
func country(subject cryptobyte.String) string {
	for !subject.Empty() {
		var set cryptobyte.String
		if !subject.ReadASN1(&set, cbasn1.SET) {
			return ""
		}
		for !set.Empty() {
			var pair, value cryptobyte.String
			var id asn1.ObjectIdentifier
			var tag cbasn1.Tag
			if !set.ReadASN1(&pair, cbasn1.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&id) || !pair.ReadAnyASN1(&value, &tag) {
				return ""
			}
			if id.Equal(oidCountry) {
				if c := strings.ToUpper(string(value)); len(c) == 2 && region(c) {
					return c
				}
				return ""
			}
		}
	}
	return ""
}
