package localdb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// folderOf is what stands in a file's folder: names, sizes, rights, contents.
func folderOf(t *testing.T, path string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		var b []byte
		if e.Type().IsRegular() { // a pipe would never end
			if b, err = os.ReadFile(filepath.Join(filepath.Dir(path), e.Name())); err != nil {
				t.Fatal(err)
			}
		}
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s %v %x", e.Name(), info.Mode(), sha256.Sum256(b)))
	}
	return all
}

func mustPeek(t *testing.T, path string) Peeked {
	t.Helper()
	p, err := Peek(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// trusted makes a file with trust, a clock and rows, and closes it.
func trusted(t *testing.T, path string) (rows uint64) {
	t.Helper()
	ctx := context.Background()
	db := openAt(t, path, testOptions())
	mustEnrol(t, db, "north")
	mustAppend(t, db, many(98)...) // with the first of the epoch and the enrolment: 100
	settleAll(t, db)
	mustAppend(t, db, many(200)...)
	for v := range uint64(3) {
		if err := db.InstallTrust(ctx, clockAt(0), Trust{Version: v + 5, KeyID: "k", Bytes: []byte(strings.Repeat("t", int(v)*9000+1))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.RaiseAnchor(ctx, clockAt(0), 4000); err != nil {
		t.Fatal(err)
	}
	if err := db.Unrecorded(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(ctx, clockAt(0)); err != nil {
		t.Fatal(err)
	}
	db = openAt(t, path, testOptions())
	rows, _ = db.Head()
	if err := db.Close(ctx, clockAt(0)); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestPeekAtAClosedFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "gate #1? 50%.db")
	rows := trusted(t, path)
	before := folderOf(t, path)
	p := mustPeek(t, path)
	if len(p.Trust) != 2 || p.Trust[0].Version != 7 || len(p.Trust[0].Bytes) != 18001 || p.Trust[1].Version != 6 {
		t.Errorf("trust = %d, want versions 7 and 6", len(p.Trust))
	}
	if p.Clock != (Clock{FloorMS: 4000, AnchorMS: 4000}) || p.Last != rows || p.Waiting != rows-100 || p.Unrecorded != 1 {
		t.Errorf("clock %+v, last %d, waiting %d, unrecorded %d; want floor and anchor 4000, %d, %d, 1",
			p.Clock, p.Last, p.Waiting, p.Unrecorded, rows, rows-100)
	}
	if share, warn := p.Share(32 << 10); share < 0.99 || !warn {
		t.Errorf("share of a cap that is reached: %v, %v", share, warn)
	}
	if share, warn := p.Share(0); share > 0.1 || warn {
		t.Errorf("share of a cap that is far: %v, %v", share, warn)
	}
	for _, tc := range []struct {
		n    Trust
		same bool
		err  error
	}{
		{Trust{Version: 8, Bytes: []byte("x")}, false, nil},
		{Trust{Version: 7, Bytes: p.Trust[0].Bytes}, true, nil},
		{Trust{Version: 7, Bytes: []byte("x")}, false, ErrConflict},
		{Trust{Version: 6, Bytes: p.Trust[1].Bytes}, false, ErrOlder},
		{Trust{Version: 8}, false, ErrTrust},
	} {
		if same, err := p.Accepts(tc.n); same != tc.same || !errors.Is(err, tc.err) {
			t.Errorf("version %d: %v, %v, want %v, %v", tc.n.Version, same, err, tc.same, tc.err)
		}
	}
	if after := folderOf(t, path); !slices.Equal(before, after) {
		t.Errorf("the folder changed:\n%v\n%v", before, after)
	}

	// By a link to it, from a folder that may hold nothing.
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if p := mustPeek(t, link); p.Last != rows {
		t.Errorf("by a link: last %d, want %d", p.Last, rows)
	}
}

func TestPeekRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func(t *testing.T, path string)
		want error
	}{
		{"nothing there", func(*testing.T, string) {}, fs.ErrNotExist},
		{"an empty file", func(t *testing.T, path string) {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, fs.ErrNotExist},
		{"somebody's photo album", album, ErrForeign},
		{"somebody's album with a log", func(t *testing.T, path string) {
			album(t, path)
			pool, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			if _, err := pool.Exec("PRAGMA journal_mode = WAL"); err != nil {
				t.Fatal(err)
			}
		}, ErrForeign},
		{"a pipe", func(t *testing.T, path string) {
			if err := syscall.Mkfifo(path, 0o600); err != nil {
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
			change(t, path, "PRAGMA user_version = 999")
		}, ErrNewer},
		{"of no version", func(t *testing.T, path string) {
			filled(t, path)
			change(t, path, "PRAGMA user_version = 0")
		}, ErrDamaged},
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
			change(t, path, "DELETE FROM row WHERE seq > 290")
		}, ErrDamaged},
		{"the index of its log is gone", func(t *testing.T, path string) {
			killed(t, path)
			if err := os.Remove(path + "-shm"); err != nil {
				t.Fatal(err)
			}
		}, ErrUnfinished},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "gate.db")
			tc.make(t, path)
			before := folderOf(t, path)
			_, err := Peek(context.Background(), path)
			if !errors.Is(err, tc.want) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want one line of %v with the path", err, tc.want)
			}
			var e *Error
			if tc.want != fs.ErrNotExist && (!errors.As(err, &e) || e.Do == "") {
				t.Errorf("%v does not say what to do", err)
			}
			if after := folderOf(t, path); !slices.Equal(before, after) {
				t.Errorf("the folder changed:\n%v\n%v", before, after)
			}
		})
	}
}

func change(t *testing.T, path, statement string) {
	t.Helper()
	pool, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(statement); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
}

// killed makes a file whose writer was killed, and returns what that had
// acknowledged.
func killed(t *testing.T, path string) (newest uint64) {
	t.Helper()
	c := startChild(t, path, "FULL", 1)
	c.wait(60)
	c.kill(t)
	for seq := range c.acked.rows {
		newest = max(newest, seq)
	}
	return newest
}

func TestPeekAfterKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	trusted(t, path)
	newest := killed(t, path)
	before := folderOf(t, path)
	p := mustPeek(t, path)
	if p.Last < newest || len(p.Trust) != 2 || p.Clock.AnchorMS < 4000 {
		t.Errorf("last %d, %d snapshots, clock %+v; want at least %d, 2, anchor 4000", p.Last, len(p.Trust), p.Clock, newest)
	}
	if after := folderOf(t, path); !slices.Equal(before, after) {
		t.Errorf("the folder changed:\n%v\n%v", before, after)
	}
}

// TestPeekWhileAGateWrites looks again and again while another process writes
// as fast as it can, empties its log and goes on.
func TestPeekWhileAGateWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	before := trusted(t, path)
	c := startChild(t, path, "FULL", 2)
	var last uint64
	looks := 0
	for have := range c.lines {
		if have%20 == 0 {
			newest := before + uint64(have) // at least: each was acknowledged
			p, err := Peek(context.Background(), path)
			if err != nil {
				t.Errorf("look %d: %v", looks, err)
				break
			}
			if p.Last < newest || p.Last < last || p.Waiting > p.Last-100 || len(p.Trust) != 2 {
				t.Errorf("look %d: last %d, waiting %d, %d snapshots; rows up to %d were there", looks, p.Last, p.Waiting, len(p.Trust), newest)
			}
			last = p.Last
			looks++
		}
		if have >= 1500 {
			break
		}
	}
	if looks < 50 {
		t.Errorf("only %d looks: %s", looks, c.stderr.String())
	}
	c.kill(t)
	if chain := mustVerify(t, openAt(t, path, testOptions())); chain.Last < last {
		t.Errorf("the file ends at row %d, %d were seen", chain.Last, last)
	}
}

// TestPeekWhileGatesComeAndGo looks while another process opens and closes the
// file without a pause.
func TestPeekWhileGatesComeAndGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	trusted(t, path)
	c := startChild(t, path, childCycles, 0)
	seen := make(chan int, 1)
	go func() {
		n := 0
		for have := range c.lines {
			select {
			case <-seen:
			default:
			}
			n = have
			seen <- n
		}
	}()
	var last uint64
	for looks, cycles := 0, 0; cycles < 25 || looks < 100; looks++ {
		p, err := Peek(context.Background(), path)
		if err != nil {
			t.Errorf("look %d: %v; %s", looks, err, c.stderr.String())
			break
		}
		if p.Last < last || len(p.Trust) != 2 {
			t.Errorf("look %d: last %d after %d, %d snapshots", looks, p.Last, last, len(p.Trust))
		}
		last = p.Last
		select {
		case cycles = <-seen:
		default:
		}
	}
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.cmd.Wait()
	db := openAt(t, path, testOptions())
	mustVerify(t, db)
}

// TestPeekWithoutRights needs a reader that is not root.
func TestPeekWithoutRights(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	filled(t, path)
	if os.Geteuid() != 0 {
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := Peek(context.Background(), path); !errors.Is(err, ErrUnreadable) {
			t.Errorf("got %v, want ErrUnreadable", err)
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
	program := filepath.Join(filepath.Dir(path), "reader")
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Dir = "/"
	cmd.Env = []string{childFile + "=" + path, childMode + "=" + childPeeks}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), ErrUnreadable.Error()) || !strings.Contains(string(out), advice(ErrUnreadable)) {
		t.Errorf("nobody looks into a file without rights: %v, %s", err, out)
	}
}

func TestIncomingTrust(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	incoming := func(want string, wantErr error) {
		t.Helper()
		got, err := db.IncomingTrust(100)
		if string(got) != want || !errors.Is(err, wantErr) {
			t.Fatalf("incoming %q, %v, want %q, %v", got, err, want, wantErr)
		}
	}
	leave := func(text string) {
		t.Helper()
		if err := LeaveTrust(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	incoming("", fs.ErrNotExist)
	leave("one")
	leave("two") // takes the place of one that nobody claimed
	if info, err := os.Stat(path + incomingEnd); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	incoming("two", nil)
	incoming("two", nil) // until it is dropped: a crash in between loses nothing
	leave("three")       // while two is being installed
	must(db.DropIncoming())
	if !LeftTrust(path) {
		t.Error("three was dropped with two")
	}
	incoming("three", nil)
	must(db.RefuseIncoming())
	if LeftTrust(path) {
		t.Error("what was refused still waits")
	}
	if b, err := os.ReadFile(path + refusedEnd); err != nil || string(b) != "three" {
		t.Errorf("set aside: %q, %v", b, err)
	}
	leave(strings.Repeat("x", 101))
	incoming("", ErrTrust)
	must(db.RefuseIncoming()) // in place of the one before

	// What no LeaveTrust ever left: never followed, never waited for.
	must(os.Symlink("/etc/passwd", path+incomingEnd))
	incoming("", ErrTrust)
	must(db.RefuseIncoming())
	must(syscall.Mkfifo(path+incomingEnd, 0o600))
	incoming("", ErrTrust)
	must(db.RefuseIncoming())
	must(os.Mkdir(path+incomingEnd, 0o700))
	incoming("", ErrTrust)
	must(db.RefuseIncoming())
	incoming("", fs.ErrNotExist)
	leave("four")
	incoming("four", nil)
	must(db.RefuseIncoming())

	if os.Geteuid() == 0 { // what root leaves, the gate's user must be able to read
		must(os.Chown(path, 65534, 65533))
		leave("five")
		info, err := os.Stat(path + incomingEnd)
		must(err)
		if s := info.Sys().(*syscall.Stat_t); s.Uid != 65534 || s.Gid != 65533 {
			t.Errorf("root left a file of user %d, group %d", s.Uid, s.Gid)
		}
		incoming("five", nil)
		must(db.DropIncoming())
	}
	if err := LeaveTrust(path, nil); !errors.Is(err, ErrTrust) {
		t.Errorf("nothing: %v", err)
	}
	if err := LeaveTrust(filepath.Join(t.TempDir(), "no", "gate.db"), []byte("x")); err == nil || LeftTrust(path) {
		t.Errorf("a folder that is not there: %v", err)
	}
	must(db.Close(context.Background(), clockAt(time.Second)))
	if _, err := db.IncomingTrust(100); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A file on a full disk is not left half written under the name.
func TestLeaveTrustOnAFullDisk(t *testing.T) {
	folder := smallDisk(t, "256k")
	path := filepath.Join(folder, "gate.db")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := LeaveTrust(path, make([]byte, 1<<20))
	entries, _ := os.ReadDir(folder)
	if !errors.Is(err, ErrNoSpace) || len(entries) != 1 {
		t.Errorf("got %v, want ErrNoSpace; %v", err, entries)
	}
}

// TestPeekWhileGatesAreKilled looks while writers are killed and others recover
// the log that they left.
func TestPeekWhileGatesAreKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate.db")
	trusted(t, path)
	stop, looked := make(chan struct{}), make(chan int)
	go func() {
		var last uint64
		for looks := 0; ; looks++ {
			select {
			case <-stop:
				looked <- looks
				return
			default:
			}
			p, err := Peek(context.Background(), path)
			if err != nil || p.Last < last || len(p.Trust) != 2 {
				t.Errorf("look %d: last %d after %d, %d snapshots, %v", looks, p.Last, last, len(p.Trust), err)
			}
			last = p.Last
		}
	}()
	for kill := range uint64(10) {
		c := startChild(t, path, "FULL", kill)
		c.wait(30)
		c.kill(t)
	}
	close(stop)
	if looks := <-looked; looks < 10 {
		t.Errorf("only %d looks", looks)
	}
	mustVerify(t, openAt(t, path, testOptions()))
}
