package localdb

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
)

func TestAttemptOutlivesARestart(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	token, other := [32]byte{1}, [32]byte{2}
	if _, ok, err := db.Attempt(ctx, token); ok || err != nil {
		t.Fatalf("before any: %v, %v", ok, err)
	}
	a := Attempt{TLSKey: []byte("key"), SegmentSeed: slices.Repeat([]byte{7}, 32)}
	if err := db.KeepAttempt(ctx, token, Attempt{TLSKey: a.TLSKey, SegmentSeed: []byte{1}}); !errors.Is(err, ErrEnrol) {
		t.Errorf("a seed of one byte: %v, want ErrEnrol", err)
	}
	if err := db.KeepAttempt(ctx, token, a); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(ctx, clockAt(0)); err != nil {
		t.Fatal(err)
	}
	db = openAt(t, path, testOptions())
	got, ok, err := db.Attempt(ctx, token)
	if err != nil || !ok || string(got.TLSKey) != "key" || !slices.Equal(got.SegmentSeed, a.SegmentSeed) {
		t.Fatalf("got %v, %v, %v", got, ok, err)
	}
	if _, ok, err := db.Attempt(ctx, other); ok || err != nil {
		t.Errorf("another token has keys: %v, %v", ok, err)
	}
	e := Enrolment{URL: "https://hub", Chain: [][]byte{{1}}, TLSKey: a.TLSKey, SegmentSeed: a.SegmentSeed, Gate: "g", Venue: "V", VenueType: "any", State: "active"}
	if err := db.Enrol(ctx, clockAt(0), e); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := db.Attempt(ctx, token); ok || err != nil {
		t.Errorf("enrolled, and the attempt is still there: %v, %v", ok, err)
	}
}
