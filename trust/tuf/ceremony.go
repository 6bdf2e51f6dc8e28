package tuf

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"checkpoint/trust"
)

// How long metadata is good, where the caller has no other wish.
const (
	RootFor      = 365 * 24 * time.Hour
	TargetsFor   = 90 * 24 * time.Hour
	DayKeysFor   = 35 * 24 * time.Hour
	RevokedFor   = 7 * 24 * time.Hour // the ladder's limit: then a gate judges nothing anyhow
	SnapshotFor  = 7 * 24 * time.Hour
	TimestampFor = 24 * time.Hour
)

// Draft is metadata on its way to its signers, with the new files that it names.
type Draft struct {
	Role     string // root, targets, daykeys or revoked
	Metadata []byte
	Files    []File // target files that the repository does not have yet
	Status   *Status
}

// Status says how metadata stands: who has signed, who is missing, what changes.
type Status struct {
	Role     string
	Version  int64
	Issued   time.Time // zero: the snapshot of an older hub
	Expires  time.Time
	Signed   []string // names of those whose signatures hold
	Missing  []string // names of those who may sign and have not
	Needs    []string // in words: how many signatures are missing of whom
	Complete bool     // enough have signed
	Changes  []string // in words: what is new against the version before
}

// NewRoot drafts the root that follows the newest one in a repository, or the
// first one where there is none.
func NewRoot(roles *Roles, repo []File, issued, expires time.Time) (*Draft, error) {
	if err := roles.Check(); err != nil {
		return nil, err
	}
	r := reading(repo)
	m := metadata.Root(expires.UTC().Truncate(time.Second))
	m.Signed.Roles = map[string]*metadata.Role{}
	names := map[string]any{}
	for _, role := range []string{RoleRoot, RoleTargets, RoleSnapshot, RoleTimestamp} {
		ids, err := fillKeys(*roles.all()[role], m.Signed.Keys, names)
		if err != nil {
			return nil, err
		}
		m.Signed.Roles[role] = &metadata.Role{KeyIDs: ids, Threshold: roles.all()[role].Threshold}
	}
	m.Signed.UnrecognizedFields = map[string]any{"issued": stamp(issued), "names": names}
	if r.root != nil {
		m.Signed.Version = r.root.Signed.Version + 1
	}
	return r.draft(RoleRoot, m, nil)
}

// fillKeys adds a role's keys and their names, and gives their ids.
func fillKeys(f RoleFile, keys map[string]*metadata.Key, names map[string]any) ([]string, error) {
	var ids []string
	for _, k := range f.Keys {
		b, err := hex.DecodeString(k.Key)
		if err != nil {
			return nil, err
		}
		id, key, err := tufKey(b)
		if err != nil {
			return nil, err
		}
		keys[id], names[id] = key, k.Name
		ids = append(ids, id)
	}
	return ids, nil
}

func stamp(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }

// BuildTargets drafts the targets metadata that follows the newest in a
// repository, over the targets of a plain folder (docs/formats.md). Whose keys
// sign daykeys and revoked is taken from roles; nil: as before.
func BuildTargets(plain fs.FS, roles *Roles, repo []File, issued, expires time.Time) (*Draft, error) {
	return reading(repo).buildTargets(plain, roles, issued, expires)
}

func (r *readingRepo) buildTargets(plain fs.FS, roles *Roles, issued, expires time.Time) (*Draft, error) {
	before := r.targets[RoleTargets]
	m := metadata.Targets(expires.UTC().Truncate(time.Second))
	if err := follow(m, before, RoleTargets, issued); err != nil {
		return nil, err
	}
	switch {
	case roles != nil:
		if err := roles.Check(); err != nil {
			return nil, err
		}
		d, names := &metadata.Delegations{Keys: map[string]*metadata.Key{}}, map[string]any{}
		for _, part := range delegated {
			f := *roles.all()[part.role]
			ids, err := fillKeys(f, d.Keys, names)
			if err != nil {
				return nil, err
			}
			d.Roles = append(d.Roles, metadata.DelegatedRole{Name: part.role, KeyIDs: ids, Threshold: f.Threshold, Terminating: true, Paths: []string{part.paths}})
		}
		m.Signed.Delegations = d
		m.Signed.UnrecognizedFields["names"] = names
	case before != nil:
		m.Signed.Delegations = before.Signed.Delegations
		if names := before.Signed.UnrecognizedFields["names"]; names != nil {
			m.Signed.UnrecognizedFields["names"] = names
		}
	default:
		return nil, errors.New("the first targets need a roles file: who signs daykeys and revoked")
	}
	contents, err := plainTargets(plain, r.contents(RoleTargets), issued)
	if err != nil {
		return nil, err
	}
	return r.draft(RoleTargets, m, contents)
}

// BuildDelegated drafts the metadata of daykeys or revoked that follows the
// newest in a repository, over a plain folder. The signers of targets are not
// needed for it.
func BuildDelegated(role string, plain fs.FS, repo []File, issued, expires time.Time) (*Draft, error) {
	return reading(repo).buildDelegated(role, plain, issued, expires)
}

func (r *readingRepo) buildDelegated(role string, plain fs.FS, issued, expires time.Time) (*Draft, error) {
	make := map[string]func(fs.FS, map[string][]byte, time.Time) (map[string][]byte, error){RoleDayKeys: plainDayKeys, RoleRevoked: plainRevoked}[role]
	if make == nil {
		return nil, fmt.Errorf("role %.40q is not delegated", role)
	}
	m := metadata.Targets(expires.UTC().Truncate(time.Second))
	if err := follow(m, r.targets[role], role, issued); err != nil {
		return nil, err
	}
	contents, err := make(plain, r.contents(role), issued)
	if err != nil {
		return nil, err
	}
	return r.draft(role, m, contents)
}

// follow makes new metadata the next version.
func follow(m, before *metadata.Metadata[metadata.TargetsType], role string, issued time.Time) error {
	m.Signed.UnrecognizedFields = map[string]any{"issued": stamp(issued), "role": role}
	if before == nil {
		return nil
	}
	m.Signed.Version = before.Signed.Version + 1
	was, err := issuedIn(before.Signed.UnrecognizedFields)
	if err == nil && issued.Before(was) {
		return fmt.Errorf("%s before this were issued at %s: is the clock of this machine right?", role, stamp(was))
	}
	return err
}

// readingRepo is a repository as those who sign read it: the newest metadata of
// each role, signed or not, and the files.
type readingRepo struct {
	unchecked bool // drafts are not held to what signers must refuse

	files   map[string][]byte
	root    *metadata.Metadata[metadata.RootType]
	targets map[string]*metadata.Metadata[metadata.TargetsType]
}

func reading(repo []File) *readingRepo {
	r := &readingRepo{files: make(map[string][]byte, len(repo)), targets: map[string]*metadata.Metadata[metadata.TargetsType]{}}
	versions := map[string][]int64{}
	for _, f := range repo {
		r.files[f.Name] = f.Bytes
		if role, version, ok := readMetadataName(f.Name); ok {
			versions[role] = append(versions[role], version)
		}
	}
	for role, all := range versions {
		slices.Sort(all)
		for _, version := range slices.Backward(all) { // what cannot be read is not there
			if r.read(role, version) {
				break
			}
		}
	}
	return r
}

// read makes one version the newest of its role.
func (r *readingRepo) read(role string, version int64) bool {
	switch role {
	case RoleRoot:
		m, err := readRoot("", r.files[metadataName(role, version)])
		if err == nil && m.Signed.Version == version {
			r.root = m
			return true
		}
	case RoleTargets, RoleDayKeys, RoleRevoked:
		if m := r.at(role, version); m != nil && m.Signed.Version == version {
			r.targets[role] = m
			return true
		}
	}
	return false
}

// at is a version of metadata of a role, nil when it is not there.
func (r *readingRepo) at(role string, version int64) *metadata.Metadata[metadata.TargetsType] {
	name := metadataName(role, version)
	m, err := readTargets(name, role, r.files[name])
	if err != nil {
		return nil
	}
	return m
}

// contents are the target files of a role's newest metadata, by their names.
func (r *readingRepo) contents(role string) map[string][]byte { return r.contentsOf(r.targets[role]) }

func (r *readingRepo) contentsOf(m *metadata.Metadata[metadata.TargetsType]) map[string][]byte {
	all := map[string][]byte{}
	if m == nil {
		return all
	}
	for name, f := range m.Signed.Targets {
		if b := r.files[targetFile(name, f.Hashes["sha256"])]; b != nil && f.VerifyLengthHashes(b) == nil {
			all[name] = b
		}
	}
	return all
}

// draft writes metadata that nobody has signed, and checks it as signers will.
func (r *readingRepo) draft(role string, m any, contents map[string][]byte) (*Draft, error) {
	d := &Draft{Role: role}
	var err error
	if m, isTargets := m.(*metadata.Metadata[metadata.TargetsType]); isTargets {
		for name, b := range contents {
			f, err := metadata.TargetFile().FromBytes(name, b)
			if err != nil {
				return nil, err
			}
			m.Signed.Targets[name] = f
			file := targetFile(name, f.Hashes["sha256"])
			if _, there := r.files[file]; !there {
				d.Files = append(d.Files, File{file, b})
			}
		}
		slices.SortFunc(d.Files, func(a, b File) int {
			if a.Name < b.Name {
				return -1
			}
			return 1
		})
	}
	if d.Metadata, err = json.MarshalIndent(m, "", " "); err != nil {
		return nil, err
	}
	d.Metadata = append(d.Metadata, '\n')
	if r.unchecked {
		return d, nil
	}
	repo := make([]File, 0, len(r.files)+len(d.Files))
	for name, b := range r.files {
		repo = append(repo, File{name, b})
	}
	if d.Status, err = Check(d.Metadata, append(repo, d.Files...)); err != nil {
		return nil, err
	}
	return d, nil
}

// signing is metadata under signers' eyes.
type signing struct {
	role     string
	meta     any
	version  int64
	issued   time.Time
	expires  time.Time
	vouching []any // metadata whose keys must have signed, by threshold
	changes  []string
}

// examine reads metadata, holds it to what a gate will, and finds who must sign.
func examine(data []byte, repo []File) (s *signing, err error) {
	defer caught(&err)
	if err := scan(data); err != nil {
		return nil, &Refused{BadMetadata, "", err}
	}
	var head struct {
		Signed struct {
			Type string `json:"_type"`
			Role string `json:"role"`
		} `json:"signed"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, &Refused{BadMetadata, "", errors.New("not metadata")}
	}
	r := reading(repo)
	s = &signing{role: head.Signed.Type}
	if s.role == RoleTargets {
		s.role = head.Signed.Role
	}
	switch s.role {
	case RoleRoot:
		err = s.readRoot(data, r)
	case RoleTargets, RoleDayKeys, RoleRevoked:
		err = s.readTargets(data, r)
	case RoleSnapshot, RoleTimestamp:
		err = s.readOnline(data, r)
	default:
		err = &Refused{BadMetadata, "", fmt.Errorf("type or role %.40q", s.role)}
	}
	return s, err
}

func (s *signing) readRoot(data []byte, r *readingRepo) error {
	m, err := readRoot("root", data)
	if err != nil {
		return err
	}
	s.meta, s.version, s.expires = m, m.Signed.Version, m.Signed.Expires
	s.issued, _ = issuedIn(m.Signed.UnrecognizedFields)
	s.vouching = []any{m}
	before, err := readRoot("", r.files[metadataName(RoleRoot, s.version-1)])
	if s.version > 1 {
		if err != nil {
			return fmt.Errorf("root version %d is not there: without it nobody can tell who must sign version %d", s.version-1, s.version)
		}
		s.vouching = []any{before, m}
		if was, _ := issuedIn(before.Signed.UnrecognizedFields); s.issued.Before(was) {
			return &Refused{RolledBack, "", errors.New("root issued before the one it follows")}
		}
		s.changes = keyChanges(before, m, RoleRoot, RoleTargets, RoleSnapshot, RoleTimestamp)
	} else {
		s.changes = keyChanges(nil, m, RoleRoot, RoleTargets, RoleSnapshot, RoleTimestamp)
	}
	return nil
}

func (s *signing) readTargets(data []byte, r *readingRepo) error {
	m, err := readTargets(s.role, s.role, data)
	if err != nil {
		return err
	}
	s.meta, s.version, s.expires = m, m.Signed.Version, m.Signed.Expires
	s.issued, _ = issuedIn(m.Signed.UnrecognizedFields)
	if s.role == RoleTargets {
		if r.root == nil {
			return errors.New("there is no root: who may sign targets cannot be told")
		}
		s.vouching = []any{r.root}
		if err := goodDelegations(m.Signed.Delegations); err != nil {
			return &Refused{BadDelegation, "", err}
		}
	} else {
		if r.targets[RoleTargets] == nil {
			return fmt.Errorf("there are no targets: who may sign %s cannot be told", s.role)
		}
		s.vouching = []any{r.targets[RoleTargets]}
		if m.Signed.Delegations != nil {
			return &Refused{BadDelegation, "", fmt.Errorf("%s may not delegate any further", s.role)}
		}
	}
	before := r.at(s.role, s.version-1)
	if before == nil && s.version > 1 {
		return fmt.Errorf("%s is not there: what changes cannot be told", metadataName(s.role, s.version-1))
	}
	if before != nil {
		if was, _ := issuedIn(before.Signed.UnrecognizedFields); s.issued.Before(was) {
			return &Refused{RolledBack, "", fmt.Errorf("%s issued before those they follow", s.role)}
		}
	}
	return s.weigh(m, before, r)
}

// weigh holds the target files to what a gate will take, and says in words what
// is new in them.
func (s *signing) weigh(m, before *metadata.Metadata[metadata.TargetsType], r *readingRepo) error {
	now, was := r.contentsOf(m), r.contentsOf(before)
	for name := range m.Signed.Targets {
		if delegatedTo(name) != s.role {
			return &Refused{BadDelegation, "", fmt.Errorf("%s is not %s's to name", name, s.role)}
		}
		if now[name] == nil {
			return &Refused{Missing, name, ErrMissing}
		}
		if err := trust.CheckTarget(name, now[name]); err != nil {
			return &Refused{BadTarget, name, err}
		}
	}
	for _, name := range trust.RequiredTargets() {
		if delegatedTo(name) == s.role && now[name] == nil {
			return &Refused{BadTarget, name, errors.New("must be there")}
		}
	}
	next, err := r.assembled(s.role, now)
	if err != nil {
		return &Refused{BadTarget, "", err}
	}
	var last *trust.Snapshot
	if before != nil {
		if last, err = r.assembled(s.role, was); err != nil {
			return fmt.Errorf("the version before cannot be read: %w", err)
		}
		if err := trust.DaysFollow(next, last); err != nil {
			return &Refused{DayKeyChanged, trust.TargetDayKeys, err}
		}
		if next.Revoked.Issued.Before(last.Revoked.Issued) {
			return &Refused{RolledBack, trust.TargetRevoked, errors.New("revocations older than those before")}
		}
	}
	if s.role == RoleTargets {
		s.changes = keyChanges(before, m, RoleDayKeys, RoleRevoked)
	}
	s.changes = append(s.changes, fileChanges(was, now)...)
	s.changes = append(s.changes, contentChanges(last, next)...)
	return nil
}

// assembled makes a snapshot of a role's targets and, for the rest, of what the
// repository has, or of empty lists where it has none yet.
func (r *readingRepo) assembled(role string, contents map[string][]byte) (*trust.Snapshot, error) {
	all := map[string][]byte{}
	for _, other := range []string{RoleTargets, RoleDayKeys, RoleRevoked} {
		from := contents
		if other != role {
			from = r.contents(other)
		}
		for name, b := range from {
			if _, known := trust.TargetLimit(name); known {
				all[name] = b
			}
		}
	}
	epoch := time.Unix(1, 0).UTC()
	empty, err := trust.Targets(&trust.Snapshot{Version: 1, Issued: epoch}, 1)
	if err != nil {
		return nil, err
	}
	for name, b := range empty {
		if all[name] == nil && trust.Required(name) {
			all[name] = b
		}
	}
	return trust.Assemble(1, epoch, all)
}

func (s *signing) readOnline(data []byte, r *readingRepo) error {
	if r.root == nil {
		return errors.New("there is no root")
	}
	s.vouching = []any{r.root}
	if s.role == RoleTimestamp {
		m, err := readTimestamp(timestampName, data)
		if err != nil {
			return err
		}
		s.meta, s.version, s.expires = m, m.Signed.Version, m.Signed.Expires
		s.issued, _ = issuedIn(m.Signed.UnrecognizedFields)
		return nil
	}
	m, err := readSnapshot("snapshot.json", data)
	if err != nil {
		return err
	}
	s.meta, s.version, s.expires = m, m.Signed.Version, m.Signed.Expires
	s.issued, _ = issuedIn(m.Signed.UnrecognizedFields)
	return nil
}

// status counts signatures.
func (s *signing) status() (*Status, error) {
	st := &Status{Role: s.role, Version: s.version, Issued: s.issued, Expires: s.expires, Changes: s.changes, Complete: true}
	seen := map[string]bool{}
	for i, by := range s.vouching {
		keys, err := keysOf(by, s.role)
		if err != nil {
			return nil, err
		}
		signed, err := signers(by, s.role, s.meta)
		if err != nil {
			return nil, err
		}
		for _, id := range keys.ids {
			if seen[id] {
				continue
			}
			seen[id] = true
			if slices.Contains(signed, id) {
				st.Signed = append(st.Signed, keys.name(id))
			} else {
				st.Missing = append(st.Missing, keys.name(id))
			}
		}
		if n := keys.threshold - len(signed); n > 0 {
			of := "of the keys of " + s.role
			if s.role == RoleRoot && len(s.vouching) == 2 {
				of = []string{"of the root before", "of the new root"}[i]
			}
			st.Complete = false
			st.Needs = append(st.Needs, plural(n, "signature")+" more "+of)
		}
	}
	return st, nil
}

// Check tells how a draft, or published metadata, stands. repo are the files of
// the repository and those that the draft names. It refuses what a gate would
// refuse, and what goes back behind what is published.
func Check(data []byte, repo []File) (*Status, error) {
	s, err := examine(data, repo)
	if err != nil {
		return nil, err
	}
	return s.status()
}

// AddSignature signs metadata with one key, which must be one of those who may.
// It signs nothing that Check refuses; the status says what was signed. A
// signature of the same key that is there already is replaced.
func AddSignature(data []byte, key ed25519.PrivateKey, repo []File) ([]byte, *Status, error) {
	s, err := examine(data, repo)
	if err != nil {
		return nil, nil, fmt.Errorf("sign: %w", err)
	}
	signature, err := sign(s.meta, key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign: %w", err)
	}
	may := false
	for _, by := range s.vouching {
		keys, err := keysOf(by, s.role)
		if err != nil {
			return nil, nil, fmt.Errorf("sign: %w", err)
		}
		for _, id := range keys.ids {
			if public, ok := keys.public(id); ok && public.Equal(key.Public()) {
				may, signature.KeyID = true, id
			}
		}
	}
	if !may {
		return nil, nil, fmt.Errorf("sign: this key may not sign %s", s.role)
	}
	signed, err := withSignature(s.meta, signature)
	if err != nil {
		return nil, nil, fmt.Errorf("sign: %w", err)
	}
	st, err := s.status()
	return signed, st, err
}

// withSignature is metadata with one signature more.
func withSignature(meta any, signature metadata.Signature) ([]byte, error) {
	add := func(all []metadata.Signature) []metadata.Signature {
		all = slices.DeleteFunc(slices.Clone(all), func(o metadata.Signature) bool { return o.KeyID == signature.KeyID })
		return append(all, signature)
	}
	switch m := meta.(type) {
	case *metadata.Metadata[metadata.RootType]:
		m.Signatures = add(m.Signatures)
	case *metadata.Metadata[metadata.TargetsType]:
		m.Signatures = add(m.Signatures)
	default:
		return nil, errors.New("snapshot and timestamp are the hub's to sign")
	}
	b, err := json.MarshalIndent(meta, "", " ")
	return append(b, '\n'), err
}

// Finish gives metadata that enough have signed its name in the repository.
func Finish(data []byte, repo []File) (File, error) {
	st, err := Check(data, repo)
	if err != nil {
		return File{}, err
	}
	if !st.Complete {
		return File{}, &Refused{Threshold, st.Role, fmt.Errorf("%v", st.Needs)}
	}
	return File{metadataName(st.Role, st.Version), data}, nil
}
