package localdb

import (
	"bytes"
	"context"
	"crypto/ed25519"

	"checkpoint/record"
)

// testKey signs segments in tests, hubKey receipts.
func testKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte("the segment key's seed, 32 bytes"))
}

func hubKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{0x42}, 32)) }

func testSign(digest [32]byte) [ed25519.SignatureSize]byte {
	return record.SignSegment(digest, testKey())
}

func testEnrolment(venue string) Enrolment {
	return Enrolment{URL: "https://hub.example:8443", Pin: [32]byte{1, 2, 3},
		Chain:  [][]byte{[]byte("THE GATE'S CERTIFICATE"), []byte("THE CA'S CERTIFICATE")},
		TLSKey: []byte("THE PRIVATE KEY FOR TLS, PKCS #8"), SegmentSeed: testKey().Seed(), Word: "042137",
		Gate: "North 1", Venue: venue, VenueType: "mall", State: "active", IntervalS: 60, FirstRoot: []byte(`{"root":1}`)}
}

// tb is what testing.TB and rapid.T have in common.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func mustEnrol(t tb, db *DB, venue string) {
	t.Helper()
	if err := db.Enrol(context.Background(), clockAt(0), testEnrolment(venue)); err != nil {
		t.Fatal(err)
	}
}

func mustCutAll(t tb, db *DB) {
	t.Helper()
	if err := db.CutAll(context.Background(), testSign); err != nil {
		t.Fatal(err)
	}
}

func mustCut(t tb, db *DB, all bool) record.Cut {
	t.Helper()
	c, ok, err := db.NextCut(context.Background(), all, testSign)
	if err != nil || !ok {
		t.Fatalf("next segment: %v, %v", ok, err)
	}
	return c
}

// mustNotCut says that nothing is to be sent.
func mustNotCut(t tb, db *DB, all bool) {
	t.Helper()
	if c, ok, err := db.NextCut(context.Background(), all, testSign); ok || err != nil {
		t.Fatalf("a segment of rows %d to %d, %v, want none", c.First, c.Last, err)
	}
}

// openCuts are those that are not settled.
func openCuts(t tb, db *DB) (all []record.Cut) {
	t.Helper()
	for c, err := range db.Cuts(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// receipt is what a hub answers.
func receipt(c record.Cut, reason record.RefusedFor) (record.Receipt, []byte) {
	r := record.Receipt{Identity: c.Identity, Number: c.Number, First: c.First, Last: c.Last, SHA256: c.SHA256,
		TimeMS: noon, Disposition: record.Stored, Reason: reason}
	if reason != 0 {
		r.Disposition = record.Refused
	}
	r = record.SignReceipt(r, hubKey())
	return r, record.AppendReceipt(nil, r)
}

func mustSettle(t tb, db *DB, c record.Cut, reason record.RefusedFor) {
	t.Helper()
	r, raw := receipt(c, reason)
	if err := db.Settle(context.Background(), clockAt(0), r, raw); err != nil {
		t.Fatal(err)
	}
}

// settleAll cuts and settles everything.
func settleAll(t tb, db *DB) {
	t.Helper()
	mustCutAll(t, db)
	for _, c := range openCuts(t, db) {
		mustSettle(t, db, c, 0)
	}
}

// parsed opens a segment and checks everything that a hub does.
func parsed(t tb, c record.Cut) *record.Segment {
	t.Helper()
	s, err := record.ParseSegment(c.Bytes)
	if err != nil {
		t.Fatalf("segment %d: %v", c.Number, err)
	}
	if !record.VerifySegment(c.Bytes, testKey().Public().(ed25519.PublicKey)) || record.SegmentDigest(c.Bytes) != c.SHA256 {
		t.Fatalf("segment %d: its signature or digest does not hold", c.Number)
	}
	if s.SegmentKey != c.SegmentKey || s.First != c.First || s.Last != c.Last {
		t.Fatalf("segment says %+v, rows %d to %d, its cut %+v, %d to %d", s.SegmentKey, s.First, s.Last, c.SegmentKey, c.First, c.Last)
	}
	return s
}
