package gate

import (
	"context"
	"errors"
	"time"

	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/verify"
)

// ErrStopped says that the gate has ended.
var ErrStopped = errors.New("the gate has stopped")

// The guard's desk. Each method asks and returns; what came of it is an event.

func (g *Gate) ask(ctx context.Context, do func()) error {
	select {
	case g.asks <- do:
		return nil
	case <-g.done:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *Gate) refuse(what string) {
	at, _, _ := g.now()
	g.tell(Refused{At: at.Time, What: what})
}

// Choose records what the guard did about a card.
func (g *Gate) Choose(ctx context.Context, number uint64, c Choice) error {
	return g.ask(ctx, func() { g.choose(number, c) })
}

func (g *Gate) choose(number uint64, c Choice) {
	if !g.card.on || g.card.number != number || !fits(g.card.name, c) {
		g.refuse("no_card")
		return
	}
	_, stamp, _ := g.now()
	becomes := verify.NoVerdict
	drafts := []record.Draft{{Stamp: stamp, Body: record.Choice{To: g.card.seq, Choice: uint8(c)}}}
	switch {
	case c == ChoiceMatch:
		if becomes = g.card.under; !becomes.Admits() {
			becomes = verify.Pass
		}
	case c == ChoiceMismatch:
		becomes = verify.Amber
		drafts = append(drafts, record.Draft{Stamp: stamp, Body: record.Event{Code: record.EventAlarm, Text: "identity mismatch"}})
	}
	if g.card.seq == 0 { // the scan has no row (the disk is full and the policy goes on)
		g.chosen(c, 0, becomes)
		return
	}
	g.write(drafts, nil, nil, func(w written) {
		at, _, _ := g.now()
		switch {
		case w.err == nil:
		case (errors.Is(w.err, localdb.ErrFull) || errors.Is(w.err, localdb.ErrNoSpace)) && !g.policy(at).StopsWhenFull():
			w.seq = 0
		default:
			g.refuse("record_failed")
			return
		}
		g.chosen(c, w.seq, becomes)
	})
}

// fits says which choices a card offers.
func fits(n verify.Name, c Choice) bool {
	switch n {
	case verify.CheckID:
		return c == ChoiceMatch || c == ChoiceMismatch || c == ChoiceLeft
	case verify.Red:
		return c == ChoiceIsolated || c == ChoiceLeft || c == ChoiceEmergency || c == ChoiceSupervise
	}
	return false
}

func (g *Gate) chosen(c Choice, seq uint64, becomes verify.Name) {
	at, _, mono := g.now()
	g.tell(Chosen{At: at.Time, Card: g.card.number, To: g.card.seq, Seq: seq, Choice: c, Becomes: becomes})
	g.answered = mono
	if becomes == verify.NoVerdict {
		g.clear()
		return
	}
	next := g.card
	next.name, next.leaves, next.since = becomes, leavesBy(becomes), mono
	g.put(next)
	g.admit(becomes, g.card.id)
	g.cfg.Signal.Play(becomes)
}

// Dismiss takes a card away that any key takes away. The cards of check_id and
// red ask for a choice instead; those of the device go when it is mended.
func (g *Gate) Dismiss(ctx context.Context, number uint64) error {
	return g.ask(ctx, func() {
		c := g.card
		if !c.on || c.number != number || c.leaves == WhenMended || c.name == verify.CheckID || c.name == verify.Red {
			g.refuse("no_card")
			return
		}
		g.clear()
	})
}

// Void adds a row that voids the last scan, if it is not older than a minute.
func (g *Gate) Void(ctx context.Context) error { return g.ask(ctx, g.void) }

const voidWithin = 60 * time.Second

func (g *Gate) void() {
	_, stamp, _ := g.now()
	last, ok, err := g.cfg.Ledger.LastScan(g.ctx, stamp, voidWithin)
	switch {
	case err != nil:
		g.cfg.Log.Error("the last scan could not be looked up", "error", err)
		g.refuse("record_failed")
		return
	case !ok:
		g.refuse("nothing_to_void")
		return
	}
	g.write([]record.Draft{{Stamp: stamp, Body: record.Void{To: last.Seq}}}, nil, nil, func(w written) {
		if w.err != nil {
			g.refuse("record_failed")
			return
		}
		at, _, _ := g.now()
		g.tell(Voided{At: at.Time, To: last.Seq, Seq: w.seq})
		if g.last.seq == last.Seq {
			g.mem.unadmit(g.last.id)
		}
		if g.card.on && g.card.seq == last.Seq {
			g.clear()
		}
	})
}

// Manual records a person who was let through, or not, without a code.
func (g *Gate) Manual(ctx context.Context, class ManualClass, allowed bool) error {
	return g.ask(ctx, func() {
		_, stamp, _ := g.now()
		body := record.Manual{Class: uint8(class), Allowed: allowed}
		g.write([]record.Draft{{Stamp: stamp, Body: body}}, nil, nil, func(w written) {
			if w.err != nil {
				g.refuse("record_failed")
				return
			}
			at, _, _ := g.now()
			g.tell(ManualDone{At: at.Time, Seq: w.seq, Class: class, Allowed: allowed})
		})
	})
}

// maxShift bounds a shift number, in bytes.
const maxShift = 16

// HandOver begins a new shift. A shift is a number or word of at most 16
// letters, digits and hyphens.
func (g *Gate) HandOver(ctx context.Context, shift string) error {
	if len(shift) == 0 || len(shift) > maxShift {
		return errors.New("a shift has 1 to 16 letters or digits")
	}
	for _, r := range shift {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' {
			return errors.New("a shift has 1 to 16 letters or digits")
		}
	}
	return g.ask(ctx, func() {
		_, stamp, _ := g.now()
		body := record.Event{Code: record.EventHandover, Text: shift}
		g.write([]record.Draft{{Stamp: stamp, Body: body}}, nil, nil, func(w written) {
			if w.err != nil {
				g.refuse("record_failed")
				return
			}
			at, _, _ := g.now()
			g.tell(HandedOver{At: at.Time, Shift: shift, Counts: g.shift})
			g.shift = Counts{}
			g.state.Shift = shift
			g.beat()
		})
	})
}

// Unlock tries the technician's PIN: five tries, then nothing for five
// minutes. Without a PIN everything is open.
func (g *Gate) Unlock(ctx context.Context, pin string) (bool, error) {
	if len(g.cfg.PIN.hash) == 0 {
		return true, nil
	}
	open := make(chan bool, 1)
	err := g.ask(ctx, func() {
		_, _, mono := g.now()
		if g.attempts.locked(mono) {
			g.refuse("pin_locked")
			open <- false
			return
		}
		// scrypt takes some 50 ms: not in this goroutine. A try counts as
		// wrong until it is known to be right.
		g.attempts.tried(false, mono)
		go func() {
			right := g.cfg.PIN.matches(pin)
			if g.ask(ctx, func() {
				if right {
					g.attempts.tried(true, mono)
				} else {
					g.refuse("pin_wrong")
				}
			}) != nil {
				right = false
			}
			open <- right
		}()
	})
	if err != nil {
		return false, err
	}
	select {
	case right := <-open:
		return right, nil
	case <-g.done:
		return false, ErrStopped
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// LowerFloor sets the time floor back to its anchor; the caller has asked for
// the PIN.
func (g *Gate) LowerFloor(ctx context.Context) error {
	return g.ask(ctx, func() {
		_, stamp, _ := g.now()
		if err := g.cfg.Ledger.LowerFloor(g.ctx, stamp); err != nil {
			g.cfg.Log.Error("the time floor could not be lowered", "error", err)
			g.refuse("record_failed")
			return
		}
		g.cfg.Clock.Lower()
		g.beat()
	})
}
