package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"checkpoint/hub/store"
)

// metrics are what /metrics tells: nothing of persons, and of gates only
// numbers. Their names stand in docs/formats.md, "Hub".
type metrics struct {
	registry *prometheus.Registry

	segments    *prometheus.CounterVec // by outcome
	outcome     [len(outcomes)]prometheus.Counter
	rows        prometheus.Counter
	bytesWire   prometheus.Counter
	bytesPlain  prometheus.Counter
	putSeconds  prometheus.Histogram
	batch       prometheus.Histogram
	storeErrors *prometheus.CounterVec // by kind
	alarms      *prometheus.CounterVec // raised, by kind
	alarmsOpen  *prometheus.GaugeVec   // by kind
	gates       *prometheus.GaugeVec   // by state
	silent      prometheus.Gauge
	reports     *prometheus.CounterVec // by outcome
	complaints  *prometheus.CounterVec // of net/http, by kind
	panics      prometheus.Counter
	storeClock  prometheus.Gauge
}

// outcome is what became of a segment that was sent.
type outcome int

const (
	wasStored outcome = iota
	wasRepeat
	wasConflict
	wasDestroyed
	wasRefused     // for good, by a signed receipt
	wasQuarantined // after revocation
	wasDenied      // 401, 403
	wasLimited     // 429
	wasUnready     // 503
	wasMalformed   // 4xx without a receipt: not zstd, too large
)

var outcomes = [...]string{"stored", "repeat", "conflict", "destroyed", "refused", "quarantined", "denied", "limited", "unready", "malformed"}

func newMetrics(h *Hub) *metrics {
	const ns = "checkpoint_hub"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Name: name, Help: help})
	}
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: name, Help: help}, []string{label})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Name: name, Help: help})
	}
	gauges := func(name, help, label string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: ns, Name: name, Help: help}, []string{label})
	}
	computed := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: ns, Name: name, Help: help}, value)
	}
	m := &metrics{
		registry:   prometheus.NewRegistry(),
		segments:   counters("segments_total", "Segments that were sent, by what became of them.", "outcome"),
		rows:       counter("rows_total", "Rows in segments that were stored for the first time."),
		bytesWire:  counter("wire_bytes_total", "Bytes of segments as sent, compressed."),
		bytesPlain: counter("segment_bytes_total", "Bytes of segments that were stored for the first time."),
		putSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: ns, Name: "put_seconds", Help: "Time of one durable commit of the store.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: ns, Name: "put_segments", Help: "Segments in one commit.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10)}),
		storeErrors: counters("store_errors_total", "Errors of the store, by kind.", "kind"),
		alarms:      counters("alarms_raised_total", "Alarms that were written, by kind.", "kind"),
		alarmsOpen:  gauges("alarms_open", "Open alarms, by kind.", "kind"),
		gates:       gauges("gates", "Gates, by state.", "state"),
		silent:      gauge("gates_silent", "Active gates that have not reported for three upload intervals and a minute."),
		reports:     counters("reports_total", "Reports of gates, by outcome.", "outcome"),
		complaints:  counters("connection_errors_total", "Connections that failed, by kind.", "kind"),
		panics:      counter("panics_total", "Panics that were caught: each is a fault in this program."),
		storeClock:  gauge("store_clock_offset_seconds", "The store's clock less this machine's."),
	}
	for o, word := range outcomes {
		m.outcome[o] = m.segments.WithLabelValues(word)
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Name: "build_info", Help: "1; the version stands in the label.",
		ConstLabels: prometheus.Labels{"version": h.cfg.Version}})
	build.Set(1)
	m.registry.MustRegister(m.segments, m.rows, m.bytesWire, m.bytesPlain, m.putSeconds, m.batch, m.storeErrors, m.alarms, m.alarmsOpen,
		m.gates, m.silent, m.reports, m.complaints, m.panics, m.storeClock, build,
		computed("queue_segments", "Segments that wait for the store.", func() float64 { n, _ := h.queue.depth(); return float64(n) }),
		computed("queue_bytes", "Bytes of segments that wait for the store.", func() float64 { _, b := h.queue.depth(); return float64(b) }),
		computed("connections", "Open connections.", func() float64 { return float64(h.conns.open.Load()) }),
	)
	return m
}

// upkeep is what a hub does every so often: it raises the alarms that the store
// did not take, counts gates and alarms, closes the gap alarms of gates whose
// gaps have filled, compares clocks, signs trust anew, and drops days past
// retention.
func (h *Hub) upkeep(ctx context.Context) error {
	return errors.Join(h.raiseKept(ctx), h.countGates(ctx), h.countAlarms(ctx), h.compareClocks(ctx), h.upkeepTrust(ctx), h.upkeepDays(ctx))
}

const page = 500 // gates or alarms read at once

func (h *Hub) countGates(ctx context.Context) error {
	byState := map[store.GateState]int{store.Invited: 0, store.Pending: 0, store.Active: 0, store.Revoked: 0}
	silent, since := 0, h.now().Add(-3*h.cfg.Interval-time.Minute).UnixMilli()
	for after := ""; ; {
		gates, err := h.store.Gates(ctx, nil, after, page)
		if err != nil {
			return fmt.Errorf("count gates: %w", err)
		}
		for _, g := range gates {
			byState[g.State]++
			if g.State == store.Active && max(g.SeenMS, g.EnrolledMS) < since {
				silent++
			}
			after = g.Name
		}
		if len(gates) < page {
			break
		}
	}
	for state, n := range byState {
		h.metrics.gates.WithLabelValues(string(state)).Set(float64(n))
	}
	h.metrics.silent.Set(float64(silent))
	return nil
}

func (h *Hub) countAlarms(ctx context.Context) error {
	byKind := map[string]int{}
	for before := int64(0); ; {
		alarms, err := h.store.ListAlarms(ctx, nil, true, before, page)
		if err != nil {
			return fmt.Errorf("count alarms: %w", err)
		}
		for _, a := range alarms {
			before = a.ID
			if a.Kind == "gap" {
				filled, err := h.closeFilled(ctx, a)
				if err != nil {
					return err
				}
				if filled {
					continue
				}
			}
			byKind[a.Kind]++
		}
		if len(alarms) < page {
			break
		}
	}
	h.metrics.alarmsOpen.Reset()
	for kind, n := range byKind {
		h.metrics.alarmsOpen.WithLabelValues(kind).Set(float64(n))
	}
	return nil
}

// closeFilled closes a gap alarm when every number of the gate has come.
func (h *Hub) closeFilled(ctx context.Context, a store.Alarm) (bool, error) {
	g, err := h.store.GateByName(ctx, a.Gate)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at a gap: %w", err)
	}
	if g.EnrolledMS > a.At.UnixMilli() {
		return false, nil // another device stands there now: what the old one kept back is for a person to judge
	}
	streams, err := h.store.Streams(ctx, g.Device)
	if err != nil {
		return false, fmt.Errorf("look at a gap: %w", err)
	}
	for _, s := range streams {
		if len(s.Gaps) > 0 {
			return false, nil
		}
	}
	if err := h.store.CloseAlarm(ctx, a.ID, "hub", h.now()); err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrState) {
		return false, fmt.Errorf("close a gap alarm: %w", err)
	}
	h.log.Info("gap filled", "gate", a.Gate)
	return true, nil
}

// compareClocks looks whether this machine's clock, which signs receipts, is
// the store's: gates take the signed time for theirs.
func (h *Hub) compareClocks(ctx context.Context) error {
	theirs, err := h.store.Now(ctx)
	if err != nil {
		return fmt.Errorf("ask the store's clock: %w", err)
	}
	off := theirs.Sub(h.now())
	h.metrics.storeClock.Set(off.Seconds())
	if off.Abs() > maxClockOff {
		return h.raise(ctx, store.Alarm{Kind: "clock", Text: fmt.Sprintf("a hub's clock and its store's are %s apart", off.Abs().Round(time.Second))})
	}
	return nil
}
