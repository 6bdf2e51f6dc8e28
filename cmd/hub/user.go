package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func newUserCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "user [command]",
		Short: "Make, list and revoke the certificates of people",
		Example: `# Reads what happened in one venue
hub user add "Wang Li" --role manager --venue "Line 2 Xizhimen" --out wang.pem

# Sets up gates everywhere
hub user add chen --role technician --out chen.pem

hub user revoke chen`,
		Args: cobra.ArbitraryArgs,
		RunE: group,
	}
	c.AddCommand(newUserAddCommand(a), newUserListCommand(a), newUserRevokeCommand(a))
	return c
}

func newUserAddCommand(a *app) *cobra.Command {
	var p newPerson
	var out, csr string
	c := &cobra.Command{
		Use:   "add NAME --role ROLE",
		Short: "Make a certificate for a person, new or known",
		Long: "Make a certificate for a person: the role and the venues stand in it. A\n" +
			"certificate that the person had before holds no more.\n\n" +
			"  manager       reads what happened in the venues\n" +
			"  technician    sets up gates of the venues\n" +
			"  headquarters  all of it, everywhere\n\n" +
			"The file holds certificate, CA and private key, for programs of this project;\n" +
			"the key is kept nowhere else. With --csr the key stays where the request was\n" +
			"made. Only on the hub's own machine.",
		Example: `hub user add chen --role technician --venue Mall --out chen.pem

# The person's own key stays with the person
openssl ecparam -genkey -name prime256v1 -noout -out chen.key
openssl req -new -key chen.key -subj /CN=chen -out chen.csr
hub user add chen --role technician --csr chen.csr --out chen.pem

# For a browser
openssl pkcs12 -export -in chen.pem -out chen.p12`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			p.Name = args[0]
			return a.withHub(c, func(ctx context.Context, at *office) error { return a.addUser(ctx, at, p, csr, out) })
		},
	}
	hereFlags(c, a)
	c.Flags().StringVar(&p.Role, "role", "", "manager, technician or headquarters")
	c.Flags().StringArrayVar(&p.Venues, "venue", nil, "a venue of the person; several times; none: all")
	c.Flags().IntVar(&p.Days, "days", 0, "how long it holds, 1 to 398 days (default 90)")
	c.Flags().StringVar(&csr, "csr", "", "certificate request (PEM, P-256) of the person's own key")
	c.Flags().StringVar(&out, "out", "", "file to write, which must not exist yet (default standard output, unless that is a terminal)")
	if err := c.MarkFlagRequired("role"); err != nil {
		panic(err) // the flag was made above
	}
	return c
}

// hereFlags are those of commands for the hub's own machine.
func hereFlags(c *cobra.Command, a *app) {
	officeFlags(c, a)
	for _, f := range []string{"hub", "cert"} {
		c.Flags().Lookup(f).Hidden = true // so that it can be said why not
	}
}

func (a *app) addUser(ctx context.Context, at *office, p newPerson, csr, out string) error {
	if f, ok := a.out.(*os.File); out == "" && ok && term.IsTerminal(int(f.Fd())) {
		return usagef("user add: want --out FILE: a private key is not for a screen")
	}
	if out != "" {
		if _, err := os.Lstat(out); err == nil {
			return usagef("user add: %s is there already and is not written over", out)
		}
	}
	if csr != "" {
		text, err := readBounded(csr, maxBundle)
		if err != nil {
			return faultf("--csr: %w", err)
		}
		block, _ := pem.Decode(text)
		if block == nil || !strings.HasSuffix(block.Type, "CERTIFICATE REQUEST") {
			return faultf("--csr: %s is not a certificate request in PEM", csr)
		}
		p.CSR = block.Bytes
	}
	var made struct {
		PEM string `json:"pem"`
	}
	if err := at.ask(ctx, http.MethodPost, pathPeople, p, &made); err != nil {
		return err
	}
	if out == "" {
		_, err := fmt.Fprint(a.out, made.PEM)
		return err
	}
	if err := writeNew(out, []byte(made.PEM), 0o600); err != nil {
		return faultf("%s is added, but the file is not written: %w; do it again", oneLine(p.Name), err)
	}
	_, err := fmt.Fprintf(a.err, "hub: %s is %s; the certificate is in %s\n", oneLine(p.Name), p.Role, oneLine(out))
	return err
}

type personEntry struct {
	Name    string     `json:"name"`
	Role    string     `json:"role"`
	Venues  []string   `json:"venues"`
	Until   *time.Time `json:"certificate_until"`
	Revoked bool       `json:"revoked"`
}

func newUserListCommand(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List people",
		Example: `hub user list`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withOffice(c, func(ctx context.Context, at *office) error {
				l := a.newLister(asJSON, "NAME", "ROLE", "VENUES", "UNTIL", "")
				var p pageOf
				if err := at.ask(ctx, http.MethodGet, pathAdmin+"people", nil, &p); err != nil {
					return err
				}
				for _, raw := range p.Entries {
					var e personEntry
					if err := json.Unmarshal(raw, &e); err != nil {
						return faultf("the hub's answer cannot be read: %w", err)
					}
					venues, state := "all", ""
					if len(e.Venues) > 0 {
						venues = strings.Join(e.Venues, ", ")
					}
					if e.Revoked {
						state = "revoked"
					}
					if err := l.row(raw, e.Name, e.Role, venues, when(e.Until), state); err != nil {
						return err
					}
				}
				return l.end()
			})
		},
	}
	officeFlags(c, a)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return c
}

func newUserRevokeCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:     "revoke NAME",
		Short:   "End what a person may do, at once",
		Example: `hub user revoke chen`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withOffice(c, func(ctx context.Context, at *office) error {
				err := at.ask(ctx, http.MethodPost, pathAdmin+"people/"+url.PathEscape(args[0])+"/revoke", struct{}{}, nil)
				if word(err) == "not_found" {
					return refusedf("there is no person %s: hub user list", args[0])
				}
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.out, "%s: revoked\n", oneLine(args[0]))
				return err
			})
		},
	}
	officeFlags(c, a)
	return c
}
