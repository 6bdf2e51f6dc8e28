package gate

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"charm.land/bubbles/v2/help"
	"charm.land/bubbles/v2/key"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"checkpoint/gate"
	"checkpoint/tui/look"
	"checkpoint/verify"
)

// header is who and where, how fresh everything is, and the banner.
func (m *model) header(rows int) []string {
	lines := []string{m.titleBar(), m.stateBar()}
	if rows > 2 {
		text := ansi.Truncate(m.banner(), m.w-2, look.Tail)
		lines = append(lines, m.theme.Banner.Render(look.FitLine(" "+text, m.w)))
	}
	return lines
}

// titleBar is the place, the policy and the time.
func (m *model) titleBar() string {
	s := &m.state
	clock := "--:--:--"
	if m.stated {
		clock = s.At.In(m.cfg.Local).Format("15:04:05")
		if s.Quality <= verify.ClockEstimated {
			clock = "~" + clock
		}
	}
	place := m.chars.Foreign(s.Venue)
	if n := m.chars.Foreign(s.Name); n != "" {
		if place != "" {
			place += " " + m.chars.Dot + " "
		}
		place += n
	}
	left := " " + m.theme.Strong.Render(ansi.Truncate(place, m.w-len(clock)-3, look.Tail))
	right := m.theme.Strong.Render(clock) + " "
	if room := m.w - look.Width(left) - look.Width(right) - 3; m.stated && room >= 16 {
		policy := m.theme.Muted.Render(ansi.Truncate(m.policyText(), room, look.Tail))
		left += "  " + lipgloss.PlaceHorizontal(room, lipgloss.Center, policy)
	}
	return look.Spread(m.w, left, right)
}

// stateBar is as many badges as there is room for.
func (m *model) stateBar() string {
	gap := strings.Repeat(" ", min(3, 2+m.w/100))
	line := ""
	for _, b := range m.badges() {
		if line != "" {
			b = gap + b
		}
		if look.Width(line)+look.Width(b) > m.w-2 {
			break
		}
		line += b
	}
	return look.FitLine(" "+line, m.w)
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
func (m *model) badges() []string {
	s, t := &m.state, &m.theme
	if !m.stated {
		return []string{t.Muted.Render(m.say(look.SayStarting) + " ...")}
	}
	var out []string
	add := func(s lipgloss.Style, text string) { out = append(out, s.Render(text)) }
	if m.notice != "" && m.dialog.kind != pinDialog {
		add(t.Strong, m.notice)
	}
	lamp := m.chars.Lamp + " "
	switch {
	case !s.Line.Enrolled:
		add(t.Muted, lamp+m.say(look.SayAlone))
	case s.Line.Online:
		add(t.Good, lamp+m.say(look.SayOnline))
	default:
		off := lamp + m.say(look.SayOffline)
		if !s.Line.OfflineSince.IsZero() {
			off += " " + m.span(s.At.Sub(s.Line.OfflineSince))
		}
		add(t.Text, off)
	}
	if s.Line.Enrolled && s.Waiting > 0 {
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
	case s.Line.Revoked:
		return m.say(look.SayRevoked)
	case s.Line.Word != "":
		return m.say(look.SayPending) + " " + s.Line.Word
	}
	return ""
}

// foot is the last verdicts, the counters and the keys.
func (m *model) foot() []string {
	last := ""
	for i := len(m.recent) - 1; i >= 0; i-- {
		l := m.logLine(m.recent[i], false)
		if last == "" {
			last = " " + m.theme.Text.Render(ansi.Truncate(l, m.w-2, look.Tail))
			continue
		}
		if look.Width(last)+3+look.Width(l) > m.w-1 {
			break
		}
		last += "   " + m.theme.Muted.Render(l)
	}
	h := help.New()
	h.ShortSeparator, h.Styles.ShortKey, h.Styles.ShortDesc = "  ", m.theme.Muted, m.theme.Muted
	h.Styles.ShortSeparator = m.theme.Muted
	keys := h.View(m.keys)
	counts := m.counts(m.w - 5 - look.Width(keys))
	if room := m.w - 4 - look.Width(counts); look.Width(keys) > room {
		if keys = h.ShortHelpView([]key.Binding{m.keys.Help}); look.Width(keys) > room {
			keys = ""
		}
	}
	counts = " " + m.theme.Text.Render(ansi.Truncate(counts, m.w-2, look.Tail))
	first := look.FitLine(last, m.w)
	if say := m.waits(m.w - 2); say != "" { // beside the card, not on it
		first = look.Spread(m.w, ansi.Truncate(last, m.w-look.Width(say)-2, ""), say+" ")
	}
	return []string{first, look.Spread(m.w, counts, keys+" ")}
}

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
