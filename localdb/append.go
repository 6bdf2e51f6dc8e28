package localdb

import (
	"context"

	"checkpoint/record"
)

// request is one Append that waits for the writer.
type request struct {
	ctx    context.Context
	drafts []record.Draft
	done   chan answer
}

type answer struct {
	first uint64
	err   error
}

// Append writes the drafts as rows, one after the other and in one transaction,
// and returns the number of the first when all are on the disk. An error means
// that none was written. It does not return early once the write has begun, not
// even when ctx ends: who wants to wait less runs it in a goroutine.
//
// It returns ErrFull at the cap and ErrNoSpace on a full disk (event and count
// rows still find room at the cap), ErrNoScan and ErrVoided for a choice or
// void about what is not there, ErrIdentity, and record.ErrRow.
func (db *DB) Append(ctx context.Context, drafts ...record.Draft) (first uint64, err error) {
	if len(drafts) == 0 {
		return 0, record.ErrRow
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	r := &request{ctx: ctx, drafts: drafts, done: make(chan answer, 1)}
	select {
	case db.requests <- r:
	case <-db.quit:
		return 0, ErrClosed
	}
	select {
	case a := <-r.done:
		return a.first, a.err
	case <-db.ended:
	}
	// The writer has gone; it may have answered just before.
	select {
	case a := <-r.done:
		return a.first, a.err
	default:
		return 0, ErrClosed
	}
}

// serve is the writer's goroutine: one transaction for all that wait. It ends
// when quit is closed.
func (db *DB) serve() {
	defer close(db.ended)
	batch := make([]*request, 0, maxBatch)
	for {
		batch = batch[:0]
		select {
		case r := <-db.requests:
			batch = append(batch, r)
		case <-db.quit:
			return
		}
	more:
		for len(batch) < maxBatch {
			select {
			case r := <-db.requests:
				batch = append(batch, r)
			default:
				break more
			}
		}
		db.group(batch)
	}
}

// group writes a batch in one transaction. A request that cannot become rows
// gets its own answer and does not keep the others back.
func (db *DB) group(batch []*request) {
	answers := make([]answer, len(batch))
	err := db.exclusive(context.Background(), "write a row", func(t *txn) error {
		rows := 0
		for _, r := range batch {
			rows += len(r.drafts)
		}
		room := db.room(t.ctx, rows)
		for i, r := range batch {
			if answers[i].err = r.ctx.Err(); answers[i].err != nil {
				continue
			}
			if room != nil && !(room.cap && small(r.drafts)) {
				answers[i].err = room.err
				continue
			}
			if answers[i].err = t.check(r.drafts); answers[i].err != nil {
				continue
			}
			answers[i].first = t.seq + 1
			for _, d := range r.drafts {
				if err := t.add(d); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for i, r := range batch {
		if err != nil && answers[i].err == nil {
			answers[i] = answer{err: err}
		}
		r.done <- answers[i]
	}
}

// small reports whether the drafts are such as say why there is no room.
func small(drafts []record.Draft) bool {
	for _, d := range drafts {
		switch d.Body.(type) {
		case record.Event, record.Count:
		default:
			return false
		}
	}
	return true
}
