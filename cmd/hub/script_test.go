package main

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"checkpoint/decode"
	"checkpoint/enroll"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hub": main})
}

// TestScripts are the stories in testdata/script. Beside testscript's own
// commands they have
//
//	status N CMD…    runs CMD and fails unless it exits with N
//	oneline          fails unless standard error is one line of the program's
//	serve DIR [ARG…] starts hub serve on DIR in the background and waits until it
//	                 has said its first line; $URL, $OPS and $FIRST are out of it
//	stop             ends the hub that serve started, and fails unless it exits
//	                 with 0
//	qr FILE          reads the picture with the decoder of gates, and sets $CODE
//	enrol [DEVICE]   enrols a device with $CODE over the net, as a gate does, and
//	                 sets $WORD when it is pending; !: it must be refused
//	ready PAGE       fails unless /PAGE of the operator answers 200
//	mode FILE MODE   fails unless the file has that mode
//	nosecret TEXT…   fails when a text is in a file below $WORK, or in what the
//	                 last command printed
//	stickgate DIR STICK  writes three segments of a gate of the hub in DIR, which does
//	                 not serve, to a stick; !: of a gate that it does not know
//	postgres NAME…   starts a PostgreSQL of the story's own with these databases; $PG
//	write FILE TEXT  writes one line
//	newer DIR        lifts the version of a SQLite store above this program's
//	flip FILE N      changes the byte at N, from the end when N is negative
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			for _, name := range []string{"XDG_STATE_HOME", "STATE_DIRECTORY", "CHECKPOINT_HUB_STORE", "NOTIFY_SOCKET"} {
				e.Setenv(name, "")
			}
			e.Setenv("NO_COLOR", "1")
			e.Values[servingKey{}] = new(serving)
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name == "postgres" {
				return hasPostgres()
			}
			return false, fmt.Errorf("no condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status, "oneline": oneLineOnly, "serve": serve, "stop": stop, "qr": qr, "enrol": enrol,
			"mode": mode, "nosecret": nosecret, "newer": newer, "flip": flip, "ready": page, "stickgate": stickGate,
			"postgres": postgresServer, "write": write,
		},
	})
}

func status(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || len(args) < 2 || err != nil {
		ts.Fatalf("usage: status N COMMAND…")
	}
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// oneLineOnly holds the rule for every failure: one line, in the program's
// name, without a stack, a usage dump or an escape.
func oneLineOnly(ts *testscript.TestScript, neg bool, _ []string) {
	text := ts.ReadFile("stderr")
	if neg || !strings.HasPrefix(text, "hub: ") || strings.Count(text, "\n") != 1 || strings.Contains(text, "\x1b") {
		ts.Fatalf("standard error is not one line of hub: %q", text)
	}
}

// serving is the hub that a story has started.
type serving struct {
	command *exec.Cmd
	err     bytes.Buffer
}

type servingKey struct{}

func served(ts *testscript.TestScript) *serving { return ts.Value(servingKey{}).(*serving) }

func serve(ts *testscript.TestScript, neg bool, args []string) {
	s := served(ts)
	if neg || len(args) < 1 || s.command != nil {
		ts.Fatalf("usage: serve DIR [ARG…], once before stop")
	}
	path, err := exec.LookPath(filepath.Join(strings.Split(ts.Getenv("PATH"), string(os.PathListSeparator))[0], "hub"))
	ts.Check(err)
	c := exec.Command(path, append([]string{"serve", "--dir", ts.MkAbs(args[0]), "--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0"}, args[1:]...)...)
	c.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "PATH", "TMPDIR", "NO_COLOR", "NOTIFY_SOCKET", "CHECKPOINT_HUB_STORE", "TESTSCRIPT_COMMAND"} {
		c.Env = append(c.Env, name+"="+ts.Getenv(name))
	}
	c.Stderr = &s.err
	out, err := c.StdoutPipe()
	ts.Check(err)
	ts.Check(c.Start())
	s.command = c
	ts.Defer(func() {
		if s.command != nil {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	})
	first := make([]byte, 0, 1024)
	for b := make([]byte, 1); !bytes.HasSuffix(first, []byte("\n")); first = append(first, b...) {
		if _, err := out.Read(b); err != nil {
			_ = c.Wait()
			s.command = nil
			ts.Fatalf("the hub did not start: %s", s.err.String())
		}
	}
	ts.Setenv("FIRST", strings.TrimSpace(string(first)))
	for part := range strings.SplitSeq(strings.TrimSpace(string(first)), " · ") {
		if rest, ok := strings.CutPrefix(part, "gates "); ok {
			ts.Setenv("URL", rest)
		}
		if rest, ok := strings.CutPrefix(part, "ops "); ok {
			ts.Setenv("OPS", rest)
		}
	}
}

func stop(ts *testscript.TestScript, neg bool, args []string) {
	s := served(ts)
	if neg || len(args) > 0 || s.command == nil {
		ts.Fatalf("usage: stop, after serve")
	}
	ts.Check(s.command.Process.Signal(os.Interrupt))
	err := s.command.Wait()
	s.command = nil
	ts.Check(os.WriteFile(ts.MkAbs("hub.err"), s.err.Bytes(), 0o600))
	if err != nil {
		ts.Fatalf("the hub ended: %v: %s", err, s.err.String())
	}
}

// page fails unless the operator's page of that name says so.
func page(ts *testscript.TestScript, neg bool, args []string) {
	response, err := http.Get(ts.Getenv("OPS") + args[0])
	ts.Check(err)
	response.Body.Close()
	if (response.StatusCode == http.StatusOK) == neg {
		ts.Fatalf("%s: status %d", args[0], response.StatusCode)
	}
}

func qr(ts *testscript.TestScript, neg bool, args []string) {
	f, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	img, err := png.Decode(f)
	ts.Check(err)
	b := img.Bounds()
	luma := make([]byte, b.Dx()*b.Dy())
	for y := range b.Dy() {
		for x := range b.Dx() {
			r, _, _, _ := img.At(x, y).RGBA()
			luma[y*b.Dx()+x] = byte(r >> 8)
		}
	}
	found := decode.NewScanner(decode.Options{}).Scan(decode.Image{Luma: luma, Width: b.Dx(), Height: b.Dy(), Stride: b.Dx()})
	if neg || len(found.Symbols) != 1 {
		ts.Fatalf("%d symbols in the picture", len(found.Symbols))
	}
	if _, err := enroll.ParseToken(string(found.Symbols[0].Payload)); err != nil {
		ts.Fatalf("%v", err)
	}
	ts.Setenv("CODE", string(found.Symbols[0].Payload))
}

func mode(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); (got == args[1]) == neg {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}

func nosecret(ts *testscript.TestScript, neg bool, args []string) {
	look := func(where string, data []byte) {
		for _, secret := range args {
			if bytes.Contains(data, []byte(secret)) {
				ts.Fatalf("%q is in %s", secret, where)
			}
		}
	}
	look("standard output", []byte(ts.ReadFile("stdout")))
	look("standard error", []byte(ts.ReadFile("stderr")))
	ts.Check(filepath.WalkDir(ts.MkAbs("."), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), "secret") {
			return err
		}
		data, err := os.ReadFile(path)
		look(path, data)
		return err
	}))
}

// write writes one line into a file that its owner alone can read.
func write(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: write FILE TEXT")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(args[1]+"\n"), 0o600))
}

func flip(ts *testscript.TestScript, neg bool, args []string) {
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	if at < 0 {
		at += len(data)
	}
	data[at] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}

// newer lifts the version of a store, which SQLite keeps in bytes 60 to 63
// (user_version) of its main file.
func newer(ts *testscript.TestScript, neg bool, args []string) {
	files, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), dirData, "*.db"))
	ts.Check(err)
	if len(files) == 0 {
		ts.Fatalf("no store in %s", args[0])
	}
	for _, file := range files {
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		ts.Check(err)
		_, err = f.WriteAt([]byte{0, 0, 0x27, 0x0f}, 60)
		ts.Check(errors.Join(err, f.Close()))
	}
}
