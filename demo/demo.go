// Package demo makes an ordinary morning at a gate: an issuer with its keys, a
// signed trust snapshot with a policy, people, and the codes they hold up.
package demo

import (
	"time"

	"checkpoint/camera/synth"
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

// World is everything outside the gate.
type World struct{ cfg Config }

// New makes a World.
func New(cfg Config) (*World, error) { return &World{cfg: cfg}, nil }

// Prop is the n-th thing held up (from 1), made at the instant now: a phone's
// presentation is signed then.
func (w *World) Prop(n uint64, now time.Time) (synth.Prop, Expect) { return synth.Prop{}, Expect{} }

// SignedTrust is the signed snapshot as a file for `trust install`, and Pin
// the public key it is signed with.
func (w *World) SignedTrust() []byte { return nil }
