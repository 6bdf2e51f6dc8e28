package gate

import (
	"charm.land/bubbles/v2/key"

	"checkpoint/tui/look"
)

// KeyMap are all keys of the screen. Help is drawn from the same map.
type KeyMap struct {
	// The gate.
	Manual, Log, Sound, Void, Shift, Technician, Help, Leave, Line key.Binding
	// Cards that ask.
	Match, Mismatch, Left                        key.Binding
	Isolated, RedLeft, RedEmergency, RedSuperior key.Binding
	// Dialogs.
	Back, Enter, Erase, Allowed, Refused, LowerFloor, Force key.Binding
}

// NewKeyMap are the keys with their help in one language.
func NewKeyMap(say func(look.Phrase) string) KeyMap {
	b := func(help look.Phrase, keys ...string) key.Binding {
		return key.NewBinding(key.WithKeys(keys...), key.WithHelp(keys[0], say(help)))
	}
	return KeyMap{
		Manual: b(look.SayKeyManual, "m"), Log: b(look.SayKeyLog, "l"), Sound: b(look.SayKeySound, "s"),
		Void: b(look.SayKeyVoid, "v"), Shift: b(look.SayKeyShift, "g"), Technician: b(look.SayKeyTech, "t"),
		Help: b(look.SayHelp, "?", "h", "f1"), Leave: b(look.SayKeyLeave, "q", "ctrl+c"), Force: b(look.SayKeyLeave, "ctrl+c"),
		Line:  b(look.SayKeyLine, "o"),
		Match: b(look.SayMatch, "y"), Mismatch: b(look.SayMismatch, "n"), Left: b(look.SayLeft, "l"),
		Isolated: b(look.SayIsolated, "1"), RedLeft: b(look.SayLeft, "2"), RedEmergency: b(look.SayEmergency, "3"), RedSuperior: b(look.SaySupervisor, "4"),
		Back: b(look.SayClose, "esc"), Enter: b(look.SayKeyDismiss, "enter", "space"), Erase: b(look.SayClose, "backspace"),
		Allowed: b(look.SayMatch, "a"), Refused: b(look.SayMismatch, "r"), LowerFloor: b(look.SayLowerFloor, "f"),
	}
}

// ShortHelp is the row at the foot of the screen (help.KeyMap).
func (k KeyMap) ShortHelp() []key.Binding {
	return []key.Binding{k.Manual, k.Log, k.Sound, k.Void, k.Line, k.Help}
}

// FullHelp is all of it (help.KeyMap).
func (k KeyMap) FullHelp() [][]key.Binding {
	return [][]key.Binding{
		{k.Manual, k.Void, k.Shift, k.Log},
		{k.Sound, k.Technician, k.Line, k.Help, k.Leave},
		{k.Match, k.Mismatch, k.Left},
		{k.Isolated, k.RedLeft, k.RedEmergency, k.RedSuperior},
	}
}
