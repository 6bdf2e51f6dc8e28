package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// configured is configOf for a command line with all settings.
func configured(t *testing.T, args ...string) (config, error) {
	t.Helper()
	var cfg config
	var got error
	c := &cobra.Command{Use: "test", RunE: func(c *cobra.Command, _ []string) error {
		cfg, got = configOf(c)
		return nil
	}}
	settingFlags(c)
	c.SetArgs(args)
	if err := c.Execute(); err != nil {
		t.Fatal(err)
	}
	return cfg, got
}

const example = "../../docs/examples/checkpoint.toml"

func TestExampleConfiguration(t *testing.T) {
	cfg, err := configured(t, "--config", example)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.VenueType != "subway" || len(cfg.sources()) != 2 || cfg.Camera.Width != 1280 || cfg.trustKey() == nil {
		t.Errorf("the example says something else: %+v", cfg)
	}
	if _, ok := cfg.pin(); !ok {
		t.Error("the example has no PIN")
	}
}

// Each key can be written in the file and given as a flag, and stands in the
// example and in the documentation with its default.
func TestEveryKeyIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Configuration\n")
	section, _, _ = strings.Cut(section, "\n## ")
	toml, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	defaults := defaultConfig(func(name string) string { return map[string]string{"HOME": "/HOME"}[name] })
	rows := strings.Count(section, "\n| `")
	if rows != len(settings()) {
		t.Errorf("docs/formats.md lists %d keys, the program has %d", rows, len(settings()))
	}
	for _, s := range settings() {
		if lineOf(toml, s.key) == 0 {
			t.Errorf("%s is not in %s", s.key, example)
		}
		_, row, found := strings.Cut(section, "| `"+s.key+"` |")
		row, _, _ = strings.Cut(row, "\n")
		cells := strings.Split(row, "|")
		if !found || len(cells) < 3 {
			t.Errorf("%s is not in docs/formats.md", s.key)
			continue
		}
		want := strings.Replace(textOf(s.value(&defaults)), "/HOME/.local/state/checkpoint", "STATE", 1)
		if got := strings.Trim(cells[1], " `"); got != want {
			t.Errorf("default of %s: docs/formats.md says %q, the program %q", s.key, got, want)
		}
	}
}

func TestFlagsBeforeFileBeforeDefaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.toml")
	if err := os.WriteFile(file, []byte("gate = 'file'\nvenue = 'file'\nview = true\nsource = ['stdin']\n[log]\nmax_mb = 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := configured(t, "--config", file, "--gate", "flag", "--no-view", "--source", "dir:a", "--source", "serial:/dev/ttyS0@19200", "--camera-fps", "15")
	if err != nil {
		t.Fatal(err)
	}
	got := []any{cfg.Gate, cfg.Venue, cfg.View, cfg.Log.MaxMB, cfg.CapMB, cfg.Camera.FPS}
	want := []any{"flag", "file", false, 3, 1024, 15}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := cfg.sources(); len(got) != 2 || got[0] != (source{"dir", "a", 0}) || got[1] != (source{"serial", "/dev/ttyS0", 19200}) {
		t.Errorf("sources = %v", got)
	}
}

func TestBounds(t *testing.T) {
	for _, args := range [][]string{
		{"--gate", ""}, {"--gate", strings.Repeat("门", 65)}, {"--gate", "a\x1b[31m"}, {"--gate", "a\u202eb"},
		{"--venue-type", "sub way"}, {"--venue-type", strings.Repeat("a", 33)},
		{"--source", "serial:/dev/ttyS0@1"}, {"--source", "dir:"}, {"--source", "webcam"}, {"--source", ""},
		{"--db", ""}, {"--db", strings.Repeat("a", 1025)},
		{"--retention-days", "0"}, {"--cap-mb", "15"}, {"--cap-mb", "99999999"}, {"--cap-mb", "1e3"}, {"--log-max-mb", "1025"},
		{"--trust-key", "c2hvcnQ="}, {"--trust-key", "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHUR"},
		{"--player", ""}, {"--pin-hash", "1234"}, {"--pin-hash", "scrypt$1073741824$8$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"},
		{"--latch", "1ms"}, {"--latch", "1h"}, {"--latch", "2"}, {"--isolation-phone", "call me"}, {"--isolation-phone", strings.Repeat("1", 25)},
		{"--camera-width", "10"}, {"--camera-height", "-480"}, {"--camera-format", "rgb"}, {"--color", "yes"}, {"--view=perhaps"}, {"--kiosk"},
	} {
		_, err := configured(t, args...)
		var e *exitError
		if !errors.As(err, &e) || e.code != exitUsage {
			t.Errorf("%q: error %v, want wrong usage", args, err)
			continue
		}
		name, _, _ := strings.Cut(args[0], "=")
		if !strings.HasPrefix(err.Error(), name+": ") {
			t.Errorf("%q: error %q does not begin with the flag", args, err)
		}
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{
		"retention": "retention_days", "venu": "venue", "venue-type": "venue_type", "Log.Path": "log.path",
		"camera.with": "camera.width", "zzzzzz": "", "": "",
	} {
		if got := nearest(word, keys()); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

// FuzzConfig: whatever stands in a file, it is taken within all bounds, or
// refused in words; where a line is named, it is in the file.
func FuzzConfig(f *testing.F) {
	if text, err := os.ReadFile(example); err == nil {
		f.Add(text)
	}
	for _, seed := range []string{"", "gate = 3", "[log]\nmaxmb=1", "[[log]]", "a.b.c = 1", "gate = '''\n\n'''", "source = [1]", "latch = '1h'", "camera = {width = 1}", "\xff", "x = 1979-05-27"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > maxConfig {
			return
		}
		cfg := defaultConfig(func(string) string { return "/" })
		if err := parseConfig(text, &cfg); err != nil {
			if err.Error() == "" {
				t.Fatal("an error without words")
			}
			return
		}
		for _, s := range settings() {
			if line := lineOf(text, s.key); line < 0 || line > bytes.Count(text, []byte("\n"))+1 {
				t.Fatalf("%s is on line %d", s.key, line)
			}
			if s.check != nil {
				s.check(&cfg) // any answer, but an answer
			}
		}
	})
}
