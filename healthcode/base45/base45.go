// Package base45 reads and writes Base45 (RFC 9285), strictly.
//
// Two bytes become three characters of the alphabet that a QR code packs at
// 5.5 bits each; a last odd byte becomes two. Decode refuses every string that
// Encode cannot produce, so that a byte string has one text and no other.
package base45

import (
	"errors"
	"fmt"
)

// ErrSyntax is returned, wrapped with the place, for every refused text.
var ErrSyntax = errors.New("not Base45")

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

// values holds for each byte its value in the alphabet plus one; 0: not in it.
var values = func() (v [256]uint8) {
	for i := range len(alphabet) {
		v[alphabet[i]] = uint8(i + 1)
	}
	return v
}()

// EncodedLen is the number of characters for n bytes.
func EncodedLen(n int) int { return n/2*3 + n%2*2 }

// AppendEncode appends the Base45 text of src to dst.
func AppendEncode(dst, src []byte) []byte {
	for ; len(src) >= 2; src = src[2:] {
		n := uint(src[0])<<8 | uint(src[1])
		dst = append(dst, alphabet[n%45], alphabet[n/45%45], alphabet[n/45/45])
	}
	if len(src) == 1 {
		dst = append(dst, alphabet[src[0]%45], alphabet[src[0]/45])
	}
	return dst
}

// Decode returns the bytes of text, which may have at most max characters. The
// work done and the memory taken are bounded by max.
func Decode(text []byte, max int) ([]byte, error) {
	if len(text) > max {
		return nil, fmt.Errorf("%w: longer than %d characters", ErrSyntax, max)
	}
	if len(text)%3 == 1 {
		return nil, fmt.Errorf("%w: %d characters", ErrSyntax, len(text))
	}
	out := make([]byte, 0, len(text)/3*2+len(text)%3/2)
	for i := 0; i < len(text); i += 3 {
		a, b := values[text[i]], values[text[i+1]]
		if a == 0 || b == 0 {
			return nil, fmt.Errorf("%w: at character %d", ErrSyntax, i)
		}
		n := uint(a-1) + uint(b-1)*45
		if i+2 == len(text) {
			if n > 0xff { // RFC 9285 §4: two characters are one byte
				return nil, fmt.Errorf("%w: at character %d", ErrSyntax, i)
			}
			return append(out, byte(n)), nil
		}
		c := values[text[i+2]]
		if n += uint(c-1) * 45 * 45; c == 0 || n > 0xffff {
			return nil, fmt.Errorf("%w: at character %d", ErrSyntax, i)
		}
		out = append(out, byte(n>>8), byte(n))
	}
	return out, nil
}
