package localdb

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"checkpoint/record"

	"pgregory.net/rapid"
)

// someNames are two of everything.
func someNames() *names {
	n := &names{}
	n.init()
	n.addSession(session{boot: [16]byte{1}, wall: noon, mono: 5})
	n.addSession(session{boot: [16]byte{2}, wall: -1, mono: 1<<64 - 1})
	n.addJudge(judge{format: 1, issuer: "CN-420100", trust: 7})
	n.addJudge(judge{format: 2, issuer: "DE", trust: 1<<64 - 1})
	n.addContext(&record.Context{ID: [16]byte{3}})
	n.addContext(&record.Context{ID: [16]byte{4}})
	return n
}

func TestShortFormKeepsEverything(t *testing.T) {
	n := someNames()
	rapid.Check(t, func(t *rapid.T) {
		ids := shortIDs{session: rapid.Uint64Range(1, 2).Draw(t, "session"), judge: rapid.Uint64Range(1, 2).Draw(t, "judge"),
			context: rapid.Uint64Range(1, 2).Draw(t, "context")}
		base := n.sessions[ids.session]
		j := n.judges[ids.judge]
		want := record.Draft{Stamp: record.Stamp{Boot: base.boot, Quality: rapid.Uint8Range(0, 3).Draw(t, "quality"),
			WallMS: rapid.Int64().Draw(t, "wall"), MonoMS: rapid.Uint64().Draw(t, "mono")}}
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			want.Body = record.Scan{Verdict: rapid.Uint8().Draw(t, "verdict"), Reason: 9, Format: j.format, Issuer: j.issuer, Trust: j.trust}
		case 1:
			want.Body = record.Scan{Verdict: 1, Format: j.format, Issuer: j.issuer, Trust: j.trust,
				Sealed: record.Sealed{Context: n.contexts[ids.context], Step: rapid.Uint32().Draw(t, "step"),
					Index: rapid.Uint32().Draw(t, "index"), Box: rapid.SliceOfN(rapid.Byte(), 48, 48).Draw(t, "box")}}
		case 2:
			want.Body = record.Choice{To: rapid.Uint64Min(1).Draw(t, "to"), Choice: 3}
		case 3:
			want.Body = record.Event{Code: 4, Value: rapid.Int64().Draw(t, "value"), Text: "x"}
		}
		b := appendShort(nil, want, base, ids)
		got, err := n.parseShort(b)
		if err != nil || !reflect.DeepEqual(got, record.Row{Stamp: want.Stamp, Body: want.Body}) {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
		}
	})
}

func FuzzParseShort(f *testing.F) {
	n := someNames()
	for _, body := range []record.Body{
		record.Scan{Verdict: 1, Format: 1, Issuer: "CN-420100", Trust: 7},
		record.Scan{Verdict: 1, Format: 1, Issuer: "CN-420100", Trust: 7, Sealed: record.Sealed{Context: [16]byte{3}, Box: make([]byte, 48)}},
		record.Choice{To: 1, Choice: 1}, record.Void{To: 1}, record.Manual{Class: 1}, record.Event{Code: 1, Text: "x"},
		record.Count{Tallies: []record.Tally{{Verdict: 1, Reason: 1, N: 1}}},
	} {
		f.Add(appendShort(nil, record.Draft{Stamp: clockAt(0), Body: body}, n.sessions[1], shortIDs{1, 1, 1}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		row, err := n.parseShort(b)
		if err != nil {
			if !errors.Is(err, errShort) && !errors.Is(err, record.ErrRow) {
				t.Fatalf("error without a kind: %v", err)
			}
			return
		}
		row.Seq = 1
		// What the file holds may break a limit; it must then not pass for a row.
		full, err := record.AppendRow(nil, row)
		if err != nil {
			return
		}
		again, err := record.ParseRow(full)
		if err != nil || !reflect.DeepEqual(again, row) {
			t.Fatalf("%x gives %+v, whose canonical bytes give %+v, %v", b, row, again, err)
		}
	})
}

// TestQueue drives the file like a gate that is killed, restarted, confirmed
// and purged in any order, beside a model that holds every row that was
// acknowledged.
func TestQueue(t *testing.T) {
	fewerChecks(t)
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"append":  m.append,
			"void":    m.void,
			"count":   m.count,
			"tick":    m.tick,
			"confirm": m.confirm,
			"purge":   m.purge,
			"restart": m.restart,
			"":        m.check,
		})
		m.look(t)
		if err := m.db.Close(ctx, m.at()); err != nil {
			t.Fatal(err)
		}
	})
}

type model struct {
	path   string
	o      Options
	db     *DB
	now    time.Duration
	rows   map[uint64]record.Draft // those that the model wrote, less those purged
	voided map[uint64]bool
	first  uint64

	enrolled bool
	stored   map[uint64]bool
	scans    uint64 // recorded and counted
	steps    int
}

func newModel(t *rapid.T) *model {
	m := &model{rows: make(map[uint64]record.Draft), voided: make(map[uint64]bool), stored: make(map[uint64]bool), first: 1}
	folder, remove := tempFolder(t)
	t.Cleanup(remove)
	m.path = filepath.Join(folder, "gate.db")
	m.o = testOptions()
	m.o.Retention, m.enrolled = time.Hour, rapid.Bool().Draw(t, "enrolled")
	m.o.Now = m.at
	m.open(t)
	if m.enrolled {
		mustEnrol(t, m.db, "north")
	}
	return m
}

func (m *model) at() record.Stamp { return clockAt(m.now) }

func (m *model) open(t *rapid.T) {
	db, err := open(context.Background(), m.path, m.o, "OFF") // the disk is not what is tested here
	if err != nil {
		t.Fatal(err)
	}
	m.db = db
}

func (m *model) append(t *rapid.T) {
	m.now += time.Duration(rapid.IntRange(0, 60).Draw(t, "seconds")) * time.Second
	var drafts []record.Draft
	for range rapid.SampledFrom([]int{1, 1, 2, 150}).Draw(t, "rows") {
		m.now += time.Millisecond
		drafts = append(drafts, record.Draft{Stamp: m.at(), Body: record.Scan{Verdict: 1, Reason: 1, Issuer: "CN"}})
	}
	seq, err := m.db.Append(context.Background(), drafts...)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range drafts {
		m.rows[seq+uint64(i)] = d
		m.scans++
	}
}

func (m *model) void(t *rapid.T) {
	head, _ := m.db.Head()
	to := rapid.Uint64Range(1, head+1).Draw(t, "to")
	d, there := m.rows[to]
	_, isScan := d.Body.(record.Scan)
	void := record.Draft{Stamp: m.at(), Body: record.Void{To: to}}
	seq, err := m.db.Append(context.Background(), void)
	switch {
	case !there || !isScan:
		if !errors.Is(err, ErrNoScan) {
			t.Fatalf("void of row %d: %v, want ErrNoScan", to, err)
		}
	case m.voided[to]:
		if !errors.Is(err, ErrVoided) {
			t.Fatalf("second void of row %d: %v, want ErrVoided", to, err)
		}
	case err != nil:
		t.Fatal(err)
	default:
		m.rows[seq], m.voided[to] = void, true
	}
}

func (m *model) count(t *rapid.T) {
	m.db.Count(m.at(), 7, 51)
	m.scans++
}

func (m *model) tick(t *rapid.T) {
	m.now += time.Duration(rapid.IntRange(0, 5000).Draw(t, "seconds")) * time.Second
	if err := m.db.Tick(context.Background(), m.at()); err != nil {
		t.Fatal(err)
	}
}

func (m *model) confirm(t *rapid.T) {
	mustCutAll(t, m.db)
	cuts := openCuts(t, m.db)
	if len(cuts) == 0 {
		return
	}
	c := rapid.SampledFrom(cuts).Draw(t, "segment")
	mustSettle(t, m.db, c, 0)
	for seq := c.First; seq <= c.Last; seq++ {
		m.stored[seq] = true
	}
}

func (m *model) purge(t *rapid.T) {
	n, err := m.db.Purge(context.Background(), m.at())
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if m.enrolled && !m.stored[m.first] {
			t.Fatalf("row %d went without a receipt", m.first)
		}
		if d, ok := m.rows[m.first]; ok && m.at().WallMS-d.WallMS < hourMS {
			t.Fatalf("row %d went before its time", m.first)
		}
		delete(m.rows, m.first)
		m.first++
	}
}

// restart closes in order, or not at all. A kill keeps what was flushed of the
// counts; so that the model stays simple, they are flushed first.
func (m *model) restart(t *rapid.T) {
	ctx := context.Background()
	m.now += 20 * time.Second
	if err := m.db.flush(ctx, m.at()); err != nil {
		t.Fatal(err)
	}
	if rapid.Bool().Draw(t, "kill") {
		m.db.kill()
	} else if err := m.db.Close(ctx, m.at()); err != nil {
		t.Fatal(err)
	}
	m.open(t)
}

// check looks at the whole file after every fourth step.
func (m *model) check(t *rapid.T) {
	if m.steps++; m.steps%4 == 0 {
		m.look(t)
	}
}

func (m *model) look(t *rapid.T) {
	ctx := context.Background()
	c, err := m.db.VerifyChain(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if c.First != m.first {
		t.Fatalf("first row is %d, want %d", c.First, m.first)
	}
	found := 0
	for row, err := range m.db.Rows(ctx, 1) {
		if err != nil {
			t.Fatal(err)
		}
		want, ours := m.rows[row.Seq]
		if !ours {
			switch row.Body.(type) {
			case record.Count, record.Event:
				continue // localdb's own
			}
			t.Fatalf("row %d was never acknowledged: %+v", row.Seq, row)
		}
		if !reflect.DeepEqual(want, record.Draft{Stamp: row.Stamp, Body: row.Body}) {
			t.Fatalf("row %d is %+v, want %+v", row.Seq, row, want)
		}
		found++
	}
	if found != len(m.rows) {
		t.Fatalf("%d of %d acknowledged rows are there", found, len(m.rows))
	}
	s, err := m.db.Status(m.at())
	if err != nil {
		t.Fatal(err)
	}
	waiting := uint64(0)
	for seq := c.First; seq <= c.Last; seq++ {
		if !m.stored[seq] {
			waiting++
		}
	}
	if s.Waiting != waiting || s.Last != c.Last {
		t.Fatalf("status = %+v, want %d waiting", s, waiting)
	}
	counts, err := m.db.Counts(ctx, time.UnixMilli(noon), time.UnixMilli(m.at().WallMS))
	if err != nil {
		t.Fatal(err)
	}
	sum := uint64(0)
	for _, h := range counts {
		sum += h.N
	}
	if sum != m.scans {
		t.Fatalf("counts say %d verdicts, want %d", sum, m.scans)
	}
}

func TestRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r ranges
		have := make(map[uint64]bool)
		for range rapid.IntRange(0, 10).Draw(t, "spans") {
			first := rapid.Uint64Range(1, 60).Draw(t, "first")
			last := rapid.Uint64Range(first, 60).Draw(t, "last")
			r = r.add(span{first, last})
			for n := first; n <= last; n++ {
				have[n] = true
			}
		}
		after, last := rapid.Uint64Range(0, 60).Draw(t, "after"), rapid.Uint64Range(0, 60).Draw(t, "to")
		n := uint64(0)
		for x := after + 1; x <= last; x++ {
			if have[x] {
				n++
			}
		}
		if got := r.within(after, last); got != n {
			t.Fatalf("%v: %d within (%d, %d], want %d", r, got, after, last, n)
		}
		out := after + 1
		for have[out] {
			out++
		}
		if got := r.firstOutside(after + 1); got != out {
			t.Fatalf("%v: first outside from %d is %d, want %d", r, after+1, got, out)
		}
		for i := 1; i < len(r); i++ {
			if r[i].first <= r[i-1].last+1 {
				t.Fatalf("%v overlap or touch", r)
			}
		}
	})
}

func BenchmarkParseShort(b *testing.B) {
	n := someNames()
	body := appendShort(nil, record.Draft{Stamp: clockAt(0), Body: record.Scan{Verdict: 1, Format: 1, Issuer: "CN-420100", Trust: 7,
		Sealed: record.Sealed{Context: [16]byte{3}, Box: bytes.Repeat([]byte{1}, 48)}}}, n.sessions[1], shortIDs{1, 1, 1})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.parseShort(body); err != nil {
			b.Fatal(err)
		}
	}
}

// fewerChecks lets a property be tried less often under the race detector,
// unless somebody has said how often.
func fewerChecks(t *testing.T) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	if !raceEnabled || checks.Value.String() != checks.DefValue {
		return
	}
	if err := flag.Set("rapid.checks", "10"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { flag.Set("rapid.checks", checks.DefValue) })
}
