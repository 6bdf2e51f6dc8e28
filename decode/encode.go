package decode

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
)

// ErrTooLong says that a payload does not fit the largest symbol.
var ErrTooLong = errors.New("payload too long for a QR symbol")

// maxPayload is what the largest symbol holds: 7089 digits at version 40-L.
const maxPayload = 7089

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
// (LevelUnknown means M), in numeric or alphanumeric mode when every byte
// allows it. It is for tests, the demo and printed sheets; it returns
// ErrTooLong when no version fits. An empty payload is refused.
func Encode(payload []byte, l Level) (Matrix, error) {
	if len(payload) == 0 {
		return Matrix{}, errors.New("empty payload")
	}
	if len(payload) > maxPayload {
		return Matrix{}, ErrTooLong
	}
	ec, ok := map[Level]decoder.ErrorCorrectionLevel{
		LevelUnknown: decoder.ErrorCorrectionLevel_M,
		LevelL:       decoder.ErrorCorrectionLevel_L,
		LevelM:       decoder.ErrorCorrectionLevel_M,
		LevelQ:       decoder.ErrorCorrectionLevel_Q,
		LevelH:       decoder.ErrorCorrectionLevel_H,
	}[l]
	if !ok {
		return Matrix{}, fmt.Errorf("no such error correction level: %d", l)
	}
	text := string(payload)
	var hints map[gozxing.EncodeHintType]any
	if !utf8.Valid(payload) {
		// Bytes that are no text go through Latin-1, one rune a byte.
		runes := make([]rune, len(payload))
		for i, b := range payload {
			runes[i] = rune(b)
		}
		text = string(runes)
		hints = map[gozxing.EncodeHintType]any{gozxing.EncodeHintType_CHARACTER_SET: "ISO-8859-1"}
	}
	code, err := encoder.Encoder_encode(text, ec, hints)
	if err != nil {
		return Matrix{}, fmt.Errorf("%w: %d bytes", ErrTooLong, len(payload))
	}
	src := code.GetMatrix()
	m := Matrix{Size: src.GetWidth(), Version: code.GetVersion().GetVersionNumber()}
	m.Bits = make([]bool, 0, m.Size*m.Size)
	for y := range m.Size {
		for x := range m.Size {
			m.Bits = append(m.Bits, src.Get(x, y) == 1)
		}
	}
	return m, nil
}
