package main

import (
	"context"
	"crypto/hpke"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"checkpoint/hub/store"
	"checkpoint/record"
)

func newBenchCommand(a *app) *cobra.Command {
	var o benchOptions
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure how many rows a second a hub takes",
		Long: "Measure a hub with gates that are as real as the sealing, the signatures and the\n" +
			"TLS: a hub of its own in another process on a store of its own, and gates that\n" +
			"enrol, send segments of sealed rows, send some twice, and check every receipt.\n" +
			"Afterwards what was acknowledged is read back from the store and compared.\n" +
			"Beside it stands what the store alone takes.\n\n" +
			"Gates and hub share this machine's processors; the hub's own share is told\n" +
			"apart. PostgreSQL must be an empty database: the rows are nobody's, and stay.\n" +
			"At a hub elsewhere (--hub, --cert of a technician) the gates stay, too.",
		Example: `# Twenty seconds on SQLite
hub bench

# PostgreSQL, rows as small gates send them
hub bench --store @/etc/checkpoint-hub/bench-store --gates 200 --segment 10

# Does a row cost more in a store of five million?
hub bench --grow 5000000`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			ctx, stop := untilTold(c.Context())
			defer stop()
			if o.hub != "" {
				at, err := a.reachByNet(o.hub, o.cert)
				if err != nil {
					return err
				}
				return errors.Join(a.benchRemote(ctx, at, o), at.Close())
			}
			return a.bench(ctx, o)
		},
	}
	f := c.Flags()
	f.IntVar(&o.gates, "gates", 32, "how many gates send")
	f.IntVar(&o.rows, "rows", 0, "stop after so many rows; 0: after --seconds")
	f.IntVar(&o.segment, "segment", 50, "rows in a segment, 1 to 256")
	f.Float64Var(&o.resend, "resend", 0.05, "share of segments that are sent twice")
	f.IntVar(&o.seconds, "seconds", 20, "how long")
	f.StringVar(&o.store, "store", "sqlite", "the store: sqlite (in a temporary directory), postgres://USER@HOST/NAME, or @FILE with such an address")
	f.BoolVar(&o.storeOnly, "store-only", false, "the store alone, without hub and TLS")
	f.IntVar(&o.connections, "connections", 0, "how many gates send at the same moment; 0: all")
	f.IntVar(&o.grow, "grow", 0, "print what a row costs while the store grows to so many rows")
	f.StringVar(&o.hub, "hub", "", "a hub elsewhere, https://HOST:PORT; with --cert")
	f.StringVar(&o.cert, "cert", "", "certificate and key of a technician")
	return c
}

type benchOptions struct {
	gates, rows, segment, seconds, connections, grow int
	resend                                           float64
	store, hub, cert                                 string
	storeOnly                                        bool
}

func (o *benchOptions) check() error {
	switch {
	case o.gates < 1 || o.gates > 10_000:
		return usagef("--gates: want 1 to 10000")
	case o.segment < 1 || o.segment > record.MaxSegmentRows:
		return usagef("--segment: want 1 to %d rows", record.MaxSegmentRows)
	case !(o.resend >= 0 && o.resend <= 1):
		return usagef("--resend: want 0 to 1")
	case o.seconds < 1 || o.seconds > 24*3600:
		return usagef("--seconds: want 1 to 86400")
	case o.rows < 0 || o.grow < 0 || o.connections < 0:
		return usagef("--rows, --grow and --connections: want no less than 0")
	case (o.hub == "") != (o.cert == ""):
		return usagef("--hub and --cert go together")
	case o.hub != "" && (o.storeOnly || o.grow > 0):
		return usagef("--store-only and --grow are for a store of their own, not for a hub elsewhere")
	}
	if o.connections == 0 || o.connections > o.gates {
		o.connections = o.gates
	}
	return nil
}

// figures are what one run measured.
type figures struct {
	rows, segments, twice int
	wall                  time.Duration
	acks                  []time.Duration
	hub, own              time.Duration // processor time of the hub, and of this process
	wire, kept            int64         // bytes
	checked               string        // what reading back found
}

func (f figures) perRow(n float64) float64 {
	if f.rows == 0 {
		return 0
	}
	return n / float64(f.rows)
}

// bench measures on a store of its own.
func (a *app) bench(ctx context.Context, o benchOptions) error {
	cfg := defaultConfig()
	cfg.Store = o.store
	if _, err := cfg.storeAddress(); err != nil {
		return err
	}
	a.warnPassword(o.store)
	if o.grow > 0 {
		return a.inTemp(cfg, func(cfg config) error { return a.benchGrow(ctx, cfg, o) })
	}
	var net, alone figures
	kind := "SQLite"
	if cfg.postgres() {
		kind = "PostgreSQL"
	}
	if !o.storeOnly {
		fmt.Fprintf(a.err, "hub: %d gates enrol, then send for %d s\n", o.gates, o.seconds)
		err := a.inTemp(cfg, func(cfg config) (err error) {
			net, err = a.benchNet(ctx, cfg, o)
			return err
		})
		if err != nil {
			return err
		}
	}
	seconds := o.seconds
	if !o.storeOnly {
		seconds = max(1, seconds/4)
	}
	err := a.inTemp(cfg, func(cfg config) (err error) {
		alone, err = a.benchStore(ctx, cfg, o, time.Duration(seconds)*time.Second)
		return err
	})
	if err != nil {
		return err
	}
	return a.benchTable(kind, o, net, alone)
}

// inTemp does something in a directory that goes with it.
func (a *app) inTemp(cfg config, do func(config) error) (err error) {
	dir, err := os.MkdirTemp("", "checkpoint-hub-bench-")
	if err != nil {
		return faultf("%w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cfg.dir = dir
	return do(cfg)
}

func (a *app) benchTable(kind string, o benchOptions, net, alone figures) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s, %d gates, segments of %d rows\tover TLS\tstore alone\t\n", kind, o.gates, o.segment)
	line := func(what string, of func(figures) (string, bool)) {
		cells := []string{"-", "-"}
		for i, f := range []figures{net, alone} {
			if text, ok := of(f); ok && f.rows > 0 {
				cells[i] = text
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t\n", what, cells[0], cells[1])
	}
	line("rows a second", func(f figures) (string, bool) { return fmt.Sprintf("%.0f", float64(f.rows)/f.wall.Seconds()), true })
	for _, p := range []struct {
		name string
		at   float64
	}{{"p50", 0.50}, {"p99", 0.99}} {
		line("acknowledged (alone: committed) in, ms, "+p.name, func(f figures) (string, bool) {
			return fmt.Sprintf("%.1f", float64(quantile(f.acks, p.at))/1e6), len(f.acks) > 0
		})
	}
	micros := func(f figures, d time.Duration) (string, bool) {
		return fmt.Sprintf("%.2f", f.perRow(float64(d)/1e3)), d > 0
	}
	line("processor µs a row, hub", func(f figures) (string, bool) { return micros(f, f.hub) })
	line("processor µs a row, gates", func(f figures) (string, bool) { return micros(f, f.own) })
	line("bytes a row on the wire", func(f figures) (string, bool) {
		return fmt.Sprintf("%.1f", f.perRow(float64(f.wire))), f.wire > 0
	})
	line("bytes a row in the store", func(f figures) (string, bool) {
		return fmt.Sprintf("%.1f", f.perRow(float64(f.kept))), f.kept > 0
	})
	line("rows", func(f figures) (string, bool) { return fmt.Sprint(f.rows), true })
	line("segments", func(f figures) (string, bool) { return fmt.Sprint(f.segments), true })
	line("of them sent twice", func(f figures) (string, bool) { return fmt.Sprint(f.twice), f.twice > 0 })
	line("read back", func(f figures) (string, bool) { return f.checked, f.checked != "" })
	return w.Flush()
}

// quantile is the value below which a share of all lies; all are sorted.
func quantile(all []time.Duration, at float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return all[min(int(at*float64(len(all))), len(all)-1)]
}

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail with these arguments
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchDay is a day key whose private half nobody kept.
func benchDay(now time.Time) (record.DayKey, error) {
	key, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return record.DayKey{}, faultf("make a day key: %w", err)
	}
	return record.DayKey{Day: now.UTC().Format(time.DateOnly), Public: key.PublicKey().Bytes()}, nil
}

func (a *app) benchGates(n int) ([]*benchGate, error) {
	day, err := benchDay(a.now())
	if err != nil {
		return nil, err
	}
	gates := make([]*benchGate, n)
	for i := range gates {
		if gates[i], err = newBenchGate(i, day, a.now()); err != nil {
			return nil, faultf("make a gate: %w", err)
		}
	}
	return gates, nil
}

// storeBench is the store alone: batches as a hub commits them, made before
// the clock runs.
type storeBench struct {
	*app
	store   keeper
	gates   []*benchGate
	o       benchOptions
	workers int
	got     figures
}

// batchSegments is what a hub commits at once at most.
const batchSegments = 256

func (a *app) openStoreBench(ctx context.Context, cfg config, o benchOptions) (*storeBench, error) {
	s, err := a.newStore(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if o.storeOnly || o.grow > 0 { // else the rows of the run before are there
		if err := emptyStore(ctx, s); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	b := &storeBench{app: a, store: s, o: o, workers: 1}
	if cfg.postgres() {
		b.workers = committers
	}
	if b.gates, err = a.benchGates(o.gates); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return b, nil
}

// emptyStore refuses a store in which anybody's gates are.
func emptyStore(ctx context.Context, s keeper) error {
	gates, err := s.Gates(ctx, nil, "", 1)
	if err != nil {
		return faultf("bench: %w", err)
	}
	days, err := s.ListDays(ctx)
	if err != nil {
		return faultf("bench: %w", err)
	}
	if len(gates) > 0 || len(days) > 0 {
		return refusedf("bench: the store is not empty, and the rows of a bench are nobody's: give it an empty one")
	}
	return nil
}

// batch makes the next batch of one worker; workers have gates of their own, as
// a hub never commits one gate's segments out of order.
func (b *storeBench) batch(worker, segments int) ([]store.Incoming, error) {
	batch := make([]store.Incoming, 0, segments)
	for i := 0; len(batch) < segments; i++ {
		g := b.gates[(worker+i*b.workers)%len(b.gates)]
		if len(b.gates) < b.workers {
			g = b.gates[0]
		}
		s, cut, err := g.next(b.o.segment)
		if err != nil {
			return nil, err
		}
		in, err := incoming(s, cut, b.now())
		if err != nil {
			return nil, err
		}
		g.sent = append(g.sent, cut.SHA256)
		batch = append(batch, in)
	}
	return batch, nil
}

// round makes batches for all workers, then puts them while the clock runs.
func (b *storeBench) round(ctx context.Context, each int) error {
	workers := min(b.workers, len(b.gates))
	batches := make([][][]store.Incoming, workers)
	for w := range batches {
		for range each {
			batch, err := b.batch(w, batchSegments)
			if err != nil {
				return faultf("bench: %w", err)
			}
			batches[w] = append(batches[w], batch)
		}
	}
	failed := make(chan error, workers)
	took := make([][]time.Duration, workers)
	began, cpu := time.Now(), cpuTime()
	var all sync.WaitGroup
	for w := range batches {
		all.Go(func() {
			for _, batch := range batches[w] {
				start := time.Now()
				puts, err := b.store.Put(ctx, batch)
				took[w] = append(took[w], time.Since(start))
				for i := 0; err == nil && i < len(puts); i++ {
					if puts[i].Outcome != store.Stored {
						err = fmt.Errorf("a new segment was not stored: outcome %d", puts[i].Outcome)
					}
				}
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	b.got.wall += time.Since(began)
	b.got.hub += cpuTime() - cpu
	for _, t := range took {
		b.got.acks = append(b.got.acks, t...)
	}
	b.got.segments += workers * each * batchSegments
	b.got.rows = b.got.segments * b.o.segment
	select {
	case err := <-failed:
		return faultf("bench: %w", err)
	default:
		return nil
	}
}

// benchStore measures the store alone.
func (a *app) benchStore(ctx context.Context, cfg config, o benchOptions, long time.Duration) (f figures, err error) {
	b, err := a.openStoreBench(ctx, cfg, o)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, b.store.Close()) }()
	before, err := keptBytes(ctx, b.store, cfg)
	if err != nil {
		return f, err
	}
	for b.got.wall < long && (o.rows == 0 || b.got.rows < o.rows) {
		if err := ctx.Err(); err != nil {
			return f, refusedf("bench: it was stopped")
		}
		if err := b.round(ctx, 4); err != nil {
			return f, err
		}
	}
	f = b.got
	f.acks = sorted(f.acks)
	if f.checked, err = readBack(ctx, b.store, b.gates); err != nil {
		return f, err
	}
	f.kept, err = keptBytes(ctx, b.store, cfg)
	f.kept -= before
	return f, err
}

// benchGrow prints what a row costs while the store grows.
func (a *app) benchGrow(ctx context.Context, cfg config, o benchOptions) (err error) {
	b, err := a.openStoreBench(ctx, cfg, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.store.Close()) }()
	if _, err := fmt.Fprintf(a.out, "%12s  %12s  %16s  %14s\n", "rows", "rows/s", "processor µs/row", "commit p99 ms"); err != nil {
		return err
	}
	const steps = 12
	for n := 1; n <= steps; n++ {
		before := b.got
		b.got.acks = nil
		for b.got.rows < o.grow*n/steps {
			if ctx.Err() != nil {
				return refusedf("bench: it was stopped")
			}
			if err := b.round(ctx, 1); err != nil {
				return err
			}
		}
		rows, wall, cpu := b.got.rows-before.rows, b.got.wall-before.wall, b.got.hub-before.hub
		if rows == 0 {
			continue
		}
		_, err := fmt.Fprintf(a.out, "%12d  %12.0f  %16.2f  %14.1f\n", b.got.rows, float64(rows)/wall.Seconds(),
			float64(cpu)/1e3/float64(rows), float64(quantile(sorted(b.got.acks), 0.99))/1e6)
		if err != nil {
			return err
		}
	}
	return nil
}

// keptBytes is what the store takes: of SQLite its files, of PostgreSQL what it
// says of its partitions.
func keptBytes(ctx context.Context, s keeper, cfg config) (int64, error) {
	var size int64
	if cfg.postgres() {
		days, err := s.ListDays(ctx)
		for _, d := range days {
			size += d.Bytes
		}
		return size, err
	}
	err := filepath.WalkDir(cfg.path(dirData), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Ext(d.Name()) == ".lock" {
			return err
		}
		info, err := d.Info()
		if err == nil && !isWAL(d.Name()) {
			size += info.Size()
		}
		return err
	})
	return size, err
}

// isWAL reports whether a file is a write-ahead log, whose length tells nothing.
func isWAL(name string) bool {
	return len(name) > 4 && (name[len(name)-4:] == "-wal" || name[len(name)-4:] == "-shm")
}

// readBack compares what was acknowledged with what the store gives: every
// segment, by the SHA-256 of its bytes.
func readBack(ctx context.Context, s keeper, gates []*benchGate) (string, error) {
	byID := map[record.Identity]*benchGate{}
	acked := 0
	for _, g := range gates {
		byID[g.id] = g
		acked += len(g.sent)
	}
	days, err := s.ListDays(ctx)
	if err != nil {
		return "", faultf("read back: %w", err)
	}
	found := 0
	for _, day := range days {
		buckets, err := s.Buckets(ctx, day.ID, nil)
		if err != nil {
			return "", faultf("read back: %w", err)
		}
		for _, bucket := range buckets {
			for in, err := range s.Bucket(ctx, bucket) {
				if err != nil {
					return "", faultf("read back: %w", err)
				}
				b, err := record.JoinSegment(in.Plain, in.Sealed)
				if err != nil {
					return "", faultf("read back: %w", err)
				}
				g := byID[in.Identity]
				if g == nil || in.Number > uint64(len(g.sent)) {
					continue // stored, and its receipt did not come before the end
				}
				if record.SegmentDigest(b) != g.sent[in.Number-1] {
					return "", faultf("read back: segment %d of %s is stored with other bytes", in.Number, g.name)
				}
				found++
			}
		}
	}
	if found != acked {
		return "", faultf("read back: %d segments were acknowledged, and %d of them are in the store", acked, found)
	}
	return "all, byte for byte", nil
}
