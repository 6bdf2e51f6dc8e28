package localdb

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"checkpoint/record"
)

// Enrolment is the hub that a gate belongs to, and what the gate shows there.
// It holds private keys: they stand in the gate's file, which is for its owner
// only, and nowhere else.
type Enrolment struct {
	URL         string   // https://host:port, at most 200 bytes
	Pin         [32]byte // SHA-256 of the hub CA's SubjectPublicKeyInfo, from the token
	Chain       [][]byte // DER, the gate's certificate first; 1 to 8
	TLSKey      []byte   // PKCS #8
	SegmentSeed []byte   // 32 bytes: the Ed25519 key that signs segments
	Word        string   // six digits to compare, while pending
	Gate        string   // its name, at most 64 bytes
	Venue       string   // record.ValidVenue
	VenueType   string   // at most 64 bytes
	State       string   // active, pending, revoked
	IntervalS   int      // seconds between uploads
	FirstRoot   []byte   // TUF root metadata that the token named; at most 1 MiB
}

// fits reports whether the file can hold it.
func (e *Enrolment) fits() bool {
	text := func(s string, most int) bool { return len(s) <= most && utf8.ValidString(s) }
	if !text(e.URL, 200) || e.URL == "" || !text(e.Word, 16) || !text(e.Gate, 64) || !text(e.VenueType, 64) || !text(e.State, 16) {
		return false
	}
	if len(e.Chain) == 0 || len(e.Chain) > 8 {
		return false
	}
	for _, der := range e.Chain {
		if len(der) == 0 || len(der) > 16<<10 {
			return false
		}
	}
	return record.ValidVenue(e.Venue) && len(e.SegmentSeed) == ed25519.SeedSize && len(e.TLSKey) > 0 && len(e.TLSKey) <= 16<<10 &&
		len(e.FirstRoot) <= 1<<20 && e.IntervalS >= 0 && e.IntervalS <= 1<<30
}

func (e *Enrolment) chain() (b []byte) {
	for _, der := range e.Chain {
		b = binary.BigEndian.AppendUint32(b, uint32(len(der)))
		b = append(b, der...)
	}
	return b
}

func parseChain(b []byte) (chain [][]byte, ok bool) {
	for len(b) > 0 {
		if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
			return nil, false
		}
		n := int(binary.BigEndian.Uint32(b))
		chain, b = append(chain, b[4:4+n]), b[4+n:]
	}
	return chain, true
}

// Enrolment is the hub that the gate belongs to, with the keys; ok is false for
// a gate alone.
func (db *DB) Enrolment(ctx context.Context) (e Enrolment, ok bool, err error) {
	if db.closed.Load() {
		return e, false, ErrClosed
	}
	e, err = readEnrolment(ctx, db.path, db.reader(), `tls_key, seed`)
	if errors.Is(err, sql.ErrNoRows) {
		return e, false, nil
	}
	return e, err == nil, db.explain("read the enrolment", err)
}

// readEnrolment reads it; keys are the two columns of private keys, or what
// stands for them.
func readEnrolment(ctx context.Context, path string, q querier, keys string) (e Enrolment, err error) {
	var pin, chain []byte
	err = q.QueryRowContext(ctx, `SELECT url, pin, chain, word, gate, venue, venue_type, state, interval, root, `+keys+` FROM enrolment`).
		Scan(&e.URL, &pin, &chain, &e.Word, &e.Gate, &e.Venue, &e.VenueType, &e.State, &e.IntervalS, &e.FirstRoot, &e.TLSKey, &e.SegmentSeed)
	if err != nil {
		return Enrolment{}, err
	}
	var ok bool
	if e.Chain, ok = parseChain(chain); !ok || len(pin) != len(e.Pin) {
		return Enrolment{}, failure(path, ErrDamaged, errors.New("the enrolment cannot be read"))
	}
	copy(e.Pin[:], pin)
	return e, nil
}

// Enrol stores an enrolment in place of the one before. The first with a hub is
// an event row; from then on rows wait until a receipt covers them, those
// written before, too: as rows of this venue. Later ones bring a new
// certificate, state or interval. With another venue the rows written until
// now stay the old venue's: segments end where it changes. With another
// FirstRoot, one that is not among the roots of the kept trust, that trust goes:
// it is another hub's, and nothing of this one's could ever follow it.
//
// Keys that were replaced are overwritten in the file; a Checkpoint, or a later
// Tick, takes them out of the log. It returns ErrEnrol for what does not fit.
func (db *DB) Enrol(ctx context.Context, at record.Stamp, e Enrolment) error {
	if !e.fits() {
		return ErrEnrol
	}
	db.cutting.Lock()
	defer db.cutting.Unlock()
	return db.exclusive(ctx, "enrol", func(t *txn) error { return t.enrol(at, e) })
}

func (t *txn) enrol(at record.Stamp, e Enrolment) error {
	var url string
	var pin, began []byte
	err := t.db.conn.QueryRowContext(t.ctx, `SELECT url, pin, root FROM enrolment`).Scan(&url, &pin, &began)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	first := err != nil || url != e.URL || string(pin) != string(e.Pin[:])
	root := e.FirstRoot
	if root == nil {
		root = []byte{}
	}
	_, err = t.db.conn.ExecContext(t.ctx, `INSERT OR REPLACE INTO enrolment
		(id, url, pin, chain, tls_key, seed, word, gate, venue, venue_type, state, interval, root)
		VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.URL, e.Pin[:], e.chain(), e.TLSKey, e.SegmentSeed, e.Word, e.Gate, e.Venue, e.VenueType, e.State, e.IntervalS, root)
	if err != nil {
		return err
	}
	if err := t.dropAttempt(); err != nil {
		return err
	}
	if string(began) != string(root) {
		if err := t.beginTrust(root); err != nil {
			return err
		}
	}
	t.db.owed = true
	t.box.enrolled = true
	v := t.view()
	n := len(t.box.places)
	switch {
	case n == 0:
		err = t.stand(place{v.since(), e.Venue})
	case t.box.places[n-1].venue == "": // a device that was not enrolled until now
		err = t.stand(place{t.box.places[n-1].first, e.Venue})
	case t.box.places[n-1].venue != e.Venue:
		err = t.stand(place{t.seq + 1, e.Venue})
	}
	if err != nil || !first {
		return err
	}
	return t.add(record.Draft{Stamp: at, Body: record.Event{Code: record.EventEnrolled, Text: record.CutText(e.Venue)}})
}

// beginTrust forgets generations that do not hold the root; what they named goes
// with the next installation.
func (t *txn) beginTrust(root []byte) error {
	sum := sha256.Sum256(root)
	_, err := t.db.conn.ExecContext(t.ctx, `DELETE FROM generation WHERE NOT EXISTS (SELECT 1 FROM file WHERE sha256 = ?)`, sum[:])
	return err
}

// stand writes where rows are from a number on, no less than the last one.
func (t *txn) stand(p place) error {
	_, err := t.db.conn.ExecContext(t.ctx, `INSERT INTO place (first, venue) VALUES (?, ?)
		ON CONFLICT DO UPDATE SET venue = excluded.venue`, int64(p.first), p.venue)
	if err != nil {
		return err
	}
	places := append([]place(nil), t.box.places...)
	if n := len(places); n > 0 && places[n-1].first == p.first {
		places = places[:n-1]
	}
	t.box.places = append(places, p)
	for _, s := range t.box.nobodys() {
		t.settled = t.settled.add(s)
	}
	return nil
}

// NewDevice makes the gate a device that no hub knows, with an epoch of its own:
// after it was revoked. What the old one wrote is cut and signed first, as long
// as its key is there: Cuts gives it, for a stick. Then enrolment and keys are
// wiped. Sealers of the old identity are of no use any more.
func (db *DB) NewDevice(ctx context.Context, at record.Stamp, why string) error {
	db.cutting.Lock()
	defer db.cutting.Unlock()
	e, enrolled, err := db.Enrolment(ctx)
	if err != nil {
		return err
	}
	var sign record.Signer
	if enrolled {
		key := ed25519.NewKeyFromSeed(e.SegmentSeed)
		sign = func(digest [32]byte) [ed25519.SignatureSize]byte { return record.SignSegment(digest, key) }
		if err := db.cutAll(ctx, sign); err != nil {
			return err
		}
	}
	err = db.exclusive(ctx, "become another device", func(t *txn) error {
		if enrolled {
			if err := t.cutRest(sign); err != nil {
				return err
			}
		}
		if _, err := db.conn.ExecContext(t.ctx, `DELETE FROM enrolment`); err != nil {
			return err
		}
		if err := t.dropAttempt(); err != nil {
			return err
		}
		t.box.enrolled = false
		if len(t.box.places) > 0 {
			if err := t.stand(place{t.seq + 1, ""}); err != nil {
				return err
			}
		}
		random(t.id.Device[:])
		db.owed = true
		return t.newEpoch(at, why)
	})
	db.tail, db.made = tail{}, record.Cut{}
	if err != nil {
		return err
	}
	if err := db.Checkpoint(ctx); err != nil && !errors.Is(err, ErrBusy) {
		return err
	}
	return nil
}

// cutRest cuts the few rows that came since cutAll, inside the transaction.
func (t *txn) cutRest(sign record.Signer) error {
	db := t.db
	for {
		v := t.view()
		ok, err := db.tail.grow(t.ctx, db, db.conn, v, true)
		if !ok || err != nil {
			return err
		}
		row, err := db.tail.segment(t.ctx, db, db.conn, v, sign)
		if err != nil {
			return err
		}
		if err := t.keepCut(row); err != nil {
			return err
		}
		db.tail.next()
	}
}
