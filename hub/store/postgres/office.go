package postgres

import (
	"context"
	"errors"
	"time"

	"checkpoint/hub/store"
	"checkpoint/hub/store/internal/sequence"

	"github.com/jackc/pgx/v5"
)

// AddPerson adds a person, or gives a known one a new certificate.
func (s *Store) AddPerson(ctx context.Context, p store.Person) error {
	return s.write(ctx, "add a person", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO person (name, role, venues, serial, until_ms, created_ms) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (name) DO UPDATE SET role = excluded.role, venues = excluded.venues, serial = excluded.serial, until_ms = excluded.until_ms, revoked_ms = 0`,
			p.Name, p.Role, p.Venues, p.Serial, millis(p.Until), p.CreatedMS)
		return err
	})
}

// RevokePerson revokes a person.
func (s *Store) RevokePerson(ctx context.Context, name string, at time.Time) error {
	return s.write(ctx, "revoke a person", func(tx pgx.Tx) error {
		return one(tx.Exec(ctx, `UPDATE person SET revoked_ms = CASE revoked_ms WHEN 0 THEN greatest($2::bigint, 1) ELSE revoked_ms END WHERE name = $1`, name, at.UnixMilli()))
	})
}

const sqlPerson = `SELECT name, role, venues, serial, until_ms, revoked_ms <> 0, created_ms FROM person `

func scanPerson(row pgx.CollectableRow) (store.Person, error) { return readPerson(row) }

func readPerson(row pgx.Row) (p store.Person, err error) {
	var until int64
	err = row.Scan(&p.Name, &p.Role, &p.Venues, &p.Serial, &until, &p.Revoked, &p.CreatedMS)
	p.Until = instant(until)
	return p, missing(err)
}

// Person finds a person.
func (s *Store) Person(ctx context.Context, name string) (store.Person, error) {
	p, err := readPerson(s.pool.QueryRow(ctx, sqlPerson+`WHERE name = $1`, name))
	return p, explain("look up a person", err)
}

// ListPeople lists people by name.
func (s *Store) ListPeople(ctx context.Context) ([]store.Person, error) {
	list, err := collect(ctx, s.pool, scanPerson, sqlPerson+`ORDER BY name`)
	return list, explain("list people", err)
}

// millis is an instant as the tables hold it; 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// TrustFile reads a file of the trust repository.
func (s *Store) TrustFile(ctx context.Context, name string) (b []byte, err error) {
	err = s.pool.QueryRow(ctx, `SELECT bytes FROM trust WHERE name = $1`, name).Scan(&b)
	return b, explain("read a trust file", missing(err))
}

// PutTrust changes the trust repository, if it is still as it was read.
func (s *Store) PutTrust(ctx context.Context, generation uint64, files []store.TrustFile, drop []string) (uint64, error) {
	err := s.write(ctx, "write trust files", func(tx pgx.Tx) error {
		err := one(tx.Exec(ctx, `UPDATE trust_generation SET generation = generation + 1 WHERE generation = $1`, int64(generation)))
		if errors.Is(err, store.ErrNotFound) {
			return store.ErrStale
		}
		if err != nil {
			return err
		}
		for _, f := range files {
			if _, err := tx.Exec(ctx, `INSERT INTO trust (name, bytes) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes`, f.Name, blob(f.Bytes)); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `DELETE FROM trust WHERE name = ANY ($1)`, drop)
		return err
	})
	if err != nil {
		return 0, err
	}
	return generation + 1, nil
}

// TrustGeneration is how often the repository has changed.
func (s *Store) TrustGeneration(ctx context.Context) (n uint64, err error) {
	err = s.pool.QueryRow(ctx, `SELECT generation FROM trust_generation`).Scan(&n)
	return n, explain("read the trust generation", err)
}

// ListTrust lists the files of the trust repository by name.
func (s *Store) ListTrust(ctx context.Context) ([]string, error) {
	list, err := collect(ctx, s.pool, pgx.RowTo[string], `SELECT name FROM trust ORDER BY name`)
	return list, explain("list trust files", err)
}

// Raise raises an alarm, or counts up the one that is open.
func (s *Store) Raise(ctx context.Context, a store.Alarm) error {
	if a.LastAt.IsZero() {
		a.LastAt = a.At
	}
	return s.write(ctx, "raise an alarm", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO alarm AS a (kind, gate, venue, text, at_ms, count, last_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (kind, gate) WHERE closed_ms IS NULL DO UPDATE SET count = least(a.count + excluded.count, 1::bigint << 61), text = excluded.text,
				last_ms = greatest(a.last_ms, excluded.last_ms)`,
			a.Kind, a.Gate, a.Venue, sequence.Text(a.Text), millis(a.At), int64(min(max(a.Count, 1), maxCount)), millis(a.LastAt))
		return err
	})
}

const sqlAlarm = `SELECT id, kind, gate, venue, text, at_ms, count, last_ms, closed_ms, by FROM alarm `

func scanAlarm(row pgx.CollectableRow) (a store.Alarm, err error) {
	var at, last int64
	var closed *int64
	err = row.Scan(&a.ID, &a.Kind, &a.Gate, &a.Venue, &a.Text, &at, &a.Count, &last, &closed, &a.By)
	a.At, a.LastAt = instant(at), instant(last)
	if closed != nil {
		a.Closed = time.UnixMilli(*closed).UTC()
	}
	return a, err
}

// ListAlarms lists alarms, the newest first.
func (s *Store) ListAlarms(ctx context.Context, venues []string, open bool, before int64, limit int) ([]store.Alarm, error) {
	list, err := collect(ctx, s.pool, scanAlarm, sqlAlarm+`WHERE ($1 = 0 OR id < $1) AND (NOT $2 OR closed_ms IS NULL)
		AND ($3::text[] IS NULL OR venue = ANY ($3)) ORDER BY id DESC LIMIT $4`, before, open, venues, pageOf(limit))
	return list, explain("list alarms", err)
}

// CloseAlarm closes an open alarm.
func (s *Store) CloseAlarm(ctx context.Context, id int64, by string, at time.Time) error {
	return s.write(ctx, "close an alarm", func(tx pgx.Tx) error {
		var closed bool
		err := tx.QueryRow(ctx, `SELECT closed_ms IS NOT NULL FROM alarm WHERE id = $1 FOR UPDATE`, id).Scan(&closed)
		switch {
		case err != nil:
			return missing(err)
		case closed:
			return store.ErrState
		}
		_, err = tx.Exec(ctx, `UPDATE alarm SET closed_ms = $2, by = $3 WHERE id = $1`, id, at.UnixMilli(), by)
		return err
	})
}

// Record adds an act.
func (s *Store) Record(ctx context.Context, a store.Act) error {
	return s.write(ctx, "keep an act", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO act (at_ms, who, role, what, "on", venue, text) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			millis(a.At), a.Who, a.Role, a.What, a.On, a.Venue, sequence.Text(a.Text))
		return err
	})
}

func scanAct(row pgx.CollectableRow) (a store.Act, err error) {
	var at int64
	err = row.Scan(&a.ID, &at, &a.Who, &a.Role, &a.What, &a.On, &a.Venue, &a.Text)
	a.At = instant(at)
	return a, err
}

// ListActs lists acts, the newest first.
func (s *Store) ListActs(ctx context.Context, venues []string, before int64, limit int) ([]store.Act, error) {
	list, err := collect(ctx, s.pool, scanAct, `SELECT id, at_ms, who, role, what, "on", venue, text FROM act WHERE ($1 = 0 OR id < $1)
		AND ($2::text[] IS NULL OR venue = ANY ($2)) ORDER BY id DESC LIMIT $3`, before, venues, pageOf(limit))
	return list, explain("list acts", err)
}
