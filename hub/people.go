package hub

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub/store"
)

// Role is what a person may do. It stands in the certificate.
type Role string

// The roles.
const (
	Manager      Role = "manager"      // reads what happened in the venues
	Technician   Role = "technician"   // sets up gates of the venues
	Headquarters Role = "headquarters" // all of it, everywhere
)

// Lives of a person's certificate.
const (
	PersonLife = 90 * 24 * time.Hour  // where nothing else is said
	MaxLife    = 398 * 24 * time.Hour // at most
)

const maxVenues = 64 // of one person: the certificate travels with every connection

// ErrPerson: no such person can be.
var ErrPerson = errors.New("not a usable person")

// person is who asks, by the certificate.
type person struct {
	name   string
	role   Role
	venues []string // nil: all
	until  time.Time
}

// sees reports whether a venue is one of the person's. Headquarters and who has
// no venues in the certificate see all.
func (p person) sees(venue string) bool { return p.venues == nil || slices.Contains(p.venues, venue) }

// person is who asks: the certificate says the name, the role and the venues,
// the store whether it still holds. Only the newest certificate of a person
// does, so that a new one ends a lost one.
func (h *Hub) person(r *http.Request) (person, *refusal) {
	if p, ok := operator(r); ok {
		return p, nil
	}
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
		return person{}, &refusal{status: http.StatusUnauthorized, word: "no_certificate", detail: "only a person with a certificate of this hub may ask this"}
	}
	cert := r.TLS.VerifiedChains[0][0]
	if now := h.now(); now.After(cert.NotAfter) || now.Before(cert.NotBefore) {
		return person{}, &refusal{status: http.StatusUnauthorized, word: "certificate_expired", detail: "ask the hub's operator for a new certificate"}
	}
	name, role, venues, err := enroll.PersonOf(cert)
	p := person{name: name, role: Role(role), venues: venues, until: cert.NotAfter.UTC()}
	if err != nil || rightsOf(p.role) == 0 {
		return person{}, &refusal{status: http.StatusForbidden, word: "not_a_person", detail: "this certificate is not a person's"}
	}
	if len(p.venues) == 0 || p.role == Headquarters {
		p.venues = nil
	}
	known, err := h.store.Person(r.Context(), name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return person{}, &refusal{status: http.StatusForbidden, word: "unknown_person", detail: "this hub knows no such person"}
	case err != nil:
		return person{}, h.storeRefusal(r.Context(), "look up a person", err)
	case known.Revoked:
		return person{}, &refusal{status: http.StatusForbidden, word: "revoked", detail: "this person was revoked"}
	case known.Serial != serialOf(cert):
		return person{}, &refusal{status: http.StatusForbidden, word: "superseded", detail: "this person has a newer certificate"}
	}
	return p, nil
}

func serialOf(cert *x509.Certificate) string { return cert.SerialNumber.Text(16) }

// IssuePerson certifies a person, known or new, for ttl (0: PersonLife), and
// returns PEM: the certificate, the CA's, and, without a request, the private
// key that was made for it, which is kept nowhere else. csr is DER PKCS #10 with
// a P-256 key; only its key is taken. A certificate that the person had before
// holds no more. venues none: all.
func (h *Hub) IssuePerson(ctx context.Context, name string, role Role, venues []string, ttl time.Duration, csr []byte) ([]byte, error) {
	if err := checkPerson(name, role, venues); err != nil {
		return nil, err
	}
	if ttl == 0 {
		ttl = PersonLife
	}
	if ttl < 0 || ttl > MaxLife {
		return nil, fmt.Errorf("%w: a certificate lives at most %d days", ErrPerson, int(MaxLife/(24*time.Hour)))
	}
	key, made, err := personKey(csr)
	if err != nil {
		return nil, err
	}
	venues = slices.Compact(slices.Sorted(slices.Values(venues)))
	now := h.now()
	cert, err := h.keys.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		URIs:        enroll.PersonURIs(name, string(role), venues),
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(ttl),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, key)
	if err != nil {
		return nil, err
	}
	act := store.Act{Who: "hub", Role: "operator", What: "person_certified", On: name, Text: string(role)}
	err = h.change(ctx, act, func() error {
		return h.store.AddPerson(ctx, store.Person{Name: name, Role: string(role), Venues: venues, Serial: serialOf(cert), Until: cert.NotAfter, CreatedMS: now.UnixMilli()})
	})
	if err != nil {
		return nil, fmt.Errorf("add %s: %w", name, err)
	}
	return personBundle(cert, h.keys.ca, made)
}

// RevokePerson ends what a person may do, at once.
func (h *Hub) RevokePerson(ctx context.Context, name string) error {
	err := h.change(ctx, store.Act{Who: "hub", Role: "operator", What: "person_revoked", On: name}, func() error {
		return h.store.RevokePerson(ctx, name, h.now())
	})
	if err != nil {
		return fmt.Errorf("revoke %s: %w", name, err)
	}
	return nil
}

func checkPerson(name string, role Role, venues []string) error {
	if err := checkName("person", name, maxName); err != nil {
		return err
	}
	if name == "hub" {
		return fmt.Errorf("%w: acts of the operator stand under the name hub", ErrPerson)
	}
	if rightsOf(role) == 0 {
		return fmt.Errorf("%w: the role is manager, technician or headquarters", ErrPerson)
	}
	if role == Headquarters && len(venues) > 0 {
		return fmt.Errorf("%w: headquarters sees all venues", ErrPerson)
	}
	if len(venues) > maxVenues {
		return fmt.Errorf("%w: at most %d venues", ErrPerson, maxVenues)
	}
	for _, venue := range venues {
		if err := checkVenue(venue, "any"); err != nil {
			return err
		}
	}
	return nil
}

// personKey is the key to certify: that of the request, else a new one.
func personKey(csr []byte) (*ecdsa.PublicKey, *ecdsa.PrivateKey, error) {
	if csr == nil {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, nil, fmt.Errorf("make a key: %w", err)
		}
		return &key.PublicKey, key, nil
	}
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil || request.CheckSignature() != nil {
		return nil, nil, fmt.Errorf("%w: the certificate request cannot be read or is not signed by its key", ErrPerson)
	}
	key, ok := request.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, nil, fmt.Errorf("%w: the request's key is not ECDSA P-256", ErrPerson)
	}
	return key, nil, nil
}

func personBundle(cert, ca *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	var b bytes.Buffer
	blocks := []*pem.Block{{Type: pemCertificate, Bytes: cert.Raw}, {Type: pemCertificate, Bytes: ca.Raw}}
	if key != nil {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, fmt.Errorf("write a key: %w", err)
		}
		blocks = append(blocks, &pem.Block{Type: pemKey, Bytes: der})
	}
	for _, block := range blocks {
		if err := pem.Encode(&b, block); err != nil {
			return nil, fmt.Errorf("write a certificate: %w", err)
		}
	}
	return b.Bytes(), nil
}

// change makes a change that is recorded. The act stands before the change
// does: one that cannot be recorded is not made, and one that then fails is
// followed by a line that says so.
func (h *Hub) change(ctx context.Context, act store.Act, do func() error) error {
	act.At = h.now()
	if err := h.store.Record(ctx, act); err != nil {
		return fmt.Errorf("record %s: %w", act.What, err)
	}
	h.log.Info("change", "what", act.What, "on", act.On, "venue", act.Venue, "who", act.Who, "role", act.Role)
	err := do()
	if err != nil {
		act.What, act.Text = "not_done", act.What
		h.noteAside(context.WithoutCancel(ctx), act)
	}
	return err
}

// noteAside records an act that has happened whether it is recorded or not.
func (h *Hub) noteAside(ctx context.Context, act store.Act) {
	act.At = h.now()
	if err := h.store.Record(ctx, act); err != nil {
		h.log.Error("act not recorded", "what", act.What, "on", act.On, "error", err)
	}
}
