package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"checkpoint/camera"
	"checkpoint/decode"
	"checkpoint/enroll"
	"checkpoint/localdb"
	"checkpoint/trust/tuf"
	"checkpoint/uplink"
	"checkpoint/verify"
)

func newEnrollCommand(a *app) *cobra.Command {
	var o enrollOptions
	c := &cobra.Command{
		Use:   "enroll",
		Short: "Make this gate one of a hub's",
		Long: "Make this gate one of a hub's: show it the code that the technician got for it,\n" +
			"on a screen or a printed sheet. The gate makes its keys, gets its certificate\n" +
			"and the hub's trust, and from then on its rows go up when there is a line.\n" +
			"Its name, place and kind of place are those that the hub gave it.\n\n" +
			"A gate from a sheet shows six digits: it is pending until the technician has\n" +
			"compared them with what the hub shows. It checks codes meanwhile.\n\n" +
			"A code counts once. When the answer got lost, show the same code again: this\n" +
			"gate kept the keys that it asked with.\n\n" +
			"Exit status: 0 enrolled, or enrolled just now with this very code; 2 enrolled\n" +
			"already, with another; 3 the hub cannot be reached, or the file not written;\n" +
			"4 no code, or the hub refuses it.",
		Example: `# The code before the gate's own camera
checkpoint enroll --scan

# The code as text
checkpoint enroll --token-file token.txt

# After its hub has revoked it: as a new device, in the same file
checkpoint enroll --scan --new-device`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := configOf(c)
			if err != nil {
				return err
			}
			return a.enroll(c.Context(), cfg, o)
		},
	}
	settingFlags(c, "db", "source", "cap_mb", "retention_days", "hub_proxy", "log.path", "log.max_mb")
	c.Flags().BoolVar(&o.scan, "scan", false, "read the code with the gate's camera")
	c.Flags().StringVar(&o.file, "token-file", "", "read the code's text from a file; - for standard input")
	c.Flags().BoolVar(&o.newDevice, "new-device", false, "begin as a new device; rows of the old one wait for a stick")
	return c
}

type enrollOptions struct {
	scan      bool
	file      string
	newDevice bool
}

// maxToken bounds a file with a token: one line.
const maxToken = 4 << 10

func (a *app) enroll(ctx context.Context, cfg config, o enrollOptions) error {
	if o.scan == (o.file != "") {
		return usagef("enroll: want either --scan or --token-file FILE")
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	s, err := a.openStation(ctx, cfg)
	if errors.Is(err, localdb.ErrInUse) {
		return faultf("enroll: stop the gate first: it has %s open", cfg.DB)
	}
	if err != nil {
		return err
	}
	defer s.Close()
	var token enroll.Token
	if o.scan {
		token, err = a.scanToken(ctx, s)
	} else {
		token, err = a.readToken(o.file)
	}
	if err != nil {
		return err
	}
	e, err := s.enroll(ctx, token, o.newDevice)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "enrolled as %s at %s (%s) with %s\n", oneLine(e.Gate), oneLine(e.Venue), oneLine(e.VenueType), e.URL)
	if e.State == "pending" {
		fmt.Fprintf(a.out, "pending: the technician compares this word with what the hub shows: %s\n", spaced(e.Word))
	}
	u, err := s.openUpstream(ctx)
	if err != nil {
		return faultf("enroll: %w", err)
	}
	if u == nil {
		return faultf("enroll: the enrolment is not in the file")
	}
	defer u.client.Close()
	// The gate is enrolled whatever comes of this: trust comes when it runs, too.
	if err := u.refresh(ctx); err != nil {
		return faultf("enrolled, but trust did not come: %w; the gate tries again when it runs", err)
	}
	_, err = fmt.Fprintf(a.out, "trust version %d is installed; start the gate: checkpoint run\n", u.trust.Snapshot().Version)
	return err
}

// readToken reads the text of a code from a file.
func (a *app) readToken(path string) (enroll.Token, error) {
	var text []byte
	var err error
	if path == "-" {
		text, err = io.ReadAll(io.LimitReader(a.in, maxToken+1))
	} else {
		text, err = readBounded(path, maxToken)
	}
	if err != nil {
		return enroll.Token{}, faultf("enroll: %w", err)
	}
	t, err := enroll.ParseToken(strings.TrimSpace(string(text)))
	if err != nil {
		return t, refusedf("enroll: %w", err)
	}
	return t, nil
}

// scanToken waits until a picture source shows an enrolment code.
func (a *app) scanToken(ctx context.Context, s *station) (enroll.Token, error) {
	fmt.Fprintln(a.err, "checkpoint: hold the enrolment code before the camera (ctrl+c to leave)")
	for _, from := range s.cfg.sources() {
		if from.kind == "v4l2" || from.kind == "dir" || from.kind == "mjpeg" {
			if err := s.openPictures(ctx, from); err != nil {
				return enroll.Token{}, err
			}
		}
	}
	if len(s.pictures) != 1 {
		return enroll.Token{}, usagef("enroll --scan: want one camera: --source v4l2:auto")
	}
	scanner := decode.NewScanner(decode.Options{})
	said := ""
	for {
		frame, err := s.pictures[0].Next(ctx)
		switch {
		case errors.Is(err, camera.ErrLost):
			fmt.Fprintln(a.err, "checkpoint: waiting for the camera")
			continue
		case errors.Is(err, camera.ErrEnd):
			return enroll.Token{}, refusedf("enroll: no enrolment code in the pictures")
		case ctx.Err() != nil:
			return enroll.Token{}, faultf("enroll: ended before a code was read")
		case err != nil:
			return enroll.Token{}, faultf("enroll: %w", err)
		}
		view := scanner.Scan(decode.Image{Luma: frame.Luma, Width: frame.Width, Height: frame.Height, Stride: frame.Stride})
		for _, symbol := range view.Symbols {
			t, err := enroll.ParseToken(string(symbol.Payload))
			if err == nil {
				return t, nil
			}
			if what := err.Error(); what != said {
				said = what
				fmt.Fprintf(a.err, "checkpoint: that code is none for enrolling (%s)\n", oneLine(what))
			}
		}
	}
}

// enroll makes the gate's keys, asks the hub that the token names, and keeps
// what it grants. A gate that asks again with the same token, because the
// answer got lost, uses the same keys: they are kept before the first try.
func (s *station) enroll(ctx context.Context, token enroll.Token, newDevice bool) (localdb.Enrolment, error) {
	e := localdb.Enrolment{URL: token.URL, Pin: token.Pin}
	client, err := uplink.New(uplink.Config{
		URL: token.URL, Version: version(), Proxy: s.cfg.proxy(),
		Pins: func() [][32]byte { return [][32]byte{token.Pin} },
		Clock: func() (time.Time, bool) {
			at := s.clock.At()
			return at.Time, at.Quality > verify.ClockEstimated
		},
	})
	if err != nil {
		return e, usagef("enroll: %w", err)
	}
	defer client.Close()
	key, segment, err := s.enrolKeys(ctx, client, token, newDevice)
	if err != nil {
		return e, err
	}
	e.SegmentSeed = segment.Seed()
	device := s.db.Identity().Device
	request, err := enroll.NewRequest(&token, device, key, segment, build())
	if err != nil {
		return e, faultf("enroll: %w", err)
	}
	grant, err := client.Enroll(ctx, request)
	var no *uplink.Refusal
	switch {
	case errors.As(err, &no) && no.Word == "device_known":
		if err := s.db.DropAttempt(ctx); err != nil { // or the next would be this one again
			return e, faultf("enroll: %w", err)
		}
		return e, refusedf("enroll: %w: checkpoint enroll --new-device", err)
	case errors.As(err, &no) && no.RetryAfter > 0:
		return e, faultf("enroll: %w; try again in %v", err, no.RetryAfter)
	case errors.As(err, &no):
		return e, refusedf("enroll: %w", err)
	case err != nil:
		return e, faultf("enroll: %w", err)
	}
	if sha256.Sum256(grant.Root) != token.Root {
		return e, refusedf("enroll: the hub's trust does not begin where the code says: ask the technician for a new code")
	}
	if err := tuf.CheckRoot(grant.Root); err != nil {
		return e, refusedf("enroll: the hub's root of trust: %w", err)
	}
	e.FirstRoot = grant.Root
	if err := granted(&e, grant, device, key); err != nil {
		return e, refusedf("enroll: %w", err)
	}
	if e.Word, err = wordOf(token, key, segment); err != nil {
		return e, faultf("enroll: %w", err)
	}
	if err := s.db.Enrol(ctx, s.stamp(), e); err != nil {
		return e, faultf("enroll: the hub took this gate, but it cannot be kept here: %w; run this again with the same code", err)
	}
	return e, nil
}

// enrolKeys are the keys to enrol with, kept in the file before they are used:
// those of an attempt with the same token whose answer got lost, or that this
// token has enrolled already; else new ones. With newDevice the gate becomes
// another device first, unless it did so for this very token.
func (s *station) enrolKeys(ctx context.Context, client *uplink.Client, token enroll.Token, newDevice bool) (*ecdsa.PrivateKey, ed25519.PrivateKey, error) {
	old, enrolled, err := s.db.Enrolment(ctx)
	if err != nil {
		return nil, nil, faultf("enroll: %w", err)
	}
	if enrolled && madeBy(old, token) {
		return readKeys(localdb.Attempt{TLSKey: old.TLSKey, SegmentSeed: old.SegmentSeed})
	}
	hash := sha256.Sum256(token.Secret[:])
	attempt, tried, err := s.db.Attempt(ctx, hash)
	switch {
	case err != nil:
		return nil, nil, faultf("enroll: %w", err)
	case tried && !enrolled:
		return readKeys(attempt)
	case enrolled && !newDevice:
		return nil, nil, usagef("enroll: this gate is enrolled already, as %s at %s; when its hub has revoked it: checkpoint enroll --new-device", old.Gate, old.Venue)
	case newDevice:
		// What a gate has of its hub it gives up only for one that answers.
		if _, err := client.Fetch(ctx, "timestamp.json", tuf.MaxTimestamp); err != nil && !errors.Is(err, uplink.ErrMissing) {
			return nil, nil, faultf("enroll: %w; nothing was changed", err)
		}
		if err := s.db.NewDevice(ctx, s.stamp(), "enrolled as a new device"); err != nil {
			return nil, nil, faultf("enroll: %w", err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, faultf("enroll: %w", err)
	}
	if attempt.TLSKey, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return nil, nil, faultf("enroll: %w", err)
	}
	attempt.SegmentSeed = make([]byte, ed25519.SeedSize)
	rand.Read(attempt.SegmentSeed)
	if err := s.db.KeepAttempt(ctx, hash, attempt); err != nil {
		return nil, nil, faultf("enroll: %w", err)
	}
	return readKeys(attempt)
}

// madeBy reports whether that token has made the enrolment, which was not
// renewed since: only then the word that was kept is the token's.
func madeBy(e localdb.Enrolment, token enroll.Token) bool {
	key, segment, err := readKeys(localdb.Attempt{TLSKey: e.TLSKey, SegmentSeed: e.SegmentSeed})
	if err != nil || e.URL != token.URL || e.Pin != token.Pin {
		return false
	}
	word, err := wordOf(token, key, segment)
	return err == nil && word == e.Word
}

// wordOf is what the technician compares.
func wordOf(token enroll.Token, key *ecdsa.PrivateKey, segment ed25519.PrivateKey) (string, error) {
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", err
	}
	return enroll.Word(sha256.Sum256(token.Secret[:]), sha256.Sum256(spki), segment.Public().(ed25519.PublicKey)), nil
}

func readKeys(a localdb.Attempt) (*ecdsa.PrivateKey, ed25519.PrivateKey, error) {
	any, err := x509.ParsePKCS8PrivateKey(a.TLSKey)
	key, ok := any.(*ecdsa.PrivateKey)
	if err != nil || !ok || len(a.SegmentSeed) != ed25519.SeedSize {
		return nil, nil, faultf("enroll: the keys in the gate's file cannot be read")
	}
	return key, ed25519.NewKeyFromSeed(a.SegmentSeed), nil
}
