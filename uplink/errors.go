package uplink

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// Why a hub was not reached, or not understood: what LineError.Is may be.
var (
	ErrName        = errors.New("the hub's name is not known here")
	ErrNoRoute     = errors.New("there is no way to the hub")
	ErrNobody      = errors.New("nobody answers at the hub's address")
	ErrTimeout     = errors.New("the hub did not answer in time")
	ErrBroken      = errors.New("the connection broke")
	ErrNotHub      = errors.New("who answers is not this gate's hub")
	ErrDates       = errors.New("the hub's certificate is not valid now")
	ErrNotTaken    = errors.New("the hub does not take this gate's certificate")
	ErrNotEnrolled = errors.New("this gate has no certificate yet")
	ErrAnswer      = errors.New("the hub's answer makes no sense")
)

// ErrMissing: the hub has no file of that name. It is an fs.ErrNotExist.
var ErrMissing = fmt.Errorf("no such trust file: %w", fs.ErrNotExist)

// LineError says in one line why the hub was not reached or not understood.
type LineError struct {
	Host string
	Is   error // one of the package's errors
	Err  error // what the system said; may be nil
}

// Error is one line: where, what, and what the person in front of it can do.
func (e *LineError) Error() string {
	s := e.Host + ": " + e.Is.Error()
	if do := advice(e.Is); do != "" {
		s += "; " + do
	}
	if e.Err != nil {
		s += " (" + clean(e.Err.Error(), 200) + ")"
	}
	return s
}

// Unwrap gives both the kind and the cause.
func (e *LineError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Is}
	}
	return []error{e.Is, e.Err}
}

func advice(kind error) string {
	switch kind {
	case ErrName:
		return "check the hub's address, and that this network has a name server"
	case ErrNoRoute:
		return "check the cable, the router, and this gate's network settings"
	case ErrNobody:
		return "check the address and port, and that the hub runs"
	case ErrNotHub:
		return "a log-in page of this network, another server, or a hub with a new CA: call the technician"
	case ErrDates:
		return "start the hub again, which renews it, or set this gate's clock"
	case ErrNotTaken:
		return "it is renewed by itself; if this stays, enrol the gate again"
	case ErrNotEnrolled:
		return "enrol it: checkpoint enroll"
	}
	return ""
}

// Refusal is a hub that answered, and said no.
type Refusal struct {
	Status     int
	Word       string        // stable, as in enroll.Problem; may be empty
	Detail     string        // for the person who can act; may be empty
	RetryAfter time.Duration // 0: not said
}

// Error is one line.
func (r *Refusal) Error() string {
	switch {
	case r.Detail != "":
		return fmt.Sprintf("the hub says no: %s (%d %s)", r.Detail, r.Status, r.Word)
	case r.Word != "":
		return fmt.Sprintf("the hub says no: %s (%d)", r.Word, r.Status)
	}
	return fmt.Sprintf("the hub says no (%d)", r.Status)
}

// hubError is what checking the hub's certificate found.
type hubError struct {
	is  error // ErrNotHub or ErrDates
	err error
}

func (e *hubError) Error() string { return e.err.Error() }

// explain turns an error of the network into a LineError. outer is the caller's
// context: its end is not the line's fault and comes back as it is.
func explain(outer context.Context, host string, err error) error {
	if err == nil {
		return nil
	}
	if outer.Err() != nil {
		return context.Cause(outer)
	}
	var known *LineError
	if errors.As(err, &known) {
		return err
	}
	kind := kindOf(err)
	line := &LineError{Host: host, Is: kind, Err: cause(err)}
	if kind == ErrTimeout {
		line.Err = nil // what the system says about it says no more
	}
	return line
}

func kindOf(err error) error {
	var hub *hubError
	var dns *net.DNSError
	var op *net.OpError
	var netErr net.Error
	switch {
	case errors.As(err, &hub):
		return hub.is
	case errors.As(err, &dns) && !dns.IsTimeout:
		return ErrName
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETDOWN):
		return ErrNoRoute
	case errors.Is(err, syscall.ECONNREFUSED):
		return ErrNobody
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, errIdle), errors.Is(err, syscall.ETIMEDOUT):
		return ErrTimeout
	case errors.As(err, &op) && op.Op == "remote error":
		return alertKind(op.Err.Error())
	case errors.As(err, &netErr) && netErr.Timeout():
		return ErrTimeout
	case strings.Contains(err.Error(), "first record does not look like a TLS handshake"),
		strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return ErrNotHub // net/http gives these two no type of their own
	case strings.Contains(err.Error(), "malformed HTTP"):
		return ErrAnswer
	}
	return ErrBroken
}

// alertKind reads a TLS alert of the other end by its name: its type is not
// exported. Most are about the gate's certificate, which the hub looks at last.
func alertKind(text string) error {
	if strings.Contains(text, "certificate") || strings.Contains(text, "access denied") {
		return ErrNotTaken
	}
	return ErrNotHub // no TLS 1.3, not this host
}

// cause is the innermost error that still says something: net/http wraps it in
// the whole address, which the line names already.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		if _, system := inner.(syscall.Errno); system {
			return inner
		}
		if _, cert := err.(x509.CertificateInvalidError); cert {
			return err
		}
		err = inner
	}
}

// clean makes text of the other side fit for a screen and a log: one line, no
// control characters, nothing that turns or hides text, at most most bytes.
func clean(s string, most int) string {
	out := make([]rune, 0, min(len(s), most))
	n := 0
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == 0xfffd || r >= 0x80 && r < 0xa0 || invisible(r) {
			r = ' '
		}
		if n += len(string(r)); n > most {
			break
		}
		out = append(out, r)
	}
	return strings.TrimSpace(string(out))
}

// invisible runes turn a line around or hide in it.
func invisible(r rune) bool {
	return r == 0xad || r == 0x61c || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e ||
		r >= 0x2060 && r <= 0x206f || r == 0xfeff || r >= 0xfff9 && r <= 0xfffb || r >= 0xe0000
}
