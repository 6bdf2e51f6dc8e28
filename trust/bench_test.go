package trust_test

import (
	"encoding/binary"
	"testing"

	"checkpoint/trust"
)

// A large list: 100 000 revoked codes and 2 000 foreign keys.
func BenchmarkParseLarge(b *testing.B) {
	s := example(b)
	for i := range 100_000 {
		var id trust.ID
		binary.BigEndian.PutUint64(id[:], uint64(i)*2654435761)
		s.Revoked.Superseded = append(s.Revoked.Superseded, id)
	}
	for range 2000 {
		s.DCCKeys.Keys = append(s.DCCKeys.Keys, s.DCCKeys.Keys[0])
	}
	data := marshal(b, s)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := trust.Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAssemble reads a repository of 10 000 EU keys and 2 000 000
// revocations, the last 1 000 of them in a delta.
func BenchmarkAssemble(b *testing.B) {
	s := example(b)
	for len(s.DCCKeys.Keys) < trust.MaxDCCKeys {
		s.DCCKeys.Keys = append(s.DCCKeys.Keys, s.DCCKeys.Keys[0])
	}
	s.Revoked.Superseded, s.Revoked.Withdrawn = ids(2_000_000, 1), nil
	targets, err := trust.Targets(s, 1)
	if err != nil {
		b.Fatal(err)
	}
	list, err := trust.ParseRevoked(targets[trust.TargetRevoked])
	if err != nil {
		b.Fatal(err)
	}
	next := *list
	next.Sequence, next.Withdrawn = 2, ids(1000, 2)
	delta, err := list.Delta(&next)
	if err != nil {
		b.Fatal(err)
	}
	if targets[delta.Name()], err = delta.AppendBinary(nil); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := trust.Assemble(7, s.Issued, targets); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFindRevoked(b *testing.B) {
	index := trust.Revocations{Superseded: ids(2_000_000, 1)}.Index()
	b.ReportAllocs()
	for b.Loop() {
		index.Find(trust.ID{7, 7, 7})
	}
}
