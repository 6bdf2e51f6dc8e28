package hub

import (
	"fmt"
	"net/http"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub/store"
)

// postReport takes a gate's report and answers with what the hub wants of it. A
// pending gate may report too: the answer tells it when it is active.
func (h *Hub) postReport(w http.ResponseWriter, r *http.Request) {
	orders, no := h.report(r)
	if no != nil {
		h.metrics.reports.WithLabelValues("refused").Inc()
		h.refuse(w, no)
		return
	}
	h.metrics.reports.WithLabelValues("kept").Inc()
	h.answer(w, http.StatusOK, orders)
}

func (h *Hub) report(r *http.Request) (enroll.Orders, *refusal) {
	gate, no := h.device(r)
	if no != nil {
		return enroll.Orders{}, no
	}
	if gate.State == store.Revoked {
		return enroll.Orders{}, revoked()
	}
	// A report is a commit like a segment, and goes by the same turnstile.
	if wait, ok := h.turns.enter(gate.Device, h.now()); !ok {
		return enroll.Orders{}, slowDown(wait)
	}
	defer h.turns.leave(gate.Device)
	body, no := h.readBody(r, enroll.MaxReport)
	if no != nil {
		return enroll.Orders{}, no
	}
	now := h.now()
	report, err := enroll.ParseReport(body)
	if err != nil {
		return enroll.Orders{}, &refusal{status: http.StatusBadRequest, word: "report", detail: "not a report by docs/formats.md"}
	}
	off := now.Sub(report.Time) // held at the ends of a Duration
	ctx := r.Context()
	if err := h.store.Reported(ctx, gate.Device, body, off.Milliseconds(), now); err != nil {
		return enroll.Orders{}, h.storeRefusal(ctx, "keep a report", err)
	}
	if off.Abs() > maxClockOff {
		h.raiseAside(ctx, clockAlarm(&gate, off))
	}
	return enroll.Orders{
		State: string(gate.State), Gate: gate.Name, Venue: gate.Venue, VenueType: gate.VenueType,
		Interval: int(h.cfg.Interval / time.Second), Time: h.now().UTC(),
	}, nil
}

func revoked() *refusal {
	return &refusal{status: http.StatusForbidden, word: "revoked", detail: "this gate was revoked: keep scanning, send nothing, call the technician"}
}

// clockAlarm says how far a gate's clock is off; off is the hub's time less
// the gate's.
func clockAlarm(g *store.Gate, off time.Duration) store.Alarm {
	way := "behind"
	if off < 0 {
		way = "ahead"
	}
	return store.Alarm{Kind: "clock", Gate: g.Name, Venue: g.Venue, Text: fmt.Sprintf("the gate's clock is %s %s", off.Abs().Round(time.Second), way)}
}
