package main

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"checkpoint/hub/store"
	"checkpoint/hub/store/postgres"
	"checkpoint/hub/store/sqlite"
)

// keeper is a store of whatever kind.
type keeper = store.Store

// maxAddress bounds a file with a store's address.
const maxAddress = 4 << 10

// postgres reports whether the store is PostgreSQL.
func (cfg *config) postgres() bool {
	address, err := cfg.storeAddress()
	return err == nil && address != "sqlite"
}

// storeAddress is the store's address, out of its file where there is one.
func (cfg *config) storeAddress() (string, error) {
	address := cfg.Store
	if path, ok := strings.CutPrefix(address, "@"); ok {
		text, err := readBounded(path, maxAddress)
		if err != nil {
			return "", usagef("store: %w", err)
		}
		address = strings.TrimSpace(string(text))
	}
	if address == "sqlite" {
		return address, nil
	}
	// What url.Parse complains of would quote the password.
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Host == "" && u.Query().Get("host") == "" {
		return "", usagef("store: want sqlite, postgres://USER@HOST/NAME, or @FILE that holds such an address")
	}
	return address, nil
}

// storeWord names the store for people: never its password, nor its user.
func (cfg *config) storeWord() string {
	address, err := cfg.storeAddress()
	if err != nil {
		return "unknown"
	}
	if address == "sqlite" {
		return "sqlite " + cfg.path(dirData)
	}
	u, err := url.Parse(address)
	if err != nil {
		return "postgres"
	}
	host := u.Host
	if host == "" {
		host = u.Query().Get("host")
	}
	return "postgres " + host + u.Path
}

// password splits what must not be shown off an address.
func password(address string) (user, secret string) {
	u, err := url.Parse(address)
	if err != nil {
		return "", ""
	}
	secret, _ = u.User.Password()
	if secret == "" {
		secret = u.Query().Get("password")
	}
	return u.User.Username(), secret
}

// scrubbed is an error of a store without the store's password in it.
type scrubbed struct {
	err    error
	secret string
}

func (e *scrubbed) Error() string { return strings.ReplaceAll(e.err.Error(), e.secret, "…") }
func (e *scrubbed) Unwrap() error { return e.err }

func scrub(err error, address string) error {
	if _, secret := password(address); err != nil && secret != "" {
		return &scrubbed{err, secret}
	}
	return err
}

// openStore opens the store of a data directory. One of an older version is
// not touched: hub migrate is a moment that its operator chooses, with a backup.
func (a *app) openStore(ctx context.Context, cfg config) (keeper, error) {
	address, err := cfg.storeAddress()
	if err != nil {
		return nil, err
	}
	var s keeper
	if address == "sqlite" {
		s, err = sqlite.Open(ctx, cfg.path(dirData), sqlite.Options{})
	} else {
		s, err = postgres.Open(ctx, address, postgres.Options{})
	}
	if err != nil {
		return nil, storeFault(cfg, scrub(err, address))
	}
	return s, nil
}

// migrateStore makes a store, or brings it up to date.
func (a *app) migrateStore(ctx context.Context, cfg config) error {
	address, err := cfg.storeAddress()
	if err != nil {
		return err
	}
	if address == "sqlite" {
		err = sqlite.Migrate(ctx, cfg.path(dirData))
	} else {
		err = postgres.Migrate(ctx, address)
	}
	if err != nil {
		return storeFault(cfg, scrub(err, address))
	}
	return nil
}

// newStore opens a store that need not be there yet.
func (a *app) newStore(ctx context.Context, cfg config) (keeper, error) {
	if err := a.migrateStore(ctx, cfg); err != nil {
		return nil, err
	}
	return a.openStore(ctx, cfg)
}

// storeFault says what to do about a store that does not open.
func storeFault(cfg config, err error) error {
	switch {
	case errors.Is(err, store.ErrOlder):
		return faultf("the store is of an older version, or not there: back it up, then run hub migrate --dir %s", cfg.dir)
	case errors.Is(err, store.ErrNewer):
		return faultf("the store is from a newer hub: install that program (this is %s)", version())
	case errors.Is(err, store.ErrInUse):
		return faultf("another process has the store open: %s", cfg.storeWord())
	case errors.Is(err, store.ErrUnfinished):
		return faultf("the store was not restored to its end: empty it, and restore again")
	}
	return faultf("store: %w", err)
}
