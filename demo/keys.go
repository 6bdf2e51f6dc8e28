package demo

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"time"

	"checkpoint/healthcode"
	"checkpoint/trust"
)

// keys are all private keys outside the gate.
type keys struct {
	issuer  *ecdsa.PrivateKey // signs native codes
	forger  *ecdsa.PrivateKey // in nobody's list
	dsc     *ecdsa.PrivateKey // signs EU certificates
	dscCert []byte            // DER
	phone   [8]*ecdsa.PrivateKey
	pin     ed25519.PrivateKey // signs the snapshot
	sub     [32]byte           // the issuer's sub key
	days    []dayKey
}

type dayKey struct {
	id       string
	from, to time.Time
	public   []byte
}

// secret is 32 bytes for one purpose, from the seed. Go's key generation takes
// no other random source than the system's, so that keys that must come again
// are made from these.
func secret(seed uint64, purpose string) [32]byte {
	b := binary.BigEndian.AppendUint64([]byte("checkpoint demo\x00"), seed)
	return sha256.Sum256(append(b, purpose...))
}

// p256 makes a key from a secret; one in 2³² secrets is out of range, then the
// next is taken.
func p256(seed uint64, purpose string) (*ecdsa.PrivateKey, error) {
	for {
		s := secret(seed, purpose)
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), s[:]); err == nil {
			return key, nil
		}
		if purpose += "+"; len(purpose) > 64 {
			s[0] = 0
			return ecdsa.ParseRawPrivateKey(elliptic.P256(), s[:])
		}
	}
}

func newKeys(seed uint64, now time.Time) (k keys, err error) {
	for _, want := range []struct {
		key  **ecdsa.PrivateKey
		name string
	}{{&k.issuer, "issuer"}, {&k.forger, "forger"}, {&k.dsc, "dsc"}} {
		if *want.key, err = p256(seed, want.name); err != nil {
			return k, err
		}
	}
	for i := range k.phone {
		if k.phone[i], err = p256(seed, "phone "+string(rune('a'+i))); err != nil {
			return k, err
		}
	}
	pin := secret(seed, "pin")
	k.pin = ed25519.NewKeyFromSeed(pin[:])
	k.sub = secret(seed, "sub")
	day := now.Truncate(24 * time.Hour)
	for i := -1; i < 7; i++ {
		from := day.AddDate(0, 0, i)
		id := from.Format("2006-01-02")
		s := secret(seed, "day "+id)
		private, err := hpke.MLKEM768X25519().NewPrivateKey(s[:])
		if err != nil {
			return k, err
		}
		k.days = append(k.days, dayKey{id, from, from.AddDate(0, 0, 1), private.PublicKey().Bytes()})
	}
	k.dscCert, err = selfSigned(k.dsc, now)
	return k, err
}

// selfSigned is a document signer certificate for vaccinations, as a member
// state would issue (extended key usage 1.3.6.1.4.1.1847.2021.1.2).
func selfSigned(key *ecdsa.PrivateKey, now time.Time) ([]byte, error) {
	c := &x509.Certificate{
		SerialNumber:       big.NewInt(20211),
		Subject:            pkix.Name{Country: []string{"AT"}, Organization: []string{"Demo Ministry"}, CommonName: "Demo DSC 1"},
		NotBefore:          now.AddDate(-1, 0, 0),
		NotAfter:           now.AddDate(1, 0, 0),
		KeyUsage:           x509.KeyUsageDigitalSignature,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 1847, 2021, 1, 2}},
		SignatureAlgorithm: x509.ECDSAWithSHA256,
	}
	return x509.CreateCertificate(nil, c, c, &key.PublicKey, key)
}

// publish makes the signed snapshot: vouched for three hours ago, as after a
// quiet night.
func (w *World) publish() error {
	k, now := &w.keys, w.cfg.Now
	issued := now.Add(-3 * time.Hour)
	kid, err := healthcode.KeyID(&k.issuer.PublicKey)
	if err != nil {
		return err
	}
	spki, err := x509.MarshalPKIXPublicKey(&k.issuer.PublicKey)
	if err != nil {
		return err
	}
	s := &trust.Snapshot{Form: trust.Form, Version: 1, Issued: issued}
	s.Issuers = trust.Issuers{Issued: issued, Keys: []trust.IssuerKey{{
		KID: trust.ID(kid), Algorithm: "ES256", SPKI: spki, Name: "Demo Health Commission", Country: "CN",
		Regions: []string{"CN-42"}, Colours: []trust.Colour{trust.Green, trust.Amber, trust.Red, trust.Gold},
		NotBefore: now.AddDate(0, -1, 0), NotAfter: now.AddDate(0, 6, 0),
	}}}
	policy := trust.DefaultPolicy()
	policy.From, policy.Venue = now.AddDate(0, 0, -7), w.cfg.Venue
	policy.Vaccination = &trust.Vaccination{Doses: 2, MinDays: 14, MaxDays: 365}
	policy.ReplayS = 600
	s.Policy = trust.Policies{Issued: issued, Rules: []trust.Policy{policy}}
	s.Revoked = trust.Revocations{Issued: issued}
	s.DCCKeys = trust.DCCKeys{Issued: issued, Keys: []trust.DCCKey{{KID: dccKID(k.dscCert), Cert: k.dscCert}}}
	s.DayKeys = trust.DayKeys{Issued: issued}
	for _, d := range k.days {
		s.DayKeys.Keys = append(s.DayKeys.Keys, trust.DayKey{ID: d.id, From: d.from, To: d.to, PublicKey: d.public})
	}
	if w.signed, err = trust.Sign(s, k.pin); err != nil {
		return err
	}
	w.snapshot, err = trust.ParseSigned(w.signed, w.Pin())
	return err
}
