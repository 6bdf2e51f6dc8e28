package tuf

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// Keyring holds every key of a repository in one hand, which nobody should:
// demonstrations and tests do.
type Keyring struct {
	Root, Targets, DayKeys, Revoked []ed25519.PrivateKey
	Online                          Online

	// Careless signs what AddSignature would refuse: to test who else refuses it.
	Careless bool
}

// NewKeyring makes one with keys of rand: two of three sign root, targets and
// daykeys, one revoked.
func NewKeyring(rand io.Reader) (*Keyring, error) {
	k := new(Keyring)
	keys := func(n int) (all []ed25519.PrivateKey, err error) {
		for range n {
			seed := make([]byte, ed25519.SeedSize)
			if _, err := io.ReadFull(rand, seed); err != nil {
				return nil, err
			}
			all = append(all, ed25519.NewKeyFromSeed(seed))
		}
		return all, nil
	}
	for _, part := range []struct {
		to *[]ed25519.PrivateKey
		n  int
	}{{&k.Root, 3}, {&k.Targets, 3}, {&k.DayKeys, 3}, {&k.Revoked, 1}} {
		var err error
		if *part.to, err = keys(part.n); err != nil {
			return nil, fmt.Errorf("make keys: %w", err)
		}
	}
	online, err := keys(2)
	if err != nil {
		return nil, fmt.Errorf("make keys: %w", err)
	}
	k.Online.Snapshot, k.Online.Timestamp = online[0], online[1]
	return k, nil
}

// Roles is the roles file of the keyring: more than half of the keys of a role
// must sign.
func (k *Keyring) Roles() *Roles {
	role := func(name string, keys ...ed25519.PrivateKey) RoleFile {
		f := RoleFile{Threshold: len(keys)/2 + 1}
		for i, key := range keys {
			f.Keys = append(f.Keys, RoleOwner{Name: fmt.Sprintf("%s %d", name, i+1), Key: hex.EncodeToString(key.Public().(ed25519.PublicKey))})
		}
		return f
	}
	return &Roles{
		Form: RolesForm, Root: role("root", k.Root...), Targets: role("targets", k.Targets...), DayKeys: role("custodian", k.DayKeys...),
		Revoked: role("headquarters", k.Revoked...), Snapshot: role("hub snapshot", k.Online.Snapshot), Timestamp: role("hub timestamp", k.Online.Timestamp),
	}
}

// keys are those of an offline role.
func (k *Keyring) keys(role string) []ed25519.PrivateKey {
	return map[string][]ed25519.PrivateKey{RoleRoot: k.Root, RoleTargets: k.Targets, RoleDayKeys: k.DayKeys, RoleRevoked: k.Revoked}[role]
}

// Sign signs a draft with as many keys as its role has, and finishes it: the
// files to add to the repository.
func (k *Keyring) Sign(d *Draft, repo []File) ([]File, error) {
	with := append(append([]File(nil), repo...), d.Files...)
	if k.Careless && d.Role != RoleRoot {
		f, err := k.signTargets(d)
		return append(append([]File(nil), d.Files...), f), err
	}
	b := d.Metadata
	var err error
	for _, key := range k.keys(d.Role) {
		if b, _, err = AddSignature(b, key, with); err != nil {
			return nil, err
		}
	}
	f, err := Finish(b, with)
	if err != nil {
		return nil, err
	}
	return append(append([]File(nil), d.Files...), f), nil
}

// signTargets signs without a look.
func (k *Keyring) signTargets(d *Draft) (File, error) {
	m, err := readTargets(d.Role, d.Role, d.Metadata)
	if err != nil {
		return File{}, err
	}
	b := d.Metadata
	for _, key := range k.keys(d.Role) {
		signature, err := sign(m, key)
		if err != nil {
			return File{}, err
		}
		if b, err = withSignature(m, signature); err != nil {
			return File{}, err
		}
	}
	return File{metadataName(d.Role, m.Signed.Version), b}, nil
}

// Publish does all of it at once: a root where there is none, and the next
// version of everything else out of a plain folder. It gives the files to add.
func (k *Keyring) Publish(plain fs.FS, repo []File, now time.Time) ([]File, error) {
	all := append([]File(nil), repo...)
	step := func(d *Draft, err error) error {
		if err != nil {
			return err
		}
		files, err := k.Sign(d, all)
		all = append(all, files...)
		return err
	}
	if reading(repo).root == nil {
		if err := step(NewRoot(k.Roles(), nil, now, now.Add(RootFor))); err != nil {
			return nil, fmt.Errorf("publish: %w", err)
		}
	}
	read := func() *readingRepo {
		r := reading(all)
		r.unchecked = k.Careless
		return r
	}
	if err := step(read().buildTargets(plain, k.Roles(), now, now.Add(TargetsFor))); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	if err := step(read().buildDelegated(RoleDayKeys, plain, now, now.Add(DayKeysFor))); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	if err := step(read().buildDelegated(RoleRevoked, plain, now, now.Add(RevokedFor))); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	signed, err := k.Online.resign(read(), now)
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	return append(all[len(repo):], signed...), nil
}
