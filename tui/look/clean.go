package look

import "checkpoint/tui/look/clean"

// Clean makes a string from outside fit to be shown: the one sanitiser, see
// package clean.
func Clean(s string) string { return clean.String(s) }
