package postgres

import (
	"bytes"
	"context"
	"errors"
	"time"

	"checkpoint/hub/store"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const sqlGate = `SELECT name, venue, venue_type, state, device, segment_key, word, created_ms, enrolled_ms, revoked_ms, cert_until, cert_spki, seen_ms, offset_ms, report,
	array(SELECT v.venue FROM gate_venue v WHERE v.gate = g.name ORDER BY v.turn) FROM gate g `

func scanGate(row pgx.CollectableRow) (g store.Gate, err error) { return readGate(row) }

func readGate(row pgx.Row) (g store.Gate, err error) {
	var device []byte
	err = row.Scan(&g.Name, &g.Venue, &g.VenueType, (*string)(&g.State), &device, &g.SegmentKey, &g.Word, &g.CreatedMS, &g.EnrolledMS, &g.RevokedMS,
		&g.CertUntil, &g.CertSPKI, &g.SeenMS, &g.OffsetMS, &g.Report, &g.Venues)
	copy(g.Device[:], device)
	return g, missing(err)
}

// lockGate reads a gate that nobody else changes until the transaction ends.
// Whoever changes a gate, its tokens or its devices comes through here.
func lockGate(ctx context.Context, q querier, name string) (store.Gate, error) {
	return readGate(q.QueryRow(ctx, sqlGate+`WHERE name = $1 FOR UPDATE`, name))
}

// maxPage bounds what one call reads, whatever is asked.
const maxPage = 100_000

func pageOf(limit int) int { return min(max(limit, 0), maxPage) }

// exists turns the error of a key that is taken into the store's.
func exists(err error) error {
	if sqlState(err) == uniqueViolation {
		return store.ErrExists
	}
	return err
}

// one returns store.ErrNotFound when a statement changed no row.
func one(tag pgconn.CommandTag, err error) error {
	if err == nil && tag.RowsAffected() == 0 {
		return store.ErrNotFound
	}
	return err
}

// CreateGate makes a gate and its first token.
func (s *Store) CreateGate(ctx context.Context, g store.Gate, t store.Token) error {
	return s.write(ctx, "create a gate", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO gate (name, venue, venue_type, state, created_ms) VALUES ($1, $2, $3, 'invited', $4)`, g.Name, g.Venue, g.VenueType, g.CreatedMS)
		if err != nil {
			return exists(err)
		}
		if err := stoodIn(ctx, tx, g.Name, g.Venue); err != nil {
			return err
		}
		t.Gate = g.Name
		return putToken(ctx, tx, t)
	})
}

func stoodIn(ctx context.Context, q querier, gate, venue string) error {
	_, err := q.Exec(ctx, `INSERT INTO gate_venue (gate, turn, venue) SELECT $1, (SELECT count(*) FROM gate_venue WHERE gate = $1), $2 ON CONFLICT DO NOTHING`, gate, venue)
	return err
}

func putToken(ctx context.Context, q querier, t store.Token) error {
	_, err := q.Exec(ctx, `INSERT INTO token (hash, gate, expires_ms, sheet) VALUES ($1, $2, $3, $4)`, t.Hash[:], t.Gate, t.Expires.UnixMilli(), t.Sheet)
	return exists(err)
}

func endTokens(ctx context.Context, q querier, gate string) error {
	_, err := q.Exec(ctx, `UPDATE token SET ended = true WHERE gate = $1 AND NOT ended`, gate)
	return err
}

// Invite gives an invited or revoked gate a new token.
func (s *Store) Invite(ctx context.Context, t store.Token) error {
	return s.write(ctx, "invite a gate", func(tx pgx.Tx) error {
		g, err := lockGate(ctx, tx, t.Gate)
		if err != nil {
			return err
		}
		if g.State != store.Invited && g.State != store.Revoked {
			return store.ErrState
		}
		_, err = tx.Exec(ctx, `UPDATE gate SET state = 'invited', device = NULL, segment_key = '', word = '', cert_until = 0, cert_spki = '' WHERE name = $1`, t.Gate)
		if err != nil {
			return err
		}
		if err := endTokens(ctx, tx, t.Gate); err != nil {
			return err
		}
		return putToken(ctx, tx, t)
	})
}

// UseToken gives the gate of a token to a device.
func (s *Store) UseToken(ctx context.Context, hash [32]byte, e store.Enrolment) (g store.Gate, use store.TokenUse, err error) {
	if e.Device == [16]byte{} {
		return g, 0, errors.New("use a token: no device")
	}
	err = s.write(ctx, "use a token", func(tx pgx.Tx) (err error) {
		g, use, err = useToken(ctx, tx, hash, e)
		if sqlState(err) == uniqueViolation { // another gate got this device at the same moment
			return errAgain
		}
		return err
	})
	return g, use, err
}

func useToken(ctx context.Context, q querier, hash [32]byte, e store.Enrolment) (g store.Gate, use store.TokenUse, err error) {
	t, err := readToken(q.QueryRow(ctx, sqlToken+`WHERE hash = $1`, hash[:]))
	if errors.Is(err, store.ErrNotFound) {
		return g, store.TokenUnknown, nil
	}
	if err != nil {
		return g, 0, err
	}
	if g, err = lockGate(ctx, q, t.Gate); err != nil {
		return g, 0, err
	}
	if t, err = readToken(q.QueryRow(ctx, sqlToken+`WHERE hash = $1`, hash[:])); err != nil { // as it is behind the lock
		return g, 0, err
	}
	var enrolled bool
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM device WHERE device = $1)`, e.Device[:]).Scan(&enrolled)
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
	_, err = q.Exec(ctx, `UPDATE gate SET state = $2, word = $3, device = $4, segment_key = $5, cert_spki = $6, cert_until = 0, enrolled_ms = $7, revoked_ms = 0,
		seen_ms = 0, offset_ms = 0, report = '' WHERE name = $1`, t.Gate, string(state), word, e.Device[:], blob(e.SegmentKey), e.TLSKey[:], at)
	if err != nil {
		return g, 0, err
	}
	if _, err = q.Exec(ctx, `INSERT INTO device (device, gate, segment_key, enrolled_ms) VALUES ($1, $2, $3, $4)`, e.Device[:], t.Gate, blob(e.SegmentKey), at); err != nil {
		return g, 0, err
	}
	if _, err = q.Exec(ctx, `UPDATE token SET device = $2, segment_key = $3, tls_key = $4 WHERE hash = $1`, hash[:], e.Device[:], blob(e.SegmentKey), e.TLSKey[:]); err != nil {
		return g, 0, err
	}
	g, err = readGate(q.QueryRow(ctx, sqlGate+`WHERE name = $1`, t.Gate))
	return g, store.TokenGood, err
}

const sqlToken = `SELECT hash, gate, expires_ms, sheet, ended, device, segment_key, tls_key FROM token `

func scanToken(row pgx.CollectableRow) (store.TokenEntry, error) { return readToken(row) }

func readToken(row pgx.Row) (t store.TokenEntry, err error) {
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
	g, err := readGate(s.pool.QueryRow(ctx, sqlGate+`WHERE name = $1`, name))
	return g, explain("look up a gate", err)
}

// GateByDevice finds the gate that has a device, or had it.
func (s *Store) GateByDevice(ctx context.Context, device [16]byte) (store.Gate, error) {
	g, err := readGate(s.pool.QueryRow(ctx, sqlGate+`WHERE device = $1`, device[:]))
	if errors.Is(err, store.ErrNotFound) {
		g, err = s.pastDevice(ctx, device)
	}
	return g, explain("look up a device", err)
}

// pastDevice is a gate as it was with a device that is no longer its own.
func (s *Store) pastDevice(ctx context.Context, device [16]byte) (store.Gate, error) {
	var d store.DeviceEntry
	var name string
	err := s.pool.QueryRow(ctx, `SELECT gate, segment_key, enrolled_ms, revoked_ms FROM device WHERE device = $1`, device[:]).
		Scan(&name, &d.SegmentKey, &d.EnrolledMS, &d.RevokedMS)
	if err != nil {
		return store.Gate{}, missing(err)
	}
	g, err := readGate(s.pool.QueryRow(ctx, sqlGate+`WHERE name = $1`, name))
	if err != nil {
		return g, err
	}
	return store.Gate{Name: g.Name, Venue: g.Venue, VenueType: g.VenueType, Venues: g.Venues, State: store.Revoked,
		Device: device, SegmentKey: d.SegmentKey, CreatedMS: g.CreatedMS, EnrolledMS: d.EnrolledMS, RevokedMS: d.RevokedMS}, nil
}

// Gates lists gates by name.
func (s *Store) Gates(ctx context.Context, venues []string, after string, limit int) ([]store.Gate, error) {
	list, err := collect(ctx, s.pool, scanGate, sqlGate+`WHERE name > $1 AND ($2::text[] IS NULL OR venue = ANY ($2)) ORDER BY name LIMIT $3`, after, venues, pageOf(limit))
	return list, explain("list gates", err)
}

// ConfirmGate makes a pending gate active.
func (s *Store) ConfirmGate(ctx context.Context, name, word string) error {
	return s.write(ctx, "confirm a gate", func(tx pgx.Tx) error {
		g, err := lockGate(ctx, tx, name)
		switch {
		case err != nil:
			return err
		case g.State != store.Pending:
			return store.ErrState
		case g.Word != word:
			return store.ErrStale
		}
		_, err = tx.Exec(ctx, `UPDATE gate SET state = 'active', word = '' WHERE name = $1`, name)
		return err
	})
}

// RevokeGate revokes a gate, its device and its tokens.
func (s *Store) RevokeGate(ctx context.Context, name string, at time.Time) error {
	return s.write(ctx, "revoke a gate", func(tx pgx.Tx) error {
		g, err := lockGate(ctx, tx, name)
		if err != nil || g.State == store.Revoked {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE gate SET state = 'revoked', word = '', revoked_ms = $2 WHERE name = $1`, name, at.UnixMilli()); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE device SET revoked_ms = $2 WHERE gate = $1 AND revoked_ms = 0`, name, at.UnixMilli()); err != nil {
			return err
		}
		return endTokens(ctx, tx, name)
	})
}

// MoveGate moves a gate to another venue.
func (s *Store) MoveGate(ctx context.Context, name, venue, venueType string) error {
	return s.write(ctx, "move a gate", func(tx pgx.Tx) error {
		if err := one(tx.Exec(ctx, `UPDATE gate SET venue = $2, venue_type = $3 WHERE name = $1`, name, venue, venueType)); err != nil {
			return err
		}
		return stoodIn(ctx, tx, name, venue)
	})
}

// Renewed notes a certificate.
func (s *Store) Renewed(ctx context.Context, device [16]byte, tlsKey [32]byte, until time.Time) error {
	return s.write(ctx, "note a certificate", func(tx pgx.Tx) error {
		return one(tx.Exec(ctx, `UPDATE gate SET cert_spki = $2, cert_until = $3 WHERE device = $1`, device[:], tlsKey[:], until.UnixMilli()))
	})
}

// Reported keeps a gate's report.
func (s *Store) Reported(ctx context.Context, device [16]byte, report []byte, offsetMS int64, at time.Time) error {
	return s.write(ctx, "keep a report", func(tx pgx.Tx) error {
		return one(tx.Exec(ctx, `UPDATE gate SET report = $2, offset_ms = $3, seen_ms = $4 WHERE device = $1`, device[:], blob(report), offsetMS, at.UnixMilli()))
	})
}
