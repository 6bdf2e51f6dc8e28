package tuf

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
)

// Whatever bytes come in place of a file, the client does not fall over, and
// holds what it held unless its signers signed what came.
func FuzzClient(f *testing.F) {
	s := newSim(f)
	s.mustRefresh()
	s.bump(RoleRoot)
	for _, role := range []string{RoleTargets, RoleDayKeys, RoleRevoked} {
		s.bump(role)
	}
	s.bump(RoleSnapshot, RoleTimestamp)
	names := []string{"2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json", "2.daykeys.json", "2.revoked.json"}
	for i, name := range names {
		f.Add(byte(i), s.served[name])
	}
	kept := s.store.kept
	before := describe(s.client())
	after := func() string {
		s := *s
		s.store = &memStore{kept: kept}
		return describe(s.mustRefresh())
	}()
	f.Fuzz(func(t *testing.T, which byte, b []byte) {
		name := names[int(which)%len(names)]
		store := &memStore{kept: kept}
		c, err := Open(context.Background(), store, s.first, s.clock)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Refresh(context.Background(), fetcher(func(ctx context.Context, asked string, most int64) ([]byte, error) {
			if asked == name {
				return b, nil
			}
			if b, ok := s.served[asked]; ok {
				return b, nil
			}
			return nil, ErrMissing
		}))
		var r *Refused
		if err != nil && !errors.As(err, &r) {
			t.Errorf("no word: %v", err)
		}
		if got := describe(c); got != before && (err != nil || got != after && name != "2.root.json") {
			t.Errorf("holds %s", got)
		}
	})
}

// Whoever has a role's keys can sign what go-tuf would never write: the client
// does not fall over at that either, and what it takes proves itself afterwards.
func FuzzSigned(f *testing.F) {
	roles := []string{RoleRoot, RoleTimestamp, RoleSnapshot, RoleTargets, RoleDayKeys, RoleRevoked}
	s := newSim(f)
	s.mustRefresh()
	for i, role := range roles {
		s.bump(role)
		var m struct{ Signed json.RawMessage }
		s.must(json.Unmarshal(s.served[metadataName(role, *s.version(role))], &m))
		f.Add(byte(i), []byte(m.Signed))
	}
	f.Fuzz(func(t *testing.T, which byte, b []byte) {
		role := roles[int(which)%len(roles)]
		var signed any
		if json.Unmarshal(b, &signed) != nil {
			return
		}
		payload, err := cjson.EncodeCanonical(json.RawMessage(b))
		if err != nil {
			return
		}
		s := newSim(t)
		s.mustRefresh()
		var signatures []any
		for _, k := range s.signers[role] {
			id, _, err := tufKey(k.Public().(ed25519.PublicKey))
			s.must(err)
			signatures = append(signatures, map[string]any{"keyid": id, "sig": hex.EncodeToString(ed25519.Sign(k, payload))})
		}
		body, err := json.Marshal(map[string]any{"signed": json.RawMessage(b), "signatures": signatures})
		if err != nil {
			return
		}
		s.served[metadataName(role, 2)] = body
		meta, err := metaFile(2, body)
		s.must(err)
		switch role {
		case RoleTargets, RoleDayKeys, RoleRevoked:
			s.snapshot.Signed.Meta[role+".json"] = meta
			s.bump(RoleSnapshot, RoleTimestamp)
		case RoleSnapshot:
			s.online.Signed.Meta["snapshot.json"] = meta
			s.bump(RoleTimestamp)
		}
		c, err := s.refresh()
		var r *Refused
		if err != nil && !errors.As(err, &r) {
			t.Errorf("no word: %v", err)
		}
		if r != nil && strings.Contains(r.Error(), "fault while reading") {
			t.Errorf("fell over: %v", r)
		}
		if describe(s.client()) != describe(c) {
			t.Error("what was taken does not prove itself")
		}
	})
}

func FuzzCheck(f *testing.F) {
	s := newSim(f)
	repo := filesOf(s.served)
	for _, file := range repo {
		if _, _, ok := readMetadataName(file.Name); ok {
			f.Add(file.Bytes)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if st, err := Check(b, repo); err == nil && st.Complete && st.Version != 1 {
			t.Errorf("complete: %+v", st)
		}
	})
}
