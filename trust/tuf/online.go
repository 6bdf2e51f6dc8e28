package tuf

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"checkpoint/trust"
)

// Online holds the keys that a hub has: they say what is newest, not what is
// true.
type Online struct {
	Snapshot     ed25519.PrivateKey
	Timestamp    ed25519.PrivateKey
	SnapshotFor  time.Duration // 0: SnapshotFor
	TimestampFor time.Duration // 0: TimestampFor

	// Least is the lowest version that a new snapshot and timestamp may have. A
	// hub that was restored from a backup has forgotten how far it had counted,
	// and gates would refuse lower versions than they hold: see LeastAfterRestore.
	Least int64
}

// LeastAfterRestore is a version above all that a hub can have given before: the
// minutes since 1970. Hubs sign less often than once a minute and begin at 1.
func LeastAfterRestore(now time.Time) int64 { return now.Unix() / 60 }

// clockSlack is how far a clock may have run back since the last signature
// before that counts as having been wrong.
const clockSlack = 5 * time.Minute

// Resign signs a new timestamp over the newest metadata in a repository, and
// before that a new snapshot when any metadata is new, the old one has used half
// of its time, or the clock was wrong before. It gives the files to add; files
// itself is not changed. A timestamp is never dated before the one it follows,
// but when that one lay in the future: then the snapshot is a new version, so
// that gates take the earlier date.
//
// It signs nothing that a gate would refuse: a new snapshot is taken as a gate
// would take it, after the one before.
func (o Online) Resign(files []File, now time.Time) ([]File, error) {
	return o.resign(reading(files), now)
}

func (o Online) resign(r *readingRepo, now time.Time) ([]File, error) {
	if r.root == nil {
		return nil, errors.New("sign online: there is no root")
	}
	for role, key := range map[string]ed25519.PrivateKey{RoleSnapshot: o.Snapshot, RoleTimestamp: o.Timestamp} {
		if err := r.mayAlone(role, key); err != nil {
			return nil, fmt.Errorf("sign online: %w", err)
		}
	}
	now = now.UTC().Truncate(time.Second)
	var timestamp *metadata.Metadata[metadata.TimestampType]
	var snapshot *metadata.Metadata[metadata.SnapshotType]
	if b := r.files[timestampName]; b != nil {
		var err error
		if timestamp, err = readTimestamp(timestampName, b); err != nil {
			return nil, fmt.Errorf("sign online: the timestamp before: %w", err)
		}
		name := metadataName(RoleSnapshot, timestamp.Signed.Meta["snapshot.json"].Version)
		if snapshot, err = readSnapshot(name, r.files[name]); err != nil {
			return nil, fmt.Errorf("sign online: the snapshot before: %w", err)
		}
	}
	issued, wasWrong := now, false
	if timestamp != nil {
		if was, _ := issuedIn(timestamp.Signed.UnrecognizedFields); was.After(now.Add(clockSlack)) {
			wasWrong = true
		} else {
			issued = later(now, was)
		}
	}
	next, added, err := o.resnapshot(r, snapshot, issued, wasWrong)
	if err != nil {
		return nil, fmt.Errorf("sign online: %w", err)
	}
	stamped := metadata.Timestamp(issued.Add(orElse(o.TimestampFor, TimestampFor)))
	stamped.Signed.UnrecognizedFields = map[string]any{"issued": stamp(issued)}
	if timestamp != nil {
		stamped.Signed.Version = timestamp.Signed.Version + 1
	}
	stamped.Signed.Version = max(stamped.Signed.Version, o.Least)
	name := metadataName(RoleSnapshot, next.Signed.Version)
	b := r.files[name]
	if added != nil {
		b = added.Bytes
	}
	if stamped.Signed.Meta["snapshot.json"], err = metaFile(next.Signed.Version, b); err != nil {
		return nil, fmt.Errorf("sign online: %w", err)
	}
	signed, err := signedBytes(stamped, o.Timestamp)
	if err != nil {
		return nil, fmt.Errorf("sign online: %w", err)
	}
	made := []File{{timestampName, signed}}
	if added != nil {
		made = []File{*added, made[0]}
		if err := r.proves(made, timestamp != nil); err != nil && !r.unchecked {
			return nil, fmt.Errorf("sign online: %w", err)
		}
	}
	return made, nil
}

func orElse(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}

// mayAlone says whether a key alone may sign for an online role.
func (r *readingRepo) mayAlone(role string, key ed25519.PrivateKey) error {
	if len(key) != ed25519.PrivateKeySize {
		return fmt.Errorf("no key for %s", role)
	}
	keys, err := keysOf(r.root, role)
	if err != nil {
		return err
	}
	for _, id := range keys.ids {
		if public, ok := keys.public(id); ok && public.Equal(key.Public()) {
			if keys.threshold > 1 {
				return fmt.Errorf("%s needs %d signatures", role, keys.threshold)
			}
			return nil
		}
	}
	return fmt.Errorf("root version %d does not name this hub's key for %s", r.root.Signed.Version, role)
}

// resnapshot gives the snapshot that holds now, and its file when it is new.
func (o Online) resnapshot(r *readingRepo, before *metadata.Metadata[metadata.SnapshotType], issued time.Time, anew bool) (*metadata.Metadata[metadata.SnapshotType], *File, error) {
	next := metadata.Snapshot(issued.Add(orElse(o.SnapshotFor, SnapshotFor)))
	next.Signed.UnrecognizedFields = map[string]any{"issued": stamp(issued)}
	for _, role := range []string{RoleTargets, RoleDayKeys, RoleRevoked} {
		m := r.targets[role]
		if m == nil {
			return nil, nil, fmt.Errorf("there is no %s metadata yet", role)
		}
		var err error
		if next.Signed.Meta[role+".json"], err = metaFile(m.Signed.Version, r.files[metadataName(role, m.Signed.Version)]); err != nil {
			return nil, nil, err
		}
	}
	if before != nil {
		next.Signed.Version = max(before.Signed.Version+1, o.Least)
		anew = anew || before.Signed.Version < o.Least
		same := len(before.Signed.Meta) == len(next.Signed.Meta)
		for name, m := range next.Signed.Meta {
			was := before.Signed.Meta[name]
			if was != nil && m.Version < was.Version {
				return nil, nil, &Refused{RolledBack, name, fmt.Errorf("version %d after %d", m.Version, was.Version)}
			}
			same = same && was != nil && m.Version == was.Version && m.Hashes.Equal(was.Hashes)
		}
		half := orElse(o.SnapshotFor, SnapshotFor) / 2
		known, _ := signers(r.root, RoleSnapshot, before)
		if same && !anew && len(known) > 0 && before.Signed.Expires.Sub(issued) > half {
			return before, nil, nil
		}
	}
	b, err := signedBytes(next, o.Snapshot)
	if err != nil {
		return nil, nil, err
	}
	return next, &File{metadataName(RoleSnapshot, next.Signed.Version), b}, nil
}

func metaFile(version int64, b []byte) (*metadata.MetaFiles, error) {
	f, err := metadata.TargetFile().FromBytes("", b)
	if err != nil {
		return nil, err
	}
	return &metadata.MetaFiles{Version: version, Length: f.Length, Hashes: f.Hashes}, nil
}

func signedBytes[T metadata.Roles](m *metadata.Metadata[T], key ed25519.PrivateKey) ([]byte, error) {
	signature, err := sign(m, key)
	if err != nil {
		return nil, err
	}
	m.Signatures = []metadata.Signature{signature}
	b, err := json.MarshalIndent(m, "", " ")
	return append(b, '\n'), err
}

// proves takes the repository with what was signed as a gate would, after the
// one that stood before.
func (r *readingRepo) proves(made []File, after bool) error {
	proof := func(more []File) (*held, error) {
		g := Generation{}
		with := map[string][]byte{}
		for _, f := range more {
			with[f.Name] = f.Bytes
		}
		for name, b := range r.files {
			if role, v, ok := readMetadataName(name); ok && role == RoleRoot && v != r.root.Signed.Version || with[name] != nil {
				continue
			}
			g.Files = append(g.Files, File{name, b})
		}
		g.Files = append(g.Files, more...)
		return load(g)
	}
	next, err := proof(made)
	if err != nil || !after {
		return err
	}
	// What stood before may not prove itself any more, as under a new root.
	if last, err := proof(nil); err == nil {
		if err := trust.DaysFollow(next.snapshot, last.snapshot); err != nil {
			return &Refused{DayKeyChanged, "", err}
		}
	}
	return nil
}
