package endtoend

import (
	"context"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"checkpoint/hub"
	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/uplink"
)

// TestFortnight lets a gate come back that had no line for fourteen days, while
// another goes on as ever. The full number of rows is
//
//	CHECKPOINT_ROWS=2000000 go test -timeout 60m -run TestFortnight -v ./endtoend
func TestFortnight(t *testing.T) {
	rows := count(t, "CHECKPOINT_ROWS", 20_000)
	s := newSite(t, "", 2)
	began := time.Now()
	fillFortnight(t, s.gates[0], rows, &s.told)
	t.Logf("%d rows of 14 days written in %v", rows, time.Since(began).Round(time.Second))

	h := startHub(t, s.hub)
	other := newSender(t, s.gates[1])
	const few = 40
	before := other.send(t, few)
	p := s.gates[0]
	p.Rows = 1
	began = time.Now()
	drain := start(t, "gate", p, s.told.hear)
	var during []time.Duration
	for open := true; open; {
		select {
		case <-drain.done:
			open = false
		default:
			during = append(during, other.send(t, 1)...)
		}
	}
	drain.wait(t, time.Minute)
	took := time.Since(began)
	other.close()
	h.cmd.Process.Signal(syscall.SIGTERM)
	h.wait(t, 30*time.Second)
	if s.told.drained != 1 {
		t.Error("the gate did not say that it was drained")
	}
	s.check(t)
	t.Logf("drained in %v, %.0f rows/s", took.Round(time.Millisecond), float64(rows)/took.Seconds())
	t.Logf("acknowledgement of the other gate: before p50 %v p99 %v; meanwhile p50 %v p99 %v (%d)",
		at(before, 50), at(before, 99), at(during, 50), at(during, 99), len(during))
}

// at is a percentile.
func at(all []time.Duration, percent int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[(len(sorted)-1)*percent/100].Round(10 * time.Microsecond)
}

// fillFortnight writes sealed rows into a gate's file, evenly over the fourteen
// days before now.
func fillFortnight(t *testing.T, p plan, rows int, d *told) {
	t.Helper()
	ctx := t.Context()
	end := time.Now()
	first := end.Add(-14 * 24 * time.Hour)
	boot := [16]byte{9}
	stampAt := func(at time.Time) record.Stamp {
		return record.Stamp{WallMS: at.UnixMilli(), Quality: 3, Boot: boot, MonoMS: uint64(at.Sub(first).Milliseconds())}
	}
	db, err := localdb.Open(ctx, filepath.Join(p.Dir, "gate.db"), localdb.Options{Now: func() record.Stamp { return stampAt(first) }, HardwareID: "board", Cap: 8 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { db.Close(ctx, stampAt(end)) }()
	private, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	id := db.Identity()
	var sealer *record.Sealer
	step := end.Sub(first) / time.Duration(rows)
	batch := make([]record.Draft, 0, 1000)
	for n := range rows {
		stamp := stampAt(first.Add(time.Duration(n) * step))
		if day := time.UnixMilli(stamp.WallMS).UTC().Format(time.DateOnly); sealer == nil || sealer.Day() != day {
			if sealer, err = record.NewSealer(id, record.DayKey{Day: day, Public: private.PublicKey().Bytes()}, stamp); err != nil {
				t.Fatal(err)
			}
		}
		draft, err := sealer.Scan(stamp, record.Scan{Verdict: 1, Reason: 1, Format: 1, Issuer: "Wuhan", Trust: 7}, []byte{1, byte(n)})
		if err != nil {
			t.Fatal(err)
		}
		if batch = append(batch, draft); len(batch) < cap(batch) && n < rows-1 {
			continue
		}
		seq, err := db.Append(ctx, batch...)
		if err != nil {
			t.Fatal(err)
		}
		for i, draft := range batch {
			r := record.Row{Identity: id, Seq: seq + uint64(i), Stamp: draft.Stamp, Body: draft.Body}
			sum, err := rowSum(r)
			if err != nil {
				t.Fatal(err)
			}
			d.rows[rowKey{id, r.Seq}] = sum
		}
		batch = batch[:0]
	}
}

// sender is a gate that sends a segment of fifty rows now and then, and times
// the answer.
type sender struct {
	client *uplink.Client
	db     *localdb.DB
	plan   plan
	now    func() record.Stamp
}

func newSender(t *testing.T, p plan) *sender {
	t.Helper()
	ctx := t.Context()
	began := time.Now()
	now := func() record.Stamp {
		return record.Stamp{WallMS: time.Now().UnixMilli(), Quality: 3, Boot: [16]byte{5}, MonoMS: uint64(time.Since(began).Milliseconds())}
	}
	db, err := localdb.Open(ctx, filepath.Join(p.Dir, "gate.db"), localdb.Options{Now: now, HardwareID: "board"})
	if err != nil {
		t.Fatal(err)
	}
	e, _, err := db.Enrolment(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tlsKey, err := x509.ParsePKCS8PrivateKey(e.TLSKey)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := hub.LoadKeys(p.Keys, hub.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cert := &tls.Certificate{Certificate: e.Chain, PrivateKey: tlsKey}
	client, err := uplink.New(uplink.Config{
		URL: p.Hub, Pins: func() [][32]byte { return [][32]byte{keys.Pin()} }, Certificate: func() *tls.Certificate { return cert },
		Clock:       func() (time.Time, bool) { return time.Now(), true },
		ReceiptKeys: func() []ed25519.PublicKey { return []ed25519.PublicKey{keys.Receipt.Public().(ed25519.PublicKey)} },
	})
	if err != nil {
		t.Fatal(err)
	}
	return &sender{client, db, p, now}
}

// send writes and sends n segments and gives the times of their answers.
func (s *sender) send(t *testing.T, n int) (took []time.Duration) {
	t.Helper()
	ctx := t.Context()
	sign := signerOf(key(s.plan.Name))
	for range n {
		drafts := make([]record.Draft, 50)
		for i := range drafts {
			drafts[i] = record.Draft{Stamp: s.now(), Body: record.Scan{Verdict: 1, Reason: 1, Format: 1}}
		}
		if _, err := s.db.Append(ctx, drafts...); err != nil {
			t.Fatal(err)
		}
		cut, ok, err := s.db.NextCut(ctx, true, sign)
		if err != nil || !ok {
			t.Fatalf("no segment: %v", err)
		}
		began := time.Now()
		a, err := s.client.Send(ctx, cut)
		if err != nil || a.Outcome != uplink.Received {
			t.Fatalf("answer %v %s: %v", a.Outcome, a.Line, err)
		}
		took = append(took, time.Since(began))
		if err := s.db.Settle(ctx, s.now(), a.Receipt, a.Raw); err != nil {
			t.Fatal(err)
		}
	}
	return took
}

func (s *sender) close() {
	s.client.Close()
	s.db.Close(context.Background(), s.now())
}
