package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"checkpoint/camera"
	"checkpoint/decode"
	"checkpoint/internal/vectors"
	"checkpoint/trust"
	"checkpoint/verify"
)

// Pictures of codes that issuers of many countries handed out, from the file to
// the signature: a text is the published one or none, never another, and each
// signature is judged by the keys that are known, as of the picture's own time.
func TestPicturesOfRealIssuers(t *testing.T) {
	dir := vectors.Conformance.Dir(t, "dcc", "qr-images")
	data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Images []struct {
			File, Text, Signature string
			KidHex                string `json:"kid_hex"`
			Iat                   time.Time
		}
		DSC map[string]string
	}
	if err := json.Unmarshal(data, &manifest); err != nil {
		t.Fatal(err)
	}
	var keys []trust.DCCKey
	for kid, cert := range manifest.DSC {
		id, err := hex.DecodeString(kid)
		if err != nil {
			t.Fatal(err)
		}
		der, err := base64.StdEncoding.DecodeString(cert)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, trust.DCCKey{KID: id, Cert: der})
	}

	reader := decode.NewScanner(decode.Options{Effort: decode.Thorough})
	var missed []string
	valid, unknown := 0, 0
	for _, image := range manifest.Images {
		p, err := camera.LoadPicture(filepath.Join(dir, image.File))
		if err != nil {
			t.Errorf("%s: %v", image.File, err)
			continue
		}
		at := image.Iat.Add(time.Minute)
		issued := at.Add(-time.Hour)
		check := verify.New(&trust.Snapshot{
			Form: trust.Form, Version: 1, Issued: issued,
			DCCKeys: trust.DCCKeys{Issued: issued, Keys: keys},
		})
		res := reader.Scan(decode.Image{Luma: p.Luma, Width: p.Width, Height: p.Height, Stride: p.Width})
		if len(res.Symbols) == 0 {
			missed = append(missed, image.File)
		}
		for _, s := range res.Symbols {
			if string(s.Payload) != image.Text {
				t.Errorf("%s: another text than the published one was read", image.File)
				continue
			}
			want := verify.SignatureUnknownKey
			if strings.HasPrefix(image.Signature, "valid") {
				want = verify.SignatureValid
				valid++
			} else {
				unknown++
			}
			v := check.Check(s.Payload, verify.Instant{Time: at, Quality: verify.ClockSynced})
			if v.Format != verify.FormatDCC || v.Signature != want {
				t.Errorf("%s (kid %s): format %v, signature %v, %v/%v, want dcc, signature %v", image.File, image.KidHex, v.Format, v.Signature, v.Name, v.Reason, want)
			}
			if v.Name == verify.Red || v.Admit() {
				t.Errorf("%s: %v: a credential from abroad is never red and never admits without the ID check", image.File, v.Name)
			}
		}
	}
	t.Logf("%d pictures: %d signatures valid, %d by unknown keys, not read: %q", len(manifest.Images), valid, unknown, missed)
	if valid == 0 || unknown == 0 {
		t.Errorf("%d valid signatures and %d unknown keys: nothing was compared", valid, unknown)
	}
	if most := len(manifest.Images) * 4 / 100; len(missed) > most {
		t.Errorf("%d of %d pictures were not read, at most %d: %q", len(missed), len(manifest.Images), most, missed)
	}
}
