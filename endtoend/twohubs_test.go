package endtoend

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"checkpoint/internal/pgtest"
)

// front is one address before several hubs: each connection goes to the next
// of them that answers.
type front struct {
	ln    net.Listener
	hubs  []string
	mu    sync.Mutex
	next  int
	count map[string]int
	open  sync.WaitGroup
}

func newFront(t *testing.T, hubs ...string) *front {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{ln: ln, hubs: hubs, count: make(map[string]int)}
	go f.serve()
	t.Cleanup(func() { ln.Close(); f.open.Wait() })
	return f
}

func (f *front) serve() {
	for {
		in, err := f.ln.Accept()
		if err != nil {
			return
		}
		f.open.Go(func() { f.carry(in) })
	}
}

func (f *front) carry(in net.Conn) {
	defer in.Close()
	for range f.hubs {
		f.mu.Lock()
		to := f.hubs[f.next%len(f.hubs)]
		f.next++
		f.mu.Unlock()
		out, err := net.DialTimeout("tcp", to, time.Second)
		if err != nil {
			continue
		}
		f.mu.Lock()
		f.count[to]++
		f.mu.Unlock()
		var both sync.WaitGroup
		both.Go(func() { io.Copy(out, in); out.Close() })
		both.Go(func() { io.Copy(in, out); in.Close() })
		both.Wait()
		return
	}
}

func (f *front) served(hub string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count[hub]
}

// TestTwoHubs puts two hubs over one PostgreSQL behind one address and kills
// one, then the other, under load: gates notice nothing but a retry.
func TestTwoHubs(t *testing.T) {
	storeAt := database(t, pgtest.Start(t, pgtest.Options{}))
	s := newSite(t, storeAt, 3)
	twin := s.hub
	twin.Dir, twin.Listen = t.TempDir(), freeAddress(t)
	if err := image(filepath.Join(s.hub.Dir, "keys"), filepath.Join(twin.Dir, "keys")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(twin.Dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	f := newFront(t, s.hub.Listen, twin.Listen)
	plans := []plan{s.hub, twin}
	hubs := []*program{startHub(t, s.hub), startHub(t, twin)}
	var gates []*program
	for i := range s.gates {
		s.gates[i].Hub = "https://" + f.ln.Addr().String()
		if err := redirect(t.Context(), s.gates[i]); err != nil {
			t.Fatal(err)
		}
		gates = append(gates, start(t, "gate", s.gates[i], s.told.hear))
	}
	for round := range 4 {
		which := round % 2
		before := s.told.count()
		waitFor(t, "rows to be written", func() bool { return s.told.count() > before+100 })
		hubs[which].kill()
		before = s.told.count()
		waitFor(t, "gates to go on", func() bool { return s.told.count() > before+100 })
		hubs[which] = startHub(t, plans[which])
	}
	for _, g := range gates {
		g.kill()
	}
	for i := range gates {
		p := s.gates[i]
		p.Rows = 1
		gates[i] = start(t, "gate", p, s.told.hear)
	}
	for _, g := range gates {
		g.wait(t, 2*time.Minute)
	}
	for _, h := range hubs {
		h.cmd.Process.Signal(syscall.SIGTERM)
		h.wait(t, 30*time.Second)
	}
	if s.told.drained != len(gates) {
		t.Errorf("%d of %d gates were drained", s.told.drained, len(gates))
	}
	for _, p := range plans {
		if f.served(p.Listen) == 0 {
			t.Errorf("no connection went to %s", p.Listen)
		}
	}
	s.check(t)
}

// waitFor waits until something has come about.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(5 * time.Millisecond) // another program does it: nothing to wait on
	}
}
