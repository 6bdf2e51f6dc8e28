package hub

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub/store"
)

func (g *gate) report(body []byte) answered {
	g.w.t.Helper()
	r, err := http.NewRequestWithContext(g.w.t.Context(), http.MethodPost, g.w.endpoint(enroll.PathReport), bytes.NewReader(body))
	if err != nil {
		g.w.t.Fatal(err)
	}
	a, err := do(g.client, r)
	if err != nil {
		g.w.t.Fatal(err)
	}
	return a
}

func reportAt(at time.Time) []byte {
	b, _ := json.Marshal(enroll.Report{Version: "1", Time: at, Clock: "synced", Trust: 3, Last: 9, Camera: "ok"})
	return b
}

func TestReportIsKeptAndOrdersComeBack(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Interval = 45 * time.Second })
	g := w.gate("A1")
	sent := reportAt(noon.Add(-3 * time.Second))
	a := g.report(sent)
	if a.status != http.StatusOK {
		t.Fatalf("answer = %d %s", a.status, a.body)
	}
	orders, err := enroll.ParseOrders(a.body)
	if err != nil {
		t.Fatal(err)
	}
	if want := (enroll.Orders{State: "active", Gate: "A1", Venue: "mall north", VenueType: "mall", Interval: 45, Time: noon}); orders != want {
		t.Errorf("orders = %+v, want %+v", orders, want)
	}
	known := w.store.gates["A1"]
	if !bytes.Equal(known.Report, sent) || known.OffsetMS != 3000 || known.SeenMS != noon.UnixMilli() {
		t.Errorf("kept: %s, offset %d, seen %d", known.Report, known.OffsetMS, known.SeenMS)
	}
	if kinds := w.store.openAlarms(); len(kinds) != 0 {
		t.Errorf("alarms = %v", kinds)
	}
}

func TestClockThatIsOffIsAnAlarm(t *testing.T) {
	for _, tc := range []struct {
		name string
		off  time.Duration
		text string
	}{
		{"90 seconds", 90 * time.Second, ""},
		{"91 seconds behind", -91 * time.Second, "1m31s behind"},
		{"91 seconds ahead", 91 * time.Second, "1m31s ahead"},
		{"ten years behind", -87_600 * time.Hour, "behind"},
		{"ten years ahead", 87_600 * time.Hour, "ahead"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			g := w.gate("A1")
			if a := g.report(reportAt(noon.Add(tc.off))); a.status != http.StatusOK {
				t.Fatalf("answer = %d %s", a.status, a.body)
			}
			switch kinds := w.store.openAlarms(); {
			case tc.text == "" && len(kinds) == 0:
			case tc.text != "" && slices.Equal(kinds, []string{"clock"}) && strings.Contains(w.store.alarms[0].Text, tc.text):
			default:
				t.Errorf("alarms = %+v, want text %q", w.store.alarms, tc.text)
			}
		})
	}
}

func TestReportsThatAreNotKept(t *testing.T) {
	w := newWorld(t)
	g := w.gate("A1")
	for name, body := range map[string][]byte{
		"empty":          nil,
		"not JSON":       []byte("hello"),
		"cut off":        reportAt(noon)[:40],
		"an unknown key": []byte(`{"version":"1","time":"2026-11-25T12:30:00Z","name":"Li"}`),
	} {
		t.Run(name, func(t *testing.T) { w.refused(g.report(body), http.StatusBadRequest, "report") })
	}
	t.Run("too large", func(t *testing.T) {
		w.refused(g.report(bytes.Repeat([]byte(" "), enroll.MaxReport+1)), http.StatusRequestEntityTooLarge, "too_large")
	})
	t.Run("revoked", func(t *testing.T) {
		r := w.gate("A2")
		r.change(func(known *store.Gate) { known.State = store.Revoked })
		w.refused(r.report(reportAt(noon)), http.StatusForbidden, "revoked")
	})
	t.Run("store away", func(t *testing.T) {
		w.store.set(func() { w.store.fail = store.ErrUnavailable })
		defer w.store.set(func() { w.store.fail = nil })
		w.refused(g.report(reportAt(noon)), http.StatusServiceUnavailable, "store_unavailable")
	})
	if len(w.store.gates["A1"].Report) != 0 {
		t.Error("a report that was refused is kept")
	}
}

func TestPendingGateLearnsThatItIsActive(t *testing.T) {
	w := newWorld(t)
	g := w.gate("A1")
	for _, state := range []store.GateState{store.Pending, store.Active} {
		g.change(func(known *store.Gate) { known.State = state })
		w.hub.forget(g.id.Device)
		if orders, err := enroll.ParseOrders(g.report(reportAt(noon)).body); err != nil || orders.State != string(state) {
			t.Errorf("state = %q, %v; want %q", orders.State, err, state)
		}
	}
}
