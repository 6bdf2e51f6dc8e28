package dcc

import (
	"bytes"
	"compress/zlib"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"checkpoint/trust"
)

func deflate(t testing.TB, b []byte) []byte {
	t.Helper()
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return z.Bytes()
}

func TestInflateIsBounded(t *testing.T) {
	if b, err := Inflate(deflate(t, make([]byte, MaxInflated))); err != nil || len(b) != MaxInflated {
		t.Errorf("at the bound: %d bytes, %v", len(b), err)
	}
	for name, z := range map[string][]byte{
		"a byte over":     deflate(t, make([]byte, MaxInflated+1)),
		"a bomb":          deflate(t, make([]byte, 3<<20)),
		"cut short":       deflate(t, make([]byte, 100))[:8],
		"wrong checksum":  append(deflate(t, []byte("x"))[:9], 0, 0, 0, 0),
		"something after": append(deflate(t, []byte("x")), 0),
		"empty":           nil,
		"no zlib":         []byte("x"),
	} {
		if _, err := Inflate(z); !errors.Is(err, ErrInflate) {
			t.Errorf("%s: %v", name, err)
		}
	}
	bomb := deflate(t, make([]byte, 3<<20))
	if n := testing.AllocsPerRun(10, func() { _, _ = Inflate(bomb) }); n > 60 {
		t.Errorf("a bomb costs %v allocations", n)
	}
}

// The key id stands in the protected header, or else in the unprotected one;
// the protected one wins.
func TestKeyID(t *testing.T) {
	msg := func(protected, unprotected []byte) []byte {
		prot, err := cbor.Marshal(protected)
		if err != nil {
			t.Fatal(err)
		}
		return append(append(append([]byte{0xd2, 0x84}, prot...), unprotected...), 0x41, 1, 0x41, 1)
	}
	for _, tc := range []struct {
		name                   string
		protected, unprotected []byte
		kid                    string
		err                    error
	}{
		{"protected", []byte{0xa1, 4, 0x41, 'p'}, []byte{0xa0}, "p", nil},
		{"unprotected", []byte{0xa1, 1, 0x26}, []byte{0xa1, 4, 0x41, 'u'}, "u", nil},
		{"both", []byte{0xa1, 4, 0x41, 'p'}, []byte{0xa1, 4, 0x41, 'u'}, "p", nil},
		{"empty protected header", []byte{}, []byte{0xa1, 4, 0x41, 'u'}, "u", nil},
		{"none", []byte{0xa1, 1, 0x26}, []byte{0xa0}, "", ErrKidMissing},
		{"empty", []byte{0xa1, 4, 0x40}, []byte{0xa0}, "", ErrCOSE},
		{"a text", []byte{0xa1, 4, 0x61, 'p'}, []byte{0xa0}, "", ErrCOSE},
		{"twice", []byte{0xa2, 4, 0x41, 'p', 4, 0x41, 'q'}, []byte{0xa0}, "", ErrCBOR},
		{"33 bytes", append([]byte{0xa1, 4, 0x58, 33}, make([]byte, 33)...), []byte{0xa0}, "", ErrCOSE},
		{"critical alg and kid", []byte{0xa3, 1, 0x26, 2, 0x82, 1, 4, 4, 0x41, 'p'}, []byte{0xa0}, "p", nil},
		{"critical label that is not known", []byte{0xa3, 2, 0x81, 0x19, 0x01, 0x00, 4, 0x41, 'p', 0x19, 0x01, 0x00, 1}, []byte{0xa0}, "", ErrCOSE},
		{"critical text label", []byte{0xa2, 2, 0x81, 0x61, 'x', 4, 0x41, 'p'}, []byte{0xa0}, "", ErrCOSE},
		{"critical label that is missing", []byte{0xa2, 2, 0x81, 1, 4, 0x41, 'p'}, []byte{0xa0}, "", ErrCOSE},
		{"critical list empty", []byte{0xa2, 2, 0x80, 4, 0x41, 'p'}, []byte{0xa0}, "", ErrCOSE},
		{"critical list null", []byte{0xa2, 2, 0xf6, 4, 0x41, 'p'}, []byte{0xa0}, "", ErrCOSE},
		{"critical list not protected", []byte{0xa1, 4, 0x41, 'p'}, []byte{0xa2, 1, 0x26, 2, 0x81, 1}, "", ErrCOSE},
		{"header is a list", []byte{0x81, 1}, []byte{0xa0}, "", ErrCBOR},
		{"header is cut short", []byte{0xa1}, []byte{0xa0}, "", ErrCBOR},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := Parse(msg(tc.protected, tc.unprotected))
			if !errors.Is(err, tc.err) {
				t.Fatalf("error is %v, want %v", err, tc.err)
			}
			if err == nil && string(m.KeyID()) != tc.kid {
				t.Errorf("kid %q, want %q", m.KeyID(), tc.kid)
			}
		})
	}
}

func TestMoments(t *testing.T) {
	want := time.Date(2021, 6, 1, 10, 0, 0, 0, time.UTC)
	for _, s := range []string{
		"2021-06-01T10:00:00Z", "2021-06-01T12:00:00+02:00", "2021-06-01T12:00:00+0200", "2021-06-01T12:00:00+02", "2021-06-01T10:00:00",
		"2021-06-01T10:00:00.000000000Z", "2021-06-01 10:00:00", "2021-06-01T10:00",
	} {
		if got := moment(s); !got.Equal(want) {
			t.Errorf("%q is %v", s, got)
		}
	}
	for _, s := range []string{"", "2021-06-01", "yesterday", "2021-13-01T10:00:00Z"} {
		if got := moment(s); !got.IsZero() {
			t.Errorf("%q is %v", s, got)
		}
	}
}

// A wrong key of either kind, or a signature of a wrong length, is refused and
// never a panic.
func TestVerifyRefuses(t *testing.T) {
	d := sha256.Sum256([]byte("dcc"))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 63, 64, 65, 256} {
		m := &Message{protected: []byte{0xa1, 1, 0x26}, payload: []byte{1}, signature: make([]byte, n)}
		if _, err := m.Verify(&key.PublicKey); !errors.Is(err, ErrSignature) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if _, err := m.Verify("no key"); !errors.Is(err, ErrSignature) {
			t.Errorf("no key: %v", err)
		}
	}
}

func FuzzInflate(f *testing.F) {
	f.Add(deflate(f, []byte("hello")))
	f.Add(deflate(f, make([]byte, 100<<10)))
	f.Fuzz(func(t *testing.T, z []byte) {
		if out, err := Inflate(z); err == nil && len(out) > MaxInflated {
			t.Errorf("%d bytes", len(out))
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{0xd2, 0x84, 0x44, 0xa1, 4, 0x41, 'p', 0xa0, 0x41, 1, 0x41, 1})
	f.Add([]byte{0xd8, 61, 0xd2, 0x84, 0x40, 0xa1, 4, 0x41, 'u', 0x41, 1, 0x41, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := Parse(raw)
		if err != nil {
			return
		}
		if len(m.KeyID()) == 0 || len(m.payload) == 0 {
			t.Error("read without a key id or a payload")
		}
	})
}

func FuzzClaims(f *testing.F) {
	entry := map[string]any{"tg": covid, "dn": 2, "sd": 2, "dt": "2021-05-01", "tt": naat, "tr": notDetected, "sc": "2021-06-01T10:00:00Z", "fr": "2021-05-01"}
	for _, k := range []Kind{Vaccination, Test, Recovery} {
		b, err := cbor.Marshal(map[any]any{1: "DE", 4: 1.5e9, 6: cbor.Tag{Number: 1, Content: 1}, -260: map[any]any{1: map[string]any{k.Letter(): []any{entry}, "nam": map[string]any{"fnt": "X"}}}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	at := time.Date(2021, 6, 2, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, light := range []bool{false, true} {
			c, err := (&Proven{payload}).Claims(light)
			if err != nil {
				continue
			}
			if c.Kind == NoKind || c.Expires.IsZero() {
				t.Errorf("read %+v", c)
			}
			for _, s := range []string{c.Surname, c.ID, c.Birth, c.Issuer} {
				if len(s) > maxString {
					t.Errorf("a text of %d bytes", len(s))
				}
			}
			c.Judge(trust.DefaultDCCRules(), at)
		}
	})
}
