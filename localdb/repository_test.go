package localdb

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"checkpoint/record"
)

// generationOf is a repository of one version: small files that say which, and
// a large one that versions share by tens.
func generationOf(version uint64, size int) Repository {
	r := Repository{Version: version, IssuedMS: noon + int64(version), AnchorMS: noon + int64(version)}
	for _, name := range []string{"1.root.json", "timestamp.json", fmt.Sprintf("%d.snapshot.json", version), fmt.Sprintf("%d.targets.json", version)} {
		r.Files = append(r.Files, RepositoryFile{name, fmt.Appendf(nil, "%s of %d", name, version)})
	}
	r.Files = append(r.Files, RepositoryFile{"targets/empty", nil},
		RepositoryFile{"targets/issuers.json", bytes.Repeat([]byte{byte(version / 10)}, size)})
	return r
}

// refreshed is a version after n refreshes, of which two files tell.
func refreshed(version, n uint64, size int) Repository {
	r := generationOf(version, size)
	r.IssuedMS = noon + int64(version*1000+n)
	for i := range 2 {
		r.Files[i].Bytes = fmt.Appendf(nil, "%s of %d, refreshed %d times", r.Files[i].Name, version, n)
	}
	return r
}

// sameRepository ignores the order of files.
func sameRepository(a, b Repository) bool {
	files := func(r Repository) map[string]string {
		m := make(map[string]string)
		for _, f := range r.Files {
			m[f.Name] = string(f.Bytes)
		}
		return m
	}
	return a.Version == b.Version && a.IssuedMS == b.IssuedMS && a.AnchorMS == b.AnchorMS && fmt.Sprint(files(a)) == fmt.Sprint(files(b))
}

func mustRepositories(t tb, db *DB) []Repository {
	t.Helper()
	all, err := db.Repositories(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRepository(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	if all := mustRepositories(t, db); len(all) != 0 {
		t.Errorf("a new file has %d generations", len(all))
	}
	install := func(r Repository, want error) {
		t.Helper()
		if err := db.InstallRepository(ctx, clockAt(0), r); !errors.Is(err, want) {
			t.Fatalf("version %d: %v, want %v", r.Version, err, want)
		}
	}
	holds := func(want ...Repository) {
		t.Helper()
		all := mustRepositories(t, db)
		if len(all) != len(want) {
			t.Fatalf("%d generations, want %d", len(all), len(want))
		}
		for i := range want {
			if !sameRepository(all[i], want[i]) || all[i].InstalledMS != noon {
				t.Errorf("generation %d is %d of %d, want version %d", i, all[i].Version, all[i].IssuedMS, want[i].Version)
			}
		}
	}
	const size = 2*partSize + 17
	one, two, three := generationOf(1, size), generationOf(2, size), generationOf(30, size)
	install(one, nil)
	holds(one)
	if c := db.Clock(); c.AnchorMS != noon+1 || c.FloorMS != noon+1 {
		t.Errorf("clock %+v", c)
	}
	install(two, nil)
	holds(two, one)
	refreshed := generationOf(2, size)
	refreshed.IssuedMS += 60_000
	refreshed.Files[1].Bytes = []byte("a later timestamp")
	install(refreshed, nil)
	holds(refreshed, one)
	install(refreshed, nil)
	install(two, ErrOlder)
	install(one, ErrOlder)
	holds(refreshed, one)
	install(three, nil)
	holds(three, refreshed)
	if err := db.Close(ctx, clockAt(0)); err != nil {
		t.Fatal(err)
	}
	if all, err := PeekRepositories(ctx, path); err != nil || len(all) != 2 || !sameRepository(all[0], three) {
		t.Errorf("peek sees %d generations, %v", len(all), err)
	}
	db = openAt(t, path, testOptions())
	holds(three, refreshed)
	var versions []int64
	for row, err := range db.Rows(ctx, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := row.Body.(record.Event); ok && e.Code == record.EventTrust {
			versions = append(versions, e.Value)
		}
	}
	if fmt.Sprint(versions) != "[1 2 30]" {
		t.Errorf("events of versions %v, want 1, 2, 30", versions)
	}
	// What nobody names has gone: two large contents are left, and the small ones.
	var blobs, bytes int
	if err := db.reader().QueryRow(`SELECT count(DISTINCT sha256), sum(length(bytes)) FROM blob`).Scan(&blobs, &bytes); err != nil {
		t.Fatal(err)
	}
	if blobs != 2+4+4 || bytes > 2*size+1000 {
		t.Errorf("%d contents of %d bytes are kept", blobs, bytes)
	}
}

func TestRepositoryRefuses(t *testing.T) {
	db := openNew(t)
	for _, tc := range []struct {
		name   string
		change func(r *Repository)
	}{
		{"no version", func(r *Repository) { r.Version = 0 }},
		{"a version past all", func(r *Repository) { r.Version = 1 << 63 }},
		{"no files", func(r *Repository) { r.Files = nil }},
		{"a file without a name", func(r *Repository) { r.Files[0].Name = "" }},
		{"a long name", func(r *Repository) { r.Files[0].Name = strings.Repeat("x", 201) }},
		{"a name twice", func(r *Repository) { r.Files[0].Name = r.Files[1].Name }},
		{"too many files", func(r *Repository) {
			for i := range maxRepositoryFiles {
				r.Files = append(r.Files, RepositoryFile{Name: fmt.Sprint(i)})
			}
		}},
		{"too much", func(r *Repository) { r.Files[0].Bytes = make([]byte, MaxTrust) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := generationOf(1, 10)
			tc.change(&r)
			if err := db.InstallRepository(context.Background(), clockAt(0), r); !errors.Is(err, ErrTrust) {
				t.Errorf("got %v, want ErrTrust", err)
			}
		})
	}
}

// TestRefreshWritesLittle: a new timestamp does not write tens of megabytes again.
func TestRefreshWritesLittle(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	r := generationOf(1, 20<<20)
	if err := db.InstallRepository(ctx, clockAt(0), r); err != nil {
		t.Fatal(err)
	}
	if err := db.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	r.IssuedMS++
	r.Files[1].Bytes = []byte("later")
	if err := db.InstallRepository(ctx, clockAt(0), r); err != nil {
		t.Fatal(err)
	}
	if size := fileSize(path + "-wal"); size > 256<<10 {
		t.Errorf("a refresh wrote %d bytes", size)
	}
}

// TestHalfARepository: contents that were written before a kill are of no
// generation; the next installation uses, or removes, them.
func TestHalfARepository(t *testing.T) {
	ctx := context.Background()
	db := openNew(t)
	if err := db.InstallRepository(ctx, clockAt(0), generationOf(1, 3*partSize)); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{
		`INSERT INTO blob (sha256, part, bytes) VALUES (zeroblob(32), 0, x'01')`,
		`DELETE FROM blob WHERE part = 1`,
	} {
		if _, err := db.conn.ExecContext(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	if lost := withoutBytes(mustRepositories(t, db)); lost != 1 {
		t.Errorf("a content without its middle: %d files without bytes, want 1", lost)
	}
	if err := db.InstallRepository(ctx, clockAt(0), generationOf(2, 3*partSize)); err != nil {
		t.Fatal(err)
	}
	if all := mustRepositories(t, db); len(all) != 2 || !sameRepository(all[0], generationOf(2, 3*partSize)) {
		t.Errorf("%d generations, or not what was installed", len(all))
	}
	var left int
	if err := db.reader().QueryRow(`SELECT count(*) FROM blob WHERE sha256 = zeroblob(32)`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d parts of nothing are left, %v", left, err)
	}
}

func TestRepositoryLeavesTheReserve(t *testing.T) {
	folder := smallDisk(t, "16m")
	db := openAt(t, filepath.Join(folder, "gate.db"), testOptions())
	if err := db.InstallRepository(context.Background(), clockAt(0), generationOf(1, 5<<20)); !errors.Is(err, ErrNoSpace) {
		t.Errorf("got %v, want ErrNoSpace", err)
	}
	if err := db.InstallRepository(context.Background(), clockAt(0), generationOf(1, 1<<20)); err != nil {
		t.Error(err)
	}
	if err := db.InstallRepository(context.Background(), clockAt(0), generationOf(1, 1<<20)); err != nil {
		t.Errorf("the same again, which takes no room: %v", err)
	}
}

func TestRepositoryChangedInTheFile(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	if err := db.InstallRepository(ctx, clockAt(0), generationOf(1, 100)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(ctx, clockAt(0)); err != nil {
		t.Fatal(err)
	}
	pool, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(`UPDATE blob SET bytes = zeroblob(length(bytes)) WHERE length(bytes) < 100`); err != nil {
		t.Fatal(err)
	}
	if err := pool.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := PeekRepositories(ctx, path)
	if lost := withoutBytes(all); err != nil || lost == 0 || lost == len(all[0].Files) {
		t.Errorf("%d files without bytes, %v, want some and not all", lost, err)
	}
}

// withoutBytes is how many files came without their contents.
func withoutBytes(all []Repository) (n int) {
	for _, r := range all {
		for _, f := range r.Files {
			if f.Bytes == nil && f.Name != "targets/empty" {
				n++
			}
		}
	}
	return n
}
