package enroll

import (
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strings"
)

// errCertificate: the certificate names nobody of ours.
var errCertificate = errors.New("the certificate names no device and no person")

// DeviceURI is how a certificate names a gate's device: checkpoint:device:
// and 32 hex digits, as a subject alternative name (RFC 5280 §4.2.1.6).
func DeviceURI(device [16]byte) *url.URL {
	return &url.URL{Scheme: "checkpoint", Opaque: "device:" + hex.EncodeToString(device[:])}
}

// DeviceOf is the device that a certificate names. It must name one and nobody
// else.
func DeviceOf(cert *x509.Certificate) (device [16]byte, err error) {
	if len(cert.URIs) != 1 {
		return device, errCertificate
	}
	rest, ok := strings.CutPrefix(cert.URIs[0].String(), "checkpoint:device:")
	b, err := hex.DecodeString(rest)
	if !ok || err != nil || len(b) != len(device) || strings.ToLower(rest) != rest {
		return device, errCertificate
	}
	return [16]byte(b), nil
}

// roles are what people may be.
var roles = []string{"manager", "technician", "headquarters"}

// ValidRole reports whether a person can have that role.
func ValidRole(role string) bool { return slices.Contains(roles, role) }

// PersonURIs are how a certificate names a person, the role, and the venues:
// none for all.
func PersonURIs(name, role string, venues []string) []*url.URL {
	all := []*url.URL{personURI("person", name), personURI("role", role)}
	for _, v := range venues {
		all = append(all, personURI("venue", v))
	}
	return all
}

func personURI(what, value string) *url.URL {
	return &url.URL{Scheme: "checkpoint", Opaque: what + ":" + url.PathEscape(value)}
}

// PersonOf is the person that a certificate names, with role and venues; nil
// venues are all.
func PersonOf(cert *x509.Certificate) (name, role string, venues []string, err error) {
	for _, u := range cert.URIs {
		what, escaped, _ := strings.Cut(u.Opaque, ":")
		value, err := url.PathUnescape(escaped)
		// What does not become the same again said more than was read of it.
		if err != nil || !ValidName(value) || personURI(what, value).String() != u.String() {
			return "", "", nil, errCertificate
		}
		switch {
		case what == "person" && name == "":
			name = value
		case what == "role" && role == "":
			role = value
		case what == "venue" && len(venues) < MaxVenues:
			venues = append(venues, value)
		default:
			return "", "", nil, errCertificate
		}
	}
	if name == "" || !ValidRole(role) {
		return "", "", nil, errCertificate
	}
	return name, role, venues, nil
}

// MaxVenues is how many venues a person's certificate can name.
const MaxVenues = 64

// ValidName reports whether s can be the name of a gate, a venue or a person: 1
// to 64 bytes of printable UTF-8, no space at either end.
func ValidName(s string) bool { return name("", s, 1, maxName) == nil && strings.TrimSpace(s) == s }
