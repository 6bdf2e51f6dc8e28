package localdb

import (
	"context"
	"fmt"
	"math"

	"checkpoint/record"
)

// Forms of the file, as its user_version tells them.
const (
	withHub    = 2 // segments, enrolment, repository, erased days
	newestForm = 2
)

// load reads what stays in memory: who and where we are, and the names.
func (db *DB) load(ctx context.Context) error {
	at, err := readStand(ctx, db.path, db.conn, newestForm)
	if err != nil {
		return err
	}
	db.head, db.link, db.purged, db.run = at.seq, at.link, at.purged, at.seq
	db.clock, db.flushes = at.clock, at.flushes
	if db.side, err = openSide(db.path+"-side", at.born); err != nil {
		return err
	}
	if err := db.loadEpochs(ctx); err != nil {
		return err
	}
	if err := db.loadNames(ctx); err != nil {
		return err
	}
	db.box, db.settled, err = readOutbox(ctx, db.conn)
	return err
}

// stand is where a file stands: its tables of one row.
type stand struct {
	born    [8]byte
	seq     uint64 // newest row
	link    record.Link
	purged  uint64 // rows up to here are gone
	clock   Clock
	flushes uint64
}

// readStand reads it from a file of some form, and checks that the rows, or the
// holes where they were erased, are those it speaks of.
func readStand(ctx context.Context, path string, q querier, form int) (s stand, err error) {
	var born, link []byte
	var seq, purged, floor, anchor, ran, flushes int64
	err = q.QueryRowContext(ctx, `SELECT born, purged, floor, anchor, ran, flushes FROM gate`).
		Scan(&born, &purged, &floor, &anchor, &ran, &flushes)
	if err != nil {
		return s, err
	}
	if err := q.QueryRowContext(ctx, `SELECT seq, link FROM head`).Scan(&seq, &link); err != nil {
		return s, err
	}
	var newest, oldest int64
	err = q.QueryRowContext(ctx, `SELECT coalesce((SELECT max(seq) FROM row), ?), coalesce((SELECT min(seq) FROM row), ?)`,
		purged, purged+1).Scan(&newest, &oldest)
	if err != nil {
		return s, err
	}
	if form >= withHub {
		var first, last int64
		err := q.QueryRowContext(ctx, `SELECT coalesce((SELECT max(last) FROM erased), 0), coalesce((SELECT min(first) FROM erased), ?)`,
			int64(math.MaxInt64)).Scan(&last, &first)
		if err != nil {
			return s, err
		}
		newest, oldest = max(newest, last), min(oldest, first)
	}
	if len(born) != 8 || len(link) != 16 || newest != seq || oldest != purged+1 {
		return s, failure(path, ErrDamaged, fmt.Errorf("rows %d to %d, expected %d to %d", oldest, newest, purged+1, seq))
	}
	return stand{
		born: [8]byte(born), seq: uint64(seq), link: record.Link(link), purged: uint64(purged),
		clock: Clock{FloorMS: floor, AnchorMS: anchor, RanMS: uint64(ran)}, flushes: uint64(flushes),
	}, nil
}

func (db *DB) loadEpochs(ctx context.Context) error {
	rows, err := db.conn.QueryContext(ctx, `SELECT id, device, epoch, first, hardware, cuts FROM epoch ORDER BY id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var e epoch
		var device, name []byte
		var first, cuts int64
		if err := rows.Scan(&e.id, &device, &name, &first, &e.hardware, &cuts); err != nil {
			return err
		}
		if len(device) != 16 || len(name) != 8 {
			return db.fail(ErrDamaged, nil)
		}
		e.identity = record.Identity{Device: [16]byte(device), Epoch: [8]byte(name)}
		e.first, e.cuts = uint64(first), uint64(cuts)
		db.epochs = append(db.epochs, e)
		db.id = e.identity
	}
	return rows.Err()
}

func (db *DB) loadNames(ctx context.Context) error {
	n := &db.names
	n.init()
	rows, err := db.conn.QueryContext(ctx, `SELECT id, boot, wall, mono FROM session`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, wall, mono int64
		var boot []byte
		if err := rows.Scan(&id, &boot, &wall, &mono); err != nil {
			return err
		}
		if len(boot) != 16 {
			return db.fail(ErrDamaged, nil)
		}
		n.sessions[uint64(id)] = session{boot: [16]byte(boot), wall: wall, mono: uint64(mono)}
		n.lastSession = max(n.lastSession, uint64(id))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	judges, err := db.conn.QueryContext(ctx, `SELECT id, format, issuer, trust FROM judge`)
	if err != nil {
		return err
	}
	defer judges.Close()
	for judges.Next() {
		var id, trust int64
		var j judge
		if err := judges.Scan(&id, &j.format, &j.issuer, &trust); err != nil {
			return err
		}
		j.trust = uint64(trust)
		n.judges[uint64(id)] = j // not in judgeIDs: each run names its own
		n.lastJudge = max(n.lastJudge, uint64(id))
	}
	if err := judges.Err(); err != nil {
		return err
	}
	contexts, err := db.conn.QueryContext(ctx, `SELECT id, name FROM context`)
	if err != nil {
		return err
	}
	defer contexts.Close()
	for contexts.Next() {
		var id int64
		var name []byte
		if err := contexts.Scan(&id, &name); err != nil {
			return err
		}
		if len(name) != 16 {
			return db.fail(ErrDamaged, nil)
		}
		n.contexts[uint64(id)] = [16]byte(name)
		n.lastContext = max(n.lastContext, uint64(id))
	}
	return contexts.Err()
}

// identityAt is who wrote the row with this number.
func identityAt(epochs []epoch, seq uint64) record.Identity {
	for i := len(epochs) - 1; i >= 0; i-- {
		if epochs[i].first <= seq {
			return epochs[i].identity
		}
	}
	return record.Identity{}
}

// Identity is the device and epoch of the rows that are written now. It changes
// only in NewEpoch.
func (db *DB) Identity() record.Identity {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.id
}

// Head is the newest row's number and link: what an upstream compares to see
// that two gates write under one identity (a copy that went on shows as the
// same device, epoch and number with another link).
func (db *DB) Head() (seq uint64, link record.Link) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.head, db.link
}

// NewEpoch begins a new epoch, with an event row as its first. Sealers of the
// old one are of no use any more: make new ones for Identity.
func (db *DB) NewEpoch(ctx context.Context, at record.Stamp, why string) error {
	return db.exclusive(ctx, "begin an epoch", func(t *txn) error { return t.newEpoch(at, why) })
}

func (t *txn) newEpoch(at record.Stamp, why string) error {
	db := t.db
	e := epoch{id: 1, identity: t.id, first: t.seq + 1, hardware: hardwareSum(db.o.HardwareID)}
	if n := len(t.epochs); n > 0 {
		e.id = t.epochs[n-1].id + 1
	} else {
		random(e.identity.Device[:])
	}
	random(e.identity.Epoch[:])
	_, err := db.conn.ExecContext(t.ctx, `INSERT INTO epoch (id, device, epoch, first, hardware) VALUES (?, ?, ?, ?, ?)`,
		e.id, e.identity.Device[:], e.identity.Epoch[:], int64(e.first), e.hardware)
	if err != nil {
		return err
	}
	before := t.seq
	t.id, t.epochs = e.identity, append(t.epochs[:len(t.epochs):len(t.epochs)], e)
	return t.add(record.Draft{Stamp: at, Body: record.Event{
		Code: record.EventEpoch, Value: int64(before), Text: record.CutText(why)}})
}
