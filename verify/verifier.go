package verify

import (
	"bytes"
	"crypto/ecdsa"
	"slices"
	"strconv"
	"time"

	"checkpoint/trust"
)

// Verifier judges texts under one Snapshot at one type of venue. It is
// read-only after New and may be used by several goroutines at once.
type Verifier struct {
	trust   *trust.Snapshot
	venue   string
	version uint64

	issuers map[[8]byte][]issuer
	signers map[string][]trust.DCCSigner // by kid
	revoked trust.RevokedIndex           // by cti
}

type issuer struct {
	trust.IssuerKey
	key *ecdsa.PublicKey
}

// New makes a Verifier for a venue of any type. It reads all keys once; s must
// not change afterwards. A key that cannot be read is left out. A nil snapshot
// is allowed: every code is then a device fault (keys_stale).
func New(s *trust.Snapshot) *Verifier {
	v := &Verifier{trust: s, venue: trust.AnyVenue}
	if s == nil {
		return v
	}
	v.version = s.Version
	v.issuers = make(map[[8]byte][]issuer, len(s.Issuers.Keys))
	for _, k := range s.Issuers.Keys {
		if key, err := k.Public(); err == nil {
			v.issuers[k.KID] = append(v.issuers[k.KID], issuer{k, key})
		}
	}
	v.signers = make(map[string][]trust.DCCSigner, len(s.DCCKeys.Keys))
	for _, k := range s.DCCKeys.Keys {
		if d, err := k.Read(); err == nil {
			v.signers[string(d.KID)] = append(v.signers[string(d.KID)], d)
		}
	}
	v.revoked = s.Revoked.Index()
	return v
}

// At is the same Verifier for a type of venue, as policies name it.
func (v *Verifier) At(venue string) *Verifier {
	w := *v
	w.venue = venue
	return &w
}

// Policy is the policy in force at an instant.
func (v *Verifier) Policy(at Instant) trust.Policy { return v.trust.PolicyAt(v.venue, at.Time) }

// Check gives the verdict on one text at one instant. It is pure: the same
// text, trust, venue and instant give the same verdict. It never panics: a
// fault in this program is the verdict device/internal.
//
// A line end after the text is not part of it; nothing else is taken off.
func (v *Verifier) Check(text []byte, at Instant) (verdict Verdict) {
	format, steps, version := FormatNone, otherSteps, uint64(0)
	defer func() {
		if recover() != nil {
			verdict = newJudgement(format, steps, version).end(Device, Internal)
		}
	}()
	version = v.version
	text = bytes.TrimRight(text, "\r\n")
	format, name := recognise(text)
	switch format {
	case FormatNative:
		steps = nativeSteps
	case FormatDCC, FormatCHLight:
		steps = dccSteps
	}
	policy := v.Policy(at)
	if policy.NoCheck && v.trust.Age(at.Time) <= policy.Limit() {
		// A policy that nobody has confirmed for so long opens no gate either.
		return newJudgement(format, steps, version).end(NoCheck, NoCheckRequired)
	}
	j := newJudgement(format, steps, version)
	switch format {
	case FormatNone:
		return j.refuse(stepPrefix, NotOurs, NotAHealthCode, "no known prefix")
	case FormatNative:
		j.pass(stepPrefix, "")
		return v.native(j, text, at, policy)
	case FormatDCC, FormatCHLight:
		j.pass(stepPrefix, "")
		return v.dcc(j, text, at, policy)
	default:
		j.FormatName = name
		return j.refuse(stepPrefix, NotOurs, UnsupportedFormat, name)
	}
}

// fresh passes the trust step, or refuses when there is no trust or it is
// older than the policy lets anything be judged with.
func (v *Verifier) fresh(j *judgement, at Instant, p trust.Policy, lists ...string) (Verdict, bool) {
	if v.trust == nil {
		return j.refuse(stepTrust, Device, KeysStale, "no trust is installed"), false
	}
	var oldest time.Duration
	detail := "version " + strconv.FormatUint(v.version, 10)
	for _, a := range v.trust.Ages(at.Time) {
		if slices.Contains(lists, a.List) {
			detail += ", " + a.List + " " + roughly(a.Age) + " old"
			oldest = max(oldest, a.Age)
		}
	}
	if oldest > p.Limit() {
		return j.refuse(stepTrust, Device, KeysStale, detail), false
	}
	j.pass(stepTrust, detail)
	return Verdict{}, true
}

// stale reports whether the key lists are too old to say that a key does not
// exist.
func (v *Verifier) stale(at Instant, p trust.Policy) bool {
	return at.Time.Sub(v.trust.Issued) > p.Fresh()
}

// ago says how long before the gate's clock something was, or how far ahead.
func ago(d time.Duration) string {
	if d < 0 {
		return roughly(-d) + " ahead"
	}
	return roughly(d) + " ago"
}

func roughly(d time.Duration) string {
	n, unit := d/time.Second, " s"
	switch {
	case d >= 48*time.Hour:
		n, unit = d/(24*time.Hour), " days"
	case d >= time.Hour:
		n, unit = d/time.Hour, " h"
	case d >= time.Minute:
		n, unit = d/time.Minute, " min"
	}
	return strconv.FormatInt(int64(n), 10) + unit
}
