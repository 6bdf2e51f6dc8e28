// Package look is what the program's screens are made of: colours by role, the
// words in Chinese and English, big glyphs, the viewfinder and the sanitiser.
// It knows what a verdict is called and nothing of how one comes about.
//
// A screen draws on a Canvas, a grid of cells, and asks a Theme for paints by
// role, never for a colour by value:
//
//	t := look.NewTheme(colorprofile.ANSI, true, false)
//	c := look.NewCanvas(80, 24)
//	card := t.Card(verify.Pass)
//	c.Fill(0, 0, 80, 24, card.Paint)
//	c.Bitmap(2, 2, glyphs.Han(16, "通行"), card.Paint, look.HalfBlocks)
//	lines := c.Lines()
//
// Colour is never the only signal: every verdict has a symbol, a word in two
// languages, a place on the screen and a rhythm, and each suffices alone.
package look
