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
