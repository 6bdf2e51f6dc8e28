package trust

import "strings"

// Covers reports whether a key that may sign for region may sign as issuer:
// issuer is region, or lies below it at a hyphen or at a boundary of a digit
// pair. "CN" covers "CN-42", "CN-42" covers "CN-420100", "CN-4" covers neither.
func Covers(region, issuer string) bool {
	rest, ok := strings.CutPrefix(issuer, region)
	if !ok || region == "" {
		return false
	}
	if rest == "" || rest[0] == '-' {
		return true
	}
	digits := len(region) - len(strings.TrimRight(region, "0123456789"))
	return digits > 0 && digits%2 == 0 && rest[0] >= '0' && rest[0] <= '9'
}
