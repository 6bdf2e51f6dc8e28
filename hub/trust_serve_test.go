package hub

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub/store"
)

func (w *town) fetch(url, name string, header ...string) answered {
	w.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url+enroll.PathTrust+name, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := w.client().Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(response.Body); err != nil {
		w.t.Fatal(err)
	}
	return answered{status: response.StatusCode, header: response.Header, body: b.Bytes()}
}

func TestTrustIsServedToAnybody(t *testing.T) {
	w := newTown(t)
	list := bytes.Repeat([]byte("revoked "), 10_000)
	w.store.trust["timestamp.json"] = []byte(`{"first":1}`)
	w.store.trust["targets/ab.revoked.bin"] = list
	got := w.fetch(w.url, "targets/ab.revoked.bin")
	if got.status != 200 || !bytes.Equal(got.body, list) || got.header.Get("Cache-Control") != "public, max-age=31536000, immutable" || got.header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("answer = %d, %v", got.status, got.header)
	}
	tag := got.header.Get("ETag")
	if tag == "" || strings.HasPrefix(tag, "W/") {
		t.Errorf("ETag = %q, want a strong one", tag)
	}
	if got := w.fetch(w.url, "targets/ab.revoked.bin", "Range", "bytes=79990-", "If-Range", tag); got.status != 206 || !bytes.Equal(got.body, list[79990:]) {
		t.Errorf("a range = %d, %q", got.status, got.body)
	}
	if got := w.fetch(w.url, "targets/ab.revoked.bin", "Range", "bytes=79990-", "If-Range", `"another"`); got.status != 200 || len(got.body) != len(list) {
		t.Errorf("a range of another version = %d", got.status)
	}
	if got := w.fetch(w.url, "targets/ab.revoked.bin", "If-None-Match", tag); got.status != 304 {
		t.Errorf("what is there already = %d", got.status)
	}
	stamp := w.fetch(w.url, "timestamp.json")
	if stamp.header.Get("Cache-Control") != "no-cache" || stamp.header.Get("Content-Type") != "application/json" {
		t.Errorf("timestamp: %v", stamp.header)
	}
	for _, name := range []string{"2.root.json", "root.json", "targets", "a%00b", ".hidden", "targets/.x", "a/b/c/d/e", strings.Repeat("x", 201), "a%2e%2e%2f", "..%2fca.key"} {
		if got := w.fetch(w.url, name); got.status != 404 || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%q = %d, %v", name, got.status, got.header.Get("Cache-Control"))
		}
	}
}

func TestTimestampIsAtMostTwoSecondsLate(t *testing.T) {
	w := newTown(t)
	w.store.trust["timestamp.json"] = []byte(`1`)
	if got := w.fetch(w.url, "timestamp.json"); string(got.body) != "1" {
		t.Fatalf("got %q", got.body)
	}
	w.fetch(w.url, "2.root.json") // is not there yet
	w.store.set(func() { w.store.trust["timestamp.json"], w.store.trust["2.root.json"] = []byte(`2`), []byte(`root`) })
	w.advance(freshFor)
	if got := w.fetch(w.url, "timestamp.json"); string(got.body) != "2" {
		t.Errorf("got %q, want the new one", got.body)
	}
	if got := w.fetch(w.url, "2.root.json"); got.status != 200 {
		t.Errorf("the new root = %d", got.status)
	}
	// A clock that is set back must not keep the old one.
	w.store.set(func() { w.store.trust["timestamp.json"] = []byte(`3`) })
	w.advance(-time.Hour)
	if got := w.fetch(w.url, "timestamp.json"); string(got.body) != "3" {
		t.Errorf("got %q after the clock was set back", got.body)
	}
}

func TestTrustCacheReadsOnceForAll(t *testing.T) {
	c := newTrustCache()
	var reads atomic.Int32
	begun, go_ := make(chan struct{}), make(chan struct{})
	read := func() ([]byte, error) {
		if reads.Add(1) == 1 {
			close(begun)
		}
		<-go_
		return []byte("list"), nil
	}
	var all sync.WaitGroup
	ask := func() {
		all.Go(func() {
			if f, err := c.get(context.Background(), "targets/a", noon, read); err != nil || string(f.bytes) != "list" {
				t.Errorf("got %v", err)
			}
		})
	}
	ask()
	<-begun
	for range 20 {
		ask()
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.get(gone, "targets/a", noon, read); !errors.Is(err, context.Canceled) {
		t.Errorf("who has gone waits: %v", err)
	}
	close(go_)
	all.Wait()
	if n := reads.Load(); n != 1 {
		t.Errorf("%d reads, want 1", n)
	}
}

func TestTrustCacheIsBoundedAndKeepsNoFailure(t *testing.T) {
	c := newTrustCache()
	ctx := context.Background()
	if _, err := c.get(ctx, "a", noon, func() ([]byte, error) { return nil, store.ErrUnavailable }); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if f, err := c.get(ctx, "a", noon, func() ([]byte, error) { return []byte("a"), nil }); err != nil || string(f.bytes) != "a" {
		t.Errorf("a failure was kept: %v", err)
	}
	for i := range 20 {
		name := "targets/" + string(rune('a'+i))
		if _, err := c.get(ctx, name, noon.Add(time.Duration(i)*time.Second), func() ([]byte, error) { return make([]byte, 10<<20), nil }); err != nil {
			t.Fatal(err)
		}
		if c.size > cacheSize {
			t.Fatalf("%d bytes are kept", c.size)
		}
	}
	for i := range cacheMax + 100 {
		_, _ = c.get(ctx, "none"+string(rune(i+0x100)), noon, func() ([]byte, error) { return nil, store.ErrNotFound })
	}
	if len(c.files) > cacheMax {
		t.Errorf("%d entries are kept", len(c.files))
	}
	size := 0
	for _, f := range c.files {
		size += len(f.bytes)
	}
	if size != c.size {
		t.Errorf("counted %d bytes, %d are kept", c.size, size)
	}
}

func FuzzTrustNames(f *testing.F) {
	f.Add("1.root.json")
	f.Add("targets/ab/../x")
	f.Fuzz(func(t *testing.T, name string) {
		if trustName(name) && (strings.Contains(name, "..") && strings.Contains(name, "/..") || strings.HasPrefix(name, "/") || strings.ContainsAny(name, "\x00\\ ")) {
			t.Errorf("%q passes", name)
		}
		if version, role, ok := metadataName(name); ok && name != nameTimestamp && (version == 0 || role == "") {
			t.Errorf("%q is metadata %d of %q", name, version, role)
		}
	})
}
