package verify

// Name is a verdict's stable number; String gives its stable name. The zero
// Name is a refusal without a name. Numbers stand in stored rows and never
// change their meaning (docs/formats.md, "Words").
type Name uint8

// The twelve verdicts.
const (
	NoVerdict   Name = 0
	Pass        Name = 1
	PassGold    Name = 2
	CheckID     Name = 3
	More        Name = 4
	Amber       Name = 5
	Red         Name = 6
	Refresh     Name = 7
	NotOurs     Name = 8
	Invalid     Name = 9
	IssuerFault Name = 10
	Device      Name = 11
	NoCheck     Name = 12
)

var names = [...]string{
	NoVerdict: "none", Pass: "pass", PassGold: "pass_gold", CheckID: "check_id", More: "more",
	Amber: "amber", Red: "red", Refresh: "refresh", NotOurs: "not_ours", Invalid: "invalid",
	IssuerFault: "issuer_fault", Device: "device", NoCheck: "no_check",
}

// Names are the twelve verdicts in the order of their numbers.
func Names() []Name {
	return []Name{Pass, PassGold, CheckID, More, Amber, Red, Refresh, NotOurs, Invalid, IssuerFault, Device, NoCheck}
}

// String is the stable name, or "none" for a number that is no verdict.
func (n Name) String() string {
	if int(n) < len(names) {
		return names[n]
	}
	return names[NoVerdict]
}

// Admits reports whether the person may go through without anything more.
// check_id and more do not admit; an unknown number never does.
func (n Name) Admits() bool { return n == Pass || n == PassGold || n == NoCheck }

// Reason is the stable number of why; String gives its word.
type Reason uint8

// The reasons; the table of reason × verdict stands in docs/formats.md.
const (
	NoReason Reason = 0
	OK       Reason = 1

	NotAHealthCode    Reason = 10
	UnsupportedFormat Reason = 11

	BadBase45  Reason = 20
	BadInflate Reason = 21
	BadCBOR    Reason = 22
	BadCOSE    Reason = 23
	BadJWS     Reason = 24
	BadJSON    Reason = 25
	BadSchema  Reason = 26

	KidMissing          Reason = 30
	UnknownKey          Reason = 31
	UnknownKeyListStale Reason = 32
	IssuerUnknown       Reason = 33
	KeyExpired          Reason = 34
	KeyUsage            Reason = 35
	IssuerNotAllowed    Reason = 36

	BadSignature       Reason = 40
	BadHolderSignature Reason = 41

	NotYetValid         Reason = 50
	Expired             Reason = 51
	PresentationMissing Reason = 52
	PresentationOld     Reason = 53
	PresentationFuture  Reason = 54
	AlreadyUsed         Reason = 55

	Revoked    Reason = 60
	Superseded Reason = 61

	ReasonMissing Reason = 70
	UntilMissing  Reason = 71
	Renew         Reason = 72

	RulesFailed       Reason = 80
	RulesOpen         Reason = 81
	TestTooOld        Reason = 82
	VaccinationTooOld Reason = 83
	NotAcceptedHere   Reason = 84

	Case               Reason = 90
	Contact            Reason = 91
	SamePlace          Reason = 92
	Symptoms           Reason = 93
	Suspected          Reason = 94
	RiskArea           Reason = 95
	Entry              Reason = 96
	TestOverdue        Reason = 97
	DeclarationMissing Reason = 98

	NoCamera  Reason = 100
	NoTime    Reason = 101
	KeysStale Reason = 102
	NoDisk    Reason = 103
	Internal  Reason = 104

	NoCheckRequired Reason = 110
)

var reasons = map[Reason]string{
	NoReason: "none", OK: "ok", NotAHealthCode: "not_a_health_code", UnsupportedFormat: "unsupported_format",
	BadBase45: "base45", BadInflate: "inflate", BadCBOR: "cbor", BadCOSE: "cose", BadJWS: "jws", BadJSON: "json", BadSchema: "schema",
	KidMissing: "kid_missing", UnknownKey: "unknown_key", UnknownKeyListStale: "unknown_key_list_stale",
	IssuerUnknown: "issuer_unknown", KeyExpired: "key_expired", KeyUsage: "key_usage", IssuerNotAllowed: "issuer_not_allowed",
	BadSignature: "signature", BadHolderSignature: "holder_signature",
	NotYetValid: "not_yet_valid", Expired: "expired", PresentationMissing: "presentation_missing",
	PresentationOld: "presentation_old", PresentationFuture: "presentation_future", AlreadyUsed: "already_used",
	Revoked: "revoked", Superseded: "superseded",
	ReasonMissing: "reason_missing", UntilMissing: "until_missing", Renew: "renew",
	RulesFailed: "rules_failed", RulesOpen: "rules_open", TestTooOld: "test_too_old",
	VaccinationTooOld: "vaccination_too_old", NotAcceptedHere: "not_accepted_here",
	Case: "case", Contact: "contact", SamePlace: "same_place", Symptoms: "symptoms", Suspected: "suspected",
	RiskArea: "risk_area", Entry: "entry", TestOverdue: "test_overdue", DeclarationMissing: "declaration_missing",
	NoCamera: "no_camera", NoTime: "no_time", KeysStale: "keys_stale", NoDisk: "no_disk", Internal: "internal",
	NoCheckRequired: "no_check_required",
}

// Reasons are all reasons but NoReason, in no order.
func Reasons() []Reason {
	all := make([]Reason, 0, len(reasons))
	for r := range reasons {
		if r != NoReason {
			all = append(all, r)
		}
	}
	return all
}

// String is the stable word, or "none" for a number that is no reason.
func (r Reason) String() string {
	if s, ok := reasons[r]; ok {
		return s
	}
	return reasons[NoReason]
}

// Format says what kind of credential a text claims to be.
type Format uint8

// The formats.
const (
	FormatNone        Format = 0
	FormatNative      Format = 1
	FormatDCC         Format = 2
	FormatCHLight     Format = 3
	FormatSHC         Format = 4
	FormatNZCP        Format = 5
	FormatVDSNC       Format = 6
	FormatUnsupported Format = 7
)

var formats = [...]string{"none", "native", "dcc", "ch_light", "shc", "nzcp", "vds_nc", "unsupported"}

// String is the stable word of the format.
func (f Format) String() string {
	if int(f) < len(formats) {
		return formats[f]
	}
	return formats[FormatNone]
}

// Signature is what is known of the issuer's signature.
type Signature uint8

// The signature states.
const (
	SignatureNone       Signature = 0 // not looked at, or nothing signed
	SignatureValid      Signature = 1
	SignatureInvalid    Signature = 2
	SignatureUnknownKey Signature = 3
)

var signatures = [...]string{"none", "valid", "invalid", "unknown_key"}

// String is the stable word of the signature state.
func (s Signature) String() string {
	if int(s) < len(signatures) {
		return signatures[s]
	}
	return signatures[SignatureNone]
}

// State is the outcome of one check.
type State uint8

// The check states. The zero State is NotReached.
const (
	NotReached State = 0
	Passed     State = 1
	Failed     State = 2
)

var states = [...]string{"not_reached", "pass", "fail"}

// String is the stable word of the state.
func (s State) String() string {
	if int(s) < len(states) {
		return states[s]
	}
	return states[NotReached]
}

// Quality says how far a time can be trusted; larger is better.
type Quality uint8

// The clock qualities, with the numbers that rows store.
const (
	ClockUnknown   Quality = 0
	ClockEstimated Quality = 1
	ClockRTC       Quality = 2
	ClockSynced    Quality = 3
)

var qualities = [...]string{"unknown", "estimated", "rtc", "synced"}

// String is the stable word of the quality.
func (q Quality) String() string {
	if int(q) < len(qualities) {
		return qualities[q]
	}
	return qualities[ClockUnknown]
}
