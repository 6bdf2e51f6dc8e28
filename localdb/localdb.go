package localdb

import (
	"errors"
	"time"

	"checkpoint/record"
)

// Options of Open. The zero value of each field is its default.
type Options struct {
	// Now stamps the rows that localdb writes by itself (a new epoch, hourly
	// counts). It is required.
	Now func() record.Stamp

	// HardwareID is what stays with this board or disk: board serial, partition
	// UUID. When it differs from the one stored, the file was moved or copied
	// and gets a new epoch. "" is unknown: never a reason for a new epoch.
	HardwareID string

	// Cap is the room in bytes that the file may take: default 1 GiB. From 80 %
	// on Status says so; at the cap Append returns ErrFull. The log beside it
	// takes about 4 MiB more.
	Cap int64

	// Retention is how long rows are kept at least: default 14 days. Those of an
	// enrolled gate are kept until a receipt covers them, too.
	Retention time.Duration
}

// Errors that callers branch on. Each is wrapped with the file's path and one
// line for the person who can act.
var (
	ErrForeign  = errors.New("not a checkpoint database")
	ErrNewer    = errors.New("database is from a newer checkpoint")
	ErrDamaged  = errors.New("database is damaged")
	ErrReadOnly = errors.New("database cannot be written")
	ErrInUse    = errors.New("database is in use by another checkpoint")
	ErrNoSpace  = errors.New("disk is full")             // the file system has no room
	ErrFull     = errors.New("database is at its cap")   // Options.Cap is reached
	ErrClosed   = errors.New("database is closed")       //
	ErrNoScan   = errors.New("no such scan")             // a choice or void about what is not there
	ErrVoided   = errors.New("scan is voided already")   //
	ErrOlder    = errors.New("trust is older")           // than what is installed
	ErrConflict = errors.New("same trust version twice") // with other bytes
	ErrTrust    = errors.New("trust does not fit")       // empty, too large, or without a version
	ErrBusy     = errors.New("somebody reads the log")   // Checkpoint only: try again
	ErrIdentity = errors.New("sealed for another epoch") // make a new Sealer for DB.Identity
	ErrNoCut    = errors.New("no such segment")          // SetAside of what was never cut
	ErrEnrol    = errors.New("enrolment does not fit")   // a part is missing or too long

	// Of Peek alone.
	ErrUnreadable = errors.New("database cannot be read")
	ErrUnfinished = errors.New("database was not closed in order") // and what would tell how to read its log is missing
)

// Clock is what the file knows about time.
type Clock struct {
	FloorMS  int64  // it is surely not earlier than this; UTC Unix milliseconds, 0 unknown
	AnchorMS int64  // newest offline-signed time installed
	RanMS    uint64 // monotonic time the gate ran since the anchor was installed, over restarts
}

// Status is what a header shows. It costs no scan of the rows.
type Status struct {
	Last       uint64 // newest row, 0 none
	Waiting    uint64 // rows that no receipt covers, nor a signed refusal
	OldestMS   int64  // wall time of the oldest of them; 0 none
	Unrecorded uint64 // scans that left no row since the file was born

	Enrolled bool   // the gate belongs to a hub
	Poison   uint64 // segments that were set aside, and wait for a person
	Refused  uint64 // segments that a hub refused for good, since the file was born

	Used     int64   // bytes of the file and its log
	Cap      int64   // bytes
	Share    float64 // Used / Cap, or of the disk when that ends sooner
	DaysLeft int     // at the pace of the last seven days; -1 unknown
	Warn     bool    // Share ≥ 0.8
}

// HourCount is how often one verdict and reason came in one hour.
type HourCount struct {
	HourMS  int64 // UTC Unix milliseconds at the start of the hour
	Verdict uint8
	Reason  uint8
	N       uint64
}

// LastScan is the newest scan that is not voided.
type LastScan struct {
	Seq     uint64
	Stamp   record.Stamp
	Verdict uint8
	Reason  uint8
}
