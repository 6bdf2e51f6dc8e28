package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"checkpoint/hub/store"
)

func is(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Fatalf("error %v, want %v", err, want)
	}
}

func token(n byte, gate string) store.Token {
	return store.Token{Hash: [32]byte{n}, Gate: gate, Expires: now.Add(time.Hour)}
}

func enrolment(n byte) store.Enrolment {
	return store.Enrolment{Device: [16]byte{n}, SegmentKey: slices.Repeat([]byte{n}, 32), TLSKey: [32]byte{n}, Word: "123456", At: now}
}

func use(tb testing.TB, s store.Store, want store.TokenUse, tok byte, e store.Enrolment) store.Gate {
	tb.Helper()
	g, got, err := s.UseToken(tb.Context(), [32]byte{tok}, e)
	check(tb, err)
	if got != want {
		tb.Fatalf("token use %d, want %d", got, want)
	}
	return g
}

func gateNamed(tb testing.TB, s store.Store, name string) store.Gate {
	tb.Helper()
	return must[store.Gate](tb)(s.GateByName(tb.Context(), name))
}

func testGates(t *testing.T, p Place) {
	s := p.Open(t)
	ctx := t.Context()
	check(t, s.CreateGate(ctx, store.Gate{Name: "A1", Venue: "mall", VenueType: "shop", CreatedMS: 5}, token(1, "A1")))
	is(t, s.CreateGate(ctx, store.Gate{Name: "A1", Venue: "mall"}, token(2, "A1")), store.ErrExists)
	is(t, s.CreateGate(ctx, store.Gate{Name: "A2", Venue: "mall"}, token(1, "A2")), store.ErrExists) // the token's
	_, err := s.GateByName(ctx, "A2")
	is(t, err, store.ErrNotFound)
	want := store.Gate{Name: "A1", Venue: "mall", VenueType: "shop", Venues: []string{"mall"}, State: store.Invited, CreatedMS: 5}
	if got := gateNamed(t, s, "A1"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	is(t, s.ConfirmGate(ctx, "A1", ""), store.ErrState)
	is(t, s.ConfirmGate(ctx, "none", ""), store.ErrNotFound)
	is(t, s.RevokeGate(ctx, "none", now), store.ErrNotFound)
	is(t, s.MoveGate(ctx, "none", "x", "y"), store.ErrNotFound)
	is(t, s.Invite(ctx, token(9, "none")), store.ErrNotFound)
	is(t, s.Renewed(ctx, [16]byte{1}, [32]byte{}, now), store.ErrNotFound)
	is(t, s.Reported(ctx, [16]byte{1}, nil, 0, now), store.ErrNotFound)

	e := enrolment(1)
	use(t, s, store.TokenGood, 1, e)
	is(t, s.Invite(ctx, token(9, "A1")), store.ErrState)
	check(t, s.Renewed(ctx, e.Device, [32]byte{7}, now.Add(time.Hour)))
	check(t, s.Reported(ctx, e.Device, []byte(`{"a":1}`), -42, now.Add(time.Minute)))
	for _, v := range []string{"station", "mall", "station", "airport"} {
		check(t, s.MoveGate(ctx, "A1", v, v+" type"))
	}
	check(t, s.Close())
	s = p.Open(t)
	defer s.Close()
	got := must[store.Gate](t)(s.GateByDevice(ctx, e.Device))
	want = store.Gate{Name: "A1", Venue: "airport", VenueType: "airport type", Venues: []string{"mall", "station", "airport"}, State: store.Active, Device: e.Device, SegmentKey: e.SegmentKey,
		CreatedMS: 5, EnrolledMS: now.UnixMilli(), CertUntil: now.Add(time.Hour).UnixMilli(), CertSPKI: append([]byte{7}, make([]byte, 31)...),
		SeenMS: now.Add(time.Minute).UnixMilli(), OffsetMS: -42, Report: []byte(`{"a":1}`)}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	check(t, s.RevokeGate(ctx, "A1", now.Add(time.Hour)))
	check(t, s.RevokeGate(ctx, "A1", now.Add(2*time.Hour))) // the first counts
	if got := gateNamed(t, s, "A1"); got.State != store.Revoked || got.RevokedMS != now.Add(time.Hour).UnixMilli() || got.Device != e.Device {
		t.Errorf("%+v", got)
	}
	is(t, s.ConfirmGate(ctx, "A1", ""), store.ErrState)

	for i := range 5 {
		name := fmt.Sprintf("B%d", i)
		check(t, s.CreateGate(ctx, store.Gate{Name: name, Venue: fmt.Sprint("v", i%2)}, token(byte(20+i), name)))
	}
	names := func(venues []string, after string, limit int) (list []string) {
		t.Helper()
		for _, g := range must[[]store.Gate](t)(s.Gates(ctx, venues, after, limit)) {
			list = append(list, g.Name)
		}
		return list
	}
	for _, tc := range []struct {
		venues []string
		after  string
		limit  int
		want   []string
	}{
		{nil, "", 3, []string{"A1", "B0", "B1"}}, {nil, "B1", 9, []string{"B2", "B3", "B4"}}, {[]string{"v1"}, "", 9, []string{"B1", "B3"}},
		{[]string{}, "", 9, nil}, {nil, "", 0, nil}, {nil, "zz", 9, nil},
	} {
		if got := names(tc.venues, tc.after, tc.limit); !slices.Equal(got, tc.want) {
			t.Errorf("gates of %v after %q: %v, want %v", tc.venues, tc.after, got, tc.want)
		}
	}
}

func testTokens(t *testing.T, p Place) {
	s := p.Open(t)
	defer s.Close()
	ctx := t.Context()
	one, two := enrolment(1), enrolment(2)
	use(t, s, store.TokenUnknown, 1, one)
	check(t, s.CreateGate(ctx, store.Gate{Name: "A1", Venue: "mall"}, token(1, "A1")))
	late := one
	late.At = now.Add(2 * time.Hour)
	if g := use(t, s, store.TokenExpired, 1, late); g.Name != "A1" {
		t.Errorf("gate %q", g.Name)
	}
	if g := use(t, s, store.TokenGood, 1, one); g.State != store.Active || g.Device != one.Device || g.Word != "" || g.CertSPKI[0] != 1 {
		t.Errorf("%+v", g)
	}
	use(t, s, store.TokenAgain, 1, one)
	use(t, s, store.TokenAgain, 1, late)
	use(t, s, store.TokenUsed, 1, two)
	key := one
	key.TLSKey[0] ^= 1
	use(t, s, store.TokenUsed, 1, key)
	key = one
	key.SegmentKey = slices.Repeat([]byte{9}, 32)
	use(t, s, store.TokenUsed, 1, key)

	// A sheet: pending until the word is compared.
	sheet := token(2, "A2")
	sheet.Sheet = true
	check(t, s.CreateGate(ctx, store.Gate{Name: "A2", Venue: "mall"}, sheet))
	use(t, s, store.TokenDevice, 2, one) // it is another gate already
	if g := use(t, s, store.TokenGood, 2, two); g.State != store.Pending || g.Word != "123456" {
		t.Errorf("%+v", g)
	}
	is(t, s.ConfirmGate(ctx, "A2", "654321"), store.ErrStale)
	check(t, s.ConfirmGate(ctx, "A2", "123456"))
	if g := use(t, s, store.TokenAgain, 2, two); g.State != store.Active || g.Word != "" {
		t.Errorf("%+v", g)
	}

	// Revoked and invited anew: the old device never comes back.
	check(t, s.RevokeGate(ctx, "A1", now))
	if g := use(t, s, store.TokenAgain, 1, one); g.State != store.Revoked {
		t.Errorf("%+v", g)
	}
	check(t, s.Invite(ctx, token(3, "A1")))
	check(t, s.Invite(ctx, token(4, "A1")))
	use(t, s, store.TokenUnknown, 3, enrolment(3)) // the newer one ended it
	use(t, s, store.TokenUsed, 1, one)
	use(t, s, store.TokenDevice, 4, one)
	if g := must[store.Gate](t)(s.GateByDevice(ctx, one.Device)); g.Name != "A1" || g.State != store.Revoked || g.Device != one.Device || string(g.SegmentKey) != string(one.SegmentKey) || g.RevokedMS != now.UnixMilli() {
		t.Errorf("the device before: %+v", g)
	}
	if g := gateNamed(t, s, "A1"); g.State != store.Invited || g.Device != [16]byte{} {
		t.Errorf("%+v", g)
	}
	if g := use(t, s, store.TokenGood, 4, enrolment(3)); g.State != store.Active || g.RevokedMS != 0 {
		t.Errorf("%+v", g)
	}
	if g := must[store.Gate](t)(s.GateByDevice(ctx, one.Device)); g.State != store.Revoked {
		t.Errorf("the device before: %+v", g)
	}
	_, err := s.GateByDevice(ctx, [16]byte{77})
	is(t, err, store.ErrNotFound)
	_, err = s.GateByDevice(ctx, [16]byte{})
	is(t, err, store.ErrNotFound)

	// A gate that was revoked before anybody used its token.
	check(t, s.CreateGate(ctx, store.Gate{Name: "A3", Venue: "mall"}, token(5, "A3")))
	check(t, s.RevokeGate(ctx, "A3", now))
	use(t, s, store.TokenUnknown, 5, enrolment(5))

	// Many at once: one gets it.
	check(t, s.CreateGate(ctx, store.Gate{Name: "A4", Venue: "mall"}, token(6, "A4")))
	var mu sync.Mutex
	count := map[store.TokenUse]int{}
	var group sync.WaitGroup
	for i := range byte(8) {
		group.Go(func() {
			_, got, err := s.UseToken(background(), [32]byte{6}, enrolment(10+i))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			count[got]++
			mu.Unlock()
		})
	}
	group.Wait()
	if count[store.TokenGood] != 1 || count[store.TokenUsed] != 7 {
		t.Errorf("uses %v", count)
	}
}

func testPeople(t *testing.T, p Place) {
	s := p.Open(t)
	defer s.Close()
	ctx := t.Context()
	_, err := s.Person(ctx, "li")
	is(t, err, store.ErrNotFound)
	is(t, s.RevokePerson(ctx, "li", now), store.ErrNotFound)
	li := store.Person{Name: "li", Role: "manager", Venues: []string{"b", "a"}, Serial: "aa", Until: now.Add(time.Hour), CreatedMS: 7}
	an := store.Person{Name: "an", Role: "headquarters", Serial: "bb", Until: now, CreatedMS: 8}
	none := store.Person{Name: "none", Role: "manager", Venues: []string{}, Serial: "cc", Until: now, CreatedMS: 9}
	for _, one := range []store.Person{li, an, none} {
		check(t, s.AddPerson(ctx, one))
		if got := must[store.Person](t)(s.Person(ctx, one.Name)); fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", one) {
			t.Errorf("%#v, want %#v", got, one)
		}
	}
	check(t, s.RevokePerson(ctx, "li", now))
	if got := must[store.Person](t)(s.Person(ctx, "li")); !got.Revoked {
		t.Error("not revoked")
	}
	li.Venues, li.Serial, li.CreatedMS = nil, "dd", 99
	check(t, s.AddPerson(ctx, li))
	if got := must[store.Person](t)(s.Person(ctx, "li")); got.Revoked || got.Venues != nil || got.Serial != "dd" || got.CreatedMS != 7 {
		t.Errorf("%+v", got)
	}
	list := must[[]store.Person](t)(s.ListPeople(ctx))
	if len(list) != 3 || list[0].Name != "an" || list[2].Name != "none" {
		t.Errorf("%+v", list)
	}
}

func testTrust(t *testing.T, p Place) {
	s := p.Open(t)
	defer s.Close()
	ctx := t.Context()
	_, err := s.TrustFile(ctx, "1.root.json")
	is(t, err, store.ErrNotFound)
	if n := must[uint64](t)(s.TrustGeneration(ctx)); n != 0 {
		t.Errorf("generation %d", n)
	}
	n := must[uint64](t)(s.PutTrust(ctx, 0, []store.TrustFile{{Name: "1.root.json", Bytes: []byte("root")}, {Name: "timestamp.json", Bytes: nil}, {Name: "targets/x", Bytes: []byte{0, 1}}}, nil))
	_, err = s.PutTrust(ctx, 0, []store.TrustFile{{Name: "1.root.json", Bytes: []byte("other")}}, nil)
	is(t, err, store.ErrStale)
	n = must[uint64](t)(s.PutTrust(ctx, n, []store.TrustFile{{Name: "timestamp.json", Bytes: []byte("new")}}, []string{"targets/x", "never there"}))
	if got := must[uint64](t)(s.TrustGeneration(ctx)); got != n || n != 2 {
		t.Errorf("generation %d, want %d", got, n)
	}
	if got := string(must[[]byte](t)(s.TrustFile(ctx, "1.root.json"))) + string(must[[]byte](t)(s.TrustFile(ctx, "timestamp.json"))); got != "rootnew" {
		t.Errorf("files %q", got)
	}
	if got := must[[]string](t)(s.ListTrust(ctx)); !slices.Equal(got, []string{"1.root.json", "timestamp.json"}) {
		t.Errorf("list %v", got)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 6 {
		group.Go(func() {
			_, err := s.PutTrust(background(), n, []store.TrustFile{{Name: fmt.Sprint(i), Bytes: []byte{1}}}, nil)
			if err == nil {
				mu.Lock()
				won++
				mu.Unlock()
			} else if !errors.Is(err, store.ErrStale) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if list := must[[]string](t)(s.ListTrust(ctx)); won != 1 || len(list) != 3 {
		t.Errorf("%d won, files %v", won, list)
	}
}

func testAlarms(t *testing.T, p Place) {
	s := p.Open(t)
	defer s.Close()
	ctx := t.Context()
	raise := func(kind, gate, venue, text string, after time.Duration, n uint64) {
		t.Helper()
		check(t, s.Raise(ctx, store.Alarm{Kind: kind, Gate: gate, Venue: venue, Text: text, At: now.Add(after), Count: n}))
	}
	raise("gap", "A1", "v1", "first", 0, 0)
	raise("gap", "A1", "v1", "second", time.Minute, 3)
	raise("gap", "A2", "v2", "other", 2*time.Minute, 1)
	raise("clock", "", "", "hub", 3*time.Minute, 1)
	list := must[[]store.Alarm](t)(s.ListAlarms(ctx, nil, true, 0, 9))
	if len(list) != 3 || list[0].Kind != "clock" || list[2].Count != 4 || list[2].Text != "second" || !list[2].At.Equal(now) || !list[2].LastAt.Equal(now.Add(time.Minute)) || !list[2].Closed.IsZero() {
		t.Fatalf("%+v", list)
	}
	gap := list[2].ID
	check(t, s.CloseAlarm(ctx, gap, "li", now.Add(time.Hour)))
	is(t, s.CloseAlarm(ctx, gap, "an", now), store.ErrState)
	is(t, s.CloseAlarm(ctx, 1<<40, "an", now), store.ErrNotFound)
	raise("gap", "A1", "v1", "again", 2*time.Hour, 1)
	ids := func(venues []string, open bool, before int64, limit int) (texts []string) {
		t.Helper()
		for _, a := range must[[]store.Alarm](t)(s.ListAlarms(ctx, venues, open, before, limit)) {
			texts = append(texts, a.Text)
		}
		return texts
	}
	for _, tc := range []struct {
		got, want []string
	}{
		{ids(nil, true, 0, 9), []string{"again", "hub", "other"}},
		{ids(nil, false, 0, 9), []string{"again", "hub", "other", "second"}},
		{ids(nil, false, 0, 2), []string{"again", "hub"}},
		{ids(nil, false, list[0].ID, 9), []string{"other", "second"}},
		{ids([]string{"v1"}, false, 0, 9), []string{"again", "second"}},
		{ids([]string{}, false, 0, 9), nil},
	} {
		if !slices.Equal(tc.got, tc.want) {
			t.Errorf("alarms %v, want %v", tc.got, tc.want)
		}
	}
	all := must[[]store.Alarm](t)(s.ListAlarms(ctx, nil, false, gap+1, 1))
	if len(all) != 1 || all[0].ID != gap || all[0].By != "li" || !all[0].Closed.Equal(now.Add(time.Hour)) {
		t.Errorf("%+v", all)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 5 {
				if err := s.Raise(background(), store.Alarm{Kind: "many", Gate: "A9", At: now, Count: 1}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if newest := must[[]store.Alarm](t)(s.ListAlarms(ctx, nil, true, 0, 1)); newest[0].Count != 40 {
		t.Errorf("%+v", newest)
	}
}

func testActs(t *testing.T, p Place) {
	s := p.Open(t)
	defer s.Close()
	ctx := t.Context()
	for i := range 6 {
		check(t, s.Record(ctx, store.Act{At: now.Add(time.Duration(i) * time.Minute), Who: "li", Role: "manager", What: fmt.Sprint("act_", i), On: "A1", Venue: fmt.Sprint("v", i%2), Text: "t"}))
	}
	list := must[[]store.Act](t)(s.ListActs(ctx, nil, 0, 4))
	if len(list) != 4 || list[0].What != "act_5" || list[3].What != "act_2" || list[0].ID <= list[1].ID {
		t.Fatalf("%+v", list)
	}
	list = must[[]store.Act](t)(s.ListActs(ctx, []string{"v1"}, list[2].ID, 9))
	if len(list) != 1 || list[0].What != "act_1" || !list[0].At.Equal(now.Add(time.Minute)) || list[0].Who != "li" || list[0].On != "A1" || list[0].Venue != "v1" || list[0].Text != "t" || list[0].Role != "manager" {
		t.Errorf("%+v", list)
	}
	if list := must[[]store.Act](t)(s.ListActs(ctx, []string{}, 0, 9)); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

func testDays(t *testing.T, p Place) {
	s := p.Open(t)
	if list := must[[]store.Day](t)(s.ListDays(t.Context())); len(list) != 0 {
		t.Errorf("days %v", list)
	}
	w := NewWriter(1)
	var bytes int64
	for range 5 {
		in := w.Cut(10)
		bytes += int64(len(in.Plain) + len(in.Sealed))
		put(t, s, store.Stored, in)
		put(t, s, store.Repeat, in)
	}
	w.Day = "no_date"
	put(t, s, store.Stored, w.Cut(10))
	for range 2 {
		list := must[[]store.Day](t)(s.ListDays(t.Context()))
		if len(list) != 2 || list[0] != (store.Day{ID: today, Segments: 5, Bytes: bytes}) || list[1].Segments != 1 {
			t.Errorf("days %+v", list)
		}
		check(t, s.Close())
		s = p.Open(t)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if at := must[time.Time](t)(s.Now(t.Context())); at.IsZero() {
		t.Error("no clock")
	}
	check(t, s.Close())
	check(t, s.Close())
	if s.Ready(background()) == nil {
		t.Error("a closed store is ready")
	}
}
