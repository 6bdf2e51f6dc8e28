// Package office is the demo's other end of the line: a whole hub on this
// machine, with every key that a real one never has in one place.
//
//	o, err := office.Open(ctx, office.Config{Dir: dir, Store: store, Snapshot: world.Snapshot()})
//	defer o.Close()
//	token, err := o.Invite(ctx, "Gate B3", "Line 2", "subway") // what a gate enrols with
//
// It is a real hub on loopback: mutual TLS, TUF metadata with thresholds of
// two, signed receipts. Only its keys are worth nothing: they are made for it
// and forgotten with it.
package office

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub"
	"checkpoint/hub/store"
	"checkpoint/trust"
	"checkpoint/trust/tuf"
)

// Config is an office. Dir, Store and Snapshot are required.
type Config struct {
	Dir      string          // for its keys and what it publishes
	Store    store.Store     // closed by Close
	Snapshot *trust.Snapshot // what gates shall trust
	Interval time.Duration   // between uploads; 0: 2 s
	Log      *slog.Logger    // nil: nothing is logged
	Now      func() time.Time
}

// Office is a hub that serves. Its methods may be called by several goroutines.
type Office struct {
	hub    *hub.Hub
	store  store.Store
	url    string
	stop   context.CancelFunc
	served chan error
}

// Open makes the keys, publishes the trust and serves on a free port of
// loopback until Close.
func Open(ctx context.Context, c Config) (*Office, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Interval <= 0 {
		c.Interval = 2 * time.Second
	}
	o := hub.KeyOptions{Hosts: []string{"127.0.0.1"}, Now: c.Now}
	folder := filepath.Join(c.Dir, "keys")
	if err := hub.InitKeys(folder, o); err != nil && !errors.Is(err, hub.ErrKeysExist) {
		return nil, fmt.Errorf("office: %w", err)
	}
	keys, err := hub.LoadKeys(folder, o)
	if err != nil {
		return nil, fmt.Errorf("office: %w", err)
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("office: %w", err)
	}
	url := "https://" + ln.Addr().String()
	h, err := hub.New(hub.Config{Store: c.Store, Keys: keys, URL: url, Interval: c.Interval, Log: c.Log, Now: c.Now, Demo: true})
	if err == nil {
		err = publish(ctx, h, keys, c)
	}
	if err != nil {
		ln.Close()
		return nil, fmt.Errorf("office: %w", err)
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	f := &Office{hub: h, store: c.Store, url: url, stop: stop, served: make(chan error, 1)}
	go func() { f.served <- h.Serve(serving, ln) }() // ends with Close
	return f, nil
}

// publish signs the snapshot's lists, and those that speak of the hub, by two
// keys of each role, and gives them to the hub.
func publish(ctx context.Context, h *hub.Hub, keys *hub.Keys, c Config) error {
	now := c.Now()
	targets, err := trust.Targets(c.Snapshot, 1)
	if err != nil {
		return err
	}
	own, err := keys.TrustTargets(now)
	if err != nil {
		return err
	}
	maps.Copy(targets, own)
	plain := filepath.Join(c.Dir, "plain")
	if err := os.MkdirAll(plain, 0o700); err != nil {
		return err
	}
	for name, b := range targets {
		if err := os.WriteFile(filepath.Join(plain, name), b, 0o600); err != nil {
			return err
		}
	}
	ring := tuf.Keyring{Online: tuf.Online{Snapshot: keys.Snapshot, Timestamp: keys.Timestamp}}
	for _, role := range []*[]ed25519.PrivateKey{&ring.Root, &ring.Targets, &ring.DayKeys, &ring.Revoked} {
		for range 3 {
			_, key, err := ed25519.GenerateKey(nil)
			if err != nil {
				return err
			}
			*role = append(*role, key)
		}
	}
	files, err := ring.Publish(os.DirFS(plain), nil, now)
	if err != nil {
		return err
	}
	published := make(map[string][]byte, len(files))
	for _, f := range files {
		published[f.Name] = f.Bytes
	}
	return h.Publish(ctx, published)
}

// URL is where gates reach it.
func (o *Office) URL() string { return o.url }

// Invite makes a gate and the code that it enrols with.
func (o *Office) Invite(ctx context.Context, name, venue, venueType string) (enroll.Token, error) {
	return o.hub.Invite(ctx, name, venue, venueType, false, 0)
}

// Close ends the hub when it has answered what it took, and closes its store.
func (o *Office) Close() error {
	o.stop()
	return errors.Join(<-o.served, o.store.Close())
}
