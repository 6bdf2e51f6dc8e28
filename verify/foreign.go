package verify

import (
	"encoding/hex"
	"errors"
	"strings"
	"unicode/utf8"

	"checkpoint/trust"
	"checkpoint/verify/dcc"
)

// dcc judges EU certificates and the Swiss light ones in the order of
// dccSteps. They are bound to no phone, so they always ask for the card, and
// they are never red.
func (v *Verifier) dcc(j *judgement, text []byte, at Instant, policy trust.Policy) Verdict {
	compressed, err := dcc.Decode(text[len(dcc.Prefix):])
	if err != nil {
		return j.refuse(stepBase45, Invalid, BadBase45, err.Error())
	}
	j.pass(stepBase45, "")
	raw, err := dcc.Inflate(compressed)
	if err != nil {
		return j.refuse(stepInflate, Invalid, BadInflate, err.Error())
	}
	j.pass(stepInflate, "")
	msg, err := dcc.Parse(raw)
	switch {
	case errors.Is(err, dcc.ErrCBOR):
		return j.refuse(stepCBOR, Invalid, BadCBOR, err.Error())
	case err == nil, errors.Is(err, dcc.ErrKidMissing):
		j.pass(stepCBOR, "")
		j.pass(stepCOSE, "")
	default:
		j.pass(stepCBOR, "")
		return j.refuse(stepCOSE, Invalid, BadCOSE, err.Error())
	}
	if err != nil {
		return j.refuse(stepKid, Invalid, KidMissing, err.Error())
	}
	j.pass(stepKid, hex.EncodeToString(msg.KeyID()))

	if v, ok := v.fresh(j, at, policy, "dcc_keys"); !ok {
		return v
	}
	signers := v.signers[string(msg.KeyID())]
	if len(signers) == 0 {
		j.Signature = SignatureUnknownKey
		if v.stale(at, policy) {
			return j.refuse(stepKey, Device, UnknownKeyListStale, "no such key, and the list is not fresh")
		}
		return j.refuse(stepKey, More, IssuerUnknown, "no such key in a fresh list")
	}
	j.pass(stepKey, strings.TrimPrefix(signers[0].Country+", "+dcc.Algorithm(signers[0].Key), ", "))

	var signer trust.DCCSigner
	var proven *dcc.Proven
	for _, s := range signers {
		if proven, err = msg.Verify(s.Key); err == nil {
			signer = s
			break
		}
	}
	if proven == nil {
		j.Signature = SignatureInvalid
		return j.refuse(stepSignature, Invalid, BadSignature, "the issuer's signature does not hold")
	}
	j.Signature = SignatureValid
	j.pass(stepSignature, dcc.Algorithm(signer.Key))

	c, err := proven.Claims(j.Format == FormatCHLight)
	if err != nil {
		r := BadSchema
		if errors.Is(err, dcc.ErrCBOR) {
			r = BadCBOR
		}
		return j.refuse(stepContent, Invalid, r, err.Error())
	}
	j.pass(stepContent, "")
	j.Issuer = first(c.Issuer, signer.Country, c.Country)
	j.ValidUntil = c.Expires
	j.ID = c.ID
	if j.ID == "" {
		hash := msg.SignatureHash(signer.Key)
		j.ID = hex.EncodeToString(hash[:])
	}
	j.Person = Person{Name: strings.TrimSpace(first(c.Surname, c.SurnameT) + " " + first(c.Given, c.GivenT)), Born: c.Birth}
	j.Subject = foreignSubject(j.Format, c)

	if !may(signer.Usage, c.Kind) {
		return j.refuse(stepUsage, Invalid, KeyUsage, "the key may not sign this kind")
	}
	j.pass(stepUsage, "")
	if v, ok := j.foreignTimes(c, signer, at, policy); !ok {
		return v
	}
	return j.foreignPolicy(c, at, policy)
}

func may(u trust.Usage, k dcc.Kind) bool {
	if !u.Restricted() {
		return true
	}
	switch k {
	case dcc.Vaccination:
		return u.Vaccination
	case dcc.Test:
		return u.Test
	case dcc.Recovery:
		return u.Recovery
	}
	return true // a light certificate does not say what it stands on
}

// foreignTimes looks at iat and exp, and at the signer's own dates.
func (j *judgement) foreignTimes(c *dcc.Claims, s trust.DCCSigner, at Instant, policy trust.Policy) (Verdict, bool) {
	if policy.NeedTime && at.Quality <= ClockEstimated {
		return j.refuse(stepTimes, Device, NoTime, "the clock is "+at.Quality.String()), false
	}
	now := at.Time
	switch {
	case !c.Expires.IsZero() && now.After(c.Expires):
		return j.refuse(stepTimes, Refresh, Expired, "expired "+ago(now.Sub(c.Expires))), false
	case !s.NotAfter.IsZero() && (now.After(s.NotAfter) || c.Issued.After(s.NotAfter)): // the latter whatever the clock says
		return j.refuse(stepTimes, Invalid, KeyExpired, "the key is no longer valid"), false
	}
	if c.Issued.After(now) || s.NotBefore.After(now) {
		if !j.ahead(at) {
			if c.Issued.After(now) {
				return j.refuse(stepTimes, Refresh, NotYetValid, "issued in the future"), false
			}
			return j.refuse(stepTimes, Invalid, KeyExpired, "the key is not valid yet"), false
		}
		j.set(stepTimes, NotReached, "lies ahead of a clock that is "+at.Quality.String())
		return Verdict{}, true
	}
	j.pass(stepTimes, roughly(c.Expires.Sub(now))+" left")
	return Verdict{}, true
}

func (j *judgement) foreignPolicy(c *dcc.Claims, at Instant, p trust.Policy) Verdict {
	if !p.Accepts(j.Format.String()) {
		return j.refuse(stepPolicy, More, NotAcceptedHere, "this place does not take this format")
	}
	outcome, detail := c.Judge(p.RulesForDCC(), at.Time)
	if outcome == dcc.TooEarly && j.ahead(at) {
		j.set(stepPolicy, NotReached, detail)
		if c.Kind == dcc.Vaccination {
			return j.admit(PassGold, IDForeign)
		}
		return j.admit(Pass, IDForeign)
	}
	switch outcome {
	case dcc.PassGold:
		j.pass(stepPolicy, detail)
		return j.admit(PassGold, IDForeign)
	case dcc.PassGreen:
		j.pass(stepPolicy, detail)
		return j.admit(Pass, IDForeign)
	case dcc.Open:
		return j.refuse(stepPolicy, More, RulesOpen, detail)
	}
	if p.RulesFailed == trust.FailedAmber {
		return j.refuse(stepPolicy, Amber, RulesFailed, detail)
	}
	switch outcome {
	case dcc.TestTooOld:
		return j.refuse(stepPolicy, More, TestTooOld, detail)
	case dcc.DoseTooOld:
		return j.refuse(stepPolicy, More, VaccinationTooOld, detail)
	}
	return j.refuse(stepPolicy, More, RulesFailed, detail)
}

// foreignSubject is what headquarters needs to reach the holder of a foreign
// certificate, at most 160 bytes:
//
//	0      1  layout, 1
//	1      1  format number
//	2      1  kind: 'v', 't', 'r', or 0
//	3      2  country of the certificate, two letters, or zeros
//	then, each after one length byte: birth date (≤ 10), certificate id (≤ 80),
//	name SURNAME<<GIVEN as in the machine-readable zone (what room is left)
//
// Texts are UTF-8, cut at a character.
func foreignSubject(f Format, c *dcc.Claims) []byte {
	b := make([]byte, 0, 160)
	kind := byte(0)
	if l := c.Kind.Letter(); l != "" {
		kind = l[0]
	}
	b = append(b, 1, byte(f), kind)
	if co := first(c.Country, c.Issuer); len(co) == 2 {
		b = append(b, co...)
	} else {
		b = append(b, 0, 0)
	}
	field := func(s string, room int) {
		s = cut(s, room)
		b = append(append(b, byte(len(s))), s...)
	}
	field(c.Birth, 10)
	field(c.ID, 80)
	field(first(c.SurnameT, c.Surname)+"<<"+first(c.GivenT, c.Given), cap(b)-len(b)-1)
	return b
}

// cut shortens s to n bytes, at a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func first(s ...string) string {
	for _, t := range s {
		if t != "" {
			return t
		}
	}
	return ""
}
