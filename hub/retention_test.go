package hub

import (
	"context"
	"testing"
	"time"
)

func TestDaysPastRetentionAreDropped(t *testing.T) {
	ctx := context.Background()
	w := newTown(t)
	w.furnish() // holds 2026-10-01 and 2026-11-25
	before, err := w.store.ListDays(ctx)
	if err != nil {
		t.Fatal(err)
	}
	retired := func() (ids []string) {
		days, err := w.store.ListDays(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range days {
			if d.Retired {
				ids = append(ids, d.ID)
			}
		}
		return ids
	}
	if err := w.hub.upkeepDays(ctx); err != nil || len(retired()) != 0 {
		t.Fatalf("without a retention %v went, %v", retired(), err)
	}
	ended := time.Date(2026, 10, 2, 0, 0, 0, 0, time.UTC)
	w.hub.cfg.Retention = w.now().Sub(ended) + time.Minute
	if err := w.hub.upkeepDays(ctx); err != nil || len(retired()) != 0 {
		t.Errorf("a minute before its time %v went, %v", retired(), err)
	}
	w.hub.cfg.Retention, w.hub.daysLooked = w.now().Sub(ended)-time.Minute, time.Time{}
	if err := w.hub.upkeepDays(ctx); err != nil {
		t.Fatal(err)
	}
	if got := retired(); len(got) != 1 || got[0] != "2026-10-01" {
		t.Errorf("of %d days %v went, want 2026-10-01", len(before), got)
	}
	acts, err := w.store.ListActs(ctx, nil, 0, 1)
	if err != nil || len(acts) != 1 || acts[0].What != "day_dropped" || acts[0].On != "2026-10-01" || acts[0].Role != "hub" {
		t.Errorf("recorded as %+v, %v", acts, err)
	}
}

func TestRetentionLeavesGatesTheirTime(t *testing.T) {
	w := newTown(t)
	cfg := w.hub.cfg
	cfg.Retention = retireAfter - time.Hour
	if _, err := New(cfg); err == nil {
		t.Error("a hub that drops what a gate may still bring")
	}
}
