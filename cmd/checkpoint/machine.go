package main

import (
	"encoding/hex"
	"os"
	"strings"
	"time"

	"checkpoint/gate"
	"checkpoint/record"
	"checkpoint/verify"
	"golang.org/x/sys/unix"
)

// thisBoot names this boot of the machine and how long it has run. Where the
// kernel does not tell, the boot is named by zeros and counts from now.
func thisBoot() gate.Boot {
	b := gate.Boot{Since: time.Now()}
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) == nil {
		b.Mono = time.Duration(ts.Nano())
	}
	if text, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		id, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(text)), "-", ""))
		if err == nil && len(id) == len(b.ID) {
			b.ID = [16]byte(id)
		}
	}
	return b
}

// hardwareID is what stays with this board: a file that wakes up on another
// one gets a new epoch. "" where the machine does not tell.
func hardwareID() string {
	for _, path := range []string{
		"/proc/device-tree/serial-number",     // single-board computers
		"/sys/class/dmi/id/product_uuid",      // PCs; root only
		"/sys/class/dmi/id/board_serial",      //
		"/sys/devices/soc0/serial_number",     //
		"/sys/firmware/devicetree/base/model", // better than nothing
	} {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		buf := make([]byte, 256)
		n, _ := f.Read(buf)
		f.Close()
		if id := strings.Trim(string(buf[:n]), "\x00 \n"); id != "" {
			return path + "=" + id
		}
	}
	return ""
}

// stamps gives the stamps of rows that the database writes by itself.
func stamps(clock *gate.Clock, boot gate.Boot) func() record.Stamp {
	return func() record.Stamp { return boot.Stamp(clock.At(), time.Now()) }
}

// clockWords says where the time comes from.
func clockWords(q verify.Quality) string {
	switch q {
	case verify.ClockSynced:
		return "kept by the network"
	case verify.ClockRTC:
		return "from the clock chip"
	case verify.ClockEstimated:
		return "estimated: it is not earlier than this"
	}
	return "nobody vouches for it"
}
