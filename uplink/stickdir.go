package uplink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// What may be wrong with a stick: StickError.Is.
var (
	ErrStickMissing  = errors.New("there is no stick")
	ErrStickEmpty    = errors.New("the stick holds nothing of that kind")
	ErrStickFull     = errors.New("the stick is full")
	ErrStickReadOnly = errors.New("the stick cannot be written")
	ErrStickGone     = errors.New("the stick was pulled out, or is broken")
	ErrStickRubbish  = errors.New("the stick holds something else in that place")
	ErrStickTooMuch  = errors.New("the stick holds more than is ever read")
)

// StickError says in one line what is wrong with a stick.
type StickError struct {
	Path string
	Is   error // one of the package's errors
	Err  error // what the system said; may be nil
}

// Error is one line.
func (e *StickError) Error() string {
	s := e.Path + ": " + e.Is.Error() + "; " + stickAdvice(e.Is)
	if e.Err != nil {
		s += " (" + cause(e.Err).Error() + ")"
	}
	return s
}

// Unwrap gives both the kind and the cause.
func (e *StickError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Is}
	}
	return []error{e.Is, e.Err}
}

func stickAdvice(kind error) string {
	switch kind {
	case ErrStickMissing:
		return "put it in, and give the folder where it is mounted"
	case ErrStickEmpty:
		return "it was not written by a gate or hub yet, or another folder is meant"
	case ErrStickFull:
		return "what is on it is whole: take it to the other side and come back for the rest"
	case ErrStickReadOnly:
		return "move its lock, or mount it so that this user may write"
	case ErrStickGone:
		return "what was copied is whole: put it in again, or take another one"
	case ErrStickRubbish:
		return "remove that, or take an empty stick"
	case ErrStickTooMuch:
		return "take an empty stick"
	}
	return "take another one"
}

// explainStick turns an error of the system into a StickError where a person
// can do something about it.
func explainStick(path string, err error) error {
	var known *StickError
	if err == nil || errors.As(err, &known) {
		return err
	}
	for _, k := range []struct {
		is    error
		codes []error
	}{
		{ErrStickFull, []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG}},
		{ErrStickReadOnly, []error{syscall.EROFS, fs.ErrPermission}},
		{ErrStickGone, []error{syscall.EIO, syscall.ENODEV, syscall.ENXIO, syscall.ESTALE, syscall.ENOTCONN}},
	} {
		for _, code := range k.codes {
			if errors.Is(err, code) {
				return &StickError{path, k.is, err}
			}
		}
	}
	return fmt.Errorf("%s: %w", path, err)
}

// stickFolder is one folder of a stick. Everything in it is untrusted: names,
// links, sizes. No path leads out of the stick (os.Root), no link is followed,
// nothing but regular files is opened.
type stickFolder struct {
	path   string
	root   *os.Root
	create func(root *os.Root, name string) (stickFile, error)
	dirty  bool // names in it are not on the medium yet
}

// openStick opens a folder of the stick at dir. dir itself is never made: a
// stick that is not there must not become a folder on the machine's own disk.
func openStick(dir, folder string, make bool) (*stickFolder, error) {
	path := filepath.Join(dir, folder)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, &StickError{dir, ErrStickMissing, err}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, explainStick(dir, err)
	}
	defer root.Close()
	sub, err := enter(root, folder, make)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &StickError{path, ErrStickEmpty, nil}
	}
	if err != nil {
		return nil, explainStick(path, err)
	}
	return &stickFolder{path: path, root: sub, create: create}, nil
}

// stickFile is what write needs of a file.
type stickFile interface {
	io.WriteCloser
	Sync() error
}

func create(root *os.Root, name string) (stickFile, error) {
	// O_EXCL does not follow a link that somebody put there.
	return root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
}

// enter opens a folder of root, which must be one and no link to one.
func enter(root *os.Root, folder string, make bool) (*os.Root, error) {
	info, err := root.Lstat(folder)
	if errors.Is(err, fs.ErrNotExist) && make {
		if err := root.Mkdir(folder, 0o755); err != nil {
			return nil, err
		}
		if err := syncRoot(root); err != nil {
			return nil, err
		}
		info, err = root.Lstat(folder)
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &StickError{filepath.Join(root.Name(), folder), ErrStickRubbish, nil}
	}
	return root.OpenRoot(folder)
}

func (f *stickFolder) close() error {
	defer f.root.Close()
	if !f.dirty {
		return nil
	}
	f.dirty = false
	return explainStick(f.path, syncRoot(f.root))
}

// closeInto closes the folder; what came before is the one line that is said.
func (f *stickFolder) closeInto(err *error) {
	if closeErr := f.close(); *err == nil {
		*err = closeErr
	}
}

// syncRoot puts the names in a folder on the medium.
func syncRoot(root *os.Root) error {
	d, err := root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // a file system that knows no such thing
		return err
	}
	return nil
}

// list gives the names of a folder that end so, sorted, at most most of them.
// What the system or a desktop leaves behind (hidden files, unfinished ones) is
// passed over in silence; others is how many names are something else.
func (f *stickFolder) list(end string, most int) (names []string, others int, err error) {
	d, err := f.root.Open(".")
	if err != nil {
		return nil, 0, explainStick(f.path, err)
	}
	defer d.Close()
	for seen := 0; ; {
		part, err := d.Readdirnames(1024)
		if seen += len(part); seen > most {
			return nil, 0, &StickError{f.path, ErrStickTooMuch, fmt.Errorf("more than %d names", most)}
		}
		for _, name := range part {
			switch {
			case strings.HasPrefix(name, ".") || strings.HasSuffix(name, partEnd):
			case strings.HasSuffix(name, end):
				names = append(names, name)
			default:
				others++
			}
		}
		if err == io.EOF {
			slices.Sort(names)
			return names, others, nil
		}
		if err != nil {
			return nil, 0, explainStick(f.path, err)
		}
	}
}

// errRubbish: a name under which there is no file that can be taken.
var errRubbish = errors.New("not a file, or too large")

// read gives a file of at most most bytes. A link, a device, a pipe and a file
// that is larger are errRubbish.
func (f *stickFolder) read(name string, most int) ([]byte, error) {
	info, err := f.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > int64(most) {
		return nil, errRubbish
	}
	// Not blocking: should it have become a pipe since, nobody waits for it.
	file, err := f.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errRubbish
	}
	b, err := io.ReadAll(io.LimitReader(file, int64(most)+1))
	if err != nil {
		return nil, err
	}
	if len(b) > most {
		return nil, errRubbish
	}
	return b, nil
}

// has says whether the file holds exactly these bytes.
func (f *stickFolder) has(name string, b []byte) bool {
	old, err := f.read(name, len(b))
	return err == nil && bytes.Equal(old, b)
}

// write puts a file in place whole or not at all: under another name first, on
// the medium, then renamed. A folder or link of that name is in the way.
func (f *stickFolder) write(name string, b []byte) error {
	if info, err := f.root.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return &StickError{filepath.Join(f.path, name), ErrStickRubbish, nil}
	}
	part := name + partEnd
	if err := f.root.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return explainStick(filepath.Join(f.path, part), err) // left by a stick that was pulled out
	}
	err := f.fill(part, b)
	if err == nil {
		err = f.root.Rename(part, name)
	}
	if err != nil {
		_ = f.root.Remove(part) // best effort: the next write of it removes it, too
		return explainStick(f.path, err)
	}
	f.dirty = true
	return nil
}

func (f *stickFolder) fill(part string, b []byte) (err error) {
	file, err := f.create(f.root, part)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
	}()
	if _, err = file.Write(b); err != nil {
		return err
	}
	return file.Sync()
}
