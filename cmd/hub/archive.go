package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"checkpoint/hub/store"
)

// A backup is a tar file (POSIX.1-2001) that tells what it is, then keys and
// configuration, then the store's dump in pieces, then the checksums of all
// that, in the form of sha256sum. docs/formats.md, "Backup".
const (
	backupForm   = "checkpoint-hub-backup/1"
	fileManifest = "manifest.json"
	fileSums     = "SHA256SUMS"
	dirStore     = "store" // store/000001, …
)

// Limits of a backup.
const (
	maxPiece    = 8 << 20 // of the store's dump
	maxFile     = 4 << 20 // any other
	maxFiles    = 1000    // other than pieces
	maxSumsFile = 64 << 20
)

// ErrBackup: not a backup, cut off, or changed.
var errBackup = errors.New("not a whole backup")

// manifest is what a backup tells of itself.
type manifest struct {
	Form    string    `json:"form"`
	Made    time.Time `json:"made"`
	Version string    `json:"version"` // of the program
	Store   string    `json:"store"`   // sqlite or postgres
	Demo    bool      `json:"demo,omitempty"`
}

// backupDirs are the folders of the data directory that a backup holds.
var backupDirs = []string{dirKeys, dirDemo, dirSigners}

// writer writes a backup.
type writer struct {
	tar  *tar.Writer
	made time.Time
	sums bytes.Buffer
}

func (w *writer) add(name string, data []byte) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: 0o600, ModTime: w.made, Format: tar.FormatPAX}
	if err := w.tar.WriteHeader(header); err != nil {
		return err
	}
	if name != fileSums {
		fmt.Fprintf(&w.sums, "%x  %s\n", sha256.Sum256(data), name)
	}
	_, err := w.tar.Write(data)
	return err
}

// writeBackup writes all that this hub is. The store gives one consistent
// moment of itself; keys do not change while a hub serves.
func (o *operator) writeBackup(ctx context.Context, out io.Writer) error {
	w := &writer{tar: tar.NewWriter(out), made: o.now().UTC().Truncate(time.Second)}
	m := manifest{Form: backupForm, Made: w.made, Version: version(), Store: "sqlite", Demo: o.cfg.demo()}
	if o.cfg.postgres() {
		m.Store = "postgres"
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if err := w.add(fileManifest, append(text, '\n')); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if err := w.addFiles(o.cfg.dir); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	pieces := &pieceWriter{w: w}
	if err := store.Dump(ctx, o.store, pieces); err != nil {
		return fmt.Errorf("back up the store: %w", err)
	}
	if err := pieces.flush(); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if err := w.add(fileSums, w.sums.Bytes()); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if err := w.tar.Close(); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	return nil
}

// addFiles adds hub.toml and the folders that a backup holds.
func (w *writer) addFiles(dir string) error {
	names := []string{fileConfig}
	for _, folder := range backupDirs {
		err := filepath.WalkDir(filepath.Join(dir, folder), func(file string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return fs.SkipAll
			}
			if err != nil || d.IsDir() {
				return err
			}
			name, err := filepath.Rel(dir, file)
			if err == nil && !d.Type().IsRegular() {
				err = fmt.Errorf("%s is no file", name)
			}
			names = append(names, filepath.ToSlash(name))
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, name := range names {
		data, err := readBounded(filepath.Join(dir, name), maxFile)
		if errors.Is(err, fs.ErrNotExist) && name == fileConfig {
			continue
		}
		if err != nil {
			return err
		}
		if err := w.add(name, data); err != nil {
			return err
		}
	}
	return nil
}

// pieceWriter cuts the store's dump, whose length nobody knows before its end,
// into files whose length stands before them.
type pieceWriter struct {
	w   *writer
	n   int
	buf []byte
}

func (p *pieceWriter) Write(b []byte) (int, error) {
	written := len(b)
	for len(b) > 0 {
		take := min(len(b), maxPiece-len(p.buf))
		p.buf = append(p.buf, b[:take]...)
		b = b[take:]
		if len(p.buf) == maxPiece {
			if err := p.flush(); err != nil {
				return 0, err
			}
		}
	}
	return written, nil
}

func (p *pieceWriter) flush() error {
	if len(p.buf) == 0 {
		return nil
	}
	p.n++
	err := p.w.add(fmt.Sprintf("%s/%06d", dirStore, p.n), p.buf)
	p.buf = p.buf[:0]
	return err
}

// archive is a backup that was read once and holds: every file is what the
// checksums say.
type archive struct {
	manifest
	files map[string][]byte // all but the store's pieces
	file  *os.File
	sums  map[string]string // hex by name
}

// openArchive reads a backup from its beginning to its end, and believes
// nothing of it before that.
func openArchive(name string) (_ *archive, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is no regular file", errBackup, name)
	}
	a := &archive{file: f, files: map[string][]byte{}, sums: map[string]string{}}
	var order []string
	var said []byte
	pieces := 0
	err = eachFile(f, func(name string, data []byte) error {
		switch {
		case said != nil:
			return fmt.Errorf("%w: %s follows the checksums", errBackup, name)
		case name == fileSums:
			said = slices.Clone(data)
			return nil
		case len(order) == 0 && name != fileManifest:
			return fmt.Errorf("%w: it does not begin with %s", errBackup, fileManifest)
		case isPiece(name):
			if pieces++; name != fmt.Sprintf("%s/%06d", dirStore, pieces) {
				return fmt.Errorf("%w: %s is out of order", errBackup, name)
			}
		case pieces > 0 || len(a.files) >= maxFiles || !mayRestore(name):
			return fmt.Errorf("%w: %s does not belong there", errBackup, name)
		default:
			a.files[name] = slices.Clone(data)
		}
		if _, twice := a.sums[name]; twice {
			return fmt.Errorf("%w: %s stands twice", errBackup, name)
		}
		order = append(order, name)
		sum := sha256.Sum256(data)
		a.sums[name] = hex.EncodeToString(sum[:])
		return nil
	})
	if err != nil {
		return nil, err
	}
	if said == nil {
		return nil, fmt.Errorf("%w: it was cut off", errBackup)
	}
	var want strings.Builder
	for _, name := range order {
		fmt.Fprintf(&want, "%s  %s\n", a.sums[name], name)
	}
	if want.String() != string(said) {
		return nil, fmt.Errorf("%w: its checksums do not hold", errBackup)
	}
	if err := json.Unmarshal(a.files[fileManifest], &a.manifest); err != nil || a.Form == "" {
		return nil, fmt.Errorf("%w: %s cannot be read", errBackup, fileManifest)
	}
	if a.Form != backupForm {
		return nil, fmt.Errorf("the backup has the form %q: it is from another program version (%s)", a.Form, a.Version)
	}
	return a, nil
}

func isPiece(name string) bool {
	digits, ok := strings.CutPrefix(name, dirStore+"/")
	return ok && len(digits) >= 6 && strings.Trim(digits, "0123456789") == ""
}

// mayRestore reports whether a backup may hold a file of that name: nothing
// leads out of the data directory.
func mayRestore(name string) bool {
	if name == fileManifest || name == fileConfig {
		return true
	}
	top, _, ok := strings.Cut(name, "/")
	return ok && slices.Contains(backupDirs, top) && path.Clean(name) == name && filepath.IsLocal(name) && !strings.Contains(name, "\\")
}

// eachFile goes over the files of a tar, each within its limit.
func eachFile(r io.Reader, each func(name string, data []byte) error) error {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errBackup, err)
		}
		limit := int64(maxFile)
		switch {
		case isPiece(h.Name):
			limit = maxPiece
		case h.Name == fileSums:
			limit = maxSumsFile
		}
		if h.Typeflag != tar.TypeReg || h.Size > limit {
			return fmt.Errorf("%w: %.100q is no file of a backup, or too large", errBackup, h.Name)
		}
		data, err := io.ReadAll(io.LimitReader(t, limit+1))
		if err != nil {
			return fmt.Errorf("%w: %w", errBackup, err)
		}
		if err := each(h.Name, data); err != nil {
			return err
		}
	}
}

// dump is the store's dump. What is read is checked once more: the file may
// have changed since.
func (a *archive) dump() io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		_, err := a.file.Seek(0, io.SeekStart)
		if err == nil {
			err = eachFile(a.file, func(name string, data []byte) error {
				if !isPiece(name) {
					return nil
				}
				if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != a.sums[name] {
					return fmt.Errorf("%w: %s changed while it was read", errBackup, name)
				}
				_, err := w.Write(data)
				return err
			})
		}
		w.CloseWithError(err)
	}()
	return r
}

func (a *archive) Close() error { return a.file.Close() }
