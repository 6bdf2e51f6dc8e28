package healthcode_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"

	"checkpoint/healthcode"
	"checkpoint/healthcode/base45"
)

// testKey is a fixed key, made from a word.
func testKey(t testing.TB, word string) *ecdsa.PrivateKey {
	t.Helper()
	d := sha256.Sum256([]byte(word))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
	if err != nil {
		t.Fatal(err)
	}
	return key
}

const issued = 1795420800 // 2026-11-23T08:00:00Z

func base(t testing.TB) healthcode.Claims {
	return healthcode.Claims{
		Issuer: "CN-420100", Subject: healthcode.Subject([12]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, [32]byte{7}, [8]byte{1, 2, 3, 4, 5, 6, 7, 8}),
		Issued: issued, Expires: issued + 86400, CTI: [8]byte{1, 2, 3, 4, 5, 6, 7, 8},
		Holder: &testKey(t, "holder").PublicKey, Name: "张*三", Document: healthcode.Document{Type: 1, Last: "123X"},
	}
}

// examples are the fixed credentials of docs/formats.md, by their file names.
func examples(t testing.TB) map[string]healthcode.Claims {
	red := base(t)
	red.Colour, red.Until, red.Reason, red.Basis = healthcode.Red, issued+14*86400, healthcode.ReasonContact, "HB2026"
	gold := base(t)
	gold.Colour, gold.Name, gold.Document = healthcode.Gold, "M**** S****", healthcode.Document{Type: 2, Last: "4821"}
	gold.Vaccinated, gold.Tested, gold.Nationality = healthcode.Vaccination{Doses: 3, Last: 20741}, issued-3600*9, "DEU"
	paper := base(t)
	paper.Holder, paper.Expires, paper.NotBefore, paper.Tested = nil, issued+7*86400, issued, issued-3600*9
	paper.Name = "M**** S****"
	return map[string]healthcode.Claims{"static-red": red, "static-gold": gold, "paper": paper}
}

func sign(t testing.TB, c healthcode.Claims) *healthcode.Credential {
	t.Helper()
	cred, err := healthcode.Issue(nil, testKey(t, "issuer"), &c)
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

func open(t testing.TB, c *healthcode.Credential) *healthcode.Claims {
	t.Helper()
	p, err := c.Verify(&testKey(t, "issuer").PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := p.Claims()
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestRoundTrip(t *testing.T) {
	for name, want := range examples(t) {
		t.Run(name, func(t *testing.T) {
			cred, err := healthcode.Parse([]byte(sign(t, want).Text()))
			if err != nil {
				t.Fatal(err)
			}
			got := *open(t, cred)
			if (got.Holder == nil) != (want.Holder == nil) || got.Holder != nil && !got.Holder.Equal(want.Holder) {
				t.Error("holder key changed")
			}
			got.Holder, want.Holder = nil, nil
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// The sizes that phones and cameras were measured with; a larger code is a
// harder one to read.
func TestSizesStay(t *testing.T) {
	sizes := map[string]int{"static-red": 219, "static-gold": 224, "paper": 174, "dynamic": 307}
	for name, want := range sizes {
		var text string
		if name == "dynamic" {
			text = dynamic(t)
		} else {
			text = sign(t, examples(t)[name]).Text()
		}
		raw, err := base45.Decode([]byte(text[5:]), 2900)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes, %d characters", name, len(raw), len(text))
		if len(raw) != want {
			t.Errorf("%s has %d bytes, want %d", name, len(raw), want)
		}
	}
}

func dynamic(t testing.TB) string {
	t.Helper()
	text, err := healthcode.Present(nil, testKey(t, "holder"), sign(t, examples(t)["static-gold"]), issued+600)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A phone or an issuer of another make must produce and read these bytes.
func TestExamplesOnDiskAreWhatIsSigned(t *testing.T) {
	texts := map[string]string{"dynamic": dynamic(t)}
	for name, c := range examples(t) {
		texts[name] = sign(t, c).Text()
	}
	doc, err := os.ReadFile("../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range texts {
		path := filepath.Join("..", "docs", "examples", "credential-"+name+".txt")
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(path, []byte(want+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want+"\n" {
			t.Errorf("%s: the file is not what Issue makes", path)
		}
		raw, err := base45.Decode([]byte(want[5:]), 2900)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile("(?m)^" + hex.EncodeToString(raw) + "$").Match(doc) {
			t.Errorf("%s: its bytes do not stand in docs/formats.md:\n%x", name, raw)
		}
	}
}

// go-cose is the witness that Sig_structure, header and signature are those of
// RFC 9052 and not only of this package.
func TestSignedAsTheStandardSays(t *testing.T) {
	text := sign(t, examples(t)["static-red"]).Text()
	raw, err := base45.Decode([]byte(text[5:]), 2900)
	if err != nil {
		t.Fatal(err)
	}
	var msg cose.Sign1Message
	if err := msg.UnmarshalCBOR(raw); err != nil {
		t.Fatal(err)
	}
	v, err := cose.NewVerifier(cose.AlgorithmES256, &testKey(t, "issuer").PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := msg.Verify(nil, v); err != nil {
		t.Error(err)
	}
	var claims map[int64]any
	if err := cbor.Unmarshal(msg.Payload, &claims); err != nil {
		t.Fatal(err)
	}
	if claims[1] != "CN-420100" || claims[6] != uint64(issued) {
		t.Errorf("claims are %v", claims)
	}
}

func TestPresentation(t *testing.T) {
	p, err := healthcode.ParsePresentation([]byte(dynamic(t)))
	if err != nil {
		t.Fatal(err)
	}
	claims := open(t, p.Credential())
	made, err := p.Verify(claims.Holder)
	if err != nil || made != issued+600 {
		t.Errorf("made = %d, %v", made, err)
	}
	if _, err := p.Verify(&testKey(t, "thief").PublicKey); !errors.Is(err, healthcode.ErrHolder) {
		t.Errorf("another key: %v", err)
	}
	if _, err := p.Verify(nil); !errors.Is(err, healthcode.ErrHolder) {
		t.Errorf("no key: %v", err)
	}
}

func TestOneParserAPrefix(t *testing.T) {
	static, shown := []byte(sign(t, examples(t)["paper"]).Text()), []byte(dynamic(t))
	if _, err := healthcode.Parse(shown); !errors.Is(err, healthcode.ErrPrefix) {
		t.Errorf("Parse of a presentation: %v", err)
	}
	if _, err := healthcode.ParsePresentation(static); !errors.Is(err, healthcode.ErrPrefix) {
		t.Errorf("ParsePresentation of a credential: %v", err)
	}
	if _, err := healthcode.Parse(append([]byte("GHC1:"), shown[5:]...)); !errors.Is(err, healthcode.ErrCOSE) {
		t.Errorf("a presentation behind the other prefix: %v", err)
	}
	if _, err := healthcode.ParsePresentation(append([]byte("GHP1:"), static[5:]...)); !errors.Is(err, healthcode.ErrCOSE) {
		t.Errorf("a credential behind the other prefix: %v", err)
	}
}

func text(raw []byte) []byte { return base45.AppendEncode([]byte("GHC1:"), raw) }

func TestMalformed(t *testing.T) {
	good, err := base45.Decode([]byte(sign(t, examples(t)["paper"]).Text()[5:]), 2900)
	if err != nil {
		t.Fatal(err)
	}
	// d2 84 4d (a2 01 26 04 48 kid) a0 58.. payload 58 40 signature
	edit := func(f func(b []byte) []byte) []byte { return text(f(bytes.Clone(good))) }
	splice := func(at, cut int, in ...byte) []byte {
		return edit(func(b []byte) []byte { return append(append(bytes.Clone(b[:at]), in...), b[at+cut:]...) })
	}
	for _, tc := range []struct {
		name string
		text []byte
		want error
	}{
		{"empty", nil, healthcode.ErrPrefix},
		{"nothing after the prefix", []byte("GHC1:"), healthcode.ErrCBOR},
		{"lower-case prefix", []byte("ghc1:BB8"), healthcode.ErrPrefix},
		{"not Base45", []byte("GHC1:bb8"), healthcode.ErrBase45},
		{"one character too long", []byte("GHC1:" + strings.Repeat("0", 2901)), healthcode.ErrBase45},
		{"cut short", edit(func(b []byte) []byte { return b[:len(b)-1] }), healthcode.ErrCBOR},
		{"a byte too many", edit(func(b []byte) []byte { return append(b, 0) }), healthcode.ErrCBOR},
		{"indefinite array", splice(1, 1, 0x9f), healthcode.ErrCBOR},
		{"no tag", splice(0, 1), healthcode.ErrCOSE},
		{"tag 98", splice(0, 1, 0xd8, 98), healthcode.ErrCOSE},
		{"tag 61 around", splice(0, 0, 0xd8, 61), healthcode.ErrCOSE},
		{"tag 18 twice", splice(0, 0, 0xd2), healthcode.ErrCOSE},
		{"tag 18 in two bytes", splice(0, 1, 0xd8, 18), healthcode.ErrCOSE},
		{"length of a header in two bytes", splice(2, 1, 0x58, 13), healthcode.ErrCBOR},
		{"kid in the unprotected header", splice(16, 1, 0xa1, 0x04, 0x41, 1), healthcode.ErrCOSE},
		{"no kid", splice(2, 14, 0x43, 0xa1, 0x01, 0x26), healthcode.ErrKidMissing},
		{"empty protected header", splice(2, 14, 0x40), healthcode.ErrKidMissing},
		{"short kid", splice(2, 14, 0x4c, 0xa2, 1, 0x26, 4, 0x47, 1, 2, 3, 4, 5, 6, 7), healthcode.ErrCOSE},
		{"alg EdDSA", splice(5, 1, 0x27), healthcode.ErrCOSE},
		{"alg twice", splice(2, 14, 0x45, 0xa2, 0x01, 0x26, 0x01, 0x26), healthcode.ErrCBOR},
		{"header not CBOR", splice(2, 14, 0x42, 0xa2, 0x01), healthcode.ErrCBOR},
		{"too deep", text([]byte("\xd2\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x00")), healthcode.ErrCBOR},
		{"detached payload", text([]byte("\xd2\x84\x40\xa0\xf6\x40")), healthcode.ErrCOSE},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := healthcode.Parse(tc.text); !errors.Is(err, tc.want) {
				t.Errorf("error is %v, want %v", err, tc.want)
			}
		})
	}
	if _, err := healthcode.Parse(text(good)); err != nil {
		t.Errorf("the unedited one: %v", err)
	}
}

// signRaw signs a payload that Sign would not write.
func signRaw(t *testing.T, payload []byte) *healthcode.Credential {
	t.Helper()
	key := testKey(t, "issuer")
	kid, err := healthcode.KeyID(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := cose.NewSigner(cose.AlgorithmES256, key)
	if err != nil {
		t.Fatal(err)
	}
	msg := cose.NewSign1Message()
	msg.Headers.RawProtected = append([]byte{0x4d, 0xa2, 1, 0x26, 4, 0x48}, kid[:]...)
	msg.Headers.Protected = cose.ProtectedHeader{cose.HeaderLabelAlgorithm: cose.AlgorithmES256}
	msg.Payload = payload
	if err := msg.Sign(nil, nil, signer); err != nil {
		t.Fatal(err)
	}
	raw, err := msg.MarshalCBOR()
	if err != nil {
		t.Fatal(err)
	}
	c, err := healthcode.Parse(text(raw))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSignedContentThatBreaksItsRules(t *testing.T) {
	minimal := func() map[any]any {
		return map[any]any{1: "CN", 2: make([]byte, 12), 4: issued + 3600, 6: issued, 7: make([]byte, 8), -65537: map[any]any{1: 0}}
	}
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	hc := func(kv ...any) func(map[any]any) {
		return func(m map[any]any) {
			for i := 0; i < len(kv); i += 2 {
				m[-65537].(map[any]any)[kv[i]] = kv[i+1]
			}
		}
	}
	set := func(k, v any) func(map[any]any) { return func(m map[any]any) { m[k] = v } }
	drop := func(k any) func(map[any]any) { return func(m map[any]any) { delete(m, k) } }
	for name, edit := range map[string]func(map[any]any){
		"no iss": drop(1), "no sub": drop(2), "no exp": drop(4), "no iat": drop(6), "no cti": drop(7), "no hc": drop(-65537),
		"long iss": set(1, "CN-42010000000000"), "lower-case iss": set(1, "cn"), "iss with a double hyphen": set(1, "CN--42"), "iss as bytes": set(1, []byte("CN")),
		"short sub": set(2, make([]byte, 11)), "long cti": set(7, make([]byte, 9)),
		"exp before iat": set(4, issued-1), "paper for 8 days": set(4, issued+8*86400), "float exp": set(4, float64(issued)+3600.5),
		"negative iat": set(6, -5), "nbf after exp": set(5, issued+7200), "zero nbf": set(5, 0),
		"unknown claim": set(9, 1), "text claim": set("x", 1), "null name": hc(5, nil),
		"colour 4": hc(1, 4), "colour as text": hc(1, "green"), "unknown hc key": hc(10, 1), "gold without vaccination": hc(1, 3),
		"legal basis too long": hc(4, "1234567890123"), "name too long": hc(5, strings.Repeat("张", 41)), "name not UTF-8": hc(5, cbor.RawMessage{0x61, 0xff}),
		"document of three": hc(6, []any{1, "1234", 1}), "document type 7": hc(6, []any{7, "1234"}), "document of five characters": hc(6, []any{1, "12345"}),
		"no doses": hc(7, []any{0, 20000}), "dose in the future": hc(7, []any{1, issued/86400 + 2}), "tested after issue": hc(8, issued+1),
		"nationality without passport": hc(9, "DEU"), "nationality lower case": hc(6, []any{2, "1234"}, 9, "deu"),
		"no colour":                   set(-65537, map[any]any{2: 1}),
		"holder key not a map":        set(8, 1),
		"holder key on another curve": set(8, map[any]any{1: map[any]any{1: 2, -1: 2, -2: make([]byte, 32), -3: false}}),
		"holder key off the curve":    set(8, map[any]any{1: map[any]any{1: 2, -1: 1, -2: bytes.Repeat([]byte{0xff}, 32), -3: false}}),
		"holder key for two days":     func(m map[any]any) { m[4] = issued + 2*86400; m[8] = holderMap(t) },
	} {
		t.Run(name, func(t *testing.T) {
			m := minimal()
			edit(m)
			payload, err := enc.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			p, err := signRaw(t, payload).Verify(&testKey(t, "issuer").PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Claims(); !errors.Is(err, healthcode.ErrSchema) {
				t.Errorf("error is %v, want ErrSchema", err)
			}
		})
	}
	payload, err := enc.Marshal(minimal())
	if err != nil {
		t.Fatal(err)
	}
	open(t, signRaw(t, payload)) // the unedited one holds

	for name, raw := range map[string][]byte{
		"trailing byte": append(bytes.Clone(payload), 0), "not CBOR": {0xff}, "indefinite map": {0xbf, 0xff},
	} {
		p, err := signRaw(t, raw).Verify(&testKey(t, "issuer").PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Claims(); !errors.Is(err, healthcode.ErrCBOR) {
			t.Errorf("%s: error is %v, want ErrCBOR", name, err)
		}
	}
}

func holderMap(t testing.TB) map[any]any {
	point, err := testKey(t, "holder").PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return map[any]any{1: map[any]any{1: 2, -1: 1, -2: point[1:33], -3: point[64]&1 == 1}}
}

func TestIssueRefusesWhatLacksAReason(t *testing.T) {
	for name, edit := range map[string]func(*healthcode.Claims){
		"no reason":      func(c *healthcode.Claims) { c.Reason = 0 },
		"unknown reason": func(c *healthcode.Claims) { c.Reason = 13 },
		"no basis":       func(c *healthcode.Claims) { c.Basis = "" },
		"no until":       func(c *healthcode.Claims) { c.Until = 0 },
		"29 days":        func(c *healthcode.Claims) { c.Until = c.Issued + 29*86400 },
	} {
		c := examples(t)["static-red"]
		edit(&c)
		if _, err := healthcode.Issue(nil, testKey(t, "issuer"), &c); !errors.Is(err, healthcode.ErrSchema) {
			t.Errorf("%s: Issue: %v", name, err)
		}
		if _, err := healthcode.Sign(nil, testKey(t, "issuer"), &c); err != nil {
			t.Errorf("%s: Sign: %v", name, err)
		}
	}
}

func TestSubjectIsItsOwnInverseAndDiffers(t *testing.T) {
	number, key := [12]byte{9, 8, 7}, [32]byte{1}
	a, b := healthcode.Subject(number, key, [8]byte{1}), healthcode.Subject(number, key, [8]byte{2})
	if a == b || a == number {
		t.Error("two codes of one person can be linked")
	}
	if healthcode.Subject(a, key, [8]byte{1}) != number {
		t.Error("headquarters cannot get the number back")
	}
}

// Every bit that is signed, and every bit of the signature, counts.
func TestAnyFlippedBitIsRefused(t *testing.T) {
	for name, whole := range map[string]string{"static": sign(t, examples(t)["static-red"]).Text(), "dynamic": dynamic(t)} {
		raw, err := base45.Decode([]byte(whole[5:]), 2900)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range len(raw) * 8 {
			b := bytes.Clone(raw)
			b[bit/8] ^= 1 << (bit % 8)
			if opens(t, base45.AppendEncode([]byte(whole[:5]), b)) {
				t.Fatalf("%s: still opens with bit %d flipped", name, bit)
			}
		}
	}
}

// opens reads a text to its end.
func opens(t testing.TB, text []byte) bool {
	key := &testKey(t, "issuer").PublicKey
	cred, err := healthcode.Parse(text)
	var shown *healthcode.Presentation
	if err != nil {
		if shown, err = healthcode.ParsePresentation(text); err != nil {
			return false
		}
		cred = shown.Credential()
	}
	p, err := cred.Verify(key)
	if err != nil {
		return false
	}
	c, err := p.Claims()
	if err != nil {
		return false
	}
	if shown != nil {
		_, err = shown.Verify(c.Holder)
	}
	return err == nil
}

func FuzzParse(f *testing.F) {
	for _, c := range examples(f) {
		f.Add([]byte(sign(f, c).Text()))
	}
	f.Add([]byte(dynamic(f)))
	f.Add([]byte("GHC1:"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := healthcode.Parse(text); err == nil && c.Text() != string(text) {
			t.Error("a text that is not the one text of its content was read")
		}
		opens(t, text)
	})
}

func FuzzClaims(f *testing.F) {
	for _, c := range examples(f) {
		raw, err := base45.Decode([]byte(sign(f, c).Text()[5:]), 2900)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw[19 : len(raw)-66])
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) == 0 || len(payload) > 1000 {
			return
		}
		p, err := signRaw(t, payload).Verify(&testKey(t, "issuer").PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.Claims()
		if err != nil {
			return
		}
		again, err := healthcode.Sign(nil, testKey(t, "issuer"), c)
		if err != nil {
			t.Fatalf("read, but cannot be written: %v", err)
		}
		if again.Text() != signRaw(t, payload).Text() && !sameContent(t, again, payload) {
			t.Error("reads and writes differ")
		}
	})
}

// sameContent compares what was signed; the signatures of the two makers differ.
func sameContent(t *testing.T, c *healthcode.Credential, payload []byte) bool {
	raw, err := base45.Decode([]byte(c.Text()[5:]), 2900)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(raw, payload)
}

func BenchmarkIssue(b *testing.B) {
	key, c := testKey(b, "issuer"), examples(b)["static-red"]
	for b.Loop() {
		if _, err := healthcode.Issue(nil, key, &c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPresent(b *testing.B) {
	key, c := testKey(b, "holder"), sign(b, examples(b)["static-gold"])
	for b.Loop() {
		if _, err := healthcode.Present(nil, key, c, issued); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	text := []byte(dynamic(b))
	for b.Loop() {
		if _, err := healthcode.ParsePresentation(text); err != nil {
			b.Fatal(err)
		}
	}
}
