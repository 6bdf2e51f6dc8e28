// Package vectors answers: where are the third-party test vectors?
//
// They are data that is not part of the repository. Only tests import this
// package.
package vectors

import (
	"os"
	"path/filepath"
	"testing"
)

// A Pack is a folder of vectors: the environment variable that names it, and
// its name beside the checkout, under shared/, where the variable is not set.
type Pack struct{ Variable, Name string }

// The packs.
var (
	Conformance = Pack{"CONFORMANCE_DIR", "conformance"} // credentials
	QR          = Pack{"QR_DIR", "qr"}                   // pictures of QR codes
)

// Dir is a folder of the pack. Where it is missing the test is skipped, or
// fails when CHECKPOINT_NO_SKIP=1 forbids that.
func (p Pack) Dir(tb testing.TB, sub ...string) string {
	tb.Helper()
	dir := os.Getenv(p.Variable)
	if dir == "" {
		dir = filepath.Join(root(tb), "..", "shared", p.Name)
	}
	dir = filepath.Join(append([]string{dir}, sub...)...)
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CHECKPOINT_NO_SKIP") == "1" {
			tb.Fatalf("vectors are missing, and skipping is forbidden: %v", err)
		}
		tb.Skipf("vectors are missing: set %s to their folder: %v", p.Variable, err)
	}
	return dir
}

// root is the top of the checkout: tests run in their package's folder.
func root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			tb.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}
