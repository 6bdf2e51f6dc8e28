package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"checkpoint/gate"
)

// config is everything that a gate can be told, after defaults, file and flags.
// docs/formats.md, "Configuration", lists the keys; settings.go has one line
// for each. A config that loadConfig returned is within its bounds.
type config struct {
	Gate      string   `toml:"gate"`
	Venue     string   `toml:"venue"`
	VenueType string   `toml:"venue_type"`
	Lang      string   `toml:"lang"`   // zh or en: which one is large
	Source    []string `toml:"source"` // sources() gives them parsed

	DB            string        `toml:"db"`
	RetentionDays int           `toml:"retention_days"`
	CapMB         int           `toml:"cap_mb"`
	Log           logSettings   `toml:"log"`
	TrustKey      string        `toml:"trust_key"` // trustKey() gives it parsed; "" none
	Color         string        `toml:"color"`
	Blocks        string        `toml:"blocks"`
	View          bool          `toml:"view"`
	Plain         bool          `toml:"plain"`
	Kiosk         bool          `toml:"kiosk"`
	Sound         string        `toml:"sound"`
	Player        []string      `toml:"player"` // program and arguments; empty: terminal bell
	IsolationTel  string        `toml:"isolation_phone"`
	TechnicianTel string        `toml:"technician_phone"`
	Upload        string        `toml:"upload"`    // net or stick
	HubProxy      string        `toml:"hub_proxy"` // proxy() gives it parsed; "" none
	PINHash       string        `toml:"pin_hash"`  // pin() gives it parsed; "" none
	Latch         span          `toml:"latch"`
	Camera        cameraSetting `toml:"camera"`
}

type logSettings struct {
	Path  string `toml:"path"`
	MaxMB int    `toml:"max_mb"`
}

// cameraSetting is the mode to ask of a V4L2 camera; zero and "auto" leave it
// to the program.
type cameraSetting struct {
	Width  int    `toml:"width"`
	Height int    `toml:"height"`
	FPS    int    `toml:"fps"`
	Format string `toml:"format"`
}

// span is a length of time in the words of time.ParseDuration ("2s").
type span time.Duration

// UnmarshalText reads a span out of a TOML string or a flag.
func (s *span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("want a length of time such as \"2s\" or \"500ms\"")
	}
	*s = span(d)
	return nil
}

func (s span) String() string { return time.Duration(s).String() }

// defaultConfig is what holds where neither file nor flag says anything.
// Files go under home's state folder of the XDG base directory specification.
func defaultConfig(env func(string) string) config {
	state := env("XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		state = filepath.Join(env("HOME"), ".local", "state")
	}
	state = filepath.Join(state, "checkpoint")
	return config{
		Gate:          "gate",
		VenueType:     "any",
		Lang:          "zh",
		Source:        []string{"v4l2:auto"},
		DB:            filepath.Join(state, "gate.db"),
		RetentionDays: 30,
		CapMB:         1024,
		Log:           logSettings{Path: filepath.Join(state, "checkpoint.log"), MaxMB: 8},
		Color:         "auto",
		Blocks:        "half",
		View:          true,
		Sound:         "loud",
		Upload:        "net",
		Latch:         span(2 * time.Second),
		Camera:        cameraSetting{Format: "auto"},
	}
}

// source is where pictures or texts come from, as the key "source" names it.
type source struct {
	kind string // v4l2, dir, mjpeg, evdev, serial, stdin
	path string // device, folder, address, or "auto" for v4l2
	baud int    // serial only
}

func (s source) String() string {
	switch s.kind {
	case "stdin":
		return s.kind
	case "serial":
		return s.kind + ":" + s.path + "@" + strconv.Itoa(s.baud)
	}
	return s.kind + ":" + s.path
}

// defaultBaud is what hand scanners are set to when they leave the factory.
const defaultBaud = 9600

// parseSource reads one source: v4l2:auto, v4l2:PATH, dir:PATH, mjpeg:URL,
// evdev:PATH, serial:PATH, serial:PATH@BAUD or stdin.
func parseSource(text string) (source, error) {
	if text == "stdin" {
		return source{kind: "stdin"}, nil
	}
	kind, path, _ := strings.Cut(text, ":")
	s := source{kind: kind, path: path}
	switch kind {
	case "v4l2", "dir", "mjpeg", "evdev":
	case "serial":
		s.baud = defaultBaud
		if at := strings.LastIndexByte(path, '@'); at >= 0 {
			baud, err := strconv.Atoi(path[at+1:])
			if err != nil || baud < 1200 || baud > 4000000 {
				return source{}, fmt.Errorf("want a baud rate from 1200 to 4000000 after @")
			}
			s.path, s.baud = path[:at], baud
		}
	default:
		return source{}, fmt.Errorf("%q: want v4l2:auto, v4l2:PATH, dir:PATH, mjpeg:URL, evdev:PATH, serial:PATH[@BAUD] or stdin", text)
	}
	if kind == "mjpeg" {
		if u, err := url.Parse(path); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return source{}, fmt.Errorf("want mjpeg:http://… or mjpeg:https://…")
		}
	}
	if s.path == "" || len(s.path) > maxPath || strings.ContainsRune(s.path, 0) {
		return source{}, fmt.Errorf("%q: want %s:PATH with a path of at most %d bytes", text, kind, maxPath)
	}
	return s, nil
}

// sources are the sources of a config that was checked.
func (c config) sources() []source {
	all := make([]source, 0, len(c.Source))
	for _, text := range c.Source {
		if s, err := parseSource(text); err == nil {
			all = append(all, s)
		}
	}
	return all
}

// trustKey is the pinned Ed25519 key of the trust snapshot's signer, nil when
// none is configured.
func (c config) trustKey() ed25519.PublicKey {
	key, err := base64.StdEncoding.Strict().DecodeString(c.TrustKey)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil
	}
	return key
}

// proxy is the way to the hub through somebody else, nil for none.
func (c config) proxy() *url.URL {
	if c.HubProxy == "" {
		return nil
	}
	u, err := url.Parse(c.HubProxy)
	if err != nil {
		return nil
	}
	return u
}

// pin is the technician's PIN; ok is false when none is configured.
func (c config) pin() (_ gate.PIN, ok bool) {
	p, err := gate.ParsePIN(c.PINHash)
	return p, err == nil
}

const maxPath = 1024

// The bounds of values. Each says in its error what it wants.

func wantText(s string, least, most int) error {
	n := 0
	for _, r := range s {
		if n++; r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return fmt.Errorf("want printable characters")
		}
	}
	if n < least || n > most {
		return fmt.Errorf("want %d to %d characters, have %d", least, most, n)
	}
	return nil
}

func wantOf(s string, words ...string) error {
	for _, w := range words {
		if s == w {
			return nil
		}
	}
	if near := nearest(s, words); near != "" {
		return fmt.Errorf("%q: did you mean %q?", s, near)
	}
	return fmt.Errorf("%q: want %s", s, strings.Join(words, ", "))
}

func wantRange(n, least, most int) error {
	if n < least || n > most {
		return fmt.Errorf("want %d to %d, have %d", least, most, n)
	}
	return nil
}

func wantPath(s string) error {
	if s == "" || len(s) > maxPath || strings.ContainsRune(s, 0) {
		return fmt.Errorf("want a path of at most %d bytes", maxPath)
	}
	return nil
}

func wantPhone(s string) error {
	if len(s) > 24 || strings.Trim(s, "0123456789+-*#() ") != "" {
		return fmt.Errorf("want a telephone number of at most 24 digits, spaces and + - * # ( )")
	}
	return nil
}

// wantWord is for names that are compared: the kind of place.
func wantWord(s string, most int) error {
	for _, r := range s {
		if r > unicode.MaxASCII || r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return fmt.Errorf("want letters, digits, _ and - only")
		}
	}
	if len(s) > most {
		return fmt.Errorf("want at most %d characters", most)
	}
	return nil
}

func osEnv(name string) string { return os.Getenv(name) }
