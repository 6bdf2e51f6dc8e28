package localdb

import (
	"context"
	"iter"
	"time"

	"checkpoint/record"
)

// DB is an open gate file. It is safe for use by several goroutines. There is
// one writer: Appends that wait at the same time share one commit.
type DB struct{}

// Open opens the gate file at path and makes it when it is not there, brings an
// older form up to date, and locks it against a second program.
func Open(ctx context.Context, path string, o Options) (*DB, error) { return nil, ErrClosed }

// Close writes what is pending (the counts of the hour as a row), empties the
// log into the file and lets the lock go.
func (db *DB) Close(ctx context.Context, at record.Stamp) error { return ErrClosed }

// Identity is the device and epoch of the rows that are written now. It changes
// only in NewEpoch.
func (db *DB) Identity() record.Identity { return record.Identity{} }

// Append writes the drafts as rows, one after the other and in one transaction,
// and returns the number of the first when all are on the disk. A context's
// error means that none was written; so does every other error. It does not
// return early once the write has begun: who wants to wait less runs it in a
// goroutine.
//
// It returns ErrFull, ErrNoSpace, ErrNoScan and ErrVoided (a choice or void
// about what is not there), ErrIdentity, and record.ErrRow.
func (db *DB) Append(ctx context.Context, drafts ...record.Draft) (first uint64, err error) {
	return 0, ErrClosed
}

// Count counts a verdict that leaves no row of its own. The number is on the
// disk at the next Append, Tick or Close; a power cut loses at most what came
// since. Closed hours become count rows.
func (db *DB) Count(at record.Stamp, verdict, reason uint8) {}

// Unrecorded counts one scan whose row could not be written, on the disk when
// it returns, even if the disk is full.
func (db *DB) Unrecorded() error { return ErrClosed }

// Tick is to be called about once a second: it writes counts that are older
// than 10 s, appends the count rows of hours that ended, keeps the time that
// ran, and empties the log now and then. It does little when there is little.
func (db *DB) Tick(ctx context.Context, at record.Stamp) error { return ErrClosed }

// Status is what the header shows.
func (db *DB) Status(at record.Stamp) (Status, error) { return Status{}, ErrClosed }

// Counts are the verdicts, with and without rows, of each hour from the one in
// which from falls to the one in which to falls. For "today" from is the local
// midnight.
func (db *DB) Counts(ctx context.Context, from, to time.Time) ([]HourCount, error) {
	return nil, ErrClosed
}

// LastScan is the newest scan that is not voided, if it is at most within old
// by monotonic time of this boot (by wall time after a restart). ok is false
// when there is none.
func (db *DB) LastScan(ctx context.Context, at record.Stamp, within time.Duration) (s LastScan, ok bool, err error) {
	return LastScan{}, false, ErrClosed
}

// Row reads one row, or ErrNoScan.
func (db *DB) Row(ctx context.Context, seq uint64) (record.Row, error) {
	return record.Row{}, ErrClosed
}

// Rows reads rows in order from the number on. The sequence ends at the first
// error, which it yields.
func (db *DB) Rows(ctx context.Context, from uint64) iter.Seq2[record.Row, error] { return nil }

// Context finds a sealing context by its name.
func (db *DB) Context(ctx context.Context, id [16]byte) (record.Context, error) {
	return record.Context{}, ErrClosed
}

// VerifyChain reads all rows and computes their links anew. It returns the
// first and last number; ErrDamaged says where the chain breaks.
func (db *DB) VerifyChain(ctx context.Context) (Chain, error) { return Chain{}, ErrClosed }

// Chain is what VerifyChain has proven: rows First to Last are there, each
// once, and end in Head.
type Chain struct {
	First, Last uint64
	Head        record.Link
}

// Head is the newest row's number and link: what a hub compares to see that
// two gates write under one identity.
func (db *DB) Head() (seq uint64, link record.Link) { return 0, record.Link{} }

// NewEpoch begins a new epoch, with an event row as its first. Sealers of the
// old one are of no use any more.
func (db *DB) NewEpoch(ctx context.Context, at record.Stamp, why string) error { return ErrClosed }

// InstallTrust puts a snapshot beside the one before it and writes an event
// row, in one transaction. It returns ErrOlder for a lower version than the
// newest, ErrConflict for the same version with other bytes, and nil without a
// change for the same again.
func (db *DB) InstallTrust(ctx context.Context, at record.Stamp, t Trust) error { return ErrClosed }

// Trust is the newest snapshot and, after it, the one before; none when nothing
// was installed.
func (db *DB) Trust(ctx context.Context) ([]Trust, error) { return nil, ErrClosed }

// Clock is what the file knows about time.
func (db *DB) Clock() Clock { return Clock{} }

// RaiseFloor lifts the floor; a lower one changes nothing. Durable when it
// returns; call it once a minute rather than once a row.
func (db *DB) RaiseFloor(ctx context.Context, floorMS int64) error { return ErrClosed }

// RaiseAnchor lifts the anchor, and the floor with it, and begins RanMS anew; a
// lower one changes nothing.
func (db *DB) RaiseAnchor(ctx context.Context, at record.Stamp, anchorMS int64) error {
	return ErrClosed
}

// LowerFloor sets the floor to the anchor and writes an event row. Only a
// technician may ask for it.
func (db *DB) LowerFloor(ctx context.Context, at record.Stamp) error { return ErrClosed }

// Confirm marks rows first to last as stored upstream, with the signed receipt
// that says so. Receipts may come in any order and twice.
func (db *DB) Confirm(ctx context.Context, first, last uint64, receipt []byte) error {
	return ErrClosed
}

// Purge removes at most 1 000 rows that are older than the retention and, on an
// enrolled gate, confirmed; it says how many went. Nothing of them stays in the
// file or its log after Checkpoint.
func (db *DB) Purge(ctx context.Context, at record.Stamp) (int, error) { return 0, ErrClosed }

// Checkpoint empties the log into the file and cuts it to nothing.
func (db *DB) Checkpoint(ctx context.Context) error { return ErrClosed }
