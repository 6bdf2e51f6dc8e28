package verify

// Action is the one next action for the guard, in English, for programs that
// print verdicts. Screens have their own catalogue.
func Action(v Verdict) string {
	switch v.Name {
	case Pass, PassGold:
		return "let through"
	case NoCheck:
		return "let through, no code is asked for"
	case CheckID:
		return "compare with the identity card, then let through"
	case More:
		switch v.Reason {
		case TestTooOld:
			return "ask for a newer negative test"
		case VaccinationTooOld:
			return "ask for a test or another certificate"
		case NotAcceptedHere:
			return "ask for another code"
		}
		return "ask for another proof"
	case Amber:
		return "refuse entry, send to test; emergency care is never refused"
	case Red:
		return "lead to the isolation point, do not let go, call the number"
	case Refresh:
		if v.Reason == PresentationMissing {
			return "ask to open the code in the app, a picture does not count"
		}
		return "ask to reopen the code"
	case NotOurs:
		return "ask for a health code"
	case Invalid:
		return "refuse, the code is not genuine or is broken; check by hand"
	case IssuerFault:
		return "check by hand and report the issuer's fault"
	case Device:
		return "call the technician, use the manual card"
	}
	return "check by hand"
}
