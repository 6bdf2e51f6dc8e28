package postgres

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"checkpoint/hub/store"
	"checkpoint/hub/store/sqlite"
	"checkpoint/hub/store/storetest"
	"checkpoint/internal/pgtest"
	"checkpoint/record"
)

// folder is a store of the other driver.
type folder struct{ dir string }

func (f folder) Open(tb testing.TB) store.Store {
	tb.Helper()
	s, err := sqlite.Open(tb.Context(), f.dir, sqlite.Options{Now: storetest.Now})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func (folder) Crash(testing.TB, store.Store) {}

// A dump goes from each driver to the other.
func TestCarry(t *testing.T) {
	fold := func() folder {
		f := folder{t.TempDir()}
		if err := sqlite.Migrate(t.Context(), f.dir); err != nil {
			t.Fatal(err)
		}
		return f
	}
	t.Run("to SQLite", func(t *testing.T) { storetest.Carry(t, database(t), fold()) })
	t.Run("from SQLite", func(t *testing.T) { storetest.Carry(t, fold(), database(t)) })
}

// Two hubs on one database put the same gates' segments at once, each all of
// them, in its own order: every segment is stored once, the hubs never wait for
// each other in a circle, and what one has stored is a repeat at the other.
func TestTwoHubs(t *testing.T) {
	p := database(t)
	hubs := []*Store{p.open(t, Options{}), p.open(t, Options{})}
	const gates, each = 12, 40
	streams := make([][]store.Incoming, gates)
	for g := range streams {
		w := storetest.NewWriter(uint64(g))
		w.Venue = fmt.Sprint("venue ", g%3)
		for i := range each {
			w.Day, w.Hour = fmt.Sprintf("2026-11-%02d", 20+i/10), storetest.Hour+int64(i/10)*24
			streams[g] = append(streams[g], w.Cut(20))
		}
	}
	var mu sync.Mutex
	count := map[record.SegmentKey][]store.Outcome{}
	var group sync.WaitGroup
	for h, s := range hubs {
		for worker := range 3 {
			group.Go(func() { // each worker of a hub has its own gates, in both hubs others
				for i := 0; i < each; i += 4 {
					var batch []store.Incoming
					for k := range gates {
						g := (k*(1+4*h) + h) % gates // another order
						if g%3 == worker {
							batch = append(batch, streams[g][i:i+4]...)
						}
					}
					puts, err := s.Put(context.Background(), batch)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for j, p := range puts {
						count[batch[j].SegmentKey] = append(count[batch[j].SegmentKey], p.Outcome)
					}
					mu.Unlock()
				}
			})
		}
	}
	group.Wait()
	if len(count) != gates*each {
		t.Errorf("%d segments", len(count))
	}
	for key, got := range count {
		if slices.Sort(got); !slices.Equal(got, []store.Outcome{store.Stored, store.Repeat}) {
			t.Errorf("segment %d of %x: %v", key.Number, key.Device[:2], got)
		}
	}
	deadlocks, err := server.SQL(t.Context(), "postgres", "SELECT sum(deadlocks) FROM pg_stat_database WHERE datname = '"+hubs[0].pool.Config().ConnConfig.Database+"'")
	if err != nil || deadlocks != "0" {
		t.Errorf("%s deadlocks, %v", deadlocks, err)
	}
	days, err := hubs[1].ListDays(t.Context())
	if err != nil || len(days) != 4 {
		t.Errorf("days %v, %v", days, err)
	}
	for _, d := range days {
		if d.Segments != gates*10 {
			t.Errorf("%+v", d)
		}
	}
	for _, s := range hubs {
		s.Close()
	}
}

// A day may be dropped while batches of it are on their way: each batch is
// stored before, or is told that the day is gone; nothing of it is left.
func TestDropOnTheWay(t *testing.T) {
	p := database(t)
	a, b := p.open(t, Options{}), p.open(t, Options{})
	defer a.Close()
	defer b.Close()
	var group sync.WaitGroup
	started := make(chan struct{}, 1000)
	for n := range uint64(4) {
		group.Go(func() {
			w := storetest.NewWriter(n)
			for gone := false; !gone; {
				puts, err := a.Put(context.Background(), []store.Incoming{w.Cut(20), w.Cut(20)})
				if err != nil {
					t.Error(err)
					return
				}
				gone = puts[0].Outcome == store.Destroyed
				if puts[1].Outcome != puts[0].Outcome {
					t.Errorf("half a batch: %+v", puts)
				}
				started <- struct{}{}
			}
		})
	}
	for range 20 {
		<-started
	}
	day := storetest.NewWriter(0).Day
	if err := b.DropDay(t.Context(), day, true, storetest.Now()); err != nil {
		t.Error(err)
	}
	group.Wait()
	for _, table := range []string{"segment", "hourly", "notable", "day_tally"} {
		var n int
		if err := a.pool.QueryRow(t.Context(), `SELECT count(*) FROM `+table+` WHERE day = $1`, day).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d rows in %s, %v", n, table, err)
		}
	}
	var there bool
	if err := a.pool.QueryRow(t.Context(), `SELECT to_regclass('segment_20261123') IS NOT NULL`).Scan(&there); err != nil || there {
		t.Errorf("the partition is there: %v, %v", there, err)
	}
}

// A day that began in the default partition stays there, though it is plausible
// by now.
func TestDayStaysWhereItBegan(t *testing.T) {
	p := database(t)
	long := Options{unsafe: true, Now: func() time.Time { return storetest.Now().AddDate(-1, 0, 0) }}
	s, err := Open(t.Context(), p.url, long)
	if err != nil {
		t.Fatal(err)
	}
	w := storetest.NewWriter(1)
	one := w.Cut(20)
	if _, err := s.Put(t.Context(), []store.Incoming{one}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = p.open(t, Options{})
	defer s.Close()
	puts, err := s.Put(t.Context(), []store.Incoming{one, w.Cut(20)})
	if err != nil || puts[0].Outcome != store.Repeat || puts[1].Outcome != store.Stored {
		t.Errorf("%+v, %v", puts, err)
	}
	var n int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM segment_default`).Scan(&n); err != nil || n != 2 {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestMigrate(t *testing.T) {
	p := bare(t)
	_, err := Open(t.Context(), p.url, Options{unsafe: true})
	is(t, err, store.ErrOlder)
	_, err = Open(t.Context(), p.url, Options{})
	if err == nil || err.Error() == "" {
		t.Error("a server that loses what it says it has was opened")
	}
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			if err := Migrate(context.Background(), p.url); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	s := p.open(t, Options{})
	if _, err := s.pool.Exec(t.Context(), `UPDATE checkpoint_schema SET version = 99`); err != nil {
		t.Fatal(err)
	}
	s.Close()
	_, err = Open(t.Context(), p.url, Options{unsafe: true})
	is(t, err, store.ErrNewer)
	is(t, Migrate(t.Context(), p.url), store.ErrNewer)
	_, err = Open(t.Context(), "postgres://127.0.0.1:1/none", Options{})
	is(t, err, store.ErrUnavailable)
	_, err = Open(t.Context(), "postgres://postgres@"+"127.0.0.1:1/none?sslmode=bad", Options{})
	if err == nil {
		t.Error("an address that is none was taken")
	}
}

// A key that no stream knows of, as after a load, is found.
func TestCareful(t *testing.T) {
	p := database(t)
	s := p.open(t, Options{})
	defer s.Close()
	w := storetest.NewWriter(1)
	one, two := w.Cut(20), w.Cut(20)
	if _, err := s.Put(t.Context(), []store.Incoming{one, two}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(t.Context(), `UPDATE stream SET number = 0, last = 0, head = '\x00000000000000000000000000000000'`); err != nil {
		t.Fatal(err)
	}
	other := two
	other.SHA256[0] ^= 1
	puts, err := s.Put(t.Context(), []store.Incoming{one, other, two, w.Cut(20)})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []store.Outcome{store.Stored, store.Conflict, store.Stored, store.Stored} {
		if puts[i].Outcome != want {
			t.Errorf("segment %d: %+v", i, puts[i])
		}
	}
	hours, err := s.Hourly(t.Context(), nil, storetest.Hour, storetest.Hour+1)
	if err != nil {
		t.Fatal(err)
	}
	var n uint64
	for _, h := range hours {
		n += h.N
	}
	if n != 60 {
		t.Errorf("%d rows are counted", n)
	}
}

// A server that is away is ErrUnavailable, and when it is back the store goes on.
func TestServerGoesAway(t *testing.T) {
	own := pgtest.Start(t, pgtest.Options{})
	if err := Migrate(t.Context(), own.URL("postgres")); err != nil {
		t.Fatal(err)
	}
	p := place{own.URL("postgres")}
	s := p.open(t, Options{})
	defer s.Close()
	w := storetest.NewWriter(1)
	one, two := w.Cut(20), w.Cut(20)
	if _, err := s.Put(t.Context(), []store.Incoming{one}); err != nil {
		t.Fatal(err)
	}
	own.Kill()
	_, err := s.Put(t.Context(), []store.Incoming{two})
	is(t, err, store.ErrUnavailable)
	is(t, s.Ready(t.Context()), store.ErrUnavailable)
	is(t, s.Record(t.Context(), store.Act{}), store.ErrUnavailable)
	if err := own.Run(); err != nil {
		t.Fatal(err)
	}
	puts, err := s.Put(t.Context(), []store.Incoming{one, two})
	if err != nil || puts[0].Outcome != store.Repeat || puts[1].Outcome != store.Stored {
		t.Errorf("%+v, %v", puts, err)
	}
}

// A commit whose wait for the standby was cancelled stands on the primary alone:
// the server says COMMIT, with a warning, and the store does not vouch for it.
func TestCancelledWaitIsNoReceipt(t *testing.T) {
	primary, second := standby(t)
	if err := Migrate(t.Context(), primary.URL("postgres")); err != nil {
		t.Fatal(err)
	}
	s := place{primary.URL("postgres")}.open(t, Options{})
	defer s.Close()
	w := storetest.NewWriter(1)
	if _, err := s.Put(t.Context(), []store.Incoming{w.Cut(20)}); err != nil {
		t.Fatal(err)
	}
	if err := second.Freeze(); err != nil {
		t.Fatal(err)
	}
	in := w.Cut(20)
	answer := make(chan error, 1)
	go func() {
		_, err := s.Put(context.Background(), []store.Incoming{in})
		answer <- err
	}()
	for range 400 {
		n, err := primary.SQL(t.Context(), "postgres", "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'checkpoint-hub'")
		if err != nil {
			t.Fatal(err)
		}
		if n != "0" {
			break
		}
		time.Sleep(10 * time.Millisecond) // the server tells nobody
	}
	is(t, <-answer, store.ErrUnavailable)
	if err := second.Thaw(); err != nil {
		t.Fatal(err)
	}
	puts, err := s.Put(t.Context(), []store.Incoming{in})
	if err != nil || puts[0].Outcome != store.Repeat {
		t.Errorf("%+v, %v", puts, err)
	}
}

// The primary is killed under load and its standby promoted: every segment that
// was acknowledged is there. The control acknowledges what only the primary's
// memory has: it must lose some, or this test could not see a loss.
//
//	CHECKPOINT_KILLS=20 go test -run TestPromoted -v ./hub/store/postgres
func TestPromoted(t *testing.T) {
	rounds := 1
	if text := os.Getenv("CHECKPOINT_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("CHECKPOINT_KILLS=%q is not a count", text)
		}
		rounds = n
	}
	acks := 0
	for round := range rounds {
		acked, lost := promote(t, uint64(round), false)
		if lost != 0 {
			t.Errorf("round %d: %d of %d acknowledged segments are lost", round, lost, acked)
		}
		acks += acked
	}
	acked, lost := promote(t, 99, true)
	if lost == 0 {
		t.Errorf("the control lost none of %d", acked)
	}
	t.Logf("%d promotions: 0 of %d acknowledged segments lost; the control lost %d of %d", rounds, acks, lost, acked)
}

func promote(t *testing.T, round uint64, control bool) (acked, lost int) {
	t.Helper()
	primary, second := standby(t)
	if err := Migrate(t.Context(), primary.URL("postgres")); err != nil {
		t.Fatal(err)
	}
	if control {
		if _, err := primary.SQL(t.Context(), "postgres", "ALTER DATABASE postgres SET synchronous_commit = off"); err != nil {
			t.Fatal(err)
		}
	}
	s := place{primary.URL("postgres")}.open(t, Options{})
	var mu sync.Mutex
	shas := map[[32]byte]bool{}
	enough := make(chan struct{})
	var once sync.Once
	want := 200 + int(round%7)*37
	var group sync.WaitGroup
	for n := range uint64(3) {
		group.Go(func() {
			w := storetest.NewWriter(round*10 + n)
			for {
				batch := []store.Incoming{w.Cut(20), w.Cut(20)}
				puts, err := s.Put(context.Background(), batch)
				if err != nil {
					return // the primary is gone
				}
				mu.Lock()
				for i, p := range puts {
					if p.Outcome == store.Stored {
						shas[batch[i].SHA256] = true
					}
				}
				if len(shas) >= want {
					once.Do(func() { close(enough) })
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	primary.Kill()
	group.Wait()
	s.Close()
	if err := second.Promote(); err != nil {
		t.Fatal(err)
	}
	// The one that is left waits for nobody.
	if _, err := second.SQL(t.Context(), "postgres", "ALTER SYSTEM RESET synchronous_standby_names"); err != nil {
		t.Fatal(err)
	}
	if _, err := second.SQL(t.Context(), "postgres", "SELECT pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
	after := place{second.URL("postgres")}.open(t, Options{})
	defer after.Close()
	have := map[[32]byte]bool{}
	w := storetest.NewWriter(0)
	for in, err := range after.Bucket(t.Context(), store.Bucket{Day: w.Day, Venue: w.Venue, Hour: w.Hour}) {
		if err != nil {
			t.Fatal(err)
		}
		have[in.SHA256] = true
	}
	for sha := range maps.Keys(shas) {
		if !have[sha] {
			lost++
		}
	}
	return len(shas), lost
}
