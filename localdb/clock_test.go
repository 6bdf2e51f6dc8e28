package localdb

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"checkpoint/record"
)

func TestFloorAndAnchor(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(floor, anchor int64) {
		t.Helper()
		if c := db.Clock(); c.FloorMS != floor || c.AnchorMS != anchor {
			t.Errorf("clock = %+v, want floor %d, anchor %d", c, floor, anchor)
		}
	}
	must(db.RaiseAnchor(ctx, clockAt(0), 100))
	want(100, 100)
	must(db.RaiseFloor(ctx, 500))
	must(db.RaiseFloor(ctx, 400)) // never back
	want(500, 100)
	must(db.RaiseAnchor(ctx, clockAt(0), 50)) // never back
	want(500, 100)
	must(db.RaiseAnchor(ctx, clockAt(0), 300)) // the floor is later already
	want(500, 300)
	before, _ := db.Head()
	must(db.LowerFloor(ctx, clockAt(0)))
	want(300, 300)
	row, err := db.Row(ctx, before+1)
	must(err)
	if e, ok := row.Body.(record.Event); !ok || e.Code != record.EventFloorLowered || e.Value != 500 {
		t.Errorf("row = %+v", row.Body)
	}
	must(db.Close(ctx, clockAt(0)))
	db = openAt(t, path, testOptions())
	want(300, 300)
}

func TestRanCountsOverRestarts(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	mustTick(t, db, 0)
	mustTick(t, db, 5*time.Minute)
	if err := db.Close(ctx, clockAt(5*time.Minute)); err != nil {
		t.Fatal(err)
	}
	db = openAt(t, path, testOptions())
	other := clockAt(time.Hour) // another boot: its clock tells nothing of the last
	other.Boot[0]++
	if err := db.Tick(ctx, other); err != nil {
		t.Fatal(err)
	}
	other.MonoMS += 1000
	if err := db.Tick(ctx, other); err != nil {
		t.Fatal(err)
	}
	if got := db.Clock().RanMS; got != 301_000 {
		t.Errorf("ran %d ms, want 301000", got)
	}
	if err := db.RaiseAnchor(ctx, other, noon); err != nil {
		t.Fatal(err)
	}
	if got := db.Clock().RanMS; got != 0 {
		t.Errorf("ran %d ms since a new anchor, want 0", got)
	}
}

func TestInstallTrust(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	if all, err := db.Trust(ctx); err != nil || len(all) != 0 {
		t.Fatalf("a new file has trust: %v, %v", all, err)
	}
	at := clockAt(0)
	for _, tc := range []struct {
		name string
		t    Trust
		want error
		have []uint64 // versions afterwards
	}{
		{"the first", Trust{Version: 5, KeyID: "k1", Bytes: []byte("five")}, nil, []uint64{5}},
		{"the same again", Trust{Version: 5, KeyID: "k1", Bytes: []byte("five")}, nil, []uint64{5}},
		{"the same version with other bytes", Trust{Version: 5, KeyID: "k1", Bytes: []byte("FIVE")}, ErrConflict, []uint64{5}},
		{"an older one", Trust{Version: 4, KeyID: "k1", Bytes: []byte("four")}, ErrOlder, []uint64{5}},
		{"a newer one", Trust{Version: 7, KeyID: "k2", Bytes: []byte("seven")}, nil, []uint64{7, 5}},
		{"one between", Trust{Version: 6, KeyID: "k2", Bytes: []byte("six")}, ErrOlder, []uint64{7, 5}},
		{"the third", Trust{Version: 8, KeyID: "k2", Bytes: []byte("eight")}, nil, []uint64{8, 7}},
		{"empty", Trust{Version: 9}, ErrTrust, []uint64{8, 7}},
		{"without a version", Trust{Bytes: []byte("x")}, ErrTrust, []uint64{8, 7}},
		{"a version that no file can hold", Trust{Version: 1 << 63, Bytes: []byte("x")}, ErrTrust, []uint64{8, 7}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := db.InstallTrust(ctx, at, tc.t); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			all, err := db.Trust(ctx)
			if err != nil || len(all) != len(tc.have) {
				t.Fatalf("have %d generations, %v, want %v", len(all), err, tc.have)
			}
			for i, v := range tc.have {
				if all[i].Version != v {
					t.Errorf("generation %d is version %d, want %d", i, all[i].Version, v)
				}
			}
		})
	}
	events := 0
	for row, err := range db.Rows(ctx, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := row.Body.(record.Event); ok && e.Code == record.EventTrust {
			events++
		}
	}
	if events != 3 {
		t.Errorf("%d event rows for 3 installations", events)
	}
	all, err := openAt(t, copyAs(t, path), testOptions()).Trust(ctx)
	if err != nil || len(all) != 2 || !bytes.Equal(all[0].Bytes, []byte("eight")) || all[0].KeyID != "k2" || all[0].InstalledMS != at.WallMS {
		t.Errorf("after a kill: %+v, %v", all, err)
	}
}

// The anchor comes with the trust or not at all: a start after a kill in
// between would have to write, which a full disk does not allow.
func TestTrustBringsItsAnchor(t *testing.T) {
	ctx := context.Background()
	db := openNew(t)
	later := noon + 3*hourMS
	if err := db.InstallTrust(ctx, clockAt(0), Trust{Version: 7, Bytes: []byte("signed"), IssuedMS: later}); err != nil {
		t.Fatal(err)
	}
	if c := db.Clock(); c.AnchorMS != later || c.FloorMS != later {
		t.Errorf("clock = %+v, want anchor and floor at %d", c, later)
	}
	if err := db.InstallTrust(ctx, clockAt(0), Trust{Version: 8, Bytes: []byte("older"), IssuedMS: noon}); err != nil {
		t.Fatal(err)
	}
	if c := db.Clock(); c.AnchorMS != later {
		t.Errorf("an older date lowered the anchor: %+v", c)
	}
	if err := db.InstallTrust(ctx, clockAt(0), Trust{Version: 6, Bytes: []byte("old"), IssuedMS: later + 1}); err == nil || db.Clock().AnchorMS != later {
		t.Errorf("refused trust raised the anchor: %v, %+v", err, db.Clock())
	}
}
