package uplink

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"checkpoint/record"
)

func each[T any](values ...T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range values {
			if !yield(v, nil) {
				return
			}
		}
	}
}

var gateB = record.Identity{Device: [16]byte{0xb}, Epoch: [8]byte{2}}

// segments of two gates, in no order.
func stickCuts(t *testing.T) []record.Cut {
	return []record.Cut{segment(t, gateB, 1, 1, 2), segment(t, gateA, 10, 20, 2), segment(t, gateA, 9, 18, 2), segment(t, gateA, 11, 22, 3)}
}

func export(t *testing.T, dir string, cuts ...record.Cut) Tally {
	t.Helper()
	tally, err := ExportSegments(t.Context(), dir, each(cuts...))
	if err != nil {
		t.Fatal(err)
	}
	return tally
}

func TestAStickCarriesSegmentsUpAndReceiptsDown(t *testing.T) {
	dir, cuts := t.TempDir(), stickCuts(t)
	if got := export(t, dir, cuts...); got.Done != 4 || got.Same != 0 {
		t.Fatalf("export: %+v", got)
	}
	if got := export(t, dir, cuts...); got.Done != 0 || got.Same != 4 {
		t.Errorf("again: %+v", got)
	}

	var order []uint64
	var receipts [][]byte
	got, err := ImportSegments(t.Context(), dir, func(_ context.Context, s StickSegment) error {
		i := slices.IndexFunc(cuts, func(c record.Cut) bool { return bytes.Equal(c.Bytes, s.Bytes) })
		if i < 0 {
			t.Fatal("other bytes came off the stick")
		}
		order = append(order, s.Number)
		receipts = append(receipts, receiptOf(cuts[i], key("hub"), record.Stored, 0, 1))
		return nil
	})
	if err != nil || got.Done != 4 || !slices.Equal(order, []uint64{9, 10, 11, 1}) {
		t.Fatalf("import: %+v in order %v, %v", got, order, err)
	}

	if got, err := ExportReceipts(t.Context(), dir, each(receipts...)); err != nil || got.Done != 4 {
		t.Fatalf("receipts: %+v, %v", got, err)
	}
	later := receiptOf(cuts[0], key("hub"), record.Stored, 0, 99) // the same, said again
	if got, err := ExportReceipts(t.Context(), dir, each(later)); err != nil || got.Same != 1 {
		t.Errorf("a receipt said again: %+v, %v", got, err)
	}

	var settled []uint64
	got, err = ImportReceipts(t.Context(), dir, gateA.Device, []ed25519.PublicKey{public(key("hub"))}, func(_ context.Context, r record.Receipt, raw []byte) error {
		if !slices.ContainsFunc(cuts, r.Covers) || !bytes.Equal(raw, record.AppendReceipt(nil, r)) {
			t.Error("a receipt that covers nothing")
		}
		settled = append(settled, r.Number)
		return nil
	})
	if err != nil || got.Done != 3 || got.Skipped != 0 || !slices.Equal(settled, []uint64{9, 10, 11}) {
		t.Errorf("settled %v: %+v, %v", settled, got, err)
	}
	for _, folder := range []string{"segments", "receipts"} {
		names, _ := filepath.Glob(filepath.Join(dir, folder, "*"+partEnd))
		if len(names) > 0 {
			t.Errorf("left %v", names)
		}
	}
}

func TestReceiptsOnAStickMustHold(t *testing.T) {
	dir, cuts := t.TempDir(), stickCuts(t)[1:]
	put := func(i int, b []byte) {
		name := filepath.Join(dir, receiptsFolder, stickName{cuts[i].Identity, cuts[i].Number}.String()+receiptEnd)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, b, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	put(0, receiptOf(cuts[0], key("thief"), record.Stored, 0, 1))
	put(1, receiptOf(cuts[0], key("hub"), record.Stored, 0, 1)) // another's name
	put(2, flipped(receiptOf(cuts[2], key("hub"), record.Stored, 0, 1), 170*8-1))
	got, err := ImportReceipts(t.Context(), dir, gateA.Device, []ed25519.PublicKey{public(key("hub"))}, func(context.Context, record.Receipt, []byte) error {
		t.Error("settled")
		return nil
	})
	if err != nil || got.Done != 0 || got.Skipped != 3 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAStickWithRubbishHarmsNobody(t *testing.T) {
	dir, cuts := t.TempDir(), stickCuts(t)
	export(t, dir, cuts[0])
	at := func(name string) string { return filepath.Join(dir, segmentsFolder, name) }
	name := func(n uint64) string { return stickName{gateA, n}.String() + segmentEnd }
	outside := filepath.Join(t.TempDir(), "secret")
	if err := errors.Join(
		os.WriteFile(outside, cuts[1].Bytes, 0o644),
		os.Symlink(outside, at(name(10))),                                    // leads out of the stick
		os.Symlink(stickName{gateB, 1}.String()+segmentEnd, at(name(11))),    // leads about in it
		os.WriteFile(at(name(12)), make([]byte, record.MaxSegment+1), 0o644), // too large
		os.WriteFile(at(name(13)), []byte("rubbish"), 0o644),                 // no segment
		os.WriteFile(at(name(14)), cuts[1].Bytes, 0o644),                     // another's name
		os.WriteFile(at(name(15)), nil, 0o644),                               // empty
		os.Mkdir(at(name(16)), 0o755),                                        // a folder
		syscall.Mkfifo(at(name(17)), 0o644),                                  // waits for ever
		os.WriteFile(at("..."+segmentEnd), cuts[1].Bytes, 0o644),             // hidden: passed over
		os.WriteFile(at("x\x1b[2J\n"+segmentEnd), cuts[1].Bytes, 0o644),      // a name that paints
		os.WriteFile(at(strings.ToUpper(name(18))), cuts[1].Bytes, 0o644),    // not the one way to write it
		os.WriteFile(at("holiday.jpg"), []byte("jpg"), 0o644),                // somebody's
		os.WriteFile(at(name(19)+partEnd), cuts[1].Bytes[:100], 0o644),       // pulled out in the middle
		os.WriteFile(at(".DS_Store"), []byte("x"), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(at(name(20)))
	if err := errors.Join(err, f.Truncate(8<<30), f.Close()); err != nil { // a hole of 8 GiB
		t.Fatal(err)
	}
	got, err := ImportSegments(t.Context(), dir, func(_ context.Context, s StickSegment) error {
		if !bytes.Equal(s.Bytes, cuts[0].Bytes) {
			t.Errorf("took number %d", s.Number)
		}
		return nil
	})
	if err != nil || got.Done != 1 || got.Skipped != 12 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, s := range got.Skips {
		if strings.ContainsAny(s.Name+s.Why, "\x1b\n") || s.Why == "" {
			t.Errorf("skip %q", s)
		}
	}
}

func TestWhatIsInTheWayIsNotWrittenOver(t *testing.T) {
	dir, cuts := t.TempDir(), stickCuts(t)
	export(t, dir, cuts[1])
	file := func(c record.Cut) string {
		return filepath.Join(dir, segmentsFolder, stickName{c.Identity, c.Number}.String()+segmentEnd)
	}
	// A clone's segment of the same name is evidence.
	clone := segment(t, gateA, 9, 300, 4)
	if err := os.WriteFile(file(cuts[2]), clone.Bytes, 0o644); err != nil {
		t.Fatal(err)
	}
	// What a broken stick left of one is not, nor an unfinished one.
	if err := errors.Join(os.WriteFile(file(cuts[3]), cuts[3].Bytes[:50], 0o644), os.WriteFile(file(cuts[0])+partEnd, []byte("x"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if got := export(t, dir, cuts...); got.Done != 2 || got.Same != 1 || got.Skipped != 1 {
		t.Errorf("%+v", got)
	}
	if b, _ := os.ReadFile(file(cuts[2])); !bytes.Equal(b, clone.Bytes) {
		t.Error("the evidence is gone")
	}
	if b, _ := os.ReadFile(file(cuts[3])); !bytes.Equal(b, cuts[3].Bytes) {
		t.Error("the broken file stayed")
	}

	// A link out of the stick is never written through.
	outside := filepath.Join(t.TempDir(), "passwd")
	if err := errors.Join(os.WriteFile(outside, []byte("root"), 0o644), os.Remove(file(cuts[0])), os.Symlink(outside, file(cuts[0])), os.Symlink(outside, file(cuts[0])+partEnd)); err != nil {
		t.Fatal(err)
	}
	if _, err := ExportSegments(t.Context(), dir, each(cuts[0])); !errors.Is(err, ErrStickRubbish) {
		t.Errorf("a link in the way: %v", err)
	}
	if b, _ := os.ReadFile(outside); string(b) != "root" {
		t.Error("written outside of the stick")
	}
}

func TestSticksThatAreNone(t *testing.T) {
	cuts, empty := stickCuts(t), t.TempDir()
	file := filepath.Join(t.TempDir(), "file")
	linked, away := t.TempDir(), t.TempDir()
	occupied := t.TempDir()
	if err := errors.Join(os.WriteFile(file, nil, 0o644), os.Symlink(away, filepath.Join(linked, segmentsFolder)), os.WriteFile(filepath.Join(occupied, segmentsFolder), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, dir string
		export    error
	}{
		{"no such folder", filepath.Join(t.TempDir(), "media"), ErrStickMissing},
		{"a file", file, ErrStickMissing},
		{"its folder leads elsewhere", linked, ErrStickRubbish},
		{"its folder is a file", occupied, ErrStickRubbish},
		{"empty", empty, nil}, // a new stick
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ImportSegments(t.Context(), tc.dir, func(context.Context, StickSegment) error { return nil })
			if err == nil {
				t.Error("imported")
			}
			stickLine(t, err)
			_, err = ExportSegments(t.Context(), tc.dir, each(cuts[0]))
			if !errors.Is(err, tc.export) || tc.export == nil && err != nil {
				t.Errorf("export: %v", err)
			}
			stickLine(t, err)
			if tc.name == "no such folder" {
				if _, err := os.Stat(tc.dir); !errors.Is(err, fs.ErrNotExist) {
					t.Error("a stick that is not there became a folder")
				}
			}
		})
	}
	if left, _ := os.ReadDir(away); len(left) > 0 {
		t.Error("written outside of the stick")
	}
}

func stickLine(t *testing.T, err error) {
	t.Helper()
	oneLine(t, err)
	var stick *StickError
	if err != nil && !errors.As(err, &stick) {
		t.Errorf("no clear line: %v", err)
	}
}

func TestWhatTheSystemSaysAboutAStick(t *testing.T) {
	for code, want := range map[error]error{
		syscall.ENOSPC: ErrStickFull, syscall.EROFS: ErrStickReadOnly, syscall.EACCES: ErrStickReadOnly, syscall.EIO: ErrStickGone, syscall.ENODEV: ErrStickGone,
	} {
		err := explainStick("/media/stick", &fs.PathError{Op: "write", Path: "x", Err: code})
		if !errors.Is(err, want) || !errors.Is(err, code) {
			t.Errorf("%v: %v", code, err)
		}
		stickLine(t, err)
	}
}

// failing is a file on a stick that fails.
type failing struct {
	*os.File
	write, sync, close error
}

func (f failing) Write(b []byte) (int, error) {
	if f.write != nil {
		n, _ := f.File.Write(b[:len(b)/2])
		return n, f.write
	}
	return f.File.Write(b)
}

func (f failing) Sync() error { return errors.Join(f.sync, f.File.Sync()) }

func (f failing) Close() error { return errors.Join(f.File.Close(), f.close) }

func TestAStickThatFailsHoldsNothingHalf(t *testing.T) {
	for _, tc := range []struct {
		name string
		file failing
		open error
		is   error
	}{
		{"full while writing", failing{write: syscall.ENOSPC}, nil, ErrStickFull},
		{"full while syncing", failing{sync: syscall.ENOSPC}, nil, ErrStickFull},
		{"full while closing", failing{close: syscall.EDQUOT}, nil, ErrStickFull},
		{"pulled out while writing", failing{write: syscall.EIO}, nil, ErrStickGone},
		{"pulled out while syncing", failing{sync: syscall.ENODEV}, nil, ErrStickGone},
		{"locked", failing{}, syscall.EROFS, ErrStickReadOnly},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			f, err := openStick(dir, segmentsFolder, true)
			if err != nil {
				t.Fatal(err)
			}
			defer f.close()
			if err := f.write("whole", []byte("old")); err != nil {
				t.Fatal(err)
			}
			f.create = func(root *os.Root, name string) (stickFile, error) {
				if tc.open != nil {
					return nil, &fs.PathError{Op: "openat", Path: name, Err: tc.open}
				}
				file, err := root.Create(name)
				tc.file.File = file
				return tc.file, err
			}
			for _, name := range []string{"whole", "new"} {
				err := f.write(name, []byte("many bytes"))
				if !errors.Is(err, tc.is) {
					t.Errorf("write = %v, want %v", err, tc.is)
				}
				stickLine(t, err)
			}
			left, err := os.ReadDir(f.path)
			if b, _ := os.ReadFile(filepath.Join(f.path, "whole")); err != nil || string(b) != "old" || len(left) != 1 {
				t.Errorf("the stick holds %v, %q", left, b)
			}
		})
	}
}

func TestTakeDecidesAndMayStop(t *testing.T) {
	dir, cuts := t.TempDir(), stickCuts(t)
	export(t, dir, cuts...)
	broken := errors.New("store is down")
	n := 0
	got, err := ImportSegments(t.Context(), dir, func(context.Context, StickSegment) error {
		switch n++; n {
		case 1:
			return nil
		case 2:
			return errors.Join(ErrSkip, errors.New("not known here"))
		}
		return broken
	})
	if !errors.Is(err, broken) || got.Done != 1 || got.Skipped != 1 || n != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ImportSegments(ctx, dir, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := ExportSegments(ctx, dir, each(cuts...)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	lost, err := ExportSegments(t.Context(), t.TempDir(), func(yield func(record.Cut, error) bool) {
		_ = yield(record.Cut{SegmentKey: cuts[0].SegmentKey}, fmt.Errorf("segment: %w", ErrLost)) && yield(cuts[1], nil)
	})
	if err != nil || lost.Done != 1 || lost.Skipped != 1 {
		t.Errorf("one that cannot be made again: %+v, %v", lost, err)
	}
	rotten := cuts[0]
	rotten.SHA256[0] ^= 1
	if got := export(t, t.TempDir(), rotten); got.Done != 0 || got.Skipped != 1 {
		t.Errorf("bytes that are not the signed ones: %+v", got)
	}
}

func TestAStickCarriesTrust(t *testing.T) {
	dir := t.TempDir()
	files := []TrustFile{{"timestamp.json", []byte("t1")}, {"1.root.json", []byte("r")}, {"targets/ab.policy.json", []byte("p")}, {"targets/dcc-revoked/cd.k1", []byte("k")}}
	if got, err := ExportTrust(t.Context(), dir, each(files...)); err != nil || got.Done != 4 {
		t.Fatalf("%+v, %v", got, err)
	}
	files[0].Bytes = []byte("t2")
	if got, err := ExportTrust(t.Context(), dir, each(files...)); err != nil || got.Done != 1 || got.Same != 3 {
		t.Errorf("again: %+v, %v", got, err)
	}
	stick := StickTrust(dir)
	for _, f := range files {
		if b, err := stick.Fetch(t.Context(), f.Name, 10); err != nil || !bytes.Equal(b, f.Bytes) {
			t.Errorf("%s: %q, %v", f.Name, b, err)
		}
	}
	for _, name := range []string{"2.root.json", "targets/none", "nowhere/none"} {
		if _, err := stick.Fetch(t.Context(), name, 10); !errors.Is(err, ErrMissing) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := stick.Fetch(t.Context(), "timestamp.json", 1); !errors.Is(err, ErrStickRubbish) {
		t.Errorf("too large: %v", err)
	}
	for _, name := range []string{"../segments/x", "/etc/passwd", "targets/../x", ".hidden"} {
		if _, err := stick.Fetch(t.Context(), name, 10); !errors.Is(err, ErrTrustName) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := ExportTrust(t.Context(), dir, each(TrustFile{Name: name})); !errors.Is(err, ErrTrustName) {
			t.Errorf("export %s: %v", name, err)
		}
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, trustFolder, "linked")); err != nil {
		t.Fatal(err)
	}
	if _, err := stick.Fetch(t.Context(), "linked/x", 10); !errors.Is(err, ErrStickRubbish) {
		t.Errorf("through a link: %v", err)
	}
}

// timestamp.json makes the rest count, so a stick that is pulled out before the
// end still holds the whole of the repository before.
func TestTrustCountsOnlyWhenAllOfItIsThere(t *testing.T) {
	dir := t.TempDir()
	pulled := errors.New("pulled out")
	_, err := ExportTrust(t.Context(), dir, func(yield func(TrustFile, error) bool) {
		_ = yield(TrustFile{"timestamp.json", []byte("t")}, nil) && yield(TrustFile{"2.snapshot.json", []byte("s")}, nil) && yield(TrustFile{}, pulled)
	})
	if !errors.Is(err, pulled) {
		t.Fatal(err)
	}
	if _, err := StickTrust(dir).Fetch(t.Context(), "timestamp.json", 10); !errors.Is(err, ErrMissing) {
		t.Errorf("timestamp: %v", err)
	}
}

func FuzzStickName(f *testing.F) {
	f.Add(stickName{gateA, 1}.String() + segmentEnd)
	f.Add(stickName{gateA, 1 << 62}.String() + segmentEnd)
	f.Add("../../etc/passwd" + segmentEnd)
	f.Fuzz(func(t *testing.T, name string) {
		n, ok := parseStickName(name, segmentEnd)
		if ok && (n.String()+segmentEnd != name || strings.ContainsAny(name, "/\\") || n.Number == 0) {
			t.Errorf("%q is %v", name, n)
		}
		if trustName(name) && (strings.Contains(name, "..") && !filepath.IsLocal(name) || filepath.Clean(name) != name || filepath.IsAbs(name)) {
			t.Errorf("trust name %q", name)
		}
	})
}

// Whatever lies under a good name: nothing comes of it but the segment itself.
func FuzzStickContents(f *testing.F) {
	cut := segment(f, gateA, 1, 1, 3)
	f.Add(cut.Bytes, receiptOf(cut, key("hub"), record.Stored, 0, 1))
	f.Fuzz(func(t *testing.T, seg, receipt []byte) {
		dir := t.TempDir()
		name := stickName{gateA, 1}.String()
		if err := errors.Join(os.Mkdir(filepath.Join(dir, segmentsFolder), 0o755), os.Mkdir(filepath.Join(dir, receiptsFolder), 0o755),
			os.WriteFile(filepath.Join(dir, segmentsFolder, name+segmentEnd), seg, 0o644),
			os.WriteFile(filepath.Join(dir, receiptsFolder, name+receiptEnd), receipt, 0o644)); err != nil {
			t.Fatal(err)
		}
		_, err := ImportSegments(t.Context(), dir, func(_ context.Context, s StickSegment) error {
			if p, err := record.ParseSegment(s.Bytes); err != nil || p.Identity != gateA || p.Number != 1 {
				t.Error("took what is not segment 1 of this gate")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		_, err = ImportReceipts(t.Context(), dir, gateA.Device, []ed25519.PublicKey{public(key("hub"))}, func(_ context.Context, r record.Receipt, _ []byte) error {
			if !r.Verify(public(key("hub"))) || r.Identity != gateA || r.Number != 1 {
				t.Error("settled by what does not hold")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// The example of docs/formats.md, "Stick": a name a line, and what it is.
func TestNamesOfTheExample(t *testing.T) {
	b, err := os.ReadFile("../docs/examples/stick-names.tsv")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, want, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok {
			t.Fatalf("line %q", line)
		}
		got := "passed over"
		folder, file, _ := strings.Cut(name, "/")
		switch folder {
		case segmentsFolder:
			if _, ok := parseStickName(file, segmentEnd); ok {
				got = "segment"
			}
		case receiptsFolder:
			if _, ok := parseStickName(file, receiptEnd); ok {
				got = "receipt"
			}
		case trustFolder:
			if trustName(file) {
				got = "trust"
			}
		}
		if got != want {
			t.Errorf("%s is %s, the example says %s", name, got, want)
		}
		seen[got]++
	}
	if len(seen) != 4 {
		t.Errorf("the example shows only %v", seen)
	}
}
