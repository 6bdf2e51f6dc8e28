package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"checkpoint/gate"
	"checkpoint/verify"
)

// oneOfEach is one event of each kind.
func oneOfEach() []gate.Event {
	at := time.Date(2026, 11, 23, 6, 3, 27, 128e6, time.UTC)
	var counts gate.Counts
	counts[verify.Pass], counts[verify.Amber] = 1190, 9
	return []gate.Event{
		gate.Started{At: at, DB: "/var/lib/checkpoint/gate.db", Version: "v1.0.0", Source: "v4l2:auto", Tests: []gate.SelfTest{{Name: "keys", OK: true, Detail: "version 17, 3h0m0s old"}}},
		gate.State{At: at, Quality: verify.ClockSynced, CameraOK: true, FPS: 29.97, Frames: 31, KeysAge: 3 * time.Hour, Waiting: 1204, DiskDays: 41, Rungs: []gate.Rung{gate.Full}},
		gate.Judged{At: at, Card: 1, Verdict: verify.Verdict{Name: verify.CheckID, Reason: verify.OK, Format: verify.FormatDCC, Person: verify.Person{Name: "张*三", Document: "123X"}, Issuer: "secret issuer"}, Seq: 42, ReadMS: 1.118, CheckMS: .407, DurableMS: 2.55, ViewToVerdictMS: 43.7},
		gate.Chosen{At: at, Card: 1, To: 42, Seq: 43, Choice: gate.ChoiceMatch, Becomes: verify.Pass},
		gate.Cleared{At: at, Card: 1},
		gate.Coached{FinishFirst: true},
		gate.Judged{At: at, Card: 2, Verdict: verify.Verdict{Name: verify.Red, Reason: verify.Contact, Format: verify.FormatNative}, ReadMS: 1, CheckMS: .4, DurableMS: -1, ViewToVerdictMS: -1, Recording: true},
		gate.Recorded{At: at, Card: 2, Seq: 44},
		gate.Chosen{At: at, Card: 2, To: 44, Seq: 45, Choice: gate.ChoiceIsolated},
		gate.Voided{At: at, To: 44, Seq: 46},
		gate.ManualDone{At: at, Seq: 47, Class: gate.ManualChild, Allowed: true},
		gate.HandedOver{At: at, Shift: "4711", Counts: counts},
		gate.Refused{At: at, What: "nothing_to_void"},
		gate.Ended{At: at, Frames: 900, Shown: 12, Read: 12, Scans: 13, Rows: 11},
	}
}

// The example of docs/formats.md is what the program prints: a change of the
// form shows as a change of the example.
func TestEventsAreTheExample(t *testing.T) {
	const path = "../../docs/examples/events.jsonl"
	var got bytes.Buffer
	w := newEventWriter(&got)
	for _, e := range oneOfEach() {
		if err := w.write(e); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	if s := got.String(); strings.Contains(s, "张") || strings.Contains(s, "123X") || strings.Contains(s, "secret") {
		t.Error("an event says something about a person")
	}
	lines := bufio.NewScanner(&got)
	for lines.Scan() {
		var h head
		if err := json.Unmarshal(lines.Bytes(), &h); err != nil || h.Event == "" || h.At.IsZero() {
			t.Errorf("%s: %v, want an object with event and at", lines.Text(), err)
		}
	}
}
