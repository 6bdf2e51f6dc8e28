package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"checkpoint/hub/store"
	"checkpoint/hub/store/internal/sequence"
)

// AddPerson adds a person, or gives a known one a new certificate.
func (s *Store) AddPerson(ctx context.Context, p store.Person) error {
	return s.write(ctx, "add a person", func(q querier) error {
		_, err := q.ExecContext(context.WithoutCancel(ctx), `INSERT INTO person (name, role, venues, serial, until_ms, created_ms) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET role = excluded.role, venues = excluded.venues, serial = excluded.serial, until_ms = excluded.until_ms, revoked_ms = 0`,
			p.Name, p.Role, within(p.Venues), p.Serial, millis(p.Until), p.CreatedMS)
		return err
	})
}

// RevokePerson revokes a person.
func (s *Store) RevokePerson(ctx context.Context, name string, at time.Time) error {
	return s.write(ctx, "revoke a person", func(q querier) error {
		return one(q.ExecContext(context.WithoutCancel(ctx), `UPDATE person SET revoked_ms = CASE revoked_ms WHEN 0 THEN max(?, 1) ELSE revoked_ms END WHERE name = ?`, at.UnixMilli(), name))
	})
}

const sqlPerson = `SELECT name, role, venues, serial, until_ms, revoked_ms != 0, created_ms FROM person `

func scanPerson(row scanner) (p store.Person, err error) {
	var venues []byte
	var until int64
	if err := row.Scan(&p.Name, &p.Role, &venues, &p.Serial, &until, &p.Revoked, &p.CreatedMS); err != nil {
		return p, missing(err)
	}
	p.Until = instant(until)
	if venues != nil {
		err = json.Unmarshal(venues, &p.Venues)
	}
	return p, err
}

// Person finds a person.
func (s *Store) Person(ctx context.Context, name string) (store.Person, error) {
	p, err := scanPerson(s.read.QueryRowContext(ctx, sqlPerson+`WHERE name = ?`, name))
	return p, s.explain("look up a person", err)
}

// ListPeople lists people by name.
func (s *Store) ListPeople(ctx context.Context) ([]store.Person, error) {
	list, err := collect(ctx, s.read, scanPerson, sqlPerson+`ORDER BY name`)
	return list, s.explain("list people", err)
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
	err = s.read.QueryRowContext(ctx, `SELECT bytes FROM trust WHERE name = ?`, name).Scan(&b)
	return b, s.explain("read a trust file", missing(err))
}

// PutTrust changes the trust repository, if it is still as it was read.
func (s *Store) PutTrust(ctx context.Context, generation uint64, files []store.TrustFile, drop []string) (uint64, error) {
	err := s.write(ctx, "write trust files", func(q querier) error {
		ctx := context.WithoutCancel(ctx)
		err := one(q.ExecContext(ctx, `UPDATE trust_generation SET generation = generation + 1 WHERE generation = ?`, int64(generation)))
		if err != nil {
			return staleIf(err)
		}
		for _, f := range files {
			if _, err := q.ExecContext(ctx, `INSERT INTO trust (name, bytes) VALUES (?, ?) ON CONFLICT DO UPDATE SET bytes = excluded.bytes`, f.Name, blob(f.Bytes)); err != nil {
				return err
			}
		}
		for _, name := range drop {
			if _, err := q.ExecContext(ctx, `DELETE FROM trust WHERE name = ?`, name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return generation + 1, nil
}

// staleIf: nothing stood at the generation that was read.
func staleIf(err error) error {
	if err == store.ErrNotFound { //nolint:errorlint // one gives it as it is
		return store.ErrStale
	}
	return err
}

// TrustGeneration is how often the repository has changed.
func (s *Store) TrustGeneration(ctx context.Context) (n uint64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT generation FROM trust_generation`).Scan(u64(&n))
	return n, s.explain("read the trust generation", err)
}

// ListTrust lists the files of the trust repository by name.
func (s *Store) ListTrust(ctx context.Context) ([]string, error) {
	list, err := collect(ctx, s.read, func(row scanner) (name string, err error) { return name, row.Scan(&name) }, `SELECT name FROM trust ORDER BY name`)
	return list, s.explain("list trust files", err)
}

// Raise raises an alarm, or counts up the one that is open.
func (s *Store) Raise(ctx context.Context, a store.Alarm) error {
	if a.LastAt.IsZero() {
		a.LastAt = a.At
	}
	return s.write(ctx, "raise an alarm", func(q querier) error {
		_, err := q.ExecContext(context.WithoutCancel(ctx), `INSERT INTO alarm (kind, gate, venue, text, at_ms, count, last_ms) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (kind, gate) WHERE closed_ms IS NULL DO UPDATE SET count = min(count + excluded.count, 1 << 61), text = excluded.text, last_ms = max(last_ms, excluded.last_ms)`,
			a.Kind, a.Gate, a.Venue, sequence.Text(a.Text), millis(a.At), int64(min(max(a.Count, 1), maxCount)), millis(a.LastAt))
		return err
	})
}

const sqlAlarm = `SELECT id, kind, gate, venue, text, at_ms, count, last_ms, closed_ms, by FROM alarm `

func scanAlarm(row scanner) (a store.Alarm, err error) {
	var at, last int64
	var closed sql.NullInt64
	err = row.Scan(&a.ID, &a.Kind, &a.Gate, &a.Venue, &a.Text, &at, u64(&a.Count), &last, &closed, &a.By)
	a.At, a.LastAt = instant(at), instant(last)
	if closed.Valid {
		a.Closed = time.UnixMilli(closed.Int64).UTC()
	}
	return a, err
}

// ListAlarms lists alarms, the newest first.
func (s *Store) ListAlarms(ctx context.Context, venues []string, open bool, before int64, limit int) ([]store.Alarm, error) {
	list, err := collect(ctx, s.read, scanAlarm, sqlAlarm+`WHERE (?1 = 0 OR id < ?1) AND (NOT ?2 OR closed_ms IS NULL)
		AND (?3 IS NULL OR venue IN (SELECT value FROM json_each(?3))) ORDER BY id DESC LIMIT ?4`, before, open, within(venues), pageOf(limit))
	return list, s.explain("list alarms", err)
}

// CloseAlarm closes an open alarm.
func (s *Store) CloseAlarm(ctx context.Context, id int64, by string, at time.Time) error {
	return s.write(ctx, "close an alarm", func(q querier) error {
		ctx := context.WithoutCancel(ctx)
		a, err := scanAlarm(q.QueryRowContext(ctx, sqlAlarm+`WHERE id = ?`, id))
		switch {
		case err != nil:
			return missing(err)
		case !a.Closed.IsZero():
			return store.ErrState
		}
		_, err = q.ExecContext(ctx, `UPDATE alarm SET closed_ms = ?, by = ? WHERE id = ?`, at.UnixMilli(), by, id)
		return err
	})
}

// Record adds an act.
func (s *Store) Record(ctx context.Context, a store.Act) error {
	return s.write(ctx, "keep an act", func(q querier) error {
		_, err := q.ExecContext(context.WithoutCancel(ctx), `INSERT INTO act (at_ms, who, role, what, "on", venue, text) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			millis(a.At), a.Who, a.Role, a.What, a.On, a.Venue, sequence.Text(a.Text))
		return err
	})
}

func scanAct(row scanner) (a store.Act, err error) {
	var at int64
	err = row.Scan(&a.ID, &at, &a.Who, &a.Role, &a.What, &a.On, &a.Venue, &a.Text)
	a.At = instant(at)
	return a, err
}

// ListActs lists acts, the newest first.
func (s *Store) ListActs(ctx context.Context, venues []string, before int64, limit int) ([]store.Act, error) {
	list, err := collect(ctx, s.read, scanAct, `SELECT id, at_ms, who, role, what, "on", venue, text FROM act WHERE (?1 = 0 OR id < ?1)
		AND (?2 IS NULL OR venue IN (SELECT value FROM json_each(?2))) ORDER BY id DESC LIMIT ?3`, before, within(venues), pageOf(limit))
	return list, s.explain("list acts", err)
}
