package hub

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"checkpoint/hub/store"
)

// Limits of the admin API.
const (
	maxQuery     = 8 << 10 // bytes
	maxValues    = 64      // of one parameter
	maxAdminBody = 4 << 10
	defaultLimit = 100
	maxLimit     = 1000
)

// query is what stands behind the question mark: only parameters that the
// endpoint knows.
type query struct{ values url.Values }

func parseQuery(raw string, known []string) (query, *refusal) {
	if len(raw) > maxQuery {
		return query{}, badQuery("the query is too long")
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return query{}, badQuery("the query cannot be read")
	}
	for name, all := range values {
		if !slices.Contains(known, name) {
			return query{}, badQuery("a parameter is not known here")
		}
		if len(all) > maxValues || len(all) > 1 && !slices.Contains([]string{"venue", "kind", "verdict", "reason"}, name) {
			return query{}, badQuery(name + " stands too often")
		}
	}
	return query{values}, nil
}

func badQuery(why string) *refusal {
	return &refusal{status: http.StatusBadRequest, word: "query", detail: why}
}

func (q query) all(name string) []string { return q.values[name] }
func (q query) one(name string) string   { return q.values.Get(name) }

// when is a time; zero when it is not given.
func (q query) when(name string) (time.Time, *refusal) {
	text := q.one(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Year() < 1970 || t.Year() > 9998 {
		return time.Time{}, badQuery(name + ": want a time as 2026-11-23T08:00:00Z")
	}
	return t, nil
}

// limit is how much one page holds.
func (q query) limit() (int, *refusal) {
	text := q.one("limit")
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, badQuery("limit: want 1 to " + strconv.Itoa(maxLimit))
	}
	return n, nil
}

// words is one of the words, "" when it is not given.
func (q query) word(name string, words ...string) (string, *refusal) {
	text := q.one(name)
	if text != "" && !slices.Contains(words, text) {
		return "", badQuery(name + ": not a word that is known here")
	}
	return text, nil
}

// numbers are small numbers.
func (q query) numbers(name string) ([]uint8, *refusal) {
	var numbers []uint8
	for _, text := range q.all(name) {
		n, err := strconv.ParseUint(text, 10, 8)
		if err != nil {
			return nil, badQuery(name + ": want numbers, 0 to 255")
		}
		numbers = append(numbers, uint8(n))
	}
	return numbers, nil
}

// Cursors say where a page ended. Their form is for this package alone: a
// letter for what they go through, then the key of the last entry.
const (
	cursorRows  = 'r'
	cursorID    = 'i'
	cursorGates = 'g'
)

var errCursor = errors.New("not a cursor")

func cursor(kind byte, key []byte) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{kind}, key...))
}

func parseCursor(text string, kind byte) ([]byte, error) {
	if len(text) > 256 || strings.ContainsAny(text, "\r\n") { // which base64 skips
		return nil, errCursor
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) == 0 || b[0] != kind {
		return nil, errCursor
	}
	return b[1:], nil
}

func badCursor() *refusal { return badQuery("cursor: want what the page before gave as next") }

// rowCursor names a row by what rows are ordered by.
func rowCursor(n store.Notable) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(n.WallMS))
	b = append(b, n.Device[:]...)
	b = append(b, n.Epoch[:]...)
	return cursor(cursorRows, binary.BigEndian.AppendUint64(b, n.Seq))
}

func parseRowCursor(text string) (*store.Notable, error) {
	b, err := parseCursor(text, cursorRows)
	if err != nil || len(b) != 8+16+8+8 {
		return nil, errCursor
	}
	n := &store.Notable{WallMS: int64(binary.BigEndian.Uint64(b)), Seq: binary.BigEndian.Uint64(b[32:])}
	copy(n.Device[:], b[8:])
	copy(n.Epoch[:], b[24:])
	if n.Seq > 1<<63-1 { // no store counts further
		return nil, errCursor
	}
	return n, nil
}

func idCursor(id int64) string {
	return cursor(cursorID, binary.BigEndian.AppendUint64(nil, uint64(id)))
}

// before is the id that a page ends before; 0: the newest page.
func (q query) before() (int64, *refusal) {
	text := q.one("cursor")
	if text == "" {
		return 0, nil
	}
	b, err := parseCursor(text, cursorID)
	if err != nil || len(b) != 8 {
		return 0, badCursor()
	}
	id := int64(binary.BigEndian.Uint64(b))
	if id < 1 {
		return 0, badCursor()
	}
	return id, nil
}

// gateCursor names a gate by what the list is ordered by.
func gateCursor(g gateEntry) string {
	return cursor(cursorGates, append(binary.BigEndian.AppendUint32(nil, g.weight), g.Name...))
}

func parseGateCursor(text string) (weight uint32, name string, err error) {
	b, err := parseCursor(text, cursorGates)
	if err != nil || len(b) < 5 || len(b) > 4+maxName {
		return 0, "", errCursor
	}
	return binary.BigEndian.Uint32(b), string(b[4:]), nil
}

// readJSON reads a flat JSON object into v. Keys that v does not have, or that
// stand twice, are refused; an empty body is an empty object. The type of the
// body must be said: a web page of others cannot say it unasked.
func (h *Hub) readJSON(r *http.Request, v any) *refusal {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &refusal{status: http.StatusUnsupportedMediaType, word: "type", detail: "send it with Content-Type: application/json"}
	}
	body, no := h.readBody(r, maxAdminBody)
	if no != nil {
		return no
	}
	if err := decodeFlat(body, v); err != nil {
		return &refusal{status: http.StatusBadRequest, word: "body", detail: "not the JSON object of docs/formats.md, Admin"}
	}
	return nil
}

var errFlat = errors.New("not such an object")

func decodeFlat(body []byte, v any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	keys := json.NewDecoder(bytes.NewReader(body))
	if t, err := keys.Token(); err != nil || t != json.Delim('{') {
		return errFlat
	}
	seen := map[string]bool{}
	for keys.More() {
		t, err := keys.Token()
		name, ok := t.(string)
		// encoding/json takes keys in any case, and the last of several.
		if err != nil || !ok || seen[name] || !lower(name) {
			return errFlat
		}
		seen[name] = true
		var value json.RawMessage
		if err := keys.Decode(&value); err != nil || len(value) == 0 || value[0] == '{' || value[0] == '[' {
			return errFlat
		}
	}
	strict := json.NewDecoder(bytes.NewReader(body))
	strict.DisallowUnknownFields()
	if err := strict.Decode(v); err != nil {
		return errFlat
	}
	if _, err := strict.Token(); err == nil || strict.More() {
		return errFlat
	}
	return nil
}

func lower(s string) bool {
	for i := range len(s) {
		if (s[i] < 'a' || s[i] > 'z') && s[i] != '_' {
			return false
		}
	}
	return true
}
