package hub

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Ops answers the operator's machines, in plain HTTP: /healthz (the program
// runs), /readyz (it can take segments now, else 503 and why), /metrics
// (Prometheus). It names no gate and no person; keep it off the internet all the same.
func (h *Hub) Ops() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := h.Ready(ctx); err != nil {
			plain(w, http.StatusServiceUnavailable, err.Error()+"\n")
			return
		}
		plain(w, http.StatusOK, "ready\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.metrics.registry, promhttp.HandlerOpts{}))
	return mux
}

// Reasons not to be ready.
var (
	errStopping = errors.New("the hub is stopping")
	errStuck    = errors.New("segments wait too long for the store")
)

// Ready tells whether the hub can take segments now: nil, or why not, in one line.
func (h *Hub) Ready(ctx context.Context) error {
	if h.stopping.Load() {
		return errStopping
	}
	if h.queue.waits(time.Now()) > h.limits.StuckAfter {
		return errStuck
	}
	if err := h.queue.failed(time.Now()); err != nil {
		return err
	}
	return h.store.Ready(ctx)
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}
