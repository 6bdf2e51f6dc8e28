package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/verify"
)

// TestKillDemo kills the built program, kill -9, at random moments of a demo
// and looks in its file for every row that it had told of. The full count is
//
//	CHECKPOINT_KILLS=200 go test -run TestKillDemo -v ./cmd/checkpoint
//
// A kill cannot tell whether rows survive a power cut: see TestPowerCut in
// localdb.
func TestKillDemo(t *testing.T) {
	kills := 20
	if s := os.Getenv("CHECKPOINT_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("CHECKPOINT_KILLS=%q is not a count", s)
		}
		kills = n
	}
	if testing.Short() {
		kills = 4
	}
	program := filepath.Join(t.TempDir(), "checkpoint")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}

	// Some files side by side, each killed again and again.
	const files = 4
	totals := make([]int, files)
	var wait sync.WaitGroup
	for file := range files {
		wait.Go(func() {
			k := killed{program: program, folder: t.TempDir(), told: make(map[uint64]told)}
			rng := rand.New(rand.NewPCG(7, uint64(file)))
			for kill := file; kill < kills; kill += files {
				if err := k.once(t.Context(), uint64(kill)+1, rng); err != nil {
					t.Errorf("file %d, kill %d: %v", file, kill, err)
					return
				}
			}
			totals[file] = len(k.told)
			// The control: a row that was never written must be missed.
			k.told[1<<40] = told{kind: record.KindScan}
			if err := k.check(t.Context()); err == nil {
				t.Errorf("file %d: a row that was never written is not missed", file)
			}
		})
	}
	wait.Wait()
	sum := 0
	for _, n := range totals {
		sum += n
	}
	if sum == 0 && !t.Failed() {
		t.Error("no row was told of before a kill")
	}
	t.Logf("%d kills: each of %d rows that were told of is there, once, in an unbroken chain", kills, sum)
}

// killed is a demo's file and what the program has told of it.
type killed struct {
	program string
	folder  string
	told    map[uint64]told // by seq
}

type told struct {
	kind    record.Kind
	verdict string
	reason  string
	format  string
}

// line is what an event says of a row (docs/formats.md, "Events").
type line struct {
	Event     string  `json:"event"`
	Card      uint64  `json:"card"`
	Verdict   string  `json:"verdict"`
	Reason    string  `json:"reason"`
	Format    string  `json:"format"`
	Seq       *uint64 `json:"seq"`
	Recording bool    `json:"recording"`
	Failed    bool    `json:"failed"`
}

func (k *killed) db() string { return filepath.Join(k.folder, "gate.db") }

// once runs the demo, kills it at a moment that nothing in it can foresee, and
// checks.
func (k *killed) once(ctx context.Context, seed uint64, rng *rand.Rand) error {
	cmd := exec.CommandContext(ctx, k.program, "demo", "--headless", "--db", k.db(), "--seed", strconv.FormatUint(seed, 10))
	cmd.Env = append(os.Environ(), "TMPDIR="+k.folder)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	// Now and then before the first row, else some time after a verdict.
	after := time.Duration(rng.IntN(1500)) * time.Millisecond
	verdicts := rng.IntN(3)
	kill := func() { cmd.Process.Kill() }
	if verdicts == 0 {
		defer time.AfterFunc(after, kill).Stop()
	}
	waiting := make(map[uint64]told) // by card: verdicts that came before their row
	var bad error
	for in := bufio.NewScanner(out); in.Scan(); {
		var l line
		if json.Unmarshal(in.Bytes(), &l) != nil {
			continue // cut off by the kill: nobody was told
		}
		if err := k.take(l, waiting); err != nil {
			bad = err
		}
		if l.Event == "verdict" {
			if verdicts--; verdicts == 0 {
				defer time.AfterFunc(after, kill).Stop()
			}
		}
	}
	cmd.Wait()
	if bad != nil {
		return bad
	}
	return k.check(ctx)
}

// take notes what a line tells of a row.
func (k *killed) take(l line, waiting map[uint64]told) error {
	row := told{}
	switch l.Event {
	case "verdict":
		row = told{record.KindScan, l.Verdict, l.Reason, l.Format}
		if l.Recording {
			waiting[l.Card] = row
			return nil
		}
	case "recorded":
		if l.Failed {
			return nil
		}
		row = waiting[l.Card]
	case "choice":
		row.kind = record.KindChoice
	case "void":
		row.kind = record.KindVoid
	case "manual":
		row.kind = record.KindManual
	default:
		return nil
	}
	if l.Seq == nil {
		return nil
	}
	if _, twice := k.told[*l.Seq]; twice {
		return fmt.Errorf("row %d was told of twice", *l.Seq)
	}
	k.told[*l.Seq] = row
	return nil
}

// check opens the file after a kill.
func (k *killed) check(ctx context.Context) (err error) {
	stamp := record.Stamp{WallMS: time.Now().UnixMilli(), Quality: 3}
	db, err := localdb.Open(ctx, k.db(), localdb.Options{Now: func() record.Stamp { return stamp }})
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := db.Close(context.WithoutCancel(ctx), stamp); err == nil {
			err = closeErr
		}
	}()
	// The chain holds each number once, without a gap.
	chain, err := db.VerifyChain(ctx)
	if err != nil {
		return err
	}
	if chain.First != 1 {
		return fmt.Errorf("the rows begin at %d", chain.First)
	}
	for seq, want := range k.told {
		row, err := db.Row(ctx, seq)
		if err != nil {
			return fmt.Errorf("row %d was told of and is lost: %w", seq, err)
		}
		got := told{kind: row.Body.Kind()}
		if scan, ok := row.Body.(record.Scan); ok {
			got.verdict, got.reason = verify.Name(scan.Verdict).String(), verify.Reason(scan.Reason).String()
			got.format = verify.Format(scan.Format).String()
		}
		if got != want {
			return fmt.Errorf("row %d is %+v, the program said %+v", seq, got, want)
		}
	}
	return nil
}
