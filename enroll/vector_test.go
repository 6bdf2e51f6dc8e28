package enroll

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the examples anew")

// examples is docs/examples/enrol.json. The segment key has the seed
// SHA-256("segment"); the TLS keys were random.
type examples struct {
	Token struct {
		Text   string `json:"text"`
		Secret string `json:"secret"`
		Pin    string `json:"pin"`
		Root   string `json:"root"`
		URL    string `json:"url"`
	} `json:"token"`
	Word           string          `json:"word"`
	Request        json.RawMessage `json:"request"`
	RequestExpired json.RawMessage `json:"request_expired"`
	Grant          json.RawMessage `json:"grant"`
	Report         json.RawMessage `json:"report"`
	Orders         json.RawMessage `json:"orders"`
	Problem        json.RawMessage `json:"problem"`
}

func exampleToken() Token {
	return Token{Secret: sha256.Sum256([]byte("secret")), Pin: sha256.Sum256([]byte("pin")), Root: sha256.Sum256([]byte("root")), URL: "https://hub.example:8443"}
}

func exampleDevice() [16]byte { return [16]byte([]byte("device-0123456-7")) }

func makeExamples(t *testing.T) (x examples) {
	t.Helper()
	whole := func(v any, err error) json.RawMessage {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	token, device, segment := exampleToken(), exampleDevice(), segmentKey("segment")
	x.Token.Text, x.Token.URL = token.Text(), token.URL
	x.Token.Secret, x.Token.Pin, x.Token.Root = hex.EncodeToString(token.Secret[:]), hex.EncodeToString(token.Pin[:]), hex.EncodeToString(token.Root[:])
	r, err := NewRequest(&token, device, tlsKey(t), segment, "1.4.0")
	x.Request = whole(r, err)
	p, err := r.Prove()
	if err != nil {
		t.Fatal(err)
	}
	x.Word = Word(p.Token, p.TLSKeyHash, p.Segment)
	old := tlsKey(t)
	cert := certificateOf(t, old, []*url.URL{DeviceURI(device)})
	expired, err := NewExpiredRequest(device, tlsKey(t), segment, cert, old, "1.4.0")
	x.RequestExpired = whole(expired, err)
	at := time.Date(2026, 11, 25, 7, 30, 5, 0, time.UTC)
	x.Grant = whole(Grant{State: "pending", Word: x.Word, Gate: "B3", Venue: "mall-north", VenueType: "mall", Chain: [][]byte{cert.Raw},
		Root: []byte(`{"signed":{},"signatures":[]}`), Interval: 60, Time: at}, nil)
	x.Report = whole(testReport(), nil)
	x.Orders = whole(Orders{State: "active", Gate: "B3", Venue: "mall-north", VenueType: "mall", Interval: 60, Time: at}, nil)
	x.Problem = whole(Problem{Error: "token_expired", Detail: "this code is over: ask the technician for a new one"}, nil)
	return x
}

// What is on a sheet today must still enrol a gate next week, with a hub and a
// gate of other versions.
func TestExamples(t *testing.T) {
	file := filepath.Join("..", "docs", "examples", "enrol.json")
	if *update {
		b, err := json.MarshalIndent(makeExamples(t), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var x examples
	if err := json.Unmarshal(b, &x); err != nil {
		t.Fatal(err)
	}
	token := exampleToken()
	if got, err := ParseToken(x.Token.Text); err != nil || got != token || token.Text() != x.Token.Text {
		t.Errorf("token = %+v, %v; its text %q", got, err, token.Text())
	}
	proveExample(t, x.Request, x.Word, token)
	r, err := ParseRequest(x.RequestExpired)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := r.Prove(); err != nil || p.OldCert == nil || p.Token != [32]byte{} || p.Device != exampleDevice() {
		t.Errorf("expired: %+v, %v", p, err)
	}
	if g, err := ParseGrant(x.Grant); err != nil || g.Word != x.Word {
		t.Errorf("grant = %+v, %v", g, err)
	}
	if _, err := ParseReport(x.Report); err != nil {
		t.Error(err)
	}
	if _, err := ParseOrders(x.Orders); err != nil {
		t.Error(err)
	}
	var p Problem
	if err := json.Unmarshal(x.Problem, &p); err != nil || p.Error != "token_expired" {
		t.Errorf("problem = %+v, %v", p, err)
	}
}

// proveExample proves the request, and makes its proof and its word anew with
// nothing but what docs/formats.md says.
func proveExample(t *testing.T, b []byte, word string, token Token) {
	t.Helper()
	r, err := ParseRequest(b)
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.Prove()
	if err != nil || Word(p.Token, p.TLSKeyHash, p.Segment) != word {
		t.Errorf("proven %+v, %v; want the word %s", p, err, word)
	}
	device, csr, secret := exampleDevice(), sha256.Sum256(r.CSR), sha256.Sum256(token.Secret[:])
	text := bytes.Join([][]byte{[]byte("checkpoint enrol 1\x00"), csr[:], secret[:], device[:]}, nil)
	if !bytes.Equal(ed25519.Sign(segmentKey("segment"), text), r.Proof) {
		t.Error("the proof is over other bytes than docs/formats.md says")
	}
}
