// Package demo makes an ordinary morning at a gate: an issuer with its keys, a
// signed trust snapshot with a policy and day keys, people with invented
// names, and the codes they hold up.
//
//	w, err := demo.New(demo.Config{Seed: 1, Now: time.Now()})
//	snapshot := w.Snapshot()                 // what the gate trusts
//	prop, want, err := w.Prop(1, time.Now()) // what the first person holds up
//
// The first people of the morning show one of everything that a guard must
// know (pass, gold, screenshot, amber, red, paper, a stranger's code, a
// forgery, a certificate from abroad); the rest are the usual mix, nearly all
// of it green. Keys, names and order follow from the seed; codes that must be
// fresh are signed at the moment they are held up.
//
// Nothing here is secret or of any authority: the private keys live in the
// World and sign for nobody but the demo's own gate.
package demo

import (
	"crypto/ed25519"
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"checkpoint/camera/synth"
	"checkpoint/decode"
	"checkpoint/trust"
	"checkpoint/verify"
)

// Config sets up a World.
type Config struct {
	Seed  uint64    // 0: fresh keys and people each time
	Now   time.Time // when the morning begins
	Venue string    // venue type of the policy; "" means subway
}

// Expect is what a gate with the world's trust must say to a prop.
type Expect struct {
	Verdict verify.Name
	Reason  verify.Reason
	What    string // for a log: "red, contact of a case"; no names
}

// World is everything outside the gate. It may be used by several goroutines.
type World struct {
	cfg      Config
	keys     keys
	snapshot *trust.Snapshot
	signed   []byte
}

// New makes a World. The error is one of cfg, or of the system's random source.
func New(cfg Config) (*World, error) {
	if cfg.Now.IsZero() {
		return nil, fmt.Errorf("demo: no time to begin at")
	}
	cfg.Now = cfg.Now.UTC().Truncate(time.Second)
	if cfg.Venue == "" {
		cfg.Venue = "subway"
	}
	for cfg.Seed == 0 {
		var b [8]byte
		if _, err := crand.Read(b[:]); err != nil {
			return nil, fmt.Errorf("demo: %w", err)
		}
		cfg.Seed = binary.LittleEndian.Uint64(b[:])
	}
	w := &World{cfg: cfg}
	var err error
	if w.keys, err = newKeys(cfg.Seed, cfg.Now); err != nil {
		return nil, fmt.Errorf("demo: make keys: %w", err)
	}
	if err := w.publish(); err != nil {
		return nil, fmt.Errorf("demo: publish trust: %w", err)
	}
	return w, nil
}

// Seed is the seed in use: the configured one, or the one that was drawn.
func (w *World) Seed() uint64 { return w.cfg.Seed }

// Venue is the venue type that the policy is for.
func (w *World) Venue() string { return w.cfg.Venue }

// Snapshot is what the gate trusts. It must not be changed.
func (w *World) Snapshot() *trust.Snapshot { return w.snapshot }

// SignedTrust is the snapshot as a signed file, as `trust install` takes it.
func (w *World) SignedTrust() []byte { return append([]byte(nil), w.signed...) }

// Pin is the public key that SignedTrust is signed with.
func (w *World) Pin() ed25519.PublicKey { return w.keys.pin.Public().(ed25519.PublicKey) }

// Text is the text of the code that the n-th person (from 1) shows when they
// hold it up at the instant now.
func (w *World) Text(n uint64, now time.Time) ([]byte, Expect, error) {
	p := w.person(n)
	text, err := w.code(p, now)
	if err != nil {
		return nil, Expect{}, fmt.Errorf("demo: person %d: %w", n, err)
	}
	return text, acts[p.act].expect, nil
}

// Prop is what the n-th person holds up at the instant now.
func (w *World) Prop(n uint64, now time.Time) (synth.Prop, Expect, error) {
	text, want, err := w.Text(n, now)
	if err != nil {
		return synth.Prop{}, Expect{}, err
	}
	m, err := decode.Encode(text, decode.LevelM)
	if err != nil {
		return synth.Prop{}, Expect{}, fmt.Errorf("demo: person %d: %w", n, err)
	}
	p, a := w.person(n), acts[w.person(n).act]
	return synth.Prop{
		Size: m.Size, Bits: m.Bits,
		Kind: a.kind, Header: a.header, Difficulty: p.difficulty,
		Inverted: p.inverted && a.kind == synth.Phone,
	}, want, nil
}
