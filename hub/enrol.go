package hub

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub/store"
)

// renewWithin is how long after its end a certificate can still be renewed.
const renewWithin = 180 * 24 * time.Hour

// renewFrom is the share of its life after which a certificate is renewed.
const renewFrom = 3 // a third

func (h *Hub) enrolRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST "+enroll.PathEnroll, h.granting(h.enrol))
	mux.HandleFunc("POST "+enroll.PathRenew, h.granting(h.renew))
	mux.HandleFunc("POST "+enroll.PathRenewExpired, h.granting(h.renewExpired))
}

func (h *Hub) granting(ask func(r *http.Request) (enroll.Grant, *refusal)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		grant, no := ask(r)
		if no != nil {
			h.refuse(w, no)
			return
		}
		h.answer(w, http.StatusOK, grant)
	}
}

// enrol makes a gate of a device that shows a token and proves its keys. Asked
// again by the same device with the same keys it answers again: the first
// answer may have been lost.
func (h *Hub) enrol(r *http.Request) (enroll.Grant, *refusal) {
	visitor := visitorOf(r)
	if no := h.strangers.enter(visitor, h.now()); no != nil {
		return enroll.Grant{}, no
	}
	p, no := h.prove(r)
	if no != nil {
		h.strangers.offend(visitor, h.now())
		return enroll.Grant{}, no
	}
	if p.Token == ([32]byte{}) || p.OldCert != nil {
		return enroll.Grant{}, notRequest("an enrolment shows a token and no old certificate")
	}
	ctx := r.Context()
	// Before the token is spent: without a root there is nothing to start from.
	root, err := h.rootOf(ctx, p.Token)
	if errors.Is(err, store.ErrNotFound) {
		return enroll.Grant{}, &refusal{http.StatusServiceUnavailable, "no_trust", "this hub has no trust repository yet: publish one", time.Minute}
	}
	if err != nil {
		return enroll.Grant{}, h.storeRefusal(ctx, "read the root of trust", err)
	}
	gate, use, err := h.store.UseToken(ctx, p.Token, store.Enrolment{
		Device: p.Device, SegmentKey: p.Segment, TLSKey: p.TLSKeyHash,
		Word: enroll.Word(p.Token, p.TLSKeyHash, p.Segment), At: h.now(),
	})
	if err != nil {
		return enroll.Grant{}, h.storeRefusal(ctx, "use a token", err)
	}
	if use != store.TokenGood && use != store.TokenAgain {
		h.strangers.offend(visitor, h.now())
		return enroll.Grant{}, h.tokenRefused(ctx, gate, use)
	}
	if gate.State != store.Active && gate.State != store.Pending {
		return enroll.Grant{}, revoked()
	}
	if use == store.TokenAgain && string(gate.CertSPKI) != string(p.TLSKeyHash[:]) {
		// It has renewed since, so no answer was lost.
		return enroll.Grant{}, h.tokenRefused(ctx, gate, store.TokenUsed)
	}
	grant, no := h.grant(ctx, gate, p, [32]byte{}, p.TLSKeyHash)
	if no != nil {
		return enroll.Grant{}, no
	}
	grant.Root = root.bytes
	if use == store.TokenGood {
		h.log.Info("gate enrolled", "gate", gate.Name, "venue", gate.Venue, "state", string(gate.State))
		h.noteAside(ctx, store.Act{Who: gate.Name, Role: "gate", What: "gate_enrolled", On: gate.Name, Venue: gate.Venue, Text: string(gate.State)})
	}
	return grant, nil
}

// prove reads a request and checks all its proofs.
func (h *Hub) prove(r *http.Request) (enroll.Proven, *refusal) {
	body, no := h.readBody(r, enroll.MaxRequest)
	if no != nil {
		return enroll.Proven{}, no
	}
	request, err := enroll.ParseRequest(body)
	if err != nil {
		return enroll.Proven{}, notRequest("not an enrolment request by docs/formats.md")
	}
	p, err := request.Prove()
	switch {
	case errors.Is(err, enroll.ErrProof):
		return enroll.Proven{}, &refusal{status: http.StatusForbidden, word: "not_proven", detail: "a key was not proven"}
	case err != nil:
		return enroll.Proven{}, notRequest("not an enrolment request by docs/formats.md")
	}
	return p, nil
}

func notRequest(why string) *refusal {
	return &refusal{status: http.StatusBadRequest, word: "request", detail: why}
}

// tokenRefused is the answer to a token that opens nothing.
func (h *Hub) tokenRefused(ctx context.Context, gate store.Gate, use store.TokenUse) *refusal {
	switch use {
	case store.TokenUsed:
		h.raiseAside(ctx, store.Alarm{Kind: "token_reused", Gate: gate.Name, Venue: gate.Venue,
			Text: "a code that had enrolled a gate was shown by another device: look who has the sheet, and whether the right gate has enrolled"})
		return &refusal{status: http.StatusConflict, word: "token_used", detail: "this code has enrolled another device: ask the technician for a new one"}
	case store.TokenExpired:
		return &refusal{status: http.StatusGone, word: "token_expired", detail: "this code is over: ask the technician for a new one"}
	case store.TokenDevice:
		h.raiseAside(ctx, store.Alarm{Kind: "device_reused", Gate: gate.Name, Venue: gate.Venue,
			Text: "a device that is revoked, or is another gate, tried to enrol"})
		return &refusal{status: http.StatusForbidden, word: "device_known", detail: "this device is revoked or is another gate: enrol it as a new device"}
	}
	h.log.Warn("unknown enrolment code shown")
	return &refusal{status: http.StatusForbidden, word: "token_unknown", detail: "this hub gave no such code, or gave a newer one since"}
}

// grant issues a certificate and says what the gate is. known is the key that
// the gate holds for certain; after, zero at enrolment, the one it renews.
func (h *Hub) grant(ctx context.Context, gate store.Gate, p enroll.Proven, after, known [32]byte) (enroll.Grant, *refusal) {
	now := h.now()
	cert, err := h.keys.gateCertificate(gate.Name, p.Device, p.TLSKey, after, now)
	if err != nil {
		h.log.Error("certificate not issued", "gate", gate.Name, "error", err)
		return enroll.Grant{}, &refusal{http.StatusServiceUnavailable, "no_certificate_made", "the hub's CA cannot sign now", time.Minute}
	}
	if err := h.store.Renewed(ctx, p.Device, known, cert.NotAfter); err != nil {
		return enroll.Grant{}, h.storeRefusal(ctx, "note a certificate", err)
	}
	h.forget(p.Device)
	g := enroll.Grant{
		State: string(gate.State), Gate: gate.Name, Venue: gate.Venue, VenueType: gate.VenueType,
		Chain: [][]byte{cert.Raw, h.keys.ca.Raw}, Interval: int(h.cfg.Interval / time.Second), Time: now.UTC(),
	}
	if gate.State == store.Pending {
		g.Word = gate.Word
	}
	return g, nil
}

// renew gives a gate that shows its certificate the next one.
func (h *Hub) renew(r *http.Request) (enroll.Grant, *refusal) {
	gate, no := h.device(r)
	if no != nil {
		return enroll.Grant{}, no
	}
	if no := h.renewals.enter(string(gate.Device[:]), h.now()); no != nil {
		return enroll.Grant{}, no
	}
	p, no := h.prove(r)
	if no != nil {
		return enroll.Grant{}, no
	}
	if p.Token != ([32]byte{}) || p.OldCert != nil || p.Device != gate.Device {
		return enroll.Grant{}, notRequest("a renewal shows no token and no old certificate, and names its own device")
	}
	return h.renewCertificate(r.Context(), r.TLS.VerifiedChains[0][0], p)
}

// renewExpired is for a gate whose certificate has ended: TLS does not take it
// any more, so the request itself proves its key.
func (h *Hub) renewExpired(r *http.Request) (enroll.Grant, *refusal) {
	visitor := visitorOf(r)
	if no := h.strangers.enter(visitor, h.now()); no != nil {
		return enroll.Grant{}, no
	}
	p, no := h.prove(r)
	if no == nil && (p.OldCert == nil || p.Token != ([32]byte{})) {
		no = notRequest("a renewal after the end shows the old certificate and no token")
	}
	if no == nil && !h.keys.issued(p.OldCert) {
		no = &refusal{status: http.StatusForbidden, word: "not_ours", detail: "the old certificate is not this hub's"}
	}
	if no == nil {
		if device, err := enroll.DeviceOf(p.OldCert); err != nil || device != p.Device {
			no = &refusal{status: http.StatusForbidden, word: "not_your_device", detail: "the old certificate is another device's"}
		}
	}
	if no != nil {
		h.strangers.offend(visitor, h.now())
		return enroll.Grant{}, no
	}
	if h.now().After(p.OldCert.NotAfter.Add(renewWithin)) {
		return enroll.Grant{}, &refusal{status: http.StatusForbidden, word: "expired_for_good", detail: "the certificate ended more than 180 days ago: enrol the gate again"}
	}
	return h.renewCertificate(r.Context(), p.OldCert, p)
}

// renewCertificate issues the certificate after held, which the gate has proven
// to hold.
//
// An answer may be lost, and then the gate holds held while the hub has signed
// what follows it. So the hub keeps not the newest key it signed but the last
// one that it has seen held: held may be that, or follow it, which its own
// subject says. Once a follower is seen, its parent and its siblings are over;
// who shows one of those holds a copy.
func (h *Hub) renewCertificate(ctx context.Context, held *x509.Certificate, p enroll.Proven) (enroll.Grant, *refusal) {
	gate, no := h.gateFresh(ctx, p.Device)
	if no != nil {
		return enroll.Grant{}, no
	}
	switch gate.State {
	case store.Active:
	case store.Pending:
		return enroll.Grant{}, &refusal{status: http.StatusForbidden, word: "pending", detail: "the technician has not compared the word yet"}
	case store.Revoked, store.Invited:
		h.raiseAside(ctx, store.Alarm{Kind: "revoked_renewal", Gate: gate.Name, Venue: gate.Venue, Text: "a revoked gate asked for a new certificate"})
		return enroll.Grant{}, revoked()
	default:
		return enroll.Grant{}, revoked()
	}
	if string(gate.SegmentKey) != string(p.Segment) {
		return enroll.Grant{}, &refusal{status: http.StatusForbidden, word: "segment_key", detail: "a renewal cannot change the segment key: enrol the gate again"}
	}
	key := sha256.Sum256(held.RawSubjectPublicKeyInfo)
	after, follows := followed(held)
	if string(gate.CertSPKI) != string(key[:]) && (!follows || string(gate.CertSPKI) != string(after[:])) {
		h.raiseAside(ctx, store.Alarm{Kind: "certificate_reused", Gate: gate.Name, Venue: gate.Venue,
			Text: "a certificate that was followed by another was shown: there is a copy of this gate, or it was restored from one"})
		return enroll.Grant{}, &refusal{status: http.StatusForbidden, word: "superseded", detail: "this certificate was followed by another one: enrol the gate again"}
	}
	if wait := h.tooEarly(held); wait > 0 {
		return enroll.Grant{}, &refusal{http.StatusTooManyRequests, "too_early", "a certificate is renewed from a third of its life on", wait}
	}
	grant, no := h.grant(ctx, gate, p, key, key)
	if no == nil {
		h.log.Info("certificate renewed", "gate", gate.Name, "venue", gate.Venue, "ended", h.now().After(held.NotAfter))
	}
	return grant, no
}

// tooEarly is how long a certificate is not renewed yet. One that another CA
// than the present one has signed is renewed at once, so that a CA can go.
func (h *Hub) tooEarly(held *x509.Certificate) time.Duration {
	if held.CheckSignatureFrom(h.keys.ca) != nil {
		return 0
	}
	from := held.NotBefore.Add(held.NotAfter.Sub(held.NotBefore) / renewFrom)
	return from.Sub(h.now())
}

// Lives of enrolment codes.
const (
	ScreenCode = 15 * time.Minute
	SheetCode  = 7 * 24 * time.Hour
)

// Errors of invitations.
var (
	// ErrName: a name that no gate, venue, type or person can have.
	ErrName = errors.New("not a usable name")
	// ErrNoTrust: there is no root for a gate to start from.
	ErrNoTrust = errors.New("the hub has no trust repository: publish one first")
	// ErrCode: a code that would live too long.
	ErrCode = errors.New("an enrolment code lives at most 15 minutes on a screen and 7 days on a sheet")
)

// Invite makes a gate and the code that enrols it. ttl 0 is the longest that
// there is. store.ErrExists: the name is taken; see InviteAgain.
func (h *Hub) Invite(ctx context.Context, name, venue, venueType string, sheet bool, ttl time.Duration) (enroll.Token, error) {
	if err := checkGate(name, venue, venueType); err != nil {
		return enroll.Token{}, err
	}
	return h.invite(ctx, name, sheet, ttl, func(t store.Token) error {
		return h.store.CreateGate(ctx, store.Gate{Name: name, Venue: venue, VenueType: venueType, State: store.Invited, CreatedMS: h.now().UnixMilli()}, t)
	})
}

// InviteAgain makes a new code for a gate that was invited or revoked; its
// older codes end. store.ErrState: the gate is enrolled.
func (h *Hub) InviteAgain(ctx context.Context, name string, sheet bool, ttl time.Duration) (enroll.Token, error) {
	return h.invite(ctx, name, sheet, ttl, func(t store.Token) error { return h.store.Invite(ctx, t) })
}

func (h *Hub) invite(ctx context.Context, name string, sheet bool, ttl time.Duration, keep func(store.Token) error) (enroll.Token, error) {
	longest := ScreenCode
	if sheet {
		longest = SheetCode
	}
	if ttl == 0 {
		ttl = longest
	}
	if ttl < 0 || ttl > longest {
		return enroll.Token{}, ErrCode
	}
	rootName, version, err := h.newestRoot(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return enroll.Token{}, ErrNoTrust
	}
	if err != nil {
		return enroll.Token{}, fmt.Errorf("invite a gate: %w", err)
	}
	root, err := h.trustFile(ctx, rootName)
	if err != nil {
		return enroll.Token{}, fmt.Errorf("invite a gate: %w", err)
	}
	t := enroll.Token{Secret: newSecret(version), Pin: h.keys.Pin(), Root: sha256.Sum256(root.bytes), URL: h.cfg.URL}
	if _, err := enroll.ParseToken(t.Text()); err != nil {
		return enroll.Token{}, fmt.Errorf("invite a gate: the hub's address %q cannot stand in a code: %w", h.cfg.URL, err)
	}
	if err := keep(store.Token{Hash: sha256.Sum256(t.Secret[:]), Gate: name, Expires: h.now().Add(ttl), Sheet: sheet}); err != nil {
		return enroll.Token{}, fmt.Errorf("invite %s: %w", name, err)
	}
	h.log.Info("gate invited", "gate", name, "sheet", sheet)
	return t, nil
}

// newSecret is a token's secret, which marks the root that the token names: the
// last byte of its hash is that of the root's version. A sheet lives for a week,
// and a new root may be published before its gate enrols; the hub, which keeps
// only the hash, must then still answer with the root that the code names. 248
// bits stay random.
func newSecret(rootVersion uint64) (secret [32]byte) {
	for {
		randomBytes(secret[:])
		if rootMark(sha256.Sum256(secret[:])) == byte(rootVersion) {
			return secret
		}
	}
}

func rootMark(hash [32]byte) byte { return hash[31] }
