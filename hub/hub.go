package hub

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub/store"
	"checkpoint/record"
)

// Config is what a hub is made of. Store and Keys must be set; it closes
// neither.
type Config struct {
	Store     store.Store
	Keys      *Keys
	Log       *slog.Logger     // nil: nothing is logged
	URL       string           // how gates reach this hub, https://host:port
	Retention time.Duration    // days that ended longer ago are dropped; 0: none is; else at least 14 days
	Interval  time.Duration    // upload_interval of the gates, the one knob for the hub's load; 0: 10 s
	Version   string           // of the program
	Demo      bool             // all keys are in one place: said at every start
	Limits    Limits           //
	Now       func() time.Time // nil: time.Now
}

// Hub takes segments of gates and tells what has arrived. Methods are safe for
// use by several goroutines.
type Hub struct {
	cfg        Config
	store      store.Store
	keys       *Keys
	log        *slog.Logger
	limits     Limits
	metrics    *metrics
	receiptKey [8]byte // names the receipt key in receipts
	gates      *gateCache
	turns      *turnstile
	alarms     *alarmThrottle
	intake     *intake
	queue      *queue
	conns      *connections
	stopping   atomic.Bool
	daysLooked time.Time // of upkeep alone: when days past retention were looked for
	said       sayings
	desk       // of enrolment, people and trust
}

// New makes a hub. It starts nothing and asks nobody.
func New(cfg Config) (*Hub, error) {
	if cfg.Store == nil || cfg.Keys == nil {
		return nil, errors.New("a hub needs a store and keys")
	}
	if cfg.Retention != 0 && cfg.Retention < retireAfter {
		return nil, errors.New("a hub keeps days for at least 14 days: a gate that was away may still bring some of them")
	}
	if len(cfg.Keys.Receipt) != ed25519.PrivateKeySize {
		return nil, errors.New("a hub needs a receipt key")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Interval <= 0 {
		cfg.Interval = 10 * time.Second
	}
	if cfg.Interval < time.Second || cfg.Interval > 24*time.Hour {
		return nil, fmt.Errorf("an upload interval of %s: want 1 s to 24 h", cfg.Interval)
	}
	h := &Hub{cfg: cfg, store: cfg.Store, keys: cfg.Keys, log: cfg.Log, limits: cfg.Limits.filled()}
	h.receiptKey = record.KeyID(cfg.Keys.Receipt.Public().(ed25519.PublicKey))
	h.metrics = newMetrics(h)
	h.gates = newGateCache()
	h.turns = newTurnstile(h.limits)
	h.alarms = newAlarmThrottle()
	h.conns = newConnections(h.limits.Connections)
	h.queue = newQueue(h)
	h.desk = newDesk()
	var err error
	if h.intake, err = newIntake(h.limits); err != nil {
		return nil, fmt.Errorf("make the intake: %w", err)
	}
	return h, nil
}

// now is the hub's clock.
func (h *Hub) now() time.Time { return h.cfg.Now() }

// Handler answers gates, people and whoever fetches trust. It must stand behind
// TLS: who asks is known by the client's certificate alone.
func (h *Hub) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+enroll.PathSegments, h.postSegment)
	mux.HandleFunc("POST "+enroll.PathReport, h.postReport)
	h.enrolRoutes(mux)
	h.adminRoutes(mux)
	h.trustRoutes(mux)
	return h.wrap(mux)
}

// refusal is a request that is not served.
type refusal struct {
	status int
	word   string
	detail string
	after  time.Duration // Retry-After, 0 none
}

func (h *Hub) refuse(w http.ResponseWriter, no *refusal) {
	if no.after > 0 {
		w.Header().Set("Retry-After", retryAfter(no.after))
	}
	if no.word == certificateExpired {
		w.Header().Set("Connection", "close")
	}
	h.problem(w, no.status, no.word, no.detail)
}

// problem answers with an enroll.Problem.
func (h *Hub) problem(w http.ResponseWriter, status int, word, detail string) {
	h.answer(w, status, enroll.Problem{Error: word, Detail: detail})
}

// answer answers with JSON.
func (h *Hub) answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // values of ours only
		h.log.Error("answer not written as JSON", "error", err)
		status, b = http.StatusInternalServerError, []byte(`{"error":"internal","detail":"the hub could not write its answer"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client has gone: nothing to tell it
}

// storeRefusal is the answer to an error of the store.
func (h *Hub) storeRefusal(ctx context.Context, doing string, err error) *refusal {
	no := refusalOf(ctx, err)
	if no.word == "stopped" {
		return no
	}
	h.metrics.storeErrors.WithLabelValues(storeErrorWord(err)).Inc()
	if h.said.due(no.word, h.now()) {
		h.log.Error("store failed", "kind", storeErrorWord(err), "doing", doing, "error", err)
	}
	return no
}

// refusalOf says what a client is told when the store did not do something.
func refusalOf(ctx context.Context, err error) *refusal {
	no := &refusal{status: http.StatusServiceUnavailable, word: "store_failed", detail: "the hub's store failed: send it again later", after: 30 * time.Second}
	switch {
	case errors.Is(err, errBusy):
		return busy()
	case errors.Is(err, store.ErrFull):
		no.word, no.detail = "store_full", "the hub has no room: its operator must make some"
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		no.word, no.detail, no.after = "store_unavailable", "the hub cannot reach its store: send it again later", 5*time.Second
	case ctx.Err() != nil: // the client has gone
		no.word, no.detail, no.after = "stopped", "the request was given up", time.Second
	}
	return no
}

func busy() *refusal {
	return &refusal{status: http.StatusServiceUnavailable, word: "busy", detail: "more comes than the hub can take: send it again later", after: 2 * time.Second}
}

// sayings keeps one cause from filling the log: each is said once in sayEvery.
type sayings struct {
	mu   sync.Mutex
	last map[string]time.Time // by cause: a handful of constants
}

const sayEvery = 30 * time.Second

func (s *sayings) due(cause string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if since := now.Sub(s.last[cause]); since >= 0 && since < sayEvery {
		return false
	}
	if s.last == nil {
		s.last = map[string]time.Time{}
	}
	s.last[cause] = now
	return true
}

func storeErrorWord(err error) string {
	switch {
	case errors.Is(err, store.ErrFull):
		return "full"
	case errors.Is(err, store.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "timeout"
	}
	return "other"
}
