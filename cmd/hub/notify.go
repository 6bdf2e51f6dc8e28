package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

const (
	ready    = daemon.SdNotifyReady
	stopping = daemon.SdNotifyStopping
)

// notify tells systemd, when it has asked to be told (NOTIFY_SOCKET).
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("service manager not told", "state", state, "error", err)
	}
}

// notify says that the hub is ready when it is, and from then on, when a
// watchdog was asked for (WATCHDOG_USEC), that it lives. It says so when the
// process turns, not when the store answers: a restart mends no database, and
// would cut off the gates that wait for it.
func (o *operator) notify(ctx context.Context, log *slog.Logger) {
	notify(log, ready)
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("watchdog not understood", "error", err)
	}
	if every <= 0 {
		return
	}
	tick := time.NewTicker(every / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			notify(log, daemon.SdNotifyWatchdog)
		}
	}
}
