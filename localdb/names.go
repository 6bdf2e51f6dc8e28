package localdb

import (
	"sync"

	"checkpoint/record"
)

// names are the long values that rows share, by the short ids that stand in
// row bodies. The writer adds; readers look up. An id given in a transaction
// that is rolled back is taken back.
type names struct {
	mu       sync.RWMutex
	sessions map[uint64]session
	judges   map[uint64]judge
	contexts map[uint64][16]byte

	// Of this run, for writing; only the writer uses them.
	judgeIDs    map[judge]uint64
	contextIDs  map[[16]byte]uint64
	lastSession uint64
	lastJudge   uint64
	lastContext uint64
	undo        []func()
}

// session is where the times of rows count from.
type session struct {
	boot [16]byte
	wall int64
	mono uint64
}

// judge is what many scans in a row have in common.
type judge struct {
	format uint8
	issuer string
	trust  uint64
}

func (n *names) init() {
	n.sessions = make(map[uint64]session)
	n.judges = make(map[uint64]judge)
	n.contexts = make(map[uint64][16]byte)
	n.judgeIDs = make(map[judge]uint64)
	n.contextIDs = make(map[[16]byte]uint64)
}

func (n *names) addSession(s session) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lastSession++
	id := n.lastSession
	n.sessions[id] = s
	n.undo = append(n.undo, func() { delete(n.sessions, id); n.lastSession-- })
	return id
}

func (n *names) addJudge(j judge) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lastJudge++
	id := n.lastJudge
	n.judges[id] = j
	n.judgeIDs[j] = id
	n.undo = append(n.undo, func() { delete(n.judges, id); delete(n.judgeIDs, j); n.lastJudge-- })
	return id
}

func (n *names) addContext(c *record.Context) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lastContext++
	id, name := n.lastContext, c.ID
	n.contexts[id] = name
	n.contextIDs[name] = id
	n.undo = append(n.undo, func() { delete(n.contexts, id); delete(n.contextIDs, name); n.lastContext-- })
	return id
}

// drop forgets contexts for writing: one that is used again gets a new id. Who
// reads an older state of the file still finds the old ones. The writer alone
// may call it.
func (n *names) drop(contexts map[[16]byte]bool) {
	for name := range contexts {
		delete(n.contextIDs, name)
	}
}

// keep ends a transaction that was committed, forget one that was not.
func (n *names) keep() { n.undo = n.undo[:0] }

func (n *names) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := len(n.undo) - 1; i >= 0; i-- {
		n.undo[i]()
	}
	n.undo = n.undo[:0]
}

func (n *names) session(id uint64) (session, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	s, ok := n.sessions[id]
	return s, ok
}

func (n *names) judge(id uint64) (judge, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	j, ok := n.judges[id]
	return j, ok
}

func (n *names) context(id uint64) ([16]byte, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	c, ok := n.contexts[id]
	return c, ok
}
