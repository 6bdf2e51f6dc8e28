package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"checkpoint/hub"
)

func newInitCommand(a *app) *cobra.Command {
	var o initOptions
	c := &cobra.Command{
		Use:   "init",
		Short: "Make the data directory of a new hub",
		Long: "Make the data directory of a new hub: a CA, the key that signs receipts, the two\n" +
			"keys that keep the trust repository fresh, and a store. What gates trust is signed\n" +
			"by others, with keys that never come here: init says what they must do next\n" +
			"(docs/ceremony.md), and hub publish push takes what they signed.\n\n" +
			"With --demo this hub makes all those keys itself, in demo-offline/, with an\n" +
			"issuer, day keys and a policy that lets everything in: for trying, on one machine.\n\n" +
			"The directory must not exist or be empty. Nothing is ever written over.",
		Example: `# For trying: everything at once
hub init --demo

# A real one
hub init --name hub.example --name 192.0.2.7

# A second hub on the same PostgreSQL: a copy of the first one's keys
hub init --name hub2.example --store @/etc/checkpoint-hub/store --keys /media/stick/keys`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := a.directory(c)
			if err != nil {
				return err
			}
			cfg := defaultConfig()
			if store := a.env("CHECKPOINT_HUB_STORE"); store != "" {
				o.address = store
			}
			if o.demo {
				cfg.Interval = span(demoInterval)
			}
			cfg.flags(c)
			cfg.dir = dir
			return a.init(c.Context(), cfg, o)
		},
	}
	settingFlags(c, a, "name", "url", "listen", "ops", "store", "interval", "retention-days", "log")
	c.Flags().BoolVar(&o.demo, "demo", false, "make all keys here, for trying only")
	c.Flags().StringVar(&o.keys, "keys", "", "copy keys/ of another hub on the same store, instead of making new ones")
	c.Flags().StringVar(&o.trust, "trust", "", "publish what a ceremony's folder holds at once; with --keys")
	return c
}

// demoInterval is the upload interval of a hub for trying: somebody watches.
const demoInterval = 3 * time.Second

type initOptions struct {
	demo        bool
	keys, trust string
	address     string // of the store, when hub.toml is not to name it
}

func (a *app) init(ctx context.Context, cfg config, o initOptions) error {
	ctx, stop := untilTold(ctx)
	defer stop()
	if len(cfg.Names) == 0 && o.demo {
		cfg.Names = []string{"localhost", "127.0.0.1"}
	}
	if err := cfg.check(); err != nil {
		return usagef("%w", err)
	}
	if _, err := cfg.address(); err != nil {
		return err
	}
	if err := cfg.storable(); err != nil {
		return err
	}
	switch {
	case o.demo && (o.keys != "" || o.trust != ""):
		return usagef("--demo makes its own keys and trust: it does not go with --keys or --trust")
	case o.trust != "" && o.keys == "":
		return usagef("--trust: new keys are made at this moment, and no signer can have signed for them yet: " +
			"init without it, hold the ceremony (docs/ceremony.md), then hub publish push FOLDER")
	}
	if err := a.makeHub(ctx, cfg, o); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	return a.afterInit(cfg, o)
}

// makeHub makes the data directory.
func (a *app) makeHub(ctx context.Context, cfg config, o initOptions) error {
	written := cfg // what hub.toml says
	if o.address != "" {
		cfg.Store = o.address
	}
	return newPlace(cfg.dir, func(stage string) error {
		cfg.dir = stage
		if err := a.makeKeys(cfg, o); err != nil {
			return err
		}
		if err := writeNew(cfg.path(fileConfig), renderConfig(written), 0o600); err != nil {
			return faultf("%w", err)
		}
		if err := a.migrateStore(ctx, cfg); err != nil {
			return err
		}
		if o.demo {
			return a.makeDemo(ctx, cfg)
		}
		keys, err := hub.LoadKeys(cfg.path(dirKeys), hub.KeyOptions{Now: a.now})
		if err != nil {
			return faultf("keys: %w", err)
		}
		if err := beginCeremony(cfg.path(dirSigners), keys, a.now()); err != nil {
			return faultf("%w", err)
		}
		return a.firstTrust(ctx, cfg, o)
	})
}

// makeKeys makes keys, or copies those of another hub.
func (a *app) makeKeys(cfg config, o initOptions) error {
	if o.keys == "" {
		if err := hub.InitKeys(cfg.path(dirKeys), hub.KeyOptions{Now: a.now}); err != nil {
			return faultf("%w", err)
		}
		return nil
	}
	if _, err := hub.LoadKeys(o.keys, hub.KeyOptions{Now: a.now}); err != nil {
		return faultf("--keys: %w", err)
	}
	if err := os.Mkdir(cfg.path(dirKeys), 0o700); err != nil {
		return faultf("%w", err)
	}
	err := filepath.WalkDir(o.keys, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := readBounded(path, maxFile)
		if err != nil {
			return err
		}
		return writeNew(cfg.path(dirKeys, d.Name()), data, 0o600)
	})
	if err != nil {
		return faultf("--keys: %w", err)
	}
	return nil
}

// firstTrust publishes what the signers have signed already. A store that holds
// another hub's trust, which these keys cannot keep fresh, is refused.
func (a *app) firstTrust(ctx context.Context, cfg config, o initOptions) error {
	h, err := a.openHub(ctx, cfg, nil)
	if err != nil {
		return err
	}
	err = a.publishFirst(ctx, h, o)
	return errors.Join(err, h.store.Close())
}

func (a *app) publishFirst(ctx context.Context, h *operator, o initOptions) error {
	names, err := h.store.ListTrust(ctx)
	if err != nil {
		return faultf("%w", err)
	}
	if len(names) > 0 && o.keys == "" {
		return refusedf("the store is another hub's: to stand beside it, init with --keys and a copy of its keys/")
	}
	if o.trust == "" {
		return nil
	}
	files, err := repoOf(o.trust)
	if err != nil {
		return faultf("--trust: %w", err)
	}
	byName := map[string][]byte{}
	for _, f := range files {
		byName[f.Name] = f.Bytes
	}
	if err := h.hub.Publish(ctx, byName); err != nil {
		return refusedf("--trust: %w", err)
	}
	return nil
}

// afterInit says what was made, and what is next.
func (a *app) afterInit(cfg config, o initOptions) error {
	where := ""
	if cfg.dir != a.defaultDir() {
		where = " --dir " + cfg.dir
	}
	address, err := cfg.address()
	if err != nil {
		return err
	}
	var text string
	switch {
	case o.demo:
		text = fmt.Sprintf(`A hub for trying is in %s. It HOLDS ALL KEYS, those of the
signers, the custodians and the issuer too: never let it judge real people.

Next:
  hub serve%s
  hub token B3 --venue Mall --venue-type mall%s | checkpoint enroll --token-file -
  checkpoint run --headless --source dir:%s
`, cfg.dir, where, where, cfg.path(dirDemo, "codes"))
	case o.keys != "":
		text = fmt.Sprintf("A hub with the keys of another is in %s, for %s.\n\nNext:\n  hub serve%s\n", cfg.dir, address, where)
	default:
		text = fmt.Sprintf(`A hub is in %s, for %s. It may not tell gates what to trust before
the signers have spoken. What they need to know of it, public keys only, is in
  %s

Next (docs/ceremony.md tells it step by step):
  1. carry that folder to the signers; roles.json has places for their public keys:
       every holder, once, on a machine without a network:  hub publish key root-1
  2. fill in plain/: issuers.json, policy.json, daykeys.json, revoked/
  3. for root, targets, daykeys, revoked in this order:
       hub publish draft ROLE FOLDER
       hub publish sign FOLDER/drafts/ROLE.json --key FILE    by enough holders
  4. bring the folder back:  hub publish push FOLDER%s
  5. hub serve%s

Keep keys/ as you keep a CA: back it up with hub backup.
`, cfg.dir, address, cfg.path(dirSigners), where, where)
	}
	_, err = fmt.Fprint(a.out, text)
	return err
}
