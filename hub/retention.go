package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"checkpoint/hub/store"
)

// retentionEvery is how often a hub looks for days that have had their time.
const retentionEvery = time.Hour

// upkeepDays drops the partitions of days that are past Config.Retention, each
// as an act of the hub's own. Days whose name is no date stay until somebody
// drops them.
func (h *Hub) upkeepDays(ctx context.Context) error {
	if h.cfg.Retention == 0 {
		return nil
	}
	now := h.now()
	if since := now.Sub(h.daysLooked); since >= 0 && since < retentionEvery {
		return nil
	}
	days, err := h.store.ListDays(ctx)
	if err != nil {
		return fmt.Errorf("list days: %w", err)
	}
	var errs []error
	for _, d := range days {
		if d.Destroyed || d.Retired || !h.pastRetention(d.ID, now) {
			continue
		}
		act := store.Act{Who: "hub", Role: "hub", What: "day_dropped", On: d.ID, Text: "past retention"}
		err := h.change(ctx, act, func() error { return h.store.DropDay(ctx, d.ID, false, now) })
		if err != nil {
			errs = append(errs, fmt.Errorf("drop day %s: %w", d.ID, err))
			continue
		}
		h.log.Info("a day past retention was dropped", "day", d.ID, "segments", d.Segments)
	}
	if err := errors.Join(errs...); err != nil {
		return err // looked for again with the next upkeep
	}
	h.daysLooked = now
	return nil
}

// pastRetention says whether a day ended longer ago than the retention.
func (h *Hub) pastRetention(day string, now time.Time) bool {
	date, err := time.Parse(time.DateOnly, day)
	return err == nil && now.Sub(date.AddDate(0, 0, 1)) > h.cfg.Retention
}
