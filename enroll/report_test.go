package enroll

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func testReport() Report {
	return Report{Version: "1.4.0", Time: time.Date(2026, 11, 25, 7, 30, 5, 0, time.UTC), Clock: "synced", Trust: 41,
		Ages: map[string]int{"issuers": 3600, "revoked": 5400}, Last: 10234, Waiting: 17, OldestS: 42, DiskUsed: 12.5, DiskDays: 730,
		Camera: "ok", FPS: 29.9, Shown: 812, Read: 809, VerdictP50MS: 61, VerdictP95MS: 140}
}

func TestReportIsChecked(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(*Report)
		ok    bool
	}{
		{"as it should be", func(*Report) {}, true},
		{"a list from the gate's future", func(r *Report) { r.Ages["revoked"] = -86400 }, true},
		{"a camera that is broken", func(r *Report) { r.Camera, r.FPS, r.Rungs = "no picture for 20 s", 0, []string{"clock"} }, true},
		{"no time", func(r *Report) { r.Time = time.Time{} }, false},
		{"a clock that is none", func(r *Report) { r.Clock = "sundial" }, false},
		{"a queue from the future", func(r *Report) { r.OldestS = -1 }, false},
		{"a version that moves the cursor", func(r *Report) { r.Version = "\x1b[2J" }, false},
		{"a camera with a long story", func(r *Report) { r.Camera = strings.Repeat("x", maxCamera+1) }, false},
		{"a list without a name", func(r *Report) { r.Ages[""] = 1 }, false},
		{"a rung of two lines", func(r *Report) { r.Rungs = []string{"a\nb"} }, false},
		{"too many rungs", func(r *Report) { r.Rungs = strings.Split(strings.Repeat("x", maxRungs+1), "") }, false},
		{"a thousand pictures a second", func(r *Report) { r.FPS = 1001 }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := testReport()
			tc.spoil(&r)
			b, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ParseReport(b); (err == nil) != tc.ok || err != nil && !errors.Is(err, ErrReport) {
				t.Errorf("got %v", err)
			}
		})
	}
}
