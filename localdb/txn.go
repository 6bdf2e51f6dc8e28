package localdb

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	"checkpoint/record"
)

// linkEvery is how many rows stand between two stored links. The links between
// them follow from the rows; the newest stands in head with every commit.
const linkEvery = 100

// sessionMS is how long times count from one session's start: a day keeps them
// at four bytes.
const sessionMS = 24 * 60 * 60 * 1000

// maxBatch is how many Appends share one commit at most.
const maxBatch = 64

// txn is one write transaction: the rows it adds and where they leave the
// sequence. Nothing of it is seen before its commit.
type txn struct {
	db      *DB
	ctx     context.Context
	start   uint64 // the newest row before
	seq     uint64
	link    record.Link
	id      record.Identity
	epochs  []epoch
	purged  uint64
	settled ranges
	box     outbox
	tallies []hourKey
	short   []byte
	full    []byte

	done, undo []func() // after the commit, or after a failure; db.mu is held
}

// epoch is one line of the table of that name.
type epoch struct {
	id       int64
	identity record.Identity
	first    uint64
	hardware []byte
	cuts     uint64 // number of its newest segment
}

// statements are the hot ones, prepared on the writer's connection.
type statements struct {
	begin, commit, rollback                   *sql.Stmt
	row, link, head, session, judge, contexts *sql.Stmt
	find, voided, void                        *sql.Stmt
	all                                       []*sql.Stmt
}

func (s *statements) prepare(ctx context.Context, conn *sql.Conn) error {
	for _, p := range []struct {
		to  **sql.Stmt
		sql string
	}{
		{&s.begin, "BEGIN IMMEDIATE"},
		{&s.commit, "COMMIT"},
		{&s.rollback, "ROLLBACK"},
		{&s.row, "INSERT INTO row (seq, body) VALUES (?, ?)"},
		{&s.link, "INSERT INTO link (seq, link) VALUES (?, ?)"},
		{&s.head, "UPDATE head SET seq = ?, link = ?"},
		{&s.session, "INSERT INTO session (id, run, boot, wall, mono) VALUES (?, ?, ?, ?, ?)"},
		{&s.judge, "INSERT INTO judge (id, run, format, issuer, trust) VALUES (?, ?, ?, ?, ?)"},
		{&s.contexts, "INSERT INTO context (id, run, name, epoch, day, enc, began) VALUES (?, ?, ?, ?, ?, ?, ?)"},
		{&s.find, "SELECT body FROM row WHERE seq = ?"},
		{&s.voided, "SELECT count(*) FROM voided WHERE seq = ?"},
		{&s.void, "INSERT INTO voided (seq) VALUES (?)"},
	} {
		stmt, err := conn.PrepareContext(ctx, p.sql)
		if err != nil {
			return err
		}
		*p.to = stmt
		s.all = append(s.all, stmt)
	}
	return nil
}

func (s *statements) close() {
	for _, stmt := range s.all {
		stmt.Close()
	}
	s.all = nil
}

// exclusive runs do in one durable transaction. It holds everything back when
// do, or the commit, fails: then nothing was written.
func (db *DB) exclusive(ctx context.Context, op string, do func(t *txn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	db.write.Lock()
	defer db.write.Unlock()
	if db.closed.Load() {
		return ErrClosed
	}
	// Once begun it is seen through: a context that ends in the middle would
	// leave the caller not knowing whether the row is there.
	ctx = context.WithoutCancel(ctx)
	db.mu.RLock()
	t := &txn{db: db, ctx: ctx, start: db.head, seq: db.head, link: db.link, id: db.id, epochs: db.epochs, purged: db.purged,
		settled: db.settled, box: db.box}
	db.mu.RUnlock()
	session, at := db.now.session, db.now.at

	if db.broken != nil {
		if db.broken = db.connect(ctx); db.broken != nil {
			return db.explain(op, db.broken)
		}
	}
	if _, err := db.stmt.begin.ExecContext(ctx); err != nil {
		return db.explain(op, err)
	}
	var err error
	if db.due != "" {
		err = t.newEpoch(db.o.Now(), db.due)
	}
	if err == nil {
		err = do(t)
	}
	if err == nil && t.seq != t.start {
		_, err = db.stmt.head.ExecContext(ctx, int64(t.seq), t.link[:])
	}
	if err == nil {
		_, err = db.stmt.commit.ExecContext(ctx)
	}
	if err != nil {
		// After a failed commit SQLite may have rolled back by itself; then this
		// says "no transaction", which is what we want.
		db.stmt.rollback.ExecContext(ctx)
		db.names.forget()
		db.now.session, db.now.at = session, at
		db.mu.Lock()
		for _, undo := range t.undo {
			undo()
		}
		db.mu.Unlock()
		return db.explain(op, err)
	}
	db.names.keep()
	db.commits++
	db.due = ""
	db.mu.Lock()
	defer db.mu.Unlock()
	db.head, db.link, db.id, db.epochs, db.purged = t.seq, t.link, t.id, t.epochs, t.purged
	db.settled, db.box = t.settled, t.box
	for _, done := range t.done {
		done()
	}
	for _, key := range t.tallies {
		sum := db.pending[key]
		sum.rows++
		db.pending[key] = sum
	}
	return nil
}

// check says whether the drafts can become rows, before any of them is written.
func (t *txn) check(drafts []record.Draft) error {
	var voids map[uint64]bool
	for _, d := range drafts {
		if err := d.Check(); err != nil {
			return err
		}
		switch body := d.Body.(type) {
		case record.Scan:
			if len(body.Sealed.Box) == 0 {
				continue
			}
			if d.Context == nil || d.Context.ID != body.Sealed.Context {
				return fmt.Errorf("%w: sealed scan without its context", record.ErrRow)
			}
			if d.Context.Identity != t.id {
				return ErrIdentity
			}
		case record.Choice:
			if err := t.scanExists(body.To); err != nil {
				return err
			}
		case record.Void:
			if err := t.scanExists(body.To); err != nil {
				return err
			}
			var n int
			if err := t.db.stmt.voided.QueryRowContext(t.ctx, int64(body.To)).Scan(&n); err != nil {
				return err
			}
			if n > 0 || voids[body.To] {
				return fmt.Errorf("%w: %d", ErrVoided, body.To)
			}
			if voids == nil {
				voids = make(map[uint64]bool)
			}
			voids[body.To] = true
		}
	}
	return nil
}

func (t *txn) scanExists(seq uint64) error {
	if seq > t.seq || seq <= t.purged {
		return fmt.Errorf("%w: %d", ErrNoScan, seq)
	}
	var body []byte
	err := t.db.stmt.find.QueryRowContext(t.ctx, int64(seq)).Scan(&body)
	if err == sql.ErrNoRows {
		return fmt.Errorf("%w: %d", ErrNoScan, seq)
	}
	if err != nil {
		return err
	}
	if len(body) == 0 || record.Kind(body[0]&shortKind) != record.KindScan {
		return fmt.Errorf("%w: row %d is none", ErrNoScan, seq)
	}
	return nil
}

// add writes one row that check has let through.
func (t *txn) add(d record.Draft) error {
	if t.seq >= math.MaxInt64 {
		return fmt.Errorf("%w: no number left", record.ErrRow)
	}
	db, seq := t.db, t.seq+1
	full, err := record.AppendRow(t.full[:0], record.Row{Identity: t.id, Seq: seq, Stamp: d.Stamp, Body: d.Body})
	if err != nil {
		return err
	}
	t.full = full
	ids, base, err := t.nameAll(d)
	if err != nil {
		return err
	}
	t.short = appendShort(t.short[:0], d, base, ids)
	if _, err := db.stmt.row.ExecContext(t.ctx, int64(seq), t.short); err != nil {
		return err
	}
	t.seq, t.link = seq, t.link.Next(full)
	if seq%linkEvery == 0 {
		if _, err := db.stmt.link.ExecContext(t.ctx, int64(seq), t.link[:]); err != nil {
			return err
		}
	}
	switch body := d.Body.(type) {
	case record.Scan:
		t.tallies = append(t.tallies, hourKey{hourOf(d.WallMS), body.Verdict, body.Reason})
	case record.Void:
		if _, err := db.stmt.void.ExecContext(t.ctx, int64(body.To)); err != nil {
			return err
		}
	}
	return nil
}

// nameAll gives the ids that the row's short form names, making those that are
// new.
func (t *txn) nameAll(d record.Draft) (ids shortIDs, base session, err error) {
	db := t.db
	ids.session, base, err = t.session(d.Stamp)
	scan, ok := d.Body.(record.Scan)
	if err != nil || !ok {
		return ids, base, err
	}
	j := judge{format: scan.Format, issuer: scan.Issuer, trust: scan.Trust}
	if ids.judge, ok = db.names.judgeIDs[j]; !ok {
		ids.judge = db.names.addJudge(j)
		_, err := db.stmt.judge.ExecContext(t.ctx, int64(ids.judge), int64(db.run), j.format, j.issuer, int64(j.trust))
		if err != nil {
			return ids, base, err
		}
	}
	if len(scan.Sealed.Box) == 0 {
		return ids, base, nil
	}
	if ids.context, ok = db.names.contextIDs[d.Context.ID]; !ok {
		ids.context = db.names.addContext(d.Context)
		_, err := db.stmt.contexts.ExecContext(t.ctx, int64(ids.context), int64(db.run), d.Context.ID[:],
			t.epochs[len(t.epochs)-1].id, d.Context.Day, d.Context.Enc, int64(d.Context.BeganMS))
		if err != nil {
			return ids, base, err
		}
	}
	return ids, base, nil
}

func (t *txn) session(at record.Stamp) (uint64, session, error) {
	db := t.db
	away := at.WallMS - db.now.at.WallMS
	if db.now.session != 0 && at.Boot == db.now.at.Boot && away > -sessionMS && away < sessionMS {
		return db.now.session, session{boot: at.Boot, wall: db.now.at.WallMS, mono: db.now.at.MonoMS}, nil
	}
	s := session{boot: at.Boot, wall: at.WallMS, mono: at.MonoMS}
	id := db.names.addSession(s)
	db.now.session, db.now.at = id, at
	_, err := db.stmt.session.ExecContext(t.ctx, int64(id), int64(db.run), s.boot[:], s.wall, int64(s.mono))
	return id, s, err
}
