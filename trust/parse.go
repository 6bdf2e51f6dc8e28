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
	if err := scan(data); err != nil {
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
)

// longest is how many entries a list may have, by its key; what is not here is
// a short list. Lists of one name share the greatest limit: which of them may
// have fewer, check knows. An entry of three bytes can take three hundred in
// memory, so this is asked before anything is decoded.
var longest = map[string]int{
	"keys": max(MaxIssuers, MaxDCCKeys, MaxDayKeys), "rules": MaxPolicies, "superseded": MaxRevoked, "withdrawn": MaxRevoked,
}

// scan walks the JSON once for what encoding/json lets pass: duplicate keys,
// keys that it takes for another one (it folds case, and U+017F into s), depth,
// endless lists, anything after the value, null.
func scan(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := scanValue(dec, "", 0); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// scanValue scans the value of a key; the entries of a list have its key.
func scanValue(dec *json.Decoder, under string, depth int) error {
	if depth > maxDepth {
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
			if !word(name, maxKey) {
				return fmt.Errorf("unknown field %.40q", name)
			}
			if seen[name] = true; len(seen) > maxMembers {
				return fmt.Errorf("an object with more than %d keys", maxMembers)
			}
			if err := scanValue(dec, name, depth+1); err != nil {
				return err
			}
		}
		_, err = dec.Token()
	case json.Delim('['):
		limit, known := longest[under]
		if !known {
			limit = MaxRegions
		}
		for n := 1; dec.More(); n++ {
			if n > limit {
				return fmt.Errorf("%.40q: more than %d entries", under, limit)
			}
			if err := scanValue(dec, under, depth+1); err != nil {
				return err
			}
		}
		_, err = dec.Token()
	case nil:
		return errors.New("null stands for nothing here; leave the key out")
	}
	if err != nil {
		return errors.New("not JSON")
	}
	return nil
}
