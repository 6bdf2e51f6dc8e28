package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"checkpoint/hub/store"
	"checkpoint/record"
	"checkpoint/verify"
)

// benchGate makes rows as a gate does: sealed, chained, cut, signed. It is used
// by one goroutine.
type benchGate struct {
	name, venue string
	id          record.Identity
	key         ed25519.PrivateKey
	sealer      *record.Sealer
	wallMS      int64 // of the next row
	hour        int64
	told        bool // the context has gone up
	seq, number uint64
	head        record.Link
	sent        [][sha256.Size]byte // of what was acknowledged, by number - 1
	rowBytes    []byte
}

// newBenchGate begins a gate at the hour of now.
func newBenchGate(n int, day record.DayKey, now time.Time) (*benchGate, error) {
	g := &benchGate{name: fmt.Sprintf("bench-%04d", n), venue: fmt.Sprintf("Bench %d", n/4)}
	rand.Read(g.id.Device[:]) // never fails: crypto/rand ends the program instead
	rand.Read(g.id.Epoch[:])
	var err error
	if _, g.key, err = ed25519.GenerateKey(nil); err != nil {
		return nil, err
	}
	g.hour = record.SegmentHour(now.UnixMilli())
	g.wallMS = g.hour * time.Hour.Milliseconds()
	g.sealer, err = record.NewSealer(g.id, day, g.stamp())
	return g, err
}

func (g *benchGate) stamp() record.Stamp {
	return record.Stamp{WallMS: g.wallMS, Quality: uint8(verify.ClockSynced), Boot: [16]byte(g.id.Device), MonoMS: uint64(g.wallMS - g.hour*time.Hour.Milliseconds())}
}

// everyAmber is how often a row is one that people filter by.
const everyAmber = 50

// next makes the segment of the next rows; whoever sends it says so with sent.
func (g *benchGate) next(rows int) (record.Segment, record.Cut, error) {
	s := record.Segment{
		SegmentKey: record.SegmentKey{Identity: g.id, Number: g.number + 1, Day: g.sealer.Day(), Venue: g.venue, Hour: g.hour},
		First:      g.seq + 1, Last: g.seq + uint64(rows), Before: g.head, ContextID: g.sealer.Context().ID,
		Rows: make([]record.Row, 0, rows),
	}
	if !g.told {
		s.Context, g.told = g.sealer.Context(), true
	}
	var subject [record.SubjectNative]byte
	rand.Read(subject[:])
	for range rows {
		// A row each millisecond, and an hour of them is never left.
		if last := (g.hour+1)*time.Hour.Milliseconds() - 1; g.wallMS < last {
			g.wallMS++
		}
		g.seq++
		scan := record.Scan{Verdict: uint8(verify.Pass), Reason: uint8(verify.OK), Format: uint8(verify.FormatNative), Issuer: "CN-420100", Trust: 1}
		if g.seq%everyAmber == 0 {
			scan.Verdict, scan.Reason = uint8(verify.Amber), uint8(verify.TestTooOld)
		}
		draft, err := g.sealer.Scan(g.stamp(), scan, subject[:])
		if err != nil {
			return s, record.Cut{}, err
		}
		row := record.Row{Identity: g.id, Seq: g.seq, Stamp: draft.Stamp, Body: draft.Body}
		if g.rowBytes, err = record.AppendRow(g.rowBytes[:0], row); err != nil {
			return s, record.Cut{}, err
		}
		g.head = g.head.Next(g.rowBytes)
		s.Rows = append(s.Rows, row)
	}
	g.number++
	s.Head = g.head
	b, err := record.AppendSegment(nil, s, func(digest [32]byte) [ed25519.SignatureSize]byte { return record.SignSegment(digest, g.key) })
	return s, record.Cut{SegmentKey: s.SegmentKey, First: s.First, Last: s.Last, SHA256: sha256.Sum256(b), Bytes: b}, err
}

// incoming is a segment as a hub gives it to its store.
func incoming(s record.Segment, c record.Cut, now time.Time) (store.Incoming, error) {
	plain, sealed, err := record.SplitSegment(c.Bytes)
	if err != nil {
		return store.Incoming{}, err
	}
	in := store.Incoming{
		SegmentKey: s.SegmentKey, First: s.First, Last: s.Last, Before: s.Before, Head: s.Head,
		ContextID: s.ContextID, Context: s.Context, SHA256: c.SHA256, Plain: plain, Sealed: sealed,
		ReceivedMS: now.UnixMilli(), Way: store.ByNet,
	}
	var passed, amber uint64
	for _, row := range s.Rows {
		scan, ok := row.Body.(record.Scan)
		if !ok || scan.Verdict == uint8(verify.Pass) {
			passed++
			continue
		}
		amber++
		in.Notable = append(in.Notable, store.Notable{
			Device: s.Device, Epoch: s.Epoch, Seq: row.Seq, Venue: s.Venue, Day: s.Day, Hour: s.Hour, WallMS: row.WallMS, Quality: row.Quality,
			Kind: record.KindScan, Verdict: scan.Verdict, Reason: scan.Reason, Format: scan.Format, Issuer: scan.Issuer, Trust: scan.Trust,
		})
	}
	in.Counts = append(in.Counts, store.Count{Hour: s.Hour, Verdict: uint8(verify.Pass), Reason: uint8(verify.OK), N: passed})
	if amber > 0 {
		in.Counts = append(in.Counts, store.Count{Hour: s.Hour, Verdict: uint8(verify.Amber), Reason: uint8(verify.TestTooOld), N: amber})
	}
	return in, nil
}
