package hub

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"checkpoint/trust"
)

// Files of a key directory. What ends in .key is a private key, PKCS #8 in PEM,
// mode 0600; what ends in .pem is a certificate.
const (
	fileCA        = "ca.pem"
	fileCAKey     = "ca.key"
	fileNextCA    = "ca-next.pem" // stands beside ca.pem before it takes its place
	fileNextCAKey = "ca-next.key"
	fileOldCA     = "ca-old.pem" // what stood in ca.pem before: its certificates live on
	fileReceipt   = "receipt.key"
	fileSnapshot  = "tuf-snapshot.key"
	fileTimestamp = "tuf-timestamp.key"
)

// Errors of key directories.
var (
	// ErrKeysExist: there are keys already. None is ever written over.
	ErrKeysExist = errors.New("there are keys already")
	// ErrKeys: a key cannot be used as it stands.
	ErrKeys = errors.New("keys cannot be used")
)

// Keys are what a hub signs with. Several hubs on one store use copies of one
// directory.
type Keys struct {
	Receipt   ed25519.PrivateKey // receipts and signed refusals
	Snapshot  ed25519.PrivateKey // TUF
	Timestamp ed25519.PrivateKey // TUF

	ca    *x509.Certificate
	caKey *ecdsa.PrivateKey
	next  []*x509.Certificate // none or one: stands beside, see NextCA
	old   []*x509.Certificate // none or one: see TurnCA
	hosts []string
	now   func() time.Time

	mu     sync.Mutex
	server *tls.Certificate // made when it is first needed, and again before it ends
}

// KeyOptions say what keys are made, or used, for.
type KeyOptions struct {
	Hosts []string         // names and addresses that the server's certificate is for
	Now   func() time.Time // nil: time.Now
}

func (o KeyOptions) clock() func() time.Time {
	if o.Now == nil {
		return time.Now
	}
	return o.Now
}

// InitKeys makes the keys of a new hub: a CA (ECDSA P-256, ten years, signs no
// other CA), a receipt key, and the TUF keys that are online. The directory
// appears whole or not at all; ErrKeysExist when it holds anything already.
func InitKeys(dir string, o KeyOptions) error {
	parent := filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return fmt.Errorf("make keys: %w", err)
	}
	if err := vacant(dir); err != nil {
		return err
	}
	made, err := os.MkdirTemp(parent, ".keys-*") // 0700
	if err != nil {
		return fmt.Errorf("make keys: %w", err)
	}
	defer os.RemoveAll(made) // gone by its other name when all went well
	if err := writeCA(made, fileCA, fileCAKey, o.clock()()); err != nil {
		return err
	}
	for _, name := range []string{fileReceipt, fileSnapshot, fileTimestamp} {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			return fmt.Errorf("make %s: %w", name, err)
		}
		if err := writeKey(filepath.Join(made, name), key); err != nil {
			return err
		}
	}
	if err := syncDir(made); err != nil {
		return err
	}
	if err := os.Rename(made, dir); err != nil {
		return fmt.Errorf("make keys: %w", err)
	}
	return syncDir(parent)
}

// vacant removes dir when it is empty, and refuses when it is not.
func vacant(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("make keys: %w", err)
	case len(entries) > 0:
		return fmt.Errorf("%w in %s: none is written over", ErrKeysExist, dir)
	}
	return os.Remove(dir)
}

// LoadKeys reads a key directory. It refuses keys that others than the owner
// can read, that are not this user's, or that do not belong to their
// certificate: the error says which file.
func LoadKeys(dir string, o KeyOptions) (*Keys, error) {
	if err := private(dir); err != nil {
		return nil, err
	}
	k := &Keys{hosts: o.Hosts, now: o.clock()}
	for _, one := range []struct {
		name string
		key  *ed25519.PrivateKey
	}{{fileReceipt, &k.Receipt}, {fileSnapshot, &k.Snapshot}, {fileTimestamp, &k.Timestamp}} {
		any, err := readKey(filepath.Join(dir, one.name))
		if err != nil {
			return nil, err
		}
		key, ok := any.(ed25519.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("%w: %s is not an Ed25519 key", ErrKeys, one.name)
		}
		*one.key = key
	}
	if err := k.apart(); err != nil {
		return nil, err
	}
	var err error
	if k.ca, k.caKey, err = readCA(dir); err != nil {
		return nil, err
	}
	for _, one := range []struct {
		name string
		into *[]*x509.Certificate
	}{{fileNextCA, &k.next}, {fileOldCA, &k.old}} {
		cert, err := readCertificate(filepath.Join(dir, one.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		*one.into = append(*one.into, cert)
	}
	if err := checkHosts(k.hosts); err != nil {
		return nil, err
	}
	return k, nil
}

// apart refuses one key in two files: a receipt key that also signs TUF roles
// would let one role speak for another.
func (k *Keys) apart() error {
	if k.Receipt.Equal(k.Snapshot) || k.Receipt.Equal(k.Timestamp) || k.Snapshot.Equal(k.Timestamp) {
		return fmt.Errorf("%w: two files hold the same key", ErrKeys)
	}
	return nil
}

// CAs are the CAs whose client certificates are taken: the one that signs,
// then the next and the old one where they stand.
func (k *Keys) CAs() []*x509.Certificate {
	if k.ca == nil {
		return nil
	}
	return slices.Concat([]*x509.Certificate{k.ca}, k.next, k.old)
}

// TrustTargets are the trust targets that speak of these keys, in their
// documented forms, for their signers to take in: receipt-keys.json and
// hub-ca.json. Keys that were published before and still count must be added.
func (k *Keys) TrustTargets(now time.Time) (map[string][]byte, error) {
	public, ok := k.Receipt.Public().(ed25519.PublicKey)
	if !ok || k.ca == nil {
		return nil, fmt.Errorf("%w: there is no CA or no receipt key", ErrKeys)
	}
	sum := sha256.Sum256(public)
	issued := now.UTC().Truncate(time.Second)
	receipts := struct {
		Form   string             `json:"form"`
		Issued time.Time          `json:"issued"`
		Keys   []trust.ReceiptKey `json:"keys"`
	}{trust.TargetForm(trust.TargetReceiptKeys), issued, []trust.ReceiptKey{
		{ID: trust.ID(sum[:8]), Key: public, NotBefore: k.ca.NotBefore.UTC(), NotAfter: k.ca.NotAfter.UTC()}}}
	cas := struct {
		Form   string        `json:"form"`
		Issued time.Time     `json:"issued"`
		Keys   []trust.HubCA `json:"keys"`
	}{Form: trust.TargetForm(trust.TargetHubCA), Issued: issued}
	for _, ca := range slices.Concat([]*x509.Certificate{k.ca}, k.next) {
		cas.Keys = append(cas.Keys, trust.HubCA{SPKI: trust.Fingerprint(pin(ca)), Name: ca.Subject.CommonName, NotBefore: ca.NotBefore.UTC(), NotAfter: ca.NotAfter.UTC()})
	}
	targets := map[string][]byte{}
	for name, v := range map[string]any{trust.TargetReceiptKeys: receipts, trust.TargetHubCA: cas} {
		b, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
		targets[name] = append(b, '\n')
	}
	return targets, nil
}

// Pin is what a gate is told about the CA that signs: SHA-256 of its
// SubjectPublicKeyInfo.
func (k *Keys) Pin() [32]byte {
	if k.ca == nil {
		return [32]byte{}
	}
	return pin(k.ca)
}

func pin(cert *x509.Certificate) [32]byte { return sha256.Sum256(cert.RawSubjectPublicKeyInfo) }

// TLSConfig is the listener's: TLS 1.3, clients may show a certificate of one
// of the CAs, and what they show must hold. Sessions are not resumed, so that
// every connection looks at the dates anew.
func (k *Keys) TLSConfig() *tls.Config {
	roots := x509.NewCertPool()
	for _, ca := range k.CAs() {
		roots.AddCert(ca)
	}
	now := k.now
	if now == nil {
		now = time.Now
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		ClientAuth:             tls.VerifyClientCertIfGiven,
		ClientCAs:              roots,
		SessionTicketsDisabled: true,
		Time:                   now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return k.serverCertificate(now())
		},
	}
}
