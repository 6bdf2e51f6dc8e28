package localdb

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"checkpoint/localdb/internal/powercut"
)

// mount serves a power-cut file system at a folder of its own.
func mount(t *testing.T, f *powercut.FS) (folder string, unmount func()) {
	t.Helper()
	folder = t.TempDir()
	stop, err := powercut.Mount(f, folder)
	if errors.Is(err, powercut.ErrNoFUSE) && os.Getenv("CHECKPOINT_NO_SKIP") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	done := false
	unmount = func() {
		if !done {
			done = true
			if err := stop(); err != nil {
				t.Errorf("unmount: %v", err)
			}
		}
	}
	t.Cleanup(unmount)
	return folder, unmount
}

// cutOnce lets a writer run on a file system that was filled with files, cuts
// the power at its cutAt-th operation and returns what the disk then holds.
func cutOnce(t *testing.T, files map[string][]byte, synchronous string, seed uint64, cutAt int, torn *rand.Rand) (map[string][]byte, *child) {
	t.Helper()
	f := powercut.New(0)
	f.Fill(files)
	folder, unmount := mount(t, f)
	f.CutAfter(cutAt, torn)
	c := startChild(t, filepath.Join(folder, "gate.db"), synchronous, seed)
	go func() { // it ends by itself when its writes fail
		<-f.Done()
		c.cmd.Process.Kill()
	}()
	for range c.lines {
	}
	c.cmd.Wait()
	select {
	case <-f.Done():
	default:
		t.Fatalf("the writer ended before the cut: %s", c.stderr.String())
	}
	image := f.Cut(nil)
	unmount()
	return image, c
}

func writeImage(t *testing.T, image map[string][]byte) string {
	t.Helper()
	folder := t.TempDir()
	for name, data := range image {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "gate.db")
}

// powerCuts cuts the power many times, each time on the disk that the last cut
// left, and counts what was acknowledged (rows, segments and generations of
// trust) and is gone.
func powerCuts(t *testing.T, cuts int, synchronous string) (acked, gone int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	var image map[string][]byte
	all := newAcked()
	for cut := range cuts {
		var torn *rand.Rand
		if cut%2 == 1 {
			torn = rand.New(rand.NewPCG(5, uint64(cut)))
		}
		// Small numbers fall into the birth of the file and the opening, large
		// ones into the emptying of the log.
		at := 1 + rng.IntN(1500)
		switch cut % 5 {
		case 0:
			at, image, all = 1+rng.IntN(60), nil, newAcked()
		case 4:
			at = 1500 + rng.IntN(5000)
		}
		var c *child
		image, c = cutOnce(t, image, synchronous, uint64(cut), at, torn)
		acked += len(c.acked.rows) + len(c.acked.cuts)
		if twice := all.add(c.acked); twice != 0 && synchronous == "FULL" {
			t.Fatalf("cut %d: row %d was acknowledged twice, or is in another segment now", cut, twice)
		}
		missing, _ := lost(t, writeImage(t, image), all)
		gone += missing
		if missing > 0 && synchronous == "FULL" {
			t.Fatalf("cut %d: %d of %d that was acknowledged is lost", cut, missing, len(all.rows)+len(all.cuts)+1)
		}
		if missing > 0 {
			image, all = nil, newAcked() // count each loss once
		}
	}
	return acked, gone
}

// TestPowerCut cuts the power in the middle of any operation. Its full count is
//
//	CHECKPOINT_CUTS=500 go test -run TestPowerCut -v ./localdb
func TestPowerCut(t *testing.T) {
	cuts := count(t, "CHECKPOINT_CUTS", 50)
	acked, gone := powerCuts(t, cuts, "FULL")
	if acked == 0 || gone != 0 {
		t.Fatalf("lost %d of %d acknowledged rows and segments", gone, acked)
	}
	t.Logf("%d power cuts: 0 of %d acknowledged rows and segments lost", cuts, acked)
}

// TestPowerCutWhileTrustIsInstalled cuts the power between the operations of a
// gate that does nothing else: there is the old generation or the new one, each
// whole, and never less than was installed.
func TestPowerCutWhileTrustIsInstalled(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	var image map[string][]byte
	all := newAcked()
	for cut := range count(t, "CHECKPOINT_CUTS", 15) {
		var torn *rand.Rand
		if cut%2 == 1 {
			torn = rand.New(rand.NewPCG(9, uint64(cut)))
		}
		var c *child
		image, c = cutOnce(t, image, childTrusts, uint64(cut), 200+rng.IntN(400), torn)
		all.add(c.acked)
		if missing, _ := lost(t, writeImage(t, image), all); missing > 0 {
			t.Fatalf("cut %d: trust of %d is lost", cut, all.trust)
		}
	}
	if all.trust == 0 {
		t.Error("no trust was installed: the test does not see it")
	}
	t.Logf("trust up to version %d, refresh %d", all.trust/1000, all.trust%1000)
}

// TestPowerCutControl is the same with synchronous=NORMAL, which must lose rows:
// else the test above proves nothing.
func TestPowerCutControl(t *testing.T) {
	cuts := 10
	acked, gone := powerCuts(t, cuts, "NORMAL")
	if gone == 0 {
		t.Fatalf("no row of %d was lost in %d cuts with synchronous=NORMAL: the test cannot see a loss", acked, cuts)
	}
	t.Logf("%d power cuts with synchronous=NORMAL: %d of %d acknowledged rows lost", cuts, gone, acked)
}
