package uplink

import "time"

// The waits after a failure.
const (
	waitBase = time.Second
	waitCap  = 5 * time.Minute
)

// fullJitter is how long to wait after the n-th failure in a row: anything from
// nothing up to a ceiling that doubles from waitBase to waitCap. Spread over all
// of it, a thousand gates that failed together do not come back together
// (Brooker, "Exponential Backoff And Jitter", 2015).
func fullJitter(n int, random func(n int64) int64) time.Duration {
	ceiling := waitCap
	if n < 1 {
		n = 1
	}
	if n <= 9 { // 2^9 s is past the cap
		ceiling = min(waitCap, waitBase<<(n-1))
	}
	return time.Duration(random(int64(ceiling)))
}
