package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"

	"checkpoint/trust"
	"github.com/spf13/cobra"
)

func newTrustSignCommand(a *app) *cobra.Command {
	var key string
	c := &cobra.Command{
		Use:   "sign --key FILE SNAPSHOT",
		Short: "Sign a snapshot, on a machine that holds the signer's key",
		Long: "Sign a trust snapshot (docs/formats.md, \"Trust snapshot\") and print the signed\n" +
			"form. The snapshot is checked first, as a gate would check it. The public key\n" +
			"for trust_key goes to standard error. No gate needs this command, and none\n" +
			"should hold the key.",
		Example: `openssl genpkey -algorithm ed25519 -out signer.pem && chmod 600 signer.pem
checkpoint trust sign --key signer.pem trust.json >trust.signed`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.signTrust(key, args[0]) },
	}
	c.Flags().StringVar(&key, "key", "", "Ed25519 private key, PKCS #8 in PEM (RFC 8410), readable by nobody else")
	if err := c.MarkFlagRequired("key"); err != nil {
		panic(err) // the flag was made in the line above
	}
	return c
}

func (a *app) signTrust(keyPath, path string) error {
	key, err := readSigner(keyPath)
	if err != nil {
		return faultf("--key: %w", err)
	}
	data, err := readBounded(path, trust.MaxBytes)
	if err != nil {
		return faultf("trust: %w", err)
	}
	if trust.IsSigned(data) {
		return usagef("trust: %s is signed already", path)
	}
	snapshot, err := trust.Parse(data)
	if err != nil {
		return faultf("trust %s: %w", path, err)
	}
	for _, s := range snapshot.Skipped {
		return faultf("trust %s: %s[%d]: %s: a gate would leave this key out", path, s.List, s.Index, s.Why)
	}
	signed, err := trust.Sign(snapshot, key)
	if err != nil {
		return faultf("trust %s: %w", path, err)
	}
	public := key.Public().(ed25519.PublicKey)
	fmt.Fprintf(a.err, "checkpoint: version %d signed; trust_key = %q\n", snapshot.Version, base64.StdEncoding.EncodeToString(public))
	if _, err := a.out.Write(signed); err != nil {
		return faultf("trust: %w", err)
	}
	return nil
}

// maxSigner bounds a key file; one holds some 120 bytes.
const maxSigner = 4 << 10

func readSigner(path string) (ed25519.PrivateKey, error) {
	data, err := readBounded(path, maxSigner)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others: chmod 600 it first", path)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s is not a PEM file", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s does not hold an Ed25519 key in PKCS #8", path)
	}
	return key, nil
}
