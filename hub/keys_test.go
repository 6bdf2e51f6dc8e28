package hub

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// madeKeys are the keys of a new hub, at noon.
func madeKeys(t testing.TB) (dir string, k *Keys) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "keys")
	if err := InitKeys(dir, KeyOptions{Now: fixed(noon)}); err != nil {
		t.Fatal(err)
	}
	k, err := LoadKeys(dir, KeyOptions{Hosts: []string{"127.0.0.1", "hub.example"}, Now: fixed(noon)})
	if err != nil {
		t.Fatal(err)
	}
	return dir, k
}

func fixed(at time.Time) func() time.Time { return func() time.Time { return at } }

func TestKeysAreMadeOnceAndPrivate(t *testing.T) {
	dir, k := madeKeys(t)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 5 {
		t.Errorf("the directory holds %d files, want 5", len(entries))
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v", info.Mode())
	}
	ca := k.CAs()[0]
	if !ca.IsCA || !ca.MaxPathLenZero || ca.NotAfter.Before(noon.AddDate(9, 11, 0)) {
		t.Errorf("the CA: CA %v, path length 0 %v, until %v", ca.IsCA, ca.MaxPathLenZero, ca.NotAfter)
	}
	before, _ := os.ReadFile(filepath.Join(dir, fileReceipt))
	if err := InitKeys(dir, KeyOptions{}); !errors.Is(err, ErrKeysExist) {
		t.Errorf("a second InitKeys = %v, want ErrKeysExist", err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, fileReceipt)); string(after) != string(before) {
		t.Error("the receipt key was written over")
	}
	if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) != 1 {
		t.Errorf("%d entries beside the keys, want none", len(left)-1)
	}
}

func TestInitKeysTakesAnEmptyDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := InitKeys(dir, KeyOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := InitKeys(dir, KeyOptions{}); !errors.Is(err, ErrKeysExist) {
		t.Errorf("a second InitKeys = %v, want ErrKeysExist", err)
	}
}

func TestLoadKeysRefuses(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other")
	if err := InitKeys(other, KeyOptions{Now: fixed(noon)}); err != nil {
		t.Fatal(err)
	}
	copyOf := func(t *testing.T, dir, from, to string) {
		b, err := os.ReadFile(filepath.Join(other, from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
	}{
		{"a key that others can read", func(t *testing.T, dir string) { chmod(t, filepath.Join(dir, fileReceipt), 0o640) }},
		{"a certificate that others can write", func(t *testing.T, dir string) { chmod(t, filepath.Join(dir, fileCA), 0o622) }},
		{"a directory that others can write", func(t *testing.T, dir string) { chmod(t, dir, 0o770) }},
		{"another CA's key", func(t *testing.T, dir string) { copyOf(t, dir, fileCAKey, fileCAKey) }},
		{"another CA's certificate", func(t *testing.T, dir string) { copyOf(t, dir, fileCA, fileCA) }},
		{"a CA key for a receipt key", func(t *testing.T, dir string) { copyOf(t, dir, fileCAKey, fileReceipt) }},
		{"a receipt key for a CA key", func(t *testing.T, dir string) { copyOf(t, dir, fileReceipt, fileCAKey) }},
		{"one key in two files", func(t *testing.T, dir string) {
			copyOf(t, dir, fileReceipt, fileReceipt)
			copyOf(t, dir, fileReceipt, fileTimestamp)
		}},
		{"a key that is missing", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, fileSnapshot)) }},
		{"a key that is cut off", func(t *testing.T, dir string) { os.Truncate(filepath.Join(dir, fileSnapshot), 40) }},
		{"a key that is a folder", func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, fileSnapshot))
			os.Mkdir(filepath.Join(dir, fileSnapshot), 0o700)
		}},
		{"something behind a key", func(t *testing.T, dir string) {
			f, err := os.OpenFile(filepath.Join(dir, fileReceipt), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			f.WriteString("more")
			f.Close()
		}},
		{"a next CA that is none", func(t *testing.T, dir string) { copyOf(t, dir, fileReceipt, fileNextCA) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir, _ := madeKeys(t)
			tc.spoil(t, dir)
			if _, err := LoadKeys(dir, KeyOptions{Now: fixed(noon)}); err == nil {
				t.Error("LoadKeys took it")
			}
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestServerCertificateIsRenewedBeforeItEnds(t *testing.T) {
	_, k := madeKeys(t)
	first, err := k.serverCertificate(noon)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Certificate) != 2 || string(first.Certificate[1]) != string(k.ca.Raw) {
		t.Error("the CA is not sent with the server's certificate")
	}
	roots := x509.NewCertPool()
	roots.AddCert(k.ca)
	for _, host := range []string{"127.0.0.1", "hub.example"} {
		if _, err := first.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: noon}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	for day, want := range map[int]bool{1: true, 19: true, 21: false} {
		again, err := k.serverCertificate(noon.AddDate(0, 0, day))
		if err != nil {
			t.Fatal(err)
		}
		if same := again == first; same != want {
			t.Errorf("day %d: the same certificate %v, want %v", day, same, want)
		}
		k.server = first
	}
	// A server's certificate lets nobody in as a client.
	if k.issued(first.Leaf) {
		t.Error("the server's certificate passes for a client's")
	}
}

func TestNoCertificateOutlivesTheCA(t *testing.T) {
	_, k := madeKeys(t)
	key := newECKey(t)
	late := k.ca.NotAfter.Add(-time.Hour)
	cert, err := k.gateCertificate("b3", [16]byte{1}, &key.PublicKey, [32]byte{}, late)
	if err != nil {
		t.Fatal(err)
	}
	if cert.NotAfter.After(k.ca.NotAfter) {
		t.Errorf("the certificate ends %v, the CA %v", cert.NotAfter, k.ca.NotAfter)
	}
	if _, err := k.gateCertificate("b3", [16]byte{1}, &key.PublicKey, [32]byte{}, k.ca.NotAfter.Add(time.Hour)); !errors.Is(err, ErrKeys) {
		t.Errorf("a CA that ended signs: %v", err)
	}
}

func TestGateCertificateIsAsDocumented(t *testing.T) {
	_, k := madeKeys(t)
	key := newECKey(t)
	after := [32]byte{9}
	cert, err := k.gateCertificate("Gate B3", [16]byte{1}, &key.PublicKey, after, noon)
	if err != nil {
		t.Fatal(err)
	}
	if got := cert.NotAfter.Sub(noon); got != 14*24*time.Hour {
		t.Errorf("lives %v, want 14 days", got)
	}
	if got := noon.Sub(cert.NotBefore); got != 5*time.Minute {
		t.Errorf("backdated by %v, want 5 minutes", got)
	}
	if len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || cert.KeyUsage != x509.KeyUsageDigitalSignature || cert.IsCA {
		t.Error("the certificate is for more than a client")
	}
	if len(cert.URIs) != 1 || cert.URIs[0].String() != "checkpoint:device:01000000000000000000000000000000" || cert.Subject.CommonName != "Gate B3" {
		t.Errorf("it names %v, %q", cert.URIs, cert.Subject.CommonName)
	}
	if got, ok := followed(cert); !ok || got != after {
		t.Error("it does not say what it follows")
	}
	if n := cert.SerialNumber.BitLen(); n != 127 {
		t.Errorf("serial number of %d bits", n)
	}
}

func TestIssuedKnowsOwnCertificatesOnly(t *testing.T) {
	_, k := madeKeys(t)
	_, stranger := madeKeys(t)
	key := newECKey(t)
	ours, err := k.gateCertificate("b3", [16]byte{1}, &key.PublicKey, [32]byte{}, noon)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := stranger.gateCertificate("b3", [16]byte{1}, &key.PublicKey, [32]byte{}, noon)
	if err != nil {
		t.Fatal(err)
	}
	// The same names, signed by somebody else.
	forged, err := x509.CreateCertificate(rand.Reader, ours, k.ca, &key.PublicKey, newECKey(t))
	if err == nil {
		cert, err := x509.ParseCertificate(forged)
		if err != nil {
			t.Fatal(err)
		}
		if k.issued(cert) {
			t.Error("a forged certificate passes")
		}
	}
	if !k.issued(ours) || k.issued(theirs) || k.issued(k.ca) {
		t.Errorf("issued: ours %v, theirs %v, the CA %v", k.issued(ours), k.issued(theirs), k.issued(k.ca))
	}
}

func TestOneCAFollowsAnother(t *testing.T) {
	dir, first := madeKeys(t)
	key := newECKey(t)
	old, err := first.gateCertificate("b3", [16]byte{1}, &key.PublicKey, [32]byte{}, noon)
	if err != nil {
		t.Fatal(err)
	}
	load := func() *Keys {
		t.Helper()
		k, err := LoadKeys(dir, KeyOptions{Hosts: []string{"hub.example"}, Now: fixed(noon)})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if err := TurnCA(dir); err == nil {
		t.Error("TurnCA without a next CA")
	}
	if err := NextCA(dir, KeyOptions{Now: fixed(noon)}); err != nil {
		t.Fatal(err)
	}
	if err := NextCA(dir, KeyOptions{Now: fixed(noon)}); !errors.Is(err, ErrKeysExist) {
		t.Errorf("a second NextCA = %v, want ErrKeysExist", err)
	}
	beside := load()
	if len(beside.CAs()) != 2 || beside.Pin() != first.Pin() {
		t.Fatal("the next CA does not stand beside the one that signs")
	}
	if err := TurnCA(dir); err != nil {
		t.Fatal(err)
	}
	turned := load()
	if turned.Pin() != pin(beside.CAs()[1]) || len(turned.CAs()) != 2 {
		t.Error("the next CA does not sign")
	}
	if !turned.issued(old) {
		t.Error("a certificate of the old CA is not taken any more")
	}
	fresh, err := turned.gateCertificate("b3", [16]byte{1}, &key.PublicKey, [32]byte{}, noon)
	if err != nil || !beside.issued(fresh) {
		t.Errorf("a certificate of the next CA is not taken beside the first: %v", err)
	}
	// A third cannot come while something of the first may live.
	if err := NextCA(dir, KeyOptions{Now: fixed(noon)}); err != nil {
		t.Fatal(err)
	}
	if err := TurnCA(dir); !errors.Is(err, ErrKeysExist) {
		t.Errorf("TurnCA over an old CA = %v, want ErrKeysExist", err)
	}
	load()
}

func TestTurnCAGoesOnWhereItStopped(t *testing.T) {
	dir, first := madeKeys(t)
	if err := NextCA(dir, KeyOptions{Now: fixed(noon)}); err != nil {
		t.Fatal(err)
	}
	// As if it had stopped between its two renames.
	if err := writePEM(filepath.Join(dir, fileOldCA), pemCertificate, first.ca.Raw); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, fileNextCAKey), filepath.Join(dir, fileCAKey)); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKeys(dir, KeyOptions{}); !errors.Is(err, ErrKeys) {
		t.Errorf("half a turn is loaded: %v", err)
	}
	if err := TurnCA(dir); err != nil {
		t.Fatal(err)
	}
	k, err := LoadKeys(dir, KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if k.Pin() == first.Pin() {
		t.Error("the first CA still signs")
	}
}

func TestTLSConfigTakesOwnClientsOnly(t *testing.T) {
	_, k := madeKeys(t)
	c := k.TLSConfig()
	if c.MinVersion != tls.VersionTLS13 || c.ClientAuth != tls.VerifyClientCertIfGiven || !c.SessionTicketsDisabled {
		t.Errorf("version %x, client certificates %v, tickets %v", c.MinVersion, c.ClientAuth, !c.SessionTicketsDisabled)
	}
	if _, err := c.GetCertificate(nil); err != nil {
		t.Error(err)
	}
	none := &Keys{Receipt: k.Receipt}
	if _, err := none.TLSConfig().GetCertificate(nil); !errors.Is(err, ErrKeys) {
		t.Errorf("without a CA: %v", err)
	}
}

func TestReceiptKeyIsEd25519AndCAIsP256(t *testing.T) {
	dir, k := madeKeys(t)
	if len(k.Receipt) != ed25519.PrivateKeySize || k.caKey.Curve != elliptic.P256() {
		t.Error("keys of other kinds")
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(dir, fileCAKey))
	if err := writeKey(filepath.Join(dir, fileCAKey), p384); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKeys(dir, KeyOptions{}); !errors.Is(err, ErrKeys) {
		t.Errorf("a P-384 CA key: %v", err)
	}
	if err := writeKey(filepath.Join(dir, fileCAKey), p384); !errors.Is(err, ErrKeysExist) {
		t.Errorf("a key was written over: %v", err)
	}
}
