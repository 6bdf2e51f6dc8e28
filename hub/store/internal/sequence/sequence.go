// Package sequence answers: what does a segment do to its stream?
//
// It is the rules of store.Segments.Put without a store: a State goes in, and
// with the segment the State after it, or that there is none. Both drivers hold
// a stream's lock, ask here, and write what comes out.
package sequence

import (
	"cmp"
	"slices"
	"strings"

	"checkpoint/hub/store"
	"checkpoint/record"
)

// State is a stream as the rules need it. Its gaps stand in the order of their
// numbers and are never changed in place, so that a State is copied like a
// value. Number 0: nothing has come.
type State struct {
	record.Identity
	Venue  string
	Number uint64
	Last   uint64
	Head   record.Link
	Gaps   []store.GapEntry
}

// Step is how a segment stands to its stream.
type Step uint8

// The steps.
const (
	Broken  Step = iota // its number is free, its rows do not fit: a conflict
	Follows             // it is the next
	Jumps               // numbers before it are missing: the last gap is new
	Below               // its number was passed: look whether it is stored, else Fill
)

// Valid reports whether the numbers of a segment can be counted with. It is
// false only for what no parsed segment holds.
func Valid(in *store.Incoming) bool {
	const most = 1<<63 - 1
	const far = most/3_600_000 + 1 // hours of wall times in ms
	return in.Hour >= -far && in.Hour <= far && in.Number >= 1 && in.Number <= most && in.First >= 1 && in.Last >= in.First && in.Last <= most &&
		len(in.Counts) <= 1<<16 && len(in.Notable) <= record.MaxSegmentRows && (in.Context == nil || in.Context.ID == in.ContextID)
}

// After is the state with a segment at the end of its stream; next is s when
// the step is Broken or Below.
func (s State) After(in *store.Incoming) (next State, step Step) {
	next = s
	next.Identity, next.Venue, next.Number, next.Last, next.Head = in.Identity, in.Venue, in.Number, in.Last, in.Head
	switch {
	case s.Number == 0 && in.Number == 1:
		return next, Follows
	case in.Number <= s.Number:
		return s, Below
	case in.First <= s.Last:
		return s, Broken
	case in.Number == s.Number+1:
		if in.First == s.Last+1 && in.Before != s.Head {
			return s, Broken
		}
		return next, Follows
	case len(s.Gaps) >= store.MaxGaps:
		return s, Broken
	}
	g := store.GapEntry{Before: s.Head, After: in.Before, Open: s.Number == 0}
	g.From, g.To, g.First, g.Last = s.Number+1, in.Number-1, s.Last+1, in.First-1
	next.Gaps = append(slices.Clip(s.Gaps), g)
	return next, Jumps
}

// Fill is the state with a segment in one of its gaps; ok is false when there
// is none that it fits. after says that numbers of that gap before it are still
// missing.
func (s State) Fill(in *store.Incoming) (next State, after, ok bool) {
	i := slices.IndexFunc(s.Gaps, func(g store.GapEntry) bool { return g.From <= in.Number && in.Number <= g.To })
	if i < 0 {
		return s, false, false
	}
	g := s.Gaps[i]
	switch {
	case in.First < g.First || in.Last > g.Last,
		in.Number == g.From && in.First == g.First && !g.Open && in.Before != g.Before,
		in.Number == g.To && in.Last == g.Last && in.Head != g.After:
		return s, false, false
	}
	var rest []store.GapEntry
	if in.Number > g.From {
		left := g
		left.To, left.Last, left.After = in.Number-1, in.First-1, in.Before
		rest = append(rest, left)
	}
	if in.Number < g.To {
		right := g
		right.From, right.First, right.Before, right.Open = in.Number+1, in.Last+1, in.Head, false
		rest = append(rest, right)
	}
	if len(s.Gaps)-1+len(rest) > store.MaxGaps {
		return s, false, false
	}
	next = s
	next.Gaps = slices.Concat(s.Gaps[:i], rest, s.Gaps[i+1:])
	return next, in.Number > g.From, true
}

// Verdict is what Put has to do about a segment. Stored: After is the state of
// its stream then, Flags are its flags but for Orphan, and Opened is the gap that
// it opens, nil else.
type Verdict struct {
	Outcome store.Outcome
	After   State
	Flags   store.Flags
	Opened  *store.Gap
}

// Judge judges a segment whose day is not dropped. stored looks up the digest of
// what stands under its key; it is asked for numbers only that were passed. A
// segment that is stored, though its stream does not know of it, is Stored.
func Judge(s State, in *store.Incoming, stored func() (sha [32]byte, found bool, err error)) (v Verdict, err error) {
	v = Verdict{Outcome: store.Stored, Flags: in.Flags &^ (store.AfterGap | store.Orphan)}
	next, step := s.After(in)
	v.After = next
	switch step {
	case Broken:
		return Verdict{Outcome: store.Conflict}, nil
	case Follows:
		if s.Number > 0 && in.First > s.Last+1 {
			v.Flags |= store.AfterGap
		}
	case Jumps:
		v.Flags |= store.AfterGap
		v.Opened = &next.Gaps[len(next.Gaps)-1].Gap
	case Below:
		var after, ok bool
		if v.After, after, ok = s.Fill(in); ok {
			if after {
				v.Flags |= store.AfterGap
			}
			return v, nil
		}
		sha, found, err := stored()
		if err != nil {
			return Verdict{}, err
		}
		if found && sha == in.SHA256 {
			return Verdict{Outcome: store.Repeat}, nil
		}
		return Verdict{Outcome: store.Conflict}, nil
	}
	return v, nil
}

// Dropped is the answer about a segment of a day that is gone. note: its number
// would else be missed, and is to be noted as refused.
func Dropped(s State, in *store.Incoming, destroyed bool) (put store.Put, r store.RefusedEntry, note bool) {
	put.Outcome, r = store.Retired, store.RefusedEntry{SegmentKey: in.SegmentKey, First: in.First, Last: in.Last, SHA256: in.SHA256, Why: record.ForRetention, AtMS: in.ReceivedMS}
	if destroyed {
		put.Outcome, r.Why = store.Destroyed, record.ForDestroyed
	}
	_, _, fits := s.Fill(in)
	return put, r, in.Number > s.Number || fits
}

// Missing are the first and the last of the numbers of a gap that were not
// refused; 0, 0 when all were. refused need not be in order.
func Missing(g store.Gap, refused []Refused) (from, to uint64) {
	slices.SortFunc(refused, func(a, b Refused) int { return cmp.Compare(a.Number, b.Number) })
	told := Told(g, slices.CompactFunc(refused, func(a, b Refused) bool { return a.Number == b.Number }))
	if len(told) == 0 {
		return 0, 0
	}
	return told[0].From, told[len(told)-1].To
}

// Diff is what leads from the gaps before to those after: the numbers with
// which gaps begin that are gone or changed, and the gaps that came or changed.
func Diff(before, after []store.GapEntry) (gone []uint64, came []store.GapEntry) {
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && before[0].From < after[0].From:
			gone, before = append(gone, before[0].From), before[1:]
		case len(before) == 0 || after[0].From < before[0].From:
			came, after = append(came, after[0]), after[1:]
		default:
			if before[0] != after[0] {
				gone, came = append(gone, before[0].From), append(came, after[0])
			}
			before, after = before[1:], after[1:]
		}
	}
	return gone, came
}

// Refused is a number that was refused for good, and its rows.
type Refused struct{ Number, First, Last uint64 }

// Told is a gap without the numbers that were refused, which come in order.
func Told(g store.Gap, refused []Refused) []store.Gap {
	var told []store.Gap
	for _, r := range refused {
		if r.Number < g.From || r.Number > g.To {
			continue
		}
		left := g
		left.To, g.From = r.Number-1, r.Number+1
		// What is refused for its form may say of itself what it likes.
		if g.First <= r.First && r.First <= r.Last && r.Last <= g.Last {
			left.Last, g.First = r.First-1, r.Last+1
		}
		if left.From <= left.To {
			told = append(told, left)
		}
	}
	if g.From <= g.To {
		told = append(told, g)
	}
	return told
}

// Text is a text as both drivers keep it: PostgreSQL has no room for a NUL.
func Text(s string) string {
	if strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(s, "\x00", "\uFFFD")
}
