package gate

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"charm.land/bubbles/v2/key"

	"checkpoint/gate"
	"checkpoint/tui/look"
	"checkpoint/verify"
)

// piece is a part of a line with its paint.
type piece struct {
	text string
	look.Paint
}

// header is who and where, how fresh everything is, and the banner.
func (m *model) header(rows int) []string {
	cv := look.NewCanvas(m.w, rows)
	s := &m.state
	clock := "--:--:--"
	if m.stated {
		clock = s.At.In(m.cfg.Local).Format("15:04:05")
		if s.Quality <= verify.ClockEstimated {
			clock = "~" + clock
		}
	}
	cv.TextIn(m.w-1-len(clock), 0, len(clock), clock, m.theme.Strong)
	place := m.chars.Foreign(s.Venue)
	if n := m.chars.Foreign(s.Name); n != "" {
		if place != "" {
			place += " " + m.chars.Dot + " "
		}
		place += n
	}
	room := m.w - len(clock) - 3
	used := cv.TextIn(1, 0, room, place, m.theme.Strong)
	if m.stated {
		p := m.policyText()
		if left := room - used - 2; left >= 16 {
			n := min(look.Width(p), left)
			cv.TextIn(1+used+2+max(0, (left-n)/2), 0, n, p, m.theme.Muted)
		}
	}
	x := 1
	for i, p := range m.badges() {
		gap := 0
		if i > 0 {
			gap = min(3, 2+m.w/100)
		}
		if x+gap+look.Width(p.text) > m.w-1 {
			break
		}
		cv.Text(x+gap, 1, p.text, p.Paint)
		x += gap + look.Width(p.text)
	}
	if rows > 2 {
		cv.Fill(0, 2, m.w, 1, m.theme.Banner)
		cv.TextIn(1, 2, m.w-2, m.banner(), m.theme.Banner)
	}
	return cv.Lines()
}

func (m *model) policyText() string {
	p := m.state.Policy
	required, id := look.SayCodeFree, look.SayIDOff
	if p.Required {
		required = look.SayCodeRequired
	}
	if p.IDCheck {
		id = look.SayIDOn
	}
	sep := ", "
	if m.lang == look.Chinese && m.chars.Han {
		sep = "，"
	}
	t := m.say(look.SayPolicy) + ": "
	if v := m.say(look.VenueType(p.Venue)); v != "" {
		t += v + sep
	}
	return t + m.say(required) + sep + m.say(id)
}

// badges are the state of the line, the keys, the disk and the camera, most
// telling first. They are about the queue and the keys, never the verdict.
func (m *model) badges() []piece {
	s, t := &m.state, &m.theme
	if !m.stated {
		return []piece{{m.say(look.SayStarting) + " ...", t.Muted}}
	}
	var out []piece
	add := func(p look.Paint, text string) { out = append(out, piece{text, p}) }
	if m.notice != "" && m.dialog.kind != pinDialog {
		add(t.Strong, m.notice)
	}
	lamp := m.chars.Lamp + " "
	switch {
	case !s.Enrolled:
		add(t.Muted, lamp+m.say(look.SayAlone))
	case s.Online:
		add(t.Good, lamp+m.say(look.SayOnline))
	default:
		off := lamp + m.say(look.SayOffline)
		if !s.OfflineSince.IsZero() {
			off += " " + m.span(s.At.Sub(s.OfflineSince))
		}
		add(t.Text, off)
	}
	if s.Enrolled && s.Waiting > 0 {
		w := m.chars.Up + " " + thousands(s.Waiting) + " " + m.say(look.SayWaiting)
		if !s.Oldest.IsZero() {
			w += " (" + m.say(look.SayOldest) + " " + m.span(s.At.Sub(s.Oldest)) + ")"
		}
		add(t.Text, w)
	}
	switch {
	case s.KeysAge < 0:
		add(t.Notice, m.say(look.SayNoKeys))
	case s.KeysAge >= 12*time.Hour:
		add(t.Notice, m.age(s.KeysAge))
	default:
		add(t.Text, m.age(s.KeysAge))
	}
	if s.DiskDays >= 0 {
		p := t.Text
		if s.DiskUsed >= 0.8 || s.DiskDays < 7 {
			p = t.Notice
		}
		days := strconv.Itoa(s.DiskDays)
		if s.DiskDays > 999 {
			days = "999+"
		}
		add(p, m.say(look.SayDisk)+" "+days+" "+m.say(look.SayDays))
	}
	if s.CameraOK {
		add(t.Text, fmt.Sprintf("%s %.0f fps", m.say(look.SayCam), s.FPS))
	} else {
		add(t.Notice, m.say(look.SayCam)+": "+m.say(look.SayNoPicture))
	}
	if m.mode != 0 {
		add(t.Muted, m.say([...]look.Phrase{look.SayLoud, look.SayQuiet, look.SaySoundOff}[m.mode]))
	}
	return out
}

func (m *model) age(d time.Duration) string {
	if m.lang == look.Chinese && m.chars.Han {
		return look.SayKeys.ZH + " " + m.span(d) + look.SayOld.ZH
	}
	return look.SayKeys.EN + " " + m.span(d) + " " + look.SayOld.EN
}

// banner is what must be seen now, "" when nothing.
func (m *model) banner() string {
	if !m.stated {
		return ""
	}
	s := &m.state
	worst := gate.Full
	for _, r := range s.Rungs {
		worst = max(worst, r)
	}
	switch {
	case worst >= gate.VerifyOnly:
		return m.say(look.Rung(worst))
	case s.Unrecorded > 0:
		return thousands(s.Unrecorded) + " " + m.say(look.SayUnrecorded) + ": " + m.say(look.SayNotRecorded)
	case s.KeysAge >= 24*time.Hour:
		return m.say(look.SayKeysOld24)
	case s.DiskUsed >= 0.8:
		return fmt.Sprintf("%s %.0f %%", m.say(look.SayDiskFull), s.DiskUsed*100)
	}
	return ""
}

// foot is the last verdicts, the counters and the keys.
func (m *model) foot() []string {
	cv := look.NewCanvas(m.w, 2)
	x := 1
	for i := len(m.recent) - 1; i >= 0; i-- {
		l := m.logLine(m.recent[i], false)
		if x+look.Width(l) > m.w-1 {
			if x == 1 {
				cv.TextIn(x, 0, m.w-2, l, m.theme.Muted)
			}
			break
		}
		p := m.theme.Muted
		if i == len(m.recent)-1 {
			p = m.theme.Text
		}
		x += cv.Text(x, 0, l, p) + 3
	}
	var keys []string
	width := 0
	for _, b := range m.keys.ShortHelp() {
		t := b.Help().Key + " " + b.Help().Desc
		keys = append(keys, t)
		width += look.Width(t) + 2
	}
	counts := m.counts(m.w - 3 - width)
	cv.TextIn(1, 1, m.w-2, counts, m.theme.Text)
	at := m.w - width + 1
	if at > look.Width(counts)+2 {
		for _, k := range keys {
			at += cv.Text(at, 1, k, m.theme.Muted) + 2
		}
	} else if h := helpOnly(m.keys.Help); m.w-1-look.Width(h) > look.Width(counts)+2 {
		cv.Text(m.w-1-look.Width(h), 1, h, m.theme.Muted)
	}
	return cv.Lines()
}

func helpOnly(b key.Binding) string { return b.Help().Key + " " + b.Help().Desc }

// counts are today's verdicts; those that never happened are left out, and the
// rarest when there is no room.
func (m *model) counts(width int) string {
	c := m.state.Today
	parts := []string{m.say(look.SayToday) + " " + thousands(c.Total())}
	for _, n := range []verify.Name{verify.Pass, verify.PassGold, verify.Amber, verify.Red, verify.Invalid, verify.CheckID, verify.More, verify.Refresh, verify.NotOurs, verify.IssuerFault, verify.Device} {
		if c[n] > 0 {
			parts = append(parts, m.chars.Symbol(n)+" "+thousands(c[n]))
		}
	}
	sep := " " + m.chars.Dot + " "
	for len(parts) > 1 && look.Width(strings.Join(parts, sep)) > max(width, 30) {
		parts = parts[:len(parts)-1]
	}
	return strings.Join(parts, sep)
}

// span is a length of time as a person says it.
func (m *model) span(d time.Duration) string {
	day, hour, minute := "d", "h", "min"
	if m.lang == look.Chinese && m.chars.Han {
		day, hour, minute = "天", "小时", "分"
	}
	d = max(d, 0)
	switch {
	case d >= 72*time.Hour:
		return fmt.Sprintf("%d %s", d/(24*time.Hour), day)
	case d >= 10*time.Hour, d >= time.Hour && d%time.Hour < time.Minute:
		return fmt.Sprintf("%d %s", d/time.Hour, hour)
	case d >= time.Hour:
		return fmt.Sprintf("%d %s %d %s", d/time.Hour, hour, d%time.Hour/time.Minute, minute)
	}
	return fmt.Sprintf("%d %s", d/time.Minute, minute)
}

// thousands groups digits by a thin look: 1 204.
func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}
