package gate

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"time"

	"checkpoint/verify"
)

// tag stands for a text or an id in memory. It is an HMAC under a key that is
// thrown away every hour, so a memory image of a gate does not tell who was
// there before.
type tag [16]byte

// blinder makes tags. Two keys overlap: what was tagged in the last hour is
// still known in this one.
type blinder struct {
	now, last [32]byte
	since     time.Time
}

const blinderTurn = time.Hour

func newBlinder(at time.Time) *blinder {
	b := &blinder{since: at}
	rand.Read(b.now[:])
	rand.Read(b.last[:])
	return b
}

// turn throws away keys that had their hour.
func (b *blinder) turn(at time.Time) {
	for d := at.Sub(b.since); d >= blinderTurn || d < 0; d = at.Sub(b.since) {
		b.last = b.now
		rand.Read(b.now[:])
		if d < 0 || d >= 2*blinderTurn {
			b.since = at
		} else {
			b.since = b.since.Add(blinderTurn)
		}
	}
}

// of gives the tags of s under both keys, the newer first. kind keeps texts
// and ids apart.
func (b *blinder) of(kind byte, s []byte) [2]tag {
	return [2]tag{blind(&b.now, kind, s), blind(&b.last, kind, s)}
}

func blind(key *[32]byte, kind byte, s []byte) (t tag) {
	m := hmac.New(sha256.New, key[:])
	m.Write([]byte{kind})
	m.Write(s)
	copy(t[:], m.Sum(nil))
	return t
}

const (
	tagText byte = 't'
	tagID   byte = 'i'
)

// holding is one code being held up: from its first sight until it was out of
// view for holdGap.
type holding struct {
	last time.Time
	name verify.Name
}

const (
	holdGap = 5 * time.Second

	// maxTracked bounds each table against someone who shows codes without
	// end; the oldest entries go first.
	maxTracked = 4096
)

// memory knows what is being held up and what was admitted a moment ago. In
// RAM only: a restart forgets.
type memory struct {
	blind  *blinder
	texts  map[tag]*holding
	ids    map[tag]*holding
	admits map[tag]time.Time
}

func newMemory(at time.Time) *memory {
	return &memory{
		blind: newBlinder(at),
		texts: map[tag]*holding{}, ids: map[tag]*holding{}, admits: map[tag]time.Time{},
	}
}

// sees reports whether text is still being held up at the instant at, and if
// so notes the sight.
func (m *memory) sees(text []byte, at time.Time) bool {
	m.blind.turn(at)
	for _, t := range m.blind.of(tagText, text) {
		if h := m.texts[t]; h != nil && at.Sub(h.last) < holdGap {
			h.last = at
			return true
		}
	}
	return false
}

// renews reports whether id, just judged as name, is a renewal of what is
// being held up: the same id with the same verdict. If so text joins the
// holding.
//
// Another verdict is another showing: the picture of a code that was refused
// and then the code itself, from the phone, carry the same id.
func (m *memory) renews(text []byte, id string, name verify.Name, at time.Time) bool {
	if id == "" {
		return false
	}
	for _, t := range m.blind.of(tagID, []byte(id)) {
		if h := m.ids[t]; h != nil && at.Sub(h.last) < holdGap && h.name == name {
			h.last = at
			m.texts[m.blind.of(tagText, text)[0]] = h
			return true
		}
	}
	return false
}

// holds begins a holding.
func (m *memory) holds(text []byte, id string, name verify.Name, at time.Time) {
	m.forget(at)
	h := &holding{last: at, name: name}
	m.texts[m.blind.of(tagText, text)[0]] = h
	if id != "" {
		m.ids[m.blind.of(tagID, []byte(id))[0]] = h
	}
}

// used reports whether id was admitted here less than window ago.
func (m *memory) used(id string, window time.Duration, at time.Time) bool {
	if id == "" || window <= 0 {
		return false
	}
	m.blind.turn(at)
	for _, t := range m.blind.of(tagID, []byte(id)) {
		if when, ok := m.admits[t]; ok && at.Sub(when) < window {
			return true
		}
	}
	return false
}

// admitted remembers that id was let in; call it only once that is durable.
func (m *memory) admitted(id string, at time.Time) {
	if id != "" {
		m.forget(at)
		m.admits[m.blind.of(tagID, []byte(id))[0]] = at
	}
}

// unadmit forgets an admission that was voided, and the holding with it: the
// person may show the code again at once.
func (m *memory) unadmit(id string) {
	if id == "" {
		return
	}
	for _, t := range m.blind.of(tagID, []byte(id)) {
		delete(m.admits, t)
		if h := m.ids[t]; h != nil {
			h.last = time.Time{}
			delete(m.ids, t)
		}
	}
}

// forget drops what has had its time, and, should a table still be full, its
// oldest entry.
func (m *memory) forget(at time.Time) {
	if len(m.texts) >= maxTracked/2 || len(m.ids) >= maxTracked/2 {
		ended := func(_ tag, h *holding) bool { return at.Sub(h.last) >= holdGap }
		deleteIf(m.texts, ended)
		deleteIf(m.ids, ended)
	}
	if len(m.admits) >= maxTracked/2 {
		deleteIf(m.admits, func(_ tag, when time.Time) bool { return at.Sub(when) >= 2*blinderTurn })
	}
	for len(m.texts) >= maxTracked {
		dropOldest(m.texts, func(h *holding) time.Time { return h.last })
	}
	for len(m.ids) >= maxTracked {
		dropOldest(m.ids, func(h *holding) time.Time { return h.last })
	}
	for len(m.admits) >= 16*maxTracked {
		dropOldest(m.admits, func(t time.Time) time.Time { return t })
	}
}

func deleteIf[V any](m map[tag]V, gone func(tag, V) bool) {
	for k, v := range m {
		if gone(k, v) {
			delete(m, k)
		}
	}
}

func dropOldest[V any](m map[tag]V, when func(V) time.Time) {
	var oldest tag
	var at time.Time
	for k, v := range m {
		if t := when(v); at.IsZero() || t.Before(at) {
			oldest, at = k, t
		}
	}
	delete(m, oldest)
}
