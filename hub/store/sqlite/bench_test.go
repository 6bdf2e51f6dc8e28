package sqlite

import (
	"os"
	"path/filepath"
	"testing"

	"checkpoint/hub/store/storetest"
)

// The floor is 120 000 rows a second on two cores (design: segments, not rows):
//
//	go test ./hub/store/sqlite -run - -bench Put -benchtime 100x
func BenchmarkPut(b *testing.B) {
	s := fresh(b).Open(b)
	defer s.Close()
	storetest.Put(b, s)
}

// BenchmarkGrowth needs 80 bytes of the disk for each row, e.g.
//
//	CHECKPOINT_ROWS=50 go test ./hub/store/sqlite -run - -bench Growth -benchtime 1x -v -timeout 1h
func BenchmarkGrowth(b *testing.B) {
	p := fresh(b).(place)
	s := p.Open(b)
	defer s.Close()
	for range b.N {
		storetest.Growth(b, s, 1, func() (sum int64) {
			_ = filepath.Walk(p.dir, func(_ string, i os.FileInfo, err error) error {
				if err == nil && filepath.Ext(i.Name()) == ".db" {
					sum += i.Size()
				}
				return err
			})
			return sum
		})
	}
}
