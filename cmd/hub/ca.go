package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"checkpoint/hub"
)

func newCACommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "ca [command]",
		Short: "Replace the CA by a new one, without a gate losing its way",
		Long: "Replace the CA, which lives ten years, by a new one. Gates know a hub by its CA's\n" +
			"key, so they must know the next before it signs:\n\n" +
			"  1. hub ca next             makes it beside the one that signs; restart the hubs\n" +
			"                             (several on one store: copy keys/ to all)\n" +
			"  2. hub ca targets FOLDER   puts both into a ceremony's plain/; have targets signed\n" +
			"                             and pushed (docs/ceremony.md)\n" +
			"  3. wait until every gate has fetched that, a week at the least\n" +
			"  4. hub ca turn             the next one signs now; restart the hubs\n" +
			"  5. two weeks later remove keys/ca-old.pem, and do 2 again",
		Example: `hub ca next
hub ca targets ceremony
hub ca turn`,
		Args: cobra.ArbitraryArgs,
		RunE: group,
	}
	c.AddCommand(
		a.caStep("next", "Make the CA that will follow", "restart the hubs, then: hub ca targets FOLDER", func(dir string) error {
			return hub.NextCA(dir, hub.KeyOptions{Now: a.now})
		}),
		a.caStep("turn", "Let the next CA sign from now on", "restart the hubs; people need new certificates: hub user add", hub.TurnCA),
		newCATargetsCommand(a))
	return c
}

// caStep is one step on the keys of a data directory.
func (a *app) caStep(name, short, then string, do func(dir string) error) *cobra.Command {
	c := &cobra.Command{
		Use:     name,
		Short:   short,
		Example: "hub ca " + name,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.configOf(c)
			if err != nil {
				return err
			}
			err = do(cfg.path(dirKeys))
			switch {
			case errors.Is(err, hub.ErrKeysExist):
				return refusedf("ca %s: %w", name, err)
			case errors.Is(err, os.ErrNotExist):
				return refusedf("ca %s: there is no next CA yet: hub ca next", name)
			case err != nil:
				return faultf("ca %s: %w", name, err)
			}
			_, err = fmt.Fprintf(a.out, "done; now %s\n", then)
			return err
		},
	}
	dirFlag(c, a)
	return c
}

func newCATargetsCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:     "targets FOLDER",
		Short:   "Put this hub's receipt key and CAs into a ceremony's plain/",
		Example: "hub ca targets ceremony",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := a.configOf(c)
			if err != nil {
				return err
			}
			keys, err := hub.LoadKeys(cfg.path(dirKeys), hub.KeyOptions{Now: a.now})
			if err != nil {
				return faultf("keys: %w", err)
			}
			targets, err := keys.TrustTargets(a.now())
			if err != nil {
				return faultf("keys: %w", err)
			}
			for name, b := range targets {
				if err := replaceFile(filepath.Join(args[0], dirPlain, name), b); err != nil {
					return faultf("ca targets: %w", err)
				}
			}
			_, err = fmt.Fprintf(a.out, "receipt-keys.json and hub-ca.json are in %s; now: hub publish draft targets %s\n", oneLine(filepath.Join(args[0], dirPlain)), oneLine(args[0]))
			return err
		},
	}
	dirFlag(c, a)
	return c
}
