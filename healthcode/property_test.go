package healthcode_test

import (
	"bytes"
	"testing"

	"checkpoint/healthcode"
	"checkpoint/healthcode/base45"
)

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
