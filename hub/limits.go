package hub

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits bound what clients can make a hub hold and do. A zero field takes the
// value beside it.
type Limits struct {
	Connections int // 8 192: further ones wait in the kernel's backlog

	InFlight    int           // 256: segments being read at once; more are answered 503
	PerGate     int           // 4: segments of one gate in flight; more are answered 429
	GateRate    rate.Limit    // 200 a second and gate: fourteen days of a busy gate in half a minute
	GateBurst   int           // 1 000
	Readers     int           // 2 a processor: segments unpacked and checked at once, 1 MiB each
	QueueSize   int           // 4 096 segments that wait for the store; more are answered 503
	QueueBytes  int64         // 64 MiB of them
	BatchSize   int           // 256 segments in one commit
	BatchBytes  int64         // 8 MiB in one commit
	Committers  int           // 1; a store that commits in parallel (PostgreSQL) takes more
	PutTimeout  time.Duration // 30 s
	StuckAfter  time.Duration // 15 s: the oldest waits longer than this: not ready
	StopTimeout time.Duration // 20 s for what was taken, when the hub stops
}

// The wire's limits: docs/formats.md, "Hub". They are part of the protocol and
// no setting.
const (
	maxBody    = 256 << 10 // bytes of a segment as sent (zstd)
	maxHeaders = 16 << 10
)

func (l Limits) filled() Limits {
	fill(&l.Connections, 8192)
	fill(&l.InFlight, 256)
	fill(&l.PerGate, 4)
	fill(&l.GateRate, 200)
	fill(&l.GateBurst, 1000)
	fill(&l.Readers, 2*runtime.GOMAXPROCS(0))
	fill(&l.QueueSize, 4096)
	fill(&l.QueueBytes, 64<<20)
	fill(&l.BatchSize, 256)
	fill(&l.BatchBytes, 8<<20)
	fill(&l.Committers, 1)
	fill(&l.PutTimeout, 30*time.Second)
	fill(&l.StuckAfter, 15*time.Second)
	fill(&l.StopTimeout, 20*time.Second)
	return l
}

func fill[T int | int64 | rate.Limit | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// turnstile lets each gate have a few segments in flight and a rate of its own,
// so that one gate that drains a fortnight does not stand before the others.
type turnstile struct {
	perGate int
	rate    rate.Limit
	burst   int

	mu    sync.Mutex
	gates map[[16]byte]*turn
}

type turn struct {
	inFlight int
	limiter  *rate.Limiter
	last     time.Time
}

// maxTurns is how many gates a turnstile remembers before it drops those that
// have been quiet so long that their burst is whole again.
const maxTurns = 1 << 14

func newTurnstile(l Limits) *turnstile {
	return &turnstile{perGate: l.PerGate, rate: l.GateRate, burst: l.GateBurst, gates: map[[16]byte]*turn{}}
}

// enter takes a turn of the gate; the caller leaves when ok. Else it is told
// how long to wait.
func (t *turnstile) enter(device [16]byte, now time.Time) (wait time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gates[device]
	if g == nil {
		if len(t.gates) >= maxTurns {
			t.sweep(now)
		}
		g = &turn{limiter: rate.NewLimiter(t.rate, t.burst)}
		t.gates[device] = g
	}
	g.last = now
	if g.inFlight >= t.perGate {
		return time.Second, false
	}
	if !g.limiter.AllowN(now, 1) {
		return time.Second, false
	}
	g.inFlight++
	return 0, true
}

func (t *turnstile) leave(device [16]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g := t.gates[device]; g != nil {
		g.inFlight--
	}
}

func (t *turnstile) sweep(now time.Time) {
	whole := time.Duration(float64(t.burst)/float64(t.rate)*float64(time.Second)) + time.Second
	for device, g := range t.gates {
		if g.inFlight == 0 && now.Sub(g.last) > whole {
			delete(t.gates, device)
		}
	}
}
