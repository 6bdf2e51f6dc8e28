package uplink

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"checkpoint/enroll"
	"checkpoint/record"
)

// The model: a gate whose outbox survives crashes, a line that loses, cuts and
// garbles, a hub that keeps segments by key. Time is virtual, everything comes
// from one seed and one goroutine, so one seed tells one story.
//
//	CHECKPOINT_MODEL_SEED=7   this story alone
//	CHECKPOINT_MODELS=1000    so many stories
func TestModelOfDelivery(t *testing.T) {
	first, stories := uint64(1), 4
	if text := os.Getenv("CHECKPOINT_MODEL_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, stories = n, 1
	} else if text := os.Getenv("CHECKPOINT_MODELS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		stories = n
	}
	var all modelCounts
	for seed := first; seed < first+uint64(stories); seed++ {
		m := newModel(seed)
		m.live()
		if len(m.wrong) > 0 {
			t.Errorf("CHECKPOINT_MODEL_SEED=%d: %s (%d more)", seed, m.wrong[0], len(m.wrong)-1)
		}
		all.add(m.modelCounts)
	}
	t.Logf("seeds %d to %d: %+v", first, first+uint64(stories)-1, all)
	if stories >= 4 {
		for name, n := range map[string]int{"Stored": all.Stored, "Repeats": all.Repeats, "Refused": all.Refused, "Aside": all.Aside, "Erased": all.Erased,
			"LostAsking": all.LostAsking, "LostAnswer": all.LostAnswer, "GateCrashes": all.GateCrashes, "BadReceipts": all.BadReceipts, "Later": all.Later} {
			if n == 0 {
				t.Errorf("%s never happened: this model shows nothing about it", name)
			}
		}
	}
}

// The model must be able to fail: with a gate that takes any receipt it does.
func TestModelCatchesAGateThatBelievesAnything(t *testing.T) {
	for seed := uint64(1); seed < 20; seed++ {
		m := newModel(seed)
		m.credulous = true
		if m.live(); len(m.wrong) > 0 {
			return
		}
	}
	t.Error("nothing was wrong")
}

// And with one that settles what it sent, answered or not.
func TestModelCatchesAGateThatForgets(t *testing.T) {
	for seed := uint64(1); seed < 20; seed++ {
		m := newModel(seed)
		m.hasty = true
		if m.live(); len(m.wrong) > 0 {
			return
		}
	}
	t.Error("nothing was wrong")
}

type modelCounts struct {
	Steps, Cuts, Stored, Repeats, Refused, Aside, Erased             int
	LostAsking, LostAnswer, GateCrashes, BadReceipts, Later, Reports int
}

func (c *modelCounts) add(o modelCounts) {
	c.Steps += o.Steps
	c.Cuts += o.Cuts
	c.Stored += o.Stored
	c.Repeats += o.Repeats
	c.Refused += o.Refused
	c.Aside += o.Aside
	c.Erased += o.Erased
	c.LostAsking += o.LostAsking
	c.LostAnswer += o.LostAnswer
	c.GateCrashes += o.GateCrashes
	c.BadReceipts += o.BadReceipts
	c.Later += o.Later
	c.Reports += o.Reports
}

// fate is what becomes of a segment for good.
type fate uint8

const (
	waits fate = iota
	settled
	refusedForGood
	setAside
	erased
)

// modelCut is one segment of the gate's file.
type modelCut struct {
	record.Cut
	fate fate
	why  string
}

type modelName struct {
	epoch  [8]byte
	number uint64
}

type model struct {
	modelCounts
	random *rand.Rand
	v      virtual
	wrong  []string

	// The gate's file: it survives crashes.
	id      record.Identity
	rows    uint64 // written
	cut     uint64 // rows that are in a segment
	number  uint64
	cuts    []*modelCut
	done    int  // so many of them wait no longer
	gone    bool // signed trust says that the lost day is destroyed
	hubTime int64

	// The hub.
	key      ed25519.PrivateKey
	kept     map[modelName][32]byte
	taken    map[modelName]uint64 // newest number of each epoch, to see the order
	refusals map[modelName]bool
	until    time.Duration // the mood lasts so long
	mood     mood
	calm     bool // the end: everything works

	credulous, hasty bool
}

// mood is how line and hub are for a while.
type mood uint8

const (
	fine mood = iota
	lossy
	dead
	ill  // 500
	busy // 429, 503 with Retry-After
	mad  // receipts that do not hold, redirects, rubbish
	moods
)

type crash struct{}

func newModel(seed uint64) *model {
	m := &model{random: rand.New(rand.NewPCG(seed, 77)), key: key("hub"),
		kept: map[modelName][32]byte{}, taken: map[modelName]uint64{}, refusals: map[modelName]bool{}}
	m.id.Device = [16]byte{1}
	m.newEpoch()
	return m
}

func (m *model) newEpoch() {
	binary.BigEndian.PutUint64(m.id.Epoch[:], m.random.Uint64())
	m.number = 0
}

func (m *model) maybe(percent int) bool { return m.random.IntN(100) < percent }

func (m *model) bad(format string, args ...any) {
	m.wrong = append(m.wrong, fmt.Sprintf("%v: ", m.v.now)+fmt.Sprintf(format, args...))
}

// live is one story: two days of trouble, then a calm in which all must end
// well.
func (m *model) live() {
	m.v.during = m.meanwhile
	m.runFor(48 * time.Hour)
	m.calm = true
	m.runFor(12 * time.Hour)
	m.judge()
}

// runFor runs the gate's program, and starts it again when it crashes.
func (m *model) runFor(d time.Duration) {
	for end := m.v.now + d; m.v.now < end; {
		ctx, cancel := context.WithCancel(context.Background())
		m.v.until, m.v.end = end, cancel
		m.program(ctx)
		cancel()
		m.v.now += time.Duration(m.random.Int64N(int64(time.Minute)))
	}
}

func (m *model) program(ctx context.Context) {
	defer func() {
		if what := recover(); what != nil {
			if _, ok := what.(crash); !ok {
				panic(what)
			}
			m.GateCrashes++
		}
	}()
	l, err := NewLoop(LoopConfig{
		Hub: m, Outbox: m, Clock: m.v.clock, Rand: m.random.Int64N,
		Report:    func(context.Context) (enroll.Report, error) { return enroll.Report{}, nil },
		Trust:     func(context.Context) error { return m.line() },
		Destroyed: func(_ context.Context, day string) (bool, error) { return m.eraseDay(day), nil },
		HubTime:   func(ms int64) { m.hubTime = ms },
		Now:       func() time.Duration { return m.v.now },
		Sleep:     m.v.sleep,
	})
	if err != nil {
		panic(err)
	}
	_ = l.Run(ctx) // the context's end
}

// crashes ends the program here, now and then.
func (m *model) crashes() {
	if !m.calm && m.maybe(3) {
		panic(crash{})
	}
}

// meanwhile is what happens while time passes: people are scanned, moods turn.
func (m *model) meanwhile() {
	m.Steps++
	if !m.calm {
		m.rows += uint64(m.random.IntN(12))
	}
	if m.v.now > m.until {
		m.mood = mood(m.random.IntN(int(moods)))
		m.until = m.v.now + time.Duration(m.random.Int64N(int64(2*time.Hour)))
	}
	if m.v.now > 24*time.Hour {
		m.gone = true
	}
}

// line is the way to the hub: it may cost time, and lose.
func (m *model) line() error {
	m.v.now += time.Duration(m.random.Int64N(int64(200 * time.Millisecond)))
	if m.calm {
		return nil
	}
	if m.mood == dead || m.mood == lossy && m.maybe(25) {
		m.LostAsking++
		m.v.now += time.Duration(m.random.Int64N(int64(30 * time.Second)))
		return &LineError{Host: "hub", Is: ErrTimeout}
	}
	return nil
}

// Report is the hub's.
func (m *model) Report(context.Context, enroll.Report) (enroll.Orders, error) {
	m.Reports++
	if err := m.line(); err != nil {
		return enroll.Orders{}, err
	}
	if !m.calm && (m.mood == ill || m.mood == busy) {
		got := m.not()
		return enroll.Orders{}, got.refusal()
	}
	return enroll.Orders{State: "active", Interval: 60}, nil
}

func (m *model) not() answer {
	m.Later++
	if m.mood == busy {
		return answer{status: 503 - 74*m.random.IntN(2), header: http.Header{"Retry-After": {strconv.Itoa(m.random.IntN(600))}}}
	}
	return answer{status: 500, body: []byte("<html>oops")}
}

// Send carries a segment to the hub and its answer back.
func (m *model) Send(_ context.Context, c record.Cut) (Answer, error) {
	m.crashes()
	if err := m.line(); err != nil {
		return Answer{}, err
	}
	var got answer
	switch {
	case m.calm || m.mood == fine || m.mood == lossy:
		got = m.take(c)
	case m.mood == mad:
		got = m.madness(c)
	default:
		got = m.not()
	}
	if !m.calm && m.mood == lossy && m.maybe(25) {
		m.LostAnswer++
		return Answer{}, &LineError{Host: "hub", Is: ErrBroken}
	}
	m.crashes()
	if m.credulous && got.status == http.StatusOK {
		r, err := record.ParseReceipt(got.body)
		return Answer{Outcome: Received, Receipt: r, Raw: got.body}, ignore(err)
	}
	if m.hasty {
		return classify(answer{status: http.StatusOK, body: m.receipt(c, record.Stored, 0)}, c, m.keys()), nil
	}
	return classify(got, c, m.keys()), nil
}

func ignore(error) error { return nil }

func (m *model) keys() []ed25519.PublicKey { return []ed25519.PublicKey{public(m.key)} }

func (m *model) receipt(c record.Cut, d record.Disposition, why record.RefusedFor) []byte {
	return receiptOf(c, m.key, d, why, m.v.now.Milliseconds())
}

// take is an honest hub, but for some segments it will never have. Which those
// are lies in their digest.
func (m *model) take(c record.Cut) answer {
	name := modelName{c.Epoch, c.Number}
	if sha, ok := m.kept[name]; ok {
		if sha != c.SHA256 {
			m.bad("segment %d came again with other bytes", c.Number)
		}
		m.Repeats++
		return answer{status: http.StatusOK, body: m.receipt(c, record.Stored, 0)}
	}
	switch c.SHA256[0] % 32 {
	case 0:
		return answer{status: http.StatusConflict}
	case 1:
		m.refusals[name] = true
		return answer{status: http.StatusUnprocessableEntity, body: m.receipt(c, record.Refused, record.ForVenue)}
	case 2:
		return answer{status: http.StatusRequestEntityTooLarge}
	}
	if c.Day == "lost" {
		return answer{status: http.StatusGone}
	}
	if c.Number <= m.taken[modelName{epoch: c.Epoch}] {
		m.bad("segment %d came after %d", c.Number, m.taken[modelName{epoch: c.Epoch}])
	}
	m.taken[modelName{epoch: c.Epoch}] = c.Number
	m.kept[name] = c.SHA256
	m.Stored++
	return answer{status: http.StatusOK, body: m.receipt(c, record.Stored, 0)}
}

// madness answers what no hub should.
func (m *model) madness(c record.Cut) answer {
	m.BadReceipts++
	other := c
	other.Number++
	b := m.receipt(c, record.Stored, 0)
	switch m.random.IntN(7) {
	case 0:
		b[m.random.IntN(len(b))] ^= 1 << m.random.IntN(8)
		return answer{status: 200, body: b}
	case 1:
		return answer{status: 200, body: m.receipt(other, record.Stored, 0)}
	case 2:
		return answer{status: 200, body: receiptOf(c, key("stranger"), record.Stored, 0, 1)}
	case 3:
		return answer{status: 422, body: b} // a receipt where a refusal should be
	case 4:
		return answer{status: 301, header: http.Header{"Location": {"https://elsewhere"}}}
	case 5:
		return answer{status: 200, body: []byte("welcome to the guest network")}
	}
	return answer{status: 200, body: b[:m.random.IntN(len(b))]}
}

// NextCut is the outbox: it cuts segments of ten rows.
func (m *model) NextCut(_ context.Context, all bool) (record.Cut, bool, error) {
	m.crashes()
	for ; m.done < len(m.cuts); m.done++ {
		if c := m.cuts[m.done]; c.fate == waits {
			return c.Cut, true, nil
		}
	}
	n := min(m.rows-m.cut, 10)
	if n == 0 || n < 10 && !all {
		return record.Cut{}, false, nil
	}
	m.number++
	c := cutOf(m.id, m.number, m.cut+1, m.cut+n)
	if m.number%9 == 0 {
		c.Day = "lost"
	}
	m.cut += n
	m.cuts = append(m.cuts, &modelCut{Cut: c})
	m.Cuts++
	m.crashes()
	return c, true, nil
}

func (m *model) find(id record.Identity, number uint64) *modelCut {
	for _, c := range slices.Backward(m.cuts) {
		if c.Identity == id && c.Number == number {
			return c
		}
	}
	return nil
}

// Settle is the outbox: here lies the rule that matters.
func (m *model) Settle(_ context.Context, r record.Receipt, raw []byte) error {
	m.crashes()
	c := m.find(r.Identity, r.Number)
	switch sha, stored := m.kept[modelName{r.Epoch, r.Number}]; {
	case c == nil || !r.Covers(c.Cut):
		m.bad("settled by a receipt that covers nothing")
		return errors.New("covers nothing")
	case !r.Verify(public(m.key)):
		m.bad("segment %d settled by a receipt that does not hold", r.Number)
	case r.Disposition == record.Stored && (!stored || sha != c.SHA256):
		m.bad("segment %d settled, and the hub does not have it", r.Number)
	case r.Disposition == record.Refused && !m.refusals[modelName{r.Epoch, r.Number}]:
		m.bad("segment %d settled as refused, and it was not", r.Number)
	}
	c.fate = settled
	if r.Disposition == record.Refused {
		c.fate = refusedForGood
		m.Refused++
	}
	m.crashes()
	return nil
}

// SetAside is the outbox.
func (m *model) SetAside(_ context.Context, cut record.Cut, why string, newEpoch bool) error {
	m.crashes()
	c := m.find(cut.Identity, cut.Number)
	c.fate, c.why = setAside, why
	m.Aside++
	if newEpoch {
		m.newEpoch()
	}
	m.crashes()
	return nil
}

// eraseDay is the gate, when signed trust says that the day is destroyed.
func (m *model) eraseDay(day string) bool {
	if day != "lost" || !m.gone {
		return false
	}
	for _, c := range m.cuts {
		if c.Day == day && c.fate == waits {
			c.fate = erased
			m.Erased++
		}
	}
	return true
}

// judge looks at the end of a story.
func (m *model) judge() {
	delivered := 0
	for _, c := range m.cuts {
		sha, stored := m.kept[modelName{c.Epoch, c.Number}]
		switch {
		case c.fate == waits:
			m.bad("segment %d still waits after the calm", c.Number)
		case c.fate == settled && (!stored || sha != c.SHA256):
			m.bad("segment %d is settled and not at the hub", c.Number)
		case c.fate == setAside && c.why != "conflict" && c.why != "too_large" && c.why != "gone":
			m.bad("segment %d set aside for %q", c.Number, c.why)
		case c.fate != settled && stored:
			m.bad("segment %d is at the hub and its fate is %d", c.Number, c.fate)
		}
		if c.fate == settled {
			delivered++
		}
	}
	if delivered != len(m.kept) || m.Stored != len(m.kept) {
		m.bad("%d acknowledged, %d at the hub, stored %d times", delivered, len(m.kept), m.Stored)
	}
	if m.rows != m.cut {
		m.bad("%d rows were never cut", m.rows-m.cut)
	}
	if i := slices.IndexFunc(m.cuts, func(c *modelCut) bool { return sha256.Sum256(c.Bytes) != c.SHA256 }); i >= 0 {
		m.bad("segment %d changed", m.cuts[i].Number)
	}
}
