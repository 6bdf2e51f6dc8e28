package localdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"checkpoint/record"
)

// Settle keeps a receipt, or a signed refusal, that a hub gave for a segment:
// from now on retention alone decides how long its rows stay. The caller has
// checked the signature; raw are the receipt's bytes. Receipts may come in any
// order, late, and twice; a segment that is stored stays so. A refusal is
// counted, and is an alarm among the rows, once.
//
// It returns record.ErrReceipt when the receipt is not of a segment of this
// file, or of other bytes than were cut.
func (db *DB) Settle(ctx context.Context, at record.Stamp, r record.Receipt, raw []byte) error {
	parsed, err := record.ParseReceipt(raw)
	if err != nil {
		return err
	}
	if parsed != r {
		return fmt.Errorf("%w: its bytes say something else", record.ErrReceipt)
	}
	return db.exclusive(ctx, "keep a receipt", func(t *txn) error { return t.settle(at, r, raw) })
}

func (t *txn) settle(at record.Stamp, r record.Receipt, raw []byte) error {
	i := epochNamed(t.epochs, r.Identity)
	if i < 0 || r.Number > t.epochs[i].cuts {
		return fmt.Errorf("%w: of another gate's segment", record.ErrReceipt)
	}
	c, err := readCut(t.ctx, t.db.conn, `epoch = ? AND number = ?`, t.epochs[i].id, int64(r.Number))
	if errors.Is(err, sql.ErrNoRows) {
		return nil // settled before, and purged
	}
	if err != nil {
		return err
	}
	if !r.Covers(c.Cut) {
		return fmt.Errorf("%w: of another segment %d", record.ErrReceipt, r.Number)
	}
	state := cutStored
	if r.Disposition == record.Refused {
		state = cutRefused
	}
	if c.state == cutStored || c.state == cutErased || c.state == state {
		return nil
	}
	_, err = t.db.conn.ExecContext(t.ctx, `UPDATE cut SET state = ?, answer = ? WHERE first = ?`, state, raw, int64(c.First))
	if err != nil {
		return err
	}
	t.closed(c)
	if state == cutStored {
		return nil
	}
	t.box.refused++
	if _, err := t.db.conn.ExecContext(t.ctx, `UPDATE gate SET refused = ?`, int64(t.box.refused)); err != nil {
		return err
	}
	return t.alarm(at, fmt.Sprintf("segment %d refused for good: %s", c.Number, refusalWord(r.Reason)))
}

// closed takes a segment out of those that are open; it was in c.state.
func (t *txn) closed(c cutRow) {
	switch c.state {
	case cutWaits:
		t.box.open--
	case cutAside:
		t.box.poison--
	}
	t.settled = t.settled.add(span{c.First, c.Last})
}

func (t *txn) alarm(at record.Stamp, text string) error {
	return t.add(record.Draft{Stamp: at, Body: record.Event{Code: record.EventAlarm, Text: record.CutText(text)}})
}

func refusalWord(r record.RefusedFor) string {
	switch r {
	case record.ForForm:
		return "form"
	case record.ForSignature:
		return "signature"
	case record.ForVenue:
		return "venue"
	case record.ForRetention:
		return "retention"
	case record.ForDestroyed:
		return "day destroyed"
	}
	return strconv.Itoa(int(r))
}

// SetAside keeps a segment that its hub will not have and signs no refusal for:
// NextCut skips it, no purge takes its rows, Status counts it, and an alarm row
// says why. With newEpoch a new epoch begins in the same transaction, unless
// one has begun since the segment's rows were written: another gate writes
// under this identity. Again, or after it was settled, it changes nothing.
//
// It returns ErrNoCut when there is no such segment with these bytes.
func (db *DB) SetAside(ctx context.Context, at record.Stamp, c record.Cut, why string, newEpoch bool) error {
	return db.exclusive(ctx, "set a segment aside", func(t *txn) error {
		i := epochNamed(t.epochs, c.Identity)
		if i < 0 {
			return ErrNoCut
		}
		row, err := readCut(t.ctx, db.conn, `epoch = ? AND number = ?`, t.epochs[i].id, int64(c.Number))
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return ErrNoCut
		case err != nil:
			return err
		case row.SHA256 != c.SHA256:
			return ErrNoCut
		case row.state != cutWaits:
			return nil
		}
		_, err = db.conn.ExecContext(t.ctx, `UPDATE cut SET state = 3, why = ? WHERE first = ?`, record.CutText(why), int64(row.First))
		if err != nil {
			return err
		}
		t.box.open--
		t.box.poison++
		if newEpoch && c.Identity == t.id {
			if err := t.newEpoch(at, "another gate under this identity"); err != nil {
				return err
			}
		}
		return t.alarm(at, fmt.Sprintf("segment %d set aside: %s", c.Number, why))
	})
}
