package hub

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"checkpoint/hub/store"
)

// pathAdmin is where people ask. The API stands in docs/formats.md, "Admin".
const pathAdmin = "/v1/admin/"

// rights are a set of roles.
type rights uint8

const (
	mayManager rights = 1 << iota
	mayTechnician
	mayHeadquarters

	mayAll   = mayManager | mayTechnician | mayHeadquarters
	mayRead  = mayManager | mayHeadquarters    // what happened at the gates
	maySetUp = mayTechnician | mayHeadquarters // the gates
)

func rightsOf(r Role) rights {
	switch r {
	case Manager:
		return mayManager
	case Technician:
		return mayTechnician
	case Headquarters:
		return mayHeadquarters
	}
	return 0
}

// ask is one request of a person, its query looked through.
type ask struct {
	*http.Request
	by    person
	query query
}

// act begins the record of what the person changes.
func (a ask) act(what, on, venue string) store.Act {
	return store.Act{Who: a.by.name, Role: string(a.by.role), What: what, On: on, Venue: venue}
}

// endpoint is one thing that people can ask. Exactly one of serve and stream is
// set.
type endpoint struct {
	pattern string // method and path below pathAdmin
	who     rights
	query   []string // the parameters that it knows
	serve   func(h *Hub, a ask) (any, *refusal)
	stream  func(h *Hub, w http.ResponseWriter, a ask) *refusal
}

// heavy reports whether it may read a lot: so many are served at once, and so
// many of one person, that gates are not kept waiting.
func (e endpoint) heavy() bool {
	return e.stream != nil || e.pattern == "GET hours" || e.pattern == "GET gates"
}

const (
	heavyAll  = 8
	heavyEach = 2
)

// places bounds how much is done at once, in all and for each.
type places struct {
	mu   sync.Mutex
	all  int
	each map[string]int
}

func (p *places) enter(who string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all >= heavyAll || p.each[who] >= heavyEach {
		return false
	}
	p.all++
	p.each[who]++
	return true
}

func (p *places) leave(who string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.each[who]--; p.each[who] == 0 {
		delete(p.each, who)
	}
}

func endpoints() []endpoint {
	return []endpoint{
		{"GET me", mayAll, nil, (*Hub).adminMe, nil},
		{"GET hours", mayRead, []string{"from", "to", "venue", "by"}, (*Hub).adminHours, nil},
		{"GET rows", mayRead, []string{"from", "to", "venue", "gate", "kind", "verdict", "reason", "limit", "cursor"}, (*Hub).adminRows, nil},
		{"GET buckets", mayRead, []string{"day", "venue"}, (*Hub).adminBuckets, nil},
		{"GET bucket", mayRead, []string{"day", "venue", "hour"}, nil, (*Hub).adminBucket},
		{"GET bucket/segments", mayHeadquarters, []string{"day", "venue", "hour"}, nil, (*Hub).adminSegments},
		{"GET gates", mayAll, []string{"venue", "state", "need", "order", "limit", "cursor"}, (*Hub).adminGates, nil},
		{"GET gates/{name}", mayAll, nil, (*Hub).adminGate, nil},
		{"POST gates", maySetUp, nil, (*Hub).adminCreateGate, nil},
		{"POST gates/{name}/invite", maySetUp, nil, (*Hub).adminInviteGate, nil},
		{"POST gates/{name}/confirm", maySetUp, nil, (*Hub).adminConfirmGate, nil},
		{"POST gates/{name}/revoke", maySetUp, nil, (*Hub).adminRevokeGate, nil},
		{"POST gates/{name}/move", maySetUp, nil, (*Hub).adminMoveGate, nil},
		{"GET alarms", mayAll, []string{"open", "venue", "limit", "cursor"}, (*Hub).adminAlarms, nil},
		{"POST alarms/{id}/close", mayAll, nil, (*Hub).adminCloseAlarm, nil},
		{"GET acts", mayAll, []string{"venue", "limit", "cursor"}, (*Hub).adminActs, nil},
		{"GET trust", mayAll, nil, (*Hub).adminTrust, nil},
		{"GET policy", mayAll, []string{"type"}, (*Hub).adminPolicy, nil},
		{"GET days", mayRead, nil, (*Hub).adminDays, nil},
		{"POST days/{id}/drop", mayHeadquarters, nil, (*Hub).adminDropDay, nil},
		{"GET people", mayHeadquarters, nil, (*Hub).adminPeople, nil},
		{"POST people/{name}/revoke", mayHeadquarters, nil, (*Hub).adminRevokePerson, nil},
	}
}

func (h *Hub) adminRoutes(mux *http.ServeMux) {
	for _, e := range endpoints() {
		method, path, _ := cutSpace(e.pattern)
		mux.HandleFunc(method+" "+pathAdmin+path, func(w http.ResponseWriter, r *http.Request) {
			if no := h.adminAsk(w, r, e); no != nil {
				h.refuse(w, no)
			}
		})
	}
	mux.HandleFunc(pathAdmin, func(w http.ResponseWriter, r *http.Request) {
		h.problem(w, http.StatusNotFound, "not_found", "there is no such part of the admin API")
	})
}

func cutSpace(s string) (before, after string, ok bool) {
	for i := range len(s) {
		if s[i] == ' ' {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// adminAsk looks who asks and what for, in this order: the certificate, the
// role, the rate, the query; then it answers.
func (h *Hub) adminAsk(w http.ResponseWriter, r *http.Request, e endpoint) *refusal {
	p, no := h.person(r)
	if no != nil {
		return no
	}
	if p.rights()&e.who == 0 {
		return &refusal{status: http.StatusForbidden, word: "role", detail: "the role " + string(p.role) + " may not do this"}
	}
	if p.role != roleOperator {
		if no := h.askers.enter(p.name, h.now()); no != nil {
			return no
		}
	}
	q, no := parseQuery(r.URL.RawQuery, e.query)
	if no != nil {
		return no
	}
	a := ask{r, p, q}
	if e.heavy() {
		if !h.heavy.enter(p.name) {
			return &refusal{http.StatusServiceUnavailable, "busy", "others, or you, are reading a lot just now: ask again", 2 * time.Second}
		}
		defer h.heavy.leave(p.name)
	}
	if e.stream != nil {
		return e.stream(h, w, a)
	}
	answer, no := e.serve(h, a)
	if no != nil {
		return no
	}
	status := http.StatusOK
	if c, ok := answer.(created); ok {
		status, answer = http.StatusCreated, c.value
	}
	h.answer(w, status, answer)
	return nil
}

// created is an answer of status 201.
type created struct{ value any }

// changeRefusal is the answer to a change that was not made.
func (h *Hub) changeRefusal(r *http.Request, what string, err error) *refusal {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return notFound()
	case errors.Is(err, store.ErrExists):
		return &refusal{status: http.StatusConflict, word: "exists", detail: "the name is taken"}
	case errors.Is(err, store.ErrState):
		return &refusal{status: http.StatusConflict, word: "state", detail: "not possible in the state that it is in"}
	case errors.Is(err, store.ErrStale):
		return &refusal{status: http.StatusConflict, word: "stale", detail: "it has changed meanwhile: look again"}
	case errors.Is(err, ErrName), errors.Is(err, ErrCode), errors.Is(err, ErrPerson):
		return &refusal{status: http.StatusBadRequest, word: "value", detail: err.Error()}
	case errors.Is(err, ErrNoTrust):
		return &refusal{status: http.StatusConflict, word: "no_trust", detail: ErrNoTrust.Error()}
	}
	return h.storeRefusal(r.Context(), what, err)
}

func notFound() *refusal {
	return &refusal{status: http.StatusNotFound, word: "not_found", detail: "there is no such thing, or it is in a venue that is not yours"}
}

// scope is the venues that an answer is about: those that were asked for, all
// of which the person must see, else all of the person's. nil: all there are.
func (a ask) scope() ([]string, *refusal) {
	asked := a.query.all("venue")
	if len(asked) == 0 {
		return a.by.venues, nil
	}
	for _, venue := range asked {
		if !a.by.sees(venue) {
			return nil, &refusal{status: http.StatusForbidden, word: "not_your_venue", detail: "a venue that was asked for is not yours"}
		}
	}
	return asked, nil
}

// me is who asks, and what hub answers.
type me struct {
	Name     string    `json:"name"`
	Role     Role      `json:"role"`
	Venues   []string  `json:"venues"` // null: all
	Until    time.Time `json:"certificate_until"`
	Hub      string    `json:"hub"`
	Version  string    `json:"version"`
	Interval int       `json:"upload_interval_s"`
	Demo     bool      `json:"demo,omitempty"`
	Time     time.Time `json:"time"`
}

func (h *Hub) adminMe(a ask) (any, *refusal) {
	return me{a.by.name, a.by.role, a.by.venues, a.by.until, h.cfg.URL, h.cfg.Version, int(h.cfg.Interval / time.Second), h.cfg.Demo, h.now().UTC()}, nil
}

// What a person may ask: a screen that turns pages, a script that exports.
const (
	askersRate  = 20
	askersBurst = 100
)

// desk is what identities, people and trust need beside the store. Nothing of
// it matters when it is lost.
type desk struct {
	strangers *doorman // without a certificate, by address
	renewals  *doorman // by device
	askers    *doorman // people, by name
	words     *doorman // tries to confirm, by gate
	heavy     *places
	files     *trustCache
	eyes      *trustEyes
	wait      time.Duration // this hub's own while before it signs a timestamp
}

func newDesk() desk {
	return desk{
		strangers: newDoorman(strangersRate, strangersBurst, rate.NewLimiter(allRate, allBurst)),
		renewals:  newDoorman(renewalRate, renewalBurst, nil),
		askers:    newDoorman(askersRate, askersBurst, nil),
		words:     newDoorman(wordsRate, wordsBurst, nil),
		heavy:     &places{each: map[string]int{}},
		files:     newTrustCache(),
		eyes:      &trustEyes{warned: map[string]time.Time{}},
		wait:      rand.N(timestampLater),
	}
}

func formatID(id int64) string { return strconv.FormatInt(id, 10) }
