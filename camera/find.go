package camera

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Device is one camera of this machine.
type Device struct {
	Node    string   // such as /dev/video0
	Name    string   // as the driver calls it
	Driver  string   // "" when the node could not be opened
	Bus     string   // where it is plugged, such as usb-0000:00:14.0-1
	Vendor  string   // USB vendor id, four hex digits, else ""
	Product string   // USB product id
	Serial  string   // USB serial number, "" when it has none
	Links   []string // names that stay the same: /dev/v4l/by-id/… and by-path/…
	Modes   []Mode   // that this program can read
	Problem string   // why it cannot be used, one line; "" when it can
}

// List finds the cameras of this machine, in the order in which v4l2:auto
// tries them. A node that is certainly no camera is left out.
func List() ([]Device, error) { return system.list() }

// places are the folders of the kernel; tests have their own.
type places struct{ sys, dev string }

var system = places{sys: "/sys/class/video4linux", dev: "/dev"}

// identity is what stays the same when a camera comes back.
type identity struct {
	vendor, product, serial string // USB; "" otherwise
	port                    string // path of the device in sysfs: where it is plugged
	name                    string
	index                   string // which of the camera's nodes
}

func (id identity) zero() bool { return id == identity{} }

// likeness says how surely b is the camera a was: 0 not at all, 3 for certain.
func (id identity) likeness(b identity) int {
	switch {
	case id.zero() || id.vendor != b.vendor || id.product != b.product || id.serial != b.serial ||
		id.name != b.name || id.index != b.index:
		return 0
	case id.port == b.port:
		return 3
	case id.serial != "":
		return 2
	}
	return 1
}

// node is one video node of the kernel.
type node struct {
	path   string
	number int
	id     identity
}

func readLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil || len(b) > 4096 {
		return ""
	}
	return text(b)
}

// nodes lists the video nodes by number. A missing folder is no cameras: the
// driver may come with the first camera.
func (p places) nodes() ([]node, error) {
	entries, err := os.ReadDir(p.sys)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list cameras: %w", err)
	}
	var all []node
	for _, e := range entries {
		n, err := strconv.Atoi(strings.TrimPrefix(e.Name(), "video"))
		if err != nil || !strings.HasPrefix(e.Name(), "video") {
			continue
		}
		all = append(all, node{path: filepath.Join(p.dev, e.Name()), number: n, id: p.identify(e.Name())})
	}
	slices.SortFunc(all, func(a, b node) int { return cmp.Compare(a.number, b.number) })
	return all, nil
}

// identify reads what the kernel says of the node called name.
func (p places) identify(name string) identity {
	dir := filepath.Join(p.sys, name)
	id := identity{name: readLine(filepath.Join(dir, "name")), index: readLine(filepath.Join(dir, "index"))}
	port, err := filepath.EvalSymlinks(filepath.Join(dir, "device"))
	if err != nil {
		return id
	}
	id.port = port
	usb := filepath.Dir(port) // the device above its interface
	if id.vendor = readLine(filepath.Join(usb, "idVendor")); id.vendor != "" {
		id.product = readLine(filepath.Join(usb, "idProduct"))
		id.serial = readLine(filepath.Join(usb, "serial"))
	}
	return id
}

// candidates are the nodes to try for target ("auto" or a path), best first.
// was is the camera that was lost, or zero; with only set, no other one will do.
func (p places) candidates(target string, was identity, only bool) ([]node, error) {
	all, err := p.nodes()
	if err != nil {
		return nil, err
	}
	path := ""
	if target != "auto" {
		if path, err = filepath.EvalSymlinks(target); err != nil {
			path = "" // unplugged: its link is gone, the camera may be elsewhere
		}
		if path != "" && !slices.ContainsFunc(all, func(n node) bool { return n.path == path }) {
			all = append(all, node{path: path, number: -1}) // a node that sysfs does not know
		}
		all = slices.DeleteFunc(all, func(n node) bool { return n.path != path && was.likeness(n.id) == 0 })
	} else if only && !was.zero() {
		all = slices.DeleteFunc(all, func(n node) bool { return was.likeness(n.id) == 0 })
	}
	rank := func(n node) int {
		r := 0
		switch like := was.likeness(n.id); {
		case like == 3:
			r = 8
		case like == 2:
			r = 6
		case n.path == path: // by its name, though perhaps exchanged for another camera
			r = 4
		case like == 1:
			r = 2
		}
		if n.id.vendor != "" {
			r++ // plugged in by somebody, not one of the board's own video units
		}
		return r
	}
	slices.SortStableFunc(all, func(a, b node) int { return cmp.Compare(rank(b), rank(a)) })
	return all, nil
}

func (p places) list() ([]Device, error) {
	all, err := p.candidates("auto", identity{}, false)
	if err != nil {
		return nil, err
	}
	links := p.links()
	var out []Device
	for _, n := range all {
		d := Device{
			Node: n.path, Name: n.id.name, Vendor: n.id.vendor, Product: n.id.product, Serial: n.id.serial,
			Links: links[n.path],
		}
		fd, err := unix.Open(n.path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			d.Problem = explain(n.path, err).Error()
			out = append(out, d)
			continue
		}
		driver, card, bus, err := capability(fd)
		if err == nil {
			d.Driver, d.Bus = driver, bus
			d.Name = cmp.Or(card, d.Name)
			if d.Modes = modes(fd); len(d.Modes) == 0 {
				if l, err := currentLayout(fd); err == nil && l.Format.readable() {
					d.Modes = []Mode{{Format: l.Format.String(), Width: l.Width, Height: l.Height}}
				} else {
					d.Problem = "no frame format that this program reads"
				}
			}
		}
		_ = unix.Close(fd)
		if errors.Is(err, errNotCapture) {
			continue
		}
		if err != nil {
			d.Problem = explain(n.path, err).Error()
		}
		out = append(out, d)
	}
	return out, nil
}

// links finds the stable names of all nodes.
func (p places) links() map[string][]string {
	all := make(map[string][]string)
	for _, dir := range []string{"v4l/by-id", "v4l/by-path"} {
		entries, err := os.ReadDir(filepath.Join(p.dev, dir))
		if err != nil {
			continue // a system without udev
		}
		for _, e := range entries {
			link := filepath.Join(p.dev, dir, e.Name())
			if to, err := filepath.EvalSymlinks(link); err == nil {
				all[to] = append(all[to], link)
			}
		}
	}
	return all
}

// explain puts an error about a camera into one line for the technician.
func explain(path string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%s: no camera there: %w", path, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: no access: add this user to the group %s, then log in again: %w", path, groupOf(path), err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%s: in use by another program: %w", path, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// groupOf is the group that may use the node.
func groupOf(path string) string {
	var st unix.Stat_t
	if unix.Stat(path, &st) == nil && st.Gid != 0 {
		if g, err := user.LookupGroupId(strconv.Itoa(int(st.Gid))); err == nil {
			return g.Name
		}
	}
	return "video"
}

// videoMajor is the device number of video4linux (Documentation/admin-guide/devices.txt).
const videoMajor = 81

// ErrNotCamera says that what was named can never be a camera.
var ErrNotCamera = errors.New("not a camera")

// checkNode refuses what can never become a camera: a file, a folder, another
// kind of device. A path with nothing there is fine.
func checkNode(path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) {
			return nil
		}
		return fmt.Errorf("camera %q: %w", path, err)
	}
	kind := ""
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		if unix.Major(uint64(st.Rdev)) == videoMajor {
			return nil
		}
		kind = "a device of another kind"
	case unix.S_IFREG:
		kind = "a file"
	case unix.S_IFDIR:
		kind = "a folder"
	default:
		kind = "something else"
	}
	return fmt.Errorf("camera %q: %w but %s", path, ErrNotCamera, kind)
}
