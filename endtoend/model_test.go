package endtoend

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub"
	"checkpoint/hub/store"
	"checkpoint/hub/store/sqlite"
	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/uplink"
)

// TestModel lets gates, a bad line and a hub do what they can do, with crashes
// between any two steps: delivered is what was acknowledged, nothing is there
// twice, and what a hub will never have keeps nothing back. A failure prints its
// seed, and
//
//	CHECKPOINT_SEED=N go test -run TestModel ./endtoend
//
// does it again; CHECKPOINT_ROUNDS=N tries so many seeds.
func TestModel(t *testing.T) {
	first := uint64(time.Now().UnixNano())
	if s := os.Getenv("CHECKPOINT_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("CHECKPOINT_SEED=%q is not a number", s)
		}
		first = n
	}
	for i := range count(t, "CHECKPOINT_ROUNDS", 1) {
		seed := first + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, seed)
			defer m.close()
			for range 60 {
				m.step()
			}
			m.settleDown()
			m.check()
		})
	}
}

// crash is thrown where a program ends without a word.
type crash struct{ who string }

var errLine = &uplink.LineError{Host: "hub.example", Is: uplink.ErrTimeout}

type model struct {
	t    *testing.T
	ctx  context.Context
	rng  *rand.Rand
	seed uint64
	now  time.Duration
	calm bool // no more faults

	hubDir            string
	conflicts, clones int
	store             *sqlite.Store
	hub               *hub.Hub
	receipt           ed25519.PublicKey
	gates             []*modelGate
}

// modelGate is one gate, and everything it was ever told to keep.
type modelGate struct {
	name    string
	key     ed25519.PrivateKey
	dir     string
	db      *localdb.DB
	kept    map[rowKey][32]byte // acknowledged by Append
	venue   string
	away    bool            // stands where the hub never sent it
	refused map[rowKey]bool // in segments with a signed refusal
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{t: t, ctx: t.Context(), rng: rand.New(rand.NewPCG(seed, 7)), seed: seed, hubDir: t.TempDir()}
	m.openHub()
	for i := range 3 {
		g := &modelGate{name: fmt.Sprintf("gate %d", i), key: key(fmt.Sprint("gate", i)), dir: t.TempDir(), venue: fmt.Sprint("V", i%2),
			kept: make(map[rowKey][32]byte), refused: make(map[rowKey]bool)}
		m.openGate(g)
		m.must(g.db.Enrol(m.ctx, stamp(m.now), enrolment(g.key, g.venue)))
		m.must(admit(m.ctx, m.store, g.name, g.venue, g.db.Identity().Device, g.key))
		m.gates = append(m.gates, g)
	}
	return m
}

func (m *model) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("seed %d: %v", m.seed, err)
	}
}

func (m *model) time() time.Time { return begin.Add(m.now) }

func (m *model) openHub() {
	var err error
	m.must(sqlite.Migrate(m.ctx, filepath.Join(m.hubDir, "data")))
	if m.store, err = sqlite.Open(m.ctx, filepath.Join(m.hubDir, "data"), sqlite.Options{}); err != nil {
		m.must(err)
	}
	var keys *hub.Keys
	m.hub, keys, err = newHub(m.hubDir, m.store, m.time)
	m.must(err)
	m.receipt = keys.Receipt.Public().(ed25519.PublicKey)
}

func (m *model) openGate(g *modelGate) {
	var err error
	g.db, err = openFile(m.ctx, g.dir)
	m.must(err)
}

func (m *model) close() {
	m.store.Close()
	for _, g := range m.gates {
		g.db.Close(context.Background(), stamp(m.now))
	}
}

// crashHub is kill -9 of the hub, and its next start.
func (m *model) crashHub() {
	next := m.t.TempDir()
	m.must(image(m.hubDir, next))
	m.store.Close()
	m.hubDir = next
	m.openHub()
}

// crashGate is kill -9 of the gate, and its next start.
func (m *model) crashGate(g *modelGate) {
	next := m.t.TempDir()
	m.must(image(g.dir, next))
	g.db.Close(m.ctx, stamp(m.now))
	g.dir = next
	m.openGate(g)
}

func (m *model) chance(percent int) bool { return !m.calm && m.rng.IntN(100) < percent }

// step lets one gate live for a while.
func (m *model) step() {
	g := m.gates[m.rng.IntN(len(m.gates))]
	m.now += time.Duration(m.rng.IntN(1800)) * time.Second
	m.write(g, m.rng.IntN(120))
	switch {
	case m.chance(4):
		m.move(g)
	case m.chance(8):
		m.clone(g)
	}
	m.send(g, 1+m.rng.IntN(6))
}

// write puts rows into the gate's file and remembers those it acknowledged.
func (m *model) write(g *modelGate, n int) {
	for range n {
		m.now += time.Duration(m.rng.IntN(20_000)) * time.Millisecond
		g.keep(m, record.Draft{Stamp: stamp(m.now), Body: record.Scan{Verdict: uint8(1 + m.rng.IntN(11)), Reason: 1, Format: 1, Trust: 3}})
	}
}

func (g *modelGate) keep(m *model, d record.Draft) {
	seq, err := g.db.Append(m.ctx, d)
	m.must(err)
	row, err := g.db.Row(m.ctx, seq)
	m.must(err)
	sum, err := rowSum(row)
	m.must(err)
	g.kept[rowKey{row.Identity, row.Seq}] = sum
}

// move puts the gate where the hub never sent it: what it writes there is
// refused for good.
func (m *model) move(g *modelGate) {
	venue := g.venue
	if g.away = !g.away; g.away {
		venue = "elsewhere"
	}
	m.must(g.db.Enrol(m.ctx, stamp(m.now), enrolment(g.key, venue)))
}

// clone copies the gate's file; the copy goes on and sends.
func (m *model) clone(g *modelGate) {
	m.clones++
	twin := &modelGate{name: g.name, key: g.key, dir: m.t.TempDir(), refused: make(map[rowKey]bool)}
	m.must(image(g.dir, twin.dir))
	m.openGate(twin)
	// What only the copy wrote is no loss of the gate's.
	twin.kept = make(map[rowKey][32]byte)
	m.write(twin, 1+m.rng.IntN(5))
	m.send(twin, 3)
	m.must(twin.db.Close(m.ctx, stamp(m.now)))
	m.write(g, 1+m.rng.IntN(5))
}

// send runs the gate's loop until it has slept so often.
func (m *model) send(g *modelGate, naps int) {
	ctx, stop := context.WithCancel(m.ctx)
	defer stop()
	line := &line{m: m, g: g}
	sleeps := 0
	loop, err := uplink.NewLoop(uplink.LoopConfig{
		Hub: line, Outbox: &box{line}, Clock: func() (time.Time, bool) { return m.time(), true },
		Report:   func(context.Context) (enroll.Report, error) { return enroll.Report{}, nil },
		Interval: time.Minute, Start: -1, Spread: -1,
		Now:  func() time.Duration { return m.now },
		Rand: func(n int64) int64 { return m.rng.Int64N(n) },
		Sleep: func(_ context.Context, d time.Duration, _ <-chan struct{}) {
			m.now += d
			if sleeps++; sleeps >= naps {
				stop()
			}
		},
	})
	m.must(err)
	defer func() {
		switch c := recover().(type) {
		case nil:
		case crash:
			m.crashGate(g)
		default:
			panic(c)
		}
	}()
	if err := loop.Run(ctx); !errors.Is(err, context.Canceled) {
		m.must(err)
	}
}

// line is the way from a gate to the hub, which loses requests and answers.
type line struct {
	m *model
	g *modelGate
}

func (l *line) fault(who string) {
	if l.m.chance(3) {
		panic(crash{who})
	}
}

func (l *line) Send(ctx context.Context, cut record.Cut) (uplink.Answer, error) {
	m := l.m
	l.fault("gate before it sends")
	if m.chance(10) {
		return uplink.Answer{}, errLine // the request is lost
	}
	if m.chance(3) {
		m.crashHub() // before it stored
		return uplink.Answer{}, errLine
	}
	raw, problem, err := m.hub.Take(ctx, cut.Bytes, store.ByNet)
	if m.chance(3) {
		m.crashHub() // after it stored, before it answered
		return uplink.Answer{}, errLine
	}
	if m.chance(10) {
		return uplink.Answer{}, errLine // the answer is lost
	}
	l.fault("gate before it reads the answer")
	switch {
	case err != nil:
		return uplink.Answer{Outcome: uplink.Later}, nil
	case problem != nil && problem.Error == "conflict":
		m.conflicts++
		return uplink.Answer{Outcome: uplink.Conflict, Line: problem.Detail}, nil
	case problem != nil:
		m.t.Fatalf("seed %d: the hub says %s: %s", m.seed, problem.Error, problem.Detail)
	}
	r, err := record.ParseReceipt(raw)
	m.must(err)
	if !r.Verify(m.receipt) || !r.Covers(cut) {
		m.t.Fatalf("seed %d: a receipt that does not hold", m.seed)
	}
	a := uplink.Answer{Outcome: uplink.Received, Receipt: r, Raw: raw}
	if r.Disposition == record.Refused {
		a.Outcome = uplink.Refused
	}
	return a, nil
}

func (l *line) Report(context.Context, enroll.Report) (enroll.Orders, error) {
	if l.m.chance(10) {
		return enroll.Orders{}, errLine
	}
	return enroll.Orders{State: "active", Gate: l.g.name, Venue: l.g.venue, VenueType: "subway", Interval: 60, Time: l.m.time()}, nil
}

// box is the gate's file, with crashes around each step.
type box struct{ *line }

func (b *box) NextCut(ctx context.Context, all bool) (record.Cut, bool, error) {
	b.fault("gate before it cuts")
	c, ok, err := b.g.db.NextCut(ctx, all, signerOf(b.g.key))
	b.fault("gate after it cut")
	return c, ok, err
}

func (b *box) Settle(ctx context.Context, r record.Receipt, raw []byte) error {
	b.fault("gate before it settles")
	err := b.g.db.Settle(ctx, stamp(b.m.now), r, raw)
	if err == nil && r.Disposition == record.Refused {
		for seq := r.First; seq <= r.Last; seq++ {
			b.g.refused[rowKey{r.Identity, seq}] = true
		}
	}
	b.fault("gate after it settled")
	return err
}

func (b *box) SetAside(ctx context.Context, c record.Cut, why string, newEpoch bool) error {
	b.fault("gate before it sets aside")
	err := b.g.db.SetAside(ctx, stamp(b.m.now), c, why, newEpoch)
	b.fault("gate after it set aside")
	return err
}

// settleDown lets everybody send what is left, on a good line.
func (m *model) settleDown() {
	m.calm = true
	for _, g := range m.gates {
		if g.away {
			m.move(g) // or its alarms about refusals were refused, for ever
		}
		m.send(g, 200)
		if _, ok, err := g.db.NextCut(m.ctx, true, signerOf(g.key)); ok || err != nil {
			m.t.Errorf("seed %d: %s still waits with a segment: %v", m.seed, g.name, err)
		}
		if _, err := g.db.VerifyChain(m.ctx); err != nil {
			m.t.Errorf("seed %d: %s: %v", m.seed, g.name, err)
		}
	}
}

// check holds what gates acknowledged against what the hub has.
func (m *model) check() {
	have, err := logged(m.ctx, m.store)
	m.must(err)
	delivered, aside, refused := 0, 0, 0
	for _, g := range m.gates {
		apart := make(map[rowKey]bool) // in segments that the hub will not have
		for cut, err := range g.db.Cuts(m.ctx) {
			m.must(err)
			for seq := cut.First; seq <= cut.Last; seq++ {
				apart[rowKey{cut.Identity, seq}] = true
			}
		}
		for k, sum := range g.kept {
			got, there := have[k]
			switch {
			case there && got == sum:
				delivered++
			case apart[k]:
				aside++
			case g.refused[k]:
				refused++
			case there:
				m.t.Fatalf("seed %d: %s: row %d is another row at the hub, and not set aside", m.seed, g.name, k.seq)
			default:
				m.t.Fatalf("seed %d: %s: row %d of epoch %x is lost", m.seed, g.name, k.seq, k.Epoch)
			}
		}
	}
	m.t.Logf("seed %d: %d copies, %d conflicts; %d rows delivered, %d set aside, %d refused for good", m.seed, m.clones, m.conflicts, delivered, aside, refused)
	if delivered == 0 {
		m.t.Errorf("seed %d: nothing was delivered", m.seed)
	}
}
