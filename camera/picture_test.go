package camera

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func pngOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bigPNG has a true header of any size and no pixels.
func bigPNG(w, h uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
	b = binary.BigEndian.AppendUint32(b, w)
	b = binary.BigEndian.AppendUint32(b, h)
	b = append(b, 8, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
}

func TestReadPictureLuma(t *testing.T) {
	one := image.Rect(0, 0, 1, 1)
	set := func(m interface {
		image.Image
		Set(x, y int, c color.Color)
	}, c color.Color) image.Image {
		m.Set(0, 0, c)
		return m
	}
	pal := image.NewPaletted(one, color.Palette{color.Black, color.NRGBA{255, 0, 0, 255}, color.NRGBA{0, 0, 0, 0}})
	for _, tc := range []struct {
		name string
		file []byte
		want byte
	}{
		{"grey", pngOf(t, set(image.NewGray(one), color.Gray{77})), 77},
		{"grey of 16 bits", pngOf(t, set(image.NewGray16(one), color.Gray16{0x4dff})), 0x4d},
		{"red is 0.299", pngOf(t, set(image.NewNRGBA(one), color.NRGBA{255, 0, 0, 255})), 76},
		{"green is 0.587", pngOf(t, set(image.NewNRGBA(one), color.NRGBA{0, 255, 0, 255})), 150},
		{"blue is 0.114", pngOf(t, set(image.NewNRGBA(one), color.NRGBA{0, 0, 255, 255})), 29},
		{"white", pngOf(t, set(image.NewRGBA(one), color.White)), 255},
		{"transparent black is paper", pngOf(t, set(image.NewNRGBA(one), color.NRGBA{0, 0, 0, 0})), 255},
		{"half transparent black", pngOf(t, set(image.NewNRGBA(one), color.NRGBA{0, 0, 0, 128})), 127},
		{"colour of 16 bits", pngOf(t, set(image.NewNRGBA64(one), color.NRGBA64{0, 0xffff, 0, 0xffff})), 150},
		{"half transparent, 16 bits", pngOf(t, set(image.NewNRGBA64(one), color.NRGBA64{0, 0, 0, 0x8000})), 127},
		{"palette", func() []byte { pal.Pix[0] = 1; return pngOf(t, pal) }(), 76},
		{"palette, transparent", func() []byte { pal.Pix[0] = 2; return pngOf(t, pal) }(), 255},
		{"PGM P5", []byte("P5\n# made by hand\n1 1\n255\n\x4d"), 77},
		{"PGM P5, maxval 15", []byte("P5 1 1 15\n\x05"), 85},
		{"PGM P5, more than maxval", []byte("P5 1 1 15\n\x80"), 255},
		{"PGM P5, 16 bits", []byte("P5 1 1 65535\n\x4d\x4d"), 77},
		{"PGM P5, a pixel like a space", []byte("P5 1 1 255\n\n"), 10},
		{"PGM P2", []byte("P2\n1 1 # size\n100\n 50\n"), 128},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := ReadPicture(bytes.NewReader(tc.file), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if p.Width != 1 || p.Height != 1 || len(p.Luma) != 1 || p.Luma[0] != tc.want {
				t.Errorf("%dx%d %v, want %d", p.Width, p.Height, p.Luma, tc.want)
			}
		})
	}
}

// Our grey of any picture is, to one step, the standard library's own.
func TestReadPicturePlaces(t *testing.T) {
	const w, h = 37, 21
	n, p := image.NewNRGBA(image.Rect(0, 0, w, h)), image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			n.SetNRGBA(x, y, color.NRGBA{byte(x * 7), byte(y * 11), byte(x * y), 255})
			p.SetGray(x, y, color.Gray{byte(x*5 + y)})
		}
	}
	var pgm bytes.Buffer
	fmt.Fprintf(&pgm, "P5 %d %d 255\n", w, h)
	pgm.Write(p.Pix)
	var plain strings.Builder
	fmt.Fprintf(&plain, "P2 %d %d 255\n", w, h)
	for _, v := range p.Pix {
		fmt.Fprintf(&plain, "%d ", v)
	}
	var jpg bytes.Buffer
	if err := jpeg.Encode(&jpg, p, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		file  []byte
		from  image.Image
		apart int
	}{
		{"PNG", pngOf(t, n), n, 1}, {"PGM", pgm.Bytes(), p, 0}, {"plain PGM", []byte(plain.String()), p, 0},
		{"JPEG", jpg.Bytes(), p, 2}, {"JPEG without tables", stripTables(jpg.Bytes()), p, 2},
	} {
		got, err := ReadPicture(bytes.NewReader(tc.file), Limits{})
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		for y := range h {
			for x := range w {
				want := int(color.GrayModel.Convert(tc.from.At(x, y)).(color.Gray).Y)
				if d := int(got.Luma[y*w+x]) - want; d > tc.apart || d < -tc.apart {
					t.Fatalf("%s: (%d, %d) is %d, want %d", tc.name, x, y, got.Luma[y*w+x], want)
				}
			}
		}
	}
}

func TestReadPictureRefuses(t *testing.T) {
	good := pngOf(t, image.NewGray(image.Rect(0, 0, 64, 64)))
	jpg := rampJPEG(64, 64)
	scans := bytes.Clone(jpg)
	at := bytes.Index(scans, []byte{0xff, markSOS})
	for range maxScans + 1 {
		scans = append(scans[:len(scans)-2], append(bytes.Clone(jpg[at:len(jpg)-2]), 0xff, markEOI)...)
	}
	for _, tc := range []struct {
		name, says string
		file       []byte
		limits     Limits
	}{
		{"nothing", "empty", nil, Limits{}},
		{"a text", "neither PNG, JPEG nor PGM", []byte("GHP1:NOT A PICTURE"), Limits{}},
		{"a GIF", "neither", []byte("GIF89a\x01\x00\x01\x00"), Limits{}},
		{"PNG cut short", "unexpected EOF", good[:len(good)-20], Limits{}},
		{"PNG of 100 million pixels", "more than 64 million", bigPNG(10000, 10000), Limits{}},
		{"PNG of 2³¹ - 1 a side", "dimension", bigPNG(1<<31-1, 1<<31-1), Limits{}},
		{"JPEG cut short", "EOF", jpg[:len(jpg)/2], Limits{}},
		{"JPEG of many scans", "too many scans", scans, Limits{}},
		{"two bytes of JPEG", "not JPEG", jpg[:2], Limits{}},
		{"PGM without pixels", "no pixels", []byte("P5 0 7 255\n"), Limits{}},
		{"PGM too large", "million", []byte("P5 16000 16000 255\n"), Limits{}},
		{"PGM cut short", "cut short", []byte("P5 16 16 255\nabc"), Limits{}},
		{"plain PGM cut short", "cut short", []byte("P2 2 2 255\n1 2 3 "), Limits{}},
		{"PGM of maxval 0", "maxval", []byte("P5 1 1 0\n\x00"), Limits{}},
		{"PGM of maxval 65536", "maxval", []byte("P5 1 1 65536\n\x00\x00"), Limits{}},
		{"PGM, endless comment", "header", append([]byte("P5 #"), bytes.Repeat([]byte("x"), 1<<17)...), Limits{}},
		{"too many bytes", "more than 64 bytes", good, Limits{Bytes: 64}},
		{"too many pixels", "more than", good, Limits{Pixels: 64*64 - 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ReadPicture(bytes.NewReader(tc.file), tc.limits)
			if !errors.Is(err, ErrPicture) || !strings.Contains(fmt.Sprint(err), tc.says) || strings.Contains(fmt.Sprint(err), "\n") {
				t.Errorf("error = %v, want one with %q", err, tc.says)
			}
		})
	}
}

func TestLoadPicture(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	fifo := filepath.Join(dir, "pipe.png")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	huge := file("huge.png", []byte("P5"))
	if err := os.Truncate(huge, 64<<20+1); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadPicture(file("a.png", pngOf(t, image.NewGray(image.Rect(0, 0, 3, 2))))); err != nil {
		t.Error(err)
	}
	for path, says := range map[string]string{
		fifo: "device or pipe", huge: "more than", "/dev/zero": "device or pipe", dir: "folder",
		file("empty.png", nil):                   "empty",
		file("new\nline.png", []byte("x")):       "neither",
		filepath.Join(dir, "missing.png"):        "no such file",
		filepath.Join(dir, "a.png", "under.png"): "not a directory",
	} {
		_, err := LoadPicture(path)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error = %v, want one line with %q", path, err, says)
		}
	}
}

func TestMendJPEG(t *testing.T) {
	plain := rampJPEG(64, 48)
	bare := stripTables(plain)
	if len(bare) >= len(plain) {
		t.Fatal("nothing was stripped")
	}
	same, err := mendJPEG(plain, nil, maxFrameScans)
	if err != nil || &same[0] != &plain[0] {
		t.Errorf("a whole JPEG was copied (%v)", err)
	}
	got, err := mendJPEG(bare, nil, maxFrameScans)
	if err != nil || len(got) != len(bare)+len(standardHuffman) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	a, err := jpeg.Decode(bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	b, err := jpeg.Decode(bytes.NewReader(got))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.(*image.YCbCr).Y, b.(*image.YCbCr).Y) {
		t.Error("another picture with the tables put in")
	}
}

func TestUnpack(t *testing.T) {
	const w, h, stride = 21, 5, 48
	yuyv := make([]byte, stride*h)
	uyvy := make([]byte, stride*h)
	grey := make([]byte, stride*h)
	for y := range h {
		for x := range w {
			yuyv[y*stride+2*x], uyvy[y*stride+2*x+1], grey[y*stride+x] = ramp(x, y), ramp(x, y), ramp(x, y)
		}
	}
	for _, tc := range []struct {
		f fourCC
		b []byte
	}{{fourYUYV, yuyv}, {fourUYVY, uyvy}, {fourGREY, grey}, {fourNV12, grey}, {fourYU12, grey}} {
		l := layout{Format: tc.f, Width: w, Height: h, Stride: stride, Size: len(tc.b)}
		got, ok := unpack(nil, tc.b[:l.need()], l)
		if !ok {
			t.Fatalf("%v: refused", tc.f)
		}
		for i, v := range got {
			if v != ramp(i%w, i/w) {
				t.Fatalf("%v: pixel %d is %d, want %d", tc.f, i, v, ramp(i%w, i/w))
			}
		}
		if _, ok := unpack(nil, tc.b[:l.need()-1], l); ok {
			t.Errorf("%v: a frame one byte short was taken", tc.f)
		}
	}
}

func FuzzReadPicture(f *testing.F) {
	f.Add(rampJPEG(16, 16))
	f.Add(stripTables(rampJPEG(16, 16)))
	f.Add(pngOf(f, image.NewNRGBA(image.Rect(0, 0, 3, 3))))
	f.Add([]byte("P5\n# c\n2 2 255\nabcd"))
	f.Add([]byte("P2 2 1 65535\n1 2"))
	f.Add(bigPNG(60000, 60000))
	l := Limits{Bytes: 1 << 16, Pixels: 1 << 16}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ReadPicture(bytes.NewReader(b), l)
		if err != nil {
			if !errors.Is(err, ErrPicture) {
				t.Errorf("another error: %v", err)
			}
			return
		}
		if p.Width <= 0 || p.Height <= 0 || len(p.Luma) != p.Width*p.Height || len(p.Luma) > 1<<16 {
			t.Errorf("%dx%d with %d bytes", p.Width, p.Height, len(p.Luma))
		}
	})
}

// A camera's frame: any bytes, buffers kept between frames.
func FuzzFrame(f *testing.F) {
	f.Add(rampJPEG(16, 16))
	f.Add(stripTables(rampJPEG(16, 16)))
	f.Add([]byte{0xff, 0xd8, 0xff, 0xda, 0, 2, 0xff})
	plain := stripTables(rampJPEG(16, 16))
	f.Fuzz(func(t *testing.T, b []byte) {
		var u unpacker
		if p, err := u.grey(b, nil, 4096); err == nil && (len(p.Luma) != p.Width*p.Height || len(p.Luma) > 4096) {
			t.Errorf("%dx%d with %d bytes", p.Width, p.Height, len(p.Luma))
		}
		if _, err := u.grey(plain, nil, 4096); err != nil {
			t.Errorf("a good frame after it: %v", err)
		}
	})
}

func BenchmarkYUYV640x480(b *testing.B) {
	src, dst := rampYUYV(640, 480), make([]byte, 640*480)
	l := layout{Format: fourYUYV, Width: 640, Height: 480, Stride: 1280, Size: len(src)}
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = unpack(dst, src, l)
	}
}

func BenchmarkYUYV1280x720(b *testing.B) {
	src, dst := rampYUYV(1280, 720), make([]byte, 1280*720)
	l := layout{Format: fourYUYV, Width: 1280, Height: 720, Stride: 2560, Size: len(src)}
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = unpack(dst, src, l)
	}
}

func BenchmarkHuffmanInsertion1280x720(b *testing.B) {
	src := stripTables(rampJPEG(1280, 720))
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = mendJPEG(src, buf, maxFrameScans)
	}
}

func benchMJPEG(b *testing.B, w, h int) {
	src := stripTables(rampJPEG(w, h))
	var u unpacker
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		p, err := u.grey(src, dst, w*h)
		if err != nil {
			b.Fatal(err)
		}
		dst = p.Luma
	}
}

func BenchmarkMJPEG640x480(b *testing.B)  { benchMJPEG(b, 640, 480) }
func BenchmarkMJPEG1280x720(b *testing.B) { benchMJPEG(b, 1280, 720) }

func benchPicture(b *testing.B, file []byte) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadPicture(bytes.NewReader(file), Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadPGM1280x720(b *testing.B) {
	benchPicture(b, append([]byte("P5 1280 720 255\n"), rampGREY(1280, 720)...))
}

func BenchmarkReadPNG1280x720(b *testing.B) {
	m := image.NewGray(image.Rect(0, 0, 1280, 720))
	copy(m.Pix, rampGREY(1280, 720))
	benchPicture(b, pngOf(b, m))
}
