package verify_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"checkpoint/healthcode"
	"checkpoint/verify"
)

func bench(b *testing.B, v *verify.Verifier, text []byte, want verify.Name) {
	b.ReportAllocs()
	for b.Loop() {
		if got := v.Check(text, synced(noon)); got.Name != want {
			b.Fatalf("%v/%v", got.Name, got.Reason)
		}
	}
}

func BenchmarkCheckStatic(b *testing.B) {
	c := green(b)
	c.Holder = nil
	bench(b, nativeTrust(b), show(b, c, 0), verify.CheckID)
}

func BenchmarkCheckDynamic(b *testing.B) {
	bench(b, nativeTrust(b), show(b, green(b), 0), verify.Pass)
}

func BenchmarkCheckUnknownKey(b *testing.B) {
	stranger := testKey(b, "stranger")
	c := green(b)
	cred, err := healthcode.Sign(nil, stranger, &c)
	if err != nil {
		b.Fatal(err)
	}
	bench(b, nativeTrust(b), []byte(cred.Text()), verify.Invalid)
}

func BenchmarkCheckDCC(b *testing.B) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"ES256": testKey(b, "dcc"), "PS256": rsaKey} {
		b.Run(name, func(b *testing.B) {
			bench(b, dccTrust(b, nil, key.Public()), foreign(b, key, vaccination(2, 2, "2026-10-24")), verify.CheckID)
		})
	}
}

func BenchmarkNotOurs(b *testing.B) {
	bench(b, nativeTrust(b), []byte("https://example.org/some/menu"), verify.NotOurs)
}
