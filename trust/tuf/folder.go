package tuf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Folder is a repository in a folder: a web server's, or a stick's. It is a
// Fetcher.
type Folder struct{ FS fs.FS }

// Fetch reads a file of at most max bytes.
func (f Folder) Fetch(ctx context.Context, name string, max int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !fs.ValidPath(name) || len(name) > MaxName {
		return nil, fmt.Errorf("%.80q: %w", name, ErrMissing)
	}
	return readFile(f.FS, name, max)
}

func readFile(folder fs.FS, name string, max int64) ([]byte, error) {
	file, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: %w", name, ErrMissing)
	case info.Size() > max:
		return nil, fmt.Errorf("%s: %w", name, ErrTooLarge)
	}
	b, err := io.ReadAll(io.LimitReader(file, max+1))
	if err == nil && int64(len(b)) > max {
		err = fmt.Errorf("%s: %w", name, ErrTooLarge)
	}
	return b, err
}

// readSmall reads a file that a person wrote.
func readSmall(folder fs.FS, name string) ([]byte, error) { return readFile(folder, name, 1<<20) }

// IsRepositoryFile reports whether a repository may have a file of that name.
func IsRepositoryFile(name string) bool {
	if _, _, ok := readMetadataName(name); ok {
		return len(name) <= MaxName
	}
	target, _, ok := readTargetFile(name)
	return ok && len(name) <= MaxName && fs.ValidPath(target)
}

// ReadFolder reads the files of a repository from a folder, sorted by name. What
// else lies there (drafts, keys, notes) is let be.
func ReadFolder(folder fs.FS) ([]File, error) {
	var files []File
	total := int64(0)
	err := fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !IsRepositoryFile(name) {
			return err
		}
		b, err := readFile(folder, name, MaxTotal)
		if err != nil {
			return err
		}
		if total += int64(len(b)); total > 4*MaxTotal || len(files) > 4*MaxFiles {
			return fmt.Errorf("%s: %w", name, ErrTooLarge)
		}
		files = append(files, File{name, b})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read repository: %w", err)
	}
	return files, nil
}

// WriteFolder writes files of a repository into a folder, each whole or not at
// all, timestamp.json last: whoever reads at any moment finds a repository that
// holds together. What has a version or a hash in its name and is there already
// must be the same.
func WriteFolder(dir string, files []File) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("write repository: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	sorted := slices.Clone(files)
	slices.SortStableFunc(sorted, func(a, b File) int {
		if at, bt := a.Name == timestampName, b.Name == timestampName; at != bt {
			if at {
				return 1
			}
			return -1
		}
		return strings.Compare(a.Name, b.Name)
	})
	for _, f := range sorted {
		if !IsRepositoryFile(f.Name) {
			return fmt.Errorf("write repository: %.80q is no name of its files", f.Name)
		}
		if err := writeFile(root, f); err != nil {
			return fmt.Errorf("write repository: %w", err)
		}
	}
	return nil
}

func writeFile(root *os.Root, f File) error {
	name := filepath.FromSlash(f.Name)
	if old, err := root.ReadFile(name); err == nil {
		if string(old) == string(f.Bytes) {
			return nil
		}
		if f.Name != timestampName {
			return fmt.Errorf("%s is there already, with other bytes", f.Name)
		}
	}
	if folder := path.Dir(f.Name); folder != "." {
		if err := root.MkdirAll(filepath.FromSlash(folder), 0o755); err != nil {
			return err
		}
	}
	part := name + ".part"
	file, err := root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(f.Bytes)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = root.Rename(part, name)
	}
	return err
}
