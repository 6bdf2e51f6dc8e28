package demo

import (
	"bytes"
	"compress/zlib"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"github.com/fxamacker/cbor/v2"

	"checkpoint/healthcode/base45"
)

// dccKID is the first 8 bytes of SHA-256 of the signer's certificate (EHN HCERT
// §3.3.1).
func dccKID(cert []byte) []byte {
	sum := sha256.Sum256(cert)
	return sum[:8]
}

// dcc is an EU Digital COVID Certificate of vaccination as member states issue
// it: JSON schema 1.3.0 in a CWT in a COSE_Sign1, zlib, Base45.
func (w *World) dcc(p *person, now time.Time) ([]byte, error) {
	r := p.rng
	last := now.AddDate(0, 0, -30-r.IntN(150))
	names := [][4]string{
		{"Mustermann", "MUSTERMANN", "Erika", "ERIKA"}, {"Dupont", "DUPONT", "Camille", "CAMILLE"},
		{"Šimková", "SIMKOVA", "Jana", "JANA"}, {"Öberg", "OEBERG", "Nils", "NILS"},
	}
	n := names[r.IntN(len(names))]
	content := map[string]any{
		"ver": "1.3.0",
		"dob": fmt.Sprintf("%d-%02d-%02d", 1948+r.IntN(55), 1+r.IntN(12), 1+r.IntN(28)),
		"nam": map[string]any{"fn": n[0], "fnt": n[1], "gn": n[2], "gnt": n[3]},
		"v": []any{map[string]any{
			"tg": "840539006", "vp": "1119349007", "mp": "EU/1/20/1528", "ma": "ORG-100030215",
			"dn": 2, "sd": 2, "dt": last.Format("2006-01-02"), "co": "AT", "is": "Demo Ministry of Health",
			"ci": fmt.Sprintf("URN:UVCI:01:AT:%010X#%c", r.Uint64N(1<<40), "ABCDEFGH"[r.IntN(8)]),
		}},
	}
	mode, err := cbor.CanonicalEncOptions().EncMode()
	if err != nil {
		return nil, err
	}
	payload, err := mode.Marshal(map[int]any{
		1: "AT", 4: last.AddDate(1, 0, 0).Unix(), 6: last.AddDate(0, 0, 1).Unix(), -260: map[int]any{1: content},
	})
	if err != nil {
		return nil, err
	}
	protected, err := mode.Marshal(map[int]any{1: -7, 4: dccKID(w.keys.dscCert)})
	if err != nil {
		return nil, err
	}
	// RFC 9052 §4.4: what is signed.
	signed, err := mode.Marshal([]any{"Signature1", protected, []byte{}, payload})
	if err != nil {
		return nil, err
	}
	signature, err := sign(w.keys.dsc, signed)
	if err != nil {
		return nil, err
	}
	message, err := mode.Marshal(cbor.Tag{Number: 18, Content: []any{protected, map[int]any{}, payload, signature}})
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	z, err := zlib.NewWriterLevel(&packed, zlib.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(message); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return base45.AppendEncode([]byte("HC1:"), packed.Bytes()), nil
}

// sign is ES256: r and s as 32 bytes each (RFC 9053 §2.1).
func sign(key *ecdsa.PrivateKey, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	der, err := key.Sign(nil, sum[:], crypto.SHA256) // no random source: deterministic (RFC 6979)
	if err != nil {
		return nil, err
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, err
	}
	out := make([]byte, 64)
	sig.R.FillBytes(out[:32])
	sig.S.FillBytes(out[32:])
	return out, nil
}
