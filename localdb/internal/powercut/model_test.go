package powercut

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCutKeepsWhatWasSynced(t *testing.T) {
	f := New(0)
	f.Fill(map[string][]byte{"old": []byte("old"), "gone": []byte("gone"), "kept": []byte("kept")})
	old := f.live["old"]
	old.write(0, []byte("OLD"))
	old.sync()
	old.write(0, []byte("xxx"))
	old.truncate(1)
	f.name("gone", nil)
	young := f.make()
	f.name("young", young)
	young.write(0, []byte("young"))
	young.sync()
	f.syncNames()
	f.name("kept", nil) // not synced
	late := f.make()
	f.name("late", late) // its content is synced, its name is not
	late.write(0, []byte("late"))
	late.sync()
	want := map[string]string{"old": "OLD", "young": "young", "kept": "kept"}
	got := f.Cut(nil)
	if len(got) != len(want) {
		t.Errorf("files after the cut: %q", got)
	}
	for name, data := range want {
		if string(got[name]) != data {
			t.Errorf("%s = %q, want %q", name, got[name], data)
		}
	}
	if f.step() {
		t.Error("the power is still on")
	}
}

// TestTornCut keeps whole sectors only, some and not all of them.
func TestTornCut(t *testing.T) {
	f := New(0)
	f.Fill(map[string][]byte{"a": make([]byte, 64*sector)})
	f.live["a"].write(100, bytes.Repeat([]byte{1}, 60*sector))
	got := f.Cut(rand.New(rand.NewPCG(1, 2)))["a"]
	kept := 0
	for at := sector; at+sector <= 60*sector; at += sector {
		switch n := bytes.Count(got[at:at+sector], []byte{1}); n {
		case 0:
		case sector:
			kept++
		default:
			t.Errorf("sector %d is torn: %d bytes", at/sector, n)
		}
	}
	if kept == 0 || kept == 59 {
		t.Errorf("%d of 59 sectors were kept", kept)
	}
}

func TestCutAfter(t *testing.T) {
	f := New(0)
	f.CutAfter(2, nil)
	for i, want := range []bool{true, true, false, false} {
		if got := f.step(); got != want {
			t.Errorf("operation %d: %v, want %v", i, got, want)
		}
	}
	<-f.Done()
}

// TestMount goes through the kernel: content, names, sync and a full disk.
func TestMount(t *testing.T) {
	f := New(8192)
	folder := t.TempDir()
	unmount, err := Mount(f, folder)
	if err == ErrNoFUSE && os.Getenv("CHECKPOINT_NO_SKIP") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unmount(); err != nil {
			t.Error(err)
		}
	}()
	path := filepath.Join(folder, "a")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString("synced"); err != nil {
		t.Fatal(err)
	}
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, filepath.Join(folder, "b")); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte("SYNCED"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(make([]byte, 9000), 0); err == nil {
		t.Error("9000 bytes fit into 8192")
	}
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil || s.Bavail != 1 {
		t.Errorf("%d blocks free, %v", s.Bavail, err)
	}
	if f.Syncs() != 1 {
		t.Errorf("%d syncs", f.Syncs())
	}
	image := f.Cut(nil)
	if len(image) != 1 || string(image["b"]) != "synced" {
		t.Errorf("image = %q", image)
	}
	if _, err := file.WriteAt([]byte("x"), 0); err == nil {
		t.Error("a write after the cut succeeds")
	}
}
