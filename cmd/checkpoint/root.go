package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// rootCommand is the whole tree of commands.
func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "checkpoint [command]",
		Short: "Check health codes at a gate",
		Long: "Check health codes at a gate: camera or hand scanner in, one verdict out,\n" +
			"with no network. Everything it trusts is signed data; everything it does is\n" +
			"a row in one file.",
		Example: `# See it without hardware, keys or network
checkpoint demo

# Run a gate
checkpoint run --config /etc/checkpoint/checkpoint.toml

# Judge pictures of codes as of a given time
checkpoint scan --at 2026-11-23T08:00:00Z code.png

# Is everything in order here?
checkpoint doctor`,
		Args: cobra.ArbitraryArgs,
		RunE: group,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if strings.HasSuffix(err.Error(), "unknown flag: --insecure-trust") {
			return usagef("%s: --insecure-trust is for scan and explain; a gate takes signed trust: checkpoint trust install FILE", c.CommandPath())
		}
		return usagef("%v (see %s --help)", err, c.CommandPath())
	})
	root.AddCommand(a.commands()...)
	return root
}

// group is the RunE of a command that only holds others: without a word it
// helps, with a word that it does not know it says so.
func group(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	if near := nearest(args[0], names); near != "" {
		return usagef("unknown command %q for %q: did you mean %q?", args[0], c.CommandPath(), near)
	}
	return usagef("unknown command %q for %q: there are %s", args[0], c.CommandPath(), strings.Join(names, ", "))
}

// nearest is the name at the least edit distance from word, else one that begins
// with it; "" when none is near enough to be a typo.
func nearest(word string, names []string) string {
	best, bestDistance := "", min(len(word), len(word)/3+2)
	for _, name := range names {
		if d := distance(word, name); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	for _, name := range names {
		if best == "" && len(word) > 2 && strings.HasPrefix(name, word) {
			best = name
		}
	}
	return best
}

// distance is the Levenshtein distance in bytes. Both words are short: flags
// and keys, at most maxKey bytes are compared.
func distance(a, b string) int {
	const maxKey = 64
	a, b = strings.ToLower(a[:min(len(a), maxKey)]), strings.ToLower(b[:min(len(b), maxKey)])
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
