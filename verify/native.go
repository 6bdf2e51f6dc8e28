package verify

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"checkpoint/healthcode"
	"checkpoint/trust"
)

// How far a code's times may lie from the gate's clock.
const (
	issuedAhead    = 60 * time.Second // iat
	presentedOld   = 60 * time.Second
	presentedAhead = 30 * time.Second
)

// native judges GHC1: and GHP1: in the order of nativeSteps. Nothing is read
// from the content before the issuer's signature holds.
func (v *Verifier) native(j *judgement, text []byte, at Instant, policy trust.Policy) Verdict {
	var shown *healthcode.Presentation
	var cred *healthcode.Credential
	var err error
	if string(text[:len(healthcode.PresentationPrefix)]) == healthcode.PresentationPrefix {
		if shown, err = healthcode.ParsePresentation(text); err == nil {
			cred = shown.Credential()
		}
	} else {
		cred, err = healthcode.Parse(text)
	}
	if v, ok := j.shape(err); !ok {
		return v
	}
	kid := cred.KeyID()
	j.pass(stepKid, hex.EncodeToString(kid[:]))

	if v, ok := v.fresh(j, at, policy, "issuers", "revoked"); !ok {
		return v
	}
	keys := v.issuers[kid]
	if len(keys) == 0 {
		j.Signature = SignatureUnknownKey
		if v.stale(at, policy) {
			return j.refuse(stepKey, Device, UnknownKeyListStale, "no such key, and the list is not fresh")
		}
		return j.refuse(stepKey, Invalid, UnknownKey, "no such key in a fresh list")
	}
	j.pass(stepKey, fmt.Sprintf("%s, ES256", keys[0].Name))

	// 8 bytes of a hash can meet: every key with that kid is tried.
	var key issuer
	var proven *healthcode.Proven
	for _, k := range keys {
		if proven, err = cred.Verify(k.key); err == nil {
			key = k
			break
		}
	}
	if proven == nil {
		j.Signature = SignatureInvalid
		return j.refuse(stepSignature, Invalid, BadSignature, "the issuer's signature does not hold")
	}
	j.Signature = SignatureValid
	j.pass(stepSignature, key.Name)

	c, err := proven.Claims()
	if err != nil {
		r := BadSchema
		if errors.Is(err, healthcode.ErrCBOR) {
			r = BadCBOR
		}
		return j.refuse(stepContent, Invalid, r, err.Error())
	}
	j.pass(stepContent, "")
	j.Issuer = c.Issuer
	j.ID = hex.EncodeToString(c.CTI[:])
	j.IssuedAt, j.ValidUntil = time.Unix(c.Issued, 0).UTC(), time.Unix(c.Expires, 0).UTC()
	j.Person = Person{Name: c.Name, Document: c.Document.Last, DocType: c.Document.Type}
	j.Subject = nativeSubject(c)

	if v, ok := j.right(key, c, at); !ok {
		return v
	}
	if v, ok := j.times(c, at, policy); !ok {
		return v
	}
	if v, ok := j.presented(shown, c, at); !ok {
		return v
	}
	if withdrawn, found := v.revoked.Find(c.CTI); found {
		if withdrawn {
			return j.refuse(stepRevocation, Invalid, Revoked, "withdrawn")
		}
		return j.refuse(stepRevocation, Refresh, Superseded, "the person has a newer code")
	}
	j.pass(stepRevocation, "not on the list")
	if v, ok := j.measure(c, at); !ok {
		return v
	}
	return j.nativePolicy(c, at, policy)
}

// nativeSubject is sub ‖ cti ‖ 12 zero bytes: what headquarters needs to reach
// the person, and nothing else.
func nativeSubject(c *healthcode.Claims) []byte {
	s := make([]byte, 32)
	copy(s, c.Subject[:])
	copy(s[12:], c.CTI[:])
	return s
}

// shape spreads the one error of a parser over its steps.
func (j *judgement) shape(err error) (Verdict, bool) {
	for _, s := range []struct {
		step   string
		err    error
		reason Reason
	}{
		{stepBase45, healthcode.ErrBase45, BadBase45},
		{stepCBOR, healthcode.ErrCBOR, BadCBOR},
		{stepCOSE, healthcode.ErrCOSE, BadCOSE},
		{stepKid, healthcode.ErrKidMissing, KidMissing},
	} {
		if errors.Is(err, s.err) {
			return j.refuse(s.step, Invalid, s.reason, err.Error()), false
		}
		if s.step != stepKid {
			j.pass(s.step, "")
		}
	}
	if err != nil {
		return j.refuse(stepCOSE, Invalid, BadCOSE, "cannot be read"), false
	}
	return Verdict{}, true
}

// right asks whether the issuer may say this: the region, the colour, and when
// the key was good.
func (j *judgement) right(key issuer, c *healthcode.Claims, at Instant) (Verdict, bool) {
	covered, may := false, false
	for _, r := range key.Regions {
		covered = covered || trust.Covers(r, c.Issuer)
	}
	for _, col := range key.Colours {
		may = may || string(col) == c.Colour.String()
	}
	issued := time.Unix(c.Issued, 0)
	switch {
	case !covered:
		return j.refuse(stepIssuer, IssuerFault, IssuerNotAllowed, "the key may not sign for this region"), false
	case !may:
		return j.refuse(stepIssuer, IssuerFault, IssuerNotAllowed, "the key may not assign this colour"), false
	case issued.Before(key.NotBefore), issued.After(key.NotAfter):
		return j.refuse(stepIssuer, Invalid, KeyExpired, "the key was not valid when it signed"), false
	case at.Time.After(key.NotAfter):
		return j.refuse(stepIssuer, Invalid, KeyExpired, "the key is no longer valid"), false
	}
	j.pass(stepIssuer, c.Colour.String()+" in its region")
	return Verdict{}, true
}

// times looks at iat, nbf and exp. While the clock is estimated it is known
// only that it is not later than the truth: exp behind it is certain, anything
// ahead of it is not.
func (j *judgement) times(c *healthcode.Claims, at Instant, policy trust.Policy) (Verdict, bool) {
	if policy.NeedTime && at.Quality <= ClockEstimated {
		return j.refuse(stepTimes, Device, NoTime, "the clock is "+at.Quality.String()), false
	}
	issued, notBefore, expires := time.Unix(c.Issued, 0), time.Unix(c.NotBefore, 0), time.Unix(c.Expires, 0)
	if at.Time.After(expires) {
		return j.refuse(stepTimes, Refresh, Expired, "expired "+ago(at.Time.Sub(expires))), false
	}
	if issued.After(at.Time.Add(issuedAhead)) || c.NotBefore != 0 && notBefore.After(at.Time) {
		if !j.ahead(at) {
			return j.refuse(stepTimes, Refresh, NotYetValid, "valid in the future"), false
		}
		j.set(stepTimes, NotReached, "lies ahead of a clock that is "+at.Quality.String())
		return Verdict{}, true
	}
	j.pass(stepTimes, "issued "+ago(at.Time.Sub(issued))+", "+roughly(expires.Sub(at.Time))+" left")
	return Verdict{}, true
}

// presented asks whether the phone that the code is bound to shows it now.
func (j *judgement) presented(shown *healthcode.Presentation, c *healthcode.Claims, at Instant) (Verdict, bool) {
	if shown == nil {
		if c.Holder != nil {
			return j.refuse(stepHolder, Refresh, PresentationMissing, "bound to a phone, shown as a picture"), false
		}
		j.pass(stepHolder, "paper: not bound to a phone")
		j.pass(stepWindow, "paper: shown at any time")
		return Verdict{}, true
	}
	seconds, err := shown.Verify(c.Holder)
	if errors.Is(err, healthcode.ErrHolder) {
		return j.refuse(stepHolder, Invalid, BadHolderSignature, "the phone's signature does not hold"), false
	}
	if err != nil {
		return j.refuse(stepHolder, Invalid, BadSchema, err.Error()), false
	}
	j.pass(stepHolder, "signed by the phone")
	switch age := at.Time.Sub(time.Unix(seconds, 0)); {
	case age > presentedOld:
		return j.refuse(stepWindow, Refresh, PresentationOld, "made "+ago(age)), false
	case age >= -presentedAhead:
		j.pass(stepWindow, "made "+ago(age))
	case j.ahead(at):
		j.set(stepWindow, NotReached, "lies ahead of a clock that is "+at.Quality.String())
	default:
		return j.refuse(stepWindow, Refresh, PresentationFuture, "made "+ago(age)), false
	}
	return Verdict{}, true
}

// measure asks of amber and red: until when, why, on what basis. It ends with
// them; green and gold go on.
func (j *judgement) measure(c *healthcode.Claims, at Instant) (Verdict, bool) {
	name := Amber
	switch c.Colour {
	case healthcode.Green, healthcode.Gold:
		j.pass(stepColour, c.Colour.String())
		return Verdict{}, true
	case healthcode.Red:
		name = Red
	}
	reason, known := measures[c.Reason]
	switch {
	case c.Until == 0:
		return j.refuse(stepColour, IssuerFault, UntilMissing, c.Colour.String()+" without an end"), false
	case c.Until-c.Issued > healthcode.MaxMeasure:
		return j.refuse(stepColour, IssuerFault, UntilMissing, c.Colour.String()+" for more than 28 days"), false
	case !known:
		return j.refuse(stepColour, IssuerFault, ReasonMissing, c.Colour.String()+" without a known reason"), false
	case c.Basis == "":
		return j.refuse(stepColour, IssuerFault, ReasonMissing, c.Colour.String()+" without a legal basis"), false
	case at.Time.After(time.Unix(c.Until, 0)):
		return j.refuse(stepColour, Refresh, Renew, "the end of the measure has passed"), false
	}
	return j.refuse(stepColour, name, reason, c.Colour.String()+" in force"), false
}

var measures = map[uint64]Reason{
	healthcode.ReasonContact: Contact, healthcode.ReasonSamePlace: SamePlace, healthcode.ReasonSymptoms: Symptoms,
	healthcode.ReasonCase: Case, healthcode.ReasonSuspected: Suspected, healthcode.ReasonRiskArea: RiskArea,
	healthcode.ReasonEntry: Entry, healthcode.ReasonTestOverdue: TestOverdue, healthcode.ReasonDeclarationMissing: DeclarationMissing,
}

// nativePolicy applies the place's rules to green and gold.
func (j *judgement) nativePolicy(c *healthcode.Claims, at Instant, p trust.Policy) Verdict {
	if !p.Accepts(FormatNative.String()) {
		return j.refuse(stepPolicy, More, NotAcceptedHere, "this place does not take native codes")
	}
	why := IDNone
	switch {
	case c.Holder == nil:
		why = IDPaper
	case p.IDCheck:
		why = IDPolicy
	}
	if c.Colour == healthcode.Gold && meets(c.Vaccinated, p.Vaccination, at.Time) {
		j.pass(stepPolicy, "vaccinated")
		return j.admit(PassGold, why)
	}
	if limit := p.TestAge(); limit > 0 {
		switch tested := time.Unix(c.Tested, 0); {
		case c.Tested == 0:
			return j.refuse(stepPolicy, More, TestTooOld, "no negative test in the code")
		case at.Time.Sub(tested) > limit:
			return j.refuse(stepPolicy, More, TestTooOld, "last negative test "+ago(at.Time.Sub(tested)))
		}
	}
	j.pass(stepPolicy, "")
	return j.admit(Pass, why)
}

// meets applies the rule for gold; without one the issuer's gold stands.
func meets(got healthcode.Vaccination, rule *trust.Vaccination, at time.Time) bool {
	if rule == nil {
		return true
	}
	days := at.Unix()/86400 - int64(got.Last)
	return int(got.Doses) >= rule.Doses && days >= int64(rule.MinDays) && (rule.MaxDays == 0 || days <= int64(rule.MaxDays))
}
