package uplink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"path/filepath"
	"strings"
)

// TrustFile is one file of the trust repository.
type TrustFile struct {
	Name  string // "timestamp.json", "3.root.json", "targets/ab….policy.json"
	Bytes []byte
}

// lastTrust is the file that makes the others count: it is written when they
// are all there.
const lastTrust = "timestamp.json"

// maxTrustFiles is how many files a repository on a stick may have.
const maxTrustFiles = 20_000

// ExportTrust writes a trust repository to the stick mounted at dir, the file
// that makes it count last. Files that are there are kept when they are the
// same, and replaced when not; what is no longer in the repository stays.
func ExportTrust(ctx context.Context, dir string, files iter.Seq2[TrustFile, error]) (t Tally, err error) {
	top, err := openStick(dir, trustFolder, true)
	if err != nil {
		return t, err
	}
	defer top.closeInto(&err)
	var last *TrustFile
	count := 0
	for file, err := range files {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return t, fmt.Errorf("export trust: %w", err)
		}
		if count++; count > maxTrustFiles || len(file.Bytes) > MaxTrustFile {
			return t, &StickError{top.path, ErrStickTooMuch, nil}
		}
		if file.Name == lastTrust {
			last = &file
			continue
		}
		if err := top.put(file, &t); err != nil {
			return t, err
		}
	}
	if last != nil {
		return t, top.put(*last, &t)
	}
	return t, nil
}

// put writes one file below its folders.
func (f *stickFolder) put(file TrustFile, t *Tally) (err error) {
	if !trustName(file.Name) {
		return fmt.Errorf("%w: %q", ErrTrustName, clean(file.Name, MaxTrustName))
	}
	sub, name, err := f.down(file.Name, true)
	if err != nil {
		return err
	}
	if sub != f {
		defer sub.closeInto(&err)
	}
	if sub.has(name, file.Bytes) {
		t.Same++
		return nil
	}
	if err := sub.write(name, file.Bytes); err != nil {
		return err
	}
	t.Done++
	return nil
}

// down opens the folder in which a file stands; f itself when it has none.
func (f *stickFolder) down(name string, make bool) (*stickFolder, string, error) {
	folders, file := path.Split(name)
	if folders == "" {
		return f, file, nil
	}
	at := f.root
	for folder := range strings.SplitSeq(strings.TrimSuffix(folders, "/"), "/") {
		next, err := enter(at, folder, make)
		if at != f.root {
			at.Close()
		}
		if err != nil {
			return nil, "", explainStick(filepath.Join(f.path, folders), err)
		}
		at = next
	}
	return &stickFolder{path: filepath.Join(f.path, folders), root: at, create: f.create}, file, nil
}

// StickTrust fetches the trust repository from the stick mounted at a folder,
// as Client does from a hub.
type StickTrust string

// Fetch gives a file of at most limit bytes; ErrMissing when there is none of
// that name. What the bytes are worth is for signatures to say.
func (s StickTrust) Fetch(ctx context.Context, name string, limit int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !trustName(name) {
		return nil, fmt.Errorf("%w: %q", ErrTrustName, clean(name, MaxTrustName))
	}
	top, err := openStick(string(s), trustFolder, false)
	if err != nil {
		return nil, err
	}
	defer top.close()
	sub, file, err := top.down(name, false)
	if err == nil && sub != top {
		defer sub.close()
	}
	var b []byte
	if err == nil {
		b, err = sub.read(file, int(min(limit, MaxTrustFile)))
	}
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", name, ErrMissing)
	case errors.Is(err, errRubbish):
		return nil, &StickError{filepath.Join(top.path, name), ErrStickRubbish, nil}
	}
	return nil, explainStick(top.path, err)
}
