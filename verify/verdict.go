package verify

import "time"

// Instant is a time with how far it can be trusted. Check takes it as an
// argument and never looks at a clock.
type Instant struct {
	Time    time.Time
	Quality Quality
}

// Check is one step of judging a text, in the order it was taken.
type Check struct {
	Name   string // stable word, e.g. "signature"
	State  State
	Detail string // for the operator; never a name, number or code text
}

// IDWhy says why an identity check stands in place of a pass.
type IDWhy uint8

// Why check_id was asked.
const (
	IDNone    IDWhy = 0
	IDPaper   IDWhy = 1 // the code is not bound to a phone
	IDForeign IDWhy = 2 // a credential from abroad
	IDPolicy  IDWhy = 3 // the place asks it of everybody
	IDClock   IDWhy = 4 // the gate cannot tell that the code is valid yet
)

// Person is what a guard compares with an identity card. It leaves memory
// with the verdict: never stored, logged or sent.
type Person struct {
	Name     string // masked by the issuer; unsanitised
	Document string // last characters of the document
	DocType  uint8  // docs/formats.md, document type; 0 unknown
	Born     string // foreign: birth date as written, may be partial; unsanitised
}

// Verdict is the answer to one text at one instant. The zero Verdict is a
// refusal.
type Verdict struct {
	Name      Name
	Reason    Reason
	Format    Format
	Signature Signature

	Under Name  // for CheckID: what stands once the identity matches (Pass or PassGold)
	IDWhy IDWhy // for CheckID

	FormatName string    // for UnsupportedFormat: its name, e.g. "NL2"
	Issuer     string    // from the trust list or the proven content; unsanitised
	IssuedAt   time.Time // native: the issuer's iat, proven; zero for foreign codes, whose times say nothing of the time here
	ValidUntil time.Time // zero when unknown
	Person     Person    // only proven content, and only with CheckID

	Subject []byte // what is sealed: 32 bytes native, at most 160 foreign; nil unless proven
	ID      string // what replay looks at (cti, certificate id); in memory only; "" when none

	TrustVersion uint64
	Checks       []Check
}

// Admit reports whether the person may go through without anything more.
func (v Verdict) Admit() bool { return v.Name.Admits() }
