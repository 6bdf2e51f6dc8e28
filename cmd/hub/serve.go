package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"checkpoint/hub"
)

func newServeCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve gates and people until it is told to stop",
		Long: "Serve gates and people. Keys of hub.toml in the data directory hold where no\n" +
			"flag says anything. SIGTERM and ctrl-c end it: what was taken is answered first.\n" +
			"SIGHUP does nothing: certificates are made anew by themselves, the rest is read at\n" +
			"the start.\n\n" +
			"With PostgreSQL several hubs serve side by side, each from a data directory of\n" +
			"its own with a copy of keys/. An address with a password belongs into a file\n" +
			"(--store @FILE) or into CHECKPOINT_HUB_STORE: ps shows the command line.\n\n" +
			"While it serves, hub.sock in the data directory is the way for hub token, gate,\n" +
			"user, publish, stick and backup; only the directory's owner can use it.",
		Example: `hub serve

# Several hubs on one database
hub serve --store @/etc/checkpoint-hub/store --name hub.example`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.configOf(c)
			if err != nil {
				return err
			}
			if f := c.Flags().Lookup("store"); f.Changed {
				a.warnPassword(f.Value.String())
			}
			return a.serve(c.Context(), cfg)
		},
	}
	settingFlags(c, a)
	return c
}

// untilTold returns a context that ends at the first interrupt or termination;
// a second one ends the program on the spot. SIGHUP does nothing: a hub that
// was started at a terminal outlives it, as one that log rotation signals.
func untilTold(ctx context.Context) (context.Context, func()) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	signal.Ignore(syscall.SIGHUP)
	return ctx, stop
}

func (a *app) serve(ctx context.Context, cfg config) error {
	ctx, stop := untilTold(ctx)
	defer stop()
	log, closer, err := a.openLog(cfg.Log)
	if err != nil {
		return err
	}
	defer closer.Close()

	socket, err := listenSocket(ctx, cfg.dir)
	if errors.Is(err, errServes) {
		return faultf("%w: %s", err, cfg.dir)
	}
	if err != nil {
		return faultf("listen on %s: %w", cfg.path(fileSocket), err)
	}
	defer socket.Close()
	gates, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return faultf("listen for gates: %w", err)
	}
	defer gates.Close()
	cfg.Listen = gates.Addr().String() // the port, where :0 was asked for
	var ops net.Listener
	if cfg.Ops != "" {
		if ops, err = new(net.ListenConfig).Listen(ctx, "tcp", cfg.Ops); err != nil {
			return faultf("listen for the operator's machines: %w", err)
		}
		defer ops.Close()
	}
	o, err := a.openHub(ctx, cfg, func(c *hub.Config) { c.Log = log })
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(a.out, o.firstLine(ops)); err != nil {
		return errors.Join(err, o.store.Close())
	}
	err = o.serve(ctx, log, gates, ops, socket)
	return errors.Join(err, o.store.Close())
}

// firstLine says all that somebody needs who has just started a hub.
func (o *operator) firstLine(ops net.Listener) string {
	pin := o.keys.Pin()
	parts := []string{"hub " + version(), "gates " + o.url, "store " + o.cfg.storeWord(), "pin " + hex.EncodeToString(pin[:])}
	if ops != nil {
		parts = append(parts, "ops http://"+ops.Addr().String())
	}
	if o.cfg.demo() {
		parts = append(parts, "DEMO: this hub holds all keys and is for trying only")
	}
	return strings.Join(parts, " · ")
}

// serve runs the three servers until ctx ends or one of them fails.
func (o *operator) serve(ctx context.Context, log *slog.Logger, gates, ops, socket net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	failed := make(chan error, 3)
	run := func(f func() error) {
		all.Go(func() {
			if err := f(); err != nil {
				failed <- err
			}
			stop() // none of them serves alone
		})
	}
	var beside []*http.Server
	answer := func(h http.Handler, ln net.Listener) {
		server := operatorServer(h)
		beside = append(beside, server)
		run(func() error { return ignoreClosed(server.Serve(ln)) })
	}
	answer(o.handler(), socket)
	if ops != nil {
		answer(o.hub.Ops(), ops)
	}
	run(func() error { return o.hub.Serve(ctx, gates) })

	all.Go(func() { o.notify(ctx, log) })
	if o.cfg.demo() {
		all.Go(func() { o.keepDemo(ctx, log) })
	}
	<-ctx.Done()
	notify(log, stopping)
	// Commands that wait for an answer get it, for as long as gates do.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	for _, server := range beside {
		if server.Shutdown(end) != nil {
			_ = server.Close() // a backup that takes longer begins again
		}
	}
	all.Wait()
	close(failed)
	var errs []error
	for err := range failed {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return faultf("%w", err)
	}
	return nil
}

// warnPassword says once that a password stands where others can read it.
func (a *app) warnPassword(address string) {
	if _, secret := password(address); secret != "" {
		fmt.Fprintln(a.err, "hub: the store's password stands in the command line, where ps shows it: --store @FILE")
	}
}
