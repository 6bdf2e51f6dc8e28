package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// stageName is where a data directory is made before it is one.
const stageName = ".new"

// newPlace makes a data directory: make fills stage, a directory within dir,
// and when that went well everything in it moves up, the keys last, since
// without keys it is no hub. It works in a directory that is there and empty,
// such as a mount point or the state directory that systemd gives, and never
// writes over anything. What failed leaves nothing.
func newPlace(dir string, make func(stage string) error) (err error) {
	created := false
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return faultf("%w", err)
		}
		created = true
	case err != nil:
		return faultf("%w", err)
	case len(entries) == 1 && entries[0].Name() == stageName:
		return usagef("making a hub in %s was broken off, or goes on at this moment: remove %s when it does not", dir, filepath.Join(dir, stageName))
	case len(entries) > 0:
		return usagef("%s is not empty, and nothing is written over: name another place with --dir", dir)
	}
	stage := filepath.Join(dir, stageName)
	if err := os.Mkdir(stage, 0o700); err != nil {
		return faultf("%w", err)
	}
	defer func() {
		err = errors.Join(err, os.RemoveAll(stage))
		if err != nil && created {
			_ = os.Remove(dir) // it is empty, or it stays
		}
	}()
	if err := make(stage); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return faultf("%w", err)
	}
	if err := moveUp(stage, dir); err != nil {
		return faultf("%w", err)
	}
	return nil
}

func moveUp(stage, dir string) error {
	entries, err := os.ReadDir(stage)
	if err != nil {
		return err
	}
	for _, keys := range []bool{false, true} {
		for _, e := range entries {
			if (e.Name() == dirKeys) != keys {
				continue
			}
			if err := os.Rename(filepath.Join(stage, e.Name()), filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return syncDir(dir)
}
