package trust

import (
	"slices"
	"time"
)

// Policies are what places ask for, dated.
type Policies struct {
	Issued time.Time `json:"issued,omitzero"`
	Rules  []Policy  `json:"rules,omitempty"`
}

// AnyVenue is the venue type of a policy that holds where no other does.
const AnyVenue = "any"

// FullDisk says what a gate does when its disk is full.
type FullDisk string

// What a gate does when its disk is full.
const (
	CountOn FullDisk = "count_on" // go on without rows, counted
	Stop    FullDisk = "stop"
)

// OnFailed is the verdict for a foreign credential that fails the rules.
type OnFailed string

// The verdicts for failed rules.
const (
	FailedMore  OnFailed = "more"
	FailedAmber OnFailed = "amber"
)

// Policy is what one venue type asks for from an instant on. In JSON a key
// that is left out has its default.
type Policy struct {
	From  time.Time `json:"from"`
	Venue string    `json:"venue"` // type of venue, or "any"

	NoCheck  bool     `json:"no_check,omitempty"` // no code is asked for here
	Formats  []string `json:"formats,omitempty"`  // words of docs/formats.md: "native", "dcc", "ch_light"
	TestAgeH int      `json:"test_age_h,omitempty"`
	// Vaccination is what gold asks for; none: the issuer's gold stands.
	Vaccination *Vaccination `json:"vaccination,omitempty"`
	IDCheck     bool         `json:"id_check,omitempty"`

	FreshH int `json:"fresh_h,omitempty"` // lists younger than this are fresh; default 24
	LimitH int `json:"limit_h,omitempty"` // older than this nothing is judged; default 168

	ReplayS  int  `json:"replay_window_s,omitempty"` // at most 3600; 0: replay is not looked at
	TwoWay   bool `json:"two_way,omitempty"`         // people come back through the same gate
	NeedTime bool `json:"require_time,omitempty"`    // a device fault while the clock is estimated

	FullDisk    FullDisk `json:"full_disk,omitempty"`    // default count_on
	RulesFailed OnFailed `json:"rules_failed,omitempty"` // default more

	DCC *DCCRules `json:"dcc,omitempty"` // none: DefaultDCCRules
}

// Vaccination is the rule for gold: enough doses, and the last one at least
// MinDays and at most MaxDays ago (0: no limit).
type Vaccination struct {
	Doses   int `json:"doses"`
	MinDays int `json:"min_days,omitempty"`
	MaxDays int `json:"max_days,omitempty"`
}

// DCCRules are the simple, dated rules for EU certificates.
type DCCRules struct {
	Vaccination DCCVaccination `json:"vaccination"`
	Test        DCCTest        `json:"test"`
	Recovery    DCCRecovery    `json:"recovery"`
}

// DCCVaccination: a complete course, the last dose MinDays to MaxDays ago.
type DCCVaccination struct {
	MinDays int `json:"min_days"`
	MaxDays int `json:"max_days"`
}

// DCCTest: not detected, sampled at most so many hours ago. 0: not accepted.
type DCCTest struct {
	NAATHours  int `json:"naat_h"`
	RapidHours int `json:"rapid_h"`
}

// DCCRecovery: first positive test MinDays to MaxDays ago, and within the
// certificate's own dates.
type DCCRecovery struct {
	MinDays int `json:"min_days"`
	MaxDays int `json:"max_days"`
}

// UnmarshalJSON reads the rules over the defaults: a part or a number that is
// left out has its default, never "no limit".
func (r *DCCRules) UnmarshalJSON(data []byte) error {
	type plain DCCRules // without this method
	p := plain(DefaultDCCRules())
	if err := decodeStrict(data, &p); err != nil {
		return err
	}
	*r = DCCRules(p)
	return nil
}

// DefaultDCCRules are those of Regulation (EU) 2021/2288 (270 days) and the
// Council's Recommendation 2022/107 (tests 72 h and 24 h, recovery 11 to 180
// days).
func DefaultDCCRules() DCCRules {
	return DCCRules{
		Vaccination: DCCVaccination{MinDays: 14, MaxDays: 270},
		Test:        DCCTest{NAATHours: 72, RapidHours: 24},
		Recovery:    DCCRecovery{MinDays: 11, MaxDays: 180},
	}
}

// DefaultPolicy holds where the snapshot has none: a code is asked for, every
// format is taken, no test age.
func DefaultPolicy() Policy {
	return Policy{Venue: AnyVenue, Formats: []string{"native", "dcc", "ch_light"}}
}

// PolicyAt is the policy for a venue type at t: of the policies for that type
// that have begun the one that began last; else the same of AnyVenue; else
// DefaultPolicy.
func (s *Snapshot) PolicyAt(venue string, t time.Time) Policy {
	if s == nil {
		return DefaultPolicy()
	}
	var best *Policy
	for i := range s.Policy.Rules {
		p := &s.Policy.Rules[i]
		if p.From.After(t) || p.Venue != venue && p.Venue != AnyVenue {
			continue
		}
		switch {
		case best == nil,
			best.Venue == AnyVenue && p.Venue != AnyVenue,
			best.Venue == p.Venue && !p.From.Before(best.From):
			best = p
		}
	}
	if best == nil {
		return DefaultPolicy()
	}
	return *best
}

// Accepts reports whether a format word is taken here.
func (p Policy) Accepts(format string) bool { return slices.Contains(p.Formats, format) }

// Fresh is the age under which a list is fresh.
func (p Policy) Fresh() time.Duration { return hours(p.FreshH, 24) }

// Limit is the age over which nothing is judged any more.
func (p Policy) Limit() time.Duration { return hours(p.LimitH, 168) }

// TestAge is the greatest age of the last negative test; 0: none is asked for.
func (p Policy) TestAge() time.Duration { return time.Duration(p.TestAgeH) * time.Hour }

// ReplayWindow is how long an admitted code is remembered; 0: not at all.
func (p Policy) ReplayWindow() time.Duration { return time.Duration(p.ReplayS) * time.Second }

// StopsWhenFull reports whether a full disk is a device fault.
func (p Policy) StopsWhenFull() bool { return p.FullDisk == Stop }

// RulesForDCC are the policy's rules for EU certificates, or the defaults.
func (p Policy) RulesForDCC() DCCRules {
	if p.DCC == nil {
		return DefaultDCCRules()
	}
	return *p.DCC
}

func hours(n, def int) time.Duration {
	if n == 0 {
		n = def
	}
	return time.Duration(n) * time.Hour
}
