// Package uplink answers: how do records go up and trust come down?
//
// A [Client] speaks to one hub over HTTPS: TLS 1.3, the gate's certificate, and
// a hub that is known by the key of its CA, not by who the machine trusts. A
// [Loop] uses it in its own time, for as long as the gate runs:
//
//	client, err := uplink.New(uplink.Config{URL: url, Pins: pins, Certificate: cert, Clock: clock, ReceiptKeys: keys})
//	loop, err := uplink.NewLoop(uplink.LoopConfig{Hub: client, Outbox: outbox, …})
//	err = loop.Run(ctx) // returns when ctx ends, and not before
//
// What the loop does, in this order, whenever something is due:
//
//	report ─► trust ─► renew ─► drain: oldest segment, answer, settle, next
//	   ▲                                        │ line down, 5xx, 429, no receipt
//	   └── a wait, at random below a ceiling ◄──┘ that doubles from 1 s to 5 min
//
// What an answer to a segment does:
//
//	answer                     Outcome   the gate
//	200, receipt holds         Received  settles: those bytes may be purged
//	422, signed refusal holds  Refused   settles: the hub will never take them
//	409                        Conflict  sets it aside, begins a new epoch, goes on
//	410, 422 of a lost day     Gone      asks signed trust; erased if that says so, else set aside
//	413                        TooLarge  sets it aside
//	403 not_your_device        Foreign   sets it aside
//	403 pending                Pending   asks again each minute
//	403 revoked, 401           Revoked   stops sending, asks again each hour
//	429, 503, other 5xx        Later     the same segment again, not before Retry-After
//	anything else              Garbage   as Later: nothing is settled without a receipt
//
// Delivery is at least once: a segment goes again until a receipt that a
// trusted key signed covers its bytes, and the hub keeps the first of each key.
// Segments go one at a time and in order, so the hub sees each gate's sequence
// grow; one that can never be taken is set aside, kept, and told of.
//
// What is set aside needs an answer that says so. A segment that meets nothing
// but failures (5xx, receipts of a key not known here) is sent again for ever:
// no count of tries tells a hub that is broken from one segment that breaks it,
// and setting aside a healthy gate's rows because the hub is ill loses more.
//
// Where there is no line at all, a stick carries the same bytes: the functions
// with Segments, Receipts and Trust in their names read and write its folder
// (docs/formats.md, "Stick").
//
// The package knows neither what is sealed, nor where rows are kept, nor what
// trust says. It prints nothing of a segment but its number.
package uplink
