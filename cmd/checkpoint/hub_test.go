package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"checkpoint/enroll"
	"checkpoint/healthcode"
	"checkpoint/hub"
	"checkpoint/hub/store"
	"checkpoint/hub/store/sqlite"
	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/trust"
	"checkpoint/trust/tuf"
)

// headquarters is a hub on loopback, with a store in files, and everybody who
// signs. It and its gates share one clock, which a test may set ahead.
type headquarters struct {
	*hub.Hub
	t         *testing.T
	dir       string
	keys      *hub.Keys
	store     store.Store
	ring      tuf.Keyring
	files     []tuf.File // what was published
	published int
	addr      string
	down      func() // ends serving; up serves again
	scene     scene
	ahead     *atomic.Int64
}

// soon is how long anything may take that a test waits for.
const soon = 25 * time.Second

func newHeadquarters(t *testing.T) *headquarters {
	t.Helper()
	h := &headquarters{t: t, dir: t.TempDir(), ahead: new(atomic.Int64)}
	h.scene = newScene(t, time.Now().UTC().Truncate(time.Second))
	ctx := context.Background()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	h.check(err)
	h.addr = ln.Addr().String()
	o := hub.KeyOptions{Hosts: []string{"127.0.0.1"}, Now: h.now}
	h.check(hub.InitKeys(filepath.Join(h.dir, "keys"), o))
	h.keys, err = hub.LoadKeys(filepath.Join(h.dir, "keys"), o)
	h.check(err)
	h.check(sqlite.Migrate(ctx, filepath.Join(h.dir, "data")))
	h.store, err = sqlite.Open(ctx, filepath.Join(h.dir, "data"), sqlite.Options{})
	h.check(err)
	t.Cleanup(func() { h.store.Close() })
	h.Hub, err = hub.New(hub.Config{Store: h.store, Keys: h.keys, URL: "https://" + h.addr, Interval: time.Second, Now: h.now})
	h.check(err)
	h.ring.Online = tuf.Online{Snapshot: h.keys.Snapshot, Timestamp: h.keys.Timestamp}
	for _, role := range []*[]ed25519.PrivateKey{&h.ring.Root, &h.ring.Targets, &h.ring.DayKeys, &h.ring.Revoked} {
		_, key, err := ed25519.GenerateKey(nil)
		h.check(err)
		*role = append(*role, key)
	}
	h.publish(h.scene.snapshot(1))
	h.serve(ln)
	t.Cleanup(func() { h.down() })
	return h
}

func (h *headquarters) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *headquarters) now() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }

func (h *headquarters) serve(ln net.Listener) {
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- h.Serve(ctx, ln) }()
	h.down = func() {
		stop()
		h.check(<-served)
		h.down = func() {}
	}
}

func (h *headquarters) up() {
	h.t.Helper()
	ln, err := net.Listen("tcp", h.addr)
	h.check(err)
	h.serve(ln)
}

// publish signs a snapshot's lists by all who must, and puts them at the hub.
func (h *headquarters) publish(s *trust.Snapshot) {
	h.t.Helper()
	h.published++
	targets, err := trust.Targets(s, uint64(h.published))
	h.check(err)
	own, err := h.keys.TrustTargets(h.now())
	h.check(err)
	maps.Copy(targets, own)
	plain := h.t.TempDir()
	for name, b := range targets {
		h.check(os.WriteFile(filepath.Join(plain, name), b, 0o600))
	}
	files, err := h.ring.Publish(os.DirFS(plain), h.files, h.now())
	h.check(err)
	h.files = merged(h.files, files)
	published := make(map[string][]byte, len(files))
	for _, f := range files {
		published[f.Name] = f.Bytes
	}
	h.check(h.Publish(context.Background(), published))
}

func merged(old, more []tuf.File) []tuf.File {
	all := map[string][]byte{}
	for _, f := range append(append([]tuf.File(nil), old...), more...) {
		all[f.Name] = f.Bytes
	}
	var files []tuf.File
	for name, b := range all {
		files = append(files, tuf.File{Name: name, Bytes: b})
	}
	return files
}

func (h *headquarters) invite(name string, sheet bool) enroll.Token {
	h.t.Helper()
	token, err := h.Invite(context.Background(), name, "Line 2", "subway", sheet, 0)
	h.check(err)
	return token
}

// technician does something at the hub.
func (h *headquarters) technician(path, body string) {
	h.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/v1/admin/gates/"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.Operator().ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		h.t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
}

// gate is what the hub knows of a gate.
func (h *headquarters) gate(name string) store.Gate {
	h.t.Helper()
	g, err := h.store.GateByName(context.Background(), name)
	h.check(err)
	return g
}

// last is the newest row of a gate that arrived.
func (h *headquarters) last(name string) (last uint64) {
	h.t.Helper()
	streams, err := h.store.Streams(context.Background(), h.gate(name).Device)
	h.check(err)
	for _, s := range streams {
		last = max(last, s.Last)
	}
	return last
}

// report is what the gate said of itself last.
func (h *headquarters) report(name string) (r enroll.Report) {
	h.t.Helper()
	if b := h.gate(name).Report; len(b) > 0 {
		h.check(json.Unmarshal(b, &r))
	}
	return r
}

// until waits until something is so.
func (h *headquarters) until(what string, so func() bool) {
	h.t.Helper()
	beat := time.NewTicker(20 * time.Millisecond)
	defer beat.Stop()
	for deadline := time.Now().Add(soon); !so(); <-beat.C {
		if time.Now().After(deadline) {
			h.t.Fatalf("after %v it is not so that %s", soon, what)
		}
	}
}

// post is one gate's machine: its file and the program.
type post struct {
	h     *headquarters
	home  string
	shown uint64

	in     *os.File
	events chan hubLine
	ended  chan int
	stderr *bytes.Buffer
}

// hubLine is what these tests read of an event.
type hubLine struct {
	Event, Verdict, Reason string
	Seq                    uint64
	Uplink, Hub, Word      string
	Problem                string
	Waiting                uint64
}

func (h *headquarters) newPost() *post { return &post{h: h, home: h.t.TempDir()} }

func (p *post) db() string { return filepath.Join(p.home, "gate.db") }

func (p *post) app(in io.Reader, out, err io.Writer) *app {
	return &app{in: in, out: out, err: err, now: p.h.now, pace: pace{trust: 100 * time.Millisecond, start: -1, spread: -1}}
}

// files are the flags that keep a command to this machine.
func (p *post) files(command string) []string {
	files := []string{"--db", p.db()}
	switch command {
	case "run", "enroll", "stick", "doctor":
		files = append(files, "--log-path", filepath.Join(p.home, "log"))
	}
	return files
}

// run runs a command to its end.
func (p *post) run(args ...string) (code int, said string) {
	p.h.t.Helper()
	var out bytes.Buffer
	code = p.app(strings.NewReader(""), &out, &out).run(context.Background(), append(args, p.files(args[0])...))
	return code, out.String()
}

// want runs a command that must end so and say that.
func (p *post) want(code int, says string, args ...string) string {
	p.h.t.Helper()
	got, said := p.run(args...)
	if got != code || !strings.Contains(said, says) {
		p.h.t.Fatalf("%v: exit %d, want %d with %q\n%s", args, got, code, says, said)
	}
	return said
}

// code writes an enrolment code's text.
func (p *post) code(t enroll.Token) string {
	path := filepath.Join(p.home, "token.txt")
	p.h.check(os.WriteFile(path, []byte(t.Text()+"\n"), 0o600))
	return path
}

// enrol makes a gate of it.
func (p *post) enrol(name string, sheet bool) string {
	p.h.t.Helper()
	return p.want(0, "trust version", "enroll", "--token-file", p.code(p.h.invite(name, sheet)))
}

// start runs the gate, without a screen.
func (p *post) start(more ...string) {
	p.h.t.Helper()
	in, w, err := os.Pipe()
	p.h.check(err)
	out, events, err := os.Pipe()
	p.h.check(err)
	p.in, p.events, p.ended, p.stderr = w, make(chan hubLine, 4096), make(chan int, 1), new(bytes.Buffer)
	args := append([]string{"run", "--headless", "--source", "stdin", "--latch", "200ms", "--sound", "off"}, more...)
	go func() {
		p.ended <- p.app(in, events, p.stderr).run(context.Background(), append(args, p.files("run")...))
		events.Close()
	}()
	go func() {
		defer close(p.events)
		defer out.Close()
		for s := bufio.NewScanner(out); s.Scan(); {
			var e hubLine
			if json.Unmarshal(s.Bytes(), &e) == nil {
				p.events <- e
			}
		}
	}()
	p.h.t.Cleanup(func() { w.Close() })
}

// stop lets the gate end in order.
func (p *post) stop() {
	p.h.t.Helper()
	p.in.Close()
	for range p.events {
	}
	if code := <-p.ended; code != 0 {
		p.h.t.Fatalf("the gate ended with %d: %s", code, p.stderr)
	}
}

// said waits for an event.
func (p *post) said(what string, so func(hubLine) bool) hubLine {
	p.h.t.Helper()
	deadline := time.After(soon)
	for {
		select {
		case e, open := <-p.events:
			if !open {
				p.h.t.Fatalf("the gate ended and had not said: %s; %s", what, p.stderr)
			}
			if so(e) {
				return e
			}
		case <-deadline:
			p.h.t.Fatalf("the gate did not say: %s", what)
		}
	}
}

func isUplink(word string) func(hubLine) bool {
	return func(e hubLine) bool { return e.Event == "state" && e.Uplink == word }
}

// paper shows a paper that nobody has shown before.
func (p *post) paper() hubLine {
	p.h.t.Helper()
	p.shown++
	c := p.h.scene.claims(healthcode.Green)
	c.Holder = nil
	binary.BigEndian.PutUint64(c.CTI[:], p.shown)
	_, err := io.WriteString(p.in, p.h.scene.credential(p.h.scene.issuer, c).Text()+"\n")
	p.h.check(err)
	return p.said("a verdict", func(e hubLine) bool { return e.Event == "verdict" })
}

// open opens the gate's file, which no gate has open.
func (p *post) open(do func(ctx context.Context, db *localdb.DB)) {
	p.h.t.Helper()
	ctx, stamp := context.Background(), record.Stamp{WallMS: p.h.now().UnixMilli(), Quality: 3}
	db, err := localdb.Open(ctx, p.db(), localdb.Options{Now: func() record.Stamp { return stamp }})
	p.h.check(err)
	do(ctx, db)
	p.h.check(db.Close(ctx, stamp))
}

// rows counts the gate's event rows of a kind.
func (p *post) rows(code record.EventCode) (n int) {
	p.h.t.Helper()
	p.open(func(ctx context.Context, db *localdb.DB) {
		for row, err := range db.Rows(ctx, 1) {
			p.h.check(err)
			if e, ok := row.Body.(record.Event); ok && e.Code == code {
				n++
			}
		}
	})
	return n
}

// station opens the gate's file and its way up, without running the gate.
func (p *post) station(do func(ctx context.Context, s *station, u *upstream)) {
	p.h.t.Helper()
	ctx := context.Background()
	cfg := defaultConfig(func(string) string { return "/" })
	cfg.DB, cfg.Log.Path = p.db(), filepath.Join(p.home, "log")
	s, err := p.app(nil, io.Discard, io.Discard).openStation(ctx, cfg)
	p.h.check(err)
	defer s.Close()
	p.h.check(s.joinUpstream(ctx))
	do(ctx, s, s.up)
}

func (p *post) log() string {
	b, err := os.ReadFile(filepath.Join(p.home, "log"))
	p.h.check(err)
	return string(b)
}

// enrolled is the enrolment in the gate's file.
func (p *post) enrolled() localdb.Enrolment {
	p.h.t.Helper()
	seen, err := localdb.Peek(context.Background(), p.db())
	p.h.check(err)
	if seen.Enrolment == nil {
		return localdb.Enrolment{}
	}
	return *seen.Enrolment
}

// repository is what the hub serves.
func (h *headquarters) repository() (files []tuf.File) {
	h.t.Helper()
	ctx := context.Background()
	names, err := h.store.ListTrust(ctx)
	h.check(err)
	for _, name := range names {
		b, err := h.store.TrustFile(ctx, name)
		h.check(err)
		files = append(files, tuf.File{Name: name, Bytes: b})
	}
	return files
}
