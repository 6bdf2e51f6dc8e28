package store

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"iter"
	"reflect"

	"checkpoint/record"

	"github.com/fxamacker/cbor/v2"
)

// A dump is one stream of bytes that holds all of a store, the same for every
// driver: dumpMagic, then frames (length, an Entry in CBOR, its CRC-32C), then a
// frame of length 0 with the number of entries and the SHA-256 of all before it.
// docs/formats.md, "Dump of a hub's store".
const (
	dumpMagic = "ckdump/1\n"
	dumpName  = "ckdump/"
	maxFrame  = 256 << 20 // a trust file can be this long, nothing else comes near
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Dump writes all that a store holds. Hubs may go on meanwhile. The sealed rows
// in it stay sealed; it holds no key.
func Dump(ctx context.Context, s Archive, w io.Writer) error {
	mode, err := cbor.EncOptions{Sort: cbor.SortCoreDeterministic, Time: cbor.TimeRFC3339NanoUTC}.EncMode()
	if err != nil {
		return fmt.Errorf("dump the store: %w", err)
	}
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<20)
	_, _ = out.WriteString(dumpMagic) // an error stays in out
	var count uint64
	var head []byte
	for e, err := range s.Export(ctx) {
		if err != nil {
			return fmt.Errorf("dump the store: %w", err)
		}
		b, err := mode.Marshal(e)
		if err != nil {
			return fmt.Errorf("dump the store: %w", err)
		}
		if len(b) > maxFrame {
			return fmt.Errorf("dump the store: an entry of %d bytes", len(b))
		}
		head = binary.BigEndian.AppendUint32(head[:0], uint32(len(b)))
		_, _ = out.Write(head)
		_, _ = out.Write(b)
		if _, err := out.Write(binary.BigEndian.AppendUint32(head[:0], crc32.Checksum(b, castagnoli))); err != nil {
			return fmt.Errorf("write the dump: %w", err)
		}
		count++
	}
	_, _ = out.Write(binary.BigEndian.AppendUint64(make([]byte, 4, 12), count))
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the dump: %w", err)
	}
	if _, err := w.Write(sum.Sum(nil)); err != nil {
		return fmt.Errorf("write the dump: %w", err)
	}
	return nil
}

// Load fills a store that holds nothing with what Dump wrote. It returns
// ErrExists when the store holds something, ErrDump when the bytes are not a
// whole dump, and ErrNewer when a newer hub wrote them. After an error in the
// middle the store is of no use.
func Load(ctx context.Context, s Archive, r io.Reader) error {
	d, err := newDumpReader(r)
	if err == nil {
		err = s.Import(ctx, d.entries(ctx))
	}
	if err != nil {
		return fmt.Errorf("load a dump: %w", err)
	}
	if !d.whole {
		return fmt.Errorf("load a dump: %w: the store did not read to its end", ErrDump)
	}
	return nil
}

// dumpReader reads a dump. No length in it is believed before the bytes are
// there.
type dumpReader struct {
	in    io.Reader // what is read from it goes into sum
	raw   *bufio.Reader
	sum   hash.Hash
	mode  cbor.DecMode
	count uint64
	frame bytes.Buffer
	whole bool
}

func newDumpReader(r io.Reader) (*dumpReader, error) {
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden, TimeTag: cbor.DecTagIgnored,
		MaxNestedLevels: 8, MaxArrayElements: 1 << 20, MaxMapPairs: 64, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecMode()
	if err != nil {
		return nil, err
	}
	d := &dumpReader{raw: bufio.NewReaderSize(r, 1<<16), sum: sha256.New(), mode: mode}
	d.in = io.TeeReader(d.raw, d.sum)
	magic := make([]byte, len(dumpMagic))
	if _, err := io.ReadFull(d.in, magic); err != nil {
		return nil, torn(err)
	}
	switch {
	case string(magic) == dumpMagic:
		return d, nil
	case bytes.HasPrefix(magic, []byte(dumpName)):
		return nil, fmt.Errorf("%w: the dump is of form %q", ErrNewer, magic[len(dumpName):])
	}
	return nil, fmt.Errorf("%w: it does not begin as one", ErrDump)
}

// torn is ErrDump when the bytes end too early, else the reader's own error.
func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends too early", ErrDump)
	}
	return err
}

func (d *dumpReader) entries(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for {
			e, end, err := d.next(ctx)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if end || !yield(e, nil) {
				return
			}
		}
	}
}

func (d *dumpReader) next(ctx context.Context) (e Entry, end bool, err error) {
	if err := ctx.Err(); err != nil {
		return e, false, err
	}
	var head [4]byte
	if _, err := io.ReadFull(d.in, head[:]); err != nil {
		return e, false, torn(err)
	}
	size := binary.BigEndian.Uint32(head[:])
	if size == 0 {
		return e, true, d.end()
	}
	if size > maxFrame {
		return e, false, fmt.Errorf("%w: an entry of %d bytes", ErrDump, size)
	}
	d.frame.Reset()
	if _, err := io.CopyN(&d.frame, d.in, int64(size)); err != nil { // grows as the bytes come
		return e, false, torn(err)
	}
	if _, err := io.ReadFull(d.in, head[:]); err != nil {
		return e, false, torn(err)
	}
	if crc32.Checksum(d.frame.Bytes(), castagnoli) != binary.BigEndian.Uint32(head[:]) {
		return e, false, fmt.Errorf("%w: entry %d was damaged", ErrDump, d.count)
	}
	if err := d.mode.Unmarshal(d.frame.Bytes(), &e); err != nil {
		return e, false, fmt.Errorf("%w: entry %d: %w", ErrDump, d.count, err)
	}
	if err := e.check(); err != nil {
		return e, false, fmt.Errorf("%w: entry %d: %w", ErrDump, d.count, err)
	}
	d.count++
	return e, false, nil
}

// end reads what follows the last entry. There is nothing behind it.
func (d *dumpReader) end() error {
	var tail [8]byte
	if _, err := io.ReadFull(d.in, tail[:]); err != nil {
		return torn(err)
	}
	want := d.sum.Sum(nil)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(d.raw, got); err != nil {
		return torn(err)
	}
	if binary.BigEndian.Uint64(tail[:]) != d.count || !bytes.Equal(got, want) {
		return fmt.Errorf("%w: its end does not fit it", ErrDump)
	}
	if _, err := d.raw.ReadByte(); err != io.EOF {
		return fmt.Errorf("%w: there is more behind its end", ErrDump)
	}
	d.whole = true
	return nil
}

var (
	errFields = errors.New("not exactly one thing")
	errDay    = errors.New("not a day")
	errVenue  = errors.New("not a venue")
	errNumber = errors.New("a number that stores cannot hold")
	errName   = errors.New("no name")
)

// check returns what keeps an entry from being put into a store. Whoever makes a
// dump can make it say anything; it must not make a store break.
func (e *Entry) check() error {
	set := 0
	for v, i := reflect.ValueOf(e).Elem(), 0; i < v.NumField(); i++ {
		if !v.Field(i).IsNil() {
			set++
		}
	}
	const most = 1<<63 - 1
	key := func(k *record.SegmentKey, first, last uint64) error {
		switch {
		case !record.ValidDay(k.Day):
			return errDay
		case !record.ValidVenue(k.Venue):
			return errVenue
		case k.Number == 0 || k.Number > most || first == 0 || last < first || last > most:
			return errNumber
		}
		return nil
	}
	switch {
	case set != 1:
		return errFields
	case e.Stream != nil:
		if s := e.Stream; s.Number == 0 || s.Number > most || s.Last > most || len(s.Gaps) > MaxGaps {
			return errNumber
		}
		for i, g := range e.Stream.Gaps {
			if g.From == 0 || g.To < g.From || g.To >= e.Stream.Number || g.First > most || g.Last > most || i > 0 && g.From <= e.Stream.Gaps[i-1].To {
				return errNumber
			}
		}
	case e.Refused != nil:
		if r := e.Refused; r.Number > most || r.First > most || r.Last > most {
			return errNumber
		}
	case e.Segment != nil:
		return key(&e.Segment.SegmentKey, e.Segment.First, e.Segment.Last)
	case e.Context != nil:
		return key(&record.SegmentKey{Number: 1, Day: e.Context.Day, Venue: e.Context.Venue}, 1, 1)
	case e.Hourly != nil:
		return key(&record.SegmentKey{Number: 1, Day: e.Hourly.Day, Venue: e.Hourly.Venue}, 1, 1)
	case e.Notable != nil:
		return key(&record.SegmentKey{Number: 1, Day: e.Notable.Day, Venue: e.Notable.Venue}, 1, max(e.Notable.Seq, 1))
	case e.Dropped != nil:
		if !record.ValidDay(e.Dropped.Day) {
			return errDay
		}
	case e.Gate != nil:
		if e.Gate.Name == "" {
			return errName
		}
	case e.Trust != nil:
		if (e.Trust.Name == "") == (e.Trust.Generation == 0) || e.Trust.Generation > most {
			return errName
		}
	}
	return nil
}
