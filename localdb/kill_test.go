package localdb

import (
	"crypto/hpke"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"checkpoint/record"
)

// count is how often a durability test repeats: a few in the normal test, more
// by a variable, e.g.
//
//	CHECKPOINT_KILLS=200 go test -run TestKill -v ./localdb
func count(t *testing.T, name string, normal int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return normal
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a count", name, s)
	}
	return n
}

// childKey is a day key whose private half nobody keeps.
func childKey() (record.DayKey, error) {
	key, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return record.DayKey{}, err
	}
	return record.DayKey{Day: "2026-11-23", Public: key.PublicKey().Bytes()}, nil
}

// TestKill kills a busy writer in the middle, again and again on one file, and
// looks for every row that was acknowledged.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	all := newAcked()
	rng := rand.New(rand.NewPCG(1, 2))
	kills := count(t, "CHECKPOINT_KILLS", 20)
	var rows uint64
	for kill := range kills {
		c := startChild(t, path, "FULL", uint64(kill))
		c.wait(1 + rng.IntN(300))
		c.kill(t)
		if len(c.acked.rows) == 0 {
			t.Fatalf("kill %d: the writer acknowledged nothing: %s", kill, c.stderr.String())
		}
		if twice := all.add(c.acked); twice != 0 {
			t.Fatalf("kill %d: row %d was acknowledged twice, or is in another segment now", kill, twice)
		}
		var missing int
		if missing, rows = lost(t, path, all); missing > 0 {
			t.Fatalf("kill %d: %d of %d acknowledged rows, segments and generations are lost", kill, missing, len(all.rows)+len(all.cuts)+1)
		}
	}
	if len(all.cuts) == 0 || all.trust == 0 {
		t.Errorf("%d segments, trust of %d: the test does not see them", len(all.cuts), all.trust)
	}
	t.Logf("%d kills: 0 of %d acknowledged rows, %d segments and trust up to version %d lost, %d rows in an unbroken chain",
		kills, len(all.rows), len(all.cuts), all.trust/1000, rows)
}
