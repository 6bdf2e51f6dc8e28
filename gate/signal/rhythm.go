// Package signal makes a gate heard. A verdict has a rhythm, not a pitch: any
// buzzer can play it, nobody needs an ear for music, and one action has one
// rhythm.
//
//	done     •               pass, pass_gold
//	ask      •  •            check_id, more
//	code     ••              refresh, not_ours, issuer_fault
//	refuse   •••             amber
//	invalid  ••••            invalid
//	isolate  ••••••          red, again each 4 s until a key is pressed
//	device   •••  •••        device, again each 10 s
//
// A beep lasts 80 ms, a short gap brings the next one 160 ms after the last
// began, a long gap 480 ms. Where the sound is the terminal's bell its length
// is the terminal's, so only the times at which beeps begin tell rhythms apart.
//
// In places where bystanders would learn a colour by ear, the quiet set makes
// one and the same sound for everything.
package signal

import (
	"fmt"
	"time"

	"checkpoint/verify"
)

// The lengths of which all rhythms are made.
const (
	Beep  = 80 * time.Millisecond  // one beep, where the player makes the sound itself
	Short = 160 * time.Millisecond // from one beep's start to the next, ••
	Long  = 480 * time.Millisecond // the same across a pause, •  •
)

// Rhythm is when the beeps of a verdict begin, counted from its start, and
// after how long the whole begins again (0: never).
type Rhythm struct {
	Starts []time.Duration
	Again  time.Duration
}

// Mode is which set of rhythms is played.
type Mode uint8

// The modes.
const (
	Loud  Mode = iota // a rhythm for each action
	Quiet             // one and the same sound for everything
	Off
)

var modes = [...]string{"loud", "quiet", "off"}

// String is the mode's word in the configuration.
func (m Mode) String() string {
	if int(m) < len(modes) {
		return modes[m]
	}
	return modes[Off]
}

// ParseMode reads a mode's word.
func ParseMode(s string) (Mode, error) {
	for i, w := range modes {
		if s == w {
			return Mode(i), nil
		}
	}
	return Off, fmt.Errorf("sound %q: not loud, quiet or off", s)
}

// For is the rhythm of a verdict. no_check is silent; what has no name sounds
// like a fault of the device.
func For(n verify.Name, m Mode) Rhythm {
	if m == Off || n == verify.NoCheck {
		return Rhythm{}
	}
	if m == Quiet {
		return Rhythm{Starts: []time.Duration{0}}
	}
	switch n {
	case verify.Pass, verify.PassGold:
		return beats("•", 0)
	case verify.CheckID, verify.More:
		return beats("•  •", 0)
	case verify.Refresh, verify.NotOurs, verify.IssuerFault:
		return beats("••", 0)
	case verify.Amber:
		return beats("•••", 0)
	case verify.Invalid:
		return beats("••••", 0)
	case verify.Red:
		return beats("••••••", 4*time.Second)
	}
	return beats("•••  •••", 10*time.Second)
}

// beats turns the written form into times: a space stands for a pause.
func beats(written string, again time.Duration) Rhythm {
	r := Rhythm{Again: again}
	var at time.Duration
	paused := false
	for _, c := range written {
		if c != '•' {
			paused = true
			continue
		}
		switch {
		case len(r.Starts) == 0:
		case paused:
			at += Long
		default:
			at += Short
		}
		paused = false
		r.Starts = append(r.Starts, at)
	}
	return r
}
