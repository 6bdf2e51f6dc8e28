// Package hub answers: what has arrived, which gate is late, and what may a
// gate know?
//
// A [Hub] is an HTTP handler over a store and a set of keys. It keeps no state
// of its own that matters: everything it says was read from the store, and
// everything it promises was written there first, so several hubs stand side by
// side on one store, and one that dies takes nothing with it.
//
//	hub, err := hub.New(hub.Config{Store: store, Keys: keys, URL: "https://hub.example:8443", Log: log})
//	go http.Serve(opsListener, hub.Ops()) // on an address that only the operator reaches
//	err = hub.Serve(ctx, listener)        // until ctx ends, and what was taken is answered
//
// # A segment
//
// A gate posts one signed segment, compressed, over TLS with its certificate.
// In this order, each step bounded before it begins:
//
//	the certificate's device, looked up at most 2 s ago     401 403
//	a turn: few in flight, a rate, for each gate            429
//	room in the queue, a place for the body                 503
//	the body, 256 KiB; unpacked, 1 MiB                      400 413 415
//	the segment, its rows and their chain                   422 with a signed refusal
//	its device is the certificate's                         403
//	its signature, its venue                                422 with a signed refusal
//	the gate was not revoked                                403, kept in quarantine
//	one commit for all that wait                            503
//	what the store found: its place in the sequence         409 410 422
//	a receipt, signed                                       200
//
// A receipt lets the gate purge, so it is signed only after the commit. A
// signed refusal lets it purge too, so it is given only for what can never
// become acceptable: a form newer than this program's, a store that is away, a
// body that was cut off are answered so that the gate tries again.
//
// Sent again, a segment is a repeat and gets its receipt: gates send at least
// once, and the key of a segment makes it once. Other bytes under the same key
// are a conflict: kept aside, an alarm, never an overwrite.
//
// # What it refuses to do
//
// It cannot open a sealed row and holds no key that could. It believes no
// identity that the body claims: over the net the certificate says who sends, on
// a stick the segment's own signature. It corrects no clock: rows are kept as
// they came, flagged, with the offset noted. It logs no payload, no address of a
// client, and no text of a request.
package hub
