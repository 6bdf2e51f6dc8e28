package powercut

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
)

// ErrNoFUSE says that this machine or user cannot mount.
var ErrNoFUSE = errors.New("FUSE needs root and /dev/fuse")

// sector is what a disk writes whole or not at all.
const sector = 512

// FS is the model: files, names, and what of them is durable.
type FS struct {
	capacity int // bytes of all live files; 0 no limit

	mu      sync.Mutex
	next    uint64 // node id
	nodes   map[uint64]*file
	live    map[string]*file
	durable map[string]*file
	changes []change // of names, not yet durable
	ops     int      // writes, syncs and changes of names so far
	cutAt   int      // cut before this operation; 0 never
	rng     *rand.Rand
	image   map[string][]byte // after the cut
	cut     chan struct{}
	syncs   int
}

type file struct {
	id      uint64
	live    []byte
	durable []byte
	dirty   []write
}

// write is one change of a file's content since its last sync. With data nil
// the file was cut or grown to size.
type write struct {
	off  int
	data []byte
	size int
}

// change is one change of a name since the folder's last sync; to is nil for a
// removal.
type change struct {
	name string
	to   *file
}

// New is an empty file system. With capacity above 0 writes beyond it fail for
// want of space.
func New(capacity int) *FS {
	return &FS{capacity: capacity, next: 2, nodes: make(map[uint64]*file),
		live: make(map[string]*file), durable: make(map[string]*file), cut: make(chan struct{})}
}

// Fill puts files in, durable at once.
func (f *FS) Fill(files map[string][]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, data := range files {
		n := f.make()
		n.live, n.durable = slices.Clone(data), slices.Clone(data)
		f.live[name], f.durable[name] = n, n
	}
}

// CutAfter arranges a cut before the operation that comes after ops more. With
// rng nil all that is not synced is lost, else a random part of it.
func (f *FS) CutAfter(ops int, rng *rand.Rand) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cutAt, f.rng = f.ops+ops+1, rng
}

// Cut cuts now and returns what the disk holds. From here on every operation
// fails. A second cut changes nothing.
func (f *FS) Cut(rng *rand.Rand) map[string][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cutNow(rng)
	return f.image
}

// Done is closed at the cut.
func (f *FS) Done() <-chan struct{} { return f.cut }

// Syncs is how many syncs of files there were.
func (f *FS) Syncs() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.syncs
}

func (f *FS) cutNow(rng *rand.Rand) {
	if f.image != nil {
		return
	}
	names := maps.Clone(f.durable)
	if rng != nil {
		for _, c := range f.changes {
			if rng.IntN(2) == 0 {
				continue
			}
			if c.to == nil {
				delete(names, c.name)
			} else {
				names[c.name] = c.to
			}
		}
	}
	f.image = make(map[string][]byte)
	for name, n := range names {
		f.image[name] = n.after(rng)
	}
	close(f.cut)
}

// after is what a cut leaves of the file.
func (n *file) after(rng *rand.Rand) []byte {
	data := slices.Clone(n.durable)
	if rng == nil {
		return data
	}
	for _, w := range n.dirty {
		if w.data == nil {
			if rng.IntN(2) == 0 {
				data = resize(data, w.size)
			}
			continue
		}
		for from := 0; from < len(w.data); {
			to := min(len(w.data), from+sector-(w.off+from)%sector)
			if rng.IntN(2) == 0 {
				data = put(data, w.off+from, w.data[from:to])
			}
			from = to
		}
	}
	return data
}

// step counts an operation and cuts when its time has come. It reports whether
// the power is still on. f.mu is held.
func (f *FS) step() bool {
	if f.image != nil {
		return false
	}
	f.ops++
	if f.cutAt != 0 && f.ops >= f.cutAt {
		f.cutNow(f.rng)
		return false
	}
	return true
}

// make is a new file without a name. f.mu is held.
func (f *FS) make() *file {
	n := &file{id: f.next}
	f.nodes[n.id] = n
	f.next++
	return n
}

func (f *FS) used() (sum int) {
	for _, n := range f.live {
		sum += len(n.live)
	}
	return sum
}

// name and sync change the model; f.mu is held.
func (f *FS) name(name string, to *file) {
	if to == nil {
		delete(f.live, name)
	} else {
		f.live[name] = to
	}
	f.changes = append(f.changes, change{name, to})
}

func (f *FS) syncNames() {
	f.durable, f.changes = maps.Clone(f.live), nil
}

func (n *file) write(off int, data []byte) {
	n.live = put(n.live, off, data)
	n.dirty = append(n.dirty, write{off: off, data: slices.Clone(data)})
}

func (n *file) truncate(size int) {
	n.live = resize(n.live, size)
	n.dirty = append(n.dirty, write{size: size})
}

func (n *file) sync() {
	for _, w := range n.dirty {
		if w.data == nil {
			n.durable = resize(n.durable, w.size)
		} else {
			n.durable = put(n.durable, w.off, w.data)
		}
	}
	n.dirty = nil
}

func put(to []byte, off int, data []byte) []byte {
	if end := off + len(data); end > len(to) {
		to = resize(to, end)
	}
	copy(to[off:], data)
	return to
}

func resize(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	old := len(b)
	b = slices.Grow(b, size-old)[:size]
	clear(b[old:])
	return b
}
