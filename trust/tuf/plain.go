package tuf

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"checkpoint/trust"
)

// Files of a plain folder that are no targets by their own name.
const (
	plainSuperseded = "revoked/superseded.txt"
	plainWithdrawn  = "revoked/withdrawn.txt"
)

// plainTargets makes the targets of the targets role out of a plain folder: the
// JSON targets without form and issued, whose keys may stand in PEM files beside
// them, and EU revocations as text. A target that says the same as the one before
// keeps its bytes and its date: no gate fetches it again.
func plainTargets(folder fs.FS, before map[string][]byte, issued time.Time) (map[string][]byte, error) {
	made := map[string][]byte{}
	err := fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		target := name
		if strings.HasPrefix(name, "dcc-revoked/") {
			target = strings.TrimSuffix(name, ".txt")
		}
		if _, known := trust.TargetLimit(target); !known || delegatedTo(target) != RoleTargets {
			return nil
		}
		b, err := plainTarget(folder, name, target, before[target], issued)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if made[target] != nil {
			return fmt.Errorf("%s stands twice", target)
		}
		made[target] = b
		return trust.CheckTarget(target, b)
	})
	if err != nil {
		return nil, fmt.Errorf("read plain folder: %w", err)
	}
	return made, nil
}

func plainTarget(folder fs.FS, file, target string, before []byte, issued time.Time) ([]byte, error) {
	limit, _ := trust.TargetLimit(target)
	data, err := readFile(folder, file, 3*limit)
	if err != nil {
		return nil, err
	}
	if kid, isRevoked := strings.CutPrefix(target, "dcc-revoked/"); isRevoked {
		if target == file {
			return data, trust.CheckTarget(target, data) // binary already
		}
		return plainDCCRevoked(kid, data, before, issued)
	}
	return plainJSON(folder, target, data, before, issued)
}

// plainJSON fills in form and issued, and what stands in PEM files.
func plainJSON(folder fs.FS, target string, data, before []byte, issued time.Time) ([]byte, error) {
	object, err := readObject(data)
	if err != nil {
		return nil, err
	}
	form, _ := json.Marshal(trust.TargetForm(target))
	if got, stands := object["form"]; stands && !bytes.Equal(got, form) {
		return nil, fmt.Errorf("form is %.60s, not %s", got, form)
	}
	object["form"] = form
	if raw, ok := object["keys"]; ok {
		if object["keys"], err = plainKeys(folder, target, raw); err != nil {
			return nil, err
		}
	}
	if _, stands := object["issued"]; !stands {
		object["issued"], _ = json.Marshal(issued.UTC())
		if was, err := readObject(before); err == nil {
			was["issued"] = object["issued"]
			if sameJSON(was, object) {
				return before, nil
			}
		}
	}
	b, err := json.MarshalIndent(object, "", "  ")
	return append(b, '\n'), err
}

// readObject reads a JSON object whose keys stand once each.
func readObject(data []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	var object map[string]json.RawMessage
	if err := dec.Decode(&object); err != nil || object == nil {
		return nil, errors.New("not a JSON object")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON value")
	}
	return object, nil
}

func sameJSON(a, b map[string]json.RawMessage) bool {
	compact := func(o map[string]json.RawMessage) []byte {
		var whole any
		raw, err := json.Marshal(o)
		if err != nil || json.Unmarshal(raw, &whole) != nil {
			return nil
		}
		sorted, _ := json.Marshal(whole)
		return sorted
	}
	one := compact(a)
	return one != nil && bytes.Equal(one, compact(b))
}

// plainKeys replaces "pem": FILE in each key by what the file says.
func plainKeys(folder fs.FS, target string, raw json.RawMessage) (json.RawMessage, error) {
	var keys []map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return nil, errors.New("keys is no list of objects")
	}
	for i, k := range keys {
		var file string
		if k["pem"] == nil {
			continue
		}
		if err := json.Unmarshal(k["pem"], &file); err != nil {
			return nil, fmt.Errorf("key %d: pem is no name of a file", i)
		}
		data, err := readSmall(folder, file)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i, err)
		}
		fields, err := pemFields(target, data)
		if err != nil {
			return nil, fmt.Errorf("key %d: %s: %w", i, file, err)
		}
		delete(k, "pem")
		for name, value := range fields {
			if k[name] != nil {
				return nil, fmt.Errorf("key %d: %s stands in %s and beside it", i, name, file)
			}
			k[name], _ = json.Marshal(value)
		}
	}
	return json.Marshal(keys)
}

// pemFields are the fields of a key of a target that a PEM file stands for.
func pemFields(target string, data []byte) (map[string]any, error) {
	if target == trust.TargetDCCKeys {
		block, _ := pem.Decode(data)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("not a PEM certificate")
		}
		sum := sha256.Sum256(block.Bytes)
		return map[string]any{"kid": hex.EncodeToString(sum[:8]), "cert": block.Bytes}, nil
	}
	key, spki, err := publicPEM(data)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(spki)
	switch target {
	case trust.TargetIssuers:
		if _, ok := key.(*ecdsa.PublicKey); !ok {
			return nil, errors.New("not an ECDSA key")
		}
		return map[string]any{"kid": hex.EncodeToString(sum[:8]), "alg": "ES256", "spki": spki}, nil
	case trust.TargetReceiptKeys:
		public, ok := key.(ed25519.PublicKey)
		if !ok {
			return nil, errors.New("not an Ed25519 key")
		}
		id := sha256.Sum256(public)
		return map[string]any{"id": hex.EncodeToString(id[:8]), "key": base64.StdEncoding.EncodeToString(public)}, nil
	case trust.TargetHubCA:
		return map[string]any{"spki_sha256": hex.EncodeToString(sum[:])}, nil
	}
	return nil, fmt.Errorf("a key of %s is not given as PEM", target)
}

// plainDCCRevoked reads lines "uci HASH", "country_uci HASH", "signature HASH"
// and "expires TIME".
func plainDCCRevoked(kid string, data, before []byte, issued time.Time) ([]byte, error) {
	id, err := hex.DecodeString(kid)
	if err != nil {
		return nil, errors.New("the name is not a kid in hex")
	}
	r := trust.DCCRevoked{KID: id, Issued: issued.UTC().Truncate(time.Second)}
	lists := map[string]*[]trust.DCCHash{"uci": &r.UCI, "country_uci": &r.CountryUCI, "signature": &r.Signature}
	err = lines(data, func(line string) error {
		kind, value, _ := strings.Cut(line, " ")
		if kind == "expires" {
			r.Expires, err = time.Parse(time.RFC3339, value)
			return err
		}
		b, err := hex.DecodeString(value)
		if err != nil || len(b) != 16 || lists[kind] == nil {
			return errors.New("not \"uci\", \"country_uci\" or \"signature\" and 32 hex digits")
		}
		*lists[kind] = append(*lists[kind], trust.DCCHash(b))
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, list := range lists {
		slices.SortFunc(*list, func(a, b trust.DCCHash) int { return bytes.Compare(a[:], b[:]) })
		*list = slices.Compact(*list)
	}
	if was, err := trust.ParseDCCRevoked(before); err == nil {
		again := r
		again.Issued = was.Issued
		if b, err := again.AppendBinary(nil); err == nil && bytes.Equal(b, before) {
			return before, nil
		}
	}
	return r.AppendBinary(nil)
}

// lines gives each line that is not empty and no comment.
func lines(data []byte, each func(line string) error) error {
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := each(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return nil
}

// plainDayKeys makes daykeys.json.
func plainDayKeys(folder fs.FS, before map[string][]byte, issued time.Time) (map[string][]byte, error) {
	b, err := plainTarget(folder, trust.TargetDayKeys, trust.TargetDayKeys, nil, issued)
	if err != nil {
		return nil, fmt.Errorf("read plain folder: %s: %w", trust.TargetDayKeys, err)
	}
	return map[string][]byte{trust.TargetDayKeys: b}, trust.CheckTarget(trust.TargetDayKeys, b)
}

// plainRevoked makes the revocations, of a list revoked.bin whose number and date
// do not count, or of two text files: the list before stays and a delta is added,
// until there are so many deltas that a new list is made. The deltas that lead to
// a new list stay beside it, so that gates make it themselves.
func plainRevoked(folder fs.FS, before map[string][]byte, issued time.Time) (map[string][]byte, error) {
	next := &trust.RevokedList{Sequence: 1, Issued: issued.UTC().Truncate(time.Second)}
	limit, _ := trust.TargetLimit(trust.TargetRevoked)
	b, err := readFile(folder, trust.TargetRevoked, limit)
	if err == nil {
		whole, err := trust.ParseRevoked(b)
		if err != nil {
			return nil, fmt.Errorf("read plain folder: %s: %w", trust.TargetRevoked, err)
		}
		next.Superseded, next.Withdrawn = whole.Superseded, whole.Withdrawn
		return nextRevoked(next, before)
	}
	if next.Superseded, err = plainIDs(folder, plainSuperseded); err != nil {
		return nil, err
	}
	if next.Withdrawn, err = plainIDs(folder, plainWithdrawn); err != nil {
		return nil, err
	}
	withdrawn := trust.Revocations{Withdrawn: next.Withdrawn}.Index()
	next.Superseded = slices.DeleteFunc(next.Superseded, func(id trust.ID) bool {
		_, both := withdrawn.Find(id)
		return both
	})
	return nextRevoked(next, before)
}

// maxChain is how many deltas lead on from a list before a new one is made:
// half of what may stand, as those that led to the list stand there too.
const maxChain = trust.MaxDeltas / 2

// nextRevoked gives the targets after those before.
func nextRevoked(next *trust.RevokedList, before map[string][]byte) (map[string][]byte, error) {
	if before[trust.TargetRevoked] == nil {
		b, err := next.AppendBinary(nil)
		return map[string][]byte{trust.TargetRevoked: b}, err
	}
	base, err := trust.ParseRevoked(before[trust.TargetRevoked])
	if err != nil {
		return nil, fmt.Errorf("list before: %w", err)
	}
	deltas := map[string][]byte{}
	for name, b := range before {
		if _, _, ok := trust.ParseDeltaName(name); ok {
			deltas[name] = b
		}
	}
	chain, err := trust.RevokedChain(base.Sequence, deltas)
	if err != nil {
		return nil, fmt.Errorf("list before: %w", err)
	}
	last, err := base.Follow(chain...)
	if err != nil {
		return nil, fmt.Errorf("list before: %w", err)
	}
	next.Sequence = last.Sequence + 1
	made := map[string][]byte{trust.TargetRevoked: before[trust.TargetRevoked]}
	size := 0
	for _, d := range chain {
		made[d.Name()] = deltas[d.Name()]
		size += len(deltas[d.Name()])
	}
	delta, err := last.Delta(next)
	if err == nil {
		if made[delta.Name()], err = delta.AppendBinary(nil); err != nil {
			return nil, err
		}
		size += len(made[delta.Name()])
	}
	switch {
	case errors.Is(err, trust.ErrTooLarge): // more changes than a delta holds
		b, err := next.AppendBinary(nil)
		return map[string][]byte{trust.TargetRevoked: b}, err
	case err != nil:
		return nil, err
	case len(chain)+1 >= maxChain || size > max(64<<10, len(made[trust.TargetRevoked])/2):
		made[trust.TargetRevoked], err = next.AppendBinary(nil)
		return made, err
	}
	for name, b := range deltas { // that led to the list
		if _, to, _ := trust.ParseDeltaName(name); to <= base.Sequence {
			made[name] = b
		}
	}
	return made, nil
}

// plainIDs reads ids, 16 hex digits a line; a file that is not there has none.
func plainIDs(folder fs.FS, name string) ([]trust.ID, error) {
	data, err := readFile(folder, name, trust.MaxRevokedIDs*20)
	if errors.Is(err, fs.ErrNotExist) && !exists(folder, path.Dir(name)) {
		return nil, fmt.Errorf("read plain folder: %w", err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read plain folder: %w", err)
	}
	var ids []trust.ID
	err = lines(data, func(line string) error {
		var id trust.ID
		if err := id.UnmarshalText([]byte(line)); err != nil {
			return err
		}
		ids = append(ids, id)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	slices.SortFunc(ids, func(a, b trust.ID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(ids), nil
}

func exists(folder fs.FS, name string) bool {
	_, err := fs.Stat(folder, name)
	return err == nil
}
