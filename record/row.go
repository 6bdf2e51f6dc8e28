package record

import "errors"

// Kind says what a row records. The numbers stand in stored rows.
type Kind uint8

// The kinds of row.
const (
	KindScan   Kind = 1
	KindChoice Kind = 2
	KindVoid   Kind = 3
	KindManual Kind = 4
	KindEvent  Kind = 5
	KindCount  Kind = 6
)

var kinds = [...]string{"none", "scan", "choice", "void", "manual", "event", "count"}

// String is the stable word of the kind, "none" for a number that is no kind.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return kinds[0]
}

// Identity names the one writer of a sequence of rows. The epoch is random,
// born with the file and renewed when the file wakes up on other hardware.
type Identity struct {
	Device [16]byte
	Epoch  [8]byte
}

// Stamp is when a row was made, with what is needed to repair a wrong clock
// later: monotonic milliseconds count from the start of the boot that Boot
// names.
type Stamp struct {
	WallMS  int64    // UTC Unix milliseconds by the guarded clock
	Quality uint8    // of the clock: 0 unknown, 1 estimated, 2 rtc, 3 synced
	Boot    [16]byte // the boot's id (/proc/sys/kernel/random/boot_id)
	MonoMS  uint64   // since that boot
}

// Draft is a row before it has its number. Body is one of Scan, Choice, Void,
// Manual, Event and Count, by value.
type Draft struct {
	Stamp
	Body Body

	// Context is the sealing context of a sealed Scan, set by Sealer.Scan.
	// Whoever stores the row stores the context no later than it.
	Context *Context
}

// Row is a row as it stands in the sequence.
type Row struct {
	Identity
	Seq uint64 // from 1, never repeats
	Stamp
	Body Body
}

// Body is what a row says, by its kind.
type Body interface {
	Kind() Kind
	check() error
	append(b []byte) []byte
}

// Scan is one code that was judged.
type Scan struct {
	Verdict uint8
	Reason  uint8
	Format  uint8
	Issuer  string // from the trust list or proven content: see CutIssuer; at most MaxIssuer bytes
	Trust   uint64 // version of the trust that decided
	Sealed  Sealed // zero: nothing about the person
}

// Sealed is a subject that only headquarters can open.
type Sealed struct {
	Context [16]byte // names the Context
	Step    uint32   // whole hours of monotonic time since the context began
	Index   uint32   // the nonce: never repeats in a context
	Box     []byte   // 48 bytes native, 176 foreign; empty: not sealed
}

// Choice is what the guard did about the scan with number To.
type Choice struct {
	To     uint64
	Choice uint8 // docs/formats.md, "Words"
}

// Void says that the scan with number To was a mistake.
type Void struct {
	To uint64
}

// Manual is a person who was let through, or not, without a code.
type Manual struct {
	Class   uint8 // docs/formats.md, "Words"
	Allowed bool
}

// Count is what an hour held without a row for each.
type Count struct {
	Hour       int64 // UTC Unix milliseconds at the start of the hour
	Tallies    []Tally
	Unrecorded uint64 // scans since the last count whose row could not be written
}

// Tally is how often one verdict and reason came.
type Tally struct {
	Verdict uint8
	Reason  uint8
	N       uint32
}

// Event is something that happened to the gate rather than at it.
type Event struct {
	Code  EventCode
	Value int64  // as the code says; else 0
	Text  string // short, sanitised by the caller, never about a person; at most MaxText bytes
}

// EventCode says what happened. The numbers stand in stored rows.
type EventCode uint16

// The events.
const (
	EventStarted        EventCode = 1  // the gate began; Text: version
	EventStopped        EventCode = 2  // it ended in order
	EventEpoch          EventCode = 3  // first row of a new epoch; Value: last seq before it; Text: why
	EventClockJump      EventCode = 4  // wall against monotonic time; Value: ms
	EventFloorLowered   EventCode = 5  // by the technician, to the anchor; Value: the floor before, Unix ms
	EventTrust          EventCode = 6  // trust installed; Value: version
	EventEnrolled       EventCode = 7  // the gate belongs to a hub
	EventDevice         EventCode = 8  // a device verdict; Value: reason number
	EventAlarm          EventCode = 9  // issuer fault, mismatch and the like; Value: reason number
	EventDiskFull       EventCode = 10 // the cap or the disk was reached; Value: bytes used
	EventHandover       EventCode = 11 // a new shift; Text: shift number
	EventTrustRefused   EventCode = 12 // Text: why
	EventMended         EventCode = 13 // a device fault ended; Value: reason number
	EventTimeFromCodes  EventCode = 14 // three codes lifted the floor; Value: the floor now, Unix ms
	EventSettingChanged EventCode = 15 // by the technician; Text: which
	EventErased         EventCode = 16 // rows of a destroyed day; Value: how many; Text: the day
)

// Limits of what a row may hold.
const (
	MaxIssuer  = 64   // bytes of Scan.Issuer
	MaxText    = 128  // bytes of Event.Text
	MaxTallies = 1024 // entries of Count.Tallies
	MaxRow     = 8192 // bytes of a row's canonical form
)

// Errors that callers branch on.
var (
	// ErrRow: the bytes are not a row, or the values do not make one.
	ErrRow = errors.New("not a row")
	// ErrNewerRow: a row of a version that this program does not know.
	ErrNewerRow = errors.New("row of a newer version")
)

// Kind of each body.
func (Scan) Kind() Kind   { return KindScan }
func (Choice) Kind() Kind { return KindChoice }
func (Void) Kind() Kind   { return KindVoid }
func (Manual) Kind() Kind { return KindManual }
func (Event) Kind() Kind  { return KindEvent }
func (Count) Kind() Kind  { return KindCount }
