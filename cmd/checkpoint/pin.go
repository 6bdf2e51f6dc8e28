package main

import (
	"bufio"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/scrypt"
)

// A technician's PIN is kept as scrypt$N$r$p$salt$hash: N, r and p decimal,
// salt (16 bytes) and hash (32 bytes) base64 (RFC 4648 §4). RFC 7914.
type pinHash struct {
	n, r, p    int
	salt, hash []byte
}

// The cost of new hashes: 32 MiB, which the smallest gate has to spare.
const (
	pinN, pinR, pinP = 1 << 15, 8, 1
	pinSalt, pinKey  = 16, 32
	maxPINMemory     = 64 << 20 // 128·N·r bytes
	minPIN, maxPIN   = 4, 64
)

var errPINHash = errors.New("want scrypt$N$r$p$salt$hash as `checkpoint pin` prints it")

// parsePIN reads the string form of a hash.
func parsePIN(s string) (pinHash, error) {
	parts := strings.Split(s, "$")
	if len(s) > 256 || len(parts) != 6 || parts[0] != "scrypt" {
		return pinHash{}, errPINHash
	}
	var h pinHash
	var err [5]error
	h.n, err[0] = strconv.Atoi(parts[1])
	h.r, err[1] = strconv.Atoi(parts[2])
	h.p, err[2] = strconv.Atoi(parts[3])
	h.salt, err[3] = base64.StdEncoding.Strict().DecodeString(parts[4])
	h.hash, err[4] = base64.StdEncoding.Strict().DecodeString(parts[5])
	if errors.Join(err[:]...) != nil || len(h.salt) < 8 || len(h.hash) != pinKey {
		return pinHash{}, errPINHash
	}
	if h.n < 1<<14 || h.n > 1<<20 || h.n&(h.n-1) != 0 || h.r < 1 || h.r > 32 || h.p < 1 || h.p > 4 || 128*h.n*h.r > maxPINMemory {
		return pinHash{}, fmt.Errorf("scrypt cost out of bounds: N a power of two from 16384, 128·N·r at most 64 MiB, p at most 4")
	}
	return h, nil
}

// matches reports whether pin is the one. It takes as long as the hash costs.
func (h pinHash) matches(pin string) bool {
	if len(h.hash) == 0 {
		return false
	}
	got, err := scrypt.Key([]byte(pin), h.salt, h.n, h.r, h.p, len(h.hash))
	return err == nil && subtle.ConstantTimeCompare(got, h.hash) == 1
}

// String is the form that parsePIN reads.
func (h pinHash) String() string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("scrypt$%d$%d$%d$%s$%s", h.n, h.r, h.p, b64(h.salt), b64(h.hash))
}

// hashPIN makes the hash of a new PIN; random gives the salt.
func hashPIN(pin string, random io.Reader) (pinHash, error) {
	h := pinHash{n: pinN, r: pinR, p: pinP, salt: make([]byte, pinSalt)}
	if _, err := io.ReadFull(random, h.salt); err != nil {
		return pinHash{}, fmt.Errorf("read random salt: %w", err)
	}
	var err error
	h.hash, err = scrypt.Key([]byte(pin), h.salt, h.n, h.r, h.p, pinKey)
	return h, err
}

// newPINCommand is the helper that makes the value of pin_hash.
func newPINCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "pin",
		Short:  "Print the pin_hash of the PIN on standard input",
		Hidden: true,
		Args:   cobra.NoArgs,
		Example: `# The PIN comes by standard input: ps shows arguments
checkpoint pin <pin.txt`,
		RunE: func(*cobra.Command, []string) error {
			line, err := bufio.NewReader(io.LimitReader(a.in, 1024)).ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return faultf("read the PIN: %w", err)
			}
			pin := strings.TrimRight(line, "\r\n")
			if len(pin) < minPIN || len(pin) > maxPIN {
				return usagef("a PIN has %d to %d characters, on one line of standard input", minPIN, maxPIN)
			}
			h, err := hashPIN(pin, rand.Reader)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.out, h)
			return err
		},
	}
}
