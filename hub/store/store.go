// Package store answers: what does a hub keep?
//
// Segments as they came, in partitions by day; where each gate's sequence
// stands; hourly counts and the few rows that people filter by; gates, their
// certificates and tokens; people; the trust repository; alarms. The values and
// the interface stand here; store/sqlite keeps them in files of one data
// directory, store/postgres in a server that several hubs share. Both hold to
// the same rules, and store/storetest proves them on both.
package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"checkpoint/record"
)

// Errors that callers branch on.
var (
	ErrUnavailable = errors.New("store cannot be reached")          // try again later
	ErrFull        = errors.New("store has no room")                // the disk is full
	ErrNotFound    = errors.New("not in the store")                 //
	ErrExists      = errors.New("in the store already")             // a name, a device
	ErrStale       = errors.New("somebody else was faster")         // compare and swap lost
	ErrNewer       = errors.New("store is from a newer hub")        // install the newer program
	ErrOlder       = errors.New("store must be brought up to date") // missing, or of an older program: Migrate
	ErrState       = errors.New("not possible in this state")       // confirm a revoked gate …
	ErrInUse       = errors.New("store is in use by another hub")   // SQLite only
	ErrUnfinished  = errors.New("store was not loaded to its end")  // empty it and load again
	ErrDump        = errors.New("not a whole dump of a store")      // Load
)

// Store is all of it. Methods are safe for use by several goroutines; what a
// method returned without an error is durable.
type Store interface {
	Segments
	Gates
	People
	TrustFiles
	Alarms
	Acts
	Log
	Days
	Archive

	Ready(ctx context.Context) error // nil: can read and write now
	// Now is the store's own clock where it has one (several hubs agree on it),
	// else the machine's.
	Now(ctx context.Context) (time.Time, error)
	Close() error
}

// Incoming is a segment that the hub has read and proven to be the device's.
type Incoming struct {
	record.SegmentKey
	First, Last uint64
	Before      record.Link
	Head        record.Link
	ContextID   [16]byte
	Context     *record.Context
	SHA256      [32]byte
	Plain       []byte // header, metadata columns, signature: see record.SplitSegment
	Sealed      []byte // the sealed column
	ReceivedMS  int64
	OffsetMS    int64 // hub time − newest wall time of the rows, at arrival
	Flags       Flags
	Counts      []Count
	Notable     []Notable
	Way         Way
}

// Flags say what is odd about a segment that is kept all the same.
type Flags uint32

// The flags.
const (
	Late      Flags = 1 << iota // its hour is over by more than a day
	Ahead                       // its hour has not begun
	WrongDay                    // its hour does not lie in its day
	Estimated                   // at least one row has no trusted time
	AfterGap                    // numbers before it are missing
	Orphan                      // its context never came
)

// Way is how a segment came.
type Way uint8

// The ways.
const (
	ByNet   Way = 1
	ByStick Way = 2
)

// Count is how often one verdict and reason came in a segment: scan rows, and
// what count rows tell.
type Count struct {
	Hour            int64 // hours since 1970, UTC; of a count row: the hour it tells of
	Verdict, Reason uint8
	N               uint64
}

// Notable is a row that people filter by: amber, red, invalid and check_id
// scans, choices, voids, manual cards, events. It holds no sealed part.
type Notable struct {
	Device  [16]byte
	Epoch   [8]byte
	Seq     uint64
	Venue   string
	Day     string
	Hour    int64
	WallMS  int64
	Quality uint8
	Kind    record.Kind
	Verdict uint8  // scans
	Reason  uint8  // scans
	Format  uint8  // scans
	Issuer  string // scans
	Trust   uint64 // scans
	To      uint64 // choices and voids: the scan
	Code    uint16 // choice, class of a manual card, event code
	Allowed bool   // manual cards
	Value   int64  // events
	Text    string // events
}

// Outcome is what became of an Incoming.
type Outcome uint8

// The outcomes.
const (
	Stored    Outcome = 1 // is durable now
	Repeat    Outcome = 2 // these very bytes were durable before
	Conflict  Outcome = 3 // the key, or a seq of the chain, is taken by other bytes: kept in quarantine, not in the log
	Destroyed Outcome = 4 // its day was destroyed
	Retired   Outcome = 5 // its day is past retention
)

// Put is the answer about one Incoming.
type Put struct {
	Outcome Outcome
	// Missing are the segment numbers between the last that came and this one,
	// when this one opened a gap; both 0 else.
	MissingFrom, MissingTo uint64
}

// Segments takes segments.
type Segments interface {
	// Put keeps a batch in one durable step and answers each. The rules of a
	// stream (device, epoch), held under a lock of that stream:
	//
	//   - the number after the last, its First right after the last Last and its
	//     Before the last Head: Stored. A stream may begin at any seq, with number 1.
	//     When its First is further on, the gate erased what lies between, with a
	//     destroyed day and before it was cut: Stored, flag AfterGap;
	//   - a higher number, with a First after the last Last: Stored, and a gap is
	//     noted (flag AfterGap); a stream has at most MaxGaps of them;
	//   - a lower number: the same bytes are a Repeat; one that lies in a noted gap
	//     and fits it (its seqs, and the links at both ends where it touches them)
	//     is Stored and closes that part of the gap;
	//   - anything else is a Conflict: the bytes go to quarantine.
	//
	// Before all that comes its day: of one that was dropped it is Destroyed or
	// Retired, and its number is noted as refused, so that it is no gap. The flags
	// AfterGap and Orphan are the store's to set. The batch is taken in its order.
	//
	// Hourly counts and notable rows are written with the segment, once. After an
	// error nothing of the batch is acknowledged; some of it may have been kept all
	// the same (the answer of a commit may be lost), so sent again it may be a
	// Repeat.
	Put(ctx context.Context, batch []Incoming) ([]Put, error)

	// Quarantine keeps the bytes of a segment that must not reach the log (sent
	// after revocation, a conflict): at most QuarantineMax and QuarantineBytes a
	// device, then it only counts. The same bytes twice are kept once.
	Quarantine(ctx context.Context, device [16]byte, why string, segment []byte, at time.Time) error

	// Streams tells where the sequences of a device stand. Numbers that were
	// refused are left out of the gaps.
	Streams(ctx context.Context, device [16]byte) ([]Stream, error)

	// Refuse notes numbers that were refused for good, so that they are no gap.
	Refuse(ctx context.Context, key record.SegmentKey, first, last uint64, sha [32]byte, why record.RefusedFor, at time.Time) error
}

// Bounds of what one device can make a store keep beside the log.
const (
	QuarantineMax   = 10_000   // segments kept aside
	QuarantineBytes = 64 << 20 // bytes of them
	MaxGaps         = 1024     // of one stream; a segment that would open another is a Conflict
	MaxRefused      = 100_000  // numbers noted as refused; further ones stay gaps
)

// Stream is one sequence of a device.
type Stream struct {
	record.Identity
	Venue  string
	Number uint64 // newest segment
	Last   uint64 // newest seq
	Head   record.Link
	Gaps   []Gap
}

// Gap is a run of numbers that never came, and the seqs in it.
type Gap struct {
	From, To    uint64
	First, Last uint64
}

// GateState is where a gate is in its life.
type GateState string

// The states.
const (
	Invited GateState = "invited" // a token is out
	Pending GateState = "pending" // enrolled from a sheet: the word is not compared yet
	Active  GateState = "active"
	Revoked GateState = "revoked"
)

// Gate is one gate as a hub knows it. Its name is unique.
type Gate struct {
	Name       string
	Venue      string // where it stands now
	VenueType  string
	Venues     []string // all it ever stood in
	State      GateState
	Device     [16]byte // zero until enrolled
	SegmentKey []byte   // Ed25519, 32 bytes; empty until enrolled
	Word       string   // six digits, while pending
	CreatedMS  int64
	EnrolledMS int64
	RevokedMS  int64
	CertUntil  int64  // Unix ms
	CertSPKI   []byte // SHA-256 of the newest certificate key that the gate was seen to hold: at enrolment, then of what it renewed with
	SeenMS     int64
	OffsetMS   int64  // hub time − gate time at the last report
	Report     []byte // the gate's last report, JSON
}

// Token is a one-time invitation. Only its hash is kept.
type Token struct {
	Hash    [32]byte
	Gate    string
	Expires time.Time
	Sheet   bool // printed: the gate is pending until the word is compared
}

// Enrolment is a request that proved both keys.
type Enrolment struct {
	Device     [16]byte
	SegmentKey []byte
	TLSKey     [32]byte // SHA-256 of the SubjectPublicKeyInfo
	Word       string
	At         time.Time
}

// TokenUse is what became of a token that was shown.
type TokenUse uint8

// The uses.
const (
	TokenGood    TokenUse = 1 // taken now
	TokenAgain   TokenUse = 2 // the same device and keys once more: the answer got lost
	TokenUsed    TokenUse = 3 // by somebody else: an alarm
	TokenExpired TokenUse = 4
	TokenUnknown TokenUse = 5
	TokenDevice  TokenUse = 6 // the device is revoked, or is another gate already
)

// Gates keeps gates.
type Gates interface {
	CreateGate(ctx context.Context, g Gate, t Token) error // ErrExists: the name
	// Invite gives an invited or revoked gate a new token; the older ones end, and
	// the device that it had is no longer its own.
	Invite(ctx context.Context, t Token) error
	// UseToken gives the gate of a token to a device, in one step. A device that
	// was ever enrolled is not enrolled again: TokenDevice.
	UseToken(ctx context.Context, hash [32]byte, e Enrolment) (Gate, TokenUse, error)
	GateByName(ctx context.Context, name string) (Gate, error)
	// GateByDevice also finds the device that a gate had before it was invited
	// anew: the gate as Revoked, with that device and its key.
	GateByDevice(ctx context.Context, device [16]byte) (Gate, error)
	Gates(ctx context.Context, venues []string, after string, limit int) ([]Gate, error) // by name; venues nil: all
	ConfirmGate(ctx context.Context, name, word string) error                            // ErrState, ErrNotFound, ErrStale: another word
	RevokeGate(ctx context.Context, name string, at time.Time) error
	MoveGate(ctx context.Context, name, venue, venueType string) error
	// Renewed notes the key that a gate has shown that it holds, and until when
	// what it was given now lasts.
	Renewed(ctx context.Context, device [16]byte, tlsKey [32]byte, until time.Time) error
	Reported(ctx context.Context, device [16]byte, report []byte, offsetMS int64, at time.Time) error
}

// Person is somebody who reads or administers.
type Person struct {
	Name      string
	Role      string   // manager, technician, headquarters
	Venues    []string // nil: all
	Serial    string   // of the newest certificate, hex
	Until     time.Time
	Revoked   bool
	CreatedMS int64
}

// People keeps people.
type People interface {
	AddPerson(ctx context.Context, p Person) error // also a new certificate for a known one
	RevokePerson(ctx context.Context, name string, at time.Time) error
	Person(ctx context.Context, name string) (Person, error)
	ListPeople(ctx context.Context) ([]Person, error)
}

// TrustFile is one file of the trust repository.
type TrustFile struct {
	Name  string // e.g. "1.root.json", "timestamp.json", "targets/ab….policy.json"
	Bytes []byte
}

// TrustFiles keeps the trust repository.
type TrustFiles interface {
	TrustFile(ctx context.Context, name string) ([]byte, error)
	// PutTrust adds and replaces files in one step, if the repository still
	// stands at the generation that was read; it gives the next. Names in drop go.
	PutTrust(ctx context.Context, generation uint64, files []TrustFile, drop []string) (uint64, error) // ErrStale
	TrustGeneration(ctx context.Context) (uint64, error)
	ListTrust(ctx context.Context) ([]string, error)
}

// Alarm is something that a person must look at.
type Alarm struct {
	ID     int64
	Kind   string // stable word: conflict, gap, token_reused, revoked_upload, clock, poison, trust …
	Gate   string // name, "" none
	Venue  string
	Text   string // never about a person
	At     time.Time
	Count  uint64 // how often it came
	LastAt time.Time
	Closed time.Time // zero: open
	By     string
}

// Alarms keeps alarms. One that is open and comes again counts up.
type Alarms interface {
	Raise(ctx context.Context, a Alarm) error
	ListAlarms(ctx context.Context, venues []string, open bool, before int64, limit int) ([]Alarm, error)
	CloseAlarm(ctx context.Context, id int64, by string, at time.Time) error
}

// Act is something that a person changed, kept for those who ask later who did
// it. Acts are only added, never changed.
type Act struct {
	ID    int64 // rises
	At    time.Time
	Who   string // name of the person, or "hub" for its operator's commands
	Role  string // manager, technician, headquarters; operator, gate, hub
	What  string // stable word: gate_created, gate_revoked, alarm_closed, day_dropped …
	On    string // what it was done to: a gate, an alarm's number, a day, a person
	Venue string // "" none
	Text  string // never about a guest
}

// Acts keeps what people changed.
type Acts interface {
	Record(ctx context.Context, a Act) error                                               // ID is given by the store
	ListActs(ctx context.Context, venues []string, before int64, limit int) ([]Act, error) // newest first, ID < before (0: all); venues nil: all
}

// Hourly is one hourly count.
type Hourly struct {
	Venue           string
	Device          [16]byte
	Hour            int64
	Verdict, Reason uint8
	N               uint64
}

// RowFilter selects notable rows. Zero fields do not filter.
type RowFilter struct {
	Venues       []string
	Device       *[16]byte
	FromMS, ToMS int64
	Kinds        []record.Kind
	Verdicts     []uint8
	Reasons      []uint8
	// Before is where the last page ended: rows are listed the newest first, by
	// (WallMS, Device, Epoch, Seq).
	Before *Notable
	Limit  int
}

// Bucket names the segments of one hour.
type Bucket struct {
	Day   string
	Venue string
	Hour  int64
}

// Log reads what has arrived.
type Log interface {
	Hourly(ctx context.Context, venues []string, fromHour, toHour int64) ([]Hourly, error)
	Notable(ctx context.Context, f RowFilter) ([]Notable, error)
	// Bucket yields the segments of a bucket in (device, epoch, number) order.
	// The slices of one are not kept over the next.
	Bucket(ctx context.Context, b Bucket) iter.Seq2[Incoming, error]
	Buckets(ctx context.Context, day string, venues []string) ([]Bucket, error)
}

// Day is one partition.
type Day struct {
	ID        string
	Segments  uint64
	Bytes     int64
	Destroyed bool
	Retired   bool
}

// Days keeps the partitions.
type Days interface {
	ListDays(ctx context.Context) ([]Day, error)
	// DropDay drops the partition at once. destroyed: for good, and what comes of
	// it later is Destroyed; else it is past retention, and Retired. Days whose
	// name is no date stand in one partition of their own.
	DropDay(ctx context.Context, day string, destroyed bool, at time.Time) error
}
