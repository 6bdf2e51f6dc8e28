package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"checkpoint/decode"
	"checkpoint/tui/look/clean"
	"checkpoint/verify"
)

// scanReport is one object of `scan --json` (docs/formats.md, "Scan and
// explain"). Every text out of a code in it is sanitised.
type scanReport struct {
	File       string        `json:"file"`
	Symbol     *symbolReport `json:"symbol"`
	ReadMS     float64       `json:"read_ms"`
	CheckMS    float64       `json:"check_ms"`
	Format     string        `json:"format"`
	Signature  string        `json:"signature"`
	Verdict    string        `json:"verdict"`
	Admit      bool          `json:"admit"`
	Reason     string        `json:"reason"`
	Action     string        `json:"action"`
	Issuer     *string       `json:"issuer"`
	ValidUntil *time.Time    `json:"valid_until"`
	Clock      string        `json:"clock"`
	Checks     []checkReport `json:"checks"`
	Trust      *trustReport  `json:"trust,omitempty"` // explain
}

type symbolReport struct {
	Index    int           `json:"index"` // from 1: symbol in the picture, line of a text
	Version  int           `json:"version,omitempty"`
	Level    string        `json:"level,omitempty"`
	ModulePx float64       `json:"module_px,omitempty"`
	Inverted *bool         `json:"inverted,omitempty"`
	Corners  *[4][2]number `json:"corners,omitempty"`
}

type checkReport struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Detail string `json:"detail"`
}

// number is rounded to three digits after the point: microseconds of a
// millisecond, and more than a corner is worth.
type number float64

func (n number) MarshalJSON() ([]byte, error) { return json.Marshal(round(float64(n))) }

func round(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	return math.Round(x*1000) / 1000
}

func millis(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }

func symbolOf(index int, s decode.Symbol) *symbolReport {
	r := &symbolReport{Index: index, Version: s.Version, Level: s.Level.String(), ModulePx: round(s.ModulePx), Inverted: &s.Inverted}
	r.Corners = new([4][2]number)
	for i, p := range s.Corners {
		r.Corners[i] = [2]number{number(p.X), number(p.Y)}
	}
	return r
}

// maxDetail bounds the detail of a check, in graphemes.
const maxDetail = 200

// judged is the report of a text that was judged.
func judged(file string, symbol *symbolReport, read, check time.Duration, v verify.Verdict, at verify.Instant) scanReport {
	r := scanReport{
		File: oneLine(file), Symbol: symbol, ReadMS: millis(read), CheckMS: millis(check),
		Format: v.Format.String(), Signature: v.Signature.String(), Verdict: v.Name.String(),
		Admit: v.Admit(), Reason: v.Reason.String(), Action: clean.Bounded(verify.Action(v), maxDetail),
		Clock: at.Quality.String(), Checks: make([]checkReport, len(v.Checks)),
	}
	if issuer := clean.String(v.Issuer); issuer != "" {
		r.Issuer = &issuer
	}
	if !v.ValidUntil.IsZero() && v.ValidUntil.Year() < 10000 {
		until := v.ValidUntil.UTC()
		r.ValidUntil = &until
	}
	for i, c := range v.Checks {
		r.Checks[i] = checkReport{c.Name, c.State.String(), clean.Bounded(c.Detail, maxDetail)}
	}
	return r
}

// unread is the report of a picture in which nothing was read.
func unread(file string, read time.Duration, at verify.Instant) scanReport {
	var v verify.Verdict
	r := judged(file, nil, read, 0, v, at)
	r.Action = "no code was found in this picture"
	return r
}

// line is the report for people, one line.
func (r scanReport) line() string {
	var b strings.Builder
	b.WriteString(r.File)
	if r.Symbol != nil {
		fmt.Fprintf(&b, " #%d", r.Symbol.Index)
	}
	if r.Symbol == nil {
		return b.String() + ": no code found"
	}
	fmt.Fprintf(&b, ": %s %s", mark(r.Verdict), strings.ToUpper(r.Verdict))
	fmt.Fprintf(&b, " (%s)", r.Reason)
	if r.Issuer != nil {
		fmt.Fprintf(&b, ", %s from %s", r.Format, *r.Issuer)
	} else {
		fmt.Fprintf(&b, ", %s", r.Format)
	}
	if r.ValidUntil != nil {
		fmt.Fprintf(&b, ", until %s", r.ValidUntil.Format(time.RFC3339))
	}
	if r.Action != "" {
		fmt.Fprintf(&b, ": %s", r.Action)
	}
	return b.String()
}

// mark is the symbol of a verdict's card.
func mark(verdict string) string {
	marks := map[string]string{
		"pass": "✓", "pass_gold": "✚", "check_id": "▭", "more": "◐", "amber": "▲", "red": "■",
		"refresh": "⟳", "not_ours": "?", "invalid": "✕", "issuer_fault": "!", "device": "⚙", "no_check": "○",
	}
	if m, ok := marks[verdict]; ok {
		return m
	}
	return "?"
}

func printJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(value)
}
