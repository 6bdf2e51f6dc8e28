package base45_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"checkpoint/healthcode/base45"
	"checkpoint/internal/vectors"
)

func TestPublishedVectors(t *testing.T) {
	found := 0
	err := filepath.WalkDir(vectors.Conformance.Dir(t, "base45"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".json") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var file struct {
			Encode []struct {
				Hex, Base45 string
			}
			Invalid []struct{ Base45, Why string } `json:"decode_invalid"`
		}
		if err := json.Unmarshal(data, &file); err != nil {
			return err
		}
		for _, c := range file.Encode {
			found++
			raw, err := hex.DecodeString(c.Hex)
			if err != nil {
				return err
			}
			if got := base45.AppendEncode(nil, raw); string(got) != c.Base45 {
				t.Errorf("%s encodes to %q, want %q", c.Hex, got, c.Base45)
			}
			if got, err := base45.Decode([]byte(c.Base45), 2900); err != nil || !bytes.Equal(got, raw) {
				t.Errorf("%q decodes to %x, %v, want %s", c.Base45, got, err, c.Hex)
			}
		}
		for _, c := range file.Invalid {
			found++
			if _, err := base45.Decode([]byte(c.Base45), 2900); !errors.Is(err, base45.ErrSyntax) {
				t.Errorf("%q is accepted: %s", c.Base45, c.Why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Error("the folder holds no cases")
	}
}

func TestBound(t *testing.T) {
	if _, err := base45.Decode([]byte("000000"), 6); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	if _, err := base45.Decode([]byte("00000000"), 6); !errors.Is(err, base45.ErrSyntax) {
		t.Errorf("over the bound: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "BB8", "%69 VD92EX0", "FGW", "GGW", "::", "A"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		raw, err := base45.Decode(text, 2900)
		if err != nil {
			return
		}
		if again := base45.AppendEncode(nil, raw); !bytes.Equal(again, text) {
			t.Errorf("%q decodes, but its bytes encode to %q", text, again)
		}
		if base45.EncodedLen(len(raw)) != len(text) {
			t.Error("EncodedLen is wrong")
		}
	})
}
