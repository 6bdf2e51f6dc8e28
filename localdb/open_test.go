package localdb

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"checkpoint/record"

	"golang.org/x/sys/unix"
)

// album is somebody else's SQLite file.
func album(t *testing.T, path string) {
	t.Helper()
	pool, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec("CREATE TABLE photo (name TEXT); INSERT INTO photo VALUES ('holiday')"); err != nil {
		t.Fatal(err)
	}
}

// filled makes a gate file with some rows and closes it.
func filled(t *testing.T, path string) {
	t.Helper()
	db := openAt(t, path, testOptions())
	mustAppend(t, db, many(300)...)
	if err := db.Close(context.Background(), clockAt(0)); err != nil {
		t.Fatal(err)
	}
}

// many are n scans, a millisecond apart.
func many(n int) (drafts []record.Draft) {
	for i := range n {
		drafts = append(drafts, plain(time.Duration(i)*time.Millisecond))
	}
	return drafts
}

func edit(t *testing.T, path string, change func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func(t *testing.T, path string)
		want error
	}{
		{"somebody's photo album", album, ErrForeign},
		{"a text", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("dear diary ", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, ErrForeign},
		{"a few bytes", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, ErrForeign},
		{"a folder", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, ErrForeign},
		{"a newer program's", func(t *testing.T, path string) {
			filled(t, path)
			pool, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			if _, err := pool.Exec("PRAGMA user_version = 999"); err != nil {
				t.Fatal(err)
			}
		}, ErrNewer},
		{"cut off", func(t *testing.T, path string) {
			filled(t, path)
			edit(t, path, func(b []byte) []byte { return b[:len(b)-3*pageSize] })
		}, ErrDamaged},
		{"cut off in the first page", func(t *testing.T, path string) {
			filled(t, path)
			edit(t, path, func(b []byte) []byte { return b[:1000] })
		}, ErrDamaged},
		{"schema overwritten", func(t *testing.T, path string) {
			filled(t, path)
			edit(t, path, func(b []byte) []byte {
				for i := 100; i < pageSize; i++ {
					b[i] = 0xa5
				}
				return b
			})
		}, ErrDamaged},
		{"the newest rows taken out", func(t *testing.T, path string) {
			filled(t, path)
			pool, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			if _, err := pool.Exec("DELETE FROM row WHERE seq > 290"); err != nil {
				t.Fatal(err)
			}
		}, ErrDamaged},
	} {
		t.Run(tc.name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "gate.db")
			tc.make(t, path)
			before, _ := os.ReadFile(path)
			_, err := Open(context.Background(), path, testOptions())
			if !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			var e *Error
			if !errors.As(err, &e) || e.Do == "" || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), path) {
				t.Errorf("not one line with the path and what to do: %q", err)
			}
			if tc.want == ErrForeign {
				after, _ := os.ReadFile(path)
				names, _ := os.ReadDir(folder)
				if !bytes.Equal(before, after) || len(names) != 1 {
					t.Errorf("somebody else's file was touched, or has company now: %v", names)
				}
			}
		})
	}
}

func TestOpenNeedsItsFolder(t *testing.T) {
	_, err := Open(context.Background(), filepath.Join(t.TempDir(), "no", "gate.db"), testOptions())
	if !errors.Is(err, ErrReadOnly) || !strings.Contains(err.Error(), "make the folder") {
		t.Errorf("got %v", err)
	}
}

func TestOpenTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	if _, err := Open(context.Background(), path, testOptions()); !errors.Is(err, ErrInUse) {
		t.Errorf("second open: %v, want ErrInUse", err)
	}
	mustAppend(t, db, plain(0)) // the first goes on
	if err := db.Close(context.Background(), clockAt(0)); err != nil {
		t.Fatal(err)
	}
	openAt(t, path, testOptions())
}

func TestOpenAnEmptyFileAndAStrangeName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate #1? 50%.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, openAt(t, path, testOptions()), plain(0))
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		t.Errorf("the rows went to another file: %v", err)
	}
}

func TestFileIsForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	mustAppend(t, openAt(t, path, testOptions()), plain(0))
	for _, end := range []string{"", "-wal", "-shm", "-lock", "-side"} {
		info, err := os.Stat(path + end)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("gate.db%s has mode %o", end, info.Mode().Perm())
		}
	}
}

// smallDisk mounts a disk of its own, which needs root.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	folder := t.TempDir()
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
	return folder
}

func TestReadOnlyDisk(t *testing.T) {
	folder := smallDisk(t, "32m")
	path := filepath.Join(folder, "gate.db")
	filled(t, path)
	if err := unix.Mount("tmpfs", folder, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, filepath.Join(folder, "new.db")} {
		if _, err := Open(context.Background(), p, testOptions()); !errors.Is(err, ErrReadOnly) {
			t.Errorf("open %s: %v, want ErrReadOnly", p, err)
		}
	}
}

// TestReadOnlyFile opens a file that its user may only read. Root may write
// everything, so root sends a writer that is nobody.
func TestReadOnlyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	filled(t, path)
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path+"-lock", 0o666); err != nil { // it is the file itself that refuses
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if _, err := Open(context.Background(), path, testOptions()); !errors.Is(err, ErrReadOnly) {
			t.Errorf("got %v, want ErrReadOnly", err)
		}
		return
	}
	for folder := filepath.Dir(path); folder != os.TempDir() && folder != "/"; folder = filepath.Dir(folder) {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.ReadFile(os.Args[0]) // where nobody may run it
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(filepath.Dir(path), "writer")
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Dir = "/"
	cmd.Env = []string{childFile + "=" + path, childMode + "=FULL", childSeed + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), ErrReadOnly.Error()) || !strings.Contains(string(out), advice(ErrReadOnly)) {
		t.Errorf("nobody opens a file that it may only read: %v, %s", err, out)
	}
}

func TestVerifyChainSeesEveryChange(t *testing.T) {
	for _, tc := range []struct{ name, sql string }{
		{"a row changed", "UPDATE row SET body = (SELECT body FROM row WHERE seq = 40) WHERE seq = 50"},
		{"two rows exchanged", "UPDATE row AS x SET body = (SELECT y.body FROM row y WHERE y.seq = 353 - x.seq) WHERE x.seq IN (150, 203)"},
		{"a row in the middle taken out", "DELETE FROM row WHERE seq = 150"},
		{"a link changed", "UPDATE link SET link = zeroblob(16) WHERE seq = 100"},
		{"a link taken out", "DELETE FROM link WHERE seq = 200"},
		{"the head's link changed", "UPDATE head SET link = zeroblob(16)"},
		{"the newest row changed", "UPDATE row SET body = (SELECT body FROM row WHERE seq = 2) WHERE seq = 301"},
		{"the times of a session moved", "UPDATE session SET wall = wall + 1"},
		{"another issuer", "UPDATE judge SET issuer = 'CN-110000'"},
		{"another device", "UPDATE epoch SET device = zeroblob(16)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "gate.db")
			db := openAt(t, path, testOptions())
			mustAppend(t, db, many(300)...)
			if err := db.Close(context.Background(), clockAt(0)); err != nil {
				t.Fatal(err)
			}
			pool, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := pool.Exec(tc.sql); err != nil {
				t.Fatal(err)
			}
			if err := pool.Close(); err != nil {
				t.Fatal(err)
			}
			db = openAt(t, path, testOptions())
			if _, err := db.VerifyChain(context.Background()); !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v, want ErrDamaged", err)
			}
		})
	}
}
