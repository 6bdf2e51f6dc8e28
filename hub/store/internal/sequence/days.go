package sequence

import "time"

// A day with a place of its own costs a file, or some tables, and a clock that
// is far off must not make many of those: its days share one place.
const (
	oldest = 3 * 366 * 24 * time.Hour
	newest = 60 * 24 * time.Hour
)

// OwnPlace reports whether a day first seen now gets a place of its own: it is
// a date (2026-11-23) from three years ago to two months ahead. What was decided
// once about a day stays.
func OwnPlace(day string, now time.Time) bool {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil || t.Format(time.DateOnly) != day {
		return false
	}
	off := t.Sub(now)
	return off > -oldest && off < newest
}
