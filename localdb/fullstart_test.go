package localdb

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"checkpoint/record"
)

// TestStartOnAFullDisk starts a gate on a disk without a free byte: after an
// orderly end, after a kill, without its side file, and on other hardware.
func TestStartOnAFullDisk(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(t *testing.T, path string, db *DB)
		board string
		epoch int // epochs in the end
	}{
		{"closed in order", func(t *testing.T, _ string, db *DB) { closeDB(t, db) }, "board 1", 1},
		{"killed", func(t *testing.T, path string, db *DB) {
			killed := copyAs(t, path)
			closeDB(t, db)
			for _, end := range []string{"", "-wal", "-side"} {
				data, err := os.ReadFile(killed + end)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path+end, data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if fileSize(path+"-wal") == 0 {
				t.Fatal("a kill that leaves no log shows nothing")
			}
		}, "board 1", 1},
		{"no side file", func(t *testing.T, path string, db *DB) {
			closeDB(t, db)
			if err := os.Remove(path + "-side"); err != nil {
				t.Fatal(err)
			}
		}, "board 1", 1},
		{"other hardware", func(t *testing.T, _ string, db *DB) { closeDB(t, db) }, "board 2", 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx := context.Background()
			folder := smallDisk(t, "20m")
			path := filepath.Join(folder, "gate.db")
			db := openAt(t, path, testOptions())
			mustAppend(t, db, many(500)...)
			if err := db.InstallTrust(ctx, clockAt(0), Trust{Version: 7, KeyID: "k", Bytes: []byte("signed")}); err != nil {
				t.Fatal(err)
			}
			tc.spoil(t, path, db)
			big := filepath.Join(folder, "log")
			fill(t, big)

			o := testOptions()
			o.HardwareID = tc.board
			db = openAt(t, path, o)
			if !db.alone {
				t.Fatal("the disk has room: this shows nothing")
			}
			if kept, err := db.Trust(ctx); err != nil || len(kept) != 1 || kept[0].Version != 7 {
				t.Errorf("trust on a full disk: %v, %v", kept, err)
			}
			if _, err := db.Append(ctx, plain(0)); !errors.Is(err, ErrNoSpace) {
				t.Errorf("append on a full disk: %v, want ErrNoSpace", err)
			}
			if err := db.Unrecorded(); err != nil && tc.name != "no side file" {
				t.Error(err)
			}
			if s, err := db.Status(clockAt(0)); err != nil || s.Unrecorded != 1 || !s.Warn {
				t.Errorf("status = %+v, %v", s, err)
			}
			before := mustVerify(t, db).Last

			// It goes on by itself, and then leaves the file to others, too.
			if err := os.Remove(big); err != nil {
				t.Fatal(err)
			}
			mustAppend(t, db, plain(0))
			if tc.epoch == 1 && mustVerify(t, db).Last != before+1 {
				t.Errorf("last row %d, want %d", mustVerify(t, db).Last, before+1)
			}
			mustTick(t, db, 0)
			mustTick(t, db, 2*time.Minute)
			mustAppend(t, db, plain(0))
			c := mustVerify(t, db)
			db.mu.RLock()
			epochs := len(db.epochs)
			db.mu.RUnlock()
			if epochs != tc.epoch || db.alone {
				t.Errorf("%d epochs, want %d; alone %v", epochs, tc.epoch, db.alone)
			}
			if _, err := os.Stat(path + "-shm"); err != nil {
				t.Errorf("the index is not where others see it: %v", err)
			}
			mustTick(t, db, 2*time.Hour) // with the unrecorded scan in a count row
			closeDB(t, db)
			again := openAt(t, path, o)
			if got := mustVerify(t, again); got.Last < c.Last {
				t.Errorf("after a restart the last row is %d, was %d", got.Last, c.Last)
			}
			var missed uint64
			for row, err := range again.Rows(ctx, 1) {
				if err != nil {
					t.Fatal(err)
				}
				if n, ok := row.Body.(record.Count); ok {
					missed += n.Unrecorded
				}
			}
			if missed != 1 {
				t.Errorf("%d unrecorded scans in the rows, want 1", missed)
			}
		})
	}
}

func closeDB(t *testing.T, db *DB) {
	t.Helper()
	if err := db.Close(context.Background(), clockAt(time.Hour)); err != nil {
		t.Fatal(err)
	}
}

// Nothing of the gate stands yet: it cannot start, and says so truly.
func TestFirstStartOnAFullDiskSaysSo(t *testing.T) {
	folder := smallDisk(t, "1m")
	fill(t, filepath.Join(folder, "log"))
	_, err := Open(context.Background(), filepath.Join(folder, "gate.db"), testOptions())
	if !errors.Is(err, ErrNoSpace) || strings.Contains(err.Error(), "by itself") || !strings.Contains(err.Error(), "start again") {
		t.Errorf("got %v", err)
	}
}
