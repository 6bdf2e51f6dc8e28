package uplink

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"checkpoint/enroll"
	"checkpoint/record"
)

func TestASegmentGoesUpAndItsReceiptHolds(t *testing.T) {
	h := newHub(t)
	c := h.client(t, nil)
	for n := range 3 {
		cut := segment(t, gateA, uint64(n+1), uint64(n*50+1), 50)
		a, err := c.Send(t.Context(), cut)
		if err != nil || a.Outcome != Received || !a.Receipt.Covers(cut) || len(a.Raw) != record.ReceiptSize {
			t.Fatalf("%+v, %v", a, err)
		}
	}
	if _, err := c.Report(t.Context(), enroll.Report{}); err != nil {
		t.Fatal(err)
	}
	if n := h.conns.Load(); n != 1 {
		t.Errorf("%d connections, want one that is kept", n)
	}
}

// The connection is cut after the hub has stored and before it has answered:
// the same segment again gets the same receipt.
func TestACutAfterStoringIsHealedBySendingAgain(t *testing.T) {
	h := newHub(t)
	c, cut := h.client(t, nil), segment(t, gateA, 1, 1, 5)
	var stored []byte
	h.answer(func(w http.ResponseWriter, r *http.Request) {
		if b, ok := h.take(w, r); ok {
			stored = b
		}
		panic(http.ErrAbortHandler)
	})
	if _, err := c.Send(t.Context(), cut); !errors.Is(err, ErrBroken) {
		t.Fatalf("Send = %v, want %v", err, ErrBroken)
	}
	h.answer(nil)
	a, err := c.Send(t.Context(), cut)
	if err != nil || a.Outcome != Received || !bytes.Equal(a.Raw, stored) {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestAnswersMeanWhatTheTableSays(t *testing.T) {
	cut := segment(t, gateA, 9, 100, 5)
	other := segment(t, gateA, 10, 105, 5)
	good := receiptOf(cut, key("hub"), record.Stored, 0, 5)
	keys := []ed25519.PublicKey{nil, public(key("other")), public(key("hub"))}
	problem := func(word string) []byte { return []byte(`{"error":"` + word + `","detail":"for a person"}`) }
	for _, tc := range []struct {
		name   string
		status int
		body   []byte
		header http.Header
		want   Outcome
		after  time.Duration
		line   string
	}{
		{"a receipt", 200, good, nil, Received, 0, ""},
		{"a signed refusal", 422, receiptOf(cut, key("hub"), record.Refused, record.ForVenue, 5), nil, Refused, 0, "never stood"},
		{"a refusal because of a lost day", 422, receiptOf(cut, key("hub"), record.Refused, record.ForDestroyed, 5), nil, Gone, 0, "destroyed"},
		{"a refusal in place of a receipt", 200, receiptOf(cut, key("hub"), record.Refused, record.ForForm, 5), nil, Garbage, 0, "other than"},
		{"a receipt in place of a refusal", 422, good, nil, Garbage, 0, "other than"},
		{"a refusal that is not signed", 422, problem("form"), nil, Garbage, 0, "without a receipt"},
		{"of another segment", 200, receiptOf(other, key("hub"), record.Stored, 0, 5), nil, Garbage, 0, "another segment"},
		{"by a key that is not known", 200, receiptOf(cut, key("thief"), record.Stored, 0, 5), nil, Garbage, 0, "does not know"},
		{"one byte short", 200, good[1:], nil, Garbage, 0, "without"},
		{"one byte long", 200, append(bytes.Clone(good), 0), nil, Garbage, 0, "without"},
		{"empty", 200, nil, nil, Garbage, 0, "without"},
		{"201", 201, good, nil, Garbage, 0, "201"},
		{"conflict", 409, problem("conflict"), nil, Conflict, 0, "for a person"},
		{"day destroyed", 410, problem("day_destroyed"), nil, Gone, 0, ""},
		{"too large", 413, problem("too_large"), nil, TooLarge, 0, ""},
		{"no certificate", 401, nil, nil, Revoked, 0, ""},
		{"revoked", 403, problem("revoked"), nil, Revoked, 0, ""},
		{"pending", 403, problem("pending"), nil, Pending, 0, ""},
		{"another device", 403, problem("not_your_device"), nil, Foreign, 0, ""},
		{"403 of somebody else", 403, []byte("<html>blocked"), nil, Garbage, 0, "403"},
		{"busy", 429, problem("busy"), http.Header{"Retry-After": {"17"}}, Later, 17 * time.Second, ""},
		{"unavailable", 503, nil, nil, Later, 0, ""},
		{"for two days", 503, nil, http.Header{"Retry-After": {"172800"}}, Later, time.Hour, ""},
		{"for ever", 503, nil, http.Header{"Retry-After": {"99999999999999999999999"}}, Later, time.Hour, ""},
		{"since yesterday", 503, nil, http.Header{"Retry-After": {"-5"}}, Later, 0, ""},
		{"until a date", 503, nil, http.Header{"Retry-After": {"Mon, 23 Nov 2026 08:02:00 GMT"}, "Date": {"Mon, 23 Nov 2026 08:00:00 GMT"}}, Later, 2 * time.Minute, ""},
		{"a fault", 500, nil, nil, Later, 0, "500"},
		{"a gateway's fault", 502, []byte("<html>"), nil, Later, 0, ""},
		{"a redirect", 301, nil, nil, Garbage, 0, "redirect"},
		{"not found", 404, nil, nil, Garbage, 0, "404"},
		{"bad request", 400, nil, nil, Garbage, 0, ""},
		{"a text that turns round", 409, []byte("{\"error\":\"conflict\",\"detail\":\"a\\u202eb\\nc\"}"), nil, Conflict, 0, "a b c"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := classify(answer{status: tc.status, body: tc.body, header: tc.header}, cut, keys)
			if a.Outcome != tc.want || a.After != tc.after || !strings.Contains(a.Line, tc.line) {
				t.Errorf("%v after %v: %q; want %v after %v, %q", a.Outcome, a.After, a.Line, tc.want, tc.after, tc.line)
			}
			if (a.Outcome == Received) != (a.Line == "") {
				t.Errorf("line %q", a.Line)
			}
			if tc.name == "by a key that is not known" != a.Stale {
				t.Errorf("stale %v", a.Stale)
			}
		})
	}
}

func TestNoBitOfAReceiptMayBeWrong(t *testing.T) {
	cut := cutOf(gateA, 3, 21, 30)
	keys := []ed25519.PublicKey{public(key("hub"))}
	for _, d := range []struct {
		status int
		body   []byte
	}{{200, receiptOf(cut, key("hub"), record.Stored, 0, 5)}, {422, receiptOf(cut, key("hub"), record.Refused, record.ForForm, 5)}} {
		for bit := range len(d.body) * 8 {
			a := classify(answer{status: d.status, body: flipped(d.body, bit)}, cut, keys)
			if a.Outcome == Received || a.Outcome == Refused {
				t.Fatalf("settled with bit %d wrong", bit)
			}
		}
	}
}

// What the other end may do, over a real connection.
func TestAHubThatMisbehaves(t *testing.T) {
	short := Limits{Handshake: 2 * time.Second, Answer: 150 * time.Millisecond, Idle: 100 * time.Millisecond, Request: time.Second, Fetch: time.Second}
	for _, tc := range []struct {
		name string
		do   http.HandlerFunc
		is   error
		want Outcome
	}{
		{"never answers", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, ErrTimeout, 0},
		{"falls silent within the answer", func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("ckr"))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, ErrTimeout, 0},
		{"trickles", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte("c"))
				_ = http.NewResponseController(w).Flush()
				pause(r, 20*time.Millisecond)
			}
		}, ErrTimeout, 0},
		{"answers half", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "170")
			_, _ = w.Write([]byte("half"))
		}, ErrBroken, 0},
		{"cuts the line", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ErrBroken, 0},
		{"pours", func(w http.ResponseWriter, r *http.Request) {
			for range 200 {
				_, _ = w.Write(make([]byte, 64<<10))
			}
		}, ErrAnswer, 0},
		{"pours with an error", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			for range 200 {
				_, _ = w.Write(make([]byte, 64<<10))
			}
		}, nil, Later},
		{"pours headers", func(w http.ResponseWriter, r *http.Request) {
			for i := range 100 {
				w.Header().Set("X-"+strconv.Itoa(i), strings.Repeat("x", 1000))
			}
		}, ErrBroken, 0},
		{"redirects", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusMovedPermanently)
		}, nil, Garbage},
		{"redirects with the body", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, nil, Garbage},
		{"says anything", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("welcome")) }, nil, Garbage},
		{"packs its answer", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "" {
				t.Error("asks for packed answers")
			}
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte{0x1f, 0x8b})
		}, nil, Garbage},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHub(t)
			h.answer(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/elsewhere" {
					t.Error("followed a redirect")
				}
				_, _ = io.Copy(io.Discard, r.Body) // else the server does not see the gate leave
				tc.do(w, r)
			})
			c := h.client(t, func(c *Config) { c.Limits = short })
			a, err := c.Send(t.Context(), segment(t, gateA, 1, 1, 5))
			oneLine(t, err)
			if !errors.Is(err, tc.is) || tc.is == nil && a.Outcome != tc.want {
				t.Errorf("%v, %v", a.Outcome, err)
			}
			if tc.is == nil {
				return
			}
			if _, err := c.Fetch(t.Context(), "timestamp.json", 100); err == nil && tc.name != "pours headers" {
				t.Error("fetched a file from it")
			}
		})
	}
}

func pause(r *http.Request, d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

func oneLine(t *testing.T, err error) {
	t.Helper()
	if err != nil && (strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 400) {
		t.Errorf("not one clear line: %q", err)
	}
}

func TestWhoIsTheHub(t *testing.T) {
	ca := newAuthority(t, nil)
	expired := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = now.Add(-48*time.Hour), now.Add(-24*time.Hour)
	}
	noCA := newAuthority(t, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	oldCA := newAuthority(t, expired)
	stranger := newAuthority(t, nil)
	borrowed := stranger.issue(t, nil)
	borrowed.Certificate[1] = ca.cert.Raw // shows the pinned CA, which did not sign it
	bare := ca.issue(t, nil)
	bare.Certificate = bare.Certificate[:1]
	gates := *ca.gate(t)
	for _, tc := range []struct {
		name    string
		ca      *authority
		leaf    tls.Certificate
		trusted bool
		is      error
	}{
		{"the hub", ca, ca.issue(t, nil), true, nil},
		{"the hub, time estimated", ca, ca.issue(t, nil), false, nil},
		{"another CA", ca, stranger.issue(t, nil), true, ErrNotHub},
		{"another CA, time estimated", ca, stranger.issue(t, nil), false, ErrNotHub},
		{"the pinned CA did not sign it", ca, borrowed, true, ErrNotHub},
		{"without its CA", ca, bare, true, ErrNotHub},
		{"a gate that plays hub", ca, gates, true, ErrNotHub},
		{"no extended key usage", ca, ca.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = nil }), true, ErrNotHub},
		{"another host", ca, ca.issue(t, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)} }), true, ErrNotHub},
		{"another host, time estimated", ca, ca.issue(t, func(c *x509.Certificate) { c.IPAddresses = nil }), false, ErrNotHub},
		{"expired", ca, ca.issue(t, expired), true, ErrDates},
		{"not yet valid", ca, ca.issue(t, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) }), true, ErrDates},
		{"not yet valid, time estimated", ca, ca.issue(t, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) }), false, nil},
		{"its CA expired", oldCA, oldCA.issue(t, func(c *x509.Certificate) { c.NotBefore = now.Add(-30 * time.Hour) }), true, ErrDates},
		{"its CA expired, time estimated", oldCA, oldCA.issue(t, func(c *x509.Certificate) { c.NotBefore = now.Add(-30 * time.Hour) }), false, nil},
		{"never valid together with its CA", oldCA, oldCA.issue(t, nil), false, ErrNotHub},
		{"the pinned key is no CA's", noCA, noCA.issue(t, nil), true, ErrNotHub},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHubWith(t, tc.ca, &tc.leaf, nil)
			c := h.client(t, func(c *Config) { c.Clock = func() (time.Time, bool) { return now, tc.trusted } })
			h.answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) })
			_, err := c.Fetch(t.Context(), "timestamp.json", 10)
			oneLine(t, err)
			if !errors.Is(err, tc.is) || tc.is == nil && err != nil {
				t.Errorf("Fetch = %v, want %v", err, tc.is)
			}
			if tc.is != nil && h.requests != 0 {
				t.Error("it heard the request")
			}
		})
	}
	// Dates are the clock's business, expired leaf under an estimated clock too.
	t.Run("expired, time estimated", func(t *testing.T) {
		long := newAuthority(t, func(c *x509.Certificate) { c.NotBefore = now.Add(-100 * time.Hour) })
		leaf := long.issue(t, expired)
		c := newHubWith(t, long, &leaf, nil).client(t, func(c *Config) { c.Clock = func() (time.Time, bool) { return now, false } })
		if _, err := c.Report(t.Context(), enroll.Report{}); err != nil {
			t.Error(err)
		}
	})
}

func TestOldTLSIsNotSpoken(t *testing.T) {
	h := newHubWith(t, newAuthority(t, nil), nil, func(s *httptest.Server) { s.TLS.MinVersion, s.TLS.MaxVersion = 0, tls.VersionTLS12 })
	if _, err := h.client(t, nil).Report(t.Context(), enroll.Report{}); !errors.Is(err, ErrNotHub) {
		t.Errorf("Report = %v", err)
	}
}

func TestANewPinAndANewCertificateShowAtOnce(t *testing.T) {
	h := newHub(t)
	var pin atomic.Value
	pin.Store(h.ca.pin())
	var cert atomic.Pointer[tls.Certificate]
	cert.Store(h.ca.gate(t))
	c := h.client(t, func(c *Config) {
		c.Pins = func() [][32]byte { return [][32]byte{pin.Load().([32]byte)} }
		c.Certificate = cert.Load
	})
	ask := func() error { _, err := c.Report(t.Context(), enroll.Report{}); return err }
	if err := errors.Join(ask(), ask()); err != nil || h.conns.Load() != 1 {
		t.Fatalf("%v, %d connections", err, h.conns.Load())
	}
	cert.Store(h.ca.gate(t))
	if err := ask(); err != nil || h.conns.Load() != 2 {
		t.Errorf("a new certificate: %v, %d connections", err, h.conns.Load())
	}
	pin.Store([32]byte{1})
	if err := ask(); !errors.Is(err, ErrNotHub) {
		t.Errorf("the pin was taken away: %v", err)
	}
	cert.Store(nil)
	if err := ask(); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("without a certificate: %v", err)
	}
}

func TestACertificateThatIsNotTakenIsSaid(t *testing.T) {
	h := newHub(t)
	cert := h.ca.issue(t, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		c.NotAfter = now.Add(-time.Minute)
	})
	c := h.client(t, func(c *Config) { c.Certificate = func() *tls.Certificate { return &cert } })
	h.answer(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("{}")) })
	if _, err := c.Report(t.Context(), enroll.Report{}); !errors.Is(err, ErrNotTaken) && !errors.Is(err, ErrBroken) {
		t.Errorf("Report = %v", err)
	}
	// What anybody may read comes all the same.
	if _, err := c.Fetch(t.Context(), "timestamp.json", 10); err != nil {
		t.Error(err)
	}
}

func TestEnrolmentShowsNoCertificate(t *testing.T) {
	h := newHub(t)
	c := h.client(t, nil)
	h.answer(func(w http.ResponseWriter, r *http.Request) {
		if shown := len(r.TLS.PeerCertificates) > 0; shown != (r.URL.Path == enroll.PathRenew) {
			t.Errorf("%s: certificate shown: %v", r.URL.Path, shown)
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"error":"token_used","detail":"this code was used before"}`)
	})
	for name, ask := range map[string]func(context.Context, enroll.Request) (enroll.Grant, error){"enroll": c.Enroll, "renew": c.Renew, "renew expired": c.RenewExpired} {
		_, err := ask(t.Context(), enroll.Request{})
		var no *Refusal
		if !errors.As(err, &no) || no.Word != "token_used" || no.Status != 403 || !strings.Contains(err.Error(), "used before") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNetworkErrorsAreOneClearLine(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // accepts into the backlog and never answers
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := closed.Addr().String()
	closed.Close()
	h := newHub(t)
	for _, tc := range []struct {
		name, url string
		is        error
	}{
		{"nobody listens", "https://" + gone, ErrNobody},
		{"accepts and never answers", "https://" + silent.Addr().String(), ErrTimeout},
		{"no TLS", "https://" + plain.Listener.Addr().String(), ErrNotHub},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := h.client(t, func(c *Config) {
				c.URL = tc.url
				c.Limits = Limits{Handshake: 200 * time.Millisecond, Request: 3 * time.Second}
			})
			_, err := c.Report(t.Context(), enroll.Report{})
			var line *LineError
			if !errors.As(err, &line) || !errors.Is(err, tc.is) {
				t.Errorf("Report = %v, want %v", err, tc.is)
			}
			oneLine(t, err)
			t.Log(err)
		})
	}
	t.Run("no such name", func(t *testing.T) {
		err := explain(t.Context(), "hub.invalid", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "hub.invalid", IsNotFound: true}})
		if !errors.Is(err, ErrName) {
			t.Error(err)
		}
		oneLine(t, err)
	})
	t.Run("no way", func(t *testing.T) {
		err := explain(t.Context(), "10.0.0.1:443", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)})
		if !errors.Is(err, ErrNoRoute) {
			t.Error(err)
		}
		oneLine(t, err)
	})
	t.Run("the caller's end is not the line's fault", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("held")
		cancel(why)
		if _, err := h.client(t, nil).Report(ctx, enroll.Report{}); err != why {
			t.Errorf("Report = %v", err)
		}
	})
}

func TestTheEnvironmentNamesNoProxy(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	h := newHub(t)
	if _, err := h.client(t, nil).Report(t.Context(), enroll.Report{}); err != nil {
		t.Error(err)
	}
}

func TestAddressesOfHubs(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://hub.example": true, "https://hub.example:8443/": true, "https://[::1]:1": true, "https://10.0.0.1": true,
		"http://hub.example": false, "hub.example": false, "https://": false, "https://u:p@hub.example": false, "https://hub.example/a": false,
		"https://hub.example?x": false, "https://hub.example#x": false, "https:hub.example": false, "": false,
		"https://" + strings.Repeat("h", 200): false,
	} {
		if _, err := hubURL(url); (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestTrustFilesComeWholeOrNotAtAll(t *testing.T) {
	h := newHub(t)
	file := bytes.Repeat([]byte("0123456789abcdef"), 64<<10/16)
	var tag, asked atomic.Value
	tag.Store(`"v1"`)
	asked.Store("")
	var cuts atomic.Int64
	h.answer(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != enroll.PathTrust+"targets/ab.revoked.bin" {
			http.NotFound(w, r)
			return
		}
		asked.Store(r.Header.Get("Range"))
		w.Header().Set("ETag", tag.Load().(string))
		if cuts.Add(-1) < 0 {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
			return
		}
		http.ServeContent(&cutter{ResponseWriter: w, left: 10_000}, r, "", time.Time{}, bytes.NewReader(file))
	})
	c := h.client(t, nil)
	fetch := func(max int64) ([]byte, error) { return c.Fetch(t.Context(), "targets/ab.revoked.bin", max) }
	for _, n := range []int64{0, 1, 3} {
		cuts.Store(n)
		if got, err := fetch(1 << 20); err != nil || !bytes.Equal(got, file) {
			t.Errorf("cut %d times: %d bytes, %v", n, len(got), err)
		}
		if want := fmt.Sprintf("bytes=%d-", n*10_000); n > 0 && asked.Load() != want {
			t.Errorf("cut %d times: asked for %q, want %q", n, asked.Load(), want)
		}
	}
	// Too often for one Fetch: the next goes on.
	cuts.Store(tries)
	if _, err := fetch(1 << 20); !errors.Is(err, ErrBroken) {
		t.Errorf("cut %d times: %v", tries, err)
	}
	if got, err := fetch(1 << 20); err != nil || !bytes.Equal(got, file) || asked.Load() != fmt.Sprintf("bytes=%d-", tries*10_000) {
		t.Errorf("the next: %d bytes, asked for %v, %v", len(got), asked.Load(), err)
	}
	// It changed in between: all of it comes anew.
	cuts.Store(tries)
	_, _ = fetch(1 << 20)
	tag.Store(`"v2"`)
	file = bytes.Repeat([]byte("other"), 5_000)
	if got, err := fetch(1 << 20); err != nil || !bytes.Equal(got, file) {
		t.Errorf("changed: %d bytes, %v", len(got), err)
	}
	if _, err := fetch(int64(len(file)) - 1); !errors.Is(err, ErrAnswer) {
		t.Errorf("one byte too long: %v", err)
	}
	if got, err := fetch(int64(len(file))); err != nil || len(got) != len(file) {
		t.Errorf("exactly as long as it may be: %v", err)
	}
	if _, err := c.Fetch(t.Context(), "7.root.json", 10); !errors.Is(err, ErrMissing) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	before := h.requests
	for _, name := range []string{"", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".x", "a b", "a?b", "a%2fb", "a\x00", strings.Repeat("a", 201), "a/b/c/d/e", "x.part"} {
		if _, err := c.Fetch(t.Context(), name, 10); !errors.Is(err, ErrTrustName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if h.requests != before {
		t.Error("a bad name was asked for")
	}
}

// cutter breaks the connection off after some bytes.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(b []byte) (int, error) {
	if len(b) < c.left {
		c.left -= len(b)
		return c.ResponseWriter.Write(b)
	}
	_, _ = c.ResponseWriter.Write(b[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

func FuzzClassify(f *testing.F) {
	cut := cutOf(gateA, 3, 21, 30)
	keys := []ed25519.PublicKey{public(key("hub")), nil}
	good := receiptOf(cut, key("hub"), record.Stored, 0, 5)
	refusal := receiptOf(cut, key("hub"), record.Refused, record.ForVenue, 5)
	f.Add(200, good, "")
	f.Add(422, refusal, "")
	f.Add(503, []byte(`{"error":"busy","detail":"x"}`), "12")
	f.Add(403, []byte(`{"error":"pending"}`), "Mon, 23 Nov 2026 08:02:00 GMT")
	f.Fuzz(func(t *testing.T, status int, body []byte, after string) {
		a := classify(answer{status: status, body: body, header: http.Header{"Retry-After": {after}, "Date": {after}}}, cut, keys)
		if a.After < 0 || a.After > MaxRetryAfter {
			t.Errorf("after %v", a.After)
		}
		if strings.ContainsAny(a.Line, "\n\r\x1b\u202e") || len(a.Line) > 400 {
			t.Errorf("line %q", a.Line)
		}
		switch a.Outcome {
		case Received:
			if status != 200 || !bytes.Equal(body, good) {
				t.Error("settled without the receipt")
			}
		case Refused:
			if status != 422 || !bytes.Equal(body, refusal) {
				t.Error("settled without the refusal")
			}
		}
	})
}
