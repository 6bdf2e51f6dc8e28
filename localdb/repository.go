package localdb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"slices"

	"checkpoint/record"
)

// Repository is one generation of the files of the trust repository. It is kept
// as it came: whoever reads it checks its signatures again.
type Repository struct {
	Version     uint64
	IssuedMS    int64 // UTC Unix milliseconds: the newest signed time in it
	AnchorMS    int64 // newest offline-signed time in it: InstallRepository raises the anchor to it
	InstalledMS int64 // by the stamp of its installation
	Files       []RepositoryFile
}

// RepositoryFile is one file of it.
type RepositoryFile struct {
	Name  string // at most 200 bytes, below the repository's folder
	Bytes []byte
}

const (
	maxRepositoryFiles = 4096
	partSize           = 512 << 10 // of a content: so long a row waits at most
)

// fits reports whether the file can hold it: MaxTrust bytes in all.
func (r *Repository) fits() bool {
	if r.Version == 0 || r.Version > 1<<63-1 || len(r.Files) == 0 || len(r.Files) > maxRepositoryFiles {
		return false
	}
	total, names := 0, make(map[string]bool, len(r.Files))
	for _, f := range r.Files {
		if len(f.Bytes) > MaxTrust-total || f.Name == "" || len(f.Name) > 200 || names[f.Name] {
			return false
		}
		total += len(f.Bytes)
		names[f.Name] = true
	}
	return true
}

type sum = [sha256.Size]byte

// InstallRepository puts a generation beside the newest before it, of which it
// keeps one, and raises the anchor. The same version again, issued later or at
// the same time, takes its own place: a refresh is no new generation, and no
// event row; a higher version is both. It returns ErrOlder for a lower version,
// or the same one issued earlier, and ErrTrust for what does not fit. The
// signatures were checked before.
//
// It is whole or not there at any moment: contents that are not in the file yet
// are written first, in small transactions that keep no row waiting, and count
// only with the last one, which names them.
func (db *DB) InstallRepository(ctx context.Context, at record.Stamp, r Repository) error {
	if !r.fits() {
		return ErrTrust
	}
	db.installing.Lock()
	defer db.installing.Unlock()
	if db.closed.Load() {
		return ErrClosed
	}
	if err := r.after(ctx, db.reader()); err != nil {
		return db.explain("install trust", err)
	}
	sums := make([]sum, len(r.Files))
	for i, f := range r.Files {
		sums[i] = sha256.Sum256(f.Bytes)
	}
	if err := db.stage(ctx, r, sums); err != nil {
		return err
	}
	if err := db.exclusive(ctx, "install trust", func(t *txn) error { return t.installRepository(at, r, sums) }); err != nil {
		return err
	}
	// What no generation names any more goes; should that fail, the next
	// installation does it.
	if err := db.dropParts(ctx, nil); err != nil && !db.noRoom(err) {
		return err
	}
	return nil
}

// after says with ErrOlder that r may not come after what is installed.
func (r *Repository) after(ctx context.Context, q querier) error {
	var version, issued int64
	err := q.QueryRowContext(ctx, `SELECT version, issued FROM generation ORDER BY version DESC LIMIT 1`).Scan(&version, &issued)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case r.Version < uint64(version), r.Version == uint64(version) && r.IssuedMS < issued:
		return ErrOlder
	}
	return nil
}

// stage writes the contents that the file does not have.
func (db *DB) stage(ctx context.Context, r Repository, sums []sum) error {
	if err := db.dropParts(ctx, sums); err != nil {
		return err
	}
	have, err := db.wholeBlobs(ctx, r, sums)
	if err != nil {
		return db.explain("install trust", err)
	}
	room := int64(0)
	for i, f := range r.Files {
		if !have[sums[i]] {
			room += int64(len(f.Bytes))
		}
	}
	// Twice, as it goes through the log; what is kept free is not for trust.
	if free, err := freeBytes(db.path); err != nil {
		return db.explain("look at the disk", err)
	} else if room > 0 && free-reserve < 2*room {
		return db.fail(ErrNoSpace, nil)
	}
	for i, f := range r.Files {
		if have[sums[i]] {
			continue
		}
		have[sums[i]] = true
		for part, b := 0, f.Bytes; len(b) > 0; part++ {
			n := min(len(b), partSize)
			err := db.exclusive(ctx, "install trust", func(t *txn) error {
				db.owed = db.owed || len(f.Bytes) > logPages*pageSize // cut the log that it made long
				_, err := db.conn.ExecContext(t.ctx, `INSERT OR REPLACE INTO blob (sha256, part, bytes) VALUES (?, ?, ?)`,
					sums[i][:], part, b[:n])
				return err
			})
			if err != nil {
				return err
			}
			b = b[n:]
		}
	}
	return nil
}

// wholeBlobs says which of the contents the file has to the last part.
func (db *DB) wholeBlobs(ctx context.Context, r Repository, sums []sum) (map[sum]bool, error) {
	have := make(map[sum]bool, len(sums))
	for i, f := range r.Files {
		var parts, bytes int
		err := db.reader().QueryRowContext(ctx, `SELECT count(*), coalesce(sum(length(bytes)), 0) FROM blob WHERE sha256 = ?`, sums[i][:]).
			Scan(&parts, &bytes)
		if err != nil {
			return nil, err
		}
		have[sums[i]] = parts == (len(f.Bytes)+partSize-1)/partSize && bytes == len(f.Bytes)
	}
	return have, nil
}

// dropParts removes contents that no file names and keep does not hold, part by
// part: they are overwritten with zeros, which takes as long as writing them.
func (db *DB) dropParts(ctx context.Context, keep []sum) error {
	rows, err := db.reader().QueryContext(ctx, `SELECT rowid, sha256 FROM blob WHERE sha256 NOT IN (SELECT sha256 FROM file)`)
	if err != nil {
		return db.explain("remove old trust", err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		var b []byte
		if err := rows.Scan(&id, &b); err != nil {
			return db.explain("remove old trust", err)
		}
		if len(b) == sha256.Size && !slices.Contains(keep, sum(b)) {
			ids = append(ids, id)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return db.explain("remove old trust", err)
	}
	for _, id := range ids {
		err := db.exclusive(ctx, "remove old trust", func(t *txn) error {
			_, err := db.conn.ExecContext(t.ctx, `DELETE FROM blob WHERE rowid = ?`, id)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// installRepository names the files of a generation; its contents are there.
func (t *txn) installRepository(at record.Stamp, r Repository, sums []sum) error {
	conn := t.db.conn
	var newest int64
	if err := conn.QueryRowContext(t.ctx, `SELECT coalesce(max(version), 0) FROM generation`).Scan(&newest); err != nil {
		return err
	}
	_, err := conn.ExecContext(t.ctx, `INSERT INTO generation (version, issued, anchor, installed) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET issued = excluded.issued, anchor = excluded.anchor, installed = excluded.installed`,
		int64(r.Version), r.IssuedMS, r.AnchorMS, at.WallMS)
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(t.ctx, `DELETE FROM file WHERE version = ?`, int64(r.Version)); err != nil {
		return err
	}
	for i, f := range r.Files {
		_, err := conn.ExecContext(t.ctx, `INSERT INTO file (version, name, sha256, size) VALUES (?, ?, ?, ?)`,
			int64(r.Version), f.Name, sums[i][:], len(f.Bytes))
		if err != nil {
			return err
		}
	}
	_, err = conn.ExecContext(t.ctx, `DELETE FROM generation WHERE version NOT IN
		(SELECT version FROM generation ORDER BY version DESC LIMIT 2)`)
	if err != nil {
		return err
	}
	if err := t.raiseAnchor(r.AnchorMS); err != nil || r.Version == uint64(newest) {
		return err
	}
	return t.add(record.Draft{Stamp: at, Body: record.Event{Code: record.EventTrust, Value: int64(r.Version), Text: "repository"}})
}

// Repositories are the newest generation and, after it, the one before; empty
// when nothing was installed. A content that is not what was installed comes
// without its bytes: whoever reads proves all of it anyway, and may find the
// generation before whole.
func (db *DB) Repositories(ctx context.Context) ([]Repository, error) {
	if db.closed.Load() {
		return nil, ErrClosed
	}
	tx, err := db.reader().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, db.explain("read trust", err)
	}
	defer tx.Rollback()
	all, err := readRepositories(ctx, tx)
	return all, db.explain("read trust", err)
}

// readRepositories needs one transaction for all that it reads.
func readRepositories(ctx context.Context, q querier) (all []Repository, err error) {
	rows, err := q.QueryContext(ctx, `SELECT g.version, g.issued, g.anchor, g.installed, f.name, f.sha256, f.size
		FROM generation g JOIN file f ON f.version = g.version ORDER BY g.version DESC, f.name`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	type want struct {
		sum  []byte
		size int
	}
	var wanted []want
	for rows.Next() {
		var version int64
		var r Repository
		var f RepositoryFile
		var w want
		if err := rows.Scan(&version, &r.IssuedMS, &r.AnchorMS, &r.InstalledMS, &f.Name, &w.sum, &w.size); err != nil {
			return nil, err
		}
		r.Version = uint64(version)
		if n := len(all); n == 0 || all[n-1].Version != r.Version {
			all = append(all, r)
		}
		g := &all[len(all)-1]
		g.Files = append(g.Files, f)
		wanted = append(wanted, w)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	// Two generations share most contents, and then the memory, too.
	contents := make(map[string][]byte, len(wanted))
	i := 0
	for g := range all {
		for f := range all[g].Files {
			w := wanted[i]
			i++
			b, ok := contents[string(w.sum)]
			if !ok {
				if b, err = readBlob(ctx, q, w.sum, w.size); err != nil {
					return nil, err
				}
				if got := sha256.Sum256(b); string(got[:]) != string(w.sum) {
					b = nil
				}
				contents[string(w.sum)] = b
			}
			all[g].Files[f].Bytes = b
		}
	}
	return all, nil
}

// readBlob puts the parts of a content together; size bounds them.
func readBlob(ctx context.Context, q querier, sum []byte, size int) ([]byte, error) {
	if size < 0 || size > MaxTrust {
		return nil, nil // its hash tells
	}
	rows, err := q.QueryContext(ctx, `SELECT bytes FROM blob WHERE sha256 = ? ORDER BY part`, sum)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	b := make([]byte, 0, size)
	var part sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&part); err != nil {
			return nil, err
		}
		if len(b)+len(part) > size {
			return nil, nil
		}
		b = append(b, part...)
	}
	return b, rows.Err()
}
