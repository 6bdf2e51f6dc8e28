package trust_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"
	"testing"

	"checkpoint/trust"
)

// certificate makes a self-signed certificate with edits to its template.
func certificate(t testing.TB, edit func(*x509.Certificate)) []byte {
	t.Helper()
	key := testKey(t, "dsc")
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(5), Subject: pkix.Name{Country: []string{"SE"}, CommonName: "DGC signer"},
		NotBefore: at("2026-01-01T00:00:00Z"), NotAfter: at("2027-01-01T00:00:00Z"),
	}
	edit(tmpl)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestCertificate(t *testing.T) {
	oid := func(n ...int) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.UnknownExtKeyUsage = append(c.UnknownExtKeyUsage, asn1.ObjectIdentifier(n))
		}
	}
	for _, tc := range []struct {
		name string
		der  []byte
		want trust.Usage
	}{
		{"no usage", certificate(t, func(*x509.Certificate) {}), trust.Usage{}},
		{"generic usage only", certificate(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), trust.Usage{}},
		{"test", certificate(t, oid(1, 3, 6, 1, 4, 1, 1847, 2021, 1, 1)), trust.Usage{Test: true}},
		{"vaccination, the other spelling", certificate(t, oid(1, 3, 6, 1, 4, 1, 0, 1847, 2021, 1, 2)), trust.Usage{Vaccination: true}},
		{"recovery", certificate(t, oid(1, 3, 6, 1, 4, 1, 1847, 2021, 1, 3)), trust.Usage{Recovery: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := trust.DCCKey{KID: trust.KeyID{1}, Cert: tc.der}.Read()
			if err != nil {
				t.Fatal(err)
			}
			if s.Usage != tc.want || s.Country != "SE" || !s.NotAfter.Equal(at("2027-01-01T00:00:00Z")) || !s.NotBefore.Equal(at("2026-01-01T00:00:00Z")) {
				t.Errorf("read %+v", s)
			}
			if !testKey(t, "dsc").PublicKey.Equal(s.Key) {
				t.Error("another key")
			}
		})
	}
}

func TestNegativeSerialIsRead(t *testing.T) {
	der := certificate(t, func(*x509.Certificate) {})
	i := bytes.Index(der, []byte{2, 1, 5})
	der[i+2] = 0xfb // -5; the signature no longer holds, which nobody checks
	if _, err := x509.ParseCertificate(der); err == nil {
		t.Fatal("crypto/x509 reads it too: this test proves nothing")
	}
	if _, err := (trust.DCCKey{KID: trust.KeyID{1}, Cert: der}).Read(); err != nil {
		t.Error(err)
	}
}

// One broken key among many is left out alone, and named.
func TestBadForeignKeysAreSkipped(t *testing.T) {
	good := string(marshal(t, example(t)))
	mark := "\"dcc_keys\": {\n    \"issued\": \"2026-11-10T00:00:00Z\",\n    \"keys\": ["
	if !strings.Contains(good, mark) {
		t.Fatal("the example looks otherwise")
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	modulus := func(bits int) string {
		n := new(big.Int).SetBit(big.NewInt(1), bits-1, 1)
		return base64.StdEncoding.EncodeToString(spki(t, &rsa.PublicKey{N: n, E: 65537}))
	}
	for bits, fits := range map[int]bool{2047: false, 2048: true, 8192: true, 8193: false} {
		der, err := base64.StdEncoding.DecodeString(modulus(bits))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (trust.DCCKey{KID: trust.KeyID{1}, SPKI: der}).Read(); (err == nil) != fits {
			t.Errorf("RSA of %d bits: %v", bits, err)
		}
	}
	cert := base64.StdEncoding.EncodeToString(certificate(t, func(*x509.Certificate) {}))
	bad := []string{
		`{"kid": "06", "cert": "` + cert + `", "usage": ["v"]}`,
		`{"kid": "06", "cert": "` + cert + `", "country": "SE"}`,
		`{"kid": "06", "cert": "` + cert + `", "not_after": "2036-01-01T00:00:00Z"}`,
		`{"kid": "06", "cert": "` + cert + `", "spki": "` + modulus(2048) + `"}`,
		`{"kid": "01", "cert": "%%%"}`,
		`{"kid": "zz", "cert": "AAAA"}`,
		`{"kid": "02", "cert": "AAAA"}`,
		`{"kid": "03"}`,
		`{"kid": "04", "spki": "` + base64.StdEncoding.EncodeToString(spki(t, &p384.PublicKey)) + `"}`,
		`{"kid": "05", "cert": "AAAA", "colour": "red"}`,
		`{"kid": "06", "spki": "` + base64.StdEncoding.EncodeToString(spki(t, &testKey(t, "x").PublicKey)) + `", "usage": ["x"]}`,
		`{"spki": "` + base64.StdEncoding.EncodeToString(spki(t, &testKey(t, "x").PublicKey)) + `"}`,
		`7`,
	}
	s, err := trust.Parse([]byte(strings.Replace(good, mark, mark+strings.Join(bad, ",")+",", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.DCCKeys.Keys) != 1 || len(s.Skipped) != len(bad) {
		t.Errorf("%d keys, skipped %+v", len(s.DCCKeys.Keys), s.Skipped)
	}
	seen := map[int]bool{}
	for _, k := range s.Skipped {
		if k.Why == "" || seen[k.Index] || k.Index >= len(bad) {
			t.Errorf("skipped %+v", k)
		}
		seen[k.Index] = true
	}
}

func FuzzParse(f *testing.F) {
	f.Add(marshal(f, example(f)))
	f.Add([]byte(`{"form":"checkpoint-trust/1","version":1,"issued":"2026-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := trust.Parse(data)
		if err != nil {
			if !errors.Is(err, trust.ErrFormat) && !errors.Is(err, trust.ErrTooLarge) {
				t.Errorf("error without a sentinel: %v", err)
			}
			return
		}
		if _, err := trust.Marshal(s); err != nil {
			t.Errorf("read, but cannot be written: %v", err)
		}
	})
}

func FuzzCertificate(f *testing.F) {
	key := testKey(f, "dsc")
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(5), Subject: pkix.Name{Country: []string{"SE"}}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Fuzz(func(t *testing.T, der []byte) {
		if s, err := (trust.DCCKey{KID: trust.KeyID{1}, Cert: der}).Read(); err == nil && s.Key == nil {
			t.Error("read without a key")
		}
	})
}

func FuzzParseSigned(f *testing.F) {
	signed, err := trust.Sign(example(f), signer())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	pinned := signer().Public().(ed25519.PublicKey)
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := trust.ParseSigned(data, pinned); err == nil && s.Version != 7 {
			t.Error("something was read that the key never signed")
		}
	})
}
