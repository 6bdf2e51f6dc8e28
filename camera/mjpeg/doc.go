// Package mjpeg answers: how bright is each pixel of this JPEG frame?
//
// A Decoder reads one baseline JPEG (ITU-T T.81) after the other and gives its
// luma alone: the colour blocks are passed over bit by bit and never
// transformed. It keeps all of its memory, so a frame costs no allocation once
// the first of its size was read:
//
//	var d mjpeg.Decoder
//	p, err := d.Decode(frame, luma, mjpeg.Full)
//	luma = p.Luma // room for the next
//
// As webcams send them, frames may leave out the Huffman tables: those of T.81
// Annex K.3 stand in. A frame that breaks off, or has a damaged part, gives
// what could be read, and says so; with restart markers the rest of it goes on
// after the damage.
//
// At Half scale each 8×8 block becomes 4×4 pixels by a transform of its low
// frequencies, which is a better and cheaper halving than that of pixels; at
// Eighth only its mean is read.
//
// What it refuses with ErrUnsupported: progressive and lossless frames,
// arithmetic coding, 12 bits, luma coarser than colour, more than three
// components. image/jpeg may know them.
package mjpeg
