package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"checkpoint/trust"
	"checkpoint/verify"
	"github.com/spf13/cobra"
)

func newExplainCommand(a *app) *cobra.Command {
	var at, loose string
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain [FILE|-]",
		Short: "Explain the verdict on one text, check by check",
		Long: "Judge the text of one code and show every check in order (passed, failed or\n" +
			"not reached), the key that was used and the age of each list.\n\n" +
			"The text comes from a file or from standard input, never as an argument:\n" +
			"every user of the machine can see arguments.",
		Example: `# The text of a code in a file
checkpoint explain --at 2026-11-23T08:00:00Z code.txt

# From a picture
checkpoint read code.png | checkpoint explain

# Against keys of your own, as JSON
checkpoint explain --json --insecure-trust trust.json - <code.txt`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := configOf(c)
			if err != nil {
				return err
			}
			file := "-"
			if len(args) == 1 {
				file = args[0]
			}
			text, err := a.oneText(file)
			if err != nil {
				return err
			}
			j, err := a.judgeOf(c.Context(), cfg, at, loose)
			if err != nil {
				return err
			}
			return a.explain(j, file, text, asJSON)
		},
	}
	c.Flags().StringVar(&at, "at", "", "judge as of this time (RFC 3339) instead of now")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	c.Flags().StringVar(&loose, "insecure-trust", "", "unsigned trust snapshot (JSON) to judge by")
	settingFlags(c, "db", "venue_type", "trust_key")
	return c
}

// oneText is the text of one code out of a file or standard input, without the
// line end after it.
func (a *app) oneText(file string) ([]byte, error) {
	var data []byte
	var err error
	if file == "-" {
		data, err = io.ReadAll(io.LimitReader(a.in, maxTextLine+2))
	} else {
		data, err = readBounded(file, trust.MaxBytes)
	}
	if err != nil {
		return nil, faultf("read the text: %w", err)
	}
	data = bytes.TrimRight(data, "\r\n")
	switch {
	case len(data) == 0:
		return nil, faultf("%s: there is no text", file)
	case bytes.HasPrefix(data, []byte("\x89PNG")) || bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		return nil, faultf("%s is a picture: checkpoint read %s | checkpoint explain", file, file)
	case len(data) > maxTextLine:
		return nil, faultf("%s: longer than any code (%d bytes)", file, maxTextLine)
	case bytes.ContainsAny(data, "\r\n"):
		return nil, faultf("%s: more than one line: checkpoint scan --texts judges many", file)
	}
	return data, nil
}

// trustReport is what explain and trust show say about the snapshot in use.
type trustReport struct {
	Version uint64       `json:"version"`
	Issued  time.Time    `json:"issued"`
	Signer  *string      `json:"signer"` // null: not signed
	Lists   []listReport `json:"lists"`
}

type listReport struct {
	Name      string    `json:"name"`
	Issued    time.Time `json:"issued,omitzero"`
	Confirmed time.Time `json:"confirmed,omitzero"`
	AgeS      int64     `json:"age_s"`
	Entries   int       `json:"entries"`
}

func trustOf(s *trust.Snapshot, signer string, now time.Time) *trustReport {
	r := &trustReport{Version: s.Version, Issued: s.Issued, Lists: []listReport{}}
	if signer != "" {
		r.Signer = &signer
	}
	for _, l := range s.Ages(now) {
		r.Lists = append(r.Lists, listReport{l.List, l.Issued, l.Confirmed, int64(l.Age / time.Second), l.Entries})
	}
	return r
}

func (t *trustReport) lines(b *strings.Builder) {
	by := "nobody: not signed"
	if t.Signer != nil {
		by = "key " + *t.Signer + ", pinned"
		if strings.HasPrefix(*t.Signer, rootName) {
			by = "the signers of " + *t.Signer
		}
	}
	fmt.Fprintf(b, "trust      version %d of %s, signed by %s\n", t.Version, t.Issued.Format(time.RFC3339), by)
	for _, l := range t.Lists {
		fmt.Fprintf(b, "  %-12s %6d entries, %s old", l.Name, l.Entries, age(time.Duration(l.AgeS)*time.Second))
		if !l.Issued.IsZero() {
			fmt.Fprintf(b, ", dated %s", l.Issued.Format(time.RFC3339))
		}
		b.WriteByte('\n')
	}
}

// age is a length of time in the two largest units.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d days %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

func (a *app) explain(j judge, file string, text []byte, asJSON bool) error {
	at := j.at()
	start := time.Now()
	v := j.check.Check(text, at)
	r := judged(file, &symbolReport{Index: 1}, 0, time.Since(start), v, at)
	r.Trust = trustOf(j.trust, j.signer, at.Time)
	var err error
	if asJSON {
		err = printJSON(a.out, r)
	} else {
		_, err = io.WriteString(a.out, r.lines(at))
	}
	if err == nil && !r.Admit {
		err = silent(exitNotAdmitted)
	}
	return err
}

// lines is the report for people: the answer first, then how it came.
func (r scanReport) lines(at verify.Instant) string {
	var b strings.Builder
	fmt.Fprintf(&b, "verdict    %s %s (%s)\n", mark(r.Verdict), strings.ToUpper(r.Verdict), r.Reason)
	if r.Action != "" {
		fmt.Fprintf(&b, "action     %s\n", r.Action)
	}
	fmt.Fprintf(&b, "format     %s, signature %s\n", r.Format, r.Signature)
	if r.Issuer != nil {
		fmt.Fprintf(&b, "issuer     %s\n", *r.Issuer)
	}
	if r.ValidUntil != nil {
		fmt.Fprintf(&b, "until      %s\n", r.ValidUntil.Format(time.RFC3339))
	}
	fmt.Fprintf(&b, "clock      %s, %s\n", at.Time.UTC().Format(time.RFC3339), r.Clock)
	b.WriteString("checks\n")
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "  %-12s %-20s %s\n", strings.ReplaceAll(c.State, "_", " "), c.Name, c.Detail)
	}
	r.Trust.lines(&b)
	return b.String()
}
