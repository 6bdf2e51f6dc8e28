package hub

import (
	"crypto/ed25519"
	"crypto/tls"
	"net/http"
)

// Keys are what a hub signs with.
type Keys struct {
	Receipt ed25519.PrivateKey
}

// TLSConfig is the listener's.
func (k *Keys) TLSConfig() *tls.Config { return &tls.Config{} }

func (h *Hub) enrolRoutes(mux *http.ServeMux) {}
func (h *Hub) adminRoutes(mux *http.ServeMux) {}
func (h *Hub) trustRoutes(mux *http.ServeMux) {}
