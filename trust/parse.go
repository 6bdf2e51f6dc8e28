package trust

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Parse reads the unsigned JSON form. It returns ErrTooLarge, or ErrFormat
// with what is wrong and where.
func Parse(data []byte) (*Snapshot, error) {
	if len(data) > MaxBytes {
		return nil, ErrTooLarge
	}
	if err := (scanner{longest: longest}).scan(data); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	s := new(Snapshot)
	if err := dec.Decode(s); err != nil {
		return nil, fmt.Errorf("%w: %s", ErrFormat, strings.TrimPrefix(err.Error(), "json: "))
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return s, nil
}

// Marshal is the JSON form of s: two-space indent, keys in the order of the
// structs, a newline at the end. The same snapshot gives the same bytes. It
// refuses what Parse would; an empty Form is filled in.
func Marshal(s *Snapshot) ([]byte, error) {
	filled := *s
	if filled.Form == "" {
		filled.Form = Form
	}
	body, err := json.MarshalIndent(filled, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	body = append(body, '\n')
	if _, err := Parse(body); err != nil {
		return nil, err
	}
	return body, nil
}

const (
	maxDepth   = 8
	maxMembers = 64 // of one object: no struct has half as many
	maxKey     = 40 // characters of a key

	// Of what is kept as it is, for others to read: rules of places abroad.
	maxFreeDepth   = 48
	maxFreeMembers = 256
	maxFreeEntries = 1024
)

// longest is how many entries a list of a snapshot may have, by its key; what is
// not here is a short list. Lists of one name share the greatest limit: which of
// them may have fewer, check knows. An entry of three bytes can take three
// hundred in memory, so this is asked before anything is decoded.
var longest = map[string]int{
	"keys": max(MaxIssuers, MaxDCCKeys, MaxDayKeys), "rules": MaxPolicies, "superseded": MaxRevoked, "withdrawn": MaxRevoked,
}

// scanner walks JSON once for what encoding/json lets pass: duplicate keys, keys
// that it takes for another one (it folds case, and U+017F into s), depth,
// endless lists, anything after the value, null.
type scanner struct {
	longest map[string]int
	free    string // key whose value has keys and values of any kind, "" none
}

func (s scanner) scan(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := s.value(dec, "", 0, false); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// value scans the value of a key; the entries of a list have its key.
func (s scanner) value(dec *json.Decoder, under string, depth int, free bool) error {
	deepest, members, entries := maxDepth, maxMembers, MaxRegions
	if n, known := s.longest[under]; known {
		entries = n
	}
	if free {
		deepest, members = maxFreeDepth, maxFreeMembers
		entries = max(entries, maxFreeEntries)
	}
	if depth > deepest {
		return errors.New("nested too deep")
	}
	tok, err := dec.Token()
	if err != nil {
		return errors.New("not JSON")
	}
	switch tok {
	case json.Delim('{'):
		seen := make(map[string]bool, 8)
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return errors.New("not JSON")
			}
			name, _ := key.(string)
			if seen[name] {
				return fmt.Errorf("key %.40q stands twice", name)
			}
			if !free && !word(name, maxKey) || len(name) > 2*maxKey {
				return fmt.Errorf("unknown field %.40q", name)
			}
			if seen[name] = true; len(seen) > members {
				return fmt.Errorf("an object with more than %d keys", members)
			}
			if err := s.value(dec, name, depth+1, free || s.free != "" && name == s.free); err != nil {
				return err
			}
		}
		_, err = dec.Token()
	case json.Delim('['):
		for n := 1; dec.More(); n++ {
			if n > entries {
				return fmt.Errorf("%.40q: more than %d entries", under, entries)
			}
			if err := s.value(dec, under, depth+1, free); err != nil {
				return err
			}
		}
		_, err = dec.Token()
	case nil:
		if !free {
			return errors.New("null stands for nothing here; leave the key out")
		}
	}
	if err != nil {
		return errors.New("not JSON")
	}
	return nil
}
