package camera

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Stream reads a network camera: Motion JPEG over HTTP, one body of type
// multipart/x-mixed-replace. One goroutine holds the connection, keeps the
// newest frame and connects again after any failure; it ends with Close.
type Stream struct {
	*latest
	url    *url.URL
	o      Options
	client *http.Client
	stop   context.CancelFunc
	ended  chan struct{}
	once   sync.Once

	again chan struct{} // capacity 1: Next saw only broken frames
	seq   uint64        // the goroutine's own
}

const (
	maxStreamPixels = 4096 * 4096
	maxRedirects    = 3
)

// OpenStream opens the stream at address, an http or https URL, which may hold
// a user and password. A camera that does not answer is waited for, unless
// o.MustOpen is set. ctx bounds the first attempt.
func OpenStream(ctx context.Context, address string, o Options) (*Stream, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("network camera: want mjpeg:http://HOST/PATH") // the address may hold a password
	}
	s := &Stream{latest: newLatest(), url: u, o: o, ended: make(chan struct{}), again: make(chan struct{}, 1)}
	s.client = &http.Client{
		Transport: &http.Transport{ // no proxy: a camera is near
			DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout:    5 * time.Second,
			ResponseHeaderTimeout:  5 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true,
			DisableKeepAlives:      true,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects || r.URL.Scheme != u.Scheme {
				return errors.New("redirected elsewhere")
			}
			return nil
		},
	}
	s.broken = func() {
		select {
		case s.again <- struct{}{}:
		default:
		}
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	stood := make(chan error, 1)
	go s.run(run, stood)
	select {
	case err = <-stood:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil && (o.MustOpen || ctx.Err() != nil) {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// Next waits for a frame newer than the last one; see [V4L2.Next].
func (s *Stream) Next(ctx context.Context) (Frame, error) { return s.next(ctx, s.o.stall()) }

// Stats counts; any goroutine may call it.
func (s *Stream) Stats() Stats { return s.snapshot() }

// Close ends the connection and the goroutine. A waiting Next returns
// ErrClosed.
func (s *Stream) Close() error {
	s.once.Do(func() {
		s.latest.close()
		s.stop()
		<-s.ended
	})
	return nil
}

// connect asks for the stream and looks at the answer.
func (s *Stream) connect(ctx context.Context) (io.ReadCloser, *parts, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.String(), nil)
	if err != nil {
		return nil, nil, errors.New("network camera: address not understood")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the address stands in front, without its password
		}
		return nil, nil, s.explain(err)
	}
	// With a boundary that breaks the rules, kind is there and params is not.
	kind, params, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		err = errors.New("wants a user and password in the address")
	case resp.StatusCode != http.StatusOK:
		err = fmt.Errorf("answers with status %d", resp.StatusCode)
	case kind != "multipart/x-mixed-replace" && kind != "multipart/mixed":
		err = errors.New("is not an MJPEG stream")
	default:
		return resp.Body, newParts(resp.Body, params["boundary"]), nil
	}
	_ = resp.Body.Close()
	return nil, nil, s.explain(err)
}

func (s *Stream) explain(err error) error {
	shown := url.URL{Scheme: s.url.Scheme, Host: s.url.Host, Path: s.url.Path} // no password, no token
	return fmt.Errorf("network camera %s: %w", shown.String(), err)
}

// run reads the stream, and connects again, until ctx ends. stood takes the
// outcome of the first attempt to connect.
func (s *Stream) run(ctx context.Context, stood chan<- error) {
	defer close(s.ended)
	pause, told := firstRetry, ""
	for {
		frames, err := s.attempt(ctx, stood)
		stood = nil
		if ctx.Err() != nil {
			return
		}
		if frames > 0 {
			pause, told = firstRetry, ""
		}
		s.lose(err)
		if line := err.Error(); line != told { // not the same line each second
			told = line
			s.o.log().Warn("camera lost", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// attempt connects once and reads until the stream ends.
func (s *Stream) attempt(ctx context.Context, stood chan<- error) (frames int, err error) {
	conn, drop := context.WithCancel(ctx)
	defer drop()
	body, p, err := s.connect(conn)
	if stood != nil {
		stood <- err
	} else if err == nil {
		s.count(func(st *Stats) { st.Reopens++ })
	}
	if err != nil {
		return 0, err
	}
	defer body.Close()
	frames, err = s.read(p, drop)
	return frames, s.explain(err)
}

// read passes frames on until the stream fails. A stream that gives nothing
// for the time of a stall is dropped.
func (s *Stream) read(p *parts, drop context.CancelFunc) (frames int, err error) {
	select {
	case <-s.again:
	default:
	}
	began := time.Now()
	watch := time.AfterFunc(s.o.stall(), drop)
	defer watch.Stop()
	for {
		f := s.filling
		f.jpeg, err = p.next(f.jpeg)
		switch {
		case err != nil && !watch.Stop() && errors.Is(err, context.Canceled):
			return frames, errStall
		case errors.Is(err, io.EOF):
			return frames, errors.New("closed by the camera")
		case err != nil:
			return frames, err
		}
		select {
		case <-s.again:
			return frames, errBroken
		default:
		}
		s.seq++
		if len(f.jpeg) == 0 {
			s.count(func(st *Stats) { st.Corrupt++ })
			continue
		}
		watch.Reset(s.o.stall())
		f.packed, f.most, f.seq, f.at, f.began = true, maxStreamPixels, s.seq, time.Now(), began
		if frames++; frames == 1 {
			is := s.url.Scheme + "://" + s.url.Host + s.url.Path + " MJPEG"
			s.count(func(st *Stats) { st.Is = is })
			s.o.log().Info("camera opened", "url", is)
		}
		s.put()
	}
}
