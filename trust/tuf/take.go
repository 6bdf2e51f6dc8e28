package tuf

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"checkpoint/trust"
)

// held is a generation, proven.
type held struct {
	Generation
	files     map[string][]byte // by name
	snapshot  *trust.Snapshot
	timestamp int64             // its version
	contents  map[string]string // targets: name to SHA-256
}

// getter gives the file of that name: at most max bytes, and exactly the length
// and hash that signed metadata gives, where it gives them (else 0, nil).
type getter func(name string, max, length int64, sum []byte) ([]byte, error)

// taking is one walk through the metadata of a repository (TUF §5.4 to §5.7),
// over a root that holds already. go-tuf holds the signatures, versions, hashes
// and dates; this holds our profile, and says which word a failure is.
type taking struct {
	md    *trustedmetadata.TrustedMetadata
	old   *held // for protection against rollback; nil: none
	get   getter
	files map[string][]byte
	total int64

	issued, anchor time.Time
}

func startTaking(root []byte, at time.Time, old *held, get getter) (*taking, error) {
	parsed, err := readRoot("", root)
	if err != nil {
		return nil, err
	}
	file := metadataName(RoleRoot, parsed.Signed.Version)
	md, err := trustedmetadata.New(root)
	if err != nil {
		return nil, refusal(file, Unsigned, err)
	}
	md.RefTime = at
	return &taking{md: md, old: old, get: get, files: map[string][]byte{}}, nil
}

// keep adds a file to what is taken.
func (t *taking) keep(name string, b []byte) error {
	if _, ok := t.files[name]; ok {
		return nil
	}
	t.total += int64(len(b))
	if t.total > MaxTotal || len(t.files) >= MaxFiles {
		return &Refused{Oversized, name, fmt.Errorf("more than %d bytes or %d files in all", int64(MaxTotal), MaxFiles)}
	}
	t.files[name] = b
	return nil
}

// root takes the next root.
func (t *taking) root(b []byte) error {
	file := metadataName(RoleRoot, t.md.Root.Signed.Version+1)
	next, err := readRoot(file, b)
	if err != nil {
		return err
	}
	if next.Signed.Version != t.md.Root.Signed.Version+1 {
		return &Refused{RolledBack, file, fmt.Errorf("holds root version %d", next.Signed.Version)}
	}
	if _, err := t.md.UpdateRoot(b); err != nil {
		return refusal(file, t.short(t.md.Root, RoleRoot, next, err), err)
	}
	return nil
}

// online takes timestamp and snapshot. It reports whether the timestamp is the
// one that is held.
func (t *taking) online() (same bool, err error) {
	rootFile := metadataName(RoleRoot, t.md.Root.Signed.Version)
	if t.md.Root.Signed.IsExpired(t.md.RefTime) {
		return false, &Refused{ExpiredRoot, rootFile, fmt.Errorf("expired on %s", t.md.Root.Signed.Expires.Format(time.DateOnly))}
	}
	if same, err = t.takeTimestamp(); err != nil {
		return same, err
	}
	return same, t.takeSnapshot()
}

func (t *taking) takeTimestamp() (same bool, err error) {
	b, err := t.get(timestampName, MaxTimestamp, 0, nil)
	if err != nil {
		return false, err
	}
	next, err := readTimestamp(timestampName, b)
	if err != nil {
		return false, err
	}
	if t.old != nil {
		// An expired one still says what may not be gone behind; one that the root
		// does not vouch for any more says nothing: so a repository whose online
		// keys were stolen can begin anew (TUF §5.3.11).
		_, _ = t.md.UpdateTimestamp(t.old.files[timestampName])
	}
	was := t.md.Timestamp
	_, err = t.md.UpdateTimestamp(b)
	switch {
	case err == nil:
	case errors.As(err, new(*metadata.ErrEqualVersionNumber)):
		if t.md.Timestamp.Signed.IsExpired(t.md.RefTime) {
			return true, &Refused{Frozen, timestampName, errExpired(t.md.Timestamp.Signed.Expires)}
		}
		same, b, next = true, t.old.files[timestampName], t.md.Timestamp
	case errors.As(err, new(*metadata.ErrExpiredMetadata)):
		return false, refusal(timestampName, Frozen, err)
	case errors.As(err, new(*metadata.ErrBadVersionNumber)):
		return false, refusal(timestampName, RolledBack, err)
	default:
		return false, refusal(timestampName, t.short(t.md.Root, RoleTimestamp, next, err), err)
	}
	if was != nil && (next.Signed.Version-was.Signed.Version > maxJump ||
		next.Signed.Meta["snapshot.json"].Version-was.Signed.Meta["snapshot.json"].Version > maxJump) {
		return false, &Refused{VersionJump, timestampName, fmt.Errorf("version %d after %d", next.Signed.Version, was.Signed.Version)}
	}
	if t.issued, err = issuedIn(next.Signed.UnrecognizedFields); err != nil {
		return false, &Refused{BadMetadata, timestampName, err}
	}
	return same, t.keep(timestampName, b)
}

func errExpired(at time.Time) error { return fmt.Errorf("expired at %s", at.Format(time.RFC3339)) }

func (t *taking) takeSnapshot() error {
	meta := t.md.Timestamp.Signed.Meta["snapshot.json"]
	file := metadataName(RoleSnapshot, meta.Version)
	if t.old != nil {
		if b := t.old.files[metadataName(RoleSnapshot, int64(t.old.Version))]; b != nil {
			_, _ = t.md.UpdateSnapshot(b, true) // as for the timestamp
		}
	}
	b, err := t.get(file, MaxSnapshot, meta.Length, meta.Hashes["sha256"])
	if err != nil {
		return err
	}
	next, err := readSnapshot(file, b)
	if err != nil {
		return err
	}
	if next.Signed.Version != meta.Version {
		return &Refused{Mixed, file, fmt.Errorf("holds version %d", next.Signed.Version)}
	}
	before := t.md.Snapshot
	_, err = t.md.UpdateSnapshot(b, false)
	switch {
	case err == nil:
	case errors.As(err, new(*metadata.ErrExpiredMetadata)):
		return refusal(file, Frozen, err)
	case errors.As(err, new(*metadata.ErrLengthOrHashMismatch)):
		return refusal(file, Mixed, err)
	case errors.As(err, new(*metadata.ErrBadVersionNumber)), errors.As(err, new(*metadata.ErrRepository)):
		return refusal(file, RolledBack, err)
	default:
		return refusal(file, t.short(t.md.Root, RoleSnapshot, next, err), err)
	}
	for name, m := range next.Signed.Meta {
		if before == nil || before.Signed.Meta[name] == nil {
			continue
		}
		if was := before.Signed.Meta[name].Version; m.Version-was > maxJump {
			return &Refused{VersionJump, file, fmt.Errorf("%s version %d after %d", name, m.Version, was)}
		}
	}
	if old := t.old; old != nil && old.Version == uint64(next.Signed.Version) && t.issued.Before(old.Issued) {
		return &Refused{RolledBack, timestampName, errors.New("issued before the one held, over the same snapshot")}
	}
	return t.keep(file, b)
}

// offline takes targets and what they delegate, and then every target file.
func (t *taking) offline() error {
	if err := t.role(RoleTargets, RoleRoot); err != nil {
		return err
	}
	if err := t.delegations(); err != nil {
		return err
	}
	for _, d := range delegated {
		if err := t.role(d.role, RoleTargets); err != nil {
			return err
		}
	}
	for _, role := range []string{RoleTargets, RoleDayKeys, RoleRevoked} {
		file := metadataName(role, t.md.Targets[role].Signed.Version)
		for name := range t.md.Targets[role].Signed.Targets {
			if delegatedTo(name) != role {
				return &Refused{BadDelegation, file, fmt.Errorf("%s is not %s's to name", name, role)}
			}
		}
	}
	return nil
}

// role takes the metadata of targets, or of a role that they delegate to.
func (t *taking) role(role, by string) error {
	meta := t.md.Snapshot.Signed.Meta[role+".json"]
	file := metadataName(role, meta.Version)
	b, err := t.get(file, limitOf(role), meta.Length, meta.Hashes["sha256"])
	if err != nil {
		return err
	}
	next, err := readTargets(file, role, b)
	if err != nil {
		return err
	}
	if role != RoleTargets && next.Signed.Delegations != nil {
		return &Refused{BadDelegation, file, errors.New("it may not delegate any further")}
	}
	if role == RoleRevoked && t.old != nil && slices.Equal(t.old.files[file], b) {
		// It has expired because headquarters cannot sign: nothing newer is held
		// back by keeping what is here, the ladder counts from its own date, and
		// what the other signers say must go on to come through.
		defer func(at time.Time) { t.md.RefTime = at }(t.md.RefTime)
		t.md.RefTime = time.Time{}
	}
	_, err = t.md.UpdateDelegatedTargets(b, role, by)
	switch {
	case err == nil:
	case errors.As(err, new(*metadata.ErrExpiredMetadata)):
		return refusal(file, Expired, err)
	case errors.As(err, new(*metadata.ErrLengthOrHashMismatch)), errors.As(err, new(*metadata.ErrBadVersionNumber)):
		return refusal(file, Mixed, err)
	case by == RoleRoot:
		return refusal(file, t.short(t.md.Root, role, next, err), err)
	default:
		return refusal(file, t.short(t.md.Targets[by], role, next, err), err)
	}
	issued, err := issuedIn(next.Signed.UnrecognizedFields)
	if err != nil {
		return &Refused{BadMetadata, file, err}
	}
	t.anchor = later(t.anchor, issued)
	return t.keep(file, b)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// delegations holds the targets to delegating what they must, as they must.
// Roles that a newer program knows may come after ours.
func (t *taking) delegations() error {
	targets := t.md.Targets[RoleTargets]
	file := metadataName(RoleTargets, targets.Signed.Version)
	if err := goodDelegations(targets.Signed.Delegations); err != nil {
		return &Refused{BadDelegation, file, err}
	}
	return nil
}

func goodDelegations(all *metadata.Delegations) error {
	if all == nil || all.SuccinctRoles != nil || len(all.Roles) < len(delegated) || len(all.Roles) > maxKeys {
		return errors.New("daykeys and revoked are not delegated")
	}
	for i, want := range delegated {
		switch got := all.Roles[i]; {
		case got.Name != want.role:
			return fmt.Errorf("role %d is %.40q, not %s", i, got.Name, want.role)
		case !got.Terminating:
			return fmt.Errorf("%s does not end the search", got.Name)
		case len(got.Paths) != 1 || got.Paths[0] != want.paths || len(got.PathHashPrefixes) > 0:
			return fmt.Errorf("%s is for other paths than %s", got.Name, want.paths)
		case got.Threshold < 1 || len(got.KeyIDs) == 0 || len(got.KeyIDs) > maxKeys:
			return fmt.Errorf("threshold or keys of %s", got.Name)
		}
	}
	for i, r := range all.Roles {
		for _, other := range all.Roles[:i] {
			if other.Name == r.Name {
				return fmt.Errorf("role %.40q stands twice", r.Name)
			}
		}
	}
	return nil
}

// targets takes every target file that this program knows.
func (t *taking) targets() (map[string][]byte, error) {
	named := map[string]*metadata.TargetFiles{}
	for _, m := range t.md.Targets {
		for name, f := range m.Signed.Targets {
			named[name] = f
		}
	}
	names := make([]string, 0, len(named))
	for name := range named {
		names = append(names, name)
	}
	slices.Sort(names) // deltas, "revoked-…", before the "revoked.bin" that they may make
	contents := map[string][]byte{}
	for _, name := range names {
		limit, known := trust.TargetLimit(name)
		if !known {
			continue
		}
		f := named[name]
		file := targetFile(name, f.Hashes["sha256"])
		if f.Length > limit || f.Length+t.total > MaxTotal {
			return nil, &Refused{Oversized, file, fmt.Errorf("%d bytes", f.Length)}
		}
		b, ok := t.rebuild(name, f, contents)
		if !ok {
			var err error
			if b, err = t.get(file, f.Length, f.Length, f.Hashes["sha256"]); err != nil {
				return nil, err
			}
		}
		if err := f.VerifyLengthHashes(b); err != nil {
			return nil, refusal(file, Mixed, err)
		}
		if err := t.keep(file, b); err != nil {
			return nil, err
		}
		contents[name] = b
	}
	return contents, nil
}

// rebuild makes a new revoked.bin of the one that is held and the deltas, where
// they lead to it: the deltas are a thousandth of its size.
func (t *taking) rebuild(name string, f *metadata.TargetFiles, contents map[string][]byte) ([]byte, bool) {
	if name != trust.TargetRevoked || t.old == nil {
		return nil, false
	}
	sum := [sha256.Size]byte(f.Hashes["sha256"])
	if t.old.contents[name] == string(sum[:]) {
		return nil, false // held as it is
	}
	base := t.old.files[targetFile(name, []byte(t.old.contents[name]))]
	list, err := trust.ParseRevoked(base)
	if err != nil {
		return nil, false
	}
	deltas := map[string][]byte{}
	for delta := range t.old.contents {
		if _, _, ok := trust.ParseDeltaName(delta); ok {
			deltas[delta] = t.old.files[targetFile(delta, []byte(t.old.contents[delta]))]
		}
	}
	for delta, b := range contents {
		if _, _, ok := trust.ParseDeltaName(delta); ok {
			deltas[delta] = b
		}
	}
	chain, err := trust.RevokedChain(list.Sequence, deltas)
	if err != nil {
		return nil, false
	}
	for i, d := range chain {
		if d.Sum != sum {
			continue
		}
		next, err := list.Follow(chain[:i+1]...)
		if err != nil {
			return nil, false
		}
		b, err := next.AppendBinary(nil)
		return b, err == nil
	}
	return nil, false
}

// finish makes the generation of what was taken.
func (t *taking) finish(contents map[string][]byte, root []byte) (*held, error) {
	rootIssued, err := issuedIn(t.md.Root.Signed.UnrecognizedFields)
	if err != nil {
		return nil, err
	}
	t.anchor = later(t.anchor, rootIssued)
	if t.anchor.After(t.issued.Add(maxAhead)) {
		return nil, &Refused{Ahead, "", fmt.Errorf("issued at %s, under a timestamp of %s", stamp(t.anchor), stamp(t.issued))}
	}
	if err := t.keep(metadataName(RoleRoot, t.md.Root.Signed.Version), root); err != nil {
		return nil, err
	}
	h := &held{files: t.files, timestamp: t.md.Timestamp.Signed.Version, contents: make(map[string]string, len(contents))}
	h.Version, h.Issued, h.Anchor = uint64(t.md.Snapshot.Signed.Version), t.issued, t.anchor
	for _, m := range t.md.Targets {
		for name, f := range m.Signed.Targets {
			if contents[name] != nil {
				h.contents[name] = string(f.Hashes["sha256"])
			}
		}
	}
	if h.snapshot, err = t.assemble(h, contents); err != nil {
		why := BadTarget
		if errors.Is(err, trust.ErrTooLarge) {
			why = Oversized
		}
		return nil, &Refused{why, "", err}
	}
	h.snapshot.OfflineIssued = h.Anchor
	if t.old != nil {
		if err := trust.DaysFollow(h.snapshot, t.old.snapshot); err != nil {
			return nil, &Refused{DayKeyChanged, metadataName(RoleDayKeys, t.md.Targets[RoleDayKeys].Signed.Version), err}
		}
	}
	h.list()
	return h, nil
}

// assemble reads the targets; when they are the ones that are held, what was
// read of them then serves again.
func (t *taking) assemble(h *held, contents map[string][]byte) (*trust.Snapshot, error) {
	if t.old != nil && len(t.old.contents) == len(h.contents) {
		same := true
		for name, sum := range h.contents {
			same = same && t.old.contents[name] == sum
		}
		if same {
			s := *t.old.snapshot
			s.Version, s.Issued = h.Version, h.Issued
			return &s, nil
		}
	}
	return trust.Assemble(h.Version, h.Issued, contents)
}

// list sets Files from files, sorted.
func (h *held) list() {
	names := make([]string, 0, len(h.files))
	for name := range h.files {
		names = append(names, name)
	}
	slices.Sort(names)
	h.Files = make([]File, len(names))
	for i, name := range names {
		h.Files[i] = File{name, h.files[name]}
	}
}

// short says which word a failed check of signatures is: nobody of the role has
// signed, or too few; or it was no such failure at all.
func (t *taking) short(by any, role string, of any, err error) Why {
	if !errors.As(err, new(*metadata.ErrUnsignedMetadata)) {
		return BadMetadata
	}
	signed, _ := signers(by, role, of)
	if _, isRoot := of.(*metadata.Metadata[metadata.RootType]); isRoot && len(signed) == 0 {
		signed, _ = signers(of, role, of)
	}
	if len(signed) > 0 {
		return Threshold
	}
	return Unsigned
}

// refusal wraps what go-tuf said.
func refusal(file string, why Why, err error) error {
	var r *Refused
	if errors.As(err, &r) {
		return r
	}
	return &Refused{why, file, err}
}
