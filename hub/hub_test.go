package hub

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"checkpoint/enroll"
	"checkpoint/hub/store"
	"checkpoint/record"
)

// noon is when the tests happen: half past twelve, UTC.
var noon = time.Date(2026, 11, 25, 12, 30, 0, 0, time.UTC)

// world is a hub with its store, its certificates and its clock, answering
// over TLS.
type world struct {
	t      testing.TB
	hub    *Hub
	store  *memStore
	clock  atomic.Int64 // Unix ms
	log    lockedWriter
	key    ed25519.PublicKey
	caKey  *ecdsa.PrivateKey
	ca     *x509.Certificate
	server *httptest.Server
}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, store: newMemStore()}
	w.clock.Store(noon.UnixMilli())
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w.key = public
	cfg := Config{Store: w.store, Keys: &Keys{Receipt: private}, URL: "https://127.0.0.1", Version: "test", Now: w.now,
		Log: slog.New(slog.NewTextHandler(&w.log, nil))}
	for _, c := range change {
		c(&cfg)
	}
	if w.hub, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	w.caKey, w.ca = newCA(t)
	w.server = httptest.NewUnstartedServer(w.hub.wrap(w.routes()))
	w.server.TLS = w.tls()
	w.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	w.server.StartTLS()
	t.Cleanup(w.server.Close)
	return w
}

// routes are those of this part of the hub: the others have keys and tests of
// their own.
func (w *world) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+enroll.PathSegments, w.hub.postSegment)
	mux.HandleFunc("POST "+enroll.PathReport, w.hub.postReport)
	return mux
}

func (w *world) now() time.Time           { return time.UnixMilli(w.clock.Load()).UTC() }
func (w *world) advance(d time.Duration)  { w.clock.Add(d.Milliseconds()) }
func (w *world) endpoint(p string) string { return w.server.URL + p }

func (w *world) tls() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(w.ca)
	key := newECKey(w.t)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "hub"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: noon.AddDate(-20, 0, 0), NotAfter: noon.AddDate(20, 0, 0), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	return &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool, Time: w.now,
		Certificates: []tls.Certificate{w.certificate(template, key)}}
}

func (w *world) certificate(template *x509.Certificate, key *ecdsa.PrivateKey) tls.Certificate {
	w.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, w.ca, &key.PublicKey, w.caKey)
	if err != nil {
		w.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func newECKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newCA(t testing.TB) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key := newECKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hub CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: noon.AddDate(-20, 0, 0), NotAfter: noon.AddDate(20, 0, 0), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}

// gate is an enrolled gate: it makes segments and posts them.
type gate struct {
	w       *world
	name    string
	venue   string
	id      record.Identity
	segment ed25519.PrivateKey
	client  *http.Client

	number, seq uint64
	head        record.Link
	at          time.Time // of its rows
}

func (w *world) gate(name string) *gate {
	w.t.Helper()
	g := &gate{w: w, name: name, venue: "mall north", at: noon}
	_, _ = rand.Read(g.id.Device[:])
	_, _ = rand.Read(g.id.Epoch[:])
	var public ed25519.PublicKey
	public, g.segment, _ = ed25519.GenerateKey(rand.Reader)
	w.store.set(func() {
		w.store.gates[name] = store.Gate{Name: name, Venue: g.venue, VenueType: "mall", Venues: []string{g.venue}, State: store.Active,
			Device: g.id.Device, SegmentKey: public, EnrolledMS: noon.Add(-time.Hour).UnixMilli()}
	})
	g.client = w.client(w.deviceCertificate(g.id.Device, noon.AddDate(0, 0, 14)))
	return g
}

func (w *world) deviceCertificate(device [16]byte, until time.Time) tls.Certificate {
	return w.certificate(&x509.Certificate{SerialNumber: big.NewInt(3), NotBefore: noon.AddDate(0, 0, -1), NotAfter: until,
		URIs: []*url.URL{enroll.DeviceURI(device)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, newECKey(w.t))
}

func (w *world) personCertificate() tls.Certificate {
	return w.certificate(&x509.Certificate{SerialNumber: big.NewInt(4), NotBefore: noon.AddDate(0, 0, -1), NotAfter: noon.AddDate(0, 0, 1),
		URIs: []*url.URL{{Scheme: "checkpoint", Opaque: "person:li"}}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, newECKey(w.t))
}

func (w *world) client(certs ...tls.Certificate) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(w.ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certs, Time: w.now}, MaxIdleConnsPerHost: 16}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// change changes the gate as the hub's store knows it.
func (g *gate) change(f func(*store.Gate)) {
	g.w.store.set(func() {
		known := g.w.store.gates[g.name]
		f(&known)
		g.w.store.gates[g.name] = known
	})
}

func pass() record.Body {
	return record.Scan{Verdict: 1, Reason: 1, Format: 1, Issuer: "CN-11", Trust: 7}
}

func passes(n int) []record.Body {
	bodies := make([]record.Body, n)
	for i := range bodies {
		bodies[i] = pass()
	}
	return bodies
}

// make makes the segment that follows, without going on.
func (g *gate) make(bodies ...record.Body) (record.Segment, record.Link) {
	s := record.Segment{SegmentKey: record.SegmentKey{Identity: g.id, Number: g.number + 1, Day: g.at.UTC().Format(time.DateOnly), Venue: g.venue,
		Hour: floorHour(g.at.UnixMilli())}, First: g.seq + 1, Last: g.seq + uint64(len(bodies)), Before: g.head}
	link := g.head
	for i, body := range bodies {
		row := record.Row{Identity: g.id, Seq: s.First + uint64(i), Body: body,
			Stamp: record.Stamp{WallMS: g.at.UnixMilli() + int64(i), Quality: 3, Boot: [16]byte{1}, MonoMS: 1000 + uint64(i)}}
		b, err := record.AppendRow(nil, row)
		if err != nil {
			g.w.t.Fatal(err)
		}
		link = link.Next(b)
		s.Rows = append(s.Rows, row)
	}
	s.Head = link
	return s, link
}

// cutSealed is cut, of native scans that are sealed: what most rows are.
func (g *gate) cutSealed(n int) record.Cut {
	g.w.t.Helper()
	context := [16]byte{1, 2, 3}
	bodies := make([]record.Body, n)
	for i := range bodies {
		scan := pass().(record.Scan)
		scan.Sealed = record.Sealed{Context: context, Index: uint32(g.seq) + uint32(i), Box: make([]byte, 48)}
		_, _ = rand.Read(scan.Sealed.Box)
		bodies[i] = scan
	}
	s, head := g.make(bodies...)
	s.ContextID = context
	g.number, g.seq, g.head = s.Number, s.Last, head
	return g.sign(s)
}

func (g *gate) sign(s record.Segment) record.Cut {
	g.w.t.Helper()
	b, err := record.AppendSegment(nil, s, signer(g.segment))
	if err != nil {
		g.w.t.Fatal(err)
	}
	return record.Cut{SegmentKey: s.SegmentKey, First: s.First, Last: s.Last, SHA256: record.SegmentDigest(b), Bytes: b}
}

func signer(key ed25519.PrivateKey) record.Signer {
	return func(digest [32]byte) [ed25519.SignatureSize]byte { return record.SignSegment(digest, key) }
}

// cut makes the segment that follows and goes on.
func (g *gate) cut(bodies ...record.Body) record.Cut {
	g.w.t.Helper()
	s, head := g.make(bodies...)
	g.number, g.seq, g.head = s.Number, s.Last, head
	return g.sign(s)
}

var packer, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))

func pack(b []byte) []byte { return packer.EncodeAll(b, nil) }

// answered is what came back.
type answered struct {
	status   int
	header   http.Header
	body     []byte
	problem  enroll.Problem
	protocol string
}

func (g *gate) post(c record.Cut) answered { return g.w.post(g.client, pack(c.Bytes)) }

func (w *world) post(client *http.Client, body []byte) answered {
	w.t.Helper()
	a, err := w.try(client, body, "zstd")
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) try(client *http.Client, body []byte, encoding string) (answered, error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, w.endpoint(enroll.PathSegments), bytes.NewReader(body))
	if err != nil {
		return answered{}, err
	}
	if encoding != "" {
		r.Header.Set("Content-Encoding", encoding)
	}
	return do(client, r)
}

func do(client *http.Client, r *http.Request) (answered, error) {
	response, err := client.Do(r)
	if err != nil {
		return answered{}, err
	}
	defer response.Body.Close()
	a := answered{status: response.StatusCode, header: response.Header, protocol: response.Proto}
	if a.body, err = io.ReadAll(response.Body); err != nil {
		return answered{}, err
	}
	if response.Header.Get("Content-Type") == "application/json" {
		err = json.Unmarshal(a.body, &a.problem)
	}
	return a, err
}

// receipt wants a receipt that holds and covers the cut.
func (w *world) receipt(a answered, c record.Cut, status int, d record.Disposition, why record.RefusedFor) {
	w.t.Helper()
	if a.status != status {
		w.t.Errorf("status = %d (%s), want %d", a.status, a.body, status)
		return
	}
	r, err := record.ParseReceipt(a.body)
	if err != nil {
		w.t.Error(err)
		return
	}
	if !r.Verify(w.key) || !r.Covers(c) {
		w.t.Error("the receipt does not hold for what was sent")
	}
	if r.Disposition != d || r.Reason != why {
		w.t.Errorf("receipt says %d for %d, want %d for %d", r.Disposition, r.Reason, d, why)
	}
}

func (w *world) taken(a answered, c record.Cut) {
	w.t.Helper()
	w.receipt(a, c, http.StatusOK, record.Stored, 0)
}

// refused wants a problem.
func (w *world) refused(a answered, status int, word string) {
	w.t.Helper()
	if a.status != status || a.problem.Error != word {
		w.t.Errorf("answer = %d %q, want %d %q", a.status, a.problem.Error, status, word)
	}
	if a.problem.Detail == "" {
		w.t.Error("the problem says nothing to whoever can act")
	}
	retry := status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
	if has := a.header.Get("Retry-After") != ""; has != retry {
		w.t.Errorf("Retry-After = %q with %d", a.header.Get("Retry-After"), status)
	}
}

// lockedWriter is a log that several goroutines write.
type lockedWriter struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedWriter) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
