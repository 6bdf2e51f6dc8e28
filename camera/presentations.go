package camera

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// PresentationsFile is the name of the file in a replay folder that says what
// its pictures show.
const PresentationsFile = "presentations.tsv"

const (
	maxPresentations = 100_000 // lines
	maxTruthLine     = 4096    // bytes of one line
)

var errPresentations = errors.New("not a line FILE TAB NUMBER TAB yes|no")

// shown is what a replay folder knows of one of its pictures.
type shown struct {
	presentation uint64
	whole        bool // the whole code is in view
}

// readPresentations reads the file of truth (docs/formats.md, "Replay
// folder"). Each name stands once; the error names the line.
func readPresentations(r io.Reader) (map[string]shown, error) {
	all := make(map[string]shown)
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 512), maxTruthLine)
	n := 0
	for sc.Scan() {
		if n++; n > maxPresentations {
			return nil, fmt.Errorf("more than %d lines", maxPresentations)
		}
		line := strings.TrimSuffix(sc.Text(), "\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 3 || f[0] == "" || (f[2] != "yes" && f[2] != "no") {
			return nil, fmt.Errorf("line %d: %w", n, errPresentations)
		}
		p, err := strconv.ParseUint(f[1], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, errPresentations)
		}
		if _, twice := all[f[0]]; twice {
			return nil, fmt.Errorf("line %d: %q stands twice", n, f[0])
		}
		all[f[0]] = shown{p, p != 0 && f[2] == "yes"}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	return all, nil
}
