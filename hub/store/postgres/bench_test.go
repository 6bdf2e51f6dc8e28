package postgres

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"checkpoint/hub/store"
	"checkpoint/hub/store/storetest"
	"checkpoint/internal/pgtest"
)

// standby starts a primary with a synchronous standby.
func standby(tb testing.TB) (primary, second *pgtest.Server) {
	tb.Helper()
	primary = pgtest.Start(tb, pgtest.Options{Settings: map[string]string{"wal_level": "replica", "max_wal_senders": "5", "hot_standby": "on"}})
	second = pgtest.Start(tb, pgtest.Options{Of: primary, Settings: map[string]string{"hot_standby": "on"}})
	if _, err := primary.SQL(tb.Context(), "postgres", "ALTER SYSTEM SET synchronous_standby_names = 'standby'"); err != nil {
		tb.Fatal(err)
	}
	if _, err := primary.SQL(tb.Context(), "postgres", "SELECT pg_reload_conf()"); err != nil {
		tb.Fatal(err)
	}
	for range 200 {
		state, err := primary.SQL(tb.Context(), "postgres", "SELECT coalesce(max(sync_state), '') FROM pg_stat_replication")
		if err != nil {
			tb.Fatal(err)
		}
		if state == "sync" {
			return primary, second
		}
		time.Sleep(50 * time.Millisecond) // the server tells nobody
	}
	tb.Fatalf("the standby does not stream:\n%s", second.Log())
	return nil, nil
}

// The floor is 0.8 of a plain insert of the same segments, with a synchronous
// standby; batches of both are put in turns:
//
//	go test ./hub/store/postgres -run - -bench Put -benchtime 100x
func BenchmarkPut(b *testing.B) {
	primary, _ := standby(b)
	for _, rows := range []int{30, 50} {
		b.Run(fmt.Sprintf("%d rows", rows), func(b *testing.B) { compare(b, primary, rows) })
	}
}

func compare(b *testing.B, server *pgtest.Server, rows int) {
	name := fmt.Sprintf("b%d_%d", rows, b.N)
	if _, err := server.SQL(b.Context(), "postgres", "CREATE DATABASE "+name); err != nil {
		b.Fatal(err)
	}
	p := place{server.URL(name)}
	if err := Migrate(b.Context(), p.url); err != nil {
		b.Fatal(err)
	}
	s := p.open(b, Options{})
	defer s.Close()
	_, err := s.pool.Exec(b.Context(), `CREATE TABLE simple (LIKE segment INCLUDING ALL)`)
	if err != nil {
		b.Fatal(err)
	}
	l, same := storetest.NewLoad(rows), storetest.NewLoad(rows) // the same segments for both
	var ours, simple time.Duration
	put := func() {
		batch := l.Batch(storetest.BatchSize)
		began := time.Now()
		if _, err := s.Put(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(began)
	}
	insert := func() {
		batch := same.Batch(storetest.BatchSize)
		began := time.Now()
		if err := insertSimple(b, s, batch); err != nil {
			b.Fatal(err)
		}
		simple += time.Since(began)
	}
	for range 8 { // days, streams and plans are made
		put()
		insert()
	}
	ours, simple = 0, 0
	for i := range b.N {
		if i%2 == 0 {
			put()
			insert()
		} else {
			insert()
			put()
		}
	}
	n := float64(b.N * storetest.BatchSize * rows)
	b.ReportMetric(n/ours.Seconds(), "rows/s")
	b.ReportMetric(n/simple.Seconds(), "plain-rows/s")
	b.ReportMetric(simple.Seconds()/ours.Seconds(), "ratio")
	b.ReportMetric(0, "ns/op")
}

// insertSimple is what the store is compared with: one statement of many rows
// into a table like the store's, without what is kept beside it.
func insertSimple(b *testing.B, s *Store, batch []store.Incoming) error {
	var rows []string
	var args []any
	for i := range batch {
		in := &batch[i]
		values := []any{in.Hour, int64(in.Number), int64(in.First), int64(in.Last), in.ReceivedMS, in.OffsetMS, int32(in.Flags), int16(in.Way), in.Context != nil,
			in.Day, in.Venue, in.Device[:], in.Epoch[:], in.ContextID[:], in.Before[:], in.Head[:], in.SHA256[:], in.Plain, in.Sealed}
		var marks []string
		for range values {
			marks = append(marks, "$"+strconv.Itoa(len(args)+len(marks)+1))
		}
		rows, args = append(rows, "("+strings.Join(marks, ", ")+")"), append(args, values...)
	}
	_, err := s.pool.Exec(b.Context(), `INSERT INTO simple VALUES `+strings.Join(rows, ", "), args...)
	return err
}
