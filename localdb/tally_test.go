package localdb

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"checkpoint/record"
)

// copyAs copies the file as a kill would leave it: with its log, not closed.
func copyAs(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "gate.db")
	for _, end := range []string{"", "-wal", "-side"} {
		b, err := os.ReadFile(from + end)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+end, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// sums are the counts by verdict from noon on.
func sums(t *testing.T, db *DB) map[uint8]uint64 {
	t.Helper()
	counts, err := db.Counts(context.Background(), time.UnixMilli(noon), time.UnixMilli(noon).Add(1000*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	by := make(map[uint8]uint64)
	for _, c := range counts {
		by[c.Verdict] += c.N
	}
	return by
}

func mustTick(t *testing.T, db *DB, after time.Duration) {
	t.Helper()
	if err := db.Tick(context.Background(), clockAt(after)); err != nil {
		t.Fatal(err)
	}
}

// countRows are the count rows of the file.
func countRows(t *testing.T, db *DB) (counts []record.Count) {
	t.Helper()
	for row, err := range db.Rows(context.Background(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		if c, ok := row.Body.(record.Count); ok {
			counts = append(counts, c)
		}
	}
	return counts
}

func TestCountsSurviveAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	mustTick(t, db, 0)
	mustAppend(t, db, many(5)...)
	db.Count(clockAt(time.Second), 7, 51)
	db.Count(clockAt(2*time.Second), 7, 51)
	mustTick(t, db, 11*time.Second) // on the disk
	mustAppend(t, db, plain(12*time.Second))
	db.Count(clockAt(13*time.Second), 7, 51) // not yet
	if got := sums(t, db); got[1] != 6 || got[7] != 3 {
		t.Errorf("counts = %v, want 6 pass and 3 refresh", got)
	}
	killed := openAt(t, copyAs(t, path), testOptions())
	if got := sums(t, killed); got[1] != 6 || got[7] != 2 {
		t.Errorf("after a kill: counts = %v, want 6 pass and 2 refresh", got)
	}
	// And the flush that follows does not count the rows again.
	mustTick(t, killed, 0)
	mustTick(t, killed, 20*time.Second)
	mustTick(t, killed, 40*time.Second)
	if got := sums(t, killed); got[1] != 6 || got[7] != 2 {
		t.Errorf("after a flush: counts = %v", got)
	}
}

func TestHoursBecomeCountRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	mustTick(t, db, 0)
	db.Count(clockAt(time.Minute), 8, 10)
	db.Count(clockAt(2*time.Minute), 7, 51)
	db.Count(clockAt(3*time.Minute), 7, 51)
	if err := db.Unrecorded(); err != nil {
		t.Fatal(err)
	}
	mustTick(t, db, 59*time.Minute)
	if got := countRows(t, db); len(got) != 0 {
		t.Fatalf("count rows before the hour ended: %v", got)
	}
	mustTick(t, db, time.Hour)
	want := record.Count{Hour: noon, Tallies: []record.Tally{{Verdict: 7, Reason: 51, N: 2}, {Verdict: 8, Reason: 10, N: 1}}, Unrecorded: 1}
	got := countRows(t, db)
	if len(got) != 1 || got[0].Hour != want.Hour || got[0].Unrecorded != 1 || len(got[0].Tallies) != 2 ||
		got[0].Tallies[0] != want.Tallies[0] || got[0].Tallies[1] != want.Tallies[1] {
		t.Fatalf("count rows = %+v, want %+v", got, want)
	}
	// A count that comes late for an hour that was told makes a row of its own,
	// at the end of the next.
	db.Count(clockAt(30*time.Minute), 7, 51)
	mustTick(t, db, 2*time.Hour)
	if got = countRows(t, db); len(got) != 2 || got[1].Hour != noon || got[1].Tallies[0].N != 1 || got[1].Unrecorded != 0 {
		t.Fatalf("count rows = %+v", got)
	}
	mustTick(t, db, 3*time.Hour)
	if got = countRows(t, db); len(got) != 2 {
		t.Fatalf("an hour without counts made a row: %+v", got)
	}
	// The hour that runs is told at the end of the program.
	db.Count(clockAt(3*time.Hour), 8, 10)
	if err := db.Close(context.Background(), clockAt(3*time.Hour+time.Minute)); err != nil {
		t.Fatal(err)
	}
	db = openAt(t, path, testOptions())
	if got = countRows(t, db); len(got) != 3 || got[2].Hour != noon+3*hourMS {
		t.Fatalf("count rows = %+v", got)
	}
	if by := sums(t, db); by[7] != 3 || by[8] != 2 {
		t.Errorf("counts = %v", by)
	}
}

// TestCountsOfAnHourThatEndedWhileOff are told at the next start.
func TestCountsOfAnHourThatEndedWhileOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	mustTick(t, db, 0)
	db.Count(clockAt(time.Minute), 7, 51)
	mustTick(t, db, 2*time.Minute)
	o := testOptions()
	o.Now = func() record.Stamp { return clockAt(5 * time.Hour) }
	killed := openAt(t, copyAs(t, path), o)
	if got := countRows(t, killed); len(got) != 1 || got[0].Hour != noon || got[0].Tallies[0].N != 1 {
		t.Errorf("count rows = %+v", got)
	}
}

func TestCountsByHour(t *testing.T) {
	db := openNew(t)
	mustAppend(t, db, plain(0), plain(30*time.Minute), plain(time.Hour))
	db.Count(clockAt(time.Hour), 7, 51)
	before := plain(0)
	before.WallMS = -1 // a gate that woke up in 1969
	mustAppend(t, db, before)
	got, err := db.Counts(context.Background(), time.UnixMilli(noon), time.UnixMilli(noon+2*hourMS))
	if err != nil {
		t.Fatal(err)
	}
	want := []HourCount{{noon, 1, 1, 2}, {noon + hourMS, 1, 1, 1}, {noon + hourMS, 7, 51, 1}}
	if len(got) != len(want) {
		t.Fatalf("counts = %+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("counts[%d] = %+v, want %+v", i, got[i], want[i])
		}
	}
	if got, err := db.Counts(context.Background(), time.UnixMilli(-2*hourMS), time.UnixMilli(0)); err != nil || len(got) != 1 || got[0].HourMS != -hourMS {
		t.Errorf("1969: %+v, %v", got, err)
	}
}

func TestUnrecordedSurvives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	for range 5 {
		if err := db.Unrecorded(); err != nil {
			t.Fatal(err)
		}
	}
	status, err := db.Status(clockAt(0))
	if err != nil || status.Unrecorded != 5 {
		t.Errorf("unrecorded = %d, %v", status.Unrecorded, err)
	}
	for _, tc := range []struct {
		name string
		harm func(b []byte)
		want uint64
	}{
		{"a kill", func(b []byte) {}, 5},
		{"the newer slot torn", func(b []byte) { // five counts and the first: generation 6
			b[20] ^= 1
		}, 4},
		{"both slots torn", func(b []byte) { b[20] ^= 1; b[slotAway+20] ^= 1 }, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			to := copyAs(t, path)
			edit(t, to+"-side", func(b []byte) []byte { tc.harm(b); return b })
			status, err := openAt(t, to, testOptions()).Status(clockAt(0))
			if err != nil || status.Unrecorded != tc.want {
				t.Errorf("unrecorded = %d, %v, want %d", status.Unrecorded, err, tc.want)
			}
		})
	}
}
