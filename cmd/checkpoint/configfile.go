package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
	"github.com/spf13/cobra"
)

// maxConfig bounds a configuration file, bytes.
const maxConfig = 64 << 10

// configOf is the configuration of a command: flags before file before
// defaults. Without --config the first file of configPaths that exists holds.
func configOf(c *cobra.Command) (config, error) {
	cfg := defaultConfig(osEnv)
	var text []byte
	path, _ := c.Flags().GetString("config")
	var err error
	if path != "" {
		if text, err = readBounded(path, maxConfig); err != nil {
			return config{}, usagef("configuration: %w", err)
		}
	} else {
		for _, path = range configPaths(osEnv) {
			if text, err = readBounded(path, maxConfig); err == nil {
				break
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return config{}, usagef("configuration: %w", err)
			}
		}
	}
	if err := parseConfig(text, &cfg); err != nil {
		return config{}, usagef("configuration %s: %w", path, err)
	}
	given := map[string]bool{} // by a flag
	for _, s := range settings() {
		f := c.Flags().Lookup(s.flag())
		if f == nil || !f.Changed {
			continue
		}
		v, ok := f.Value.(*flagText)
		if !ok {
			continue
		}
		if err := put(s.value(&cfg), v.values); err != nil {
			return config{}, usagef("--%s: %w", s.flag(), err)
		}
		given[s.key] = true
	}
	if f := c.Flags().Lookup("no-view"); f != nil && f.Changed {
		cfg.View = f.Value.String() != "true"
	}
	for _, s := range settings() {
		if s.check == nil {
			continue
		}
		err := s.check(&cfg)
		switch {
		case err == nil:
		case given[s.key]:
			return config{}, usagef("--%s: %w", s.flag(), err)
		case lineOf(text, s.key) > 0:
			return config{}, usagef("configuration %s: line %d: %s: %w", path, lineOf(text, s.key), s.key, err)
		default:
			return config{}, usagef("%s: %w", s.key, err)
		}
	}
	return cfg, nil
}

// configPaths are where a configuration is looked for when none is named.
func configPaths(env func(string) string) []string {
	home := env("XDG_CONFIG_HOME")
	if !filepath.IsAbs(home) {
		home = filepath.Join(env("HOME"), ".config")
	}
	return []string{filepath.Join(home, "checkpoint", "checkpoint.toml"), "/etc/checkpoint/checkpoint.toml"}
}

// parseConfig reads TOML over what cfg holds already. An error names the line;
// for a key that does not exist also the key that was perhaps meant.
func parseConfig(text []byte, cfg *config) error {
	d := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	err := d.Decode(cfg)
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown) && len(unknown.Errors) > 0:
		first := unknown.Errors[0]
		for _, e := range unknown.Errors[1:] {
			if lineOfError(e) < lineOfError(first) {
				first = e
			}
		}
		key := strings.Join(first.Key(), ".")
		near := nearest(key, keys())
		if near != "" {
			return fmt.Errorf("line %d: unknown key %q: did you mean %q?", lineOfError(first), key, near)
		}
		return fmt.Errorf("line %d: unknown key %q", lineOfError(first), key)
	case errors.As(err, &wrong):
		what := strings.TrimPrefix(wrong.Error(), "toml: ")
		if have, rest, ok := strings.Cut(strings.TrimPrefix(what, "cannot decode TOML "), " into "); ok {
			// The library names the Go field; the reader knows the key.
			what = "want another type of value than " + have
			for goType, want := range map[string]string{"int": "a whole number", "bool": "true or false", "string": "text in quotes", "[]string": "a list of texts"} {
				if strings.HasSuffix(rest, "of type "+goType) {
					what = "want " + want + ", have " + have
				}
			}
		}
		if key := strings.Join(wrong.Key(), "."); key != "" {
			return fmt.Errorf("line %d: %s: %s", lineOfError(*wrong), key, what)
		}
		return fmt.Errorf("line %d: %s", lineOfError(*wrong), what)
	}
	return err
}

func lineOfError(e toml.DecodeError) int {
	line, _ := e.Position()
	return line
}

func keys() []string {
	var all []string
	for _, s := range settings() {
		all = append(all, s.key)
	}
	return all
}

// lineOf is the line of a key in TOML text, 0 when it is not there.
func lineOf(text []byte, key string) int {
	var p unstable.Parser
	p.Reset(text)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		var parts []string
		line := 0
		for it := e.Key(); it.Next(); {
			if line == 0 {
				line = p.Shape(it.Node().Raw).Start.Line
			}
			parts = append(parts, string(it.Node().Data))
		}
		name := strings.Join(parts, ".")
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = name + "."
		case unstable.KeyValue:
			if name = table + name; strings.EqualFold(name, key) || strings.HasPrefix(key, name+".") {
				return line
			}
		}
	}
	return 0
}
