package localdb

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"checkpoint/record"
)

// The durability tests run a writer in a process of its own: this test binary
// again, which TestMain turns into one. It prints each row that Append has
// acknowledged as "seq token", the token standing in the row as its monotonic
// time, each segment that was given as "cut first digest", and each generation
// of trust that was installed as "trust version", until it is killed or a write
// fails.
const (
	childFile = "CHECKPOINT_TEST_CHILD_FILE"
	childMode = "CHECKPOINT_TEST_CHILD_SYNCHRONOUS"
	childSeed = "CHECKPOINT_TEST_CHILD_SEED"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		seed, _ := strconv.ParseUint(os.Getenv(childSeed), 10, 64)
		childRun := childWrite
		switch os.Getenv(childMode) {
		case childCycles:
			childRun = childCycle
		case childPeeks:
			childRun = childPeek
		case childTrusts:
			childRun = childTrust
		}
		if err := childRun(path, os.Getenv(childMode), seed); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Other modes: a child that opens, writes a row and closes, again and again, one
// that looks once, and one that only installs trust.
const (
	childCycles = "cycles"
	childPeeks  = "peek"
	childTrusts = "trust"
)

func childTrust(path, _ string, _ uint64) error {
	ctx := context.Background()
	db, err := Open(ctx, path, testOptions())
	if err != nil {
		return err
	}
	for {
		head, _ := db.Head()
		at := clockAt(0)
		at.MonoMS += head // the token of its event
		if err := installNext(ctx, db, at); err != nil {
			return err
		}
	}
}

// installNext installs what comes after the newest generation: three refreshes,
// then a new version.
func installNext(ctx context.Context, db *DB, at record.Stamp) error {
	kept, err := db.Repositories(ctx)
	if err != nil {
		return err
	}
	next := refreshed(1, 0, childSize)
	if len(kept) > 0 {
		version, n := kept[0].Version, uint64(kept[0].IssuedMS-noon)%1000
		if n++; n > 3 {
			version, n = version+1, 0
		}
		next = refreshed(version, n, childSize)
	}
	if err := db.InstallRepository(ctx, at, next); err != nil {
		return err
	}
	fmt.Printf("trust %d\n", next.IssuedMS-noon)
	return nil
}

func childPeek(path, _ string, _ uint64) error {
	_, err := Peek(context.Background(), path)
	return err
}

func childCycle(path, _ string, _ uint64) error {
	ctx := context.Background()
	for {
		db, err := Open(ctx, path, testOptions())
		if err != nil {
			return err
		}
		seq, err := db.Append(ctx, plain(0))
		if err != nil {
			return err
		}
		fmt.Println(seq, seq)
		if err := db.Close(ctx, clockAt(0)); err != nil {
			return err
		}
	}
}

// childWrite appends from several goroutines for ever, as a busy gate would:
// rows alone and several at once, sealed and plain, counts and ticks between.
// Beside them it cuts segments and installs trust.
func childWrite(path, synchronous string, seed uint64) error {
	ctx := context.Background()
	db, err := open(ctx, path, testOptions(), synchronous)
	if err != nil {
		return err
	}
	key, err := childKey()
	if err != nil {
		return err
	}
	sealer, err := record.NewSealer(db.Identity(), key, clockAt(0))
	if err != nil {
		return err
	}
	start, _ := db.Head()
	var token sync.Mutex
	next := start * 1000
	take := func() record.Stamp {
		token.Lock()
		defer token.Unlock()
		next++
		s := clockAt(time.Duration(next) * time.Millisecond)
		s.MonoMS = next
		return s
	}
	failed := make(chan error, 4)
	go func() { failed <- childUpstream(db, take) }()
	for worker := range uint64(3) {
		go func() {
			rng := rand.New(rand.NewPCG(seed, worker))
			var last uint64
			for {
				var drafts []record.Draft
				for range 1 + rng.IntN(3)/2 {
					at := take()
					scan := record.Scan{Verdict: 1, Reason: 1, Format: 1, Issuer: "CN-420100", Trust: 7}
					switch d := (record.Draft{Stamp: at, Body: scan}); rng.IntN(8) {
					case 0:
						if last != 0 {
							d.Body = record.Choice{To: last, Choice: 1}
						}
						drafts = append(drafts, d)
					case 1:
						d.Body = record.Event{Code: record.EventAlarm, Text: strings.Repeat("x", rng.IntN(100))}
						drafts = append(drafts, d)
					case 2:
						drafts = append(drafts, d)
					default:
						d, err := sealer.Scan(at, scan, []byte{1, 2, 3})
						if err != nil {
							failed <- err
							return
						}
						drafts = append(drafts, d)
					}
				}
				first, err := db.Append(ctx, drafts...)
				if err != nil {
					failed <- err
					return
				}
				var out strings.Builder
				for i, d := range drafts {
					fmt.Fprintln(&out, first+uint64(i), d.MonoMS)
				}
				os.Stdout.WriteString(out.String()) // one write: lines do not mix
				if _, ok := drafts[0].Body.(record.Scan); ok {
					last = first
				}
				if rng.IntN(20) == 0 {
					db.Count(take(), 7, 51)
					if err := db.Tick(ctx, take()); err != nil {
						failed <- err
						return
					}
				}
			}
		}()
	}
	return <-failed
}

// childSize is how large the large file of a generation is: two parts.
const childSize = partSize + 1000

// childUpstream is what a hub makes a gate do, for ever.
func childUpstream(db *DB, take func() record.Stamp) error {
	ctx := context.Background()
	if _, ok, err := db.Enrolment(ctx); err != nil {
		return err
	} else if !ok {
		if err := db.Enrol(ctx, take(), testEnrolment("north")); err != nil {
			return err
		}
	}
	for n := 0; ; n++ {
		c, ok, err := db.NextCut(ctx, true, testSign)
		if err != nil {
			return err
		}
		if ok {
			fmt.Printf("cut %d %x\n", c.First, c.SHA256)
			r, raw := receipt(c, 0)
			if err := db.Settle(ctx, take(), r, raw); err != nil {
				return err
			}
		}
		if n%5 > 0 {
			continue
		}
		if err := installNext(ctx, db, take()); err != nil {
			return err
		}
	}
}

// acked is what a writer was promised.
type acked struct {
	rows  map[uint64]uint64 // seq → token
	cuts  map[uint64]string // first row → digest
	trust uint64            // its time, from noon
}

func newAcked() acked {
	return acked{rows: make(map[uint64]uint64), cuts: make(map[uint64]string)}
}

// add takes in what another writer of the same file was promised, and says
// which row was promised twice, or which segment is another now; 0 none.
func (a *acked) add(b acked) (twice uint64) {
	for seq, token := range b.rows {
		if _, ok := a.rows[seq]; ok {
			twice = seq
		}
		a.rows[seq] = token
	}
	for first, digest := range b.cuts {
		if before, ok := a.cuts[first]; ok && before != digest {
			twice = first
		}
		a.cuts[first] = digest
	}
	a.trust = max(a.trust, b.trust)
	return twice
}

// child is a running writer.
type child struct {
	cmd    *exec.Cmd
	stderr strings.Builder
	acked  acked
	lines  chan int // how many rows so far; closed when it ended
}

func startChild(t *testing.T, path, synchronous string, seed uint64) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0]), acked: newAcked(), lines: make(chan int)}
	c.cmd.Env = append(os.Environ(), childFile+"="+path, childMode+"="+synchronous, childSeed+"="+strconv.FormatUint(seed, 10))
	c.cmd.Stderr = &c.stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			var seq, token uint64
			var digest string
			// A line that the kill cut off was not read by anybody.
			if n, err := fmt.Sscanf(in.Text(), "cut %d %64s", &seq, &digest); n == 2 && err == nil && len(digest) == 64 {
				c.acked.cuts[seq] = digest
			} else if n, err := fmt.Sscanf(in.Text(), "trust %d", &seq); n == 1 && err == nil {
				c.acked.trust = max(c.acked.trust, seq)
			} else if n, err := fmt.Sscan(in.Text(), &seq, &token); n == 2 && err == nil {
				c.acked.rows[seq] = token
				c.lines <- len(c.acked.rows)
			}
		}
	}()
	return c
}

// wait lets the child write until it has acknowledged n rows or ended.
func (c *child) wait(n int) {
	for have := range c.lines {
		if have >= n {
			return
		}
	}
}

// kill kills it and takes in what it has still said.
func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	for range c.lines {
	}
	c.cmd.Wait()
}

// lost opens the file and compares: how many acknowledged rows, segments and
// generations are missing or another's. All that is there must be in one unbroken chain, each token once.
// While nothing is missing there is one epoch: a file that lost no row is never
// taken for an older copy.
func lost(t *testing.T, path string, acked acked) (missing int, rows uint64) {
	t.Helper()
	ctx := context.Background()
	db, err := Open(ctx, path, testOptions())
	if err != nil {
		t.Fatalf("open after the end: %v", err)
	}
	defer db.Close(ctx, clockAt(0))
	chain := mustVerify(t, db)
	tokens := make(map[uint64]uint64)
	found, epochs := 0, 0
	for row, err := range db.Rows(ctx, 1) {
		if err != nil {
			t.Fatal(err)
		}
		switch row.Body.(type) {
		case record.Count:
			continue // localdb's own, with the stamp of a tick
		case record.Event:
			if row.Body.(record.Event).Code == record.EventEpoch {
				epochs++
				continue
			}
		}
		if before, twice := tokens[row.MonoMS]; twice {
			t.Errorf("rows %d and %d are the same", before, row.Seq)
		}
		tokens[row.MonoMS] = row.Seq
		if token, ok := acked.rows[row.Seq]; ok && token == row.MonoMS {
			found++
		}
	}
	if missing = len(acked.rows) - found; missing == 0 && epochs != 1 {
		t.Errorf("%d epochs in a file that lost nothing", epochs)
	}
	missing += lostCuts(t, db, acked.cuts)
	generations := mustRepositories(t, db)
	for i, g := range generations {
		if !sameRepository(g, refreshed(g.Version, uint64(g.IssuedMS-noon)%1000, childSize)) || i > 0 && g.Version != generations[0].Version-1 {
			t.Errorf("generation %d of trust is a mixture, or does not belong before %d", g.Version, generations[0].Version)
		}
	}
	if acked.trust > 0 && (len(generations) == 0 || uint64(generations[0].IssuedMS-noon) < acked.trust) {
		missing++
	}
	return missing, chain.Last
}

// lostCuts compares segments. All that are there must be made again of the rows,
// and every row up to the last of them is in exactly one.
func lostCuts(t *testing.T, db *DB, acked map[uint64]string) (missing int) {
	t.Helper()
	ctx := context.Background()
	for first, digest := range acked {
		c, err := readCut(ctx, db.reader(), `first = ?`, int64(first))
		switch {
		case errors.Is(err, sql.ErrNoRows):
			missing++
		case err != nil:
			t.Fatal(err)
		case fmt.Sprintf("%x", c.SHA256) != digest:
			missing++
		}
	}
	next := uint64(1)
	for {
		c, err := readCut(ctx, db.reader(), `first >= ? ORDER BY first LIMIT 1`, int64(next))
		if errors.Is(err, sql.ErrNoRows) {
			return missing
		}
		if err != nil {
			t.Fatal(err)
		}
		if c.First != next {
			t.Errorf("rows %d to %d are in no segment", next, c.First-1)
		}
		cut, err := db.rebuild(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		parsed(t, cut)
		next = c.Last + 1
	}
}
