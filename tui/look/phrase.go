package look

import "checkpoint/verify"

// Phrase is one thing that is said, in Chinese and in English. Written without
// keys, a phrase that lacks a language does not compile.
type Phrase struct{ ZH, EN string }

// In is the phrase in one language.
func (p Phrase) In(l Lang) string {
	if l == English {
		return p.EN
	}
	return p.ZH
}

// Zero reports that nothing is said.
func (p Phrase) Zero() bool { return p == Phrase{} }

// Word is a verdict's word. The English one is in capitals and breaks between
// words only.
func Word(n verify.Name) Phrase {
	if int(n) >= len(words) {
		n = verify.NoVerdict
	}
	return words[n]
}

var words = [13]Phrase{
	verify.NoVerdict:   {"设备", "DEVICE"},
	verify.Pass:        {"通行", "PASS"},
	verify.PassGold:    {"通行", "PASS +"},
	verify.CheckID:     {"核对证件", "CHECK ID"},
	verify.More:        {"还需", "MORE"},
	verify.Amber:       {"禁入", "NO ENTRY"},
	verify.Red:         {"隔离", "ISOLATE"},
	verify.Refresh:     {"刷新", "REFRESH"},
	verify.NotOurs:     {"非本码", "NOT OURS"},
	verify.Invalid:     {"无效", "INVALID"},
	verify.IssuerFault: {"发码异常", "ISSUER"},
	verify.Device:      {"设备", "DEVICE"},
	verify.NoCheck:     {"免验", "NO CHECK"},
}
