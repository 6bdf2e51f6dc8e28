package uplink

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxChain is how many certificates a hub may send: its own, its CA's, and
// successors of that while it moves from one to the next.
const maxChain = 5

// checkHub says whether the other end of a connection is the hub: its
// certificate is for a server of this host name and is signed by a CA whose key
// is pinned. Who the machine trusts plays no part. Dates are looked at only
// when the clock is trusted (docs: a Pi without a clock chip must find its way
// to the hub that tells it the time).
func checkHub(certs []*x509.Certificate, host string, pins [][32]byte, now time.Time, trusted bool) error {
	if len(certs) < 2 || len(certs) > maxChain {
		return notHub(fmt.Errorf("it sends %d certificates, want its own and its CA's", len(certs)))
	}
	leaf := certs[0]
	if !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
		// A gate's certificate is signed by the same CA: it must not do.
		return notHub(errors.New("its certificate is not a server's"))
	}
	err := error(notHub(errors.New("its CA is not the one this gate was told")))
	for _, ca := range certs[1:] {
		if !slices.Contains(pins, sha256.Sum256(ca.RawSubjectPublicKeyInfo)) {
			continue
		}
		if err = checkChain(leaf, ca, host, now, trusted); err == nil {
			return nil
		}
	}
	return err
}

func checkChain(leaf, ca *x509.Certificate, host string, now time.Time, trusted bool) error {
	// x509 does not ask this of a root.
	if !ca.BasicConstraintsValid || !ca.IsCA || ca.KeyUsage&x509.KeyUsageCertSign == 0 {
		return notHub(errors.New("the pinned key is not a CA's"))
	}
	if !trusted {
		// A moment at which both held, if there ever was one.
		now = leaf.NotBefore
		if ca.NotBefore.After(now) {
			now = ca.NotBefore
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err := leaf.Verify(x509.VerifyOptions{
		DNSName:     dnsName(host),
		Roots:       roots,
		CurrentTime: now,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired && trusted {
		return &hubError{ErrDates, fmt.Errorf("valid %s to %s, this gate's clock says %s", day(invalid.Cert.NotBefore), day(invalid.Cert.NotAfter), day(now))}
	}
	if err != nil {
		return notHub(err)
	}
	return nil
}

// dnsName is how crypto/x509 wants a host that may be an address: in brackets
// it is never taken for a name.
func dnsName(host string) string {
	for _, r := range host {
		if r == ':' {
			return "[" + host + "]"
		}
	}
	return host
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

func notHub(err error) *hubError { return &hubError{ErrNotHub, err} }

// tlsConfig is the client's side of every connection. With own, the gate shows
// its certificate.
func (c *Client) tlsConfig(own bool) *tls.Config {
	t := &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: c.host,
		// The standard check knows only the machine's roots and the machine's
		// clock; VerifyConnection below takes its place. It runs on every
		// connection: sessions are not resumed (no ClientSessionCache), so that a
		// new certificate, a new pin and a revocation show at once.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			now, trusted := c.config.Clock()
			return checkHub(s.PeerCertificates, c.host, c.config.Pins(), now, trusted)
		},
	}
	if own {
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if cert := c.config.Certificate(); cert != nil {
				return cert, nil
			}
			return new(tls.Certificate), nil
		}
	}
	return t
}
