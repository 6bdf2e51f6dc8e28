package hub

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"checkpoint/enroll"
)

// Lives of certificates.
const (
	caYears     = 10
	gateLife    = 14 * 24 * time.Hour
	serverLife  = 30 * 24 * time.Hour
	serverAgain = 10 * 24 * time.Hour // a new one when the old one has no more than this
	backdate    = 5 * time.Minute     // for clocks that are a little behind
	// A gate that trusts its own clock may be wrong by hours and must still find
	// its way to the hub, which tells it the time.
	serverBackdate = 24 * time.Hour
)

// writeCA makes a CA of its own.
func writeCA(dir, certName, keyName string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the CA: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		// Two CAs that stand side by side must differ in name.
		Subject:               pkix.Name{CommonName: "checkpoint hub CA " + hex.EncodeToString(serial.Bytes())[:8]},
		NotBefore:             now.Add(-serverBackdate).UTC(),
		NotAfter:              now.AddDate(caYears, 0, 0).UTC(),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("make the CA: %w", err)
	}
	if err := writeKey(filepath.Join(dir, keyName), key); err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, certName), pemCertificate, der)
}

// readCA reads the CA that signs, and looks that its key is its own.
func readCA(dir string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	cert, err := readCertificate(filepath.Join(dir, fileCA))
	if err != nil {
		return nil, nil, err
	}
	any, err := readKey(filepath.Join(dir, fileCAKey))
	if err != nil {
		return nil, nil, err
	}
	key, ok := any.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, nil, fmt.Errorf("%w: %s is not an ECDSA P-256 key", ErrKeys, fileCAKey)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, fmt.Errorf("%w: %s is not the key of %s", ErrKeys, fileCAKey, fileCA)
	}
	return cert, key, nil
}

// NextCA makes the CA that will follow the one in dir, beside it. Restart the
// hubs, publish hub-ca.json with both, wait until every gate has it, and then
// TurnCA.
func NextCA(dir string, o KeyOptions) error {
	if err := private(dir); err != nil {
		return err
	}
	if _, _, err := readCA(dir); err != nil {
		return err
	}
	for _, name := range []string{fileNextCA, fileNextCAKey} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s is not written over", ErrKeysExist, name)
		}
	}
	if err := writeCA(dir, fileNextCA, fileNextCAKey, o.clock()()); err != nil {
		return err
	}
	return syncDir(dir)
}

// TurnCA puts the next CA in the place of the one that signs; the certificate
// of that one stays as ca-old.pem until somebody removes it, so that what it
// signed lives to its end. Interrupted, it is called again and goes on.
func TurnCA(dir string) error {
	if err := private(dir); err != nil {
		return err
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	next, err := readCertificate(at(fileNextCA))
	if err != nil {
		return err
	}
	current, err := readCertificate(at(fileCA))
	if err != nil {
		return err
	}
	old, err := readCertificate(at(fileOldCA))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := writePEM(at(fileOldCA), pemCertificate, current.Raw); err != nil {
			return err
		}
	case err != nil:
		return err
	case !old.Equal(current):
		return fmt.Errorf("%w: %s still stands: remove it when nothing of it lives any more", ErrKeysExist, fileOldCA)
	}
	// The key first: a stop here leaves a pair that LoadKeys refuses and that the
	// next call mends.
	err = os.Rename(at(fileNextCAKey), at(fileCAKey))
	if errors.Is(err, fs.ErrNotExist) {
		any, e := readKey(at(fileCAKey))
		if key, ok := any.(*ecdsa.PrivateKey); e != nil || !ok || !key.PublicKey.Equal(next.PublicKey) {
			return fmt.Errorf("%w: the key of %s is not here", ErrKeys, fileNextCA)
		}
	} else if err != nil {
		return fmt.Errorf("turn the CA: %w", err)
	}
	if err := os.Rename(at(fileNextCA), at(fileCA)); err != nil {
		return fmt.Errorf("turn the CA: %w", err)
	}
	return syncDir(dir)
}

// checkHosts refuses what no certificate can be for.
func checkHosts(hosts []string) error {
	for _, host := range hosts {
		if host == "" || len(host) > 253 || net.ParseIP(host) == nil && strings.ContainsAny(host, " /:@*\\") {
			return fmt.Errorf("%w: %q is not a host name or address", ErrKeys, host)
		}
	}
	return nil
}

// serverCertificate is the listener's: in memory only, made anew before it
// ends. The CA is sent with it, since gates pin the CA's key.
func (k *Keys) serverCertificate(now time.Time) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.server != nil && now.Add(serverAgain).Before(k.server.Leaf.NotAfter) && !now.Before(k.server.Leaf.NotBefore) {
		return k.server, nil
	}
	if len(k.hosts) == 0 {
		return nil, fmt.Errorf("%w: no host name is configured", ErrKeys)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the server's certificate: %w", err)
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "checkpoint hub"},
		NotBefore:   now.Add(-serverBackdate),
		NotAfter:    now.Add(serverLife),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range k.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, host)
	}
	leaf, err := k.issue(template, &key.PublicKey)
	if err != nil {
		return nil, err
	}
	k.server = &tls.Certificate{Certificate: [][]byte{leaf.Raw, k.ca.Raw}, PrivateKey: key, Leaf: leaf}
	return k.server, nil
}

// gateCertificate certifies the TLS key of a gate for gateLife. after is the
// SHA-256 of the key that the certificate follows, zero at enrolment: it stands
// as the subject's serial number, so that a hub that was restored, or that
// never heard whether its answer arrived, can tell what the gate may hold.
func (k *Keys) gateCertificate(gate string, device [16]byte, key *ecdsa.PublicKey, after [32]byte, now time.Time) (*x509.Certificate, error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: gate},
		URIs:        []*url.URL{enroll.DeviceURI(device)},
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(gateLife),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if after != ([32]byte{}) {
		template.Subject.SerialNumber = hex.EncodeToString(after[:])
	}
	return k.issue(template, key)
}

// issue fills in what all certificates have alike and signs. None outlives the
// CA.
func (k *Keys) issue(template *x509.Certificate, key *ecdsa.PublicKey) (*x509.Certificate, error) {
	if k.ca == nil {
		return nil, fmt.Errorf("%w: there is no CA", ErrKeys)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	template.NotBefore = template.NotBefore.UTC()
	template.NotAfter = template.NotAfter.UTC()
	if template.NotAfter.After(k.ca.NotAfter) {
		template.NotAfter = k.ca.NotAfter
	}
	if !template.NotAfter.After(template.NotBefore.Add(backdate)) {
		return nil, fmt.Errorf("%w: the CA ended %s", ErrKeys, k.ca.NotAfter.UTC().Format(time.DateOnly))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, k.ca, key, k.caKey)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate: %w", err)
	}
	return cert, nil
}

// issued reports whether one of the CAs signed this client certificate,
// whatever its dates.
func (k *Keys) issued(cert *x509.Certificate) bool {
	if cert.IsCA || !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return false
	}
	return slices.ContainsFunc(k.CAs(), func(ca *x509.Certificate) bool {
		return bytes.Equal(cert.RawIssuer, ca.RawSubject) && cert.CheckSignatureFrom(ca) == nil
	})
}

// followed is the key that a gate's certificate follows; false at enrolment.
func followed(cert *x509.Certificate) (after [32]byte, ok bool) {
	b, err := hex.DecodeString(cert.Subject.SerialNumber)
	if err != nil || len(b) != len(after) {
		return after, false
	}
	copy(after[:], b)
	return after, true
}

// newSerial is 127 random bits, never short: RFC 5280 §4.1.2.2 wants it
// positive and unique.
func newSerial() (*big.Int, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:]), nil
}
