package hub

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"checkpoint/hub/store"
	"checkpoint/trust"
	"checkpoint/trust/tuf"
)

// How fresh the repository is kept, and when somebody is told that signers are
// due.
const (
	timestampEvery = 10 * time.Minute
	timestampLater = 5 * time.Minute // hubs wait for up to so much longer, each its own while
	timestampAhead = 5 * time.Minute // more than two hubs' clocks can be apart: see agreed

	rootDue     = 30 * 24 * time.Hour // before its end
	targetsDue  = 7 * 24 * time.Hour
	dayKeysDue  = 3 * 24 * time.Hour // also before the last day key
	revokedAge  = 12 * time.Hour     // since it was issued
	caDue       = 365 * 24 * time.Hour
	warnedAgain = time.Hour
)

// trustView is the repository as a gate would see it now.
type trustView struct {
	turn     uint64
	at       time.Time
	snapshot *trust.Snapshot
	roles    []tuf.Status
	refused  *tuf.Refused // a gate would not take it
}

// trustEyes keeps the newest view: reading and proving a repository costs a
// tenth of a second, and screens ask often.
type trustEyes struct {
	mu      sync.Mutex
	view    *trustView
	warned  map[string]time.Time
	lastTry time.Time // to sign a timestamp
}

// viewFor is how long a view holds when nothing is published and nothing ends.
const viewFor = time.Hour

func (v *trustView) holds(turn uint64, now time.Time) bool {
	ended := func(s tuf.Status) bool { return s.Expires.After(v.at) && !s.Expires.After(now) }
	return v.turn == turn && now.Sub(v.at).Abs() < viewFor && !slices.ContainsFunc(v.roles, ended)
}

// trustNow is the repository as a gate would see it; store.ErrNotFound when
// there is none.
func (h *Hub) trustNow(ctx context.Context) (*trustView, error) {
	h.eyes.mu.Lock()
	defer h.eyes.mu.Unlock()
	turn, err := h.store.TrustGeneration(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at trust: %w", err)
	}
	now := h.now()
	if v := h.eyes.view; v != nil && v.holds(turn, now) {
		return v, nil
	}
	r, err := h.readRepository(ctx)
	if err != nil {
		return nil, err
	}
	if r.firstRoot() == nil {
		return nil, store.ErrNotFound
	}
	v := &trustView{turn: r.turn, at: now, roles: r.statuses()}
	c, err := r.take(ctx, new(held), now)
	if errors.As(err, &v.refused) {
		// What it says is still worth a look.
		if c, err = r.take(ctx, new(held), r.validAt(now)); errors.As(err, new(*tuf.Refused)) {
			err = nil
		}
	}
	if err != nil {
		return nil, err
	}
	if c != nil {
		v.snapshot = c.Snapshot()
	}
	h.eyes.view = v
	return v, nil
}

// statuses are those of the newest metadata of each role.
func (r repository) statuses() []tuf.Status {
	newest := map[string]uint64{}
	for name := range r.files {
		if version, role, ok := metadataName(name); ok {
			newest[role] = max(newest[role], version)
		}
	}
	list := r.list()
	var all []tuf.Status
	for role, version := range newest {
		name := fmt.Sprintf("%d.%s.json", version, role)
		if role == "timestamp" {
			name = nameTimestamp
		}
		if status, err := tuf.Check(r.files[name], list); err == nil {
			all = append(all, *status)
		}
	}
	slices.SortFunc(all, func(a, b tuf.Status) int { return slices.Index(roleOrder, a.Role) - slices.Index(roleOrder, b.Role) })
	return all
}

var roleOrder = []string{"root", "targets", "daykeys", "revoked", "snapshot", "timestamp"}

func (v *trustView) role(name string) (tuf.Status, bool) {
	i := slices.IndexFunc(v.roles, func(s tuf.Status) bool { return s.Role == name })
	if i < 0 {
		return tuf.Status{}, false
	}
	return v.roles[i], true
}

func (h *Hub) trustSnapshot(ctx context.Context) (*trust.Snapshot, error) {
	v, err := h.trustNow(ctx)
	if err != nil {
		return nil, err
	}
	if v.refused != nil || v.snapshot == nil {
		return nil, errTrustRefused
	}
	return v.snapshot, nil
}

var errTrustRefused = errors.New("no gate would take the trust repository as it stands")

func (h *Hub) trustRefusal(ctx context.Context, err error) *refusal {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return &refusal{status: http.StatusConflict, word: "no_trust", detail: ErrNoTrust.Error()}
	case errors.Is(err, store.ErrStale):
		return &refusal{http.StatusServiceUnavailable, "busy", "trust is being published: ask again", time.Second}
	case errors.Is(err, errTrustRefused):
		return &refusal{status: http.StatusConflict, word: "trust_refused", detail: errTrustRefused.Error()}
	}
	return h.storeRefusal(ctx, "read trust", err)
}

// trustAnswer is the repository for people: who has signed what, until when,
// and how old each list is.
type trustAnswer struct {
	Refused string      `json:"refused,omitempty"` // why a gate would not take it
	Version uint64      `json:"version,omitempty"`
	Issued  *time.Time  `json:"issued,omitempty"`
	Roles   []roleEntry `json:"roles"`
	Lists   []listEntry `json:"lists"`
	Due     []dueEntry  `json:"due"` // what signers must do
}

type roleEntry struct {
	Role    string     `json:"role"`
	Version int64      `json:"version"`
	Issued  *time.Time `json:"issued,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
	Signed  []string   `json:"signed"` // key ids
}

type listEntry struct {
	List      string     `json:"list"`
	Issued    *time.Time `json:"issued,omitempty"`
	Confirmed *time.Time `json:"confirmed,omitempty"`
	AgeS      int64      `json:"age_s"`
	Entries   int        `json:"entries"`
}

type dueEntry struct {
	Kind string `json:"kind"` // the alarm's
	Text string `json:"text"`
}

func (h *Hub) adminTrust(a ask) (any, *refusal) {
	v, err := h.trustNow(a.Context())
	if err != nil {
		return nil, h.trustRefusal(a.Context(), err)
	}
	now := h.now()
	answer := trustAnswer{Roles: []roleEntry{}, Lists: []listEntry{}, Due: []dueEntry{}}
	for _, s := range v.roles {
		answer.Roles = append(answer.Roles, roleEntry{s.Role, s.Version, instant(s.Issued), instant(s.Expires), append([]string{}, s.Signed...)})
	}
	if v.refused != nil {
		answer.Refused = string(v.refused.Why)
	}
	if v.snapshot != nil {
		answer.Version, answer.Issued = v.snapshot.Version, instant(v.snapshot.Issued)
		for _, age := range v.snapshot.Ages(now) {
			answer.Lists = append(answer.Lists, listEntry{age.List, instant(age.Issued), instant(age.Confirmed), int64(age.Age / time.Second), age.Entries})
		}
	}
	for _, d := range h.due(v, now) {
		answer.Due = append(answer.Due, dueEntry{d.kind, d.text})
	}
	return answer, nil
}

// instant is nil for a time that never was, and for one that JSON cannot hold.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return timeOf(t.UnixMilli())
}

// policyAnswer is what each type of venue asks for now, and what comes next.
type policyAnswer struct {
	Type string        `json:"type"`
	Now  *trust.Policy `json:"now"` // null: none holds
	Next *trust.Policy `json:"next,omitempty"`
}

func (h *Hub) adminPolicy(a ask) (any, *refusal) {
	snapshot, err := h.trustSnapshot(a.Context())
	if err != nil {
		return nil, h.trustRefusal(a.Context(), err)
	}
	types := []string{trust.AnyVenue}
	for _, p := range snapshot.Policy.Rules {
		types = append(types, p.Venue)
	}
	slices.Sort(types)
	types = slices.Compact(types)
	if want := a.query.one("type"); want != "" {
		types = []string{want}
	}
	now := h.now()
	answer := pageOf[policyAnswer]{Entries: []policyAnswer{}}
	for _, kind := range types {
		p := policyAnswer{Type: kind}
		for i := range snapshot.Policy.Rules {
			rule := &snapshot.Policy.Rules[i]
			if rule.Venue != kind {
				continue
			}
			if !rule.From.After(now) {
				if p.Now == nil || rule.From.After(p.Now.From) {
					p.Now = rule
				}
			} else if p.Next == nil || rule.From.Before(p.Next.From) {
				p.Next = rule
			}
		}
		answer.Entries = append(answer.Entries, p)
	}
	return answer, nil
}

// due is one thing that signers, or the hub's operator, must do.
type due struct{ kind, text string }

// dueKinds are the alarms that upkeepTrust raises and closes by itself.
var dueKinds = []string{"trust_refused", "trust_root", "trust_targets", "trust_daykeys", "trust_revoked", "receipt_key", "hub_ca", "ca_ends"}

func (h *Hub) due(v *trustView, now time.Time) []due {
	var all []due
	say := func(kind, text string) { all = append(all, due{kind, text}) }
	if v.refused != nil {
		say("trust_refused", "no gate takes the trust repository as it stands: "+string(v.refused.Why))
	}
	for _, one := range []struct {
		role   string
		before time.Duration
	}{{"root", rootDue}, {"targets", targetsDue}, {"daykeys", dayKeysDue}} {
		if s, ok := v.role(one.role); ok && s.Expires.Sub(now) < one.before {
			say("trust_"+one.role, fmt.Sprintf("the signers of %s are due: what they signed ends %s", one.role, s.Expires.UTC().Format(time.RFC3339)))
		}
	}
	if s, ok := v.role("revoked"); ok && now.Sub(s.Issued) > revokedAge {
		say("trust_revoked", fmt.Sprintf("revocations were signed %s, more than 12 h ago: headquarters must sign them again", s.Issued.UTC().Format(time.RFC3339)))
	}
	if v.snapshot != nil {
		if _, ok := v.snapshot.DayKeyAt(now.Add(dayKeysDue)); !ok {
			say("trust_daykeys", "there is no day key for three days from now: gates will record nothing about persons")
		}
	}
	if v.snapshot != nil {
		for _, d := range h.keys.unlisted(v.snapshot, now) {
			say(d.kind, d.text)
		}
	}
	if ca := h.keys.ca; ca != nil && ca.NotAfter.Sub(now) < caDue {
		say("ca_ends", "the hub's CA ends "+ca.NotAfter.UTC().Format(time.DateOnly)+": put the next one beside it")
	}
	return all
}

// unlisted tells which keys of the hub the repository does not name: gates would
// take no receipt, or would not find their hub again.
func (k *Keys) unlisted(s *trust.Snapshot, now time.Time) (all []due) {
	public, _ := k.Receipt.Public().(ed25519.PublicKey)
	if !slices.ContainsFunc(s.ReceiptKeys, func(r trust.ReceiptKey) bool {
		return r.Key.Equal(public) && !now.Before(r.NotBefore) && now.Before(r.NotAfter)
	}) {
		all = append(all, due{"receipt_key", trust.TargetReceiptKeys + " does not name this hub's receipt key: gates take none of its receipts"})
	}
	for _, ca := range k.CAs() {
		named := slices.ContainsFunc(s.HubCA, func(c trust.HubCA) bool { return c.SPKI == trust.Fingerprint(pin(ca)) })
		// The old one need not be named: nobody asks it any more.
		if !named && !slices.Contains(k.old, ca) && len(k.CAs()) > 1 {
			all = append(all, due{"hub_ca", trust.TargetHubCA + " does not name a CA that stands in this hub's keys: gates would not find the hub when it signs"})
			break
		}
	}
	return all
}

// upkeepTrust keeps the timestamp fresh and tells when signers are due.
func (h *Hub) upkeepTrust(ctx context.Context) error {
	err := h.keepFresh(ctx)
	v, seen := h.trustNow(ctx)
	switch {
	case errors.Is(seen, store.ErrNotFound), errors.Is(seen, store.ErrStale):
		return err
	case seen != nil:
		return errors.Join(err, seen)
	}
	return errors.Join(err, h.tellDue(ctx, h.due(v, h.now())))
}

// keepFresh signs the timestamp anew when it is old. Of several hubs the first
// does it: the others see a fresh one before their own while is over, and who
// is late by a moment loses the compare and swap, which is no error.
func (h *Hub) keepFresh(ctx context.Context) error {
	v, err := h.trustNow(ctx)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrStale):
		return nil
	case err != nil:
		return err
	}
	now := h.now()
	if v.refused == nil && v.snapshot != nil {
		// One that lies further ahead was signed by a clock that was wrong.
		if age := now.Sub(v.snapshot.Issued); age > -timestampAhead && age < timestampEvery+h.wait {
			return nil
		}
	}
	if !h.eyes.tryAgain(now) {
		return nil
	}
	err = h.publish(ctx, nil)
	if err == nil || errors.Is(err, store.ErrStale) {
		h.eyes.tried(time.Time{})
		return nil
	}
	return fmt.Errorf("keep trust fresh: %w", err)
}

// agreed looks that this machine's clock is the store's, on which all hubs
// agree: of two hubs with clocks of their own each would sign the other's
// timestamps away, and gates would take the wrong time for the signed one.
func (h *Hub) agreed(ctx context.Context) error {
	theirs, err := h.store.Now(ctx)
	if err != nil {
		return fmt.Errorf("ask the store's clock: %w", err)
	}
	if off := theirs.Sub(h.now()).Abs(); off > maxClockOff {
		return fmt.Errorf("%w: it is %s from the store's: set it", ErrClock, off.Round(time.Second))
	}
	return nil
}

// ErrClock: nothing is signed by a clock that is wrong.
var ErrClock = errors.New("this hub's clock is off")

// tryAgain reports whether it is time to sign, and notes that it was tried: a
// repository that no gate takes is not signed, and not looked at without end.
func (e *trustEyes) tryAgain(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if since := now.Sub(e.lastTry); since >= 0 && since < timestampEvery {
		return false
	}
	e.lastTry = now
	return true
}

func (e *trustEyes) tried(at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lastTry = at
}

// tellDue raises what is due, at most once in warnedAgain, and closes what no
// longer is.
func (h *Hub) tellDue(ctx context.Context, all []due) error {
	h.eyes.mu.Lock()
	defer h.eyes.mu.Unlock()
	now := h.now()
	is := map[string]bool{}
	for _, d := range all {
		is[d.kind] = true
		if last, ok := h.eyes.warned[d.kind]; ok && now.Sub(last) < warnedAgain && now.After(last) {
			continue
		}
		if err := h.raise(ctx, store.Alarm{Kind: d.kind, Text: d.text}); err != nil {
			return err
		}
		h.eyes.warned[d.kind] = now
	}
	var over []string
	for _, kind := range dueKinds {
		if !is[kind] {
			over = append(over, kind)
			delete(h.eyes.warned, kind)
		}
	}
	return h.closeOver(ctx, over)
}

func (h *Hub) closeOver(ctx context.Context, kinds []string) error {
	for before := int64(0); ; {
		alarms, err := h.store.ListAlarms(ctx, nil, true, before, page)
		if err != nil {
			return fmt.Errorf("list alarms: %w", err)
		}
		for _, a := range alarms {
			before = a.ID
			if !slices.Contains(kinds, a.Kind) {
				continue
			}
			if err := h.store.CloseAlarm(ctx, a.ID, "hub", h.now()); err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrState) {
				return fmt.Errorf("close an alarm: %w", err)
			}
		}
		if len(alarms) < page {
			return nil
		}
	}
}
