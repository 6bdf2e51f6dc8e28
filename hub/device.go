package hub

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub/store"
)

// device is the gate that asks, by its certificate. TLS has verified the chain;
// the dates are looked at again, since a connection may outlive them. The gate
// may be in any state: the caller looks.
func (h *Hub) device(r *http.Request) (store.Gate, *refusal) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
		return store.Gate{}, &refusal{status: http.StatusUnauthorized, word: "no_certificate", detail: "only a gate with its certificate may ask this"}
	}
	cert := r.TLS.VerifiedChains[0][0]
	if now := h.now(); now.After(cert.NotAfter) || now.Before(cert.NotBefore) {
		// A handshake would refuse it in a way that the gate knows what to do about
		// (renew); 401 it takes for a revocation. So it is sent into a new handshake.
		return store.Gate{}, &refusal{status: http.StatusServiceUnavailable, word: certificateExpired, detail: "the certificate ended while its connection lived: connect again", after: time.Second}
	}
	device, err := enroll.DeviceOf(cert)
	if err != nil {
		return store.Gate{}, &refusal{status: http.StatusForbidden, word: "not_a_gate", detail: "this certificate is not a gate's"}
	}
	return h.gate(r.Context(), device)
}

// certificateExpired is the word of an answer after which the connection is closed.
const certificateExpired = "certificate_expired"

// gate looks a device up, at most gateTTL late.
func (h *Hub) gate(ctx context.Context, device [16]byte) (store.Gate, *refusal) {
	if g, ok := h.gates.get(device, h.now()); ok {
		return g, nil
	}
	return h.gateFresh(ctx, device)
}

// gateFresh looks a device up in the store itself. Nothing is refused for good
// on a gate that was only remembered: it may have moved a moment ago.
func (h *Hub) gateFresh(ctx context.Context, device [16]byte) (store.Gate, *refusal) {
	generation := h.gates.generation()
	g, err := h.store.GateByDevice(ctx, device)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.Gate{}, &refusal{status: http.StatusForbidden, word: "unknown_device", detail: "this hub knows no such gate: enrol it again"}
	case err != nil:
		return store.Gate{}, h.storeRefusal(ctx, "look up a gate", err)
	}
	h.gates.keep(device, g, h.now(), generation)
	return g, nil
}

// forget makes the next request of a device look it up anew: after it was
// confirmed, revoked, moved or renewed.
func (h *Hub) forget(device [16]byte) { h.gates.forget(device) }

// Another hub on the same store may revoke a gate: its requests are served at
// most so much longer here.
const (
	gateTTL  = 2 * time.Second
	maxGates = 1 << 15
)

// gateCache remembers gates for gateTTL. A lookup that began before a forget is
// not kept, or a revocation could be overtaken by what was read before it.
type gateCache struct {
	mu    sync.RWMutex
	turn  uint64
	gates map[[16]byte]keptGate
}

type keptGate struct {
	gate  store.Gate
	until time.Time
}

func newGateCache() *gateCache { return &gateCache{gates: map[[16]byte]keptGate{}} }

func (c *gateCache) get(device [16]byte, now time.Time) (store.Gate, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	kept, ok := c.gates[device]
	// A clock that was set back must not make an entry live on.
	if !ok || !now.Before(kept.until) || kept.until.Sub(now) > gateTTL {
		return store.Gate{}, false
	}
	return kept.gate, true
}

func (c *gateCache) generation() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.turn
}

func (c *gateCache) keep(device [16]byte, g store.Gate, now time.Time, generation uint64) {
	g.Venues = slices.Clone(g.Venues)
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.turn {
		return
	}
	if len(c.gates) >= maxGates {
		clear(c.gates)
	}
	c.gates[device] = keptGate{g, now.Add(gateTTL)}
}

func (c *gateCache) forget(device [16]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	delete(c.gates, device)
}
