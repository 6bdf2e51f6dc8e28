package gate

import (
	"time"

	"checkpoint/decode"
	"checkpoint/verify"
)

// Event is what a gate says. Values only, in the past tense; nothing reaches
// back. An event that shows a card carries no subject and no id.
type Event interface{ event() }

// Started is the first event.
type Started struct {
	At      time.Time
	DB      string
	Version string
	Source  string
	Tests   []SelfTest
}

// SelfTest is one line of the start-up self-test.
type SelfTest struct {
	Name   string // camera, light, time, keys, disk, queue, sound
	OK     bool
	Detail string
}

// Leaves says how a card leaves the screen.
type Leaves uint8

// How a card leaves.
const (
	ByTime      Leaves = iota // 1.8 s or the next code
	ByNextCode                // stays until the next code
	ByKeyOrCode               // any key or the next code
	ByKey                     // only a key; codes are seen, not judged, until then
	WhenMended                // when the device is mended
	NeverShown                // no card (no_check)
)

// Judged says that a code got its verdict and, unless Recording is set, that
// its row is on the disk.
type Judged struct {
	At        time.Time
	Card      uint64 // number of this card in this run, from 1
	Verdict   verify.Verdict
	Leaves    Leaves
	Seq       uint64 // the row; 0 when none was written (or not yet: Recording)
	Recording bool   // the row took over 100 ms; Recorded follows for the same card

	ReadMS          float64
	CheckMS         float64
	DurableMS       float64 // negative: no row
	ViewToVerdictMS float64 // negative: the view's start is not known
	Presentation    uint64  // camera.Truth of the frame that was read
}

// Recorded says that the row of a card marked Recording is now on the disk, or,
// with Failed set, that it is not: the gate is then a device fault.
type Recorded struct {
	At     time.Time
	Card   uint64
	Seq    uint64
	Failed bool
}

// Choice is what the guard did about a card.
type Choice uint8

// The choices, with the numbers that rows store.
const (
	ChoiceMatch     Choice = 1 // check_id: the card matches the person
	ChoiceMismatch  Choice = 2
	ChoiceLeft      Choice = 3 // the person left
	ChoiceIsolated  Choice = 4
	ChoiceEmergency Choice = 5
	ChoiceSupervise Choice = 6
)

// Chosen says that the guard's choice about a row is on the disk. Becomes is
// what the screen shows next: Pass or PassGold after a match, Amber after a
// mismatch, else NoVerdict.
type Chosen struct {
	At      time.Time
	Card    uint64
	To      uint64 // the row it is about
	Seq     uint64
	Choice  Choice
	Becomes verify.Name
}

// Voided says that a row was voided by a new row.
type Voided struct {
	At      time.Time
	To, Seq uint64
}

// ManualClass is who was let through, or not, without a code.
type ManualClass uint8

// The classes of the manual card, with the numbers that rows store.
const (
	ManualNoPhone   ManualClass = 1
	ManualChild     ManualClass = 2
	ManualStaff     ManualClass = 3
	ManualEmergency ManualClass = 4
)

// ManualDone says that a manual card is on the disk.
type ManualDone struct {
	At      time.Time
	Seq     uint64
	Class   ManualClass
	Allowed bool
}

// HandedOver says that a new shift began.
type HandedOver struct {
	At     time.Time
	Shift  string
	Counts Counts // of the shift that ended
}

// Cleared says that a card left the screen.
type Cleared struct {
	At   time.Time
	Card uint64
}

// Coached is what the camera sees while nothing is being judged.
type Coached struct {
	Hint        decode.Hint
	FinishFirst bool // a code is in view, but a card waits for its key
}

// Refused says that a command could not be done, in words for the guard.
type Refused struct {
	At   time.Time
	What string // stable word: void_too_late, nothing_to_void, record_failed, no_card, pin_wrong, pin_locked
}

// Rung is a step of the degrading ladder.
type Rung uint8

// The ladder, best first.
const (
	Full Rung = iota
	Queueing
	VerifyOnly
	TimeEstimated
	KeysStale
	ManualOnly
)

var rungs = [...]string{"full", "queueing", "verify_only", "time_estimated", "keys_stale", "manual_card"}

// String is the stable word of the rung.
func (r Rung) String() string {
	if int(r) < len(rungs) {
		return rungs[r]
	}
	return rungs[ManualOnly]
}

// Counts are verdicts by their number.
type Counts [13]uint64

// Total is the sum of all verdicts.
func (c Counts) Total() (n uint64) {
	for _, x := range c {
		n += x
	}
	return n
}

// State is all that the header of a screen shows. It is sent when something
// in it changes, and at least once a second.
type State struct {
	At      time.Time
	Quality verify.Quality
	Name    string // of the gate
	Venue   string
	Policy  Policy
	Rungs   []Rung // those that hold now, best first; never empty

	CameraOK bool
	CameraIs string // what is wrong, "" when OK
	FPS      float64
	Frames   uint64 // looked at since the start
	Shown    uint64 // things held up since the start, where the source knows
	Read     uint64 // of those

	Line    Line
	Waiting uint64 // rows not yet confirmed upstream
	Oldest  time.Time

	KeysAge  time.Duration // negative: no trust installed
	DiskDays int           // at today's pace; -1 unknown
	DiskUsed float64       // share of the cap

	Unrecorded uint64
	Today      Counts
	Shift      string
}

// Policy is what the header says of the policy in force.
type Policy struct {
	Venue    string // venue type
	Required bool
	IDCheck  bool
}

// Ended is the last event.
type Ended struct {
	At     time.Time
	Frames uint64
	Shown  uint64 // things held up, where the source knows
	Read   uint64 // of those
	Missed uint64
	Scans  uint64 // verdicts given
	Rows   uint64 // rows written
	Faults uint64 // in the program, survived: each cost a frame or made a verdict device/internal
}

func (Started) event()    {}
func (Judged) event()     {}
func (Recorded) event()   {}
func (Chosen) event()     {}
func (Voided) event()     {}
func (ManualDone) event() {}
func (HandedOver) event() {}
func (Cleared) event()    {}
func (Coached) event()    {}
func (Refused) event()    {}
func (State) event()      {}
func (Ended) event()      {}
