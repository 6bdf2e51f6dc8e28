package hub

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub/store"
	"checkpoint/record"
)

// serve serves one request of nobody, without a network.
func (w *town) serve(handler http.Handler, method, path string, body []byte) int {
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, r)
	return answer.Code
}

// furnish puts a gate in each of two venues, with rows and alarms of both.
func (w *town) furnish() {
	w.t.Helper()
	ctx := context.Background()
	for i, place := range []string{"north", "south"} {
		g := store.Gate{Name: place + " gate", Venue: place, VenueType: "mall", Venues: []string{place}, State: store.Active,
			Device: [16]byte{byte(i + 1)}, SegmentKey: make([]byte, 32), EnrolledMS: w.now().UnixMilli(), SeenMS: w.now().UnixMilli(), CertUntil: w.now().Add(10 * day).UnixMilli()}
		w.store.gates[g.Name] = g
		w.segment(g, 1, record.Scan{Verdict: 6, Reason: 11, Format: 1, Issuer: "CN-42", Trust: 7}, record.Choice{To: 1, Choice: 1},
			record.Manual{Class: 2, Allowed: true}, record.Event{Code: record.EventStarted, Text: "v1"}, record.Scan{Verdict: 1, Reason: 1, Format: 1, Issuer: "CN-42", Trust: 7})
		if err := w.store.Raise(ctx, store.Alarm{Kind: "gap", Gate: g.Name, Venue: place, Text: "numbers are missing", At: w.now()}); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.store.Raise(ctx, store.Alarm{Kind: "clock", Text: "clocks differ", At: w.now()}); err != nil {
		w.t.Fatal(err)
	}
	w.store.days["2026-11-25"] = store.Day{ID: "2026-11-25", Segments: 2, Bytes: 1000}
	w.store.days["2026-10-01"] = store.Day{ID: "2026-10-01", Segments: 9, Bytes: 9000}
}

// segment stores a segment of a gate as if it had come up.
func (w *town) segment(g store.Gate, number uint64, bodies ...record.Body) {
	w.t.Helper()
	s := record.Segment{SegmentKey: record.SegmentKey{Identity: record.Identity{Device: g.Device}, Number: number, Day: w.now().Format(time.DateOnly), Venue: g.Venue,
		Hour: floorHour(w.now().UnixMilli())}, First: (number-1)*100 + 1}
	s.Last = s.First + uint64(len(bodies)) - 1
	link := s.Before
	for i, body := range bodies {
		row := record.Row{Identity: s.Identity, Seq: s.First + uint64(i), Body: body, Stamp: record.Stamp{WallMS: w.now().UnixMilli() + int64(i), Quality: 3}}
		b, err := record.AppendRow(nil, row)
		if err != nil {
			w.t.Fatal(err)
		}
		link = link.Next(b)
		s.Rows = append(s.Rows, row)
	}
	s.Head = link
	b, err := record.AppendSegment(nil, s, func([32]byte) (sig [64]byte) { return sig })
	if err != nil {
		w.t.Fatal(err)
	}
	in := store.Incoming{SegmentKey: s.SegmentKey, First: s.First, Last: s.Last, Head: s.Head, SHA256: record.SegmentDigest(b)}
	if in.Plain, in.Sealed, err = record.SplitSegment(b); err != nil {
		w.t.Fatal(err)
	}
	describe(&in, s.Rows, w.now())
	w.store.segments[streamNumber{in.Identity, in.Number}] = in
}

// TestRoleMatrix says who may ask what of which venue.
func TestRoleMatrix(t *testing.T) {
	hour := floorHour(noon.UnixMilli())
	span := "from=2026-11-25T00:00:00Z&to=2026-11-26T00:00:00Z"
	bucket := func(venue string) string {
		return fmt.Sprintf("day=2026-11-25&venue=%s&hour=%d", venue, hour)
	}
	type want = [5]int // manager of north, manager, technician of north, technician, headquarters
	read, anyone, setUp := want{200, 200, 403, 403, 200}, want{200, 200, 200, 200, 200}, want{403, 403, 200, 200, 200}
	readSouth, hq := want{403, 200, 403, 403, 200}, want{403, 403, 403, 403, 200}
	setUpSouth := want{403, 403, 404, 200, 200}
	for _, tc := range []struct {
		method, path, body string
		want               want
	}{
		{"GET", "me", "", anyone},
		{"GET", "hours?" + span, "", read},
		{"GET", "hours?venue=north&" + span, "", read},
		{"GET", "hours?venue=south&" + span, "", readSouth},
		{"GET", "hours?venue=north&venue=south&" + span, "", readSouth},
		{"GET", "rows", "", read},
		{"GET", "rows?venue=south", "", readSouth},
		{"GET", "rows?gate=north%20gate", "", read},
		{"GET", "rows?gate=south%20gate", "", want{404, 200, 403, 403, 200}},
		{"GET", "buckets?day=2026-11-25", "", read},
		{"GET", "buckets?day=2026-11-25&venue=south", "", readSouth},
		{"GET", "bucket?" + bucket("north"), "", read},
		{"GET", "bucket?" + bucket("south"), "", readSouth},
		{"GET", "bucket/segments?" + bucket("north"), "", hq},
		{"GET", "bucket/segments?" + bucket("south"), "", hq},
		{"GET", "gates", "", anyone},
		{"GET", "gates?venue=south", "", want{403, 200, 403, 200, 200}},
		{"GET", "gates/north%20gate", "", anyone},
		{"GET", "gates/south%20gate", "", want{404, 200, 404, 200, 200}},
		{"GET", "gates/nobody", "", want{404, 404, 404, 404, 404}},
		{"POST", "gates", `{"name":"new","venue":"north","venue_type":"mall"}`, want{403, 403, 201, 201, 201}},
		{"POST", "gates", `{"name":"new","venue":"south","venue_type":"mall"}`, want{403, 403, 403, 201, 201}},
		{"POST", "gates/north%20gate/invite", `{}`, want{403, 403, 409, 409, 409}},
		{"POST", "gates/south%20gate/invite", `{}`, want{403, 403, 404, 409, 409}},
		{"POST", "gates/north%20gate/confirm", `{"word":"123456"}`, want{403, 403, 409, 409, 409}},
		{"POST", "gates/south%20gate/confirm", `{"word":"123456"}`, want{403, 403, 404, 409, 409}},
		{"POST", "gates/north%20gate/move", `{"venue":"south","venue_type":"mall"}`, want{403, 403, 403, 200, 200}},
		{"POST", "gates/north%20gate/move", `{"venue":"north","venue_type":"subway"}`, setUp},
		{"POST", "gates/south%20gate/move", `{"venue":"north","venue_type":"mall"}`, setUpSouth},
		{"POST", "gates/north%20gate/revoke", `{}`, setUp},
		{"POST", "gates/south%20gate/revoke", `{}`, setUpSouth},
		{"GET", "alarms", "", anyone},
		{"GET", "alarms?venue=south", "", want{403, 200, 403, 200, 200}},
		{"POST", "alarms/1/close", `{}`, anyone},
		{"POST", "alarms/2/close", `{}`, want{404, 200, 404, 200, 200}},
		{"POST", "alarms/3/close", `{}`, want{404, 200, 404, 200, 200}},
		{"GET", "acts", "", anyone},
		{"GET", "acts?venue=south", "", want{403, 200, 403, 200, 200}},
		{"GET", "days", "", read},
		{"POST", "days/2026-10-01/drop", `{}`, hq},
		{"POST", "days/2026-11-25/drop", `{}`, want{403, 403, 403, 403, 409}},
		{"POST", "days/2026-10-01/drop", `{"destroyed":true}`, want{403, 403, 403, 403, 409}},
		{"GET", "people", "", hq},
		{"POST", "people/victim/revoke", `{}`, hq},
		{"POST", "people/nobody/revoke", `{}`, want{403, 403, 403, 403, 404}},
		{"POST", "people/person4/revoke", `{}`, want{403, 403, 403, 403, 409}},
		{"GET", "trust", "", want{409, 409, 409, 409, 409}}, // there is none
		{"GET", "policy", "", want{409, 409, 409, 409, 409}},
		{"GET", "nothing", "", want{404, 404, 404, 404, 404}},
	} {
		t.Run(tc.method+" "+tc.path+" "+tc.body, func(t *testing.T) {
			for i, who := range []struct {
				role   Role
				venues []string
			}{{Manager, []string{"north"}}, {Manager, nil}, {Technician, []string{"north"}}, {Technician, nil}, {Headquarters, nil}} {
				w := newTown(t)
				w.furnish()
				w.store.people["victim"] = store.Person{Name: "victim"}
				if tc.path == "trust" || tc.path == "policy" {
					clear(w.store.trust)
				}
				client := w.person(fmt.Sprintf("person%d", i), who.role, who.venues...)
				before := len(w.store.did())
				got := w.request(client, tc.method, pathAdmin+tc.path, []byte(tc.body))
				if got.status != tc.want[i] {
					t.Errorf("%s of %v: %d %s, want %d", who.role, who.venues, got.status, got.body, tc.want[i])
				}
				acts := w.store.did()[before:]
				if changed := tc.method == "POST" && got.status/100 == 2; changed && len(acts) != 1 {
					t.Errorf("%s changed something and left the acts %v", who.role, acts)
				}
				if got.status == 403 && len(acts) != 0 {
					t.Errorf("%s was refused and left the acts %v", who.role, acts)
				}
			}
		})
	}
}

func TestEveryEndpointIsInTheMatrix(t *testing.T) {
	w := newTown(t)
	mux := http.NewServeMux()
	w.hub.adminRoutes(mux)
	// Nobody's requests are refused by every part before anything else is looked at.
	for _, e := range endpoints() {
		method, path, _ := cutSpace(e.pattern)
		path = strings.NewReplacer("{name}", "x", "{id}", "1").Replace(path)
		if status := w.serve(mux, method, pathAdmin+path+"?bad=1", nil); status != http.StatusUnauthorized {
			t.Errorf("%s = %d for nobody, want 401", e.pattern, status)
		}
		if (e.serve == nil) == (e.stream == nil) {
			t.Errorf("%s: exactly one of serve and stream", e.pattern)
		}
	}
}

func decodeInto[T any](t testing.TB, a answered) (v T) {
	t.Helper()
	if a.status/100 != 2 {
		t.Fatalf("answer = %d %s", a.status, a.body)
	}
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

func get[T any](w *town, client *http.Client, path string) T {
	w.t.Helper()
	return decodeInto[T](w.t, w.request(client, http.MethodGet, pathAdmin+path, nil))
}

func TestManagersSeeTheirVenueOnly(t *testing.T) {
	w := newTown(t)
	w.furnish()
	north, all := w.person("li", Manager, "north"), w.person("wu", Manager)
	span := "from=2026-11-25T00:00:00Z&to=2026-11-26T00:00:00Z"
	type hours struct{ Hours []hourly }
	if got := get[hours](w, north, "hours?"+span).Hours; len(got) != 2 || got[0].Venue != "north" || got[0].Gate != "north gate" || got[1].Venue != "north" {
		t.Errorf("hours = %+v", got)
	}
	if got := get[hours](w, all, "hours?by=venue&"+span).Hours; len(got) != 4 || got[0].Device != "" {
		t.Errorf("hours by venue = %+v", got)
	}
	rows := get[pageOf[rowEntry]](w, north, "rows").Entries
	if len(rows) != 4 {
		t.Errorf("%d rows, want 4", len(rows))
	}
	for _, r := range rows {
		if r.Venue != "north" {
			t.Errorf("a row of %s", r.Venue)
		}
	}
	alarms := get[pageOf[alarmEntry]](w, north, "alarms").Entries
	if len(alarms) != 1 || alarms[0].Gate != "north gate" {
		t.Errorf("alarms = %+v", alarms)
	}
	days := get[pageOf[dayEntry]](w, north, "days").Entries
	if len(days) != 2 || days[0].Bytes != 0 || days[0].Segments != 0 {
		t.Errorf("days tell how much all venues have: %+v", days)
	}
	if days := get[pageOf[dayEntry]](w, all, "days").Entries; days[0].Bytes != 9000 {
		t.Errorf("days = %+v", days)
	}
}

func TestRowsFilterAndPage(t *testing.T) {
	w := newTown(t)
	g := store.Gate{Name: "g", Venue: "north", VenueType: "mall", State: store.Active, Device: [16]byte{1}}
	w.store.gates["g"] = g
	amber := record.Scan{Verdict: 5, Reason: 20, Format: 1, Issuer: "CN", Trust: 7}
	for n := uint64(1); n <= 20; n++ {
		w.segment(g, n, amber, amber, record.Event{Code: record.EventStarted})
		w.advance(time.Second)
	}
	client := w.person("li", Manager)
	if got := len(get[pageOf[rowEntry]](w, client, "rows?kind=event&limit=1000").Entries); got != 20 {
		t.Errorf("%d events, want 20", got)
	}
	if got := len(get[pageOf[rowEntry]](w, client, "rows?verdict=5&reason=20&reason=21&limit=7").Entries); got != 7 {
		t.Errorf("%d amber rows on a page, want 7", got)
	}
	if got := len(get[pageOf[rowEntry]](w, client, "rows?from=2026-11-25T12:30:05Z&to=2026-11-25T12:30:07Z").Entries); got != 6 {
		t.Errorf("%d rows in two seconds, want 6", got)
	}
	// Rows that come while somebody turns pages neither repeat nor hide others.
	seen := map[uint64]int{}
	next := ""
	for turned := 0; ; turned++ {
		p := get[pageOf[rowEntry]](w, client, "rows?limit=7&cursor="+next)
		for _, r := range p.Entries {
			seen[r.Seq]++
		}
		if turned == 3 {
			w.segment(g, 21, amber, amber)
		}
		if next = p.Next; next == "" {
			break
		}
	}
	for n := uint64(1); n <= 20; n++ {
		for i := range uint64(3) {
			if seq := (n-1)*100 + 1 + i; seen[seq] != 1 {
				t.Errorf("row %d was listed %d times", seq, seen[seq])
			}
		}
	}
}

func TestQueriesAreStrict(t *testing.T) {
	w := newTown(t)
	w.furnish()
	client := w.person("li", Headquarters)
	for _, path := range []string{
		"me?x=1", "rows?limit=0", "rows?limit=1001", "rows?limit=1&limit=2", "rows?kind=sealed", "rows?verdict=256", "rows?verdict=-1",
		"rows?from=yesterday", "rows?cursor=zz", "rows?cursor=" + idCursor(1), "alarms?cursor=" + rowCursor(store.Notable{Seq: 1}), "alarms?cursor=" + idCursor(0),
		"alarms?open=yes", "hours", "hours?from=2026-11-25T00:00:00Z&to=2026-11-24T00:00:00Z", "hours?from=2026-01-01T00:00:00Z&to=2026-11-24T00:00:00Z",
		"gates?need=love", "gates?state=lost", "gates?order=age", "gates?cursor=Zw", "buckets", "buckets?day=..", "bucket?day=2026-11-25&hour=1",
		"bucket?day=2026-11-25&venue=north&hour=x", "rows?venue=%zz", "rows?a=;", "rows?venue=" + strings.Repeat("x", maxQuery),
		"rows?" + strings.Repeat("venue=x&", maxValues) + "venue=x",
	} {
		w.wantStatus(client, "GET", pathAdmin+path, 400, "query")
	}
}

func TestBodiesAreStrict(t *testing.T) {
	w := newTown(t)
	w.furnish()
	client := w.person("zhao", Technician)
	for _, body := range []string{
		`[]`, `{"name":"a","venue":"north","venue_type":"mall","x":1}`, `{"name":"a","name":"b","venue":"north","venue_type":"mall"}`,
		`{"NAME":"a","venue":"north","venue_type":"mall"}`, `{"name":"a","venue":"north","venue_type":"mall"} {}`, `{"name":{"a":1}}`, `{"name":1}`, `{`, `null`, `{"sheet":"yes"}`,
	} {
		if got := w.request(client, "POST", pathAdmin+"gates", []byte(body)); got.status != 400 || got.problem.Error != "body" {
			t.Errorf("%s = %d %q, want 400 body", body, got.status, got.problem.Error)
		}
	}
	r, err := http.NewRequest("POST", w.url+pathAdmin+"gates/north%20gate/revoke", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "text/plain")
	got, err := do(client, r)
	if err != nil {
		t.Fatal(err)
	}
	w.want(got, http.StatusUnsupportedMediaType, "type")
	if got := w.request(client, "POST", pathAdmin+"gates", bytes.Repeat([]byte(" "), maxAdminBody+1)); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a long body = %d", got.status)
	}
}

func TestGatesAreListedByNeed(t *testing.T) {
	w := newTown(t)
	report := func(change func(*enroll.Report)) []byte {
		r := enroll.Report{Time: w.now(), Clock: "synced", Camera: "ok"}
		change(&r)
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	fine := store.Gate{Venue: "north", VenueType: "mall", State: store.Active, Device: [16]byte{1}, SeenMS: w.now().UnixMilli(),
		CertUntil: w.now().Add(10 * day).UnixMilli(), Report: report(func(*enroll.Report) {})}
	put := func(name string, change func(*store.Gate)) {
		g := fine
		g.Name = name
		change(&g)
		w.store.gates[name] = g
	}
	put("a fine", func(*store.Gate) {})
	put("b silent", func(g *store.Gate) { g.SeenMS = w.now().Add(-2 * time.Hour).UnixMilli() })
	put("c pending", func(g *store.Gate) { g.State = store.Pending })
	put("d blind and slow", func(g *store.Gate) {
		g.Report = report(func(r *enroll.Report) { r.Camera, r.VerdictP95MS = "no device", 900 })
	})
	put("e behind", func(g *store.Gate) { g.OffsetMS = 91_000 })
	put("f ahead", func(g *store.Gate) { g.OffsetMS = -91_000 })
	put("g far", func(g *store.Gate) { g.OffsetMS = -1 << 63 })
	put("h stale", func(g *store.Gate) {
		g.Report = report(func(r *enroll.Report) { r.Ages = map[string]int{"revoked": 90_000} })
	})
	put("i revoked", func(g *store.Gate) { g.State, g.SeenMS = store.Revoked, 0 })
	put("j ends", func(g *store.Gate) { g.CertUntil = w.now().Add(2 * day).UnixMilli() })
	client := w.person("zhao", Technician)
	want := []string{"c pending", "d blind and slow", "j ends", "h stale", "e behind", "f ahead", "g far", "b silent", "a fine", "i revoked"}
	var got []string
	for next := ""; ; {
		p := get[pageOf[gateEntry]](w, client, "gates?limit=3&cursor="+url.QueryEscape(next))
		for _, e := range p.Entries {
			got = append(got, e.Name)
		}
		if next = p.Next; next == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("order = %q, want %q", got, want)
	}
	if p := get[pageOf[gateEntry]](w, client, "gates?need=clock&order=name"); len(p.Entries) != 3 {
		t.Errorf("need=clock lists %d gates, want 3", len(p.Entries))
	}
	if p := get[pageOf[gateEntry]](w, client, "gates?state=revoked"); len(p.Entries) != 1 || len(p.Entries[0].Needs) != 0 {
		t.Errorf("state=revoked: %+v", p.Entries)
	}
}

func TestGateThroughTheAPI(t *testing.T) {
	w := newTown(t)
	client := w.person("zhao", Technician, "north", "south")
	made := decodeInto[invitation](t, w.request(client, "POST", pathAdmin+"gates", []byte(`{"name":"b3","venue":"north","venue_type":"mall","sheet":true,"ttl_s":3600}`)))
	if !made.Expires.Equal(w.now().Add(time.Hour)) || !made.Sheet {
		t.Errorf("invitation = %+v", made)
	}
	token, err := enroll.ParseToken(made.Code)
	if err != nil {
		t.Fatal(err)
	}
	a := w.applicant()
	a.take(a.enrol(token), a.key)
	detail := get[gateDetail](w, client, "gates/b3")
	if detail.State != store.Pending || detail.Word == "" || detail.Needs[0] != "confirm" {
		t.Errorf("detail = %+v", detail)
	}
	if manager := get[gateDetail](w, w.person("li", Manager), "gates/b3"); manager.Word != "" {
		t.Error("a manager is told the word")
	}
	body, _ := json.Marshal(map[string]string{"word": detail.Word})
	if got := decodeInto[gateEntry](t, w.request(client, "POST", pathAdmin+"gates/b3/confirm", body)); got.State != store.Active {
		t.Errorf("confirmed: %+v", got)
	}
	if got := decodeInto[gateEntry](t, w.request(client, "POST", pathAdmin+"gates/b3/move", []byte(`{"venue":"south","venue_type":"subway"}`))); got.Venue != "south" {
		t.Errorf("moved: %+v", got)
	}
	// The gate hears of it at once: what was remembered is forgotten.
	orders := decodeInto[enroll.Orders](t, w.postJSON(w.client(a.tls()), enroll.PathReport, enroll.Report{Time: w.now(), Clock: "synced"}))
	if orders.Venue != "south" || orders.State != "active" {
		t.Errorf("orders = %+v", orders)
	}
	if got := w.request(client, "POST", pathAdmin+"gates/b3/revoke", []byte(`{}`)); got.status != 200 {
		t.Fatalf("revoke = %d", got.status)
	}
	w.want(w.postJSON(w.client(a.tls()), enroll.PathReport, enroll.Report{Time: w.now(), Clock: "synced"}), 403, "revoked")
	again := decodeInto[invitation](t, w.request(client, "POST", pathAdmin+"gates/b3/invite", nil))
	if again.Sheet || !again.Expires.Equal(w.now().Add(15*time.Minute)) {
		t.Errorf("invitation = %+v", again)
	}
	want := []string{"person_certified", "gate_created", "gate_enrolled", "person_certified", "gate_confirmed", "gate_moved", "gate_revoked", "gate_invited"}
	if got := w.store.did(); !slices.Equal(got, want) {
		t.Errorf("acts = %v, want %v", got, want)
	}
	acts := get[pageOf[actEntry]](w, client, "acts?limit=2")
	if len(acts.Entries) != 2 || acts.Entries[0].What != "gate_invited" || acts.Entries[0].Who != "zhao" || acts.Entries[0].Role != "technician" || acts.Next == "" {
		t.Errorf("acts = %+v", acts)
	}
	if strings.Contains(w.log.String(), made.Code) {
		t.Error("the log tells the code")
	}
}

func TestChangesThatCannotBeRecordedAreNotMade(t *testing.T) {
	w := newTown(t)
	w.furnish()
	client := w.person("zhao", Technician)
	w.store.failRecord = store.ErrUnavailable
	w.want(w.request(client, "POST", pathAdmin+"gates/north%20gate/revoke", []byte(`{}`)), 503, "store_unavailable")
	if g, _ := w.store.GateByName(context.Background(), "north gate"); g.State != store.Active {
		t.Error("the gate was revoked and nobody can say by whom")
	}
	w.store.failRecord = nil
	w.want(w.request(client, "POST", pathAdmin+"gates/north%20gate/confirm", []byte(`{"word":"123456"}`)), 409, "state")
	if got := w.store.did(); !slices.Equal(got[len(got)-2:], []string{"gate_confirmed", "not_done"}) {
		t.Errorf("acts = %v: a change that failed must say so", got)
	}
}

func TestBucketsAreReadWithoutWhatIsSealed(t *testing.T) {
	w := newTown(t)
	w.furnish()
	north := fmt.Sprintf("day=2026-11-25&venue=north&hour=%d", floorHour(noon.UnixMilli()))
	manager, hq := w.person("li", Manager, "north"), w.person("chen", Headquarters)
	buckets := get[pageOf[bucketEntry]](w, manager, "buckets?day=2026-11-25").Entries
	if len(buckets) != 1 || buckets[0] != (bucketEntry{"2026-11-25", "north", floorHour(noon.UnixMilli())}) {
		t.Errorf("buckets = %+v", buckets)
	}
	r, err := http.NewRequest("GET", w.url+pathAdmin+"bucket?"+north, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := manager.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var lines []string
	for scan := bufio.NewScanner(response.Body); scan.Scan(); {
		lines = append(lines, scan.Text())
	}
	if len(lines) != 6 || lines[5] != `{"end":true,"segments":1,"rows":5}` || response.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%d lines, the last %s", len(lines), lines[len(lines)-1])
	}
	var first rowEntry
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil {
		t.Fatal(err)
	}
	if first.Kind != "scan" || first.Verdict != 6 || first.Reason != 11 || first.Gate != "north gate" || first.WallMS != noon.UnixMilli() {
		t.Errorf("first row = %+v", first)
	}

	got := w.request(hq, "GET", pathAdmin+"bucket/segments?"+north, nil)
	n := int(binary.BigEndian.Uint32(got.body))
	if len(got.body) != 4+n+4 || binary.BigEndian.Uint32(got.body[4+n:]) != 0 {
		t.Fatalf("%d bytes for a segment of %d", len(got.body), n)
	}
	s, err := record.ParseSegment(got.body[4 : 4+n])
	if err != nil || len(s.Rows) != 5 || hex.EncodeToString(s.Device[:1]) != "01" {
		t.Errorf("segment: %v, %+v", err, s)
	}
	if did := w.store.did(); did[len(did)-1] != "segments_read" {
		t.Errorf("acts = %v: reading what is sealed leaves a line", did)
	}
}

func FuzzAdminQuery(f *testing.F) {
	w := newTown(f)
	w.furnish()
	for _, seed := range []string{"limit=3", "cursor=" + rowCursor(store.Notable{WallMS: 1, Seq: 2}), "cursor=" + idCursor(7), "venue=north&venue=south", "from=2026-11-25T00:00:00Z&to=2026-11-26T00:00:00Z", "day=2026-11-25&venue=north&hour=498900"} {
		f.Add(seed)
	}
	p := person{name: "chen", role: Headquarters}
	f.Fuzz(func(t *testing.T, raw string) {
		for _, e := range endpoints() {
			if !strings.HasPrefix(e.pattern, "GET ") || strings.Contains(e.pattern, "trust") || strings.Contains(e.pattern, "policy") {
				continue
			}
			q, no := parseQuery(raw, e.query)
			if no != nil {
				continue
			}
			r := httptest.NewRequest("GET", pathAdmin, nil)
			if e.stream != nil {
				e.stream(w.hub, httptest.NewRecorder(), ask{r, p, q})
				continue
			}
			if answer, no := e.serve(w.hub, ask{r, p, q}); no != nil && no.status >= 500 {
				t.Errorf("%s?%s = %d", e.pattern, raw, no.status)
			} else if _, err := json.Marshal(answer); err != nil {
				t.Errorf("%s?%s: %v", e.pattern, raw, err)
			}
		}
	})
}

func FuzzCursors(f *testing.F) {
	f.Add(rowCursor(store.Notable{WallMS: -1, Device: [16]byte{1}, Epoch: [8]byte{2}, Seq: 3}))
	f.Add(idCursor(9))
	f.Add(gateCursor(gateEntry{Name: "b3", weight: 5}))
	f.Fuzz(func(t *testing.T, text string) {
		// What is taken comes back as it was: a cursor has one form.
		if n, err := parseRowCursor(text); err == nil && rowCursor(*n) != text {
			t.Errorf("row cursor %q", text)
		}
		if weight, name, err := parseGateCursor(text); err == nil && gateCursor(gateEntry{Name: name, weight: weight}) != text {
			t.Errorf("gate cursor %q", text)
		}
	})
}

func FuzzAdminBody(f *testing.F) {
	f.Add([]byte(`{"name":"a","venue":"b","venue_type":"c","sheet":true,"ttl_s":5}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var b struct {
			Name  string `json:"name"`
			Sheet bool   `json:"sheet"`
			TTL   int    `json:"ttl_s"`
		}
		if err := decodeFlat(body, &b); err == nil && len(bytes.TrimSpace(body)) > 0 && !json.Valid(body) {
			t.Errorf("%q was taken", body)
		}
	})
}

func TestHeavyReadsAreBounded(t *testing.T) {
	p := &places{each: map[string]int{}}
	taken := 0
	for _, who := range []string{"a", "a", "a", "b", "b", "c", "c", "d", "d", "e"} {
		if p.enter(who) {
			taken++
		}
	}
	if taken != heavyAll || p.enter("f") {
		t.Errorf("%d are served at once, want %d", taken, heavyAll)
	}
	p.leave("a")
	if !p.enter("f") {
		t.Error("a place that was left is not taken again")
	}
}
