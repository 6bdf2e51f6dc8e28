package camera

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file asks the kernel what the webcam library does not tell, or tells
// wrongly: device_caps (the library believes "capabilities", which a metadata
// node of the same camera has too), the format that is really set, and the
// lists of formats, sizes and rates with an end. Linux media API,
// include/uapi/linux/videodev2.h.

// fourCC is a V4L2 pixel format, its first letter in the low byte.
type fourCC uint32

func four(s string) fourCC {
	return fourCC(s[0]) | fourCC(s[1])<<8 | fourCC(s[2])<<16 | fourCC(s[3])<<24
}

// The formats that this package reads.
const (
	fourGREY fourCC = 'G' | 'R'<<8 | 'E'<<16 | 'Y'<<24
	fourYUYV fourCC = 'Y' | 'U'<<8 | 'Y'<<16 | 'V'<<24
	fourUYVY fourCC = 'U' | 'Y'<<8 | 'V'<<16 | 'Y'<<24
	fourNV12 fourCC = 'N' | 'V'<<8 | '1'<<16 | '2'<<24
	fourYU12 fourCC = 'Y' | 'U'<<8 | '1'<<16 | '2'<<24
	fourMJPG fourCC = 'M' | 'J'<<8 | 'P'<<16 | 'G'<<24
	fourJPEG fourCC = 'J' | 'P'<<8 | 'E'<<16 | 'G'<<24
)

// readable says whether frames of this format can be turned to grey here.
func (f fourCC) readable() bool {
	switch f {
	case fourGREY, fourYUYV, fourUYVY, fourNV12, fourYU12:
		return true
	}
	return f.packed()
}

// packed says whether a frame of this format is a JPEG.
func (f fourCC) packed() bool { return f == fourMJPG || f == fourJPEG }

func (f fourCC) String() string {
	b := []byte{byte(f), byte(f >> 8), byte(f >> 16), byte(f >> 24)}
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return strings.TrimRight(string(b), " ")
}

const (
	capVideoCapture = 0x00000001
	capStreaming    = 0x04000000
	capDeviceCaps   = 0x80000000
	bufCapture      = 1
	typeDiscrete    = 1
)

type kCapability struct {
	driver             [16]byte
	card, bus          [32]byte
	version            uint32
	capabilities, caps uint32
	_                  [3]uint32
}

type kFmtDesc struct {
	index, typ, flags uint32
	description       [32]byte
	format            uint32
	_                 [4]uint32
}

type kFrmSize struct {
	index, format, typ uint32
	// Discrete: width, height. Else: least, most and step of width, of height.
	u [6]uint32
	_ [2]uint32
}

type kFrmIval struct {
	index, format, width, height, typ uint32
	// Discrete: numerator, denominator. Else: of the shortest, longest, step.
	u [6]uint32
	_ [2]uint32
}

type kPixFormat struct {
	width, height, format, field, bytesPerLine, sizeImage uint32
	_                                                     [6]uint32
}

// kFormat is struct v4l2_format: a union of 200 bytes with a pointer in one of
// its members, so it is 8 bytes aligned where pointers are.
type kFormat struct {
	typ uint32
	u   struct {
		data [200 - unsafe.Sizeof(uintptr(0))]byte
		_    unsafe.Pointer
	}
}

const (
	ioRead  = 2
	ioWrite = 1
)

func ioc(dir, nr, size uintptr) uintptr { return dir<<30 | size<<16 | 'V'<<8 | nr }

// ioctl repeats a call that a signal broke off.
func ioctl(fd int, req uintptr, p unsafe.Pointer) error {
	for {
		_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), req, uintptr(p))
		runtime.KeepAlive(p)
		switch e {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return e
		}
	}
}

func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return -1
		}
		return r
	}, string(b)))
}

var errNotCapture = errors.New("not a capture device")

// capability asks a node what it is; errNotCapture unless frames can be
// streamed from it.
func capability(fd int) (driver, card, bus string, err error) {
	var c kCapability
	if err := ioctl(fd, ioc(ioRead, 0, unsafe.Sizeof(c)), unsafe.Pointer(&c)); err != nil {
		if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
			err = errNotCapture
		}
		return "", "", "", err
	}
	caps := c.capabilities
	if caps&capDeviceCaps != 0 {
		caps = c.caps
	}
	if caps&capVideoCapture == 0 || caps&capStreaming == 0 {
		return "", "", "", errNotCapture
	}
	return text(c.driver[:]), text(c.card[:]), text(c.bus[:]), nil
}

// currentLayout asks for the format that is really set (VIDIOC_G_FMT) and
// refuses one that cannot be true.
func currentLayout(fd int) (layout, error) {
	f := kFormat{typ: bufCapture}
	if err := ioctl(fd, ioc(ioRead|ioWrite, 4, unsafe.Sizeof(f)), unsafe.Pointer(&f)); err != nil {
		return layout{}, err
	}
	p := (*kPixFormat)(unsafe.Pointer(&f.u))
	return checkLayout(p.format, p.width, p.height, p.bytesPerLine, p.sizeImage)
}

const (
	maxSide  = 8192
	maxFrame = 64 << 20 // bytes
)

var errLayout = errors.New("the driver's frame format makes no sense")

func checkLayout(format, width, height, perLine, size uint32) (layout, error) {
	l := layout{Format: fourCC(format), Width: int(width), Height: int(height), Stride: int(perLine), Size: int(size)}
	if width == 0 || height == 0 || width > maxSide || height > maxSide || size > maxFrame || perLine > 8*maxSide {
		return layout{}, errLayout
	}
	if !l.Format.packed() {
		least := l.Width
		if l.Format == fourYUYV || l.Format == fourUYVY {
			least *= 2
		}
		l.Stride = max(l.Stride, least) // some drivers leave it 0
		if l.need() > l.Size {
			return layout{}, errLayout
		}
	}
	return l, nil
}

// The lists end where the kernel says so; the bounds only stop a driver that
// never does.
const (
	maxFormats   = 64
	maxSizes     = 128
	maxIntervals = 64
)

// modes lists what a node offers in the formats that are read here.
func modes(fd int) []Mode {
	var all []Mode
	for i := uint32(0); i < maxFormats; i++ {
		d := kFmtDesc{index: i, typ: bufCapture}
		if ioctl(fd, ioc(ioRead|ioWrite, 2, unsafe.Sizeof(d)), unsafe.Pointer(&d)) != nil {
			break
		}
		if f := fourCC(d.format); f.readable() {
			for _, s := range sizes(fd, f) {
				all = append(all, Mode{Format: f.String(), Width: s[0], Height: s[1], FPS: fastest(fd, f, s)})
			}
		}
	}
	return all
}

// sizes lists frame sizes; of a range, the usual ones that lie in it.
func sizes(fd int, f fourCC) (all [][2]int) {
	for i := uint32(0); i < maxSizes; i++ {
		s := kFrmSize{index: i, format: uint32(f)}
		if ioctl(fd, ioc(ioRead|ioWrite, 74, unsafe.Sizeof(s)), unsafe.Pointer(&s)) != nil {
			break
		}
		if s.typ == typeDiscrete {
			if s.u[0]-1 < maxSide && s.u[1]-1 < maxSide {
				all = append(all, [2]int{int(s.u[0]), int(s.u[1])})
			}
			continue
		}
		for _, z := range [][2]uint32{{320, 240}, {640, 480}, {800, 600}, {1280, 720}, {1920, 1080}} {
			if within(z[0], s.u[0], s.u[1], s.u[2]) && within(z[1], s.u[3], s.u[4], s.u[5]) {
				all = append(all, [2]int{int(z[0]), int(z[1])})
			}
		}
		break // a range stands alone
	}
	return all
}

func within(v, least, most, step uint32) bool {
	return v >= least && v <= most && (step == 0 || (v-least)%step == 0)
}

// fastest is the highest frame rate of a mode, 0 when the driver does not tell.
func fastest(fd int, f fourCC, s [2]int) (fps float64) {
	for i := uint32(0); i < maxIntervals; i++ {
		v := kFrmIval{index: i, format: uint32(f), width: uint32(s[0]), height: uint32(s[1])}
		if ioctl(fd, ioc(ioRead|ioWrite, 75, unsafe.Sizeof(v)), unsafe.Pointer(&v)) != nil {
			break
		}
		if v.u[0] != 0 && v.u[1] != 0 { // of a range, the shortest interval comes first
			fps = max(fps, float64(v.u[1])/float64(v.u[0]))
		}
		if v.typ != typeDiscrete {
			break
		}
	}
	return min(fps, 1000)
}
