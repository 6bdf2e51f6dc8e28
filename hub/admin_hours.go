package hub

import (
	"cmp"
	"encoding/hex"
	"net/http"
	"slices"
	"time"

	"checkpoint/hub/store"
)

// Limits of hourly counts.
const (
	maxHours = 31 * 24
	maxCells = 50_000 // in one answer
)

// hourly is one count of an answer.
type hourly struct {
	Hour    int64  `json:"hour"` // since 1970, UTC
	Venue   string `json:"venue"`
	Gate    string `json:"gate,omitempty"`   // by=gate
	Device  string `json:"device,omitempty"` // by=gate
	Verdict uint8  `json:"verdict"`
	Reason  uint8  `json:"reason"`
	N       uint64 `json:"n"`
}

// adminHours answers hourly counts of verdicts and reasons from an hour to
// before another, by gate or by venue, in the order of hour, venue, device,
// verdict and reason.
func (h *Hub) adminHours(a ask) (any, *refusal) {
	venues, no := a.scope()
	if no != nil {
		return nil, no
	}
	from, to, no := a.span()
	if no != nil {
		return nil, no
	}
	by, no := a.query.word("by", "gate", "venue")
	if no != nil {
		return nil, no
	}
	if to.Sub(from) > maxHours*time.Hour {
		return nil, badQuery("at most 31 days at once")
	}
	sums := map[store.Hourly]uint64{}
	first, end := floorHour(from.UnixMilli()), floorHour(to.UnixMilli()-1)+1
	// A day at a time: what a month of a big hub adds up to need not be in memory
	// at once before it is summed by venue.
	for hour := first; hour < end; hour += 24 {
		counts, err := h.store.Hourly(a.Context(), venues, hour, min(hour+24, end))
		if err != nil {
			return nil, h.storeRefusal(a.Context(), "read hourly counts", err)
		}
		for _, c := range counts {
			n := c.N
			if c.N = 0; by == "venue" {
				c.Device = [16]byte{}
			}
			sums[c] += n
		}
		if len(sums) > maxCells {
			return nil, tooMuch("more counts than one answer holds: ask for fewer hours or venues, or by=venue")
		}
	}
	names := h.gateNames(a)
	counts := make([]hourly, 0, len(sums))
	for c, n := range sums {
		one := hourly{Hour: c.Hour, Venue: c.Venue, Verdict: c.Verdict, Reason: c.Reason, N: n}
		if by != "venue" {
			if one.Gate, no = names(c.Device); no != nil {
				return nil, no
			}
			one.Device = hex.EncodeToString(c.Device[:])
		}
		counts = append(counts, one)
	}
	slices.SortFunc(counts, func(x, y hourly) int {
		return cmp.Or(cmp.Compare(x.Hour, y.Hour), cmp.Compare(x.Venue, y.Venue), cmp.Compare(x.Device, y.Device), cmp.Compare(x.Verdict, y.Verdict), cmp.Compare(x.Reason, y.Reason))
	})
	return struct {
		Hours []hourly `json:"hours"`
	}{counts}, nil
}

func tooMuch(why string) *refusal {
	return &refusal{status: http.StatusUnprocessableEntity, word: "too_much", detail: why}
}

// span is from and to, both of which must be given.
func (a ask) span() (from, to time.Time, no *refusal) {
	if from, no = a.query.when("from"); no != nil {
		return from, to, no
	}
	if to, no = a.query.when("to"); no != nil {
		return from, to, no
	}
	if from.IsZero() || to.IsZero() || !from.Before(to) {
		return from, to, badQuery("want from and to, from before to")
	}
	return from, to, nil
}
