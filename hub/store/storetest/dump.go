package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"checkpoint/hub/store"
	"checkpoint/record"
)

// Fill puts something of everything into a store.
func Fill(tb testing.TB, s store.Store) (log []store.Incoming) {
	tb.Helper()
	ctx := tb.Context()
	for n := range uint64(3) {
		w := NewWriter(n)
		w.Venue = fmt.Sprint("venue ", n)
		for i, day := range []string{today, tomorrow, "no_date"} {
			w.Day, w.Hour = day, Hour+int64(i)*12
			for range 4 {
				in := w.Cut(25)
				in.ContextID = [16]byte{byte(n), byte(i)}
				if in.Number%4 == 2 {
					in.Context = &record.Context{Identity: in.Identity, ID: in.ContextID, Day: day, Enc: bytes.Repeat([]byte{9}, 1120), BeganMS: 1<<64 - 1}
				}
				log = append(log, in)
			}
		}
	}
	log = slices.Delete(log, 5, 7) // a gap
	puts := must[[]store.Put](tb)(s.Put(ctx, log))
	for _, p := range puts {
		if p.Outcome != store.Stored {
			tb.Fatalf("%+v", p)
		}
	}
	put(tb, s, store.Conflict, forge(log[0]))
	check(tb, s.Refuse(ctx, record.SegmentKey{Identity: log[0].Identity, Number: 99}, 0, 0, [32]byte{5}, record.ForForm, now))
	gone := NewWriter(9)
	gone.Day = "2026-11-20"
	put(tb, s, store.Stored, gone.Cut(10))
	check(tb, s.DropDay(ctx, gone.Day, true, now))
	check(tb, s.DropDay(ctx, "2026-11-19", false, now))
	for i := range byte(3) {
		t := token(i+1, fmt.Sprint("A", i))
		t.Sheet = i == 2
		check(tb, s.CreateGate(ctx, store.Gate{Name: t.Gate, Venue: "mall", VenueType: "shop", CreatedMS: 1}, t))
		use(tb, s, store.TokenGood, i+1, enrolment(i+1))
	}
	check(tb, s.RevokeGate(ctx, "A1", now))
	check(tb, s.Invite(ctx, token(50, "A1")))
	check(tb, s.MoveGate(ctx, "A0", "station", "rail"))
	check(tb, s.Reported(ctx, [16]byte{1}, []byte("{}"), 5, now))
	check(tb, s.AddPerson(ctx, store.Person{Name: "li", Role: "manager", Venues: []string{"a"}, Serial: "01", Until: now, CreatedMS: 3}))
	check(tb, s.AddPerson(ctx, store.Person{Name: "an", Role: "headquarters", Serial: "02", Until: now, CreatedMS: 3}))
	check(tb, s.RevokePerson(ctx, "an", now))
	must[uint64](tb)(s.PutTrust(ctx, 0, []store.TrustFile{{Name: "1.root.json", Bytes: []byte("{}")}, {Name: "empty", Bytes: nil}}, nil))
	check(tb, s.Raise(ctx, store.Alarm{Kind: "gap", Gate: "A1", Venue: "mall", Text: "t", At: now, Count: 2}))
	check(tb, s.CloseAlarm(ctx, 1, "li", now))
	check(tb, s.Raise(ctx, store.Alarm{Kind: "gap", Gate: "A1", Venue: "mall", Text: "u", At: now.Add(time.Hour)}))
	check(tb, s.Record(ctx, store.Act{At: now, Who: "li", Role: "manager", What: "alarm_closed", On: "1", Text: "gap"}))
	return log
}

// entries are what a store exports, as texts in order.
func entries(tb testing.TB, s store.Store) (list []string) {
	tb.Helper()
	for e, err := range s.Export(tb.Context()) {
		check(tb, err)
		list = append(list, fmt.Sprintf("%+v%+v%+v%+v%+v%+v%+v%+v%+v%+v%+v%+v%+v%+v", e.Stream, e.Refused, e.Gate, e.Token, e.Person, e.Trust, e.Alarm, e.Act, e.Aside,
			e.Segment, e.Context, e.Hourly, e.Notable, e.Dropped))
		if in := e.Segment; in != nil {
			list[len(list)-1] = fmt.Sprintf("%+v %+v", *in, in.Context)
			if in.Context != nil {
				c := *in
				c.Context = nil // a pointer
				list[len(list)-1] = fmt.Sprintf("%+v %+v", c, *in.Context)
			}
		}
	}
	slices.Sort(list)
	return list
}

// Carry dumps one store, loads the other, and compares what they then hold.
func Carry(t *testing.T, from, to Place) {
	s := from.Open(t)
	defer s.Close()
	log := Fill(t, s)
	var dump bytes.Buffer
	check(t, store.Dump(t.Context(), s, &dump))
	other := to.Open(t)
	check(t, store.Load(t.Context(), other, bytes.NewReader(dump.Bytes())))
	is(t, store.Load(t.Context(), other, bytes.NewReader(dump.Bytes())), store.ErrExists)
	check(t, other.Close())
	other = to.Open(t)
	defer other.Close()
	got, want := entries(t, other), entries(t, s)
	if len(got) != len(want) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("entry %s\nwant  %s", got[i], want[i])
		}
	}
	if len(want) < 100 || !strings.Contains(strings.Join(want, "\n"), "Gaps:[{") {
		t.Error("there was little to carry")
	}
	// It goes on as the one before would have.
	for _, in := range log {
		put(t, other, store.Repeat, in)
	}
	put(t, other, store.Conflict, forge(log[1]))
	use(t, other, store.TokenAgain, 1, enrolment(1))
	use(t, other, store.TokenDevice, 50, enrolment(2))
	check(t, other.Raise(t.Context(), store.Alarm{Kind: "new", At: now}))
	check(t, other.Record(t.Context(), store.Act{At: now, What: "new"}))
	days, mine := must[[]store.Day](t)(other.ListDays(t.Context())), must[[]store.Day](t)(s.ListDays(t.Context()))
	if !slices.Equal(days, mine) {
		t.Errorf("days %v, want %v", days, mine)
	}
	if a, b := total(t, other), total(t, s); a != b {
		t.Errorf("%d rows are counted, want %d", a, b)
	}
	f := store.RowFilter{Limit: 1000}
	if a, b := must[[]store.Notable](t)(other.Notable(t.Context(), f)), must[[]store.Notable](t)(s.Notable(t.Context(), f)); !slices.Equal(a, b) || len(a) == 0 {
		t.Errorf("%d notable rows, want %d", len(a), len(b))
	}
}

// Broken loads dumps that were damaged, each into a fresh place: no store that
// was loaded with a part is opened again.
func Broken(t *testing.T, fresh func(testing.TB) Place) {
	s := fresh(t).Open(t)
	defer s.Close()
	Fill(t, s)
	var dump bytes.Buffer
	check(t, store.Dump(t.Context(), s, &dump))
	whole := dump.Bytes()
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	end := bytes.Clone(whole)
	end[len(end)-1] ^= 1
	for _, tc := range []struct {
		name string
		dump []byte
		want error
	}{
		{"cut off in the middle", whole[:len(whole)/2], store.ErrDump},
		{"without its end", whole[:len(whole)-44], store.ErrDump},
		{"one bit", flipped, store.ErrDump},
		{"another digest", end, store.ErrDump},
		{"more behind it", append(bytes.Clone(whole), 0), store.ErrDump},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := fresh(t)
			s := p.Open(t)
			is(t, store.Load(t.Context(), s, bytes.NewReader(tc.dump)), tc.want)
			check(t, s.Close())
			if _, err := p.(Opener).TryOpen(t.Context()); !errors.Is(err, store.ErrUnfinished) {
				t.Errorf("opened again: %v, want %v", err, store.ErrUnfinished)
			}
		})
	}
	for name, dump := range map[string][]byte{"nothing": nil, "another file": []byte("PK\x03\x04 and so on"), "its head alone": whole[:9]} {
		t.Run(name, func(t *testing.T) {
			p := fresh(t)
			s := p.Open(t)
			defer s.Close()
			is(t, store.Load(t.Context(), s, bytes.NewReader(dump)), store.ErrDump)
		})
	}
	p := fresh(t)
	later := p.Open(t)
	defer later.Close()
	is(t, store.Load(t.Context(), later, strings.NewReader("ckdump/9\n")), store.ErrNewer)
}
