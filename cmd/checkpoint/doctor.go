package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"checkpoint/camera"
	"checkpoint/localdb"
	"checkpoint/trust"
	"checkpoint/trust/tuf"
	"checkpoint/uplink"
	"checkpoint/verify"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

func newDoctorCommand(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Test camera, clock, keys, disk, queue, hub, sound and terminal",
		Long: "Test what a gate needs, one line each. It changes nothing and does not start\n" +
			"the camera. A gate of a hub asks that one for a sign of life.\n\n" +
			"Exit status: 0 all in order (a line with ! is worth a look), 3 something is at\n" +
			"fault.",
		Example: `# Before the first morning
checkpoint doctor --config /etc/checkpoint/checkpoint.toml

# For a fleet's monitor
checkpoint doctor --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := configOf(c)
			if err != nil {
				return err
			}
			return a.doctor(c.Context(), cfg, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	settingFlags(c)
	return c
}

// finding is the outcome of one test.
type finding struct {
	Name   string        `json:"name"`
	OK     bool          `json:"ok"`
	Warn   bool          `json:"warn"` // works, but is worth a look
	Detail string        `json:"detail"`
	Camera []cameraFound `json:"cameras,omitempty"`
}

type cameraFound struct {
	Node    string   `json:"node"`
	Name    string   `json:"name"`
	Links   []string `json:"links,omitempty"`
	Modes   []string `json:"modes"`
	Problem string   `json:"problem,omitempty"`
}

func good(name, format string, args ...any) finding {
	return finding{Name: name, OK: true, Detail: fmt.Sprintf(format, args...)}
}

func warning(name, format string, args ...any) finding {
	return finding{Name: name, OK: true, Warn: true, Detail: fmt.Sprintf(format, args...)}
}

func fault(name, format string, args ...any) finding {
	return finding{Name: name, Detail: fmt.Sprintf(format, args...)}
}

func (a *app) doctor(ctx context.Context, cfg config, asJSON bool) error {
	tests := a.examine(ctx, cfg)
	ok := true
	for i, t := range tests {
		tests[i].Detail = oneLine(t.Detail)
		ok = ok && t.OK
	}
	var err error
	if asJSON {
		err = printJSON(a.out, struct {
			OK      bool      `json:"ok"`
			At      time.Time `json:"at"`
			Version string    `json:"version"`
			Tests   []finding `json:"tests"`
		}{ok, a.now().UTC().Truncate(time.Millisecond), version(), tests})
	} else {
		_, err = io.WriteString(a.out, findings(tests))
	}
	if err == nil && !ok {
		err = silent(exitFault)
	}
	return err
}

func findings(tests []finding) string {
	var b strings.Builder
	for _, t := range tests {
		mark := "✓"
		switch {
		case !t.OK:
			mark = "✕"
		case t.Warn:
			mark = "!"
		}
		fmt.Fprintf(&b, "%s %-9s %s\n", mark, t.Name, t.Detail)
		for _, c := range t.Camera {
			fmt.Fprintf(&b, "            %s %s", c.Node, c.Name)
			if c.Problem != "" {
				fmt.Fprintf(&b, ": %s", c.Problem)
			}
			b.WriteByte('\n')
			for _, link := range c.Links {
				fmt.Fprintf(&b, "              %s\n", link)
			}
			if len(c.Modes) > 0 {
				fmt.Fprintf(&b, "              %s\n", strings.Join(c.Modes, ", "))
			}
		}
	}
	return b.String()
}

// examine runs all tests. Each says what it found; none ends the others.
func (a *app) examine(ctx context.Context, cfg config) []finding {
	tests := append(examineSources(ctx, cfg), a.examineClock())
	tests = append(tests, a.examineFile(ctx, cfg)...)
	return append(tests, examineSound(cfg), examineTerminal(a.out, osEnv))
}

// examineSources looks at every source of the configuration.
func examineSources(ctx context.Context, cfg config) []finding {
	var tests []finding
	for _, s := range cfg.sources() {
		switch s.kind {
		case "v4l2":
			tests = append(tests, examineCamera(ctx, s))
		case "dir":
			if info, err := os.Stat(s.path); err != nil {
				tests = append(tests, fault("pictures", "%v", err))
			} else if !info.IsDir() {
				tests = append(tests, fault("pictures", "%s is not a folder", s.path))
			} else {
				tests = append(tests, good("pictures", "%s", s))
			}
		case "evdev", "serial":
			if info, err := os.Stat(s.path); err != nil {
				tests = append(tests, fault("scanner", "%v", err))
			} else if info.Mode()&os.ModeCharDevice == 0 {
				tests = append(tests, fault("scanner", "%s is not a device", s.path))
			} else {
				tests = append(tests, good("scanner", "%s", s))
			}
		default: // a stream or standard input is tried when the gate runs
			tests = append(tests, good("source", "%s", s.kind))
		}
	}
	return tests
}

func examineCamera(ctx context.Context, s source) finding {
	// What can never be a camera the camera package refuses in its own words,
	// without a start.
	var st unix.Stat_t
	if s.path != "auto" && unix.Stat(s.path, &st) == nil && st.Mode&unix.S_IFMT != unix.S_IFCHR {
		src, err := camera.Open(ctx, s.String(), camera.Options{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return fault("camera", "%v", err)
		}
		src.Close()
	}
	all, err := camera.List()
	if err != nil {
		return fault("camera", "%v", err)
	}
	f := finding{Name: "camera"}
	usable, wanted := "", false
	for _, d := range all {
		c := cameraFound{Node: oneLine(d.Node), Name: oneLine(d.Name), Modes: []string{}, Problem: oneLine(d.Problem)}
		mine := s.path == "auto" || s.path == d.Node
		for _, link := range d.Links {
			c.Links = append(c.Links, oneLine(link))
			mine = mine || s.path == link
		}
		for _, m := range d.Modes {
			c.Modes = append(c.Modes, m.String())
		}
		f.Camera = append(f.Camera, c)
		wanted = wanted || mine
		if mine && d.Problem == "" && len(d.Modes) > 0 && usable == "" {
			usable = d.Node
		}
	}
	switch {
	case usable != "":
		f.OK, f.Detail = true, usable
	case len(all) == 0:
		f.Detail = "no camera found: plug one in, or use a hand scanner"
	case !wanted:
		f.Detail = s.path + " is none of the cameras found"
	default:
		f.Detail = "no camera that can be used"
	}
	return f
}

func (a *app) examineClock() finding {
	at, quality := a.machineClock().Now()
	when := at.UTC().Format(time.RFC3339)
	_, most, err := kernelClock()
	switch {
	case err != nil:
		return warning("clock", "%s, the kernel does not tell who keeps it: %v", when, err)
	case quality == verify.ClockSynced:
		return good("clock", "%s, synced within %v", when, most)
	case quality == verify.ClockRTC:
		return warning("clock", "%s, by the clock chip: no time service", when)
	}
	return warning("clock", "%s, not synced and no clock chip: time is an estimate after a power cut", when)
}

// examineFile looks at the gate's file: what is trusted, the room that is left,
// the rows that wait. It makes no file, and a gate may be running.
func (a *app) examineFile(ctx context.Context, cfg config) []finding {
	room := examineRoom(cfg)
	file, err := a.peek(ctx, cfg)
	switch {
	case missing(err):
		return []finding{fault("keys", "%v", errNoTrust), room, good("queue", "no database yet: %s will be made", cfg.DB)}
	case err != nil:
		return []finding{fault("keys", "no database"), room, fault("queue", "%v", err)}
	}
	if share, warn := file.Share(int64(cfg.CapMB) << 20); warn {
		room.Warn = true
		room.Detail += fmt.Sprintf(", database at %.0f %% of its cap", share*100)
	}
	queue := good("queue", "%d rows wait, %d scans left no row", file.Waiting, file.Unrecorded)
	if file.Poison > 0 {
		queue.Detail += fmt.Sprintf(", %d segments that the hub would not take are set aside: call the technician", file.Poison)
	}
	queue.Warn = file.Unrecorded > 0 || file.Poison > 0
	now, err := a.holding(ctx, cfg, file)
	keys := a.examineKeys(file, now, err)
	if refused, ok := localdb.RefusedTrust(cfg.DB); ok {
		keys.Warn = keys.OK
		keys.Detail += fmt.Sprintf("; trust that was left for the gate was refused and lies in %s: the log says why, remove it", refused)
	}
	tests := []finding{keys, room, queue}
	if file.Enrolment != nil {
		at := a.guardedClock(file.Clock, time.Time{}).At()
		tests = append(tests, examineHub(ctx, cfg, *file.Enrolment, now.Snapshot, at))
	}
	return tests
}

func (a *app) examineKeys(file localdb.Peeked, now installed, err error) finding {
	if err != nil {
		return fault("keys", "%v", err)
	}
	at := a.guardedClock(file.Clock, now.Anchor()).At()
	policy := now.PolicyAt(now.venueType, at.Time)
	var oldest time.Duration
	for _, l := range now.Ages(at.Time) {
		oldest = max(oldest, l.Age)
	}
	what := fmt.Sprintf("version %d, %d issuer keys, oldest list %s old", now.Version, len(now.Issuers.Keys), age(oldest))
	_, sealing := now.DayKeyAt(at.Time)
	switch {
	case oldest > policy.Limit():
		return fault("keys", "%s: over the policy's limit of %s", what, age(policy.Limit()))
	case len(now.Issuers.Keys)+len(now.DCCKeys.Keys) == 0:
		return fault("keys", "%s: no key at all", what)
	case !sealing:
		return warning("keys", "%s; no key of today to seal to: nothing about a person will be recorded", what)
	case oldest > 24*time.Hour:
		return warning("keys", "%s", what)
	}
	return good("keys", "%s", what)
}

// renewWithin is how long after its end a hub renews a certificate.
const renewWithin = 180 * 24 * time.Hour

// hubSoon is how long the hub may take to answer.
const hubSoon = 3 * time.Second

// examineHub looks at what the gate is at its hub, and asks that one for what
// anybody may ask. No line is no fault: a gate works without.
func examineHub(ctx context.Context, cfg config, e localdb.Enrolment, held *trust.Snapshot, at verify.Instant) finding {
	var leaf *x509.Certificate
	if len(e.Chain) > 0 {
		leaf, _ = x509.ParseCertificate(e.Chain[0])
	}
	if leaf == nil {
		return fault("hub", "its certificate for this gate cannot be read: enrol the gate again")
	}
	what := fmt.Sprintf("%s at %s (%s), %s, certificate until %s", e.Gate, e.Venue, e.VenueType, e.State, leaf.NotAfter.UTC().Format(time.DateOnly))
	over := at.Time.Sub(leaf.NotAfter)
	switch {
	case e.State == "revoked":
		return fault("hub", "%s: it scans on, but its rows stay here: call the technician", what)
	case over > renewWithin:
		return fault("hub", "%s: too long ago to be renewed: enrol the gate again", what)
	case cfg.Upload == "stick":
		return good("hub", "%s; %s is reached by stick", what, e.URL)
	}
	pins := pinsOf(e.Pin, held)
	client, err := uplink.New(uplink.Config{
		URL: e.URL, Version: version(), Proxy: cfg.proxy(), Pins: func() [][32]byte { return pins },
		Clock: func() (time.Time, bool) { return at.Time, at.Quality > verify.ClockEstimated },
	})
	if err != nil {
		return fault("hub", "%s: %v", what, err)
	}
	defer client.Close()
	ctx, stop := context.WithTimeoutCause(ctx, hubSoon, fmt.Errorf("%s did not answer within %v", e.URL, hubSoon))
	defer stop()
	if _, err := client.Fetch(ctx, "timestamp.json", tuf.MaxTimestamp); err != nil && !errors.Is(err, uplink.ErrMissing) {
		return warning("hub", "%s; not reached: %v", what, err)
	}
	f := good("hub", "%s; %s answers", what, e.URL)
	f.Warn = over > 0 || e.State == "pending"
	return f
}

// minFree is the room under which a disk is at fault: the log beside the
// database takes up to 4 MiB.
const minFree = 16 << 20

func examineRoom(cfg config) finding {
	dir := filepath.Dir(cfg.DB)
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir) // the folder will be made
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fault("disk", "%s: %v", dir, err)
	}
	free := uint64(st.Bavail) * uint64(st.Bsize)
	what := fmt.Sprintf("%d MiB free at %s, cap %d MiB", free>>20, dir, cfg.CapMB)
	switch {
	case unix.Access(dir, unix.W_OK) != nil:
		return fault("disk", "%s: cannot be written", dir)
	case free < minFree:
		return fault("disk", "%s: nearly full", what)
	case free>>20 < uint64(cfg.CapMB):
		return warning("disk", "%s: the disk ends before the cap", what)
	}
	return good("disk", "%s", what)
}

func examineSound(cfg config) finding {
	if cfg.Sound == "off" {
		return warning("sound", "off: verdicts are seen only")
	}
	if len(cfg.Player) == 0 {
		return good("sound", "%s, by the terminal's bell", cfg.Sound)
	}
	path, err := exec.LookPath(cfg.Player[0])
	if err != nil {
		return fault("sound", "player: %v", err)
	}
	return good("sound", "%s, by %s", cfg.Sound, path)
}

func examineTerminal(out io.Writer, env func(string) string) finding {
	if !isTerminal(out) {
		return good("terminal", "not a terminal: for run --headless, or this output goes to a file")
	}
	var bad []string
	f, _ := out.(*os.File)
	w, h, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return warning("terminal", "its size is not known: %v", err)
	}
	what := fmt.Sprintf("%d×%d, TERM=%s", w, h, oneLine(env("TERM")))
	if w < 80 || h < 24 {
		bad = append(bad, "smaller than 80×24")
	}
	locale := env("LC_ALL")
	for _, name := range []string{"LC_CTYPE", "LANG"} {
		if locale == "" {
			locale = env(name)
		}
	}
	if up := strings.ToUpper(locale); !strings.Contains(up, "UTF-8") && !strings.Contains(up, "UTF8") {
		bad = append(bad, "the locale is not UTF-8")
	}
	switch t := env("TERM"); {
	case env("NO_COLOR") != "":
		what += ", no colour (NO_COLOR)"
	case env("COLORTERM") == "truecolor" || env("COLORTERM") == "24bit":
		what += ", true colour"
	case strings.Contains(t, "256color"):
		what += ", 256 colours"
	case t == "" || t == "dumb":
		bad = append(bad, "no colour")
	default:
		what += ", 16 colours"
	}
	if len(bad) > 0 {
		return warning("terminal", "%s: %s", what, strings.Join(bad, ", "))
	}
	return good("terminal", "%s", what)
}
