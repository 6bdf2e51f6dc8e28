package hub

import (
	"context"
	"net/http"
)

// Operator answers whoever runs this machine: the admin API with every right,
// and trust files. It asks for no certificate, so it must stand where the
// owner of the data directory alone can reach it: a socket of mode 0600, or this
// process. What is changed by it is recorded as the hub's operator's.
func (h *Hub) Operator() http.Handler {
	mux := http.NewServeMux()
	h.adminRoutes(mux)
	h.trustRoutes(mux)
	return h.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), operatorAsks{}, true)))
	}))
}

// operatorAsks marks the context of a request that came by Operator. Nothing
// that comes over the net can set it.
type operatorAsks struct{}

// operator is who asks by Operator.
func operator(r *http.Request) (person, bool) {
	asks, _ := r.Context().Value(operatorAsks{}).(bool)
	return person{name: "hub", role: roleOperator}, asks
}

// roleOperator stands in no certificate.
const roleOperator Role = "operator"

// rights are what the person may do.
func (p person) rights() rights {
	if p.role == roleOperator {
		return mayAll
	}
	return rightsOf(p.role)
}
