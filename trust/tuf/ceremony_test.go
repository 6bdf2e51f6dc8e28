package tuf

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"checkpoint/trust"
)

// plainFolder is a plain folder with a roles file and keys in PEM.
func plainFolder(t testing.TB) fstest.MapFS {
	t.Helper()
	targets := exampleTargets(t)
	plain := fstest.MapFS{}
	put := func(name string, b []byte) { plain[name] = &fstest.MapFile{Data: b} }
	for _, name := range []string{"policy.json", "daykeys.json", "dcc-keys.json"} {
		put(name, without(t, targets[name], "form", "issued"))
	}
	_, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	put("receipt.pem", public)
	put("receipt-keys.json", []byte(`{"keys":[{"pem":"receipt.pem","not_before":"2026-01-01T00:00:00Z","not_after":"2028-01-01T00:00:00Z"}]}`))
	put("wuhan.pem", issuerPEM)
	put("hub-ca.json", []byte(`{"keys":[{"pem":"wuhan.pem","name":"Hub","not_before":"2026-01-01T00:00:00Z","not_after":"2028-01-01T00:00:00Z"}]}`))
	put("issuers.json", []byte(`{"keys":[{"pem":"wuhan.pem","name":"Wuhan","country":"CN","regions":["CN-42"],"colours":["green","red"],"not_before":"2026-01-01T00:00:00Z","not_after":"2028-01-01T00:00:00Z"}]}`))
	put("revoked/superseded.txt", []byte("# newer codes\n0000000000000002\n\n0000000000000001\n"))
	put("revoked/withdrawn.txt", []byte("0000000000000003\n0000000000000002\n"))
	put("dcc-revoked/0102.txt", []byte("uci 000102030405060708090a0b0c0d0e0f\nexpires 2027-01-01T00:00:00Z\n"))
	put("notes.txt", []byte("not for gates"))
	return plain
}

var issuerPEM = []byte(`-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt
6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==
-----END PUBLIC KEY-----
`)

func without(t testing.TB, b []byte, fields ...string) []byte {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		delete(m, f)
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// people are the keys of a ceremony, by their names, each on a machine of its own.
type people map[string]ed25519.PrivateKey

func (p people) roles(t testing.TB) (fstest.MapFS, *Roles) {
	t.Helper()
	folder := fstest.MapFS{}
	r := Roles{Form: RolesForm}
	for role, names := range map[string][]string{
		RoleRoot: {"Root A", "Root B", "Root C"}, RoleTargets: {"Li", "Wang", "Zhao"}, RoleDayKeys: {"Custodian 1", "Custodian 2", "Custodian 3"},
		RoleRevoked: {"Headquarters"}, RoleSnapshot: {"Hub S"}, RoleTimestamp: {"Hub T"},
	} {
		f := r.all()[role]
		f.Threshold = len(names)/2 + 1
		for _, name := range names {
			if p[name] == nil {
				private, public, err := NewKey()
				if err != nil {
					t.Fatal(err)
				}
				if p[name], err = ParseKey(private); err != nil {
					t.Fatal(err)
				}
				folder[name+".pem"] = &fstest.MapFile{Data: public}
			}
			f.Keys = append(f.Keys, RoleOwner{Name: name, Key: hex.EncodeToString(p[name].Public().(ed25519.PublicKey))})
		}
	}
	written := r
	for _, f := range written.all() {
		f.Keys = slices.Clone(f.Keys)
	}
	written.Root.Keys[0] = RoleOwner{Name: "Root A", PEM: "Root A.pem"}
	b, err := json.Marshal(written)
	if err != nil {
		t.Fatal(err)
	}
	folder["roles.json"] = &fstest.MapFile{Data: b}
	return folder, &r
}

// signBy signs a draft, one at a time, as if it were carried from one to the next.
func signBy(t testing.TB, d *Draft, repo []File, keys ...ed25519.PrivateKey) []File {
	t.Helper()
	with := append(slices.Clone(repo), d.Files...)
	b := d.Metadata
	for i, k := range keys {
		if _, err := Finish(b, with); err == nil {
			t.Errorf("%s: finished after %d signatures", d.Role, i)
		}
		var err error
		if b, _, err = AddSignature(b, k, with); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Finish(b, with)
	if err != nil {
		t.Fatal(err)
	}
	return append(with, f)
}

func TestCeremony(t *testing.T) {
	p := people{}
	folder, _ := p.roles(t)
	roles, err := ReadRoles(folder, "roles.json")
	if err != nil {
		t.Fatal(err)
	}
	if weak := roles.Weak(); weak != nil {
		t.Errorf("2 of 3 is weak: %v", weak)
	}
	issued := noon
	// An empty folder, a root.
	root, err := NewRoot(roles, nil, issued, issued.Add(RootFor))
	if err != nil {
		t.Fatal(err)
	}
	if root.Status.Complete || len(root.Status.Missing) != 3 || !slices.Contains(root.Status.Changes, "root: 2 of 3 keys") {
		t.Errorf("a draft stands so: %+v", root.Status)
	}
	signed, st, err := AddSignature(root.Metadata, p["Root A"], nil)
	if err != nil || st.Complete || !slices.Equal(st.Signed, []string{"Root A"}) || !slices.Equal(st.Needs, []string{"1 signature more of the keys of root"}) {
		t.Errorf("after one: %+v, %v", st, err)
	}
	again, st, err := AddSignature(signed, p["Root A"], nil)
	if err != nil || st.Complete || !bytes.Equal(again, signed) {
		t.Errorf("the same key again: %+v, %v", st, err)
	}
	if _, _, err := AddSignature(root.Metadata, p["Li"], nil); err == nil {
		t.Error("somebody who may not has signed a root")
	}
	repo := signBy(t, root, nil, p["Root A"], p["Root C"])
	if repo[0].Name != "1.root.json" || CheckRoot(repo[0].Bytes) != nil {
		t.Error("not a first root")
	}

	plain := plainFolder(t)
	targets, err := BuildTargets(plain, roles, repo, issued, issued.Add(TargetsFor))
	if err != nil {
		t.Fatal(err)
	}
	changes := strings.Join(targets.Status.Changes, "\n")
	for _, want := range []string{"daykeys: 2 of 3 keys", "revoked: new key Headquarters", "issuers.json: new", "Wuhan, [CN-42], [green red]", "receipt key", "hub CA"} {
		if !strings.Contains(changes, want) {
			t.Errorf("changes do not say %q:\n%s", want, changes)
		}
	}
	if strings.Contains(changes, "notes") {
		t.Error("notes are published")
	}
	repo = signBy(t, targets, repo, p["Li"], p["Zhao"])
	days, err := BuildDelegated(RoleDayKeys, plain, repo, issued, issued.Add(DayKeysFor))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := AddSignature(days.Metadata, p["Li"], append(slices.Clone(repo), days.Files...)); err == nil {
		t.Error("a signer of targets has signed day keys")
	}
	online := Online{Snapshot: p["Hub S"], Timestamp: p["Hub T"]}
	if _, err := online.Resign(repo, issued); err == nil {
		t.Error("signed a snapshot without day keys")
	}
	repo = signBy(t, days, repo, p["Custodian 2"], p["Custodian 3"])
	revoked, err := BuildDelegated(RoleRevoked, plain, repo, issued, issued.Add(RevokedFor))
	if err != nil {
		t.Fatal(err)
	}
	repo = signBy(t, revoked, repo, p["Headquarters"])
	for name, o := range map[string]Online{"none": {}, "another's": {Snapshot: p["Li"], Timestamp: p["Hub T"]}, "exchanged": {Snapshot: p["Hub T"], Timestamp: p["Hub S"]}} {
		if _, err := o.Resign(repo, issued); err == nil {
			t.Errorf("signed with keys: %s", name)
		}
	}
	more, err := online.Resign(repo, issued)
	if err != nil {
		t.Fatal(err)
	}
	repo = append(repo, more...)

	// A folder of it, and a gate that reads it.
	dir := t.TempDir()
	if err := WriteFolder(dir, repo); err != nil {
		t.Fatal(err)
	}
	store := new(memStore)
	c, err := Open(context.Background(), store, repo[0].Bytes, func() time.Time { return issued.Add(time.Minute) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Refresh(context.Background(), Folder{os.DirFS(dir)}); err != nil {
		t.Fatal(err)
	}
	s := c.Snapshot()
	if len(s.Issuers.Keys) != 1 || len(s.ReceiptKeys) != 1 || len(s.HubCA) != 1 || len(s.Foreign.DCCRevoked) != 1 ||
		!slices.Equal(s.Revoked.Superseded, []trust.ID{{7: 1}}) || !slices.Equal(s.Revoked.Withdrawn, []trust.ID{{7: 2}, {7: 3}}) {
		t.Errorf("took %+v", s)
	}

	// Twelve hours later headquarters signs revocations again, alone: nothing else
	// is new, and a gate fetches a few bytes.
	later := issued.Add(12 * time.Hour)
	if repo, err = ReadFolder(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if revoked, err = BuildDelegated(RoleRevoked, plain, repo, later, later.Add(RevokedFor)); err != nil {
		t.Fatal(err)
	}
	if len(revoked.Files) != 1 || len(revoked.Files[0].Bytes) != 80 {
		t.Errorf("%d files", len(revoked.Files))
	}
	repo = signBy(t, revoked, repo, p["Headquarters"])
	if more, err = online.Resign(repo, later); err != nil {
		t.Fatal(err)
	}
	if len(more) != 2 || more[0].Name != "2.snapshot.json" {
		t.Errorf("signed %d files", len(more))
	}
	if err := WriteFolder(dir, append(repo, more...)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Refresh(context.Background(), Folder{os.DirFS(dir)}); err != nil {
		t.Fatal(err)
	}
	for _, a := range c.Snapshot().Ages(later) {
		if a.Age != 0 && a.List != "dcc_revoked" { // which goes by its own date
			t.Errorf("%s is %v old", a.List, a.Age)
		}
	}
	if a := c.Snapshot().Anchor(); !a.Equal(later) {
		t.Errorf("anchor %v", a)
	}
}

// What a signer must not sign, signers' tools do not sign.
func TestNotSigned(t *testing.T) {
	k, err := NewKeyring(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plain := plainFolder(t)
	repo, err := k.Publish(plain, nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	next := noon.Add(time.Hour)
	edit := func(name, old, new string) fstest.MapFS {
		changed := plainCopy(plain)
		b := strings.Replace(string(plain[name].Data), old, new, 1)
		if b == string(plain[name].Data) {
			t.Fatalf("%s does not hold %s", name, old)
		}
		changed[name] = &fstest.MapFile{Data: []byte(b)}
		return changed
	}
	gone := plainCopy(plain)
	delete(gone, "policy.json")
	noRevoked := plainCopy(plain)
	delete(noRevoked, "revoked/superseded.txt")
	delete(noRevoked, "revoked/withdrawn.txt")
	for name, tc := range map[string]struct {
		build func() (*Draft, error)
		why   Why // "": any error
	}{
		"a changed day key": {func() (*Draft, error) {
			return BuildDelegated(RoleDayKeys, edit("daykeys.json", `"to":"2026-11-24`, `"to":"2026-11-25`), repo, next, next.Add(DayKeysFor))
		}, DayKeyChanged},
		"a policy that gates refuse": {func() (*Draft, error) {
			return BuildTargets(edit("policy.json", `"venue":"any"`, `"venue":"Any!"`), nil, repo, next, next.Add(TargetsFor))
		}, ""},
		"no policy": {func() (*Draft, error) { return BuildTargets(gone, nil, repo, next, next.Add(TargetsFor)) }, BadTarget},
		"targets dated before those they follow": {func() (*Draft, error) {
			return BuildTargets(plain, nil, repo, noon.Add(-time.Hour), noon.Add(TargetsFor))
		}, ""},
		"day keys that end before they begin": {func() (*Draft, error) {
			return BuildDelegated(RoleDayKeys, plain, repo, next, next.Add(-time.Minute))
		}, BadMetadata},
		"a folder without revocations": {func() (*Draft, error) {
			return BuildDelegated(RoleRevoked, noRevoked, repo, next, next.Add(RevokedFor))
		}, ""},
		"a revoked id that is none": {func() (*Draft, error) {
			return BuildDelegated(RoleRevoked, edit("revoked/withdrawn.txt", "0000000000000003", "3"), repo, next, next.Add(RevokedFor))
		}, ""},
		"another role":             {func() (*Draft, error) { return BuildDelegated("weather", plain, repo, next, next.Add(RevokedFor)) }, ""},
		"targets without any root": {func() (*Draft, error) { return BuildTargets(plain, k.Roles(), nil, next, next.Add(TargetsFor)) }, ""},
		"day keys without targets": {func() (*Draft, error) {
			return BuildDelegated(RoleDayKeys, plain, repo[:1], next, next.Add(DayKeysFor))
		}, ""},
		"a root dated before the one before": {func() (*Draft, error) {
			return NewRoot(k.Roles(), repo, noon.Add(-time.Hour), next.Add(RootFor))
		}, RolledBack},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tc.build()
			var r *Refused
			if err == nil || tc.why != "" && (!errors.As(err, &r) || r.Why != tc.why) {
				t.Errorf("error is %v, want %s", err, tc.why)
			}
		})
	}
	// Somebody who does sign it is stopped by the hub, and by the gate.
	careless := *k
	careless.Careless = true
	bad, err := careless.Publish(edit("daykeys.json", `"to":"2026-11-24`, `"to":"2026-11-25`), repo, next)
	if err != nil {
		t.Fatal(err)
	}
	all := append(slices.Clone(repo), bad...)
	var before []File
	for _, f := range all {
		if role, v, ok := readMetadataName(f.Name); f.Name != timestampName && !(ok && role == RoleSnapshot && v > 1) {
			before = append(before, f)
		}
	}
	for _, f := range repo {
		if f.Name == timestampName {
			before = append(before, f)
		}
	}
	var r *Refused
	if _, err := k.Online.Resign(before, next); !errors.As(err, &r) || r.Why != DayKeyChanged {
		t.Errorf("the hub: %v", err)
	}
	s := &sim{t: t, now: next, store: new(memStore), served: map[string][]byte{}, first: repo[0].Bytes}
	for _, f := range repo {
		s.served[f.Name] = f.Bytes
		if f.Name == "1.root.json" {
			s.first = f.Bytes
		}
	}
	s.mustRefresh()
	for _, f := range bad {
		s.served[f.Name] = f.Bytes
	}
	s.wantRefused(DayKeyChanged)
}

func plainCopy(m fstest.MapFS) fstest.MapFS {
	c := fstest.MapFS{}
	for name, f := range m {
		c[name] = f
	}
	return c
}

func TestRolesThatCannotBe(t *testing.T) {
	good := func() *Roles { _, r := people{}.roles(t); return r }
	for name, edit := range map[string]func(*Roles){
		"another form":      func(r *Roles) { r.Form = "x" },
		"threshold 0":       func(r *Roles) { r.Root.Threshold = 0 },
		"threshold above":   func(r *Roles) { r.Root.Threshold = 4 },
		"no keys":           func(r *Roles) { r.Revoked.Keys = nil },
		"a key twice":       func(r *Roles) { r.Root.Keys[1].Key = r.Root.Keys[0].Key },
		"no name":           func(r *Roles) { r.Root.Keys[0].Name = "" },
		"half a key":        func(r *Roles) { r.Root.Keys[0].Key = r.Root.Keys[0].Key[:32] },
		"the hub signs all": func(r *Roles) { r.Targets.Keys[0].Key = r.Snapshot.Keys[0].Key },
	} {
		r := good()
		edit(r)
		if r.Check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	r := good()
	r.Root.Threshold, r.Targets.Threshold = 1, 3
	if weak := r.Weak(); len(weak) != 2 {
		t.Errorf("weak: %v", weak)
	}
}

// A root is followed by another: whose keys leave and come is said in words, and
// both the old keys and the new must sign.
func TestRootRotation(t *testing.T) {
	p := people{}
	_, roles := p.roles(t)
	root, err := NewRoot(roles, nil, noon, noon.Add(RootFor))
	if err != nil {
		t.Fatal(err)
	}
	repo := signBy(t, root, nil, p["Root A"], p["Root B"])
	p["Root D"], p["Root E"] = key("d"), key("e")
	for i, name := range []string{"Root D", "Root E"} {
		roles.Root.Keys[i] = RoleOwner{Name: name, Key: hex.EncodeToString(p[name].Public().(ed25519.PublicKey))}
	}
	next, err := NewRoot(roles, repo, noon.Add(time.Hour), noon.Add(RootFor))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(next.Status.Changes, "\n"); !strings.Contains(got, "root: new key Root D") || !strings.Contains(got, "key Root A") || len(next.Status.Changes) != 4 {
		t.Errorf("changes:\n%s", got)
	}
	repo = signBy(t, next, repo, p["Root D"], p["Root E"], p["Root A"], p["Root B"])
	st, err := Check(repo[len(repo)-1].Bytes, repo)
	if err != nil || !st.Complete || st.Version != 2 {
		t.Errorf("%+v, %v", st, err)
	}
	// The new root alone says nothing of who had to sign it.
	if _, err := Check(repo[len(repo)-1].Bytes, nil); err == nil {
		t.Error("checked without the root before")
	}
}

func TestResign(t *testing.T) {
	k, err := NewKeyring(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := k.Publish(plainFolder(t), nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	resign := func(at time.Time) (names []string) {
		t.Helper()
		made, err := k.Online.Resign(repo, at)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range made {
			names = append(names, f.Name)
			repo = slices.DeleteFunc(repo, func(old File) bool { return old.Name == f.Name })
		}
		repo = append(repo, made...)
		return names
	}
	issued := func() time.Time {
		for _, f := range repo {
			if f.Name == timestampName {
				m, err := readTimestamp("", f.Bytes)
				if err != nil {
					t.Fatal(err)
				}
				at, _ := issuedIn(m.Signed.UnrecognizedFields)
				return at
			}
		}
		return time.Time{}
	}
	one := []string{"timestamp.json"}
	if got := resign(noon.Add(time.Hour)); !slices.Equal(got, one) {
		t.Errorf("signed %v", got)
	}
	if resign(noon.Add(time.Hour - time.Minute)); !issued().Equal(noon.Add(time.Hour)) {
		t.Errorf("a clock that is a little behind: issued %v", issued())
	}
	// A clock that was wrong by a year: the next date is the right one again, and
	// gates take it as the snapshot is a new version.
	resign(noon.AddDate(1, 0, 0))
	if got := resign(noon.Add(2 * time.Hour)); len(got) != 2 || !issued().Equal(noon.Add(2*time.Hour)) {
		t.Errorf("after a wrong clock: %v, issued %v", got, issued())
	}
	if got := resign(noon.Add(2*time.Hour + SnapshotFor*2/3)); len(got) != 2 {
		t.Errorf("a snapshot past half of its time: signed %v", got)
	}
	// A repository that goes back is not signed.
	var less []File
	for _, f := range repo {
		if f.Name != "1.revoked.json" {
			less = append(less, f)
		}
	}
	if _, err := k.Online.Resign(less, noon.AddDate(0, 0, 3)); err == nil {
		t.Error("signed a repository without revocations")
	}
}

// Many lists of revocations later a gate has what the signers have, has fetched
// little, and few deltas stand in the repository.
func TestManyRevocations(t *testing.T) {
	k, err := NewKeyring(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plain := plainFolder(t)
	var lines strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&lines, "%016x\n", uint64(1<<40)+uint64(i))
	}
	s := &sim{t: t, now: noon, store: new(memStore), served: map[string][]byte{}}
	publish := func(files []File) {
		for _, f := range files {
			s.served[f.Name] = f.Bytes
		}
	}
	plain["revoked/superseded.txt"] = &fstest.MapFile{Data: []byte(lines.String())}
	files, err := k.Publish(plain, nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	publish(files)
	s.first = s.served["1.root.json"]
	s.mustRefresh()
	lists, most, steps := 0, 0, 4
	if os.Getenv("CHECKPOINT_KILLS") != "" {
		steps = 200
	}
	for i := range steps {
		s.now = s.now.Add(time.Hour)
		fmt.Fprintf(&lines, "%016x\n", uint64(1<<50)+uint64(i))
		plain["revoked/superseded.txt"] = &fstest.MapFile{Data: []byte(lines.String())}
		repo := filesOf(s.served)
		d, err := BuildDelegated(RoleRevoked, plain, repo, s.now, s.now.Add(RevokedFor))
		if err != nil {
			t.Fatal(err)
		}
		files, err := k.Sign(d, repo)
		if err != nil {
			t.Fatal(err)
		}
		publish(files)
		if files, err = k.Online.Resign(filesOf(s.served), s.now); err != nil {
			t.Fatal(err)
		}
		publish(files)
		for _, f := range d.Files {
			if strings.HasSuffix(f.Name, ".revoked.bin") {
				lists++
			}
		}
		c := s.mustRefresh()
		for _, name := range s.requests {
			if strings.HasSuffix(name, ".revoked.bin") {
				t.Errorf("list %d was fetched whole", i)
			}
		}
		if got := len(c.Snapshot().Revoked.Superseded); got != 2001+i {
			t.Fatalf("%d superseded after %d", got, i)
		}
		m := reading(filesOf(s.served)).targets[RoleRevoked]
		most = max(most, len(m.Signed.Targets))
	}
	if lists < steps/(maxChain+1) || most > trust.MaxDeltas+1 {
		t.Errorf("%d new lists, at most %d targets", lists, most)
	}
	// Whoever comes new takes the same.
	old := describe(s.client())
	s.store = new(memStore)
	if got := s.mustRefresh().Snapshot(); len(got.Revoked.Superseded) != 2000+steps {
		t.Errorf("a new gate has %d, %s", len(got.Revoked.Superseded), old)
	}
}

// The signers' side of it alone, for long: what stands in the repository is
// always one list and its deltas, few enough, and makes what was meant; whoever
// holds the list before makes the new one of the deltas.
func TestListsAndDeltas(t *testing.T) {
	next := &trust.RevokedList{Sequence: 1, Issued: noon, Superseded: []trust.ID{{1}}}
	files, err := nextRevoked(next, nil)
	if err != nil {
		t.Fatal(err)
	}
	lists := 0
	for i := range 200 {
		base := files[trust.TargetRevoked]
		next = &trust.RevokedList{Issued: noon.Add(time.Duration(i) * time.Hour), Withdrawn: []trust.ID{{2, byte(i)}}}
		if i%3 == 0 {
			next.Superseded = []trust.ID{{1}}
		}
		if files, err = nextRevoked(next, files); err != nil {
			t.Fatal(err)
		}
		if len(files) > trust.MaxDeltas+1 {
			t.Fatalf("%d files after %d", len(files), i)
		}
		s := &trust.Snapshot{Version: 1, Issued: noon}
		all, err := trust.Targets(s, 1)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(all, files)
		if s, err = trust.Assemble(1, noon, all); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(s.Revoked.Withdrawn, next.Withdrawn) || !slices.Equal(s.Revoked.Superseded, next.Superseded) || !s.Revoked.Issued.Equal(next.Issued) {
			t.Fatalf("%d: makes %+v", i, s.Revoked)
		}
		if bytes.Equal(base, files[trust.TargetRevoked]) {
			continue
		}
		lists++
		old, err := trust.ParseRevoked(base)
		if err != nil {
			t.Fatal(err)
		}
		deltas := maps.Clone(files)
		delete(deltas, trust.TargetRevoked)
		chain, err := trust.RevokedChain(old.Sequence, deltas)
		if err != nil {
			t.Fatal(err)
		}
		made, err := old.Follow(chain...)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := made.AppendBinary(nil); err != nil || !bytes.Equal(b, files[trust.TargetRevoked]) {
			t.Errorf("the deltas do not make list %d: %v", made.Sequence, err)
		}
	}
	if lists < 5 {
		t.Errorf("%d lists were made anew", lists)
	}
}

// What says the same keeps its bytes, and no gate fetches it again.
func TestUnchangedTargetsStay(t *testing.T) {
	k, err := NewKeyring(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plain := plainFolder(t)
	repo, err := k.Publish(plain, nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	d, err := BuildTargets(plain, nil, repo, noon.Add(time.Hour), noon.Add(TargetsFor))
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Files) != 0 || len(d.Status.Changes) != 0 {
		t.Errorf("%d files, changes %v", len(d.Files), d.Status.Changes)
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"../x", "/x", "x.part", "root.json", "01.root.json", "targets/x", "targets/../" + strings.Repeat("0", 64) + ".x", "1.timestamp.json"} {
		if WriteFolder(dir, []File{{name, nil}}) == nil {
			t.Errorf("%s was written", name)
		}
	}
	if err := WriteFolder(dir, []File{{"timestamp.json", []byte("1")}, {"1.root.json", []byte("a")}}); err != nil {
		t.Fatal(err)
	}
	if err := WriteFolder(dir, []File{{"timestamp.json", []byte("2")}, {"1.root.json", []byte("a")}}); err != nil {
		t.Fatal(err)
	}
	if err := WriteFolder(dir, []File{{"1.root.json", []byte("b")}}); err == nil {
		t.Error("a version was replaced")
	}
	f := Folder{os.DirFS(dir)}
	ctx := context.Background()
	if b, err := f.Fetch(ctx, "timestamp.json", 1); err != nil || string(b) != "2" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := f.Fetch(ctx, "timestamp.json", 0); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too long: %v", err)
	}
	for _, name := range []string{"../" + filepath.Base(dir), "nothing", ".", "a/../timestamp.json"} {
		if _, err := f.Fetch(ctx, name, 9); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The roles file and the plain folder of the documentation make a repository.
func TestExampleFolder(t *testing.T) {
	folder := os.DirFS("../../docs/examples")
	if _, err := ReadRoles(folder, "trust-roles.json"); err != nil {
		t.Error(err)
	}
	k, err := NewKeyring(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := fs.Sub(folder, "trust-plain")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Publish(plain, nil, noon); err != nil {
		t.Error(err)
	}
}

// One key that stands under two ids is one signer for those who count by hand,
// too.
func TestOneKeyUnderTwoIDsIsOneSigner(t *testing.T) {
	s := newSim(t)
	role := s.root.Signed.Roles[RoleTargets]
	twin := *s.root.Signed.Keys[role.KeyIDs[0]]
	s.root.Signed.Keys["twin"] = &twin
	role.KeyIDs, role.Threshold = append(role.KeyIDs, "twin"), 2
	m := s.targets[RoleTargets]
	one, err := sign(m, s.signers[RoleTargets][0])
	s.must(err)
	two := one
	two.KeyID = "twin"
	m.Signatures = append(m.Signatures[:0], one, two)
	if signed, err := signers(s.root, RoleTargets, m); err != nil || len(signed) != 1 {
		t.Errorf("signed by %v, %v", signed, err)
	}
}

// TestResignAfterARestore: a hub that has forgotten how far it had counted is
// taken again by gates that have seen more.
func TestResignAfterARestore(t *testing.T) {
	k, err := NewKeyring(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	backup, err := k.Publish(plainFolder(t), nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	seen := slices.Clone(backup)
	resigned := func(repo []File, o Online, at time.Time) []File {
		t.Helper()
		made, err := o.Resign(repo, at)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range made {
			repo = slices.DeleteFunc(slices.Clone(repo), func(old File) bool { return old.Name == f.Name })
		}
		return append(slices.Clone(repo), made...)
	}
	for i := range 5 { // what gates saw after the backup
		seen = resigned(seen, k.Online, noon.Add(time.Duration(i+1)*time.Hour))
	}
	later := noon.Add(6 * time.Hour)
	for _, tc := range []struct {
		name  string
		least int64
		taken bool
	}{{"counted on from the backup", 0, false}, {"above all that there was", LeastAfterRestore(later), true}} {
		t.Run(tc.name, func(t *testing.T) {
			at := noon
			c, err := Open(t.Context(), new(memStore), fileNamed(backup, "1.root.json"), func() time.Time { return at })
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Refresh(t.Context(), served(seen)); err != nil {
				t.Fatal(err)
			}
			at = later
			o := k.Online
			o.Least = tc.least
			_, err = c.Refresh(t.Context(), served(resigned(backup, o, later)))
			if (err == nil) != tc.taken {
				t.Errorf("taken %v: %v, want %v", err == nil, err, tc.taken)
			}
		})
	}
}

func fileNamed(files []File, name string) []byte {
	for _, f := range files {
		if f.Name == name {
			return f.Bytes
		}
	}
	return nil
}

// served is a repository as a hub serves it.
func served(files []File) Fetcher {
	return fetcher(func(_ context.Context, name string, _ int64) ([]byte, error) {
		if b := fileNamed(files, name); b != nil {
			return b, nil
		}
		return nil, ErrMissing
	})
}
