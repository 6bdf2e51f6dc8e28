package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// rootCommand is the whole tree of commands.
func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "hub [command]",
		Short: "Take what gates recorded, and tell them what to trust",
		Long: "Take what gates recorded, answer with receipts, and tell the gates what to\n" +
			"trust. One program, one data directory; SQLite inside it, or PostgreSQL when\n" +
			"several hubs stand side by side. It opens no sealed row and holds no key that\n" +
			"could.",
		Example: `# Try it on one machine: this hub holds all keys
hub init --demo
hub serve

# A real one: the signers' keys stay with the signers
hub init --name hub.example
hub serve

# A code for a gate, on this screen
hub token B3 --venue "Line 2 Xizhimen" --venue-type subway`,
		Args: cobra.ArbitraryArgs,
		RunE: group,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%v (see %s --help)", err, c.CommandPath())
	})
	root.AddCommand(
		newInitCommand(a),
		newServeCommand(a),
		newTokenCommand(a),
		newGateCommand(a),
		newAlarmsCommand(a),
		newUserCommand(a),
		newPublishCommand(a),
		newStickCommand(a),
		newCACommand(a),
		newMigrateCommand(a),
		newBackupCommand(a),
		newRestoreCommand(a),
		newBenchCommand(a),
	)
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
