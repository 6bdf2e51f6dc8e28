package healthcode

import "errors"

// Errors, one for each step of reading; details are wrapped around them and
// never hold content.
var (
	ErrPrefix     = errors.New("not a native health code")
	ErrBase45     = errors.New("not Base45")
	ErrCBOR       = errors.New("not deterministic CBOR")
	ErrCOSE       = errors.New("not a COSE_Sign1 of the allowed shape")
	ErrKidMissing = errors.New("no key id")
	ErrSignature  = errors.New("the issuer's signature does not hold")
	ErrSchema     = errors.New("the content breaks its own rules")
	ErrHolder     = errors.New("the holder's signature does not hold")
	ErrKey        = errors.New("not a P-256 key")
)
