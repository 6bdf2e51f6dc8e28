package hub

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"checkpoint/hub/store"
)

// A hub without a trust repository.
func (m *memStore) TrustGeneration(context.Context) (uint64, error) { return 0, nil }
func (m *memStore) ListTrust(context.Context) ([]string, error)     { return nil, nil }

// office is a memStore that also keeps tokens, people, acts, days and trust.
type office struct {
	*memStore

	mu2    sync.Mutex
	tokens map[[32]byte]*heldToken
	people map[string]store.Person
	acts   []store.Act
	trust  map[string][]byte
	turn   uint64
	days   map[string]store.Day

	clock      func() time.Time
	failRecord error
	stale      int // so many PutTrust lose, as to another hub
}

type heldToken struct {
	store.Token
	ended bool
	by    *store.Enrolment
}

func newOffice() *office {
	return &office{memStore: newMemStore(), tokens: map[[32]byte]*heldToken{}, people: map[string]store.Person{}, trust: map[string][]byte{}, days: map[string]store.Day{}}
}

func (o *office) Now(context.Context) (time.Time, error) { return o.clock(), nil }

func (o *office) lock() func() {
	o.mu2.Lock()
	o.memStore.mu.Lock()
	return func() { o.memStore.mu.Unlock(); o.mu2.Unlock() }
}

func (o *office) CreateGate(_ context.Context, g store.Gate, t store.Token) error {
	defer o.lock()()
	if _, ok := o.gates[g.Name]; ok {
		return store.ErrExists
	}
	g.Venues = []string{g.Venue}
	o.gates[g.Name] = g
	o.tokens[t.Hash] = &heldToken{Token: t}
	return nil
}

func (o *office) Invite(_ context.Context, t store.Token) error {
	defer o.lock()()
	g, ok := o.gates[t.Gate]
	if !ok {
		return store.ErrNotFound
	}
	if g.State != store.Invited && g.State != store.Revoked {
		return store.ErrState
	}
	for _, old := range o.tokens {
		if old.Gate == t.Gate {
			old.ended = true
		}
	}
	g.State = store.Invited
	o.gates[t.Gate] = g
	o.tokens[t.Hash] = &heldToken{Token: t}
	return nil
}

func (o *office) UseToken(_ context.Context, hash [32]byte, e store.Enrolment) (store.Gate, store.TokenUse, error) {
	defer o.lock()()
	t, ok := o.tokens[hash]
	if !ok || t.ended {
		return store.Gate{}, store.TokenUnknown, nil
	}
	g := o.gates[t.Gate]
	if t.by != nil {
		if t.by.Device == e.Device && t.by.TLSKey == e.TLSKey && bytes.Equal(t.by.SegmentKey, e.SegmentKey) {
			return g, store.TokenAgain, nil
		}
		return g, store.TokenUsed, nil
	}
	if e.At.After(t.Expires) {
		return g, store.TokenExpired, nil
	}
	for _, other := range o.gates {
		if other.Device == e.Device && e.Device != ([16]byte{}) {
			return g, store.TokenDevice, nil
		}
	}
	g.Device, g.SegmentKey, g.CertSPKI, g.EnrolledMS, g.State = e.Device, e.SegmentKey, e.TLSKey[:], e.At.UnixMilli(), store.Active
	if t.Sheet {
		g.State, g.Word = store.Pending, e.Word
	}
	o.gates[t.Gate] = g
	t.by = &e
	return g, store.TokenGood, nil
}

func (o *office) alter(name string, f func(*store.Gate) error) error {
	defer o.lock()()
	g, ok := o.gates[name]
	if !ok {
		return store.ErrNotFound
	}
	if err := f(&g); err != nil {
		return err
	}
	o.gates[name] = g
	return nil
}

func (o *office) ConfirmGate(_ context.Context, name, word string) error {
	return o.alter(name, func(g *store.Gate) error {
		switch {
		case g.State != store.Pending:
			return store.ErrState
		case g.Word != word:
			return store.ErrStale
		}
		g.State, g.Word = store.Active, ""
		return nil
	})
}

func (o *office) RevokeGate(_ context.Context, name string, at time.Time) error {
	return o.alter(name, func(g *store.Gate) error {
		g.State, g.RevokedMS = store.Revoked, at.UnixMilli()
		return nil
	})
}

func (o *office) MoveGate(_ context.Context, name, venue, venueType string) error {
	return o.alter(name, func(g *store.Gate) error {
		g.Venue, g.VenueType = venue, venueType
		g.Venues = append(slices.Clone(g.Venues), venue)
		return nil
	})
}

func (o *office) Renewed(_ context.Context, device [16]byte, key [32]byte, until time.Time) error {
	defer o.lock()()
	for name, g := range o.gates {
		if g.Device == device {
			g.CertSPKI, g.CertUntil = key[:], until.UnixMilli()
			o.gates[name] = g
			return nil
		}
	}
	return store.ErrNotFound
}

func (o *office) Gates(ctx context.Context, venues []string, after string, limit int) ([]store.Gate, error) {
	all, err := o.memStore.Gates(ctx, nil, after, 1<<20)
	all = slices.DeleteFunc(all, func(g store.Gate) bool { return venues != nil && !slices.Contains(venues, g.Venue) })
	return all[:min(limit, len(all))], err
}

func (o *office) ListAlarms(ctx context.Context, venues []string, open bool, before int64, limit int) ([]store.Alarm, error) {
	all, err := o.memStore.ListAlarms(ctx, nil, open, before, 1<<20)
	all = slices.DeleteFunc(all, func(a store.Alarm) bool { return venues != nil && !slices.Contains(venues, a.Venue) })
	return all[:min(limit, len(all))], err
}

func (o *office) AddPerson(_ context.Context, p store.Person) error {
	defer o.lock()()
	o.people[p.Name] = p
	return nil
}

func (o *office) RevokePerson(_ context.Context, name string, _ time.Time) error {
	defer o.lock()()
	p, ok := o.people[name]
	if !ok {
		return store.ErrNotFound
	}
	p.Revoked = true
	o.people[name] = p
	return nil
}

func (o *office) Person(_ context.Context, name string) (store.Person, error) {
	defer o.lock()()
	p, ok := o.people[name]
	if !ok {
		return p, store.ErrNotFound
	}
	return p, nil
}

func (o *office) ListPeople(context.Context) ([]store.Person, error) {
	defer o.lock()()
	return slices.SortedFunc(maps.Values(o.people), func(a, b store.Person) int { return cmp.Compare(a.Name, b.Name) }), nil
}

func (o *office) Record(_ context.Context, a store.Act) error {
	defer o.lock()()
	if o.failRecord != nil {
		return o.failRecord
	}
	a.ID = int64(len(o.acts) + 1)
	o.acts = append(o.acts, a)
	return nil
}

func (o *office) ListActs(_ context.Context, venues []string, before int64, limit int) ([]store.Act, error) {
	defer o.lock()()
	var list []store.Act
	for _, a := range slices.Backward(o.acts) {
		if (before == 0 || a.ID < before) && (venues == nil || slices.Contains(venues, a.Venue)) && len(list) < limit {
			list = append(list, a)
		}
	}
	return list, nil
}

// did are the stable words of the acts so far.
func (o *office) did() []string {
	defer o.lock()()
	var words []string
	for _, a := range o.acts {
		words = append(words, a.What)
	}
	return words
}

func (o *office) TrustFile(_ context.Context, name string) ([]byte, error) {
	defer o.lock()()
	b, ok := o.trust[name]
	if !ok {
		return nil, store.ErrNotFound
	}
	return b, nil
}

func (o *office) PutTrust(_ context.Context, generation uint64, files []store.TrustFile, drop []string) (uint64, error) {
	defer o.lock()()
	if o.stale > 0 {
		o.stale--
		o.turn++
	}
	if generation != o.turn {
		return 0, store.ErrStale
	}
	for _, f := range files {
		o.trust[f.Name] = f.Bytes
	}
	for _, name := range drop {
		delete(o.trust, name)
	}
	o.turn++
	return o.turn, nil
}

func (o *office) TrustGeneration(context.Context) (uint64, error) {
	defer o.lock()()
	return o.turn, nil
}

func (o *office) ListTrust(context.Context) ([]string, error) {
	defer o.lock()()
	return slices.Sorted(maps.Keys(o.trust)), nil
}

func (o *office) Hourly(_ context.Context, venues []string, from, to int64) ([]store.Hourly, error) {
	defer o.lock()()
	var list []store.Hourly
	for _, in := range o.segments {
		for _, c := range in.Counts {
			if c.Hour >= from && c.Hour < to && (venues == nil || slices.Contains(venues, in.Venue)) {
				list = append(list, store.Hourly{Venue: in.Venue, Device: in.Device, Hour: c.Hour, Verdict: c.Verdict, Reason: c.Reason, N: c.N})
			}
		}
	}
	return list, nil
}

func compareNotable(a, b store.Notable) int {
	return cmp.Or(cmp.Compare(b.WallMS, a.WallMS), bytes.Compare(b.Device[:], a.Device[:]), bytes.Compare(b.Epoch[:], a.Epoch[:]), cmp.Compare(b.Seq, a.Seq))
}

func (o *office) Notable(_ context.Context, f store.RowFilter) ([]store.Notable, error) {
	defer o.lock()()
	var list []store.Notable
	for _, in := range o.segments {
		for _, n := range in.Notable {
			switch {
			case f.Venues != nil && !slices.Contains(f.Venues, n.Venue), f.Device != nil && *f.Device != n.Device,
				f.FromMS != 0 && n.WallMS < f.FromMS, f.ToMS != 0 && n.WallMS >= f.ToMS,
				f.Kinds != nil && !slices.Contains(f.Kinds, n.Kind), f.Verdicts != nil && !slices.Contains(f.Verdicts, n.Verdict),
				f.Reasons != nil && !slices.Contains(f.Reasons, n.Reason), f.Before != nil && compareNotable(n, *f.Before) <= 0:
			default:
				list = append(list, n)
			}
		}
	}
	slices.SortFunc(list, compareNotable)
	return list[:min(f.Limit, len(list))], nil
}

func (o *office) Buckets(_ context.Context, day string, venues []string) ([]store.Bucket, error) {
	defer o.lock()()
	seen := map[store.Bucket]bool{}
	for _, in := range o.segments {
		if in.Day == day && (venues == nil || slices.Contains(venues, in.Venue)) {
			seen[store.Bucket{Day: in.Day, Venue: in.Venue, Hour: in.Hour}] = true
		}
	}
	return slices.Collect(maps.Keys(seen)), nil
}

func (o *office) Bucket(_ context.Context, b store.Bucket) iter.Seq2[store.Incoming, error] {
	unlock := o.lock()
	var list []store.Incoming
	for _, in := range o.segments {
		if in.Day == b.Day && in.Venue == b.Venue && in.Hour == b.Hour {
			list = append(list, in)
		}
	}
	unlock()
	slices.SortFunc(list, func(x, y store.Incoming) int { return cmp.Compare(x.Number, y.Number) })
	return func(yield func(store.Incoming, error) bool) {
		for _, in := range list {
			if !yield(in, nil) {
				return
			}
		}
	}
}

func (o *office) ListDays(context.Context) ([]store.Day, error) {
	defer o.lock()()
	return slices.SortedFunc(maps.Values(o.days), func(a, b store.Day) int { return cmp.Compare(a.ID, b.ID) }), nil
}

func (o *office) DropDay(_ context.Context, day string, destroyed bool, _ time.Time) error {
	defer o.lock()()
	d, ok := o.days[day]
	if !ok {
		return store.ErrNotFound
	}
	d.Segments, d.Bytes, d.Destroyed, d.Retired = 0, 0, destroyed, !destroyed
	o.days[day] = d
	return nil
}
