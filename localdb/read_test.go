package localdb

import (
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"checkpoint/record"
)

var update = flag.Bool("update", false, "write the fixture of this version anew")

// TestReadersDoNotHoldWritersBack has more readers in the middle of the file
// than there are connections, while rows, counts and ticks go on.
func TestReadersDoNotHoldWritersBack(t *testing.T) {
	ctx := context.Background()
	db := openNew(t)
	mustAppend(t, db, many(3000)...)
	head, _ := db.Head()
	const readers = 12
	reached, goOn, seen := make(chan bool), make(chan bool), make(chan uint64, readers)
	for range readers {
		go func() {
			last := uint64(0)
			for row, err := range db.Rows(ctx, 1) {
				if err != nil {
					t.Error(err)
					break
				}
				if last = row.Seq; last == 1500 {
					reached <- true
					<-goOn
				}
			}
			seen <- last
		}()
	}
	for range readers {
		<-reached
	}
	mustAppend(t, db, plain(time.Minute))
	db.Count(clockAt(time.Minute), 7, 51)
	mustTick(t, db, time.Minute)
	mustTick(t, db, 2*time.Hour)
	if got := sums(t, db); got[1] != 3001 || got[7] != 1 {
		t.Errorf("counts = %v", got)
	}
	if err := db.Checkpoint(ctx); err != nil {
		t.Errorf("readers that are between two reads keep the log from being emptied: %v", err)
	}
	close(goOn)
	for range readers {
		if last := <-seen; last != head {
			t.Errorf("a reader ended at row %d, want %d", last, head)
		}
	}
}

func TestCheckpointDoesNotWaitForReaders(t *testing.T) {
	ctx := context.Background()
	o := testOptions()
	o.Retention = time.Hour
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, o)
	mustTick(t, db, 0)
	mustAppend(t, db, many(210)...)
	tx, err := db.reader().Begin()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow("SELECT count(*) FROM row").Scan(&n); err != nil { // holds the log from here
		t.Fatal(err)
	}
	mustAppend(t, db, many(10)...)
	if err := db.Checkpoint(ctx); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	if gone, err := db.Purge(ctx, clockAt(2*time.Hour)); gone != 200 || err != nil {
		t.Fatalf("purged %d, %v", gone, err)
	}
	if err := db.Checkpoint(ctx); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	// What was purged is owed: a Tick cuts the log.
	mustTick(t, db, time.Minute)
	if size := fileSize(path + "-wal"); size != 0 {
		t.Errorf("the log still holds %d bytes", size)
	}
	mustVerify(t, db)
}

// TestOpensEveryPastVersion opens the stored files of all versions that ever
// were, and proves their chains.
func TestOpensEveryPastVersion(t *testing.T) {
	if *update {
		writeFixture(t, filepath.Join("testdata", fmt.Sprintf("v%d.db.gz", newestForm)))
	}
	files, err := filepath.Glob(filepath.Join("testdata", "v*.db.gz"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			db := openAt(t, fixture(t, file), testOptions())
			c := mustVerify(t, db)
			kinds := make(map[record.Kind]bool)
			sealed := false
			for row, err := range db.Rows(context.Background(), 1) {
				if err != nil {
					t.Fatal(err)
				}
				kinds[row.Body.Kind()] = true
				if scan, ok := row.Body.(record.Scan); ok && len(scan.Sealed.Box) > 0 {
					sealed = true
					if _, err := db.Context(context.Background(), scan.Sealed.Context); err != nil {
						t.Error(err)
					}
				}
			}
			trust, err := db.Trust(context.Background())
			if len(kinds) != 6 || !sealed || c.Last < 100 || err != nil || len(trust) != 1 || db.Clock().AnchorMS < noon {
				t.Errorf("kinds %v, sealed %v, %d rows, trust %v, %v, clock %+v", kinds, sealed, c.Last, trust, err, db.Clock())
			}
			mustAppend(t, db, plain(time.Hour))
			mustVerify(t, db)
		})
	}
}

// TestOpensWhatWasCutBefore: segments that an earlier program cut have the same
// bytes still, and what else came with the second form is read.
func TestOpensWhatWasCutBefore(t *testing.T) {
	ctx := context.Background()
	db := openAt(t, fixture(t, filepath.Join("testdata", "v2.db.gz")), testOptions())
	cuts := openCuts(t, db)
	if len(cuts) != 2 { // one waits, one was set aside
		t.Fatalf("%d segments", len(cuts))
	}
	for _, c := range cuts {
		parsed(t, c) // and Cuts has compared them with what was signed
	}
	s, err := db.Status(clockAt(0))
	if err != nil || !s.Enrolled || s.Poison != 1 || s.Refused != 1 {
		t.Errorf("status = %+v, %v", s, err)
	}
	e, ok, err := db.Enrolment(ctx)
	if err != nil || !ok || fmt.Sprint(e) != fmt.Sprint(testEnrolment("south")) {
		t.Errorf("enrolment %+v, %v, %v", e, ok, err)
	}
	all := mustRepositories(t, db)
	if len(all) != 2 || !sameRepository(all[0], generationOf(2, 1000)) || !sameRepository(all[1], generationOf(1, 1000)) {
		t.Errorf("%d generations of trust, or not those that were installed", len(all))
	}
	if c := mustVerify(t, db); c.Erased != 2 {
		t.Errorf("chain %+v, want 2 erased", c)
	}
	settleAll(t, db)
}

// TestPeekAtAnOlderForm: one looks into a file without bringing it up to date.
func TestPeekAtAnOlderForm(t *testing.T) {
	path := fixture(t, filepath.Join("testdata", "v1.db.gz"))
	p := mustPeek(t, path)
	if p.Last < 100 || p.Waiting != p.Last || p.Enrolment != nil || p.Identity == (record.Identity{}) || len(p.Trust) != 1 {
		t.Errorf("%d rows, %d waiting, enrolment %v, %d snapshots", p.Last, p.Waiting, p.Enrolment, len(p.Trust))
	}
	if all, err := PeekRepositories(context.Background(), path); len(all) != 0 || err != nil {
		t.Errorf("%d generations of trust, %v", len(all), err)
	}
	if files, err := migrations.ReadDir("migrations"); err != nil || len(files) != newestForm {
		t.Errorf("%d migrations make form %d, %v", len(files), newestForm, err)
	}
}

// fixture unpacks a stored file.
func fixture(t *testing.T, file string) (path string) {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "gate.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// writeFixture writes a file that holds something of everything.
func writeFixture(t *testing.T, to string) {
	t.Helper()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	_, day := newDay(t)
	sealer, err := record.NewSealer(db.Identity(), day, clockAt(0))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := sealer.Scan(clockAt(0), record.Scan{Verdict: 6, Reason: 91, Format: 1, Issuer: "CN-420100", Trust: 41}, []byte{1})
	if err != nil {
		t.Fatal(err)
	}
	seq := mustAppend(t, db, sealed)
	mustAppend(t, db, many(120)...)
	mustAppend(t, db,
		record.Draft{Stamp: clockAt(0), Body: record.Choice{To: seq, Choice: 4}},
		record.Draft{Stamp: clockAt(0), Body: record.Void{To: seq}},
		record.Draft{Stamp: clockAt(0), Body: record.Manual{Class: 1}})
	db.Count(clockAt(0), 7, 51)
	for _, err := range []error{
		db.RaiseAnchor(ctx, clockAt(0), noon),
		db.InstallTrust(ctx, clockAt(0), Trust{Version: 41, KeyID: "k", Bytes: []byte("trust")}),
		db.InstallRepository(ctx, clockAt(0), generationOf(1, 1000)),
		db.InstallRepository(ctx, clockAt(0), generationOf(2, 1000)),
		writeOutbox(t, db),
		db.Close(ctx, clockAt(time.Minute)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	z, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
}

// writeOutbox leaves a segment in each state, rows at two venues, and a hole.
func writeOutbox(t *testing.T, db *DB) error {
	t.Helper()
	ctx := context.Background()
	mustEnrol(t, db, "north")
	settleAll(t, db)
	mustAppend(t, db, sealedIn(db, 1, "day-17", 0), plain(1), sealedIn(db, 1, "day-17", 2)) // erased
	mustCutAll(t, db)
	mustErase(t, db, "day-17", 2)
	settleAll(t, db)
	mustAppend(t, db, plain(0))
	mustSettle(t, db, mustCut(t, db, true), record.ForRetention)
	settleAll(t, db)
	mustAppend(t, db, sealedIn(db, 2, "day-18", 0), plain(0))
	if err := db.SetAside(ctx, clockAt(0), mustCut(t, db, true), "too large", false); err != nil {
		return err
	}
	mustEnrol(t, db, "south")
	mustCut(t, db, false)
	mustAppend(t, db, plain(0))
	return nil
}
