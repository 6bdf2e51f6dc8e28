package camera

import (
	"errors"
	"time"
)

// Frame is one grey picture. The source lends it: Luma belongs to the source
// again at the next call of Next.
type Frame struct {
	Luma     []byte // rows top to bottom, Stride bytes apart
	Width    int
	Height   int
	Stride   int
	Seq      uint64    // counts from 1, gaps are frames that were dropped
	Captured time.Time // when the light was caught, with a monotonic reading
	Name     string    // the file of a picture source, else ""
	Truth    Truth
}

// Truth is what a drawn or replayed picture knows about itself. A real camera
// leaves it zero.
type Truth struct {
	Presentation uint64    // number of the thing held up, from 1; 0: nothing or not known
	WholeSince   time.Time // capture time of the first frame with its whole code in view; zero: not yet
}

// Errors that callers branch on.
var (
	ErrEnd  = errors.New("no more pictures") // a picture source has shown all
	ErrLost = errors.New("camera lost")      // the device is gone for now; call Next again
)
