package gate

import (
	"time"

	"checkpoint/decode"
)

// View is the newest picture for the viewfinder, made small, with the outlines
// of the codes in it. The receiver owns it.
type View struct {
	Luma     []byte // Width × Height, no padding
	Width    int
	Height   int
	Captured time.Time
	Codes    [][4]decode.Point // outlines in this small picture's pixels
	Hint     decode.Hint
}
