package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/trust"
	"golang.org/x/sys/unix"
)

// fullDisk mounts a small disk at folder; fill then takes every byte of it.
func fullDisk(t *testing.T, folder, size string) (fill func() string) {
	t.Helper()
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("CHECKPOINT_NO_SKIP") == "1" {
			t.Fatalf("mounting a small disk needs root: %v", err)
		}
		t.Skipf("mounting a small disk needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(folder, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return func() string {
		path := filepath.Join(folder, "somebody's")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for page := make([]byte, 4096); ; {
			if _, err := f.Write(page); errors.Is(err, unix.ENOSPC) {
				return path
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestStartOnAFullDisk starts a gate whose disk has not one byte left. It
// judges, as its policy says; it counts what leaves no row; and it records again
// when there is room.
func TestStartOnAFullDisk(t *testing.T) {
	for _, tc := range []struct {
		name, size string
		policy     trust.FullDisk
		want       string
		again      bool // there is room enough to record again
	}{
		{"count on", "24m", trust.CountOn, "check_id ok", true},
		{"stop", "24m", trust.Stop, "device no_disk", true},
		{"hardly a disk", "400k", trust.CountOn, "check_id ok", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLiving(t)
			l.disk = t.TempDir()
			fill := fullDisk(t, l.disk, tc.size)
			file := l.signedFile("v5", 5, func(s *trust.Snapshot) { s.Policy.Rules[0].FullDisk = tc.policy })
			if code, _, err := l.run("trust", "install", file); code != 0 {
				t.Fatal(err)
			}
			big := fill()
			l.start()
			for range 3 {
				if got := l.paper(); got != tc.want {
					t.Errorf("verdict on a full disk: %s, want %s", got, tc.want)
				}
			}
			if _, out, _ := l.run("doctor", "--source", "stdin"); !strings.Contains(out, "free some room on this disk") {
				t.Errorf("doctor does not say what to do:\n%s", out)
			}
			if err := os.Remove(big); err != nil {
				t.Fatal(err)
			}
			if tc.again {
				for deadline := time.Now().Add(time.Minute); l.paper() != "check_id ok"; {
					if time.Now().After(deadline) {
						t.Fatal("the gate does not go on by itself")
					}
				}
			}
			if err := l.in.Close(); err != nil {
				t.Fatal(err)
			}
			for range l.lines {
			}
			if err := l.cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			code, out, err := l.run("doctor", "--json", "--source", "stdin")
			var d struct{ Tests []finding }
			if json.Unmarshal([]byte(out), &d) != nil {
				t.Fatalf("doctor: %d\n%s%s", code, out, err)
			}
			queue := ""
			for _, f := range d.Tests {
				if f.Name == "queue" {
					queue = f.Detail
				}
			}
			if !strings.Contains(queue, "3 scans left no row") {
				t.Errorf("doctor says: %s", queue)
			}
			if tc.again {
				missed := uint64(0)
				for _, c := range l.counts() {
					missed += c.Unrecorded
				}
				if missed != 3 {
					t.Errorf("%d scans without a row stand in the rows, want 3", missed)
				}
			}
		})
	}
}

// counts are the count rows of a gate that has ended.
func (l *living) counts() (all []record.Count) {
	l.t.Helper()
	ctx, stamp := l.t.Context(), record.Stamp{WallMS: time.Now().UnixMilli(), Quality: 3}
	db, err := localdb.Open(ctx, l.db(), localdb.Options{Now: func() record.Stamp { return stamp }})
	if err != nil {
		l.t.Fatal(err)
	}
	defer db.Close(ctx, stamp)
	for row, err := range db.Rows(ctx, 1) {
		if err != nil {
			l.t.Fatal(err)
		}
		if c, ok := row.Body.(record.Count); ok {
			all = append(all, c)
		}
	}
	return all
}
