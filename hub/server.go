package hub

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Timeouts of the listener. A gate on a bad line sends 256 KiB in readTimeout
// at 70 kbit/s; an answer waits for the store (Limits.PutTimeout). Handlers of
// long answers set a later deadline of their own.
const (
	headerTimeout = 10 * time.Second // also of the handshake
	readTimeout   = 30 * time.Second
	writeTimeout  = 60 * time.Second
	idleTimeout   = 5 * time.Minute // a TLS handshake a request costs five times the request

	upkeepEvery = 30 * time.Second
)

// Serve answers on ln, over TLS, until ctx ends. Then it takes no more, answers
// what it took, waits for the store, and returns nil; what is not done in
// Limits.StopTimeout is an error. It closes ln. A Hub serves once.
func (h *Hub) Serve(ctx context.Context, ln net.Listener) error {
	return h.serve(ctx, ln, h.keys.TLSConfig())
}

func (h *Hub) serve(ctx context.Context, ln net.Listener, tlsConfig *tls.Config) error {
	// HTTP/1.1 alone. A gate posts one small body after the other on a connection
	// that it keeps: HTTP/2 cost half as much again for that (measured,
	// 5.5 to 7.0 against 3.7 to 6.0 µs of processor a row with both ends), and its streams would have to be bounded like connections.
	tlsConfig = tlsConfig.Clone()
	tlsConfig.NextProtos = []string{"http/1.1"}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	server := &http.Server{
		Handler:           h.Handler(),
		TLSConfig:         tlsConfig,
		Protocols:         protocols,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       max(idleTimeout, 2*h.cfg.Interval),
		MaxHeaderBytes:    maxHeaders,
		ErrorLog:          log.New(complaints{h}, "", 0),
	}
	upkeep, stopUpkeep := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() { h.upkeepLoop(upkeep) })
	defer background.Wait()
	defer stopUpkeep()

	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(h.conns.limit(ln), "", "") }()
	select {
	case err := <-served:
		return fmt.Errorf("serve gates: %w", err)
	case <-ctx.Done():
	}
	h.stopping.Store(true)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.limits.StopTimeout)
	defer cancel()
	err := server.Shutdown(stop)
	<-served
	if err != nil {
		_ = server.Close() // what is left was never answered, so nobody counts on it
		return fmt.Errorf("stop serving: %w", err)
	}
	if err := h.queue.drain(stop); err != nil {
		return fmt.Errorf("stop serving: %w", err)
	}
	return nil
}

// wrap is around every handler: a panic is one 500 and a line, and an open
// connection without a certificate gives way when connections are scarce.
func (h *Hub) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // the value itself is the signal
				panic(p)
			}
			h.panicked("handler", p)
			h.problem(w, http.StatusInternalServerError, "internal", "the hub failed at this; send it again later")
		}()
		if h.conns.scarce() && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// panicked counts a panic and logs where it was. Its value may quote what a
// client sent, so only the runtime's own errors are written out.
func (h *Hub) panicked(where string, p any) {
	h.metrics.panics.Inc()
	what := fmt.Sprintf("%T", p)
	if e, ok := p.(runtime.Error); ok {
		what = e.Error()
	}
	h.log.Error("a panic was caught", "where", where, "what", what, "stack", string(debug.Stack()))
}

// complaints counts what net/http complains of. Its texts name addresses and
// quote clients, so only their kind is logged, and that at debug level: any
// port scanner can cause them.
type complaints struct{ h *Hub }

func (c complaints) Write(b []byte) (int, error) {
	kind := "other"
	switch {
	case bytes.Contains(b, []byte("TLS handshake error")):
		kind = "handshake"
	case bytes.HasPrefix(b, []byte("http: Accept error")):
		kind = "accept"
	}
	c.h.metrics.complaints.WithLabelValues(kind).Inc()
	level := slog.LevelDebug
	if kind == "accept" { // no file descriptors: ours to mend
		level = slog.LevelError
	}
	c.h.log.Log(context.Background(), level, "connection failed", "kind", kind)
	return len(b), nil
}

// connections bounds how many are open.
type connections struct {
	slots chan struct{}
	open  atomic.Int64
}

func newConnections(limit int) *connections { return &connections{slots: make(chan struct{}, limit)} }

// scarce reports whether three quarters of the connections are in use.
func (c *connections) scarce() bool { return c.open.Load() > int64(cap(c.slots))*3/4 }

func (c *connections) limit(ln net.Listener) net.Listener {
	return &limitedListener{Listener: ln, conns: c, closed: make(chan struct{})}
}

type limitedListener struct {
	net.Listener
	conns  *connections
	once   sync.Once
	closed chan struct{}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.conns.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.conns.slots
		return nil, err
	}
	l.conns.open.Add(1)
	return &limitedConn{Conn: conn, conns: l.conns}, nil
}

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	conns *connections
	once  sync.Once
}

func (c *limitedConn) Close() error {
	c.once.Do(func() {
		c.conns.open.Add(-1)
		<-c.conns.slots
	})
	return c.Conn.Close()
}

// upkeepLoop does upkeep at once and every so often.
func (h *Hub) upkeepLoop(ctx context.Context) {
	tick := time.NewTicker(upkeepEvery)
	defer tick.Stop()
	for {
		if err := h.upkeep(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			h.log.Warn("upkeep not done", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
