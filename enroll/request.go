package enroll

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/url"
	"slices"
)

// What each proof signs begins with its own domain.
const (
	enrolDomain = "checkpoint enrol 1\x00"
	renewDomain = "checkpoint renew 1\x00"
	wordDomain  = "checkpoint word 1\x00"
)

// NewRequest asks for a certificate for tlsKey (P-256) and proves both keys. A
// nil token is a renewal.
func NewRequest(t *Token, device [16]byte, tlsKey *ecdsa.PrivateKey, segment ed25519.PrivateKey, version string) (Request, error) {
	csr, err := signingRequest(device, tlsKey)
	if err != nil {
		return Request{}, err
	}
	r := Request{Device: hex.EncodeToString(device[:]), CSR: csr, Segment: segment.Public().(ed25519.PublicKey), Version: version}
	var hash [32]byte
	if t != nil {
		r.Token = base64.RawURLEncoding.EncodeToString(t.Secret[:])
		hash = sha256.Sum256(t.Secret[:])
	}
	r.Proof = ed25519.Sign(segment, proofText(csr, hash, device))
	return r, nil
}

// NewExpiredRequest asks for a certificate for newTLSKey in place of old, which
// is past its end, and proves all three keys.
func NewExpiredRequest(device [16]byte, newTLSKey *ecdsa.PrivateKey, segment ed25519.PrivateKey, old *x509.Certificate, oldKey *ecdsa.PrivateKey, version string) (Request, error) {
	r, err := NewRequest(nil, device, newTLSKey, segment, version)
	if err != nil {
		return r, err
	}
	r.OldCert = old.Raw
	digest := sha256.Sum256(oldProofText(r.CSR, old.Raw, device))
	if r.OldProof, err = ecdsa.SignASN1(rand.Reader, oldKey, digest[:]); err != nil {
		return r, fmt.Errorf("prove the old key: %w", err)
	}
	return r, nil
}

func signingRequest(device [16]byte, key *ecdsa.PrivateKey) ([]byte, error) {
	if key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: the TLS key is not P-256", ErrRequest)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{DeviceURI(device)}}, key)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	return csr, nil
}

// proofText is what the segment key signs.
func proofText(csr []byte, token [32]byte, device [16]byte) []byte {
	sum := sha256.Sum256(csr)
	b := append([]byte(enrolDomain), sum[:]...)
	b = append(b, token[:]...)
	return append(b, device[:]...)
}

// oldProofText is what the old certificate's key signs.
func oldProofText(csr, old []byte, device [16]byte) []byte {
	sum, cert := sha256.Sum256(csr), sha256.Sum256(old)
	b := append([]byte(renewDomain), sum[:]...)
	b = append(b, cert[:]...)
	return append(b, device[:]...)
}

// Proven is a Request whose proofs hold.
type Proven struct {
	Token      [32]byte // SHA-256 of the token's secret; zero: a renewal
	Device     [16]byte
	TLSKey     *ecdsa.PublicKey // P-256
	TLSKeyHash [32]byte         // SHA-256 of its SubjectPublicKeyInfo
	Segment    ed25519.PublicKey
	OldCert    *x509.Certificate // renewal after the end; its issuer is not checked here
	Version    string
}

// Prove checks every proof of r. It returns ErrRequest when a part cannot be
// read and ErrProof when a key was not proven.
func (r Request) Prove() (Proven, error) {
	p := Proven{Segment: r.Segment, Version: r.Version}
	if err := r.check(); err != nil {
		return Proven{}, err
	}
	hex.Decode(p.Device[:], []byte(r.Device)) // check has read it
	if r.Token != "" {
		secret, err := base64.RawURLEncoding.Strict().DecodeString(r.Token)
		if err != nil || len(secret) != 32 {
			return Proven{}, fmt.Errorf("%w: token", ErrRequest)
		}
		p.Token = sha256.Sum256(secret)
	}
	csr, err := x509.ParseCertificateRequest(r.CSR)
	if err != nil {
		return Proven{}, fmt.Errorf("%w: certificate request: %w", ErrRequest, err)
	}
	key, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return Proven{}, fmt.Errorf("%w: the TLS key is not P-256", ErrRequest)
	}
	// CheckSignature alone would take SHA-1.
	if csr.SignatureAlgorithm != x509.ECDSAWithSHA256 {
		return Proven{}, fmt.Errorf("%w: the certificate request is signed by %s", ErrRequest, csr.SignatureAlgorithm)
	}
	if err := csr.CheckSignature(); err != nil {
		return Proven{}, fmt.Errorf("%w: TLS key: %w", ErrProof, err)
	}
	if len(csr.URIs) != 1 || csr.URIs[0].String() != DeviceURI(p.Device).String() ||
		len(csr.DNSNames)+len(csr.EmailAddresses)+len(csr.IPAddresses) > 0 {
		return Proven{}, fmt.Errorf("%w: the certificate request names another device", ErrProof)
	}
	if smallOrder(p.Segment) {
		return Proven{}, fmt.Errorf("%w: the segment key is one that anybody signs by", ErrProof)
	}
	if !ed25519.Verify(p.Segment, proofText(r.CSR, p.Token, p.Device), r.Proof) {
		return Proven{}, fmt.Errorf("%w: segment key", ErrProof)
	}
	p.TLSKey, p.TLSKeyHash = key, sha256.Sum256(csr.RawSubjectPublicKeyInfo)
	if len(r.OldCert) == 0 {
		return p, nil
	}
	if p.OldCert, err = x509.ParseCertificate(r.OldCert); err != nil {
		return Proven{}, fmt.Errorf("%w: old certificate: %w", ErrRequest, err)
	}
	old, ok := p.OldCert.PublicKey.(*ecdsa.PublicKey)
	if !ok || old.Curve != elliptic.P256() {
		return Proven{}, fmt.Errorf("%w: the old key is not P-256", ErrRequest)
	}
	digest := sha256.Sum256(oldProofText(r.CSR, r.OldCert, p.Device))
	if !ecdsa.VerifyASN1(old, digest[:], r.OldProof) {
		return Proven{}, fmt.Errorf("%w: old key", ErrProof)
	}
	if named, err := DeviceOf(p.OldCert); err != nil || named != p.Device {
		return Proven{}, fmt.Errorf("%w: the old certificate names another device", ErrProof)
	}
	return p, nil
}

// smallOrder reports whether key is one of the few points whose multiples all
// are such points: a signature "by" one needs no private key, so that everybody
// could sign that gate's segments. ed25519.Verify does not look (RFC 8032
// §5.1.7 does not ask it to). crypto/ecdh does, once the point is moved to
// Curve25519: u = (1+y)/(1−y), RFC 7748 §4.1.
func smallOrder(key ed25519.PublicKey) bool {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	le := slices.Clone(key)
	le[31] &= 0x7f // the sign of x
	slices.Reverse(le)
	one, y := big.NewInt(1), new(big.Int).SetBytes(le)
	below := new(big.Int).Sub(one, y)
	if below.Mod(below, p).Sign() == 0 {
		return true // the neutral point
	}
	u := y.Add(y, one)
	u.Mul(u, below.ModInverse(below, p)).Mod(u, p)
	u.FillBytes(le)
	slices.Reverse(le)
	point, err := ecdh.X25519().NewPublicKey(le)
	if err != nil {
		return true
	}
	any32 := sha256.Sum256(nil) // any scalar: it is made a multiple of 8
	scalar, err := ecdh.X25519().NewPrivateKey(any32[:])
	if err != nil {
		return true
	}
	_, err = scalar.ECDH(point)
	return err != nil
}

// Word is the six digits that gate and hub show when a gate was enrolled from a
// printed sheet: each works them out by itself from the token and both keys, so
// that somebody who copied the sheet and was faster shows others.
func Word(secretHash, tlsKeyHash [32]byte, segment ed25519.PublicKey) string {
	h := sha256.New()
	h.Write([]byte(wordDomain))
	h.Write(secretHash[:])
	h.Write(tlsKeyHash[:])
	h.Write(segment)
	sum := h.Sum(nil)
	// 64 bits modulo a million: the bias is below 10⁻¹³.
	var n uint64
	for _, c := range sum[:8] {
		n = n<<8 | uint64(c)
	}
	return fmt.Sprintf("%06d", n%1_000_000)
}
