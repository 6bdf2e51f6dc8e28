package main

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"checkpoint/gate"
	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/verify"
	"golang.org/x/sys/unix"
)

// thisBoot names this boot of the machine and counts monotonic time in it.
// Without /proc the boot has no name; its rows then cannot be told from those
// of another boot, which only matters when a wrong clock is repaired later.
func thisBoot() gate.Boot {
	b := gate.Boot{Since: time.Now()}
	var mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) == nil {
		b.Mono = time.Duration(mono.Nano())
	}
	if text, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		id, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(text)), "-", ""))
		if err == nil && len(id) == len(b.ID) {
			copy(b.ID[:], id)
		}
	}
	return b
}

// stampAt is the stamp of a row written at the instant at.
func stampAt(b gate.Boot, at verify.Instant) record.Stamp {
	return record.Stamp{
		WallMS: at.Time.UnixMilli(), Quality: uint8(at.Quality), Boot: b.ID,
		MonoMS: uint64((b.Mono + time.Since(b.Since)).Milliseconds()),
	}
}

// hardwareID is what stays with this board, "" when the machine does not tell
// or does not tell this user: a guess would begin a new epoch for nothing.
func hardwareID() string {
	for _, path := range []string{
		"/sys/firmware/devicetree/base/serial-number", // Raspberry Pi and most ARM boards
		"/sys/class/dmi/id/product_uuid",              // PC, root only
	} {
		if text, err := os.ReadFile(path); err == nil {
			if id := strings.Trim(string(text), " \x00\n"); id != "" && len(id) <= 64 {
				return id
			}
		}
	}
	return ""
}

// openDB opens the gate's file as the configuration says; folder and file are
// made when they are not there. The rows that the file writes by itself are
// stamped with the wall clock, as nothing guards it before the file is open.
func (a *app) openDB(ctx context.Context, cfg config) (*localdb.DB, error) {
	if err := os.MkdirAll(filepath.Dir(cfg.DB), 0o750); err != nil {
		return nil, faultf("database: %w", err)
	}
	boot, wall := thisBoot(), a.machineClock()
	db, err := localdb.Open(ctx, cfg.DB, localdb.Options{
		Now: func() record.Stamp {
			at, quality := wall.Now()
			return stampAt(boot, verify.Instant{Time: at, Quality: quality})
		},
		HardwareID: hardwareID(),
		Cap:        int64(cfg.CapMB) << 20,
		Retention:  time.Duration(cfg.RetentionDays) * 24 * time.Hour,
	})
	if err != nil {
		return nil, faultf("database: %w", err)
	}
	return db, nil
}

// peek looks into the gate's file, whether a gate runs or not. A file that is
// not there is fs.ErrNotExist.
func (a *app) peek(ctx context.Context, cfg config) (localdb.Peeked, error) {
	p, err := localdb.Peek(ctx, cfg.DB)
	if err != nil {
		return p, faultf("database: %w", err)
	}
	return p, nil
}

// guardedClock is the clock of a gate whose file knows c: never below what has
// passed, nor below the anchor.
func (a *app) guardedClock(c localdb.Clock, anchor time.Time) *gate.Clock {
	floor := gate.Floor{Run: time.Duration(c.RanMS) * time.Millisecond}
	if c.AnchorMS > 0 {
		floor.Anchor = time.UnixMilli(c.AnchorMS).UTC()
	}
	if c.FloorMS > 0 {
		floor.Floor = time.UnixMilli(c.FloorMS).UTC()
	}
	return gate.NewClock(a.machineClock(), floor, anchor)
}

// wallStamp is a stamp by the wall clock as it is.
func (a *app) wallStamp() record.Stamp {
	at, quality := a.machineClock().Now()
	return stampAt(thisBoot(), verify.Instant{Time: at, Quality: quality})
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
