package sqlite

import (
	"context"
	"errors"
	"testing"

	"checkpoint/hub/store"
	"checkpoint/hub/store/storetest"
)

// place is a folder.
type place struct{ dir string }

func fresh(tb testing.TB) storetest.Place {
	p := place{tb.TempDir()}
	if err := Migrate(tb.Context(), p.dir); err != nil {
		tb.Fatal(err)
	}
	return p
}

func (p place) Open(tb testing.TB) store.Store { return p.open(tb, Options{OpenDays: 2}) }

func (p place) open(tb testing.TB, o Options) *Store {
	tb.Helper()
	o.Now = storetest.Now
	s, err := Open(tb.Context(), p.dir, o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// Crash lets go of the files without an orderly end, as far as one process can.
func (p place) Crash(tb testing.TB, s store.Store) {
	tb.Helper()
	if err := s.(*Store).release(); err != nil {
		tb.Fatal(err)
	}
}

func (p place) TryOpen(ctx context.Context) (store.Store, error) {
	return Open(ctx, p.dir, Options{Now: storetest.Now})
}

func TestStore(t *testing.T) { storetest.Run(t, fresh) }

func is(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Fatalf("error %v, want %v", err, want)
	}
}
