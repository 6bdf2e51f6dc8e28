package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub"
	"checkpoint/hub/store"
	"checkpoint/record"
)

// Paths of the operator's API: docs/formats.md, "Operator". /v1/admin/ and
// /v1/trust/ are beside them.
const (
	pathAdmin    = "/v1/admin/"
	pathOperator = "/v1/operator/"
	pathHub      = pathOperator + "hub"
	pathPeople   = pathOperator + "people"
	pathTrust    = pathOperator + "trust"
	pathSegments = pathOperator + "segments"
	pathBackup   = pathOperator + "backup"
)

// Limits of the operator's API.
const (
	maxPush   = 192 << 20 // a whole repository in base64
	maxPeople = 16 << 10
)

// operator answers the operator of the machine: over hub.sock while the hub
// serves, else within the process of the command.
type operator struct {
	*app
	cfg   config
	hub   *hub.Hub
	keys  *hub.Keys
	store keeper
	url   string
}

func (o *operator) handler() http.Handler {
	mux := http.NewServeMux()
	beside := o.hub.Operator()
	mux.Handle(pathAdmin, beside)
	mux.Handle(enroll.PathTrust, beside)
	mux.HandleFunc("GET "+pathHub, o.getHub)
	mux.HandleFunc("POST "+pathPeople, o.postPeople)
	mux.HandleFunc("GET "+pathTrust, o.getTrust)
	mux.HandleFunc("POST "+pathTrust, o.postTrust)
	mux.HandleFunc("POST "+pathSegments, o.postSegment)
	mux.HandleFunc("GET "+pathBackup, o.getBackup)
	return mux
}

// hubNow is what a hub says of itself to its operator.
type hubNow struct {
	Version string `json:"version"`
	URL     string `json:"url"`
	Store   string `json:"store"`
	Pin     string `json:"pin"` // SHA-256 of the CA's SubjectPublicKeyInfo, hex
	Demo    bool   `json:"demo,omitempty"`
}

func (o *operator) getHub(w http.ResponseWriter, _ *http.Request) {
	pin := o.keys.Pin()
	answer(w, http.StatusOK, hubNow{version(), o.url, o.cfg.storeWord(), hex.EncodeToString(pin[:]), o.cfg.demo()})
}

// newPerson asks for a person's certificate.
type newPerson struct {
	Name   string   `json:"name"`
	Role   string   `json:"role"`
	Venues []string `json:"venues,omitempty"` // none: all
	Days   int      `json:"days,omitempty"`   // 0: 90
	CSR    []byte   `json:"csr,omitempty"`    // DER PKCS #10; none: a key is made
}

func (o *operator) postPeople(w http.ResponseWriter, r *http.Request) {
	var p newPerson
	if !readJSON(w, r, maxPeople, &p) {
		return
	}
	if p.Days < 0 || p.Days > 398 {
		problem(w, http.StatusBadRequest, "value", "a certificate lives 1 to 398 days")
		return
	}
	pem, err := o.hub.IssuePerson(r.Context(), p.Name, hub.Role(p.Role), p.Venues, time.Duration(p.Days)*24*time.Hour, p.CSR)
	switch {
	case errors.Is(err, hub.ErrPerson), errors.Is(err, hub.ErrName):
		problem(w, http.StatusBadRequest, "value", err.Error())
	case err != nil:
		problem(w, http.StatusServiceUnavailable, "not_done", err.Error())
	default:
		answer(w, http.StatusCreated, map[string]string{"pem": string(pem)})
	}
}

// pushed are files of a trust repository on their way into the hub.
type pushed struct {
	Files []pushedFile `json:"files"`
}

type pushedFile struct {
	Name  string `json:"name"`
	Bytes []byte `json:"bytes"`
}

func (o *operator) postTrust(w http.ResponseWriter, r *http.Request) {
	var p pushed
	if !readJSON(w, r, maxPush, &p) {
		return
	}
	files := make(map[string][]byte, len(p.Files))
	for _, f := range p.Files {
		files[f.Name] = f.Bytes
	}
	err := o.hub.Publish(r.Context(), files)
	switch {
	case err != nil && storeFailed(err):
		problem(w, http.StatusServiceUnavailable, "not_done", err.Error())
	case err != nil:
		problem(w, http.StatusConflict, "trust_refused", err.Error())
	default:
		o.getTrust(w, r)
	}
}

// storeFailed reports whether an error says nothing about what was sent.
func storeFailed(err error) bool {
	for _, one := range []error{store.ErrUnavailable, store.ErrFull, store.ErrStale, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// getTrust lists the names of the repository.
func (o *operator) getTrust(w http.ResponseWriter, r *http.Request) {
	names, err := o.store.ListTrust(r.Context())
	if err != nil {
		problem(w, http.StatusServiceUnavailable, "not_done", err.Error())
		return
	}
	answer(w, http.StatusOK, map[string][]string{"files": append([]string{}, names...)})
}

// postSegment takes one segment that came on a stick. 200 and 422 are receipts.
func (o *operator) postSegment(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, record.MaxSegment))
	if err != nil {
		problem(w, http.StatusRequestEntityTooLarge, "too_large", "at most 1 MiB")
		return
	}
	receipt, no, err := o.hub.Take(r.Context(), b, store.ByStick)
	switch {
	case err != nil:
		problem(w, http.StatusServiceUnavailable, "not_done", err.Error())
	case no != nil:
		problem(w, http.StatusConflict, no.Error, no.Detail)
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(receipt) // the command has gone: it asks again
	}
}

func (o *operator) getBackup(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-tar")
	if err := o.writeBackup(r.Context(), w); err != nil {
		// It has begun: what is cut off has no checksums at its end.
		panic(http.ErrAbortHandler)
	}
}

func problem(w http.ResponseWriter, status int, word, detail string) {
	answer(w, status, enroll.Problem{Error: word, Detail: oneLine(detail)})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the command has gone: nobody to tell
}

func readJSON(w http.ResponseWriter, r *http.Request, most int64, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, most))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		problem(w, http.StatusBadRequest, "body", "not the JSON object of docs/formats.md, Operator")
		return false
	}
	return true
}

// operatorServer is around the operator's handler, wherever it listens.
func operatorServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
}

// listenSocket listens on hub.sock. Only the owner of the data directory can
// reach it: the directory is 0700, the socket 0600. One that a hub left which
// was killed is removed; one that answers is another hub's.
func listenSocket(ctx context.Context, dir string) (net.Listener, error) {
	path, done, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others can look into %s: chmod 700 it", dir)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		conn.Close()
		return nil, errServes
	case errors.Is(err, syscall.ECONNREFUSED):
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// errServes: another process serves from the data directory.
var errServes = errors.New("a hub serves from this data directory already")

// maxSocketPath is what fits into sun_path (unix(7)), its end included.
const maxSocketPath = 108

// socketPath is how hub.sock is named to the kernel: a longer path goes by the
// open directory. Call done when the name has been used.
func socketPath(dir string) (path string, done func(), err error) {
	path = dir + "/" + fileSocket
	if len(path) < maxSocketPath {
		return path, func() {}, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), fileSocket), func() { d.Close() }, nil
}

// within is a listener in this process: what dial gives, Accept takes.
type within struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newWithin() *within { return &within{make(chan net.Conn), make(chan struct{})} }

func (l *within) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *within) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close is called once, by the server.
func (l *within) Close() error {
	close(l.closed)
	return nil
}

func (l *within) Addr() net.Addr { return &net.UnixAddr{Name: "within", Net: "unix"} }

// jsonBody is v as a request's body.
func jsonBody(v any) (*bytes.Reader, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write a request: %w", err)
	}
	return bytes.NewReader(b), nil
}
