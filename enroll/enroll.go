// Package enroll answers: what do a gate and a hub say to each other when they
// meet, and when a certificate is renewed?
//
// A technician creates a gate at the hub and gets a Token; the gate's camera
// reads it, the gate makes its keys (ECDSA P-256 for TLS, Ed25519 for segments)
// and sends a Request that proves both; the hub answers with a Grant. Values
// and formats only: no network, no files, no clock. Forms and limits stand in
// docs/formats.md, "Enrolment".
package enroll

import (
	"errors"
	"time"
)

// Errors that callers branch on; details are wrapped.
var (
	ErrToken   = errors.New("not an enrolment code")
	ErrRequest = errors.New("not an enrolment request")
	ErrProof   = errors.New("a key was not proven")
	ErrGrant   = errors.New("not an enrolment grant")
)

// Paths below the hub's address. All bodies are JSON unless said otherwise;
// errors are Problem.
const (
	PathEnroll       = "/v1/enroll"        // server-authenticated: POST Request, answers Grant
	PathRenew        = "/v1/renew"         // mTLS: POST Request without Token, answers Grant
	PathRenewExpired = "/v1/renew-expired" // server-authenticated: POST Request with OldKey proof, answers Grant
	PathSegments     = "/v1/segments"      // mTLS: POST one segment, zstd; answers 200 or 422 with a receipt (binary)
	PathReport       = "/v1/gate/report"   // mTLS: POST Report, answers Orders
	PathTrust        = "/v1/trust/"        // open: GET files of the TUF repository
)

// Token is what the QR code on the technician's screen, or on a sheet, says.
type Token struct {
	Secret [32]byte
	Pin    [32]byte // SHA-256 of the hub CA's SubjectPublicKeyInfo
	Root   [32]byte // SHA-256 of the TUF root metadata that the gate starts from
	URL    string   // https://host:port, at most 200 bytes
}

// Request asks for a certificate.
type Request struct {
	Token    string `json:"token,omitempty"`     // base64url of Token.Secret; enrolment only
	Device   string `json:"device"`              // 32 hex digits
	CSR      []byte `json:"csr"`                 // DER PKCS #10, P-256: proves the TLS key
	Segment  []byte `json:"segment_key"`         // Ed25519, 32 bytes
	Proof    []byte `json:"proof"`               // by the segment key, see docs/formats.md
	OldCert  []byte `json:"old_cert,omitempty"`  // renew-expired: DER of the expired certificate
	OldProof []byte `json:"old_proof,omitempty"` // renew-expired: ECDSA by its key
	Version  string `json:"version,omitempty"`   // of the program
}

// Grant is what a gate is told about itself.
type Grant struct {
	State     string    `json:"state"`          // active, pending
	Word      string    `json:"word,omitempty"` // six digits, while pending; the gate computes its own and shows that
	Gate      string    `json:"gate"`
	Venue     string    `json:"venue"`
	VenueType string    `json:"venue_type"`
	Chain     [][]byte  `json:"chain"`          // DER: the gate's certificate, then the hub CA's
	Root      []byte    `json:"root,omitempty"` // enrolment only: the TUF root metadata whose hash the token names
	Interval  int       `json:"upload_interval_s"`
	Time      time.Time `json:"time"` // the hub's clock
}

// Report is how a gate is: sent once an upload interval. It tells nothing of
// persons.
type Report struct {
	Version      string         `json:"version"`
	Time         time.Time      `json:"time"`
	Clock        string         `json:"clock"` // synced, rtc, estimated, unknown
	Trust        uint64         `json:"trust_version"`
	Ages         map[string]int `json:"list_ages_s,omitempty"`
	Last         uint64         `json:"last"`    // newest seq
	Waiting      uint64         `json:"waiting"` // rows without a receipt
	OldestS      int            `json:"oldest_s"`
	Poison       uint64         `json:"poison"` // segments kept aside
	Unrecorded   uint64         `json:"unrecorded"`
	DiskUsed     float64        `json:"disk_used"`
	DiskDays     int            `json:"disk_days"`
	Camera       string         `json:"camera"` // ok, or what is wrong
	FPS          float64        `json:"fps"`
	Shown        uint64         `json:"shown"` // today
	Read         uint64         `json:"read"`
	VerdictP50MS int            `json:"verdict_p50_ms"`
	VerdictP95MS int            `json:"verdict_p95_ms"`
	Rungs        []string       `json:"rungs,omitempty"`
}

// Orders is the answer: what the hub wants of the gate.
type Orders struct {
	State     string    `json:"state"`
	Gate      string    `json:"gate"`
	Venue     string    `json:"venue"`
	VenueType string    `json:"venue_type"`
	Interval  int       `json:"upload_interval_s"`
	Time      time.Time `json:"time"`
}

// Problem is the body of every refusal.
type Problem struct {
	Error  string `json:"error"`  // stable word
	Detail string `json:"detail"` // for the person who can act
}
