package verify

// Action is the one next action for the guard, in English, for programs that
// print verdicts. Screens have their own catalogue.
func Action(v Verdict) string { return "" }
