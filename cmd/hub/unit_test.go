package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"checkpoint/decode"
)

func TestStorePasswordsAreNeverShown(t *testing.T) {
	const secret = "s3cr3t-pa55"
	for _, address := range []string{
		"postgres://hub:" + secret + "@db.example:5432/hub?sslmode=require",
		"postgresql://db.example/hub?user=hub&password=" + secret,
	} {
		cfg := defaultConfig()
		cfg.Store = address
		if got := cfg.storeWord(); strings.Contains(got, secret) || !strings.Contains(got, "db.example") {
			t.Errorf("the store is called %q", got)
		}
		if err := scrub(fmt.Errorf("dial %s: %w", address, os.ErrDeadlineExceeded), address); strings.Contains(err.Error(), secret) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the error is %q", err)
		}
		if cfg.storable() == nil {
			t.Error("an address with a password may stand in hub.toml")
		}
	}
	for _, address := range []string{"", "mysql://x/y", "postgres://", "postgres://u:" + secret + "@h:bad port/x", "@missing", "sqlite3"} {
		cfg := config{Store: address}
		if _, err := cfg.storeAddress(); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestConfigurationComesBackAsItWasWritten(t *testing.T) {
	cfg := defaultConfig()
	cfg.Names, cfg.URL, cfg.Store, cfg.Log = []string{"hub.example", "192.0.2.7"}, "https://hub.example", "@/etc/store", `/var/log/a "b".log`
	got := defaultConfig()
	if err := parseConfig(renderConfig(cfg), &got); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(cfg) {
		t.Errorf("came back as %v, want %v", got, cfg)
	}
	err := parseConfig([]byte("names = []\nlisten_on = \":1\"\n"), &got)
	if err == nil || !strings.Contains(err.Error(), "line 2") || !strings.Contains(err.Error(), `"listen"`) {
		t.Errorf("an unknown key: %v", err)
	}
	if err := parseConfig([]byte("\nlisten = 5\n"), &got); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a wrong type: %v", err)
	}
}

func TestExampleConfigurationIsWhatInitWrites(t *testing.T) {
	text, err := os.ReadFile("../../docs/examples/hub.toml")
	if err != nil {
		t.Fatal(err)
	}
	var cfg config
	if err := errors.Join(parseConfig(text, &cfg), cfg.check(), cfg.storable()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(renderConfig(cfg), text) {
		t.Errorf("init would write\n%s", renderConfig(cfg))
	}
}

// What the terminal shows is read back from its half blocks.
func TestCodeOnTheTerminalReads(t *testing.T) {
	const text = "CKE1:%69 VD92EX0 TOKEN"
	m, err := decode.Encode([]byte(text), decode.LevelL)
	if err != nil {
		t.Fatal(err)
	}
	const px = 4
	lines := strings.Split(strings.TrimSuffix(blocksOf(m), "\n"), "\n")
	width := m.Size + 2*quiet
	img := image.NewGray(image.Rect(0, 0, width*px, 2*len(lines)*px))
	for y, line := range lines {
		line, ok := strings.CutPrefix(line, blackOnWhite)
		line, reset := strings.CutSuffix(line, asBefore)
		cells := []rune(line)
		if !ok || !reset || len(cells) != width {
			t.Fatalf("line %d has %d cells, want %d between its colours", y, len(cells), width)
		}
		for x, cell := range cells {
			for dy := range 2 * px {
				dark := cell == '█' || cell == '▀' && dy < px || cell == '▄' && dy >= px
				for dx := range px {
					if !dark {
						img.Pix[(2*y*px+dy)*img.Stride+x*px+dx] = 255
					}
				}
			}
		}
	}
	found := decode.NewScanner(decode.Options{}).Scan(decode.Image{Luma: img.Pix, Width: img.Rect.Dx(), Height: img.Rect.Dy(), Stride: img.Stride})
	if len(found.Symbols) != 1 || string(found.Symbols[0].Payload) != text {
		t.Errorf("read %d symbols", len(found.Symbols))
	}
}

func TestSocketPathFitsTheKernel(t *testing.T) {
	dir := t.TempDir()
	for len(dir) < 2*maxSocketPath {
		dir = filepath.Join(dir, "a-long-name-of-a-folder")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ln, err := listenSocket(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, fileSocket)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	if _, err := listenSocket(t.Context(), dir); !errors.Is(err, errServes) {
		t.Errorf("a second hub: %v", err)
	}
	ln.Close()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if ln, err := listenSocket(t.Context(), dir); err == nil {
		ln.Close()
		t.Error("it listens in a directory that others can look into")
	}
}

func TestPlacesAreNeverWrittenOver(t *testing.T) {
	fill := func(stage string) error {
		return errors.Join(os.Mkdir(filepath.Join(stage, dirKeys), 0o700), os.WriteFile(filepath.Join(stage, fileConfig), nil, 0o600))
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := newPlace(dir, func(string) error { return errors.New("no") }); err == nil {
		t.Fatal("a failure was swallowed")
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what failed left %s: %v", dir, err)
	}
	if err := newPlace(dir, fill); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v %v", info, err)
	}
	if err := newPlace(dir, fill); err == nil {
		t.Error("it was written over")
	}
	// A directory that is there and empty, as systemd makes it.
	empty := t.TempDir()
	if err := newPlace(empty, fill); err != nil {
		t.Error(err)
	}
	broken := t.TempDir()
	if err := os.Mkdir(filepath.Join(broken, stageName), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := newPlace(broken, fill); err == nil || !strings.Contains(err.Error(), "broken off") {
		t.Errorf("a place where something was broken off: %v", err)
	}
}

// backupOf makes a backup of files in their order, its checksums right.
func backupOf(t testing.TB, files ...[2]string) []byte {
	t.Helper()
	var b, sums bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(name, data string) {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		add(f[0], f[1])
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256([]byte(f[1])), f[0])
	}
	add(fileSums, sums.String())
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const goodManifest = `{"form":"checkpoint-hub-backup/1","made":"2026-11-25T08:00:00Z","version":"v1","store":"sqlite"}`

func TestBackupsThatDoNotHoldAreRefused(t *testing.T) {
	m := [2]string{fileManifest, goodManifest}
	good := backupOf(t, m, [2]string{fileConfig, ""}, [2]string{"keys/ca.pem", "x"}, [2]string{"store/000001", "dump"})
	open := func(b []byte) error {
		path := filepath.Join(t.TempDir(), "b.tar")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := openArchive(path)
		if err == nil {
			a.Close()
		}
		return err
	}
	if err := open(good); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"empty":                     {},
		"not a tar":                 []byte("hello"),
		"a way out":                 backupOf(t, m, [2]string{"keys/../../x", "x"}),
		"a whole path":              backupOf(t, m, [2]string{"/etc/passwd", "x"}),
		"another folder":            backupOf(t, m, [2]string{"data/x.db", "x"}),
		"a file twice":              backupOf(t, m, [2]string{"keys/ca.pem", "x"}, [2]string{"keys/ca.pem", "y"}),
		"pieces out of order":       backupOf(t, m, [2]string{"store/000002", "x"}),
		"a key after the data":      backupOf(t, m, [2]string{"store/000001", "x"}, [2]string{"keys/ca.pem", "y"}),
		"no manifest":               backupOf(t, [2]string{fileConfig, ""}),
		"of another form":           backupOf(t, [2]string{fileManifest, strings.Replace(goodManifest, "/1", "/2", 1)}),
		"a file that is too large":  backupOf(t, m, [2]string{"keys/x", strings.Repeat("x", maxFile+1)}),
		"a piece that is too large": backupOf(t, m, [2]string{"store/000001", strings.Repeat("x", maxPiece+1)}),
	} {
		if open(b) == nil {
			t.Errorf("%s: taken", name)
		}
	}
	// Cut off anywhere, or one bit of content changed, it is not taken.
	for n := 0; n < bytes.LastIndex(good, []byte("store/000001")); n += 97 {
		if open(good[:n]) == nil {
			t.Errorf("cut off at %d of %d: taken", n, len(good))
		}
	}
	for _, what := range []string{"dump", "sqlite", "ca.pem"} {
		b := bytes.Clone(good)
		b[bytes.Index(b, []byte(what))] ^= 1
		if open(b) == nil {
			t.Errorf("%q changed: taken", what)
		}
	}
}

func FuzzOpenArchive(f *testing.F) {
	m := [2]string{fileManifest, goodManifest}
	f.Add(backupOf(f, m))
	f.Add(backupOf(f, m, [2]string{"keys/ca.pem", "x"}, [2]string{"store/000001", "dump"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "b.tar")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := openArchive(path)
		if err != nil {
			return
		}
		defer a.Close()
		for name := range a.files {
			if !filepath.IsLocal(name) {
				t.Errorf("a file leads out: %q", name)
			}
		}
	})
}

// The dump is cut into pieces and comes back whole.
func TestDumpIsCutAndComesBack(t *testing.T) {
	var b bytes.Buffer
	w := &writer{tar: tar.NewWriter(&b)}
	if err := w.add(fileManifest, []byte(goodManifest)); err != nil {
		t.Fatal(err)
	}
	p := &pieceWriter{w: w}
	var want []byte
	for i := range 5 {
		part := bytes.Repeat([]byte{byte(i)}, maxPiece/2+i)
		want = append(want, part...)
		if n, err := p.Write(part); err != nil || n != len(part) {
			t.Fatal(n, err)
		}
	}
	err := errors.Join(p.flush(), w.add(fileSums, w.sums.Bytes()), w.tar.Close())
	path := filepath.Join(t.TempDir(), "b.tar")
	if err := errors.Join(err, os.WriteFile(path, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	a, err := openArchive(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var got bytes.Buffer
	if _, err := got.ReadFrom(a.dump()); err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes came back of %d: %v", got.Len(), len(want), err)
	}
	if p.n != 3 {
		t.Errorf("%d pieces", p.n)
	}
}

// No flag, however odd, makes a panic; each failure is one line.
func TestOddFlagsFailInOneLine(t *testing.T) {
	dir := t.TempDir()
	odd := []string{"", "-1", "\x00", "9999999999999999999999", "NaN", "\x1b[31m", "../../..", "https://", "1e309"}
	for _, line := range [][]string{
		{"init", "--trust", "x", "--name"}, {"init", "--trust", "x", "--listen"}, {"init", "--store"}, {"init", "--interval"}, {"init", "--url"},
		{"serve", "--store"}, {"bench", "--gates"}, {"bench", "--resend"}, {"bench", "--store", "x", "--segment"}, {"bench", "--cert", "y", "--hub"},
		{"token", "--ttl"}, {"token", "x", "--hub"}, {"gate", "confirm"}, {"user", "add"}, {"publish", "draft", "root"}, {"publish", "sign", "--key"},
		{"publish", "check"}, {"restore"}, {"backup"}, {"stick", "import"}, {"migrate", "--store"},
	} {
		for _, value := range odd {
			var out, err bytes.Buffer
			a := newApp()
			a.in, a.out, a.err = strings.NewReader(""), &out, &err
			a.env = func(name string) string { return map[string]string{"HOME": dir}[name] }
			code := a.run(context.Background(), append(append([]string{}, line...), value))
			if code < exitUsage || code > exitRefused || strings.Count(err.String(), "\n") != 1 || !strings.HasPrefix(err.String(), "hub: ") || strings.Contains(err.String(), "\x1b") {
				t.Errorf("%q %q: exit %d, %q", line, value, code, err.String())
			}
		}
	}
}
