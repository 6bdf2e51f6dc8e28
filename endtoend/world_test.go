// Package endtoend asks of gates and hubs together: is anything lost, or there
// twice? The gate's own file, the loop that sends, the hub and its stores are
// the real ones; only the people at the gates are not.
package endtoend

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"checkpoint/hub"
	"checkpoint/hub/store"
	"checkpoint/localdb"
	"checkpoint/record"
)

// begin is when everything here begins.
var begin = time.Date(2026, 11, 25, 7, 0, 0, 0, time.UTC)

// count reads a number of rounds from the environment.
func count(t testing.TB, name string, usual int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return usual
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a count", name, s)
	}
	return n
}

// key is an Ed25519 key that goes by a name.
func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("endtoend " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func signerOf(k ed25519.PrivateKey) record.Signer {
	return func(digest [32]byte) [64]byte { return record.SignSegment(digest, k) }
}

// stamp is a moment of a gate that was switched on at begin.
func stamp(after time.Duration) record.Stamp {
	return record.Stamp{WallMS: begin.Add(after).UnixMilli(), Quality: 3, Boot: [16]byte{1}, MonoMS: uint64(after.Milliseconds())}
}

// openFile opens a gate's file.
func openFile(ctx context.Context, dir string) (*localdb.DB, error) {
	return localdb.Open(ctx, filepath.Join(dir, "gate.db"), localdb.Options{
		Now: func() record.Stamp { return stamp(0) }, HardwareID: "board", Retention: 365 * 24 * time.Hour,
	})
}

// enrolment is one that a hub might have granted.
func enrolment(seed ed25519.PrivateKey, venue string) localdb.Enrolment {
	return localdb.Enrolment{
		URL: "https://hub.example", Chain: [][]byte{{1}}, TLSKey: []byte{1}, SegmentSeed: seed.Seed(),
		Gate: "gate", Venue: venue, VenueType: "subway", State: "active", IntervalS: 60,
	}
}

// admit makes a gate one of the hub's, as an enrolment would.
func admit(ctx context.Context, s store.Store, name, venue string, device [16]byte, k ed25519.PrivateKey) error {
	var hash [32]byte
	rand.Read(hash[:])
	err := s.CreateGate(ctx, store.Gate{Name: name, Venue: venue, VenueType: "subway", State: store.Invited, CreatedMS: begin.UnixMilli()},
		store.Token{Hash: hash, Gate: name, Expires: begin.Add(time.Hour)})
	if err != nil {
		return err
	}
	_, use, err := s.UseToken(ctx, hash, store.Enrolment{Device: device, SegmentKey: k.Public().(ed25519.PublicKey), At: begin})
	if err == nil && use != store.TokenGood {
		err = fmt.Errorf("the token is %d", use)
	}
	return err
}

// newHub makes a hub on a store; its receipt key goes by the name.
func newHub(dir string, s store.Store, now func() time.Time) (*hub.Hub, *hub.Keys, error) {
	keys := filepath.Join(dir, "keys")
	o := hub.KeyOptions{Hosts: []string{"127.0.0.1"}, Now: now}
	if err := hub.InitKeys(keys, o); err != nil && !errors.Is(err, hub.ErrKeysExist) {
		return nil, nil, err
	}
	k, err := hub.LoadKeys(keys, o)
	if err != nil {
		return nil, nil, err
	}
	h, err := hub.New(hub.Config{Store: s, Keys: k, URL: "https://127.0.0.1:1", Now: now})
	return h, k, err
}

// rowKey names a row for ever.
type rowKey struct {
	record.Identity
	seq uint64
}

// logged is what a hub's log holds, by row: SHA-256 of its canonical bytes.
// A row that is there twice is an error.
func logged(ctx context.Context, s store.Store) (map[rowKey][32]byte, error) {
	rows := make(map[rowKey][32]byte)
	days, err := s.ListDays(ctx)
	if err != nil {
		return nil, err
	}
	for _, day := range days {
		buckets, err := s.Buckets(ctx, day.ID, nil)
		if err != nil {
			return nil, err
		}
		for _, b := range buckets {
			for in, err := range s.Bucket(ctx, b) {
				if err != nil {
					return nil, err
				}
				whole, err := record.JoinSegment(in.Plain, in.Sealed)
				if err != nil {
					return nil, err
				}
				segment, err := record.ParseSegment(whole)
				if err != nil {
					return nil, err
				}
				for _, r := range segment.Rows {
					k := rowKey{r.Identity, r.Seq}
					if _, twice := rows[k]; twice {
						return nil, fmt.Errorf("row %d of epoch %x is there twice", r.Seq, r.Epoch)
					}
					if rows[k], err = rowSum(r); err != nil {
						return nil, err
					}
				}
			}
		}
	}
	return rows, nil
}

func rowSum(r record.Row) ([32]byte, error) {
	b, err := record.AppendRow(nil, r)
	return sha256.Sum256(b), err
}

// image copies a folder as a crash would leave it: what is written, open or not.
func image(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		i, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), i.Mode())
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, i.Mode())
	})
}

// redirect makes an enrolled gate call another address.
func redirect(ctx context.Context, p plan) error {
	db, err := openFile(ctx, p.Dir)
	if err != nil {
		return err
	}
	e, _, err := db.Enrolment(ctx)
	if err == nil {
		e.URL = p.Hub
		err = db.Enrol(ctx, stamp(0), e)
	}
	return errors.Join(err, db.Close(ctx, stamp(0)))
}
