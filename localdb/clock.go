package localdb

import (
	"context"
	"database/sql"

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
	return db.setClock(ctx, nil, func(c Clock) Clock {
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
		next := change(db.Clock())
		_, err := db.conn.ExecContext(t.ctx, `UPDATE gate SET floor = ?, anchor = ?, ran = ?`,
			next.FloorMS, next.AnchorMS, int64(next.RanMS))
		if err != nil {
			return err
		}
		t.done = func() { db.clock = next }
		if event != nil {
			return t.add(*event)
		}
		return nil
	})
}

// InstallTrust puts a snapshot beside the newest before it, of which it keeps
// one, and writes an event row, in one transaction. It returns ErrOlder for a
// lower version than the newest, ErrConflict for the same version with other
// bytes, and nil without a change for the same again. The signature was checked
// before.
func (db *DB) InstallTrust(ctx context.Context, at record.Stamp, n Trust) error {
	if len(n.Bytes) == 0 || len(n.Bytes) > MaxTrust || len(n.KeyID) > 64 || n.Version == 0 || n.Version > 1<<63-1 {
		return ErrTrust
	}
	return db.exclusive(ctx, "install trust", func(t *txn) error {
		var version int64
		var bytes []byte
		err := db.conn.QueryRowContext(t.ctx, `SELECT version, bytes FROM trust ORDER BY version DESC LIMIT 1`).Scan(&version, &bytes)
		switch {
		case err == sql.ErrNoRows:
		case err != nil:
			return err
		case n.Version < uint64(version):
			return ErrOlder
		case n.Version == uint64(version) && string(bytes) != string(n.Bytes):
			return ErrConflict
		case n.Version == uint64(version):
			return nil
		}
		_, err = db.conn.ExecContext(t.ctx, `INSERT INTO trust (version, key_id, bytes, installed) VALUES (?, ?, ?, ?)`,
			int64(n.Version), n.KeyID, n.Bytes, at.WallMS)
		if err != nil {
			return err
		}
		_, err = db.conn.ExecContext(t.ctx, `DELETE FROM trust WHERE version NOT IN
			(SELECT version FROM trust ORDER BY version DESC LIMIT 2)`)
		if err != nil {
			return err
		}
		return t.add(record.Draft{Stamp: at, Body: record.Event{Code: record.EventTrust,
			Value: int64(n.Version), Text: record.CutText(n.KeyID)}})
	})
}

// Trust is the newest snapshot and, after it, the one before; empty when nothing
// was installed. The caller checks the signature again: the file may have been
// written to.
func (db *DB) Trust(ctx context.Context) ([]Trust, error) {
	if db.closed.Load() {
		return nil, ErrClosed
	}
	rows, err := db.reader.QueryContext(ctx, `SELECT version, key_id, bytes, installed FROM trust ORDER BY version DESC`)
	if err != nil {
		return nil, db.explain("read trust", err)
	}
	defer rows.Close()
	var all []Trust
	for rows.Next() {
		var t Trust
		var version int64
		if err := rows.Scan(&version, &t.KeyID, &t.Bytes, &t.InstalledMS); err != nil {
			return nil, db.explain("read trust", err)
		}
		t.Version = uint64(version)
		all = append(all, t)
	}
	return all, db.explain("read trust", rows.Err())
}
