package gate

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"checkpoint/camera"
	"checkpoint/gate/wedge"
	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/trust"
	"checkpoint/verify"
)

// Pictures is where frames come from. A lost device is camera.ErrLost, once,
// and Next called again waits until it is back; camera.ErrEnd ends it.
type Pictures interface {
	Next(context.Context) (camera.Frame, error)
}

// Texts is where code texts come from: hand scanners, pasted lines.
type Texts interface {
	Next(context.Context) (wedge.Text, error)
}

// Checker judges a text. It is pure; *verify.Verifier is one.
type Checker interface {
	Check(text []byte, at verify.Instant) verify.Verdict
}

// Trust is what holds now: a checker, and the snapshot that it was made of.
type Trust struct {
	Checker  Checker
	Snapshot *trust.Snapshot // nil: nothing is installed

	// Where the gate stands, when an upstream has moved it: then the checker goes
	// by this kind of place. "": as before.
	Name, Venue, VenueType string
}

// Line is how the way upstream is.
type Line struct {
	Enrolled     bool // false: a gate alone
	Online       bool
	OfflineSince time.Time // zero: never was online since the start
	Problem      string    // what the technician should know, in one line; "" nothing
	Revoked      bool      // the hub takes no more of this gate: it scans on and calls the technician
	Word         string    // six digits for the technician to compare, while the gate is pending
}

// Ledger is where rows go; *localdb.DB is one.
type Ledger interface {
	Identity() record.Identity
	Append(context.Context, ...record.Draft) (first uint64, err error)
	Count(at record.Stamp, verdict, reason uint8)
	Unrecorded() error
	LastScan(ctx context.Context, at record.Stamp, within time.Duration) (localdb.LastScan, bool, error)
	Counts(ctx context.Context, from, to time.Time) ([]localdb.HourCount, error)
	Status(at record.Stamp) (localdb.Status, error)
	Tick(ctx context.Context, at record.Stamp) error
	RaiseFloor(ctx context.Context, floorMS int64) error
	LowerFloor(ctx context.Context, at record.Stamp) error
	Purge(ctx context.Context, at record.Stamp) (int, error)
	Checkpoint(ctx context.Context) error
}

// Signal tells people without a screen: sound, lamp, relay. It returns at once.
type Signal interface {
	Play(verify.Name) // a verdict is out; it replaces the one before
	Stop()            // the card left
}

// Config is a gate. Clock, Ledger, Trust.Checker, Boot and one source are
// required.
type Config struct {
	Name      string // of the gate
	Venue     string // where it stands
	VenueType string // what the policy goes by
	DB        string // for the start event
	Version   string
	Source    string
	Tests     []SelfTest

	Pictures []Pictures
	Texts    []Texts
	Clock    *Clock
	Boot     Boot
	Ledger   Ledger
	Trust    Trust
	Signal   Signal // nil: silent
	PIN      PIN    // zero: no PIN was set, settings are open

	Latch   time.Duration // > 0: without a guard, cards that leave by key leave after this
	Views   bool          // make pictures for the viewfinder
	AtEnd   bool          // stop when all sources have ended
	Replay  bool          // pictures are files, each shown once: they wait for the gate
	Zone    *time.Location
	Log     *slog.Logger
	Answers func(presentation uint64, leaves Leaves) // a thing held up got its card; for drawn cameras

	// NewTrust is asked about once a second, from a goroutine that may wait, and
	// gives trust that was checked and installed since it was last asked. nil:
	// what holds at the start holds to the end.
	NewTrust func(context.Context) (Trust, bool)

	// Line is asked once a second how the way upstream is. nil: a gate alone.
	Line func() Line
}

// Boot names this boot and counts monotonic time in it.
type Boot struct {
	ID    [16]byte
	Since time.Time // a time with a monotonic reading, at which Mono had passed
	Mono  time.Duration
}

// Stamp is the stamp of a row made at the guarded time at, when the monotonic
// clock read mono.
func (b Boot) Stamp(at verify.Instant, mono time.Time) record.Stamp {
	return record.Stamp{
		WallMS: at.Time.UnixMilli(), Quality: uint8(at.Quality), Boot: b.ID,
		MonoMS: uint64(max(0, b.Mono+mono.Sub(b.Since)) / time.Millisecond),
	}
}

// Gate is one checkpoint: it looks, judges, records, then tells. Run it once;
// its methods may be called from any goroutine while it runs.
type Gate struct {
	cfg    Config
	events chan Event
	views  chan View
	looks  chan look // frames: the next one comes anyway
	texts  chan look // typed and scanned texts, files: each comes once, and waits
	asks   chan func()
	wrote  chan written
	upkeep chan keep
	done   chan struct{}

	// All below belongs to the goroutine of Run.
	ctx   context.Context
	trust Trust
	mem   *memory
	seals *record.Sealer // of the running day; nil: none yet
	card  card
	last  struct { // the newest scan with a row, for voiding
		seq uint64
		id  string
	}
	cards   uint64
	leaving *time.Timer
	pending *pending
	notes   []record.Draft
	noted   map[note]time.Time
	state   State
	pace    struct {
		since  time.Time
		frames uint64
	}
	hint     Coached
	coached  Coached
	broke    error          // sources that ended by a fault
	eyes     int            // sources that have not ended
	lost     map[int]string // sources that are away, and why
	faults   faults
	attempts lock
	ended    Ended
	people   people
	answered time.Time // when the last card that waits for a key left
	shift    Counts
	day      string
}

// faults are what went wrong inside and was survived.
type faults struct{ scanner, checker uint64 }

// New makes a gate of a configuration.
func New(cfg Config) (*Gate, error) {
	switch {
	case cfg.Clock == nil || cfg.Ledger == nil || cfg.Trust.Checker == nil || cfg.Boot.Since.IsZero():
		return nil, errors.New("a gate needs a clock, a ledger and a checker")
	case len(cfg.Pictures)+len(cfg.Texts) == 0:
		return nil, errors.New("a gate needs a source of pictures or texts")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Zone == nil {
		cfg.Zone = time.Local
	}
	if cfg.Signal == nil {
		cfg.Signal = silence{}
	}
	g := &Gate{
		cfg:    cfg,
		events: make(chan Event, 256), views: make(chan View, 1),
		looks: make(chan look), texts: make(chan look), asks: make(chan func()), wrote: make(chan written, 1),
		upkeep: make(chan keep), done: make(chan struct{}),
		trust: cfg.Trust, noted: map[note]time.Time{},
		lost: map[int]string{},
	}
	g.mem = newMemory(time.Now())
	return g, nil
}

type silence struct{}

func (silence) Play(verify.Name) {}
func (silence) Stop()            {}

// Events are what the gate says, in order. The channel is closed after Ended.
// Who runs a gate must read it: verdicts are never dropped.
func (g *Gate) Events() <-chan Event { return g.events }

// Views are pictures for the viewfinder, only ever the newest.
func (g *Gate) Views() <-chan View { return g.views }

// Run runs the gate until the context ends, or, with AtEnd, all sources have
// shown what they have. It returns when every goroutine it began has ended; its
// error is why sources ended before they had shown all.
func (g *Gate) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	g.ctx = ctx
	defer close(g.done)
	g.begin()

	var all sync.WaitGroup
	g.eyes = len(g.cfg.Pictures) + len(g.cfg.Texts)
	for i, p := range g.cfg.Pictures {
		all.Go(func() { g.watch(ctx, i, p) })
	}
	for i, t := range g.cfg.Texts {
		all.Go(func() { g.listen(ctx, len(g.cfg.Pictures)+i, t) })
	}
	all.Go(func() { g.housekeep(ctx) })

	g.loop(ctx)
	stop()
	drained := make(chan struct{})
	go func() { all.Wait(); close(drained) }()
	for waiting := true; waiting; {
		select {
		case <-g.looks:
		case <-g.texts:
		case <-g.upkeep:
		case <-drained:
			waiting = false
		}
	}
	g.end()
	return g.broke
}

func (g *Gate) loop(ctx context.Context) {
	beat := time.NewTicker(time.Second)
	defer beat.Stop()
	for g.eyes > 0 || !g.cfg.AtEnd || g.pending != nil || g.card.waits() && g.cfg.Latch > 0 {
		asks, texts := g.asks, g.texts
		var late <-chan time.Time
		if g.card.waits() && g.cfg.Latch > 0 {
			texts = nil // nobody is there to scan it again
		}
		if g.pending != nil {
			asks, texts, late = nil, nil, g.pending.late.C // one row at a time
		}
		select {
		case l := <-g.looks:
			g.look(l)
		case l := <-texts:
			g.look(l)
		case do := <-asks:
			do()
		case w := <-g.wrote:
			g.finish(w)
		case <-late:
			g.pending.tooLong()
		case <-g.leaving.C:
			g.clear()
		case k := <-g.upkeep:
			g.keep(k)
		case <-beat.C:
			g.beat()
		case <-ctx.Done():
			return
		}
		g.flush()
	}
}

// tell says an event that must not be lost.
func (g *Gate) tell(e Event) { g.events <- e }

// mention says an event that the next one of its kind makes old.
func (g *Gate) mention(e Event) bool {
	if len(g.events) > cap(g.events)/2 {
		return false
	}
	g.events <- e
	return true
}

func (g *Gate) now() (verify.Instant, record.Stamp, time.Time) {
	at, mono := g.cfg.Clock.read()
	return at, g.cfg.Boot.Stamp(at, mono), mono
}

func (g *Gate) policy(at verify.Instant) trust.Policy {
	return g.trust.Snapshot.PolicyAt(g.cfg.VenueType, at.Time)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
