package localdb

import (
	"context"

	"checkpoint/record"
)

// Clock is what the file knows about time.
func (db *DB) Clock() Clock {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.clock
}

// RaiseFloor lifts the floor; a lower one changes nothing. It is durable when
// it returns: call it once a minute rather than once a row.
func (db *DB) RaiseFloor(ctx context.Context, floorMS int64) error {
	if floorMS <= db.Clock().FloorMS {
		return nil
	}
	return db.setClock(ctx, nil, func(c Clock) Clock {
		c.FloorMS = max(c.FloorMS, floorMS)
		return c
	})
}

// RaiseAnchor lifts the anchor, and the floor with it, and begins RanMS anew; a
// lower one changes nothing.
func (db *DB) RaiseAnchor(ctx context.Context, at record.Stamp, anchorMS int64) error {
	if anchorMS <= db.Clock().AnchorMS {
		return nil
	}
	return db.exclusive(ctx, "write the time", func(t *txn) error { return t.raiseAnchor(anchorMS) })
}

func (t *txn) raiseAnchor(anchorMS int64) error {
	return t.setClock(func(c Clock) Clock {
		if anchorMS > c.AnchorMS {
			c = Clock{AnchorMS: anchorMS, FloorMS: max(c.FloorMS, anchorMS)}
		}
		return c
	})
}

// LowerFloor sets the floor to the anchor and writes an event row. Only a
// technician may ask for it.
func (db *DB) LowerFloor(ctx context.Context, at record.Stamp) error {
	before := db.Clock().FloorMS
	event := &record.Draft{Stamp: at, Body: record.Event{Code: record.EventFloorLowered, Value: before}}
	return db.setClock(ctx, event, func(c Clock) Clock {
		c.FloorMS = c.AnchorMS
		return c
	})
}

func (db *DB) setClock(ctx context.Context, event *record.Draft, change func(Clock) Clock) error {
	return db.exclusive(ctx, "write the time", func(t *txn) error {
		if err := t.setClock(change); err != nil || event == nil {
			return err
		}
		return t.add(*event)
	})
}

func (t *txn) setClock(change func(Clock) Clock) error {
	now := t.db.Clock()
	next := change(now)
	if next == now {
		return nil
	}
	_, err := t.db.conn.ExecContext(t.ctx, `UPDATE gate SET floor = ?, anchor = ?, ran = ?`,
		next.FloorMS, next.AnchorMS, int64(next.RanMS))
	t.done = append(t.done, func() { t.db.clock = next })
	return err
}
