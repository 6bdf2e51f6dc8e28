package hub

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub/store"
	"checkpoint/record"
)

// postSegment takes one segment of the gate that asks. Its answers stand in
// docs/formats.md, "Hub".
func (h *Hub) postSegment(w http.ResponseWriter, r *http.Request) {
	gate, no := h.device(r)
	if no != nil {
		h.denied(w, no)
		return
	}
	if wait, ok := h.turns.enter(gate.Device, h.now()); !ok {
		h.metrics.outcome[wasLimited].Inc()
		h.refuse(w, slowDown(wait))
		return
	}
	defer h.turns.leave(gate.Device)
	if gate.State != store.Active && gate.State != store.Revoked {
		h.denied(w, notActive(gate.State))
		return
	}
	if !h.queue.roomy() {
		h.metrics.outcome[wasUnready].Inc()
		h.refuse(w, busy())
		return
	}
	read, no := h.receive(r, &gate)
	if no != nil {
		h.metrics.outcome[unreadAs(no)].Inc()
		h.refuse(w, no)
		return
	}
	h.write(w, h.settle(r.Context(), read))
}

// receive reads a body and the segment in it. What it held of memory is given
// back before the segment waits for the store.
func (h *Hub) receive(r *http.Request, gate *store.Gate) (read reading, no *refusal) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "zstd" {
		return reading{}, &refusal{status: http.StatusUnsupportedMediaType, word: "encoding", detail: "a segment is sent with Content-Encoding: zstd"}
	}
	if !h.intake.enter() {
		return reading{}, busy()
	}
	defer h.intake.leave()
	body, err := h.intake.read(r)
	if err != nil {
		return reading{}, bodyRefusal(err)
	}
	defer h.intake.giveBack(body)
	h.metrics.bytesWire.Add(float64(len(*body)))
	err = h.intake.unpack(r.Context(), *body, func(segment []byte) {
		read = h.read(r.Context(), segment, claim{gate: gate, way: store.ByNet})
	})
	if err != nil {
		return reading{}, bodyRefusal(err)
	}
	return read, nil
}

// Take takes a segment that came another way than by a gate's own connection,
// on a stick: who sent it is known by the segment alone. It returns a receipt
// (stored, or refused for good), or the problem that a gate would have been
// told; err when the hub could not decide now, and it must be tried again.
// segment is not compressed and not kept.
func (h *Hub) Take(ctx context.Context, segment []byte, way store.Way) (receipt []byte, problem *enroll.Problem, err error) {
	if len(segment) > record.MaxSegment {
		return nil, &enroll.Problem{Error: "too_large", Detail: "at most 1 MiB"}, nil
	}
	v := h.settle(ctx, h.read(ctx, segment, claim{way: way}))
	switch {
	case v.no == nil:
		return v.receipt, nil, nil
	case v.no.status == http.StatusServiceUnavailable:
		return nil, nil, fmt.Errorf("take a segment: %s: %w", v.no.word, errTryAgain)
	}
	return nil, &enroll.Problem{Error: v.no.word, Detail: v.no.detail}, nil
}

// errTryAgain: nothing was decided about the segment.
var errTryAgain = errors.New("the hub cannot take it now")

// claim is what is known of a segment before it is read.
type claim struct {
	gate *store.Gate // who sends it, by the certificate; nil: nobody is known
	way  store.Way
}

// reading is a segment after it was read: one of no, refused, and incoming
// says what is next.
type reading struct {
	gate     store.Gate
	incoming store.Incoming
	rows     int
	size     int

	refused record.RefusedFor // for good; incoming holds key and digest only
	proven  bool              // the refused one was sent by the gate itself
	no      *refusal
	outcome outcome // with no
}

// verdict is the answer about a segment.
type verdict struct {
	status  int
	receipt []byte
	no      *refusal
}

// read reads, proves and weighs a segment. It keeps nothing of b.
func (h *Hub) read(ctx context.Context, b []byte, from claim) reading {
	segment, err := record.ParseSegment(b)
	if err != nil {
		return h.unreadable(ctx, b, from)
	}
	gate, no := h.sender(ctx, segment.Device, from)
	if no != nil {
		return reading{no: no, outcome: unservedAs(no)}
	}
	read := reading{gate: gate, rows: len(segment.Rows), size: len(b), proven: from.way == store.ByNet}
	read.incoming.SegmentKey = segment.SegmentKey
	read.incoming.First, read.incoming.Last = segment.First, segment.Last
	read.incoming.SHA256 = record.SegmentDigest(b)
	read.incoming.Way = from.way

	// What was remembered of the gate is good enough to take a segment, never to
	// refuse it for good: it may have moved, or enrolled anew, a moment ago.
	why := weigh(segment, b, &read.gate)
	if why != 0 {
		g, no := h.gateFresh(ctx, segment.Device)
		if no != nil {
			return reading{no: no, outcome: unservedAs(no)}
		}
		read.gate = g
		why = weigh(segment, b, &g)
	}
	switch {
	case read.gate.State == store.Revoked:
		return h.quarantine(ctx, read, b, why)
	case read.gate.State != store.Active:
		return reading{no: notActive(read.gate.State), outcome: wasDenied}
	case why != 0:
		read.refused = why
		read.proven = read.proven || why == record.ForVenue
		return read
	}
	plain, sealed, err := record.SplitSegment(b)
	if err != nil { // it was parsed: a fault of ours, and no reason to refuse it for good
		h.log.Error("a segment that parses does not split", "error", err)
		return reading{no: &refusal{status: http.StatusServiceUnavailable, word: "internal", detail: "the hub failed at this: send it again later", after: time.Minute}, outcome: wasUnready}
	}
	read.incoming.Before, read.incoming.Head = segment.Before, segment.Head
	read.incoming.ContextID, read.incoming.Context = segment.ContextID, segment.Context
	read.incoming.Plain, read.incoming.Sealed = plain, sealed
	describe(&read.incoming, segment.Rows, h.now())
	return read
}

// weigh tells why a segment can never be taken of this gate, 0 when it can.
func weigh(segment *record.Segment, b []byte, g *store.Gate) record.RefusedFor {
	if len(g.SegmentKey) != ed25519.PublicKeySize || !record.VerifySegment(b, g.SegmentKey) {
		return record.ForSignature
	}
	if segment.Venue != g.Venue && !slices.Contains(g.Venues, segment.Venue) {
		return record.ForVenue
	}
	return 0
}

// settle brings what was read to its end.
func (h *Hub) settle(ctx context.Context, read reading) verdict {
	ctx = context.WithoutCancel(ctx) // what was begun is ended, though the client goes away
	switch {
	case read.no != nil:
		h.metrics.outcome[read.outcome].Inc()
		return verdict{status: read.no.status, no: read.no}
	case read.refused != 0:
		return h.refuseForGood(ctx, read)
	}
	put, err := h.queue.put(read.incoming)
	if err != nil {
		h.metrics.outcome[wasUnready].Inc()
		return unready(refusalOf(ctx, err)) // the queue has logged the cause, once
	}
	switch put.Outcome {
	case store.Stored:
		h.metrics.outcome[wasStored].Inc()
		h.metrics.rows.Add(float64(read.rows))
		h.metrics.bytesPlain.Add(float64(read.size))
		h.lookAt(ctx, read, put)
	case store.Repeat:
		h.metrics.outcome[wasRepeat].Inc()
	case store.Conflict:
		return h.conflict(ctx, read)
	case store.Destroyed:
		h.metrics.outcome[wasDestroyed].Inc()
		return verdict{status: http.StatusGone, no: &refusal{status: http.StatusGone, word: "day_destroyed", detail: "the segment's day was destroyed"}}
	case store.Retired:
		read.refused, read.proven = record.ForRetention, true
		return h.refuseForGood(ctx, read)
	default:
		h.metrics.outcome[wasUnready].Inc()
		h.log.Error("the store gave an outcome that is none", "outcome", int(put.Outcome))
		return unready(refusalOf(ctx, errStoreFault))
	}
	return verdict{status: http.StatusOK, receipt: h.receipt(read, record.Stored)}
}

func unready(no *refusal) verdict { return verdict{status: no.status, no: no} }

// receipt signs what became of a segment. It is called only after the store
// said that it is durable, or that it is refused.
func (h *Hub) receipt(read reading, d record.Disposition) []byte {
	return record.AppendReceipt(make([]byte, 0, record.ReceiptSize), record.SignReceipt(record.Receipt{
		Identity: read.incoming.Identity, Number: read.incoming.Number,
		First: read.incoming.First, Last: read.incoming.Last,
		SHA256: read.incoming.SHA256, TimeMS: h.now().UnixMilli(),
		Disposition: d, Reason: read.refused, KeyID: h.receiptKey,
	}, h.keys.Receipt))
}

// lookAt raises the alarms about a segment that was stored.
func (h *Hub) lookAt(ctx context.Context, read reading, put store.Put) {
	if put.MissingFrom != 0 {
		h.raiseAside(ctx, store.Alarm{Kind: "gap", Gate: read.gate.Name, Venue: read.gate.Venue,
			Text: fmt.Sprintf("segments %d to %d of epoch %x have not come", put.MissingFrom, put.MissingTo, read.incoming.Epoch)})
	}
	// A row of the past is late, or of a slow clock: only the gate's report tells
	// which. A row of the future is of a fast clock.
	if read.incoming.OffsetMS < -maxClockOff.Milliseconds() {
		h.raiseAside(ctx, clockAlarm(&read.gate, time.Duration(read.incoming.OffsetMS)*time.Millisecond))
	}
}

// conflict answers a segment whose place is taken by other bytes: the store
// has put it aside. Without its alarm it is not answered, so that the gate
// sends it again and the alarm gets another chance.
func (h *Hub) conflict(ctx context.Context, read reading) verdict {
	h.metrics.outcome[wasConflict].Inc()
	err := h.raise(ctx, store.Alarm{Kind: "conflict", Gate: read.gate.Name, Venue: read.gate.Venue,
		Text: fmt.Sprintf("segment %d of epoch %x came with other bytes or another chain than what is stored: a copy of the gate, or of its disk, is sending", read.incoming.Number, read.incoming.Epoch)})
	if err != nil {
		return unready(h.storeRefusal(ctx, "raise an alarm", err))
	}
	return verdict{status: http.StatusConflict, no: &refusal{status: http.StatusConflict, word: "conflict", detail: "this place in the gate's sequence is taken by other bytes: set the segment aside and begin a new epoch"}}
}

// refuseForGood notes and signs that a segment can never be taken.
func (h *Hub) refuseForGood(ctx context.Context, read reading) verdict {
	in := &read.incoming
	// A number that anybody may have written on a stick is not noted: it could
	// hide that the gate's own never came.
	if read.proven {
		if err := h.store.Refuse(ctx, in.SegmentKey, in.First, in.Last, in.SHA256, read.refused, h.now()); err != nil {
			h.metrics.outcome[wasUnready].Inc()
			return unready(h.storeRefusal(ctx, "note a refusal", err))
		}
	}
	h.metrics.outcome[wasRefused].Inc()
	h.raiseAside(ctx, store.Alarm{Kind: "poison", Gate: read.gate.Name, Venue: read.gate.Venue,
		Text: fmt.Sprintf("segment %d of epoch %x was refused for good: %s", in.Number, in.Epoch, refusedWord(read.refused))})
	return verdict{status: http.StatusUnprocessableEntity, receipt: h.receipt(read, record.Refused)}
}

var refusedWords = [...]string{"", "not a segment", "not signed by this gate's key", "a venue that the gate never stood in", "its day is past retention", "its day was destroyed"}

func refusedWord(why record.RefusedFor) string {
	if int(why) < len(refusedWords) {
		return refusedWords[why]
	}
	return "unknown"
}

// quarantine puts aside what a revoked gate sends. Whoever stole it sets the
// times that stand in it, so that they were before the revocation proves
// nothing.
func (h *Hub) quarantine(ctx context.Context, read reading, b []byte, why record.RefusedFor) reading {
	no := revoked()
	if why == record.ForSignature {
		return reading{no: no, outcome: wasDenied} // anybody's bytes: not worth the room
	}
	if err := h.store.Quarantine(ctx, read.gate.Device, "revoked", b, h.now()); err != nil {
		return reading{no: h.storeRefusal(ctx, "put a segment aside", err), outcome: wasUnready}
	}
	h.raiseAside(ctx, store.Alarm{Kind: "revoked_upload", Gate: read.gate.Name, Venue: read.gate.Venue, Text: "a gate that was revoked sends segments: they are kept aside"})
	return reading{no: no, outcome: wasQuarantined}
}

// unreadable is the answer to bytes that are not a segment. A gate may purge
// what is refused for good, so a form newer than this hub's is not refused: it
// waits until the hub is brought up to date. Neither is what has no header: no
// receipt could name it.
func (h *Hub) unreadable(ctx context.Context, b []byte, from claim) reading {
	head, err := record.SegmentHead(b)
	switch {
	case errors.Is(err, record.ErrNewerSegment):
		return reading{no: newerForm(), outcome: wasUnready}
	case err != nil:
		return reading{no: &refusal{status: http.StatusBadRequest, word: "form", detail: "the body is not a segment"}, outcome: wasMalformed}
	}
	gate, no := h.sender(ctx, head.Device, from)
	if no != nil {
		return reading{no: no, outcome: unservedAs(no)}
	}
	if gate.State != store.Active {
		return reading{no: notActive(gate.State), outcome: wasDenied} // nothing in it is proven: not worth the room
	}
	read := reading{gate: gate, refused: record.ForForm, proven: from.way == store.ByNet}
	read.incoming.SegmentKey, read.incoming.First, read.incoming.Last, read.incoming.SHA256 = head.SegmentKey, head.First, head.Last, head.SHA256
	return read
}

// sender is the gate whose segment this is: the one that the certificate names,
// or, of what came on a stick, the one that the segment names.
func (h *Hub) sender(ctx context.Context, device [16]byte, from claim) (store.Gate, *refusal) {
	switch {
	case from.gate == nil:
		return h.gate(ctx, device)
	case from.gate.Device != device:
		return store.Gate{}, &refusal{status: http.StatusForbidden, word: "not_your_device", detail: "the segment is another gate's than the certificate"}
	}
	return *from.gate, nil
}

func notActive(state store.GateState) *refusal {
	if state == store.Revoked {
		return revoked()
	}
	return &refusal{status: http.StatusForbidden, word: "pending", detail: "the technician has not compared the word yet"}
}

// unservedAs is how a lookup that gave no gate is counted.
func unservedAs(no *refusal) outcome {
	if no.status == http.StatusServiceUnavailable {
		return wasUnready
	}
	return wasDenied
}

func slowDown(wait time.Duration) *refusal {
	return &refusal{status: http.StatusTooManyRequests, word: "slow_down", detail: "this gate sends more than its share", after: wait}
}

func newerForm() *refusal {
	return &refusal{status: http.StatusServiceUnavailable, word: "newer_form", detail: "the segment is of a newer form than this hub reads: bring the hub up to date", after: 5 * time.Minute}
}

// denied answers a request for a segment that is not served.
func (h *Hub) denied(w http.ResponseWriter, no *refusal) {
	h.metrics.outcome[unservedAs(no)].Inc()
	h.refuse(w, no)
}

// unreadAs is how a body that was not read is counted.
func unreadAs(no *refusal) outcome {
	if no.status == http.StatusServiceUnavailable {
		return wasUnready
	}
	return wasMalformed
}

// write writes the answer about a segment.
func (h *Hub) write(w http.ResponseWriter, v verdict) {
	if v.no != nil {
		h.refuse(w, v.no)
		return
	}
	header := w.Header()
	header["Content-Type"] = receiptType
	header["Cache-Control"] = noStore
	header["Content-Length"] = []string{strconv.Itoa(len(v.receipt))}
	w.WriteHeader(v.status)
	_, _ = w.Write(v.receipt) // lost on the way: the gate sends again and is told the same
}

var (
	receiptType = []string{"application/octet-stream"}
	noStore     = []string{"no-store"}
)

// retryAfter is a wait in whole seconds with jitter: between once and twice d,
// so that gates that were sent away together do not come back together.
func retryAfter(d time.Duration) string {
	s := max(int(d/time.Second), 1)
	return strconv.Itoa(s + rand.IntN(s+1))
}
