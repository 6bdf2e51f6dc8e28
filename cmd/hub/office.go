package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"checkpoint/enroll"
	"checkpoint/hub"
)

// office is a hub as whoever gives it orders reaches it.
type office struct {
	base   string // https://host:port, or http://hub within the machine
	client *http.Client
	close  []func() error
}

// officeFlags adds the flags that say which hub a command is for.
func officeFlags(c *cobra.Command, a *app) {
	settingFlags(c, a, "store", "name", "url", "listen")
	for _, f := range []string{"name", "url", "listen"} {
		c.Flags().Lookup(f).Hidden = true // as in hub.toml; needed only when they are not there
	}
	c.Flags().String("hub", "", "another machine's hub, https://HOST:PORT; with --cert")
	c.Flags().String("cert", "", "certificate and key of a person, as hub user add made it")
}

// reach opens the way to the hub that the flags name.
func (a *app) reach(c *cobra.Command) (*office, error) {
	address, _ := c.Flags().GetString("hub")
	cert, _ := c.Flags().GetString("cert")
	if (address == "") != (cert == "") {
		return nil, usagef("--hub and --cert go together: the address of a hub, and the certificate of a person")
	}
	if address != "" {
		return a.reachByNet(address, cert)
	}
	return a.reachHere(c)
}

// reachHere is the hub of this machine, for commands that nobody may ask over
// the net.
func (a *app) reachHere(c *cobra.Command) (*office, error) {
	if address, _ := c.Flags().GetString("hub"); address != "" {
		return nil, usagef("this is for the hub's own machine: run it there, without --hub")
	}
	cfg, err := a.configOf(c)
	if err != nil {
		return nil, err
	}
	o, err := a.reachBySocket(c.Context(), cfg)
	if err != nil || o != nil {
		return o, err
	}
	return a.reachWithin(c.Context(), cfg)
}

// reachBySocket is the hub that serves from the data directory; nil when none
// does.
func (a *app) reachBySocket(ctx context.Context, cfg config) (*office, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		path, done, err := socketPath(cfg.dir)
		if err != nil {
			return nil, err
		}
		defer done()
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	conn, err := dial(ctx, "", "")
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, nil
	case err != nil:
		return nil, faultf("reach the hub at %s: %w", cfg.path(fileSocket), err)
	}
	conn.Close()
	return &office{base: "http://hub", client: &http.Client{Transport: &http.Transport{DialContext: dial}}}, nil
}

// reachWithin opens the store in this process.
func (a *app) reachWithin(ctx context.Context, cfg config) (*office, error) {
	h, err := a.openHub(ctx, cfg, nil)
	if err != nil {
		return nil, err
	}
	ln := newWithin()
	server := operatorServer(h.handler())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	o := &office{base: "http://hub", client: &http.Client{Transport: &http.Transport{DialContext: ln.dial}}}
	o.close = append(o.close,
		func() error { return errors.Join(server.Close(), ignoreClosed(<-served)) },
		h.store.Close)
	return o, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// reachByNet is a hub over HTTPS. The bundle of a person holds the CA that the
// hub must be known by, so no other CA of the machine counts.
func (a *app) reachByNet(address, bundle string) (*office, error) {
	if err := enroll.CheckURL(address); err != nil {
		return nil, usagef("--hub: %w", err)
	}
	own, roots, err := readBundle(bundle)
	if err != nil {
		return nil, faultf("--cert: %w", err)
	}
	return &office{base: address, client: &http.Client{
		Timeout: 2 * time.Minute,
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, RootCAs: roots, Time: a.now},
			TLSHandshakeTimeout: 15 * time.Second,
			ForceAttemptHTTP2:   true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// maxBundle bounds a person's file: two certificates and a key.
const maxBundle = 64 << 10

// readBundle reads what hub user add wrote.
func readBundle(path string) (tls.Certificate, *x509.CertPool, error) {
	var none tls.Certificate
	text, err := readBounded(path, maxBundle)
	if err != nil {
		return none, nil, err
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		return none, nil, fmt.Errorf("%s can be read by others: chmod 600 it first", path)
	}
	own, err := tls.X509KeyPair(text, text)
	if err != nil {
		return none, nil, fmt.Errorf("%s does not hold a certificate and its key, as hub user add makes them", path)
	}
	roots := x509.NewCertPool()
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" && cert.IsCA {
			roots.AddCert(cert)
		}
	}
	if roots.Equal(x509.NewCertPool()) {
		return none, nil, fmt.Errorf("%s does not hold the CA of its hub", path)
	}
	return own, roots, nil
}

// Close ends the way to the hub.
func (o *office) Close() error {
	o.client.CloseIdleConnections()
	var all []error
	for _, f := range o.close {
		all = append(all, f())
	}
	return errors.Join(all...)
}

// refusedError is a refusal in the hub's words.
type refusedError struct {
	status int
	enroll.Problem
}

func (e *refusedError) Error() string { return e.Detail }

// maxAnswer bounds an answer in JSON: a thousand gates with their reports.
const maxAnswer = 64 << 20

// ask sends in, nil for none, and reads the answer into out, nil for none. A
// refusal is a *refusedError, with exit code 4.
func (o *office) ask(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := jsonBody(in)
		if err != nil {
			return err
		}
		body = b
	}
	response, err := o.send(ctx, method, path, "application/json", body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(out); err != nil {
		return faultf("the hub's answer cannot be read: %w", err)
	}
	return nil
}

// send sends a request; the answer is one of success, its body the caller's to
// close.
func (o *office) send(ctx context.Context, method, path, kind string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, o.base+path, body)
	if err != nil {
		return nil, faultf("ask the hub: %w", err)
	}
	if body != nil {
		r.Header.Set("Content-Type", kind)
	}
	response, err := o.client.Do(r)
	if err != nil {
		return nil, faultf("the hub does not answer: %w", unwrapURL(err))
	}
	if response.StatusCode < 300 {
		return response, nil
	}
	defer response.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	no := &refusedError{status: response.StatusCode}
	if json.Unmarshal(b, &no.Problem) != nil || no.Detail == "" {
		no.Problem = enroll.Problem{Error: "unknown", Detail: fmt.Sprintf("the hub answers %d, in no form of ours", response.StatusCode)}
	}
	code := exitRefused
	switch {
	case no.status >= 500:
		code = exitFault
	case no.Problem.Error == "value" || no.Problem.Error == "query":
		code = exitUsage
	}
	return nil, &exitError{code, no}
}

// unwrapURL drops the method and the address from a client's error: people know
// whom they asked.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// word is the stable word of a refusal, "" for any other error.
func word(err error) string {
	var no *refusedError
	if errors.As(err, &no) {
		return no.Problem.Error
	}
	return ""
}

// escaped is a name as one part of a path.
func escaped(name string) string { return url.PathEscape(name) }

// openHub opens store and keys of the data directory, and makes a hub of them
// that serves nobody yet. The caller closes its store.
func (a *app) openHub(ctx context.Context, cfg config, change func(*hub.Config)) (*operator, error) {
	address, err := cfg.address()
	if err != nil {
		return nil, err
	}
	hosts := cfg.hosts(address)
	keys, err := hub.LoadKeys(cfg.path(dirKeys), hub.KeyOptions{Hosts: hosts, Now: a.now})
	if err != nil {
		return nil, faultf("keys: %w", err)
	}
	s, err := a.openStore(ctx, cfg)
	if err != nil {
		return nil, err
	}
	hc := hub.Config{Store: s, Keys: keys, URL: address, Interval: time.Duration(cfg.Interval), Retention: time.Duration(cfg.Days) * 24 * time.Hour, Version: version(), Demo: cfg.demo(), Now: a.now}
	if cfg.postgres() {
		hc.Limits.Committers = committers
	}
	if change != nil {
		change(&hc)
	}
	h, err := hub.New(hc)
	if err != nil {
		s.Close()
		return nil, faultf("%w", err)
	}
	return &operator{app: a, cfg: cfg, hub: h, keys: keys, store: s, url: address}, nil
}

// hosts are the names that the hub's certificate is for.
func (cfg *config) hosts(address string) []string {
	hosts := append([]string{}, cfg.Names...)
	if u, err := url.Parse(address); err == nil && !containsFold(hosts, u.Hostname()) {
		hosts = append(hosts, u.Hostname())
	}
	return hosts
}

func containsFold(list []string, s string) bool {
	for _, one := range list {
		if strings.EqualFold(one, s) {
			return true
		}
	}
	return false
}

// committers is how many commits a hub has under way at once on PostgreSQL.
const committers = 4
