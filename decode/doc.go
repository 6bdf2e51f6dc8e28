// Package decode answers: which QR symbols are in this grey picture, where,
// and how good was the view?
//
// A Scanner is made once for a camera and fed one frame after another:
//
//	s := decode.NewScanner(decode.Options{})
//	res := s.Scan(decode.Image{Luma: y, Width: 640, Height: 480, Stride: 640})
//	for _, sym := range res.Symbols {
//		use(sym.Payload, sym.Corners)
//	}
//	coach(res.Hint)
//
// One pass measures the darkest and lightest pixel of every 8×8 block. From it
// come the presence check (a wall has no contrast: done), the local
// thresholds, and the coach's hint. Then the rows are packed to bits and
// searched for finder patterns (1:1:3:1:1) in both polarities at once. Every
// plausible triple is sampled at its module centres; when that does not
// correct, the perspective is fitted to all modules that are known before
// reading and the modules are sampled again in grey. Codewords go through
// Reed-Solomon, some kept in reserve against misreading. The bit stream of
// ISO/IEC 18004 §7.4 is parsed here, so that payloads are the bytes that were
// encoded, never a text in some charset. What is still unread is tried smaller,
// larger and sharpened: all of that for a file, one a frame for a camera.
//
// What a payload means is not known here, and nothing outside this package
// knows which engine reads. Pictures of any content and any claimed size are
// safe: sides are held to 1..8192 pixels, the number of candidates is bounded,
// and a fault inside the engine is a picture without a symbol (Stats.Faults).
package decode
