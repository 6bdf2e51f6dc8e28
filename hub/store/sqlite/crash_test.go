package sqlite

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"checkpoint/hub/store"
	"checkpoint/hub/store/storetest"
	"checkpoint/record"
)

var errStop = errors.New("stopped")

// A hub may end at each step of a batch, and in each case the same batch again
// is stored once: nothing twice, nothing counted twice, no false conflict.
func TestStopBetweenCommits(t *testing.T) {
	for _, tc := range []struct {
		at    string
		after int // so many commits of day files first
	}{{"day", 0}, {"day", 1}, {"day", 2}, {"main", 0}} {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s after %d, crash %v", tc.at, tc.after, crash), func(t *testing.T) {
				p := fresh(t).(place)
				s := p.open(t, Options{})
				w := storetest.NewWriter(1)
				before := w.Cut(20)
				if _, err := s.Put(t.Context(), []store.Incoming{before}); err != nil {
					t.Fatal(err)
				}
				batch := []store.Incoming{w.Cut(20)}
				w.Day = "2026-11-24"
				batch = append(batch, w.Cut(20))
				w.Cut(20) // is lost: a gap
				w.Day = "elsewhere"
				batch = append(batch, w.Cut(20))
				seen := 0
				s.step = func(at string) error {
					if at == tc.at {
						if seen++; seen > tc.after {
							return errStop
						}
					}
					return nil
				}
				_, err := s.Put(t.Context(), batch)
				is(t, err, errStop)
				if crash {
					p.Crash(t, s)
					s = p.open(t, Options{})
				}
				s.step = nil
				defer func() { s.Close() }()
				puts, err := s.Put(t.Context(), batch)
				if err != nil {
					t.Fatal(err)
				}
				for i, put := range puts {
					if put.Outcome != store.Stored || (put.MissingFrom != 0) != (i == 2) {
						t.Errorf("segment %d: %+v", i, put)
					}
				}
				for i, want := range []store.Outcome{store.Repeat, store.Repeat, store.Repeat} {
					if again, err := s.Put(t.Context(), batch[i:i+1]); err != nil || again[0].Outcome != want {
						t.Errorf("again: %v, %v", again, err)
					}
				}
				hours, err := s.Hourly(t.Context(), nil, storetest.Hour, storetest.Hour+1)
				if err != nil {
					t.Fatal(err)
				}
				var n uint64
				for _, h := range hours {
					n += h.N
				}
				rows, err := s.Notable(t.Context(), store.RowFilter{Limit: 100})
				if err != nil || n != 80 || len(rows) != 8 {
					t.Errorf("%d rows are counted, %d notable: %v", n, len(rows), err)
				}
				days, err := s.ListDays(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				var segments uint64
				for _, d := range days {
					segments += d.Segments
				}
				if segments != 4 {
					t.Errorf("%d segments in %v", segments, days)
				}
			})
		}
	}
}

// What a hub left in a day file before it ended is no other's place: a segment
// with the same key and other bytes is a conflict, and its own comes later.
func TestLeftSegmentKeepsItsPlace(t *testing.T) {
	p := fresh(t).(place)
	s := p.open(t, Options{})
	defer s.Close()
	in := storetest.NewWriter(1).Cut(20)
	s.step = func(at string) error {
		if at == "main" {
			return errStop
		}
		return nil
	}
	_, err := s.Put(t.Context(), []store.Incoming{in})
	is(t, err, errStop)
	s.step = nil
	other := in
	other.SHA256[0] ^= 1
	puts, err := s.Put(t.Context(), []store.Incoming{other, in})
	if err != nil || puts[0].Outcome != store.Conflict || puts[1].Outcome != store.Stored {
		t.Errorf("%+v, %v", puts, err)
	}
}

// A drop that was cut short is finished at the next start.
func TestDropIsFinished(t *testing.T) {
	p := fresh(t).(place)
	s := p.open(t, Options{})
	w := storetest.NewWriter(1)
	in := w.Cut(20)
	w.Day = "elsewhere"
	if _, err := s.Put(t.Context(), []store.Incoming{in, w.Cut(20)}); err != nil {
		t.Fatal(err)
	}
	for _, day := range []string{in.Day, "elsewhere"} {
		if _, err := s.main.Exec(`UPDATE day SET destroyed = 1 WHERE id = ?`, day); err != nil {
			t.Fatal(err)
		}
	}
	p.Crash(t, s)
	s = p.open(t, Options{})
	defer s.Close()
	if left, _ := filepath.Glob(filepath.Join(p.dir, "day-*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	f, err := s.files.get(t.Context(), otherFile, false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.files.release(f)
	var n int
	if err := f.reader.QueryRow(`SELECT (SELECT count(*) FROM segment) + (SELECT count(*) FROM source) + (SELECT count(*) FROM hourly) + (SELECT count(*) FROM notable)`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows are left: %v", n, err)
	}
}

// Somebody who reads a day while it is dropped reads on to its end.
func TestDropWhileReading(t *testing.T) {
	p := fresh(t).(place)
	s := p.open(t, Options{})
	defer s.Close()
	w := storetest.NewWriter(1)
	var batch []store.Incoming
	for range 40 {
		batch = append(batch, w.Cut(20))
	}
	if _, err := s.Put(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, err := range s.Bucket(t.Context(), store.Bucket{Day: w.Day, Venue: w.Venue, Hour: w.Hour}) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 3 {
			if err := s.DropDay(t.Context(), w.Day, true, storetest.Now()); err != nil {
				t.Fatal(err)
			}
			if left, _ := filepath.Glob(filepath.Join(p.dir, "day-*")); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
		}
	}
	if seen != 40 {
		t.Errorf("%d segments were read", seen)
	}
	if len(s.files.open) != 0 {
		t.Errorf("%d files are open", len(s.files.open))
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(t.Context(), dir, Options{})
	is(t, err, store.ErrOlder)
	for range 2 {
		if err := Migrate(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), dir, Options{})
	is(t, err, store.ErrInUse)
	is(t, Migrate(t.Context(), dir), store.ErrInUse)
	if _, err := s.main.Exec(`PRAGMA user_version = 99`); err != nil {
		t.Fatal(err)
	}
	s.Close()
	_, err = Open(t.Context(), dir, Options{})
	is(t, err, store.ErrNewer)
	is(t, Migrate(t.Context(), dir), store.ErrNewer)

	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, mainFile), []byte(strings.Repeat("not ours ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Migrate(t.Context(), foreign); err == nil {
		t.Error("somebody's file was taken for ours")
	}
	if i, err := os.Stat(filepath.Join(dir, mainFile)); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", i.Mode(), err)
	}
}

// A disk without room takes no segments, and says so; what people do goes on.
func TestReserve(t *testing.T) {
	s := fresh(t).(place).open(t, Options{Reserve: 1 << 60})
	defer s.Close()
	_, err := s.Put(t.Context(), []store.Incoming{storetest.NewWriter(1).Cut(5)})
	is(t, err, store.ErrFull)
	is(t, s.Ready(t.Context()), store.ErrFull)
	if err := s.Record(t.Context(), store.Act{Who: "li", What: "x"}); err != nil {
		t.Error(err)
	}
}

// A file that may not grow any more refuses a batch whole, and takes it when
// there is room again.
func TestFull(t *testing.T) {
	p := fresh(t).(place)
	s := p.open(t, Options{})
	defer s.Close()
	w := storetest.NewWriter(1)
	first := w.Cut(50)
	if _, err := s.Put(t.Context(), []store.Incoming{first}); err != nil {
		t.Fatal(err)
	}
	f, err := s.files.get(t.Context(), fileName(w.Day, true), false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.files.release(f)
	limit := func(pages int) {
		t.Helper()
		if _, err := f.conn.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // SQLite takes what the file has already
	var batch []store.Incoming
	for range 60 {
		batch = append(batch, w.Cut(50))
	}
	_, err = s.Put(t.Context(), batch)
	is(t, err, store.ErrFull)
	if streams, err := s.Streams(t.Context(), w.Device); err != nil || streams[0].Number != 1 {
		t.Errorf("%+v, %v", streams, err)
	}
	limit(1 << 30)
	puts, err := s.Put(t.Context(), batch)
	if err != nil || puts[59].Outcome != store.Stored {
		t.Errorf("%v, %v", puts, err)
	}
}

const childVariable = "CHECKPOINT_STORE_CHILD"

// TestChild is no test: it is what TestKill starts and kills. It puts batches
// and prints, after each, how far it is.
func TestChild(t *testing.T) {
	dir, seed, ok := strings.Cut(os.Getenv(childVariable), "|")
	if !ok {
		t.Skip("started by TestKill only")
	}
	n, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	s := place{dir}.open(t, Options{OpenDays: 2})
	var writers []*storetest.Writer
	for i := range uint64(3) {
		writers = append(writers, storetest.NewWriter(n*100+i))
	}
	for round := 0; ; round++ {
		var batch []store.Incoming
		for i, w := range writers {
			w.Day = fmt.Sprintf("2026-11-%02d", 20+(round/3+i)%4)
			batch = append(batch, w.Cut(20), w.Cut(20))
		}
		puts, err := s.Put(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range puts {
			if p != (store.Put{Outcome: store.Stored}) {
				t.Fatalf("%+v", p)
			}
			in := &batch[i]
			fmt.Printf("acked %x %x %d %s %x\n", in.Device, in.Epoch, in.Number, in.Day, in.SHA256)
		}
	}
}

type acked struct {
	record.Identity
	number uint64
	day    string
	sha    [32]byte
}

// TestKill kills a hub in the middle of its batches, again and again on one
// folder, and looks for every segment that was acknowledged.
//
//	CHECKPOINT_KILLS=100 go test -run TestKill -v ./hub/store/sqlite
func TestKill(t *testing.T) {
	kills := 3
	if text := os.Getenv("CHECKPOINT_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("CHECKPOINT_KILLS=%q is not a count", text)
		}
		kills = n
	}
	p := fresh(t).(place)
	var all []acked
	rng := rand.New(rand.NewPCG(1, 2))
	for kill := range kills {
		all = append(all, runChild(t, p.dir, kill, 6+rng.IntN(200))...)
		s := p.open(t, Options{OpenDays: 2})
		have := map[[32]byte]int{}
		var segments uint64
		days, err := s.ListDays(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range days {
			segments += d.Segments
			for in, err := range s.Bucket(t.Context(), store.Bucket{Day: d.ID, Venue: storetest.NewWriter(0).Venue, Hour: storetest.Hour}) {
				if err != nil {
					t.Fatal(err)
				}
				have[in.SHA256]++
			}
		}
		streams := map[record.Identity]uint64{}
		for _, a := range all {
			if have[a.sha] != 1 {
				t.Fatalf("kill %d: segment %d of %x is stored %d times", kill, a.number, a.Device, have[a.sha])
			}
			streams[a.Identity] = max(streams[a.Identity], a.number)
		}
		for id, number := range streams {
			got, err := s.Streams(t.Context(), id.Device)
			if err != nil || len(got) != 1 || got[0].Number < number || got[0].Gaps != nil {
				t.Fatalf("kill %d: stream %+v, acknowledged to %d: %v", kill, got, number, err)
			}
		}
		if uint64(len(have)) != segments {
			t.Fatalf("kill %d: %d segments are there, %d are told of", kill, len(have), segments)
		}
		hours, err := s.Hourly(t.Context(), nil, storetest.Hour, storetest.Hour+1)
		if err != nil {
			t.Fatal(err)
		}
		var rows uint64
		for _, h := range hours {
			rows += h.N
		}
		if rows != 20*segments {
			t.Fatalf("kill %d: %d rows are counted of %d segments", kill, rows, segments)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills: 0 of %d acknowledged segments lost", kills, len(all))
}

func runChild(t *testing.T, dir string, seed, lines int) (all []acked) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestChild$")
	cmd.Env = append(os.Environ(), childVariable+"="+dir+"|"+strconv.Itoa(seed))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		var a acked
		var device, epoch, sha []byte
		if n, _ := fmt.Sscanf(scanner.Text(), "acked %x %x %d %s %x", &device, &epoch, &a.number, &a.day, &sha); n != 5 {
			continue // the last line may be torn, and the test's own words
		}
		copy(a.Device[:], device)
		copy(a.Epoch[:], epoch)
		copy(a.sha[:], sha)
		all = append(all, a)
		if len(all) == lines {
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // killed
	if len(all) < lines {
		t.Fatalf("the hub ended by itself after %d segments", len(all))
	}
	return all
}
