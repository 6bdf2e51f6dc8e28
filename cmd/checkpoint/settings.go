package main

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"checkpoint/gate"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// setting is one key of the configuration: the same word in the file and, with
// _ and . turned to -, as a flag.
type setting struct {
	key   string
	help  string
	value func(*config) any // pointer to string, int, bool, span or []string
	check func(*config) error
}

// flag is the key's name on the command line.
func (s setting) flag() string { return strings.NewReplacer("_", "-", ".", "-").Replace(s.key) }

// settings are all keys, in the order of the documentation.
func settings() []setting {
	return []setting{
		{"gate", "name of this gate, for its header and rows",
			func(c *config) any { return &c.Gate },
			func(c *config) error { return wantText(c.Gate, 1, 64) }},
		{"venue", "name of the place",
			func(c *config) any { return &c.Venue },
			func(c *config) error { return wantText(c.Venue, 0, 64) }},
		{"venue_type", "kind of place, as the policies name it",
			func(c *config) any { return &c.VenueType },
			func(c *config) error { return wantWord(c.VenueType, 32) }},
		{"lang", "language in large letters: zh or en",
			func(c *config) any { return &c.Lang },
			func(c *config) error { return wantOf(c.Lang, "zh", "en") }},
		{"source", "v4l2:auto, v4l2:PATH, dir:PATH, mjpeg:URL, evdev:PATH, serial:PATH[@BAUD] or stdin; repeat for several",
			func(c *config) any { return &c.Source },
			func(c *config) error { return checkSources(c.Source) }},
		{"db", "the gate's file: rows, trust, clock floor",
			func(c *config) any { return &c.DB },
			func(c *config) error { return wantPath(c.DB) }},
		{"retention_days", "days a row is kept",
			func(c *config) any { return &c.RetentionDays },
			func(c *config) error { return wantRange(c.RetentionDays, 1, 3650) }},
		{"cap_mb", "size of the gate's file at which it is full, MiB",
			func(c *config) any { return &c.CapMB },
			func(c *config) error { return wantRange(c.CapMB, 16, 1<<20) }},
		{"log.path", "log file; - for none",
			func(c *config) any { return &c.Log.Path },
			func(c *config) error { return wantPath(c.Log.Path) }},
		{"log.max_mb", "size the log and its predecessor never pass together, MiB",
			func(c *config) any { return &c.Log.MaxMB },
			func(c *config) error { return wantRange(c.Log.MaxMB, 1, 1024) }},
		{"trust_key", "Ed25519 key that signs trust snapshots, 32 bytes in base64",
			func(c *config) any { return &c.TrustKey },
			func(c *config) error { return checkTrustKey(c) }},
		{"color", "colours: auto, truecolor, 256, 16 or none",
			func(c *config) any { return &c.Color },
			func(c *config) error { return wantOf(c.Color, "auto", "truecolor", "256", "16", "none") }},
		{"blocks", "how the picture is drawn: half, or space where half blocks take two cells",
			func(c *config) any { return &c.Blocks },
			func(c *config) error { return wantOf(c.Blocks, "half", "space") }},
		{"view", "show the live picture",
			func(c *config) any { return &c.View }, nil},
		{"plain", "line by line, for screen readers and serial consoles",
			func(c *config) any { return &c.Plain }, nil},
		{"kiosk", "leaving the program needs the technician's PIN",
			func(c *config) any { return &c.Kiosk }, checkKiosk},
		{"sound", "loud, quiet (one sound for everything) or off",
			func(c *config) any { return &c.Sound },
			func(c *config) error { return wantOf(c.Sound, "loud", "quiet", "off") }},
		{"player", "program that plays WAVE data from standard input; repeat for its arguments; none: terminal bell",
			func(c *config) any { return &c.Player },
			func(c *config) error { return checkPlayer(c.Player) }},
		{"isolation_phone", "number the guard calls after red",
			func(c *config) any { return &c.IsolationTel },
			func(c *config) error { return wantPhone(c.IsolationTel) }},
		{"technician_phone", "number the guard calls after a device fault",
			func(c *config) any { return &c.TechnicianTel },
			func(c *config) error { return wantPhone(c.TechnicianTel) }},
		{"upload", "how rows go up: net, or stick where there is no line",
			func(c *config) any { return &c.Upload },
			func(c *config) error { return wantOf(c.Upload, "net", "stick") }},
		{"hub_proxy", "way to the hub through a proxy: http://HOST:PORT or socks5://HOST:PORT; none: direct",
			func(c *config) any { return &c.HubProxy },
			func(c *config) error { return checkProxy(c.HubProxy) }},
		{"pin_hash", "technician's PIN as `checkpoint pin` prints it",
			func(c *config) any { return &c.PINHash }, checkPINHash},
		{"latch", "how long a gate without a screen holds a verdict",
			func(c *config) any { return &c.Latch },
			func(c *config) error {
				if d := time.Duration(c.Latch); d < 200*time.Millisecond || d > time.Minute {
					return fmt.Errorf("want 200ms to 1m, have %v", d)
				}
				return nil
			}},
		{"camera.width", "picture width to ask for, pixels; 0: the program chooses",
			func(c *config) any { return &c.Camera.Width },
			func(c *config) error { return zeroOr(c.Camera.Width, 160, 4096) }},
		{"camera.height", "picture height to ask for, pixels; 0: the program chooses",
			func(c *config) any { return &c.Camera.Height },
			func(c *config) error { return zeroOr(c.Camera.Height, 120, 4096) }},
		{"camera.fps", "pictures a second to ask for; 0: the program chooses",
			func(c *config) any { return &c.Camera.FPS },
			func(c *config) error { return zeroOr(c.Camera.FPS, 1, 240) }},
		{"camera.format", "pixel format: auto, mjpeg, yuyv or grey",
			func(c *config) any { return &c.Camera.Format },
			func(c *config) error { return wantOf(c.Camera.Format, "auto", "mjpeg", "yuyv", "grey") }},
	}
}

func zeroOr(n, least, most int) error {
	if n == 0 {
		return nil
	}
	return wantRange(n, least, most)
}

func checkSources(all []string) error {
	if err := wantRange(len(all), 1, 8); err != nil {
		return fmt.Errorf("number of sources: %w", err)
	}
	for _, text := range all {
		if _, err := parseSource(text); err != nil {
			return err
		}
	}
	return nil
}

func checkTrustKey(c *config) error {
	if c.TrustKey != "" && c.trustKey() == nil {
		return fmt.Errorf("want an Ed25519 public key: 32 bytes in base64, which are 44 characters")
	}
	if k := c.trustKey(); k != nil && base64.StdEncoding.EncodeToString(k) != c.TrustKey {
		return fmt.Errorf("want base64 without spaces")
	}
	return nil
}

func checkProxy(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "socks5" {
		return fmt.Errorf("want http://HOST:PORT or socks5://HOST:PORT")
	}
	return nil
}

func checkPINHash(c *config) error {
	if c.PINHash == "" {
		return nil
	}
	_, err := gate.ParsePIN(c.PINHash)
	return err
}

// checkKiosk refuses a gate that nobody could ever leave.
func checkKiosk(c *config) error {
	if c.Kiosk && c.PINHash == "" {
		return fmt.Errorf("needs a pin_hash: without a PIN nobody could leave the program")
	}
	return nil
}

func checkPlayer(argv []string) error {
	if len(argv) > 16 {
		return fmt.Errorf("want at most 16 words")
	}
	for i, word := range argv {
		if i == 0 && word == "" || len(word) > 256 || strings.ContainsRune(word, 0) {
			return fmt.Errorf("want a program and arguments of at most 256 bytes each")
		}
	}
	return nil
}

// settingFlags adds --config and the flags of the keys to a command; without
// keys, of all. The values stay in the flags until configOf reads them.
func settingFlags(c *cobra.Command, keys ...string) {
	c.Flags().String("config", "", "configuration file (TOML)")
	defaults := defaultConfig(func(name string) string {
		if name == "HOME" {
			return "~"
		}
		return ""
	})
	for _, s := range settings() {
		if len(keys) > 0 && !slices.Contains(keys, s.key) {
			continue
		}
		f := &pflag.Flag{Name: s.flag(), Usage: s.help, Value: &flagText{kind: kindOf(s.value(&defaults))}}
		f.DefValue = textOf(s.value(&defaults))
		if f.Value.Type() == "bool" {
			f.NoOptDefVal = "true"
		}
		c.Flags().AddFlag(f)
		if s.key == "view" {
			c.Flags().Bool("no-view", false, "do not show the live picture")
		}
	}
}

// flagText keeps what a flag was given until the file has been read.
type flagText struct {
	kind   string
	values []string
}

func (f *flagText) String() string { return strings.Join(f.values, ",") }
func (f *flagText) Type() string   { return f.kind }

func (f *flagText) Set(s string) error {
	if f.kind != "list" {
		f.values = f.values[:0]
	}
	f.values = append(f.values, s)
	return nil
}

func kindOf(pointer any) string {
	switch pointer.(type) {
	case *int:
		return "number"
	case *bool:
		return "bool"
	case *span:
		return "duration"
	case *[]string:
		return "list"
	}
	return "string"
}

// textOf is a value as a flag would give it.
func textOf(pointer any) string {
	switch p := pointer.(type) {
	case *string:
		return *p
	case *int:
		return strconv.Itoa(*p)
	case *bool:
		return strconv.FormatBool(*p)
	case *span:
		return p.String()
	case *[]string:
		return strings.Join(*p, " ")
	}
	return ""
}

// put writes what a flag was given where pointer points.
func put(pointer any, values []string) error {
	last := values[len(values)-1]
	var err error
	switch p := pointer.(type) {
	case *string:
		*p = last
	case *int:
		if *p, err = strconv.Atoi(last); err != nil {
			return fmt.Errorf("want a whole number, have %q", last)
		}
	case *bool:
		if *p, err = strconv.ParseBool(last); err != nil {
			return fmt.Errorf("want true or false, have %q", last)
		}
	case *span:
		return p.UnmarshalText([]byte(last))
	case *[]string:
		*p = slices.Clone(values)
	}
	return nil
}
