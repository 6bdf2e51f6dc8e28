package localdb

import (
	"bufio"
	"context"
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
// time, until it is killed or a write fails.
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
		}
		if err := childRun(path, os.Getenv(childMode), seed); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Other modes: a child that opens, writes a row and closes, again and again, and
// one that looks once.
const (
	childCycles = "cycles"
	childPeeks  = "peek"
)

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
	failed := make(chan error, 3)
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

// child is a running writer.
type child struct {
	cmd    *exec.Cmd
	stderr strings.Builder
	acked  map[uint64]uint64 // seq → token
	lines  chan int          // how many so far; closed when it ended
}

func startChild(t *testing.T, path, synchronous string, seed uint64) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0]), acked: make(map[uint64]uint64), lines: make(chan int)}
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
			// A line that the kill cut off was not read by anybody.
			if n, err := fmt.Sscan(in.Text(), &seq, &token); n == 2 && err == nil {
				c.acked[seq] = token
				c.lines <- len(c.acked)
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

// lost opens the file and compares: how many acknowledged rows are missing or
// another's. All that is there must be in one unbroken chain, each token once.
// While nothing is missing there is one epoch: a file that lost no row is never
// taken for an older copy.
func lost(t *testing.T, path string, acked map[uint64]uint64) (missing int, rows uint64) {
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
		if token, ok := acked[row.Seq]; ok && token == row.MonoMS {
			found++
		}
	}
	if missing = len(acked) - found; missing == 0 && epochs != 1 {
		t.Errorf("%d epochs in a file that lost nothing", epochs)
	}
	return missing, chain.Last
}
