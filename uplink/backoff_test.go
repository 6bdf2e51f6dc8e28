package uplink

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The ceilings are 1, 2, 4 … s and then 5 min; the wait is anything below them.
func TestFullJitterFillsAllBelowItsCeiling(t *testing.T) {
	for n, want := range map[int]time.Duration{
		-1: time.Second, 0: time.Second, 1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 8: 128 * time.Second, 9: 256 * time.Second,
		10: 5 * time.Minute, 11: 5 * time.Minute, 64: 5 * time.Minute, 1 << 30: 5 * time.Minute,
	} {
		var asked int64
		least := fullJitter(n, func(n int64) int64 { asked = n; return 0 })
		most := fullJitter(n, func(n int64) int64 { return n - 1 })
		if least != 0 || most != want-1 || asked != int64(want) {
			t.Errorf("failure %d: from %v to %v below %v, want 0 to all below %v", n, least, most, time.Duration(asked), want)
		}
	}
}

// Each tenth below the ceiling is as likely as the others (full, not half,
// jitter), so gates that failed together come back spread out.
func TestFullJitterIsUniform(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 9))
	const draws = 100_000
	var tenths [10]int
	for range draws {
		tenths[fullJitter(30, random.Int64N)*10/waitCap]++
	}
	if least, most := slices.Min(tenths[:]), slices.Max(tenths[:]); least < draws/10*95/100 || most > draws/10*105/100 {
		t.Errorf("tenths %v", tenths)
	}
}
