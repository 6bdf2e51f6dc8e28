package wedge

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// OpenSerial reads a scanner on a serial line, 8 data bits, no parity, at baud.
// Lines end with CR, LF or both. The device is opened by Next and need not be
// there yet.
func OpenSerial(path string, baud int, now func() time.Time) (*Source, error) {
	r := &byteReader{line: assembler{pause: staleAfter}}
	return newSource(path, false, r, now, func() (int, error) {
		// O_NONBLOCK: without it, open waits for a carrier that never comes.
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, err
		}
		if err := raw(fd, baud); err != nil {
			unix.Close(fd)
			return -1, err
		}
		return fd, nil
	})
}

// raw sets a terminal line to hand over bytes as they come, and drops what had
// piled up before: texts of people who have long gone by.
func raw(fd, baud int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
	if err != nil {
		return fmt.Errorf("not a serial line: %w", err)
	}
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON | unix.IXOFF
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag &^= unix.CSIZE | unix.PARENB | unix.CSTOPB | unix.CRTSCTS | unix.CBAUD
	t.Cflag |= unix.CS8 | unix.CREAD | unix.CLOCAL | unix.BOTHER // BOTHER: the speed stands in the two fields below
	t.Ispeed, t.Ospeed = uint32(baud), uint32(baud)
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	// The F of TCSETSF2 is the dropping; it comes before the new mode holds.
	if err := unix.IoctlSetTermios(fd, unix.TCSETSF2, t); err != nil {
		return fmt.Errorf("set %d baud: %w", baud, err)
	}
	return nil
}

// eviocgrab is EVIOCGRAB of linux/input.h, _IOW('E', 0x90, int).
const eviocgrab = 0x40044590

// OpenEvdev reads a USB scanner that acts as a keyboard, from its input device.
// The device is grabbed: no key reaches a shell or another program. The device
// is opened by Next and need not be there yet; use a path that survives
// unplugging (/dev/input/by-id/…).
func OpenEvdev(path string, now func() time.Time) (*Source, error) {
	r := &keyReader{line: assembler{pause: staleAfter}}
	return newSource(path, false, r, now, func() (int, error) {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, err
		}
		if err := unix.IoctlSetInt(fd, eviocgrab, 1); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("grab the input device: %w", err)
		}
		return fd, nil
	})
}
