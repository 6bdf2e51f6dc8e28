package verify_test

import (
	"fmt"
	"os"
	"time"

	"checkpoint/trust"
	"checkpoint/verify"
)

// A phone shows a gold code at a subway gate.
func Example() {
	data, err := os.ReadFile("../docs/examples/trust.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	snapshot, err := trust.Parse(data)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := os.ReadFile("../docs/examples/credential-dynamic.txt")
	if err != nil {
		fmt.Println(err)
		return
	}
	v := verify.New(snapshot).At("subway")
	for _, at := range []string{"2026-11-23T08:10:20Z", "2026-11-23T08:11:20Z"} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			fmt.Println(err)
			return
		}
		verdict := v.Check(text, verify.Instant{Time: now, Quality: verify.ClockSynced})
		fmt.Println(verdict.Name, verdict.Reason, verdict.Admit(), verify.Action(verdict))
	}
	// Output:
	// pass_gold ok true let through
	// refresh presentation_old false ask to reopen the code
}
