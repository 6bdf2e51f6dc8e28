package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func newGateCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "gate [command]",
		Short: "List, confirm, move and revoke gates",
		Example: `# Those that need somebody first
hub gate list

# The six digits on the gate's screen are those that the hub shows
hub gate confirm B3 "204 815"

# Stolen: what arrives from now on is kept aside
hub gate revoke B3`,
		Args: cobra.ArbitraryArgs,
		RunE: group,
	}
	c.AddCommand(newGateListCommand(a), newGateShowCommand(a), newGateInviteCommand(a), newGateConfirmCommand(a), newGateMoveCommand(a), newGateRevokeCommand(a))
	return c
}

// gateEntry is a gate as /v1/admin/gates tells of it.
type gateEntry struct {
	Name      string     `json:"name"`
	Venue     string     `json:"venue"`
	VenueType string     `json:"venue_type"`
	State     string     `json:"state"`
	Needs     []string   `json:"needs"`
	Seen      *time.Time `json:"seen"`
	CertUntil *time.Time `json:"certificate_until"`
	Word      string     `json:"word"`
}

// pageOf is one page of a list.
type pageOf struct {
	Entries []json.RawMessage `json:"entries"`
	Next    string            `json:"next"`
}

// list asks for every page of a list.
func (o *office) list(ctx context.Context, path string, query url.Values, each func(json.RawMessage) error) error {
	query.Set("limit", "1000")
	for {
		var p pageOf
		if err := o.ask(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &p); err != nil {
			return err
		}
		for _, raw := range p.Entries {
			if err := each(raw); err != nil {
				return err
			}
		}
		if p.Next == "" {
			return nil
		}
		query.Set("cursor", p.Next)
	}
}

// lister prints a list: a table for people, or the hub's own JSON, one entry a
// line.
type lister struct {
	out   io.Writer
	json  bool
	table *tabwriter.Writer
}

func (a *app) newLister(asJSON bool, heads ...string) *lister {
	l := &lister{out: a.out, json: asJSON}
	if !asJSON {
		l.table = tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(l.table, strings.Join(heads, "\t"))
	}
	return l
}

func (l *lister) row(raw json.RawMessage, cells ...string) error {
	if l.json {
		_, err := fmt.Fprintf(l.out, "%s\n", raw)
		return err
	}
	for i := range cells {
		if cells[i] = oneLine(cells[i]); cells[i] == "" {
			cells[i] = "-"
		}
	}
	_, err := fmt.Fprintln(l.table, strings.Join(cells, "\t"))
	return err
}

func (l *lister) end() error {
	if l.json {
		return nil
	}
	return l.table.Flush()
}

func when(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func newGateListCommand(a *app) *cobra.Command {
	var asJSON bool
	var venues []string
	c := &cobra.Command{
		Use:   "list",
		Short: "List gates, those that need somebody first",
		Example: `hub gate list
hub gate list --venue Mall --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withOffice(c, func(ctx context.Context, at *office) error {
				l := a.newLister(asJSON, "NAME", "VENUE", "TYPE", "STATE", "SEEN", "NEEDS")
				err := at.list(ctx, pathAdmin+"gates", url.Values{"order": {"needs"}, "venue": venues}, func(raw json.RawMessage) error {
					var g gateEntry
					if err := json.Unmarshal(raw, &g); err != nil {
						return faultf("the hub's answer cannot be read: %w", err)
					}
					return l.row(raw, g.Name, g.Venue, g.VenueType, g.State, when(g.Seen), strings.Join(g.Needs, ","))
				})
				if err != nil {
					return err
				}
				return l.end()
			})
		},
	}
	officeFlags(c, a)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	c.Flags().StringArrayVar(&venues, "venue", nil, "only of this venue; several times")
	return c
}

func newGateShowCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:     "show NAME",
		Short:   "Print all that the hub knows of a gate, as JSON",
		Example: `hub gate show B3`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withOffice(c, func(ctx context.Context, at *office) error {
				var g json.RawMessage
				if err := at.ask(ctx, http.MethodGet, pathAdmin+"gates/"+escaped(args[0]), nil, &g); err != nil {
					return noGate(err, args[0])
				}
				_, err := fmt.Fprintf(a.out, "%s\n", g)
				return err
			})
		},
	}
	officeFlags(c, a)
	return c
}

// noGate says which gate it is that is not there.
func noGate(err error, name string) error {
	if word(err) == "not_found" {
		return refusedf("there is no gate %s, or it is not yours: hub gate list", name)
	}
	return err
}

func newGateInviteCommand(a *app) *cobra.Command {
	var o tokenOptions
	c := &cobra.Command{
		Use:     "invite NAME",
		Short:   "Make a new code for a gate that is there: not enrolled, or revoked",
		Example: `hub gate invite B3`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.name = args[0]
			return a.withOffice(c, func(ctx context.Context, at *office) error { return a.invite(ctx, at, o) })
		},
	}
	officeFlags(c, a)
	tokenFlags(c, &o)
	return c
}

// gateOrder is one order about one gate.
func (a *app) gateOrder(c *cobra.Command, name, order string, body any, said string) error {
	return a.withOffice(c, func(ctx context.Context, at *office) error {
		var g gateEntry
		err := at.ask(ctx, http.MethodPost, pathAdmin+"gates/"+escaped(name)+"/"+order, body, &g)
		if word(err) == "state" {
			return refusedf("%s is not in a state for that: hub gate list", name)
		}
		if err != nil {
			return noGate(err, name)
		}
		_, err = fmt.Fprintf(a.out, "%s: %s\n", oneLine(g.Name), said)
		return err
	})
}

func newGateConfirmCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "confirm NAME WORD",
		Short: "Say that the six digits on a gate's screen are its own",
		Long: "Say that a gate which enrolled from a sheet is the one that you stand before:\n" +
			"WORD is the six digits on its screen. When the hub knows others, another device\n" +
			"has used the sheet: revoke the gate.",
		Example: `hub gate confirm B3 "204 815"`,
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return a.gateOrder(c, args[0], "confirm", map[string]string{"word": args[1]}, "active")
		},
	}
	officeFlags(c, a)
	return c
}

func newGateRevokeCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "revoke NAME",
		Short: "End what a gate may do, at once",
		Long: "End what a gate may do, at once: it was stolen, or is taken down. It goes on\n" +
			"scanning; what it sends from now on is kept aside and reaches no log.",
		Example: `hub gate revoke B3`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.gateOrder(c, args[0], "revoke", struct{}{}, "revoked")
		},
	}
	officeFlags(c, a)
	return c
}

func newGateMoveCommand(a *app) *cobra.Command {
	var venue, venueType string
	c := &cobra.Command{
		Use:     "move NAME --venue VENUE",
		Short:   "Move a gate to another venue",
		Example: `hub gate move B3 --venue Mall --venue-type mall`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.gateOrder(c, args[0], "move", map[string]string{"venue": venue, "venue_type": venueType}, "moves to "+oneLine(venue)+" when it reports next")
		},
	}
	officeFlags(c, a)
	c.Flags().StringVar(&venue, "venue", "", "where it stands from now on")
	c.Flags().StringVar(&venueType, "venue-type", "any", "kind of venue, as policies name it")
	if err := c.MarkFlagRequired("venue"); err != nil {
		panic(err) // the flag was made two lines above
	}
	return c
}

func newAlarmsCommand(a *app) *cobra.Command {
	var asJSON, all bool
	c := &cobra.Command{
		Use:   "alarms [close ID]",
		Short: "List what a person must look at, and close it",
		Example: `hub alarms
hub alarms close 7`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) == 2 && args[0] == "close" {
				return nil
			}
			return usagef("hub alarms: want nothing, or close ID")
		},
		RunE: func(c *cobra.Command, args []string) error {
			return a.withOffice(c, func(ctx context.Context, at *office) error {
				if len(args) == 2 {
					err := at.ask(ctx, http.MethodPost, pathAdmin+"alarms/"+escaped(args[1])+"/close", struct{}{}, nil)
					if word(err) == "not_found" {
						return refusedf("there is no open alarm %s", args[1])
					}
					return err
				}
				return a.alarms(ctx, at, asJSON, all)
			})
		},
	}
	officeFlags(c, a)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	c.Flags().BoolVar(&all, "all", false, "also those that are closed")
	return c
}

type alarmEntry struct {
	ID    string     `json:"id"`
	Kind  string     `json:"kind"`
	Gate  string     `json:"gate"`
	Venue string     `json:"venue"`
	Text  string     `json:"text"`
	Last  *time.Time `json:"last"`
	Count uint64     `json:"count"`
}

func (a *app) alarms(ctx context.Context, at *office, asJSON, all bool) error {
	l := a.newLister(asJSON, "ID", "KIND", "GATE", "VENUE", "LAST", "TIMES", "WHAT")
	open := "true"
	if all {
		open = "false"
	}
	err := at.list(ctx, pathAdmin+"alarms", url.Values{"open": {open}}, func(raw json.RawMessage) error {
		var e alarmEntry
		if err := json.Unmarshal(raw, &e); err != nil {
			return faultf("the hub's answer cannot be read: %w", err)
		}
		return l.row(raw, e.ID, e.Kind, e.Gate, e.Venue, when(e.Last), fmt.Sprint(e.Count), e.Text)
	})
	if err != nil {
		return err
	}
	return l.end()
}
