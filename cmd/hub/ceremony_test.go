package main

import (
	"os"
	"strings"
	"testing"
)

// Every line that docs/ceremony.md tells people to type is typed by the story,
// in the same order.
func TestCeremonyIsAsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/ceremony.md")
	if err != nil {
		t.Fatal(err)
	}
	story, err := os.ReadFile("testdata/script/ceremony.txtar")
	if err != nil {
		t.Fatal(err)
	}
	rest, typed := string(story), 0
	for i, part := range strings.Split(string(page), "```") {
		code, isShell := strings.CutPrefix(part, "sh\n")
		if i%2 == 0 || !isShell {
			continue
		}
		for line := range strings.Lines(code) {
			_, after, found := strings.Cut(rest, "\nexec "+strings.TrimSpace(line)+"\n")
			if !found {
				t.Errorf("the story does not type, at its place: %s", line)
				continue
			}
			rest, typed = "\n"+after, typed+1
		}
	}
	if typed < 30 {
		t.Errorf("only %d lines were found", typed)
	}
}
