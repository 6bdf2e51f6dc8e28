package record

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"
)

// The two sizes that a subject is padded to, and those of their boxes.
const (
	SubjectNative  = 32  // what verify gives for a native code: sub ‖ cti, then zeros
	SubjectForeign = 160 // at most, for a credential from abroad

	formatNative = 1 // docs/formats.md, "Words"

	maxDay  = 32   // bytes of a day id
	encSize = 1120 // ML-KEM-768 ciphertext 1088 ‖ X25519 share 32

	// A process that runs a whole year in one context (its clock stuck on one
	// day) is still served; nothing may make us turn the ratchet for ever.
	maxStep = 24 * 366

	sealLabel    = "checkpoint sealed subject 1"
	ratchetLabel = "checkpoint ratchet 1"
	stepMS       = 60 * 60 * 1000
)

// Errors of sealing and opening.
var (
	// ErrDayKey: the day key or its id is not usable.
	ErrDayKey = errors.New("day key not usable")
	// ErrSubject: the subject is empty or too long for its format.
	ErrSubject = errors.New("subject does not fit")
	// ErrContextSpent: the context can seal no more; begin another.
	ErrContextSpent = errors.New("sealing context is spent")
	// ErrOpen: the key does not open this row, or the row was changed.
	ErrOpen = errors.New("sealed subject does not open")
)

// DayKey is headquarters' public key of one day.
type DayKey struct {
	Day    string // its id in the trust list, e.g. "2026-11-23"; 1 to 32 bytes
	Public []byte // ML-KEM-768 + X25519 (HPKE KEM 0x647a): 1 216 bytes
}

// Context is what headquarters needs, with its private key of the day, to open
// what one process start sealed. It holds no secret.
type Context struct {
	Identity
	ID      [16]byte // random
	Day     string
	Enc     []byte // HPKE encapsulated key, 1 120 bytes
	BeganMS uint64 // monotonic time when it began, by the boot of its first stamp
}

// Sealer seals subjects to one day key. It is made at process start and when
// the day changes; its secret is in memory only and is never stored, so a
// nonce never comes twice under one key. It is safe for use by several
// goroutines.
type Sealer struct {
	context *Context

	mu      sync.Mutex
	chain   [32]byte // the ratchet's state at step
	step    uint32
	box     cipher.AEAD // by the row key of step
	next    uint32      // index of the next row
	spent   bool
	scratch [aadSize]byte
}

// aadSize: device ‖ epoch ‖ context ‖ step ‖ index ‖ time ‖ verdict.
const aadSize = 16 + 8 + 16 + 4 + 4 + 8 + 1

// NewSealer begins a context for id and day at the stamp's monotonic time. It
// returns ErrDayKey when the key is not a key.
func NewSealer(id Identity, day DayKey, at Stamp) (*Sealer, error) {
	if len(day.Day) == 0 || len(day.Day) > maxDay {
		return nil, fmt.Errorf("%w: day id of %d bytes", ErrDayKey, len(day.Day))
	}
	public, err := hpke.MLKEM768X25519().NewPublicKey(day.Public)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDayKey, err)
	}
	c := &Context{Identity: id, Day: day.Day, BeganMS: at.MonoMS}
	rand.Read(c.ID[:]) // never fails: crypto/rand ends the program instead
	enc, sender, err := hpke.NewSender(public, hpke.HKDFSHA256(), hpke.ExportOnly(), c.info())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDayKey, err)
	}
	c.Enc = enc
	secret, err := sender.Export(ratchetLabel, 32)
	if err != nil {
		return nil, fmt.Errorf("begin sealing context: %w", err)
	}
	s := &Sealer{context: c, chain: [32]byte(secret)}
	if s.box, err = rowBox(&s.chain); err != nil {
		return nil, err
	}
	return s, nil
}

// Context is the context of everything this sealer seals. The receiver does
// not change it.
func (s *Sealer) Context() *Context { return s.context }

// Day is the id of the day key.
func (s *Sealer) Day() string { return s.context.Day }

// Scan seals the subject and gives the draft of the row. at is the row's own
// stamp: its wall time and the verdict are bound into the seal. A native
// subject (Format 1) is at most SubjectNative bytes, any other at most
// SubjectForeign; shorter ones are filled with zeros, so a subject's own form
// says where it ends. It returns ErrSubject or ErrContextSpent; the index is
// spent either way.
func (s *Sealer) Scan(at Stamp, scan Scan, subject []byte) (Draft, error) {
	size := sizeFor(scan.Format)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spent {
		return Draft{}, ErrContextSpent
	}
	index := s.next
	s.next++
	s.spent = index == math.MaxUint32
	if len(subject) == 0 || len(subject) > size {
		return Draft{}, fmt.Errorf("%w: %d bytes, at most %d", ErrSubject, len(subject), size)
	}
	if err := s.turn(at.MonoMS); err != nil {
		return Draft{}, err
	}
	scan.Sealed = Sealed{Context: s.context.ID, Step: s.step, Index: index}
	plain := make([]byte, size, size+chacha20poly1305.Overhead)
	copy(plain, subject)
	aad := appendAAD(s.scratch[:0], s.context.Identity, scan.Sealed, at.WallMS, scan.Verdict)
	scan.Sealed.Box = s.box.Seal(plain[:0], nonce(index), plain, aad)
	return Draft{Stamp: at, Body: scan, Context: s.context}, nil
}

// Turn moves the ratchet to the hour of the stamp, so that memory no longer
// opens what was sealed in the hours before, scan or no scan.
func (s *Sealer) Turn(at Stamp) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spent {
		return ErrContextSpent
	}
	return s.turn(at.MonoMS)
}

// turn moves the ratchet to the step of the monotonic time; it never turns
// back, and the state that it leaves is gone.
func (s *Sealer) turn(mono uint64) error {
	if mono < s.context.BeganMS {
		return nil // another boot's clock, or a race of two stamps: stay
	}
	want := (mono - s.context.BeganMS) / stepMS
	if want <= uint64(s.step) {
		return nil
	}
	if want > maxStep {
		s.spent = true
		return ErrContextSpent
	}
	for uint64(s.step) < want {
		if err := nextChain(&s.chain); err != nil {
			return err
		}
		s.step++
	}
	box, err := rowBox(&s.chain)
	if err != nil {
		return err
	}
	s.box = box
	return nil
}

// sizeFor is the padded size of a subject. The format stands in the row
// anyway, so the size tells nothing more.
func sizeFor(format uint8) int {
	if format == formatNative {
		return SubjectNative
	}
	return SubjectForeign
}

// info is bound into the HPKE context: label ‖ device ‖ epoch ‖ context ‖ day.
// All but the last have a fixed width, so no two infos have the same bytes.
func (c *Context) info() []byte {
	b := make([]byte, 0, len(sealLabel)+16+8+16+len(c.Day))
	b = append(b, sealLabel...)
	b = append(b, c.Device[:]...)
	b = append(b, c.Epoch[:]...)
	b = append(b, c.ID[:]...)
	return append(b, c.Day...)
}

func appendAAD(b []byte, id Identity, s Sealed, wallMS int64, verdict uint8) []byte {
	b = append(b, id.Device[:]...)
	b = append(b, id.Epoch[:]...)
	b = append(b, s.Context[:]...)
	b = binary.BigEndian.AppendUint32(b, s.Step)
	b = binary.BigEndian.AppendUint32(b, s.Index)
	b = binary.BigEndian.AppendUint64(b, uint64(wallMS))
	return append(b, verdict)
}

// nonce is the index as a 96-bit big-endian number.
func nonce(index uint32) []byte {
	var n [chacha20poly1305.NonceSize]byte
	binary.BigEndian.PutUint32(n[8:], index)
	return n[:]
}

// rowKey is HKDF-Expand(chain, "row"): the chain is uniform already, so there
// is nothing to extract (RFC 5869 §3.3).
func rowKey(chain *[32]byte) ([]byte, error) {
	key, err := hkdf.Expand(sha256.New, chain[:], "row", chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("row key: %w", err)
	}
	return key, nil
}

func rowBox(chain *[32]byte) (cipher.AEAD, error) {
	key, err := rowKey(chain)
	if err != nil {
		return nil, err
	}
	box, err := chacha20poly1305.New(key)
	clear(key)
	return box, err
}

// nextChain replaces the chain by HKDF-Expand(chain, "next").
func nextChain(chain *[32]byte) error {
	next, err := hkdf.Expand(sha256.New, chain[:], "next", len(chain))
	if err != nil {
		return fmt.Errorf("turn ratchet: %w", err)
	}
	copy(chain[:], next)
	clear(next)
	return nil
}
