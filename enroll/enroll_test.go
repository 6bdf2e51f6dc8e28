package enroll

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

var testDevice = [16]byte{1, 2, 3}

func tlsKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func segmentKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func testToken() Token {
	return Token{Secret: [32]byte{1}, Pin: [32]byte{2}, Root: [32]byte{3}, URL: "https://hub.example:8443"}
}

func TestTokenComesBack(t *testing.T) {
	text := testToken().Text()
	if got, err := ParseToken(text); err != nil || got != testToken() {
		t.Errorf("got %+v, %v", got, err)
	}
	if strings.Trim(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:") != "" {
		t.Errorf("%s does not fit a QR code's alphanumeric mode", text)
	}
}

func TestAddressesOfAHub(t *testing.T) {
	for _, url := range []string{"https://hub", "https://hub.example:8443", "https://10.0.0.1:65535", "https://[fe80::1]", "https://[::1]:8443", "https://xn--hb-wia.example"} {
		if err := CheckURL(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestTokenRefuses(t *testing.T) {
	for _, url := range []string{
		"", "http://hub", "https://", "https://hub/path", "https://u:p@hub", "https://hub?q", "https://hub#f", "https://hub#", "https://hub\n",
		"https://häb", "https://" + strings.Repeat("a", 200), "HTTPS://hub", "https://hub:", "https://hub:0", "https://hub:65536", "https://hub:08443",
		"https://hub:+1", "https://a:1:2", "https://hub%41", "https://hub/", "https:// hub", "https://-hub", "https://[::1", "https://::1", "https://[::1%25eth0]",
		"https://[10.0.0.1]", "https://[::1]x", "https://[::1]]", "https://hub\\x", "https://hub'",
	} {
		x := testToken()
		x.URL = url
		if _, err := ParseToken(x.Text()); !errors.Is(err, ErrToken) {
			t.Errorf("%q: got %v, want ErrToken", url, err)
		}
	}
	good := testToken().Text()
	for _, text := range []string{"", "CKE1:", good[1:], good[:20], good + "A", strings.ToLower(good), "GHC1:" + good[5:]} {
		if _, err := ParseToken(text); !errors.Is(err, ErrToken) {
			t.Errorf("%.20q: got %v, want ErrToken", text, err)
		}
	}
}

func TestRequestProvesItsKeys(t *testing.T) {
	key, segment, token := tlsKey(t), segmentKey("s"), testToken()
	r, err := NewRequest(&token, testDevice, key, segment, "1.0")
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = ParseRequest(b); err != nil {
		t.Fatal(err)
	}
	p, err := r.Prove()
	if err != nil || p.Device != testDevice || p.Token != sha256.Sum256(token.Secret[:]) || !p.TLSKey.Equal(&key.PublicKey) {
		t.Fatalf("proven %+v, %v", p, err)
	}
	other, err := NewRequest(&token, [16]byte{9}, tlsKey(t), segmentKey("other"), "1.0")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		spoil func(*Request)
		want  error
	}{
		{"a segment key of somebody else", func(r *Request) { r.Segment = other.Segment }, ErrProof},
		{"for another token", func(r *Request) { r.Token = strings.Repeat("A", 43) }, ErrProof},
		{"a renewal made of an enrolment", func(r *Request) { r.Token = "" }, ErrProof},
		{"for another device", func(r *Request) { r.Device = other.Device }, ErrProof},
		{"another certificate request", func(r *Request) { r.CSR = other.CSR }, ErrProof},
		{"a changed bit in the request", func(r *Request) { r.CSR = slices.Clone(r.CSR); r.CSR[len(r.CSR)-5] ^= 1 }, ErrProof},
		{"a token that is none", func(r *Request) { r.Token = "AA" }, ErrRequest},
		{"a token with a line end", func(r *Request) { r.Token = r.Token[:42] + "\n" }, ErrRequest},
		{"a replayed proof", func(r *Request) { r.Proof = other.Proof }, ErrProof},
		{"an oversized certificate request", func(r *Request) { r.CSR = make([]byte, maxCSR+1) }, ErrRequest},
		{"an oversized old certificate", func(r *Request) { r.Token, r.OldCert, r.OldProof = "", make([]byte, maxCert+1), []byte{1} }, ErrRequest},
		{"a version that moves the cursor", func(r *Request) { r.Version = "\x1b[H" }, ErrRequest},
		{"a device in capitals", func(r *Request) { r.Device = strings.ToUpper(r.Device[:30]) + "AB" }, ErrRequest},
		{"an old certificate without its proof", func(r *Request) { r.Token, r.OldCert = "", []byte{1} }, ErrRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := r
			tc.spoil(&r)
			if _, err := r.Prove(); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestOtherKindsOfKeysAreRefused(t *testing.T) {
	token, segment := testToken(), segmentKey("s")
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewRequest(&token, testDevice, p384, segment, ""); !errors.Is(err, ErrRequest) {
		t.Errorf("P-384 made: %v", err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{"P-384": p384, "RSA": rsaKey} {
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{DeviceURI(testDevice)}}, key)
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewRequest(&token, testDevice, tlsKey(t), segment, "")
		if err != nil {
			t.Fatal(err)
		}
		r.CSR = csr
		r.Proof = ed25519.Sign(segment, proofText(csr, sha256.Sum256(token.Secret[:]), testDevice))
		if _, err := r.Prove(); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: got %v, want ErrRequest", name, err)
		}
	}
}

// For these keys anybody makes a signature that holds: R = the neutral point, S
// = 0, at least for one message in eight.
func TestKeysWithoutASecretAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"order 1":                "0100000000000000000000000000000000000000000000000000000000000000",
		"order 1, not canonical": "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"order 2":                "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"order 4":                "0000000000000000000000000000000000000000000000000000000000000000",
		"order 4, the other":     "0000000000000000000000000000000000000000000000000000000000000080",
		"order 8":                "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"order 8, another":       "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	} {
		weak, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		forged := make([]byte, ed25519.SignatureSize)
		forged[0] = 1
		holds := false
		for i := range 200 {
			holds = holds || ed25519.Verify(weak, []byte{byte(i)}, forged)
		}
		if !holds {
			t.Errorf("%s: the forgery does not even hold", name)
		}
		if !smallOrder(weak) {
			t.Errorf("%s: taken", name)
		}
	}
	token := testToken()
	r, err := NewRequest(&token, testDevice, tlsKey(t), segmentKey("s"), "")
	if err != nil {
		t.Fatal(err)
	}
	r.Segment, r.Proof = make([]byte, 32), make([]byte, 64)
	r.Segment[0], r.Proof[0] = 1, 1
	if _, err := r.Prove(); !errors.Is(err, ErrProof) {
		t.Errorf("got %v, want ErrProof", err)
	}
	for i := range 50 {
		if smallOrder(segmentKey(strings.Repeat("k", i)).Public().(ed25519.PublicKey)) {
			t.Errorf("key %d is refused", i)
		}
	}
}

func TestCertificateRequestNamesNothingElse(t *testing.T) {
	token, segment, key := testToken(), segmentKey("s"), tlsKey(t)
	for name, with := range map[string]x509.CertificateRequest{
		"another device":        {URIs: []*url.URL{DeviceURI([16]byte{9})}},
		"two devices":           {URIs: []*url.URL{DeviceURI(testDevice), DeviceURI([16]byte{9})}},
		"nobody":                {},
		"a host too":            {URIs: []*url.URL{DeviceURI(testDevice)}, DNSNames: []string{"hub.example"}},
		"a person too":          {URIs: append(PersonURIs("x", "manager", nil), DeviceURI(testDevice))},
		"signed with a new sum": {URIs: []*url.URL{DeviceURI(testDevice)}, SignatureAlgorithm: x509.ECDSAWithSHA512},
	} {
		csr, err := x509.CreateCertificateRequest(rand.Reader, &with, key)
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewRequest(&token, testDevice, key, segment, "")
		if err != nil {
			t.Fatal(err)
		}
		r.CSR, r.Proof = csr, ed25519.Sign(segment, proofText(csr, sha256.Sum256(token.Secret[:]), testDevice))
		if _, err := r.Prove(); !errors.Is(err, ErrProof) && !errors.Is(err, ErrRequest) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func certificateOf(t testing.TB, key *ecdsa.PrivateKey, uris []*url.URL) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), URIs: uris}, &x509.Certificate{SerialNumber: big.NewInt(2)}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestExpiredRequestProvesTheOldKey(t *testing.T) {
	old, segment := tlsKey(t), segmentKey("s")
	cert := certificateOf(t, old, []*url.URL{DeviceURI(testDevice)})
	r, err := NewExpiredRequest(testDevice, tlsKey(t), segment, cert, old, "")
	if err != nil {
		t.Fatal(err)
	}
	if p, err := r.Prove(); err != nil || p.OldCert == nil || p.Token != [32]byte{} {
		t.Fatalf("proven %+v, %v", p, err)
	}
	forged, err := NewExpiredRequest(testDevice, tlsKey(t), segment, cert, tlsKey(t), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := forged.Prove(); !errors.Is(err, ErrProof) {
		t.Errorf("by another key: %v, want ErrProof", err)
	}
	stolen := certificateOf(t, old, []*url.URL{DeviceURI([16]byte{7})})
	if r, err = NewExpiredRequest(testDevice, tlsKey(t), segment, stolen, old, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Prove(); !errors.Is(err, ErrProof) {
		t.Errorf("another device's certificate: %v, want ErrProof", err)
	}
}

func TestWordTellsKeysApart(t *testing.T) {
	seen := map[string]bool{}
	for i := range 1000 {
		w := Word([32]byte{1}, sha256.Sum256([]byte{byte(i), byte(i >> 8)}), segmentKey("s").Public().(ed25519.PublicKey))
		if len(w) != 6 {
			t.Fatalf("word %q", w)
		}
		seen[w] = true
	}
	if len(seen) < 990 {
		t.Errorf("a thousand keys have %d words", len(seen))
	}
}

func TestCertificatesNameOne(t *testing.T) {
	key := tlsKey(t)
	person := certificateOf(t, key, PersonURIs("李 Wei/1", "manager", []string{"西直门: Line 2", "A"}))
	name, role, venues, err := PersonOf(person)
	if err != nil || name != "李 Wei/1" || role != "manager" || !slices.Equal(venues, []string{"西直门: Line 2", "A"}) {
		t.Errorf("got %q %q %q, %v", name, role, venues, err)
	}
	if _, err := DeviceOf(person); err == nil {
		t.Error("a person is a device")
	}
	device := certificateOf(t, key, []*url.URL{DeviceURI(testDevice)})
	if got, err := DeviceOf(device); err != nil || got != testDevice {
		t.Errorf("device %x, %v", got, err)
	}
	if _, _, _, err := PersonOf(device); err == nil {
		t.Error("a device is a person")
	}
	both := certificateOf(t, key, append(PersonURIs("x", "manager", nil), DeviceURI(testDevice)))
	if _, err := DeviceOf(both); err == nil {
		t.Error("somebody is both")
	}
	if _, _, _, err := PersonOf(both); err == nil {
		t.Error("somebody is both")
	}
	for what, uris := range map[string][]*url.URL{
		"a role that there is not": PersonURIs("x", "king", nil), "a name of nothing": PersonURIs("", "manager", nil),
		"a name that moves the cursor": PersonURIs("a\x1bb", "manager", nil), "two names": append(PersonURIs("x", "manager", nil), PersonURIs("y", "manager", nil)...),
		"something after the name":  {{Scheme: "checkpoint", Opaque: "person:x", RawQuery: "y"}, personURI("role", "manager")},
		"a venue that is not a URI": append(PersonURIs("x", "manager", nil), &url.URL{Scheme: "other", Opaque: "venue:A"}),
		"too many venues":           PersonURIs("x", "manager", slices.Repeat([]string{"A"}, MaxVenues+1)),
	} {
		if _, _, _, err := PersonOf(certificateOf(t, key, uris)); err == nil {
			t.Error(what)
		}
	}
}

func testGrant() Grant {
	return Grant{State: "active", Gate: "B3", Venue: "西直门", VenueType: "subway", Chain: [][]byte{{1}}, Interval: 60, Time: time.Unix(1e9, 0).UTC()}
}

func TestGrantAndOrdersAreChecked(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(*Grant)
		ok    bool
	}{
		{"as it should be", func(*Grant) {}, true},
		{"pending with a word", func(g *Grant) { g.State, g.Word = "pending", "042137" }, true},
		{"another state", func(g *Grant) { g.State = "boss" }, false},
		{"a word that is none", func(g *Grant) { g.Word = "12345x" }, false},
		{"no certificate", func(g *Grant) { g.Chain = nil }, false},
		{"an endless interval", func(g *Grant) { g.Interval = 1 << 30 }, false},
		{"a venue with an escape", func(g *Grant) { g.Venue = "\x1b[2J" }, false},
		{"a venue that turns the text", func(g *Grant) { g.Venue = "a\u202eb" }, false},
		{"a kind of place in capitals", func(g *Grant) { g.VenueType = "Subway" }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := testGrant()
			tc.spoil(&g)
			b, err := json.Marshal(g)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ParseGrant(b); (err == nil) != tc.ok {
				t.Errorf("got %v", err)
			}
			o, err := json.Marshal(Orders{State: g.State, Gate: g.Gate, Venue: g.Venue, VenueType: g.VenueType, Interval: g.Interval, Time: g.Time})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ParseOrders(o); err != nil && tc.ok {
				t.Errorf("orders: %v", err)
			}
		})
	}
}

func TestStrictJSON(t *testing.T) {
	for name, text := range map[string]string{
		"an unknown key": `{"state":"active","x":1}`, "a key twice": `{"state":"active","state":"pending"}`,
		"a key in capitals": `{"State":"active"}`, "two values": `{} {}`, "null": `{"state":null}`, "a list": `[]`, "nothing": ``,
		"too deep": `{"chain":[[[[[[]]]]]]}`, "too long": `{"gate":"` + strings.Repeat("a", MaxOrders) + `"}`,
	} {
		if _, err := ParseOrders([]byte(text)); !errors.Is(err, ErrReport) {
			t.Errorf("%s: got %v, want ErrReport", name, err)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(testToken().Text())
	f.Fuzz(func(t *testing.T, text string) {
		if token, err := ParseToken(text); err == nil && token.Text() != text {
			t.Errorf("%q has another text: %q", text, token.Text())
		}
	})
}

func FuzzParseRequest(f *testing.F) {
	token := testToken()
	r, err := NewRequest(&token, testDevice, tlsKey(f), segmentKey("s"), "1")
	if err != nil {
		f.Fatal(err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := ParseRequest(b); err == nil {
			r.Prove()
		}
	})
}

func FuzzParseGrant(f *testing.F) {
	b, err := json.Marshal(testGrant())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		ParseGrant(b)
		ParseOrders(b)
	})
}

func FuzzParseReport(f *testing.F) {
	b, err := json.Marshal(Report{Version: "1", Time: time.Unix(1e9, 0).UTC(), Clock: "synced", Camera: "ok"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) { ParseReport(b) })
}
