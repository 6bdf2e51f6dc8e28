package hub

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"checkpoint/hub/store"
)

func TestOps(t *testing.T) {
	w := newWorld(t)
	if status, text := w.ops("/healthz"); status != http.StatusOK || text != "ok\n" {
		t.Errorf("healthz = %d %q", status, text)
	}
	if status, text := w.ops("/readyz"); status != http.StatusOK || text != "ready\n" {
		t.Errorf("readyz = %d %q", status, text)
	}
	w.store.set(func() { w.store.fail = store.ErrFull })
	if status, text := w.ops("/readyz"); status != http.StatusServiceUnavailable || text != "store has no room\n" {
		t.Errorf("readyz = %d %q", status, text)
	}
}

func TestMetricsTellWhatHappened(t *testing.T) {
	w := newWorld(t)
	g, quiet := w.gate("A1"), w.gate("A2")
	quiet.change(func(known *store.Gate) { known.EnrolledMS = noon.Add(-time.Hour).UnixMilli() })
	c := g.cut(passes(7)...)
	w.taken(g.post(c), c)
	w.taken(g.post(c), c)
	clone := *g
	clone.number, clone.seq = 0, 0
	clone.head[0] = 1
	w.refused(clone.post(clone.cut(pass())), http.StatusConflict, "conflict")
	w.post(g.client, []byte("x"))
	w.post(w.client(), []byte("x"))
	g.report(reportAt(noon))
	_ = w.hub.upkeep(t.Context())
	text := w.metrics()
	for _, line := range []string{
		`checkpoint_hub_segments_total{outcome="stored"} 1`,
		`checkpoint_hub_segments_total{outcome="repeat"} 1`,
		`checkpoint_hub_segments_total{outcome="conflict"} 1`,
		`checkpoint_hub_segments_total{outcome="malformed"} 1`,
		`checkpoint_hub_segments_total{outcome="denied"} 1`,
		`checkpoint_hub_rows_total 7`,
		`checkpoint_hub_put_seconds_count 3`,
		`checkpoint_hub_put_segments_sum 3`,
		`checkpoint_hub_queue_segments 0`,
		`checkpoint_hub_alarms_open{kind="conflict"} 1`,
		`checkpoint_hub_gates{state="active"} 2`,
		`checkpoint_hub_gates_silent 1`,
		`checkpoint_hub_reports_total{outcome="kept"} 1`,
		`checkpoint_hub_build_info{version="test"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if strings.Contains(text, "A1") || strings.Contains(text, "mall") {
		t.Error("metrics name a gate or a venue")
	}
}
