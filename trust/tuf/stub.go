package tuf

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"time"

	"checkpoint/trust"
)

var errTodo = errors.New("not written yet")

type Client struct{}

func Open(ctx context.Context, store Store, firstRoot []byte, now func() time.Time) (*Client, error) {
	return nil, errTodo
}
func (c *Client) Refresh(ctx context.Context, f Fetcher) (changed bool, err error) {
	return false, errTodo
}
func (c *Client) Snapshot() *trust.Snapshot      { return nil }
func (c *Client) Generation() (Generation, bool) { return Generation{}, false }

// CheckRoot says whether bytes can be a first root.
func CheckRoot(root []byte) error { return errTodo }

// Folder is a Fetcher over a folder (a stick's trust/ folder, a web root).
type Folder struct{ FS fs.FS }

func (f Folder) Fetch(ctx context.Context, name string, max int64) ([]byte, error) {
	return nil, errTodo
}

// --- making side ---

// Roles says whose keys a repository has: roles.json.
type Roles struct{}

func ParseRoles(data []byte) (*Roles, error) { return nil, errTodo }

// Draft is metadata on its way to its signers, with the files that it names.
type Draft struct {
	Role     string // root, targets, daykeys, revoked
	Metadata []byte
	Files    []File // new target files
	Changes  []string
}

// Status says who has signed, what is missing and what changes.
type Status struct {
	Role            string
	Version         int64
	Issued, Expires time.Time
	Signed, Missing []string
	Complete        bool
	Changes         []string
}

func NewRoot(roles *Roles, repo []File, issued, expires time.Time) (*Draft, error) {
	return nil, errTodo
}
func BuildTargets(plain fs.FS, roles *Roles, repo []File, issued, expires time.Time) (*Draft, error) {
	return nil, errTodo
}
func BuildDelegated(role string, plain fs.FS, repo []File, issued, expires time.Time) (*Draft, error) {
	return nil, errTodo
}

// AddSignature adds one key's signature. repo are the published files and the draft's.
func AddSignature(metadata []byte, key ed25519.PrivateKey, repo []File) ([]byte, *Status, error) {
	return nil, nil, errTodo
}

// Check tells the state of a draft, or of published metadata.
func Check(metadata []byte, repo []File) (*Status, error) { return nil, errTodo }

// Finish gives complete metadata its name in the repository.
func Finish(metadata []byte, repo []File) (File, error) { return File{}, errTodo }

// Online holds the keys of a hub.
type Online struct {
	Snapshot, Timestamp       ed25519.PrivateKey
	SnapshotFor, TimestampFor time.Duration // lifetimes; 0: the defaults
}

// Resign gives the new N.snapshot.json (when anything changed) and timestamp.json over the files of a repository.
func (o Online) Resign(files []File, now time.Time) ([]File, error) { return nil, errTodo }

// Keyring holds every key in one hand: for demos and tests.
type Keyring struct {
	Root, Targets, DayKeys, Revoked []ed25519.PrivateKey
	Online                          Online
}

// Publish makes, signs and resigns everything in one go.
func (k Keyring) Publish(plain fs.FS, repo []File, now time.Time) ([]File, error) {
	return nil, errTodo
}

func ReadFolder(fsys fs.FS) ([]File, error)                { return nil, errTodo }
func WriteFolder(dir string, files []File) error           { return errTodo }
func NewKey() (private, public []byte, err error)          { return nil, nil, errTodo }
func ParseKey(pem []byte) (ed25519.PrivateKey, error)      { return nil, errTodo }
func ParsePublicKey(pem []byte) (ed25519.PublicKey, error) { return nil, errTodo }
