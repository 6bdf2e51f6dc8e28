package verify_test

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"checkpoint/healthcode/base45"
	"checkpoint/trust"
	"checkpoint/verify"
)

// A fault in this program is a device fault, not a crash and not an admission.
func TestFaultOfTheProgram(t *testing.T) {
	var broken *verify.Verifier
	expect(t, broken.Check(show(t, green(t), 0), synced(noon)), refused(verify.Device, verify.Internal))
}

// Whatever one bit does to a code, it never becomes a code that admits, or that
// would after a look at a card; nor does it become red.
func TestAnyFlippedBitNeverAdmits(t *testing.T) {
	dcc := testKey(t, "dcc")
	v := nativeTrust(t, func(s *trust.Snapshot) {
		s.DCCKeys = trust.DCCKeys{Issued: s.Issued, Keys: []trust.DCCKey{{KID: dccKID, SPKI: spki(t, &dcc.PublicKey)}}}
	})
	paper := green(t)
	paper.Holder = nil
	raw := func(text []byte) []byte {
		b, err := base45.Decode(text[5:], 2900)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, code := range map[string]struct {
		raw  []byte
		wrap func([]byte) []byte
	}{
		"static":  {raw(show(t, paper, 0)), func(b []byte) []byte { return base45.AppendEncode([]byte("GHC1:"), b) }},
		"dynamic": {raw(show(t, green(t), 0)), func(b []byte) []byte { return base45.AppendEncode([]byte("GHP1:"), b) }},
		"red":     {raw(show(t, red(t), 0)), func(b []byte) []byte { return base45.AppendEncode([]byte("GHP1:"), b) }},
		"dcc":     {message(t, dcc, dccPayload(t)), hc1},
	} {
		if got := v.Check(code.wrap(code.raw), synced(noon)); got.Signature != verify.SignatureValid || got.ID == "" {
			t.Fatalf("%s: unflipped: %v/%v", name, got.Name, got.Reason)
		}
		// Package healthcode flips every bit of native codes; one a byte does here.
		step := 9
		if name == "dcc" {
			step = 1
		}
		for bit := 0; bit < len(code.raw)*8; bit += step {
			b := bytes.Clone(code.raw)
			b[bit/8] ^= 1 << (bit % 8)
			got := v.Check(code.wrap(b), synced(noon))
			if name == "dcc" && got.Signature == verify.SignatureValid && sameSigned(t, b, code.raw) {
				continue // a bit outside of what is signed, e.g. in the unprotected header
			}
			switch got.Name {
			case verify.Invalid, verify.More:
				if got.Name == verify.More && got.Reason != verify.IssuerUnknown {
					t.Fatalf("%s: bit %d: %v/%v", name, bit, got.Name, got.Reason)
				}
			default:
				t.Fatalf("%s: bit %d: %v/%v", name, bit, got.Name, got.Reason)
			}
			sound(t, got)
		}
	}
}

// sameSigned reports whether two messages differ only outside of what the
// signature covers: COSE signs neither tags nor the unprotected header.
func sameSigned(t *testing.T, a, b []byte) bool {
	t.Helper()
	return bytes.Equal(payloadOf(t, a), payloadOf(t, b))
}

func dccPayload(t testing.TB) []byte {
	return marshal(t, map[any]any{1: "DE", 4: noon.Add(24 * time.Hour).Unix(), 6: noon.Add(-24 * time.Hour).Unix(), -260: map[any]any{1: vaccination(2, 2, "2026-10-24")}})
}

func FuzzCheck(f *testing.F) {
	dcc := testKey(f, "dcc")
	v := nativeTrust(f, func(s *trust.Snapshot) {
		s.DCCKeys = trust.DCCKeys{Issued: s.Issued, Keys: []trust.DCCKey{{KID: dccKID, SPKI: spki(f, &dcc.PublicKey)}}}
	})
	f.Add(show(f, green(f), 0))
	f.Add([]byte(issue(f, red(f)).Text()))
	f.Add(hc1(message(f, dcc, dccPayload(f))))
	f.Add([]byte("shc:/5676"))
	f.Add([]byte(`{"data":{"hdr":{"t":"icao.vacc"}}}`))
	known := map[string]bool{string(show(f, green(f), 0)): true}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := v.Check(text, synced(noon))
		sound(t, got)
		if got.Reason == verify.Internal {
			t.Error("a fault of this program")
		}
		if got.Admit() && !known[string(bytes.TrimRight(text, "\r\n"))] {
			t.Errorf("admits %q", text)
		}
	})
}

// FuzzSigned fuzzes what only a trusted issuer could write.
func FuzzSigned(f *testing.F) {
	key := testKey(f, "dcc")
	v := dccTrust(f, nil, &key.PublicKey)
	f.Add(dccPayload(f))
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) == 0 || len(payload) > 2000 {
			return
		}
		got := v.Check(hc1(message(t, key, payload)), synced(noon))
		sound(t, got)
		if got.Reason == verify.Internal || got.Name == verify.Red || got.Admit() || len(got.Subject) > 160 {
			t.Errorf("%v/%v, subject of %d bytes", got.Name, got.Reason, len(got.Subject))
		}
	})
}

// Random damage to texts is refused and never a fault of this program.
func TestRandomDamage(t *testing.T) {
	dcc := testKey(t, "dcc")
	v := nativeTrust(t, func(s *trust.Snapshot) {
		s.DCCKeys = trust.DCCKeys{Issued: s.Issued, Keys: []trust.DCCKey{{KID: dccKID, SPKI: spki(t, &dcc.PublicKey)}}}
	})
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
	r := rand.New(rand.NewPCG(1, 2))
	for _, good := range [][]byte{show(t, green(t), 0), []byte(issue(t, red(t)).Text()), hc1(message(t, dcc, dccPayload(t)))} {
		for range 1500 {
			b := bytes.Clone(good)
			switch r.IntN(4) {
			case 0:
				b = b[:r.IntN(len(b))]
			case 1:
				at := r.IntN(len(b))
				b = slices.Insert(b, at, alphabet[r.IntN(45)])
			case 2:
				at := r.IntN(len(b) - 8)
				b = slices.Delete(b, at, at+1+r.IntN(8))
			default:
				for range 1 + r.IntN(4) {
					b[5+r.IntN(len(b)-5)] = alphabet[r.IntN(45)]
				}
			}
			if bytes.Equal(b, good) {
				continue
			}
			got := v.Check(b, synced(noon))
			sound(t, got)
			if got.Admit() || got.Name == verify.CheckID || got.Name == verify.Red || got.Reason == verify.Internal {
				t.Fatalf("%v/%v for %q", got.Name, got.Reason, b)
			}
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	v := nativeTrust(t)
	code := show(t, green(t), 0)
	want := v.Check(code, synced(noon))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got := v.At("mall").Check(code, synced(noon)); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
	wg.Wait()
}
