package enroll

import (
	"fmt"
	"net/url"
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

// CheckURL takes https://host or https://host:port, of at most 200 printable
// ASCII characters, and nothing else.
func CheckURL(text string) error {
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' {
			return fmt.Errorf("the hub's address holds a character that is none")
		}
	}
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURL || u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "" || strings.HasSuffix(text, "#") {
		return fmt.Errorf("the hub's address is not https://HOST:PORT")
	}
	return nil
}
