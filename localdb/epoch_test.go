package localdb

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"checkpoint/record"
)

func TestEpochs(t *testing.T) {
	ctx := context.Background()
	for _, tc := range []struct {
		name  string
		begin func(t *testing.T, path string) (next string, o Options) // a closed file
		why   string                                                   // "": the epoch goes on
	}{
		{"the same board", func(t *testing.T, path string) (string, Options) { return path, testOptions() }, ""},
		{"another board", func(t *testing.T, path string) (string, Options) {
			o := testOptions()
			o.HardwareID = "board 2"
			return path, o
		}, "other hardware"},
		{"a board that cannot be told", func(t *testing.T, path string) (string, Options) {
			o := testOptions()
			o.HardwareID = ""
			return path, o
		}, ""},
		{"a copy from before the last rows", func(t *testing.T, path string) (string, Options) {
			old := copyAs(t, path)
			db := openAt(t, path, testOptions())
			mustAppend(t, db, plain(0))
			if err := db.Close(ctx, clockAt(0)); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(old)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, b, 0o600); err != nil { // put back in its place
				t.Fatal(err)
			}
			return path, testOptions()
		}, "older copy of the file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "gate.db")
			filled(t, path)
			db := openAt(t, path, testOptions())
			was := db.Identity()
			head, _ := db.Head()
			if err := db.Close(ctx, clockAt(0)); err != nil {
				t.Fatal(err)
			}
			path, o := tc.begin(t, path)
			db = openAt(t, path, o)
			is := db.Identity()
			if is.Device != was.Device {
				t.Error("the device changed")
			}
			if (is.Epoch != was.Epoch) != (tc.why != "") {
				t.Errorf("epoch %x, was %x", is.Epoch, was.Epoch)
			}
			mustVerify(t, db)
			if old, err := db.Row(ctx, head); err != nil || old.Identity != was {
				t.Errorf("an old row is now by %v, %v", old.Identity, err)
			}
			if tc.why == "" {
				return
			}
			first, err := db.Row(ctx, head+1)
			if err != nil {
				t.Fatal(err)
			}
			e, ok := first.Body.(record.Event)
			if !ok || first.Identity != is || e.Code != record.EventEpoch || e.Text != tc.why || e.Value != int64(head) {
				t.Errorf("first row of the epoch = %+v", first)
			}
			// And only once.
			if err := db.Close(ctx, clockAt(0)); err != nil {
				t.Fatal(err)
			}
			if again := openAt(t, path, o).Identity(); again != is {
				t.Error("the epoch changed again at the next start")
			}
		})
	}
}

// TestBoardLearntLater ties a file that was made without a hardware id to the
// first that is known.
func TestBoardLearntLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	var was record.Identity
	for i, step := range []struct {
		board string
		same  bool
	}{{"", true}, {"board 1", true}, {"board 1", true}, {"board 2", false}} {
		o := testOptions()
		o.HardwareID = step.board
		db := openAt(t, path, o)
		if i > 0 && (db.Identity() == was) != step.same {
			t.Errorf("step %d: same epoch = %v, want %v", i, !step.same, step.same)
		}
		was = db.Identity()
		if err := db.Close(context.Background(), clockAt(0)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNewEpochEndsSealers(t *testing.T) {
	ctx := context.Background()
	db := openNew(t)
	_, day := newDay(t)
	sealer, err := record.NewSealer(db.Identity(), day, clockAt(0))
	if err != nil {
		t.Fatal(err)
	}
	seal := func() record.Draft {
		d, err := sealer.Scan(clockAt(0), record.Scan{Verdict: 1, Reason: 1, Format: 1}, []byte{1})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	mustAppend(t, db, seal())
	if err := db.NewEpoch(ctx, clockAt(0), "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Append(ctx, seal()); !errors.Is(err, ErrIdentity) {
		t.Errorf("got %v, want ErrIdentity", err)
	}
	if sealer, err = record.NewSealer(db.Identity(), day, clockAt(0)); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, db, seal())
	mustVerify(t, db)
}

// TestTwoCopiesShow is what an upstream sees of a byte copy that goes on: the
// same device, epoch and number with another link.
func TestTwoCopiesShow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	filled(t, path)
	a, b := openAt(t, path, testOptions()), openAt(t, copyAs(t, path), testOptions())
	mustAppend(t, a, plain(time.Second))
	mustAppend(t, b, plain(2*time.Second))
	aSeq, aLink := a.Head()
	bSeq, bLink := b.Head()
	if a.Identity() != b.Identity() || aSeq != bSeq || aLink == bLink {
		t.Errorf("copies differ in nothing but their links: %v %v, %d %d, %x %x", a.Identity(), b.Identity(), aSeq, bSeq, aLink, bLink)
	}
}
