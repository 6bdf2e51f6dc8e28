package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that ends at the first interrupt, termination
// or loss of the terminal. From then on the signals act as ever, so a second
// one ends a program that hangs. Call stop when the work is over.
//
// Until then a reader of the output that goes away (| head) is an error of the
// write, not the end of the program on the spot: a gate closes its file.
//
// Commands that only read and print do not need it: the system's own way of
// ending them is right.
func untilSignal(ctx context.Context) (_ context.Context, stop func()) {
	ctx, end := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, end)
	pipe := make(chan os.Signal, 1) // nobody listens: that it is asked for is enough
	signal.Notify(pipe, syscall.SIGPIPE)
	return ctx, func() {
		end()
		signal.Stop(pipe)
	}
}
