package uplink

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"checkpoint/enroll"
	"checkpoint/record"
)

// Config is what a Client needs. The functions are called at each connection or
// request and must be safe for use by several goroutines.
type Config struct {
	URL         string                          // https://host[:port] of the hub
	Pins        func() [][32]byte               // SHA-256 of the SubjectPublicKeyInfo of CAs that may vouch for the hub
	Certificate func() *tls.Certificate         // the gate's own; nil: none yet
	Clock       func() (now time.Time, ok bool) // the guarded clock, and whether dates can be judged by it
	ReceiptKeys func() []ed25519.PublicKey      // whose receipts count
	Proxy       *url.URL                        // http or socks5; nil: none, whatever the environment says
	Version     string                          // of the program, for the hub's log
	Limits      Limits
}

// Limits bound one request. Zero fields take the defaults.
type Limits struct {
	Dial      time.Duration // until a connection stands; 10 s
	Handshake time.Duration // TLS; 15 s: an ARMv6 board needs a second
	Answer    time.Duration // from the request sent to the answer's first line; 30 s
	Idle      time.Duration // between two parts of an answer's body; 20 s
	Request   time.Duration // all of it; 60 s
	Fetch     time.Duration // all of one trust file; 3 min, the next Fetch goes on where it broke
}

func (l Limits) orDefaults() Limits {
	for _, d := range []struct {
		of *time.Duration
		is time.Duration
	}{
		{&l.Dial, 10 * time.Second}, {&l.Handshake, 15 * time.Second}, {&l.Answer, 30 * time.Second},
		{&l.Idle, 20 * time.Second}, {&l.Request, time.Minute}, {&l.Fetch, 3 * time.Minute},
	} {
		if *d.of <= 0 {
			*d.of = d.is
		}
	}
	return l
}

// maxProblem bounds the body of a refusal.
const maxProblem = 4 << 10

// Client speaks to one hub. Its methods are safe for use by several goroutines.
type Client struct {
	config Config
	limits Limits
	base   url.URL
	host   string       // without the port
	own    *http.Client // shows the gate's certificate
	open   *http.Client // does not: before there is one, after it expired, and for what anybody may read
	zstd   *zstd.Encoder

	mu      sync.Mutex
	faces   [32]byte // pins and certificate of the connections that stand
	partial partial  // of a trust file whose connection broke
}

// New makes a client; it connects to nobody yet.
func New(config Config) (*Client, error) {
	base, err := hubURL(config.URL)
	if err != nil {
		return nil, err
	}
	if config.Pins == nil || config.Clock == nil {
		return nil, errors.New("uplink: Pins and Clock are needed")
	}
	if config.Certificate == nil {
		config.Certificate = func() *tls.Certificate { return nil }
	}
	if config.ReceiptKeys == nil {
		config.ReceiptKeys = func() []ed25519.PublicKey { return nil }
	}
	if p := config.Proxy; p != nil && p.Scheme != "http" && p.Scheme != "socks5" {
		return nil, errors.New("proxy: want http://HOST:PORT or socks5://HOST:PORT") // it may hold a password
	}
	// A segment is at most 1 MiB. The window holds it whole, and no more memory is
	// kept than that needs; TLS and the segment's own digest are check enough.
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(record.MaxSegment), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("uplink: %w", err)
	}
	c := &Client{config: config, limits: config.Limits.orDefaults(), base: *base, host: base.Hostname(), zstd: encoder}
	c.own, c.open = c.transport(true, false), c.transport(false, false)
	return c, nil
}

// hubURL takes https://host[:port] and nothing else.
func hubURL(text string) (*url.URL, error) {
	bad := errors.New("hub's address: want https://HOST:PORT")
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return nil, bad
	}
	if u.Path != "" && u.Path != "/" || len(text) > 200 {
		return nil, bad
	}
	u.Path = ""
	return u, nil
}

// transport makes one pool of connections. HTTP/1.1, because a gate has one
// request under way at a time: HTTP/2 was measured no cheaper (BenchmarkSend), and
// a dead connection is found by its timeout alone.
func (c *Client) transport(own, http2 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	t := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: c.limits.Dial, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        c.tlsConfig(own),
		TLSHandshakeTimeout:    c.limits.Handshake,
		ResponseHeaderTimeout:  c.limits.Answer,
		Protocols:              protocols,
		DisableCompression:     true, // no answer is unpacked, so none can burst
		MaxResponseHeaderBytes: 16 << 10,
		MaxConnsPerHost:        2,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        5 * time.Minute,
	}
	if c.config.Proxy != nil {
		t.Proxy = http.ProxyURL(c.config.Proxy)
	}
	return &http.Client{
		Transport: t,
		// A hub that moves says so in signed trust. Whoever redirects is not asked.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close ends the connections that stand idle. The client can be used again.
func (c *Client) Close() {
	c.own.CloseIdleConnections()
	c.open.CloseIdleConnections()
}

// Enroll sends the request of a gate that holds a token.
func (c *Client) Enroll(ctx context.Context, r enroll.Request) (enroll.Grant, error) {
	return ask(ctx, c, c.open, enroll.PathEnroll, r, enroll.MaxGrant, enroll.ParseGrant)
}

// Renew asks for a new certificate with the one that holds.
func (c *Client) Renew(ctx context.Context, r enroll.Request) (enroll.Grant, error) {
	return ask(ctx, c, c.own, enroll.PathRenew, r, enroll.MaxGrant, enroll.ParseGrant)
}

// RenewExpired asks for a new certificate when the old one is past its end: the
// connection shows none, the request proves the old key.
func (c *Client) RenewExpired(ctx context.Context, r enroll.Request) (enroll.Grant, error) {
	return ask(ctx, c, c.open, enroll.PathRenewExpired, r, enroll.MaxGrant, enroll.ParseGrant)
}

// Report says how the gate is and hears what the hub wants of it.
func (c *Client) Report(ctx context.Context, r enroll.Report) (enroll.Orders, error) {
	return ask(ctx, c, c.own, enroll.PathReport, r, enroll.MaxReport, enroll.ParseOrders)
}

// ask posts one JSON value and reads another. Errors are *Refusal, *LineError,
// or the context's.
func ask[Q, A any](ctx context.Context, c *Client, over *http.Client, path string, q Q, limit int, parse func([]byte) (A, error)) (A, error) {
	var none A
	body, err := json.Marshal(q)
	if err != nil {
		return none, fmt.Errorf("%s: %w", path, err)
	}
	got, err := c.post(ctx, over, path, body, "", limit)
	if err != nil {
		return none, err
	}
	if got.status != http.StatusOK {
		return none, got.refusal()
	}
	a, err := parse(got.body)
	if err != nil {
		return none, &LineError{Host: c.base.Host, Is: ErrAnswer, Err: err}
	}
	return a, nil
}

// Send sends one segment and says what came of it. The error is a *LineError
// when there was no answer, or the context's.
func (c *Client) Send(ctx context.Context, cut record.Cut) (Answer, error) {
	if len(cut.Bytes) > record.MaxSegment {
		return Answer{Outcome: TooLarge, Line: "the segment is larger than any may be"}, nil
	}
	packed := c.zstd.EncodeAll(cut.Bytes, make([]byte, 0, len(cut.Bytes)+64))
	got, err := c.post(ctx, c.own, enroll.PathSegments, packed, "zstd", maxProblem)
	if err != nil {
		return Answer{}, err
	}
	return classify(got, cut, c.config.ReceiptKeys()), nil
}

// answer is what came back, whole and bounded.
type answer struct {
	status int
	header http.Header
	body   []byte // of a status that is not wanted: at most maxProblem
	long   bool   // the body was longer than its limit
}

// post sends one body. An answer longer than limit is cut, and marked.
func (c *Client) post(outer context.Context, over *http.Client, path string, body []byte, encoding string, limit int) (answer, error) {
	ctx, cancel := context.WithTimeout(outer, c.limits.Request)
	defer cancel()
	target := c.base
	target.Path = path
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w", path, err)
	}
	r.Header.Set("Content-Type", "application/json")
	if encoding != "" {
		r.Header.Set("Content-Type", "application/octet-stream")
		r.Header.Set("Content-Encoding", encoding)
	}
	// Every request may come twice (the hub keeps the first of each). Told so, by
	// a header that is not sent, net/http tries again at once when the connection
	// that it kept had been closed by the other end.
	r.Header["X-Idempotency-Key"] = nil
	response, err := c.do(over, r)
	if err != nil {
		return answer{}, explain(outer, c.base.Host, err)
	}
	if response.StatusCode != http.StatusOK {
		limit = min(limit, maxProblem)
	}
	got := answer{status: response.StatusCode, header: response.Header}
	got.body, got.long, err = readBody(ctx, cancel, response.Body, limit, c.limits.Idle)
	if err != nil {
		return answer{}, explain(outer, c.base.Host, err)
	}
	if got.long && got.status == http.StatusOK {
		return answer{}, &LineError{Host: c.base.Host, Is: ErrAnswer, Err: fmt.Errorf("%s: more than %d bytes", path, limit)}
	}
	return got, nil
}

func (c *Client) do(over *http.Client, r *http.Request) (*http.Response, error) {
	if over == c.own && c.config.Certificate() == nil {
		return nil, &LineError{Host: c.base.Host, Is: ErrNotEnrolled}
	}
	c.freshen()
	r.Header.Set("User-Agent", strings.TrimSuffix("checkpoint/"+clean(c.config.Version, 40), "/"))
	return over.Do(r)
}

// freshen closes the idle connections when the pins or the gate's certificate
// are others than those they began with.
func (c *Client) freshen() {
	h := sha256.New()
	for _, pin := range c.config.Pins() {
		h.Write(pin[:])
	}
	if cert := c.config.Certificate(); cert != nil && len(cert.Certificate) > 0 {
		h.Write(cert.Certificate[0])
	}
	var faces [32]byte
	h.Sum(faces[:0])
	c.mu.Lock()
	same := c.faces == faces
	c.faces = faces
	c.mu.Unlock()
	if !same {
		c.Close()
	}
}

// errIdle: the other end fell silent within an answer.
var errIdle = errors.New("silent within an answer")

// readBody reads a body to its end, at most limit bytes of it, and closes it.
// Each part must come within idle; stop ends ctx, the request's, when it does
// not.
func readBody(ctx context.Context, stop func(), body io.ReadCloser, limit int, idle time.Duration) (b []byte, long bool, err error) {
	defer body.Close()
	watch := time.AfterFunc(idle, stop)
	defer watch.Stop()
	part := make([]byte, 4<<10)
	for {
		n, err := body.Read(part)
		if len(b)+n > limit {
			return append(b, part[:limit-len(b)]...), true, nil
		}
		b = append(b, part[:n]...)
		switch {
		case !watch.Stop():
			return b, false, errIdle
		case ctx.Err() != nil:
			// Also at the end: a hub that sees us leave may end an answer of unknown
			// length as if it were whole.
			return b, false, ctx.Err()
		case err == io.EOF:
			return b, false, nil
		case err != nil:
			return b, false, err
		}
		watch.Reset(idle)
	}
}
