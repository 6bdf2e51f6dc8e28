package verify_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"checkpoint/internal/vectors"
	"checkpoint/trust"
	"checkpoint/verify"
	"checkpoint/verify/dcc"
)

// The EU's test data: each flag drives its own step, because many cases start
// in the middle of the chain. true: the step succeeds; false: it fails; absent:
// not tested.
//
// Not asserted, and why:
//   - EXPECTEDSCHEMAVALIDATION=false: 169 of the 529 upstream flags disagree with
//     the schema that they name. What is asserted is our own rule: exactly one
//     entry, and everything marked true can be read.
//   - a certificate with two entries is refused, also where an old schema lets it
//     pass: a guard sees one verdict about one entry.
//   - EXPECTEDPICTUREDECODE: pictures are package decode's.
func TestDCCVectors(t *testing.T) {
	walk(t, vectors.Conformance.Dir(t, "dcc/vectors"), ".json", func(t *testing.T, name string, data []byte) {
		var c struct {
			CBOR, COSE, COMPRESSED, BASE45, PREFIX string
			JSON                                   json.RawMessage
			TESTCTX                                struct {
				CERTIFICATE     []byte
				VALIDATIONCLOCK string
			}
			EXPECTEDRESULTS map[string]bool
		}
		if err := json.Unmarshal(data, &c); err != nil {
			t.Fatal(err)
		}
		flag := func(step string, f func(want bool)) {
			if want, ok := c.EXPECTEDRESULTS["EXPECTED"+step]; ok {
				f(want)
			}
		}
		unhex := func(s string) []byte {
			b, err := hex.DecodeString(s)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		says := func(step string, got, want bool) {
			t.Helper()
			if got != want {
				t.Errorf("%s is %v, want %v", step, got, want)
			}
		}
		cose := unhex(c.COSE)

		flag("UNPREFIX", func(want bool) {
			v := verify.New(nil).Check([]byte(c.PREFIX), synced(time.Time{}))
			says("unprefix", v.Format == verify.FormatDCC, want)
		})
		flag("B45DECODE", func(want bool) {
			got, err := dcc.Decode([]byte(c.BASE45))
			says("base45", err == nil, want)
			if want && c.COMPRESSED != "" && !bytes.Equal(got, unhex(c.COMPRESSED)) {
				t.Error("base45 decodes to other bytes")
			}
		})
		flag("COMPRESSION", func(want bool) {
			got, err := dcc.Inflate(unhex(c.COMPRESSED))
			says("inflate", err == nil, want)
			if want && !bytes.Equal(got, cose) {
				t.Error("inflates to other bytes")
			}
		})
		flag("DECODE", func(want bool) {
			_, err := content(t, unhex(c.CBOR))                // signed by a key of our own
			says("decode", !errors.Is(err, dcc.ErrCBOR), want) // ErrSchema is readable CBOR
		})
		flag("VALIDJSON", func(want bool) {
			got, err := content(t, unhex(c.CBOR))
			if err != nil {
				return // judged by the flags around
			}
			says("json", got.ID == idOf(c.JSON), want)
		})
		flag("SCHEMAVALIDATION", func(want bool) {
			_, err := content(t, unhex(c.CBOR))
			if n := entries(c.JSON); n >= 0 && n != 1 {
				says("content with other than one entry", err == nil, false)
			} else if want {
				says("content", err == nil, true)
			}
		})

		if len(c.TESTCTX.CERTIFICATE) == 0 {
			return
		}
		at := clock(t, c.TESTCTX.VALIDATIONCLOCK)
		got := verify.New(snapshot(t, at, certKey(c.TESTCTX.CERTIFICATE))).Check(hc1(cose), synced(at))
		if got.Admit() {
			t.Error("a foreign certificate admits without its card")
		}
		flag("VERIFY", func(want bool) { says("signature", got.Signature == verify.SignatureValid, want) })
		if n := entries(c.JSON); n >= 0 && n != 1 {
			return // refused before the next steps, on purpose
		}
		// Cases with several faults stop at the first: the later steps are driven
		// with the same content signed by a key of ours.
		signer, err := certKey(c.TESTCTX.CERTIFICATE).Read()
		if err != nil {
			t.Fatal(err)
		}
		again := func(usage ...string) verify.Verdict {
			key := testKey(t, "dcc")
			trusted := snapshot(t, at, trust.DCCKey{KID: dccKID, SPKI: spki(t, &key.PublicKey), Usage: usage})
			return verify.New(trusted).Check(hc1(message(t, key, payloadOf(t, cose))), synced(at))
		}
		flag("KEYUSAGE", func(want bool) {
			v := again(letters(signer.Usage)...)
			says("key usage", state(v, "usage") == verify.Passed, want)
			says("reason key_usage", v.Reason == verify.KeyUsage, !want)
			if !want && got.Signature == verify.SignatureValid {
				says("reason key_usage with its own certificate", got.Reason == verify.KeyUsage, true)
			}
		})
		flag("EXPIRATIONCHECK", func(want bool) {
			says("times", state(again(), "times") == verify.Passed, want)
		})
	})
}

// The EU's revocation lists name a certificate by a hash of its signature.
func TestSignatureHashes(t *testing.T) {
	dir := vectors.Conformance.Dir(t, "dcc")
	data, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index []struct {
		File string
		Hash map[string]string `json:"revocation_hash"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, x := range index {
		if x.Hash["SIGNATURE"] == "" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(x.File)))
		if err != nil {
			t.Fatal(err)
		}
		var c struct {
			COSE    string
			TESTCTX struct{ CERTIFICATE []byte }
		}
		if err := json.Unmarshal(data, &c); err != nil {
			t.Fatal(err)
		}
		raw, err := hex.DecodeString(c.COSE)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := certKey(c.TESTCTX.CERTIFICATE).Read()
		if err != nil {
			t.Fatal(err)
		}
		m, err := dcc.Parse(raw)
		if err != nil {
			continue // refused before a revocation list is asked
		}
		n++
		if got := m.SignatureHash(signer.Key); hex.EncodeToString(got[:]) != x.Hash["SIGNATURE"] {
			t.Errorf("%s: %x, want %s", x.File, got, x.Hash["SIGNATURE"])
		}
	}
	if n == 0 {
		t.Error("no hash was compared")
	}
}

// Codes issued in practice: the state of each signature is the manifest's. A
// key that is not at hand is an unknown key.
func TestDCCPictures(t *testing.T) {
	walk(t, vectors.Conformance.Dir(t, "dcc/qr-images"), "manifest.json", func(t *testing.T, _ string, data []byte) {
		var m struct {
			DSC    map[string][]byte
			Images []struct {
				File, Text, Signature, Entries string
				KID                            string `json:"kid_hex"`
				IAT, EXP                       time.Time
			}
		}
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		var keys []trust.DCCKey
		for kid, der := range m.DSC {
			id, err := hex.DecodeString(kid)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, trust.DCCKey{KID: id, Cert: der})
		}
		for _, img := range m.Images {
			t.Run(img.File, func(t *testing.T) {
				at := img.IAT.Add(time.Hour)
				got := verify.New(snapshot(t, at, keys...)).Check([]byte(img.Text), synced(at))
				_, known := m.DSC[img.KID]
				want, reason := verify.SignatureUnknownKey, verify.IssuerUnknown
				if known {
					want, reason = verify.SignatureValid, got.Reason
				}
				if strings.HasPrefix(img.Signature, "valid") != known {
					t.Fatalf("the manifest says %q", img.Signature)
				}
				if got.Signature != want || got.Reason != reason {
					t.Errorf("signature %v, %v/%v, want %v, %v", got.Signature, got.Name, got.Reason, want, reason)
				}
				if known && !got.ValidUntil.Truncate(time.Second).Equal(img.EXP.Truncate(time.Second)) {
					t.Errorf("valid until %v, want %v", got.ValidUntil, img.EXP)
				}
				if known && state(got, "content") != verify.Passed {
					t.Errorf("%v/%v: %v", got.Name, got.Reason, got.Checks)
				}
				if got.Admit() || got.Name == verify.Red {
					t.Errorf("a foreign code is %v", got.Name)
				}
				if len(got.Subject) > 160 {
					t.Errorf("subject of %d bytes", len(got.Subject))
				}
			})
		}
	})
}

// A real list, with entries that crypto/x509 refuses: it loads, and every key
// is found by its kid.
func TestProductionTrustList(t *testing.T) {
	walk(t, vectors.Conformance.Dir(t, "dcc/trustlist"), ".jsonl", func(t *testing.T, _ string, data []byte) {
		var keys []trust.DCCKey
		for line := range bytes.Lines(data) {
			var k struct{ KID, DER []byte }
			if err := json.Unmarshal(line, &k); err != nil {
				t.Fatal(err)
			}
			keys = append(keys, trust.DCCKey{KID: k.KID, Cert: k.DER})
		}
		keys = append(keys, trust.DCCKey{KID: trust.KeyID{1}, Cert: []byte("no certificate")})
		body, err := json.Marshal(trust.Snapshot{Form: trust.Form, Version: 1, Issued: time.Unix(1, 0).UTC(), DCCKeys: trust.DCCKeys{Issued: time.Unix(1, 0).UTC(), Keys: keys}})
		if err != nil {
			t.Fatal(err)
		}
		s, err := trust.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range s.Skipped {
			t.Logf("skipped %s: %s", k.KID, k.Why)
		}
		if len(s.DCCKeys.Keys)+len(s.Skipped) != len(keys) || len(s.Skipped) > 1+len(keys)/100 {
			t.Errorf("%d of %d keys, %d skipped", len(s.DCCKeys.Keys), len(keys), len(s.Skipped))
		}
	})
}

// Texts that others test with, and the certificates beside them.
func TestKHealthTexts(t *testing.T) {
	dir := vectors.Conformance.Dir(t, "dcc/khealth")
	var keys []trust.DCCKey
	walk(t, dir, ".der", func(t *testing.T, _ string, der []byte) { keys = append(keys, certKey(der)) })
	v := verify.New(snapshot(t, time.Date(2021, 6, 10, 0, 0, 0, 0, time.UTC), keys...))
	valid := 0
	walk(t, dir, ".txt", func(t *testing.T, _ string, text []byte) {
		got := v.Check(text, synced(time.Date(2021, 6, 10, 12, 0, 0, 0, time.UTC)))
		if got.Signature == verify.SignatureValid {
			valid++
		} else if got.Signature != verify.SignatureUnknownKey {
			t.Errorf("signature %v, %v/%v", got.Signature, got.Name, got.Reason)
		}
	})
	if valid == 0 {
		t.Error("no certificate fits any text")
	}
}
