package hub

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// maxKeyFile bounds a file of the key directory.
const maxKeyFile = 16 << 10

// PEM types.
const (
	pemKey         = "PRIVATE KEY" // PKCS #8
	pemCertificate = "CERTIFICATE"
)

// writeKey writes a private key, synced, in a file that must not exist.
func writeKey(path string, key crypto.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return writePEM(path, pemKey, der)
}

func writePEM(path, kind string, der []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w: %s is not written over", ErrKeysExist, filepath.Base(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	defer func() {
		if closing := f.Close(); err == nil {
			err = closing
		}
		if err != nil {
			_ = os.Remove(path) // half a key helps nobody
			err = fmt.Errorf("write %s: %w", filepath.Base(path), err)
		}
	}()
	if err := pem.Encode(f, &pem.Block{Type: kind, Bytes: der}); err != nil {
		return err
	}
	return f.Sync()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// private looks that nobody else can put files into a key directory.
func private(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%w: %s is no directory", ErrKeys, dir)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%w: others can write to %s; chmod 700 it", ErrKeys, dir)
	}
	return owned(dir, info)
}

func owned(path string, info os.FileInfo) error {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if uid := os.Geteuid(); int(s.Uid) != uid && s.Uid != 0 {
		return fmt.Errorf("%w: %s belongs to user %d, the hub runs as %d", ErrKeys, filepath.Base(path), s.Uid, uid)
	}
	return nil
}

// readPEM reads the one block that a file must hold. What is looked at is what
// is read: the file is opened once.
func readPEM(path, kind string, forbidden os.FileMode) ([]byte, error) {
	name := filepath.Base(path)
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a file", ErrKeys, name)
	}
	if mode := info.Mode().Perm(); mode&forbidden != 0 {
		return nil, fmt.Errorf("%w: %s has mode %04o; chmod 600 it", ErrKeys, name, mode)
	}
	if err := owned(path, info); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	block, rest := pem.Decode(text)
	if len(text) > maxKeyFile || block == nil || block.Type != kind || len(rest) > 0 {
		return nil, fmt.Errorf("%w: %s does not hold one %s in PEM", ErrKeys, name, kind)
	}
	return block.Bytes, nil
}

func readKey(path string) (any, error) {
	der, err := readPEM(path, pemKey, 0o077)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil { // its text may quote the key
		return nil, fmt.Errorf("%w: %s is not PKCS #8", ErrKeys, filepath.Base(path))
	}
	return key, nil
}

func readCertificate(path string) (*x509.Certificate, error) {
	der, err := readPEM(path, pemCertificate, 0o022)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKeys, filepath.Base(path), err)
	}
	if !cert.BasicConstraintsValid || !cert.IsCA || cert.KeyUsage&x509.KeyUsageCertSign == 0 || cert.CheckSignatureFrom(cert) != nil {
		return nil, fmt.Errorf("%w: %s is not a CA of its own", ErrKeys, filepath.Base(path))
	}
	return cert, nil
}
