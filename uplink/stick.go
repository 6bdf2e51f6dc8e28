package uplink

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"

	"checkpoint/record"
)

// maxStickFiles is how many names one folder of a stick is read to: 50 million
// rows.
const maxStickFiles = 200_000

// maxSkips is how many skipped files a Tally names; it counts all.
const maxSkips = 20

// Tally is what became of the files of a stick. It is true also beside an
// error: so much was done, and need not be done again.
type Tally struct {
	Done    int    // written, or taken
	Same    int    // were there before
	Skipped int    // could not be taken
	Skips   []Skip // the first of them
}

// Skip is one file that could not be taken.
type Skip struct {
	Name string // fit for a screen
	Why  string
}

func (t *Tally) skip(name, why string) {
	t.Skipped++
	if len(t.Skips) < maxSkips {
		t.Skips = append(t.Skips, Skip{clean(name, 120), clean(why, 200)})
	}
}

// ErrSkip is what a take function wraps when it will not have one file, and the
// next may come.
var ErrSkip = errors.New("not taken")

// ExportSegments writes segments to the stick mounted at dir. What is there
// already is kept; another segment under the same name, too (it is another
// gate's that says to be this one: evidence), and counts as skipped, as does
// one that comes beside ErrLost. Any other error of cuts ends it.
func ExportSegments(ctx context.Context, dir string, cuts iter.Seq2[record.Cut, error]) (t Tally, err error) {
	f, err := openStick(dir, segmentsFolder, true)
	if err != nil {
		return t, err
	}
	defer f.closeInto(&err)
	for cut, err := range cuts {
		if errors.Is(err, ErrLost) && ctx.Err() == nil {
			t.skip(stickName{cut.Identity, cut.Number}.String(), ErrLost.Error())
			continue
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return t, fmt.Errorf("export segments: %w", err)
		}
		name := stickName{cut.Identity, cut.Number}.String() + segmentEnd
		switch {
		case len(cut.Bytes) > record.MaxSegment || sha256.Sum256(cut.Bytes) != cut.SHA256:
			t.skip(name, "its bytes are not those that were signed")
		case f.has(name, cut.Bytes):
			t.Same++
		case f.holdsSegment(name):
			t.skip(name, "the stick holds another segment of that name: keep the stick, and call the technician")
		default:
			if err := f.write(name, cut.Bytes); err != nil {
				return t, err
			}
			t.Done++
		}
	}
	return t, nil
}

// holdsSegment says whether the file is a segment, and not what a broken stick
// left of one.
func (f *stickFolder) holdsSegment(name string) bool {
	b, err := f.read(name, record.MaxSegment)
	if err != nil {
		return false
	}
	_, err = record.ParseSegment(b)
	return err == nil
}

// StickSegment is a segment as it came on a stick. Bytes has the form of one;
// whose it is, and whether it is signed, is for the hub to say.
type StickSegment struct {
	record.Identity
	Number uint64
	Bytes  []byte
}

// ImportSegments gives take the segments of the stick mounted at dir, each gate
// and epoch in order. An error of take ends it, unless it is an ErrSkip.
func ImportSegments(ctx context.Context, dir string, take func(context.Context, StickSegment) error) (t Tally, err error) {
	return importFiles(ctx, dir, segmentsFolder, segmentEnd, record.MaxSegment, func(n stickName, b []byte) error {
		s, err := record.ParseSegment(b)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSkip, err)
		}
		if s.Identity != n.Identity || s.Number != n.Number {
			return fmt.Errorf("%w: the segment in it has another name", ErrSkip)
		}
		return take(ctx, StickSegment{n.Identity, n.Number, b})
	})
}

// ExportReceipts writes receipts to the stick mounted at dir. One that is there
// for the same segment is kept.
func ExportReceipts(ctx context.Context, dir string, receipts iter.Seq2[[]byte, error]) (t Tally, err error) {
	f, err := openStick(dir, receiptsFolder, true)
	if err != nil {
		return t, err
	}
	defer f.closeInto(&err)
	for raw, err := range receipts {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return t, fmt.Errorf("export receipts: %w", err)
		}
		r, err := record.ParseReceipt(raw)
		if err != nil {
			return t, fmt.Errorf("export receipts: %w", err)
		}
		name := stickName{r.Identity, r.Number}.String() + receiptEnd
		if f.holdsReceipt(name, r) {
			t.Same++
			continue
		}
		if err := f.write(name, raw); err != nil {
			return t, err
		}
		t.Done++
	}
	return t, nil
}

// holdsReceipt says whether the file says the same of the same bytes by the
// same key; only its time may differ.
func (f *stickFolder) holdsReceipt(name string, r record.Receipt) bool {
	b, err := f.read(name, record.ReceiptSize)
	if err != nil {
		return false
	}
	old, err := record.ParseReceipt(b)
	if err != nil {
		return false
	}
	if old == r {
		return true
	}
	old.TimeMS, old.Signature = r.TimeMS, r.Signature
	return old == r
}

// ImportReceipts gives settle the receipts of one device on the stick mounted
// at dir: those that one of keys signed. Those of other gates on the same round
// are passed over. settle says whether a receipt covers one of its segments,
// with ErrSkip if not; any other error ends it.
func ImportReceipts(ctx context.Context, dir string, device [16]byte, keys []ed25519.PublicKey, settle func(ctx context.Context, r record.Receipt, raw []byte) error) (Tally, error) {
	return importFiles(ctx, dir, receiptsFolder, receiptEnd, record.ReceiptSize, func(n stickName, b []byte) error {
		if n.Device != device {
			return errOthers
		}
		r, err := record.ParseReceipt(b)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSkip, err)
		}
		if r.Identity != n.Identity || r.Number != n.Number {
			return fmt.Errorf("%w: the receipt in it has another name", ErrSkip)
		}
		known, holds := signedBy(r, keys)
		switch {
		case holds:
			return settle(ctx, r, b)
		case known:
			return fmt.Errorf("%w: its signature does not hold", ErrSkip)
		}
		return fmt.Errorf("%w: signed by a key that this gate does not know; import its trust first", ErrSkip)
	})
}

// errOthers: a file of somebody else, which is no matter.
var errOthers = errors.New("of another gate")

// importFiles reads every file of a folder whose name has the form, in order of
// the names. One that cannot be taken is skipped; a stick that fails ends it.
func importFiles(ctx context.Context, dir, folder, end string, most int, take func(stickName, []byte) error) (t Tally, err error) {
	f, err := openStick(dir, folder, false)
	if err != nil {
		return t, err
	}
	defer f.close()
	names, others, err := f.list(end, maxStickFiles)
	if err != nil {
		return t, err
	}
	if others > 0 {
		t.skip(fmt.Sprintf("%d others", others), "their names do not end in "+end)
		t.Skipped += others - 1
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return t, fmt.Errorf("import %s: %w", folder, err)
		}
		n, ok := parseStickName(name, end)
		if !ok {
			t.skip(name, "not a name of this form")
			continue
		}
		b, err := f.read(name, most)
		if errors.Is(err, errRubbish) {
			t.skip(name, err.Error())
			continue
		}
		if err != nil {
			return t, explainStick(f.path, err)
		}
		switch err := take(n, b); {
		case err == nil:
			t.Done++
		case errors.Is(err, errOthers):
		case errors.Is(err, ErrSkip):
			t.skip(name, err.Error())
		default:
			return t, fmt.Errorf("%s: %w", name, err)
		}
	}
	return t, nil
}
