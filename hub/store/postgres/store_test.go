package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"checkpoint/hub/store"
	"checkpoint/hub/store/storetest"
	"checkpoint/internal/pgtest"
)

// server is one for all tests of this package; each has a database of its own.
var (
	server    *pgtest.Server
	serverErr error
	databases atomic.Int64
)

func TestMain(m *testing.M) {
	var stop func()
	// Without fsync: what is proven about durability is proven on servers of its own.
	server, stop, serverErr = pgtest.Launch(pgtest.Options{Settings: map[string]string{"deadlock_timeout": "200ms", "fsync": "off", "full_page_writes": "off"}})
	code := m.Run()
	if stop != nil {
		stop()
	}
	os.Exit(code)
}

// place is a database.
type place struct{ url string }

// fresh makes a database with its tables.
func fresh(tb testing.TB) storetest.Place { return database(tb) }

func database(tb testing.TB) place {
	tb.Helper()
	p := bare(tb)
	if err := Migrate(tb.Context(), p.url); err != nil {
		tb.Fatal(err)
	}
	return p
}

// bare makes a database without a table.
func bare(tb testing.TB) place {
	tb.Helper()
	if serverErr != nil {
		if os.IsNotExist(serverErr) && os.Getenv("CHECKPOINT_NO_SKIP") != "1" {
			tb.Skip("PostgreSQL is missing: install Debian's package postgresql")
		}
		tb.Fatal(serverErr)
	}
	name := fmt.Sprintf("t%d", databases.Add(1))
	if _, err := server.SQL(tb.Context(), "postgres", "CREATE DATABASE "+name); err != nil {
		tb.Fatal(err)
	}
	return place{server.URL(name)}
}

func (p place) Open(tb testing.TB) store.Store { return p.open(tb, Options{}) }

func (p place) open(tb testing.TB, o Options) *Store {
	tb.Helper()
	o.Now, o.unsafe = storetest.Now, true
	s, err := Open(tb.Context(), p.url, o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// Crash lets go of the connections.
func (p place) Crash(tb testing.TB, s store.Store) { s.(*Store).pool.Close() }

func (p place) TryOpen(ctx context.Context) (store.Store, error) {
	return Open(ctx, p.url, Options{Now: storetest.Now, unsafe: true})
}

func TestStore(t *testing.T) { storetest.Run(t, fresh) }

func is(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Fatalf("error %v, want %v", err, want)
	}
}
