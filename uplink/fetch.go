package uplink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"checkpoint/enroll"
)

// Limits of a trust file.
const (
	MaxTrustName = 200      // bytes, folders included
	MaxTrustFile = 64 << 20 // bytes
)

// ErrTrustName: a name that no trust file can have.
var ErrTrustName = errors.New("not the name of a trust file")

// trustName says whether a name is one: parts of letters, digits and . _ - + = @
// between single slashes, none of them beginning with a full stop.
func trustName(name string) bool {
	if name == "" || len(name) > MaxTrustName {
		return false
	}
	parts := strings.Split(name, "/")
	if len(parts) > 4 {
		return false
	}
	for _, part := range parts {
		if part == "" || part[0] == '.' || strings.HasSuffix(part, partEnd) {
			return false
		}
		for _, r := range part {
			if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-+=@", r) {
				return false
			}
		}
	}
	return true
}

// partial is the beginning of a file whose connection broke. The tag is what
// the hub called that version of it; without one it is not kept.
type partial struct {
	name, tag string
	body      []byte
}

// tries is how often one Fetch connects again when a file breaks off.
const tries = 4

// Fetch gives a file of the trust repository, at most limit bytes (and
// MaxTrustFile); ErrMissing
// when the hub has none of that name. A file that breaks off is asked for again
// from where it broke, here and at the next Fetch of the same name; what the
// bytes are worth is for signatures to say.
func (c *Client) Fetch(ctx context.Context, name string, limit int64) ([]byte, error) {
	if !trustName(name) {
		return nil, fmt.Errorf("%w: %q", ErrTrustName, clean(name, MaxTrustName))
	}
	most := int(min(limit, MaxTrustFile))
	p := c.resume(name, most)
	limited, cancel := context.WithTimeout(ctx, c.limits.Fetch)
	defer cancel()
	for try := 1; ; try++ {
		before := len(p.body)
		done, err := c.fetch(limited, &p, most)
		if done {
			return p.body, nil
		}
		if limited.Err() != nil && ctx.Err() == nil {
			err = &LineError{Host: c.base.Host, Is: ErrTimeout}
		}
		if try == tries || len(p.body) <= before || limited.Err() != nil {
			c.keep(p, err)
			return nil, err
		}
	}
}

// fetch asks once for what is missing of p.
func (c *Client) fetch(outer context.Context, p *partial, most int) (done bool, err error) {
	ctx, cancel := context.WithCancel(outer)
	defer cancel()
	target := c.base
	target.Path = enroll.PathTrust + p.name
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return false, fmt.Errorf("trust file %s: %w", p.name, err)
	}
	if len(p.body) > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", len(p.body)))
		r.Header.Set("If-Range", p.tag) // another version: the whole of it comes
	}
	response, err := c.do(c.open, r)
	if err != nil {
		return false, explain(outer, c.base.Host, err)
	}
	switch {
	case response.StatusCode == http.StatusPartialContent && len(p.body) > 0 && goesOn(response.Header, len(p.body)):
	case response.StatusCode == http.StatusOK:
		p.body, p.tag = nil, strongTag(response.Header)
	default:
		return false, c.refused(outer, ctx, cancel, response, p)
	}
	if response.ContentLength > int64(most-len(p.body)) {
		response.Body.Close()
		*p = partial{name: p.name}
		return false, c.tooLong(p.name, most)
	}
	body, long, err := readBody(ctx, cancel, response.Body, most-len(p.body), c.limits.Idle)
	p.body = append(p.body, body...)
	switch {
	case long:
		*p = partial{name: p.name}
		return false, c.tooLong(p.name, most)
	case err != nil:
		if p.tag == "" {
			p.body = nil
		}
		return false, explain(outer, c.base.Host, err)
	}
	return true, nil
}

// refused reads an answer that is not the file.
func (c *Client) refused(outer, ctx context.Context, cancel func(), response *http.Response, p *partial) error {
	*p = partial{name: p.name}
	got := answer{status: response.StatusCode, header: response.Header}
	var err error
	if got.body, got.long, err = readBody(ctx, cancel, response.Body, maxProblem, c.limits.Idle); err != nil {
		return explain(outer, c.base.Host, err)
	}
	if got.status == http.StatusNotFound {
		return fmt.Errorf("%s: %w", p.name, ErrMissing)
	}
	return got.refusal()
}

func (c *Client) tooLong(name string, most int) error {
	return &LineError{Host: c.base.Host, Is: ErrAnswer, Err: fmt.Errorf("trust file %s: more than %d bytes", name, most)}
}

// goesOn says whether a part begins where ours ends.
func goesOn(h http.Header, at int) bool {
	return strings.HasPrefix(h.Get("Content-Range"), "bytes "+strconv.Itoa(at)+"-")
}

// strongTag is the ETag if equal tags mean equal bytes (RFC 9110 §8.8.1).
func strongTag(h http.Header) string {
	tag := h.Get("ETag")
	if len(tag) < 3 || len(tag) > 200 || tag[0] != '"' {
		return ""
	}
	return tag
}

// resume gives what is kept of a file, for one caller.
func (c *Client) resume(name string, most int) partial {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.partial
	if p.name != name || len(p.body) >= most {
		return partial{name: name}
	}
	c.partial = partial{}
	return p
}

// keep keeps the beginning of one file, if the line is to blame for the rest.
func (c *Client) keep(p partial, err error) {
	var line *LineError
	if len(p.body) == 0 || p.tag == "" || errors.As(err, &line) && line.Is == ErrAnswer {
		return
	}
	c.mu.Lock()
	c.partial = p
	c.mu.Unlock()
}
