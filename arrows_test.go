package checkpoint_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms says what each package may import of ours. The arrows point down only;
// a package that is not here has no room yet: give it one before it is written.
// A room may import what lies inside it (internal folders, too).
var rooms = map[string][]string{
	// Ground: values and formats.
	"healthcode":        {"healthcode/base45"},
	"healthcode/base45": {},
	"trust":             {},
	"record":            {},
	"enroll":            {"healthcode/base45"},

	// Leaves.
	"camera":       {"camera/mjpeg"},
	"camera/mjpeg": {},
	"camera/synth": {"camera"},
	"decode":       {},
	"verify":       {"healthcode", "trust", "verify/dcc"},
	"verify/dcc":   {"healthcode/base45", "trust"},
	"localdb":      {"record"},
	"trust/tuf":    {"trust"},
	"uplink":       {"enroll", "record"},

	// The pipeline.
	"gate":        {"camera", "decode", "gate/wedge", "localdb", "record", "trust", "tui/look/clean", "verify"}, // the one sanitiser is a leaf
	"gate/wedge":  {},
	"gate/signal": {"verify"},

	// Upstream.
	"hub":                         {"enroll", "hub/store", "record", "trust", "trust/tuf"},
	"hub/store":                   {"record"},
	"hub/store/sqlite":            {"hub/store", "hub/store/internal/sequence", "record"},
	"hub/store/postgres":          {"hub/store", "hub/store/internal/sequence", "record"},
	"hub/store/internal/sequence": {"hub/store", "record"},

	// Screens: events in, nothing of where they come from.
	"tui/look/clean": {},
	"tui/look":       {"decode", "gate", "tui/look/clean", "verify"},
	"tui/gate":       {"decode", "gate", "gate/signal", "tui/look", "tui/look/clean", "verify"},

	// Everything outside a gate, for the demo; it has issuers, not gates.
	"demo":        {"camera/synth", "decode", "healthcode", "healthcode/base45", "trust", "verify"},
	"demo/office": {"enroll", "hub", "hub/store", "trust", "trust/tuf"},

	// Tests' own stand-ins for hardware.
	"camera/camvm/usbcam":       {},
	"camera/camvm/vivid":        {},
	"localdb/internal/powercut": {},
	"tui/look/internal/shot":    {},
	"internal/vectors":          {},
	"hub/store/storetest":       {"hub/store", "record"},
	"internal/pgtest":           {},

	// Wiring may know everybody.
	"cmd/checkpoint": {"*"},
	"cmd/hub":        {"*"},
}

// outside says which rooms alone may import a package from outside: what they
// hide can then be exchanged without the others knowing.
var outside = map[string][]string{
	"github.com/makiuchi-d/gozxing":   {"decode"},
	"github.com/blackjack/webcam":     {"camera"},
	"modernc.org/sqlite":              {"localdb", "hub/store/sqlite"},
	"database/sql":                    {"localdb", "hub/store/sqlite"},
	"github.com/jackc/pgx/v5":         {"hub/store/postgres"},
	"github.com/theupdateframework":   {"trust/tuf"},
	"github.com/prometheus":           {"hub", "cmd"},
	"github.com/klauspost/compress":   {"hub", "uplink"},
	"net/http":                        {"camera", "hub", "uplink", "cmd"},
	"charm.land/bubbletea/v2":         {"tui", "cmd"},
	"charm.land/lipgloss/v2":          {"tui", "cmd"},
	"charm.land/fang/v2":              {"cmd"},
	"github.com/spf13/cobra":          {"cmd"},
	"github.com/pelletier/go-toml/v2": {"cmd"},
	"github.com/veraison/go-cose":     {"healthcode", "verify/dcc"},
	"github.com/hanwen/go-fuse/v2":    {"localdb/internal/powercut"},
	"github.com/charmbracelet/x/vt":   {"tui"},
	"github.com/rivo/uniseg":          {"tui"},
	"os/exec":                         {"gate/signal", "cmd", "internal/pgtest"},
	"C":                               {},
	"plugin":                          {},
	"github.com/rogpeppe/go-internal": {},                      // tests only
	"pgregory.net/rapid":              {"hub/store/storetest"}, // tests only
	"golang.org/x/crypto/scrypt":      {"gate"},
	"golang.org/x/sys/unix":           {"camera", "gate/wedge", "hub/store/sqlite", "localdb", "cmd"},
	"github.com/fxamacker/cbor/v2":    {"healthcode", "hub/store", "verify/dcc", "demo"},
}

func inside(pkg, room string) bool { return pkg == room || strings.HasPrefix(pkg, room+"/") }

// TestArrows reads the imports of every file that is not a test, for whatever
// platform it is.
func TestArrows(t *testing.T) {
	const module = "checkpoint/"
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		pkg := path.Dir(filepath.ToSlash(file))
		may, known := rooms[pkg]
		if !known {
			t.Errorf("%s: package %s has no room in this test", file, pkg)
			return nil
		}
		seen[pkg] = true
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if ours, ok := strings.CutPrefix(name, module); ok {
				if !slices.Contains(may, ours) && !slices.Contains(may, "*") && !inside(ours, pkg) {
					t.Errorf("%s: %s may not know %s", file, pkg, ours)
				}
				continue
			}
			for what, who := range outside {
				if inside(name, what) && !slices.ContainsFunc(who, func(room string) bool { return inside(pkg, room) }) {
					t.Errorf("%s: %s may not import %s, only %v may", file, pkg, name, who)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range rooms {
		if !seen[pkg] {
			t.Errorf("there is no package %s: take its room out of this test", pkg)
		}
	}
}

// The table itself must have no way back up.
func TestRoomsHaveNoCycle(t *testing.T) {
	state := map[string]int{} // 1: on the way, 2: done
	var visit func(pkg string)
	visit = func(pkg string) {
		if state[pkg] == 1 {
			t.Errorf("a circle of arrows through %s", pkg)
		}
		if state[pkg] != 0 {
			return
		}
		state[pkg] = 1
		for _, below := range rooms[pkg] {
			if below != "*" {
				visit(below)
			}
		}
		state[pkg] = 2
	}
	for pkg := range rooms {
		visit(pkg)
	}
}
