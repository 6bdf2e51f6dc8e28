package trust

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of the binary revocation list and of its deltas.
const (
	MaxRevokedIDs   = 4<<20 - 4 // ids in revoked.bin: with the head 32 MiB
	MaxDeltaIDs     = 500_000   // ids in one delta
	MaxDeltas       = 64        // in a chain: a gate applies them in one pass
	revokedHead     = 32
	deltaHead       = 80
	idSize          = len(ID{})
	revokedMagic    = "CKRV"
	revokedVersion  = 1
	kindList        = 1
	kindDelta       = 2
	latestTimeMS    = 1 << 48 // the year 10889: no arithmetic overflows before it
	maxSequenceName = 20      // digits of a uint64
)

// RevokedList is the target revoked.bin: every cti that no longer holds, sorted,
// each in one of two lists.
//
//	 0   4  "CKRV"
//	 4   1  form 1
//	 5   1  kind 1
//	 6   2  zero
//	 8   8  sequence number, from 1, one more with every list made
//	16   8  issued, Unix milliseconds
//	24   4  how many are superseded
//	28   4  how many are withdrawn
//	32   8… superseded ids, then withdrawn ids, each list rising
type RevokedList struct {
	Sequence   uint64
	Issued     time.Time
	Superseded []ID // the person has a newer code; rising, no id twice
	Withdrawn  []ID // key or code stolen; rising, none of them superseded too
}

// RevokedDelta is a target revoked-<from>-<to>.bin: what makes one list of
// another. A list that is made anew without a change is a delta with no ids.
//
//	 0   4  "CKRV"
//	 4   1  form 1
//	 5   1  kind 2
//	 6   2  zero
//	 8   8  sequence number that it follows
//	16   8  sequence number that it leads to, greater
//	24   8  issued, Unix milliseconds: that of the list it leads to
//	32  32  SHA-256 of the revoked.bin that it leads to
//	64   4  how many become superseded
//	68   4  how many become withdrawn
//	72   4  how many are taken off, because their codes have expired
//	76   4  zero
//	80   8… the three lists, each rising
type RevokedDelta struct {
	From, To   uint64
	Issued     time.Time
	Sum        [sha256.Size]byte
	Superseded []ID
	Withdrawn  []ID
	Removed    []ID
}

// ParseRevoked reads revoked.bin: strict, and only what AppendBinary writes.
func ParseRevoked(b []byte) (*RevokedList, error) {
	if len(b) > revokedHead+MaxRevokedIDs*idSize {
		return nil, fmt.Errorf("%w: revoked list of %d bytes", ErrTooLarge, len(b))
	}
	if err := revokedKind(b, kindList, revokedHead); err != nil {
		return nil, err
	}
	l := &RevokedList{Sequence: binary.BigEndian.Uint64(b[8:])}
	var err error
	if l.Issued, err = readMS(b[16:]); err != nil {
		return nil, err
	}
	lists, err := readIDs(b[revokedHead:], b[24:28], b[28:32])
	if err != nil {
		return nil, err
	}
	l.Superseded, l.Withdrawn = lists[0], lists[1]
	return l, l.check()
}

func (l *RevokedList) check() error {
	switch {
	case l.Sequence == 0:
		return fmt.Errorf("%w: revoked list without a sequence number", ErrFormat)
	case len(l.Superseded)+len(l.Withdrawn) > MaxRevokedIDs:
		return fmt.Errorf("%w: revoked list of %d ids, at most %d", ErrTooLarge, len(l.Superseded)+len(l.Withdrawn), MaxRevokedIDs)
	case !goodMS(l.Issued):
		return fmt.Errorf("%w: revoked list without a date in whole milliseconds", ErrFormat)
	}
	for _, ids := range [][]ID{l.Superseded, l.Withdrawn} {
		if !rising(ids) {
			return fmt.Errorf("%w: revoked ids are not in rising order", ErrFormat)
		}
	}
	if id, both := meet(l.Superseded, l.Withdrawn); both {
		return fmt.Errorf("%w: %s is superseded and withdrawn", ErrFormat, id)
	}
	return nil
}

// AppendBinary appends the bytes of revoked.bin to b.
func (l *RevokedList) AppendBinary(b []byte) ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	b = l.head(slices.Grow(b, revokedHead+idSize*(len(l.Superseded)+len(l.Withdrawn))))
	return appendIDs(appendIDs(b, l.Superseded), l.Withdrawn), nil
}

func (l *RevokedList) head(b []byte) []byte {
	b = append(append(b, revokedMagic...), revokedVersion, kindList, 0, 0)
	b = binary.BigEndian.AppendUint64(b, l.Sequence)
	b = binary.BigEndian.AppendUint64(b, uint64(l.Issued.UnixMilli()))
	b = binary.BigEndian.AppendUint32(b, uint32(len(l.Superseded)))
	return binary.BigEndian.AppendUint32(b, uint32(len(l.Withdrawn)))
}

// Sum is the SHA-256 of the bytes of revoked.bin, without making them.
func (l *RevokedList) Sum() [sha256.Size]byte {
	h := sha256.New()
	h.Write(l.head(nil))
	writeIDs(h, l.Superseded)
	writeIDs(h, l.Withdrawn)
	return [sha256.Size]byte(h.Sum(nil))
}

// Follow is the list that the deltas lead to, which must follow each other and
// this list without a gap. All of them are applied in one pass; that the result
// is the list that the last one's signers had is then proven by its SHA-256.
func (l *RevokedList) Follow(deltas ...*RevokedDelta) (*RevokedList, error) {
	if len(deltas) == 0 {
		return l, nil
	}
	if len(deltas) > MaxDeltas {
		return nil, fmt.Errorf("%w: %d deltas, at most %d", ErrTooLarge, len(deltas), MaxDeltas)
	}
	next := RevokedList{Sequence: l.Sequence, Issued: l.Issued}
	states := make(map[ID]state)
	for _, d := range deltas {
		if d.From != next.Sequence {
			return nil, fmt.Errorf("%w: a delta from %d cannot follow list %d", ErrFormat, d.From, next.Sequence)
		}
		if d.Issued.Before(next.Issued) {
			return nil, fmt.Errorf("%w: delta to %d is dated before what it follows", ErrFormat, d.To)
		}
		next.Sequence, next.Issued = d.To, d.Issued
		for s, ids := range [...][]ID{removed: d.Removed, superseded: d.Superseded, withdrawn: d.Withdrawn} {
			for _, id := range ids {
				states[id] = state(s)
			}
		}
	}
	next.Superseded = merge(l.Superseded, states, superseded)
	next.Withdrawn = merge(l.Withdrawn, states, withdrawn)
	if len(next.Superseded)+len(next.Withdrawn) > MaxRevokedIDs {
		return nil, fmt.Errorf("%w: revoked list of %d ids", ErrTooLarge, len(next.Superseded)+len(next.Withdrawn))
	}
	if next.Sum() != deltas[len(deltas)-1].Sum {
		return nil, fmt.Errorf("%w: the deltas do not lead to revoked list %d", ErrFormat, next.Sequence)
	}
	return &next, nil
}

type state uint8

const (
	removed state = iota
	superseded
	withdrawn
)

// merge is a rising list after changes: without those whose state is another
// now, with those whose state is mine.
func merge(old []ID, states map[ID]state, mine state) []ID {
	var added []ID
	for id, s := range states {
		if s == mine {
			added = append(added, id)
		}
	}
	slices.SortFunc(added, compareIDs)
	merged := make([]ID, 0, len(old)+len(added))
	for _, id := range old {
		for len(added) > 0 && compareIDs(added[0], id) < 0 {
			merged, added = append(merged, added[0]), added[1:]
		}
		if _, changed := states[id]; !changed {
			merged = append(merged, id)
		}
	}
	return append(merged, added...)
}

// Delta is what leads from l to next.
func (l *RevokedList) Delta(next *RevokedList) (*RevokedDelta, error) {
	if err := errors.Join(l.check(), next.check()); err != nil {
		return nil, err
	}
	if next.Sequence <= l.Sequence || next.Issued.Before(l.Issued) {
		return nil, fmt.Errorf("%w: list %d does not come after list %d", ErrFormat, next.Sequence, l.Sequence)
	}
	d := &RevokedDelta{From: l.Sequence, To: next.Sequence, Issued: next.Issued, Sum: next.Sum()}
	d.Superseded = without(next.Superseded, l.Superseded)
	d.Withdrawn = without(next.Withdrawn, l.Withdrawn)
	d.Removed = without(without(l.Superseded, next.Superseded), next.Withdrawn)
	d.Removed = append(d.Removed, without(without(l.Withdrawn, next.Withdrawn), next.Superseded)...)
	slices.SortFunc(d.Removed, compareIDs)
	return d, d.check()
}

// without are the ids of a that are not in b; both rise.
func without(a, b []ID) (left []ID) {
	for _, id := range a {
		for len(b) > 0 && compareIDs(b[0], id) < 0 {
			b = b[1:]
		}
		if len(b) == 0 || b[0] != id {
			left = append(left, id)
		}
	}
	return left
}

// ParseRevokedDelta reads a delta, as strictly.
func ParseRevokedDelta(b []byte) (*RevokedDelta, error) {
	if len(b) > deltaHead+MaxDeltaIDs*idSize {
		return nil, fmt.Errorf("%w: revoked delta of %d bytes", ErrTooLarge, len(b))
	}
	if err := revokedKind(b, kindDelta, deltaHead); err != nil {
		return nil, err
	}
	d := &RevokedDelta{From: binary.BigEndian.Uint64(b[8:]), To: binary.BigEndian.Uint64(b[16:]), Sum: [sha256.Size]byte(b[32:64])}
	var err error
	if d.Issued, err = readMS(b[24:]); err != nil {
		return nil, err
	}
	if binary.BigEndian.Uint32(b[76:]) != 0 {
		return nil, fmt.Errorf("%w: revoked delta with bits that mean nothing", ErrFormat)
	}
	lists, err := readIDs(b[deltaHead:], b[64:68], b[68:72], b[72:76])
	if err != nil {
		return nil, err
	}
	d.Superseded, d.Withdrawn, d.Removed = lists[0], lists[1], lists[2]
	return d, d.check()
}

func (d *RevokedDelta) check() error {
	switch n := len(d.Superseded) + len(d.Withdrawn) + len(d.Removed); {
	case d.From == 0 || d.To <= d.From:
		return fmt.Errorf("%w: revoked delta from %d to %d", ErrFormat, d.From, d.To)
	case n > MaxDeltaIDs:
		return fmt.Errorf("%w: revoked delta of %d ids, at most %d", ErrTooLarge, n, MaxDeltaIDs)
	case !goodMS(d.Issued):
		return fmt.Errorf("%w: revoked delta without a date in whole milliseconds", ErrFormat)
	}
	lists := [][]ID{d.Superseded, d.Withdrawn, d.Removed}
	for i, ids := range lists {
		if !rising(ids) {
			return fmt.Errorf("%w: revoked ids are not in rising order", ErrFormat)
		}
		for _, other := range lists[:i] {
			if id, both := meet(ids, other); both {
				return fmt.Errorf("%w: revoked delta says two things of %s", ErrFormat, id)
			}
		}
	}
	return nil
}

// AppendBinary appends the bytes of the delta to b.
func (d *RevokedDelta) AppendBinary(b []byte) ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	b = append(append(b, revokedMagic...), revokedVersion, kindDelta, 0, 0)
	b = binary.BigEndian.AppendUint64(b, d.From)
	b = binary.BigEndian.AppendUint64(b, d.To)
	b = binary.BigEndian.AppendUint64(b, uint64(d.Issued.UnixMilli()))
	b = append(b, d.Sum[:]...)
	for _, n := range []int{len(d.Superseded), len(d.Withdrawn), len(d.Removed), 0} {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	return appendIDs(appendIDs(appendIDs(b, d.Superseded), d.Withdrawn), d.Removed), nil
}

// Name is the delta's target name.
func (d *RevokedDelta) Name() string { return DeltaName(d.From, d.To) }

// DeltaName is "revoked-<from>-<to>.bin".
func DeltaName(from, to uint64) string {
	return "revoked-" + strconv.FormatUint(from, 10) + "-" + strconv.FormatUint(to, 10) + ".bin"
}

// ParseDeltaName reads the name of a delta; only the one spelling.
func ParseDeltaName(name string) (from, to uint64, ok bool) {
	middle, isBin := strings.CutSuffix(name, ".bin")
	middle, isDelta := strings.CutPrefix(middle, "revoked-")
	a, b, two := strings.Cut(middle, "-")
	if !isBin || !isDelta || !two || len(a) > maxSequenceName || len(b) > maxSequenceName {
		return 0, 0, false
	}
	from, err1 := strconv.ParseUint(a, 10, 64)
	to, err2 := strconv.ParseUint(b, 10, 64)
	return from, to, err1 == nil && err2 == nil && name == DeltaName(from, to)
}

// RevokedChain picks of a repository's deltas, by name, those that lead from
// list from on, in order. Deltas that end at or before it are there for gates
// that still hold an older list. What is left must be one chain.
func RevokedChain(from uint64, deltas map[string][]byte) ([]*RevokedDelta, error) {
	if len(deltas) > MaxDeltas {
		return nil, fmt.Errorf("%w: %d deltas, at most %d", ErrTooLarge, len(deltas), MaxDeltas)
	}
	var chain []*RevokedDelta
	for name, b := range deltas {
		first, to, ok := ParseDeltaName(name)
		if !ok {
			return nil, fmt.Errorf("%w: %.80q is no name of a revoked delta", ErrFormat, name)
		}
		d, err := ParseRevokedDelta(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if d.From != first || d.To != to {
			return nil, fmt.Errorf("%w: %s holds the delta from %d to %d", ErrFormat, name, d.From, d.To)
		}
		if d.To > from {
			chain = append(chain, d)
		}
	}
	slices.SortFunc(chain, func(a, b *RevokedDelta) int {
		if a.From != b.From {
			return compare(a.From, b.From)
		}
		return compare(a.To, b.To)
	})
	at := from
	for _, d := range chain {
		if d.From != at {
			return nil, fmt.Errorf("%w: %s does not follow revoked list %d", ErrFormat, d.Name(), at)
		}
		at = d.To
	}
	return chain, nil
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func compareIDs(a, b ID) int {
	return compare(binary.BigEndian.Uint64(a[:]), binary.BigEndian.Uint64(b[:]))
}

// rising reports whether ids are sorted and none stands twice.
func rising(ids []ID) bool {
	for i := 1; i < len(ids); i++ {
		if compareIDs(ids[i-1], ids[i]) >= 0 {
			return false
		}
	}
	return true
}

// meet gives an id that stands in two rising lists.
func meet(a, b []ID) (ID, bool) {
	for len(a) > 0 && len(b) > 0 {
		switch c := compareIDs(a[0], b[0]); {
		case c == 0:
			return a[0], true
		case c < 0:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return ID{}, false
}

// RevokedIndex finds ids. It is read-only and may be used by several goroutines.
type RevokedIndex struct{ superseded, withdrawn []ID }

// Index sorts the lists, if they are not sorted, without changing r.
func (r Revocations) Index() RevokedIndex {
	sorted := func(ids []ID) []ID {
		if rising(ids) {
			return ids
		}
		ids = slices.Clone(ids)
		slices.SortFunc(ids, compareIDs)
		return ids
	}
	return RevokedIndex{sorted(r.Superseded), sorted(r.Withdrawn)}
}

// Find reports whether an id is revoked, and whether it is withdrawn and not
// merely superseded; what stands in both lists is withdrawn. Two binary searches:
// a map of two million ids would take five times the room of the lists.
func (x RevokedIndex) Find(id ID) (withdrawn, found bool) {
	if _, found = slices.BinarySearchFunc(x.withdrawn, id, compareIDs); found {
		return true, true
	}
	_, found = slices.BinarySearchFunc(x.superseded, id, compareIDs)
	return false, found
}

func revokedKind(b []byte, kind byte, head int) error {
	switch {
	case len(b) < head || !bytes.HasPrefix(b, []byte(revokedMagic)):
		return fmt.Errorf("%w: not a revoked list", ErrFormat)
	case b[4] != revokedVersion:
		return fmt.Errorf("%w: revoked list of form %d: install a newer program", ErrFormat, b[4])
	case b[5] != kind || b[6] != 0 || b[7] != 0:
		return fmt.Errorf("%w: not a revoked list of the kind that its name says", ErrFormat)
	}
	return nil
}

// readIDs cuts b into lists of the counts given, each 4 bytes; nothing is left.
func readIDs(b []byte, counts ...[]byte) ([][]ID, error) {
	total := uint64(0)
	for _, c := range counts {
		total += uint64(binary.BigEndian.Uint32(c))
	}
	if total*uint64(idSize) != uint64(len(b)) {
		return nil, fmt.Errorf("%w: revoked list says %d ids in %d bytes", ErrFormat, total, len(b))
	}
	lists := make([][]ID, len(counts))
	for i, c := range counts {
		n := int(binary.BigEndian.Uint32(c))
		if n == 0 {
			continue
		}
		lists[i] = make([]ID, n)
		for j := range lists[i] {
			copy(lists[i][j][:], b)
			b = b[idSize:]
		}
	}
	return lists, nil
}

func appendIDs(b []byte, ids []ID) []byte {
	for i := range ids {
		b = append(b, ids[i][:]...)
	}
	return b
}

// writeIDs hashes ids in pieces that stay in the cache.
func writeIDs(h hash.Hash, ids []ID) {
	var piece [512 * idSize]byte
	for part := range slices.Chunk(ids, 512) {
		h.Write(appendIDs(piece[:0], part))
	}
}

func readMS(b []byte) (time.Time, error) {
	ms := binary.BigEndian.Uint64(b)
	if ms == 0 || ms > latestTimeMS {
		return time.Time{}, fmt.Errorf("%w: a time that cannot be", ErrFormat)
	}
	return time.UnixMilli(int64(ms)).UTC(), nil
}

func goodMS(t time.Time) bool {
	ms := t.UnixMilli()
	return ms > 0 && ms <= latestTimeMS && time.UnixMilli(ms).Equal(t)
}
