package record

import (
	"bytes"
	"crypto/hpke"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"testing/cryptotest"

	"golang.org/x/crypto/chacha20poly1305"
)

var update = flag.Bool("update", false, "write the examples anew")

// hexBytes stands in JSON as lower-case hex.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// sealingVector is docs/examples/sealing.json: with it another program can be
// written that opens what a gate sealed, each step of the way visible.
type sealingVector struct {
	DayKey struct {
		Day     string   `json:"day"`
		Private hexBytes `json:"private"`
		Public  hexBytes `json:"public"`
	} `json:"day_key"`
	Context struct {
		Device  hexBytes `json:"device"`
		Epoch   hexBytes `json:"epoch"`
		ID      hexBytes `json:"id"`
		BeganMS uint64   `json:"began_ms"`
		Info    hexBytes `json:"info"`
		Enc     hexBytes `json:"enc"`
		Secret  hexBytes `json:"exported_secret"`
	} `json:"context"`
	Rows []sealedRow `json:"rows"`
}

type sealedRow struct {
	Step    uint32   `json:"step"`
	Index   uint32   `json:"index"`
	RowKey  hexBytes `json:"row_key"`
	Nonce   hexBytes `json:"nonce"`
	AAD     hexBytes `json:"associated_data"`
	Subject hexBytes `json:"subject"`
	Box     hexBytes `json:"box"`
	Row     hexBytes `json:"row"`
	Link    hexBytes `json:"link"`
}

func example(name string) string { return filepath.Join("..", "docs", "examples", name) }

// makeSealing makes the example from fixed randomness.
func makeSealing(t *testing.T) (v sealingVector) {
	cryptotest.SetGlobalRandom(t, 20261123)
	key, err := hpke.MLKEM768X25519().NewPrivateKey(bytes.Repeat([]byte{0x42}, 32))
	if err != nil {
		t.Fatal(err)
	}
	if v.DayKey.Private, err = key.Bytes(); err != nil {
		t.Fatal(err)
	}
	v.DayKey.Day, v.DayKey.Public = "2026-11-23", key.PublicKey().Bytes()
	id := Identity{Device: [16]byte([]byte("device-0123456-7")), Epoch: [8]byte([]byte("epoch-01"))}
	const began = 90_000
	s, err := NewSealer(id, DayKey{Day: v.DayKey.Day, Public: v.DayKey.Public}, Stamp{MonoMS: began})
	if err != nil {
		t.Fatal(err)
	}
	c := s.Context()
	v.Context.Device, v.Context.Epoch, v.Context.ID = id.Device[:], id.Epoch[:], c.ID[:]
	v.Context.BeganMS, v.Context.Info, v.Context.Enc = began, c.info(), c.Enc
	v.Context.Secret = bytes.Clone(s.chain[:])
	o, err := NewOpener(v.DayKey.Private, *c)
	if err != nil {
		t.Fatal(err)
	}
	var link Link
	for i, in := range []struct {
		scan    Scan
		after   uint64
		subject []byte
	}{
		{Scan{Verdict: 1, Reason: 1, Format: 1, Issuer: "CN-420100", Trust: 41}, 0, []byte("sub-01234567cti-0123")},
		{Scan{Verdict: 6, Reason: 91, Format: 1, Issuer: "CN-420100", Trust: 41}, 2 * stepMS, []byte("sub-abcdefghcti-abcd")},
		{Scan{Verdict: 3, Reason: 1, Format: 2, Issuer: "DE", Trust: 42}, 3 * stepMS, []byte("what reaches a holder from abroad")},
	} {
		at := Stamp{WallMS: 1_795_435_200_000 + int64(in.after), Quality: 3, Boot: [16]byte([]byte("boot-id-01234567")), MonoMS: began + in.after}
		d, err := s.Scan(at, in.scan, in.subject)
		if err != nil {
			t.Fatal(err)
		}
		row := Row{Identity: id, Seq: uint64(i) + 1, Stamp: at, Body: d.Body}
		b, err := AppendRow(nil, row)
		if err != nil {
			t.Fatal(err)
		}
		link = link.Next(b)
		sealed := d.Body.(Scan).Sealed
		key, err := o.RowKey(sealed.Step)
		if err != nil {
			t.Fatal(err)
		}
		subject, err := OpenScan(key, row)
		if err != nil {
			t.Fatal(err)
		}
		v.Rows = append(v.Rows, sealedRow{Step: sealed.Step, Index: sealed.Index, RowKey: bytes.Clone(key[:]), Nonce: nonce(sealed.Index),
			AAD: appendAAD(nil, id, sealed, at.WallMS, in.scan.Verdict), Subject: subject, Box: sealed.Box, Row: b, Link: bytes.Clone(link[:])})
	}
	return v
}

// TestSealingExample opens the stored example, in which nothing may ever
// change: headquarters must open in a year what gates seal today.
func TestSealingExample(t *testing.T) {
	if *update {
		writeJSON(t, example("sealing.json"), makeSealing(t))
	}
	var v sealingVector
	readJSON(t, example("sealing.json"), &v)
	c := Context{Day: v.DayKey.Day, Enc: v.Context.Enc, BeganMS: v.Context.BeganMS, ID: [16]byte(v.Context.ID),
		Identity: Identity{Device: [16]byte(v.Context.Device), Epoch: [8]byte(v.Context.Epoch)}}
	if !bytes.Equal(c.info(), v.Context.Info) {
		t.Errorf("info = %x", c.info())
	}
	o, err := NewOpener(v.DayKey.Private, c)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(o.chain[:], v.Context.Secret) {
		t.Errorf("exported secret = %x", o.chain)
	}
	if len(v.Rows) == 0 {
		t.Fatal("the example holds no row")
	}
	var link Link
	for i, want := range v.Rows {
		row, err := ParseRow(want.Row)
		if err != nil {
			t.Fatal(err)
		}
		if link = link.Next(want.Row); !bytes.Equal(link[:], want.Link) {
			t.Errorf("row %d: link = %x", i, link)
		}
		scan := row.Body.(Scan)
		if scan.Sealed.Step != want.Step || scan.Sealed.Index != want.Index || !bytes.Equal(scan.Sealed.Box, want.Box) {
			t.Errorf("row %d: sealed = %+v", i, scan.Sealed)
		}
		key, err := o.RowKey(want.Step)
		if err != nil || !bytes.Equal(key[:], want.RowKey) {
			t.Errorf("row %d: key = %x, %v", i, key, err)
		}
		if aad := appendAAD(nil, row.Identity, scan.Sealed, row.WallMS, scan.Verdict); !bytes.Equal(aad, want.AAD) {
			t.Errorf("row %d: associated data = %x", i, aad)
		}
		subject, err := o.Open(row)
		if err != nil || !bytes.Equal(subject, want.Subject) {
			t.Errorf("row %d: subject = %x, %v", i, subject, err)
		}
		// And with nothing but what the document names.
		box, err := chacha20poly1305.New(want.RowKey)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := box.Open(nil, want.Nonce, want.Box, want.AAD); err != nil || !bytes.Equal(got, want.Subject) {
			t.Errorf("row %d: opened by the document: %x, %v", i, got, err)
		}
	}
}

// rowExample is one line of docs/examples/rows.json.
type rowExample struct {
	Kind string   `json:"kind"`
	Row  hexBytes `json:"row"`
	Link hexBytes `json:"link"`
}

// exampleRows are one row of each kind, in one chain.
func exampleRows() (rows []Row) {
	for i, body := range []Body{
		Event{Code: EventStarted, Text: "v0.1"},
		Scan{Verdict: 6, Reason: 91, Format: 1, Issuer: "CN-420100", Trust: 41},
		Choice{To: 2, Choice: 4},
		Void{To: 2},
		Manual{Class: 2, Allowed: true},
		Count{Hour: 1_795_435_200_000, Tallies: []Tally{{7, 51, 3}, {8, 10, 12}}, Unrecorded: 1},
	} {
		rows = append(rows, Row{
			Identity: Identity{Device: [16]byte([]byte("device-0123456-7")), Epoch: [8]byte([]byte("epoch-01"))},
			Seq:      uint64(i) + 1,
			Stamp:    Stamp{WallMS: 1_795_435_200_000 + int64(i), Quality: 3, Boot: [16]byte([]byte("boot-id-01234567")), MonoMS: 90_000 + uint64(i)},
			Body:     body,
		})
	}
	return rows
}

func TestRowExamples(t *testing.T) {
	var made []rowExample
	var link Link
	for _, row := range exampleRows() {
		b, err := AppendRow(nil, row)
		if err != nil {
			t.Fatal(err)
		}
		link = link.Next(b)
		made = append(made, rowExample{row.Body.Kind().String(), b, bytes.Clone(link[:])})
	}
	if *update {
		writeJSON(t, example("rows.json"), made)
	}
	var stored []rowExample
	readJSON(t, example("rows.json"), &stored)
	if len(stored) != len(made) {
		t.Fatalf("%d examples, want %d", len(stored), len(made))
	}
	for i, want := range stored {
		if made[i].Kind != want.Kind || !bytes.Equal(made[i].Row, want.Row) || !bytes.Equal(made[i].Link, want.Link) {
			t.Errorf("%s: wrote %x with link %x", want.Kind, made[i].Row, made[i].Link)
		}
	}
}

func writeJSON(t *testing.T, path string, v any) {
	t.Helper()
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}
