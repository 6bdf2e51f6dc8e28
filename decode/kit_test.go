package decode

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"image"
	"image/color"
	_ "image/jpeg"
	_ "image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kitDir finds a folder of third-party pictures: the named environment
// variable, or its place next to the repository root.
func kitDir(t *testing.T, env, beside string) string {
	t.Helper()
	dir := os.Getenv(env)
	if dir == "" {
		root, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				break
			}
			if root == filepath.Dir(root) {
				t.Fatal("no go.mod above the test")
			}
			root = filepath.Dir(root)
		}
		dir = filepath.Join(root, "..", "shared", beside)
	}
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CHECKPOINT_NO_SKIP") == "1" {
			t.Fatalf("%s: %v (skipping is forbidden)", env, err)
		}
		t.Skipf("no pictures: set %s to the folder (%v)", env, err)
	}
	return dir
}

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
	for y := range out.Height {
		for x := range out.Width {
			c := src.At(b.Min.X+x, b.Min.Y+y)
			n := color.NRGBAModel.Convert(c).(color.NRGBA)
			g := color.GrayModel.Convert(color.NRGBA{n.R, n.G, n.B, 255}).(color.Gray).Y
			out.Luma[y*out.Stride+x] = byte((int(g)*int(n.A) + 255*(255-int(n.A))) / 255)
		}
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
	dir := kitDir(t, "QR_DIR", "qr")
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
	dir := filepath.Join(kitDir(t, "CONFORMANCE_DIR", "conformance"), "dcc", "qr-images")
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

// TestPictures reads third-party pictures: whatever is read must be the truth,
// and the share read may not fall below what is recorded here (in percent, of
// pictures in all rotations).
func TestPictures(t *testing.T) {
	atLeast := map[string]float64{}
	type tally struct {
		pictures, read int
		missed         []string
	}
	sets := map[string]*tally{}
	s := NewScanner(Options{Effort: Thorough})
	for _, c := range append(passPictures(t), kitPictures(t)...) {
		img, err := luma(c.path)
		if err != nil {
			t.Fatal(err)
		}
		turns := 4
		if c.set == "passes" || c.set == "dgc" {
			turns = 1
		}
		if sets[c.set] == nil {
			sets[c.set] = &tally{}
		}
		for turn := range turns {
			read, wrong := judge(c, s.Scan(img))
			for _, w := range wrong {
				t.Errorf("%s, turned %d×90°: false read %.120s", c.name, turn, w)
			}
			tl := sets[c.set]
			tl.pictures++
			if read == len(c.want) {
				tl.read++
			} else {
				tl.missed = append(tl.missed, c.name)
			}
			img = quarter(img)
		}
	}
	for name, tl := range sets {
		share := 100 * float64(tl.read) / float64(tl.pictures)
		t.Logf("%s: %d of %d (%.1f %%), not read: %s", name, tl.read, tl.pictures, share, strings.Join(tl.missed, " "))
		if share < atLeast[name] {
			t.Errorf("%s: read %.1f %%, recorded %.1f %%", name, share, atLeast[name])
		}
	}
	if n := s.Stats().Faults; n > 0 {
		t.Errorf("%d faults inside the engine", n)
	}
}
