package camera

import (
	"cmp"
	"fmt"
	"slices"
)

// Mode is one way a camera can send frames.
type Mode struct {
	Format        string  // V4L2 pixel format, such as YUYV
	Width, Height int     // pixels
	FPS           float64 // the most; 0: the driver does not tell
}

// String is such as "YUYV 640x480 30 fps".
func (m Mode) String() string {
	if m.FPS <= 0 {
		return fmt.Sprintf("%s %dx%d", m.Format, m.Width, m.Height)
	}
	return fmt.Sprintf("%s %dx%d %.3g fps", m.Format, m.Width, m.Height, m.FPS)
}

func (m Mode) area() int { return m.Width * m.Height }

const (
	quickFPS = 15 // below it, a code waits too long for its frame
	wideArea = 1280 * 720
	goodArea = 640 * 480 // enough for a phone at arm's length
)

// choose gives the mode that brings a code soonest to its verdict, or false
// when none of the modes is possible with o.
//
// Uncompressed frames of 640×480 or more come before MJPEG, since unpacking a
// frame takes longer than reading the code in it; then the larger frame, since
// a code may be held farther away; then the faster. Slow modes and those
// larger than 1280×720 are the last resort.
func choose(all []Mode, o Options) (Mode, bool) {
	most := wideArea
	fit := slices.DeleteFunc(slices.Clone(all), func(m Mode) bool {
		return !knownFormat(m.Format) ||
			o.Format != "" && m.Format != o.Format ||
			o.Width != 0 && m.Width != o.Width ||
			o.Height != 0 && m.Height != o.Height
	})
	if len(fit) == 0 {
		return Mode{}, false
	}
	if o.Width != 0 || o.Height != 0 {
		most = maxSide * maxSide
	}
	class := func(m Mode) int {
		switch {
		case m.area() > most:
			return 0
		case m.FPS > 0 && m.FPS < quickFPS:
			return 1
		case four(m.Format).packed():
			return 3
		case m.area() < goodArea:
			return 2
		}
		return 4
	}
	return slices.MaxFunc(fit, func(a, b Mode) int {
		ca, cb := class(a), class(b)
		if c := cmp.Compare(ca, cb); c != 0 {
			return c
		}
		switch ca {
		case 0: // all too large: the smallest
			if c := cmp.Compare(b.area(), a.area()); c != 0 {
				return c
			}
		case 1: // all slow: the fastest that is not tiny
			if c := cmp.Compare(a.FPS*float64(min(a.area(), goodArea)), b.FPS*float64(min(b.area(), goodArea))); c != 0 {
				return c
			}
		}
		if c := cmp.Compare(a.area(), b.area()); c != 0 {
			return c
		}
		if c := cmp.Compare(min(a.FPS, 30), min(b.FPS, 30)); c != 0 {
			return c
		}
		return cmp.Compare(preference(b.Format), preference(a.Format))
	}), true
}

// formats in the order of the work they are.
var formats = [...]string{"GREY", "NV12", "YU12", "YUYV", "UYVY", "MJPG", "JPEG"}

func preference(f string) int { return slices.Index(formats[:], f) }

func knownFormat(f string) bool { return preference(f) >= 0 }
