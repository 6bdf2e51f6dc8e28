package hub

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub/store"
	"checkpoint/record"
)

func TestSegmentIsStoredThenReceipted(t *testing.T) {
	w := newWorld(t)
	g := w.gate("A1")
	first := g.cut(pass(), record.Scan{Verdict: 6, Reason: 90, Format: 1, Issuer: "CN-11", Trust: 7}, record.Choice{To: 2, Choice: 4})
	w.taken(g.post(first), first)
	second := g.cut(passes(50)...)
	w.taken(g.post(second), second)

	if n := w.store.stored(); n != 2 {
		t.Fatalf("stored %d segments, want 2", n)
	}
	in := w.store.segments[streamNumber{g.id, 1}]
	if back, err := record.JoinSegment(in.Plain, in.Sealed); err != nil || !bytes.Equal(back, first.Bytes) {
		t.Errorf("what is stored is not what was sent: %v", err)
	}
	if in.SHA256 != first.SHA256 || in.SegmentKey != first.SegmentKey || in.First != 1 || in.Last != 3 || in.Way != store.ByNet {
		t.Errorf("incoming = %+v", in)
	}
	if len(in.Counts) != 2 || len(in.Notable) != 2 {
		t.Errorf("%d counts and %d notable rows, want 2 and 2", len(in.Counts), len(in.Notable))
	}
	if kinds := w.store.openAlarms(); len(kinds) != 0 {
		t.Errorf("alarms %v of segments that are in order", kinds)
	}
}

func TestRepeatGetsAReceiptAgain(t *testing.T) {
	w := newWorld(t)
	g := w.gate("A1")
	c := g.cut(passes(3)...)
	w.taken(g.post(c), c)
	w.advance(time.Minute)
	again := g.post(c)
	w.taken(again, c)
	if r, _ := record.ParseReceipt(again.body); r.TimeMS != w.now().UnixMilli() {
		t.Error("the receipt of a repeat has an old time")
	}
	if w.store.stored() != 1 || len(w.store.quarantined) != 0 {
		t.Error("a repeat was stored twice, or put aside")
	}
}

// Segments in any order: those that fill a gap close it, and the alarm.
func TestReorderedSegmentsFillTheirGap(t *testing.T) {
	w := newWorld(t)
	g := w.gate("A1")
	var cuts []record.Cut
	for range 5 {
		cuts = append(cuts, g.cut(passes(3)...))
	}
	for _, i := range []int{0, 4, 2, 1} {
		w.taken(g.post(cuts[i]), cuts[i])
	}
	if kinds := w.store.openAlarms(); !slices.Equal(kinds, []string{"gap"}) {
		t.Fatalf("alarms = %v, want gap", kinds)
	}
	if !strings.Contains(w.store.alarms[0].Text, "2 to 4") {
		t.Errorf("the alarm does not say what is missing: %q", w.store.alarms[0].Text)
	}
	_ = w.hub.upkeep(t.Context())
	if kinds := w.store.openAlarms(); len(kinds) != 1 {
		t.Fatal("the alarm is closed while segment 4 is missing")
	}
	w.taken(g.post(cuts[3]), cuts[3])
	_ = w.hub.upkeep(t.Context())
	if kinds := w.store.openAlarms(); len(kinds) != 0 {
		t.Errorf("alarms = %v after the gap was filled", kinds)
	}
}

// Two disks with one epoch: the one that comes second conflicts from where they
// part, is kept aside, and nothing that is stored changes.
func TestCloneConflicts(t *testing.T) {
	w := newWorld(t)
	g := w.gate("A1")
	common := g.cut(passes(3)...)
	w.taken(g.post(common), common)
	clone := *g
	mine, theirs := g.cut(passes(2)...), clone.cut(pass(), record.Void{To: 1})
	w.taken(g.post(mine), mine)
	w.refused(clone.post(theirs), http.StatusConflict, "conflict")
	next := clone.cut(passes(2)...)
	w.refused(clone.post(next), http.StatusConflict, "conflict")
	if got := w.store.segments[streamNumber{g.id, 2}].SHA256; got != mine.SHA256 {
		t.Error("a conflict was written over what is stored")
	}
	if len(w.store.quarantined) != 2 {
		t.Errorf("%d segments put aside, want 2", len(w.store.quarantined))
	}
	if kinds := w.store.openAlarms(); !slices.Equal(kinds, []string{"conflict"}) {
		t.Errorf("alarms = %v, want conflict", kinds)
	}
}

// A conflict whose alarm is lost is not answered as one: sent again, it gets
// another chance.
func TestConflictIsNotAnsweredWithoutItsAlarm(t *testing.T) {
	w := newWorld(t)
	g := w.gate("A1")
	clone := *g
	mine, theirs := g.cut(pass()), clone.cut(record.Void{To: 1})
	w.taken(g.post(mine), mine)
	w.store.onPut = func([]store.Incoming) { w.store.set(func() { w.store.failAlarm = store.ErrUnavailable }) }
	w.refused(clone.post(theirs), http.StatusServiceUnavailable, "store_unavailable")
	w.store.onPut = nil
	w.store.set(func() { w.store.failAlarm = nil })
	w.refused(clone.post(theirs), http.StatusConflict, "conflict")
	if kinds := w.store.openAlarms(); !slices.Equal(kinds, []string{"conflict"}) {
		t.Errorf("alarms = %v, want conflict", kinds)
	}
}

// A gap is found once: its alarm is kept until the store takes it.
func TestGapAlarmIsNotLost(t *testing.T) {
	w := newWorld(t)
	g := w.gate("A1")
	first, _, third := g.cut(pass()), g.cut(pass()), g.cut(pass())
	w.taken(g.post(first), first)
	w.store.set(func() { w.store.failAlarm = store.ErrUnavailable })
	w.taken(g.post(third), third)
	_ = w.hub.upkeep(t.Context())
	w.store.set(func() { w.store.failAlarm = nil })
	_ = w.hub.upkeep(t.Context())
	if kinds := w.store.openAlarms(); !slices.Equal(kinds, []string{"gap"}) {
		t.Errorf("alarms = %v, want gap", kinds)
	}
}

func TestRefusedForGood(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func(w *world, g *gate) record.Cut
		why  record.RefusedFor
	}{
		{"signed by another key", func(_ *world, g *gate) record.Cut {
			_, g.segment, _ = ed25519.GenerateKey(rand.Reader)
			return g.cut(pass())
		}, record.ForSignature},
		{"a bit of the signature turned", func(_ *world, g *gate) record.Cut {
			c := g.cut(pass())
			c.Bytes[len(c.Bytes)-1] ^= 1
			c.SHA256 = record.SegmentDigest(c.Bytes)
			return c
		}, record.ForSignature},
		{"a venue it never stood in", func(_ *world, g *gate) record.Cut {
			g.venue = "airport"
			return g.cut(pass())
		}, record.ForVenue},
		{"the chain does not hold", func(_ *world, g *gate) record.Cut {
			c := g.cut(pass())
			c.Bytes[len(c.Bytes)-70] ^= 1
			c.SHA256 = record.SegmentDigest(c.Bytes)
			return c
		}, record.ForForm},
		{"cut off before it was sent", func(_ *world, g *gate) record.Cut {
			c := g.cut(passes(20)...)
			c.Bytes = c.Bytes[:len(c.Bytes)*3/4]
			c.SHA256 = record.SegmentDigest(c.Bytes)
			return c
		}, record.ForForm},
		{"its day is past retention", func(w *world, g *gate) record.Cut {
			c := g.cut(pass())
			w.store.retired[c.Day] = true
			return c
		}, record.ForRetention},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			g := w.gate("A1")
			c := tc.make(w, g)
			w.receipt(g.post(c), c, http.StatusUnprocessableEntity, record.Refused, tc.why)
			if w.store.stored() != 0 {
				t.Error("it is in the log")
			}
			if got := w.store.refused[streamNumber{g.id, 1}]; got != tc.why {
				t.Errorf("noted as refused for %d, want %d", got, tc.why)
			}
			if kinds := w.store.openAlarms(); !slices.Equal(kinds, []string{"poison"}) {
				t.Errorf("alarms = %v, want poison", kinds)
			}
			w.store.set(func() { w.store.fail = store.ErrUnavailable })
			w.refused(g.post(c), http.StatusServiceUnavailable, "store_unavailable") // no refusal that is not noted
		})
	}
}

// A gate may purge what is refused for good, so nothing is refused so on what
// the hub only remembers, or cannot read yet.
func TestNotRefusedForGood(t *testing.T) {
	t.Run("the gate moved a moment ago", func(t *testing.T) {
		w := newWorld(t)
		g := w.gate("A1")
		c := g.cut(pass())
		w.taken(g.post(c), c) // the hub remembers the gate now
		g.change(func(known *store.Gate) {
			known.Venue, known.Venues = "airport", append(known.Venues, "airport")
		})
		g.venue = "airport"
		c = g.cut(pass())
		w.taken(g.post(c), c)
	})
	t.Run("rows of the venue before the move", func(t *testing.T) {
		w := newWorld(t)
		g := w.gate("A1")
		g.change(func(known *store.Gate) {
			known.Venue, known.Venues = "airport", append(known.Venues, "airport")
		})
		c := g.cut(pass())
		w.taken(g.post(c), c)
	})
	t.Run("a newer form", func(t *testing.T) {
		w := newWorld(t)
		g := w.gate("A1")
		c := g.cut(pass())
		copy(c.Bytes, "ckseg/2\n")
		a := g.post(c)
		w.refused(a, http.StatusServiceUnavailable, "newer_form")
		if len(a.header.Get("Retry-After")) < 3 {
			t.Errorf("Retry-After = %q: minutes at least", a.header.Get("Retry-After"))
		}
	})
	t.Run("no header", func(t *testing.T) {
		w := newWorld(t)
		g := w.gate("A1")
		w.refused(w.post(g.client, pack([]byte("hello"))), http.StatusBadRequest, "form")
	})
}

func TestBodiesThatAreNotRead(t *testing.T) {
	w := newWorld(t)
	g := w.gate("A1")
	c := g.cut(passes(50)...)
	whole := pack(c.Bytes)
	noise := make([]byte, maxBody+1)
	_, _ = rand.Read(noise)
	bomb := pack(make([]byte, 64<<20))
	if len(bomb) > maxBody {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	for _, tc := range []struct {
		name   string
		body   []byte
		status int
		word   string
	}{
		{"empty", nil, http.StatusBadRequest, "not_zstd"},
		{"nothing, packed", pack(nil), http.StatusBadRequest, "not_zstd"},
		{"not zstd", []byte("hello"), http.StatusBadRequest, "not_zstd"},
		{"not compressed", c.Bytes, http.StatusBadRequest, "not_zstd"},
		{"truncated", whole[:len(whole)/2], http.StatusBadRequest, "not_zstd"},
		{"one bit turned", flip(whole, len(whole)/2), http.StatusBadRequest, "not_zstd"},
		{"too large as sent", noise, http.StatusRequestEntityTooLarge, "too_large"},
		{"too large unpacked", pack(make([]byte, record.MaxSegment+1)), http.StatusRequestEntityTooLarge, "too_large"},
		{"a bomb", bomb, http.StatusRequestEntityTooLarge, "too_large"},
		{"a bomb of many frames", bytes.Repeat(pack(make([]byte, 1<<20)), 200), http.StatusRequestEntityTooLarge, "too_large"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w.refused(w.post(g.client, tc.body), tc.status, tc.word)
		})
	}
	t.Run("no Content-Encoding", func(t *testing.T) {
		a, err := w.try(g.client, whole, "")
		if err != nil {
			t.Fatal(err)
		}
		w.refused(a, http.StatusUnsupportedMediaType, "encoding")
	})
	t.Run("too large and of no stated length", func(t *testing.T) {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, w.endpoint(enroll.PathSegments), struct{ io.Reader }{bytes.NewReader(noise)})
		r.Header.Set("Content-Encoding", "zstd")
		a, err := do(g.client, r)
		if err == nil { // or the hub hung up on it, which is as good
			w.refused(a, http.StatusRequestEntityTooLarge, "too_large")
		}
	})
	w.taken(g.post(c), c) // and nothing of it harmed the gate's sequence
	if n := len(w.store.refused); n != 0 {
		t.Errorf("%d segments refused for good on the way", n)
	}
}

func flip(b []byte, i int) []byte {
	b = slices.Clone(b)
	b[i] ^= 0x10
	return b
}

// What is odd about time is kept, and flagged.
func TestOddTimesAreKeptAndFlagged(t *testing.T) {
	for _, tc := range []struct {
		name   string
		at     time.Time
		flags  store.Flags
		alarms []string
	}{
		{"this hour", noon, 0, nil},
		{"a minute ahead", noon.Add(time.Minute), 0, nil},
		{"two minutes ahead", noon.Add(2 * time.Minute), 0, []string{"clock"}},
		{"the next hour", noon.Add(time.Hour), store.Ahead, []string{"clock"}},
		{"two weeks late", noon.AddDate(0, 0, -14), store.Late, nil},
		{"ten years back", noon.AddDate(-10, 0, 0), store.Late, nil},
		{"ten years ahead", noon.AddDate(10, 0, 0), store.Ahead, []string{"clock"}},
		{"before 1970", time.Date(1969, 12, 31, 23, 0, 0, 1e6, time.UTC), store.Late, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			g := w.gate("A1")
			g.at = tc.at
			c := g.cut(passes(3)...)
			w.taken(g.post(c), c)
			in := w.store.segments[streamNumber{g.id, 1}]
			if in.Flags != tc.flags {
				t.Errorf("flags = %b, want %b", in.Flags, tc.flags)
			}
			if want := noon.UnixMilli() - (tc.at.UnixMilli() + 2); in.OffsetMS != want {
				t.Errorf("offset = %d, want %d", in.OffsetMS, want)
			}
			if kinds := w.store.openAlarms(); !slices.Equal(kinds, tc.alarms) {
				t.Errorf("alarms = %v, want %v", kinds, tc.alarms)
			}
		})
	}
}

func TestDestroyedDay(t *testing.T) {
	w := newWorld(t)
	g := w.gate("A1")
	c := g.cut(pass())
	w.store.destroyed[c.Day] = true
	w.refused(g.post(c), http.StatusGone, "day_destroyed")
	if w.store.stored() != 0 {
		t.Error("rows of a destroyed day are in the log")
	}
}

func TestWhoMaySend(t *testing.T) {
	w := newWorld(t)
	g, other := w.gate("A1"), w.gate("A2")
	c := g.cut(pass())
	body := pack(c.Bytes)

	t.Run("no certificate", func(t *testing.T) {
		w.refused(w.post(w.client(), body), http.StatusUnauthorized, "no_certificate")
	})
	t.Run("another gate's certificate", func(t *testing.T) {
		w.refused(w.post(other.client, body), http.StatusForbidden, "not_your_device")
	})
	t.Run("another gate's broken segment", func(t *testing.T) {
		broken := flip(c.Bytes, len(c.Bytes)-70)
		w.refused(w.post(other.client, pack(broken)), http.StatusForbidden, "not_your_device")
		if len(w.store.refused) != 0 {
			t.Error("a gate had another gate's number refused")
		}
	})
	t.Run("a certificate of no gate", func(t *testing.T) {
		w.refused(w.post(w.client(w.personCertificate()), body), http.StatusForbidden, "not_a_gate")
	})
	t.Run("a device that is not in the store", func(t *testing.T) {
		w.refused(w.post(w.client(w.deviceCertificate([16]byte{9}, noon.AddDate(0, 0, 14))), body), http.StatusForbidden, "unknown_device")
	})
	t.Run("a certificate that has ended", func(t *testing.T) {
		if a, err := w.try(w.client(w.deviceCertificate(g.id.Device, noon.Add(-time.Minute))), body, "zstd"); err == nil {
			t.Errorf("answer = %d %s", a.status, a.body)
		}
	})
	t.Run("a certificate that ends while its connection lives", func(t *testing.T) {
		client := w.client(w.deviceCertificate(other.id.Device, noon.Add(time.Minute)))
		mine := other.cut(pass())
		w.taken(w.post(client, pack(mine.Bytes)), mine)
		w.advance(2 * time.Minute)
		defer w.advance(-2 * time.Minute)
		w.refused(w.post(client, pack(mine.Bytes)), http.StatusServiceUnavailable, "certificate_expired")
		if a, err := w.try(client, pack(mine.Bytes), "zstd"); err == nil { // the connection is gone, and a handshake refuses it
			t.Errorf("answer = %d %s", a.status, a.body)
		}
	})
	t.Run("a gate whose word nobody compared", func(t *testing.T) {
		pending := w.gate("A3")
		pending.change(func(known *store.Gate) { known.State = store.Pending })
		w.refused(pending.post(pending.cut(pass())), http.StatusForbidden, "pending")
	})
	t.Run("another CA's certificate", func(t *testing.T) {
		stranger := newWorld(t)
		if a, err := w.try(w.client(stranger.deviceCertificate(g.id.Device, noon.AddDate(0, 0, 14))), body, "zstd"); err == nil {
			t.Errorf("answer = %d %s", a.status, a.body)
		}
	})
	if n := w.store.stored(); n != 1 {
		t.Errorf("%d segments stored, want that of A2 alone", n)
	}
}

// What arrives after a revocation is kept aside, whatever times stand in it.
func TestRevokedGateIsQuarantined(t *testing.T) {
	w := newWorld(t)
	g := w.gate("A1")
	before, after := g.cut(pass()), g.cut(pass())
	w.taken(g.post(before), before)
	g.change(func(known *store.Gate) { known.State = store.Revoked })

	// Another hub revoked it: this one learns of it within the cache's time.
	w.advance(gateTTL)
	w.refused(g.post(after), http.StatusForbidden, "revoked")
	w.refused(g.post(after), http.StatusForbidden, "revoked")
	if len(w.store.quarantined) != 1 || w.store.stored() != 1 {
		t.Errorf("%d aside and %d stored, want 1 and 1", len(w.store.quarantined), w.store.stored())
	}
	if kinds := w.store.openAlarms(); !slices.Equal(kinds, []string{"revoked_upload"}) {
		t.Errorf("alarms = %v, want revoked_upload", kinds)
	}
	t.Run("forgeries are not worth the room", func(t *testing.T) {
		w.refused(w.post(g.client, pack(flip(after.Bytes, len(after.Bytes)-1))), http.StatusForbidden, "revoked")
		if len(w.store.quarantined) != 1 {
			t.Error("bytes that the gate never signed are kept")
		}
	})
	t.Run("a store that is away", func(t *testing.T) {
		w.store.set(func() { w.store.fail = store.ErrUnavailable })
		w.refused(g.post(after), http.StatusServiceUnavailable, "store_unavailable")
	})
}

func TestRevocationOnThisHubCountsAtOnce(t *testing.T) {
	w := newWorld(t)
	g := w.gate("A1")
	c := g.cut(pass())
	w.taken(g.post(c), c)
	g.change(func(known *store.Gate) { known.State = store.Revoked })
	w.hub.forget(g.id.Device)
	w.refused(g.post(g.cut(pass())), http.StatusForbidden, "revoked")
}

// A lookup that began before a revocation is not remembered after it.
func TestLookupDoesNotOvertakeARevocation(t *testing.T) {
	c := newGateCache()
	generation := c.generation()
	c.forget([16]byte{1})
	c.keep([16]byte{1}, store.Gate{State: store.Active}, noon, generation)
	if _, ok := c.get([16]byte{1}, noon); ok {
		t.Error("the cache holds what was read before the revocation")
	}
	c.keep([16]byte{1}, store.Gate{State: store.Revoked}, noon, c.generation())
	if _, ok := c.get([16]byte{1}, noon.Add(gateTTL-1)); !ok {
		t.Error("the cache holds nothing")
	}
	for _, at := range []time.Time{noon.Add(gateTTL), noon.Add(-time.Hour)} {
		if _, ok := c.get([16]byte{1}, at); ok {
			t.Errorf("the cache holds it at %v", at)
		}
	}
}

// Full disk, store away, store broken: nothing is acknowledged, the hub says
// so once, is not ready, and goes on when the store is back.
func TestStoreThatDoesNotTake(t *testing.T) {
	for _, tc := range []struct {
		err  error
		word string
	}{
		{store.ErrFull, "store_full"},
		{store.ErrUnavailable, "store_unavailable"},
		{errors.New("disk I/O error"), "store_failed"},
	} {
		t.Run(tc.word, func(t *testing.T) {
			w := newWorld(t)
			g := w.gate("A1")
			c := g.cut(pass())
			w.store.set(func() { w.store.fail = tc.err })
			for range 3 {
				w.refused(g.post(c), http.StatusServiceUnavailable, tc.word)
			}
			if err := w.hub.Ready(t.Context()); !errors.Is(err, tc.err) {
				t.Errorf("ready = %v, want %v", err, tc.err)
			}
			if n := strings.Count(w.log.String(), "store takes no segments"); n != 1 {
				t.Errorf("said %d times, want once:\n%s", n, w.log.String())
			}
			w.store.set(func() { w.store.fail = nil })
			w.taken(g.post(c), c)
			if err := w.hub.Ready(t.Context()); err != nil {
				t.Errorf("ready = %v after the store came back", err)
			}
			if !strings.Contains(w.log.String(), "store takes segments again") {
				t.Error("it does not say that the store is back")
			}
		})
	}
	t.Run("lookups fail", func(t *testing.T) {
		w := newWorld(t)
		g := w.gate("A1")
		w.store.set(func() { w.store.failGate = store.ErrUnavailable })
		w.refused(g.post(g.cut(pass())), http.StatusServiceUnavailable, "store_unavailable")
	})
}

// Many gates send at once while the store comes and goes and clients give up:
// whoever holds a receipt is in the store, and nothing is in it twice.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	w := newWorld(t)
	var coin sync.Mutex
	turn := 0
	w.store.onPut = func([]store.Incoming) {
		coin.Lock()
		defer coin.Unlock()
		turn++
		w.store.set(func() {
			w.store.fail = nil
			if turn%3 == 0 {
				w.store.fail = store.ErrUnavailable
			}
		})
	}
	const gates, each = 8, 20
	var sending sync.WaitGroup
	got := make([][]record.Cut, gates)
	for i := range gates {
		g := w.gate(string(rune('A' + i)))
		sending.Go(func() {
			for n := range each {
				c := g.cut(passes(1 + n%5)...)
				for try := 0; ; try++ {
					ctx, cancel := context.WithCancel(context.Background())
					if try == 0 && n%4 == 0 { // the line breaks while it is on its way
						go cancel()
					}
					r, _ := http.NewRequestWithContext(ctx, http.MethodPost, w.endpoint(enroll.PathSegments), bytes.NewReader(pack(c.Bytes)))
					r.Header.Set("Content-Encoding", "zstd")
					a, err := do(g.client, r)
					cancel()
					if err == nil && a.status == http.StatusOK {
						got[i] = append(got[i], c)
						break
					}
				}
			}
		})
	}
	sending.Wait()
	for i := range got {
		if len(got[i]) != each {
			t.Fatalf("gate %d has %d receipts, want %d", i, len(got[i]), each)
		}
		for _, c := range got[i] {
			if in, ok := w.store.segments[streamNumber{c.Identity, c.Number}]; !ok || in.SHA256 != c.SHA256 {
				t.Errorf("segment %d of gate %d has a receipt and is not stored", c.Number, i)
			}
		}
	}
	if w.store.stored() != gates*each || len(w.store.quarantined) != 0 {
		t.Errorf("%d stored, %d aside, want %d and 0", w.store.stored(), len(w.store.quarantined), gates*each)
	}
	if kinds := w.store.openAlarms(); len(kinds) != 0 {
		t.Errorf("alarms %v", kinds)
	}
}

func TestTakeFromAStick(t *testing.T) {
	w := newWorld(t)
	g := w.gate("A1")
	c := g.cut(passes(4)...)
	for range 2 { // a stick is put in twice
		receipt, problem, err := w.hub.Take(t.Context(), c.Bytes, store.ByStick)
		if problem != nil || err != nil {
			t.Fatal(problem, err)
		}
		w.taken(answered{status: http.StatusOK, body: receipt}, c)
	}
	if in := w.store.segments[streamNumber{g.id, 1}]; in.Way != store.ByStick {
		t.Errorf("way = %d", in.Way)
	}
	t.Run("a forgery hides no number", func(t *testing.T) {
		thief := *g
		_, thief.segment, _ = ed25519.GenerateKey(rand.Reader)
		forged := thief.cut(pass())
		receipt, problem, err := w.hub.Take(t.Context(), forged.Bytes, store.ByStick)
		if problem != nil || err != nil {
			t.Fatal(problem, err)
		}
		w.receipt(answered{status: http.StatusUnprocessableEntity, body: receipt}, forged, http.StatusUnprocessableEntity, record.Refused, record.ForSignature)
		if len(w.store.refused) != 0 {
			t.Error("a number that anybody wrote on a stick is noted as refused")
		}
	})
	t.Run("revoked", func(t *testing.T) {
		g.change(func(known *store.Gate) { known.State = store.Revoked })
		w.hub.forget(g.id.Device)
		late := g.cut(pass())
		receipt, problem, err := w.hub.Take(t.Context(), late.Bytes, store.ByStick)
		if receipt != nil || problem == nil || problem.Error != "revoked" || err != nil {
			t.Fatal(receipt, problem, err)
		}
		if w.store.quarantined[late.SHA256] != g.id.Device {
			t.Error("it is not kept aside")
		}
	})
	t.Run("a device that nobody knows", func(t *testing.T) {
		stranger := *g
		stranger.id.Device = [16]byte{7}
		stranger.number, stranger.seq, stranger.head = 0, 0, record.Link{}
		_, problem, err := w.hub.Take(t.Context(), stranger.cut(pass()).Bytes, store.ByStick)
		if problem == nil || problem.Error != "unknown_device" || err != nil {
			t.Fatal(problem, err)
		}
	})
	t.Run("store away", func(t *testing.T) {
		w.store.set(func() { w.store.fail = store.ErrUnavailable })
		b := w.gate("B1")
		if _, problem, err := w.hub.Take(t.Context(), b.cut(pass()).Bytes, store.ByStick); problem != nil || !errors.Is(err, errTryAgain) {
			t.Fatal(problem, err)
		}
	})
	t.Run("too large", func(t *testing.T) {
		if _, problem, _ := w.hub.Take(t.Context(), make([]byte, record.MaxSegment+1), store.ByStick); problem == nil || problem.Error != "too_large" {
			t.Fatal(problem)
		}
	})
}

// The log tells causes, never what was sent.
func TestLogHoldsNothingOfASegment(t *testing.T) {
	w := newWorld(t)
	g := w.gate("A1")
	const secret = "EYE-ISSUER"
	c := g.cut(record.Scan{Verdict: 6, Reason: 90, Format: 1, Issuer: secret}, record.Event{Code: record.EventSettingChanged, Text: secret})
	w.taken(g.post(c), c)
	clone := *g
	clone.number, clone.seq, clone.head = 0, 0, record.Link{}
	w.refused(clone.post(clone.cut(record.Event{Code: record.EventSettingChanged, Text: secret})), http.StatusConflict, "conflict")
	w.post(g.client, pack([]byte(secret)))
	g.venue = secret
	g.post(g.cut(pass()))
	if text := w.log.String(); strings.Contains(text, secret) || text == "" {
		t.Errorf("log:\n%s", text)
	}
}

func TestPanicIsOneAnswerAndOneLine(t *testing.T) {
	w := newWorld(t)
	g := w.gate("A1")
	w.store.onPut = func([]store.Incoming) { panic("name of a person") }
	c := g.cut(pass())
	w.refused(g.post(c), http.StatusServiceUnavailable, "store_failed")
	w.store.onPut = nil
	w.taken(g.post(c), c)

	next := w.hub.wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("name of a person") }))
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	rec := newRecorder()
	next.ServeHTTP(rec, r)
	if rec.status != http.StatusInternalServerError || !strings.Contains(rec.body.String(), `"internal"`) {
		t.Errorf("answer = %d %s", rec.status, rec.body.String())
	}
	if n := strings.Count(w.log.String(), "a panic was caught"); n != 2 {
		t.Errorf("%d lines, want 2", n)
	}
	if strings.Contains(w.log.String(), "name of a person") {
		t.Error("the panic's value is in the log")
	}
}

// recorder is a ResponseWriter of its own: small, and used by the benchmarks.
type recorder struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func newRecorder() *recorder                            { return &recorder{header: http.Header{}} }
func (r *recorder) Header() http.Header                 { return r.header }
func (r *recorder) WriteHeader(status int)              { r.status = status }
func (r *recorder) Write(b []byte) (int, error)         { return r.body.Write(b) }
func (r *recorder) ReadFrom(s io.Reader) (int64, error) { return r.body.ReadFrom(s) }

// The page of formats shows what a hub says.
func TestExampleOfAProblem(t *testing.T) {
	want, err := os.ReadFile("../docs/examples/problem.json")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	g := w.gate("A1")
	clone := *g
	mine := g.cut(pass())
	w.taken(g.post(mine), mine)
	if a := clone.post(clone.cut(record.Void{To: 1})); !bytes.Equal(a.body, want) {
		t.Errorf("the hub says\n%s\nthe example\n%s", a.body, want)
	}
}
