package localdb

import (
	"context"
	"database/sql"

	"checkpoint/record"
)

// MaxTrust is the largest snapshot in bytes.
const MaxTrust = 64 << 20

// Trust is one installed snapshot, as it was signed.
type Trust struct {
	Version     uint64
	KeyID       string // of the key that signed it, at most 64 bytes
	Bytes       []byte // at most MaxTrust
	InstalledMS int64  // UTC Unix milliseconds
	IssuedMS    int64  // when it was signed: InstallTrust raises the anchor to it; Trust and Peek leave it 0
}

// fits reports whether the file can hold it.
func (n Trust) fits() bool {
	return len(n.Bytes) > 0 && len(n.Bytes) <= MaxTrust && len(n.KeyID) <= 64 && n.Version > 0 && n.Version <= 1<<63-1
}

// after says whether n may come after what is installed: ErrOlder for a lower
// version, ErrConflict for the same version with other bytes, same for the
// same again.
func (n Trust) after(version uint64, bytes []byte) (same bool, err error) {
	switch {
	case n.Version < version:
		return false, ErrOlder
	case n.Version == version && string(bytes) != string(n.Bytes):
		return false, ErrConflict
	}
	return n.Version == version, nil
}

// InstallTrust puts a snapshot beside the newest before it, of which it keeps
// one, raises the anchor, and writes an event row, in one transaction. It returns ErrOlder for a
// lower version than the newest, ErrConflict for the same version with other
// bytes, and nil without a change for the same again. The signature was checked
// before.
func (db *DB) InstallTrust(ctx context.Context, at record.Stamp, n Trust) error {
	if !n.fits() {
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
		default:
			if same, err := n.after(uint64(version), bytes); same || err != nil {
				return err
			}
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
		if err := t.raiseAnchor(n.IssuedMS); err != nil {
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
	all, err := readTrust(ctx, db.reader())
	return all, db.explain("read trust", err)
}

func readTrust(ctx context.Context, q querier) (all []Trust, err error) {
	rows, err := q.QueryContext(ctx, `SELECT version, key_id, bytes, installed FROM trust ORDER BY version DESC`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var t Trust
		var version int64
		if err := rows.Scan(&version, &t.KeyID, &t.Bytes, &t.InstalledMS); err != nil {
			return nil, err
		}
		t.Version = uint64(version)
		all = append(all, t)
	}
	return all, rows.Err()
}
