package camera

import (
	"bytes"
	"image"
	"image/jpeg"
	"runtime"
	"testing"
	"time"
)

// until waits for a condition of the kernel or of another goroutine.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not yet: %s", what)
		}
		runtime.Gosched()
		wait := time.NewTimer(5 * time.Millisecond)
		<-wait.C
	}
}

// ramp is a picture whose luma tells its place.
func ramp(x, y int) byte { return byte(40 + (x/8*5+y/8*3)%160) }

func rampYUYV(w, h int) []byte {
	b := make([]byte, 2*w*h)
	for i := range w * h {
		b[2*i], b[2*i+1] = ramp(i%w, i/w), 128
	}
	return b
}

func rampGREY(w, h int) []byte {
	b := make([]byte, w*h)
	for i := range b {
		b[i] = ramp(i%w, i/w)
	}
	return b
}

func rampJPEG(w, h int) []byte {
	m := image.NewGray(image.Rect(0, 0, w, h))
	copy(m.Pix, rampGREY(w, h))
	c := image.NewYCbCr(m.Rect, image.YCbCrSubsampleRatio420)
	copy(c.Y, m.Pix)
	for i := range c.Cb {
		c.Cb[i], c.Cr[i] = 128, 128
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, c, &jpeg.Options{Quality: 90}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// stripTables leaves out the Huffman tables, as webcams do.
func stripTables(b []byte) []byte {
	i := bytes.Index(b, []byte{0xff, markDHT})
	n := int(b[i+2])<<8 | int(b[i+3])
	return append(bytes.Clone(b[:i]), b[i+2+n:]...)
}

// wantRamp compares a frame with the ramp, some grey levels apart at most.
func wantRamp(t *testing.T, f Frame, w, h, apart int) {
	t.Helper()
	if f.Width != w || f.Height != h {
		t.Fatalf("frame is %dx%d, want %dx%d", f.Width, f.Height, w, h)
	}
	for y := 4; y < h; y += 8 { // in the middle of the flat cells
		for x := 4; x < w; x += 8 {
			if d := int(f.Luma[y*f.Stride+x]) - int(ramp(x, y)); d > apart || d < -apart {
				t.Fatalf("pixel (%d, %d) is %d, want %d", x, y, f.Luma[y*f.Stride+x], ramp(x, y))
			}
		}
	}
}
