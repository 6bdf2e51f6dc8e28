package gate

import (
	"context"
	"errors"
	"time"

	"checkpoint/camera"
	"checkpoint/decode"
	"checkpoint/gate/wedge"
)

// sight is one code text that a source gave.
type sight struct {
	text []byte
	px   float64 // module size: the larger, the nearer
}

// look is what one frame, or one text, held.
type look struct {
	source       int
	captured     time.Time
	read         time.Duration
	codes        []sight
	hint         decode.Hint
	presentation uint64
	whole        time.Time
	picture      bool // a frame was looked at
	lost, ended  bool
	fault        error  // why it ended, unless it had shown all
	broken       bool   // the scanner panicked
	why          string // it is lost, in words for the technician
}

// maxCodes bounds the codes of one frame that are looked at.
const maxCodes = 8

// watch reads frames until the context or the source ends.
func (g *Gate) watch(ctx context.Context, source int, p Pictures) {
	options, to := decode.Options{MaxSymbols: maxCodes}, g.looks
	if g.cfg.Replay {
		options.Effort, to = decode.Thorough, g.texts
	}
	scanner := decode.NewScanner(options)
	var viewed time.Time
	for {
		f, err := p.Next(ctx)
		if err != nil {
			l := look{source: source, lost: errors.Is(err, camera.ErrLost), why: err.Error()}
			l.ended = !l.lost
			if l.ended && !errors.Is(err, camera.ErrEnd) && ctx.Err() == nil {
				l.fault = err
			}
			if !send(ctx, to, l) || l.ended {
				return
			}
			continue
		}
		im := decode.Image{Luma: f.Luma, Width: f.Width, Height: f.Height, Stride: f.Stride}
		start := time.Now()
		r, broken := scan(scanner, im)
		l := look{
			source: source, captured: f.Captured, read: time.Since(start), hint: r.Hint, picture: true, broken: broken,
			presentation: f.Truth.Presentation, whole: f.Truth.WholeSince,
		}
		for _, s := range r.Symbols {
			if len(s.Payload) > 0 {
				l.codes = append(l.codes, sight{text: append([]byte(nil), s.Payload...), px: s.ModulePx})
			}
		}
		if broken {
			scanner = decode.NewScanner(options)
		}
		if !send(ctx, to, l) {
			return
		}
		if g.cfg.Views && f.Captured.Sub(viewed) >= viewEvery {
			viewed = f.Captured
			g.show(im, r, f.Captured)
		}
	}
}

// scan reads a picture; a fault in the scanner costs that frame, not the gate.
func scan(s *decode.Scanner, im decode.Image) (r decode.Result, broken bool) {
	defer func() {
		if recover() != nil {
			r, broken = decode.Result{}, true
		}
	}()
	before := s.Stats().Faults // of the engine inside, which the scanner survives
	r = s.Scan(im)
	return r, s.Stats().Faults != before
}

// listen reads texts until the context or the source ends.
func (g *Gate) listen(ctx context.Context, source int, t Texts) {
	for {
		text, err := t.Next(ctx)
		switch {
		case errors.Is(err, wedge.ErrLost):
			if !send(ctx, g.texts, look{source: source, lost: true, why: err.Error()}) {
				return
			}
			continue
		case err != nil:
			l := look{source: source, ended: true}
			if !errors.Is(err, wedge.ErrEnd) && ctx.Err() == nil {
				l.fault = err
			}
			send(ctx, g.texts, l)
			return
		}
		l := look{source: source, captured: text.At}
		if len(text.Bytes) > 0 {
			l.codes = []sight{{text: append([]byte(nil), text.Bytes...)}}
		}
		if !send(ctx, g.texts, l) {
			return
		}
	}
}

func send(ctx context.Context, to chan<- look, l look) bool {
	select {
	case to <- l:
		return true
	case <-ctx.Done():
		return false
	}
}

// show puts a view where the screen takes it, in place of one that was not
// taken.
func (g *Gate) show(im decode.Image, r decode.Result, at time.Time) {
	var v View
	select {
	case v = <-g.views: // stale: take its memory
	default:
	}
	shrink(&v, im, r, at)
	select {
	case g.views <- v:
	default:
	}
}

// people counts what was held up, where the source knows.
type people struct {
	current uint64
	whole   time.Time // since when its whole code is in view
	read    bool
}

// sees notes a frame's truth and gives how many things were shown and read
// because of it.
func (p *people) sees(n uint64, whole time.Time, read bool) (shown, got uint64) {
	if n != p.current {
		shown = p.leave()
		p.current = n
	}
	if n == 0 {
		return shown, 0
	}
	if p.whole.IsZero() {
		p.whole = whole
	}
	if read && !p.read {
		p.read = true
		return shown + 1, 1
	}
	return shown, 0
}

// leave says whether what was held up counts as shown now that it is gone: it
// was whole in view and never read. What was read was counted when it was.
func (p *people) leave() uint64 {
	missed := p.current != 0 && !p.whole.IsZero() && !p.read
	*p = people{}
	if missed {
		return 1
	}
	return 0
}
