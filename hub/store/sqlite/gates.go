package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"checkpoint/hub/store"
)

const sqlGate = `SELECT name, venue, venue_type, state, device, segment_key, word, created_ms, enrolled_ms, revoked_ms, cert_until, cert_spki, seen_ms, offset_ms, report,
	(SELECT json_group_array(venue ORDER BY turn) FROM gate_venue v WHERE v.gate = g.name) FROM gate g `

type scanner interface{ Scan(...any) error }

func scanGate(row scanner) (g store.Gate, err error) {
	var device, venues []byte
	err = row.Scan(&g.Name, &g.Venue, &g.VenueType, (*string)(&g.State), &device, &g.SegmentKey, &g.Word, &g.CreatedMS, &g.EnrolledMS, &g.RevokedMS,
		&g.CertUntil, &g.CertSPKI, &g.SeenMS, &g.OffsetMS, &g.Report, &venues)
	if err != nil {
		return g, missing(err)
	}
	copy(g.Device[:], device)
	return g, json.Unmarshal(venues, &g.Venues)
}

// missing turns the error of a row that is not there into the store's.
func missing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}

// within is a list of venues as the queries take it; NULL: all.
func within(venues []string) any {
	if venues == nil {
		return nil
	}
	b, _ := json.Marshal(venues) // of strings: never fails
	return string(b)
}

// maxPage bounds what one call reads, whatever is asked.
const maxPage = 100_000

func pageOf(limit int) int { return min(max(limit, 0), maxPage) }

// CreateGate makes a gate and its first token.
func (s *Store) CreateGate(ctx context.Context, g store.Gate, t store.Token) error {
	return s.write(ctx, "create a gate", func(q querier) error {
		ctx := context.WithoutCancel(ctx)
		_, err := q.ExecContext(ctx, `INSERT INTO gate (name, venue, venue_type, state, created_ms) VALUES (?, ?, ?, 'invited', ?)`, g.Name, g.Venue, g.VenueType, g.CreatedMS)
		if unique(err) {
			return store.ErrExists
		}
		if err != nil {
			return err
		}
		if err := stoodIn(ctx, q, g.Name, g.Venue); err != nil {
			return err
		}
		t.Gate = g.Name
		return putToken(ctx, q, t)
	})
}

func stoodIn(ctx context.Context, q querier, gate, venue string) error {
	_, err := q.ExecContext(ctx, `INSERT INTO gate_venue (gate, turn, venue)
		SELECT ?1, (SELECT count(*) FROM gate_venue WHERE gate = ?1), ?2 WHERE true ON CONFLICT DO NOTHING`, gate, venue)
	return err
}

func putToken(ctx context.Context, q querier, t store.Token) error {
	_, err := q.ExecContext(ctx, `INSERT INTO token (hash, gate, expires_ms, sheet) VALUES (?, ?, ?, ?)`, t.Hash[:], t.Gate, t.Expires.UnixMilli(), t.Sheet)
	if unique(err) {
		return store.ErrExists
	}
	return err
}

func endTokens(ctx context.Context, q querier, gate string) error {
	_, err := q.ExecContext(ctx, `UPDATE token SET ended = 1 WHERE gate = ? AND ended = 0`, gate)
	return err
}

// Invite gives an invited or revoked gate a new token.
func (s *Store) Invite(ctx context.Context, t store.Token) error {
	return s.write(ctx, "invite a gate", func(q querier) error {
		ctx := context.WithoutCancel(ctx)
		g, err := scanGate(q.QueryRowContext(ctx, sqlGate+`WHERE name = ?`, t.Gate))
		if err != nil {
			return err
		}
		if g.State != store.Invited && g.State != store.Revoked {
			return store.ErrState
		}
		_, err = q.ExecContext(ctx, `UPDATE gate SET state = 'invited', device = NULL, segment_key = x'', word = '', cert_until = 0, cert_spki = x'' WHERE name = ?`, t.Gate)
		if err != nil {
			return err
		}
		if err := endTokens(ctx, q, t.Gate); err != nil {
			return err
		}
		return putToken(ctx, q, t)
	})
}

// UseToken gives the gate of a token to a device.
func (s *Store) UseToken(ctx context.Context, hash [32]byte, e store.Enrolment) (g store.Gate, use store.TokenUse, err error) {
	if e.Device == [16]byte{} {
		return g, 0, errors.New("use a token: no device")
	}
	err = s.write(ctx, "use a token", func(q querier) (err error) {
		g, use, err = useToken(context.WithoutCancel(ctx), q, hash, e)
		return err
	})
	return g, use, err
}

func useToken(ctx context.Context, q querier, hash [32]byte, e store.Enrolment) (g store.Gate, use store.TokenUse, err error) {
	t, err := readToken(q.QueryRowContext(ctx, sqlToken+`WHERE hash = ?`, hash[:]))
	if errors.Is(err, store.ErrNotFound) {
		return g, store.TokenUnknown, nil
	}
	if err != nil {
		return g, 0, err
	}
	if g, err = scanGate(q.QueryRowContext(ctx, sqlGate+`WHERE name = ?`, t.Gate)); err != nil {
		return g, 0, err
	}
	var enrolled bool
	err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM device WHERE device = ?)`, e.Device[:]).Scan(&enrolled)
	switch {
	case err != nil:
		return g, 0, err
	case t.Used && t.Device == e.Device && t.TLSKey == e.TLSKey && bytes.Equal(t.SegmentKey, e.SegmentKey) && g.Device == e.Device:
		return g, store.TokenAgain, nil
	case t.Used:
		return g, store.TokenUsed, nil
	case t.Ended || g.State != store.Invited:
		return g, store.TokenUnknown, nil
	case e.At.After(t.Expires):
		return g, store.TokenExpired, nil
	case enrolled:
		return g, store.TokenDevice, nil
	}
	state, word := store.Active, ""
	if t.Sheet {
		state, word = store.Pending, e.Word
	}
	at := e.At.UnixMilli()
	_, err = q.ExecContext(ctx, `UPDATE gate SET state = ?, word = ?, device = ?, segment_key = ?, cert_spki = ?, cert_until = 0, enrolled_ms = ?, revoked_ms = 0,
		seen_ms = 0, offset_ms = 0, report = x'' WHERE name = ?`, string(state), word, e.Device[:], blob(e.SegmentKey), e.TLSKey[:], at, t.Gate)
	if err != nil {
		return g, 0, err
	}
	if _, err = q.ExecContext(ctx, `INSERT INTO device (device, gate, segment_key, enrolled_ms) VALUES (?, ?, ?, ?)`, e.Device[:], t.Gate, blob(e.SegmentKey), at); err != nil {
		return g, 0, err
	}
	if _, err = q.ExecContext(ctx, `UPDATE token SET device = ?, segment_key = ?, tls_key = ? WHERE hash = ?`, e.Device[:], blob(e.SegmentKey), e.TLSKey[:], hash[:]); err != nil {
		return g, 0, err
	}
	g, err = scanGate(q.QueryRowContext(ctx, sqlGate+`WHERE name = ?`, t.Gate))
	return g, store.TokenGood, err
}

const sqlToken = `SELECT hash, gate, expires_ms, sheet, ended, device, segment_key, tls_key FROM token `

func readToken(row scanner) (t store.TokenEntry, err error) {
	var hash, device, key []byte
	var expires int64
	if err := row.Scan(&hash, &t.Gate, &expires, &t.Sheet, &t.Ended, &device, &t.SegmentKey, &key); err != nil {
		return t, missing(err)
	}
	copy(t.Hash[:], hash)
	copy(t.Device[:], device)
	copy(t.TLSKey[:], key)
	t.Expires, t.Used = time.UnixMilli(expires).UTC(), device != nil
	return t, nil
}

// GateByName finds a gate.
func (s *Store) GateByName(ctx context.Context, name string) (store.Gate, error) {
	g, err := scanGate(s.read.QueryRowContext(ctx, sqlGate+`WHERE name = ?`, name))
	return g, s.explain("look up a gate", err)
}

// GateByDevice finds the gate that has a device, or had it.
func (s *Store) GateByDevice(ctx context.Context, device [16]byte) (store.Gate, error) {
	g, err := scanGate(s.read.QueryRowContext(ctx, sqlGate+`WHERE device = ?`, device[:]))
	if errors.Is(err, store.ErrNotFound) {
		g, err = s.pastDevice(ctx, device)
	}
	return g, s.explain("look up a device", err)
}

// pastDevice is a gate as it was with a device that is no longer its own.
func (s *Store) pastDevice(ctx context.Context, device [16]byte) (store.Gate, error) {
	var d store.DeviceEntry
	var name string
	err := s.read.QueryRowContext(ctx, `SELECT gate, segment_key, enrolled_ms, revoked_ms FROM device WHERE device = ?`, device[:]).
		Scan(&name, &d.SegmentKey, &d.EnrolledMS, &d.RevokedMS)
	if err != nil {
		return store.Gate{}, missing(err)
	}
	g, err := scanGate(s.read.QueryRowContext(ctx, sqlGate+`WHERE name = ?`, name))
	if err != nil {
		return g, err
	}
	return store.Gate{Name: g.Name, Venue: g.Venue, VenueType: g.VenueType, Venues: g.Venues, State: store.Revoked,
		Device: device, SegmentKey: d.SegmentKey, CreatedMS: g.CreatedMS, EnrolledMS: d.EnrolledMS, RevokedMS: d.RevokedMS}, nil
}

// Gates lists gates by name.
func (s *Store) Gates(ctx context.Context, venues []string, after string, limit int) ([]store.Gate, error) {
	list, err := collect(ctx, s.read, scanGate, sqlGate+`WHERE name > ?1 AND (?2 IS NULL OR venue IN (SELECT value FROM json_each(?2))) ORDER BY name LIMIT ?3`,
		after, within(venues), pageOf(limit))
	return list, s.explain("list gates", err)
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, q querier, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, rows.Err()
}

// ConfirmGate makes a pending gate active.
func (s *Store) ConfirmGate(ctx context.Context, name, word string) error {
	return s.write(ctx, "confirm a gate", func(q querier) error {
		ctx := context.WithoutCancel(ctx)
		g, err := scanGate(q.QueryRowContext(ctx, sqlGate+`WHERE name = ?`, name))
		switch {
		case err != nil:
			return err
		case g.State != store.Pending:
			return store.ErrState
		case g.Word != word:
			return store.ErrStale
		}
		_, err = q.ExecContext(ctx, `UPDATE gate SET state = 'active', word = '' WHERE name = ?`, name)
		return err
	})
}

// RevokeGate revokes a gate, its device and its tokens.
func (s *Store) RevokeGate(ctx context.Context, name string, at time.Time) error {
	return s.write(ctx, "revoke a gate", func(q querier) error {
		ctx := context.WithoutCancel(ctx)
		g, err := scanGate(q.QueryRowContext(ctx, sqlGate+`WHERE name = ?`, name))
		if err != nil || g.State == store.Revoked {
			return err
		}
		if _, err := q.ExecContext(ctx, `UPDATE gate SET state = 'revoked', word = '', revoked_ms = ? WHERE name = ?`, at.UnixMilli(), name); err != nil {
			return err
		}
		if _, err := q.ExecContext(ctx, `UPDATE device SET revoked_ms = ? WHERE gate = ? AND revoked_ms = 0`, at.UnixMilli(), name); err != nil {
			return err
		}
		return endTokens(ctx, q, name)
	})
}

// MoveGate moves a gate to another venue.
func (s *Store) MoveGate(ctx context.Context, name, venue, venueType string) error {
	return s.write(ctx, "move a gate", func(q querier) error {
		ctx := context.WithoutCancel(ctx)
		if err := one(q.ExecContext(ctx, `UPDATE gate SET venue = ?, venue_type = ? WHERE name = ?`, venue, venueType, name)); err != nil {
			return err
		}
		return stoodIn(ctx, q, name, venue)
	})
}

// one returns store.ErrNotFound when a statement changed no row.
func one(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		return store.ErrNotFound
	}
	return err
}

// Renewed notes a certificate.
func (s *Store) Renewed(ctx context.Context, device [16]byte, tlsKey [32]byte, until time.Time) error {
	return s.write(ctx, "note a certificate", func(q querier) error {
		return one(q.ExecContext(context.WithoutCancel(ctx), `UPDATE gate SET cert_spki = ?, cert_until = ? WHERE device = ?`, tlsKey[:], until.UnixMilli(), device[:]))
	})
}

// Reported keeps a gate's report.
func (s *Store) Reported(ctx context.Context, device [16]byte, report []byte, offsetMS int64, at time.Time) error {
	return s.write(ctx, "keep a report", func(q querier) error {
		return one(q.ExecContext(context.WithoutCancel(ctx), `UPDATE gate SET report = ?, offset_ms = ?, seen_ms = ? WHERE device = ?`, blob(report), offsetMS, at.UnixMilli(), device[:]))
	})
}
