package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"checkpoint/decode"
	"checkpoint/healthcode"
	"checkpoint/trust"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"checkpoint": main})
}

// TestScripts are the stories in testdata/script. Beside testscript's own
// commands they have
//
//	world [now]     makes keys, trust files, texts and pictures in $WORK, as of
//	                the story's morning or of this moment; see world
//	bad             makes files that are broken each in its own way
//	status N CMD…   runs CMD and fails unless it exits with N
//	oneline         fails unless standard error is one line of the program's
//	newer FILE      makes a gate's file of a version that does not exist yet
//	noleak PATH…    fails when anything of a person or a code is in a file below
//	                PATH, or in what the last command printed
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_STATE_HOME", "")
			e.Setenv("XDG_CONFIG_HOME", "")
			e.Setenv("AT", morning.Format(time.RFC3339))
			e.Setenv("NO_COLOR", "1")
			e.Setenv("ESC", "\x1b")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"world":   world,
			"bad":     bad,
			"noleak":  noleak,
			"status":  status,
			"oneline": oneLineOnly,
			"newer":   newer,
		},
	})
}

// morning is the instant of all stories.
var morning = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// What must never leave the pictures: of the person, and of the code.
const (
	secretName = "Q*MARKER*Z"
	secretLast = "7QZX"
	secretCTI  = "\xc0\xde\xfa\xce\x00\x01\x02\x03"
)

func ecKey(t interface{ Fatalf(string, ...any) }, fill byte) *ecdsa.PrivateKey {
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{fill}, 32))
	if err != nil {
		t.Fatalf("key: %v", err)
	}
	return key
}

func edKey(fill byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{fill}, 32))
}

// scene is everything that the stories are made of.
type scene struct {
	issuer, stranger, holder *ecdsa.PrivateKey
	at                       time.Time
	t                        interface{ Fatalf(string, ...any) }
}

func newScene(t interface{ Fatalf(string, ...any) }, at time.Time) scene {
	return scene{issuer: ecKey(t, 1), stranger: ecKey(t, 2), holder: ecKey(t, 3), at: at, t: t}
}

func (s scene) snapshot(version uint64) *trust.Snapshot {
	spki, err := x509.MarshalPKIXPublicKey(&s.issuer.PublicKey)
	if err != nil {
		s.t.Fatalf("issuer key: %v", err)
	}
	kid, err := healthcode.KeyID(&s.issuer.PublicKey)
	if err != nil {
		s.t.Fatalf("issuer key: %v", err)
	}
	day, err := hpke.MLKEM768X25519().NewPrivateKey(bytes.Repeat([]byte{4}, 32))
	if err != nil {
		s.t.Fatalf("day key: %v", err)
	}
	issued := s.at.Add(-3 * time.Hour)
	return &trust.Snapshot{
		Form: trust.Form, Version: version, Issued: issued,
		Issuers: trust.Issuers{Issued: issued, Keys: []trust.IssuerKey{{
			KID: trust.ID(kid), Algorithm: "ES256", SPKI: spki, Name: "Story issuer", Country: "CN", Regions: []string{"CN-42"},
			Colours:   []trust.Colour{trust.Green, trust.Amber, trust.Red, trust.Gold},
			NotBefore: s.at.AddDate(-1, 0, 0), NotAfter: s.at.AddDate(1, 0, 0),
		}}},
		Policy:  trust.Policies{Issued: issued, Rules: []trust.Policy{{From: s.at.AddDate(0, -1, 0), Venue: trust.AnyVenue, Formats: []string{"native", "dcc"}}}},
		Revoked: trust.Revocations{Issued: issued},
		DayKeys: trust.DayKeys{Issued: issued, Keys: []trust.DayKey{{
			ID: s.at.Format(time.DateOnly), From: s.at.Add(-24 * time.Hour), To: s.at.Add(24 * time.Hour), PublicKey: day.PublicKey().Bytes(),
		}}},
	}
}

func (s scene) claims(colour healthcode.Colour) healthcode.Claims {
	c := healthcode.Claims{
		Issuer: "CN-420100", Issued: s.at.Add(-time.Hour).Unix(), Expires: s.at.Add(20 * time.Hour).Unix(),
		CTI: [8]byte([]byte(secretCTI)), Holder: &s.holder.PublicKey, Colour: colour,
		Name: secretName, Document: healthcode.Document{Type: 1, Last: secretLast},
	}
	if colour == healthcode.Red || colour == healthcode.Amber {
		c.Until, c.Reason, c.Basis = s.at.AddDate(0, 0, 7).Unix(), healthcode.ReasonContact, "CN-2020-1"
	}
	if colour == healthcode.Gold {
		c.Vaccinated = healthcode.Vaccination{Doses: 2, Last: int32(s.at.Unix()/86400) - 60}
	}
	return c
}

func (s scene) credential(key *ecdsa.PrivateKey, c healthcode.Claims) *healthcode.Credential {
	code, err := healthcode.Sign(nil, key, &c)
	if err != nil {
		s.t.Fatalf("sign: %v", err)
	}
	return code
}

func (s scene) shown(key *ecdsa.PrivateKey, c healthcode.Claims) string {
	text, err := healthcode.Present(nil, s.holder, s.credential(key, c), s.at.Unix())
	if err != nil {
		s.t.Fatalf("present: %v", err)
	}
	return text
}

// texts are the codes of the stories by name.
func (s scene) texts() map[string]string {
	paper := s.claims(healthcode.Green)
	paper.Holder = nil
	old := s.claims(healthcode.Green)
	old.Issued, old.Expires = s.at.Add(-23*time.Hour).Unix(), s.at.Add(-time.Hour).Unix()
	return map[string]string{
		"pass":       s.shown(s.issuer, s.claims(healthcode.Green)),
		"gold":       s.shown(s.issuer, s.claims(healthcode.Gold)),
		"red":        s.shown(s.issuer, s.claims(healthcode.Red)),
		"amber":      s.shown(s.issuer, s.claims(healthcode.Amber)),
		"expired":    s.shown(s.issuer, old),
		"stranger":   s.shown(s.stranger, s.claims(healthcode.Green)),
		"screenshot": s.credential(s.issuer, s.claims(healthcode.Green)).Text(),
		"paper":      s.credential(s.issuer, paper).Text(),
		"other":      "https://example.org/menu",
	}
}

// world writes the scene: NAME.txt and NAME.png for each text, trust.json (not
// signed), v5.signed, v4.signed, v5b.signed (same version, other bytes),
// wrong.signed (another key), and $TRUST_KEY.
func world(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 || len(args) == 1 && args[0] != "now" {
		ts.Fatalf("usage: world [now]")
	}
	at := morning
	if len(args) == 1 {
		// A gate takes what a phone shows up to 30 s ahead and 60 s after: the
		// longest while for the story to go on.
		at = time.Now().UTC().Truncate(time.Second).Add(20 * time.Second)
	}
	s := newScene(ts, at)
	for name, text := range s.texts() {
		ts.Check(os.WriteFile(ts.MkAbs(name+".txt"), []byte(text+"\n"), 0o600))
		ts.Check(os.WriteFile(ts.MkAbs(name+".png"), picture(ts, []byte(text)), 0o600))
	}
	ts.Check(os.WriteFile(ts.MkAbs("two.png"), sideBySide(ts, s.texts()["pass"], s.texts()["red"]), 0o600))

	plain, err := trust.Marshal(s.snapshot(5))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("trust.json"), plain, 0o600))
	other := s.snapshot(5)
	other.Issuers.Keys[0].Name = "Another name"
	for name, signed := range map[string]struct {
		s   *trust.Snapshot
		key ed25519.PrivateKey
	}{
		"v4": {s.snapshot(4), edKey(9)}, "v5": {s.snapshot(5), edKey(9)}, "v5b": {other, edKey(9)},
		"v6": {s.snapshot(6), edKey(9)}, "wrong": {s.snapshot(7), edKey(8)},
	} {
		data, err := trust.Sign(signed.s, signed.key)
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(name+".signed"), data, 0o600))
	}
	ts.Setenv("TRUST_KEY", base64.StdEncoding.EncodeToString(edKey(9).Public().(ed25519.PublicKey)))
}

const (
	module = 5 // pixels
	quiet  = 4 // modules
)

func symbolImage(t interface{ Fatalf(string, ...any) }, text []byte) *image.Gray {
	m, err := decode.Encode(text, decode.LevelM)
	if err != nil {
		t.Fatalf("draw: %v", err)
	}
	side := (m.Size + 2*quiet) * module
	img := image.NewGray(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			if !m.Dark(x/module-quiet, y/module-quiet) {
				img.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	return img
}

func encoded(t interface{ Fatalf(string, ...any) }, img image.Image) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatalf("draw: %v", err)
	}
	return b.Bytes()
}

func picture(t interface{ Fatalf(string, ...any) }, text []byte) []byte {
	return encoded(t, symbolImage(t, text))
}

func sideBySide(t interface{ Fatalf(string, ...any) }, one, two string) []byte {
	a, b := symbolImage(t, []byte(one)), symbolImage(t, []byte(two))
	all := image.NewGray(image.Rect(0, 0, a.Rect.Dx()+b.Rect.Dx(), max(a.Rect.Dy(), b.Rect.Dy())))
	for i := range all.Pix {
		all.Pix[i] = 255
	}
	for y := range a.Rect.Dy() {
		copy(all.Pix[y*all.Stride:], a.Pix[y*a.Stride:][:a.Rect.Dx()])
	}
	for y := range b.Rect.Dy() {
		copy(all.Pix[y*all.Stride+a.Rect.Dx():], b.Pix[y*b.Stride:][:b.Rect.Dx()])
	}
	return encoded(t, all)
}

// bad writes files that are broken each in its own way.
func bad(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: bad")
	}
	s := newScene(ts, morning)
	good := picture(ts, []byte(s.texts()["pass"]))
	huge := append([]byte(nil), good...)
	copy(huge[16:], "\x00\x00\x27\x10\x00\x00\x27\x10") // IHDR: 10 000 × 10 000
	crc := crc32.ChecksumIEEE(huge[12:29])
	copy(huge[29:], []byte{byte(crc >> 24), byte(crc >> 16), byte(crc >> 8), byte(crc)})

	bidi := s.claims(healthcode.Green)
	bidi.Issuer = "CN-42\x1b[31m"
	named := s.claims(healthcode.Green)
	named.Name = "\x1b]0;owned\a\u202e" + secretName
	for name, data := range map[string][]byte{
		"empty.png":    {},
		"notpng.png":   []byte("this is no picture\n"),
		"cut.png":      good[:len(good)/2],
		"huge.png":     huge,
		"binary.png":   picture(ts, []byte("\x00\xff\x1b[2J\x80\x9b31m\r\n\xc3")),
		"bomb.png":     picture(ts, []byte("GHC1:"+base45(bytes.Repeat([]byte{0x9f}, 1200)))),
		"deep.txt":     []byte("GHC1:" + base45(append(bytes.Repeat([]byte{0x81}, 1800), 0)) + "\n"),
		"hc1bomb.txt":  []byte("HC1:" + base45(bytes.Repeat([]byte{0x78, 0x9c}, 900)) + "\n"),
		"escapes.txt":  []byte("GHC1:\x1b[31m\u202eEVIL\n"),
		"long.txt":     append(bytes.Repeat([]byte("A"), 20000), '\n'),
		"name.txt":     []byte(signed(s, named) + "\n"),
		"issuer.txt":   []byte(signed(s, bidi) + "\n"),
		"many.txt":     []byte("HC1:A\nHC1:B\n"),
		"white.png":    encoded(ts, image.NewGray(image.Rect(0, 0, 320, 240))),
		"nottrust.txt": []byte(`{"form":"checkpoint-trust/2"}`),
	} {
		ts.Check(os.WriteFile(ts.MkAbs(name), data, 0o600))
	}
}

// signed is a code that a careless issuer made; claims that cannot even be
// signed come out as a text that is no code.
func signed(s scene, c healthcode.Claims) string {
	code, err := healthcode.Sign(nil, s.issuer, &c)
	if err != nil {
		return "GHC1:" + base45([]byte(c.Name+c.Issuer))
	}
	text, err := healthcode.Present(nil, s.holder, code, s.at.Unix())
	if err != nil {
		s.t.Fatalf("present: %v", err)
	}
	return text
}

// base45 is RFC 9285, for texts that no library of ours would make.
func base45(data []byte) string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
	var b strings.Builder
	for i := 0; i < len(data); i += 2 {
		n, digits := int(data[i]), 2
		if i+1 < len(data) {
			n, digits = n<<8|int(data[i+1]), 3
		}
		for range digits {
			b.WriteByte(alphabet[n%45])
			n /= 45
		}
	}
	return b.String()
}

// secrets is what noleak looks for.
func secrets(s scene) map[string][]byte {
	all := map[string][]byte{"name": []byte(secretName), "document": []byte(secretLast), "cti": []byte(secretCTI),
		"cti in hex": []byte(fmt.Sprintf("%x", secretCTI))}
	for name, text := range s.texts() {
		if strings.HasPrefix(text, "GH") {
			all["text of "+name] = []byte(text[5:45])
		}
	}
	return all
}

func noleak(ts *testscript.TestScript, neg bool, args []string) {
	all := secrets(newScene(ts, morning))
	for _, name := range []string{"pass", "red", "paper"} { // as written by world
		if text, err := os.ReadFile(ts.MkAbs(name + ".txt")); err == nil {
			all["text of "+name] = text[45:85] // beyond what all codes begin with
			sum := sha256.Sum256(bytes.TrimSpace(text))
			all["hash of "+name] = sum[:]
			all["hash in hex of "+name] = fmt.Appendf(nil, "%x", sum)
		}
	}
	found := ""
	look := func(where string, data []byte) {
		for name, secret := range all {
			if bytes.Contains(data, secret) {
				found = name + " is in " + where
			}
		}
	}
	look("standard output", []byte(ts.ReadFile("stdout")))
	look("standard error", []byte(ts.ReadFile("stderr")))
	files := 0
	for _, arg := range args {
		ts.Check(filepath.WalkDir(ts.MkAbs(arg), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			look(path, data)
			files++
			return err
		}))
	}
	switch {
	case len(args) > 0 && files == 0:
		ts.Fatalf("there is no file in %s", strings.Join(args, " "))
	case neg && found == "":
		ts.Fatalf("nothing of a person or code is there, though it should be")
	case !neg && found != "":
		ts.Fatalf("%s", found)
	}
}

func status(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || len(args) < 2 || err != nil {
		ts.Fatalf("usage: status N COMMAND…")
	}
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// oneLineOnly holds the rule for every failure: one line, in the program's
// name, without a stack, a usage dump or an escape.
func oneLineOnly(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile("stderr")
	if neg || !strings.HasPrefix(text, "checkpoint: ") || strings.Count(text, "\n") != 1 || strings.Contains(text, "\x1b") {
		ts.Fatalf("standard error is not one line of checkpoint: %q", text)
	}
}

// newer makes a gate's file and lifts its version, which SQLite keeps in bytes
// 60 to 63 (user_version).
func newer(ts *testscript.TestScript, neg bool, args []string) {
	path := ts.MkAbs(args[0])
	cfg := defaultConfig(func(string) string { return "/" })
	cfg.DB = path
	a := newApp()
	db, err := a.openDB(context.Background(), cfg)
	ts.Check(err)
	ts.Check(db.Close(context.Background(), a.wallStamp()))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	ts.Check(err)
	_, err = f.WriteAt([]byte{0, 0, 0x27, 0x0f}, 60)
	ts.Check(errors.Join(err, f.Close()))
}
