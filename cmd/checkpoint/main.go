package main

import (
	"context"
	"io"
	"os"
	"time"

	"charm.land/fang/v2"
	"github.com/spf13/cobra"
)

func main() {
	os.Exit(newApp().run(context.Background(), os.Args[1:]))
}

// app is what every command gets from outside: the three streams and the wall
// clock. Commands hold no other way to the world than these, the files they
// are told of and the devices of the configuration.
type app struct {
	in  io.Reader
	out io.Writer
	err io.Writer
	now func() time.Time

	pace pace // of a gate with its hub; zero: package uplink's
}

func newApp() *app {
	return &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, now: time.Now}
}

// run executes one command line and returns the exit status. A failure is one
// line on a.err, whatever it was.
func (a *app) run(ctx context.Context, args []string) int {
	if err := a.misused(args); err != nil {
		return a.report(asUsage(err))
	}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)

	// A command's own error does not pass through cobra: fang asks the terminal
	// for its background before it prints one, and a fault of the device is no
	// time to write questions to a serial console. It also makes the border
	// plain: an error that cobra returns is about the command line.
	var failed error
	eachCommand(root, func(c *cobra.Command) {
		inner := c.RunE
		if inner == nil {
			return
		}
		c.RunE = func(c *cobra.Command, args []string) error {
			failed = inner(c, args)
			return nil
		}
	})
	err := fang.Execute(ctx, root,
		fang.WithVersion(version()),
		fang.WithColorSchemeFunc(fang.AnsiColorScheme),
		fang.WithErrorHandler(func(io.Writer, fang.Styles, error) {}))
	if err != nil {
		failed = asUsage(err)
	}
	return a.report(failed)
}

// misused is what cobra would say is wrong with a command line, asked of a tree
// that is thrown away: for the same reason, fang is to see no error of cobra's.
// The commands that cobra and fang add by themselves are left to them.
func (a *app) misused(args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "help", "man", "completion", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd:
			return nil
		}
	}
	root := a.rootCommand()
	root.Version = version() // or there is no --version
	c, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	c.InitDefaultHelpFlag()
	c.InitDefaultVersionFlag()
	if err := c.ParseFlags(rest); err != nil {
		return c.FlagErrorFunc()(c, err)
	}
	if help, _ := c.Flags().GetBool("help"); help {
		return nil
	}
	if err := c.ValidateArgs(c.Flags().Args()); err != nil {
		return usagef("%s: %w (see %s --help)", c.CommandPath(), err, c.CommandPath())
	}
	return nil
}

func eachCommand(c *cobra.Command, do func(*cobra.Command)) {
	do(c)
	for _, sub := range c.Commands() {
		eachCommand(sub, do)
	}
}
