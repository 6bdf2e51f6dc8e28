package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"checkpoint/hub/store"
	"checkpoint/trust/tuf"
)

// ErrTrustName: files that no repository can take.
var ErrTrustName = errors.New("not files of a trust repository")

// publishTries is how often Publish begins anew when another hub was faster.
const publishTries = 5

// repository is the trust repository as the store has it, at one generation.
type repository struct {
	turn  uint64 // for PutTrust
	files map[string][]byte
}

// readRepository reads all of it. Files that go meanwhile, because another hub
// publishes, are ErrStale: the caller begins anew.
func (h *Hub) readRepository(ctx context.Context) (repository, error) {
	turn, err := h.store.TrustGeneration(ctx)
	if err != nil {
		return repository{}, fmt.Errorf("read the trust repository: %w", err)
	}
	names, err := h.store.ListTrust(ctx)
	if err != nil {
		return repository{}, fmt.Errorf("read the trust repository: %w", err)
	}
	r := repository{turn: turn, files: make(map[string][]byte, len(names))}
	for _, name := range names {
		b, err := h.store.TrustFile(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			return repository{}, store.ErrStale
		}
		if err != nil {
			return repository{}, fmt.Errorf("read trust file %s: %w", name, err)
		}
		r.files[name] = b
	}
	after, err := h.store.TrustGeneration(ctx)
	if err != nil {
		return repository{}, fmt.Errorf("read the trust repository: %w", err)
	}
	if after != turn {
		return repository{}, store.ErrStale
	}
	return r, nil
}

// list is the files in the order of their names.
func (r repository) list() []tuf.File {
	list := make([]tuf.File, 0, len(r.files))
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		list = append(list, tuf.File{Name: name, Bytes: r.files[name]})
	}
	return list
}

// Fetch makes a repository a tuf.Fetcher.
func (r repository) Fetch(_ context.Context, name string, most int64) ([]byte, error) {
	b, ok := r.files[name]
	switch {
	case !ok:
		return nil, tuf.ErrMissing
	case int64(len(b)) > most:
		return nil, tuf.ErrTooLarge
	}
	return b, nil
}

// firstRoot is the oldest root that is there; nil: none.
func (r repository) firstRoot() []byte {
	var least uint64
	var first []byte
	for name, b := range r.files {
		if v, ok := versionOf(name, "root"); ok && (first == nil || v < least) {
			least, first = v, b
		}
	}
	return first
}

// held is the one generation that a hub keeps while it looks at the next: a
// tuf.Store.
type held struct{ generations []tuf.Generation }

// Generations gives what is kept.
func (k *held) Generations(context.Context) ([]tuf.Generation, error) { return k.generations, nil }

// Keep keeps one.
func (k *held) Keep(_ context.Context, g tuf.Generation) error {
	k.generations = []tuf.Generation{g}
	return nil
}

// take looks at a repository as a gate would that holds what kept holds, at a
// time. It returns *tuf.Refused when a gate would not take it.
func (r repository) take(ctx context.Context, kept *held, at time.Time) (*tuf.Client, error) {
	first := r.firstRoot()
	if first == nil {
		return nil, fmt.Errorf("%w: there is no root", ErrTrustName)
	}
	c, err := tuf.Open(ctx, kept, first, func() time.Time { return at })
	if err != nil {
		return nil, fmt.Errorf("look at the trust repository: %w", err)
	}
	if _, err := c.Refresh(ctx, r); err != nil {
		return nil, err
	}
	return c, nil
}

// validAt is the latest time, at most now, at which nothing in a repository had
// expired: a hub that stood still for a week must see what gates took before.
func (r repository) validAt(now time.Time) time.Time {
	newest := map[string]uint64{}
	expires := map[string]time.Time{}
	for name, b := range r.files {
		version, role, ok := metadataName(name)
		if !ok || version < newest[role] {
			continue
		}
		var metadata struct {
			Signed struct {
				Expires time.Time `json:"expires"`
			} `json:"signed"`
		}
		if json.Unmarshal(b, &metadata) == nil {
			newest[role], expires[role] = version, metadata.Signed.Expires
		}
	}
	at := now
	for _, end := range expires {
		if last := end.Add(-time.Second); last.Before(at) {
			at = last
		}
	}
	return at
}

// metadataName reads N.<role>.json and timestamp.json.
func metadataName(name string) (version uint64, role string, ok bool) {
	if name == nameTimestamp {
		return 1, "timestamp", true
	}
	_, rest, cut := strings.Cut(name, ".")
	role, isJSON := strings.CutSuffix(rest, ".json")
	if !cut || !isJSON || role == "" || strings.ContainsAny(role, "./") {
		return 0, "", false
	}
	version, ok = versionOf(name, role)
	return version, role, ok
}

// Publish adds files that their signers have signed: roots, targets, delegated
// roles and target files, by their names in the repository. Snapshot and
// timestamp are the hub's to sign; such files among them are left out. What
// gates hold must be followed: a *tuf.Refused says what a gate would refuse, and
// then nothing is published. Several hubs may publish at the same time.
func (h *Hub) Publish(ctx context.Context, files map[string][]byte) error {
	for name, b := range files {
		if !trustName(name) || len(b) > maxTrustFile {
			return fmt.Errorf("%w: %q", ErrTrustName, name)
		}
	}
	for range publishTries {
		err := h.publish(ctx, files)
		if !errors.Is(err, store.ErrStale) {
			return err
		}
	}
	return fmt.Errorf("publish trust: %w, %d times: try again", store.ErrStale, publishTries)
}

// publish adds files, signs what is the hub's, and looks at the whole as a gate
// would before it is put; store.ErrStale when another hub was faster.
func (h *Hub) publish(ctx context.Context, files map[string][]byte) error {
	before, err := h.readRepository(ctx)
	if err != nil {
		return err
	}
	next, err := before.with(files)
	if err != nil {
		return err
	}
	if err := h.agreed(ctx); err != nil {
		return fmt.Errorf("publish trust: %w", err)
	}
	now := h.now()
	online := tuf.Online{Snapshot: h.keys.Snapshot, Timestamp: h.keys.Timestamp}
	signed, err := online.Resign(next.list(), now)
	if err != nil {
		return fmt.Errorf("sign snapshot and timestamp: %w", err)
	}
	for _, f := range signed {
		next.files[f.Name] = f.Bytes
	}
	kept := new(held)
	if _, ok := before.files[nameTimestamp]; ok {
		// What stands there and cannot be taken by any gate is held by none.
		if _, err := before.take(ctx, kept, before.validAt(now)); err != nil {
			h.log.Warn("published trust does not hold", "error", err)
			kept = new(held)
		}
	}
	needed := map[string]bool{}
	for _, g := range kept.generations {
		need(needed, g)
	}
	if _, err := next.take(ctx, kept, now); err != nil {
		return fmt.Errorf("publish trust: %w", err)
	}
	for _, g := range kept.generations {
		need(needed, g)
	}
	needed[nameTimestamp] = true
	put, drop := before.changes(next, needed)
	if len(files) == 0 {
		drop = nil // a timestamp alone ends nothing
	}
	if _, err := h.store.PutTrust(ctx, before.turn, put, drop); err != nil {
		return fmt.Errorf("publish trust: %w", err)
	}
	h.files.forget()
	if len(files) > 0 {
		h.log.Info("trust published", "files", len(put), "dropped", len(drop))
	}
	return nil
}

func need(names map[string]bool, g tuf.Generation) {
	for _, f := range g.Files {
		names[f.Name] = true
	}
}

// with is the repository with files added. What has a version or a hash in its
// name is never replaced.
func (r repository) with(files map[string][]byte) (repository, error) {
	next := repository{files: maps.Clone(r.files)}
	for name, b := range files {
		_, role, ok := metadataName(name)
		if ok && (role == "timestamp" || role == "snapshot") {
			continue
		}
		if !ok && !strings.HasPrefix(name, "targets/") {
			return next, fmt.Errorf("%w: %q", ErrTrustName, name)
		}
		if old, ok := next.files[name]; ok && string(old) != string(b) {
			return next, fmt.Errorf("%w: %s is published already, with other bytes: give it the next version", ErrTrustName, name)
		}
		next.files[name] = b
	}
	if name := next.rootGap(); name != "" {
		return next, fmt.Errorf("%w: %s is missing between two roots", ErrTrustName, name)
	}
	return next, nil
}

// rootGap is the first root that is missing between two others: gates walk from
// one to the next, and would never see what lies behind it.
func (r repository) rootGap() string {
	var versions []uint64
	for name := range r.files {
		if v, ok := versionOf(name, "root"); ok {
			versions = append(versions, v)
		}
	}
	slices.Sort(versions)
	for i := 1; i < len(versions); i++ {
		if want := versions[i-1] + 1; versions[i] != want {
			return fmt.Sprintf("%d.root.json", want)
		}
	}
	return ""
}

// changes are what to put and what to drop. Roots stay: a gate that was away
// walks along them. Beside what is needed now, what the generation before
// needed stays, for gates that are in the middle of it.
func (r repository) changes(next repository, needed map[string]bool) (put []store.TrustFile, drop []string) {
	for _, name := range slices.Sorted(maps.Keys(next.files)) {
		_, isRoot := versionOf(name, "root")
		old, had := r.files[name]
		switch {
		case !isRoot && !needed[name]:
			if had {
				drop = append(drop, name)
			}
		case !had || string(old) != string(next.files[name]):
			put = append(put, store.TrustFile{Name: name, Bytes: next.files[name]})
		}
	}
	return put, drop
}
