package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"checkpoint/gate"
	"github.com/spf13/cobra"
)

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
			salt := make([]byte, 16)
			if _, err := rand.Read(salt); err != nil {
				return faultf("random salt: %w", err)
			}
			h, err := gate.HashPIN(strings.TrimRight(line, "\r\n"), salt)
			if err != nil {
				return usagef("%w, on one line of standard input", err)
			}
			_, err = fmt.Fprintln(a.out, h)
			return err
		},
	}
}
