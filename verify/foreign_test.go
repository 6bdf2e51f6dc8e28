package verify_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"

	"checkpoint/healthcode/base45"
	"checkpoint/trust"
	"checkpoint/verify"
	"checkpoint/verify/dcc"
)

func testKey(t testing.TB, word string) *ecdsa.PrivateKey {
	t.Helper()
	d := sha256.Sum256([]byte(word))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func spki(t testing.TB, key crypto.PublicKey) []byte {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func pointSPKI(t testing.TB, x, y []byte) []byte {
	t.Helper()
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		t.Fatal(err)
	}
	return spki(t, key)
}

var dccKID = []byte{1, 2, 3, 4, 5, 6, 7, 8}

// message signs a payload with a P-256 or an RSA key. The key id stands in the
// protected header.
func message(t testing.TB, key crypto.Signer, payload []byte) []byte {
	t.Helper()
	alg := cose.AlgorithmES256
	if _, ok := key.(*rsa.PrivateKey); ok {
		alg = cose.AlgorithmPS256
	}
	signer, err := cose.NewSigner(alg, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := cose.Sign1(rand.Reader, signer, cose.Headers{Protected: cose.ProtectedHeader{cose.HeaderLabelAlgorithm: alg, cose.HeaderLabelKeyID: dccKID}}, payload, nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := cbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// content reads the CBOR of a health certificate, or of the token around it, as
// if a key of ours had signed it.
func content(t testing.TB, doc []byte) (*dcc.Claims, error) {
	t.Helper()
	var token map[int64]cbor.RawMessage
	payload := doc
	if err := cbor.Unmarshal(doc, &token); err != nil || token[-260] == nil {
		payload = append([]byte{0xa2, 0x04, 0x1a, 0x70, 0, 0, 0, 0x39, 0x01, 0x03, 0xa1, 0x01}, doc...)
	}
	m, err := dcc.Parse(message(t, testKey(t, "dcc"), payload))
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.Verify(&testKey(t, "dcc").PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return p.Claims(false)
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

type doc map[string]any

func vaccination(dn, sd any, date string) doc {
	return doc{"ver": "1.3.0", "nam": doc{"fn": " Müller ", "gn": "Eva", "fnt": "MUELLER", "gnt": "EVA"}, "dob": "1980-01-01",
		"v": []any{doc{"tg": "840539006", "dn": dn, "sd": sd, "dt": date, "co": "DE", "is": "RKI", "ci": "URN:UVCI:01DE/X/1#S"}}}
}

func pcr(kind, result, sampled string) doc {
	return doc{"nam": doc{"fnt": "MUELLER"}, "v": nil, "t": []any{doc{"tg": "840539006", "tt": kind, "tr": result, "sc": sampled, "co": "DE", "ci": "X"}}}
}

func recovered(fr, df, du string) doc {
	return doc{"nam": doc{"fnt": "MUELLER"}, "r": []any{doc{"tg": "840539006", "fr": fr, "df": df, "du": du, "co": "DE", "ci": "X"}}}
}

// foreign is a code with a document, valid for a day around noon.
func foreign(t testing.TB, key crypto.Signer, d doc, edits ...func(map[any]any)) []byte {
	t.Helper()
	p := map[any]any{1: "DE", 4: noon.Add(24 * time.Hour).Unix(), 6: noon.Add(-24 * time.Hour).Unix(), -260: map[any]any{1: d}}
	for _, e := range edits {
		e(p)
	}
	return hc1(message(t, key, marshal(t, p)))
}

func dccTrust(t testing.TB, edit func(*trust.Snapshot), keys ...crypto.PublicKey) *verify.Verifier {
	t.Helper()
	s := &trust.Snapshot{Form: trust.Form, Version: 3, Issued: noon.Add(-time.Hour)}
	s.DCCKeys.Issued = s.Issued
	for _, k := range keys {
		s.DCCKeys.Keys = append(s.DCCKeys.Keys, trust.DCCKey{KID: dccKID, SPKI: spki(t, k), Country: "DE"})
	}
	if edit != nil {
		edit(s)
	}
	return verify.New(s)
}

func TestForeignRules(t *testing.T) {
	key := testKey(t, "dcc")
	strict := func(s *trust.Snapshot) {
		s.Policy.Rules = []trust.Policy{{From: noon.AddDate(0, -1, 0), Venue: "any", Formats: []string{"dcc"}, RulesFailed: trust.FailedAmber}}
	}
	other := func(s *trust.Snapshot) {
		s.Policy.Rules = []trust.Policy{{From: noon.AddDate(0, -1, 0), Venue: "any", Formats: []string{"native"}}}
	}
	ok := func(under verify.Name) verify.Verdict {
		return verify.Verdict{Name: verify.CheckID, Reason: verify.OK, Under: under, IDWhy: verify.IDForeign}
	}
	more := func(r verify.Reason) verify.Verdict { return verify.Verdict{Name: verify.More, Reason: r} }
	for _, tc := range []struct {
		name string
		doc  doc
		edit func(*trust.Snapshot)
		want verify.Verdict
	}{
		{"complete, 30 days ago", vaccination(2, 2, "2026-10-24"), nil, ok(verify.PassGold)},
		{"complete, doses as floats", vaccination(2.0, 2.0, "2026-10-24"), nil, ok(verify.PassGold)},
		{"date-time for a date", vaccination(2, 2, "2026-10-24T10:00:00Z"), nil, ok(verify.PassGold)},
		{"booster", vaccination(3, 1, "2026-10-24"), nil, ok(verify.PassGold)},
		{"14 days ago", vaccination(2, 2, "2026-11-09"), nil, ok(verify.PassGold)},
		{"13 days ago", vaccination(2, 2, "2026-11-10"), nil, more(verify.RulesFailed)},
		{"270 days ago", vaccination(2, 2, "2026-02-26"), nil, ok(verify.PassGold)},
		{"271 days ago", vaccination(2, 2, "2026-02-25"), nil, more(verify.VaccinationTooOld)},
		{"271 days ago, amber for failed rules", vaccination(2, 2, "2026-02-25"), strict, verify.Verdict{Name: verify.Amber, Reason: verify.RulesFailed}},
		{"first of two", vaccination(1, 2, "2026-10-24"), nil, more(verify.VaccinationTooOld)},
		{"none of none", vaccination(0, 0, "2026-10-24"), nil, more(verify.VaccinationTooOld)},
		{"one of none", vaccination(1, 0, "2026-10-24"), nil, more(verify.VaccinationTooOld)},
		{"a hundred doses", vaccination(100, 2, "2026-10-24"), nil, more(verify.RulesOpen)},
		{"more doses than any number holds", vaccination(1e300, 2, "2026-10-24"), nil, more(verify.RulesOpen)},
		{"a dose and a half", vaccination(1.5, 1, "2026-10-24"), nil, more(verify.RulesOpen)},
		{"no day", vaccination(2, 2, ""), nil, more(verify.RulesOpen)},
		{"format not taken here", vaccination(2, 2, "2026-10-24"), other, more(verify.NotAcceptedHere)},
		{"NAAT 72 h ago", pcr("LP6464-4", "260415000", "2026-11-20T12:00:00Z"), nil, ok(verify.Pass)},
		{"NAAT 72 h 1 s ago", pcr("LP6464-4", "260415000", "2026-11-20T11:59:59Z"), nil, more(verify.TestTooOld)},
		{"NAAT in another zone", pcr("LP6464-4", "260415000", "2026-11-20T14:00:00+02:00"), nil, ok(verify.Pass)},
		{"rapid 25 h ago", pcr("LP217198-3", "260415000", "2026-11-22T11:00:00Z"), nil, more(verify.TestTooOld)},
		{"rapid today", pcr("LP217198-3", "260415000", "2026-11-23T08:00:00Z"), nil, ok(verify.Pass)},
		{"rapid this second where none are taken", pcr("LP217198-3", "260415000", "2026-11-23T12:00:00Z"), func(s *trust.Snapshot) {
			rules := trust.DefaultDCCRules()
			rules.Test.RapidHours = 0
			s.Policy.Rules = []trust.Policy{{From: noon.AddDate(0, -1, 0), Venue: "any", Formats: []string{"dcc"}, DCC: &rules}}
		}, more(verify.RulesFailed)},
		{"positive", pcr("LP6464-4", "260373001", "2026-11-23T08:00:00Z"), nil, more(verify.RulesFailed)},
		{"other kind of test", pcr("LP0", "260415000", "2026-11-23T08:00:00Z"), nil, more(verify.RulesFailed)},
		{"no time of sampling", pcr("LP6464-4", "260415000", "?"), nil, more(verify.RulesOpen)},
		{"sampled ahead", pcr("LP6464-4", "260415000", "2026-11-24T08:00:00Z"), nil, more(verify.RulesFailed)},
		{"recovered", recovered("2026-10-01", "2026-10-12", "2027-03-30"), nil, ok(verify.Pass)},
		{"recovered, last day", recovered("2026-10-01", "2026-10-12", "2026-11-23"), nil, ok(verify.Pass)},
		{"recovered, a day over", recovered("2026-10-01", "2026-10-12", "2026-11-22"), nil, more(verify.RulesFailed)},
		{"recovered 10 days ago", recovered("2026-11-13", "", ""), nil, more(verify.RulesFailed)},
		{"recovered 181 days ago", recovered("2026-05-26", "", ""), nil, more(verify.RulesFailed)},
		{"another disease", doc{"nam": doc{"fnt": "MUELLER"}, "r": []any{doc{"tg": "1", "fr": "2026-10-01"}}}, nil, more(verify.RulesFailed)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := dccTrust(t, tc.edit, &key.PublicKey).Check(foreign(t, key, tc.doc), synced(noon))
			if got.Name != tc.want.Name || got.Reason != tc.want.Reason || got.Under != tc.want.Under || got.IDWhy != tc.want.IDWhy {
				t.Errorf("%v/%v under %v (%v), want %v/%v under %v: %v", got.Name, got.Reason, got.Under, got.IDWhy, tc.want.Name, tc.want.Reason, tc.want.Under, got.Checks)
			}
			if (got.Person != verify.Person{}) != (got.Name == verify.CheckID) {
				t.Errorf("person line %v with %v", got.Person, got.Name)
			}
		})
	}
}

func TestForeignContent(t *testing.T) {
	key := testKey(t, "dcc")
	v := dccTrust(t, nil, &key.PublicKey)
	good := func() doc { return vaccination(2, 2, "2026-10-24") }
	two := good()
	two["v"] = append(two["v"].([]any), two["v"].([]any)[0])
	both := good()
	both["r"] = recovered("2026-10-01", "", "")["r"]
	none := good()
	none["v"] = nil
	nameless := good()
	nameless["nam"] = doc{"fn": " ", "gn": nil}
	notList := good()
	notList["v"] = "x"
	set := func(k, v any) func(map[any]any) { return func(m map[any]any) { m[k] = v } }
	for _, tc := range []struct {
		name   string
		text   []byte
		verd   verify.Name
		reason verify.Reason
	}{
		{"as it should be", foreign(t, key, good()), verify.CheckID, verify.OK},
		{"two entries", foreign(t, key, two), verify.Invalid, verify.BadSchema},
		{"entries in two groups", foreign(t, key, both), verify.Invalid, verify.BadSchema},
		{"no entry", foreign(t, key, none), verify.Invalid, verify.BadSchema},
		{"no name to compare", foreign(t, key, nameless), verify.Invalid, verify.BadSchema},
		{"group is a text", foreign(t, key, notList), verify.Invalid, verify.BadSchema},
		{"no certificate", foreign(t, key, good(), func(m map[any]any) { delete(m, -260) }), verify.Invalid, verify.BadSchema},
		{"no end", foreign(t, key, good(), func(m map[any]any) { delete(m, 4) }), verify.Invalid, verify.BadSchema},
		{"no begin", foreign(t, key, good(), func(m map[any]any) { delete(m, 6) }), verify.CheckID, verify.OK},
		{"end as a text", foreign(t, key, good(), set(4, "soon")), verify.Invalid, verify.BadSchema},
		{"end as NaN", foreign(t, key, good(), set(4, cbor.RawMessage{0xf9, 0x7e, 0})), verify.Invalid, verify.BadSchema},
		{"end as infinity", foreign(t, key, good(), set(4, cbor.RawMessage{0xf9, 0x7c, 0})), verify.Invalid, verify.BadSchema},
		{"end as a float", foreign(t, key, good(), set(4, float64(noon.Unix())+1.5)), verify.CheckID, verify.OK},
		{"at its last second", foreign(t, key, good(), set(4, noon.Unix())), verify.CheckID, verify.OK},
		{"a second after", foreign(t, key, good(), set(4, noon.Unix()-1)), verify.Refresh, verify.Expired},
		{"issued this second", foreign(t, key, good(), set(6, noon.Unix())), verify.CheckID, verify.OK},
		{"issued a second ahead", foreign(t, key, good(), set(6, noon.Unix()+1)), verify.Refresh, verify.NotYetValid},
		{"17 levels", hc1(message(t, key, append(append([]byte{0xa1, 9}, bytes.Repeat([]byte{0x81}, 16)...), 0))), verify.Invalid, verify.BadCBOR},
		{"a list of 65", hc1(message(t, key, append([]byte{0xa1, 9, 0x98, 65}, make([]byte, 65)...))), verify.Invalid, verify.BadCBOR},
		{"content not CBOR", hc1(message(t, key, []byte{0xff})), verify.Invalid, verify.BadCBOR},
		{"content not a map", hc1(message(t, key, []byte{1})), verify.Invalid, verify.BadSchema},
		{"a key twice", hc1(message(t, key, []byte{0xa2, 1, 1, 1, 1})), verify.Invalid, verify.BadSchema},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := v.Check(tc.text, synced(noon)); got.Name != tc.verd || got.Reason != tc.reason {
				t.Errorf("%v/%v, want %v/%v: %v", got.Name, got.Reason, tc.verd, tc.reason, got.Checks)
			}
		})
	}
	got := v.Check(foreign(t, key, good()), synced(noon))
	if got.Person.Name != "Müller Eva" || got.ID != "URN:UVCI:01DE/X/1#S" || got.Issuer != "DE" || got.TrustVersion != 3 {
		t.Errorf("read %+v", got)
	}
	want := "\x01\x02vDE" + "\x0a1980-01-01" + "\x13URN:UVCI:01DE/X/1#S" + "\x0cMUELLER<<EVA"
	if string(got.Subject) != want {
		t.Errorf("subject %q, want %q", got.Subject, want)
	}
	long := good()
	long["nam"] = doc{"fnt": strings.Repeat("Ä", 200), "gnt": "X"}
	long["v"].([]any)[0].(doc)["ci"] = strings.Repeat("U", 90)
	if s := v.Check(foreign(t, key, long), synced(noon)).Subject; len(s) > 160 || len(s) < 159 || s[16] != 80 || s[97] != byte(len(s)-98) {
		t.Errorf("a long subject has %d bytes", len(s))
	}
}

// A clock that may be behind excuses what lies ahead of it, but not what is
// over whatever the time is.
func TestForeignClockBehind(t *testing.T) {
	key := testKey(t, "dcc")
	until := func(end time.Duration) func(*trust.Snapshot) {
		return func(s *trust.Snapshot) { s.DCCKeys.Keys[0].NotAfter = noon.Add(end) }
	}
	from := func(begin, end time.Duration) func(map[any]any) {
		return func(m map[any]any) { m[6], m[4] = noon.Add(begin).Unix(), noon.Add(end).Unix() }
	}
	good := vaccination(2, 2, "2026-10-24")
	for _, tc := range []struct {
		name string
		text []byte
		edit func(*trust.Snapshot)
		want want
	}{
		{"issued ahead", foreign(t, key, good, from(2*time.Hour, 3*time.Hour)), nil, checkID(verify.PassGold, verify.IDClock)},
		{"issued ahead, by a key that then is no longer valid", foreign(t, key, good, from(2*time.Hour, 3*time.Hour)), until(time.Hour), refused(verify.Invalid, verify.KeyExpired)},
		{"over", foreign(t, key, good, from(-2*time.Hour, -time.Hour)), nil, refused(verify.Refresh, verify.Expired)},
		{"recovery begins tomorrow", foreign(t, key, recovered("2026-11-10", "2026-11-24", "2026-12-30")), nil, checkID(verify.Pass, verify.IDClock)},
		{"recovery begins tomorrow, infected too long ago", foreign(t, key, recovered("2024-01-01", "2026-11-24", "2026-12-30")), nil, refused(verify.More, verify.RulesFailed)},
		{"recovery two days old, over yesterday", foreign(t, key, recovered("2026-11-21", "", "2026-11-22")), nil, refused(verify.More, verify.RulesFailed)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			expect(t, dccTrust(t, tc.edit, &key.PublicKey).Check(tc.text, verify.Instant{Time: noon, Quality: verify.ClockEstimated}), tc.want)
		})
	}
}

func TestForeignContainer(t *testing.T) {
	key := testKey(t, "dcc")
	v := dccTrust(t, nil, &key.PublicKey)
	good := foreign(t, key, vaccination(2, 2, "2026-10-24"))
	z, err := base45.Decode(good[4:], 4296)
	if err != nil {
		t.Fatal(err)
	}
	raw := message(t, key, []byte{0xa0})
	bomb := hc1(bytes.Repeat([]byte{0}, 64<<10))
	for _, tc := range []struct {
		name   string
		text   []byte
		reason verify.Reason
	}{
		{"lower case", []byte("HC1:abc"), verify.BadBase45},
		{"too long", []byte("HC1:" + strings.Repeat("0", 5001)), verify.BadBase45},
		{"nothing after the prefix", []byte("HC1:"), verify.BadInflate},
		{"not compressed", []byte("HC1:BB8"), verify.BadInflate},
		{"bomb", bomb, verify.BadInflate},
		{"a byte after the stream", base45.AppendEncode([]byte("HC1:"), append(bytes.Clone(z), 0)), verify.BadInflate},
		{"CBOR cut short", hc1(raw[:len(raw)-1]), verify.BadCBOR},
		{"a byte too many", hc1(append(bytes.Clone(raw), 0)), verify.BadCBOR},
		{"a number", hc1([]byte{1}), verify.BadCOSE},
		{"an array of three", hc1([]byte{0xd2, 0x83, 0x40, 0xa0, 0x40}), verify.BadCOSE},
		{"no key id", hc1([]byte{0xd2, 0x84, 0x40, 0xa0, 0x41, 1, 0x41, 1}), verify.KidMissing},
		{"no signature", hc1([]byte{0xd2, 0x84, 0x40, 0xa0, 0x41, 1, 0x40}), verify.BadCOSE},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := v.Check(tc.text, synced(noon)); got.Name != verify.Invalid || got.Reason != tc.reason {
				t.Errorf("%v/%v, want invalid/%v", got.Name, got.Reason, tc.reason)
			}
		})
	}
	t.Run("headers", func(t *testing.T) {
		var parts []cbor.RawMessage
		if err := cbor.Unmarshal(message(t, key, []byte{0xa0})[1:], &parts); err != nil {
			t.Fatal(err)
		}
		// Untagged, and with the CWT tag around the COSE tag.
		body := marshal(t, parts)
		for _, head := range [][]byte{nil, {0xd2}, {0xd8, 61, 0xd2}} {
			if got := v.Check(hc1(append(head, body...)), synced(noon)); got.Signature != verify.SignatureValid {
				t.Errorf("tags %x: %v/%v", head, got.Name, got.Reason)
			}
		}
	})
}

func TestForeignKeys(t *testing.T) {
	key, wrong := testKey(t, "dcc"), testKey(t, "wrong")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text := foreign(t, key, vaccination(2, 2, "2026-10-24"))
	old := func(s *trust.Snapshot) { s.Issued = noon.Add(-25 * time.Hour) }
	older := func(s *trust.Snapshot) { s.Issued = noon.Add(-8 * 24 * time.Hour) }
	usage := func(u ...string) func(*trust.Snapshot) {
		return func(s *trust.Snapshot) { s.DCCKeys.Keys[0].Usage = u }
	}
	dates := func(from, to time.Duration) func(*trust.Snapshot) {
		return func(s *trust.Snapshot) {
			s.DCCKeys.Keys[0].NotBefore, s.DCCKeys.Keys[0].NotAfter = noon.Add(from), noon.Add(to)
		}
	}
	for _, tc := range []struct {
		name   string
		v      *verify.Verifier
		text   []byte
		verd   verify.Name
		reason verify.Reason
		sig    verify.Signature
	}{
		{"ES256", dccTrust(t, nil, &key.PublicKey), text, verify.CheckID, verify.OK, verify.SignatureValid},
		{"PS256", dccTrust(t, nil, &rsaKey.PublicKey), foreign(t, rsaKey, vaccination(2, 2, "2026-10-24")), verify.CheckID, verify.OK, verify.SignatureValid},
		{"second key with that kid", dccTrust(t, nil, &wrong.PublicKey, &rsaKey.PublicKey, &key.PublicKey), text, verify.CheckID, verify.OK, verify.SignatureValid},
		{"wrong key with that kid", dccTrust(t, nil, &wrong.PublicKey), text, verify.Invalid, verify.BadSignature, verify.SignatureInvalid},
		{"key of another kind", dccTrust(t, nil, &rsaKey.PublicKey), text, verify.Invalid, verify.BadSignature, verify.SignatureInvalid},
		{"no key, fresh list", dccTrust(t, nil), text, verify.More, verify.IssuerUnknown, verify.SignatureUnknownKey},
		{"no key, list not fresh", dccTrust(t, old), text, verify.Device, verify.UnknownKeyListStale, verify.SignatureUnknownKey},
		{"list not fresh, key known", dccTrust(t, old, &key.PublicKey), text, verify.CheckID, verify.OK, verify.SignatureValid},
		{"list past the limit", dccTrust(t, older, &key.PublicKey), text, verify.Device, verify.KeysStale, verify.SignatureNone},
		{"no trust", verify.New(nil), text, verify.Device, verify.KeysStale, verify.SignatureNone},
		{"key for tests", dccTrust(t, usage("t", "r"), &key.PublicKey), text, verify.Invalid, verify.KeyUsage, verify.SignatureValid},
		{"key for vaccinations", dccTrust(t, usage("v"), &key.PublicKey), text, verify.CheckID, verify.OK, verify.SignatureValid},
		{"key until now", dccTrust(t, dates(-time.Hour, 0), &key.PublicKey), text, verify.CheckID, verify.OK, verify.SignatureValid},
		{"key until a second ago", dccTrust(t, dates(-time.Hour, -time.Second), &key.PublicKey), text, verify.Invalid, verify.KeyExpired, verify.SignatureValid},
		{"key from tomorrow", dccTrust(t, dates(24*time.Hour, 48*time.Hour), &key.PublicKey), text, verify.Invalid, verify.KeyExpired, verify.SignatureValid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := tc.v.Check(tc.text, synced(noon))
			if got.Name != tc.verd || got.Reason != tc.reason || got.Signature != tc.sig {
				t.Errorf("%v/%v, signature %v, want %v/%v, %v", got.Name, got.Reason, got.Signature, tc.verd, tc.reason, tc.sig)
			}
		})
	}
}
