package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"checkpoint/decode"
	"checkpoint/healthcode"
	"checkpoint/hub"
	"checkpoint/trust"
	"checkpoint/trust/tuf"
)

// A hub for trying: everything that is elsewhere's stands in demo-offline/.
//
//	root-1.key … targets-1.key … custodian-1.key … revoked-1.key   the signers'
//	issuer.key, issuer.pem                                         who issues codes
//	day-keys/2026-11-25.key                                        headquarters'
//	plain/                                                         the lists
//	codes/*.png, codes/codes.txt                                   papers to hold up
//	NEVER-FOR-REAL-PEOPLE.txt
const (
	demoIssuer = "issuer"
	demoDays   = "day-keys"
	demoNote   = "NEVER-FOR-REAL-PEOPLE.txt"
	demoAhead  = 30 // days for which there are day keys
)

// makeDemo makes all of demo-offline, and publishes its trust.
func (a *app) makeDemo(ctx context.Context, cfg config) error {
	dir := cfg.path(dirDemo)
	err := errors.Join(os.Mkdir(dir, 0o700), os.Mkdir(filepath.Join(dir, demoDays), 0o700), os.Mkdir(filepath.Join(dir, "codes"), 0o700))
	if err != nil {
		return faultf("%w", err)
	}
	note := "This folder holds the keys that a real hub never has. Whoever has it can issue\ncodes, open what gates sealed, and say what gates trust.\n"
	if err := writeNew(filepath.Join(dir, demoNote), []byte(note), 0o600); err != nil {
		return faultf("%w", err)
	}
	for _, h := range holders {
		for n := 1; n <= h.keys; n++ {
			private, _, err := tuf.NewKey()
			if err != nil {
				return faultf("make keys: %w", err)
			}
			if err := writeNew(filepath.Join(dir, fmt.Sprintf("%s-%d.key", h.name, n)), private, 0o600); err != nil {
				return faultf("%w", err)
			}
		}
	}
	issuer, err := makeIssuer(dir)
	if err != nil {
		return faultf("make the issuer's key: %w", err)
	}
	if err := a.demoPlain(cfg, issuer); err != nil {
		return faultf("write the lists: %w", err)
	}
	if err := a.demoCodes(filepath.Join(dir, "codes"), issuer); err != nil {
		return faultf("draw codes: %w", err)
	}
	h, err := a.openHub(ctx, cfg, nil)
	if err != nil {
		return err
	}
	return errors.Join(h.freshDemo(ctx), h.store.Close())
}

// makeIssuer makes the key that issues codes.
func makeIssuer(dir string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	return key, errors.Join(
		writeNew(filepath.Join(dir, demoIssuer+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
		writeNew(filepath.Join(dir, demoIssuer+".pem"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600))
}

// demoRegion is where the demo's issuer may assign colours.
const demoRegion = "CN"

// demoPlain writes the lists: one issuer, everything is taken, lists may be old.
func (a *app) demoPlain(cfg config, issuer *ecdsa.PrivateKey) error {
	keys, err := hub.LoadKeys(cfg.path(dirKeys), hub.KeyOptions{Now: a.now})
	if err != nil {
		return err
	}
	spki, err := x509.MarshalPKIXPublicKey(&issuer.PublicKey)
	if err != nil {
		return err
	}
	kid, err := healthcode.KeyID(&issuer.PublicKey)
	if err != nil {
		return err
	}
	now := a.now().UTC().Truncate(time.Second)
	plain := cfg.path(dirDemo, dirPlain)
	if err := os.MkdirAll(filepath.Join(plain, "revoked"), 0o700); err != nil {
		return err
	}
	files, err := keys.TrustTargets(now)
	if err != nil {
		return err
	}
	for name, v := range map[string]any{
		trust.TargetIssuers: map[string]any{"keys": []trust.IssuerKey{{
			KID: trust.ID(kid), Algorithm: "ES256", SPKI: spki, Name: "DEMO issuer", Country: "CN", Regions: []string{demoRegion},
			Colours: []trust.Colour{trust.Green, trust.Amber, trust.Red, trust.Gold}, NotBefore: now.AddDate(0, 0, -1), NotAfter: now.AddDate(5, 0, 0),
		}}},
		trust.TargetPolicy: map[string]any{"rules": []trust.Policy{{
			From: now.AddDate(-1, 0, 0), Venue: trust.AnyVenue, Formats: []string{"native", "dcc", "ch_light"}, FreshH: 24 * 30, LimitH: 24 * 365,
		}}},
	} {
		if files[name], err = json.MarshalIndent(v, "", "  "); err != nil {
			return err
		}
	}
	for name, b := range files {
		if err := writeNew(filepath.Join(plain, name), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// demoCodes draws papers that a gate of this hub judges, each named for what it
// should say.
func (a *app) demoCodes(dir string, issuer *ecdsa.PrivateKey) error {
	now := a.now()
	base := healthcode.Claims{Issuer: "CN-420100", Issued: now.Add(-time.Minute).Unix(), Expires: now.Add(7*24*time.Hour - 2*time.Minute).Unix(),
		Colour: healthcode.Green, Name: "D*MO", Document: healthcode.Document{Type: 1, Last: "001X"}}
	var texts []byte
	for _, one := range []struct {
		name   string
		change func(*healthcode.Claims)
	}{
		{"1-green", func(*healthcode.Claims) {}},
		{"2-gold", func(c *healthcode.Claims) {
			c.Colour, c.Vaccinated = healthcode.Gold, healthcode.Vaccination{Doses: 2, Last: int32(now.Unix()/86400) - 60}
		}},
		{"3-amber", func(c *healthcode.Claims) { measure(c, healthcode.Amber, healthcode.ReasonTestOverdue, now) }},
		{"4-red", func(c *healthcode.Claims) { measure(c, healthcode.Red, healthcode.ReasonContact, now) }},
		{"5-expired", func(c *healthcode.Claims) {
			c.Issued, c.Expires = now.Add(-48*time.Hour).Unix(), now.Add(-24*time.Hour).Unix()
		}},
	} {
		c := base
		rand.Read(c.CTI[:])     // never fails: crypto/rand ends the program instead
		rand.Read(c.Subject[:]) //
		one.change(&c)
		code, err := healthcode.Sign(rand.Reader, issuer, &c)
		if err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		texts = append(append(texts, code.Text()...), '\n')
		m, err := decode.Encode([]byte(code.Text()), decode.LevelM)
		if err != nil {
			return err
		}
		picture, err := pngOf(m)
		if err != nil {
			return err
		}
		if err := writeNew(filepath.Join(dir, one.name+".png"), picture, 0o600); err != nil {
			return err
		}
	}
	// The same, for hand scanners and pipes.
	return writeNew(filepath.Join(dir, "codes.txt"), texts, 0o600)
}

func measure(c *healthcode.Claims, colour healthcode.Colour, reason uint64, now time.Time) {
	c.Colour, c.Reason, c.Basis, c.Until = colour, reason, "DEMO-1", now.AddDate(0, 0, 7).Unix()
}

// freshDemo does for a demo what its signers would do each day: it makes day
// keys that are missing, and signs every list anew.
func (o *operator) freshDemo(ctx context.Context) error {
	now := o.now().UTC().Truncate(time.Second)
	dir := o.cfg.path(dirDemo)
	if err := demoDayKeys(dir, now); err != nil {
		return faultf("make day keys: %w", err)
	}
	ring := tuf.Keyring{Online: tuf.Online{Snapshot: o.keys.Snapshot, Timestamp: o.keys.Timestamp}}
	byName := map[string]*[]ed25519.PrivateKey{"root": &ring.Root, "targets": &ring.Targets, "custodian": &ring.DayKeys, "revoked": &ring.Revoked}
	for _, h := range holders {
		for n := 1; n <= h.keys; n++ {
			text, err := readBounded(filepath.Join(dir, fmt.Sprintf("%s-%d.key", h.name, n)), maxKey)
			if err != nil {
				return faultf("%w", err)
			}
			key, err := tuf.ParseKey(text)
			if err != nil {
				return faultf("%s-%d.key: %w", h.name, n, err)
			}
			*byName[h.name] = append(*byName[h.name], key)
		}
	}
	repo, err := storedRepo(ctx, o.store)
	if err != nil {
		return faultf("%w", err)
	}
	made, err := ring.Publish(os.DirFS(filepath.Join(dir, dirPlain)), repo, now)
	if err != nil {
		return faultf("sign the demo's trust: %w", err)
	}
	files := map[string][]byte{}
	for _, f := range made {
		files[f.Name] = f.Bytes
	}
	if err := o.hub.Publish(ctx, files); err != nil {
		return faultf("%w", err)
	}
	return nil
}

// demoEvery is how often a demo's lists are signed anew: real ones are twice a
// day, too.
const demoEvery = 6 * time.Hour

// keepDemo keeps the demo's trust as fresh as its signers would, until ctx ends.
func (o *operator) keepDemo(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(demoEvery / 12)
	defer tick.Stop()
	for {
		if err := o.freshenDemo(ctx); err != nil && ctx.Err() == nil {
			log.Error("demo's trust not signed anew", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (o *operator) freshenDemo(ctx context.Context) error {
	repo, err := storedRepo(ctx, o.store)
	if err != nil {
		return err
	}
	if newest := newestOf(repo, tuf.RoleRevoked); newest != nil {
		status, err := tuf.Check(newest.Bytes, repo)
		if err != nil {
			return err
		}
		if since := o.now().Sub(status.Issued); since >= 0 && since < demoEvery {
			return nil
		}
	}
	return o.freshDemo(ctx)
}

// storedRepo is the repository as the store has it.
func storedRepo(ctx context.Context, s keeper) ([]tuf.File, error) {
	names, err := s.ListTrust(ctx)
	if err != nil {
		return nil, err
	}
	var files []tuf.File
	for _, name := range names {
		b, err := s.TrustFile(ctx, name)
		if err != nil {
			return nil, err
		}
		files = append(files, tuf.File{Name: name, Bytes: b})
	}
	return files, nil
}

// demoDayKeys makes the keys of days that have none yet, and the list of all.
func demoDayKeys(dir string, now time.Time) error {
	path := filepath.Join(dir, dirPlain, trust.TargetDayKeys)
	var list struct {
		Keys []trust.DayKey `json:"keys"`
	}
	text, err := readBounded(path, maxFile)
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	have := map[string]bool{}
	for _, k := range list.Keys {
		have[k.ID] = true
	}
	today := now.Truncate(24 * time.Hour)
	for n := -1; n < demoAhead; n++ {
		from := today.AddDate(0, 0, n)
		id := from.Format(time.DateOnly)
		if have[id] {
			continue
		}
		key, err := hpke.MLKEM768X25519().GenerateKey()
		if err != nil {
			return err
		}
		private, err := key.Bytes()
		if err != nil {
			return err
		}
		secret := filepath.Join(dir, demoDays, id+".key")
		if err := os.Remove(secret); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err // one that was never published: the list is written after it
		}
		if err := writeNew(secret, private, 0o600); err != nil {
			return err
		}
		list.Keys = append(list.Keys, trust.DayKey{ID: id, From: from, To: from.AddDate(0, 0, 1), PublicKey: key.PublicKey().Bytes()})
	}
	if text, err = json.MarshalIndent(list, "", "  "); err != nil {
		return err
	}
	return replaceFile(path, text)
}
