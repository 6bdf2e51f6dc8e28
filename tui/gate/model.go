package gate

import (
	"context"

	tea "charm.land/bubbletea/v2"
)

// New makes the screen. It ends when ctx is done, the events end, or the guard
// leaves.
func New(ctx context.Context, cfg Config) tea.Model { return nil }
