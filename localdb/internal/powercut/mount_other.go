//go:build !linux || !(amd64 || arm64)

package powercut

// Mount cannot: go-fuse does not build here.
func Mount(*FS, string) (unmount func() error, err error) { return nil, ErrNoFUSE }
