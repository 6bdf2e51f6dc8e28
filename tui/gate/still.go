package gate

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"checkpoint/gate"
)

// Still draws one moment of a gate's screen as styled text: what stands after
// the events, with a picture in the live view if there is one. It serves
// pictures for people to look at, and tests.
func Still(cfg Config, w, h int, p colorprofile.Profile, view *gate.View, events ...gate.Event) string {
	if view != nil && cfg.Views == nil {
		cfg.Views = func(context.Context) (gate.View, bool) { return gate.View{}, false }
	}
	m := newModel(context.Background(), cfg)
	m.Update(tea.WindowSizeMsg{Width: w, Height: h})
	m.Update(tea.ColorProfileMsg{Profile: p})
	m.Update(ticked(time.Unix(1, 0)))
	for _, e := range events {
		m.Update(gateSaid{e})
	}
	if view != nil {
		m.Update(viewTaken{*view, true})
	}
	return m.screen()
}
