package verify_test

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"

	"checkpoint/healthcode"
	"checkpoint/trust"
	"checkpoint/verify"
)

func TestPhone(t *testing.T) {
	v := nativeTrust(t)
	screenshot := []byte(issue(t, green(t)).Text())
	expect(t, v.Check(screenshot, synced(noon)), refused(verify.Refresh, verify.PresentationMissing))

	thief, err := healthcode.Present(nil, testKey(t, "thief"), issue(t, green(t)), noon.Unix())
	if err != nil {
		t.Fatal(err)
	}
	expect(t, v.Check([]byte(thief), synced(noon)), refused(verify.Invalid, verify.BadHolderSignature))

	paper := green(t)
	paper.Holder = nil
	dressed, err := healthcode.Present(nil, testKey(t, "thief"), issue(t, paper), noon.Unix())
	if err != nil {
		t.Fatal(err)
	}
	expect(t, v.Check([]byte(dressed), synced(noon)), refused(verify.Invalid, verify.BadHolderSignature))

	shown := show(t, green(t), 0)
	for name, text := range map[string][]byte{
		"presentation behind the static prefix": append([]byte("GHC1:"), shown[5:]...),
		"credential behind the phone's prefix":  append([]byte("GHP1:"), screenshot[5:]...),
	} {
		if got := v.Check(text, synced(noon)); got.Name != verify.Invalid || got.Reason != verify.BadCOSE {
			t.Errorf("%s: %v/%v", name, got.Name, got.Reason)
		}
	}
}

func TestVerdictCarriesWhatWasProven(t *testing.T) {
	c := green(t)
	c.Holder = nil
	got := nativeTrust(t).Check([]byte(issue(t, c).Text()+"\r\n"), synced(noon))
	expect(t, got, checkID(verify.Pass, verify.IDPaper))
	if got.Issuer != "CN-420100" || got.ID != hex.EncodeToString(c.CTI[:]) || got.ValidUntil.Unix() != c.Expires || got.IssuedAt.Unix() != c.Issued || got.TrustVersion != 3 ||
		(got.Person != verify.Person{Name: "张*三", Document: "123X", DocType: 1}) {
		t.Errorf("read %+v", got)
	}
	subject := slices.Concat(c.Subject[:], c.CTI[:], make([]byte, 12))
	if !bytes.Equal(got.Subject, subject) {
		t.Errorf("subject %x, want %x", got.Subject, subject)
	}
	var names []string
	for _, s := range got.Checks {
		names = append(names, s.Name)
	}
	order := []string{"prefix", "base45", "cbor", "cose", "kid", "trust", "key", "signature", "content", "issuer", "times", "holder", "window", "revocation", "colour", "policy"}
	if !slices.Equal(names, order) {
		t.Errorf("steps %v", names)
	}
	bad := nativeTrust(t).Check([]byte("GHC1:bad"), synced(noon))
	expect(t, bad, refused(verify.Invalid, verify.BadBase45))
	if len(bad.Checks) != len(order) {
		t.Errorf("a broken code lists %d steps", len(bad.Checks))
	}
}

func TestNotOurs(t *testing.T) {
	v := nativeTrust(t)
	for text, name := range map[string]string{
		"": "", "hello": "", "https://example.org": "", "WIFI:S:x;;": "", "GHC": "", "GHC1": "", "ghc1:BB8": "", " GHC1:BB8": "", "HC1": "", "{}": "", "GHX1:": "",
		"GHC2:BB8": "GHC2", "GHP9:": "GHP9", "HC2:BB8": "HC2", "HCX:": "HCX", "NL2:A": "NL2", "shc:/5676": "SMART Health Card", "SHC:/5676": "SMART Health Card", "NZCP:/1/NC": "NZ COVID Pass",
	} {
		w := refused(verify.NotOurs, verify.NotAHealthCode)
		if name != "" {
			w.reason = verify.UnsupportedFormat
		}
		got := v.Check([]byte(text), synced(noon))
		expect(t, got, w)
		if got.FormatName != name {
			t.Errorf("%q is called %q, want %q", text, got.FormatName, name)
		}
	}
}

func TestVenue(t *testing.T) {
	v := nativeTrust(t, policy(func(p *trust.Policy) { p.Venue, p.IDCheck = "hospital", true }))
	code := show(t, green(t), 0)
	expect(t, v.Check(code, synced(noon)), pass)
	expect(t, v.At("hospital").Check(code, synced(noon)), checkID(verify.Pass, verify.IDPolicy))
}
