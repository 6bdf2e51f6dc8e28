package tuf

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"checkpoint/trust"
)

func TestTakeAndStartOffline(t *testing.T) {
	s := newSim(t)
	c := s.client()
	if c.Snapshot() != nil {
		t.Fatal("something holds before anything was taken")
	}
	changed, err := c.Refresh(context.Background(), s)
	if err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	snapshot := c.Snapshot()
	if snapshot.Version != 1 || !snapshot.Issued.Equal(noon) || !snapshot.Anchor().Equal(noon.Add(-24*time.Hour)) || len(snapshot.Issuers.Keys) != 1 {
		t.Errorf("took %+v", snapshot)
	}
	// Years later, without a line, it still says the same: its age is for the
	// ladder to judge.
	s.now = noon.AddDate(5, 0, 0)
	if got, want := describe(s.client()), describe(c); got != want {
		t.Errorf("offline %s, was %s", got, want)
	}
	for _, age := range s.client().Snapshot().Ages(s.now) {
		if age.Entries > 0 && age.Age < 4*365*24*time.Hour {
			t.Errorf("%s is %v old", age.List, age.Age)
		}
	}
	// The same again is nothing new.
	s.now = noon.Add(time.Hour)
	kepts := s.store.kepts
	if changed, err := c.Refresh(context.Background(), s); err != nil || changed || s.store.kepts != kepts {
		t.Errorf("the same again: changed %v, %v", changed, err)
	}
}

func TestTimestampAloneMovesIssued(t *testing.T) {
	s := newSim(t)
	c := s.mustRefresh()
	was := c.Snapshot()
	s.requests = nil
	s.online.Signed.UnrecognizedFields["issued"] = stamp(noon.Add(time.Hour))
	s.bump(RoleTimestamp)
	if changed, err := c.Refresh(context.Background(), s); err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	now := c.Snapshot()
	if !now.Issued.Equal(noon.Add(time.Hour)) || now.Version != was.Version || !now.Anchor().Equal(was.Anchor()) {
		t.Errorf("now %+v", now)
	}
	if was.Issued.Equal(now.Issued) {
		t.Error("a snapshot in use was changed")
	}
	if want := []string{"2.root.json", "timestamp.json"}; !slices.Equal(s.requests, want) {
		t.Errorf("asked for %v, want %v", s.requests, want)
	}
	if len(s.store.kept) != 1 {
		t.Errorf("%d generations of one version", len(s.store.kept))
	}
}

// Each row is an attack or a fault; its word is stable, and what was held is
// held on, also by a gate that starts anew without a line.
func TestRefused(t *testing.T) {
	raw := func(s *sim, role string, edit func(signed map[string]any)) {
		// Signs what go-tuf's types would not write.
		name := metadataName(role, *s.version(role))
		var m map[string]any
		s.must(json.Unmarshal(s.served[name], &m))
		edit(m["signed"].(map[string]any))
		b, err := json.Marshal(m)
		s.must(err)
		s.served[name] = b
		if role != RoleTimestamp {
			f, err := metaFile(*s.version(role), b)
			s.must(err)
			if role == RoleSnapshot {
				s.online.Signed.Meta["snapshot.json"] = f
				s.bump(RoleTimestamp)
			}
		}
	}
	for _, tc := range []struct {
		name   string
		attack func(*sim)
		want   Why
	}{
		{"timestamp signed by nobody", func(s *sim) { s.signers[RoleTimestamp] = nil; s.bump(RoleTimestamp) }, Unsigned},
		{"timestamp signed by a stranger", func(s *sim) {
			s.signers[RoleTimestamp] = nil
			s.signers[RoleTimestamp] = append(s.signers[RoleTimestamp], key("stranger"))
			s.bump(RoleTimestamp)
		}, Unsigned},
		{"a version below one", func(s *sim) {
			*s.version(RoleTimestamp) = 0
			s.bump(RoleTimestamp)
			*s.version(RoleTimestamp) = 0
			s.put(RoleTimestamp)
		}, BadMetadata},
		{"one signature of two", func(s *sim) {
			s.rotate(RoleTargets, "a", "b")
			s.root.Signed.Roles[RoleTargets].Threshold = 2
			s.bump(RoleRoot)
			s.signers[RoleTargets] = s.signers[RoleTargets][:1]
			s.all(RoleTargets)
		}, Threshold},
		{"the same signature twice", func(s *sim) {
			s.rotate(RoleTargets, "a", "b")
			s.root.Signed.Roles[RoleTargets].Threshold = 2
			s.bump(RoleRoot)
			s.signers[RoleTargets] = append(s.signers[RoleTargets][:1], s.signers[RoleTargets][0])
			s.all(RoleTargets)
		}, BadMetadata},
		{"one key under two ids", func(s *sim) {
			s.rotate(RoleTargets, "a")
			id := s.root.Signed.Roles[RoleTargets].KeyIDs[0]
			twin := *s.root.Signed.Keys[id]
			s.root.Signed.Keys["twin"] = &twin
			s.root.Signed.Roles[RoleTargets].KeyIDs = append(s.root.Signed.Roles[RoleTargets].KeyIDs, "twin")
			s.root.Signed.Roles[RoleTargets].Threshold = 2
			s.bump(RoleRoot)
			b := s.targets[RoleTargets]
			*s.version(RoleTargets)++
			one, err := sign(b, key("a"))
			s.must(err)
			two := one
			two.KeyID = "twin"
			b.Signatures = []metadata.Signature{one, two}
			body, err := json.Marshal(b)
			s.must(err)
			s.served[metadataName(RoleTargets, *s.version(RoleTargets))] = body
			s.snapshot.Signed.Meta["targets.json"], err = metaFile(*s.version(RoleTargets), body)
			s.must(err)
			s.bump(RoleSnapshot, RoleTimestamp)
		}, Threshold},
		{"timestamp rolled back", func(s *sim) {
			s.bump(RoleTimestamp)
			s.mustRefresh()
			*s.version(RoleTimestamp) = 1
			s.put(RoleTimestamp)
		}, RolledBack},
		{"snapshot rolled back", func(s *sim) {
			s.bump(RoleSnapshot, RoleTimestamp)
			s.mustRefresh()
			*s.version(RoleSnapshot) = 1
			s.put(RoleSnapshot)
			s.bump(RoleTimestamp)
		}, RolledBack},
		{"targets rolled back", func(s *sim) {
			s.all(RoleTargets)
			s.mustRefresh()
			*s.version(RoleTargets) = 1
			s.put(RoleTargets)
			s.bump(RoleSnapshot, RoleTimestamp)
		}, RolledBack},
		{"revocations rolled back", func(s *sim) {
			s.all(RoleRevoked)
			s.mustRefresh()
			*s.version(RoleRevoked) = 1
			s.put(RoleRevoked)
			s.bump(RoleSnapshot, RoleTimestamp)
		}, RolledBack},
		{"a role left out of the snapshot", func(s *sim) { delete(s.snapshot.Signed.Meta, "revoked.json"); s.bump(RoleSnapshot, RoleTimestamp) }, BadMetadata},
		{"the same snapshot with an earlier date", func(s *sim) {
			s.online.Signed.UnrecognizedFields["issued"] = stamp(noon.Add(-time.Hour))
			s.bump(RoleTimestamp)
		}, RolledBack},
		{"the timestamp never changes", func(s *sim) { s.now = noon.AddDate(0, 0, 3) }, Frozen},
		{"an expired timestamp", func(s *sim) {
			s.expire(RoleTimestamp, noon.Add(time.Minute))
			s.bump(RoleTimestamp)
			s.now = noon.Add(time.Hour)
		}, Frozen},
		{"an expired snapshot", func(s *sim) {
			s.expire(RoleSnapshot, noon.Add(time.Minute))
			s.bump(RoleSnapshot, RoleTimestamp)
			s.now = noon.Add(time.Hour)
		}, Frozen},
		{"expired targets", func(s *sim) {
			s.expire(RoleTargets, noon.Add(time.Minute))
			s.all(RoleTargets)
			s.now = noon.Add(time.Hour)
		}, Expired},
		{"expired day keys", func(s *sim) {
			s.expire(RoleDayKeys, noon.Add(time.Minute))
			s.all(RoleDayKeys)
			s.now = noon.Add(time.Hour)
		}, Expired},
		{"revocations that had expired before they came", func(s *sim) {
			s.expire(RoleRevoked, noon.Add(time.Minute))
			s.all(RoleRevoked)
			s.now = noon.Add(time.Hour)
		}, Expired},
		{"an expired root", func(s *sim) {
			s.expire(RoleRoot, noon.Add(time.Minute))
			s.bump(RoleRoot, RoleTimestamp)
			s.now = noon.Add(time.Hour)
		}, ExpiredRoot},
		{"snapshot of another timestamp", func(s *sim) {
			s.bump(RoleSnapshot, RoleTimestamp)
			s.snapshot.Signed.Expires = noon.AddDate(0, 0, 6)
			s.served["2.snapshot.json"] = s.bytes(RoleSnapshot)
		}, Mixed},
		{"targets of another snapshot", func(s *sim) {
			s.all(RoleTargets)
			s.targets[RoleTargets].Signed.Expires = noon.AddDate(0, 2, 0)
			s.served["2.targets.json"] = s.bytes(RoleTargets)
		}, Mixed},
		{"a version that is not the named one", func(s *sim) {
			s.bare = true
			s.all(RoleTargets)
			*s.version(RoleTargets) = 3
			s.served["2.targets.json"] = s.bytes(RoleTargets)
		}, Mixed},
		{"a target file exchanged", func(s *sim) {
			for name := range s.served {
				if strings.HasSuffix(name, ".issuers.json") {
					s.served[name] = bytes.ToUpper(s.served[name])
				}
			}
			s.store.kept = nil
		}, Mixed},
		{"a target file longer than said", func(s *sim) {
			for name := range s.served {
				if strings.HasSuffix(name, ".policy.json") {
					s.served[name] = append(s.served[name], ' ')
				}
			}
			s.store.kept = nil
		}, Oversized},
		{"a target file that is not there", func(s *sim) {
			for name := range s.served {
				if strings.HasSuffix(name, ".policy.json") {
					delete(s.served, name)
				}
			}
			s.store.kept = nil
		}, Missing},
		{"metadata that is not there", func(s *sim) { s.all(RoleTargets); delete(s.served, "2.targets.json") }, Missing},
		{"an endless timestamp", func(s *sim) { s.endless = "timestamp.json" }, Oversized},
		{"an endless root", func(s *sim) { s.endless = "2.root.json" }, Oversized},
		{"endless targets", func(s *sim) { s.all(RoleTargets); s.endless = "2.targets.json" }, Oversized},
		{"a target said to be longer than allowed", func(s *sim) {
			s.targets[RoleTargets].Signed.Targets["policy.json"].Length = 1 << 40
			s.all(RoleTargets)
		}, Oversized},
		{"metadata said to be longer than allowed", func(s *sim) {
			s.snapshot.Signed.Meta["targets.json"].Length = 1 << 30
			s.bump(RoleSnapshot, RoleTimestamp)
		}, Oversized},
		{"another version of the specification", func(s *sim) { s.online.Signed.SpecVersion = "2.0.0"; s.bump(RoleTimestamp) }, UnknownSpec},
		{"a root of another specification", func(s *sim) { s.root.Signed.SpecVersion = "0.9"; s.bump(RoleRoot) }, UnknownSpec},
		{"not JSON", func(s *sim) { s.served["timestamp.json"] = []byte("<html>") }, BadMetadata},
		{"the wrong type", func(s *sim) { s.served["timestamp.json"] = s.served["1.snapshot.json"] }, BadMetadata},
		{"null for a part", func(s *sim) {
			raw(s, RoleTimestamp, func(m map[string]any) { m["meta"].(map[string]any)["snapshot.json"] = nil })
		}, BadMetadata},
		{"a part missing", func(s *sim) {
			raw(s, RoleTimestamp, func(m map[string]any) { delete(m["meta"].(map[string]any), "snapshot.json") })
		}, BadMetadata},
		{"a key twice", func(s *sim) {
			s.served["timestamp.json"] = bytes.Replace(s.served["timestamp.json"], []byte(`"version":1`), []byte(`"version":1,"Version":7`), 1)
		}, BadMetadata},
		{"no date of issue", func(s *sim) { delete(s.online.Signed.UnrecognizedFields, "issued"); s.bump(RoleTimestamp) }, BadMetadata},
		{"a key of another length", func(s *sim) {
			for _, k := range s.root.Signed.Keys {
				k.Value.PublicKey = "abcd"
			}
			s.bump(RoleRoot)
		}, BadMetadata},
		{"no consistent snapshots", func(s *sim) { s.root.Signed.ConsistentSnapshot = false; s.bump(RoleRoot) }, BadMetadata},
		{"day keys shown as targets", func(s *sim) {
			s.rotate(RoleTargets, RoleDayKeys)
			s.bump(RoleRoot)
			s.targets[RoleTargets] = s.targets[RoleDayKeys]
			s.all(RoleTargets)
		}, BadMetadata},
		{"nothing delegated", func(s *sim) { s.targets[RoleTargets].Signed.Delegations = nil; s.all(RoleTargets) }, BadDelegation},
		{"a delegation that does not end the search", func(s *sim) {
			s.targets[RoleTargets].Signed.Delegations.Roles[0].Terminating = false
			s.all(RoleTargets)
		}, BadDelegation},
		{"a delegation of more than its path", func(s *sim) {
			s.targets[RoleTargets].Signed.Delegations.Roles[1].Paths = []string{"*"}
			s.all(RoleTargets)
		}, BadDelegation},
		{"another role before ours", func(s *sim) {
			d := s.targets[RoleTargets].Signed.Delegations
			d.Roles = append([]metadata.DelegatedRole{{Name: "other", KeyIDs: d.Roles[0].KeyIDs, Threshold: 1, Terminating: true, Paths: []string{"*"}}}, d.Roles...)
			s.all(RoleTargets)
		}, BadDelegation},
		{"day keys by the signers of targets", func(s *sim) {
			s.file(RoleTargets, "daykeys.json", exampleTargets(s.t)["daykeys.json"])
			s.all(RoleTargets)
		}, BadDelegation},
		{"policy by headquarters' revocation key", func(s *sim) {
			s.file(RoleRevoked, "policy.json", exampleTargets(s.t)["policy.json"])
			s.all(RoleRevoked)
		}, BadDelegation},
		{"revocations by another's key", func(s *sim) { s.signers[RoleRevoked] = s.signers[RoleTargets]; s.all(RoleRevoked) }, Unsigned},
		{"a role that delegates on", func(s *sim) {
			s.targets[RoleRevoked].Signed.Delegations = s.targets[RoleTargets].Signed.Delegations
			s.all(RoleRevoked)
		}, BadDelegation},
		{"a target that cannot be read", func(s *sim) {
			s.file(RoleTargets, "policy.json", []byte(`{"form":"checkpoint-policy/2"}`))
			s.all(RoleTargets)
		}, BadTarget},
		{"no revocations at all", func(s *sim) { delete(s.targets[RoleRevoked].Signed.Targets, "revoked.bin"); s.all(RoleRevoked) }, BadTarget},
		{"a day key changed", func(s *sim) { s.dayKeys(func(k []trust.DayKey) []trust.DayKey { k[1].PublicKey[0] ^= 1; return k }) }, DayKeyChanged},
		{"a day destroyed and back", func(s *sim) {
			s.dayKeys(func(k []trust.DayKey) []trust.DayKey {
				k[0].Destroyed, k[0].PublicKey = false, k[1].PublicKey
				return k
			})
		}, DayKeyChanged},
		{"a day of the future left out", func(s *sim) { s.dayKeys(func(k []trust.DayKey) []trust.DayKey { return k[:1] }) }, DayKeyChanged},
		{"a day moved", func(s *sim) {
			s.dayKeys(func(k []trust.DayKey) []trust.DayKey { k[1].To = k[1].To.AddDate(1, 0, 0); return k })
		}, DayKeyChanged},
		{"the highest version there is", func(s *sim) { *s.version(RoleTimestamp) = maxVersion - 1; s.bump(RoleTimestamp) }, VersionJump},
		{"the highest version of targets", func(s *sim) { *s.version(RoleTargets) = maxVersion - 1; s.all(RoleTargets) }, VersionJump},
		{"a signer whose clock is ahead", func(s *sim) {
			s.targets[RoleRevoked].Signed.UnrecognizedFields["issued"] = stamp(noon.Add(25 * time.Hour))
			s.all(RoleRevoked)
		}, Ahead},
		{"a version above it", func(s *sim) { *s.version(RoleTimestamp) = maxVersion; s.bump(RoleTimestamp) }, BadMetadata},
		{"a root that skips one", func(s *sim) { *s.version(RoleRoot) = 3; s.served["2.root.json"] = s.bytes(RoleRoot) }, RolledBack},
		{"the old root again", func(s *sim) { s.served["2.root.json"] = s.served["1.root.json"] }, RolledBack},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSim(t)
			s.mustRefresh()
			tc.attack(s)
			s.wantRefused(tc.want)
		})
	}
}

// dayKeys publishes other day keys, signed by their custodians.
func (s *sim) dayKeys(edit func([]trust.DayKey) []trust.DayKey) {
	s.t.Helper()
	c := s.client().Snapshot()
	if c == nil {
		s.t.Fatal("nothing is held")
	}
	next := *c
	next.DayKeys.Keys = nil
	for _, k := range c.DayKeys.Keys {
		k.PublicKey = bytes.Clone(k.PublicKey)
		next.DayKeys.Keys = append(next.DayKeys.Keys, k)
	}
	next.DayKeys.Keys = edit(next.DayKeys.Keys)
	targets, err := trust.Targets(&next, 1)
	s.must(err)
	s.file(RoleDayKeys, "daykeys.json", targets["daykeys.json"])
	s.all(RoleDayKeys)
}

func TestDayDestroyedIsTaken(t *testing.T) {
	s := newSim(t)
	s.mustRefresh()
	s.dayKeys(func(k []trust.DayKey) []trust.DayKey { k[1].Destroyed, k[1].PublicKey = true, nil; return k })
	if _, ok := s.mustRefresh().Snapshot().DayKeyAt(noon); ok {
		t.Error("a destroyed day still has a key")
	}
	// In two steps neither: destroyed, then back.
	s.dayKeys(func(k []trust.DayKey) []trust.DayKey {
		k[1].Destroyed, k[1].PublicKey = false, newSim(t).mustRefresh().Snapshot().DayKeys.Keys[1].PublicKey
		return k
	})
	s.wantRefused(DayKeyChanged)
	if !DayKeyChanged.Alarm() || Frozen.Alarm() {
		t.Error("alarm words")
	}
}

// Revocations whose signers are late go on to hold, ever older, while what the
// others sign comes through.
func TestExpiredRevocationsDoNotHoldBackTheRest(t *testing.T) {
	s := newSim(t)
	s.expire(RoleRevoked, noon.Add(time.Hour))
	s.all(RoleRevoked)
	s.mustRefresh()
	s.now = noon.Add(24 * time.Hour)
	s.online.Signed.UnrecognizedFields["issued"] = stamp(s.now)
	s.expire(RoleTimestamp, noon.AddDate(0, 0, 5))
	s.all(RoleTargets)
	c := s.mustRefresh()
	if versions(c)[RoleTargets] != 2 {
		t.Error("new targets were held back")
	}
	for _, a := range c.Snapshot().Ages(s.now) {
		if a.List == "revoked" && a.Age < 24*time.Hour || a.List == "issuers" && a.Age != 0 {
			t.Errorf("%s is %v old", a.List, a.Age)
		}
	}
}

// An estimated clock runs behind: what has expired meanwhile may be taken, what
// is good always is, and dates ahead of the clock are no fault.
func TestClockBehind(t *testing.T) {
	s := newSim(t)
	s.now = noon.AddDate(-1, 0, 0)
	s.mustRefresh()
	s.expire(RoleTimestamp, noon.Add(time.Minute))
	s.bump(RoleTimestamp)
	c := s.mustRefresh()
	if versions(c)[RoleTimestamp] != 2 {
		t.Error("not taken")
	}
	if a := c.Snapshot().Age(s.now); a != 0 {
		t.Errorf("age %v under a clock that is behind", a)
	}
	if got := c.Snapshot().Anchor(); !got.Equal(noon.Add(-24 * time.Hour)) {
		t.Errorf("anchor %v: the hub's date moved it", got)
	}
}

func TestRootsOneToFive(t *testing.T) {
	s := newSim(t)
	s.mustRefresh()
	s.rotate(RoleRoot, RoleRoot, "r2", "r3") // more keys
	s.bump(RoleRoot)
	s.root.Signed.Roles[RoleRoot].Threshold = 2 // threshold raised
	s.bump(RoleRoot)
	old := s.signers[RoleRoot]
	s.rotate(RoleRoot, "r2", "r3", "r4") // a key replaced: the old ones sign, too
	s.root.Signed.Roles[RoleRoot].Threshold = 2
	s.signers[RoleRoot] = append(old, key("r4"))
	s.bump(RoleRoot)
	s.signers[RoleRoot] = s.signers[RoleRoot][1:]
	s.rotate(RoleTargets, "t2") // another role's keys
	s.bump(RoleRoot)
	s.all(RoleTargets)
	c := s.mustRefresh()
	if got := versions(c); got[RoleRoot] != 5 || got[RoleTargets] != 2 {
		t.Errorf("stands at %v", got)
	}
	// From now on the first root is never looked at again.
	s.first = []byte("not a root")
	if got := versions(s.client()); got[RoleRoot] != 5 {
		t.Errorf("starts from %v", got)
	}
	s.requests = nil
	s.bump(RoleTimestamp)
	s.mustRefresh()
	if s.requests[0] != "6.root.json" {
		t.Errorf("asked for %s first", s.requests[0])
	}
	// A gate that lost everything starts from the first root, and gets there.
	s.store.kept, s.first = nil, s.served["1.root.json"]
	if got := versions(s.mustRefresh()); got[RoleRoot] != 5 {
		t.Errorf("a lost cache: stands at %v", got)
	}
}

// A new root holds even when the rest is refused: that is how a stolen key is
// taken away.
func TestRootIsKeptWhenTheRestIsRefused(t *testing.T) {
	s := newSim(t)
	before := describe(s.mustRefresh())
	s.rotate(RoleTimestamp, "new")
	s.bump(RoleRoot)
	s.signers[RoleTimestamp] = nil // the thief's timestamp
	s.signers[RoleTimestamp] = append(s.signers[RoleTimestamp], key(RoleTimestamp))
	s.all(RoleTargets)
	for range 3 {
		s.wantRefused(Unsigned)
	}
	c := s.client()
	if versions(c)[RoleRoot] != 2 || describe(c) != before {
		t.Errorf("root %d, holds %s", versions(c)[RoleRoot], describe(c))
	}
	// A thief who hides the new root gains nothing.
	delete(s.served, "2.root.json")
	s.wantRefused(Unsigned)
	s.signers[RoleTimestamp] = nil
	s.rotate(RoleTimestamp, "new")
	s.all(RoleTargets)
	if got := versions(s.mustRefresh()); got[RoleTargets] != 3 || got[RoleRoot] != 2 {
		t.Errorf("stands at %v", got)
	}
	// Many roots later it still keeps two only.
	s.expire(RoleRoot, noon.Add(-time.Minute))
	for range 5 {
		s.bump(RoleRoot)
		s.wantRefused(ExpiredRoot)
	}
	roots := 0
	for _, f := range s.store.kept[0].Files {
		if role, _, ok := readMetadataName(f.Name); ok && role == RoleRoot {
			roots++
		}
	}
	if roots != 2 {
		t.Errorf("%d roots are kept", roots)
	}
}

// 64 roots at a time, then the next refresh goes on.
func TestManyRoots(t *testing.T) {
	s := newSim(t)
	c := s.mustRefresh()
	for range 100 {
		s.bump(RoleRoot)
	}
	s.rotate(RoleTimestamp, "new")
	s.bump(RoleRoot, RoleTimestamp)
	var err error
	for range 2 {
		_, err = c.Refresh(context.Background(), s)
	}
	if err != nil || versions(c)[RoleRoot] != 102 {
		t.Errorf("root %d, %v", versions(c)[RoleRoot], err)
	}
}

func TestDamagedGenerationGivesWay(t *testing.T) {
	for _, part := range []string{"timestamp.json", "snapshot.json", "targets.json", "revoked.json", "issuers.json", "revoked.bin", "root.json"} {
		for _, damage := range []string{"cut", "flipped", "empty", "gone"} {
			t.Run(part+" "+damage, func(t *testing.T) {
				s := newSim(t)
				before := describe(s.mustRefresh())
				s.bump(RoleRoot)
				s.all(RoleTargets)
				s.mustRefresh()
				f := s.store.fileIn(0, part)
				switch damage {
				case "cut":
					f.Bytes = f.Bytes[:len(f.Bytes)/2]
				case "flipped":
					f.Bytes[len(f.Bytes)/2] ^= 4
				case "empty":
					f.Bytes = nil
				default:
					f.Name = "targets/lost"
				}
				c := s.client()
				if describe(c) != before {
					t.Errorf("holds %s, want %s", describe(c), before)
				}
				if !errors.Is(c.Damage(), ErrDamaged) {
					t.Errorf("damage: %v", c.Damage())
				}
				want := int64(2)
				if part == "root.json" {
					want = 1
				}
				if got := versions(c)[RoleRoot]; got != want {
					t.Errorf("root %d, want %d", got, want)
				}
				// And the line mends it.
				if got := versions(s.mustRefresh()); got[RoleTargets] != 2 || got[RoleRoot] != 2 {
					t.Errorf("mended to %v", got)
				}
				// All lost: from the first root.
				for i := range s.store.kept {
					for j := range s.store.kept[i].Files {
						s.store.kept[i].Files[j].Bytes = nil
					}
				}
				if c := s.client(); c.Snapshot() != nil || c.Damage() == nil {
					t.Error("holds something of nothing")
				}
				s.mustRefresh()
			})
		}
	}
}

// At whatever step the line breaks, or the store: what holds is the old or the
// new, in memory as on the disk.
func TestBrokenOffAnywhere(t *testing.T) {
	steps := 0
	for n := 1; ; n++ {
		s := newSim(t)
		before := describe(s.mustRefresh())
		s.rotate(RoleSnapshot, "s2")
		s.bump(RoleRoot)
		s.all(RoleTargets)
		s.file(RoleRevoked, "revoked.bin", revokedList(t, 2, 5))
		s.all(RoleRevoked)
		s.failAfter = n
		c, err := s.refresh()
		if err == nil {
			break
		}
		if !errors.Is(err, errLine) {
			t.Fatalf("step %d: %v", n, err)
		}
		var r *Refused
		if errors.As(err, &r) {
			t.Errorf("step %d: a broken line is no refusal: %v", n, err)
		}
		for _, now := range []*Client{c, s.client()} {
			if describe(now) != before {
				t.Errorf("step %d: holds %s", n, describe(now))
			}
		}
		s.failAfter = 0
		if got := versions(s.mustRefresh()); got[RoleTargets] != 2 || got[RoleRevoked] != 2 {
			t.Errorf("step %d: then %v", n, got)
		}
		steps++
	}
	if steps < 6 {
		t.Errorf("only %d steps", steps)
	}
}

func revokedList(t testing.TB, sequence uint64, n int) []byte {
	t.Helper()
	l := trust.RevokedList{Sequence: sequence, Issued: noon}
	for i := range n {
		l.Superseded = append(l.Superseded, trust.ID{1, byte(i >> 16), byte(i >> 8), byte(i)})
	}
	b, err := l.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestStoreThatFails(t *testing.T) {
	full := errors.New("disk full")
	for _, tc := range []struct {
		name string
		set  func(*memStore)
		kept bool
	}{
		{"before", func(m *memStore) { m.fail = full }, false},
		{"after it was durable", func(m *memStore) { m.after = full }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSim(t)
			before := describe(s.mustRefresh())
			s.bump(RoleRoot)
			s.all(RoleTargets)
			tc.set(s.store)
			c, err := s.refresh()
			if !errors.Is(err, full) || describe(c) != before {
				t.Errorf("%v, holds %s", err, describe(c))
			}
			s.store.fail, s.store.after = nil, nil
			if got := describe(s.client()) != before; got != tc.kept {
				t.Errorf("kept: %v, want %v", got, tc.kept)
			}
			if _, err := c.Refresh(context.Background(), s); err != nil || versions(c)[RoleTargets] != 2 {
				t.Errorf("then %v, %v", versions(c), err)
			}
		})
	}
	// A refused repository whose new root cannot be kept says both.
	s := newSim(t)
	s.mustRefresh()
	s.expire(RoleRoot, noon.Add(-time.Second))
	s.bump(RoleRoot)
	s.store.fail = full
	_, err := s.refresh()
	var r *Refused
	if !errors.Is(err, full) || !errors.As(err, &r) || r.Why != ExpiredRoot {
		t.Errorf("error is %v", err)
	}
}

// What is held already is not fetched again; of new revocations only the delta
// is, also when the list itself was made anew.
func TestOnlyWhatIsNewIsFetched(t *testing.T) {
	s := newSim(t)
	base := &trust.RevokedList{Sequence: 1, Issued: noon.Add(-time.Hour)}
	for i := range 20_000 {
		base.Superseded = append(base.Superseded, trust.ID{1, byte(i >> 16), byte(i >> 8), byte(i)})
	}
	put := func(l *trust.RevokedList) {
		b, err := l.AppendBinary(nil)
		s.must(err)
		s.file(RoleRevoked, "revoked.bin", b)
	}
	put(base)
	s.put(RoleRevoked)
	s.put(RoleSnapshot)
	s.put(RoleTimestamp)
	s.mustRefresh()

	next := *base
	next.Sequence, next.Issued = 2, noon
	next.Withdrawn = []trust.ID{{9}}
	delta, err := base.Delta(&next)
	s.must(err)
	b, err := delta.AppendBinary(nil)
	s.must(err)
	s.file(RoleRevoked, delta.Name(), b)
	s.all(RoleRevoked)
	c := s.mustRefresh()
	if _, found := c.Snapshot().Revoked.Index().Find(trust.ID{9}); !found {
		t.Error("the delta was not applied")
	}
	targets := func() (n int) {
		for _, name := range s.requests {
			if strings.HasPrefix(name, "targets/") {
				n++
			}
		}
		return n
	}
	if targets() != 1 {
		t.Errorf("fetched %v", s.requests)
	}
	put(&next) // a new list, with the delta that leads to it
	s.all(RoleRevoked)
	c = s.mustRefresh()
	if targets() != 0 {
		t.Errorf("fetched %v", s.requests)
	}
	if got := describe(s.client()); got != describe(c) {
		t.Error("what was made does not prove itself")
	}
	// A stick or hub whose deltas do not lead there is no loss: the list is fetched.
	last := next
	last.Sequence = 3
	put(&last)
	s.all(RoleRevoked)
	s.mustRefresh()
	if targets() != 1 {
		t.Errorf("fetched %v", s.requests)
	}
}

// Consistent snapshots: a repository that moves on while it is read serves the
// one it was when the timestamp was read.
func TestRepositoryMovesOnMeanwhile(t *testing.T) {
	s := newSim(t)
	s.mustRefresh()
	s.all(RoleTargets)
	moved := false
	c := s.client()
	changed, err := c.Refresh(context.Background(), fetcher(func(ctx context.Context, name string, most int64) ([]byte, error) {
		b, err := s.Fetch(ctx, name, most)
		if name == "timestamp.json" && !moved {
			moved = true
			s.all(RoleTargets)
		}
		return b, err
	}))
	if err != nil || !changed || versions(c)[RoleTargets] != 2 {
		t.Errorf("%v, %v, %v", changed, err, versions(c))
	}
	if got := versions(s.mustRefresh()); got[RoleTargets] != 3 {
		t.Errorf("then %v", got)
	}
}

type fetcher func(context.Context, string, int64) ([]byte, error)

func (f fetcher) Fetch(ctx context.Context, name string, most int64) ([]byte, error) {
	return f(ctx, name, most)
}

// Targets of a newer program are let be, not fetched and not judged.
func TestUnknownTargetsAreLetBe(t *testing.T) {
	s := newSim(t)
	s.file(RoleTargets, "weather.json", []byte("sun"))
	s.file(RoleRevoked, "revoked-filter.bin", []byte("…"))
	s.put(RoleTargets)
	s.put(RoleRevoked)
	s.put(RoleSnapshot)
	s.put(RoleTimestamp)
	s.mustRefresh()
	for _, name := range s.requests {
		if strings.Contains(name, "weather") || strings.Contains(name, "filter") {
			t.Errorf("fetched %s", name)
		}
	}
}

func TestNoRepository(t *testing.T) {
	s := newSim(t)
	clear(s.served)
	_, err := s.refresh()
	if !errors.Is(err, ErrMissing) || errors.As(err, new(*Refused)) {
		t.Errorf("error is %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := s.client().Refresh(ctx, s); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestFirstRoot(t *testing.T) {
	s := newSim(t)
	forged := func(edit func()) []byte { edit(); return s.bytes(RoleRoot) }
	for name, b := range map[string][]byte{
		"nothing": nil, "rubbish": []byte("{}"), "unsigned": forged(func() { s.signers[RoleRoot] = nil }),
		"too long": bytes.Repeat([]byte(" "), MaxRoot+1), "timestamp": s.served["timestamp.json"],
	} {
		if err := CheckRoot(b); err == nil {
			t.Errorf("%s is a root", name)
		}
		if _, err := Open(context.Background(), new(memStore), b, s.clock); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if err := CheckRoot(s.first); err != nil {
		t.Error(err)
	}
}

// Snapshot may be read while Refresh runs.
func TestReadWhileRefreshing(t *testing.T) {
	s := newSim(t)
	c := s.mustRefresh()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20 {
			if c.Snapshot().Version == 0 {
				t.Error("no version")
			}
			c.Generation()
			c.Root()
		}
	}()
	for range 5 {
		s.all(RoleTargets)
		if _, err := c.Refresh(context.Background(), s); err != nil {
			t.Error(err)
		}
	}
	<-done
}

// What signed metadata says of a file, the file is.
func TestFits(t *testing.T) {
	b := []byte("trust")
	sum := sha256.Sum256(b)
	other := sha256.Sum256([]byte("other"))
	for _, tc := range []struct {
		most, length int64
		sum          []byte
		want         Why
	}{
		{5, 0, nil, ""}, {5, 5, sum[:], ""}, {4, 0, nil, Oversized}, {9, 4, nil, Mixed}, {9, 6, nil, Mixed}, {9, 5, other[:], Mixed},
	} {
		var why Why
		if r, ok := errors.AsType[*Refused](fits("x", b, tc.most, tc.length, tc.sum)); ok {
			why = r.Why
		}
		if why != tc.want {
			t.Errorf("%+v: %q", tc, why)
		}
	}
}
