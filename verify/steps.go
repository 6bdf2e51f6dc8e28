package verify

// The steps of each format, in the order they are taken. A verdict always
// lists every step of its format.
const (
	stepPrefix     = "prefix"
	stepBase45     = "base45"
	stepInflate    = "inflate"
	stepCBOR       = "cbor"
	stepCOSE       = "cose"
	stepKid        = "kid"
	stepTrust      = "trust" // how old the lists are
	stepKey        = "key"
	stepSignature  = "signature"
	stepContent    = "content"
	stepIssuer     = "issuer" // its right: region, colour, when
	stepUsage      = "usage"
	stepTimes      = "times"
	stepHolder     = "holder"
	stepWindow     = "window"
	stepRevocation = "revocation"
	stepColour     = "colour"
	stepPolicy     = "policy"
)

var (
	nativeSteps = []string{
		stepPrefix, stepBase45, stepCBOR, stepCOSE, stepKid, stepTrust, stepKey, stepSignature, stepContent, stepIssuer,
		stepTimes, stepHolder, stepWindow, stepRevocation, stepColour, stepPolicy,
	}
	dccSteps = []string{
		stepPrefix, stepBase45, stepInflate, stepCBOR, stepCOSE, stepKid, stepTrust, stepKey, stepSignature, stepContent,
		stepUsage, stepTimes, stepPolicy,
	}
	otherSteps = []string{stepPrefix}
)

// judgement is a verdict in the making. Each step is set once; a refusal is
// final.
type judgement struct {
	Verdict
	clock bool // a time lies ahead and the clock cannot tell
}

func newJudgement(f Format, steps []string, version uint64) *judgement {
	j := &judgement{Verdict: Verdict{Format: f, TrustVersion: version, Checks: make([]Check, len(steps))}}
	for i, s := range steps {
		j.Checks[i].Name = s
	}
	return j
}

func (j *judgement) set(step string, s State, detail string) {
	for i := range j.Checks {
		if j.Checks[i].Name == step {
			j.Checks[i].State, j.Checks[i].Detail = s, detail
			return
		}
	}
}

func (j *judgement) pass(step, detail string) { j.set(step, Passed, detail) }

// refuse ends the judging at a step that failed.
func (j *judgement) refuse(step string, n Name, r Reason, detail string) Verdict {
	j.set(step, Failed, detail)
	return j.end(n, r)
}

// end gives the verdict. What a verdict must not carry falls off here: a
// person stands only with an identity check, a subject only with a verdict
// about a person.
func (j *judgement) end(n Name, r Reason) Verdict {
	v := j.Verdict
	v.Name, v.Reason = n, r
	if n != CheckID {
		v.Person, v.Under, v.IDWhy = Person{}, NoVerdict, IDNone
	}
	switch n {
	case Pass, PassGold, CheckID, More, Amber, Red:
	default:
		v.Subject = nil
	}
	return v
}

// admit ends with Pass or PassGold, or with CheckID in its place when any
// reason for one holds. The doubt about the clock is named first: it is the
// one that the card alone cannot settle.
func (j *judgement) admit(under Name, why IDWhy) Verdict {
	if j.clock {
		why = IDClock
	}
	if why == IDNone {
		return j.end(under, OK)
	}
	j.Under, j.IDWhy = under, why
	return j.end(CheckID, OK)
}

// ahead deals with a time that lies ahead of the clock: while that is only
// known to be not too late, this proves nothing. It reports whether the
// judging may go on.
func (j *judgement) ahead(at Instant) bool {
	if at.Quality > ClockEstimated {
		return false
	}
	j.clock = true
	return true
}
