package hub

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub/store"
)

// What a gate may need, the most pressing first. The words are stable.
var needWords = [...]string{
	"confirm",     // pending: the word is not compared
	"camera",      // it sees nothing
	"poison",      // it keeps segments aside
	"unrecorded",  // it judged codes without a row
	"certificate", // ends in three days, or has ended
	"trust",       // a list is older than a day
	"clock",       // more than 90 s off
	"disk",        // four fifths full
	"queue",       // its oldest row waits for more than an hour
	"silent",      // no report for an hour
	"slow",        // half a second from view to verdict, at the 95th percentile
}

// When a gate needs somebody.
const (
	needSilent      = time.Hour
	needCertificate = 3 * 24 * time.Hour
	needTrustS      = 24 * 3600
	needQueueS      = 3600
	needDisk        = 0.8
	needSlowMS      = 500
)

// gateEntry is a gate as people see it in the list.
type gateEntry struct {
	Name      string          `json:"name"`
	Venue     string          `json:"venue"`
	VenueType string          `json:"venue_type"`
	State     store.GateState `json:"state"`
	Needs     []string        `json:"needs"`
	Device    string          `json:"device,omitempty"`
	Created   *time.Time      `json:"created,omitempty"`
	Enrolled  *time.Time      `json:"enrolled,omitempty"`
	Revoked   *time.Time      `json:"revoked,omitempty"`
	Seen      *time.Time      `json:"seen,omitempty"`
	CertUntil *time.Time      `json:"certificate_until,omitempty"`
	OffsetMS  int64           `json:"clock_offset_ms"` // hub time − gate time at its last report
	Report    json.RawMessage `json:"report,omitempty"`

	weight uint32
}

// gateDetail is one gate with all that the hub knows of it.
type gateDetail struct {
	gateEntry
	Venues  []string      `json:"venues"`         // all that it ever stood in
	Word    string        `json:"word,omitempty"` // while pending, to those who may confirm
	Streams []streamEntry `json:"streams"`
}

type streamEntry struct {
	Epoch   string     `json:"epoch"`
	Venue   string     `json:"venue"`
	Segment uint64     `json:"segment"` // newest
	Last    uint64     `json:"last"`    // newest seq
	Gaps    []gapEntry `json:"gaps,omitempty"`
}

type gapEntry struct {
	From  uint64 `json:"from"`
	To    uint64 `json:"to"`
	First uint64 `json:"first"` // seqs
	Last  uint64 `json:"last"`
}

func (h *Hub) gateEntry(g *store.Gate) gateEntry {
	e := gateEntry{Name: g.Name, Venue: g.Venue, VenueType: g.VenueType, State: g.State, OffsetMS: g.OffsetMS, Needs: []string{},
		Created: timeOf(g.CreatedMS), Enrolled: timeOf(g.EnrolledMS), Revoked: timeOf(g.RevokedMS), Seen: timeOf(g.SeenMS), CertUntil: timeOf(g.CertUntil)}
	if g.Device != ([16]byte{}) {
		e.Device = hex.EncodeToString(g.Device[:])
	}
	if json.Valid(g.Report) {
		e.Report = g.Report
	}
	for i, needed := range needs(g, h.now()) {
		if needed {
			e.Needs = append(e.Needs, needWords[i])
			e.weight |= 1 << (len(needWords) - 1 - i)
		}
	}
	return e
}

// timeOf is nil for a time that never was.
func timeOf(ms int64) *time.Time {
	if ms <= 0 || ms > time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() {
		return nil
	}
	t := time.UnixMilli(ms).UTC()
	return &t
}

// needs tells which of needWords a gate needs.
func needs(g *store.Gate, now time.Time) (n [len(needWords)]bool) {
	need := func(word string, when bool) { n[slices.Index(needWords[:], word)] = when }
	if g.State == store.Pending {
		need("confirm", true)
	}
	if g.State != store.Active && g.State != store.Pending {
		return n
	}
	need("silent", now.Sub(time.UnixMilli(max(g.SeenMS, g.EnrolledMS))) > needSilent)
	need("certificate", time.UnixMilli(g.CertUntil).Sub(now) < needCertificate)
	need("clock", time.Duration(min(max(g.OffsetMS, -1<<40), 1<<40))*time.Millisecond > maxClockOff || g.OffsetMS < -maxClockOff.Milliseconds())
	r, err := enroll.ParseReport(g.Report)
	if err != nil { // none yet
		return n
	}
	need("camera", r.Camera != "" && r.Camera != "ok")
	need("poison", r.Poison > 0)
	need("unrecorded", r.Unrecorded > 0)
	for _, age := range r.Ages {
		if age > needTrustS {
			need("trust", true)
		}
	}
	need("disk", r.DiskUsed >= needDisk)
	need("queue", r.OldestS > needQueueS)
	need("slow", r.VerdictP95MS > needSlowMS)
	return n
}

// allGates is every gate of the venues, by name.
func (h *Hub) allGates(ctx context.Context, venues []string) ([]store.Gate, error) {
	var all []store.Gate
	for after := ""; ; {
		gates, err := h.store.Gates(ctx, venues, after, page)
		if err != nil {
			return nil, err
		}
		all = append(all, gates...)
		if len(gates) < page {
			return all, nil
		}
		after = gates[len(gates)-1].Name
	}
}

// adminGates lists gates: those that need somebody first (order=needs), or by
// name (order=name).
func (h *Hub) adminGates(a ask) (any, *refusal) {
	venues, no := a.scope()
	if no != nil {
		return nil, no
	}
	limit, no := a.query.limit()
	if no != nil {
		return nil, no
	}
	state, no := a.query.word("state", "invited", "pending", "active", "revoked")
	if no != nil {
		return nil, no
	}
	need, no := a.query.word("need", needWords[:]...)
	if no != nil {
		return nil, no
	}
	order, no := a.query.word("order", "needs", "name")
	if no != nil {
		return nil, no
	}
	gates, err := h.allGates(a.Context(), venues)
	if err != nil {
		return nil, h.storeRefusal(a.Context(), "list gates", err)
	}
	var entries []gateEntry
	for i := range gates {
		e := h.gateEntry(&gates[i])
		if order == "name" {
			e.weight = 0
		}
		if (state == "" || string(e.State) == state) && (need == "" || slices.Contains(e.Needs, need)) {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(x, y gateEntry) int {
		return cmp.Or(cmp.Compare(y.weight, x.weight), strings.Compare(x.Name, y.Name))
	})
	if text := a.query.one("cursor"); text != "" {
		weight, name, err := parseGateCursor(text)
		if err != nil {
			return nil, badCursor()
		}
		entries = entries[afterGate(entries, weight, name):]
	}
	p := pageOf[gateEntry]{Entries: entries[:min(limit, len(entries))]}
	if p.Entries == nil {
		p.Entries = []gateEntry{}
	}
	if len(entries) > limit {
		p.Next = gateCursor(entries[limit-1])
	}
	return p, nil
}

// afterGate is where the page after (weight, name) begins.
func afterGate(entries []gateEntry, weight uint32, name string) int {
	i := slices.IndexFunc(entries, func(e gateEntry) bool {
		return e.weight < weight || e.weight == weight && e.Name > name
	})
	if i < 0 {
		return len(entries)
	}
	return i
}

// gateOf is a gate by name that the person sees.
func (h *Hub) gateOf(a ask, name string) (store.Gate, *refusal) {
	g, err := h.store.GateByName(a.Context(), name)
	if errors.Is(err, store.ErrNotFound) || err == nil && !a.by.sees(g.Venue) {
		return store.Gate{}, notFound()
	}
	if err != nil {
		return store.Gate{}, h.storeRefusal(a.Context(), "look up a gate", err)
	}
	return g, nil
}

func (h *Hub) adminGate(a ask) (any, *refusal) {
	g, no := h.gateOf(a, a.PathValue("name"))
	if no != nil {
		return nil, no
	}
	d := gateDetail{gateEntry: h.gateEntry(&g), Streams: []streamEntry{}}
	for _, venue := range g.Venues {
		if a.by.sees(venue) {
			d.Venues = append(d.Venues, venue)
		}
	}
	if a.by.rights()&maySetUp != 0 {
		d.Word = g.Word
	}
	if g.Device == ([16]byte{}) {
		return d, nil
	}
	streams, err := h.store.Streams(a.Context(), g.Device)
	if err != nil {
		return nil, h.storeRefusal(a.Context(), "read streams", err)
	}
	for _, s := range streams {
		if !a.by.sees(s.Venue) {
			continue
		}
		e := streamEntry{Epoch: hex.EncodeToString(s.Epoch[:]), Venue: s.Venue, Segment: s.Number, Last: s.Last}
		for _, gap := range s.Gaps {
			e.Gaps = append(e.Gaps, gapEntry(gap))
		}
		d.Streams = append(d.Streams, e)
	}
	return d, nil
}

// invitation is the answer to a gate that was made or invited again. The code is
// shown once and kept nowhere.
type invitation struct {
	Gate    string    `json:"gate"`
	Code    string    `json:"code"` // what the QR code says
	Expires time.Time `json:"expires"`
	Sheet   bool      `json:"sheet"`
}

func (h *Hub) adminCreateGate(a ask) (any, *refusal) {
	var b struct {
		Name      string `json:"name"`
		Venue     string `json:"venue"`
		VenueType string `json:"venue_type"`
		Sheet     bool   `json:"sheet"`
		TTL       int    `json:"ttl_s"`
	}
	if no := h.readJSON(a.Request, &b); no != nil {
		return nil, no
	}
	if err := checkGate(b.Name, b.Venue, b.VenueType); err != nil {
		return nil, h.changeRefusal(a.Request, "invite a gate", err)
	}
	if !a.by.sees(b.Venue) {
		return nil, notYourVenue()
	}
	return h.invitation(a, "gate_created", b.Name, b.Venue, b.Sheet, b.TTL, func(ttl time.Duration) (enroll.Token, error) {
		return h.Invite(a.Context(), b.Name, b.Venue, b.VenueType, b.Sheet, ttl)
	})
}

func notYourVenue() *refusal {
	return &refusal{status: http.StatusForbidden, word: "not_your_venue", detail: "that venue is not yours"}
}

func (h *Hub) adminInviteGate(a ask) (any, *refusal) {
	var b struct {
		Sheet bool `json:"sheet"`
		TTL   int  `json:"ttl_s"`
	}
	g, no := h.gateOf(a, a.PathValue("name"))
	if no != nil {
		return nil, no
	}
	if no := h.readJSON(a.Request, &b); no != nil {
		return nil, no
	}
	return h.invitation(a, "gate_invited", g.Name, g.Venue, b.Sheet, b.TTL, func(ttl time.Duration) (enroll.Token, error) {
		t, err := h.InviteAgain(a.Context(), g.Name, b.Sheet, ttl)
		h.forget(g.Device)
		return t, err
	})
}

func (h *Hub) invitation(a ask, what, name, venue string, sheet bool, seconds int, invite func(time.Duration) (enroll.Token, error)) (any, *refusal) {
	longest := ScreenCode
	if sheet {
		longest = SheetCode
	}
	if seconds < 0 || seconds > int(longest/time.Second) {
		return nil, h.changeRefusal(a.Request, "invite a gate", ErrCode)
	}
	ttl := time.Duration(seconds) * time.Second
	if ttl == 0 {
		ttl = longest
	}
	expires := h.now().Add(ttl).UTC()
	act := a.act(what, name, venue)
	act.Text = "on a screen"
	if sheet {
		act.Text = "on a sheet"
	}
	var t enroll.Token
	err := h.change(a.Context(), act, func() (err error) {
		t, err = invite(ttl)
		return err
	})
	if err != nil {
		return nil, h.changeRefusal(a.Request, "invite a gate", err)
	}
	return created{invitation{Gate: name, Code: t.Text(), Expires: expires, Sheet: sheet}}, nil
}

// adminConfirmGate makes a pending gate active when the word is the one that
// the gate shows. Another word is an alarm: a copy of the sheet may have been
// faster than the gate.
func (h *Hub) adminConfirmGate(a ask) (any, *refusal) {
	var b struct {
		Word string `json:"word"`
	}
	g, no := h.gateOf(a, a.PathValue("name"))
	if no != nil {
		return nil, no
	}
	if no := h.readJSON(a.Request, &b); no != nil {
		return nil, no
	}
	word := strings.ReplaceAll(b.Word, " ", "") // screens show it in two threes
	if len(word) != 6 || strings.Trim(word, "0123456789") != "" {
		return nil, &refusal{status: http.StatusBadRequest, word: "value", detail: "the word is six digits"}
	}
	if no := h.words.enter(g.Name, h.now()); no != nil {
		return nil, no
	}
	err := h.change(a.Context(), a.act("gate_confirmed", g.Name, g.Venue), func() error {
		return h.store.ConfirmGate(a.Context(), g.Name, word)
	})
	h.forget(g.Device)
	if errors.Is(err, store.ErrStale) {
		h.raiseAside(a.Context(), store.Alarm{Kind: "wrong_word", Gate: g.Name, Venue: g.Venue,
			Text: "the word that was compared is not this gate's: another device may have enrolled with its sheet; revoke it if the gate before you shows another word"})
		return nil, &refusal{status: http.StatusConflict, word: "wrong_word", detail: "this gate's word is another one: if the gate shows what you entered, another device has taken its place; revoke it"}
	}
	if err != nil {
		return nil, h.changeRefusal(a.Request, "confirm a gate", err)
	}
	return h.gateNow(a, g.Name)
}

// gateNow answers with a gate as it stands after a change.
func (h *Hub) gateNow(a ask, name string) (any, *refusal) {
	g, err := h.store.GateByName(a.Context(), name)
	if err != nil {
		return nil, h.storeRefusal(a.Context(), "look up a gate", err)
	}
	return h.gateEntry(&g), nil
}

func (h *Hub) adminRevokeGate(a ask) (any, *refusal) {
	g, no := h.gateOf(a, a.PathValue("name"))
	if no != nil {
		return nil, no
	}
	if no := h.readJSON(a.Request, &struct{}{}); no != nil {
		return nil, no
	}
	err := h.change(a.Context(), a.act("gate_revoked", g.Name, g.Venue), func() error {
		return h.store.RevokeGate(a.Context(), g.Name, h.now())
	})
	h.forget(g.Device)
	if err != nil {
		return nil, h.changeRefusal(a.Request, "revoke a gate", err)
	}
	return h.gateNow(a, g.Name)
}

// adminMoveGate moves a gate to another venue, both of which must be the
// person's.
func (h *Hub) adminMoveGate(a ask) (any, *refusal) {
	var b struct {
		Venue     string `json:"venue"`
		VenueType string `json:"venue_type"`
	}
	g, no := h.gateOf(a, a.PathValue("name"))
	if no != nil {
		return nil, no
	}
	if no := h.readJSON(a.Request, &b); no != nil {
		return nil, no
	}
	if err := checkVenue(b.Venue, b.VenueType); err != nil {
		return nil, h.changeRefusal(a.Request, "move a gate", err)
	}
	if !a.by.sees(b.Venue) {
		return nil, notYourVenue()
	}
	act := a.act("gate_moved", g.Name, g.Venue)
	act.Text = "to " + b.Venue
	err := h.change(a.Context(), act, func() error {
		return h.store.MoveGate(a.Context(), g.Name, b.Venue, b.VenueType)
	})
	h.forget(g.Device)
	if err != nil {
		return nil, h.changeRefusal(a.Request, "move a gate", err)
	}
	return h.gateNow(a, g.Name)
}
