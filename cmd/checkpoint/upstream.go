package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"checkpoint/enroll"
	"checkpoint/gate"
	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/trust"
	"checkpoint/trust/tuf"
	"checkpoint/uplink"
	"checkpoint/verify"
)

// upstream is what an enrolled gate has and a gate alone has not: a hub that
// takes its rows and gives it trust. Everything here is in its own time; the
// gate judges and records without it.
type upstream struct {
	s       *station
	client  *uplink.Client
	loop    *uplink.Loop
	trust   *tuf.Client
	segment ed25519.PrivateKey
	figures figures

	cert  atomic.Pointer[tls.Certificate]
	state atomic.Pointer[uplink.State]
	next  atomic.Pointer[gate.Trust] // for the gate to take

	refused tuf.Why // what was said last of trust that was not taken
	told    uint64  // version whose useless keys were named

	mu      sync.Mutex
	enrol   localdb.Enrolment
	stop    context.CancelFunc
	stopped chan struct{}
}

// openUpstream opens the way to the hub that the gate's file knows of, nil when
// it knows of none.
func (s *station) openUpstream(ctx context.Context) (*upstream, error) {
	enrol, ok, err := s.db.Enrolment(ctx)
	if err != nil || !ok {
		return nil, err
	}
	u := &upstream{s: s, enrol: enrol}
	if err := u.keys(enrol); err != nil {
		return nil, fmt.Errorf("enrolment: %w", err)
	}
	if u.trust, err = tuf.Open(ctx, repository{s}, enrol.FirstRoot, func() time.Time { return s.clock.At().Time }); err != nil {
		return nil, fmt.Errorf("kept trust: %w", err)
	}
	if err := u.trust.Damage(); err != nil {
		s.log.Error("kept trust is damaged: what is older holds until the hub is reached", "error", err)
	}
	if u.client, err = uplink.New(u.clientConfig()); err != nil {
		return nil, err
	}
	return u, nil
}

// joinUpstream makes an enrolled gate one of its hub's; beginUpstream, when all
// else is ready, lets it call. What is kept of the enrolment and cannot be read
// stops a start: a technician must know.
func (s *station) joinUpstream(ctx context.Context) error {
	up, err := s.openUpstream(ctx)
	if err != nil {
		return faultf("%w", err)
	}
	if s.up = up; up == nil {
		return nil
	}
	s.closers = append(s.closers, func() error { up.end(); return nil })
	return nil
}

// beginUpstream begins to send and fetch, unless a stick does that.
func (s *station) beginUpstream(ctx context.Context) error {
	if s.up == nil || s.cfg.Upload == "stick" {
		return nil
	}
	if err := s.up.run(ctx); err != nil {
		return faultf("%w", err)
	}
	return nil
}

// keys reads the certificate and the keys of an enrolment.
func (u *upstream) keys(e localdb.Enrolment) error {
	key, err := x509.ParsePKCS8PrivateKey(e.TLSKey)
	if err != nil {
		return fmt.Errorf("TLS key: %w", err)
	}
	if len(e.SegmentSeed) != ed25519.SeedSize {
		return fmt.Errorf("segment key of %d bytes", len(e.SegmentSeed))
	}
	if len(e.Chain) == 0 {
		return errors.New("no certificate")
	}
	leaf, err := x509.ParseCertificate(e.Chain[0])
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	u.segment = ed25519.NewKeyFromSeed(e.SegmentSeed)
	u.cert.Store(&tls.Certificate{Certificate: e.Chain, PrivateKey: key, Leaf: leaf})
	return nil
}

func (u *upstream) clientConfig() uplink.Config {
	return uplink.Config{
		URL: u.enrol.URL, Version: version(), Proxy: u.s.cfg.proxy(),
		Pins: u.pins, Certificate: u.cert.Load, Clock: u.clock, ReceiptKeys: u.receiptKeys,
	}
}

// clock is the guarded time, and whether certificates' dates can be judged by it.
func (u *upstream) clock() (time.Time, bool) {
	at := u.s.clock.At()
	return at.Time, at.Quality > verify.ClockEstimated
}

// pins are the hub CA's key that the token named, and its successors that
// signed trust names.
func (u *upstream) pins() [][32]byte { return pinsOf(u.enrolment().Pin, u.trust.Snapshot()) }

func pinsOf(first [32]byte, held *trust.Snapshot) [][32]byte {
	pins := [][32]byte{first}
	if held != nil {
		for _, ca := range held.HubCA {
			pins = append(pins, ca.SPKI)
		}
	}
	return pins
}

func (u *upstream) receiptKeys() (keys []ed25519.PublicKey) {
	if snapshot := u.trust.Snapshot(); snapshot != nil {
		for _, k := range snapshot.ReceiptKeys {
			keys = append(keys, k.Key)
		}
	}
	return keys
}

func (u *upstream) enrolment() localdb.Enrolment {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.enrol
}

// run begins the loop; end ends it.
func (u *upstream) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	loop, err := uplink.NewLoop(uplink.LoopConfig{
		Hub: u.client, Outbox: outbox{u}, Clock: u.clock, Log: u.s.log,
		Report: u.report, Orders: u.orders, Trust: u.refresh, Lifetime: u.lifetime, Renew: u.renew,
		Destroyed: u.destroyed, State: func(s uplink.State) { u.heard(ctx, s) },
		HubTime:       func(ms int64) { u.s.clock.Heard(time.UnixMilli(ms)) },
		Interval:      time.Duration(u.enrol.IntervalS) * time.Second,
		TrustInterval: u.s.pace.trust, Start: u.s.pace.start, Spread: u.s.pace.spread,
	})
	if err != nil {
		stop()
		return err
	}
	u.loop, u.stop = loop, stop
	u.stopped = make(chan struct{})
	go func() {
		defer close(u.stopped)
		loop.Run(ctx)
	}()
	return nil
}

// end ends the loop, when it runs, and the connections.
func (u *upstream) end() {
	if u.stop != nil {
		u.stop()
		<-u.stopped
	}
	u.client.Close()
}

// heard takes the loop's state. What the hub thinks of this gate is kept: a
// start without a line says it, too.
func (u *upstream) heard(ctx context.Context, s uplink.State) {
	u.state.Store(&s)
	e := u.enrolment()
	is := e.State
	switch s.Waiting {
	case uplink.WaitRevoked:
		is = "revoked"
	case uplink.WaitConfirm:
		is = "pending"
	}
	if is == e.State {
		return
	}
	e.State = is
	if err := u.keep(ctx, e); err != nil && ctx.Err() == nil {
		u.s.log.Error("what the hub said of this gate", "error", err)
	}
}

// line is what the gate's header shows; until the hub was heard, what it said
// last.
func (u *upstream) line() gate.Line {
	e := u.enrolment()
	l := gate.Line{Enrolled: true, Revoked: e.State == "revoked"}
	pending := e.State == "pending"
	if s := u.state.Load(); s != nil {
		l.Online, l.OfflineSince, l.Problem = s.Online, s.OfflineSince, s.Problem
		l.Revoked = l.Revoked || s.Waiting == uplink.WaitRevoked
		pending = pending || s.Waiting == uplink.WaitConfirm
	}
	if pending && !l.Revoked {
		// What the gate worked out by itself: it never shows what a hub said.
		l.Word = spaced(e.Word)
	}
	return l
}

// spaced writes six digits as two groups of three.
func spaced(word string) string {
	if len(word) != 6 {
		return word
	}
	return word[:3] + " " + word[3:]
}

// report says how the gate is.
func (u *upstream) report(ctx context.Context) (enroll.Report, error) {
	at, stamp := u.s.clock.At(), u.s.stamp()
	status, err := u.s.db.Status(stamp)
	if err != nil {
		return enroll.Report{}, err
	}
	r := enroll.Report{
		Version: build(), Time: at.Time.UTC(), Clock: at.Quality.String(),
		Last: status.Last, Waiting: status.Waiting, Poison: status.Poison, Unrecorded: status.Unrecorded,
		DiskUsed: status.Share, DiskDays: status.DaysLeft,
	}
	if status.OldestMS > 0 {
		r.OldestS = max(0, int(at.Time.Sub(time.UnixMilli(status.OldestMS))/time.Second))
	}
	if snapshot := u.trust.Snapshot(); snapshot != nil {
		r.Trust, r.Ages = snapshot.Version, make(map[string]int)
		for _, a := range snapshot.Ages(at.Time) {
			r.Ages[a.List] = int(a.Age / time.Second)
		}
	}
	u.figures.report(&r)
	return r, nil
}

// orders takes what the hub wants of this gate: its state, its place, its pace.
func (u *upstream) orders(ctx context.Context, o enroll.Orders) error {
	e := u.enrolment()
	moved := e.Gate != o.Gate || e.Venue != o.Venue || e.VenueType != o.VenueType
	if !moved && e.State == o.State && e.IntervalS == o.Interval {
		return nil
	}
	e.State, e.Gate, e.Venue, e.VenueType, e.IntervalS = o.State, o.Gate, o.Venue, o.VenueType, o.Interval
	if err := u.keep(ctx, e); err != nil {
		return err
	}
	if moved {
		u.s.log.Info("the hub moved this gate", "gate", e.Gate, "venue", e.Venue, "venue_type", e.VenueType)
		u.offer()
	}
	return nil
}

// keep stores an enrolment, then lets it hold.
func (u *upstream) keep(ctx context.Context, e localdb.Enrolment) error {
	if err := u.s.db.Enrol(ctx, u.s.stamp(), e); err != nil {
		return fmt.Errorf("keep the enrolment: %w", err)
	}
	u.mu.Lock()
	u.enrol = e
	u.mu.Unlock()
	return nil
}

// refresh brings trust down from the hub.
func (u *upstream) refresh(ctx context.Context) error {
	_, err := u.follow(ctx, u.client)
	return err
}

// follow takes trust from where it is. What is refused is said once a cause, in
// the rows and the log, however often it comes again; what holds goes on to
// hold.
func (u *upstream) follow(ctx context.Context, from tuf.Fetcher) (changed bool, err error) {
	changed, err = u.trust.Refresh(ctx, from)
	var no *tuf.Refused
	switch {
	case errors.As(err, &no):
		if no.Why != u.refused {
			u.refused = no.Why
			u.s.sayRefused(ctx, no, no.Why.Alarm())
		}
	case err == nil:
		u.refused = ""
	}
	if changed {
		u.took(ctx)
	}
	return changed, err
}

// took makes trust that was installed the one that holds.
func (u *upstream) took(ctx context.Context) {
	if snapshot := u.trust.Snapshot(); snapshot != nil {
		if snapshot.Version != u.told { // a newer date alone leaves nothing out
			u.told = snapshot.Version
			u.s.sayLeftOut(snapshot)
		}
		u.s.eraseDestroyed(ctx, snapshot)
	}
	u.offer()
}

// offer lays what holds now before the gate, which takes it within a second.
func (u *upstream) offer() {
	snapshot := u.trust.Snapshot()
	if snapshot == nil {
		return
	}
	t := u.held(snapshot)
	u.next.Store(&t)
}

// held is a snapshot as the gate takes it, with the place that it goes by.
func (u *upstream) held(snapshot *trust.Snapshot) gate.Trust {
	e := u.enrolment()
	t := trustIn(snapshot, e.VenueType)
	t.Name, t.Venue, t.VenueType = e.Gate, e.Venue, e.VenueType
	return t
}

// newTrust is gate.Config.NewTrust of an enrolled gate.
func (u *upstream) newTrust(context.Context) (gate.Trust, bool) {
	if t := u.next.Swap(nil); t != nil {
		return *t, true
	}
	return gate.Trust{}, false
}

// destroyed says whether signed trust has destroyed a day, and erases what the
// gate still has of it.
func (u *upstream) destroyed(ctx context.Context, day string) (bool, error) {
	snapshot := u.trust.Snapshot()
	if snapshot == nil {
		return false, nil
	}
	for _, k := range snapshot.DayKeys.Keys {
		if k.ID == day && k.Destroyed {
			_, err := u.s.db.EraseDay(ctx, u.s.stamp(), day)
			return err == nil, err
		}
	}
	return false, nil
}

// eraseDestroyed erases the rows of every day that signed trust has destroyed.
func (s *station) eraseDestroyed(ctx context.Context, snapshot *trust.Snapshot) {
	for _, k := range snapshot.DayKeys.Keys {
		if !k.Destroyed {
			continue
		}
		n, err := s.db.EraseDay(ctx, s.stamp(), k.ID)
		if err != nil {
			s.log.Error("rows of a destroyed day could not be erased", "day", k.ID, "error", err)
		} else if n > 0 {
			s.log.Info("rows of a destroyed day are erased", "day", k.ID, "rows", n)
		}
	}
}

// lifetime is that of the certificate.
func (u *upstream) lifetime() (from, until time.Time, ok bool) {
	leaf := u.cert.Load().Leaf
	return leaf.NotBefore, leaf.NotAfter, true
}

// renew gets a new certificate for a new key. The old one is used until the new
// one is on the disk.
func (u *upstream) renew(ctx context.Context, expired bool) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	grant, err := u.askAnew(ctx, key, expired)
	if err != nil {
		return err
	}
	e := u.enrolment()
	if err := granted(&e, grant, u.s.db.Identity().Device, key); err != nil {
		return err
	}
	if err := u.keep(ctx, e); err != nil {
		return err
	}
	u.s.log.Info("the certificate was renewed")
	return u.keys(e)
}

// askAnew asks the hub for a certificate for key. When its answer gets lost, the
// next one may be asked for with the same certificate and another key.
func (u *upstream) askAnew(ctx context.Context, key *ecdsa.PrivateKey, expired bool) (enroll.Grant, error) {
	device, old := u.s.db.Identity().Device, u.cert.Load()
	if !expired {
		request, err := enroll.NewRequest(nil, device, key, u.segment, build())
		if err != nil {
			return enroll.Grant{}, err
		}
		return u.client.Renew(ctx, request)
	}
	oldKey, ok := old.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return enroll.Grant{}, errors.New("the old TLS key is no ECDSA key")
	}
	request, err := enroll.NewExpiredRequest(device, key, u.segment, old.Leaf, oldKey, build())
	if err != nil {
		return enroll.Grant{}, err
	}
	return u.client.RenewExpired(ctx, request)
}

// granted puts a grant into an enrolment, if it is for this device and key.
func granted(e *localdb.Enrolment, g enroll.Grant, device [16]byte, key *ecdsa.PrivateKey) error {
	leaf, err := x509.ParseCertificate(g.Chain[0])
	if err != nil {
		return fmt.Errorf("%w: certificate: %w", enroll.ErrGrant, err)
	}
	named, err := enroll.DeviceOf(leaf)
	if err != nil || named != device {
		return fmt.Errorf("%w: its certificate names another device", enroll.ErrGrant)
	}
	if public, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(&key.PublicKey) {
		return fmt.Errorf("%w: its certificate is for another key", enroll.ErrGrant)
	}
	if e.TLSKey, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return fmt.Errorf("TLS key: %w", err)
	}
	e.Chain = g.Chain
	e.State, e.Gate, e.Venue, e.VenueType, e.IntervalS = g.State, g.Gate, g.Venue, g.VenueType, g.Interval
	return nil
}

// outbox is the gate's file as the loop sees it.
type outbox struct{ u *upstream }

func (o outbox) NextCut(ctx context.Context, all bool) (record.Cut, bool, error) {
	c, ok, err := o.u.s.db.NextCut(ctx, all, o.u.sign)
	return c, ok, lost(c, err)
}

// lost says of a segment that cannot be made again that it is this one, not
// those after it.
func lost(c record.Cut, err error) error {
	if errors.Is(err, localdb.ErrDamaged) && c.Number > 0 {
		return fmt.Errorf("%w: %w", uplink.ErrLost, err)
	}
	return err
}

func (o outbox) Settle(ctx context.Context, r record.Receipt, raw []byte) error {
	return o.u.s.db.Settle(ctx, o.u.s.stamp(), r, raw)
}

func (o outbox) SetAside(ctx context.Context, c record.Cut, why string, newEpoch bool) error {
	return o.u.s.db.SetAside(ctx, o.u.s.stamp(), c, why, newEpoch)
}

// sign signs a segment's digest; record says what is signed.
func (u *upstream) sign(digest [32]byte) [ed25519.SignatureSize]byte {
	return record.SignSegment(digest, u.segment)
}

// repository is the gate's file as package tuf keeps its generations in it.
type repository struct{ s *station }

func (r repository) Generations(ctx context.Context) ([]tuf.Generation, error) {
	kept, err := r.s.db.Repositories(ctx)
	return generations(kept), err
}

func generations(kept []localdb.Repository) []tuf.Generation {
	all := make([]tuf.Generation, len(kept))
	for i, k := range kept {
		all[i] = tuf.Generation{Version: k.Version, Issued: time.UnixMilli(k.IssuedMS).UTC(), Anchor: time.UnixMilli(k.AnchorMS).UTC()}
		for _, f := range k.Files {
			all[i].Files = append(all[i].Files, tuf.File{Name: f.Name, Bytes: f.Bytes})
		}
	}
	return all
}

func (r repository) Keep(ctx context.Context, g tuf.Generation) error {
	k := localdb.Repository{Version: g.Version, IssuedMS: g.Issued.UnixMilli(), AnchorMS: g.Anchor.UnixMilli()}
	for _, f := range g.Files {
		k.Files = append(k.Files, localdb.RepositoryFile{Name: f.Name, Bytes: f.Bytes})
	}
	if err := r.s.db.InstallRepository(ctx, r.s.stamp(), k); err != nil {
		return err
	}
	r.s.clock.Anchored(g.Anchor)
	return nil
}
