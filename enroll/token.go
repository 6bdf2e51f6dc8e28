package enroll

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"checkpoint/healthcode/base45"
)

const (
	tokenPrefix = "CKE1:"
	tokenFixed  = 1 + 32 + 32 + 32
	maxURL      = 200

	// MaxToken is the longest text of a token, characters.
	MaxToken = len(tokenPrefix) + (tokenFixed+maxURL)/2*3 + 2
)

// Text is the token as a QR code holds it: "CKE1:" and Base45 of version ‖
// secret ‖ pin ‖ root ‖ address, all in the alphanumeric mode's alphabet.
func (t Token) Text() string {
	b := make([]byte, 0, tokenFixed+len(t.URL))
	b = append(b, 1)
	b = append(b, t.Secret[:]...)
	b = append(b, t.Pin[:]...)
	b = append(b, t.Root[:]...)
	b = append(b, t.URL...)
	return string(base45.AppendEncode([]byte(tokenPrefix), b))
}

// ParseToken reads the text of a token, with ErrToken for anything else.
func ParseToken(text string) (Token, error) {
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok || len(text) > MaxToken {
		return Token{}, fmt.Errorf("%w: it does not begin with %s, or is too long", ErrToken, tokenPrefix)
	}
	b, err := base45.Decode([]byte(rest), MaxToken)
	if err != nil {
		return Token{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	if len(b) < tokenFixed || b[0] != 1 {
		return Token{}, fmt.Errorf("%w: of another version, or cut off", ErrToken)
	}
	t := Token{URL: string(b[tokenFixed:])}
	copy(t.Secret[:], b[1:])
	copy(t.Pin[:], b[33:])
	copy(t.Root[:], b[65:])
	if err := CheckURL(t.URL); err != nil {
		return Token{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return t, nil
}

// CheckURL takes https://HOST or https://HOST:PORT in at most 200 characters,
// and nothing else: HOST is a name of A-Z a-z 0-9 . - or an address, that of
// IPv6 in brackets, PORT 1 to 65535.
func CheckURL(text string) error {
	bad := errors.New("the hub's address is not https://HOST:PORT")
	rest, ok := strings.CutPrefix(text, "https://")
	if !ok || len(text) > maxURL {
		return bad
	}
	host, port := rest, ""
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.HasSuffix(rest, "]") {
		host, port = rest[:i], rest[i+1:]
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || port[0] == '0' || port[0] == '+' {
			return bad
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !addr.Is6() || addr.Zone() != "" || !strings.HasSuffix(inner, "]") {
			return bad
		}
		return nil
	}
	for _, c := range []byte(host) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-') {
			return bad
		}
	}
	if host == "" || host[0] == '.' || host[0] == '-' {
		return bad
	}
	return nil
}
