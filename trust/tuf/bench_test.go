package tuf

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"runtime"
	"testing"
	"time"

	"checkpoint/trust"
)

// big is a repository with 10 000 EU keys and 2 000 000 revocations.
func big(b *testing.B) *sim {
	s := newSim(b)
	var dcc struct {
		Form   string            `json:"form"`
		Issued time.Time         `json:"issued"`
		Keys   []json.RawMessage `json:"keys"`
	}
	s.must(json.Unmarshal(exampleTargets(b)["dcc-keys.json"], &dcc))
	one := dcc.Keys[0]
	for len(dcc.Keys) < trust.MaxDCCKeys {
		dcc.Keys = append(dcc.Keys, one)
	}
	keys, err := json.Marshal(dcc)
	s.must(err)
	s.file(RoleTargets, "dcc-keys.json", keys)
	l := trust.RevokedList{Sequence: 1, Issued: noon, Superseded: make([]trust.ID, 2_000_000)}
	for i := range l.Superseded {
		binary.BigEndian.PutUint64(l.Superseded[i][:], uint64(i+1)<<40)
	}
	ids, err := l.AppendBinary(nil)
	s.must(err)
	s.file(RoleRevoked, "revoked.bin", ids)
	for _, role := range []string{RoleTargets, RoleRevoked, RoleSnapshot, RoleTimestamp} {
		s.put(role)
	}
	return s
}

// BenchmarkOpen starts offline over the big repository.
func BenchmarkOpen(b *testing.B) {
	s := big(b)
	s.mustRefresh()
	b.ReportAllocs()
	var c *Client
	for b.Loop() {
		c = s.client()
	}
	heap(b)
	if c.Snapshot() == nil {
		b.Fatal("nothing")
	}
}

// BenchmarkRefreshTimestamp takes a new timestamp over it.
func BenchmarkRefreshTimestamp(b *testing.B) {
	s := big(b)
	c := s.mustRefresh()
	s.store = new(memStore)
	c.store = discard{}
	b.ReportAllocs()
	for b.Loop() {
		s.bump(RoleTimestamp)
		if changed, err := c.Refresh(context.Background(), s); err != nil || !changed {
			b.Fatal(changed, err)
		}
	}
}

type discard struct{}

func (discard) Generations(context.Context) ([]Generation, error) { return nil, nil }
func (discard) Keep(context.Context, Generation) error            { return nil }

// heap reports what is in use after the work.
func heap(b *testing.B) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MiB-heap")
}
