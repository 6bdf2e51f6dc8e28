// Package look is what the program's screens are made of: colours by role, the
// words in Chinese and English, big glyphs, the viewfinder and the sanitiser.
// It knows what a verdict is called and nothing of how one comes about.
//
// A screen asks a Theme for styles by role, never for a colour by value, and
// lets Lip Gloss render, join and frame its text with them. What needs single
// cells, big glyphs on a verdict's ground, is drawn on a Canvas, where styled
// text can be laid over it:
//
//	t := look.NewTheme(colorprofile.ANSI, true, false)
//	c := look.NewCanvas(80, 24)
//	card := t.Card(verify.Pass)
//	t.Ground(c, 0, 0, 80, 24, verify.Pass)
//	word, _ := look.NewGlyphs().Han[0].Write("通行")
//	c.Bitmap(2, 2, word, card.Style, look.HalfBlocks)
//	c.PutCentered(0, 20, 80, t.Inverse(card).Padding(0, 1).Render("let through"))
//	lines := c.Lines()
//
// Colour is never the only signal: every verdict has a symbol, a word in two
// languages, a place on the screen and a rhythm, and each suffices alone.
package look
