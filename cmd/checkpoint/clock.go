package main

import (
	"os"
	"path/filepath"
	"time"

	"checkpoint/verify"
	"golang.org/x/sys/unix"
)

// machineClock is the clock of this machine: the wall time, and what the
// kernel says about who keeps it. It implements gate.WallClock.
type machineClock struct {
	now  func() time.Time
	chip bool // a clock chip kept the time while the power was off
}

func (a *app) machineClock() machineClock {
	return machineClock{now: a.now, chip: hasClockChip("/sys/class/rtc")}
}

// Now is the wall time, with a monotonic reading, and its quality: synced
// while the kernel's clock is being disciplined by a time service, rtc when a
// clock chip gave it, else unknown.
func (c machineClock) Now() (time.Time, verify.Quality) {
	at := c.now()
	synced, _, err := kernelClock()
	return at, qualityOf(err == nil && synced, c.chip)
}

func qualityOf(synced, chip bool) verify.Quality {
	switch {
	case synced:
		return verify.ClockSynced
	case chip:
		return verify.ClockRTC
	}
	return verify.ClockUnknown
}

// maxClockError is the error above which a disciplined clock does not count as
// synced. The kernel itself gives up at 16 s (NTP_PHASE_LIMIT).
const maxClockError = time.Second

// kernelClock reads the kernel's clock discipline, adjtimex(2): whether the
// clock is synchronised, and its largest possible error.
func kernelClock() (synced bool, most time.Duration, _ error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, 0, err
	}
	most = time.Duration(t.Maxerror) * time.Microsecond
	synced = state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0 && most <= maxClockError
	return synced, most, nil
}

// hasClockChip reports whether a real-time clock answers under dir
// (Documentation/ABI/testing/sysfs-class-rtc).
func hasClockChip(dir string) bool {
	found, _ := filepath.Glob(filepath.Join(dir, "rtc*", "since_epoch"))
	for _, path := range found {
		if text, err := os.ReadFile(path); err == nil && len(text) > 0 {
			return true
		}
	}
	return false
}
