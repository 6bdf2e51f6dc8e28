package mjpeg

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"testing"
)

// scene is a picture with edges, gradients and noise, in colour.
func scene(w, h int, seed uint64) *image.RGBA {
	r := rand.New(rand.NewPCG(seed, 1))
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			v := uint8(x*255/max(w-1, 1)/2 + y*255/max(h-1, 1)/2)
			if (x/7+y/5)%3 == 0 {
				v = 255 - v
			}
			n := uint8(r.IntN(24))
			m.SetRGBA(x, y, color.RGBA{v, v/2 + n, 255 - v, 255})
		}
	}
	return m
}

func encode(t testing.TB, m image.Image, quality int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// peer is the luma of image/jpeg.
func peer(t testing.TB, b []byte) ([]byte, int, int) {
	t.Helper()
	m, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	out := make([]byte, 0, w*h)
	switch m := m.(type) {
	case *image.YCbCr:
		for y := range h {
			out = append(out, m.Y[y*m.YStride:][:w]...)
		}
	case *image.Gray:
		for y := range h {
			out = append(out, m.Pix[y*m.Stride:][:w]...)
		}
	default:
		t.Fatalf("peer gave %T", m)
	}
	return out, w, h
}

func compare(t *testing.T, got Picture, want []byte, w, h int) {
	t.Helper()
	if got.Width != w || got.Height != h || got.Damaged {
		t.Fatalf("%d × %d, damaged %v, want %d × %d", got.Width, got.Height, got.Damaged, w, h)
	}
	for i, v := range got.Luma {
		if d := int(v) - int(want[i]); d > 1 || d < -1 {
			t.Fatalf("pixel %d, %d is %d, want %d", i%w, i/w, v, want[i])
		}
	}
}

func TestLumaIsThatOfImageJPEG(t *testing.T) {
	var d Decoder
	var luma []byte
	for _, quality := range []int{5, 50, 75, 95, 100} {
		for _, size := range [][2]int{{1, 1}, {8, 8}, {16, 16}, {17, 15}, {640, 480}, {333, 77}} {
			t.Run(fmt.Sprint(quality, size), func(t *testing.T) {
				m := scene(size[0], size[1], uint64(quality))
				for _, m := range []image.Image{m, grey(m)} {
					b := encode(t, m, quality)
					want, w, h := peer(t, b)
					got, err := d.Decode(b, luma, Full)
					if err != nil {
						t.Fatal(err)
					}
					luma = got.Luma
					compare(t, got, want, w, h)
				}
			})
		}
	}
}

func grey(m image.Image) *image.Gray {
	g := image.NewGray(m.Bounds())
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			g.Set(x, y, m.At(x, y))
		}
	}
	return g
}

// cut takes the DHT segments out, as webcams do.
func cut(b []byte) []byte {
	var out []byte
	out = append(out, b[:2]...)
	for at := 2; ; {
		size := 2 + (int(b[at+2])<<8 | int(b[at+3]))
		if b[at+1] != dht {
			out = append(out, b[at:at+size]...)
		}
		if b[at+1] == sos {
			return append(out, b[at+size:]...)
		}
		at += size
	}
}

func TestFramesWithoutTables(t *testing.T) {
	// image/jpeg writes the tables of Annex K.3, so without them it is the same.
	b := encode(t, scene(64, 48, 1), 75)
	want, w, h := peer(t, b)
	var d Decoder
	got, err := d.Decode(cut(b), nil, Full)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, got, want, w, h)
	// Tables of the frame before do not stand in.
	odd := bytes.Clone(b)
	at := bytes.Index(odd, []byte{0xff, dht})
	odd[at+5]++ // counts that no code has: refused
	if _, err := d.Decode(odd, nil, Full); !errors.Is(err, ErrFrame) {
		t.Errorf("broken tables: %v", err)
	}
	if got, err = d.Decode(cut(b), nil, Full); err != nil {
		t.Fatal(err)
	}
	compare(t, got, want, w, h)
}

func TestHalfIsTheMeanOfFour(t *testing.T) {
	// Of what has no high frequencies, half is the box mean.
	m := image.NewGray(image.Rect(0, 0, 70, 50))
	for y := range 50 {
		for x := range 70 {
			m.Pix[y*m.Stride+x] = uint8(40 + 2*x + y)
		}
	}
	b := encode(t, m, 100)
	full, w, _ := peer(t, b)
	var d Decoder
	half, err := d.Decode(b, nil, Half)
	if err != nil || half.Width != 35 || half.Height != 25 {
		t.Fatalf("%d × %d, %v", half.Width, half.Height, err)
	}
	for y := range 24 { // the last blocks hold what the encoder filled them with
		for x := range 32 {
			want := (int(full[2*y*w+2*x]) + int(full[2*y*w+2*x+1]) + int(full[(2*y+1)*w+2*x]) + int(full[(2*y+1)*w+2*x+1]) + 2) / 4
			if got := int(half.Luma[y*35+x]); got-want > 2 || want-got > 2 {
				t.Fatalf("pixel %d, %d is %d, want %d", x, y, got, want)
			}
		}
	}
	eighth, err := d.Decode(b, nil, Eighth)
	if err != nil || eighth.Width != 9 || eighth.Height != 7 {
		t.Fatalf("%d × %d, %v", eighth.Width, eighth.Height, err)
	}
	for y := range 6 {
		for x := range 8 {
			sum := 0
			for i := range 64 {
				sum += int(full[(8*y+i/8)*w+8*x+i%8])
			}
			if got, want := int(eighth.Luma[y*9+x]), (sum+32)/64; got-want > 1 || want-got > 1 {
				t.Fatalf("block %d, %d is %d, want %d", x, y, got, want)
			}
		}
	}
}

func TestDamagedTailKeepsWhatCame(t *testing.T) {
	b := encode(t, scene(320, 240, 3), 75)
	want, w, _ := peer(t, b)
	var d Decoder
	got, err := d.Decode(b[:len(b)*2/3], nil, Full)
	if err != nil || !got.Damaged {
		t.Fatalf("damaged %v, %v", got.Damaged, err)
	}
	for y := range 240 / 2 {
		for x := range w {
			if v := int(got.Luma[y*w+x]) - int(want[y*w+x]); v > 1 || v < -1 {
				t.Fatalf("pixel %d, %d of the good part is wrong", x, y)
			}
		}
	}
	if got.Luma[len(got.Luma)-1] != 128 {
		t.Errorf("what did not come is %d, want middle grey", got.Luma[len(got.Luma)-1])
	}
	if _, err := d.Decode(b[:bytes.Index(b, []byte{0xff, sos})+8], nil, Full); !errors.Is(err, ErrFrame) {
		t.Errorf("headers alone: %v, want ErrFrame", err)
	}
}

func TestRefuses(t *testing.T) {
	b := encode(t, scene(32, 32, 1), 75)
	at := bytes.Index(b, []byte{0xff, sof0})
	with := func(i int, v byte) []byte {
		c := bytes.Clone(b)
		c[i] = v
		return c
	}
	for _, tc := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, ErrFrame},
		{"no JPEG", []byte("GIF89a--"), ErrFrame},
		{"progressive", with(at+1, 0xc2), ErrUnsupported},
		{"arithmetic", with(at+1, 0xc9), ErrUnsupported},
		{"12 bits", with(at+4, 12), ErrUnsupported},
		{"a side of no pixels", with(at+8, 0), ErrUnsupported},
		{"luma coarser than colour", with(at+11, 0x11), ErrUnsupported},
		{"a quantiser that is missing", with(at+12, 3), ErrFrame},
		{"headers cut", b[:at+6], ErrFrame},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := tc.b
			if tc.name == "luma coarser than colour" {
				c[at+14] = 0x22
			}
			if _, err := new(Decoder).Decode(c, nil, Full); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
	small := Decoder{Pixels: 1000}
	if _, err := small.Decode(b, nil, Full); !errors.Is(err, ErrSize) {
		t.Errorf("more pixels than allowed: %v", err)
	}
}

func TestNoAllocations(t *testing.T) {
	b := cut(encode(t, scene(640, 480, 1), 75))
	var d Decoder
	luma := make([]byte, 0, 640*480)
	for _, scale := range []Scale{Full, Half, Eighth} {
		run := func() {
			if _, err := d.Decode(b, luma, scale); err != nil {
				t.Fatal(err)
			}
		}
		run()
		if n := testing.AllocsPerRun(10, run); n != 0 {
			t.Errorf("scale %d: %v allocations a frame", scale, n)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(f, scene(33, 17, 1), 75), 8)
	f.Add(cut(encode(f, grey(scene(16, 24, 2)), 30)), 4)
	f.Fuzz(func(t *testing.T, b []byte, scale int) {
		d := Decoder{Pixels: 1 << 16}
		s := []Scale{Full, Half, Eighth}[uint(scale)%3]
		p, err := d.Decode(b, nil, s)
		if err == nil && len(p.Luma) != p.Width*p.Height {
			t.Errorf("%d × %d has %d pixels", p.Width, p.Height, len(p.Luma))
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, size := range [][2]int{{640, 480}, {1280, 720}} {
		frame := encode(b, scene(size[0], size[1], 1), 75)
		name := fmt.Sprintf("%dx%d/", size[0], size[1])
		b.Run(name+"peer", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := jpeg.Decode(bytes.NewReader(frame)); err != nil {
					b.Fatal(err)
				}
			}
		})
		for what, scale := range map[string]Scale{"full": Full, "half": Half, "eighth": Eighth} {
			b.Run(name+what, func(b *testing.B) {
				b.ReportAllocs()
				var d Decoder
				luma := make([]byte, 0, size[0]*size[1])
				for b.Loop() {
					if _, err := d.Decode(frame, luma, scale); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
