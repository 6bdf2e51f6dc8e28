package tuf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// File is one file of the repository: "3.root.json", "timestamp.json",
// "targets/<sha256>.policy.json".
type File struct {
	Name  string // below /v1/trust/, at most MaxName bytes
	Bytes []byte
}

// Generation is a whole repository as a client took it: the metadata, every
// target that it uses, and the roots from the one that vouched for the rest to
// the newest. It verifies by itself.
type Generation struct {
	Version uint64    // of the snapshot metadata
	Issued  time.Time // when the timestamp was signed: what it vouches for was then the newest
	Anchor  time.Time // newest offline-signed date in it
	Files   []File
}

// Store keeps generations.
type Store interface {
	// Generations gives what is kept, newest first.
	Generations(ctx context.Context) ([]Generation, error)
	// Keep makes a generation the newest one and durable, whole or not at all;
	// one of the same version takes the place of the other. The generation
	// before should be kept too.
	Keep(ctx context.Context, g Generation) error
}

// Fetcher gets files of a repository, by their names below /v1/trust/.
type Fetcher interface {
	// Fetch gives a file of at most max bytes, or an error: an fs.ErrNotExist
	// when there is none of that name, ErrTooLarge (or any other) when it is
	// longer. Time limits are its own.
	Fetch(ctx context.Context, name string, max int64) ([]byte, error)
}

// Errors that callers branch on.
var (
	ErrMissing  = fmt.Errorf("no such trust file: %w", fs.ErrNotExist)
	ErrTooLarge = errors.New("trust file larger than allowed")
	ErrDamaged  = errors.New("kept trust is damaged")
)

// Refused says that a repository was not taken; what was held is held on.
type Refused struct {
	Why  Why
	File string // name of the file that it was about, "" when about all
	Err  error  // for the log
}

func (r *Refused) Error() string {
	if r.File == "" {
		return fmt.Sprintf("trust refused (%s): %v", r.Why, r.Err)
	}
	return fmt.Sprintf("trust refused (%s): %s: %v", r.Why, r.File, r.Err)
}

func (r *Refused) Unwrap() error { return r.Err }

// Why is a stable word for a refusal.
type Why string

// The words.
const (
	Unsigned      Why = "unsigned"        // no key of the role has signed
	Threshold     Why = "threshold"       // some keys of the role have signed, not enough
	RolledBack    Why = "rolled_back"     // older than what is held
	Frozen        Why = "frozen"          // timestamp or snapshot has expired: nobody vouches for it any more
	Mixed         Why = "mixed"           // a file is not the one that signed metadata names
	Oversized     Why = "oversized"       // longer than allowed, or than said
	ExpiredRoot   Why = "expired_root"    // the newest root has expired
	Expired       Why = "expired"         // targets, daykeys or revoked have expired
	UnknownSpec   Why = "unknown_spec"    // a version of TUF or of our profile that this program does not know
	BadMetadata   Why = "bad_metadata"    // cannot be read, or breaks the profile
	BadDelegation Why = "bad_delegation"  // daykeys or revoked are not delegated as they must be
	BadTarget     Why = "bad_target"      // a target cannot be read, or what must be there is not
	Missing       Why = "missing"         // a file that signed metadata names is not there
	DayKeyChanged Why = "day_key_changed" // alarm: a published day key changed, or a destroyed one came back
	Ahead         Why = "ahead"           // an offline signer's date lies more than a day past the timestamp's
	VersionJump   Why = "version_jump"    // a version so high that there would be none left above it
)

// Alarm reports whether a person must look at it at once: somebody with keys
// did what nobody may do.
func (w Why) Alarm() bool { return w == DayKeyChanged }
