package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"checkpoint/enroll"
	"checkpoint/trust/tuf"
	"checkpoint/uplink"
)

func sorted(all []time.Duration) []time.Duration {
	slices.Sort(all)
	return all
}

// benchHub is a hub in another process.
type benchHub struct {
	process *exec.Cmd
	said    *bufio.Reader
	ops     string // of its first line
}

// startBenchHub starts hub serve on a data directory.
func (a *app) startBenchHub(ctx context.Context, cfg config) (*benchHub, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, faultf("bench: %w", err)
	}
	c := exec.CommandContext(ctx, self)
	c.Args = []string{"hub", "serve", "--dir", cfg.dir, "--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--log", cfg.path("hub.log")}
	c.Stderr = a.err
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 30 * time.Second
	// A database's password goes where ps does not show it.
	c.Env = append(os.Environ(), "CHECKPOINT_HUB_STORE="+cfg.Store, "NOTIFY_SOCKET=")
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, faultf("bench: %w", err)
	}
	if err := c.Start(); err != nil {
		return nil, faultf("bench: start a hub: %w", err)
	}
	h := &benchHub{process: c, said: bufio.NewReader(out)}
	first, err := h.said.ReadString('\n')
	if err != nil {
		return nil, errors.Join(faultf("bench: the hub did not start"), h.stop())
	}
	for part := range strings.SplitSeq(strings.TrimSpace(first), " · ") {
		if rest, ok := strings.CutPrefix(part, "ops "); ok {
			h.ops = rest
		}
	}
	return h, nil
}

// stop ends the hub as a service manager would.
func (h *benchHub) stop() error {
	_ = h.process.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	if err := h.process.Wait(); err != nil {
		return faultf("bench: the hub ended: %w", err)
	}
	return nil
}

// cpu is the processor time of the hub so far: proc_pid_stat(5), fields 14 and
// 15, in ticks of a hundredth of a second.
func (h *benchHub) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.process.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// metric is one of the hub's own figures, 0 when it cannot be had.
func (h *benchHub) metric(ctx context.Context, name string) float64 {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.ops+"/metrics", nil)
	if err != nil {
		return 0
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(io.LimitReader(response.Body, 1<<20))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			value, _ := strconv.ParseFloat(rest, 64)
			return value
		}
	}
	return 0
}

// benchNet measures a hub over mutual TLS.
func (a *app) benchNet(ctx context.Context, cfg config, o benchOptions) (f figures, err error) {
	dir := cfg.dir
	cfg.dir = dir + "/hub"
	cfg.Names = []string{"localhost"}
	address := cfg.Store
	if cfg.postgres() {
		if err := a.benchEmpty(ctx, cfg); err != nil {
			return f, err
		}
	}
	cfg.Store = "sqlite" // what hub.toml says; the address goes by the environment
	if err := a.makeHub(ctx, cfg, initOptions{demo: true, address: address}); err != nil {
		return f, err
	}
	cfg.Store = address
	h, err := a.startBenchHub(ctx, cfg)
	if err != nil {
		return f, err
	}
	stopped := false
	defer func() {
		if !stopped {
			err = errors.Join(err, h.stop())
		}
	}()
	at, err := a.reachBySocket(ctx, cfg)
	if err != nil {
		return f, err
	}
	if at == nil {
		return f, faultf("bench: the hub's socket is not there")
	}
	defer at.Close()
	run, err := a.enrolBench(ctx, at, o)
	if err != nil {
		return f, err
	}
	defer run.close()
	wire := h.metric(ctx, "checkpoint_hub_wire_bytes_total")
	cpu := h.cpu()
	if f, err = run.send(ctx); err != nil {
		return f, err
	}
	f.hub = h.cpu() - cpu
	f.wire = int64(h.metric(ctx, "checkpoint_hub_wire_bytes_total") - wire)
	if f.segments+f.twice > 0 {
		f.wire = f.wire * int64(f.segments) / int64(f.segments+f.twice) // a row's share is of it sent once
	}
	stopped = true
	if err := h.stop(); err != nil {
		return f, err
	}
	s, err := a.openStore(ctx, cfg)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if f.checked, err = readBack(ctx, s, run.gates); err != nil {
		return f, err
	}
	f.kept, err = keptBytes(ctx, s, cfg)
	return f, err
}

// benchEmpty looks that a database is there and holds nothing.
func (a *app) benchEmpty(ctx context.Context, cfg config) error {
	s, err := a.newStore(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(emptyStore(ctx, s), s.Close())
}

// benchRemote measures a hub elsewhere.
func (a *app) benchRemote(ctx context.Context, at *office, o benchOptions) error {
	fmt.Fprintf(a.err, "hub: %d gates enrol at %s, then send for %d s; they and their rows stay there\n", o.gates, at.base, o.seconds)
	run, err := a.enrolBench(ctx, at, o)
	if err != nil {
		return err
	}
	defer run.close()
	f, err := run.send(ctx)
	if err != nil {
		return err
	}
	for _, g := range run.gates {
		var seen struct {
			Streams []struct {
				Epoch   string            `json:"epoch"`
				Segment uint64            `json:"segment"`
				Gaps    []json.RawMessage `json:"gaps"`
			} `json:"streams"`
		}
		if err := at.ask(ctx, http.MethodGet, pathAdmin+"gates/"+escaped(g.name), nil, &seen); err != nil {
			return err
		}
		if len(g.sent) > 0 && (len(seen.Streams) != 1 || seen.Streams[0].Segment < uint64(len(g.sent)) || len(seen.Streams[0].Gaps) > 0) {
			return faultf("%s has receipts for %d segments, and the hub does not have them all", g.name, len(g.sent))
		}
	}
	f.checked = "all numbers are there"
	return a.benchTable("hub at "+at.base, o, f, figures{})
}

// benchRun is gates that are enrolled and ready to send.
type benchRun struct {
	*app
	o       benchOptions
	gates   []*benchGate
	clients []*uplink.Client
}

func (r *benchRun) close() {
	for _, c := range r.clients {
		c.Close()
	}
}

// enrolBench makes gates at a hub, and enrols them as gates do.
func (a *app) enrolBench(ctx context.Context, at *office, o benchOptions) (*benchRun, error) {
	gates, err := a.benchGates(o.gates)
	if err != nil {
		return nil, err
	}
	r := &benchRun{app: a, o: o, gates: gates}
	for i, g := range gates {
		if at.base != "http://hub" { // another bench may have been there
			g.name = fmt.Sprintf("%s-%x", g.name, g.id.Device[:4])
		}
		client, err := a.enrolBenchGate(ctx, at, g)
		if err != nil {
			return nil, fmt.Errorf("bench: gate %d of %d: %w", i+1, o.gates, err)
		}
		r.clients = append(r.clients, client)
	}
	return r, nil
}

func (a *app) enrolBenchGate(ctx context.Context, at *office, g *benchGate) (*uplink.Client, error) {
	var t invitation
	err := at.ask(ctx, http.MethodPost, pathAdmin+"gates", map[string]any{"name": g.name, "venue": g.venue, "venue_type": "any"}, &t)
	if err != nil {
		return nil, err
	}
	token, err := enroll.ParseToken(t.Code)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	var chain [][]byte
	var receipts []ed25519.PublicKey
	client, err := uplink.New(uplink.Config{
		URL: token.URL, Version: "bench",
		Pins:        func() [][32]byte { return [][32]byte{token.Pin} },
		Clock:       func() (time.Time, bool) { return a.now(), true },
		ReceiptKeys: func() []ed25519.PublicKey { return receipts },
		Certificate: func() *tls.Certificate {
			if chain == nil {
				return nil
			}
			return &tls.Certificate{Certificate: chain, PrivateKey: key}
		},
	})
	if err != nil {
		return nil, err
	}
	request, err := enroll.NewRequest(&token, g.id.Device, key, g.key, "bench")
	if err != nil {
		return nil, err
	}
	grant, err := patiently(ctx, func() (enroll.Grant, error) { return client.Enroll(ctx, request) })
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(grant.Root) != token.Root {
		return nil, errors.New("the root that came is not the one that the code names")
	}
	chain = grant.Chain
	trusted, err := tuf.Open(ctx, new(nowhere), grant.Root, a.now)
	if err != nil {
		return nil, err
	}
	if _, err := trusted.Refresh(ctx, client); err != nil {
		return nil, err
	}
	for _, k := range trusted.Snapshot().ReceiptKeys {
		receipts = append(receipts, k.Key)
	}
	return client, nil
}

// patiently asks again for as long as the hub says that it comes too often.
func patiently[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	for {
		got, err := ask()
		var no *uplink.Refusal
		if !errors.As(err, &no) || no.Status != http.StatusTooManyRequests {
			return got, err
		}
		select {
		case <-ctx.Done():
			return got, ctx.Err()
		case <-time.After(max(no.RetryAfter, time.Second)):
		}
	}
}

// nowhere keeps the newest generation in memory: a tuf.Store.
type nowhere struct{ all []tuf.Generation }

// Generations gives what is kept.
func (n *nowhere) Generations(context.Context) ([]tuf.Generation, error) { return n.all, nil }

// Keep keeps one.
func (n *nowhere) Keep(_ context.Context, g tuf.Generation) error {
	n.all = []tuf.Generation{g}
	return nil
}

// send sends for as long as the options say, from all gates at once.
func (r *benchRun) send(ctx context.Context) (figures, error) {
	ctx, stop := context.WithTimeout(ctx, time.Duration(r.o.seconds)*time.Second)
	defer stop()
	var (
		mu     sync.Mutex
		f      figures
		failed error
		all    sync.WaitGroup
	)
	turns := make(chan struct{}, r.o.connections)
	began, cpu := time.Now(), cpuTime()
	for i, g := range r.gates {
		all.Go(func() {
			one, err := r.sendOne(ctx, g, r.clients[i], turns, func(rows int) bool {
				mu.Lock()
				defer mu.Unlock()
				f.rows += rows
				return r.o.rows == 0 || f.rows < r.o.rows
			})
			mu.Lock()
			defer mu.Unlock()
			f.acks = append(f.acks, one.acks...)
			f.segments += one.segments
			f.twice += one.twice
			if err != nil && failed == nil {
				failed = fmt.Errorf("%s: %w", g.name, err)
				stop()
			}
		})
	}
	all.Wait()
	f.wall, f.own = time.Since(began), cpuTime()-cpu
	sorted(f.acks)
	if failed != nil {
		return f, faultf("bench: %w", failed)
	}
	return f, nil
}

// sendOne is one gate: a segment, its receipt, the next. What was not answered
// before the end counts nowhere.
func (r *benchRun) sendOne(ctx context.Context, g *benchGate, client *uplink.Client, turns chan struct{}, more func(rows int) bool) (f figures, err error) {
	every, due := r.o.resend, 0.0
	for ctx.Err() == nil {
		_, cut, err := g.next(r.o.segment)
		if err != nil {
			return f, err
		}
		due += every
		acked := false
		for {
			turns <- struct{}{}
			start := time.Now()
			answer, err := client.Send(ctx, cut)
			took := time.Since(start)
			<-turns
			switch {
			case ctx.Err() != nil:
				return f, nil
			case err != nil:
				return f, err
			case answer.Outcome == uplink.Later:
				select {
				case <-ctx.Done():
					return f, nil
				case <-time.After(max(answer.After, 10*time.Millisecond)):
				}
				continue
			case answer.Outcome != uplink.Received:
				return f, fmt.Errorf("segment %d: %s (outcome %d)", cut.Number, answer.Line, answer.Outcome)
			}
			if acked { // the second receipt
				f.twice++
				break
			}
			acked = true
			g.sent = append(g.sent, cut.SHA256)
			f.acks = append(f.acks, took)
			f.segments++
			if due < 1 {
				break
			}
			due--
		}
		if !more(r.o.segment) {
			return f, nil
		}
	}
	return f, nil
}
