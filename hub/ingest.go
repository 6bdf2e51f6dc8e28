package hub

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"checkpoint/hub/store"
)

// errBusy: more segments wait than the hub holds.
var errBusy = errors.New("too many segments wait for the store")

// failedFor is how long after a failed commit the hub says that it is not
// ready. Then it asks the store again: a balancer that sends nothing to a hub
// that is not ready would else never let it find out.
const failedFor = 10 * time.Second

// queue is where segments wait for a commit. There is no timer: a segment that
// comes to an idle store is committed at once, those that come meanwhile go
// together with the next, so the batch is as large as the store is slow. The
// goroutines that commit live only as long as something waits.
type queue struct {
	hub *Hub

	mu       sync.Mutex
	waiting  []*entry
	bytes    int64 // of waiting and of what is being committed
	count    int
	running  int
	busy     map[*entry]struct{} // the oldest of each batch being committed
	failure  error               // of the last commit
	failedAt time.Time

	work sync.WaitGroup
}

// entry is one segment in the queue.
type entry struct {
	in     store.Incoming
	size   int64
	since  time.Time
	answer chan answer
}

type answer struct {
	put store.Put
	err error
}

func newQueue(h *Hub) *queue { return &queue{hub: h, busy: map[*entry]struct{}{}} }

// entryOverhead is what an Incoming costs beside its bytes: counts, notable
// rows, and what the runtime adds.
const entryOverhead = 2048

// roomy reports whether the queue would take one more of the largest segments.
func (q *queue) roomy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count < q.hub.limits.QueueSize && q.bytes < q.hub.limits.QueueBytes
}

// put waits until the segment is durable, or the store said no; each commit ends
// within Limits.PutTimeout. It does not end when the client goes away: what a
// gate has in flight must stay counted as that, and what the store found (a
// gap) must be told, for a repeat would not find it again.
func (q *queue) put(in store.Incoming) (store.Put, error) {
	e := &entry{in: in, since: time.Now(), answer: make(chan answer, 1)}
	e.size = int64(len(in.Plain)+len(in.Sealed)) + int64(len(in.Notable)+len(in.Counts))*320 + entryOverhead
	q.mu.Lock()
	if q.count >= q.hub.limits.QueueSize || q.bytes >= q.hub.limits.QueueBytes {
		q.mu.Unlock()
		return store.Put{}, errBusy
	}
	q.waiting = append(q.waiting, e)
	q.count++
	q.bytes += e.size
	if q.running < q.hub.limits.Committers {
		q.running++
		q.work.Go(q.commitAll)
	}
	q.mu.Unlock()
	a := <-e.answer
	return a.put, a.err
}

// commitAll commits batches until nothing waits.
func (q *queue) commitAll() {
	var batch []*entry
	for {
		if batch = q.take(batch[:0]); len(batch) == 0 {
			return
		}
		oldest := batch[0]
		slices.SortStableFunc(batch, inStream)
		q.commit(batch)
		q.done(oldest, batch)
	}
}

// inStream orders a batch by stream and number: what one gate has in flight at
// once makes no gap when a later one was read faster, and hubs that share a
// store lock its streams in one order.
func inStream(a, b *entry) int {
	return cmp.Or(bytes.Compare(a.in.Device[:], b.in.Device[:]), bytes.Compare(a.in.Epoch[:], b.in.Epoch[:]), cmp.Compare(a.in.Number, b.in.Number))
}

// take moves what waits into batch, the oldest first. With nothing to take the
// caller no longer counts as running.
func (q *queue) take(batch []*entry) []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := int64(0)
	for _, e := range q.waiting {
		if len(batch) > 0 && (len(batch) >= q.hub.limits.BatchSize || size+e.size > q.hub.limits.BatchBytes) {
			break
		}
		batch = append(batch, e)
		size += e.size
	}
	rest := copy(q.waiting, q.waiting[len(batch):])
	clear(q.waiting[rest:])
	q.waiting = q.waiting[:rest]
	if len(batch) == 0 {
		q.running--
		return nil
	}
	q.busy[batch[0]] = struct{}{}
	return batch
}

func (q *queue) done(oldest *entry, batch []*entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.busy, oldest)
	for _, e := range batch {
		q.bytes -= e.size
	}
	q.count -= len(batch)
	clear(batch)
}

// commit puts a batch and answers each. When the store fails in a way that is
// not its being away or full, one segment may be the cause: the batch is halved
// until that one fails alone and the others go through.
func (q *queue) commit(batch []*entry) {
	puts, err := q.store(batch)
	if err != nil && len(batch) > 1 && !away(err) {
		half := len(batch) / 2
		q.commit(batch[:half])
		q.commit(batch[half:])
		return
	}
	q.note(err)
	for i, e := range batch {
		if err != nil {
			e.answer <- answer{err: err}
			continue
		}
		e.answer <- answer{put: puts[i]}
	}
}

// away reports whether the store cannot be written to at all.
func away(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrFull) || errors.Is(err, context.DeadlineExceeded)
}

// errStoreFault: the store broke its own rules; nothing is receipted on that.
var errStoreFault = errors.New("the store failed inside")

func (q *queue) store(batch []*entry) (puts []store.Put, err error) {
	h := q.hub
	defer func() {
		if p := recover(); p != nil {
			h.panicked("store", p)
			puts, err = nil, errStoreFault
		}
	}()
	incoming := make([]store.Incoming, len(batch))
	for i, e := range batch {
		incoming[i] = e.in
	}
	// Not the requests' contexts: a client that goes away must not undo the others.
	ctx, cancel := context.WithTimeout(context.Background(), h.limits.PutTimeout)
	defer cancel()
	began := time.Now()
	puts, err = h.store.Put(ctx, incoming)
	h.metrics.putSeconds.Observe(time.Since(began).Seconds())
	h.metrics.batch.Observe(float64(len(batch)))
	if err == nil && len(puts) != len(batch) {
		return nil, fmt.Errorf("%w: %d answers to %d segments", errStoreFault, len(puts), len(batch))
	}
	return puts, err
}

// note remembers how the last commit went, and says so once when that changes.
func (q *queue) note(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.failure
	q.failure = err
	if err == nil {
		if before != nil {
			q.hub.log.Info("store takes segments again")
		}
		return
	}
	q.failedAt = time.Now()
	q.hub.metrics.storeErrors.WithLabelValues(storeErrorWord(err)).Inc()
	if before == nil || storeErrorWord(before) != storeErrorWord(err) {
		q.hub.log.Error("store takes no segments", "kind", storeErrorWord(err), slog.Any("error", err))
	}
}

// failed is the error of the last commit, for failedFor.
func (q *queue) failed(now time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failure == nil || now.Sub(q.failedAt) > failedFor {
		return nil
	}
	return q.failure
}

// depth is how many segments, and bytes of them, wait or are being committed.
func (q *queue) depth() (segments int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count, q.bytes
}

// waits is how long the oldest segment has waited.
func (q *queue) waits(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	longest := time.Duration(0)
	for e := range q.busy {
		longest = max(longest, now.Sub(e.since))
	}
	if len(q.waiting) > 0 {
		longest = max(longest, now.Sub(q.waiting[0].since))
	}
	return longest
}

// drain waits until nothing waits.
func (q *queue) drain(ctx context.Context) error {
	idle := make(chan struct{})
	go func() { // ends with the last commit, which PutTimeout ends
		q.work.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the store: %w", ctx.Err())
	}
}
