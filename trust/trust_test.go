package trust_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"checkpoint/trust"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func testKey(t testing.TB, word string) *ecdsa.PrivateKey {
	t.Helper()
	d := sha256.Sum256([]byte(word))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func spki(t testing.TB, key any) []byte {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func dayKey(t testing.TB, word string) []byte {
	t.Helper()
	ikm := sha256.Sum256([]byte(word))
	key, err := hpke.MLKEM768X25519().DeriveKeyPair(ikm[:])
	if err != nil {
		t.Fatal(err)
	}
	return key.PublicKey().Bytes()
}

func signer() ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("trust"))
	return ed25519.NewKeyFromSeed(seed[:])
}

// example is the snapshot of docs/examples/trust.json.
func example(t testing.TB) *trust.Snapshot {
	t.Helper()
	der := spki(t, &testKey(t, "issuer").PublicKey)
	sum := sha256.Sum256(der)
	now := at("2026-11-23T06:00:00Z")
	rules := trust.DefaultDCCRules()
	return &trust.Snapshot{
		Form: trust.Form, Version: 7, Issued: now,
		Issuers: trust.Issuers{Issued: at("2026-11-01T00:00:00Z"), Keys: []trust.IssuerKey{{
			KID: trust.ID(sum[:8]), Algorithm: "ES256", SPKI: der, Name: "Wuhan Health Commission", Country: "CN",
			Regions: []string{"CN-4201"}, Colours: []trust.Colour{trust.Green, trust.Amber, trust.Red, trust.Gold},
			NotBefore: at("2026-01-01T00:00:00Z"), NotAfter: at("2027-12-31T23:59:59Z"),
		}}},
		Policy: trust.Policies{Issued: at("2026-11-20T00:00:00Z"), Rules: []trust.Policy{
			{From: at("2026-11-01T00:00:00Z"), Venue: "any", Formats: []string{"native", "dcc"}},
			{From: at("2026-11-01T00:00:00Z"), Venue: "park", NoCheck: true},
			{From: at("2026-11-01T00:00:00Z"), Venue: "subway", Formats: []string{"native", "dcc"}, TestAgeH: 72, ReplayS: 600},
			{From: at("2026-12-01T00:00:00Z"), Venue: "subway", Formats: []string{"native", "dcc"}, TestAgeH: 48,
				Vaccination: &trust.Vaccination{Doses: 2, MinDays: 14, MaxDays: 365}, IDCheck: true, FreshH: 12, LimitH: 72,
				ReplayS: 600, TwoWay: true, NeedTime: true, FullDisk: trust.Stop, RulesFailed: trust.FailedAmber, DCC: &rules},
		}},
		Revoked: trust.Revocations{Issued: at("2026-11-23T00:00:00Z"), Superseded: []trust.ID{{0xaa, 1}}, Withdrawn: []trust.ID{{0xbb, 2}}},
		DCCKeys: trust.DCCKeys{Issued: at("2026-11-10T00:00:00Z"), Keys: []trust.DCCKey{{
			KID: trust.KeyID{1, 2, 3, 4, 5, 6, 7, 8}, SPKI: spki(t, &testKey(t, "dcc").PublicKey), Usage: []string{"v", "t"}, Country: "XX",
			NotBefore: at("2026-01-01T00:00:00Z"), NotAfter: at("2027-12-31T23:59:59Z"),
		}}},
		DayKeys: trust.DayKeys{Issued: now, Keys: []trust.DayKey{
			{ID: "2026-10-23", From: at("2026-10-23T00:00:00Z"), To: at("2026-10-24T00:00:00Z"), Destroyed: true},
			{ID: "2026-11-23", From: at("2026-11-23T00:00:00Z"), To: at("2026-11-24T00:00:00Z"), PublicKey: dayKey(t, "2026-11-23")},
		}},
	}
}

func marshal(t testing.TB, s *trust.Snapshot) []byte {
	t.Helper()
	b, err := trust.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestExampleFiles(t *testing.T) {
	signed, err := trust.Sign(example(t), signer())
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]byte{"../docs/examples/trust.json": marshal(t, example(t)), "../docs/examples/trust.signed": signed} {
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the program makes", path)
		}
	}
	pinned := signer().Public().(ed25519.PublicKey)
	s, err := trust.ParseSigned(signed, pinned)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(marshal(t, s), marshal(t, example(t))) {
		t.Error("a snapshot changes on its way through the signed form")
	}
	if s.Version != 7 || len(s.Skipped) != 0 || len(s.DCCKeys.Keys) != 1 {
		t.Errorf("read version %d, %d keys, skipped %v", s.Version, len(s.DCCKeys.Keys), s.Skipped)
	}
}

func TestSignature(t *testing.T) {
	signed, err := trust.Sign(example(t), signer())
	if err != nil {
		t.Fatal(err)
	}
	pinned := signer().Public().(ed25519.PublicKey)
	other, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.IndexByte(signed, '\n') + 1
	changed := bytes.Replace(signed, []byte(`"version": 7`), []byte(`"version": 8`), 1)
	bare := append([]byte(nil), signed[body:]...)
	// The key's own signature over the bare JSON, without the domain.
	undomained := []byte("checkpoint-trust-signed/1 " + trust.PinID(pinned) + " " + base64.StdEncoding.EncodeToString(ed25519.Sign(signer(), bare)) + "\n" + string(bare))
	for _, tc := range []struct {
		name string
		data []byte
		pin  ed25519.PublicKey
		want error
	}{
		{"another key", signed, other, trust.ErrSignature},
		{"no key", signed, nil, trust.ErrSignature},
		{"content changed", changed, pinned, trust.ErrSignature},
		{"cut short", signed[:len(signed)-1], pinned, trust.ErrSignature},
		{"signed without the domain", undomained, pinned, trust.ErrSignature},
		{"unsigned", bare, pinned, trust.ErrFormat},
		{"empty", nil, pinned, trust.ErrFormat},
		{"head only", signed[:body-1], pinned, trust.ErrFormat},
		{"too large", make([]byte, trust.MaxBytes+1), pinned, trust.ErrTooLarge},
	} {
		if _, err := trust.ParseSigned(tc.data, tc.pin); !errors.Is(err, tc.want) {
			t.Errorf("%s: error is %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestRefused(t *testing.T) {
	good := string(marshal(t, example(t)))
	sub := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the example", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for name, tc := range map[string]struct{ data, says string }{
		"unknown key":             {sub(`"version": 7`, `"version": 7, "extra": 1`), `"extra"`},
		"unknown key below":       {sub(`"alg"`, `"algo": 1, "alg"`), `"algo"`},
		"key in another case":     {sub(`"version"`, `"Version"`), `"Version"`},
		"key twice":               {sub(`"version": 7`, `"version": 7, "version": 9`), `"version" stands twice`},
		"null":                    {sub(`"version": 7`, `"version": null`), "null"},
		"something follows":       {good + "{}", "follows"},
		"not JSON":                {good[:len(good)-10], "not JSON"},
		"another form":            {sub("checkpoint-trust/1", "checkpoint-trust/2"), "checkpoint-trust/2"},
		"version 0":               {sub(`"version": 7`, `"version": 0`), "version"},
		"time not in UTC":         {sub(`"2026-11-23T06:00:00Z"`, `"2026-11-23T06:00:00+08:00"`), "UTC"},
		"list without a date":     {sub(`"issued": "2026-11-20T00:00:00Z",`, ""), "policy: issued"},
		"another algorithm":       {sub(`"ES256"`, `"EdDSA"`), "EdDSA"},
		"kid of another key":      {sub(`"kid": "90`, `"kid": "91`), "kid"},
		"region elsewhere":        {sub(`"CN-4201"`, `"US-4201"`), "US-4201"},
		"name with a line end":    {sub("Wuhan", `Wu\nhan`), "shown"},
		"name turned around":      {sub("Wuhan", `Wu\u202ehan`), "shown"},
		"colour blue":             {sub(`"gold"`, `"blue"`), "blue"},
		"venue with a blank":      {sub(`"venue": "any"`, `"venue": "any where"`), "any where"},
		"format unknown":          {sub(`"native"`, `"naitve"`), "naitve"},
		"replay over an hour":     {sub(`"replay_window_s": 600`, `"replay_window_s": 3601`), "replay_window_s"},
		"fresh over limit":        {sub(`"fresh_h": 12`, `"fresh_h": 73`), "fresh_h"},
		"negative test age":       {sub(`"test_age_h": 72`, `"test_age_h": -1`), "test_age_h"},
		"full disk unknown":       {sub(`"stop"`, `"halt"`), "halt"},
		"upper-case id":           {sub(`"aa01`, `"AA01`), "hex"},
		"day keys overlap":        {sub(`"to": "2026-10-24T00:00:00Z"`, `"to": "2026-11-23T12:00:00Z"`), "overlaps"},
		"a day key's id twice":    {sub(`"id": "2026-10-23"`, `"id": "2026-11-23"`), "same id"},
		"destroyed with a key":    {sub(`"destroyed": true`, `"destroyed": true, "public_key": "AAAA"`), "destroyed"},
		"day key of another size": {sub(`"destroyed": true`, `"public_key": "AAAA"`), "public_key"},
		"deep":                    {strings.Repeat("[", 100) + strings.Repeat("]", 100), "deep"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := trust.Parse([]byte(tc.data))
			if !errors.Is(err, trust.ErrFormat) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error is %v, want one that says %s", err, tc.says)
			}
		})
	}
}

func TestTooManyIssuers(t *testing.T) {
	s := example(t)
	for len(s.Issuers.Keys) <= trust.MaxIssuers {
		s.Issuers.Keys = append(s.Issuers.Keys, s.Issuers.Keys[0])
	}
	if _, err := trust.Marshal(s); !errors.Is(err, trust.ErrFormat) || !strings.Contains(err.Error(), "4097") {
		t.Errorf("error is %v", err)
	}
}

func TestPolicyAt(t *testing.T) {
	s := example(t)
	for _, tc := range []struct {
		venue, at string
		check     func(trust.Policy) bool
	}{
		{"subway", "2026-11-30T23:59:59Z", func(p trust.Policy) bool { return p.TestAgeH == 72 && !p.IDCheck }},
		{"subway", "2026-12-01T00:00:00Z", func(p trust.Policy) bool { return p.TestAgeH == 48 && p.IDCheck && p.Limit() == 72*time.Hour }},
		{"mall", "2026-12-01T00:00:00Z", func(p trust.Policy) bool { return p.Venue == "any" && p.TestAgeH == 0 && p.Fresh() == 24*time.Hour }},
		{"park", "2026-12-01T00:00:00Z", func(p trust.Policy) bool { return p.NoCheck }},
		{"park", "2026-10-01T00:00:00Z", func(p trust.Policy) bool { return !p.NoCheck && p.Accepts("native") }},
	} {
		if p := s.PolicyAt(tc.venue, at(tc.at)); !tc.check(p) {
			t.Errorf("%s at %s: %+v", tc.venue, tc.at, p)
		}
	}
	if p := (*trust.Snapshot)(nil).PolicyAt("park", time.Time{}); p.NoCheck {
		t.Error("no trust and no check")
	}
}

func TestDayKeyAt(t *testing.T) {
	s := example(t)
	for when, want := range map[string]bool{
		"2026-11-22T23:59:59Z": false, "2026-11-23T00:00:00Z": true, "2026-11-23T23:59:59Z": true, "2026-11-24T00:00:00Z": false,
		"2026-10-23T12:00:00Z": false, // destroyed
	} {
		if _, ok := s.DayKeyAt(at(when)); ok != want {
			t.Errorf("%s: %v", when, ok)
		}
	}
}

func TestAges(t *testing.T) {
	for _, a := range example(t).Ages(at("2026-11-23T10:00:00Z")) {
		want := 4 * time.Hour
		if a.List == "revoked" {
			want = 10 * time.Hour // its own date is the older one
		}
		if a.Age != want {
			t.Errorf("%s is %v old, want %v", a.List, a.Age, want)
		}
	}
}

func TestFollows(t *testing.T) {
	key := func(id, word string, destroyed bool) trust.DayKey {
		k := trust.DayKey{ID: id, Destroyed: destroyed}
		if !destroyed {
			k.PublicKey = []byte(word)
		}
		return k
	}
	snapshot := func(version uint64, keys ...trust.DayKey) *trust.Snapshot {
		return &trust.Snapshot{Version: version, DayKeys: trust.DayKeys{Keys: keys}}
	}
	old := snapshot(7, key("a", "A", false), key("b", "", true))
	for _, tc := range []struct {
		name string
		next *trust.Snapshot
		want error
	}{
		{"a version lower", snapshot(6, key("a", "A", false)), trust.ErrRolledBack},
		{"the same again", old, nil},
		{"more days", snapshot(8, key("a", "A", false), key("b", "", true), key("c", "C", false)), nil},
		{"past days left out", snapshot(8, key("c", "C", false)), nil},
		{"a day destroyed", snapshot(8, key("a", "", true)), nil},
		{"a day's key changed", snapshot(8, key("a", "other", false)), trust.ErrDayKey},
		{"a destroyed day back", snapshot(8, key("b", "B", false)), trust.ErrDayKey},
		{"nothing", nil, trust.ErrRolledBack},
	} {
		if err := trust.Follows(tc.next, old); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
	if err := trust.Follows(old, nil); err != nil {
		t.Errorf("first of all: %v", err)
	}
}

func TestCovers(t *testing.T) {
	for _, tc := range []struct {
		region, issuer string
		want           bool
	}{
		{"CN", "CN", true}, {"CN", "CN-42", true}, {"CN", "CNX", false}, {"CN-42", "CN-420100", true}, {"CN-42", "CN-42-A", true},
		{"CN-4201", "CN-420100", true}, {"CN-420", "CN-420100", false}, {"CN-4", "CN-42", false}, {"CN-42", "CN-43", false},
		{"CN-420100", "CN-42", false}, {"", "CN", false}, {"CN-42", "CN-42A", false}, {"DE-BY", "DE-BYX", false}, {"DE-BY", "DE-BY1", false}, {"CN", "CN42", false}, {"DE-BY", "DE-BY-M", true},
	} {
		if got := trust.Covers(tc.region, tc.issuer); got != tc.want {
			t.Errorf("%q covers %q: %v", tc.region, tc.issuer, got)
		}
	}
}
