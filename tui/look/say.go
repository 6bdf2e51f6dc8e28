package look

import (
	"checkpoint/decode"
	"checkpoint/gate"
)

// What the screens say besides verdicts. Each is a table of constants.
var (
	SayShowCode    = Phrase{"请出示健康码", "SHOW YOUR CODE"}
	SayShowShort   = Phrase{"请出示健康码", "SHOW CODE"} // where the whole phrase has no room to be large
	SayFinishFirst = Phrase{"请先处理完这一位", "finish this person first"}
	SayCamera      = Phrase{"摄像头", "camera"}
	SayNoPicture   = Phrase{"没有画面", "no picture"}
	SayStarting    = Phrase{"启动中", "starting"}
	SayRecording   = Phrase{"正在记录", "recording"}
	SayAnyKey      = Phrase{"按任意键继续", "any key to go on"}
	SayRedKeys     = Phrase{"1 已隔离  2 已离开  3 急救  4 报值班", "1 isolated  2 left  3 emergency care  4 supervisor"}
	SayBorn        = Phrase{"出生", "born"}
	SayIDKeys      = Phrase{"y 相符  n 不符  l 离开", "y match  n no match  l left"}
	SayMatched     = Phrase{"证件相符", "the ID matches"}
	SayMismatched  = Phrase{"证件不符", "the ID does not match"}
	SayTooSmall    = Phrase{"窗口太小", "window too small"}

	SayPolicy       = Phrase{"策略", "policy"}
	SayCodeRequired = Phrase{"须验码", "code required"}
	SayCodeFree     = Phrase{"免验", "no code asked"}
	SayIDOn         = Phrase{"核对证件", "ID check on"}
	SayIDOff        = Phrase{"不核对证件", "ID check off"}

	SayOnline      = Phrase{"在线", "online"}
	SayOffline     = Phrase{"离线", "offline"}
	SayRevoked     = Phrase{"总部已停用本机上传：继续验码，请呼叫技术员", "this gate may no longer upload: keep checking, call the technician"}
	SayPending     = Phrase{"等待技术员核对数字：", "waits for the technician to compare:"}
	SayLine        = Phrase{"上传", "upstream"}
	SayAlone       = Phrase{"独立运行", "on its own"}
	SayWaiting     = Phrase{"条待上传", "waiting"}
	SayOldest      = Phrase{"最早", "oldest"}
	SayKeys        = Phrase{"密钥", "keys"}
	SayOld         = Phrase{"前", "old"}
	SayNoKeys      = Phrase{"没有密钥", "no keys"}
	SayDisk        = Phrase{"存储", "disk"}
	SayDays        = Phrase{"天", "days"}
	SayCam         = Phrase{"画面", "cam"}
	SayUnrecorded  = Phrase{"条未记录", "not recorded"}
	SayToday       = Phrase{"今天", "today"}
	SayShift       = Phrase{"班次", "shift"}
	SaySince       = Phrase{"本班次起", "since the shift began"}
	SayKeysOld12   = Phrase{"密钥名单已超过 12 小时", "the keys are over 12 hours old"}
	SayKeysOld24   = Phrase{"密钥名单已超过 24 小时：请联网或插入优盘", "the keys are over 24 hours old: connect the gate or bring a stick"}
	SayDiskFull    = Phrase{"存储已用", "storage used"}
	SayNotRecorded = Phrase{"有判定未能记录：请呼叫技术员", "verdicts were not recorded: call the technician"}

	SayHelp     = Phrase{"帮助", "help"}
	SayHelpText = Phrase{
		"每次扫码只有一个结论。绿色表示完成，可以放行；其他颜色都有一句原因和一个动作。\n红、黄、无效：按键后才看下一位。设备故障不是人的问题：用人工卡。",
		"Each scan has one verdict. Green is done: let through. Every other one states a reason and one next action.\nRed, yellow and invalid wait for a key before the next person. A fault of the device is nobody's fault: use the manual card.",
	}
	SayClose   = Phrase{"esc 返回", "esc back"}
	SayLog     = Phrase{"本次运行的记录", "log of this run"}
	SayNoLog   = Phrase{"还没有扫码", "no scans yet"}
	SayManual  = Phrase{"人工卡：没有码的人", "manual card: someone without a code"}
	SayClasses = Phrase{"1 没有手机   2 儿童   3 工作人员   4 急救", "1 no phone   2 child   3 staff   4 emergency"}
	SayAllowed = Phrase{"a 放行   r 不放行", "a allowed   r refused"}
	SayNoNames = Phrase{"只记类别和结果，不记姓名。", "Only the class and the outcome are recorded, no names."}

	SayHandOver     = Phrase{"交班", "hand-over"}
	SayShiftNumber  = Phrase{"新班次编号，回车确认", "number of the new shift, then enter"}
	SayHandedOver   = Phrase{"已交班", "handed over"}
	SayVoided       = Phrase{"上一次扫码已作废", "the last scan was voided"}
	SayManualDone   = Phrase{"人工卡已记录", "manual card recorded"}
	SayLoud         = Phrase{"声音：响", "sound: loud"}
	SayQuiet        = Phrase{"声音：同一声", "sound: quiet"}
	SaySoundOff     = Phrase{"声音：关", "sound: off"}
	SayTechnician   = Phrase{"技术员", "technician"}
	SayPIN          = Phrase{"技术员密码，回车确认", "the technician's PIN, then enter"}
	SayPINToLeave   = Phrase{"离开程序需要技术员密码", "leaving needs the technician's PIN"}
	SayNoPIN        = Phrase{"本机未设技术员密码", "no technician's PIN is set on this gate"}
	SayChecking     = Phrase{"核对中", "checking"}
	SayLowerFloor   = Phrase{"f 把时间下限降到锚点", "f lower the time floor to its anchor"}
	SayFloorLowered = Phrase{"时间下限已降低", "the time floor was lowered"}
	SayFailed       = Phrase{"没有做成", "that could not be done"}
	SaySelfTest     = Phrase{"自检", "self-test"}
	SayGateStopped  = Phrase{"闸机已停止", "the gate has stopped"}
	SayKeyManual    = Phrase{"人工卡", "manual"}
	SayKeyLog       = Phrase{"记录", "log"}
	SayKeyLine      = Phrase{"断网/联网", "offline/online"}
	SayKeySound     = Phrase{"声音", "sound"}
	SayKeyVoid      = Phrase{"作废", "void"}
	SayKeyShift     = Phrase{"交班", "hand-over"}
	SayKeyTech      = Phrase{"技术员", "technician"}
	SayKeyLeave     = Phrase{"离开", "leave"}
	SayKeyDismiss   = Phrase{"继续", "go on"}
	SayMatch        = Phrase{"相符", "match"}
	SayMismatch     = Phrase{"不符", "no match"}
	SayLeft         = Phrase{"离开", "left"}
	SayIsolated     = Phrase{"已隔离", "isolated"}
	SayEmergency    = Phrase{"急救", "emergency care"}
	SaySupervisor   = Phrase{"报值班", "supervisor"}
	SayValidUntil   = Phrase{"有效期至", "valid until"}
)

// Coach says what would make an unread code readable: a mark that can be seen
// from the other side of the gate, and words.
func Coach(h decode.Hint) (mark string, p Phrase) {
	switch h {
	case decode.HintDark:
		return "+", Phrase{"调亮屏幕", "brightness up"}
	case decode.HintGlare:
		return "/", Phrase{"倾斜一点，避开反光", "tilt it: a reflection"}
	case decode.HintFar:
		return ">>", Phrase{"靠近一点", "closer"}
	case decode.HintBlurred:
		return "||", Phrase{"拿稳，稍远一点", "hold still, a little back"}
	case decode.HintCutOff:
		return "[ ]", Phrase{"整个码放进画面", "the whole code into view"}
	}
	return "", Phrase{}
}

// Rung says what a step of the ladder means; nothing for Full.
func Rung(r gate.Rung) Phrase {
	switch r {
	case gate.Full:
		return Phrase{}
	case gate.Queueing:
		return Phrase{"离线排队：记录稍后上传", "queueing: records go up later"}
	case gate.VerifyOnly:
		return Phrase{"只验码：今天没有封存密钥，不记录人员", "verify only: no sealing key for today, nothing about persons is recorded"}
	case gate.TimeEstimated:
		return Phrase{"时间为估计值：部分绿码须核对证件", "time is an estimate: some green codes will ask for the ID card"}
	case gate.KeysStale:
		return Phrase{"密钥名单太旧：请联网或插入优盘", "keys are stale: connect the gate or bring a stick"}
	}
	return Phrase{"请用人工卡 m，并呼叫技术员", "use the manual card m and call the technician"}
}

// DocType is what a document is called (healthcode, hc key 6).
func DocType(n uint8) Phrase {
	switch n {
	case 1:
		return Phrase{"居民身份证", "resident ID"}
	case 2:
		return Phrase{"护照", "passport"}
	case 3:
		return Phrase{"港澳通行证", "HK/Macao permit"}
	case 4:
		return Phrase{"台胞证", "Taiwan permit"}
	case 5:
		return Phrase{"外国人永居证", "permanent resident card"}
	case 6:
		return Phrase{"居留许可", "residence permit"}
	}
	return Phrase{"证件", "document"}
}

// Refusal says why a command was not done (gate.Refused).
func Refusal(what string) Phrase {
	switch what {
	case "void_too_late":
		return Phrase{"超过 60 秒，不能作废", "more than 60 seconds ago: cannot be voided"}
	case "nothing_to_void":
		return Phrase{"没有可作废的扫码", "nothing to void"}
	case "record_failed":
		return Phrase{"记录写不进存储：请呼叫技术员", "could not be recorded: call the technician"}
	case "no_card":
		return Phrase{"这张卡已经离开", "that card has already left"}
	case "pin_wrong":
		return Phrase{"密码不对", "wrong PIN"}
	case "pin_locked":
		return Phrase{"试错太多：五分钟后再试", "too many tries: wait five minutes"}
	}
	return SayFailed
}

// Class is who a manual card is about.
func Class(c gate.ManualClass) Phrase {
	switch c {
	case gate.ManualNoPhone:
		return Phrase{"没有手机", "no phone"}
	case gate.ManualChild:
		return Phrase{"儿童", "child"}
	case gate.ManualStaff:
		return Phrase{"工作人员", "staff"}
	}
	return Phrase{"急救", "emergency"}
}

// Test is a line of the start-up self-test.
func Test(name string) Phrase {
	switch name {
	case "camera":
		return SayCamera
	case "light":
		return Phrase{"光线", "light"}
	case "time":
		return Phrase{"时间", "time"}
	case "keys":
		return SayKeys
	case "disk":
		return SayDisk
	case "queue":
		return Phrase{"上传队列", "queue"}
	case "sound":
		return Phrase{"声音", "sound"}
	}
	return Phrase{Clean(name), Clean(name)}
}

// Tested is what a line of the self-test found. Its detail comes in English: in
// Chinese a known test says how it ended, and the detail stands only where
// nothing better is known.
func Tested(name string, ok bool, detail string) Phrase {
	p := Phrase{Clean(detail), Clean(detail)}
	if zh, known := tested[name]; known && ok {
		p.ZH = zh[0]
	} else if known {
		p.ZH = zh[1]
	}
	return p
}

// tested are the ends of the self-test's lines: well, and not.
var tested = map[string][2]string{
	"camera": {"正常", "没有画面"},
	"light":  {"正常", "光线不合适"},
	"time":   {"可信", "未经确认"},
	"keys":   {"在期限内", "没有或已超过期限"},
	"disk":   {"空间足够", "空间将满"},
	"queue":  {"正常", "积压"},
	"sound":  {"已开", "已关"},
}

// VenueType is a policy's kind of place; an unknown one stands as it is.
func VenueType(s string) Phrase {
	switch s {
	case "any":
		return Phrase{"通用", "any place"}
	case "subway":
		return Phrase{"地铁", "subway"}
	case "mall":
		return Phrase{"商场", "mall"}
	case "hospital":
		return Phrase{"医院", "hospital"}
	case "school":
		return Phrase{"学校", "school"}
	case "office":
		return Phrase{"办公楼", "office"}
	case "station":
		return Phrase{"车站", "station"}
	case "park":
		return Phrase{"公园", "park"}
	}
	return Phrase{Clean(s), Clean(s)}
}
