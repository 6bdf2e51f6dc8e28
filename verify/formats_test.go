package verify_test

import (
	"encoding/base64"
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

func TestSwissLight(t *testing.T) {
	dir := vectors.Conformance.Dir(t, "other/ch-light")
	var k struct {
		KID []byte `json:"kid_b64"`
		X   []byte `json:"x_b64"`
		Y   []byte `json:"y_b64"`
	}
	data, err := os.ReadFile(filepath.Join(dir, "key.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &k); err != nil {
		t.Fatal(err)
	}
	key := trust.DCCKey{KID: k.KID, SPKI: pointSPKI(t, k.X, k.Y), Country: "CH"}
	walk(t, dir, ".txt", func(t *testing.T, _ string, text []byte) {
		v := verify.New(snapshot(t, time.Date(2021, 7, 5, 0, 0, 0, 0, time.UTC), key))
		end := v.Check(text, synced(time.Date(2021, 7, 5, 0, 0, 0, 0, time.UTC))).ValidUntil
		for at, w := range map[time.Time]want{
			end:                  checkID(verify.Pass, verify.IDForeign),
			end.Add(time.Second): refused(verify.Refresh, verify.Expired),
		} {
			got := v.Check(text, synced(at))
			expect(t, got, w)
			if got.Signature != verify.SignatureValid || got.Format != verify.FormatCHLight {
				t.Errorf("signature %v, format %v", got.Signature, got.Format)
			}
		}
	})
}

// COSE messages of the working group: those by P-256 keys with SHA-256 and no
// external data are ours, and each is as valid as its file says.
func TestCOSEMessages(t *testing.T) {
	ours := 0
	walk(t, vectors.Conformance.Dir(t, "cose"), ".json", func(t *testing.T, name string, data []byte) {
		var c struct {
			Title string
			Fail  bool
			Input struct {
				Sign0 struct {
					Key struct {
						Kty, Crv, X, Y string
						XHex           string `json:"x_hex"`
						YHex           string `json:"y_hex"`
					}
					Alg, External string
				} `json:"sign0"`
			}
			Output struct{ CBOR string }
		}
		if err := json.Unmarshal(data, &c); err != nil {
			t.Fatal(err)
		}
		s := c.Input.Sign0
		if s.Alg != "ES256" || s.Key.Crv != "P-256" || s.External != "" {
			return // not an algorithm or a use of ours
		}
		coord := func(b64, hexa string) []byte {
			b, err := base64.RawURLEncoding.DecodeString(b64)
			if hexa != "" {
				b, err = hex.DecodeString(hexa)
			}
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		signer, err := trust.DCCKey{KID: trust.KeyID{1}, SPKI: pointSPKI(t, coord(s.Key.X, s.Key.XHex), coord(s.Key.Y, s.Key.YHex))}.Read()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := hex.DecodeString(c.Output.CBOR)
		if err != nil {
			t.Fatal(err)
		}
		ours++
		m, err := dcc.Parse(raw)
		if errors.Is(err, dcc.ErrKidMissing) {
			return // a token without a key id, which we cannot look up
		}
		if err == nil {
			_, err = m.Verify(signer.Key)
		}
		if (err != nil) != c.Fail {
			t.Errorf("%s: %v", c.Title, err)
		}
	})
	if ours == 0 {
		t.Error("no message is ours")
	}
}

// Everything else that is a health credential is known by name and not judged.
func TestOtherFormatsAreNamed(t *testing.T) {
	check := func(t *testing.T, text []byte, want verify.Reason) verify.Verdict {
		got := verify.New(snapshot(t, time.Unix(1, 0))).Check(text, synced(time.Unix(2, 0)))
		if got.Name != verify.NotOurs || got.Reason != want || (want == verify.UnsupportedFormat) != (got.FormatName != "") {
			t.Errorf("%v/%v %q", got.Name, got.Reason, got.FormatName)
		}
		return got
	}
	for sub, ext := range map[string]string{"other/nl2": ".txt", "other/divoc": ".json", "nzcp": ".txt"} {
		walk(t, vectors.Conformance.Dir(t, sub), ext, func(t *testing.T, _ string, data []byte) { check(t, data, verify.UnsupportedFormat) })
	}
	walk(t, vectors.Conformance.Dir(t, "shc/spec-examples"), ".txt", func(t *testing.T, name string, data []byte) {
		if !strings.Contains(name, "qr-code-numeric") {
			return // not a QR text
		}
		if got := check(t, data, verify.UnsupportedFormat); got.Format != verify.FormatSHC {
			t.Errorf("format %v", got.Format)
		}
	})
	walk(t, vectors.Conformance.Dir(t, "vds-nc"), ".json", func(t *testing.T, _ string, data []byte) {
		var d struct {
			Data struct{ Hdr struct{ T string } }
		}
		if json.Unmarshal(data, &d) != nil || !strings.HasPrefix(d.Data.Hdr.T, "icao.") {
			check(t, data, verify.NotAHealthCode)
			return
		}
		if got := check(t, data, verify.UnsupportedFormat); got.Format != verify.FormatVDSNC {
			t.Errorf("format %v", got.Format)
		}
	})
}
