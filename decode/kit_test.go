package decode

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"image"
	"image/draw"
	_ "image/jpeg"
	_ "image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"checkpoint/internal/vectors"
)

// luma reads a picture as grey on white paper.
func luma(path string) (Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return Image{}, err
	}
	defer f.Close()
	src, _, err := image.Decode(bufio.NewReader(f))
	if err != nil {
		return Image{}, err
	}
	b := src.Bounds()
	out := Image{Width: b.Dx(), Height: b.Dy(), Stride: b.Dx(), Luma: make([]byte, b.Dx()*b.Dy())}
	switch m := src.(type) {
	case *image.Gray:
		for y := range out.Height {
			copy(out.Luma[y*out.Stride:], m.Pix[y*m.Stride:y*m.Stride+out.Width])
		}
		return out, nil
	case *image.YCbCr:
		for y := range out.Height {
			copy(out.Luma[y*out.Stride:(y+1)*out.Stride], m.Y[y*m.YStride:])
		}
		return out, nil
	}
	paper := image.NewRGBA(image.Rect(0, 0, out.Width, out.Height))
	draw.Draw(paper, paper.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(paper, paper.Rect, src, b.Min, draw.Over)
	for i := range out.Luma {
		p := paper.Pix[4*i : 4*i+3]
		out.Luma[i] = byte((299*int(p[0]) + 587*int(p[1]) + 114*int(p[2]) + 500) / 1000)
	}
	return out, nil
}

// quarter turns a picture by 90° counterclockwise.
func quarter(m Image) Image {
	out := Image{Width: m.Height, Height: m.Width, Stride: m.Height, Luma: make([]byte, m.Width*m.Height)}
	for y := range m.Height {
		for x := range m.Width {
			out.Luma[(m.Width-1-x)*out.Stride+y] = m.Luma[y*m.Stride+x]
		}
	}
	return out
}

// kitCase is one picture with the payloads it holds: each of want in one of
// its accepted forms.
type kitCase struct {
	path, name, set string
	want            [][][]byte
}

func kitPictures(t *testing.T) []kitCase {
	t.Helper()
	dir := vectors.QR.Dir(t)
	f, err := os.Open(filepath.Join(dir, "manifest.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var cases []kitCase
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		col := strings.Split(sc.Text(), "\t")
		if strings.HasPrefix(col[0], "#") || len(col) < 3 {
			continue
		}
		c := kitCase{path: filepath.Join(dir, col[0]), name: col[0], set: col[1]}
		if col[2] != "-" {
			for _, code := range strings.Split(col[2], ",") {
				var forms [][]byte
				for _, form := range strings.Split(code, "|") {
					b, err := hex.DecodeString(form)
					if err != nil {
						t.Fatalf("%s: %v", col[0], err)
					}
					forms = append(forms, b)
				}
				c.want = append(c.want, forms)
			}
		}
		cases = append(cases, c)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("the manifest lists no pictures")
	}
	return cases
}

func passPictures(t *testing.T) []kitCase {
	t.Helper()
	dir := vectors.Conformance.Dir(t, "dcc", "qr-images")
	raw, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Images []struct{ File, Text string }
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	var cases []kitCase
	for _, i := range m.Images {
		cases = append(cases, kitCase{path: filepath.Join(dir, i.File), name: i.File, set: "passes", want: [][][]byte{{[]byte(i.Text)}}})
	}
	if len(cases) == 0 {
		t.Fatal("the manifest lists no pictures")
	}
	return cases
}

// judge compares what was read with the truth: how many of the wanted codes
// were read, and what came out that is none of them.
func judge(c kitCase, res Result) (read int, wrong []string) {
	for _, sym := range res.Symbols {
		ok := false
		for _, forms := range c.want {
			for _, f := range forms {
				ok = ok || bytes.Equal(f, sym.Payload)
			}
		}
		if !ok {
			wrong = append(wrong, hex.EncodeToString(sym.Payload))
		}
	}
	for _, forms := range c.want {
		hit := false
		for _, f := range forms {
			for _, sym := range res.Symbols {
				hit = hit || bytes.Equal(f, sym.Payload)
			}
		}
		if hit {
			read++
		}
	}
	return read, wrong
}

// atLeast is the share of pictures, in percent and in all rotations, that is
// read of each known set; of sets that are not named here nothing is asked but
// that no read is false. A loss shows as a failing test.
var atLeast = map[string]float64{
	"passes":             100,
	"dgc":                100,
	"zxing/qrcode-1":     100,
	"zxing/qrcode-3":     95,
	"zxing/qrcode-4":     99,
	"zxing-cpp/qrcode-1": 100,
	"zxing-cpp/qrcode-2": 60,
	"zxing-cpp/qrcode-3": 88,
	"zxing-cpp/qrcode-7": 100,
}

// TestPictures reads third-party pictures, photos in four rotations: whatever
// is read must be the truth, and no set may lose pictures.
func TestPictures(t *testing.T) {
	sets := map[string][]kitCase{}
	for _, c := range append(passPictures(t), kitPictures(t)...) {
		sets[c.set] = append(sets[c.set], c)
	}
	for name, cases := range sets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			turns, least := 4, atLeast[name]
			switch {
			case name == "passes" || name == "dgc":
				turns = 1
			case testing.Short() || raceEnabled:
				// One rotation alone may be a worse one than the mean of four.
				turns, least = 1, least-8
			}
			readSet(t, cases, turns, least)
		})
	}
}

func readSet(t *testing.T, cases []kitCase, turns int, least float64) {
	s := NewScanner(Options{Effort: Thorough})
	pictures, all := 0, 0
	missed := map[string]int{}
	for _, c := range cases {
		img, err := luma(c.path)
		if err != nil {
			t.Fatal(err)
		}
		for turn := range turns {
			read, wrong := judge(c, s.Scan(img))
			for _, w := range wrong {
				t.Errorf("%s, turned %d×90°: false read %.120s", c.name, turn, w)
			}
			pictures++
			if read == len(c.want) {
				all++
			} else {
				missed[filepath.Base(c.name)]++
			}
			img = quarter(img)
		}
	}
	share := 100 * float64(all) / float64(pictures)
	t.Logf("%d of %d (%.1f %%); not read, with the number of rotations: %v", all, pictures, share, missed)
	if share < least {
		t.Errorf("read %.1f %%, at least %.1f %% are asked for", share, least)
	}
	if n := s.Stats().Faults; n > 0 {
		t.Errorf("%d faults inside the engine", n)
	}
}
