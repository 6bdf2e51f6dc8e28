package hub

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub/store"
)

const day = 24 * time.Hour

// townKeys are the keys of all towns: making them takes longer than most tests.
var townKeys = sync.OnceValue(func() *Keys {
	dir, err := os.MkdirTemp("", "keys-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	k := new(Keys)
	if err = InitKeys(dir, KeyOptions{Now: fixed(noon)}); err == nil {
		k, err = LoadKeys(dir, KeyOptions{Hosts: []string{"127.0.0.1"}, Now: fixed(noon)})
	}
	if err != nil {
		panic(err)
	}
	return k
})

// town is a hub with real keys and all its routes, answering over TLS.
type town struct {
	t     testing.TB
	hub   *Hub
	store *office
	keys  *Keys
	clock atomic.Int64 // Unix ms
	log   lockedWriter
	url   string
}

var root1 = []byte(`{"a root of a test":1}`)

func newTown(t testing.TB) *town {
	t.Helper()
	w := &town{t: t, store: newOffice()}
	w.store.trust["1.root.json"] = root1
	w.store.clock = w.now
	w.clock.Store(noon.UnixMilli())
	k := townKeys()
	w.keys = &Keys{Receipt: k.Receipt, Snapshot: k.Snapshot, Timestamp: k.Timestamp, ca: k.ca, caKey: k.caKey, hosts: k.hosts, now: w.now}
	w.hub, w.url = w.another()
	return w
}

// another is one more hub on the same store and keys.
func (w *town) another() (*Hub, string) {
	w.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	url := "https://" + ln.Addr().String()
	h, err := New(Config{Store: w.store, Keys: w.keys, URL: url, Version: "test", Now: w.now, Log: slog.New(slog.NewTextHandler(&w.log, nil))})
	if err != nil {
		w.t.Fatal(err)
	}
	server := &http.Server{Handler: h.Handler(), TLSConfig: w.keys.TLSConfig(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)}
	go func() { _ = server.ServeTLS(ln, "", "") }()
	w.t.Cleanup(func() { _ = server.Close() })
	return h, url
}

func (w *town) now() time.Time          { return time.UnixMilli(w.clock.Load()).UTC() }
func (w *town) advance(d time.Duration) { w.clock.Add(d.Milliseconds()) }

func (w *town) client(certs ...tls.Certificate) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(w.keys.ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certs, Time: w.now}}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

func (w *town) postJSON(client *http.Client, path string, v any) answered {
	w.t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.request(client, http.MethodPost, path, body)
}

func (w *town) request(client *http.Client, method, path string, body []byte) answered {
	w.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, w.url+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	a, err := do(client, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *town) want(a answered, status int, word string) {
	w.t.Helper()
	if a.status != status || a.problem.Error != word {
		w.t.Errorf("answer = %d %q (%s), want %d %q", a.status, a.problem.Error, a.problem.Detail, status, word)
	}
}

// applicant is a device that would be a gate.
type applicant struct {
	w       *town
	device  [16]byte
	segment ed25519.PrivateKey
	key     *ecdsa.PrivateKey // of cert
	cert    *x509.Certificate
}

func (w *town) applicant() *applicant {
	a := &applicant{w: w}
	_, _ = rand.Read(a.device[:])
	_, a.segment, _ = ed25519.GenerateKey(rand.Reader)
	return a
}

func (a *applicant) enrol(t enroll.Token) answered {
	a.w.t.Helper()
	if a.key == nil {
		a.key = newECKey(a.w.t)
	}
	r, err := enroll.NewRequest(&t, a.device, a.key, a.segment, "test")
	if err != nil {
		a.w.t.Fatal(err)
	}
	return a.w.postJSON(a.w.client(), enroll.PathEnroll, r)
}

// take keeps the certificate of a grant, for key.
func (a *applicant) take(got answered, key *ecdsa.PrivateKey) enroll.Grant {
	a.w.t.Helper()
	if got.status != http.StatusOK {
		a.w.t.Fatalf("answer = %d %s", got.status, got.body)
	}
	g, err := enroll.ParseGrant(got.body)
	if err != nil {
		a.w.t.Fatalf("%v: %s", err, got.body)
	}
	cert, err := x509.ParseCertificate(g.Chain[0])
	if err != nil {
		a.w.t.Fatal(err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		a.w.t.Fatal("the certificate is for another key")
	}
	a.key, a.cert = key, cert
	return g
}

func (a *applicant) tls() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{a.cert.Raw}, PrivateKey: a.key}
}

func (a *applicant) renewal(key *ecdsa.PrivateKey) enroll.Request {
	a.w.t.Helper()
	r, err := enroll.NewRequest(nil, a.device, key, a.segment, "test")
	if err != nil {
		a.w.t.Fatal(err)
	}
	return r
}

// renew asks over TLS with the certificate; the answer is not taken.
func (a *applicant) renew(key *ecdsa.PrivateKey) answered {
	a.w.t.Helper()
	return a.w.postJSON(a.w.client(a.tls()), enroll.PathRenew, a.renewal(key))
}

func (a *applicant) renewExpired(key *ecdsa.PrivateKey) answered {
	a.w.t.Helper()
	r, err := enroll.NewExpiredRequest(a.device, key, a.segment, a.cert, a.key, "test")
	if err != nil {
		a.w.t.Fatal(err)
	}
	return a.w.postJSON(a.w.client(), enroll.PathRenewExpired, r)
}

func (w *town) invite(name string, sheet bool) enroll.Token {
	w.t.Helper()
	t, err := w.hub.Invite(context.Background(), name, "mall north", "mall", sheet, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return t
}

// gate is an enrolled, active gate.
func (w *town) gate(name string) *applicant {
	w.t.Helper()
	a := w.applicant()
	a.take(a.enrol(w.invite(name, false)), a.key)
	return a
}

func TestEnrolmentOnScreen(t *testing.T) {
	w := newTown(t)
	token := w.invite("Gate B3", false)
	if token.Pin != w.keys.Pin() || token.Root != sha256.Sum256(root1) || token.URL != w.url {
		t.Errorf("the code does not say where to go and whom to trust: %+v", token)
	}
	a := w.applicant()
	g := a.take(a.enrol(token), a.key)
	if g.State != "active" || g.Word != "" || g.Gate != "Gate B3" || g.Venue != "mall north" || g.VenueType != "mall" || g.Interval != 10 || !g.Time.Equal(noon) {
		t.Errorf("grant = %+v", g)
	}
	if !bytes.Equal(g.Root, root1) || len(g.Chain) != 2 || !bytes.Equal(g.Chain[1], w.keys.ca.Raw) {
		t.Error("the grant lacks the root or the CA")
	}
	known, _ := w.store.GateByName(context.Background(), "Gate B3")
	if known.CertUntil != a.cert.NotAfter.UnixMilli() {
		t.Error("the store does not know how long the certificate lives")
	}
	// The certificate opens the gate's own doors.
	report := enroll.Report{Time: w.now(), Clock: "synced"}
	if got := w.postJSON(w.client(a.tls()), enroll.PathReport, report); got.status != http.StatusOK {
		t.Errorf("a report = %d %s", got.status, got.body)
	}
	if got := w.store.did(); !slices.Equal(got, []string{"gate_enrolled"}) {
		t.Errorf("acts = %v", got)
	}
}

func TestTokensOpenOnce(t *testing.T) {
	w := newTown(t)
	token := w.invite("b3", false)
	a := w.applicant()
	first := a.take(a.enrol(token), a.key)

	t.Run("the same device and keys: the answer was lost", func(t *testing.T) {
		again := a.take(a.enrol(token), a.key)
		if again.Gate != first.Gate || !bytes.Equal(again.Root, root1) {
			t.Error("another answer")
		}
	})
	t.Run("the same device, another key", func(t *testing.T) {
		b := &applicant{w: w, device: a.device, segment: a.segment}
		w.want(b.enrol(token), http.StatusConflict, "token_used")
	})
	t.Run("another device", func(t *testing.T) {
		w.want(w.applicant().enrol(token), http.StatusConflict, "token_used")
		if got := w.store.openAlarms(); !slices.Equal(got, []string{"token_reused"}) {
			t.Errorf("alarms = %v", got)
		}
	})
	t.Run("after a renewal no answer is lost any more", func(t *testing.T) {
		early := *a
		w.advance(5 * day)
		key := newECKey(t)
		a.take(a.renew(key), key)
		w.advance(5 * day)
		key = newECKey(t)
		a.take(a.renew(key), key)
		w.want(early.enrol(token), http.StatusConflict, "token_used")
	})
}

func TestTokensThatOpenNothing(t *testing.T) {
	w := newTown(t)
	a := w.applicant()
	unknown := enroll.Token{Secret: [32]byte{1}, URL: w.url}
	w.want(a.enrol(unknown), http.StatusForbidden, "token_unknown")

	screen, sheet := w.invite("screen", false), w.invite("sheet", true)
	w.advance(15*time.Minute + time.Second)
	w.want(a.enrol(screen), http.StatusGone, "token_expired")
	w.advance(7*day - 15*time.Minute - 2*time.Second)
	a.take(a.enrol(sheet), a.key)

	late := w.invite("late", true)
	w.advance(7*day + time.Second)
	w.want(w.applicant().enrol(late), http.StatusGone, "token_expired")

	t.Run("a device that is a gate already", func(t *testing.T) {
		w.want(a.enrol(w.invite("second", false)), http.StatusForbidden, "device_known")
	})
	t.Run("an older code of an invited gate", func(t *testing.T) {
		old := w.invite("again", true)
		fresh, err := w.hub.InviteAgain(context.Background(), "again", true, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := w.applicant()
		w.want(b.enrol(old), http.StatusForbidden, "token_unknown")
		b.take(b.enrol(fresh), b.key)
	})
}

// A sheet that was printed before a new root was published still enrols.
func TestGrantHoldsTheRootThatTheCodeNames(t *testing.T) {
	w := newTown(t)
	sheet := w.invite("sheet", true)
	w.store.set(func() { w.store.trust["2.root.json"] = []byte("second") })
	later := w.invite("later", true)
	if later.Root != sha256.Sum256([]byte("second")) {
		t.Error("a new code does not name the newest root")
	}
	for _, token := range []enroll.Token{sheet, later} {
		a := w.applicant()
		if g := a.take(a.enrol(token), a.key); sha256.Sum256(g.Root) != token.Root {
			t.Errorf("the grant holds %q", g.Root)
		}
	}
}

func TestBothKeysAreProven(t *testing.T) {
	w := newTown(t)
	token := w.invite("b3", false)
	a, other := w.applicant(), w.applicant()
	make := func(segment ed25519.PrivateKey, key *ecdsa.PrivateKey) enroll.Request {
		r, err := enroll.NewRequest(&token, a.device, key, segment, "test")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	good, theirs := make(a.segment, newECKey(t)), make(other.segment, newECKey(t))
	for _, tc := range []struct {
		name  string
		spoil func(*enroll.Request)
		word  string
	}{
		{"somebody else's segment key", func(r *enroll.Request) { r.Segment = theirs.Segment }, "not_proven"},
		{"somebody else's certificate request", func(r *enroll.Request) { r.CSR = theirs.CSR }, "not_proven"},
		{"a proof of another", func(r *enroll.Request) { r.Proof = theirs.Proof }, "not_proven"},
		{"another device", func(r *enroll.Request) { r.Device = strings.Repeat("ab", 16) }, "not_proven"},
		{"a bit of the request's signature", func(r *enroll.Request) {
			r.CSR = bytes.Clone(r.CSR)
			r.CSR[len(r.CSR)-1] ^= 1
		}, "not_proven"},
		{"no proof", func(r *enroll.Request) { r.Proof = nil }, "request"},
		{"no certificate request", func(r *enroll.Request) { r.CSR = nil }, "request"},
		{"no token", func(r *enroll.Request) { *r = a.renewal(newECKey(t)) }, "request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w.hub.desk = newDesk() // the doorman has a test of its own
			r := good
			tc.spoil(&r)
			got := w.postJSON(w.client(), enroll.PathEnroll, r)
			status := http.StatusForbidden
			if tc.word == "request" {
				status = http.StatusBadRequest
			}
			w.want(got, status, tc.word)
		})
	}
	if g, _ := w.store.GateByName(context.Background(), "b3"); g.State != store.Invited {
		t.Errorf("the gate is %s: the token was spent", g.State)
	}
}

func TestSheetGatesArePendingUntilTheWordIsCompared(t *testing.T) {
	w := newTown(t)
	token := w.invite("b3", true)
	a := w.applicant()
	g := a.take(a.enrol(token), a.key)
	spki, err := x509.MarshalPKIXPublicKey(&a.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	word := enroll.Word(sha256.Sum256(token.Secret[:]), sha256.Sum256(spki), a.segment.Public().(ed25519.PublicKey))
	if g.State != "pending" || g.Word != word {
		t.Errorf("state %s, word %s, want pending, %s", g.State, g.Word, word)
	}
	w.advance(6 * day)
	w.want(a.renew(newECKey(t)), http.StatusForbidden, "pending")
	w.advance(9 * day)
	w.want(a.renewExpired(newECKey(t)), http.StatusForbidden, "pending")

	technician := w.person("zhao", Technician)
	wrong := "000000"
	if wrong == word {
		wrong = "000001"
	}
	w.want(w.postJSON(technician, "/v1/admin/gates/b3/confirm", map[string]string{"word": wrong}), http.StatusConflict, "wrong_word")
	if got := w.store.openAlarms(); !slices.Equal(got, []string{"wrong_word"}) {
		t.Errorf("alarms = %v", got)
	}
	if got := w.postJSON(technician, "/v1/admin/gates/b3/confirm", map[string]string{"word": word[:3] + " " + word[3:]}); got.status != http.StatusOK {
		t.Errorf("confirm = %d %s", got.status, got.body)
	}
	key := newECKey(t)
	if g := a.take(a.renewExpired(key), key); g.State != "active" {
		t.Errorf("state %s", g.State)
	}
}

func TestWordsAreNotGuessed(t *testing.T) {
	w := newTown(t)
	token := w.invite("b3", true)
	a := w.applicant()
	a.take(a.enrol(token), a.key)
	technician := w.person("zhao", Technician)
	var got answered
	for range wordsBurst + 1 {
		got = w.postJSON(technician, "/v1/admin/gates/b3/confirm", map[string]string{"word": "000000"})
	}
	w.want(got, http.StatusTooManyRequests, "slow_down")
}

func TestRenewalFromAThirdOfLife(t *testing.T) {
	w := newTown(t)
	a := w.gate("b3")
	third := a.cert.NotBefore.Add(a.cert.NotAfter.Sub(a.cert.NotBefore) / 3)
	w.advance(third.Sub(w.now()) - time.Second)
	got := a.renew(newECKey(t))
	w.want(got, http.StatusTooManyRequests, "too_early")
	if retry := got.header.Get("Retry-After"); retry == "" {
		t.Error("it is not told when")
	}
	w.want(a.renewExpired(newECKey(t)), http.StatusTooManyRequests, "too_early")
	w.advance(2 * time.Second)
	key := newECKey(t)
	g := a.take(a.renew(key), key)
	if len(g.Root) != 0 {
		t.Error("a renewal sends the root")
	}
	if got := a.cert.NotAfter.Sub(w.now()); got < 14*day-time.Second || got > 14*day {
		t.Errorf("lives %v", got)
	}
}

func TestRenewalAfterLostAnswers(t *testing.T) {
	w := newTown(t)
	a := w.gate("b3")
	first := *a
	w.advance(5 * day)
	// Three answers are lost; each time the gate made a new key.
	for range 3 {
		if got := a.renew(newECKey(t)); got.status != http.StatusOK {
			t.Fatalf("renewal = %d %s", got.status, got.body)
		}
		w.advance(time.Hour)
	}
	lostKey := newECKey(t)
	lost := a.renew(lostKey)
	w.advance(20 * day) // the one that it holds has ended meanwhile
	key := newECKey(t)
	a.take(a.renewExpired(key), key)
	second := *a
	w.advance(5 * day)
	key = newECKey(t)
	a.take(a.renew(key), key)
	if got := w.store.openAlarms(); len(got) != 0 {
		t.Errorf("alarms = %v", got)
	}

	// The gate may hold what followed, or what it renewed with if that answer was
	// lost too.
	w.advance(5 * day)
	key = newECKey(t)
	third := *a
	a.take(a.renew(key), key)
	w.advance(10 * day)

	t.Run("an ancestor is a copy", func(t *testing.T) {
		w.want(first.renewExpired(newECKey(t)), http.StatusForbidden, "superseded")
		w.want(second.renewExpired(newECKey(t)), http.StatusForbidden, "superseded")
		if got := w.store.openAlarms(); !slices.Equal(got, []string{"certificate_reused"}) {
			t.Errorf("alarms = %v", got)
		}
	})
	t.Run("an answer that came out again is a copy", func(t *testing.T) {
		sibling := first
		sibling.take(lost, lostKey)
		w.want(sibling.renewExpired(newECKey(t)), http.StatusForbidden, "superseded")
	})
	t.Run("what it renewed with last", func(t *testing.T) {
		if got := third.renewExpired(newECKey(t)); got.status != http.StatusOK {
			t.Errorf("renewal = %d %s", got.status, got.body)
		}
	})
	t.Run("what followed that", func(t *testing.T) {
		if got := a.renewExpired(newECKey(t)); got.status != http.StatusOK {
			t.Errorf("renewal = %d %s", got.status, got.body)
		}
		w.want(third.renewExpired(newECKey(t)), http.StatusForbidden, "superseded")
	})
}

func TestRenewalAfterTheEnd(t *testing.T) {
	for _, tc := range []struct {
		name  string
		after time.Duration
		word  string
	}{
		{"179 days", 179 * day, ""},
		{"the last second of 180 days", 180 * day, ""},
		{"181 days", 181 * day, "expired_for_good"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newTown(t)
			a := w.gate("b3")
			w.advance(a.cert.NotAfter.Sub(w.now()) + tc.after)
			if _, err := w.client(a.tls()).Post(w.url+enroll.PathRenew, "application/json", nil); err == nil {
				t.Error("TLS takes an expired certificate")
			}
			got := a.renewExpired(newECKey(t))
			if tc.word == "" && got.status != http.StatusOK {
				t.Errorf("answer = %d %s", got.status, got.body)
			}
			if tc.word != "" {
				w.want(got, http.StatusForbidden, tc.word)
			}
		})
	}
}

func TestRenewalAfterTheEndProvesAllKeys(t *testing.T) {
	w := newTown(t)
	a, b := w.gate("a"), w.gate("b")
	elsewhere := newTown(t)
	_, elsewhere.keys = madeKeys(t)
	elsewhere.keys.now = elsewhere.now
	elsewhere.hub, elsewhere.url = elsewhere.another()
	stranger := elsewhere.gate("a")
	w.advance(20 * day)
	request := func(device [16]byte, segment ed25519.PrivateKey, cert *x509.Certificate, key *ecdsa.PrivateKey) enroll.Request {
		r, err := enroll.NewExpiredRequest(device, newECKey(t), segment, cert, key, "test")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	renewal := a.renewal(newECKey(t))
	for _, tc := range []struct {
		name   string
		r      enroll.Request
		status int
		word   string
	}{
		{"another gate's certificate for one's own device", request(a.device, a.segment, b.cert, b.key), 403, "not_proven"},
		{"a certificate without its key", request(a.device, a.segment, a.cert, newECKey(t)), 403, "not_proven"},
		{"another hub's certificate", request(stranger.device, stranger.segment, stranger.cert, stranger.key), 403, "not_ours"},
		{"another segment key", request(a.device, b.segment, a.cert, a.key), 403, "segment_key"},
		{"no old certificate", renewal, 400, "request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w.hub.desk = newDesk()
			w.want(w.postJSON(w.client(), enroll.PathRenewExpired, tc.r), tc.status, tc.word)
		})
	}
}

func TestRevokedGatesGetNothing(t *testing.T) {
	w := newTown(t)
	a := w.gate("b3")
	w.advance(6 * day)
	technician := w.person("zhao", Technician)
	if got := w.postJSON(technician, "/v1/admin/gates/b3/revoke", struct{}{}); got.status != http.StatusOK {
		t.Fatalf("revoke = %d %s", got.status, got.body)
	}
	w.want(a.renew(newECKey(t)), http.StatusForbidden, "revoked")
	w.want(w.postJSON(w.client(a.tls()), enroll.PathReport, enroll.Report{Time: w.now(), Clock: "synced"}), http.StatusForbidden, "revoked")
	w.advance(10 * day)
	w.want(a.renewExpired(newECKey(t)), http.StatusForbidden, "revoked")
	if got := w.store.openAlarms(); !slices.Equal(got, []string{"revoked_renewal"}) {
		t.Errorf("alarms = %v", got)
	}
	// Invited again, the old device is still out.
	if _, err := w.hub.InviteAgain(context.Background(), "b3", false, 0); err != nil {
		t.Fatal(err)
	}
	w.want(a.renewExpired(newECKey(t)), http.StatusForbidden, "revoked")
}

func TestRenewalCannotSpeakForAnother(t *testing.T) {
	w := newTown(t)
	a, b := w.gate("a"), w.gate("b")
	w.advance(6 * day)
	w.want(w.postJSON(w.client(a.tls()), enroll.PathRenew, b.renewal(newECKey(t))), http.StatusBadRequest, "request")
	mixed := &applicant{w: w, device: a.device, segment: b.segment}
	w.want(w.postJSON(w.client(a.tls()), enroll.PathRenew, mixed.renewal(newECKey(t))), http.StatusForbidden, "segment_key")
	w.want(w.postJSON(w.client(), enroll.PathRenew, a.renewal(newECKey(t))), http.StatusUnauthorized, "no_certificate")
	technician := w.person("zhao", Technician)
	w.want(w.postJSON(technician, enroll.PathRenew, a.renewal(newECKey(t))), http.StatusForbidden, "not_a_gate")
}

// A CA that goes takes nobody with it: what it signed is taken, and is renewed
// at once.
func TestGatesMoveToTheNextCA(t *testing.T) {
	w := newTown(t)
	a := w.gate("b3")
	dir := t.TempDir()
	if err := writeCA(dir, fileCA, fileCAKey, w.now()); err != nil {
		t.Fatal(err)
	}
	ca, key, err := readCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	w.keys = &Keys{Receipt: w.keys.Receipt, ca: ca, caKey: key, old: []*x509.Certificate{w.keys.ca}, hosts: w.keys.hosts, now: w.now}
	w.hub, w.url = w.another()
	next := newECKey(t)
	a.take(a.renew(next), next)
	if a.cert.CheckSignatureFrom(ca) != nil {
		t.Error("the new certificate is not of the new CA")
	}
	w.want(a.renew(newECKey(t)), http.StatusTooManyRequests, "too_early")
}

func TestTwoHubsAndOneToken(t *testing.T) {
	w := newTown(t)
	token := w.invite("b3", false)
	_, second := w.another()
	urls := []string{w.url, second}
	var wins, losses atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		a := w.applicant()
		r, err := enroll.NewRequest(&token, a.device, newECKey(t), a.segment, "test")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := json.Marshal(r)
		client := w.client()
		all.Go(func() {
			response, err := client.Post(urls[i%2]+enroll.PathEnroll, "application/json", bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			response.Body.Close()
			switch response.StatusCode {
			case http.StatusOK:
				wins.Add(1)
			case http.StatusConflict:
				losses.Add(1)
			}
		})
	}
	all.Wait()
	if wins.Load() != 1 || losses.Load() != 7 {
		t.Errorf("%d enrolled and %d were refused, want 1 and 7", wins.Load(), losses.Load())
	}
}

func TestStrangersAreSlowedDown(t *testing.T) {
	w := newTown(t)
	client := w.client()
	var last answered
	n := 0
	for ; n < 100; n++ {
		if last = w.request(client, http.MethodPost, enroll.PathEnroll, []byte(`{}`)); last.status == http.StatusTooManyRequests {
			break
		}
	}
	w.want(last, http.StatusTooManyRequests, "slow_down")
	if n > strangersBurst/offence {
		t.Errorf("%d refused requests went through before it was slowed down, want at most %d", n, strangersBurst/offence)
	}
	if last.header.Get("Retry-After") == "" {
		t.Error("it is not told how long")
	}
	w.advance(time.Minute)
	w.want(w.request(client, http.MethodPost, enroll.PathEnroll, []byte(`{}`)), http.StatusBadRequest, "request")
}

func TestDoormanForgets(t *testing.T) {
	d := newDoorman(1, 2, nil)
	for i := range maxVisitors + 10 {
		d.enter(string(rune(i+0x100)), noon.Add(time.Duration(i)*time.Second))
	}
	if n := len(d.visitors); n > maxVisitors {
		t.Errorf("it remembers %d visitors", n)
	}
}

func TestInvitationsAreChecked(t *testing.T) {
	w := newTown(t)
	ctx := context.Background()
	for _, tc := range []struct {
		name                   string
		gate, venue, venueType string
		sheet                  bool
		ttl                    time.Duration
		want                   error
	}{
		{"no name", "", "v", "mall", false, 0, ErrName},
		{"a slash", "a/b", "v", "mall", false, 0, ErrName},
		{"a control character", "a\x1bb", "v", "mall", false, 0, ErrName},
		{"a bidi override", "a\u202eb", "v", "mall", false, 0, ErrName},
		{"65 bytes", strings.Repeat("x", 65), "v", "mall", false, 0, ErrName},
		{"a space at the end", "a ", "v", "mall", false, 0, ErrName},
		{"no venue", "a", "", "mall", false, 0, ErrName},
		{"a type in capitals", "a", "v", "Mall", false, 0, ErrName},
		{"16 minutes on a screen", "a", "v", "mall", false, 16 * time.Minute, ErrCode},
		{"8 days on a sheet", "a", "v", "mall", true, 8 * day, ErrCode},
		{"a past", "a", "v", "mall", true, -time.Second, ErrCode},
		{"good", "西直门 Line 2 · B3", "西直门", "subway", false, 0, nil},
		{"the same name again", "西直门 Line 2 · B3", "西直门", "subway", false, 0, store.ErrExists},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := w.hub.Invite(ctx, tc.gate, tc.venue, tc.venueType, tc.sheet, tc.ttl); !errors.Is(err, tc.want) {
				t.Errorf("Invite = %v, want %v", err, tc.want)
			}
		})
	}
	w.gate("active")
	if _, err := w.hub.InviteAgain(ctx, "active", false, 0); !errors.Is(err, store.ErrState) {
		t.Errorf("an enrolled gate is invited: %v", err)
	}
	delete(w.store.trust, "1.root.json")
	if _, err := w.hub.Invite(ctx, "new", "v", "mall", false, 0); !errors.Is(err, ErrNoTrust) {
		t.Errorf("without trust: %v", err)
	}
}

func TestEnrolmentTellsNoSecrets(t *testing.T) {
	w := newTown(t)
	token := w.invite("b3", true)
	a := w.applicant()
	g := a.take(a.enrol(token), a.key)
	w.want(w.applicant().enrol(token), http.StatusConflict, "token_used")
	w.advance(6 * day)
	a.renew(newECKey(t))
	log := w.log.String()
	r, _ := enroll.NewRequest(&token, a.device, a.key, a.segment, "")
	for what, secret := range map[string]string{"the token": r.Token, "the code": token.Text(), "the word": g.Word, "an address": "127.0.0.1"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log tells %s", what)
		}
	}
	for _, alarm := range w.store.alarms {
		if strings.Contains(alarm.Text, g.Word) {
			t.Error("an alarm tells the word")
		}
	}
}

func TestPeopleHoldOneCertificate(t *testing.T) {
	w := newTown(t)
	first := w.person("li", Manager, "mall north")
	w.wantStatus(first, "GET", "/v1/admin/me", 200, "")
	second := w.person("li", Technician, "mall south")
	w.wantStatus(first, "GET", "/v1/admin/me", 403, "superseded")
	w.wantStatus(second, "GET", "/v1/admin/me", 200, "")
	if err := w.hub.RevokePerson(context.Background(), "li"); err != nil {
		t.Fatal(err)
	}
	w.wantStatus(second, "GET", "/v1/admin/me", 403, "revoked")
	if err := w.hub.RevokePerson(context.Background(), "nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("revoke nobody = %v", err)
	}
	w.wantStatus(w.person("li", Manager), "GET", "/v1/admin/me", 200, "")
	w.wantStatus(w.client(), "GET", "/v1/admin/me", 401, "no_certificate")
	gate := w.gate("b3")
	w.wantStatus(w.client(gate.tls()), "GET", "/v1/admin/me", 403, "not_a_person")
}

func (w *town) wantStatus(client *http.Client, method, path string, status int, word string) answered {
	w.t.Helper()
	var body []byte
	if method == "POST" {
		body = []byte(`{}`)
	}
	got := w.request(client, method, path, body)
	if got.status != status || got.problem.Error != word {
		w.t.Errorf("%s %s = %d %q, want %d %q", method, path, got.status, got.problem.Error, status, word)
	}
	return got
}

// person is somebody's client, by the certificate that the hub issues.
func (w *town) person(name string, role Role, venues ...string) *http.Client {
	w.t.Helper()
	bundle, err := w.hub.IssuePerson(context.Background(), name, role, venues, 0, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	var chain, key []byte
	for rest := bundle; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == pemKey {
			key = pem.EncodeToMemory(block)
			continue
		}
		chain = append(chain, pem.EncodeToMemory(block)...)
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.client(cert)
}

func TestPeopleAreChecked(t *testing.T) {
	w := newTown(t)
	ctx := context.Background()
	csr := func(key any) []byte {
		b, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	good := csr(newECKey(t))
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	many := make([]string, maxVenues+1)
	for i := range many {
		many[i] = strings.Repeat("v", i+1)[:min(i+1, 60)]
	}
	for _, tc := range []struct {
		name   string
		person string
		role   Role
		venues []string
		ttl    time.Duration
		csr    []byte
		want   error
	}{
		{"no name", "", Manager, nil, 0, nil, ErrName},
		{"a guard", "li", "guard", nil, 0, nil, ErrPerson},
		{"headquarters of a venue", "li", Headquarters, []string{"a"}, 0, nil, ErrPerson},
		{"too many venues", "li", Manager, many, 0, nil, ErrPerson},
		{"two years", "li", Manager, nil, 730 * day, nil, ErrPerson},
		{"a request that is none", "li", Manager, nil, 0, []byte("none"), ErrPerson},
		{"a request not signed by its key", "li", Manager, nil, 0, forged, ErrPerson},
		{"a request of another kind of key", "li", Manager, nil, 0, csr(ed), ErrPerson},
		{"a request", "li", Manager, []string{"a"}, 0, good, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bundle, err := w.hub.IssuePerson(ctx, tc.person, tc.role, tc.venues, tc.ttl, tc.csr)
			if !errors.Is(err, tc.want) {
				t.Errorf("IssuePerson = %v, want %v", err, tc.want)
			}
			if tc.csr != nil && bytes.Contains(bundle, []byte(pemKey)) {
				t.Error("it holds a key that was not made here")
			}
		})
	}
	w.store.failRecord = store.ErrUnavailable
	if _, err := w.hub.IssuePerson(ctx, "wu", Manager, nil, 0, nil); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a person without a record: %v", err)
	}
	if _, ok := w.store.people["wu"]; ok {
		t.Error("a change that could not be recorded was made")
	}
}

func FuzzEnrolBodies(f *testing.F) {
	w := newTown(f)
	token := w.invite("b3", false)
	a := w.applicant()
	good, _ := enroll.NewRequest(&token, a.device, newECKey(f), a.segment, "test")
	seed, _ := json.Marshal(good)
	f.Add(seed)
	f.Add([]byte(`{"token":"","device":"00"}`))
	handler := w.hub.Handler()
	f.Fuzz(func(t *testing.T, body []byte) {
		w.hub.desk = newDesk()
		for _, path := range []string{enroll.PathEnroll, enroll.PathRenew, enroll.PathRenewExpired} {
			status := w.serve(handler, http.MethodPost, path, body)
			if status >= 500 || status == 200 && !bytes.Equal(body, seed) && path != enroll.PathEnroll {
				t.Errorf("%s = %d", path, status)
			}
		}
	})
}
