package hub

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"checkpoint/hub/store"
	"checkpoint/trust"
	"checkpoint/trust/tuf"
)

// press is whoever signs: all offline keys in one hand.
type press struct {
	t        testing.TB
	keys     tuf.Keyring
	snapshot *trust.Snapshot
	sequence uint64
	files    []tuf.File // all that was signed
	extra    map[string][]byte
}

func newPress(t testing.TB, hub *Keys) *press {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", "examples", "trust.json"))
	if err != nil {
		t.Fatal(err)
	}
	p := &press{t: t, extra: map[string][]byte{}}
	if p.snapshot, err = trust.Parse(b); err != nil {
		t.Fatal(err)
	}
	for _, keys := range []*[]ed25519.PrivateKey{&p.keys.Root, &p.keys.Targets, &p.keys.DayKeys, &p.keys.Revoked} {
		for range 3 {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			*keys = append(*keys, key)
		}
	}
	p.keys.Online = tuf.Online{Snapshot: hub.Snapshot, Timestamp: hub.Timestamp}
	if p.extra, err = hub.TrustTargets(noon); err != nil {
		t.Fatal(err)
	}
	p.sequence = 1
	return p
}

// print signs what stands now and gives every file of it.
func (p *press) print(at time.Time) map[string][]byte {
	p.t.Helper()
	p.snapshot.Issued = at
	for _, issued := range []*time.Time{&p.snapshot.Issuers.Issued, &p.snapshot.Policy.Issued, &p.snapshot.Revoked.Issued, &p.snapshot.DayKeys.Issued} {
		*issued = at
	}
	targets, err := trust.Targets(p.snapshot, p.sequence)
	if err != nil {
		p.t.Fatal(err)
	}
	plain := fstest.MapFS{}
	for name, b := range targets {
		plain[name] = &fstest.MapFile{Data: b}
	}
	for name, b := range p.extra {
		plain[name] = &fstest.MapFile{Data: b}
	}
	p.sequence++
	made, err := p.keys.Publish(fs.FS(plain), p.files, at)
	if err != nil {
		p.t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, f := range append(p.files, made...) {
		all[f.Name] = f.Bytes
	}
	p.files = repository{files: all}.list()
	return all
}

// forged is what follows on what the press printed once, with another key for a
// published day: two of three custodians who want to read that day. Their tools
// refuse to sign it, so it is signed over a history that never was.
func (p *press) forged(at time.Time) map[string][]byte {
	p.t.Helper()
	other := *p
	other.snapshot = clone(p.t, p.snapshot)
	other.files = slices.DeleteFunc(slices.Clone(p.files), func(f tuf.File) bool { return f.Name != "1.root.json" })
	for i := range other.snapshot.DayKeys.Keys {
		if k := &other.snapshot.DayKeys.Keys[i]; !k.Destroyed {
			k.PublicKey = bytes.Clone(k.PublicKey)
			k.PublicKey[len(k.PublicKey)-1] ^= 1
		}
	}
	other.print(at)
	return other.print(at.Add(time.Second))
}

// newTrustTown is a town whose repository is published.
func newTrustTown(t testing.TB) (*town, *press) {
	t.Helper()
	w := newTown(t)
	clear(w.store.trust)
	p := newPress(t, w.keys)
	if err := w.hub.Publish(context.Background(), p.print(w.now())); err != nil {
		t.Fatal(err)
	}
	return w, p
}

// reader is a gate's trust client that reads over the net.
type reader struct {
	w      *town
	kept   *held
	client *tuf.Client
}

func (w *town) reader() *reader {
	w.t.Helper()
	r := &reader{w: w, kept: new(held)}
	first := w.fetch(w.url, "1.root.json")
	c, err := tuf.Open(context.Background(), r.kept, first.body, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	r.client = c
	return r
}

func (r *reader) Fetch(_ context.Context, name string, _ int64) ([]byte, error) {
	got := r.w.fetch(r.w.url, name)
	if got.status == http.StatusNotFound {
		return nil, tuf.ErrMissing
	}
	return got.body, nil
}

func (r *reader) refresh() *trust.Snapshot {
	r.w.t.Helper()
	if _, err := r.client.Refresh(context.Background(), r); err != nil {
		r.w.t.Fatal(err)
	}
	return r.client.Snapshot()
}

func (w *town) publish(files map[string][]byte) {
	w.t.Helper()
	if err := w.hub.Publish(context.Background(), files); err != nil {
		w.t.Fatal(err)
	}
	w.advance(freshFor) // what was served before is over
}

func TestPublishedTrustReachesGates(t *testing.T) {
	w, p := newTrustTown(t)
	gate := w.reader()
	first := gate.refresh()
	if len(first.Issuers.Keys) == 0 || len(first.ReceiptKeys) != 1 || len(first.HubCA) != 1 {
		t.Fatalf("snapshot = %+v", first)
	}
	if first.HubCA[0].SPKI != trust.Fingerprint(w.keys.Pin()) {
		t.Error("hub-ca.json names another CA")
	}
	for n := range 4 {
		w.advance(time.Hour)
		p.snapshot.Issuers.Keys[0].Name = strings.Repeat("x", n+1)
		w.publish(p.print(w.now()))
		if got := gate.refresh().Issuers.Keys[0].Name; got != strings.Repeat("x", n+1) {
			t.Errorf("after publication %d the gate has %q", n+2, got)
		}
	}
	if _, ok := w.store.trust["1.root.json"]; !ok {
		t.Error("the first root was dropped")
	}
	count := 0
	for name := range w.store.trust {
		if strings.HasSuffix(name, ".issuers.json") {
			count++
		}
	}
	if count != 2 {
		t.Errorf("%d lists of issuers are kept, want the newest and the one before", count)
	}
	if fresh := w.reader().refresh(); fresh.Issuers.Keys[0].Name != "xxxx" {
		t.Error("a new gate does not reach the newest trust")
	}
	// The same once more changes nothing that gates see.
	w.publish(p.print(w.now()))
	gate.refresh()
}

func TestPublishRefuses(t *testing.T) {
	w, p := newTrustTown(t)
	ctx := context.Background()
	before, err := w.hub.readRepository(ctx)
	if err != nil {
		t.Fatal(err)
	}
	targets := func(files map[string][]byte, suffix string) string {
		for name := range files {
			if strings.HasSuffix(name, suffix) && w.store.trust[name] == nil {
				return name
			}
		}
		t.Fatalf("no new %s", suffix)
		return ""
	}
	for _, tc := range []struct {
		name  string
		files func() map[string][]byte
		why   tuf.Why // "": ErrTrustName
	}{
		{"a published day key that changed", func() map[string][]byte {
			return onlyNew(w, p.forged(noon.Add(time.Hour)))
		}, tuf.DayKeyChanged},
		{"a target with other bytes", func() map[string][]byte {
			other := *p
			other.snapshot = clone(t, p.snapshot)
			other.snapshot.Issuers.Keys[0].Name = "other"
			files := other.print(noon.Add(time.Hour))
			files[targets(files, ".issuers.json")] = []byte(`{}`)
			return files
		}, tuf.Mixed},
		{"targets signed by nobody known", func() map[string][]byte {
			stranger := newPress(t, w.keys)
			stranger.print(noon)
			stranger.snapshot.Issuers.Keys[0].Name = "other"
			return onlyNew(w, stranger.print(noon.Add(time.Hour)))
		}, "any"},
		{"a published name with other bytes", func() map[string][]byte { return map[string][]byte{"1.root.json": []byte("{}")} }, ""},
		{"a root behind a gap", func() map[string][]byte { return map[string][]byte{"9.root.json": []byte("{}")} }, ""},
		{"a root that is none", func() map[string][]byte { return map[string][]byte{"2.root.json": []byte("{}")} }, "any"},
		{"a name that is none", func() map[string][]byte { return map[string][]byte{"../ca.key": []byte("{}")} }, ""},
		{"a file of no role", func() map[string][]byte { return map[string][]byte{"readme.txt": []byte("{}")} }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := w.hub.Publish(ctx, tc.files())
			var refused *tuf.Refused
			switch {
			case tc.why == "" && !errors.Is(err, ErrTrustName), tc.why != "" && tc.why != "any" && (!errors.As(err, &refused) || refused.Why != tc.why), err == nil:
				t.Errorf("Publish = %v, want %q", err, tc.why)
			}
			after, err := w.hub.readRepository(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if after.turn != before.turn || len(after.files) != len(before.files) {
				t.Error("something was published")
			}
		})
	}
}

func clone(t testing.TB, s *trust.Snapshot) *trust.Snapshot {
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	next, err := trust.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func onlyNew(w *town, files map[string][]byte) map[string][]byte {
	fresh := map[string][]byte{}
	for name, b := range files {
		if w.store.trust[name] == nil {
			fresh[name] = b
		}
	}
	return fresh
}

func TestPublishBeginsAnewWhenAnotherWasFaster(t *testing.T) {
	w, p := newTrustTown(t)
	w.store.stale = publishTries - 1
	w.advance(time.Hour)
	p.snapshot.Issuers.Keys[0].Name = "second"
	w.publish(p.print(w.now()))
	if got := w.reader().refresh().Issuers.Keys[0].Name; got != "second" {
		t.Errorf("gates have %q", got)
	}
	w.store.stale = publishTries
	p.snapshot.Issuers.Keys[0].Name = "third"
	if err := w.hub.Publish(context.Background(), p.print(w.now())); !errors.Is(err, store.ErrStale) {
		t.Errorf("Publish = %v, want ErrStale", err)
	}
}

func TestOneOfSeveralHubsKeepsTrustFresh(t *testing.T) {
	w, _ := newTrustTown(t)
	hubs := []*Hub{w.hub}
	for range 3 {
		h, _ := w.another()
		hubs = append(hubs, h)
	}
	keep := func() {
		t.Helper()
		var all sync.WaitGroup
		for _, h := range hubs {
			h.wait = 0
			all.Go(func() {
				if err := h.keepFresh(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	turn := func() uint64 {
		n, _ := w.store.TrustGeneration(context.Background())
		return n
	}
	gate := w.reader()
	first := gate.refresh().Issued
	start := turn()
	w.advance(timestampEvery - time.Second)
	keep()
	if turn() != start {
		t.Error("a fresh timestamp was signed again")
	}
	for range 3 {
		w.advance(timestampEvery)
		before := turn()
		keep()
		if got := turn(); got != before+1 {
			t.Errorf("four hubs signed %d timestamps, want 1", got-before)
		}
		keep()
		if got := turn(); got != before+1 {
			t.Error("a fresh timestamp was signed again")
		}
		w.advance(freshFor)
		if issued := gate.refresh().Issued; !issued.After(first) {
			t.Errorf("trust was vouched for %v, want after %v", issued, first)
		} else {
			first = issued
		}
	}
}

func TestTimestampsFollowTheClockOfTheStore(t *testing.T) {
	w, p := newTrustTown(t)
	ctx := context.Background()
	w.hub.wait = 0
	other, _ := w.another()
	other.wait = 0
	other.cfg.Now = func() time.Time { return w.now().Add(-2 * time.Hour) }
	before := w.store.turn
	if err := other.keepFresh(ctx); !errors.Is(err, ErrClock) {
		t.Errorf("a hub whose clock is behind: %v, want ErrClock", err)
	}
	if err := other.Publish(ctx, p.print(w.now())); !errors.Is(err, ErrClock) {
		t.Errorf("a hub whose clock is behind publishes: %v, want ErrClock", err)
	}
	if w.store.turn != before {
		t.Error("a hub whose clock is behind signed")
	}
	// The one clock was wrong, and is mended: gates must not be told the future
	// until it has come.
	w.advance(20 * time.Hour)
	if err := w.hub.keepFresh(ctx); err != nil {
		t.Fatal(err)
	}
	gate := w.reader()
	gate.refresh()
	w.advance(-20 * time.Hour)
	if err := w.hub.keepFresh(ctx); err != nil {
		t.Fatal(err)
	}
	w.advance(freshFor)
	if issued := gate.refresh().Issued; issued.After(w.now()) {
		t.Errorf("gates are told %v, it is %v", issued, w.now())
	}
}

func TestTrustIsFreshAgainAfterAHubStoodStill(t *testing.T) {
	w, p := newTrustTown(t)
	gate := w.reader()
	gate.refresh()
	w.advance(3 * day) // longer than a timestamp lives
	w.hub.wait = 0
	if err := w.hub.upkeepTrust(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.advance(freshFor)
	if age := w.now().Sub(gate.refresh().Issued); age > time.Minute {
		t.Errorf("trust is %v old", age)
	}
	// And a day key that changed meanwhile is still seen.
	w.advance(3 * day)
	var refused *tuf.Refused
	if err := w.hub.Publish(context.Background(), onlyNew(w, p.forged(w.now()))); !errors.As(err, &refused) || refused.Why != tuf.DayKeyChanged {
		t.Errorf("Publish = %v, want %s", err, tuf.DayKeyChanged)
	}
}

func TestSignersAreToldWhenTheyAreDue(t *testing.T) {
	w, p := newTrustTown(t)
	ctx := context.Background()
	w.hub.wait = 0
	open := func() []string {
		t.Helper()
		if err := w.hub.upkeepTrust(ctx); err != nil {
			t.Fatal(err)
		}
		return w.store.openAlarms()
	}
	// The example's day keys end in November: that is said from the start.
	base := open()
	if slices.Contains(base, "trust_revoked") || slices.Contains(base, "receipt_key") || slices.Contains(base, "hub_ca") {
		t.Errorf("alarms of a fresh repository: %v", base)
	}
	w.advance(12*time.Hour + time.Minute)
	for range 3 {
		w.advance(time.Minute)
		if got := open(); !slices.Contains(got, "trust_revoked") {
			t.Errorf("alarms = %v, want trust_revoked", got)
		}
	}
	for _, a := range w.store.alarms {
		if a.Kind == "trust_revoked" && a.Count != 1 {
			t.Errorf("it was said %d times within minutes", a.Count)
		}
	}
	w.publish(p.print(w.now()))
	if got := open(); slices.Contains(got, "trust_revoked") {
		t.Errorf("alarms = %v: headquarters has signed", got)
	}
	p.extra = map[string][]byte{}
	w.advance(time.Minute)
	w.publish(p.print(w.now()))
	if got := open(); !slices.Contains(got, "receipt_key") {
		t.Errorf("alarms = %v, want receipt_key", got)
	}
}

func TestTrustForPeople(t *testing.T) {
	w, _ := newTrustTown(t)
	client := w.person("zhao", Technician)
	got := get[trustAnswer](w, client, "trust")
	var roles []string
	for _, r := range got.Roles {
		roles = append(roles, r.Role)
		if r.Version < 1 || r.Expires == nil {
			t.Errorf("role %+v", r)
		}
	}
	if !slices.Equal(roles, roleOrder) {
		t.Errorf("roles = %v", roles)
	}
	if got.Refused != "" || len(got.Lists) < 5 || got.Version == 0 {
		t.Errorf("trust = %+v", got)
	}
	policy := get[pageOf[policyAnswer]](w, client, "policy")
	now, next := 0, 0
	for _, p := range policy.Entries {
		if p.Now != nil {
			now++
		}
		if p.Next != nil {
			next++
			if !p.Next.From.After(w.now()) {
				t.Errorf("next is from %v", p.Next.From)
			}
		}
	}
	if now == 0 || next == 0 {
		t.Errorf("policy = %+v", policy)
	}
	one := get[pageOf[policyAnswer]](w, client, "policy?type="+policy.Entries[0].Type)
	if len(one.Entries) != 1 {
		t.Errorf("policy of one type = %+v", one)
	}
}

func TestDaysAreDestroyedOnlyWhenSignedKeysSaySo(t *testing.T) {
	w, p := newTrustTown(t)
	var destroyed, alive string
	for _, k := range p.snapshot.DayKeys.Keys {
		if k.Destroyed {
			destroyed = k.ID
		} else {
			alive = k.ID
		}
	}
	for _, id := range []string{destroyed, alive} {
		w.store.days[id] = store.Day{ID: id, Segments: 1}
	}
	client := w.person("chen", Headquarters)
	w.want(w.request(client, "POST", pathAdmin+"days/"+alive+"/drop", []byte(`{"destroyed":true}`)), 409, "not_destroyed")
	if got := w.request(client, "POST", pathAdmin+"days/"+destroyed+"/drop", []byte(`{"destroyed":true}`)); got.status != 200 || !w.store.days[destroyed].Destroyed {
		t.Errorf("drop = %d %s", got.status, got.body)
	}
}

func TestEnrolmentBeginsWithTheNewestRoot(t *testing.T) {
	w, _ := newTrustTown(t)
	token := w.invite("b3", false)
	a := w.applicant()
	g := a.take(a.enrol(token), a.key)
	if !bytes.Equal(g.Root, w.store.trust["1.root.json"]) {
		t.Error("the grant holds another root")
	}
	if err := tuf.CheckRoot(g.Root); err != nil {
		t.Error(err)
	}
}
