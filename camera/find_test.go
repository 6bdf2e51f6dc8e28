package camera

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"
)

// machine is a made-up /sys and /dev.
type machine struct {
	t    *testing.T
	root string
}

func (m machine) places() places {
	return places{sys: filepath.Join(m.root, "sys/class/video4linux"), dev: filepath.Join(m.root, "dev")}
}

func (m machine) write(path, s string) {
	m.t.Helper()
	p := filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(s+"\n"), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m machine) link(path, to string) {
	m.t.Helper()
	p := filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		m.t.Fatal(err)
	}
	_ = os.Remove(p)
	if err := os.Symlink(filepath.Join(m.root, to), p); err != nil {
		m.t.Fatal(err)
	}
}

// usb plugs a camera: its node and, with a serial number, its by-id link.
func (m machine) usb(number int, port, product, serial string) string {
	m.t.Helper()
	node := fmt.Sprintf("video%d", number)
	usb := "sys/devices/usb1/" + port
	m.write(usb+"/idVendor", "046d")
	m.write(usb+"/idProduct", product)
	if serial != "" {
		m.write(usb+"/serial", serial)
		m.link("dev/v4l/by-id/usb-"+serial+"-video-index0", "dev/"+node)
	}
	m.write(usb+"/"+port+":1.0/bInterfaceNumber", "00")
	m.write("sys/class/video4linux/"+node+"/name", "Webcam "+product)
	m.write("sys/class/video4linux/"+node+"/index", "0")
	m.link("sys/class/video4linux/"+node+"/device", usb+"/"+port+":1.0")
	m.write("dev/"+node, "")
	return filepath.Join(m.root, "dev", node)
}

func (m machine) board(number int) string {
	node := fmt.Sprintf("video%d", number)
	m.write("sys/devices/platform/isp/uevent", "")
	m.write("sys/class/video4linux/"+node+"/name", "isp")
	m.write("sys/class/video4linux/"+node+"/index", "0")
	m.link("sys/class/video4linux/"+node+"/device", "sys/devices/platform/isp")
	m.write("dev/"+node, "")
	return filepath.Join(m.root, "dev", node)
}

func (m machine) unplug(number int) {
	node := fmt.Sprintf("video%d", number)
	_ = os.RemoveAll(filepath.Join(m.root, "sys/class/video4linux", node))
	_ = os.Remove(filepath.Join(m.root, "dev", node))
}

func TestCandidates(t *testing.T) {
	paths := func(m machine, target string, was identity, only bool) string {
		t.Helper()
		all, err := m.places().candidates(target, was, only)
		if err != nil {
			t.Fatal(err)
		}
		var s []string
		for _, n := range all {
			s = append(s, filepath.Base(n.path))
		}
		return strings.Join(s, " ")
	}
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	m := machine{t, t.TempDir()}
	want("no camera at all", paths(m, "auto", identity{}, false), "")
	m.board(0)
	m.usb(10, "1-4", "0825", "")
	node := m.usb(2, "1-2", "082d", "AB12")
	want("auto: what somebody plugged in, by number", paths(m, "auto", identity{}, false), "video2 video10 video0")
	byID := filepath.Join(m.root, "dev/v4l/by-id/usb-AB12-video-index0")
	want("a node", paths(m, node, identity{}, false), "video2")
	want("a link", paths(m, byID, identity{}, false), "video2")
	want("a node that is not there", paths(m, filepath.Join(m.root, "dev/video7"), identity{}, false), "")

	was := m.places().identify("video2")
	m.unplug(2)
	want("unplugged", paths(m, node, was, false), "")
	want("auto is loyal at first", paths(m, "auto", was, true), "")
	want("auto takes another one later", paths(m, "auto", was, false), "video10 video0")
	m.usb(5, "1-2", "082d", "AB12")
	want("back under another number", paths(m, node, was, false), "video5")
	want("back, by its link", paths(m, byID, was, false), "video5")
	want("back, auto", paths(m, "auto", was, true), "video5")
	m.unplug(5)
	m.usb(6, "1-3", "082d", "AB12")
	want("back in another socket", paths(m, node, was, false), "video6")
	m.unplug(6)
	m.usb(2, "1-3", "ffff", "ZZ")
	want("exchanged for another model, same node", paths(m, node, was, false), "video2")
	m.usb(7, "1-1", "082d", "AB12")
	want("the same camera before its old node", paths(m, node, was, false), "video7 video2")

	// Without serial numbers the socket decides.
	m = machine{t, t.TempDir()}
	m.usb(1, "1-1", "0825", "")
	was = m.places().identify("video1")
	m.unplug(1)
	m.usb(3, "1-2", "0825", "")
	m.usb(4, "1-1", "0825", "")
	want("two alike", paths(m, filepath.Join(m.root, "dev/video1"), was, false), "video4 video3")
}

// List says one line for a node that cannot be used.
func TestListOfFiles(t *testing.T) {
	m := machine{t, t.TempDir()}
	m.usb(0, "1-1", "0825", "")
	all, err := m.places().list()
	if err != nil || len(all) != 0 { // a file is no camera
		t.Errorf("%+v, %v", all, err)
	}
	_ = os.Remove(filepath.Join(m.root, "dev/video0"))
	all, err = m.places().list()
	if err != nil || len(all) != 1 || !strings.Contains(all[0].Problem, "no camera there") {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestExplain(t *testing.T) {
	for err, says := range map[error]string{
		unix.EACCES: "add this user to the group video",
		unix.EBUSY:  "in use by another program",
		unix.ENOENT: "no camera there",
		unix.EIO:    "input/output error",
	} {
		if got := explain("/dev/none", err); !strings.Contains(got.Error(), says) || !errors.Is(got, err) {
			t.Errorf("%v: %q", err, got)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "camera.txt")
	if err := os.WriteFile(file, []byte("not a camera"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		spec, says string
		o          Options
		is         error
	}{
		{"v4l2:" + file, "not a camera but a file", Options{}, ErrNotCamera},
		{"v4l2:" + t.TempDir(), "not a camera but a folder", Options{}, ErrNotCamera},
		{"v4l2:/dev/null", "a device of another kind", Options{}, ErrNotCamera},
		{"v4l2:" + file + "/x", "not a directory", Options{}, nil},
		{"v4l2:video0", "full path", Options{}, nil},
		{"v4l2:/dev/none", "no camera there", Options{MustOpen: true}, unix.ENODEV},
		{"v4l2:auto", "not possible", Options{Width: -1}, nil},
		{"v4l2:auto", "H264", Options{Format: "H264"}, nil},
		{"mjpeg:ftp://x/y", "mjpeg:http://", Options{}, nil},
		{"mjpeg:http://user:secret@", "mjpeg:http://", Options{}, nil},
		{"dir:/does/not/exist", "no such file", Options{}, nil},
		{"v4l2:", "v4l2:auto", Options{}, ErrSpec},
		{"", "v4l2:auto", Options{}, ErrSpec},
		{"rtsp:x", "v4l2:auto", Options{}, ErrSpec},
	} {
		s, err := Open(t.Context(), tc.spec, tc.o)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tc.says) || tc.is != nil && !errors.Is(err, tc.is) ||
			strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error = %v, want %q", tc.spec, err, tc.says)
		}
	}
}

// The two private fields of the library that this package reads.
func TestLibraryFields(t *testing.T) {
	var w webcam.Webcam
	if _, ok := descriptor(&w); !ok {
		t.Error("no field fd")
	}
	if got := mapped(&w); got == nil || len(got) != 0 {
		t.Errorf("field buffers: %v", got)
	}
}

func TestChoose(t *testing.T) {
	typical := []Mode{
		{"MJPG", 1920, 1080, 30}, {"MJPG", 1280, 720, 30}, {"MJPG", 640, 480, 30},
		{"YUYV", 1280, 720, 10}, {"YUYV", 640, 480, 30}, {"YUYV", 320, 240, 30}, {"H264", 1280, 720, 30},
	}
	for _, tc := range []struct {
		name string
		all  []Mode
		o    Options
		want string
	}{
		{"uncompressed before large MJPEG", typical, Options{}, "YUYV 640x480 30 fps"},
		{"as asked", typical, Options{Width: 1280, Height: 720}, "MJPG 1280x720 30 fps"},
		{"format as asked", typical, Options{Format: "MJPG"}, "MJPG 1280x720 30 fps"},
		{"larger than usual, as asked", typical, Options{Width: 1920}, "MJPG 1920x1080 30 fps"},
		{"only tiny uncompressed", []Mode{{"YUYV", 320, 240, 30}, {"MJPG", 1280, 720, 30}}, Options{}, "MJPG 1280x720 30 fps"},
		{"grey before colour", []Mode{{"YUYV", 640, 480, 30}, {"GREY", 640, 480, 30}}, Options{}, "GREY 640x480 30 fps"},
		{"the larger uncompressed", []Mode{{"YUYV", 640, 480, 30}, {"YUYV", 1280, 720, 20}}, Options{}, "YUYV 1280x720 20 fps"},
		{"all slow", []Mode{{"YUYV", 1280, 720, 5}, {"YUYV", 640, 480, 10}, {"YUYV", 160, 120, 12}}, Options{}, "YUYV 640x480 10 fps"},
		{"all large", []Mode{{"MJPG", 3840, 2160, 30}, {"MJPG", 1920, 1080, 30}}, Options{}, "MJPG 1920x1080 30 fps"},
		{"rate not told", []Mode{{"YUYV", 640, 480, 0}}, Options{}, "YUYV 640x480"},
	} {
		if m, ok := choose(tc.all, tc.o); !ok || m.String() != tc.want {
			t.Errorf("%s: %v, want %s", tc.name, m, tc.want)
		}
	}
	if m, ok := choose([]Mode{{"H264", 640, 480, 30}}, Options{}); ok {
		t.Errorf("H264: %v", m)
	}
	if m, ok := choose(typical, Options{Width: 123}); ok {
		t.Errorf("a size that there is not: %v", m)
	}
}

func TestCheckLayout(t *testing.T) {
	for _, tc := range []struct {
		name                  string
		f                     fourCC
		w, h, stride, size    uint32
		ok                    bool
		wantStride, wantBytes int
	}{
		{"plain", fourYUYV, 640, 480, 1280, 614400, true, 1280, 614400},
		{"padded", fourYUYV, 640, 480, 1344, 1344 * 480, true, 1344, 479*1344 + 1280},
		{"no stride given", fourGREY, 640, 480, 0, 307200, true, 640, 307200},
		{"no size", fourGREY, 0, 480, 640, 307200, false, 0, 0},
		{"too wide", fourGREY, 1 << 31, 1, 0, 1, false, 0, 0},
		{"buffer too small", fourYUYV, 640, 480, 1280, 614399, false, 0, 0},
		{"mad stride", fourGREY, 640, 480, 1 << 30, 307200, false, 0, 0},
		{"mad size", fourMJPG, 640, 480, 0, 1 << 31, false, 0, 0},
		{"MJPEG", fourMJPG, 640, 480, 0, 614400, true, 0, 0},
	} {
		l, err := checkLayout(uint32(tc.f), tc.w, tc.h, tc.stride, tc.size)
		if (err == nil) != tc.ok || tc.ok && !tc.f.packed() && (l.Stride != tc.wantStride || l.need() != tc.wantBytes) {
			t.Errorf("%s: %+v, %v", tc.name, l, err)
		}
	}
}
