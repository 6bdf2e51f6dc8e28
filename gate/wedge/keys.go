package wedge

import (
	"encoding/binary"
	"time"
	"unsafe"
)

// The part of linux/input-event-codes.h that a keyboard scanner uses.
const (
	evSyn, evKey = 0, 1
	synDropped   = 3

	keyEnter, keyKPEnter        = 28, 96
	keyLeftCtrl, keyRightCtrl   = 29, 97
	keyLeftShift, keyRightShift = 42, 54
	keyCapsLock                 = 58

	released, pressed = 0, 1 // 2 is repeat, which a scanner does not mean
)

// eventSize is the length of struct input_event (linux/input.h): two words of
// the machine for the time, then type, code (16 bits each) and value (32).
const eventSize = 2*int(unsafe.Sizeof(uintptr(0))) + 8

// usKeys is what a key types without and with shift on a US keyboard, which is
// what scanners speak when they leave the factory. 0: nothing.
var usKeys = [...][2]byte{
	2: {'1', '!'}, 3: {'2', '@'}, 4: {'3', '#'}, 5: {'4', '$'}, 6: {'5', '%'}, 7: {'6', '^'},
	8: {'7', '&'}, 9: {'8', '*'}, 10: {'9', '('}, 11: {'0', ')'}, 12: {'-', '_'}, 13: {'=', '+'},
	15: {'\t', '\t'},
	16: {'q', 'Q'}, 17: {'w', 'W'}, 18: {'e', 'E'}, 19: {'r', 'R'}, 20: {'t', 'T'}, 21: {'y', 'Y'},
	22: {'u', 'U'}, 23: {'i', 'I'}, 24: {'o', 'O'}, 25: {'p', 'P'}, 26: {'[', '{'}, 27: {']', '}'},
	30: {'a', 'A'}, 31: {'s', 'S'}, 32: {'d', 'D'}, 33: {'f', 'F'}, 34: {'g', 'G'}, 35: {'h', 'H'},
	36: {'j', 'J'}, 37: {'k', 'K'}, 38: {'l', 'L'}, 39: {';', ':'}, 40: {'\'', '"'}, 41: {'`', '~'},
	43: {'\\', '|'},
	44: {'z', 'Z'}, 45: {'x', 'X'}, 46: {'c', 'C'}, 47: {'v', 'V'}, 48: {'b', 'B'}, 49: {'n', 'N'},
	50: {'m', 'M'}, 51: {',', '<'}, 52: {'.', '>'}, 53: {'/', '?'}, 57: {' ', ' '},
	// The number block.
	55: {'*', '*'}, 71: {'7', '7'}, 72: {'8', '8'}, 73: {'9', '9'}, 74: {'-', '-'}, 75: {'4', '4'},
	76: {'5', '5'}, 77: {'6', '6'}, 78: {'+', '+'}, 79: {'1', '1'}, 80: {'2', '2'}, 81: {'3', '3'},
	82: {'0', '0'}, 83: {'.', '.'}, 98: {'/', '/'},
}

// keyboard turns the event stream of an input device into bytes. The zero value
// is ready; no key is down.
type keyboard struct {
	part  []byte // of an event whose rest has not come yet
	shift [2]bool
	ctrl  [2]bool
	caps  bool
	lost  bool // the kernel dropped events: the line is not whole
}

// feed takes what was read from the device and calls typed for each byte that
// was typed, '\n' for Enter, and lost when the kernel says that it dropped
// events (Documentation/input/event-codes.rst, SYN_DROPPED).
func (k *keyboard) feed(data []byte, typed func(b byte), lost func()) {
	for len(data) > 0 {
		if len(k.part) == 0 && len(data) >= eventSize {
			k.event(data[:eventSize], typed, lost)
			data = data[eventSize:]
			continue
		}
		n := min(eventSize-len(k.part), len(data))
		k.part = append(k.part, data[:n]...)
		data = data[n:]
		if len(k.part) == eventSize {
			k.event(k.part, typed, lost)
			k.part = k.part[:0]
		}
	}
}

func (k *keyboard) event(e []byte, typed func(b byte), lost func()) {
	e = e[eventSize-8:]
	kind := binary.NativeEndian.Uint16(e)
	code := binary.NativeEndian.Uint16(e[2:])
	value := binary.NativeEndian.Uint32(e[4:])
	if kind == evSyn && code == synDropped {
		// What is down now is not known any more; until the line ends, what
		// comes is not a whole code.
		*k = keyboard{part: k.part, caps: k.caps, lost: true}
		lost()
		return
	}
	if kind != evKey || value > pressed {
		return
	}
	down := value == pressed
	switch code {
	case keyLeftShift:
		k.shift[0] = down
	case keyRightShift:
		k.shift[1] = down
	case keyLeftCtrl:
		k.ctrl[0] = down
	case keyRightCtrl:
		k.ctrl[1] = down
	case keyCapsLock:
		if down {
			k.caps = !k.caps
		}
	case keyEnter, keyKPEnter:
		if down {
			if k.lost {
				k.lost = false
				lost()
				return
			}
			typed('\n')
		}
	default:
		if b := k.char(code); down && b != 0 && !k.lost {
			typed(b)
		}
	}
}

// char is what a key types now, 0 for nothing.
func (k *keyboard) char(code uint16) byte {
	if int(code) >= len(usKeys) {
		return 0
	}
	shift := k.shift[0] || k.shift[1]
	plain := usKeys[code][0]
	if k.caps && 'a' <= plain && plain <= 'z' {
		shift = !shift
	}
	b := plain
	if shift {
		b = usKeys[code][1]
	}
	if k.ctrl[0] || k.ctrl[1] {
		// A scanner that meets a control character in a code (GS, say) types
		// Ctrl with the letter 64 above it. Ctrl-M and Ctrl-J stay inside the
		// line as nothing: they would end it.
		if c := usKeys[code][1] & 0x1f; c != '\n' && c != '\r' && b >= '@' {
			return c
		}
		return 0
	}
	return b
}

// keyReader reads texts out of key events.
type keyReader struct {
	keys keyboard
	line assembler
}

func (r *keyReader) feed(data []byte, at time.Time, text func([]byte)) {
	r.keys.feed(data, func(b byte) {
		if t := r.line.put(b, at); t != nil {
			text(t)
		}
	}, func() {
		r.line.spoil()
		r.line.reset()
	})
}

func (r *keyReader) end(func([]byte)) { // the device went away in the middle of a line
	r.line.spoil()
	r.line.reset()
	r.keys = keyboard{}
}

func (r *keyReader) dropped() uint64 { return r.line.dropped }

// byteReader reads texts out of a stream of bytes.
type byteReader struct {
	line  assembler
	whole bool // what stands there when the stream ends is a text
}

func (r *byteReader) feed(data []byte, at time.Time, text func([]byte)) {
	for _, b := range data {
		if t := r.line.put(b, at); t != nil {
			text(t)
		}
	}
}

func (r *byteReader) end(text func([]byte)) {
	if r.whole {
		if t := r.line.end(); t != nil {
			text(t)
		}
		return
	}
	r.line.spoil()
	r.line.reset()
}

func (r *byteReader) dropped() uint64 { return r.line.dropped }
