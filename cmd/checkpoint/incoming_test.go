package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"checkpoint/healthcode"
	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/trust"
)

// living is a gate that runs in a process of its own and reads codes from a
// pipe that stays open.
type living struct {
	t     *testing.T
	home  string
	disk  string // where the database stands; "" at home
	scene scene
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan line
	shown uint64
}

func (l *living) db() string { return filepath.Join(cmp.Or(l.disk, l.home), "gate.db") }

// run runs the program to its end.
func (l *living) run(args ...string) (code int, stdout, stderr string) {
	l.t.Helper()
	cmd := exec.Command("checkpoint", append(args, "--db", l.db(), "--trust-key",
		base64.StdEncoding.EncodeToString(edKey(9).Public().(ed25519.PublicKey)))...)
	cmd.Env = l.env()
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	var exit *exec.ExitError
	switch fail := cmd.Run(); {
	case errors.As(fail, &exit):
		code = exit.ExitCode()
	case fail != nil:
		l.t.Fatal(fail)
	}
	return code, out.String(), err.String()
}

func (l *living) env() []string {
	return append(os.Environ(), "HOME="+l.home, "XDG_STATE_HOME=", "XDG_CONFIG_HOME=", "NO_COLOR=1")
}

func (l *living) start() {
	l.t.Helper()
	l.cmd = exec.Command("checkpoint", "run", "--headless", "--source", "stdin", "--latch", "200ms", "--sound", "off", "--db", l.db(),
		"--log-path", filepath.Join(l.home, "log"), "--trust-key", base64.StdEncoding.EncodeToString(edKey(9).Public().(ed25519.PublicKey)))
	l.cmd.Env, l.cmd.Stderr = l.env(), os.Stderr
	in, w, err := os.Pipe()
	if err != nil {
		l.t.Fatal(err)
	}
	l.cmd.Stdin, l.in = in, w
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	in.Close()
	l.lines = make(chan line, 4096)
	go func() {
		defer close(l.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			var got line
			if json.Unmarshal(s.Bytes(), &got) == nil {
				l.lines <- got
			}
		}
	}()
	if first := <-l.lines; first.Event != "start" {
		l.t.Fatalf("the gate began with %+v", first)
	}
}

// paper shows a paper code that nobody has shown before, and gives its verdict.
func (l *living) paper() string {
	l.t.Helper()
	l.shown++
	c := l.scene.claims(healthcode.Green)
	c.Holder = nil
	binary.BigEndian.PutUint64(c.CTI[:], l.shown)
	if _, err := io.WriteString(l.in, l.scene.credential(l.scene.issuer, c).Text()+"\n"); err != nil {
		l.t.Fatal(err)
	}
	for got := range l.lines {
		if got.Event == "verdict" {
			return got.Verdict + " " + got.Reason
		}
	}
	l.t.Fatal("the gate ended")
	return ""
}

// end lets the gate end in order and gives its event rows.
func (l *living) end() (events []record.Event) {
	l.t.Helper()
	if err := l.in.Close(); err != nil {
		l.t.Fatal(err)
	}
	for range l.lines {
	}
	if err := l.cmd.Wait(); err != nil {
		l.t.Fatal(err)
	}
	ctx, stamp := context.Background(), record.Stamp{WallMS: time.Now().UnixMilli(), Quality: 3}
	db, err := localdb.Open(ctx, l.db(), localdb.Options{Now: func() record.Stamp { return stamp }})
	if err != nil {
		l.t.Fatal(err)
	}
	defer db.Close(ctx, stamp)
	for row, err := range db.Rows(ctx, 1) {
		if err != nil {
			l.t.Fatal(err)
		}
		if e, ok := row.Body.(record.Event); ok {
			events = append(events, e)
		}
	}
	return events
}

func count(events []record.Event, code record.EventCode) (n int) {
	for _, e := range events {
		if e.Code == code {
			n++
		}
	}
	return n
}

// file writes a snapshot; without a key it is not signed. issuers says whether
// the issuer of the codes stands in it.
func (l *living) file(name string, version uint64, issuers bool, key ed25519.PrivateKey) string {
	l.t.Helper()
	s := l.scene.snapshot(version)
	if !issuers {
		s.Issuers.Keys = nil
	}
	data, err := trust.Marshal(s)
	if key != nil {
		data, err = trust.Sign(s, key)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	path := filepath.Join(l.home, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

func newLiving(t *testing.T) *living {
	return &living{t: t, home: t.TempDir(), scene: newScene(t, time.Now().UTC().Truncate(time.Second))}
}

// TestTrustWhileTheGateRuns brings trust to a gate that runs, in the ways that a
// technician would, and as one would who is none.
func TestTrustWhileTheGateRuns(t *testing.T) {
	l := newLiving(t)
	want := func(code int, says string, args ...string) {
		t.Helper()
		got, out, err := l.run(args...)
		if got != code || !strings.Contains(out+err, says) || code > 1 && strings.Count(err, "\n") != 1 {
			t.Errorf("%v: exit %d, want %d with %q\n%s%s", args, got, code, says, out, err)
		}
	}
	verdict := func(want string) {
		t.Helper()
		if got := l.paper(); got != want {
			t.Errorf("verdict %s, want %s", got, want)
		}
	}
	want(0, "installed trust version 5", "trust", "install", l.file("v5", 5, false, edKey(9)))
	l.start()
	verdict("invalid unknown_key")

	// Looking needs no gate to stop.
	want(0, "version 5", "trust", "show")
	if code, out, _ := l.run("doctor", "--source", "stdin"); strings.Contains(out, "in use") || !strings.Contains(out, "version 5, 0 issuer keys") {
		t.Errorf("doctor: %d\n%s", code, out)
	}
	code := filepath.Join(l.home, "code.txt")
	c := l.scene.claims(healthcode.Green)
	c.Holder = nil
	if err := os.WriteFile(code, []byte(l.scene.credential(l.scene.issuer, c).Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	want(1, "unknown_key", "explain", code)

	// New trust holds for the next code.
	want(0, "installed trust version 6", "trust", "install", l.file("v6", 6, true, edKey(9)))
	verdict("check_id ok")
	want(0, "version 6", "trust", "show")
	want(1, `"reason":"ok"`, "explain", "--json", code)                                       // not admitted before the card was compared
	want(0, "installed trust version 6", "trust", "install", l.file("v6", 6, true, edKey(9))) // again

	// What the command refuses by itself never reaches the gate.
	want(4, "older", "trust", "install", l.file("v4", 4, false, edKey(9)))
	want(4, "not a signed snapshot", "trust", "install", l.file("v9", 9, false, nil))
	want(4, "another key", "trust", "install", l.file("v8", 8, false, edKey(8)))
	verdict("check_id ok")

	// The gate does not believe whoever leaves a file.
	for i, name := range []string{"v4", "v8", "v9"} {
		data, err := os.ReadFile(filepath.Join(l.home, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := localdb.LeaveTrust(l.db(), data); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); localdb.LeftTrust(l.db()); {
			if time.Now().After(deadline) {
				t.Fatalf("%s still waits", name)
			}
			verdict("check_id ok") // the gate works on
		}
		if set, err := os.ReadFile(l.db() + "-refused"); err != nil || !bytes.Equal(set, data) {
			t.Errorf("refused file %d is not set aside: %v", i, err)
		}
	}
	verdict("check_id ok")
	want(0, "version 6", "trust", "show")

	events := l.end()
	if n := count(events, record.EventTrust); n != 2 {
		t.Errorf("%d rows of installed trust, want 2", n)
	}
	if n := count(events, record.EventTrustRefused); n != 3 {
		t.Errorf("%d rows of refused trust, want 3", n)
	}
	log, err := os.ReadFile(filepath.Join(l.home, "log"))
	if err != nil || bytes.Count(log, []byte("new trust was refused")) != 3 || bytes.Count(log, []byte("new trust holds")) != 1 {
		t.Errorf("the log: %v\n%s", err, log)
	}
	if left, _ := filepath.Glob(l.db() + "-incoming*"); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// A gate that was killed before it took what was left takes it at its start.
func TestStartTakesTrustThatWasLeft(t *testing.T) {
	l := newLiving(t)
	if code, _, err := l.run("trust", "install", l.file("v5", 5, false, edKey(9))); code != 0 {
		t.Fatal(err)
	}
	data, err := os.ReadFile(l.file("v6", 6, true, edKey(9)))
	if err != nil {
		t.Fatal(err)
	}
	if err := localdb.LeaveTrust(l.db(), data); err != nil {
		t.Fatal(err)
	}
	l.start()
	if got := l.paper(); got != "check_id ok" {
		t.Errorf("verdict %s", got)
	}
	if localdb.LeftTrust(l.db()) {
		t.Error("what was taken still waits")
	}
	if n := count(l.end(), record.EventTrust); n != 2 {
		t.Errorf("%d rows of installed trust, want 2", n)
	}
}

// Whoever has the file open may be no gate, or a slow one: what was left stays
// for the next, and the command says so.
func TestTrustThatNobodyTakesStays(t *testing.T) {
	l := newLiving(t)
	ctx, stamp := context.Background(), record.Stamp{WallMS: time.Now().UnixMilli(), Quality: 3}
	db, err := localdb.Open(ctx, l.db(), localdb.Options{Now: func() record.Stamp { return stamp }})
	if err != nil {
		t.Fatal(err)
	}
	code, out, _ := l.run("trust", "install", l.file("v6", 6, true, edKey(9)))
	if code != 0 || !strings.Contains(out, "not taken") || strings.Contains(out, "installed trust") || !localdb.LeftTrust(l.db()) {
		t.Errorf("exit %d: %s", code, out)
	}
	if err := db.Close(ctx, stamp); err != nil {
		t.Fatal(err)
	}
	l.start()
	if got := l.paper(); got != "check_id ok" {
		t.Errorf("verdict %s", got)
	}
	l.end()
}
