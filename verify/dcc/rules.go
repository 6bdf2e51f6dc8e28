package dcc

import (
	"time"

	"checkpoint/trust"
)

// Outcome is what the simple rules say.
type Outcome uint8

// The outcomes. The zero Outcome is a refusal.
const (
	Failed     Outcome = iota
	Open               // a field that the rule needs is missing
	TestTooOld         // or sampled at no known time
	DoseTooOld         // or too few doses
	TooEarly           // holds later; may hold now when the clock is behind
	PassGold           // a complete vaccination
	PassGreen          // a test, a recovery, a light certificate
)

// Values of the content, from the EU value sets.
const (
	covid       = "840539006"
	notDetected = "260415000"
	naat        = "LP6464-4"
	rapid       = "LP217198-3"
)

// Judge applies the rules at an instant. detail is for the operator and names
// no person. The certificate's own times are not looked at here.
func (c *Claims) Judge(rules trust.DCCRules, at time.Time) (o Outcome, detail string) {
	if c.Kind == Light {
		return PassGreen, "light certificate"
	}
	if c.Disease != covid {
		return Failed, "not about COVID-19"
	}
	switch c.Kind {
	case Vaccination:
		return c.vaccination(rules.Vaccination, at)
	case Test:
		return c.test(rules.Test, at)
	case Recovery:
		return c.recovery(rules.Recovery, at)
	}
	return Failed, "no entry"
}

func (c *Claims) vaccination(r trust.DCCVaccination, at time.Time) (Outcome, string) {
	if c.Given1.IsZero() || c.Dose < 0 || c.Doses < 0 {
		return Open, "doses or day of vaccination missing"
	}
	if c.Dose < c.Doses || c.Doses == 0 {
		return DoseTooOld, "course not complete"
	}
	switch days := daysSince(c.Given1, at); {
	case days < r.MinDays:
		return TooEarly, "last dose too recent"
	case r.MaxDays > 0 && days > r.MaxDays:
		return DoseTooOld, "last dose too long ago"
	}
	return PassGold, "complete vaccination"
}

func (c *Claims) test(r trust.DCCTest, at time.Time) (Outcome, string) {
	if c.Result != notDetected {
		return Failed, "result is not negative"
	}
	if c.Sampled.IsZero() {
		return Open, "time of sampling missing"
	}
	var limit int
	switch c.TestType {
	case naat:
		limit = r.NAATHours
	case rapid:
		limit = r.RapidHours
	default:
		return Failed, "kind of test not accepted"
	}
	switch age := at.Sub(c.Sampled); {
	case limit == 0:
		return Failed, "kind of test not accepted"
	case age < 0:
		return TooEarly, "sampled in the future"
	case age > time.Duration(limit)*time.Hour:
		return TestTooOld, "test too old"
	}
	return PassGreen, "negative test"
}

func (c *Claims) recovery(r trust.DCCRecovery, at time.Time) (Outcome, string) {
	if c.Given1.IsZero() {
		return Open, "day of the positive test missing"
	}
	switch days := daysSince(c.Given1, at); { // what is over is certain, also for a clock that may be behind
	case r.MaxDays > 0 && days > r.MaxDays, !c.Until.IsZero() && !at.Before(c.Until.AddDate(0, 0, 1)):
		return Failed, "recovery too long ago"
	case days < r.MinDays, !c.From.IsZero() && at.Before(c.From):
		return TooEarly, "recovery too recent"
	}
	return PassGreen, "recovery"
}

// daysSince counts calendar days in UTC; negative when day lies ahead.
func daysSince(day, at time.Time) int {
	at = at.UTC()
	today := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
	return int(today.Sub(day) / (24 * time.Hour))
}
