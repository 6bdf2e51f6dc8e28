package localdb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"sort"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the file from its user_version to the newest, one transaction
// each. Migrations are numbered from 1 and only ever appended. It returns
// ErrNewer when the file is ahead of the program.
func migrate(ctx context.Context, pool *sql.DB) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	sort.Strings(files)
	var version int
	if err := pool.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(files) {
		return fmt.Errorf("%w: version %d, this program knows %d", ErrNewer, version, len(files))
	}
	for i := version; i < len(files); i++ {
		if err := apply(ctx, pool, files[i], i+1); err != nil {
			return fmt.Errorf("migration %d: %w", i+1, err)
		}
	}
	return nil
}

func apply(ctx context.Context, pool *sql.DB, file string, version int) error {
	text, err := migrations.ReadFile(file)
	if err != nil {
		return err
	}
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, string(text)); err != nil {
		return err
	}
	if version == 1 {
		born := make([]byte, 8)
		rand.Read(born)
		if _, err := tx.ExecContext(ctx, "INSERT INTO gate (id, born) VALUES (1, ?)", born); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO head (id, seq, link) VALUES (1, 0, zeroblob(16))"); err != nil {
			return err
		}
	}
	// A pragma takes no parameters; version is our own number.
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version)); err != nil {
		return err
	}
	return tx.Commit()
}
