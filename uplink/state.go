package uplink

import "time"

// State is what a screen shows of the line. Two states that are equal look the
// same. Times are the guarded clock's.
type State struct {
	Online       bool
	Held         bool      // down on purpose: Set(false)
	OfflineSince time.Time // zero while online
	LastReceipt  time.Time // zero: none since the start
	Waiting      Waiting
	Problem      string // one line; empty: none
	Aside        uint64 // segments set aside since the start
}

// Waiting is what keeps a gate that has a line from sending.
type Waiting string

// What a gate waits for.
const (
	WaitNothing     Waiting = ""
	WaitEnrol       Waiting = "not_enrolled"
	WaitConfirm     Waiting = "pending"     // the technician compares the word
	WaitCertificate Waiting = "certificate" // the hub does not take the one there is
	WaitRevoked     Waiting = "revoked"     // keep scanning, call the technician
)

// line is what a person is told about it.
func (w Waiting) line() string {
	switch w {
	case WaitConfirm:
		return "the hub waits for the technician to compare the six digits"
	case WaitCertificate:
		return ErrNotTaken.Error() + "; " + advice(ErrNotTaken)
	case WaitRevoked:
		return "the hub has revoked this gate; it scans on, but sends nothing: call the technician"
	}
	return ""
}

// trouble is where a problem comes from; the first of them that has one is
// shown.
type trouble int

const (
	ofWaiting trouble = iota
	ofOutbox
	ofLine
	ofSending
	ofRenewal
	ofTrust
	ofReport
	troubles
)
