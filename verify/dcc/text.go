package dcc

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"

	"checkpoint/healthcode/base45"
)

// Prefix marks a certificate; LightPrefix the Swiss light certificate, which
// has the same container.
const (
	Prefix      = "HC1:"
	LightPrefix = "LT1:"
)

// Limits. A QR code holds at most 4296 alphanumeric characters; certificates
// in use inflate to less than 900 bytes.
const (
	MaxText     = 4296
	MaxInflated = 16 << 10
)

// Errors, one for each step of reading. Details wrapped around them hold
// nothing of the content.
var (
	ErrBase45     = errors.New("not Base45")
	ErrInflate    = errors.New("not a zlib stream, or too large inflated")
	ErrCBOR       = errors.New("not well-formed CBOR")
	ErrCOSE       = errors.New("not a COSE_Sign1")
	ErrKidMissing = errors.New("no key id")
	ErrSignature  = errors.New("the signature does not hold")
	ErrSchema     = errors.New("the content breaks its own rules")
)

// Decode turns the text after the prefix into the compressed bytes.
func Decode(body []byte) ([]byte, error) {
	b, err := base45.Decode(body, MaxText)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBase45, err)
	}
	return b, nil
}

// Inflate undoes the compression. It stops at MaxInflated, so a bomb costs no
// more than an honest certificate could.
func Inflate(compressed []byte) ([]byte, error) {
	in := bytes.NewReader(compressed)
	z, err := zlib.NewReader(in)
	if err != nil {
		return nil, ErrInflate
	}
	defer z.Close()
	out, err := io.ReadAll(io.LimitReader(z, MaxInflated+1))
	switch {
	case err != nil:
		return nil, ErrInflate
	case len(out) > MaxInflated:
		return nil, fmt.Errorf("%w: more than %d bytes", ErrInflate, MaxInflated)
	case in.Len() > 0:
		return nil, fmt.Errorf("%w: bytes follow the stream", ErrInflate)
	}
	return out, nil
}
