package main

import (
	"encoding/json"
	"io"
	"time"

	"checkpoint/gate"
	"checkpoint/verify"
)

// eventWriter prints a gate's events as JSON, one object a line
// (docs/formats.md, "Events").
type eventWriter struct {
	to    *json.Encoder
	every time.Duration // at most one state so often, unless it changed in kind
	state stateLine
	said  time.Time
}

func newEventWriter(w io.Writer) *eventWriter {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return &eventWriter{to: e, every: 10 * time.Second}
}

type head struct {
	Event string    `json:"event"`
	At    time.Time `json:"at"`
}

type startLine struct {
	head
	DB      string     `json:"db"`
	Version string     `json:"version"`
	Source  string     `json:"source"`
	Tests   []testLine `json:"tests"`
}

type testLine struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

type verdictLine struct {
	head
	Card      uint64   `json:"card"`
	Verdict   string   `json:"verdict"`
	Reason    string   `json:"reason"`
	Format    string   `json:"format"`
	Seq       *uint64  `json:"seq"`
	ReadMS    float64  `json:"read_ms"`
	CheckMS   float64  `json:"check_ms"`
	DurableMS *float64 `json:"durable_ms"`
	ViewMS    *float64 `json:"view_to_verdict_ms"`
	Recording bool     `json:"recording"`
}

type recordedLine struct {
	head
	Card   uint64  `json:"card"`
	Seq    *uint64 `json:"seq"`
	Failed bool    `json:"failed"`
}

type choiceLine struct {
	head
	Card    uint64  `json:"card"`
	To      uint64  `json:"to"`
	Seq     *uint64 `json:"seq"`
	Choice  string  `json:"choice"`
	Becomes *string `json:"becomes"`
}

type voidLine struct {
	head
	To  uint64 `json:"to"`
	Seq uint64 `json:"seq"`
}

type manualLine struct {
	head
	Seq     uint64 `json:"seq"`
	Class   string `json:"class"`
	Allowed bool   `json:"allowed"`
}

type handoverLine struct {
	head
	Shift  string            `json:"shift"`
	Counts map[string]uint64 `json:"counts"`
}

type refusedLine struct {
	head
	What string `json:"what"`
}

type stateLine struct {
	head
	Camera     string   `json:"camera"`
	FPS        float64  `json:"fps"`
	Frames     uint64   `json:"frames"`
	Uplink     string   `json:"uplink"`
	Hub        string   `json:"hub,omitempty"`     // revoked or pending
	Word       string   `json:"word,omitempty"`    // to compare, while pending
	Problem    string   `json:"problem,omitempty"` // of the line, for the technician
	Waiting    uint64   `json:"waiting"`
	Trust      any      `json:"trust"` // "none", or seconds
	Time       string   `json:"time"`
	Rungs      []string `json:"rungs"`
	DiskDays   int      `json:"disk_days"`
	Unrecorded uint64   `json:"unrecorded"`
}

type endLine struct {
	head
	Frames uint64 `json:"frames"`
	Shown  uint64 `json:"shown"`
	Read   uint64 `json:"read"`
	Missed uint64 `json:"missed"`
	Scans  uint64 `json:"scans"`
	Rows   uint64 `json:"rows"`
	Faults uint64 `json:"faults"`
}

var (
	choiceWords = [...]string{"", "match", "mismatch", "left", "isolated", "emergency", "supervisor"}
	manualWords = [...]string{"", "no_phone", "child", "staff", "emergency"}
)

// write prints one event; those that only a screen needs print nothing.
func (w *eventWriter) write(e gate.Event) error {
	switch e := e.(type) {
	case gate.Started:
		l := startLine{head{"start", utc(e.At)}, e.DB, e.Version, e.Source, []testLine{}}
		for _, t := range e.Tests {
			l.Tests = append(l.Tests, testLine(t))
		}
		return w.to.Encode(l)
	case gate.Judged:
		return w.to.Encode(verdictLine{
			head{"verdict", utc(e.At)}, e.Card, e.Verdict.Name.String(), e.Verdict.Reason.String(), e.Verdict.Format.String(),
			unlessZero(e.Seq), e.ReadMS, e.CheckMS, unlessNegative(e.DurableMS), unlessNegative(e.ViewToVerdictMS), e.Recording,
		})
	case gate.Recorded:
		return w.to.Encode(recordedLine{head{"recorded", utc(e.At)}, e.Card, unlessZero(e.Seq), e.Failed})
	case gate.Chosen:
		l := choiceLine{head: head{"choice", utc(e.At)}, Card: e.Card, To: e.To, Seq: unlessZero(e.Seq), Choice: choiceWords[e.Choice]}
		if e.Becomes != verify.NoVerdict {
			name := e.Becomes.String()
			l.Becomes = &name
		}
		return w.to.Encode(l)
	case gate.Voided:
		return w.to.Encode(voidLine{head{"void", utc(e.At)}, e.To, e.Seq})
	case gate.ManualDone:
		return w.to.Encode(manualLine{head{"manual", utc(e.At)}, e.Seq, manualWords[e.Class], e.Allowed})
	case gate.HandedOver:
		l := handoverLine{head{"handover", utc(e.At)}, e.Shift, map[string]uint64{}}
		for _, n := range verify.Names() {
			if c := e.Counts[n]; c > 0 {
				l.Counts[n.String()] = c
			}
		}
		return w.to.Encode(l)
	case gate.Refused:
		return w.to.Encode(refusedLine{head{"refused", utc(e.At)}, e.What})
	case gate.State:
		return w.writeState(e)
	case gate.Ended:
		return w.to.Encode(endLine{head{"end", utc(e.At)}, e.Frames, e.Shown, e.Read, e.Missed, e.Scans, e.Rows, e.Faults})
	}
	return nil
}

func (w *eventWriter) writeState(e gate.State) error {
	l := stateLine{
		head: head{"state", utc(e.At)}, Camera: "ok", FPS: float64(int(e.FPS*10)) / 10, Frames: e.Frames, Uplink: "alone", Waiting: e.Waiting,
		Trust: "none", Time: e.Quality.String(), Rungs: []string{}, DiskDays: e.DiskDays, Unrecorded: e.Unrecorded,
	}
	if !e.CameraOK {
		l.Camera = e.CameraIs
	}
	if e.Line.Enrolled {
		l.Uplink = "offline"
		if e.Line.Online {
			l.Uplink = "online"
		}
		l.Word, l.Problem = e.Line.Word, e.Line.Problem
		switch {
		case e.Line.Revoked:
			l.Hub = "revoked"
		case e.Line.Word != "":
			l.Hub = "pending"
		}
	}
	if e.KeysAge >= 0 {
		l.Trust = int64(e.KeysAge.Seconds())
	}
	for _, r := range e.Rungs {
		l.Rungs = append(l.Rungs, r.String())
	}
	if !w.differs(l) && e.At.Sub(w.said) < w.every {
		return nil
	}
	w.state, w.said = l, e.At
	return w.to.Encode(l)
}

func (w *eventWriter) differs(l stateLine) bool {
	old := w.state
	if (old.Frames == 0) != (l.Frames == 0) || old.Camera != l.Camera || old.Uplink != l.Uplink || old.Hub != l.Hub || old.Problem != l.Problem || old.Time != l.Time || old.Unrecorded != l.Unrecorded || len(old.Rungs) != len(l.Rungs) {
		return true
	}
	for i := range l.Rungs {
		if old.Rungs[i] != l.Rungs[i] {
			return true
		}
	}
	return false
}

func utc(t time.Time) time.Time { return t.UTC().Round(time.Millisecond) }

func unlessZero(n uint64) *uint64 {
	if n == 0 {
		return nil
	}
	return &n
}

func unlessNegative(f float64) *float64 {
	if f < 0 {
		return nil
	}
	return &f
}
