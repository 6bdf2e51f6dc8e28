package main

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"checkpoint/enroll"
	"checkpoint/gate"
	"checkpoint/hub/store"
	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/trust"
	"checkpoint/trust/tuf"
	"checkpoint/uplink"
	"checkpoint/verify"
)

// What a gate scans arrives, with receipts; without a line it waits, and comes
// after it.
func TestRowsArrive(t *testing.T) {
	t.Parallel()
	h := newHeadquarters(t)
	p := h.newPost()
	p.enrol("A1", false)
	p.start()
	p.said("that it is online", isUplink("online"))
	seq := p.paper().Seq
	h.until("the scan arrived", func() bool { return h.last("A1") >= seq })
	h.until("its receipt settled", func() bool { r := h.report("A1"); return r.Last >= seq && r.Waiting == 0 })
	if r := h.report("A1"); r.Trust != 1 || r.VerdictP50MS < 0 || r.Camera != "ok" || len(r.Ages) == 0 {
		t.Errorf("the gate reported %+v", r)
	}

	h.down()
	p.said("that it is offline", isUplink("offline"))
	for range 3 {
		v := p.paper()
		if v.Verdict != "check_id" || v.Seq <= seq {
			t.Fatalf("without a line: %+v after row %d", v, seq)
		}
		seq = v.Seq
	}
	if h.last("A1") >= seq {
		t.Error("rows arrived at a hub that is away")
	}
	h.up()
	h.until("what waited arrived", func() bool { return h.last("A1") >= seq })
	p.said("that it is online again", isUplink("online"))
	h.until("all of it settled", func() bool { r := h.report("A1"); return r.Last >= seq && r.Waiting == 0 })
	p.stop()

	var scans uint64
	hours, err := h.store.Hourly(context.Background(), nil, 0, 1<<40)
	h.check(err)
	for _, hour := range hours {
		if hour.Verdict == uint8(verify.CheckID) {
			scans += hour.N
		}
	}
	if scans != p.shown {
		t.Errorf("the hub counts %d scans, %d were shown", scans, p.shown)
	}
}

// A gate whose hub is away when it starts judges at once by what it has, and
// cards that wait for a key do not stop one that has no keys.
func TestStartWithoutALine(t *testing.T) {
	t.Parallel()
	h := newHeadquarters(t)
	p := h.newPost()
	p.enrol("A1", false)
	h.down()
	pictures := filepath.Join(p.home, "pictures")
	h.check(os.Mkdir(pictures, 0o700))
	s := newScene(t, time.Now().UTC().Truncate(time.Second).Add(20*time.Second))
	for i, name := range []string{"red", "amber", "pass"} {
		h.check(os.WriteFile(filepath.Join(pictures, string(rune('1'+i))+".png"), picture(t, []byte(s.texts()[name])), 0o600))
	}
	said := p.want(0, `"uplink":"offline"`, "run", "--headless", "--source", "dir:"+pictures, "--latch", "200ms", "--sound", "off")
	for _, want := range []string{`"verdict":"red"`, `"verdict":"amber"`, `"verdict":"pass"`} {
		if !strings.Contains(said, want) {
			t.Errorf("not said: %s\n%s", want, said)
		}
	}
	// The three pictures may be judged before the line has been tried.
	p.start()
	p.said("what is wrong with the line", func(e hubLine) bool { return strings.HasPrefix(e.Problem, "127.0.0.1") })
	p.stop()
	h.up()
	p.start()
	h.until("the three arrived", func() bool {
		rows, err := h.store.Notable(context.Background(), store.RowFilter{Kinds: []record.Kind{record.KindScan}, Limit: 10})
		h.check(err)
		return len(rows) >= 2 // red and amber; who passed is in the counts
	})
	p.stop()
}

// Trust that is published anew, and a move, reach a gate that runs.
func TestNewTrustAndAMoveWhileTheGateRuns(t *testing.T) {
	t.Parallel()
	h := newHeadquarters(t)
	none := h.scene.snapshot(1)
	none.Issuers.Keys = nil
	h.publish(none)
	p := h.newPost()
	p.enrol("A1", false)
	p.start()
	if v := p.paper(); v.Verdict != "invalid" || v.Reason != "unknown_key" {
		t.Fatalf("without an issuer: %+v", v)
	}
	two := h.scene.snapshot(1)
	two.Policy.Rules = append(two.Policy.Rules, trust.Policy{From: h.scene.at.AddDate(0, -1, 0), Venue: "park", Formats: []string{"dcc"}})
	h.publish(two)
	h.until("the new trust holds", func() bool { v := p.paper(); return v.Verdict == "check_id" })

	h.technician("A1/move", `{"venue":"City park","venue_type":"park"}`)
	h.until("the place counts", func() bool { v := p.paper(); return v.Verdict != "check_id" })
	p.stop()
	if e := p.enrolled(); e.Venue != "City park" || e.VenueType != "park" || e.Gate != "A1" {
		t.Errorf("the gate's file has %+v", e)
	}
	p.want(0, "policy     park: code required (dcc)", "trust", "show")
}

// fetches is trust from nowhere.
type fetches func(name string) ([]byte, error)

func (f fetches) Fetch(_ context.Context, name string, _ int64) ([]byte, error) { return f(name) }

// Trust that is refused is one row and one line a cause, not one each time; what
// holds goes on to hold.
func TestRefusedTrustIsSaidOnce(t *testing.T) {
	t.Parallel()
	h := newHeadquarters(t)
	p := h.newPost()
	p.enrol("A1", false)
	bad := fetches(func(name string) ([]byte, error) {
		if name == "timestamp.json" {
			return []byte(`{"signed":1}`), nil
		}
		return nil, tuf.ErrMissing
	})
	p.station(func(ctx context.Context, s *station, u *upstream) {
		for range 3 {
			var no *tuf.Refused
			if changed, err := u.follow(ctx, bad); changed || !errors.As(err, &no) {
				t.Fatalf("bad trust: %v, %v", changed, err)
			}
		}
		if _, err := u.follow(ctx, fetches(func(string) ([]byte, error) { return nil, errors.New("no line") })); err == nil {
			t.Fatal("no line, no error")
		}
		_, err := u.follow(ctx, bad) // the line in between was no other cause
		if err == nil || u.trust.Snapshot() == nil {
			t.Fatalf("what held does not: %v", err)
		}
		h.check(u.refresh(ctx))
		if _, err := u.follow(ctx, bad); err == nil { // anew
			t.Fatal("bad trust was taken")
		}
	})
	if n := p.rows(record.EventTrustRefused); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
	if n := strings.Count(p.log(), "new trust was refused"); n != 2 {
		t.Errorf("%d lines, want 2", n)
	}
}

// The rows of a day that signed trust has destroyed go from the gate, however
// that trust came.
func TestDestroyedDayIsErased(t *testing.T) {
	t.Parallel()
	h := newHeadquarters(t)
	p := h.newPost()
	p.enrol("A1", false)
	h.down()
	p.start()
	p.paper()
	p.paper()
	p.stop()
	gone := h.scene.snapshot(1)
	gone.DayKeys.Keys[0].Destroyed, gone.DayKeys.Keys[0].PublicKey = true, nil
	h.publish(gone)
	folder := t.TempDir()
	h.check(tuf.WriteFolder(folder, h.repository()))
	p.want(0, "is installed", "trust", "install", folder)
	p.want(0, "is installed already", "trust", "install", folder)
	erased := int64(0)
	p.open(func(ctx context.Context, db *localdb.DB) {
		for row, err := range db.Rows(ctx, 1) {
			h.check(err)
			if e, ok := row.Body.(record.Event); ok && e.Code == record.EventErased {
				erased += e.Value
			}
			if _, ok := row.Body.(record.Scan); ok {
				t.Errorf("row %d of the destroyed day is there", row.Seq)
			}
		}
	})
	if erased == 0 {
		t.Error("nothing says that rows were erased")
	}
	p.want(3, "there is no trust in", "trust", "install", t.TempDir())
}

// What the hub is told of a gate comes from its events.
func TestFigures(t *testing.T) {
	f := new(figures)
	var r enroll.Report
	f.report(&r)
	if r.Camera != "no picture" || r.VerdictP50MS != 0 {
		t.Errorf("before anything: %+v", r)
	}
	f.saw(gate.Judged{ViewToVerdictMS: -1}) // not known: no figure
	for i := 1; i <= 100; i++ {
		f.saw(gate.Judged{ViewToVerdictMS: float64(i)})
	}
	f.saw(gate.State{CameraOK: true, FPS: 29.97, Shown: 7, Read: 5})
	r = enroll.Report{}
	f.report(&r)
	if r.VerdictP50MS != 51 || r.VerdictP95MS != 95 || r.Camera != "ok" || r.FPS != 29.9 || r.Shown != 7 || r.Read != 5 {
		t.Errorf("%+v", r)
	}
	for range 2 * lastVerdicts {
		f.saw(gate.Judged{ViewToVerdictMS: 500})
	}
	f.saw(gate.State{CameraIs: "unplugged\x1b[2J"})
	r = enroll.Report{}
	f.report(&r)
	if r.VerdictP50MS != 500 || len(f.verdicts) != lastVerdicts || strings.Contains(r.Camera, "\x1b") || !strings.Contains(r.Camera, "unplugged") {
		t.Errorf("%+v", r)
	}
}

// A stick carries what waits to the hub, and receipts and trust back.
func TestStickRound(t *testing.T) {
	t.Parallel()
	h := newHeadquarters(t)
	p := h.newPost()
	p.want(2, "belongs to no hub", "stick", "export", p.home)
	p.enrol("A1", false)
	p.start("--upload", "stick")
	p.paper()
	seq := p.paper().Seq
	p.stop()
	if h.gate("A1").Report != nil || h.last("A1") != 0 {
		t.Fatal("a gate that goes by stick called its hub")
	}
	stick, ctx := t.TempDir(), context.Background()
	p.want(3, "there is no stick", "stick", "export", filepath.Join(stick, "none"))
	p.want(3, "holds nothing of that kind", "stick", "import", stick)
	p.want(0, "segments written to the stick, 0 were there already", "stick", "export", stick)
	p.want(0, "0 segments written", "stick", "export", stick)

	var receipts [][]byte
	_, err := uplink.ImportSegments(ctx, stick, func(ctx context.Context, s uplink.StickSegment) error {
		receipt, no, err := h.Take(ctx, s.Bytes, store.ByStick)
		if no != nil {
			t.Errorf("segment %d: %+v", s.Number, no)
		}
		receipts = append(receipts, receipt)
		return err
	})
	h.check(err)
	if h.last("A1") < seq {
		t.Fatalf("the hub has rows up to %d of %d", h.last("A1"), seq)
	}
	h.publish(h.scene.snapshot(1))
	_, err = uplink.ExportReceipts(ctx, stick, func(yield func([]byte, error) bool) {
		for _, r := range receipts {
			if !yield(r, nil) {
				return
			}
		}
	})
	h.check(err)
	_, err = uplink.ExportTrust(ctx, stick, func(yield func(uplink.TrustFile, error) bool) {
		for _, f := range h.repository() {
			if !yield(uplink.TrustFile(f), nil) {
				return
			}
		}
	})
	h.check(err)

	// One receipt of another hub: it is left out, the others are taken.
	forged := filepath.Join(stick, "receipts")
	names, err := os.ReadDir(forged)
	h.check(err)
	path := filepath.Join(forged, names[0].Name())
	good, err := os.ReadFile(path)
	h.check(err)
	bad := append([]byte(nil), good...)
	bad[len(bad)-1] ^= 1
	h.check(os.WriteFile(path, bad, 0o600))
	p.want(4, "signature does not hold", "stick", "import", stick)
	seen, err := localdb.Peek(ctx, p.db())
	h.check(err)
	if seen.Waiting < seq {
		t.Errorf("%d rows wait after a forged receipt, %d were written", seen.Waiting, seq)
	}
	// One that the hub signed, of other bytes.
	of, err := record.ParseReceipt(good)
	h.check(err)
	of.SHA256[0] ^= 1
	h.check(os.WriteFile(path, record.AppendReceipt(nil, record.SignReceipt(of, h.keys.Receipt)), 0o600))
	p.want(4, "1 receipts were left out", "stick", "import", stick)
	h.check(os.WriteFile(path, good, 0o600))
	before := seen.Waiting
	p.want(0, "receipts taken from the stick", "stick", "import", stick)
	seen, err = localdb.Peek(ctx, p.db())
	h.check(err)
	if seen.Waiting >= before || seen.Waiting > 6 { // what the two imports wrote themselves
		t.Errorf("%d rows wait, %d before", seen.Waiting, before)
	}
	p.want(0, "version 2", "trust", "show")
}

// A segment that cannot be made again is named and left out, and those after it
// go on the stick.
func TestStickPassesOverDamage(t *testing.T) {
	t.Parallel()
	h := newHeadquarters(t)
	p := h.newPost()
	p.enrol("A1", false)
	h.down()
	p.want(0, "segments written", "stick", "export", t.TempDir())
	p.start("--upload", "stick")
	p.paper()
	p.stop()
	p.want(0, "segments written", "stick", "export", t.TempDir())
	file, err := sql.Open("sqlite", p.db())
	h.check(err)
	_, err = file.Exec(`UPDATE row SET body = zeroblob(length(body)) WHERE seq = 1`)
	h.check(errors.Join(err, file.Close()))
	stick := t.TempDir()
	if said := p.want(4, "cannot be made again", "stick", "export", stick); strings.HasPrefix(said, "0 segments") {
		t.Errorf("said %s", said)
	}
	all, err := os.ReadDir(filepath.Join(stick, "segments"))
	if err != nil || len(all) == 0 {
		t.Errorf("%d segments on the stick, %v", len(all), err)
	}
}

// Orders that change nothing write nothing; a move is kept, and laid before the
// gate with its new name and place.
func TestOrders(t *testing.T) {
	t.Parallel()
	h := newHeadquarters(t)
	p := h.newPost()
	p.enrol("A1", false)
	p.station(func(ctx context.Context, s *station, u *upstream) {
		e := u.enrolment()
		o := enroll.Orders{State: e.State, Gate: e.Gate, Venue: e.Venue, VenueType: e.VenueType, Interval: e.IntervalS, Time: h.now()}
		before, _ := s.db.Head()
		h.check(u.orders(ctx, o))
		if _, offered := u.newTrust(ctx); offered {
			t.Error("orders that change nothing were laid before the gate")
		}
		if after, _ := s.db.Head(); after != before {
			t.Error("orders that change nothing wrote rows")
		}
		o.Gate, o.Venue, o.VenueType, o.Interval = "A9", "City park", "park", 30
		h.check(u.orders(ctx, o))
		held, offered := u.newTrust(ctx)
		if !offered || held.Name != "A9" || held.Venue != "City park" || held.VenueType != "park" || held.Snapshot == nil {
			t.Errorf("laid before the gate: %v, %s at %s (%s)", offered, held.Name, held.Venue, held.VenueType)
		}
		if _, again := u.newTrust(ctx); again {
			t.Error("the same twice")
		}
	})
	if e := p.enrolled(); e.Gate != "A9" || e.Venue != "City park" || e.IntervalS != 30 || e.State != "active" {
		t.Errorf("the gate's file has %+v", e)
	}
}
