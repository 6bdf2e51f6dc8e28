package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// A service manager that asked for it is told; one that did not is not.
func TestServiceManagerIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	ln, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := ln.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	heard := func() string {
		b := make([]byte, 256)
		n, err := ln.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "2000")
	t.Setenv("WATCHDOG_PID", "")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { (&operator{}).notify(ctx, log); close(done) }()
	if got := heard(); got != ready {
		t.Errorf("first %q", got)
	}
	for range 3 {
		if got := heard(); got != "WATCHDOG=1" {
			t.Errorf("then %q", got)
		}
	}
	stop()
	<-done
	notify(log, stopping)
	for got := heard(); got != stopping; got = heard() {
		if got != "WATCHDOG=1" {
			t.Errorf("at last %q", got)
		}
	}

	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	(&operator{}).notify(t.Context(), log)
	if said.Len() > 0 {
		t.Errorf("logged %s", said.String())
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	notify(log, ready)
	if said.Len() == 0 {
		t.Error("a manager that does not hear is not spoken of")
	}
}
