package look

import (
	"strings"

	"checkpoint/verify"
)

// Why is the reason in a phrase for the guard.
func Why(r verify.Reason) Phrase {
	if p, ok := why[r]; ok {
		return p
	}
	return Phrase{"原因不明，不予放行", "reason unknown: do not admit"}
}

var why = map[verify.Reason]Phrase{
	verify.OK: {"一切符合", "everything holds"},

	verify.NotAHealthCode:    {"这不是健康码", "this is not a health code"},
	verify.UnsupportedFormat: {"本机不识别此类证书", "a certificate of a kind this gate does not judge"},

	verify.BadBase45:  {"码已损坏", "the code is damaged"},
	verify.BadInflate: {"码已损坏", "the code is damaged"},
	verify.BadCBOR:    {"码的内容不合规", "the code is not well formed"},
	verify.BadCOSE:    {"码的签名格式不合规", "the code is not signed in a proper form"},
	verify.BadJWS:     {"码的签名格式不合规", "the code is not signed in a proper form"},
	verify.BadJSON:    {"码的内容不合规", "the code is not well formed"},
	verify.BadSchema:  {"码的内容自相矛盾", "the code breaks its own rules"},

	verify.KidMissing:          {"码未写明由谁签发", "the code does not say who signed it"},
	verify.UnknownKey:          {"签发者不在名单上", "signed by nobody we know"},
	verify.UnknownKeyListStale: {"本机的签发者名单太旧，无法判断", "this gate's list of signers is too old to tell"},
	verify.IssuerUnknown:       {"不认识这个境外签发者", "an issuer abroad that we do not know"},
	verify.KeyExpired:          {"签发所用的密钥已过期", "signed with a key that had expired"},
	verify.KeyUsage:            {"签发者无权签发此类码", "the signer may not sign this kind"},
	verify.IssuerNotAllowed:    {"签发者无权给出这个颜色或地区", "the issuer may not give this colour or region"},

	verify.BadSignature:       {"签名不符，可能是伪造", "the signature does not hold: perhaps forged"},
	verify.BadHolderSignature: {"手机签名不符", "the phone's signature does not hold"},

	verify.NotYetValid:         {"码尚未生效", "the code is not valid yet"},
	verify.Expired:             {"码已过期", "the code has expired"},
	verify.PresentationMissing: {"这是截图或照片", "a screenshot or a photo"},
	verify.PresentationOld:     {"码显示太久，未刷新", "the code was shown too long ago"},
	verify.PresentationFuture:  {"手机时钟快了", "the phone's clock is ahead"},
	verify.AlreadyUsed:         {"此码刚在这里用过", "this code was used here a moment ago"},

	verify.Revoked:    {"此码已挂失作废", "this code was withdrawn"},
	verify.Superseded: {"此人已有新码", "the person has a newer code"},

	verify.ReasonMissing: {"发码机关未写明原因或依据", "the issuer gave no reason or legal basis"},
	verify.UntilMissing:  {"发码机关未写明期限", "the issuer gave no end, or one too far"},
	verify.Renew:         {"管控期已满，码未更新", "the measure has ended, the code was not renewed"},

	verify.RulesFailed:       {"不符合本场所规定", "does not meet this place's rules"},
	verify.RulesOpen:         {"凭此码无法判断规定", "the rules cannot be decided from this code"},
	verify.TestTooOld:        {"核酸检测已过期或没有", "no negative test, or too old"},
	verify.VaccinationTooOld: {"接种过早或剂次不足", "vaccination too long ago, or too few doses"},
	verify.NotAcceptedHere:   {"本场所不收此类码", "this place does not take this kind of code"},

	verify.Case:               {"确诊", "confirmed case"},
	verify.Contact:            {"密切接触者", "contact of a case"},
	verify.SamePlace:          {"时空伴随", "same place, same time as a case"},
	verify.Symptoms:           {"申报有症状", "symptoms declared"},
	verify.Suspected:          {"疑似", "suspected case"},
	verify.RiskArea:           {"来自风险地区", "from a risk area"},
	verify.Entry:              {"境外入境", "entry from abroad"},
	verify.TestOverdue:        {"逾期未检测", "test overdue"},
	verify.DeclarationMissing: {"未申报", "declaration missing"},

	verify.NoCamera:  {"没有摄像头画面", "no picture from the camera"},
	verify.NoTime:    {"没有可信的时间", "no time that can be trusted"},
	verify.KeysStale: {"密钥名单超过规定期限", "the keys are older than the policy allows"},
	verify.NoDisk:    {"记录写不进存储", "the record could not be written"},
	verify.Internal:  {"程序出错，与此人无关", "a fault in the program, not in the person"},

	verify.NoCheckRequired: {"此处不查验", "no code is asked for here"},
}

// WhyID says why an identity check is asked.
func WhyID(w verify.IDWhy) Phrase {
	switch w {
	case verify.IDPaper:
		return Phrase{"纸质码：请对照证件", "paper code: compare with the ID card"}
	case verify.IDForeign:
		return Phrase{"境外证书：请对照证件", "certificate from abroad: compare with the passport"}
	case verify.IDPolicy:
		return Phrase{"本场所人人核对证件", "this place compares everybody's ID"}
	case verify.IDClock:
		return Phrase{"本机时间未确认：请对照证件和有效期", "this gate's time is not sure: compare the ID and the dates"}
	}
	return Phrase{"请对照证件", "compare with the ID card"}
}

// Phones are the numbers that a guard calls.
type Phones struct{ Isolation, Technician string }

// Action is the one next action for the guard. Numbers that are not set are
// left out of the phrase.
func Action(n verify.Name, r verify.Reason, tel Phones) Phrase {
	switch n {
	case verify.Pass, verify.PassGold, verify.NoCheck:
		return Phrase{"放行", "let through"}
	case verify.CheckID:
		return Phrase{"对照证件：相符 y，不符 n，离开 l", "compare the ID: y match, n no match, l left"}
	case verify.More:
		return moreAction(r)
	case verify.Amber:
		return Phrase{"劝返并引导检测；急救一律不得拒绝", "refuse, send to a test; emergency care is never refused"}
	case verify.Red:
		return call(Phrase{"带至隔离点，不得放走，呼叫", "lead to the isolation point, do not let go, call"}, tel.Isolation, Phrase{"值班", "the duty officer"})
	case verify.Refresh:
		return refreshAction(r)
	case verify.NotOurs:
		return Phrase{"请出示健康码，或用人工卡 m", "ask for the health code, or use the manual card m"}
	case verify.Invalid:
		return Phrase{"不放行；请重新打开健康码，仍无效则报值班", "do not admit; ask to reopen the code, still invalid: tell the supervisor"}
	case verify.IssuerFault:
		return Phrase{"非本人之过：用人工卡 m，并上报", "not the person's fault: manual card m, and report it"}
	}
	if r == verify.UnknownKeyListStale || r == verify.Internal {
		return call(Phrase{"用人工卡 m；呼叫技术员", "use the manual card m; call the technician"}, tel.Technician, Phrase{})
	}
	return call(Phrase{"呼叫技术员", "call the technician"}, tel.Technician, Phrase{"，用人工卡 m", ", use the manual card m"})
}

func moreAction(r verify.Reason) Phrase {
	switch r {
	case verify.TestTooOld:
		return Phrase{"请出示有效检测结果，或先去检测", "ask for a valid test result, or send to a test"}
	case verify.VaccinationTooOld:
		return Phrase{"请出示接种或检测证明", "ask for proof of vaccination or a test"}
	case verify.IssuerUnknown, verify.NotAcceptedHere, verify.RulesOpen:
		return Phrase{"请出示其他证明，或用人工卡 m", "ask for another proof, or use the manual card m"}
	}
	return Phrase{"请补充所缺证明", "ask for what is missing"}
}

func refreshAction(r verify.Reason) Phrase {
	switch r {
	case verify.PresentationMissing:
		return Phrase{"请当面打开健康码，不收截图", "ask to open the code live; no screenshots"}
	case verify.PresentationFuture:
		return Phrase{"请校准手机时间后重新打开", "ask to set the phone's clock, then reopen the code"}
	case verify.Expired, verify.Superseded, verify.Renew, verify.NotYetValid:
		return Phrase{"请联网更新健康码后再来", "ask to update the code online, then come again"}
	case verify.AlreadyUsed:
		return Phrase{"请本人用自己的手机重新打开", "ask the person to reopen it on their own phone"}
	}
	return Phrase{"请重新打开健康码", "ask to reopen the code"}
}

// call ends a phrase with a number, or with what stands in its place.
func call(p Phrase, number string, without Phrase) Phrase {
	if number = Clean(number); number != "" {
		return Phrase{p.ZH + " " + number, p.EN + " " + number}
	}
	if without.EN != "" && !strings.HasPrefix(without.EN, ",") {
		without.ZH, without.EN = " "+without.ZH, " "+without.EN
	}
	return Phrase{p.ZH + without.ZH, p.EN + without.EN}
}
