package trust_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"checkpoint/trust"
)

const examples = "../docs/examples/targets"

// ids are n ids that rise, spread over the whole space.
func ids(n int, salt byte) []trust.ID {
	all := make([]trust.ID, n)
	step := ^uint64(0) / uint64(n+1)
	for i := range all {
		binary.BigEndian.PutUint64(all[i][:], step*uint64(i+1))
		all[i][7] = salt
	}
	return all
}

func jwk(t testing.TB, word string) trust.ECKey {
	t.Helper()
	raw, err := testKey(t, word).PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	k := trust.ECKey{X: base64.RawURLEncoding.EncodeToString(raw[1:33]), Y: base64.RawURLEncoding.EncodeToString(raw[33:])}
	k.ID = k.Thumbprint()
	return k
}

// exampleTargets are the files of docs/examples/targets.
func exampleTargets(t testing.TB) map[string][]byte {
	t.Helper()
	s := example(t)
	receipt := signer().Public().(ed25519.PublicKey)
	sum := sha256.Sum256(receipt)
	until := at("2027-12-31T23:59:59Z")
	s.ReceiptKeys = []trust.ReceiptKey{{ID: trust.ID(sum[:8]), Key: receipt, NotBefore: at("2026-01-01T00:00:00Z"), NotAfter: until}}
	s.HubCA = []trust.HubCA{{SPKI: sha256.Sum256([]byte("hub")), Name: "Wuhan hub", NotBefore: at("2026-01-01T00:00:00Z"), NotAfter: until}}
	targets, err := trust.Targets(s, 41)
	if err != nil {
		t.Fatal(err)
	}
	list, err := trust.ParseRevoked(targets[trust.TargetRevoked])
	if err != nil {
		t.Fatal(err)
	}
	next := *list
	next.Sequence, next.Issued, next.Withdrawn = 42, list.Issued.Add(12*time.Hour), append(slices.Clone(list.Withdrawn), trust.ID{0xcc, 3})
	delta, err := list.Delta(&next)
	if err != nil {
		t.Fatal(err)
	}
	if targets[delta.Name()], err = delta.AppendBinary(nil); err != nil {
		t.Fatal(err)
	}
	dcc := trust.DCCRevoked{KID: trust.KeyID{1, 2, 3, 4, 5, 6, 7, 8}, Issued: at("2026-11-22T00:00:00Z"), Expires: at("2026-12-22T00:00:00Z"),
		UCI: []trust.DCCHash{{1}, {2}}, Signature: []trust.DCCHash{{3}}}
	if targets["dcc-revoked/0102030405060708"], err = dcc.AppendBinary(nil); err != nil {
		t.Fatal(err)
	}
	shc, nz := jwk(t, "shc"), jwk(t, "nzcp")
	nz.ID = "key-1"
	put := func(name string, v map[string]any) {
		v["form"], v["issued"] = trust.TargetForm(name), "2026-11-20T00:00:00Z"
		b, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		targets[name] = append(b, '\n')
	}
	put("dcc-rules/XX.json", map[string]any{"country": "XX", "rules": []any{map[string]any{
		"Identifier": "VR-XX-0001", "Type": "Acceptance", "Country": "XX", "Version": "1.0.0", "SchemaVersion": "1.3.0",
		"Engine": "CERTLOGIC", "EngineVersion": "1.2.2", "CertificateType": "Vaccination",
		"Description": []any{map[string]any{"lang": "en", "desc": "The series of vaccinations must be complete."}},
		"ValidFrom":   "2026-01-01T00:00:00Z", "ValidTo": "2030-06-01T00:00:00Z", "AffectedFields": []any{"dn", "sd"},
		"Logic": map[string]any{">=": []any{map[string]any{"var": "payload.v.0.dn"}, map[string]any{"var": "payload.v.0.sd"}}},
	}}})
	put("valuesets.json", map[string]any{"sets": []any{map[string]any{"id": "disease-agent-targeted", "date": "2021-04-27", "codes": []any{"840539006"}}}})
	put("shc-issuers.json", map[string]any{"issuers": []any{map[string]any{"iss": "https://health.example/issuer", "name": "Example Health", "keys": []any{shc}}}})
	put("shc-revoked.json", map[string]any{"lists": []any{map[string]any{"kid": shc.ID, "ctr": 1, "rids": []any{"MKyCxh7p6uQ", "MKyCxh7p6uR.1640995200"}}}})
	put("nzcp-did.json", map[string]any{"issuers": []any{map[string]any{"did": "did:web:nzcp.example", "keys": []any{nz}}}})
	var der []byte
	if file, err := os.ReadFile(filepath.Join(examples, "csca.json")); err == nil { // a signature differs each time
		var was struct{ Certificates [][]byte }
		if json.Unmarshal(file, &was) == nil && len(was.Certificates) == 1 {
			der = was.Certificates[0]
		}
	}
	if der == nil {
		der = certificate(t, func(*x509.Certificate) {})
	}
	put("csca.json", map[string]any{"certificates": []any{der}})
	return targets
}

func TestExampleTargets(t *testing.T) {
	want := exampleTargets(t)
	if os.Getenv("UPDATE") != "" {
		for name, b := range want {
			path := filepath.Join(examples, filepath.FromSlash(name))
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := map[string][]byte{}
	folder := os.DirFS(examples)
	err := fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			got[name], err = fs.ReadFile(folder, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range want {
		if !bytes.Equal(got[name], b) {
			t.Errorf("%s is not what the program makes", name)
		}
		if err := trust.CheckTarget(name, got[name]); err != nil {
			t.Error(err)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	s, err := trust.Assemble(7, at("2026-11-23T06:00:00Z"), got)
	if err != nil {
		t.Fatal(err)
	}
	f := s.Foreign
	if len(s.Skipped) != 0 || s.Version != 7 || len(s.Issuers.Keys) != 1 || len(s.Policy.Rules) != 4 || len(s.DayKeys.Keys) != 2 || len(s.DCCKeys.Keys) != 1 ||
		len(s.ReceiptKeys) != 1 || len(s.HubCA) != 1 || len(f.DCCRevoked) != 1 || len(f.DCCRules) != 1 || len(f.ValueSets.Sets) != 1 ||
		len(f.SHCIssuers.Issuers) != 1 || len(f.SHCRevoked.Lists) != 1 || len(f.NZCP.Issuers) != 1 || len(f.CSCA.Certificates) != 1 {
		t.Errorf("read %+v", s)
	}
	if got, want := s.Revoked.Issued, at("2026-11-23T12:00:00Z"); !got.Equal(want) || len(s.Revoked.Withdrawn) != 2 || len(s.Revoked.Superseded) != 1 {
		t.Errorf("revoked %v, issued %v", s.Revoked, got)
	}
	if key, err := f.SHCIssuers.Issuers[0].Keys[0].Public(); err != nil || key.Curve != elliptic.P256() {
		t.Error(err)
	}
	lists := map[string]trust.Age{}
	for _, a := range s.Ages(at("2026-11-23T08:00:00Z")) {
		lists[a.List] = a
	}
	if len(lists) != 14 {
		t.Errorf("%d lists have an age", len(lists))
	}
	for list, age := range map[string]time.Duration{"issuers": 2 * time.Hour, "hub_ca": 2 * time.Hour, "revoked": 2 * time.Hour, "dcc_revoked": 32 * time.Hour, "shc_revoked": 80 * time.Hour, "csca": 2 * time.Hour} {
		if got := lists[list].Age; got != age {
			t.Errorf("%s is %v old, want %v", list, got, age)
		}
		if lists[list].Entries == 0 {
			t.Errorf("%s has no entries", list)
		}
	}
}

// What a snapshot says, its targets say, too.
func TestTargetsAndBack(t *testing.T) {
	s := example(t)
	targets, err := trust.Targets(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := trust.Assemble(s.Version, s.Issued, targets)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(marshal(t, got), marshal(t, s)) {
		t.Error("a snapshot changes on its way through targets")
	}
	if got.Anchor() != s.Issued {
		t.Error("anchor of a snapshot that is signed offline")
	}
}

func TestAssembleRefuses(t *testing.T) {
	now := at("2026-11-23T06:00:00Z")
	good := exampleTargets(t)
	replace := func(name, old, new string) func(map[string][]byte) {
		return func(m map[string][]byte) {
			b := bytes.Replace(m[name], []byte(old), []byte(new), 1)
			if bytes.Equal(b, m[name]) {
				t.Errorf("%s does not hold %s", name, old)
			}
			m[name] = b
		}
	}
	flip := func(name string, at int) func(map[string][]byte) {
		return func(m map[string][]byte) {
			m[name] = bytes.Clone(m[name])
			m[name][at] ^= 1
		}
	}
	delta := trust.DeltaName(41, 42)
	cases := map[string]func(map[string][]byte){
		"a name that is not known":       func(m map[string][]byte) { m["weather.json"] = []byte("{}") },
		"a delta's name in two ways":     func(m map[string][]byte) { m["revoked-041-42.bin"] = m[delta] },
		"a delta under another name":     func(m map[string][]byte) { m[trust.DeltaName(42, 43)] = m[delta]; delete(m, delta) },
		"a gap before a delta":           func(m map[string][]byte) { m[trust.TargetRevoked] = list(t, 40, nil) },
		"a delta to something else":      flip(delta, 33),
		"a delta with other ids":         flip(delta, len(good[delta])-8),
		"a list with bits of no meaning": flip(trust.TargetRevoked, 7),
		"a list of another form":         flip(trust.TargetRevoked, 4),
		"a delta shown as a list":        func(m map[string][]byte) { m[trust.TargetRevoked] = m[delta] },
		"a list cut short":               func(m map[string][]byte) { m[trust.TargetRevoked] = m[trust.TargetRevoked][:40] },
		"ids in no order": func(m map[string][]byte) {
			b := list(t, 41, ids(3, 1))
			copy(b[32:40], b[40:48])
			m[trust.TargetRevoked] = b
		},
		"EU revocations of another key": func(m map[string][]byte) { m["dcc-revoked/01"] = m["dcc-revoked/0102030405060708"] },
		"EU revocations cut short":      func(m map[string][]byte) { m["dcc-revoked/0102030405060708"] = m["dcc-revoked/0102030405060708"][:50] },
		"rules of another country":      func(m map[string][]byte) { m["dcc-rules/YY.json"] = m["dcc-rules/XX.json"] },
		"rules without their country":   replace("dcc-rules/XX.json", `"Country": "XX"`, `"Country": "YY"`),
		"a rule with another spelling":  replace("dcc-rules/XX.json", `"Version"`, `"version"`),
		"a rule twice":                  replace("dcc-rules/XX.json", `"Type": "Acceptance"`, `"Type": "Acceptance", "Type": "Acceptance"`),
		"another form":                  replace("issuers.json", "checkpoint-issuers/1", "checkpoint-issuers/2"),
		"no date":                       replace("issuers.json", `"issued": "2026-11-01T00:00:00Z",`, ``),
		"a date that is not in UTC":     replace("policy.json", `"issued": "2026-11-20T00:00:00Z"`, `"issued": "2026-11-20T00:00:00+08:00"`),
		"an unknown field":              replace("policy.json", `"venue": "any"`, `"venue": "any", "colour": "red"`),
		"a key twice":                   replace("policy.json", `"venue": "any"`, `"venue": "any", "venue": "any"`),
		"null":                          replace("hub-ca.json", `"name": "Wuhan hub"`, `"name": null`),
		"a receipt key with another id": replace("receipt-keys.json", `"id": "`, `"id": "00`),
		"a receipt key that ends first": replace("receipt-keys.json", `"not_after": "2027`, `"not_after": "2025`),
		"a hub without its key":         replace("hub-ca.json", `"name": "Wuhan hub",`, ``),
		"a value set with no date":      replace("valuesets.json", `"2021-04-27"`, `"never"`),
		"a card issuer over http":       replace("shc-issuers.json", "https://", "http://"),
		"a card revoked at no time":     replace("shc-revoked.json", ".1640995200", ".01640995200"),
		"a pass issuer that is no did":  replace("nzcp-did.json", "did:web:", "did:key:"),
		"a pass key that is no point":   replace("nzcp-did.json", `"x": "`, `"x": "A`),
		"a day key that is too short":   replace("daykeys.json", `"public_key": "`, `"public_key": "AAAA`),
		"something after the JSON":      func(m map[string][]byte) { m["policy.json"] = append(bytes.Clone(m["policy.json"]), "{}"...) },
		"an endless list":               replace("receipt-keys.json", `"keys": [`, `"keys": [`+strings.Repeat("{},", trust.MaxReceiptKeys)),
		"a target longer than its limit": func(m map[string][]byte) {
			m["hub-ca.json"] = append(bytes.Clone(m["hub-ca.json"]), bytes.Repeat([]byte(" "), 64<<10)...)
		},
	}
	for _, name := range trust.RequiredTargets() {
		cases["without "+name] = func(m map[string][]byte) { delete(m, name) }
	}
	for name, edit := range cases {
		m := maps.Clone(good)
		edit(m)
		if _, err := trust.Assemble(7, now, m); !errors.Is(err, trust.ErrFormat) && !errors.Is(err, trust.ErrTooLarge) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	for _, tc := range []struct {
		version uint64
		issued  time.Time
	}{{0, now}, {1, time.Time{}}, {1, now.In(time.FixedZone("", 3600))}} {
		if _, err := trust.Assemble(tc.version, tc.issued, good); !errors.Is(err, trust.ErrFormat) {
			t.Errorf("version %d, issued %v: %v", tc.version, tc.issued, err)
		}
	}
}

func list(t testing.TB, sequence uint64, superseded []trust.ID) []byte {
	t.Helper()
	l := trust.RevokedList{Sequence: sequence, Issued: at("2026-11-23T00:00:00Z"), Superseded: superseded}
	b, err := l.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Broken keys of others are left out one by one.
func TestBrokenForeignKeysAreLeftOutAlone(t *testing.T) {
	targets := exampleTargets(t)
	targets["shc-issuers.json"] = bytes.Replace(targets["shc-issuers.json"], []byte(`"keys": [`), []byte(`"keys": [{"id":"x","x":"AA","y":"AA"},`), 1)
	targets["csca.json"] = bytes.Replace(targets["csca.json"], []byte(`"certificates": [`), []byte(`"certificates": ["AAAA",`), 1)
	s, err := trust.Assemble(7, at("2026-11-23T06:00:00Z"), targets)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Skipped) != 2 || len(s.Foreign.SHCIssuers.Issuers[0].Keys) != 1 || len(s.Foreign.CSCA.Certificates) != 1 {
		t.Errorf("skipped %+v", s.Skipped)
	}
}

func TestDaysMayNotBeLeftOutOrMoved(t *testing.T) {
	was := example(t)
	edit := func(f func(*trust.DayKeys)) *trust.Snapshot {
		next := example(t)
		next.Version = 8
		f(&next.DayKeys)
		return next
	}
	for name, next := range map[string]*trust.Snapshot{
		"left out":     edit(func(d *trust.DayKeys) { d.Keys = d.Keys[:1] }),
		"all left out": edit(func(d *trust.DayKeys) { d.Keys = nil }),
		"moved":        edit(func(d *trust.DayKeys) { d.Keys[1].To = d.Keys[1].To.Add(time.Hour) }),
		"moved, destroyed": edit(func(d *trust.DayKeys) {
			d.Keys[1] = trust.DayKey{ID: d.Keys[1].ID, From: d.Keys[1].From, To: d.Keys[1].To.Add(time.Hour), Destroyed: true}
		}),
	} {
		if err := trust.Follows(next, was); !errors.Is(err, trust.ErrDayKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := trust.Follows(edit(func(d *trust.DayKeys) { d.Keys = d.Keys[1:] }), was); err != nil {
		t.Errorf("a day that is long over left out: %v", err)
	}
}
