//go:build linux && (amd64 || arm64)

package powercut

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Mount serves f at an empty folder until the returned function is called,
// after the last program has let go of its files.
func Mount(f *FS, folder string) (unmount func() error, err error) {
	if dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil || os.Geteuid() != 0 {
		if err == nil {
			dev.Close()
		}
		return nil, ErrNoFUSE
	} else {
		dev.Close()
	}
	server, err := fuse.NewServer(&service{RawFileSystem: fuse.NewDefaultRawFileSystem(), fs: f}, folder, &fuse.MountOptions{
		FsName: "powercut", Name: "powercut", DirectMount: true, DisableXAttrs: true, DisableReadDirPlus: true,
	})
	if err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	return server.Unmount, nil
}

// service answers the kernel. Locks are the kernel's own; what is written
// through a mapping comes as writes.
type service struct {
	fuse.RawFileSystem
	fs *FS
}

// root is the folder's node.
const root = 1

// keep is how long the kernel may remember what only this mount can change.
const keep = time.Hour

func (s *service) String() string { return "powercut" }

func (s *service) node(id uint64) *file { return s.fs.nodes[id] }

func attributes(n *file, out *fuse.Attr) {
	out.Ino, out.Size, out.Blocks = n.id, uint64(len(n.live)), uint64(len(n.live)+511)/512
	out.Mode, out.Nlink, out.Blksize = syscall.S_IFREG|0o600, 1, 4096
}

func entry(n *file, out *fuse.EntryOut) {
	out.NodeId, out.Generation = n.id, 1
	attributes(n, &out.Attr)
	out.SetEntryTimeout(keep)
	out.SetAttrTimeout(keep)
}

func (s *service) Lookup(_ <-chan struct{}, _ *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	s.fs.mu.Lock()
	defer s.fs.mu.Unlock()
	n := s.fs.live[name]
	if n == nil {
		return fuse.ENOENT
	}
	entry(n, out)
	return fuse.OK
}

func (s *service) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	s.fs.mu.Lock()
	defer s.fs.mu.Unlock()
	if in.NodeId == root {
		out.Attr = fuse.Attr{Ino: root, Mode: syscall.S_IFDIR | 0o700, Nlink: 2}
		return fuse.OK
	}
	n := s.node(in.NodeId)
	if n == nil {
		return fuse.ENOENT
	}
	attributes(n, &out.Attr)
	out.SetTimeout(keep)
	return fuse.OK
}

func (s *service) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	s.fs.mu.Lock()
	defer s.fs.mu.Unlock()
	n := s.node(in.NodeId)
	if n == nil {
		return fuse.ENOENT
	}
	if size, ok := in.GetSize(); ok && int(size) != len(n.live) {
		if !s.fs.step() {
			return fuse.EIO
		}
		if s.full(int(size) - len(n.live)) {
			return fuse.Status(syscall.ENOSPC)
		}
		n.truncate(int(size))
	}
	attributes(n, &out.Attr)
	out.SetTimeout(keep)
	return fuse.OK
}

// full reports whether more bytes would not fit. s.fs.mu is held.
func (s *service) full(more int) bool {
	return more > 0 && s.fs.capacity > 0 && s.fs.used()+more > s.fs.capacity
}

func (s *service) Create(_ <-chan struct{}, _ *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	s.fs.mu.Lock()
	defer s.fs.mu.Unlock()
	if !s.fs.step() {
		return fuse.EIO
	}
	n := s.fs.make()
	s.fs.name(name, n)
	entry(n, &out.EntryOut)
	return fuse.OK
}

func (s *service) Unlink(_ <-chan struct{}, _ *fuse.InHeader, name string) fuse.Status {
	s.fs.mu.Lock()
	defer s.fs.mu.Unlock()
	if !s.fs.step() {
		return fuse.EIO
	}
	if s.fs.live[name] == nil {
		return fuse.ENOENT
	}
	s.fs.name(name, nil)
	return fuse.OK
}

func (s *service) Rename(_ <-chan struct{}, _ *fuse.RenameIn, from, to string) fuse.Status {
	s.fs.mu.Lock()
	defer s.fs.mu.Unlock()
	if !s.fs.step() {
		return fuse.EIO
	}
	n := s.fs.live[from]
	if n == nil {
		return fuse.ENOENT
	}
	// The new name first: a cut between the two leaves both, never none.
	s.fs.name(to, n)
	s.fs.name(from, nil)
	return fuse.OK
}

func (s *service) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	s.fs.mu.Lock()
	defer s.fs.mu.Unlock()
	if s.node(in.NodeId) == nil {
		return fuse.ENOENT
	}
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE // and not direct: SQLite maps -shm
	return fuse.OK
}

func (s *service) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	s.fs.mu.Lock()
	defer s.fs.mu.Unlock()
	n := s.node(in.NodeId)
	if n == nil || s.fs.image != nil {
		return nil, fuse.EIO
	}
	from := min(int(in.Offset), len(n.live))
	return fuse.ReadResultData(buf[:copy(buf, n.live[from:])]), fuse.OK
}

func (s *service) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	s.fs.mu.Lock()
	defer s.fs.mu.Unlock()
	n := s.node(in.NodeId)
	if n == nil || !s.fs.step() {
		return 0, fuse.EIO
	}
	if s.full(int(in.Offset) + len(data) - len(n.live)) {
		return 0, fuse.Status(syscall.ENOSPC)
	}
	n.write(int(in.Offset), data)
	return uint32(len(data)), fuse.OK
}

// Fsync makes content durable, for fsync and fdatasync alike: both cover the
// size.
func (s *service) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	s.fs.mu.Lock()
	defer s.fs.mu.Unlock()
	n := s.node(in.NodeId)
	if n == nil || !s.fs.step() {
		return fuse.EIO
	}
	n.sync()
	s.fs.syncs++
	return fuse.OK
}

func (s *service) OpenDir(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status { return fuse.OK }

func (s *service) FsyncDir(<-chan struct{}, *fuse.FsyncIn) fuse.Status {
	s.fs.mu.Lock()
	defer s.fs.mu.Unlock()
	if !s.fs.step() {
		return fuse.EIO
	}
	s.fs.syncNames()
	return fuse.OK
}

func (s *service) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

func (s *service) Access(<-chan struct{}, *fuse.AccessIn) fuse.Status { return fuse.OK }

func (s *service) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	s.fs.mu.Lock()
	defer s.fs.mu.Unlock()
	total := s.fs.capacity
	if total == 0 {
		total = 1 << 30
	}
	out.Bsize, out.Frsize, out.NameLen = 4096, 4096, 255
	out.Blocks = uint64(total) / 4096
	out.Bfree = uint64(max(0, total-s.fs.used())) / 4096
	out.Bavail = out.Bfree
	return fuse.OK
}
