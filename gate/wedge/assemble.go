package wedge

import "time"

// MaxText is the longest text that is taken, bytes: what a version 40-L symbol
// holds in alphanumeric mode (ISO/IEC 18004, table 7). Health credentials stay
// far below.
const MaxText = 4296

// staleAfter is the pause after which what was typed before does not belong to
// the line that goes on. A scanner sends a code without a pause; a child's
// finger on its button, or half a code before the cable came out, does not
// spoil the next one.
const staleAfter = 2 * time.Second

// assembler joins bytes to lines. The zero value is ready.
type assembler struct {
	line    []byte
	tooLong bool
	last    time.Time // of the last byte
	pause   time.Duration
	dropped uint64
}

// put takes one byte and returns a text when it ends one: the receiver's own
// copy. CR and LF both end a line, so CR LF is a line and an empty one, and
// empty lines are nothing.
func (a *assembler) put(b byte, at time.Time) []byte {
	if a.pause > 0 && (len(a.line) > 0 || a.tooLong) && at.Sub(a.last) > a.pause {
		a.spoil()
		a.reset()
	}
	a.last = at
	switch {
	case b == '\n' || b == '\r':
		return a.end()
	case a.tooLong:
	case len(a.line) == MaxText:
		a.tooLong = true
	default:
		a.line = append(a.line, b)
	}
	return nil
}

// end ends the line, as the end of a file does.
func (a *assembler) end() []byte {
	defer a.reset()
	if a.tooLong {
		a.dropped++
		return nil
	}
	if len(a.line) == 0 {
		return nil
	}
	return append([]byte(nil), a.line...)
}

// spoil counts what stands in the line as lost.
func (a *assembler) spoil() {
	if len(a.line) > 0 || a.tooLong {
		a.dropped++
	}
}

func (a *assembler) reset() {
	clear(a.line) // a code does not stay in memory longer than its turn
	a.line, a.tooLong = a.line[:0], false
}
