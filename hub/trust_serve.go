package hub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub/store"
)

// Limits of the trust repository.
const (
	maxTrustName = 200      // bytes, folders included
	maxTrustFile = 64 << 20 // bytes

	// Another hub may have signed a newer timestamp: it is served at most so much
	// later here. What has a version or a hash in its name never changes.
	freshFor  = 2 * time.Second
	cacheSize = 96 << 20
	cacheMax  = 4096 // entries, those of files that are not there among them

	nameTimestamp = "timestamp.json"
)

func (h *Hub) trustRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET "+enroll.PathTrust+"{name...}", h.getTrust)
}

// getTrust serves one file of the repository to anybody: what it is worth is
// for its signatures to say. A range may be asked for, so that a file which
// breaks off goes on.
func (h *Hub) getTrust(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if !trustName(name) {
		h.problem(w, http.StatusNotFound, "not_found", "there is no such trust file")
		return
	}
	f, err := h.trustFile(r.Context(), name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		// The next root is asked for until there is none: this must not be kept.
		h.problem(w, http.StatusNotFound, "not_found", "there is no such trust file")
		return
	case err != nil:
		h.refuse(w, h.storeRefusal(r.Context(), "read a trust file", err))
		return
	}
	header := w.Header()
	header.Set("ETag", f.tag)
	header.Set("Content-Type", "application/octet-stream")
	header.Set("X-Content-Type-Options", "nosniff")
	if strings.HasSuffix(name, ".json") {
		header.Set("Content-Type", "application/json")
	}
	if name == nameTimestamp {
		header.Set("Cache-Control", "no-cache")
	} else {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	// A large file on a bad line: 8 KiB a second at least.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout + time.Duration(len(f.bytes)>>13)*time.Second))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.bytes))
}

// trustName says whether a name can be a trust file's: parts of letters, digits
// and . _ - + = @ between single slashes, none beginning with a full stop. Gates
// ask by the same rule.
func trustName(name string) bool {
	if len(name) > maxTrustName || strings.Count(name, "/") > 3 {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '.' {
			return false
		}
		for _, c := range []byte(part) {
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("._-+=@", rune(c)) {
				return false
			}
		}
	}
	return true
}

// trustFile is one file of the repository, at most freshFor old.
func (h *Hub) trustFile(ctx context.Context, name string) (*trustFile, error) {
	return h.files.get(ctx, name, h.now(), func() ([]byte, error) {
		// Others wait for this too: it must not end with whoever asked first.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.limits.PutTimeout)
		defer cancel()
		return h.store.TrustFile(ctx, name)
	})
}

// newestRoot is the root of the highest version; store.ErrNotFound: none.
func (h *Hub) newestRoot(ctx context.Context) (name string, version uint64, err error) {
	return h.findRoot(ctx, func(uint64) bool { return true })
}

// rootOf is the root that a token was made with, by the mark in its hash; the
// newest when none has that mark.
func (h *Hub) rootOf(ctx context.Context, token [32]byte) (*trustFile, error) {
	name, _, err := h.findRoot(ctx, func(v uint64) bool { return byte(v) == rootMark(token) })
	if errors.Is(err, store.ErrNotFound) {
		name, _, err = h.newestRoot(ctx)
	}
	if err != nil {
		return nil, err
	}
	return h.trustFile(ctx, name)
}

func (h *Hub) findRoot(ctx context.Context, want func(version uint64) bool) (name string, version uint64, err error) {
	names, err := h.store.ListTrust(ctx)
	if err != nil {
		return "", 0, fmt.Errorf("list trust files: %w", err)
	}
	for _, one := range names {
		if v, ok := versionOf(one, "root"); ok && v > version && want(v) {
			name, version = one, v
		}
	}
	if version == 0 {
		return "", 0, store.ErrNotFound
	}
	return name, version, nil
}

// versionOf reads N.<role>.json.
func versionOf(name, role string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, "."+role+".json")
	if !ok || digits == "" || digits[0] == '0' || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	v, err := strconv.ParseUint(digits, 10, 63)
	return v, err == nil
}

// trustCache keeps files of the repository. Whoever asks for one that is being
// read waits for it: five hundred gates that see a new list read it once.
type trustCache struct {
	mu    sync.Mutex
	files map[string]*trustFile
	size  int
}

type trustFile struct {
	ready chan struct{} // closed when the rest is there
	bytes []byte
	tag   string
	err   error
	until time.Time // zero: for good
	used  time.Time
}

func newTrustCache() *trustCache { return &trustCache{files: map[string]*trustFile{}} }

func (c *trustCache) get(ctx context.Context, name string, now time.Time, read func() ([]byte, error)) (*trustFile, error) {
	c.mu.Lock()
	f := c.files[name]
	// A clock that was set back must not make an entry live on.
	if f != nil && (f.until.IsZero() || now.Before(f.until) && f.until.Sub(now) <= freshFor) {
		f.used = now
		c.mu.Unlock()
		select {
		case <-f.ready:
			return f, f.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.drop(name)
	f = &trustFile{ready: make(chan struct{}), used: now}
	c.files[name] = f
	c.mu.Unlock()

	f.bytes, f.err = read()
	if f.err == nil && len(f.bytes) > maxTrustFile {
		f.bytes, f.err = nil, errors.New("a trust file is larger than any may be")
	}
	sum := sha256.Sum256(f.bytes)
	f.tag = `"` + hex.EncodeToString(sum[:16]) + `"`

	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(f.ready)
	switch {
	case c.files[name] != f: // forgotten meanwhile
		return f, f.err
	case f.err != nil && !errors.Is(f.err, store.ErrNotFound):
		delete(c.files, name) // the next one tries again
		return f, f.err
	case f.err != nil || name == nameTimestamp:
		f.until = now.Add(freshFor)
	}
	c.size += len(f.bytes)
	c.trim(name)
	return f, f.err
}

// forget makes the next request read everything that can change.
func (c *trustCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, f := range c.files {
		if name == nameTimestamp || !f.done() || f.err != nil {
			c.drop(name)
		}
	}
}

func (f *trustFile) done() bool {
	select {
	case <-f.ready:
		return true
	default:
		return false
	}
}

func (c *trustCache) drop(name string) {
	if f := c.files[name]; f != nil {
		if f.done() {
			c.size -= len(f.bytes)
		}
		delete(c.files, name)
	}
}

// trim drops what was used the longest ago, all but keep.
func (c *trustCache) trim(keep string) {
	for c.size > cacheSize || len(c.files) > cacheMax {
		oldest, at := "", time.Time{}
		for name, f := range c.files {
			if name != keep && f.done() && (oldest == "" || f.used.Before(at)) {
				oldest, at = name, f.used
			}
		}
		if oldest == "" {
			return
		}
		c.drop(oldest)
	}
}
