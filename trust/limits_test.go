package trust_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"checkpoint/trust"
)

const least = `{"form":"checkpoint-trust/1","version":1,"issued":"2026-01-01T00:00:00Z",`

// An entry of three bytes takes a hundred times as much once decoded: a file
// within MaxBytes must not be able to take the memory of a gate.
func TestEndlessListsAreRefusedBeforeTheyAreDecoded(t *testing.T) {
	const size = 2 << 20
	for list, rest := range map[string]string{
		`"issuers":{"keys":[`:              "]}}",
		`"policy":{"rules":[`:              "]}}",
		`"dcc_keys":{"keys":[`:             "]}}",
		`"day_keys":{"keys":[`:             "]}}",
		`"policy":{"rules":[{"formats":[`:  "]}]}}",
		`"issuers":{"keys":[{"regions":[`:  "]}]}}",
		`"revoked":{"superseded":[[[`:      "]]]}}",
		`"dcc_keys":{"keys":[{"usage":[[[`: "]]]}]}}",
	} {
		data := []byte(least + list + strings.Repeat("{},", size/3) + "{}" + rest)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := trust.Parse(data)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, trust.ErrFormat) || !strings.Contains(err.Error(), "entries") {
			t.Errorf("%s: error is %v", list, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 64*size {
			t.Errorf("%s: %d bytes for a file of %d", list, took, len(data))
		}
	}
}

func TestOneSpellingOnly(t *testing.T) {
	good := string(marshal(t, example(t)))
	for name, tc := range map[string][2]string{
		// encoding/json takes U+017F for an s, and so the later of two versions.
		"a version beside the version": {`"version": 7`, `"version": 7, "ver` + "\u017f" + `ion": 9`},
		"escaped":                      {`"version": 7`, `"version": 7, "ver\u017fion": 9`},
		"an empty key":                 {`"version": 7`, `"version": 7, "": 9`},
		"UTC as an offset":             {`"2026-11-23T06:00:00Z"`, `"2026-11-23T06:00:00+00:00"`},
		"a key's UTC as an offset":     {`"not_before": "2026-01-01T00:00:00Z"`, `"not_before": "2026-01-01T00:00:00-00:00"`},
	} {
		if !strings.Contains(good, tc[0]) {
			t.Fatalf("%q is not in the example", tc[0])
		}
		if s, err := trust.Parse([]byte(strings.Replace(good, tc[0], tc[1], 1))); !errors.Is(err, trust.ErrFormat) {
			t.Errorf("%s: error is %v, read %+v", name, err, s)
		}
	}
}

// What is left out of a place's rules for EU certificates has its default: zero
// would be "no limit" for a vaccination or a recovery.
func TestRulesLeftOutHaveTheirDefaults(t *testing.T) {
	def := trust.DefaultDCCRules()
	tests := def
	tests.Test.NAATHours = 48
	most := def
	most.Vaccination.MaxDays = 365
	for rules, want := range map[string]trust.DCCRules{
		`{}`:                               def,
		`{"test":{"naat_h":48}}`:           tests,
		`{"vaccination":{"max_days":365}}`: most,
	} {
		s, err := trust.Parse([]byte(least + `"policy":{"issued":"2026-01-01T00:00:00Z","rules":[{"from":"2026-01-01T00:00:00Z","venue":"any","formats":["dcc"],"dcc":` + rules + `}]}}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.PolicyAt("any", time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)).RulesForDCC(); got != want {
			t.Errorf("%s: %+v, want %+v", rules, got, want)
		}
	}
	if _, err := trust.Parse([]byte(least + `"policy":{"issued":"2026-01-01T00:00:00Z","rules":[{"from":"2026-01-01T00:00:00Z","venue":"any","formats":["dcc"],"dcc":{"tset":{}}}]}}`)); !errors.Is(err, trust.ErrFormat) {
		t.Errorf("an unknown rule: error is %v", err)
	}
}
