package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"checkpoint/hub"
	"checkpoint/hub/store"
	"checkpoint/trust/tuf"
)

func newBackupCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write all that this hub is into one file",
		Long: "Write data, CA and keys into one file: a tar that ends with its checksums, mode\n" +
			"0600. It is not encrypted, and whoever has it can be this hub: keep it as you\n" +
			"keep the keys. It works beside a serving hub, SQLite too: then the hub itself\n" +
			"writes it, of one moment. The file stands when it is whole, or not at all.",
		Example: `hub backup /mnt/safe/hub-2026-11-25.tar

# Encrypted on the way, for another machine
hub backup - | age -r age1… >hub.tar.age`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withHub(c, func(ctx context.Context, at *office) error { return a.backup(ctx, at, args[0]) })
		},
	}
	hereFlags(c, a)
	return c
}

func (a *app) backup(ctx context.Context, at *office, name string) (err error) {
	ctx, stop := untilTold(ctx)
	defer stop()
	out, part := a.out, ""
	if name != "-" {
		if _, err := os.Lstat(name); err == nil {
			return usagef("backup: %s is there already and is not written over", name)
		}
		part = name + ".part"
		f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return faultf("backup: %w", err)
		}
		defer func() {
			f.Close()
			if err != nil {
				_ = os.Remove(part) // half a backup helps nobody
			}
		}()
		out = f
	}
	response, err := at.send(ctx, http.MethodGet, pathBackup, "", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	size, err := io.Copy(out, response.Body)
	if err != nil {
		return faultf("backup: it was cut off after %d bytes: %w; the hub's log says why", size, err)
	}
	if part != "" {
		if err := settle(part, name); err != nil {
			return faultf("backup: %w", err)
		}
	}
	fmt.Fprintf(a.err, "hub: %d bytes. THE KEYS ARE IN IT, not encrypted: whoever has it can be this hub\n", size)
	return nil
}

// settle looks at what was written as restore would, puts it on the medium and
// gives it its name.
func settle(part, name string) error {
	whole, err := openArchive(part)
	if err != nil {
		return err
	}
	err = errors.Join(whole.file.Sync(), whole.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(part, name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func newRestoreCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a hub of a backup, in an empty place",
		Long: "Make a hub of a backup. The file is checked from its beginning to its end before\n" +
			"anything is written. The data directory must not exist or be empty, and so must\n" +
			"the store: with --store, a hub moves between SQLite and PostgreSQL this way.\n\n" +
			"What came after the backup is not in it: gates have receipts for that and do not\n" +
			"send it again. Each such gate shows as a gap (hub alarms). Snapshot and timestamp\n" +
			"of the trust are signed anew, with versions above all that gates can have seen;\n" +
			"lists that were published after the backup must be pushed again.",
		Example: `hub restore /mnt/safe/hub-2026-11-25.tar

# From SQLite to PostgreSQL
hub backup old.tar
hub restore old.tar --dir /var/lib/checkpoint-hub2 --store @/etc/checkpoint-hub/store`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := a.directory(c)
			if err != nil {
				return err
			}
			address := ""
			if f := c.Flags().Lookup("store"); f.Changed {
				address = f.Value.String()
			}
			return a.restore(c.Context(), args[0], dir, address)
		},
	}
	settingFlags(c, a, "store")
	return c
}

func (a *app) restore(ctx context.Context, name, dir, address string) error {
	ctx, stop := untilTold(ctx)
	defer stop()
	from, err := openArchive(name)
	if err != nil {
		return faultf("restore: %w", err)
	}
	defer from.Close()
	cfg := defaultConfig()
	if err := parseConfig(from.files[fileConfig], &cfg); err != nil {
		return faultf("restore: %s in the backup: %w", fileConfig, err)
	}
	if address != "" {
		cfg.Store = address
		if err := cfg.storable(); err != nil {
			return err
		}
	}
	err = newPlace(dir, func(stage string) error {
		cfg.dir = stage
		if err := from.place(cfg); err != nil {
			return faultf("%w", err)
		}
		if _, err := hub.LoadKeys(cfg.path(dirKeys), hub.KeyOptions{Now: a.now}); err != nil {
			return faultf("the backup's keys: %w", err)
		}
		return a.load(ctx, cfg, from)
	})
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	cfg.dir = dir
	_, err = fmt.Fprintf(a.out, "restored what was on %s, into %s; store %s\n", from.Made.Format(time.RFC3339), dir, cfg.storeWord())
	return err
}

// place writes the backup's files and the configuration.
func (a *archive) place(cfg config) error {
	for name, data := range a.files {
		if name == fileManifest || name == fileConfig {
			continue
		}
		path := cfg.path(filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := writeNew(path, data, 0o600); err != nil {
			return err
		}
	}
	return writeNew(cfg.path(fileConfig), renderConfig(cfg), 0o600)
}

// load loads the store's dump into an empty store.
func (a *app) load(ctx context.Context, cfg config, from *archive) error {
	s, err := a.newStore(ctx, cfg)
	if err != nil {
		return err
	}
	dump := from.dump()
	err = store.Load(ctx, s, dump)
	dump.Close()
	if err == nil {
		err = a.overtake(ctx, cfg, s)
	}
	err = errors.Join(err, s.Close())
	switch {
	case errors.Is(err, store.ErrExists):
		return refusedf("the store %s is not empty, and nothing is written over", cfg.storeWord())
	case errors.Is(err, store.ErrNewer):
		return refusedf("the backup is from a newer hub (%s): install that first", from.Version)
	case err != nil:
		return faultf("%w; make the store empty before you try again", err)
	}
	return nil
}

// overtake signs snapshot and timestamp with versions above all that gates can
// have seen since the backup was made: they refuse what is lower.
func (a *app) overtake(ctx context.Context, cfg config, s store.Store) error {
	generation, err := s.TrustGeneration(ctx)
	if err != nil {
		return err
	}
	names, err := s.ListTrust(ctx)
	if err != nil || len(names) == 0 {
		return err
	}
	var files []tuf.File
	for _, name := range names {
		b, err := s.TrustFile(ctx, name)
		if err != nil {
			return err
		}
		files = append(files, tuf.File{Name: name, Bytes: b})
	}
	keys, err := hub.LoadKeys(cfg.path(dirKeys), hub.KeyOptions{Now: a.now})
	if err != nil {
		return err
	}
	now := a.now()
	made, err := tuf.Online{Snapshot: keys.Snapshot, Timestamp: keys.Timestamp, Least: tuf.LeastAfterRestore(now)}.Resign(files, now)
	if err != nil {
		// What was published before the backup may have expired: then nothing is
		// signed, here or by the hub, until its signers push anew.
		fmt.Fprintf(a.err, "hub: the trust in the backup cannot be signed anew: %s\n", oneLine(err.Error()))
		return nil
	}
	var put []store.TrustFile
	for _, f := range made {
		put = append(put, store.TrustFile{Name: f.Name, Bytes: f.Bytes})
	}
	_, err = s.PutTrust(ctx, generation, put, nil)
	return err
}
