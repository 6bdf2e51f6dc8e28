package localdb

import (
	"bytes"
	"cmp"
	"context"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"checkpoint/record"

	"pgregory.net/rapid"
)

// TestOutbox drives a gate that scans, is enrolled, moved, copied, revoked,
// restarted and purged in any order, while its segments are cut, settled and
// set aside in any order. Beside it stands a model of what a hub may see:
// every row in exactly one segment, each with the same bytes for ever, each
// going on where the one before ended, and none purged before it was settled.
func TestOutbox(t *testing.T) {
	fewerChecks(t)
	rapid.Check(t, func(t *rapid.T) {
		m := newOutboxModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"append":     m.append,
			"append2":    m.append,
			"next":       m.next,
			"cut all":    m.cutAll,
			"settle":     m.settle,
			"settle2":    m.settle,
			"set aside":  m.setAside,
			"enrol":      m.enrol,
			"new epoch":  m.newEpoch,
			"new device": m.newDevice,
			"purge":      m.purge,
			"erase":      m.erase,
			"restart":    m.restart,
			"":           m.check,
		})
		m.check(t)
		m.end(t)
	})
}

type outboxModel struct {
	path string
	db   *DB
	now  time.Duration
	run  byte

	read   uint64            // rows up to here are in rows
	rows   map[uint64][]byte // canonical bytes
	sealed map[uint64]string // day
	venues map[uint64]string // of rows; missing: nobody's, as yet
	gone   map[uint64]bool   // erased
	purged uint64

	// A segment was set aside with the context that it carried, so that another
	// carries it again; it may have got its receipt later.
	taken bool

	venue    string // of the enrolment; "" there is none
	ever     bool   // enrolled, once
	base     uint64 // the first row that anybody waits for
	device   uint64 // the first row of this device
	cuts     map[uint64]*modelCut
	inCut    map[uint64]uint64 // row → first of its segment
	settled  map[uint64]bool   // rows
	refusals uint64
}

type modelCut struct {
	record.Cut
	segment *record.Segment
	state   int
}

func newOutboxModel(t *rapid.T) *outboxModel {
	folder, remove := tempFolder(t)
	t.Cleanup(remove)
	m := &outboxModel{path: filepath.Join(folder, "gate.db"), rows: make(map[uint64][]byte), sealed: make(map[uint64]string),
		venues: make(map[uint64]string), gone: make(map[uint64]bool), cuts: make(map[uint64]*modelCut), inCut: make(map[uint64]uint64),
		settled: make(map[uint64]bool), base: 1, device: 1}
	m.open(t)
	return m
}

func (m *outboxModel) at() record.Stamp { return clockAt(m.now) }

func (m *outboxModel) open(t *rapid.T) {
	o := testOptions()
	o.Retention, o.Now = time.Hour, m.at
	db, err := open(context.Background(), m.path, o, "OFF")
	if err != nil {
		t.Fatal(err)
	}
	m.db = db
	m.run++
	m.look(t)
}

// look takes in the rows that are new. They were written at the venue of now.
func (m *outboxModel) look(t *rapid.T) {
	for row, err := range m.db.Rows(context.Background(), m.read+1) {
		if err != nil {
			t.Fatal(err)
		}
		full, err := record.AppendRow(nil, row)
		if err != nil {
			t.Fatal(err)
		}
		m.read = row.Seq
		m.rows[row.Seq] = full
		if m.venue != "" {
			m.venues[row.Seq] = m.venue
		}
		if scan, ok := row.Body.(record.Scan); ok && len(scan.Sealed.Box) > 0 {
			c, err := m.db.Context(context.Background(), scan.Sealed.Context)
			if err != nil {
				t.Fatal(err)
			}
			m.sealed[row.Seq] = c.Day
		}
	}
}

func (m *outboxModel) append(t *rapid.T) {
	m.now += time.Duration(rapid.SampledFrom([]int{0, 1, 60, 1800, 3600, -4000}).Draw(t, "seconds")) * time.Second
	id := m.db.Identity()
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	var drafts []record.Draft
	for range rapid.SampledFrom([]int{1, 2, 2, 5, 5, 40, 300}).Draw(t, "rows") {
		m.now += time.Millisecond
		d := record.Draft{Stamp: m.at(), Body: record.Scan{Verdict: 1, Reason: 1, Issuer: "CN"}}
		switch rng.IntN(10) {
		case 0:
			d.Body = record.Manual{Class: 1}
		case 1:
			d.Body = record.Event{Code: record.EventDevice, Text: "x"}
		case 2, 3, 4, 5, 6:
			n := max(1, byte(rng.IntN(40))/13)
			c := &record.Context{Identity: id, ID: [16]byte{n}, Day: "day-" + string('0'+n%2), Enc: bytes.Repeat([]byte{n}, 1120)}
			copy(c.ID[1:], id.Epoch[:])
			c.ID[9] = m.run // no sealer outlives its program
			d.Context = c
			d.Body = record.Scan{Verdict: 1, Reason: 1, Format: 1, Sealed: record.Sealed{Context: c.ID, Index: uint32(m.read), Box: make([]byte, 48)}}
		}
		drafts = append(drafts, d)
	}
	if _, err := m.db.Append(context.Background(), drafts...); err != nil {
		t.Fatal(err)
	}
	m.look(t)
}

// saw takes in a segment and holds it against everything known.
func (m *outboxModel) saw(t *rapid.T, c record.Cut) *modelCut {
	known := m.cuts[c.First]
	if known != nil {
		if known.SegmentKey != c.SegmentKey || !bytes.Equal(known.Bytes, c.Bytes) {
			t.Fatalf("segment %d of row %d has changed", c.Number, c.First)
		}
		return known
	}
	s := parsed(t, c)
	known = &modelCut{Cut: c, segment: s}
	for i, row := range s.Rows {
		seq := c.First + uint64(i)
		if first, twice := m.inCut[seq]; twice {
			t.Fatalf("row %d is in the segments of rows %d and %d", seq, first, c.First)
		}
		m.inCut[seq] = c.First
		full, err := record.AppendRow(nil, row)
		if err != nil || !bytes.Equal(full, m.rows[seq]) {
			t.Fatalf("row %d is another in its segment, %v", seq, err)
		}
		if m.venues[seq] != c.Venue {
			t.Fatalf("row %d was written at %q and goes up at %q", seq, m.venues[seq], c.Venue)
		}
	}
	m.cuts[c.First] = known
	return known
}

func (m *outboxModel) next(t *rapid.T) {
	all := rapid.Bool().Draw(t, "all")
	c, ok, err := m.db.NextCut(context.Background(), all, testSign)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		if m.venue != "" && all {
			for seq := max(m.device, m.purged+1); seq <= m.read; seq++ {
				if first, in := m.inCut[seq]; !m.gone[seq] && (!in || m.cuts[first].state == cutWaits) {
					t.Fatalf("row %d waits, and no segment is given", seq)
				}
			}
		}
		return
	}
	if m.venue == "" {
		t.Fatal("a segment of a gate without a hub")
	}
	got := m.saw(t, c)
	if got.state != cutWaits || c.Device != m.db.Identity().Device {
		t.Fatalf("segment %d is not one to send: state %d", c.Number, got.state)
	}
	for first, other := range m.cuts {
		if first < c.First && first >= m.device && other.state == cutWaits {
			t.Fatalf("segment of row %d comes before that of row %d", c.First, first)
		}
	}
}

func (m *outboxModel) cutAll(t *rapid.T) {
	mustCutAll(t, m.db)
	m.seeAll(t)
}

func (m *outboxModel) seeAll(t *rapid.T) {
	open := 0
	for _, c := range openCuts(t, m.db) {
		if m.saw(t, c).state > cutWaits && m.cuts[c.First].state != cutAside {
			t.Fatalf("segment of row %d is settled, and is given", c.First)
		}
		open++
	}
	for _, c := range m.cuts {
		if c.state == cutWaits || c.state == cutAside {
			open--
		}
	}
	if open != 0 {
		t.Fatalf("%d segments too few are given", -open)
	}
}

// openCut gives one of the segments that wait or were set aside.
func (m *outboxModel) openCut(t *rapid.T) *modelCut {
	var open []*modelCut
	for _, c := range m.cuts {
		if c.state == cutWaits || c.state == cutAside {
			open = append(open, c)
		}
	}
	if len(open) == 0 {
		return nil
	}
	slices.SortFunc(open, func(a, b *modelCut) int { return cmp.Compare(a.First, b.First) })
	return open[rapid.IntRange(0, len(open)-1).Draw(t, "segment")]
}

func (m *outboxModel) done(c *modelCut, state int) {
	c.state = state
	for seq := c.First; seq <= c.Last; seq++ {
		m.settled[seq] = true
	}
}

func (m *outboxModel) settle(t *rapid.T) {
	c := m.openCut(t)
	if c == nil {
		return
	}
	reason := rapid.SampledFrom([]record.RefusedFor{0, 0, 0, record.ForRetention}).Draw(t, "reason")
	mustSettle(t, m.db, c.Cut, reason)
	if rapid.Bool().Draw(t, "twice") {
		mustSettle(t, m.db, c.Cut, reason)
	}
	m.done(c, cutStored)
	if reason != 0 {
		m.done(c, cutRefused)
		m.refusals++
	}
	m.look(t)
}

func (m *outboxModel) setAside(t *rapid.T) {
	c := m.openCut(t)
	if c == nil {
		return
	}
	before := m.db.Identity()
	newEpoch := rapid.Bool().Draw(t, "new epoch")
	if err := m.db.SetAside(context.Background(), m.at(), c.Cut, "test", newEpoch); err != nil {
		t.Fatal(err)
	}
	if begun := m.db.Identity() != before; begun != (newEpoch && c.state == cutWaits && c.Identity == before) {
		t.Fatalf("a new epoch began: %v", begun)
	}
	c.state, m.taken = cutAside, true
	m.look(t)
}

func (m *outboxModel) enrol(t *rapid.T) {
	venue := rapid.SampledFrom([]string{"north", "south"}).Draw(t, "venue")
	if m.venue == "" {
		for seq := m.device; seq <= m.read; seq++ {
			m.venues[seq] = venue // all that this device wrote
		}
		if !m.ever {
			m.base = m.device
		}
	}
	m.venue, m.ever = venue, true
	if err := m.db.Enrol(context.Background(), m.at(), testEnrolment(venue)); err != nil {
		t.Fatal(err)
	}
	m.look(t)
}

func (m *outboxModel) newEpoch(t *rapid.T) {
	if err := m.db.NewEpoch(context.Background(), m.at(), "test"); err != nil {
		t.Fatal(err)
	}
	m.look(t)
}

func (m *outboxModel) newDevice(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "seldom") > 0 {
		return
	}
	if err := m.db.NewDevice(context.Background(), m.at(), "test"); err != nil {
		t.Fatal(err)
	}
	m.seeAll(t)
	if m.venue != "" {
		for seq := max(m.device, m.purged+1); seq <= m.read; seq++ {
			if _, in := m.inCut[seq]; !in && !m.gone[seq] {
				t.Fatalf("row %d of the old device was left uncut", seq)
			}
		}
	}
	if m.venue == "" && m.ever {
		for seq := m.device; seq <= m.read; seq++ {
			m.settled[seq] = true // no hub ever knew this device: nobody waits
		}
	}
	m.venue, m.device = "", m.read+1
	m.look(t)
}

func (m *outboxModel) purge(t *rapid.T) {
	n, err := m.db.Purge(context.Background(), m.at())
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		m.purged++
		awaited := m.ever && m.purged >= m.base && (m.venue != "" || m.purged < m.device)
		if awaited && !m.settled[m.purged] {
			t.Fatalf("row %d went before it was settled", m.purged)
		}
	}
}

func (m *outboxModel) erase(t *rapid.T) {
	day := rapid.SampledFrom([]string{"day-0", "day-1"}).Draw(t, "day")
	n := 0
	for seq, d := range m.sealed {
		if d == day && !m.gone[seq] && seq > m.purged {
			m.gone[seq], m.settled[seq] = true, true
			n++
		}
	}
	for _, c := range m.cuts {
		if c.Day == day && (c.state == cutWaits || c.state == cutAside) {
			m.done(c, cutErased)
		}
	}
	mustErase(t, m.db, day, n)
	m.look(t)
}

func (m *outboxModel) restart(t *rapid.T) {
	if rapid.Bool().Draw(t, "kill") {
		m.db.kill()
	} else if err := m.db.Close(context.Background(), m.at()); err != nil {
		t.Fatal(err)
	}
	m.open(t)
	m.seeAll(t)
}

func (m *outboxModel) check(t *rapid.T) {
	s, err := m.db.Status(m.at())
	if err != nil {
		t.Fatal(err)
	}
	base := uint64(1)
	if m.ever {
		base = m.base
	}
	waiting, poison := uint64(0), uint64(0)
	for seq := max(base, m.purged+1); seq <= m.read; seq++ {
		if !m.settled[seq] {
			waiting++
		}
	}
	for _, c := range m.cuts {
		if c.state == cutAside {
			poison++
		}
	}
	if s.Waiting != waiting || s.Poison != poison || s.Refused != m.refusals || s.Enrolled != (m.venue != "") {
		t.Fatalf("status = %+v, want %d waiting, %d set aside, %d refused", s, waiting, poison, m.refusals)
	}
}

// end looks at everything once more: the chain, and the segments among each
// other.
func (m *outboxModel) end(t *rapid.T) {
	if m.venue != "" {
		m.cutAll(t)
		for seq := max(m.device, m.purged+1); seq <= m.read; seq++ {
			if _, in := m.inCut[seq]; !in && !m.gone[seq] {
				t.Fatalf("row %d is in no segment", seq)
			}
		}
	}
	numbers := make(map[record.Identity]map[uint64]bool)
	carried := make(map[[24]byte]bool)
	clean := !m.taken
	for _, c := range m.cuts {
		clean = clean && c.state != cutRefused && c.state != cutErased
	}
	for seq := uint64(1); seq <= m.read; seq++ {
		c, ok := m.cuts[seq]
		if !ok {
			continue
		}
		if before, ok := m.cuts[m.inCut[seq-1]]; ok && before.segment.Head != c.segment.Before {
			t.Fatalf("segment of row %d does not go on where the one before ended", seq)
		}
		if numbers[c.Identity] == nil {
			numbers[c.Identity] = make(map[uint64]bool)
		}
		numbers[c.Identity][c.Number] = true
		if c.segment.ContextID != [16]byte{} && clean {
			var key [24]byte
			copy(key[:], c.segment.ContextID[:])
			key[16], key[17], key[18] = byte(c.Hour), byte(c.Hour>>8), byte(c.Hour>>16)
			if (c.segment.Context != nil) == carried[key] {
				t.Fatalf("segment of row %d carries its context: %v, as an earlier one: %v", seq, c.segment.Context != nil, carried[key])
			}
			carried[key] = true
		}
	}
	for id, seen := range numbers {
		for n := range uint64(len(seen)) {
			if !seen[n+1] {
				t.Fatalf("number %d of epoch %x is missing", n+1, id.Epoch)
			}
		}
	}
	if _, err := m.db.VerifyChain(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := m.db.Close(context.Background(), m.at()); err != nil {
		t.Fatal(err)
	}
}
