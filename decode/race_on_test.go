//go:build race

package decode

// raceEnabled: the race detector makes reading some fifteen times slower, and
// a Scanner has nothing to race with; pictures are then read in one rotation.
const raceEnabled = true
