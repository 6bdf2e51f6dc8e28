package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"sort"

	"checkpoint/hub/store"
)

//go:embed migrations/main/*.sql migrations/day/*.sql
var migrations embed.FS

// migrate brings a file of a kind (main, day) from its user_version to the
// newest, one transaction each. Migrations are numbered from 1 and only ever
// appended. It returns store.ErrNewer when the file is ahead of the program.
func migrate(ctx context.Context, q querier, kind string) error {
	files, version, err := versions(ctx, q, kind)
	if err != nil {
		return err
	}
	for i := version; i < len(files); i++ {
		if err := apply(ctx, q, files[i], i+1); err != nil {
			return fmt.Errorf("%s migration %d: %w", kind, i+1, err)
		}
	}
	return nil
}

// current returns store.ErrOlder when migrate has something to do.
func current(ctx context.Context, q querier, kind string) error {
	files, version, err := versions(ctx, q, kind)
	if err == nil && version < len(files) {
		return fmt.Errorf("%w: version %d, this program wants %d", store.ErrOlder, version, len(files))
	}
	return err
}

func versions(ctx context.Context, q querier, kind string) (files []string, version int, err error) {
	if files, err = fs.Glob(migrations, "migrations/"+kind+"/*.sql"); err != nil {
		return nil, 0, err
	}
	sort.Strings(files)
	if err := q.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return nil, 0, err
	}
	if version > len(files) {
		return nil, 0, fmt.Errorf("%w: version %d, this program knows %d", store.ErrNewer, version, len(files))
	}
	return files, version, nil
}

func apply(ctx context.Context, q querier, file string, version int) error {
	text, err := migrations.ReadFile(file)
	if err != nil {
		return err
	}
	return transact(ctx, q, func() error {
		if _, err := q.ExecContext(ctx, string(text)); err != nil {
			return err
		}
		// A pragma takes no parameters; version is our own number.
		_, err := q.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version))
		return err
	})
}

// querier is a connection or a pool.
type querier interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

// transact does f in a transaction of one connection. It takes the write lock
// at its start, and ctx ends nothing in it: a transaction is short, and half of
// it is worth nothing.
func transact(ctx context.Context, q querier, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if _, err := q.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := f()
	if err == nil {
		_, err = q.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		// A full disk may have rolled it back already.
		_, _ = q.ExecContext(ctx, "ROLLBACK")
	}
	return err
}
