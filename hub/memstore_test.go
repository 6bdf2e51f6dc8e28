package hub

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"checkpoint/hub/store"
	"checkpoint/record"
)

// memStore keeps what the hub's tests need in memory, by the rules of
// store.Segments. What it does not keep panics: the test sees it.
type memStore struct {
	store.Store // nil: the rest

	mu          sync.Mutex
	gates       map[string]store.Gate
	segments    map[streamNumber]store.Incoming
	streams     map[record.Identity]*store.Stream
	quarantined map[[32]byte][16]byte
	refused     map[streamNumber]record.RefusedFor
	alarms      []store.Alarm
	destroyed   map[string]bool
	retired     map[string]bool
	lookups     int
	puts        int
	largest     int

	fail      error                  // of Put, Raise, Refuse and Quarantine
	failGate  error                  // of GateByDevice
	failAlarm error                  // of Raise
	onPut     func([]store.Incoming) // called outside the lock, before a Put
}

type streamNumber struct {
	record.Identity
	Number uint64
}

func newMemStore() *memStore {
	return &memStore{gates: map[string]store.Gate{}, segments: map[streamNumber]store.Incoming{}, streams: map[record.Identity]*store.Stream{},
		quarantined: map[[32]byte][16]byte{}, refused: map[streamNumber]record.RefusedFor{}, destroyed: map[string]bool{}, retired: map[string]bool{}}
}

func (m *memStore) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func (m *memStore) Put(_ context.Context, batch []store.Incoming) ([]store.Put, error) {
	if m.onPut != nil {
		m.onPut(batch)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.puts++
	m.largest = max(m.largest, len(batch))
	if m.fail != nil {
		return nil, m.fail
	}
	puts := make([]store.Put, len(batch))
	for i := range batch {
		puts[i] = m.put(batch[i])
	}
	return puts, nil
}

func (m *memStore) put(in store.Incoming) store.Put {
	key := streamNumber{in.Identity, in.Number}
	if have, ok := m.segments[key]; ok {
		if have.SHA256 == in.SHA256 {
			return store.Put{Outcome: store.Repeat}
		}
		return m.aside(in)
	}
	if m.destroyed[in.Day] {
		return store.Put{Outcome: store.Destroyed}
	}
	if m.retired[in.Day] {
		return store.Put{Outcome: store.Retired}
	}
	s := m.streams[in.Identity]
	put := store.Put{Outcome: store.Stored}
	switch {
	case s == nil:
		s = &store.Stream{Identity: in.Identity}
		m.streams[in.Identity] = s
		if in.Number > 1 {
			s.Gaps = append(s.Gaps, store.Gap{From: 1, To: in.Number - 1, First: 1, Last: in.First - 1})
			put.MissingFrom, put.MissingTo = 1, in.Number-1
		}
	case in.Number == s.Number+1:
		if in.First != s.Last+1 || in.Before != s.Head {
			return m.aside(in)
		}
	case in.Number > s.Number:
		if in.First <= s.Last {
			return m.aside(in)
		}
		s.Gaps = append(s.Gaps, store.Gap{From: s.Number + 1, To: in.Number - 1, First: s.Last + 1, Last: in.First - 1})
		put.MissingFrom, put.MissingTo = s.Number+1, in.Number-1
	default:
		i := slices.IndexFunc(s.Gaps, func(g store.Gap) bool {
			return g.From <= in.Number && in.Number <= g.To && g.First <= in.First && in.Last <= g.Last
		})
		if i < 0 {
			return m.aside(in)
		}
		m.fill(s, i, in)
		m.segments[key] = in
		return put
	}
	s.Number, s.Last, s.Head, s.Venue = in.Number, in.Last, in.Head, in.Venue
	m.segments[key] = in
	return put
}

func (m *memStore) fill(s *store.Stream, i int, in store.Incoming) {
	g := s.Gaps[i]
	s.Gaps = slices.Delete(s.Gaps, i, i+1)
	if g.From < in.Number {
		s.Gaps = append(s.Gaps, store.Gap{From: g.From, To: in.Number - 1, First: g.First, Last: in.First - 1})
	}
	if in.Number < g.To {
		s.Gaps = append(s.Gaps, store.Gap{From: in.Number + 1, To: g.To, First: in.Last + 1, Last: g.Last})
	}
}

func (m *memStore) aside(in store.Incoming) store.Put {
	m.quarantined[in.SHA256] = in.Device
	return store.Put{Outcome: store.Conflict}
}

func (m *memStore) Quarantine(_ context.Context, device [16]byte, _ string, segment []byte, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.quarantined[record.SegmentDigest(segment)] = device
	return nil
}

func (m *memStore) Streams(_ context.Context, device [16]byte) ([]store.Stream, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []store.Stream
	for _, s := range m.streams {
		if s.Device == device {
			c := *s
			c.Gaps = slices.Clone(s.Gaps)
			list = append(list, c)
		}
	}
	return list, nil
}

func (m *memStore) Refuse(_ context.Context, key record.SegmentKey, _, _ uint64, _ [32]byte, why record.RefusedFor, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.refused[streamNumber{key.Identity, key.Number}] = why
	return nil
}

func (m *memStore) GateByDevice(_ context.Context, device [16]byte) (store.Gate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lookups++
	if m.failGate != nil {
		return store.Gate{}, m.failGate
	}
	for _, g := range m.gates {
		if g.Device == device {
			return g, nil
		}
	}
	return store.Gate{}, store.ErrNotFound
}

func (m *memStore) GateByName(_ context.Context, name string) (store.Gate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, ok := m.gates[name]
	if !ok {
		return store.Gate{}, store.ErrNotFound
	}
	return g, nil
}

func (m *memStore) Gates(_ context.Context, _ []string, after string, limit int) ([]store.Gate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []store.Gate
	for name, g := range m.gates {
		if name > after {
			list = append(list, g)
		}
	}
	slices.SortFunc(list, func(a, b store.Gate) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return list[:min(limit, len(list))], nil
}

func (m *memStore) Reported(_ context.Context, device [16]byte, report []byte, offsetMS int64, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	for name, g := range m.gates {
		if g.Device == device {
			g.Report, g.OffsetMS, g.SeenMS = bytes.Clone(report), offsetMS, at.UnixMilli()
			m.gates[name] = g
			return nil
		}
	}
	return store.ErrNotFound
}

func (m *memStore) Raise(_ context.Context, a store.Alarm) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := errors.Join(m.fail, m.failAlarm); err != nil {
		return err
	}
	for i := range m.alarms {
		if have := &m.alarms[i]; have.Kind == a.Kind && have.Gate == a.Gate && have.Closed.IsZero() {
			have.Count += max(a.Count, 1)
			have.LastAt, have.Text = a.At, a.Text
			return nil
		}
	}
	a.ID, a.Count = int64(len(m.alarms)+1), max(a.Count, 1)
	m.alarms = append(m.alarms, a)
	return nil
}

func (m *memStore) ListAlarms(_ context.Context, _ []string, open bool, before int64, limit int) ([]store.Alarm, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []store.Alarm
	for _, a := range slices.Backward(m.alarms) {
		if (before == 0 || a.ID < before) && (!open || a.Closed.IsZero()) {
			list = append(list, a)
		}
	}
	return list[:min(limit, len(list))], nil
}

func (m *memStore) CloseAlarm(_ context.Context, id int64, by string, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id < 1 || int(id) > len(m.alarms) {
		return store.ErrNotFound
	}
	m.alarms[id-1].Closed, m.alarms[id-1].By = at, by
	return nil
}

func (m *memStore) Now(context.Context) (time.Time, error) { return time.Time{}, errNoClock }

var errNoClock = errors.New("no clock here")

func (m *memStore) Ready(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fail
}

// openAlarms are the kinds of the open ones, in order.
func (m *memStore) openAlarms() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var kinds []string
	for _, a := range m.alarms {
		if a.Closed.IsZero() {
			kinds = append(kinds, a.Kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

func (m *memStore) stored() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.segments)
}
