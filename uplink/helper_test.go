package uplink

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"checkpoint/enroll"
	"checkpoint/record"
)

// key is an Ed25519 key that is the same in each run.
func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("uplink test key " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

var epochStart = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// segment makes a real signed segment of native scans.
func segment(t testing.TB, id record.Identity, number, first uint64, rows int) record.Cut {
	t.Helper()
	s := record.Segment{SegmentKey: record.SegmentKey{Identity: id, Number: number, Day: "2026-11-23", Venue: "west gate", Hour: epochStart.Unix() / 3600},
		First: first, Last: first + uint64(rows) - 1, ContextID: [16]byte{7}, Context: sealing(id)}
	random := rand.New(rand.NewPCG(number, first))
	link := s.Before
	for i := range rows {
		box := make([]byte, 48)
		for j := range box {
			box[j] = byte(random.Uint32())
		}
		row := record.Row{Identity: id, Seq: first + uint64(i),
			Stamp: record.Stamp{WallMS: epochStart.UnixMilli() + int64(i)*1700, Quality: 3, Boot: [16]byte{5}, MonoMS: uint64(i)*1700 + 90_000},
			Body: record.Scan{Verdict: 1, Reason: 1, Format: 1, Issuer: "CN110000", Trust: 41,
				Sealed: record.Sealed{Context: s.ContextID, Step: 0, Index: uint32(i), Box: box}}}
		b, err := record.AppendRow(nil, row)
		if err != nil {
			t.Fatal(err)
		}
		link = link.Next(b)
		s.Rows = append(s.Rows, row)
	}
	s.Head = link
	b, err := record.AppendSegment(nil, s, func(digest [32]byte) (sig [64]byte) {
		copy(sig[:], ed25519.Sign(key("device"), append([]byte("checkpoint segment 1\x00"), digest[:]...)))
		return sig
	})
	if err != nil {
		t.Fatal(err)
	}
	return record.Cut{SegmentKey: s.SegmentKey, First: s.First, Last: s.Last, SHA256: sha256.Sum256(b), Bytes: b}
}

func sealing(id record.Identity) *record.Context {
	enc := make([]byte, 1120)
	for i := range enc {
		enc[i] = byte(i * i)
	}
	return &record.Context{Identity: id, ID: [16]byte{7}, Day: "2026-11-23", Enc: enc, BeganMS: 90_000}
}

// cutOf makes a cut whose bytes are no segment: where only digests matter.
func cutOf(id record.Identity, number, first, last uint64) record.Cut {
	b := binary.BigEndian.AppendUint64(append([]byte("rows"), id.Epoch[:]...), number)
	return record.Cut{SegmentKey: record.SegmentKey{Identity: id, Number: number, Day: "2026-11-23", Venue: "v"},
		First: first, Last: last, SHA256: sha256.Sum256(b), Bytes: b}
}

// receiptOf is what a hub answers.
func receiptOf(c record.Cut, k ed25519.PrivateKey, d record.Disposition, why record.RefusedFor, ms int64) []byte {
	return record.AppendReceipt(nil, record.SignReceipt(record.Receipt{Identity: c.Identity, Number: c.Number, First: c.First, Last: c.Last,
		SHA256: c.SHA256, TimeMS: ms, Disposition: d, Reason: why}, k))
}

// virtual is a clock that moves when somebody sleeps.
type virtual struct {
	now    time.Duration
	until  time.Duration // ends the run
	during func()        // what else happens while it passes
	end    context.CancelFunc
	sleeps []time.Duration
}

func (v *virtual) sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	select {
	case <-wake:
		return
	default:
	}
	v.sleeps = append(v.sleeps, d)
	v.pass(d)
}

func (v *virtual) pass(d time.Duration) {
	v.now += d
	if v.during != nil {
		v.during()
	}
	if v.now >= v.until {
		v.end()
	}
}

func (v *virtual) clock() (time.Time, bool) { return epochStart.Add(v.now), true }

// fakeHub answers as it is told.
type fakeHub struct {
	send    func(c record.Cut) (Answer, error)
	report  func() (enroll.Orders, error)
	sent    []record.Cut
	reports int
}

func (h *fakeHub) Send(_ context.Context, c record.Cut) (Answer, error) {
	h.sent = append(h.sent, c)
	return h.send(c)
}

func (h *fakeHub) Report(context.Context, enroll.Report) (enroll.Orders, error) {
	h.reports++
	if h.report == nil {
		return enroll.Orders{State: "active"}, nil
	}
	return h.report()
}

// received is the answer of a hub that has stored.
func received(c record.Cut) (Answer, error) {
	raw := receiptOf(c, key("hub"), record.Stored, 0, 1)
	return classify(answer{status: 200, body: raw}, c, []ed25519.PublicKey{public(key("hub"))}), nil
}

// fakeBox holds cuts in order.
type fakeBox struct {
	cuts    []record.Cut // complete ones
	tail    []record.Cut // what all gives, too
	settled []record.Receipt
	aside   []string
	epochs  int
	err     error
}

func (b *fakeBox) NextCut(_ context.Context, all bool) (record.Cut, bool, error) {
	if b.err != nil {
		return record.Cut{}, false, b.err
	}
	if len(b.cuts) == 0 && all {
		b.cuts, b.tail = b.tail, nil
	}
	if len(b.cuts) == 0 {
		return record.Cut{}, false, nil
	}
	return b.cuts[0], true, nil
}

func (b *fakeBox) Settle(_ context.Context, r record.Receipt, _ []byte) error {
	if len(b.cuts) == 0 || !r.Covers(b.cuts[0]) {
		return errors.New("covers nothing")
	}
	b.settled = append(b.settled, r)
	b.cuts = b.cuts[1:]
	return nil
}

func (b *fakeBox) SetAside(_ context.Context, c record.Cut, why string, newEpoch bool) error {
	b.aside = append(b.aside, why)
	if newEpoch {
		b.epochs++
	}
	b.cuts = b.cuts[1:]
	return nil
}

// run lets a loop work for d of virtual time.
func run(t *testing.T, d time.Duration, v *virtual, c LoopConfig) *Loop {
	t.Helper()
	l := loopOf(t, v, c)
	runLoop(t, d, v, l)
	return l
}

func loopOf(t *testing.T, v *virtual, c LoopConfig) *Loop {
	t.Helper()
	c.Now, c.Sleep, c.Clock = func() time.Duration { return v.now }, v.sleep, v.clock
	if c.Report == nil {
		c.Report = func(context.Context) (enroll.Report, error) { return enroll.Report{}, nil }
	}
	if c.Rand == nil {
		random := rand.New(rand.NewPCG(1, 2))
		c.Rand = random.Int64N
	}
	l, err := NewLoop(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func runLoop(t *testing.T, d time.Duration, v *virtual, l *Loop) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	v.until, v.end = v.now+d, cancel
	if err := l.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run = %v", err)
	}
}
