package localdb

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"checkpoint/record"
)

func TestAppendRefuses(t *testing.T) {
	ctx := context.Background()
	db := openNew(t)
	scan := mustAppend(t, db, plain(0))
	event := mustAppend(t, db, record.Draft{Stamp: clockAt(0), Body: record.Event{Code: 1}})
	gone := mustAppend(t, db, plain(0))
	mustAppend(t, db, record.Draft{Stamp: clockAt(0), Body: record.Void{To: gone}})
	_, day := newDay(t)
	other := db.Identity()
	other.Epoch[0]++
	sealer, err := record.NewSealer(other, day, clockAt(0))
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := sealer.Scan(clockAt(0), record.Scan{Verdict: 1, Format: 1}, []byte{1})
	if err != nil {
		t.Fatal(err)
	}
	loose := foreign
	loose.Context = nil
	draft := func(b record.Body) record.Draft { return record.Draft{Stamp: clockAt(0), Body: b} }
	head, _ := db.Head()
	for _, tc := range []struct {
		name   string
		drafts []record.Draft
		want   error
	}{
		{"nothing", nil, record.ErrRow},
		{"no body", []record.Draft{{}}, record.ErrRow},
		{"a choice about a row that is not there", []record.Draft{draft(record.Choice{To: head + 1, Choice: 1})}, ErrNoScan},
		{"a choice about an event", []record.Draft{draft(record.Choice{To: event, Choice: 1})}, ErrNoScan},
		{"a void of a row that is not there", []record.Draft{draft(record.Void{To: 1 << 63})}, ErrNoScan},
		{"a void of an event", []record.Draft{draft(record.Void{To: event})}, ErrNoScan},
		{"a second void", []record.Draft{draft(record.Void{To: gone})}, ErrVoided},
		{"two voids at once", []record.Draft{draft(record.Void{To: scan}), draft(record.Void{To: scan})}, ErrVoided},
		{"a good row before a bad one", []record.Draft{plain(0), draft(record.Void{To: gone})}, ErrVoided},
		{"sealed for another epoch", []record.Draft{foreign}, ErrIdentity},
		{"sealed without a context", []record.Draft{loose}, record.ErrRow},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := db.Append(ctx, tc.drafts...); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if now, _ := db.Head(); now != head {
				t.Errorf("%d rows were written", now-head)
			}
		})
	}
	ended, stop := context.WithCancel(ctx)
	stop()
	if _, err := db.Append(ended, plain(0)); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
	mustVerify(t, db)
}

func TestAppendTogether(t *testing.T) {
	db := openNew(t)
	first, _ := db.Head()
	var wait sync.WaitGroup
	var mu sync.Mutex
	seen := make(map[uint64]bool)
	const workers, each = 8, 40
	for range workers {
		wait.Go(func() {
			for i := range each {
				if i%10 == 9 { // a bad one must not keep its neighbours back
					_, err := db.Append(context.Background(), record.Draft{Stamp: clockAt(0), Body: record.Void{To: 1 << 40}})
					if !errors.Is(err, ErrNoScan) {
						t.Errorf("got %v, want ErrNoScan", err)
					}
					continue
				}
				seq, err := db.Append(context.Background(), plain(0), plain(time.Second))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if seen[seq] || seen[seq+1] {
					t.Errorf("row %d was given twice", seq)
				}
				seen[seq], seen[seq+1] = true, true
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	c := mustVerify(t, db)
	if want := first + workers*(each-each/10)*2; c.Last != want || len(seen) != int(want-first) {
		t.Errorf("%d rows given, last is %d, want %d", len(seen), c.Last, want)
	}
}

func TestClosed(t *testing.T) {
	ctx := context.Background()
	db := openNew(t)
	seq := mustAppend(t, db, plain(0))
	if err := db.Close(ctx, clockAt(0)); err != nil {
		t.Fatal(err)
	}
	_, appendErr := db.Append(ctx, plain(0))
	_, rowErr := db.Row(ctx, seq)
	_, statusErr := db.Status(clockAt(0))
	_, verifyErr := db.VerifyChain(ctx)
	_, _, lastErr := db.LastScan(ctx, clockAt(0), time.Minute)
	_, countsErr := db.Counts(ctx, time.Time{}, time.Time{})
	_, trustErr := db.Trust(ctx)
	_, purgeErr := db.Purge(ctx, clockAt(0))
	for i, err := range []error{appendErr, rowErr, statusErr, verifyErr, lastErr, countsErr, trustErr, purgeErr,
		db.Unrecorded(), db.Tick(ctx, clockAt(0)), db.Checkpoint(ctx), db.RaiseFloor(ctx, noon), db.Close(ctx, clockAt(0))} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d after Close: %v, want ErrClosed", i, err)
		}
	}
}

// TestCloseWhileAppending ends the file under writers: what was acknowledged is
// there, and nobody hangs.
func TestCloseWhileAppending(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	var wait sync.WaitGroup
	var mu sync.Mutex
	var acked []uint64
	some := make(chan struct{}, 1000)
	for range 4 {
		wait.Go(func() {
			for {
				seq, err := db.Append(ctx, plain(0))
				if err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				acked = append(acked, seq)
				mu.Unlock()
				select {
				case some <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 20 {
		<-some
	}
	if err := db.Close(ctx, clockAt(0)); err != nil {
		t.Fatal(err)
	}
	wait.Wait()
	db = openAt(t, path, testOptions())
	mustVerify(t, db)
	for _, seq := range acked {
		if row, err := db.Row(ctx, seq); err != nil || row.Body.Kind() != record.KindScan {
			t.Fatalf("row %d: %v", seq, err)
		}
	}
}

func TestLastScan(t *testing.T) {
	ctx := context.Background()
	db := openNew(t)
	if _, ok, err := db.LastScan(ctx, clockAt(0), time.Minute); ok || err != nil {
		t.Fatalf("a scan in a new file: %v, %v", ok, err)
	}
	first := mustAppend(t, db, plain(0))
	second := mustAppend(t, db, plain(30*time.Second))
	mustAppend(t, db, record.Draft{Stamp: clockAt(40 * time.Second), Body: record.Event{Code: record.EventAlarm}})
	want := func(name string, at record.Stamp, seq uint64) {
		t.Helper()
		got, ok, err := db.LastScan(ctx, at, time.Minute)
		if err != nil || ok != (seq != 0) || got.Seq != seq {
			t.Errorf("%s: got %d, %v, %v, want %d", name, got.Seq, ok, err, seq)
		}
	}
	want("at once", clockAt(41*time.Second), second)
	want("after a minute to the millisecond", clockAt(90*time.Second), second)
	want("a millisecond later", clockAt(90*time.Second+time.Millisecond), 0)
	jumped := clockAt(41 * time.Second)
	jumped.WallMS += 3_600_000
	want("the wall clock jumped", jumped, second)
	jumped.Boot[0]++
	want("the same after a restart", jumped, 0)
	mustAppend(t, db, record.Draft{Stamp: clockAt(42 * time.Second), Body: record.Void{To: second}})
	want("after its void", clockAt(43*time.Second), first)
	mustAppend(t, db, record.Draft{Stamp: clockAt(44 * time.Second), Body: record.Void{To: first}})
	want("after both voids", clockAt(45*time.Second), 0)
}
