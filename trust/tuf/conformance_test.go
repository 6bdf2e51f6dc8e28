package tuf

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// The cases of the TUF project's conformance suite, under their names there, as
// far as they are about a client of our profile: Ed25519 keys, consistent
// snapshots, the two delegations, targets that are all fetched. What a client of
// the profile cannot do (succinct roles, graphs of delegations, fetching one file
// by a name from outside) has no case here.

type signedRoot struct {
	keys      []int
	threshold int
	sigs      []int
	fails     bool
}

func words(numbers []int) (all []string) {
	for _, n := range numbers {
		all = append(all, "signer "+string(rune('0'+n)))
	}
	return all
}

func TestConformance_root_rotation(t *testing.T) {
	five := []int{0, 1, 2, 3, 4}
	for name, roots := range map[string][]signedRoot{
		"1-of-1-key-rotation":                                               {{[]int{1}, 1, []int{1}, false}, {[]int{2}, 1, []int{2, 1}, false}, {[]int{2}, 1, []int{2}, false}},
		"1-of-1-key-rotation-unused-signatures":                             {{[]int{1}, 1, []int{3, 1, 4}, false}, {[]int{2}, 1, []int{3, 2, 1, 4}, false}, {[]int{2}, 1, []int{3, 2, 4}, false}},
		"3-of-5-sign-with-different-keycombos":                              {{five, 3, []int{0, 2, 4}, false}, {five, 3, []int{0, 4, 1}, false}, {five, 3, []int{0, 1, 3}, false}, {five, 3, []int{0, 1, 3}, false}},
		"3-of-5-one-key-rotated":                                            {{five, 3, []int{0, 2, 4}, false}, {[]int{0, 1, 3, 4, 5}, 3, []int{0, 4, 1}, false}},
		"3-of-5-one-key-rotated-with-intermediate-step":                     {{five, 3, []int{0, 2, 4}, false}, {[]int{0, 1, 3, 4, 5}, 3, []int{0, 2, 4, 5}, false}, {[]int{0, 1, 3, 4, 5}, 3, []int{0, 4, 5}, false}},
		"3-of-5-all-keys-rotated-with-intermediate-step":                    {{five, 3, []int{0, 2, 4}, false}, {[]int{5, 6, 7, 8, 9}, 3, []int{0, 2, 4, 5, 6, 7}, false}, {[]int{5, 6, 7, 8, 9}, 3, []int{5, 6, 7}, false}},
		"1-of-3-threshold-increase-to-2-of-3":                               {{[]int{1, 2, 3}, 1, []int{1}, false}, {[]int{1, 2, 3}, 2, []int{1, 2}, false}},
		"2-of-3-threshold-decrease-to-1-of-3":                               {{[]int{1, 2, 3}, 2, []int{1, 2}, false}, {[]int{1, 2, 3}, 1, []int{1, 2}, false}, {[]int{1, 2, 3}, 1, []int{1}, false}},
		"1-of-2-threshold-increase-to-2-of-2":                               {{[]int{1}, 1, []int{1}, false}, {[]int{1, 2}, 2, []int{1, 2}, false}},
		"1-of-1-key-rotation-fail-not-signed-with-old-key":                  {{[]int{1}, 1, []int{1}, false}, {[]int{2}, 1, []int{2, 3, 4}, true}},
		"1-of-1-key-rotation-fail-not-signed-with-new-key":                  {{[]int{1}, 1, []int{1}, false}, {[]int{2}, 1, []int{1, 3, 4}, true}},
		"3-of-5-one-key-rotate-fails-not-signed-with-3-new-keys":            {{five, 3, []int{0, 2, 4}, false}, {[]int{0, 1, 3, 4, 5}, 3, []int{0, 2, 4}, true}},
		"3-of-5-one-key-rotate-fails-not-signed-with-3-old-keys":            {{five, 3, []int{0, 2, 4}, false}, {[]int{0, 1, 3, 4, 5}, 3, []int{0, 4, 5}, true}},
		"1-of-3-threshold-bump-to-2-of-3-fails-new-threshold-not-reached":   {{[]int{1, 2, 3}, 1, []int{1}, false}, {[]int{1, 2, 3}, 2, []int{2}, true}},
		"2-of-3-threshold-decr-to-1-of-3-fails-old-threshold-not-eached":    {{[]int{1, 2, 3}, 2, []int{1, 2}, false}, {[]int{1, 2, 3}, 1, []int{1}, true}},
		"1-of-3-one-key-under-another-id-does-not-count-as-two (not there)": {{[]int{1, 2, 3}, 2, []int{1, 2}, false}, {[]int{1, 2, 3}, 2, []int{1, 1}, true}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t)
			s.root.Signed.Version = 0
			var last []byte
			for i, r := range roots {
				s.rotate(RoleRoot, words(r.keys)...)
				s.root.Signed.Roles[RoleRoot].Threshold = r.threshold
				s.signers[RoleRoot] = nil
				for _, word := range words(r.sigs) {
					s.signers[RoleRoot] = append(s.signers[RoleRoot], key(word))
				}
				s.bump(RoleRoot)
				if i == 0 {
					s.first = s.served["1.root.json"]
				}
				if !r.fails {
					last = s.served[metadataName(RoleRoot, s.root.Signed.Version)]
				}
			}
			c, err := s.refresh()
			if (err != nil) != roots[len(roots)-1].fails {
				t.Errorf("error is %v", err)
			}
			if !bytes.Equal(c.Root(), last) {
				t.Errorf("stands at another root")
			}
		})
	}
}

func TestConformance_non_root_rotations(t *testing.T) {
	five := []int{0, 1, 2, 3, 4}
	for name, r := range map[string]signedRoot{
		"1-of-1-key-rotation":                                            {[]int{2}, 1, []int{2}, false},
		"1-of-1-key-rotation-unused-signatures":                          {[]int{1}, 1, []int{3, 1, 4}, false},
		"1-of-1-key-rotation-fail-not-signed-with-new-key":               {[]int{2}, 1, []int{1, 3, 4}, true},
		"3-of-5-one-key-signature-wrong-not-signed-with-3-expected-keys": {[]int{0, 1, 3, 4, 5}, 3, []int{0, 2, 4}, true},
		"2-of-5-one-key-signature-mising-threshold-not-reached":          {[]int{0, 1, 3, 4, 5}, 3, []int{0, 4}, true},
		"3-of-5-sign-first-combo":                                        {five, 3, []int{0, 2, 4}, false},
		"3-of-5-sign-second-combo":                                       {five, 3, []int{0, 4, 1}, false},
		"3-of-5-sign-third-combo":                                        {five, 3, []int{0, 1, 3}, false},
		"3-of-5-sign-fourth-combo":                                       {five, 3, []int{1, 2, 3}, false},
		"3-of-5-sign-fifth-combo":                                        {five, 3, []int{2, 3, 4}, false},
	} {
		for _, role := range []string{RoleTimestamp, RoleSnapshot, RoleTargets} {
			t.Run(role+" "+name, func(t *testing.T) {
				s := newSim(t)
				s.mustRefresh()
				s.rotate(role, words(r.keys)...)
				s.root.Signed.Roles[role].Threshold = r.threshold
				s.signers[role] = nil
				for _, word := range words(r.sigs) {
					s.signers[role] = append(s.signers[role], key(word))
				}
				s.bump(RoleRoot)
				s.bump(slices.Compact([]string{role, RoleSnapshot, RoleTimestamp})[map[string]int{RoleTargets: 0, RoleSnapshot: 0, RoleTimestamp: 2}[role]:]...)
				c, err := s.refresh()
				if (err != nil) != r.fails {
					t.Fatalf("error is %v", err)
				}
				want := int64(2)
				if r.fails {
					want = 1
				}
				if got := versions(c)[role]; got != want {
					t.Errorf("%s version %d, want %d", role, got, want)
				}
			})
		}
	}
}

// TestConformance runs the cases that change one thing; each begins with a client
// that has taken version 1 of everything.
func TestConformance(t *testing.T) {
	type state = map[string]int64
	for name, tc := range map[string]struct {
		run   func(*sim)
		fails bool
		want  state
	}{
		"basic_init_and_refresh": {func(s *sim) {}, false, state{RoleRoot: 1, RoleTimestamp: 1, RoleSnapshot: 1, RoleTargets: 1}},
		"timestamp_eq_versions_check": {func(s *sim) {
			s.online.Signed.Meta["snapshot.json"].Version = 100
			s.put(RoleTimestamp)
		}, false, state{RoleTimestamp: 1, RoleSnapshot: 1}},
		"timestamp_content_changes": {func(s *sim) {
			s.online.Signed.UnrecognizedFields["more"] = "x"
			s.put(RoleTimestamp)
		}, false, state{RoleTimestamp: 1}},
		"custom_fields": {func(s *sim) {
			s.root.Signed.UnrecognizedFields["custom-field"] = "value"
			id := s.root.Signed.Roles[RoleRoot].KeyIDs[0]
			s.root.Signed.Keys[id].UnrecognizedFields = map[string]any{"extra-field": map[string]any{"a": 1, "b": 2}}
			s.root.Signed.Roles[RoleRoot].UnrecognizedFields = map[string]any{"another-field": "value"}
			s.bump(RoleRoot)
		}, false, state{RoleRoot: 2}},
		"deprecated_keyid_hash_algorithms": {func(s *sim) {
			id := s.root.Signed.Roles[RoleSnapshot].KeyIDs[0]
			s.root.Signed.Keys[id].UnrecognizedFields = map[string]any{"keyid_hash_algorithms": []string{"md5"}}
			s.bump(RoleRoot, RoleSnapshot, RoleTimestamp)
		}, false, state{RoleRoot: 2, RoleSnapshot: 2}},
		"root_expired": {func(s *sim) {
			s.bump(RoleRoot)
			s.expire(RoleRoot, noon.AddDate(0, 0, -1).Add(-24*time.Hour))
			s.root.Signed.UnrecognizedFields["issued"] = stamp(noon.AddDate(0, 0, -5))
			s.bump(RoleRoot)
			s.all(RoleTargets)
		}, true, state{RoleRoot: 3, RoleTimestamp: 1, RoleSnapshot: 1, RoleTargets: 1}},
		"expired_local_root": {func(s *sim) {
			s.now = s.now.AddDate(2, 0, 0)
			for _, role := range []string{RoleRoot, RoleTargets, RoleDayKeys, RoleRevoked, RoleSnapshot, RoleTimestamp} {
				s.expire(role, s.now.AddDate(0, 1, 0))
				s.bump(role)
			}
		}, false, state{RoleRoot: 2, RoleTargets: 2}},
		"timestamp_expired": {func(s *sim) {
			s.expire(RoleTimestamp, noon.Add(time.Second))
			s.bump(RoleTimestamp)
			s.now = noon.AddDate(0, 0, 1)
		}, true, state{RoleTimestamp: 1}},
		"snapshot_expired": {func(s *sim) {
			s.expire(RoleSnapshot, noon.Add(time.Second))
			s.bump(RoleSnapshot, RoleTimestamp)
			s.now = noon.AddDate(0, 0, 1)
		}, true, state{RoleSnapshot: 1}},
		"targets_expired": {func(s *sim) {
			s.expire(RoleTargets, noon.Add(time.Second))
			s.all(RoleTargets)
			s.now = noon.AddDate(0, 0, 1)
		}, true, state{RoleTargets: 1}},
		"expired_metadata": {func(s *sim) { // local timestamp and snapshot have expired, the new ones have not
			s.now = noon.AddDate(0, 0, 18)
			s.expire(RoleTimestamp, noon.AddDate(0, 0, 21))
			s.expire(RoleSnapshot, noon.AddDate(0, 0, 21))
			s.all(RoleTargets)
		}, false, state{RoleTargets: 2, RoleTimestamp: 2, RoleSnapshot: 2}},
		"expired_timestamp_version_rollback": {func(s *sim) { // what has expired still protects
			s.bump(RoleTimestamp)
			s.mustRefresh()
			s.now = noon.AddDate(0, 0, 18)
			s.expire(RoleTimestamp, noon.AddDate(0, 0, 21))
			*s.version(RoleTimestamp) = 1
			s.put(RoleTimestamp)
		}, true, state{RoleTimestamp: 2}},
		"expired_timestamp_snapshot_rollback": {func(s *sim) {
			s.bump(RoleSnapshot, RoleTimestamp)
			s.mustRefresh()
			s.now = noon.AddDate(0, 0, 6)
			s.expire(RoleTimestamp, noon.AddDate(0, 0, 21))
			*s.version(RoleSnapshot) = 1
			s.put(RoleSnapshot)
			s.bump(RoleTimestamp)
		}, true, state{RoleTimestamp: 2, RoleSnapshot: 2}},
		"delegated_expired (daykeys)": {func(s *sim) {
			s.expire(RoleDayKeys, noon.Add(time.Second))
			s.all(RoleDayKeys)
			s.now = noon.AddDate(0, 0, 1)
		}, true, state{RoleDayKeys: 1}},
		"simple_snapshot_rollback": {func(s *sim) { // the client has what the timestamp names
			s.bump(RoleSnapshot, RoleTimestamp)
			s.mustRefresh()
			*s.version(RoleSnapshot) = 1
			s.served["2.snapshot.json"] = s.bytes(RoleSnapshot)
		}, false, state{RoleSnapshot: 2}},
		"new_timestamp_version_rollback": {func(s *sim) {
			s.bump(RoleTimestamp)
			s.mustRefresh()
			*s.version(RoleTimestamp) = 1
			s.put(RoleTimestamp)
		}, true, state{RoleTimestamp: 2}},
		"snapshot_rollback[basic]": {func(s *sim) {
			s.bare = true
			s.bump(RoleSnapshot, RoleTimestamp)
			s.mustRefresh()
			*s.version(RoleSnapshot) = 1
			s.put(RoleSnapshot)
			s.bump(RoleTimestamp)
		}, true, state{RoleTimestamp: 2, RoleSnapshot: 2}},
		"targets_rollback[basic]": {func(s *sim) {
			s.bare = true
			s.all(RoleTargets)
			s.mustRefresh()
			*s.version(RoleTargets) = 1
			s.put(RoleTargets)
			s.bump(RoleSnapshot, RoleTimestamp)
		}, true, state{RoleTargets: 2, RoleSnapshot: 2}},
		"new_snapshot_version_mismatch": {func(s *sim) { // the timestamp names version 1 under the name of version 2
			s.online.Signed.Meta["snapshot.json"].Version = 2
			s.served["2.snapshot.json"] = s.served["1.snapshot.json"]
			s.bump(RoleTimestamp)
		}, true, state{RoleSnapshot: 1, RoleTimestamp: 1}},
		"new_snapshot_hash_mismatch": {func(s *sim) {
			s.bump(RoleSnapshot)
			s.online.Signed.Meta["snapshot.json"].Hashes["sha256"][0] ^= 1
			s.bump(RoleTimestamp)
		}, true, state{RoleSnapshot: 1}},
		"new_snapshot_unsigned": {func(s *sim) { s.signers[RoleSnapshot] = nil; s.bump(RoleSnapshot, RoleTimestamp) }, true, state{RoleSnapshot: 1}},
		"new_targets_hash_mismatch": {func(s *sim) {
			s.bump(RoleTargets)
			s.snapshot.Signed.Meta["targets.json"].Hashes["sha256"][0] ^= 1
			s.bump(RoleSnapshot, RoleTimestamp)
		}, true, state{RoleTargets: 1, RoleSnapshot: 1}},
		"new_targets_version_mismatch": {func(s *sim) {
			s.bare = true
			s.bump(RoleTargets)
			s.snapshot.Signed.Meta["targets.json"].Version = 3
			s.served["3.targets.json"] = s.served["2.targets.json"]
			s.bump(RoleSnapshot, RoleTimestamp)
		}, true, state{RoleTargets: 1}},
		"new_targets_unsigned":            {func(s *sim) { s.signers[RoleTargets] = nil; s.all(RoleTargets) }, true, state{RoleTargets: 1}},
		"new_root_same_version":           {func(s *sim) { s.served["2.root.json"] = s.served["1.root.json"] }, true, state{RoleRoot: 1}},
		"new_root_nonconsecutive_version": {func(s *sim) { *s.version(RoleRoot) = 3; s.served["2.root.json"] = s.bytes(RoleRoot) }, true, state{RoleRoot: 1}},
		"intermediate_root_incorrectly_signed": {func(s *sim) {
			good := s.signers[RoleRoot]
			s.signers[RoleRoot] = nil
			s.bump(RoleRoot)
			s.signers[RoleRoot] = good
			s.bump(RoleRoot)
		}, true, state{RoleRoot: 1}},
		"final_root_incorrectly_signed": {func(s *sim) { s.bump(RoleRoot); s.signers[RoleRoot] = nil; s.bump(RoleRoot) }, true, state{RoleRoot: 2}},
		"intermediate_root_expired": {func(s *sim) { // only the last one must not have expired
			s.expire(RoleRoot, noon.Add(-time.Hour))
			s.bump(RoleRoot)
			s.expire(RoleRoot, noon.AddDate(1, 0, 0))
			s.bump(RoleRoot)
		}, false, state{RoleRoot: 3}},
		"duplicate_sig_keyids": {func(s *sim) {
			s.signers[RoleSnapshot] = append(s.signers[RoleSnapshot], s.signers[RoleSnapshot]...)
			s.bump(RoleSnapshot, RoleTimestamp)
		}, true, state{RoleSnapshot: 1}},
		"duplicate_keys_root": {func(s *sim) { // one key under ten ids is one
			id := s.root.Signed.Roles[RoleSnapshot].KeyIDs[0]
			var signatures []string
			for _, twin := range strings.Split("a b c d e f g h i", " ") {
				k := *s.root.Signed.Keys[id]
				s.root.Signed.Keys[twin] = &k
				s.root.Signed.Roles[RoleSnapshot].KeyIDs = append(s.root.Signed.Roles[RoleSnapshot].KeyIDs, twin)
				signatures = append(signatures, twin)
			}
			s.root.Signed.Roles[RoleSnapshot].Threshold = 6
			s.bump(RoleRoot)
			*s.version(RoleSnapshot)++
			one, err := sign(s.snapshot, s.signers[RoleSnapshot][0])
			s.must(err)
			s.snapshot.Signatures = []metadata.Signature{one}
			for _, twin := range signatures {
				one.KeyID = twin
				s.snapshot.Signatures = append(s.snapshot.Signatures, one)
			}
			b, err := json.Marshal(s.snapshot)
			s.must(err)
			s.served["2.snapshot.json"] = b
			s.online.Signed.Meta["snapshot.json"], err = metaFile(2, b)
			s.must(err)
			s.bump(RoleTimestamp)
		}, true, state{RoleRoot: 2, RoleSnapshot: 1}},
		"snapshot_threshold": {func(s *sim) {
			s.rotate(RoleSnapshot, "1", "2", "3", "4", "5")
			s.root.Signed.Roles[RoleSnapshot].Threshold = 6
			s.bump(RoleRoot, RoleSnapshot, RoleTimestamp)
		}, true, state{RoleRoot: 2, RoleSnapshot: 1}},
		"root_has_keys_but_not_snapshot": {func(s *sim) {
			s.rotate(RoleSnapshot, "1", "2", "3", "4", "5")
			s.root.Signed.Roles[RoleSnapshot].Threshold = 5
			s.bump(RoleRoot)
			s.signers[RoleSnapshot] = s.signers[RoleSnapshot][:3]
			s.bump(RoleSnapshot, RoleTimestamp)
		}, true, state{RoleRoot: 2, RoleSnapshot: 1}},
		"new_timestamp_fast_forward_recovery": {func(s *sim) {
			*s.version(RoleTimestamp) = 99
			s.bump(RoleTimestamp)
			s.mustRefresh()
			s.rotate(RoleTimestamp, "new")
			s.bump(RoleRoot)
			*s.version(RoleTimestamp) = 1
			s.put(RoleTimestamp)
		}, false, state{RoleRoot: 2, RoleTimestamp: 1}},
		"new_snapshot_fast_forward_recovery": {func(s *sim) {
			*s.version(RoleSnapshot) = 99998
			s.bump(RoleSnapshot, RoleTimestamp)
			s.mustRefresh()
			s.rotate(RoleSnapshot, "new s")
			s.rotate(RoleTimestamp, "new t")
			s.bump(RoleRoot)
			*s.version(RoleSnapshot) = 1
			s.put(RoleSnapshot)
			s.bump(RoleTimestamp)
		}, false, state{RoleRoot: 2, RoleSnapshot: 1}},
		"new_targets_fast_forward_recovery": {func(s *sim) {
			*s.version(RoleTargets) = 99
			s.all(RoleTargets)
			s.mustRefresh()
			s.rotate(RoleSnapshot, "new")
			s.bump(RoleRoot)
			*s.version(RoleTargets) = 1
			s.put(RoleTargets)
			s.bump(RoleSnapshot, RoleTimestamp)
		}, false, state{RoleRoot: 2, RoleTargets: 1}},
		"repository_substitutes_target_file": {func(s *sim) {
			contents := exampleTargets(s.t)["policy.json"]
			s.file(RoleTargets, "policy.json", append(contents, '\n'))
			s.all(RoleTargets)
			for name := range s.served {
				if strings.HasPrefix(name, "targets/") {
					s.served[name] = []byte("malicious")
				}
			}
		}, true, state{RoleTargets: 1}},
		"multiple_changes_to_target": {func(s *sim) {
			for range 10 {
				contents := exampleTargets(s.t)["policy.json"]
				s.file(RoleTargets, "policy.json", append(contents, bytes.Repeat([]byte("\n"), int(*s.version(RoleTargets)))...))
				s.all(RoleTargets)
				s.mustRefresh()
			}
		}, false, state{RoleTargets: 11}},
		"client_downloads_expected_file_in_sub_dir": {func(s *sim) {
			s.file(RoleTargets, "dcc-rules/XX.json", []byte(`{"form":"checkpoint-dcc-rules/1","issued":"2026-11-01T00:00:00Z","country":"XX","rules":[]}`))
			s.all(RoleTargets)
			if c := s.mustRefresh(); len(c.Snapshot().Foreign.DCCRules) != 1 {
				s.t.Error("not taken")
			}
		}, false, state{RoleTargets: 2}},
		"consistent_snapshot": {func(s *sim) {
			s.all(RoleTargets)
			s.mustRefresh()
			want := []string{"2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json"}
			if !slices.Equal(s.requests, want) {
				s.t.Errorf("asked for %v, want %v", s.requests, want)
			}
		}, false, state{RoleTargets: 2}},
		"compute_metafile_hashes_length": {func(s *sim) {
			s.bare = true
			s.all(RoleTargets)
			s.mustRefresh()
			s.bare = false
			s.all(RoleTargets)
		}, false, state{RoleTargets: 3}},
		"non_terminating_delegation": {func(s *sim) {
			s.targets[RoleTargets].Signed.Delegations.Roles[1].Terminating = false
			s.all(RoleTargets)
		}, true, state{RoleTargets: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t)
			s.mustRefresh()
			tc.run(s)
			c, err := s.refresh()
			if (err != nil) != tc.fails {
				t.Errorf("error is %v", err)
			}
			for _, now := range []*Client{c, s.client()} {
				got := versions(now)
				for role, want := range tc.want {
					if got[role] != want {
						t.Errorf("%s version %d, want %d", role, got[role], want)
					}
				}
			}
		})
	}
	t.Run("invalid_initial_root", func(t *testing.T) {
		s := newSim(t)
		for _, root := range [][]byte{
			bytes.Replace(s.first, []byte(`"version":1`), []byte(`"versions":1`), 1),
			bytes.Replace(s.first, []byte(`"sig":"`), []byte(`"sig":"00`), 1), // unsigned_initial_root
		} {
			if _, err := Open(context.Background(), s.store, root, s.clock); err == nil {
				t.Error("opened")
			}
		}
	})
	t.Run("max_root_rotations", func(t *testing.T) {
		s := newSim(t)
		for range maxRotations + 5 {
			s.bump(RoleRoot)
		}
		c := s.mustRefresh()
		if got := versions(c)[RoleRoot]; got != 1+maxRotations {
			t.Errorf("root version %d", got)
		}
	})
}
