package decode

// Effort says how much work one picture is worth.
type Effort uint8

const (
	// Fast is for camera frames: the next one comes in 33 ms. One full-size
	// search each frame; dearer attempts take turns, one a frame, and only
	// where there is contrast.
	Fast Effort = iota
	// Thorough is for pictures that come once (files): every attempt is made.
	Thorough
)

// Options set up a Scanner. The zero value scans camera frames.
type Options struct {
	Effort     Effort
	MaxSymbols int // at most so many symbols a picture; 0 means 8
}

// MaxSide is the longest side of a picture that Scan looks at, in pixels.
const MaxSide = 8192

// Stats count what a Scanner did since it was made.
type Stats struct {
	Frames  uint64 // pictures given
	Empty   uint64 // of those, without enough contrast to hold a symbol
	Read    uint64 // of those, with at least one symbol read
	Refused uint64 // of those, not a picture: sides or buffer out of bounds
	Faults  uint64 // faults inside the engine, caught
}

// Scanner reads symbols from the pictures of one camera. It keeps buffers and
// state between frames, so one goroutine at a time may use it.
type Scanner struct {
	opt   Options
	stats Stats
}

// NewScanner returns a Scanner.
func NewScanner(opt Options) *Scanner { return &Scanner{opt: opt} }

// Scan reads all symbols in img. The result is valid until the next call.
func (s *Scanner) Scan(img Image) Result { s.stats.Frames++; return Result{} }

// Stats are the counts so far.
func (s *Scanner) Stats() Stats { return s.stats }
