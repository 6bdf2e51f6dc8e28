package uplink

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"checkpoint/enroll"
	"checkpoint/record"
)

// MaxRetryAfter is the longest wait that a hub can ask for.
const MaxRetryAfter = time.Hour

// Outcome is what an answer to a segment means. The zero Outcome is Garbage:
// what is not understood settles nothing.
type Outcome uint8

// The outcomes; doc.go says what the gate does about each.
const (
	Garbage  Outcome = iota // nothing of the below
	Received                // a receipt that holds
	Refused                 // a signed refusal that holds
	Conflict                // its key is taken by other bytes
	Gone                    // its day was destroyed, says the hub
	TooLarge
	Foreign // of another device than the certificate's
	Pending // the technician has not compared the word yet
	Revoked
	Later // not now
)

var outcomes = [...]string{"garbage", "received", "refused", "conflict", "gone", "too_large", "not_your_device", "pending", "revoked", "later"}

// String is the stable word, as it stands in rows about segments set aside.
func (o Outcome) String() string {
	if int(o) < len(outcomes) {
		return outcomes[o]
	}
	return outcomes[Garbage]
}

// Answer is what came of sending a segment.
type Answer struct {
	Outcome
	Receipt record.Receipt // Received, Refused: its signature holds and it covers the cut
	Raw     []byte         // its bytes as they came
	After   time.Duration  // not before this; at most MaxRetryAfter
	Line    string         // one line for a person; empty when all is well
	Stale   bool           // the receipt is by a key not known here: trust may be old
	Busy    bool           // Later: of the hub as a whole, not of this segment
}

// classify reads an answer. Whatever it is, no Received and no Refused comes
// out of it unless one of keys signed a receipt for exactly this cut.
func classify(got answer, cut record.Cut, keys []ed25519.PublicKey) Answer {
	a := Answer{After: retryAfter(got.header)}
	switch got.status {
	case http.StatusOK:
		return receipt(got.body, cut, keys, record.Stored)
	case http.StatusUnprocessableEntity:
		return receipt(got.body, cut, keys, record.Refused)
	case http.StatusConflict:
		a.Outcome = Conflict
	case http.StatusGone:
		a.Outcome = Gone
	case http.StatusRequestEntityTooLarge:
		a.Outcome = TooLarge
	case http.StatusUnauthorized:
		a.Outcome = Revoked
	case http.StatusForbidden:
		a.Outcome = forbidden(got.refusal().Word)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		a.Outcome = Later
		a.Busy = got.refusal().Word != "newer_form" // which this hub cannot read yet; reports it can
	case http.StatusRequestTimeout:
		a.Outcome = Later
	default:
		if got.status >= 500 && got.status <= 599 {
			a.Outcome = Later
		}
	}
	a.Line = got.refusal().Error()
	if got.status >= 300 && got.status <= 399 {
		a.Line = fmt.Sprintf("the hub's address answers with a redirect (%d), which is never followed: correct the address", got.status)
	}
	return a
}

func forbidden(word string) Outcome {
	switch word {
	case "revoked":
		return Revoked
	case "pending":
		return Pending
	case "not_your_device":
		return Foreign
	}
	return Garbage
}

func receipt(body []byte, cut record.Cut, keys []ed25519.PublicKey, want record.Disposition) Answer {
	r, err := record.ParseReceipt(body)
	switch {
	case err != nil:
		return Answer{Line: "the hub answered without a receipt"}
	case r.Disposition != want:
		return Answer{Line: "the hub's receipt says other than its answer"}
	case !r.Covers(cut):
		return Answer{Line: "the hub's receipt is of another segment"}
	}
	if known, holds := signedBy(r, keys); !holds {
		if !known {
			return Answer{Line: "the hub's receipt is by a key that this gate does not know; its trust may be old", Stale: true}
		}
		return Answer{Line: "the signature of the hub's receipt does not hold"}
	}
	a := Answer{Outcome: Received, Receipt: r, Raw: body}
	if want == record.Refused {
		a.Outcome = Refused
		a.Line = "the hub refuses the segment for good: " + refusedFor(r.Reason)
		if r.Reason == record.ForDestroyed {
			// A destroyed day is for signed trust to say, never for a hub alone.
			return Answer{Outcome: Gone, Line: a.Line}
		}
	}
	return a
}

func refusedFor(why record.RefusedFor) string {
	switch why {
	case record.ForForm:
		return "not a segment by its rules"
	case record.ForSignature:
		return "not signed by this device's key"
	case record.ForVenue:
		return "of a venue where this device never stood"
	case record.ForRetention:
		return "its day is past what the hub keeps"
	case record.ForDestroyed:
		return "its day was destroyed"
	}
	return "reason " + strconv.Itoa(int(why))
}

// signedBy says whether the key that a receipt names is among keys, and whether
// its signature holds.
func signedBy(r record.Receipt, keys []ed25519.PublicKey) (known, holds bool) {
	for _, key := range keys {
		if len(key) != ed25519.PublicKeySize || record.KeyID(key) != r.KeyID {
			continue
		}
		known = true
		if r.Verify(key) {
			return true, true
		}
	}
	return known, false
}

// refusal reads an answer as a Problem, if it is one.
func (got answer) refusal() *Refusal {
	r := &Refusal{Status: got.status, RetryAfter: retryAfter(got.header)}
	var p enroll.Problem
	if !got.long && json.Unmarshal(got.body, &p) == nil {
		r.Word, r.Detail = word(p.Error), clean(p.Detail, 200)
	}
	return r
}

// word takes a stable word, and nothing that merely might be one.
func word(s string) string {
	if len(s) > 40 {
		return ""
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' {
			return ""
		}
	}
	return s
}

// retryAfter reads Retry-After (RFC 9110 §10.2.3): seconds, or a date, which is
// taken against the hub's own Date so that the gate's clock plays no part.
func retryAfter(h http.Header) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if strings.Trim(text, "0123456789") == "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n > int64(MaxRetryAfter/time.Second) {
			return MaxRetryAfter
		}
		return time.Duration(n) * time.Second
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	sent, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	return max(0, min(until.Sub(sent), MaxRetryAfter))
}
