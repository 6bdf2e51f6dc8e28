package hub

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"checkpoint/enroll"
	"checkpoint/record"
)

// What strangers may ask. A code has 256 random bits, so nobody guesses one;
// what is bounded is the work that a request costs (two signatures checked, one
// made, two commits). Five hundred gates behind one address whose certificates
// have all ended are through in some four minutes.
const (
	strangersRate  = 2 // a second and address
	strangersBurst = 60
	allRate        = 50 // a second, all addresses
	allBurst       = 200
	offence        = 10 // what a refused request costs, in requests
	renewalRate    = 1.0 / 30
	renewalBurst   = 5
	maxVisitors    = 1 << 13
)

// doorman lets each visitor, and all of them together, ask so often.
type doorman struct {
	rate  rate.Limit
	burst int
	all   *rate.Limiter // nil: no common bound

	mu       sync.Mutex
	visitors map[string]*visitor
}

type visitor struct {
	limiter *rate.Limiter
	last    time.Time
}

func newDoorman(each rate.Limit, burst int, all *rate.Limiter) *doorman {
	return &doorman{rate: each, burst: burst, all: all, visitors: map[string]*visitor{}}
}

// enter lets one request in, or says how long to wait.
func (d *doorman) enter(who string, now time.Time) *refusal {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.visitor(who, now)
	no := &refusal{http.StatusTooManyRequests, "slow_down", "too many requests from here", 0}
	if !v.limiter.AllowN(now, 1) {
		no.after = time.Duration(max(1, 1/float64(d.rate)) * float64(time.Second))
		return no
	}
	if d.all != nil && !d.all.AllowN(now, 1) {
		no.after = 5 * time.Second
		return no
	}
	return nil
}

// offend makes a request that was refused cost more than one that was not.
func (d *doorman) offend(who string, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.visitor(who, now)
	// What is left, if there is less: the limiter knows no debt.
	if n := min(offence-1, int(v.limiter.TokensAt(now))); n > 0 {
		v.limiter.AllowN(now, n)
	}
}

func (d *doorman) visitor(who string, now time.Time) *visitor {
	v := d.visitors[who]
	if v == nil {
		if len(d.visitors) >= maxVisitors {
			d.sweep(now)
		}
		v = &visitor{limiter: rate.NewLimiter(d.rate, d.burst)}
		d.visitors[who] = v
	}
	v.last = now
	return v
}

// sweep forgets visitors whose burst is whole again. When all are busy it
// forgets all: the common bound still stands.
func (d *doorman) sweep(now time.Time) {
	whole := time.Duration(float64(d.burst)/float64(d.rate)*float64(time.Second)) + time.Second
	for who, v := range d.visitors {
		if now.Sub(v.last) > whole {
			delete(d.visitors, who)
		}
	}
	if len(d.visitors) >= maxVisitors {
		clear(d.visitors)
	}
}

// visitorOf is the address that a request came from; of IPv6 the /64 that one
// customer has.
func visitorOf(r *http.Request) string {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	addr := at.Addr().Unmap()
	if addr.Is6() {
		if p, err := addr.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}

// Limits of names.
const (
	maxName = 64 // bytes of a gate's or a person's name
	maxType = 32 // bytes of a venue's type
)

// Tries to confirm one gate's word: a person compares six digits, and one who
// has to guess is stopped.
const (
	wordsRate  = 1.0 / 60
	wordsBurst = 5
)

// checkGate looks at the three names that a gate has.
func checkGate(name, venue, venueType string) error {
	if err := checkName("gate", name, maxName); err != nil {
		return err
	}
	return checkVenue(venue, venueType)
}

func checkVenue(venue, venueType string) error {
	if err := checkName("venue", venue, record.MaxVenue); err != nil {
		return err
	}
	if !record.ValidVenue(venue) {
		return fmt.Errorf("%w: the venue's name cannot stand in a segment", ErrName)
	}
	if len(venueType) > maxType || !enroll.ValidVenueType(venueType) {
		return fmt.Errorf("%w: a venue's type is a word as the policy has it: subway, mall, any", ErrName)
	}
	return nil
}

// checkName takes what can stand on a screen, in a path and in a certificate
// without doing anything there.
func checkName(what, name string, most int) error {
	bad := func(why string) error { return fmt.Errorf("%w: the %s's name %s", ErrName, what, why) }
	switch {
	case name == "" || len(name) > most:
		return bad(fmt.Sprintf("has 1 to %d bytes", most))
	case !utf8.ValidString(name):
		return bad("is UTF-8")
	case strings.TrimSpace(name) != name:
		return bad("neither begins nor ends with a space")
	case strings.ContainsAny(name, `/\`) || name == "." || name == "..":
		return bad("holds no slash")
	}
	for _, r := range name {
		// IsPrint leaves out controls, format characters (bidi among them) and all
		// spaces but the plain one.
		if !unicode.IsPrint(r) {
			return bad("holds printable characters only")
		}
	}
	if !enroll.ValidName(name) {
		return bad("cannot stand in a certificate")
	}
	return nil
}

// randomBytes fills b. crypto/rand never fails: it ends the program instead.
func randomBytes(b []byte) { _, _ = rand.Read(b) }
