package hub

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"checkpoint/hub/store"
	"checkpoint/record"
)

// What stands in the office: alarms, acts, days, people.

type alarmEntry struct {
	ID     string     `json:"id"`
	Kind   string     `json:"kind"`
	Gate   string     `json:"gate,omitempty"`
	Venue  string     `json:"venue,omitempty"`
	Text   string     `json:"text"`
	First  time.Time  `json:"first"`
	Last   time.Time  `json:"last"`
	Count  uint64     `json:"count"`
	Closed *time.Time `json:"closed,omitempty"`
	By     string     `json:"by,omitempty"`
}

func (h *Hub) adminAlarms(a ask) (any, *refusal) {
	venues, no := a.scope()
	if no != nil {
		return nil, no
	}
	open, no := a.query.word("open", "true", "false")
	if no != nil {
		return nil, no
	}
	limit, no := a.query.limit()
	if no != nil {
		return nil, no
	}
	before, no := a.query.before()
	if no != nil {
		return nil, no
	}
	alarms, err := h.store.ListAlarms(a.Context(), venues, open != "false", before, limit+1)
	if err != nil {
		return nil, h.storeRefusal(a.Context(), "list alarms", err)
	}
	p := pageOf[alarmEntry]{Entries: []alarmEntry{}}
	if len(alarms) > limit {
		alarms = alarms[:limit]
		p.Next = idCursor(alarms[limit-1].ID)
	}
	for _, one := range alarms {
		e := alarmEntry{ID: formatID(one.ID), Kind: one.Kind, Gate: one.Gate, Venue: one.Venue, Text: one.Text,
			First: one.At.UTC(), Last: one.LastAt.UTC(), Count: one.Count, By: one.By}
		if !one.Closed.IsZero() {
			e.Closed = timeOf(one.Closed.UnixMilli())
		}
		p.Entries = append(p.Entries, e)
	}
	return p, nil
}

// adminCloseAlarm closes an open alarm that the person sees.
func (h *Hub) adminCloseAlarm(a ask) (any, *refusal) {
	if no := h.readJSON(a.Request, &struct{}{}); no != nil {
		return nil, no
	}
	id, err := strconv.ParseInt(a.PathValue("id"), 10, 64)
	if err != nil || id < 1 || id == 1<<63-1 {
		return nil, notFound()
	}
	alarms, err := h.store.ListAlarms(a.Context(), a.by.venues, true, id+1, 1)
	if err != nil {
		return nil, h.storeRefusal(a.Context(), "look up an alarm", err)
	}
	if len(alarms) == 0 || alarms[0].ID != id {
		return nil, notFound()
	}
	act := a.act("alarm_closed", formatID(id), alarms[0].Venue)
	act.Text = alarms[0].Kind
	err = h.change(a.Context(), act, func() error { return h.store.CloseAlarm(a.Context(), id, a.by.name, h.now()) })
	if err != nil {
		return nil, h.changeRefusal(a.Request, "close an alarm", err)
	}
	return struct {
		Closed string `json:"closed"`
	}{formatID(id)}, nil
}

type actEntry struct {
	ID    string    `json:"id"`
	At    time.Time `json:"at"`
	Who   string    `json:"who"`
	Role  string    `json:"role"`
	What  string    `json:"what"`
	On    string    `json:"on,omitempty"`
	Venue string    `json:"venue,omitempty"`
	Text  string    `json:"text,omitempty"`
}

func (h *Hub) adminActs(a ask) (any, *refusal) {
	venues, no := a.scope()
	if no != nil {
		return nil, no
	}
	limit, no := a.query.limit()
	if no != nil {
		return nil, no
	}
	before, no := a.query.before()
	if no != nil {
		return nil, no
	}
	acts, err := h.store.ListActs(a.Context(), venues, before, limit+1)
	if err != nil {
		return nil, h.storeRefusal(a.Context(), "list acts", err)
	}
	p := pageOf[actEntry]{Entries: []actEntry{}}
	if len(acts) > limit {
		acts = acts[:limit]
		p.Next = idCursor(acts[limit-1].ID)
	}
	for _, one := range acts {
		p.Entries = append(p.Entries, actEntry{formatID(one.ID), one.At.UTC(), one.Who, one.Role, one.What, one.On, one.Venue, one.Text})
	}
	return p, nil
}

type dayEntry struct {
	ID        string `json:"id"`
	Segments  uint64 `json:"segments"`
	Bytes     int64  `json:"bytes"`
	Destroyed bool   `json:"destroyed,omitempty"`
	Retired   bool   `json:"retired,omitempty"`
}

// adminDays lists the days. How much is in one is told to those only who see
// all venues.
func (h *Hub) adminDays(a ask) (any, *refusal) {
	days, err := h.store.ListDays(a.Context())
	if err != nil {
		return nil, h.storeRefusal(a.Context(), "list days", err)
	}
	p := pageOf[dayEntry]{Entries: []dayEntry{}}
	for _, d := range days {
		e := dayEntry(d)
		if a.by.venues != nil {
			e.Segments, e.Bytes = 0, 0
		}
		p.Entries = append(p.Entries, e)
	}
	return p, nil
}

// retireAfter is how old a day must be before it can be retired: as long as a
// gate that was away may still bring some of it, and must not find it gone.
const retireAfter = 14 * 24 * time.Hour

// adminDropDay drops a day: as destroyed only when the signed day keys say so,
// so that one stolen certificate destroys nothing; as past retention only when
// it is old enough.
func (h *Hub) adminDropDay(a ask) (any, *refusal) {
	var b struct {
		Destroyed bool `json:"destroyed"`
	}
	if no := h.readJSON(a.Request, &b); no != nil {
		return nil, no
	}
	day := a.PathValue("id")
	if !record.ValidDay(day) {
		return nil, notFound()
	}
	if no := h.mayDrop(a, day, b.Destroyed); no != nil {
		return nil, no
	}
	act := a.act("day_dropped", day, "")
	if act.Text = "past retention"; b.Destroyed {
		act.Text = "destroyed"
	}
	err := h.change(a.Context(), act, func() error { return h.store.DropDay(a.Context(), day, b.Destroyed, h.now()) })
	if err != nil {
		return nil, h.changeRefusal(a.Request, "drop a day", err)
	}
	return struct {
		Dropped   string `json:"dropped"`
		Destroyed bool   `json:"destroyed"`
	}{day, b.Destroyed}, nil
}

func (h *Hub) mayDrop(a ask, day string, destroyed bool) *refusal {
	if !destroyed {
		date, err := time.Parse(time.DateOnly, day)
		if err != nil || h.now().Sub(date) < retireAfter+24*time.Hour {
			return &refusal{status: http.StatusConflict, word: "too_young", detail: "a day is retired 14 days after its end at the earliest"}
		}
		return nil
	}
	snapshot, err := h.trustSnapshot(a.Context())
	if errors.Is(err, store.ErrNotFound) {
		return &refusal{status: http.StatusConflict, word: "no_trust", detail: ErrNoTrust.Error()}
	}
	if err != nil {
		return h.trustRefusal(a.Context(), err)
	}
	for _, k := range snapshot.DayKeys.Keys {
		if k.ID == day && k.Destroyed {
			return nil
		}
	}
	return &refusal{status: http.StatusConflict, word: "not_destroyed", detail: "the signed day keys do not say that this day is destroyed"}
}

type personEntry struct {
	Name    string     `json:"name"`
	Role    string     `json:"role"`
	Venues  []string   `json:"venues"` // null: all
	Until   time.Time  `json:"certificate_until"`
	Revoked bool       `json:"revoked,omitempty"`
	Created *time.Time `json:"created,omitempty"`
}

func (h *Hub) adminPeople(a ask) (any, *refusal) {
	people, err := h.store.ListPeople(a.Context())
	if err != nil {
		return nil, h.storeRefusal(a.Context(), "list people", err)
	}
	p := pageOf[personEntry]{Entries: []personEntry{}}
	for _, one := range people {
		p.Entries = append(p.Entries, personEntry{one.Name, one.Role, one.Venues, one.Until.UTC(), one.Revoked, timeOf(one.CreatedMS)})
	}
	return p, nil
}

// adminRevokePerson ends what a person may do. Nobody revokes the certificate
// that asks: the last one would lock everybody out.
func (h *Hub) adminRevokePerson(a ask) (any, *refusal) {
	if no := h.readJSON(a.Request, &struct{}{}); no != nil {
		return nil, no
	}
	name := a.PathValue("name")
	if name == a.by.name {
		return nil, &refusal{status: http.StatusConflict, word: "yourself", detail: "nobody revokes their own certificate"}
	}
	if _, err := h.store.Person(a.Context(), name); err != nil {
		return nil, h.changeRefusal(a.Request, "look up a person", err)
	}
	err := h.change(a.Context(), a.act("person_revoked", name, ""), func() error {
		return h.store.RevokePerson(a.Context(), name, h.now())
	})
	if err != nil {
		return nil, h.changeRefusal(a.Request, "revoke a person", err)
	}
	return struct {
		Revoked string `json:"revoked"`
	}{name}, nil
}
