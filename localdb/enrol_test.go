package localdb

import (
	"context"
	"testing"
)

// A gate that comes to a hub whose trust begins elsewhere forgets what it held;
// one that is renewed, moved, or enrolled anew where its trust began does not.
func TestTrustBeginsWithTheEnrolment(t *testing.T) {
	ctx := context.Background()
	db := openNew(t)
	install := func(version uint64) {
		t.Helper()
		if err := db.InstallRepository(ctx, clockAt(0), generationOf(version, 100)); err != nil {
			t.Fatal(err)
		}
	}
	enrol := func(root []byte, venue string, kept int) {
		t.Helper()
		e := testEnrolment(venue)
		e.FirstRoot = root
		if err := db.Enrol(ctx, clockAt(0), e); err != nil {
			t.Fatal(err)
		}
		if all := mustRepositories(t, db); len(all) != kept {
			t.Fatalf("%d generations are kept, want %d", len(all), kept)
		}
	}
	first, later := generationOf(5, 100).Files[0].Bytes, generationOf(6, 100).Files[0].Bytes
	enrol(first, "North", 0)
	install(5)
	install(6)
	enrol(first, "South", 2) // moved
	if err := db.NewDevice(ctx, clockAt(0), "revoked"); err != nil {
		t.Fatal(err)
	}
	enrol(later, "South", 2) // a newer root of the same trust
	enrol([]byte("another root"), "South", 0)
	install(3) // older by its number: another repository
	if all := mustRepositories(t, db); len(all) != 1 || !sameRepository(all[0], generationOf(3, 100)) {
		t.Errorf("%d generations are kept", len(all))
	}
}
