package healthcode_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"regexp"
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
