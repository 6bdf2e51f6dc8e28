package main

import (
	"context"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that ends at the first interrupt, termination
// or loss of the terminal. From then on the signals act as ever, so a second
// one ends a program that hangs. Call stop when the work is over.
//
// Commands that only read and print do not need it: the system's own way of
// ending them is right.
func untilSignal(ctx context.Context) (_ context.Context, stop func()) {
	ctx, stop = signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
