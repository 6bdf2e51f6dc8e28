package uplink

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"checkpoint/enroll"
	"checkpoint/record"
)

// authority is a hub's CA.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// now is the instant at which the certificates of these tests hold.
var now = epochStart

func newAuthority(t testing.TB, change func(*x509.Certificate)) *authority {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hub ca"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(100 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{k, cert}
}

func (a *authority) pin() [32]byte { return sha256.Sum256(a.cert.RawSubjectPublicKeyInfo) }

// issue makes a server's certificate for 127.0.0.1 and hub.test, unless told
// otherwise.
func (a *authority) issue(t testing.TB, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(10 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: []string{"hub.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, k.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: k}
}

// gate makes a gate's certificate.
func (a *authority) gate(t testing.TB) *tls.Certificate {
	cert := a.issue(t, func(c *x509.Certificate) {
		c.ExtKeyUsage, c.DNSNames, c.IPAddresses = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, nil, nil
	})
	return &cert
}

// testHub is a hub of one process: it keeps segments, or does what a test says.
type testHub struct {
	ca     *authority
	server *httptest.Server
	conns  atomic.Int64

	mu       sync.Mutex
	kept     map[[32]byte][]byte // receipts by digest
	requests int
	instead  http.HandlerFunc // answers in place of the hub
}

func newHub(t testing.TB) *testHub { return newHubWith(t, newAuthority(t, nil), nil, nil) }

func newHubWith(t testing.TB, ca *authority, leaf *tls.Certificate, change func(*httptest.Server)) *testHub {
	t.Helper()
	h := &testHub{ca: ca, kept: map[[32]byte][]byte{}}
	if leaf == nil {
		cert := ca.issue(t, nil)
		leaf = &cert
	}
	h.server = httptest.NewUnstartedServer(h)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	h.server.TLS = &tls.Config{Certificates: []tls.Certificate{*leaf}, MinVersion: tls.VersionTLS13, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool, Time: func() time.Time { return now }}
	h.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			h.conns.Add(1)
		}
	}
	if change != nil {
		change(h.server)
	}
	h.server.StartTLS()
	t.Cleanup(h.server.Close)
	return h
}

var unpack = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(record.MaxSegment))
	if err != nil {
		panic(err)
	}
	return d
})

func (h *testHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.requests++
	instead := h.instead
	h.mu.Unlock()
	if instead != nil {
		instead(w, r)
		return
	}
	switch r.URL.Path {
	case enroll.PathSegments:
		receipt, ok := h.take(w, r)
		if ok {
			_, _ = w.Write(receipt)
		}
	case enroll.PathReport:
		_, _ = w.Write([]byte(`{"state":"active","gate":"B3","venue":"v","venue_type":"mall","upload_interval_s":60,"time":"2026-11-23T08:00:00Z"}`))
	default:
		http.NotFound(w, r)
	}
}

// take keeps a segment and gives its receipt, the same each time.
func (h *testHub) take(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	if len(r.TLS.PeerCertificates) == 0 {
		http.Error(w, `{"error":"no_certificate","detail":""}`, http.StatusUnauthorized)
		return nil, false
	}
	packed, err := io.ReadAll(io.LimitReader(r.Body, 256<<10))
	if err != nil || r.Header.Get("Content-Encoding") != "zstd" {
		http.Error(w, "", http.StatusBadRequest)
		return nil, false
	}
	raw, err := unpack().DecodeAll(packed, nil)
	if err != nil {
		http.Error(w, "", http.StatusBadRequest)
		return nil, false
	}
	s, err := record.ParseSegment(raw)
	if err != nil {
		http.Error(w, "", http.StatusBadRequest)
		return nil, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	digest := sha256.Sum256(raw)
	if h.kept[digest] == nil {
		c := record.Cut{SegmentKey: s.SegmentKey, First: s.First, Last: s.Last, SHA256: digest}
		h.kept[digest] = receiptOf(c, key("hub"), record.Stored, 0, now.UnixMilli())
	}
	return h.kept[digest], true
}

func (h *testHub) answer(f http.HandlerFunc) {
	h.mu.Lock()
	h.instead = f
	h.mu.Unlock()
}

// client is a gate's client of the hub, with short limits.
func (h *testHub) client(t testing.TB, change func(*Config)) *Client {
	t.Helper()
	cert := h.ca.gate(t)
	c := Config{
		URL:         h.server.URL,
		Pins:        func() [][32]byte { return [][32]byte{h.ca.pin()} },
		Certificate: func() *tls.Certificate { return cert },
		Clock:       func() (time.Time, bool) { return now, true },
		ReceiptKeys: func() []ed25519.PublicKey { return []ed25519.PublicKey{public(key("other")), public(key("hub"))} },
		Version:     "1.2.3",
	}
	if change != nil {
		change(&c)
	}
	client, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func flipped(b []byte, bit int) []byte {
	b = bytes.Clone(b)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}
