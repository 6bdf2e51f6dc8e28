package trust_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
	"time"

	"checkpoint/trust"
	"pgregory.net/rapid"
)

var day0 = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// However lists change, the deltas between them lead to the last one's bytes.
func TestDeltasLeadToTheSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := map[trust.ID]bool{}
		make := func(sequence uint64) *trust.RevokedList {
			l := &trust.RevokedList{Sequence: sequence, Issued: day0.Add(time.Duration(sequence) * time.Hour)}
			for id, withdrawn := range state {
				if withdrawn {
					l.Withdrawn = append(l.Withdrawn, id)
				} else {
					l.Superseded = append(l.Superseded, id)
				}
			}
			for _, ids := range [][]trust.ID{l.Superseded, l.Withdrawn} {
				slices.SortFunc(ids, func(a, b trust.ID) int { return bytes.Compare(a[:], b[:]) })
			}
			return l
		}
		last := make(1)
		first := last
		var chain []*trust.RevokedDelta
		files := map[string][]byte{}
		for sequence := uint64(2); sequence < 2+uint64(rapid.IntRange(0, 8).Draw(t, "steps")); sequence++ {
			for range rapid.IntRange(0, 12).Draw(t, "changes") {
				id := trust.ID{0: byte(rapid.IntRange(0, 3).Draw(t, "high")) * 80, 7: byte(rapid.IntRange(0, 9).Draw(t, "low"))}
				switch rapid.IntRange(0, 2).Draw(t, "what") {
				case 0:
					delete(state, id)
				case 1:
					state[id] = false
				default:
					state[id] = true
				}
			}
			next := make(sequence)
			d, err := last.Delta(next)
			if err != nil {
				t.Fatal(err)
			}
			b, err := d.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			if d, err = trust.ParseRevokedDelta(b); err != nil {
				t.Fatal(err)
			}
			chain, last = append(chain, d), next
			files[d.Name()] = b
		}
		got, err := first.Follow(chain...)
		if err != nil {
			t.Fatal(err)
		}
		want, err := last.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		bytesOf, err := got.AppendBinary(nil)
		if err != nil || !bytes.Equal(bytesOf, want) || got.Sum() != sha256.Sum256(want) {
			t.Fatalf("leads elsewhere: %v", err)
		}
		again, err := trust.ParseRevoked(want)
		if err != nil || again.Sum() != got.Sum() {
			t.Fatalf("read again: %v", err)
		}
		for middle := first.Sequence; middle <= last.Sequence; middle++ {
			if c, err := trust.RevokedChain(middle, files); err != nil || len(c) != int(last.Sequence-middle) {
				t.Fatalf("from %d: %d deltas, %v", middle, len(c), err)
			}
		}
	})
}

func TestChainsThatDoNotHold(t *testing.T) {
	lists := []*trust.RevokedList{}
	for i := range 4 {
		lists = append(lists, &trust.RevokedList{Sequence: uint64(i + 1), Issued: day0.Add(time.Duration(i) * time.Hour), Superseded: ids(i*3, 1)})
	}
	delta := func(from, to int) *trust.RevokedDelta {
		d, err := lists[from].Delta(lists[to])
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for name, chain := range map[string][]*trust.RevokedDelta{
		"a gap":        {delta(0, 1), delta(2, 3)},
		"out of order": {delta(1, 2), delta(0, 1)},
		"twice":        {delta(0, 1), delta(0, 1)},
		"time back":    {delta(0, 1), {From: 2, To: 3, Issued: day0, Sum: lists[2].Sum()}},
		"too many":     slices.Repeat([]*trust.RevokedDelta{delta(0, 1)}, trust.MaxDeltas+1),
	} {
		if _, err := lists[0].Follow(chain...); !errors.Is(err, trust.ErrFormat) && !errors.Is(err, trust.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := lists[1].Delta(lists[0]); err == nil {
		t.Error("a delta that leads back")
	}
	two := map[string][]byte{}
	for _, d := range []*trust.RevokedDelta{delta(0, 1), delta(0, 2)} {
		b, err := d.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		two[d.Name()] = b
	}
	if _, err := trust.RevokedChain(1, two); err == nil {
		t.Error("two ways on from one list")
	}
}

func TestRevokedIndex(t *testing.T) {
	unsorted := trust.Revocations{Superseded: []trust.ID{{9}, {1}, {5}}, Withdrawn: []trust.ID{{7}, {5}}}
	x := unsorted.Index()
	for id, want := range map[trust.ID][2]bool{{1}: {false, true}, {9}: {false, true}, {5}: {true, true}, {7}: {true, true}, {2}: {false, false}, {}: {false, false}} {
		if withdrawn, found := x.Find(id); withdrawn != want[0] || found != want[1] {
			t.Errorf("%s: withdrawn %v, found %v", id, withdrawn, found)
		}
	}
	if unsorted.Superseded[0] != (trust.ID{9}) {
		t.Error("the lists given were changed")
	}
}

func TestDeltaNames(t *testing.T) {
	if from, to, ok := trust.ParseDeltaName("revoked-41-42.bin"); !ok || from != 41 || to != 42 {
		t.Error(from, to, ok)
	}
	for _, name := range []string{"revoked.bin", "revoked-1.bin", "revoked-01-2.bin", "revoked-1-+2.bin", "revoked--1-2.bin", "revoked-1-99999999999999999999.bin", "revoked-1-2.bin.bin", "x/revoked-1-2.bin"} {
		if _, _, ok := trust.ParseDeltaName(name); ok {
			t.Errorf("%s is a delta", name)
		}
	}
}

// What is read is what is written: one form of each.
func FuzzParseRevoked(f *testing.F) {
	for name, b := range exampleTargets(f) {
		if name == trust.TargetRevoked || name == trust.DeltaName(41, 42) || name == "dcc-revoked/0102030405060708" {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		same := func(again []byte, err error) {
			if err != nil || !bytes.Equal(again, b) {
				t.Errorf("written again as %x, %v", again, err)
			}
		}
		l, err := trust.ParseRevoked(b)
		if err == nil {
			same(l.AppendBinary(nil))
		}
		d, err := trust.ParseRevokedDelta(b)
		if err == nil {
			same(d.AppendBinary(nil))
			if l == nil {
				l = &trust.RevokedList{Sequence: d.From, Issued: d.Issued}
			}
			_, _ = l.Follow(d)
		}
		if r, err := trust.ParseDCCRevoked(b); err == nil {
			same(r.AppendBinary(nil))
		}
	})
}

func FuzzCheckTarget(f *testing.F) {
	for name, b := range exampleTargets(f) {
		f.Add(name, b)
	}
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		err := trust.CheckTarget(name, b)
		if err != nil && !errors.Is(err, trust.ErrFormat) && !errors.Is(err, trust.ErrTooLarge) {
			t.Errorf("error without a sentinel: %v", err)
		}
	})
}
