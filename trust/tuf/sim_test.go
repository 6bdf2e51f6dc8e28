package tuf

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"checkpoint/trust"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// key is a key by a word.
func key(word string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(word))
	return ed25519.NewKeyFromSeed(seed[:])
}

// exampleTargets are targets of the example snapshot.
func exampleTargets(t testing.TB) map[string][]byte {
	t.Helper()
	b, err := os.ReadFile("../../docs/examples/trust.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := trust.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	targets, err := trust.Targets(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	return targets
}

// sim is a repository whose every part can be bent. What is served is what was
// put; names and requests are as a web server would see them.
type sim struct {
	t        testing.TB
	root     *metadata.Metadata[metadata.RootType]
	online   *metadata.Metadata[metadata.TimestampType]
	snapshot *metadata.Metadata[metadata.SnapshotType]
	targets  map[string]*metadata.Metadata[metadata.TargetsType]
	signers  map[string][]ed25519.PrivateKey
	bare     bool // no lengths and hashes in snapshot and timestamp

	served    map[string][]byte
	requests  []string
	endless   string // a file of that name never ends
	failAfter int    // requests until the line breaks; 0: never

	now   time.Time
	store *memStore
	first []byte
}

func newSim(t testing.TB) *sim {
	t.Helper()
	s := &sim{
		t: t, now: noon, store: new(memStore), served: map[string][]byte{}, signers: map[string][]ed25519.PrivateKey{},
		root: metadata.Root(noon.AddDate(1, 0, 0)), online: metadata.Timestamp(noon.AddDate(0, 0, 2)), snapshot: metadata.Snapshot(noon.AddDate(0, 0, 7)),
		targets: map[string]*metadata.Metadata[metadata.TargetsType]{},
	}
	s.root.Signed.UnrecognizedFields = map[string]any{"issued": stamp(noon.Add(-48 * time.Hour))}
	s.online.Signed.UnrecognizedFields = map[string]any{"issued": stamp(noon)}
	for _, role := range []string{RoleRoot, RoleTimestamp, RoleSnapshot, RoleTargets} {
		s.rotate(role, role)
	}
	s.signers[RoleDayKeys], s.signers[RoleRevoked] = []ed25519.PrivateKey{key(RoleDayKeys)}, []ed25519.PrivateKey{key(RoleRevoked)}
	contents := exampleTargets(t)
	for _, role := range []string{RoleTargets, RoleDayKeys, RoleRevoked} {
		m := metadata.Targets(noon.AddDate(0, 1, 0))
		m.Signed.UnrecognizedFields = map[string]any{"issued": stamp(noon.Add(-24 * time.Hour)), "role": role}
		s.targets[role] = m
	}
	s.delegate()
	for name, b := range contents {
		s.file(delegatedTo(name), name, b)
	}
	s.put(RoleRoot)
	s.first = s.served["1.root.json"]
	for _, role := range []string{RoleTargets, RoleDayKeys, RoleRevoked, RoleSnapshot, RoleTimestamp} {
		s.put(role)
	}
	return s
}

// delegate writes the delegations for the keys in signers.
func (s *sim) delegate() {
	d := &metadata.Delegations{Keys: map[string]*metadata.Key{}}
	for _, part := range delegated {
		role := metadata.DelegatedRole{Name: part.role, Threshold: 1, Terminating: true, Paths: []string{part.paths}}
		for _, k := range s.signers[part.role] {
			id, public, err := tufKey(k.Public().(ed25519.PublicKey))
			s.must(err)
			d.Keys[id] = public
			role.KeyIDs = append(role.KeyIDs, id)
		}
		d.Roles = append(d.Roles, role)
	}
	s.targets[RoleTargets].Signed.Delegations = d
}

func (s *sim) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// rotate gives a role of root the keys of these words, all of which sign.
func (s *sim) rotate(role string, words ...string) {
	r := &metadata.Role{Threshold: 1}
	s.signers[role] = nil
	for _, word := range words {
		id, public, err := tufKey(key(word).Public().(ed25519.PublicKey))
		s.must(err)
		s.root.Signed.Keys[id] = public
		r.KeyIDs = append(r.KeyIDs, id)
		s.signers[role] = append(s.signers[role], key(word))
	}
	s.root.Signed.Roles[role] = r
}

// file names a target file and serves it.
func (s *sim) file(role, name string, b []byte) {
	f, err := metadata.TargetFile().FromBytes(name, b)
	s.must(err)
	s.targets[role].Signed.Targets[name] = f
	s.served[targetFile(name, f.Hashes["sha256"])] = b
}

func (s *sim) version(role string) *int64 {
	switch role {
	case RoleRoot:
		return &s.root.Signed.Version
	case RoleTimestamp:
		return &s.online.Signed.Version
	case RoleSnapshot:
		return &s.snapshot.Signed.Version
	}
	return &s.targets[role].Signed.Version
}

func (s *sim) expire(role string, at time.Time) {
	switch role {
	case RoleRoot:
		s.root.Signed.Expires = at
	case RoleTimestamp:
		s.online.Signed.Expires = at
	case RoleSnapshot:
		s.snapshot.Signed.Expires = at
	default:
		s.targets[role].Signed.Expires = at
	}
}

// bytes signs a role's metadata as it stands.
func (s *sim) bytes(role string) []byte {
	s.t.Helper()
	switch role {
	case RoleRoot:
		return signedBy(s.t, s.root, s.signers[role]...)
	case RoleTimestamp:
		return signedBy(s.t, s.online, s.signers[role]...)
	case RoleSnapshot:
		return signedBy(s.t, s.snapshot, s.signers[role]...)
	}
	return signedBy(s.t, s.targets[role], s.signers[role]...)
}

func signedBy[T metadata.Roles](t testing.TB, m *metadata.Metadata[T], keys ...ed25519.PrivateKey) []byte {
	t.Helper()
	m.Signatures = []metadata.Signature{}
	for _, k := range keys {
		signature, err := sign(m, k)
		if err != nil {
			t.Fatal(err)
		}
		m.Signatures = append(m.Signatures, signature)
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// put signs, serves and names a role's metadata where it must be named.
func (s *sim) put(role string) {
	s.t.Helper()
	b := s.bytes(role)
	s.served[metadataName(role, *s.version(role))] = b
	meta := metadata.MetaFile(*s.version(role))
	if !s.bare {
		f, err := metaFile(*s.version(role), b)
		s.must(err)
		meta = f
	}
	switch role {
	case RoleTargets, RoleDayKeys, RoleRevoked:
		s.snapshot.Signed.Meta[role+".json"] = meta
	case RoleSnapshot:
		s.online.Signed.Meta["snapshot.json"] = meta
	}
}

// bump makes the next version of each role, in this order.
func (s *sim) bump(roles ...string) {
	s.t.Helper()
	for _, role := range roles {
		*s.version(role)++
		s.put(role)
	}
}

// all is a change that goes up through snapshot and timestamp.
func (s *sim) all(role string) { s.t.Helper(); s.bump(role, RoleSnapshot, RoleTimestamp) }

func (s *sim) Fetch(_ context.Context, name string, most int64) ([]byte, error) {
	s.requests = append(s.requests, name)
	if s.failAfter > 0 {
		if s.failAfter--; s.failAfter == 0 {
			s.failAfter = -1
		}
	}
	if s.failAfter < 0 {
		return nil, errLine
	}
	if name == s.endless {
		return []byte(strings.Repeat(" ", int(most)+1)), nil
	}
	b, ok := s.served[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, ErrMissing)
	}
	if int64(len(b)) > most {
		return nil, ErrTooLarge
	}
	return b, nil
}

var errLine = errors.New("the line broke")

func (s *sim) clock() time.Time { return s.now }

// client opens what the store has.
func (s *sim) client() *Client {
	s.t.Helper()
	c, err := Open(context.Background(), s.store, s.first, s.clock)
	s.must(err)
	return c
}

// refresh refreshes a client that opens anew.
func (s *sim) refresh() (*Client, error) {
	s.t.Helper()
	c := s.client()
	s.requests = nil
	_, err := c.Refresh(context.Background(), s)
	return c, err
}

func (s *sim) mustRefresh() *Client {
	s.t.Helper()
	c, err := s.refresh()
	s.must(err)
	return c
}

// wantRefused refreshes, wants that word, and that what was held is held on: by
// the client and by one that opens anew.
func (s *sim) wantRefused(why Why) {
	s.t.Helper()
	before := s.client()
	c, err := s.refresh()
	var r *Refused
	if !errors.As(err, &r) || r.Why != why {
		s.t.Errorf("refused with %v, want %s", err, why)
	}
	for _, now := range []*Client{c, s.client()} {
		if got, want := describe(now), describe(before); got != want {
			s.t.Errorf("holds %s, held %s", got, want)
		}
	}
}

// describe is what a client holds, but for roots.
func describe(c *Client) string {
	g, ok := c.Generation()
	if !ok {
		return "nothing"
	}
	var names []string
	for _, f := range g.Files {
		if role, _, ok := readMetadataName(f.Name); !ok || role != RoleRoot {
			names = append(names, fmt.Sprintf("%s %x", f.Name, sha256.Sum256(f.Bytes)))
		}
	}
	return fmt.Sprint(g.Version, g.Issued, g.Anchor, names, c.Snapshot().Version)
}

// versions are those of a client's metadata, by role; roots: the newest.
func versions(c *Client) map[string]int64 {
	all := map[string]int64{}
	g, _ := c.Generation()
	for _, f := range g.Files {
		role, v, ok := readMetadataName(f.Name)
		if ok && role == RoleTimestamp {
			m, err := readTimestamp(f.Name, f.Bytes)
			if err == nil {
				v = m.Signed.Version
			}
		}
		if ok {
			all[role] = max(all[role], v)
		}
	}
	if m, err := readRoot("", c.Root()); err == nil {
		all[RoleRoot] = m.Signed.Version
	}
	return all
}

// memStore keeps two generations, as a gate does.
type memStore struct {
	kept  []Generation
	fail  error // of Keep, which then keeps nothing
	after error // of Keep, which then has kept it
	kepts int
}

func (m *memStore) Generations(context.Context) ([]Generation, error) {
	return slices.Clone(m.kept), nil
}

func (m *memStore) Keep(_ context.Context, g Generation) error {
	if m.fail != nil {
		return m.fail
	}
	m.kepts++
	copied := g
	copied.Files = nil
	for _, f := range g.Files { // what is kept is bytes of its own
		copied.Files = append(copied.Files, File{f.Name, slices.Clone(f.Bytes)})
	}
	if len(m.kept) > 0 && m.kept[0].Version == g.Version {
		m.kept[0] = copied
	} else {
		m.kept = append([]Generation{copied}, m.kept...)
	}
	m.kept = m.kept[:min(len(m.kept), 2)]
	return m.after
}

// fileIn gives a kept file for the test to damage.
func (m *memStore) fileIn(generation int, part string) *File {
	for i := range m.kept[generation].Files {
		if f := &m.kept[generation].Files[i]; strings.Contains(f.Name, part) {
			return f
		}
	}
	return nil
}

// files are the files of a map, sorted.
func filesOf(m map[string][]byte) []File {
	var all []File
	for _, name := range slices.Sorted(maps.Keys(m)) {
		all = append(all, File{name, m[name]})
	}
	return all
}
