package gate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"checkpoint/gate"
	"checkpoint/gate/signal"
	"checkpoint/tui/look"
	"checkpoint/verify"
)

// Plain is the screen as lines, for screen readers and serial consoles: one
// line an event, no cursor movement, no colours. Commands are read from in, a
// line each: the keys of the screen, as y, 1, v, m 1 a (class, then a or r),
// g 17 (shift), s, ?, q, and an empty line for any key. It ends when ctx is
// done, the events end, or the guard leaves; a read from in that never returns
// is left behind.
func Plain(ctx context.Context, cfg Config, in io.Reader, out io.Writer) error {
	m := newModel(ctx, cfg)
	p := &plain{m: m, out: out}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	typed := make(chan string)
	go func() {
		defer close(typed)
		lines := bufio.NewScanner(in)
		lines.Buffer(make([]byte, 256), 1024)
		for lines.Scan() {
			select {
			case typed <- strings.TrimSpace(lines.Text()):
			case <-ctx.Done():
				return
			}
		}
	}()
	for p.err == nil {
		select {
		case <-ctx.Done():
			return p.err
		case e, open := <-cfg.Events:
			if !open {
				return p.err
			}
			p.hear(e)
		case l, open := <-typed:
			if !open {
				typed = nil // no more keys: go on showing
				continue
			}
			if p.command(ctx, l) {
				return p.err
			}
		}
	}
	return p.err
}

type plain struct {
	m     *model
	out   io.Writer
	err   error
	rungs string
}

func (p *plain) print(s string) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.out, s)
	}
}

// hear prints what an event says, in one line.
func (p *plain) hear(e gate.Event) {
	m, say := p.m, p.m.say
	switch e := e.(type) {
	case gate.Started:
		for _, t := range e.Tests {
			outcome := "ok"
			if !t.OK {
				outcome = "!"
			}
			p.print(fmt.Sprintf("%s %s: %s %s", say(look.SaySelfTest), say(look.Test(t.Name)), outcome, say(look.Tested(t.Name, t.OK, t.Detail))))
		}
		p.print(say(look.SayShowCode))
	case gate.State:
		m.hear(e)
		if b := m.banner(); b != p.rungs {
			p.rungs = b
			if b != "" {
				p.print(b)
			}
		}
	case gate.Coached:
		if _, hint := look.Coach(e.Hint); !hint.Zero() && e != m.coach {
			p.print(say(hint))
		}
		if e.FinishFirst && !m.coach.FinishFirst {
			p.print(say(look.SayFinishFirst))
		}
		m.coach = e
	case gate.Judged:
		m.hear(e)
		if m.card != nil && m.card.id == e.Card {
			p.card(e.At, m.card)
			p.play(m.card.name)
		}
	case gate.Chosen:
		m.hear(e)
		p.print(say(choiceWord(e.Choice)))
		if m.card != nil {
			p.card(e.At, m.card)
			p.play(m.card.name)
		}
	case gate.Cleared:
		if m.card != nil && m.card.id == e.Card {
			m.drop()
			p.hush()
		}
	default:
		m.notice = ""
		m.hear(e)
		if m.notice != "" {
			p.print(m.notice)
		}
	}
}

// card prints a verdict: time, word, reason, person, the one next action.
func (p *plain) card(at time.Time, c *card) {
	word := look.Word(c.name)
	parts := []string{at.In(p.m.cfg.Local).Format("15:04:05"), p.m.wordText(word)}
	for _, l := range p.m.lines(c, 1000) {
		if !l.small {
			parts = append(parts, l.text)
		}
	}
	p.print(strings.Join(parts, ". "))
}

func (p *plain) play(n verify.Name) {
	if s := p.m.cfg.Sound; s != nil {
		s.Play(n)
	}
}

func (p *plain) hush() {
	if s := p.m.cfg.Sound; s != nil {
		s.Stop()
	}
}

// command does what a line asks; done means that the guard leaves.
func (p *plain) command(ctx context.Context, l string) (done bool) {
	m, desk := p.m, p.m.cfg.Desk
	do := func(ask func(context.Context) error) {
		if err := p.wait(ctx, ask); err != nil && !errors.Is(err, context.Canceled) {
			p.print(m.say(look.SayFailed))
		}
	}
	f := strings.Fields(l)
	word := ""
	if len(f) > 0 {
		word = f[0]
	}
	if c := m.card; c != nil {
		p.hush()
		if choice := choiceOf(c.name, word); choice != 0 {
			id := c.id
			do(func(ctx context.Context) error { return desk.Choose(ctx, id, choice) })
			return false
		}
		if (c.leaves == gate.ByKey || c.leaves == gate.ByKeyOrCode) && c.name != verify.Red && c.name != verify.CheckID && word != "q" {
			id := c.id
			do(func(ctx context.Context) error { return desk.Dismiss(ctx, id) })
			if word == "" {
				return false
			}
		}
	}
	switch {
	case word == "":
	case word == "v":
		do(desk.Void)
	case word == "m" && len(f) == 3 && len(f[1]) == 1 && f[1][0] >= '1' && f[1][0] <= '4' && (f[2] == "a" || f[2] == "r"):
		do(func(ctx context.Context) error {
			return desk.Manual(ctx, gate.ManualClass(f[1][0]-'0'), f[2] == "a")
		})
	case word == "m":
		p.print("m " + m.say(look.SayClasses) + "   " + m.say(look.SayAllowed))
	case word == "g" && len(f) == 2:
		do(func(ctx context.Context) error { return desk.HandOver(ctx, f[1]) })
	case word == "g":
		p.print("g " + m.say(look.SayShiftNumber))
	case word == "s":
		m.mode = (m.mode + 1) % (signal.Off + 1)
		p.print(m.say([...]look.Phrase{look.SayLoud, look.SayQuiet, look.SaySoundOff}[m.mode]))
		if s := m.cfg.Sound; s != nil {
			s.SetMode(m.mode)
		}
	case word == "o" && m.cfg.SwitchLine != nil:
		m.cfg.SwitchLine()
	case word == "l":
		for _, s := range m.recent[max(0, len(m.recent)-20):] {
			p.print(m.logLine(s, true))
		}
	case word == "q":
		return p.leave(ctx, f)
	default:
		for _, group := range m.keys.FullHelp() {
			for _, k := range group {
				if !k.Enabled() {
					continue
				}
				p.print(k.Help().Key + "  " + k.Help().Desc)
			}
		}
	}
	return false
}

// leave ends a screen; under a kiosk the line is q and the PIN.
func (p *plain) leave(ctx context.Context, f []string) bool {
	if !p.m.cfg.Kiosk {
		return true
	}
	if !p.m.cfg.HasPIN {
		p.print(p.m.say(look.SayNoPIN))
		return false
	}
	if len(f) != 2 {
		p.print("q " + p.m.say(look.SayPINToLeave))
		return false
	}
	right := false
	err := p.wait(ctx, func(ctx context.Context) (err error) {
		right, err = p.m.cfg.Desk.Unlock(ctx, f[1])
		return err
	})
	return right && err == nil
}

// wait asks the gate something and goes on hearing it meanwhile: it may have
// to say something before it can take a wish.
func (p *plain) wait(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	answer := make(chan error, 1)
	go func() { answer <- ask(ctx) }()
	events := p.m.cfg.Events
	for {
		select {
		case err := <-answer:
			return err
		case e, open := <-events:
			if !open {
				events = nil // the main loop sees it too
				continue
			}
			p.hear(e)
		}
	}
}

// choiceOf is what a key chooses on a card, 0 when nothing.
func choiceOf(n verify.Name, k string) gate.Choice {
	switch n {
	case verify.CheckID:
		return map[string]gate.Choice{"y": gate.ChoiceMatch, "n": gate.ChoiceMismatch, "l": gate.ChoiceLeft}[k]
	case verify.Red:
		return map[string]gate.Choice{"1": gate.ChoiceIsolated, "2": gate.ChoiceLeft, "3": gate.ChoiceEmergency, "4": gate.ChoiceSupervise}[k]
	}
	return 0
}
