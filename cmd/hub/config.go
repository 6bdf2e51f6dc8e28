package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"checkpoint/enroll"
)

// Names in a data directory. The directory is its owner's alone, 0700.
const (
	fileConfig = "hub.toml"
	fileSocket = "hub.sock"     // while a hub serves
	dirKeys    = "keys"         // CA, receipt key, online TUF keys
	dirData    = "data"         // SQLite
	dirSigners = "for-signers"  // what the signers of the trust need to know of this hub
	dirDemo    = "demo-offline" // every other key, in a hub for trying only
)

// config is everything that a hub can be told, after defaults, hub.toml in the
// data directory, and flags.
type config struct {
	Names    []string `toml:"names"`          // host names and addresses that gates reach it by; the first stands in enrolment codes
	URL      string   `toml:"url"`            // where gates reach it, when that is not https://NAMES[0]:PORT
	Listen   string   `toml:"listen"`         // for gates and people
	Ops      string   `toml:"ops"`            // plain HTTP for the operator's machines; "" none
	Store    string   `toml:"store"`          // sqlite, postgres://… or @FILE
	Interval span     `toml:"interval"`       // of the gates' uploads
	Days     int      `toml:"retention_days"` // days are dropped after so many; 0: none is
	Log      string   `toml:"log"`            // a file, or - for standard error

	dir string // the data directory
}

// span is a length of time in the words of time.ParseDuration ("60s").
type span time.Duration

// UnmarshalText reads a span out of TOML.
func (s *span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return errors.New(`want a length of time such as "60s"`)
	}
	*s = span(d)
	return nil
}

func defaultConfig() config {
	return config{Listen: ":8443", Ops: "127.0.0.1:9464", Store: "sqlite", Interval: span(time.Minute), Log: "-"}
}

// defaultDir is where a hub's data lies when nothing else is said: where
// systemd puts a service's state, else the state folder of the XDG base
// directory specification.
func (a *app) defaultDir() string {
	if dir := a.env("STATE_DIRECTORY"); filepath.IsAbs(dir) && !strings.Contains(dir, ":") {
		return dir
	}
	state := a.env("XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		state = filepath.Join(a.env("HOME"), ".local", "state")
	}
	return filepath.Join(state, "checkpoint-hub")
}

// dirFlag adds --dir to a command.
func dirFlag(c *cobra.Command, a *app) {
	c.Flags().String("dir", "", "data directory (default "+a.dirWord()+")")
}

// dirWord is the default directory as help shows it, not with this machine's
// home in it.
func (a *app) dirWord() string {
	if dir := a.defaultDir(); a.env("STATE_DIRECTORY") != "" {
		return dir
	}
	return "~/.local/state/checkpoint-hub"
}

// settingFlags adds flags for keys of hub.toml to a command; without keys, for
// all.
func settingFlags(c *cobra.Command, a *app, keys ...string) {
	dirFlag(c, a)
	d := defaultConfig()
	all := []struct {
		key string
		add func(f string)
	}{
		{"name", func(f string) {
			c.Flags().StringSlice(f, nil, "host name or address that gates reach this hub by; several: the first stands in codes")
		}},
		{"url", func(f string) {
			c.Flags().String(f, "", "where gates reach this hub (default https://NAME:PORT of --name and --listen)")
		}},
		{"listen", func(f string) { c.Flags().String(f, d.Listen, "address for gates and people") }},
		{"ops", func(f string) {
			c.Flags().String(f, d.Ops, "address for the operator's machines, plain HTTP: /healthz /readyz /metrics; none: nowhere")
		}},
		{"store", func(f string) {
			c.Flags().String(f, d.Store, "the store: sqlite, postgres://USER@HOST/NAME, or @FILE that holds such an address")
		}},
		{"interval", func(f string) {
			c.Flags().Duration(f, time.Duration(d.Interval), "how often gates upload: the one knob for this hub's load")
		}},
		{"retention-days", func(f string) {
			c.Flags().Int(f, d.Days, "drop a day's rows so many days after its end; 0: keep all")
		}},
		{"log", func(f string) { c.Flags().String(f, d.Log, "log file; - for standard error") }},
	}
	for _, s := range all {
		if len(keys) == 0 || slices.Contains(keys, s.key) {
			s.add(s.key)
		}
	}
}

// maxConfig bounds a configuration file, bytes.
const maxConfig = 64 << 10

// directory is the data directory that a command is told of.
func (a *app) directory(c *cobra.Command) (string, error) {
	dir, _ := c.Flags().GetString("dir")
	if dir == "" {
		dir = a.defaultDir()
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", faultf("data directory: %w", err)
	}
	return dir, nil
}

// configOf is the configuration of a command: flags before hub.toml before
// defaults. The data directory must have been made by init.
func (a *app) configOf(c *cobra.Command) (config, error) {
	dir, err := a.directory(c)
	if err != nil {
		return config{}, err
	}
	cfg := defaultConfig()
	cfg.dir = dir
	if _, err := os.Stat(filepath.Join(dir, dirKeys)); errors.Is(err, fs.ErrNotExist) {
		return config{}, usagef("there is no hub in %s: make one with hub init, or name another with --dir", dir)
	} else if err != nil {
		return config{}, faultf("data directory: %w", err)
	}
	path := filepath.Join(dir, fileConfig)
	text, err := readBounded(path, maxConfig)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return config{}, faultf("configuration: %w", err)
	}
	if err := parseConfig(text, &cfg); err != nil {
		return config{}, usagef("configuration %s: %w", path, err)
	}
	if store := a.env("CHECKPOINT_HUB_STORE"); store != "" {
		cfg.Store = store
	}
	cfg.flags(c)
	if err := cfg.check(); err != nil {
		return config{}, usagef("%w", err)
	}
	return cfg, nil
}

// flags puts what flags say over what is there.
func (cfg *config) flags(c *cobra.Command) {
	f := c.Flags()
	for name, to := range map[string]*string{"url": &cfg.URL, "listen": &cfg.Listen, "ops": &cfg.Ops, "store": &cfg.Store, "log": &cfg.Log} {
		if f.Changed(name) {
			*to, _ = f.GetString(name)
		}
	}
	if f.Changed("name") {
		cfg.Names, _ = f.GetStringSlice("name")
	}
	if f.Changed("interval") {
		d, _ := f.GetDuration("interval")
		cfg.Interval = span(d)
	}
	if f.Changed("retention-days") {
		cfg.Days, _ = f.GetInt("retention-days")
	}
	if cfg.Ops == "none" {
		cfg.Ops = ""
	}
}

// parseConfig reads TOML over what cfg holds already. An error names the line.
func parseConfig(text []byte, cfg *config) error {
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(cfg)
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown) && len(unknown.Errors) > 0:
		line, _ := unknown.Errors[0].Position()
		key := strings.Join(unknown.Errors[0].Key(), ".")
		if near := nearest(key, []string{"names", "url", "listen", "ops", "store", "interval", "retention_days", "log"}); near != "" {
			return fmt.Errorf("line %d: unknown key %q: did you mean %q?", line, key, near)
		}
		return fmt.Errorf("line %d: unknown key %q", line, key)
	case errors.As(err, &wrong):
		line, _ := wrong.Position()
		return fmt.Errorf("line %d: %s", line, strings.TrimPrefix(wrong.Error(), "toml: "))
	}
	return err
}

// check refuses what no hub can do.
func (cfg *config) check() error {
	if len(cfg.Names) > 32 {
		return errors.New("name: want at most 32")
	}
	for _, name := range cfg.Names {
		if !validHost(name) {
			return fmt.Errorf("name: %q is not a host name or address", name)
		}
	}
	for what, address := range map[string]string{"listen": cfg.Listen, "ops": cfg.Ops} {
		if _, _, err := net.SplitHostPort(address); err != nil && (what == "listen" || address != "") {
			return fmt.Errorf("%s: want HOST:PORT or :PORT, have %q", what, address)
		}
	}
	if d := time.Duration(cfg.Interval); d < time.Second || d > 24*time.Hour || d%time.Second != 0 {
		return fmt.Errorf("interval: want whole seconds, 1s to 24h, have %v", d)
	}
	if cfg.Days != 0 && (cfg.Days < 14 || cfg.Days > 3650) {
		return fmt.Errorf("retention_days: want 0 for ever, or 14 to 3650, have %d", cfg.Days)
	}
	if cfg.URL != "" {
		if err := enroll.CheckURL(cfg.URL); err != nil {
			return fmt.Errorf("url: %w", err)
		}
	}
	return nil
}

func validHost(name string) bool {
	if net.ParseIP(name) != nil {
		return true
	}
	return name != "" && len(name) <= 253 && strings.Trim(name, "-.") == name && strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

// address is where gates reach the hub.
func (cfg *config) address() (string, error) {
	if cfg.URL != "" {
		return cfg.URL, nil
	}
	if len(cfg.Names) == 0 {
		return "", usagef("want --name HOST: by which name do gates reach this hub?")
	}
	_, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil || port == "" || port == "0" {
		return "", usagef("want --url https://HOST:PORT: --listen %s does not say by which port gates reach this hub", cfg.Listen)
	}
	u := url.URL{Scheme: "https", Host: net.JoinHostPort(cfg.Names[0], port)}
	return u.String(), nil
}

// demo reports whether the hub holds all keys.
func (cfg *config) demo() bool {
	_, err := os.Stat(filepath.Join(cfg.dir, dirDemo))
	return err == nil
}

func (cfg *config) path(parts ...string) string {
	return filepath.Join(append([]string{cfg.dir}, parts...)...)
}

// readBounded reads a regular file of at most most bytes.
func readBounded(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return data, nil
}

// writeNew writes a file that must not exist yet, durable, whole or not at all.
func writeNew(path string, data []byte, mode os.FileMode) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			_ = os.Remove(path) // half a file helps nobody
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// storable refuses a store's address that must not stand in a file.
func (cfg *config) storable() error {
	if _, secret := password(cfg.Store); secret != "" {
		return usagef("--store: the address holds a password: put it into a file of mode 0600, and say --store @FILE")
	}
	if path, ok := strings.CutPrefix(cfg.Store, "@"); ok && !filepath.IsAbs(path) {
		return usagef("--store @%s: want a whole path: the hub may start elsewhere", path)
	}
	_, err := cfg.storeAddress()
	return err
}

// renderConfig is hub.toml of a configuration.
func renderConfig(cfg config) []byte {
	var b bytes.Buffer
	quoted := make([]string, len(cfg.Names))
	for i, name := range cfg.Names {
		quoted[i] = strconv.Quote(name)
	}
	fmt.Fprintf(&b, "# Host names and addresses that gates reach this hub by; the first stands in codes.\nnames = [%s]\n\n", strings.Join(quoted, ", "))
	fmt.Fprintf(&b, "# Where gates reach it, when that is not https://NAME:PORT of the two others.\nurl = %q\n\n", cfg.URL)
	fmt.Fprintf(&b, "# For gates and people, and, in plain HTTP, for the operator's machines (\"none\").\nlisten = %q\nops = %q\n\n", cfg.Listen, cfg.Ops)
	fmt.Fprintf(&b, "# sqlite, postgres://USER@HOST/NAME, or @FILE that holds such an address.\nstore = %q\n\n", cfg.Store)
	fmt.Fprintf(&b, "# How often gates upload: the one knob for this hub's load.\ninterval = %q\n\n", time.Duration(cfg.Interval).String())
	fmt.Fprintf(&b, "# A day's rows are dropped so many days after its end; 0: all are kept.\nretention_days = %d\n\n", cfg.Days)
	fmt.Fprintf(&b, "# A file, or - for standard error.\nlog = %q\n", cfg.Log)
	return b.Bytes()
}
