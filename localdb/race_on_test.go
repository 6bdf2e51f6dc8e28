//go:build race

package localdb

// raceEnabled: the race detector slows everything tenfold.
const raceEnabled = true
