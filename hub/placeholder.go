package hub

import "net/http"

func (h *Hub) trustRoutes(mux *http.ServeMux) {}
