package store

import (
	"context"
	"iter"
	"time"

	"checkpoint/record"
)

// Archive gives out and takes in all that a store holds; see Dump and Load.
type Archive interface {
	// Export yields all of it: first where the streams stand, then what the
	// office keeps, then day by day what the log holds, and at the end which days
	// were dropped. What comes in meanwhile may be in it or not, but never is a
	// stream ahead of its segments. Slices of one Entry are not kept over the next.
	Export(ctx context.Context) iter.Seq2[Entry, error]

	// Import puts such entries into a store that holds nothing; ErrExists when it
	// does. When it does not come to the end of them the store is of no use:
	// opened again it gives ErrUnfinished.
	Import(ctx context.Context, entries iter.Seq2[Entry, error]) error
}

// Entry is one thing that a store holds; exactly one field is set. Its CBOR form
// is that of a dump: docs/formats.md, "Dump of a hub's store".
type Entry struct {
	Stream  *StreamEntry  `json:"stream,omitempty"`
	Refused *RefusedEntry `json:"refused,omitempty"`
	Gate    *GateEntry    `json:"gate,omitempty"`
	Token   *TokenEntry   `json:"token,omitempty"`
	Person  *Person       `json:"person,omitempty"`
	Trust   *TrustEntry   `json:"trust,omitempty"`
	Alarm   *Alarm        `json:"alarm,omitempty"`
	Act     *Act          `json:"act,omitempty"`
	Aside   *AsideEntry   `json:"aside,omitempty"`
	Segment *Incoming     `json:"segment,omitempty"` // without Counts and Notable; Context where it carried one
	Context *ContextEntry `json:"context,omitempty"`
	Hourly  *HourlyEntry  `json:"hourly,omitempty"`
	Notable *Notable      `json:"notable,omitempty"`
	Dropped *DroppedEntry `json:"dropped,omitempty"`
}

// StreamEntry is a stream with its gaps as the rules need them.
type StreamEntry struct {
	record.Identity
	Venue  string
	Number uint64
	Last   uint64
	Head   record.Link
	Gaps   []GapEntry `json:",omitempty"`
}

// GapEntry is a gap, and the links that the rows in it must join.
type GapEntry struct {
	Gap
	Before record.Link // of the row before First
	After  record.Link // of Last
	Open   bool        // the stream began with this gap: there is no Before
}

// RefusedEntry is a number that was refused for good.
type RefusedEntry struct {
	record.SegmentKey
	First, Last uint64
	SHA256      [32]byte
	Why         record.RefusedFor
	AtMS        int64
}

// GateEntry is a gate, and all devices that it ever had.
type GateEntry struct {
	Gate
	Devices []DeviceEntry `json:",omitempty"`
}

// DeviceEntry is a device that was enrolled as a gate.
type DeviceEntry struct {
	Device     [16]byte
	SegmentKey []byte
	EnrolledMS int64
	RevokedMS  int64 // 0: it was not
}

// TokenEntry is a token and who used it.
type TokenEntry struct {
	Token
	Ended      bool     // by a newer one, or a revocation
	Used       bool     // by what follows
	Device     [16]byte `json:",omitzero"`
	SegmentKey []byte   `json:",omitempty"`
	TLSKey     [32]byte `json:",omitzero"`
}

// TrustEntry is a file of the trust repository; the one without a name says
// which generation it is.
type TrustEntry struct {
	Name       string `json:",omitempty"`
	Bytes      []byte `json:",omitempty"`
	Generation uint64 `json:",omitempty"`
}

// AsideEntry is a segment in quarantine; the one without bytes says how many
// more of the device there were.
type AsideEntry struct {
	Device [16]byte
	Why    string `json:",omitempty"`
	AtMS   int64  `json:",omitempty"`
	Bytes  []byte `json:",omitempty"`
	More   uint64 `json:",omitempty"`
}

// ContextEntry is a sealing context and the venue in whose log it stands.
type ContextEntry struct {
	Venue string
	record.Context
}

// HourlyEntry is an hourly count and the day with which it goes.
type HourlyEntry struct {
	Day string
	Hourly
}

// DroppedEntry is a day that was dropped.
type DroppedEntry struct {
	Day       string
	Destroyed bool
	At        time.Time
}
