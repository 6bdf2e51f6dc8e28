package hub

import (
	"context"
	"fmt"
	"sync"
	"time"

	"checkpoint/hub/store"
)

// alarmEvery is how often one kind of alarm of one gate is written: a gate
// whose clock is wrong says so with every segment, and each alarm is a commit.
const (
	alarmEvery = 10 * time.Second
	maxAlarms  = 1 << 14
)

// raise raises an alarm now. The same kind of the same gate within alarmEvery
// is only counted, and told with the next.
func (h *Hub) raise(ctx context.Context, a store.Alarm) error {
	a.At = h.now()
	a.LastAt = a.At
	more, due := h.alarms.due(a.Kind, a.Gate, a.At)
	if !due {
		return nil
	}
	a.Count = 1 + more
	if err := h.store.Raise(ctx, a); err != nil {
		h.alarms.failed(a.Kind, a.Gate, a.Count)
		return fmt.Errorf("raise alarm %s: %w", a.Kind, err)
	}
	h.metrics.alarms.WithLabelValues(a.Kind).Inc()
	h.log.Warn("alarm", "kind", a.Kind, "gate", a.Gate, "venue", a.Venue, "text", a.Text)
	return nil
}

// raiseAside raises an alarm beside an answer that is given all the same. One
// that the store does not take is kept in memory and raised at the next upkeep.
func (h *Hub) raiseAside(ctx context.Context, a store.Alarm) {
	ctx, cancel := context.WithTimeout(ctx, h.limits.PutTimeout)
	defer cancel()
	if err := h.raise(ctx, a); err != nil {
		h.alarms.keep(a)
		h.log.Error("alarm not written yet", "kind", a.Kind, "gate", a.Gate, "error", err)
	}
}

// raiseKept raises what the store did not take before.
func (h *Hub) raiseKept(ctx context.Context) (failed error) {
	for _, a := range h.alarms.takeKept() {
		if err := h.raise(ctx, a); err != nil {
			h.alarms.keep(a)
			failed = err
		}
	}
	return failed
}

type alarmThrottle struct {
	mu   sync.Mutex
	last map[alarmName]*lastAlarm
	kept map[alarmName]store.Alarm // not written yet
}

type alarmName struct{ kind, gate string }

type lastAlarm struct {
	at   time.Time
	more uint64 // came since
}

func newAlarmThrottle() *alarmThrottle {
	return &alarmThrottle{last: map[alarmName]*lastAlarm{}, kept: map[alarmName]store.Alarm{}}
}

func (t *alarmThrottle) due(kind, gate string, now time.Time) (more uint64, due bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	name := alarmName{kind, gate}
	l := t.last[name]
	if l == nil {
		if len(t.last) >= maxAlarms {
			clear(t.last)
		}
		t.last[name] = &lastAlarm{at: now}
		return 0, true
	}
	if since := now.Sub(l.at); since >= 0 && since < alarmEvery {
		l.more++
		return 0, false
	}
	more, l.at, l.more = l.more, now, 0
	return more, true
}

// failed lets the next one try again, with what this one would have told.
func (t *alarmThrottle) failed(kind, gate string, count uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.last[alarmName{kind, gate}]; l != nil {
		l.at, l.more = time.Time{}, l.more+count
	}
}

func (t *alarmThrottle) keep(a store.Alarm) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.kept) < maxAlarms {
		t.kept[alarmName{a.Kind, a.Gate}] = a
	}
}

func (t *alarmThrottle) takeKept() (kept []store.Alarm) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.kept {
		kept = append(kept, a)
	}
	clear(t.kept)
	return kept
}
