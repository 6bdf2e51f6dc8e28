// Package postgres keeps what a hub keeps in a PostgreSQL server, which several
// hubs share.
//
// The log stands in partitions by day, made when the first segment of a day
// comes and dropped with it; days whose name is no date, or is one far off,
// share a default partition. A batch is one transaction: the rows of its streams
// are locked in the order of their keys, so hubs that put segments of the same
// gates wait for each other and never stand in each other's way.
//
// What was put is durable when COMMIT returns, as far as the server is told to
// make it so: with synchronous_standby_names it is on the standby, too. A server
// with synchronous_commit off is not opened.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"sort"
	"strconv"
	"sync"
	"time"

	"checkpoint/hub/store"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Options are what can be chosen; the zero value is good.
type Options struct {
	Statement time.Duration    // a statement may take so long; 0: 30 s
	Lock      time.Duration    // and wait so long for a lock; 0: 10 s
	Now       func() time.Time // of which days are plausible; nil: time.Now

	unsafe bool // tests: a server with synchronous_commit off will do
}

// Store is a pool of connections. It is safe for use by several goroutines.
type Store struct {
	pool *pgxpool.Pool
	o    Options

	mu       sync.Mutex
	closed   bool
	placed   map[string]bool     // days whose row, and partitions, are there
	contexts map[contextKey]bool // sealing contexts that are there
}

var _ store.Store = (*Store)(nil)

var (
	errClosed = errors.New("store is closed")
	// errUnsure: COMMIT came through, with a warning. The one that matters says
	// that the wait for the standby was cancelled: the transaction stands on this
	// server, and perhaps nowhere else (PostgreSQL, "Synchronous Replication").
	errUnsure = errors.New("the server does not vouch for the commit")
)

// Keys of advisory locks: a class of ours, then what is locked.
const (
	lockSchema = 0x434b0001 // one program migrates
	lockPlaces = 0x434b0002 // one hub makes partitions
	lockDay    = 0x434b0003 // shared by batches of a day, alone whoever drops it
)

// maxRemembered bounds what is remembered of days and of contexts.
const maxRemembered = 1 << 16

//go:embed migrations/*.sql
var migrations embed.FS

// configure reads the server's address.
func configure(url string, o Options) (*pgxpool.Config, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("address of the PostgreSQL server: %w", err)
	}
	if c.ConnConfig.ConnectTimeout == 0 {
		c.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	for name, value := range map[string]string{
		"application_name":                    "checkpoint-hub",
		"statement_timeout":                   strconv.FormatInt(o.Statement.Milliseconds(), 10),
		"lock_timeout":                        strconv.FormatInt(o.Lock.Milliseconds(), 10),
		"idle_in_transaction_session_timeout": strconv.FormatInt(2*o.Statement.Milliseconds(), 10),
	} {
		if _, given := c.ConnConfig.RuntimeParams[name]; !given {
			c.ConnConfig.RuntimeParams[name] = value
		}
	}
	c.ConnConfig.OnNotice = func(conn *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" {
			conn.CustomData()[warned] = n.Message
		}
	}
	return c, nil
}

// warned names what the server warned of on a connection since it was looked at.
const warned = "warned"

// sure returns errUnsure when the server warned of anything while a transaction
// was committed.
func sure(conn *pgx.Conn) error {
	if text, ok := conn.PgConn().CustomData()[warned]; ok {
		delete(conn.PgConn().CustomData(), warned)
		return fmt.Errorf("%w: %v", errUnsure, text)
	}
	return nil
}

func (o Options) filled() Options {
	if o.Statement <= 0 {
		o.Statement = 30 * time.Second
	}
	if o.Lock <= 0 {
		o.Lock = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Migrate makes the tables in the first schema of the connection's search_path,
// or brings them up to date. Hubs of the version before go on meanwhile.
func Migrate(ctx context.Context, url string) error {
	c, err := configure(url, Options{Statement: time.Hour, Lock: time.Minute}.filled())
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, c.ConnConfig)
	if err != nil {
		return explain("connect", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return explain("bring the tables up to date", migrate(ctx, conn))
}

func migrate(ctx context.Context, conn *pgx.Conn) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	sort.Strings(files)
	for {
		done, err := migrateOne(ctx, conn, files)
		if done || err != nil {
			return err
		}
	}
}

// migrateOne applies the next migration, in a transaction of its own.
func migrateOne(ctx context.Context, conn *pgx.Conn, files []string) (done bool, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return false, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1, 0)`, lockSchema); err != nil {
		return false, err
	}
	if _, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS checkpoint_schema (id smallint PRIMARY KEY CHECK (id = 1), version integer NOT NULL)`); err != nil {
		return false, err
	}
	version := 0
	if err := tx.QueryRow(ctx, `SELECT version FROM checkpoint_schema`).Scan(&version); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return false, err
	}
	switch {
	case version > len(files):
		return false, fmt.Errorf("%w: version %d, this program knows %d", store.ErrNewer, version, len(files))
	case version == len(files):
		return true, tx.Commit(ctx)
	}
	text, err := migrations.ReadFile(files[version])
	if err != nil {
		return false, err
	}
	if _, err := conn.PgConn().Exec(ctx, string(text)).ReadAll(); err != nil {
		return false, fmt.Errorf("migration %d: %w", version+1, err)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO checkpoint_schema VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET version = excluded.version`, version+1); err != nil {
		return false, err
	}
	return false, tx.Commit(ctx)
}

// Open connects to a server whose tables Migrate has made. It returns
// store.ErrOlder, store.ErrNewer and store.ErrUnfinished.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	o = o.filled()
	c, err := configure(url, o)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, explain("connect", err)
	}
	s := &Store{pool: pool, o: o, placed: map[string]bool{}, contexts: map[contextKey]bool{}}
	if err := s.inspect(ctx); err != nil {
		pool.Close()
		return nil, explain("open the store", err)
	}
	return s, nil
}

// inspect looks whether the tables are this program's, and the server one that
// keeps what it says it keeps.
func (s *Store) inspect(ctx context.Context) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	var commit, fsync string
	var there bool
	err = s.pool.QueryRow(ctx, `SELECT current_setting('synchronous_commit'), current_setting('fsync'), to_regclass('checkpoint_schema') IS NOT NULL`).Scan(&commit, &fsync, &there)
	switch {
	case err != nil:
		return err
	case (commit == "off" || fsync == "off") && !s.o.unsafe:
		return errors.New("the server's synchronous_commit or fsync is off: it would lose what it said it has; turn both on")
	case !there:
		return fmt.Errorf("%w: there are no tables", store.ErrOlder)
	}
	var version int
	if err := s.pool.QueryRow(ctx, `SELECT version FROM checkpoint_schema`).Scan(&version); err != nil {
		return err
	}
	switch {
	case version > len(files):
		return fmt.Errorf("%w: version %d, this program knows %d", store.ErrNewer, version, len(files))
	case version < len(files):
		return fmt.Errorf("%w: version %d, this program wants %d", store.ErrOlder, version, len(files))
	}
	var loading bool
	if err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM loading)`).Scan(&loading); err != nil {
		return err
	}
	if loading {
		return fmt.Errorf("%w: drop its tables", store.ErrUnfinished)
	}
	return nil
}

// Close closes the pool; it waits for whoever holds a connection.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.pool.Close()
	return nil
}

func (s *Store) alive() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	return nil
}

// Ready reports whether the server takes writes now.
func (s *Store) Ready(ctx context.Context) error {
	if err := s.alive(); err != nil {
		return explain("store", err)
	}
	var standby bool
	if err := s.pool.QueryRow(ctx, `SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean FROM trust_generation`).Scan(&standby); err != nil {
		return explain("ask the server", err)
	}
	if standby {
		return fmt.Errorf("%w: the server is a standby, or read only", store.ErrUnavailable)
	}
	return nil
}

// Now is the server's clock.
func (s *Store) Now(ctx context.Context) (at time.Time, err error) {
	err = s.pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&at)
	return at, explain("ask the server's clock", err)
}

// tries is how often a transaction that the server ended for another's sake is
// begun again.
const tries = 5

// write does f in a transaction, again when another got in its way.
func (s *Store) write(ctx context.Context, op string, f func(pgx.Tx) error) error {
	return explain(op, s.again(ctx, func(conn *pgx.Conn) error {
		tx, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		defer tx.Rollback(context.WithoutCancel(ctx))
		if err := f(tx); err != nil {
			return err
		}
		return tx.Commit(ctx)
	}))
}

// again gives f a connection until it is not one of those errors after which a
// transaction is worth another try.
func (s *Store) again(ctx context.Context, f func(*pgx.Conn) error) error {
	if err := s.alive(); err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := s.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
			delete(c.Conn().PgConn().CustomData(), warned)
			if err := f(c.Conn()); err != nil {
				return err
			}
			return sure(c.Conn())
		})
		state := sqlState(err)
		if err == nil || try == tries || state != serializationFailed && state != deadlockDetected && !errors.Is(err, errAgain) && !pgconn.SafeToRetry(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(rand.Int64N(int64(20*time.Millisecond) << try))):
		}
	}
}

// errAgain: what a transaction needs was not there, and is now.
var errAgain = errors.New("begin again")

// lockOf is the advisory lock of a day.
func lockOf(day string) int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(day))
	return int32(h.Sum32())
}
