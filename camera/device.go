package camera

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"
)

// buffers is how many frames the driver holds: one being filled, one waiting,
// one being copied, one spare.
const buffers = 4

// device is one opened and started camera. It belongs to one goroutine. After
// any error it is good for close only.
type device struct {
	w      *webcam.Webcam
	fd     int
	path   string
	layout layout
	mode   Mode
}

var (
	errFormat  = errors.New("no frame format that this program reads")
	errHangUp  = errors.New("unplugged, or stopped by its driver")
	errLibrary = errors.New("the webcam library has changed inside")
	errDriver  = errors.New("the driver gave a frame that makes no sense")
	errStall   = errors.New("no picture for too long")
)

// openDevice opens the node at path, sets the best mode for o and starts it.
// Whatever fails, nothing stays open or mapped. Errors are one line for the
// technician.
func openDevice(path string, o Options) (d *device, err error) {
	all, current, err := ask(path)
	if err != nil {
		return nil, explain(path, err)
	}
	w, err := webcam.Open(path)
	if err != nil {
		return nil, explain(path, err)
	}
	fd, ok := descriptor(w)
	if !ok {
		_ = w.Close()
		return nil, errLibrary
	}
	d = &device{w: w, fd: fd, path: path}
	defer func() {
		if err != nil {
			d.close()
			d = nil
		}
	}()
	unix.CloseOnExec(fd) // a hook program must not keep the camera busy
	m, ok := choose(all, o)
	if !ok && len(all) > 0 {
		// Another camera than the one the settings were made for: a picture
		// of another size is better than none.
		if m, ok = choose(all, Options{}); ok {
			o.log().Warn("the camera does not offer the mode that was asked for", "node", path, "instead", m.String())
		}
	}
	switch {
	case ok:
	case len(all) == 0 && current.Format.readable():
		// A driver without lists of sizes: as asked, or as it stands.
		m = Mode{Format: current.Format.String(), Width: current.Width, Height: current.Height}
		if o.Width > 0 && o.Height > 0 {
			m.Width, m.Height = o.Width, o.Height
		}
		if o.Format != "" {
			m.Format = o.Format
		}
	default:
		return d, fmt.Errorf("%s: %w", path, errFormat)
	}
	if _, _, _, err := w.SetImageFormat(webcam.PixelFormat(four(m.Format)), uint32(m.Width), uint32(m.Height)); err != nil {
		return d, explain(path, fmt.Errorf("set frame format: %w", err))
	}
	// SetImageFormat returns the size that was asked for: the truth is here.
	if d.layout, err = currentLayout(fd); err != nil {
		return d, explain(path, err)
	}
	if !d.layout.Format.readable() {
		return d, fmt.Errorf("%s: %w", path, errFormat)
	}
	if fps := wanted(m, o); fps > 0 {
		_ = w.SetFramerate(float32(fps)) // a wish: some drivers have one rate only
	}
	d.mode = Mode{Format: d.layout.Format.String(), Width: d.layout.Width, Height: d.layout.Height}
	if got, err := w.GetFramerate(); err == nil {
		d.mode.FPS = float64(got)
	}
	if err := w.SetBufferCount(buffers); err != nil {
		return d, explain(path, err)
	}
	if err := guarded(w.StartStreaming); err != nil {
		d.unmap()
		return d, explain(path, refused(err))
	}
	return d, nil
}

// ask looks at a node by a descriptor of its own.
func ask(path string) ([]Mode, layout, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, layout{}, err
	}
	defer unix.Close(fd)
	if _, _, _, err := capability(fd); err != nil {
		return nil, layout{}, err
	}
	l, _ := currentLayout(fd) // zero when the driver has none yet
	return modes(fd), l, nil
}

// wanted is the frame rate to ask for.
func wanted(m Mode, o Options) float64 {
	switch {
	case o.FPS > 0 && m.FPS > 0:
		return min(o.FPS, m.FPS)
	case o.FPS > 0:
		return o.FPS
	}
	return min(m.FPS, 30)
}

// refused says that a start failed. The library keeps the kernel's words and
// loses the error; the one that matters is found again.
func refused(err error) error {
	for _, e := range []unix.Errno{unix.EBUSY, unix.ENODEV} {
		if s := err.Error(); len(s) >= len(e.Error()) && s[len(s)-len(e.Error()):] == e.Error() {
			return fmt.Errorf("the camera refused to start: %w", e)
		}
	}
	return fmt.Errorf("the camera refused to start: %w", err)
}

// guarded turns a panic inside the library (a buffer number or length from
// the driver that is out of range) into an error.
func guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errDriver
		}
	}()
	return f()
}

// descriptor and mapped read two private fields of the library: it has no way
// to reach the descriptor, and none to release the buffers of a start that
// failed. A test fails when a new version has other fields.
func descriptor(w *webcam.Webcam) (int, bool) {
	f := reflect.ValueOf(w).Elem().FieldByName("fd")
	if !f.IsValid() || f.Kind() != reflect.Uintptr {
		return 0, false
	}
	return int(f.Uint()), true
}

func mapped(w *webcam.Webcam) [][]byte {
	f := reflect.ValueOf(w).Elem().FieldByName("buffers")
	if !f.IsValid() || f.Type() != reflect.TypeFor[[][]byte]() {
		return nil
	}
	all := make([][]byte, 0, f.Len())
	for i := range f.Len() {
		if b := f.Index(i).Bytes(); len(b) > 0 {
			all = append(all, b)
		}
	}
	return all
}

// unmap releases the buffers of a start that failed. unix.Munmap knows what
// is mapped and refuses anything else.
func (d *device) unmap() {
	for _, b := range mapped(d.w) {
		_ = unix.Munmap(b)
	}
}

// close stops and closes the device. While the stream runs the library
// unmaps its buffers; it gives up at the first that fails, so the rest is
// unmapped here.
func (d *device) close() {
	if guarded(d.w.StopStreaming) != nil {
		d.unmap()
	}
	_ = guarded(d.w.Close)
}

// wait waits until a frame is there, for at most limit. It reports false when
// wake became readable or the time is over, and an error when the device is
// gone: POLLERR and POLLHUP come at once and for ever, so they must end the
// handle.
func (d *device) wait(wake int, limit time.Duration) (ready bool, err error) {
	end := time.Now().Add(limit)
	fds := [2]unix.PollFd{{Fd: int32(d.fd), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}
	for {
		left := time.Until(end)
		if left < 0 {
			return false, nil
		}
		n, err := unix.Poll(fds[:], int(left.Milliseconds())+1)
		switch {
		case errors.Is(err, unix.EINTR): // Go's own signals
			continue
		case err != nil:
			return false, err
		case n == 0 || fds[1].Revents != 0:
			return false, nil
		case fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0:
			// The driver's word for it, if it has one.
			if _, i, err := d.dequeue(); err == nil {
				_ = d.w.ReleaseFrame(i)
			} else if !errors.Is(err, unix.EAGAIN) {
				return false, err
			}
			return false, errHangUp
		}
		return true, nil
	}
}

func (d *device) dequeue() (b []byte, index uint32, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errDriver
		}
	}()
	return d.w.GetFrame()
}

// newest takes the newest frame that is ready and gives older ones back. n is
// how many were ready; 0 when there was none after all. The frame belongs to
// the driver again after release.
func (d *device) newest() (b []byte, index uint32, n int, err error) {
	for n <= buffers { // a driver that is never empty ends here
		next, i, err := d.dequeue()
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			return nil, 0, n, err
		}
		if n > 0 {
			if err := d.w.ReleaseFrame(index); err != nil {
				return nil, 0, n, err
			}
		}
		b, index = next, i
		n++
	}
	return b, index, n, nil
}

func (d *device) release(index uint32) error { return d.w.ReleaseFrame(index) }
