// Package gate is the screen of a gate: what the guard sees and the keys that
// answer it. It is made of gate.Events, tells the gate what the guard did
// through a Desk, and decides nothing.
package gate

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"checkpoint/gate"
	"checkpoint/gate/signal"
	"checkpoint/tui/look"
	"checkpoint/verify"
)

// Desk is what the screen asks of the gate. An answer that matters comes back
// as an event (Chosen, Cleared, Voided, ManualDone, HandedOver, Refused); an
// error is shown in words and changes nothing.
type Desk interface {
	Choose(ctx context.Context, card uint64, c gate.Choice) error
	Dismiss(ctx context.Context, card uint64) error // a key that only clears a card
	Void(ctx context.Context) error                 // the last scan, within 60 s
	Manual(ctx context.Context, class gate.ManualClass, allowed bool) error
	HandOver(ctx context.Context, shift string) error
	Unlock(ctx context.Context, pin string) (bool, error) // the technician's PIN; tries are counted by the gate
	LowerFloor(ctx context.Context) error                 // the time floor down to its anchor; after Unlock
}

// Sound is what the screen needs of a player of rhythms; *signal.Player is one.
type Sound interface {
	Play(verify.Name)
	Stop()
	SetMode(signal.Mode)
}

// Beep, sent to the program, rings the terminal's bell once, in step with
// everything else that is written to the terminal. It is what a
// signal.Config.Beep should send: func() { program.Send(tuigate.Beep{}) }.
type Beep struct{}

// Config is what a screen is made of. Only Desk and Events are needed.
type Config struct {
	Desk   Desk
	Events <-chan gate.Event

	// Views waits for a view newer than the last one it gave; false ends the
	// live view. It is asked at most 18 times a second, never twice at once.
	Views func(ctx context.Context) (gate.View, bool)

	// Sound, when set, is told what to play: a card's rhythm when it appears,
	// silence when it leaves. Leave it nil where the gate plays by itself.
	Sound     Sound
	SoundMode signal.Mode

	Lang    look.Lang      // which language is large
	Blocks  look.Blocks    // what big glyphs and the live view are made of
	Console bool           // the bare Linux console (TERM=linux): no Han, few symbols
	Local   *time.Location // for clock times; nil: time.Local

	// SwitchLine cuts the way upstream off, or joins it again, for who wants to
	// see what a gate does without; nil: there is no such key.
	SwitchLine func()

	Kiosk  bool // leaving needs the PIN
	HasPIN bool // a PIN is set; without one there are no settings and no kiosk

	IsolationPhone  string
	TechnicianPhone string
	Version         string
}

// ProgramOptions are the options a program with this screen should be made
// with, for a --color of auto, truecolor, 256, 16 or none.
func ProgramOptions(color string) ([]tea.ProgramOption, error) {
	p, auto, err := look.ParseColor(color)
	if err != nil {
		return nil, err
	}
	o := []tea.ProgramOption{tea.WithFPS(30)}
	if !auto {
		o = append(o, tea.WithColorProfile(p))
	}
	return o, nil
}
