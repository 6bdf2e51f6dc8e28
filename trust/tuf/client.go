package tuf

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"checkpoint/trust"
)

// Client holds what a repository's signers say, and follows them. Its methods
// may be used by several goroutines at once.
type Client struct {
	store Store
	now   func() time.Time

	mu     sync.Mutex // one Refresh at a time
	root   []byte     // the newest that was proven
	held   atomic.Pointer[held]
	damage error
}

// Open starts from what is kept, without a line: the newest generation that
// proves itself holds, however long ago it expired (its age is for the ladder to
// judge), and roots are followed from the newest one that is kept. firstRoot is
// used only when no root is kept.
//
// now is the guarded clock. It judges only whether metadata that comes has
// expired. While it is merely estimated it runs behind the truth, never ahead:
// then what has expired may be taken, but nothing good is refused.
//
// A generation that does not prove itself is damaged; the one before it takes
// its place, or none, and Damage says so. An error is the store's, or that there
// is no root to start from.
func Open(ctx context.Context, store Store, firstRoot []byte, now func() time.Time) (*Client, error) {
	kept, err := store.Generations(ctx)
	if err != nil {
		return nil, fmt.Errorf("read kept trust: %w", err)
	}
	c := &Client{store: store, now: now}
	newest := int64(0)
	for _, g := range kept {
		if root, version := newestRoot(g); version > newest {
			c.root, newest = root, version
		}
		if c.held.Load() != nil {
			continue
		}
		h, err := load(g)
		if err != nil {
			c.damage = errors.Join(c.damage, fmt.Errorf("%w: version %d: %w", ErrDamaged, g.Version, err))
			continue
		}
		c.held.Store(h)
	}
	if c.root == nil {
		if err := CheckRoot(firstRoot); err != nil {
			return nil, fmt.Errorf("first root: %w", err)
		}
		c.root = firstRoot
	}
	return c, nil
}

// CheckRoot says whether bytes can be a first root: a root within limits that
// enough of its own keys have signed.
func CheckRoot(root []byte) (err error) {
	defer caught(&err)
	if len(root) == 0 || len(root) > MaxRoot {
		return &Refused{BadMetadata, "root.json", errors.New("no root, or one that is too long")}
	}
	_, err = startTaking(root, time.Time{}, nil, nil)
	return err
}

// caught turns a panic, which can only be a fault in how foreign bytes were
// read, into a refusal.
func caught(err *error) {
	if r := recover(); r != nil {
		*err = &Refused{BadMetadata, "", fmt.Errorf("fault while reading: %v", r)}
	}
}

// Snapshot is what holds now; nil: nothing yet.
func (c *Client) Snapshot() *trust.Snapshot {
	if h := c.held.Load(); h != nil {
		return h.snapshot
	}
	return nil
}

// Generation is the repository that Snapshot was made of; false: nothing yet.
// Its files must not be changed.
func (c *Client) Generation() (Generation, bool) {
	if h := c.held.Load(); h != nil {
		return h.Generation, true
	}
	return Generation{}, false
}

// Root is the newest root that was proven.
func (c *Client) Root() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.root
}

// Damage is what of the kept trust did not prove itself when it was opened; nil:
// nothing.
func (c *Client) Damage() error { return c.damage }

// newestRoot gives the newest root in a generation that is signed by itself.
func newestRoot(g Generation) (newest []byte, version int64) {
	for _, f := range g.Files {
		role, v, ok := readMetadataName(f.Name)
		if ok && role == RoleRoot && v > version && CheckRoot(f.Bytes) == nil {
			newest, version = f.Bytes, v
		}
	}
	return newest, version
}

// load proves a kept generation, from the oldest of its roots, which vouched for
// the rest when it was taken. Nothing is too old for it.
func load(g Generation) (h *held, err error) {
	defer caught(&err)
	files := make(map[string][]byte, len(g.Files))
	first, newest := int64(0), int64(0)
	for _, f := range g.Files {
		files[f.Name] = f.Bytes
		if role, v, ok := readMetadataName(f.Name); ok && role == RoleRoot {
			newest = max(newest, v)
			if first == 0 || v < first {
				first = v
			}
		}
	}
	if len(files) > MaxFiles {
		return nil, fmt.Errorf("%d files", len(files))
	}
	get := func(name string, most, length int64, sum []byte) ([]byte, error) {
		b, ok := files[name]
		if !ok {
			return nil, &Refused{Missing, name, ErrMissing}
		}
		return b, fits(name, b, most, length, sum)
	}
	root := files[metadataName(RoleRoot, first)]
	t, err := startTaking(root, time.Time{}, nil, get)
	if err != nil {
		return nil, err
	}
	if t.md.Root.Signed.Version != first {
		return nil, fmt.Errorf("root version %d is kept as %d", t.md.Root.Signed.Version, first)
	}
	if h, err = t.all(root); err != nil {
		return nil, err
	}
	if newest > first {
		name := metadataName(RoleRoot, newest)
		h.files[name] = files[name]
		h.list()
	}
	return h, nil
}

// all takes everything below the root.
func (t *taking) all(root []byte) (*held, error) {
	if _, err := t.online(); err != nil {
		return nil, err
	}
	return t.below(root)
}

func (t *taking) below(root []byte) (*held, error) {
	if err := t.offline(); err != nil {
		return nil, err
	}
	contents, err := t.targets()
	if err != nil {
		return nil, err
	}
	return t.finish(contents, root)
}

// fits says whether bytes are what signed metadata says of them.
func fits(name string, b []byte, most, length int64, sum []byte) error {
	n := int64(len(b))
	switch {
	case n > most:
		return &Refused{Oversized, name, fmt.Errorf("%d bytes, at most %d", n, most)}
	case length > 0 && n != length:
		return &Refused{Mixed, name, fmt.Errorf("%d bytes, not %d", n, length)}
	}
	if sum != nil {
		if got := sha256.Sum256(b); !bytes.Equal(got[:], sum) {
			return &Refused{Mixed, name, errors.New("other bytes than signed metadata names")}
		}
	}
	return nil
}

// Refresh follows the repository to where it stands now (TUF §5). It reports
// whether anything was taken: at least a newer timestamp, so that Snapshot is
// another value. *Refused says why a repository was not taken, and an error
// without it that it could not be reached, or not kept; what was held is held on.
//
// New roots are kept even when what follows them is refused: a root that takes
// away a stolen key must hold from then on.
func (c *Client) Refresh(ctx context.Context, f Fetcher) (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.held.Load()
	root := c.root
	next, err := c.follow(ctx, f, old, &root)
	if err == nil && next != nil {
		if err := c.store.Keep(ctx, next.Generation); err != nil {
			return false, fmt.Errorf("keep trust: %w", err)
		}
		c.root = root
		c.held.Store(next)
		return true, nil
	}
	if !bytes.Equal(root, c.root) {
		err = errors.Join(err, c.keepRoot(ctx, old, root))
	}
	return false, err
}

// follow takes what there is; nil: nothing new. It leaves the newest root at
// root, whatever else happens.
func (c *Client) follow(ctx context.Context, f Fetcher, old *held, root *[]byte) (next *held, err error) {
	defer caught(&err)
	src := source{f, old}
	t, err := startTaking(*root, c.now().UTC(), old, func(name string, most, length int64, sum []byte) ([]byte, error) {
		return src.get(ctx, name, most, length, sum)
	})
	if err != nil {
		return nil, err
	}
	before := *root
	for range maxRotations {
		name := metadataName(RoleRoot, t.md.Root.Signed.Version+1)
		b, err := src.fetch(ctx, name, MaxRoot)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := t.root(b); err != nil {
			return nil, err
		}
		*root = b
	}
	same, err := t.online()
	if err != nil {
		return nil, err
	}
	if same && bytes.Equal(before, *root) && old.holds(*root, t.md) {
		return nil, nil
	}
	return t.below(*root)
}

// holds reports whether what is held was taken under this very root.
func (h *held) holds(root []byte, md *trustedmetadata.TrustedMetadata) bool {
	first := int64(0)
	for name := range h.files {
		if role, v, ok := readMetadataName(name); ok && role == RoleRoot && (first == 0 || v < first) {
			first = v
		}
	}
	return first == md.Root.Signed.Version && bytes.Equal(h.files[metadataName(RoleRoot, first)], root)
}

// keepRoot keeps a newer root beside what is held, which an older one vouches
// for. Without anything held there is no generation to keep it in: then the
// first root leads to it again.
func (c *Client) keepRoot(ctx context.Context, old *held, root []byte) error {
	c.root = root
	if old == nil {
		return nil
	}
	parsed, err := readRoot("", root)
	if err != nil {
		return err
	}
	with := *old
	with.files = make(map[string][]byte, len(old.files)+1)
	first := int64(0)
	for name := range old.files {
		if role, v, ok := readMetadataName(name); ok && role == RoleRoot && (first == 0 || v < first) {
			first = v
		}
	}
	for name, b := range old.files {
		if role, v, ok := readMetadataName(name); !ok || role != RoleRoot || v == first {
			with.files[name] = b
		}
	}
	with.files[metadataName(RoleRoot, parsed.Signed.Version)] = root
	with.list()
	if err := c.store.Keep(ctx, with.Generation); err != nil {
		return fmt.Errorf("keep root: %w", err)
	}
	c.held.Store(&with)
	return nil
}

// source gets files from what is held, else from the repository.
type source struct {
	f   Fetcher
	old *held
}

func (s source) get(ctx context.Context, name string, most, length int64, sum []byte) ([]byte, error) {
	if length > most {
		return nil, &Refused{Oversized, name, fmt.Errorf("%d bytes, at most %d", length, most)}
	}
	if s.old != nil && sum != nil {
		if b := s.old.files[name]; b != nil && fits(name, b, most, length, sum) == nil {
			return b, nil
		}
	}
	limit := most
	if length > 0 {
		limit = length
	}
	b, err := s.fetch(ctx, name, limit)
	if errors.Is(err, fs.ErrNotExist) {
		if name == timestampName {
			return nil, err // there is no repository
		}
		return nil, &Refused{Missing, name, err}
	}
	if err != nil {
		return nil, err
	}
	return b, fits(name, b, most, length, sum)
}

// fetch gets a file; a fetcher that does not hold to the limit is held to it.
func (s source) fetch(ctx context.Context, name string, limit int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, err := s.f.Fetch(ctx, name, limit)
	switch {
	case errors.Is(err, ErrTooLarge), err == nil && int64(len(b)) > limit:
		return nil, &Refused{Oversized, name, fmt.Errorf("more than %d bytes", limit)}
	case err != nil:
		return nil, fmt.Errorf("fetch %s: %w", name, err)
	}
	return slices.Clip(b), nil
}
