package gate

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/scrypt"
)

// PIN is the hash of the technician's PIN in the form that the configuration
// holds: scrypt$N$r$p$salt$hash, salt and hash base64 without padding
// (RFC 7914).
type PIN struct {
	n, r, p    int
	salt, hash []byte
}

// ErrPIN says that a PIN hash has not the form it should.
var ErrPIN = errors.New("not a PIN hash of the form scrypt$N$r$p$salt$hash")

// ParsePIN reads a PIN hash. Its cost is bounded, so that a bad configuration
// cannot stall the gate.
func ParsePIN(s string) (PIN, error) {
	f := strings.Split(s, "$")
	if len(f) != 6 || f[0] != "scrypt" {
		return PIN{}, ErrPIN
	}
	var p PIN
	var err [5]error
	p.n, err[0] = strconv.Atoi(f[1])
	p.r, err[1] = strconv.Atoi(f[2])
	p.p, err[2] = strconv.Atoi(f[3])
	p.salt, err[3] = base64.RawStdEncoding.DecodeString(f[4])
	p.hash, err[4] = base64.RawStdEncoding.DecodeString(f[5])
	if e := errors.Join(err[:]...); e != nil {
		return PIN{}, ErrPIN
	}
	if p.n < 2 || p.n&(p.n-1) != 0 || p.n > 1<<17 || p.r < 1 || p.r > 16 || p.p < 1 || p.p > 4 ||
		len(p.salt) < 8 || len(p.salt) > 64 || len(p.hash) < 16 || len(p.hash) > 64 {
		return PIN{}, ErrPIN
	}
	return p, nil
}

// HashPIN makes the hash of a PIN with fresh salt.
func HashPIN(pin string, salt []byte) (string, error) {
	const n, r, p = 1 << 15, 8, 1
	if len(pin) < 4 || len(pin) > 64 {
		return "", errors.New("a PIN has 4 to 64 characters")
	}
	if len(salt) < 8 || len(salt) > 64 {
		return "", errors.New("a salt has 8 to 64 bytes")
	}
	h, err := scrypt.Key([]byte(pin), salt, n, r, p, 32)
	if err != nil {
		return "", err
	}
	e := base64.RawStdEncoding
	return fmt.Sprintf("scrypt$%d$%d$%d$%s$%s", n, r, p, e.EncodeToString(salt), e.EncodeToString(h)), nil
}

func (p PIN) matches(pin string) bool {
	if len(p.hash) == 0 || len(pin) > 64 {
		return false
	}
	h, err := scrypt.Key([]byte(pin), p.salt, p.n, p.r, p.p, len(p.hash))
	return err == nil && subtle.ConstantTimeCompare(h, p.hash) == 1
}

// lock counts tries: five, then nothing for five minutes.
type lock struct {
	wrong int
	until time.Time
}

const (
	pinTries = 5
	pinPause = 5 * time.Minute
)

func (l *lock) locked(at time.Time) bool { return at.Before(l.until) }

func (l *lock) tried(right bool, at time.Time) {
	if right {
		*l = lock{}
		return
	}
	if l.wrong++; l.wrong >= pinTries {
		*l = lock{until: at.Add(pinPause)}
	}
}
