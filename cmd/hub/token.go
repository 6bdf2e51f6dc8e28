package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"checkpoint/decode"
)

func newTokenCommand(a *app) *cobra.Command {
	var o tokenOptions
	c := &cobra.Command{
		Use:   "token NAME",
		Short: "Make a gate, and the code that enrols it",
		Long: "Make a gate, and the one-time code that the gate's own camera reads: as a QR\n" +
			"code on this screen, or as a picture. It holds 15 minutes, with --sheet (to be\n" +
			"printed) 7 days; a gate from a sheet is pending until somebody has compared its\n" +
			"six digits (hub gate confirm). For a gate that is there and not enrolled, a new\n" +
			"code is made and the older ones end.\n\n" +
			"In a pipe the code's text alone goes to standard output. Whoever has the code\n" +
			"can be that gate.",
		Example: `# On this screen
hub token B3 --venue "Line 2 Xizhimen" --venue-type subway

# As a picture, for a printed sheet
hub token B3 --venue "Line 2 Xizhimen" --venue-type subway --sheet --png b3.png

# Once more, for a gate that has not enrolled yet
hub token B3

# At a hub elsewhere, by a technician
hub token B3 --venue Mall --venue-type mall --hub https://hub.example:8443 --cert me.pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.name = args[0]
			return a.withOffice(c, func(ctx context.Context, at *office) error { return a.token(ctx, at, o) })
		},
	}
	officeFlags(c, a)
	c.Flags().StringVar(&o.venue, "venue", "", "where the gate stands")
	c.Flags().StringVar(&o.venueType, "venue-type", "", "kind of venue, as policies name it (default any)")
	tokenFlags(c, &o)
	return c
}

// tokenFlags are those that gate invite has too.
func tokenFlags(c *cobra.Command, o *tokenOptions) {
	c.Flags().BoolVar(&o.sheet, "sheet", false, "for a printed sheet: 7 days, and the gate is pending until confirmed")
	c.Flags().StringVar(&o.png, "png", "", "write the QR code to a picture that must not exist yet")
	c.Flags().DurationVar(&o.ttl, "ttl", 0, "how long the code holds (default 15m, with --sheet 168h)")
}

type tokenOptions struct {
	name, venue, venueType string
	sheet                  bool
	png                    string
	ttl                    time.Duration
}

// withOffice does one thing at the hub that the flags name.
func (a *app) withOffice(c *cobra.Command, do func(context.Context, *office) error) error {
	at, err := a.reach(c)
	if err != nil {
		return err
	}
	return errors.Join(do(c.Context(), at), at.Close())
}

// withHub does one thing at the hub of this machine.
func (a *app) withHub(c *cobra.Command, do func(context.Context, *office) error) error {
	at, err := a.reachHere(c)
	if err != nil {
		return err
	}
	return errors.Join(do(c.Context(), at), at.Close())
}

// invitation is the answer to a gate that was made or invited again.
type invitation struct {
	Gate    string    `json:"gate"`
	Code    string    `json:"code"`
	Expires time.Time `json:"expires"`
	Sheet   bool      `json:"sheet"`
}

func (a *app) token(ctx context.Context, at *office, o tokenOptions) error {
	if o.ttl < 0 || o.ttl%time.Second != 0 {
		return usagef("--ttl: want whole seconds")
	}
	if o.venue == "" {
		if o.venueType != "" {
			return usagef("--venue-type goes with --venue")
		}
		return a.invite(ctx, at, o)
	}
	if o.venueType == "" {
		o.venueType = "any"
	}
	var t invitation
	err := at.ask(ctx, http.MethodPost, pathAdmin+"gates", map[string]any{
		"name": o.name, "venue": o.venue, "venue_type": o.venueType, "sheet": o.sheet, "ttl_s": int(o.ttl / time.Second),
	}, &t)
	if word(err) != "exists" {
		if err != nil {
			return err
		}
		return a.showCode(t, o)
	}
	var g gateEntry
	if err := at.ask(ctx, http.MethodGet, pathAdmin+"gates/"+escaped(o.name), nil, &g); err != nil {
		return err
	}
	if g.Venue != o.venue || g.VenueType != o.venueType {
		return refusedf("%s is there already, at %s (%s): move it with hub gate move, or take another name", o.name, g.Venue, g.VenueType)
	}
	return a.invite(ctx, at, o)
}

// invite makes a new code for a gate that is there.
func (a *app) invite(ctx context.Context, at *office, o tokenOptions) error {
	var t invitation
	err := at.ask(ctx, http.MethodPost, pathAdmin+"gates/"+escaped(o.name)+"/invite", map[string]any{"sheet": o.sheet, "ttl_s": int(o.ttl / time.Second)}, &t)
	switch word(err) {
	case "not_found":
		return refusedf("there is no gate %s yet: say where it stands, with --venue and --venue-type", o.name)
	case "state":
		return refusedf("%s is enrolled: revoke it first (hub gate revoke), or take another name", o.name)
	}
	if err != nil {
		return err
	}
	return a.showCode(t, o)
}

// showCode shows a code: on a terminal as a QR code with its text, in a pipe
// as the text.
func (a *app) showCode(t invitation, o tokenOptions) error {
	m, err := decode.Encode([]byte(t.Code), decode.LevelL)
	if err != nil {
		return faultf("draw the code: %w", err)
	}
	if o.png != "" {
		picture, err := pngOf(m)
		if err != nil {
			return faultf("draw the code: %w", err)
		}
		if err := writeNew(o.png, picture, 0o600); err != nil {
			return faultf("the gate is made, but its picture is not: %w; make another code: hub token %s", err, o.name)
		}
	}
	screen, ok := a.out.(*os.File)
	ok = ok && term.IsTerminal(int(screen.Fd()))
	if ok && o.png == "" {
		width, height, err := term.GetSize(int(screen.Fd()))
		if need := m.Size + 2*quiet; err == nil && (width < need || height < need/2+4) {
			fmt.Fprintf(a.err, "hub: this terminal is too small to show the code (it needs %d×%d): make it larger, or use --png\n", need, need/2+4)
		}
		if _, err := io.WriteString(a.out, blocksOf(m)); err != nil {
			return err
		}
	}
	how := "show it to the gate: checkpoint enroll --scan"
	if t.Sheet {
		how = "print it; the gate then shows six digits: compare them, hub gate confirm " + o.name + " WORD"
	}
	fmt.Fprintf(a.err, "hub: gate %s: this code holds once, until %s; %s\n", oneLine(t.Gate), t.Expires.Format(time.RFC3339), how)
	if o.png != "" {
		fmt.Fprintf(a.err, "hub: the picture is %s; whoever has it can be this gate\n", oneLine(o.png))
		return nil
	}
	_, err = fmt.Fprintln(a.out, t.Code)
	return err
}
