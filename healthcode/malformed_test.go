package healthcode_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"

	"checkpoint/healthcode"
	"checkpoint/healthcode/base45"
)

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
		{"signature of 63 bytes", edit(func(b []byte) []byte { b[len(b)-65] = 0x3f; return b[:len(b)-1] }), healthcode.ErrCOSE},
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

func TestIssueRefusesWhatIsIncomplete(t *testing.T) {
	for name, edit := range map[string]func(*healthcode.Claims){
		"no reason":      func(c *healthcode.Claims) { c.Reason = 0 },
		"unknown reason": func(c *healthcode.Claims) { c.Reason = 13 },
		"no basis":       func(c *healthcode.Claims) { c.Basis = "" },
		"no until":       func(c *healthcode.Claims) { c.Until = 0 },
		"over at once":   func(c *healthcode.Claims) { c.Until = c.Issued },
		"29 days":        func(c *healthcode.Claims) { c.Until = c.Issued + 29*86400 },
		"anybody's paper": func(c *healthcode.Claims) {
			c.Holder, c.Name, c.Document, c.Nationality = nil, "", healthcode.Document{}, ""
		},
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

// What the phone signs is read as strictly as what the issuer signs.
func TestSignedPresentationThatBreaksItsRules(t *testing.T) {
	holder := testKey(t, "holder")
	inner, err := base45.Decode([]byte(sign(t, examples(t)["static-gold"]).Text()[5:]), 2900)
	if err != nil {
		t.Fatal(err)
	}
	present := func(payload []byte) error {
		t.Helper()
		signer, err := cose.NewSigner(cose.AlgorithmES256, holder)
		if err != nil {
			t.Fatal(err)
		}
		msg := cose.NewSign1Message()
		if msg.Headers.RawProtected, err = cbor.Marshal(append([]byte{0xa2, 0x01, 0x26, 0x0d}, inner...)); err != nil {
			t.Fatal(err)
		}
		msg.Headers.Protected = cose.ProtectedHeader{cose.HeaderLabelAlgorithm: cose.AlgorithmES256}
		msg.Payload = payload
		if err := msg.Sign(nil, nil, signer); err != nil {
			t.Fatal(err)
		}
		raw, err := msg.MarshalCBOR()
		if err != nil {
			t.Fatal(err)
		}
		p, err := healthcode.ParsePresentation(base45.AppendEncode([]byte("GHP1:"), raw))
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Verify(&holder.PublicKey)
		return err
	}
	if err := present([]byte{0xa1, 6, 0x1a, 0x6b, 0x03, 0xf4, 0xd8}); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	for name, tc := range map[string]struct {
		payload []byte
		want    error
	}{
		"after the year 9999":  {[]byte{0xa1, 6, 0x1b, 0, 0, 0x3b, 0, 0, 0, 0, 0}, healthcode.ErrSchema},
		"2^64-1":               {[]byte{0xa1, 6, 0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, healthcode.ErrSchema},
		"zero":                 {[]byte{0xa1, 6, 0}, healthcode.ErrSchema},
		"negative":             {[]byte{0xa1, 6, 0x3a, 0x6b, 0x03, 0xf4, 0xd8}, healthcode.ErrSchema},
		"float":                {[]byte{0xa1, 6, 0xfa, 0x4e, 0xd6, 0x07, 0xe9}, healthcode.ErrSchema},
		"tag 1":                {[]byte{0xa1, 6, 0xc1, 0x1a, 0x6b, 0x03, 0xf4, 0xd8}, healthcode.ErrSchema},
		"eight bytes for four": {[]byte{0xa1, 6, 0x1b, 0, 0, 0, 0, 0x6b, 0x03, 0xf4, 0xd8}, healthcode.ErrSchema},
		"no time":              {[]byte{0xa0}, healthcode.ErrSchema},
		"another key":          {[]byte{0xa2, 6, 1, 7, 1}, healthcode.ErrSchema},
		"twice":                {[]byte{0xa2, 6, 1, 6, 2}, healthcode.ErrSchema},
		"indefinite":           {[]byte{0xbf, 6, 1, 0xff}, healthcode.ErrCBOR},
		"a byte too many":      {[]byte{0xa1, 6, 1, 0}, healthcode.ErrCBOR},
	} {
		if err := present(tc.payload); !errors.Is(err, tc.want) {
			t.Errorf("%s: error is %v, want %v", name, err, tc.want)
		}
	}
}
