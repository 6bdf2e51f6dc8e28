package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newMigrateCommand(a *app) *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the store up to this version of the program",
		Long: "Bring the store up to this version of the program. No hub does so by itself,\n" +
			"SQLite or PostgreSQL: hub serve refuses an older store and names this command,\n" +
			"so that there is a moment for a backup. Stop the hubs on it first. A store that\n" +
			"is up to date is left as it is; one of a newer program is not touched.\n\n" +
			"Exit status with --check: 0 up to date, 3 not.",
		Example: `hub migrate --check
hub migrate`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.configOf(c)
			if err != nil {
				return err
			}
			return a.migrate(c.Context(), cfg, check)
		},
	}
	settingFlags(c, a, "store")
	c.Flags().BoolVar(&check, "check", false, "say whether it must be done, and do nothing")
	return c
}

func (a *app) migrate(ctx context.Context, cfg config, check bool) error {
	if at, err := a.reachBySocket(ctx, cfg); err != nil {
		return err
	} else if at != nil {
		at.Close()
		return faultf("a hub serves from %s: stop it first", cfg.dir)
	}
	if !check {
		if err := a.migrateStore(ctx, cfg); err != nil {
			return err
		}
	}
	s, err := a.openStore(ctx, cfg)
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return faultf("close the store: %w", err)
	}
	_, err = fmt.Fprintf(a.out, "%s is up to date\n", cfg.storeWord())
	return err
}
