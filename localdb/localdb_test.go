package localdb

import (
	"context"
	"crypto/hpke"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"checkpoint/record"
)

// noon is when the tests' gates begin.
const noon = int64(1_795_435_200_000) // 2026-11-23T12:00:00Z

// clockAt is a stamp some time after noon, in a boot that began at noon.
func clockAt(after time.Duration) record.Stamp {
	ms := after.Milliseconds()
	return record.Stamp{WallMS: noon + ms, Quality: 3, Boot: [16]byte{1}, MonoMS: 1_000_000 + uint64(ms)}
}

func testOptions() Options {
	return Options{Now: func() record.Stamp { return clockAt(0) }, HardwareID: "board 1"}
}

// openAt opens a file and closes it at the end of the test.
func openAt(t testing.TB, path string, o Options) *DB {
	t.Helper()
	db, err := Open(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(context.Background(), clockAt(time.Hour)); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return db
}

func openNew(t testing.TB) *DB {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "gate.db"), testOptions())
}

func mustAppend(t testing.TB, db *DB, drafts ...record.Draft) uint64 {
	t.Helper()
	seq, err := db.Append(context.Background(), drafts...)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func mustVerify(t testing.TB, db *DB) Chain {
	t.Helper()
	c, err := db.VerifyChain(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// plain is a scan row with nothing about a person.
func plain(after time.Duration) record.Draft {
	return record.Draft{Stamp: clockAt(after), Body: record.Scan{Verdict: 1, Reason: 1, Format: 1, Issuer: "CN-420100", Trust: 7}}
}

func newDay(t testing.TB) (private []byte, day record.DayKey) {
	t.Helper()
	key, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	private, err = key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return private, record.DayKey{Day: "2026-11-23", Public: key.PublicKey().Bytes()}
}

func TestAppendAndRead(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	private, day := newDay(t)
	sealer, err := record.NewSealer(db.Identity(), day, clockAt(0))
	if err != nil {
		t.Fatal(err)
	}
	subject := make([]byte, record.SubjectNative)
	subject[0] = 9
	sealed, err := sealer.Scan(clockAt(time.Second), record.Scan{Verdict: 6, Reason: 91, Format: 1, Issuer: "CN-420100", Trust: 7}, subject)
	if err != nil {
		t.Fatal(err)
	}
	first := mustAppend(t, db, sealed, plain(2*time.Second))
	mustAppend(t, db,
		record.Draft{Stamp: clockAt(3 * time.Second), Body: record.Choice{To: first, Choice: 4}},
		record.Draft{Stamp: clockAt(4 * time.Second), Body: record.Void{To: first + 1}},
		record.Draft{Stamp: clockAt(5 * time.Second), Body: record.Manual{Class: 2, Allowed: true}},
		record.Draft{Stamp: clockAt(6 * time.Second), Body: record.Event{Code: record.EventStarted, Text: "v1"}})
	if err := db.Close(ctx, clockAt(7*time.Second)); err != nil {
		t.Fatal(err)
	}

	db = openAt(t, path, testOptions())
	c := mustVerify(t, db)
	if c.First != 1 || c.Last != first+5 {
		t.Errorf("chain covers %d to %d, want 1 to %d", c.First, c.Last, first+5)
	}
	row, err := db.Row(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	if row.Identity != db.Identity() || row.WallMS != clockAt(time.Second).WallMS || row.MonoMS != clockAt(time.Second).MonoMS {
		t.Errorf("row read back with another identity or time: %+v", row)
	}
	context_, err := db.Context(ctx, row.Body.(record.Scan).Sealed.Context)
	if err != nil {
		t.Fatal(err)
	}
	opener, err := record.NewOpener(private, context_)
	if err != nil {
		t.Fatal(err)
	}
	got, err := opener.Open(row)
	if err != nil || string(got) != string(subject) {
		t.Errorf("opened %x, %v, want %x", got, err, subject)
	}
}
