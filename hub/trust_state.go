package hub

import (
	"context"
	"errors"
	"net/http"

	"checkpoint/trust"
)

func (h *Hub) trustSnapshot(ctx context.Context) (*trust.Snapshot, error) {
	return nil, errors.New("no")
}
func (h *Hub) trustRefusal(ctx context.Context, err error) *refusal {
	return h.storeRefusal(ctx, "read trust", err)
}
func (h *Hub) adminTrust(a ask) (any, *refusal)  { return nil, &refusal{status: http.StatusNotFound} }
func (h *Hub) adminPolicy(a ask) (any, *refusal) { return nil, &refusal{status: http.StatusNotFound} }
