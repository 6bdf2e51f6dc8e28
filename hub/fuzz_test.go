package hub

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"testing"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub/store"
	"checkpoint/record"
)

// request is a gate's request as it stands after the handshake.
func (g *gate) request(body []byte) *http.Request {
	cert := &x509.Certificate{NotBefore: noon.AddDate(0, 0, -1), NotAfter: noon.AddDate(0, 0, 14), URIs: []*url.URL{enroll.DeviceURI(g.id.Device)}}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, enroll.PathSegments, bytes.NewReader(body))
	if err != nil {
		g.w.t.Fatal(err)
	}
	r.Header.Set("Content-Encoding", "zstd")
	r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{cert}}}
	return r
}

// FuzzSegmentHandler posts any bytes, as they are and packed, with and without
// a good signature: no panic, no 200 without a row in the store, and no signed
// answer that does not bind what was sent.
func FuzzSegmentHandler(f *testing.F) {
	w := newWorld(f, func(c *Config) { c.Limits.GateBurst, c.Limits.GateRate = 1<<30, 1<<30 })
	g := w.gate("A1")
	seed := g.cut(append(passes(3), record.Choice{To: 1, Choice: 1}, record.Event{Code: 1, Text: "v"})...)
	f.Add(seed.Bytes, false)
	f.Add(pack(seed.Bytes), true)
	f.Add([]byte("ckseg/2\n"), false)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, b []byte, raw bool) {
		body := b
		if !raw {
			if len(b) > ed25519.SignatureSize {
				end := len(b) - ed25519.SignatureSize
				signature := record.SignSegment(sha256.Sum256(b[:end]), g.segment)
				b = append(bytes.Clone(b[:end]), signature[:]...)
			}
			body = pack(b)
		}
		before := w.store.stored()
		rec := newRecorder()
		w.hub.postSegment(rec, g.request(body))
		switch rec.status {
		case http.StatusOK, http.StatusUnprocessableEntity:
			r, err := record.ParseReceipt(rec.body.Bytes())
			if err != nil || !r.Verify(w.key) || r.Device != g.id.Device {
				t.Fatalf("a receipt that does not hold: %v", err)
			}
			if !raw && r.SHA256 != record.SegmentDigest(b) {
				t.Fatal("a receipt of other bytes")
			}
			if (rec.status == http.StatusOK) != (r.Disposition == record.Stored) {
				t.Fatal("status and disposition differ")
			}
			if in, ok := w.store.segments[streamNumber{r.Identity, r.Number}]; rec.status == http.StatusOK && (!ok || in.SHA256 != r.SHA256) {
				t.Fatal("a receipt of what is not stored")
			}
		case http.StatusBadRequest, http.StatusForbidden, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusServiceUnavailable:
		default:
			t.Fatalf("status = %d", rec.status)
		}
		if rec.status != http.StatusOK && w.store.stored() != before {
			t.Fatal("stored and not acknowledged")
		}
		// A batch is answered a moment before it is counted as done.
		n, size := w.hub.queue.depth()
		for wait := 0; (n != 0 || size != 0) && wait < 5000; wait++ {
			time.Sleep(time.Millisecond)
			n, size = w.hub.queue.depth()
		}
		if n != 0 || size != 0 {
			t.Fatalf("%d segments are left in the queue", n)
		}
	})
}

// FuzzDescribe gives describe any segment that parses.
func FuzzDescribe(f *testing.F) {
	w := newWorld(f)
	g := w.gate("A1")
	f.Add(g.cut(append(passes(3), record.Count{Hour: -1, Unrecorded: 9, Tallies: []record.Tally{{Verdict: 7, Reason: 50, N: 3}}})...).Bytes)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := record.ParseSegment(b)
		if err != nil {
			return
		}
		in := store.Incoming{SegmentKey: s.SegmentKey}
		describe(&in, s.Rows, noon)
		if len(in.Counts) > maxCounts || len(in.Notable) > len(s.Rows) {
			t.Errorf("%d counts, %d notable rows of %d", len(in.Counts), len(in.Notable), len(s.Rows))
		}
	})
}
