package localdb

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
)

// Attempt is an enrolment under way: the keys that a gate proves with a token.
// A token counts once, for one pair of keys, so a gate whose answer got lost
// must ask again with the same.
type Attempt struct {
	TLSKey      []byte // PKCS #8
	SegmentSeed []byte // 32 bytes
}

// Attempt gives the keys that were kept for a token, by SHA-256 of its secret;
// ok is false when the last attempt was with another, or there was none.
func (db *DB) Attempt(ctx context.Context, token [32]byte) (a Attempt, ok bool, err error) {
	if db.closed.Load() {
		return a, false, ErrClosed
	}
	err = db.reader().QueryRowContext(ctx, `SELECT tls_key, seed FROM attempt WHERE token = ?`, token[:]).Scan(&a.TLSKey, &a.SegmentSeed)
	if errors.Is(err, sql.ErrNoRows) {
		return a, false, nil
	}
	return a, err == nil, db.explain("read the keys of an enrolment", err)
}

// KeepAttempt keeps the keys for a token, before they are used, in place of
// those of the attempt before. Enrol and NewDevice drop them, too.
func (db *DB) KeepAttempt(ctx context.Context, token [32]byte, a Attempt) error {
	if len(a.TLSKey) == 0 || len(a.TLSKey) > 16<<10 || len(a.SegmentSeed) != ed25519.SeedSize {
		return ErrEnrol
	}
	return db.exclusive(ctx, "keep the keys of an enrolment", func(t *txn) error {
		db.owed = true
		_, err := db.conn.ExecContext(t.ctx, `INSERT OR REPLACE INTO attempt (id, token, tls_key, seed) VALUES (1, ?, ?, ?)`,
			token[:], a.TLSKey, a.SegmentSeed)
		return err
	})
}

// DropAttempt forgets them: a hub said that nothing can come of it.
func (db *DB) DropAttempt(ctx context.Context) error {
	return db.exclusive(ctx, "forget the keys of an enrolment", func(t *txn) error {
		db.owed = true
		return t.dropAttempt()
	})
}

// dropAttempt ends it: the keys stand in the enrolment, or nowhere.
func (t *txn) dropAttempt() error {
	_, err := t.db.conn.ExecContext(t.ctx, `DELETE FROM attempt`)
	return err
}
