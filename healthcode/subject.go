package healthcode

import (
	"crypto/hmac"
	"crypto/sha256"
)

// Subject turns a person's registry number into the sub claim of one
// credential, and a sub claim back into the number: number ⊕
// HMAC-SHA-256(subKey, "sub" ‖ cti)[:12]. The sub key belongs to one issuer
// key and stays at headquarters; without it two credentials of one person
// cannot be linked, with it headquarters can still reach the person.
func Subject(number [12]byte, subKey [32]byte, cti [8]byte) [12]byte {
	mac := hmac.New(sha256.New, subKey[:])
	mac.Write([]byte("sub"))
	mac.Write(cti[:])
	for i, b := range mac.Sum(nil)[:12] {
		number[i] ^= b
	}
	return number
}
