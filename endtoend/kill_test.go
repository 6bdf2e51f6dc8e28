package endtoend

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"checkpoint/demo"
	"checkpoint/demo/office"
	"checkpoint/enroll"
	"checkpoint/hub"
	"checkpoint/hub/store"
	"checkpoint/hub/store/postgres"
	"checkpoint/hub/store/sqlite"
	"checkpoint/internal/pgtest"
	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/uplink"
)

// The test program is also the programs that are killed: a hub, or a gate with
// somebody at it, which prints each row that it has acknowledged.
func TestMain(m *testing.M) {
	var err error
	switch role := os.Getenv("ENDTOEND_ROLE"); role {
	case "hub":
		err = hubMain()
	case "gate":
		err = gateMain()
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, os.Getenv("ENDTOEND_ROLE")+":", err)
		os.Exit(1)
	}
}

// plan is what a killed program is told, as JSON in its environment.
type plan struct {
	Dir      string // hub: data and keys; gate: its file
	Store    string // hub: "" SQLite in Dir, or the address of a PostgreSQL
	Listen   string // hub
	Hub      string // gate: its address
	Keys     string // gate: the hub's key directory, for pin and receipts
	Name     string // gate
	Rows     int    // gate: that many rows at once, then it only sends; 0: until it is killed
	Interval time.Duration
}

func readPlan() (p plan, err error) {
	err = json.Unmarshal([]byte(os.Getenv("ENDTOEND_PLAN")), &p)
	return p, err
}

func openStore(ctx context.Context, p plan) (store.Store, error) {
	if p.Store != "" {
		return postgres.Open(ctx, p.Store, postgres.Options{})
	}
	return sqlite.Open(ctx, filepath.Join(p.Dir, "data"), sqlite.Options{})
}

func migrate(ctx context.Context, p plan) error {
	if p.Store != "" {
		return postgres.Migrate(ctx, p.Store)
	}
	return sqlite.Migrate(ctx, filepath.Join(p.Dir, "data"))
}

func hubMain() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	p, err := readPlan()
	if err != nil {
		return err
	}
	s, err := openStore(ctx, p)
	if err != nil {
		return err
	}
	defer s.Close()
	keys, err := hub.LoadKeys(filepath.Join(p.Dir, "keys"), hub.KeyOptions{Hosts: []string{"127.0.0.1"}})
	if err != nil {
		return err
	}
	h, err := hub.New(hub.Config{Store: s, Keys: keys, URL: "https://" + p.Listen, Interval: time.Second,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", p.Listen)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return h.Serve(ctx, ln)
}

// gateMain appends rows as fast as its file takes them, or Rows at once, and
// sends them over mTLS.
func gateMain() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	p, err := readPlan()
	if err != nil {
		return err
	}
	boot := [16]byte{byte(os.Getpid()), byte(os.Getpid() >> 8)}
	began := time.Now()
	now := func() record.Stamp {
		return record.Stamp{WallMS: time.Now().UnixMilli(), Quality: 3, Boot: boot, MonoMS: uint64(time.Since(began).Milliseconds())}
	}
	db, err := localdb.Open(ctx, filepath.Join(p.Dir, "gate.db"), localdb.Options{Now: now, HardwareID: "board"})
	if err != nil {
		return err
	}
	defer func() { db.Close(context.Background(), now()) }()
	e, ok, err := db.Enrolment(ctx)
	if err != nil || !ok {
		return fmt.Errorf("not enrolled: %w", err)
	}
	tlsKey, err := x509.ParsePKCS8PrivateKey(e.TLSKey)
	if err != nil {
		return err
	}
	keys, err := hub.LoadKeys(p.Keys, hub.KeyOptions{})
	if err != nil {
		return err
	}
	cert := &tls.Certificate{Certificate: e.Chain, PrivateKey: tlsKey}
	clock := func() (time.Time, bool) { return time.Now(), true }
	client, err := uplink.New(uplink.Config{
		URL: p.Hub, Pins: func() [][32]byte { return [][32]byte{keys.Pin()} }, Certificate: func() *tls.Certificate { return cert }, Clock: clock,
		ReceiptKeys: func() []ed25519.PublicKey { return []ed25519.PublicKey{keys.Receipt.Public().(ed25519.PublicKey)} },
	})
	if err != nil {
		return err
	}
	segmentKey := ed25519.NewKeyFromSeed(e.SegmentSeed)
	loop, err := uplink.NewLoop(uplink.LoopConfig{
		Hub: client, Outbox: file{db, segmentKey, now}, Clock: clock, Interval: p.Interval, Start: -1, Spread: -1,
		Report: func(context.Context) (enroll.Report, error) {
			return enroll.Report{Version: "t", Time: time.Now(), Clock: "synced", Camera: "ok"}, nil
		},
	})
	if err != nil {
		return err
	}
	sending := make(chan error, 1)
	go func() { sending <- loop.Run(ctx) }()
	out := bufio.NewWriter(os.Stdout)
	for n := 0; ctx.Err() == nil && (p.Rows == 0 || n < p.Rows); n++ {
		seq, err := db.Append(ctx, record.Draft{Stamp: now(), Body: record.Scan{Verdict: 1, Reason: 1, Format: 1}})
		if err != nil {
			break
		}
		row, err := db.Row(ctx, seq)
		if err != nil {
			return err
		}
		sum, err := rowSum(row)
		if err != nil {
			return err
		}
		// Told only now that it is on the disk.
		fmt.Fprintf(out, "%x %x %d %x\n", row.Device, row.Epoch, row.Seq, sum)
		if err := out.Flush(); err != nil {
			return err
		}
	}
	for p.Rows > 0 && ctx.Err() == nil {
		st, err := db.Status(now())
		if err != nil {
			return err
		}
		if st.Waiting == 0 {
			fmt.Fprintln(out, "drained")
			out.Flush()
			break
		}
		loop.Wake()
		time.Sleep(20 * time.Millisecond) // another program's loop: nothing to wait on
	}
	stop()
	<-sending
	return nil
}

// file is a gate's file as its loop sees it.
type file struct {
	db  *localdb.DB
	key ed25519.PrivateKey
	now func() record.Stamp
}

func (f file) NextCut(ctx context.Context, all bool) (record.Cut, bool, error) {
	return f.db.NextCut(ctx, all, signerOf(f.key))
}
func (f file) Settle(ctx context.Context, r record.Receipt, raw []byte) error {
	return f.db.Settle(ctx, f.now(), r, raw)
}
func (f file) SetAside(ctx context.Context, c record.Cut, why string, newEpoch bool) error {
	return f.db.SetAside(ctx, f.now(), c, why, newEpoch)
}

// program is one that runs, and may be killed.
type program struct {
	cmd  *exec.Cmd
	out  io.ReadCloser
	done chan struct{}
}

func start(t *testing.T, role string, p plan, heard func(line string)) *program {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ENDTOEND_ROLE="+role, "ENDTOEND_PLAN="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &program{cmd: cmd, out: out, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if heard != nil {
				heard(lines.Text())
			}
		}
	}()
	return r
}

// kill ends it with kill -9.
func (r *program) kill() {
	r.cmd.Process.Kill()
	<-r.done
	r.cmd.Wait()
}

// wait waits for its end, or kills it when that takes too long.
func (r *program) wait(t *testing.T, longest time.Duration) {
	t.Helper()
	select {
	case <-r.done:
	case <-time.After(longest):
		t.Errorf("it did not end in %v", longest)
		r.cmd.Process.Kill()
		<-r.done
	}
	r.cmd.Wait()
}

// told gathers the rows that gates have acknowledged.
type told struct {
	mu      sync.Mutex
	rows    map[rowKey][32]byte
	drained int
}

func (d *told) hear(line string) {
	var device, epoch, sum string
	var k rowKey
	d.mu.Lock()
	defer d.mu.Unlock()
	if line == "drained" {
		d.drained++
		return
	}
	if n, err := fmt.Sscanf(line, "%s %s %d %s", &device, &epoch, &k.seq, &sum); err != nil || n != 4 {
		return // cut off by a kill
	}
	a, errA := hex.DecodeString(device)
	b, errB := hex.DecodeString(epoch)
	c, errC := hex.DecodeString(sum)
	if errA != nil || errB != nil || errC != nil || len(a) != 16 || len(b) != 8 || len(c) != 32 {
		return
	}
	copy(k.Device[:], a)
	copy(k.Epoch[:], b)
	d.rows[k] = [32]byte(c)
}

func (d *told) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.rows)
}

// site is a hub's folder and the folders of its enrolled gates.
type site struct {
	hub   plan
	gates []plan
	told  told
}

// newSite makes a hub with gates, all enrolled, nothing running.
func newSite(t *testing.T, storeAt string, gates int) *site {
	t.Helper()
	ctx := t.Context()
	address := freeAddress(t)
	s := &site{hub: plan{Dir: t.TempDir(), Store: storeAt, Listen: address}}
	s.told.rows = make(map[rowKey][32]byte)
	if err := migrate(ctx, s.hub); err != nil {
		t.Fatal(err)
	}
	db, err := openStore(ctx, s.hub)
	if err != nil {
		t.Fatal(err)
	}
	world, err := demo.New(demo.Config{Seed: 1, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	o, err := office.Open(ctx, office.Config{Dir: s.hub.Dir, Store: db, Snapshot: world.Snapshot()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range gates {
		p := plan{Dir: t.TempDir(), Hub: "https://" + address, Keys: filepath.Join(s.hub.Dir, "keys"), Name: fmt.Sprint("G", i), Interval: 200 * time.Millisecond}
		if err := enrolGate(ctx, o, p); err != nil {
			t.Fatal(err)
		}
		s.gates = append(s.gates, p)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// enrolGate makes a gate's keys and has them certified, as checkpoint enroll
// does; from then on it goes to the address of its plan.
func enrolGate(ctx context.Context, o *office.Office, p plan) error {
	now := func() record.Stamp { return record.Stamp{WallMS: time.Now().UnixMilli(), Quality: 3} }
	db, err := localdb.Open(ctx, filepath.Join(p.Dir, "gate.db"), localdb.Options{Now: now, HardwareID: "board"})
	if err != nil {
		return err
	}
	defer db.Close(ctx, now())
	token, err := o.Invite(ctx, p.Name, "V", "subway")
	if err != nil {
		return err
	}
	tlsKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	request, err := enroll.NewRequest(&token, db.Identity().Device, tlsKey, key(p.Name), "t")
	if err != nil {
		return err
	}
	client, err := uplink.New(uplink.Config{URL: token.URL, Pins: func() [][32]byte { return [][32]byte{token.Pin} },
		Clock: func() (time.Time, bool) { return time.Now(), true }})
	if err != nil {
		return err
	}
	defer client.Close()
	grant, err := client.Enroll(ctx, request)
	if err != nil {
		return err
	}
	e := enrolment(key(p.Name), grant.Venue)
	e.URL, e.Chain = p.Hub, grant.Chain
	if e.TLSKey, err = x509.MarshalPKCS8PrivateKey(tlsKey); err != nil {
		return err
	}
	return db.Enrol(ctx, now(), e)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// check holds what gates told of against what the hub has: everything, once.
func (s *site) check(t *testing.T) {
	t.Helper()
	db, err := openStore(t.Context(), s.hub)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	have, err := logged(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	lost, other := 0, 0
	for k, sum := range s.told.rows {
		switch got, there := have[k]; {
		case !there:
			lost++
		case got != sum:
			other++
		}
	}
	t.Logf("%d rows acknowledged by gates, %d at the hub, lost %d, other bytes %d, duplicates 0", len(s.told.rows), len(have), lost, other)
	if lost > 0 || other > 0 || len(s.told.rows) == 0 {
		t.Errorf("lost %d, other bytes %d of %d", lost, other, len(s.told.rows))
	}
}

// drain lets everybody run in peace until nothing waits.
func (s *site) drain(t *testing.T) {
	t.Helper()
	h := startHub(t, s.hub)
	var gates []*program
	for _, p := range s.gates {
		p.Rows = 1
		gates = append(gates, start(t, "gate", p, s.told.hear))
	}
	for _, g := range gates {
		g.wait(t, 2*time.Minute)
	}
	h.cmd.Process.Signal(syscall.SIGTERM)
	h.wait(t, 30*time.Second)
	if s.told.drained < len(s.gates) {
		t.Errorf("%d of %d gates were drained", s.told.drained, len(s.gates))
	}
}

func startHub(t *testing.T, p plan) *program {
	t.Helper()
	ready := make(chan struct{})
	var once sync.Once
	h := start(t, "hub", p, func(line string) { once.Do(func() { close(ready) }) })
	select {
	case <-ready:
	case <-h.done:
		t.Fatal("the hub did not start")
	case <-time.After(30 * time.Second):
		t.Fatal("the hub does not start")
	}
	return h
}

// TestKills kills hub and gates, kill -9, in turn and at random moments, while
// rows are written and sent. The full count is
//
//	CHECKPOINT_KILLS=300 go test -timeout 60m -run TestKills -v ./endtoend
func TestKills(t *testing.T) { killAll(t, "") }

// TestKillsPostgreSQL is TestKills with a hub over a PostgreSQL.
func TestKillsPostgreSQL(t *testing.T) { killAll(t, database(t, pgtest.Start(t, pgtest.Options{}))) }

func killAll(t *testing.T, storeAt string) {
	kills := count(t, "CHECKPOINT_KILLS", 20)
	if testing.Short() {
		kills = 3
	}
	s := newSite(t, storeAt, 2)
	rng := mathrand.New(mathrand.NewPCG(3, uint64(kills)))
	pause := func(most time.Duration) { time.Sleep(time.Duration(rng.Int64N(int64(most)))) } // the moment is what is tried
	h := startHub(t, s.hub)
	var gates []*program
	for _, p := range s.gates {
		gates = append(gates, start(t, "gate", p, s.told.hear))
	}
	for range kills {
		pause(400 * time.Millisecond)
		h.kill()
		pause(100 * time.Millisecond)
		h = startHub(t, s.hub)
		pause(300 * time.Millisecond)
		i := rng.IntN(len(gates))
		gates[i].kill()
		gates[i] = start(t, "gate", s.gates[i], s.told.hear)
	}
	for _, g := range gates {
		g.kill()
	}
	h.kill()
	s.drain(t)
	s.check(t)
	t.Logf("%d kills of the hub, %d of gates", kills+1, kills+len(gates))
}

// database makes a new database on a server and gives its address.
func database(t *testing.T, server *pgtest.Server) string {
	t.Helper()
	if _, err := server.SQL(t.Context(), "postgres", "CREATE DATABASE hub"); err != nil {
		t.Fatal(err)
	}
	return server.URL("hub")
}
