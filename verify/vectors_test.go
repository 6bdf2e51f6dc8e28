package verify_test

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"checkpoint/healthcode/base45"
	"checkpoint/trust"
	"checkpoint/verify"
	"checkpoint/verify/dcc"
)

// walk calls f for each file of a folder with the given ending, and fails when
// there is none.
func walk(t *testing.T, dir, ext string, f func(t *testing.T, name string, data []byte)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ext) {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n++
		name, _ := filepath.Rel(dir, path)
		t.Run(name, func(t *testing.T) { f(t, filepath.ToSlash(name), data) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		t.Errorf("%s holds no %s files", dir, ext)
	}
}

// snapshot trusts foreign keys only, from an instant on at which lists are fresh.
func snapshot(t testing.TB, issued time.Time, keys ...trust.DCCKey) *trust.Snapshot {
	t.Helper()
	s := &trust.Snapshot{Form: trust.Form, Version: 1, Issued: issued.UTC().Truncate(time.Second)}
	s.DCCKeys = trust.DCCKeys{Issued: s.Issued, Keys: keys}
	body, err := trust.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = trust.Parse(body); err != nil {
		t.Fatal(err)
	}
	return s
}

func certKey(der []byte) trust.DCCKey {
	sum := sha256.Sum256(der)
	return trust.DCCKey{KID: sum[:8], Cert: der}
}

func hc1(cose []byte) []byte {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write(cose) // a bytes.Buffer takes everything
	_ = w.Close()
	return base45.AppendEncode([]byte(dcc.Prefix), z.Bytes())
}

func state(v verify.Verdict, step string) verify.State {
	for _, c := range v.Checks {
		if c.Name == step {
			return c.State
		}
	}
	return verify.NotReached
}

func synced(t time.Time) verify.Instant { return verify.Instant{Time: t, Quality: verify.ClockSynced} }

// clock reads the many spellings of VALIDATIONCLOCK; without a zone it is UTC.
func clock(t *testing.T, s string) time.Time {
	t.Helper()
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05.999999999Z07", "2006-01-02T15:04Z07:00", "2006-01-02"} {
		if c, err := time.Parse(layout, s); err == nil {
			return c
		}
	}
	t.Fatalf("clock %q", s)
	return time.Time{}
}

func letters(u trust.Usage) (l []string) {
	for letter, on := range map[string]bool{"v": u.Vaccination, "t": u.Test, "r": u.Recovery} {
		if on {
			l = append(l, letter)
		}
	}
	return l
}

// payloadOf takes the payload out of a COSE_Sign1, tags or not.
func payloadOf(t *testing.T, raw []byte) []byte {
	t.Helper()
	var v any
	if err := cbor.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	for {
		tag, ok := v.(cbor.Tag)
		if !ok {
			break
		}
		v = tag.Content
	}
	list, _ := v.([]any)
	if len(list) != 4 {
		t.Fatal("not a COSE_Sign1")
	}
	payload, _ := list[2].([]byte)
	return payload
}

// idOf is the certificate id in the JSON form, "" when there is none.
func idOf(doc json.RawMessage) string {
	var d map[string]any
	if json.Unmarshal(doc, &d) != nil {
		return ""
	}
	for _, g := range []string{"v", "t", "r"} {
		if list, ok := d[g].([]any); ok && len(list) > 0 {
			m, _ := list[0].(map[string]any)
			id, _ := m["ci"].(string)
			return strings.TrimSpace(id)
		}
	}
	return ""
}

// entries counts the entries of the JSON form, -1 when there is no such form.
func entries(doc json.RawMessage) int {
	var d map[string]any
	if json.Unmarshal(doc, &d) != nil || d == nil {
		return -1
	}
	n := 0
	for _, g := range []string{"v", "t", "r"} {
		list, _ := d[g].([]any)
		n += len(list)
	}
	return n
}
