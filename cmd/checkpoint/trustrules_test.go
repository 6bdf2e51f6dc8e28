package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"checkpoint/gate"
	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/trust"
	"checkpoint/verify"
)

func TestDated(t *testing.T) {
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		ahead   time.Duration
		quality verify.Quality
		warn    bool
		refuse  bool
	}{
		{-365 * 24 * time.Hour, verify.ClockSynced, false, false},
		{24 * time.Hour, verify.ClockSynced, false, false},
		{24*time.Hour + time.Second, verify.ClockSynced, false, true},
		{24*time.Hour + time.Second, verify.ClockRTC, true, false},
		{30 * 365 * 24 * time.Hour, verify.ClockUnknown, true, false},
		{time.Hour, verify.ClockUnknown, false, false},
	} {
		s := &trust.Snapshot{Version: 7, Issued: now.Add(tc.ahead)}
		warning, err := dated(s, now, tc.quality)
		if (warning != "") != tc.warn || (err != nil) != tc.refuse {
			t.Errorf("%v ahead of a clock %v: %q, %v", tc.ahead, tc.quality, warning, err)
		}
		says := warning
		if err != nil {
			says = err.Error()
		}
		if says != "" && (!strings.Contains(says, s.Issued.Format(time.RFC3339)) || !strings.Contains(says, now.Format(time.RFC3339))) {
			t.Errorf("not both times: %s", says)
		}
	}
}

// signedFile writes a signed snapshot that change has made different.
func (l *living) signedFile(name string, version uint64, change func(*trust.Snapshot)) string {
	l.t.Helper()
	s := l.scene.snapshot(version)
	change(s)
	data, err := trust.Sign(s, edKey(9))
	if err != nil {
		l.t.Fatal(err)
	}
	path := filepath.Join(l.home, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

func otherDayKey(s *trust.Snapshot) {
	s.DayKeys.Keys[0].PublicKey = bytes.Clone(s.DayKeys.Keys[0].PublicKey)
	s.DayKeys.Keys[0].PublicKey[40] ^= 1
}

func destroyedDayKey(s *trust.Snapshot) {
	s.DayKeys.Keys[0].Destroyed, s.DayKeys.Keys[0].PublicKey = true, nil
}

func inTheFuture(s *trust.Snapshot) {
	s.Issued = time.Now().AddDate(30, 0, 0).UTC().Truncate(time.Second)
}

// What may not follow is refused by the command, with a gate and without one,
// and by a gate that finds it beside its file.
func TestTrustThatMayNotFollow(t *testing.T) {
	l := newLiving(t)
	refused := func(says, file string) {
		t.Helper()
		code, out, err := l.run("trust", "install", file)
		if code != 4 || !strings.Contains(err, says) || strings.Contains(err, l.db()) || strings.Count(err, "\n") != 1 {
			t.Errorf("%s: exit %d, want 4 with %q and no path of the database\n%s%s", filepath.Base(file), code, says, out, err)
		}
	}
	if code, _, err := l.run("trust", "install", l.file("v5", 5, true, edKey(9))); code != 0 {
		t.Fatal(err)
	}
	older := l.file("v4", 4, true, edKey(9))
	twin := l.file("twin", 5, false, edKey(9))
	changed := l.signedFile("changed", 6, otherDayKey)
	all := func() {
		t.Helper()
		refused("version 4 is older than version 5", older)
		refused("version 5 is installed already", twin)
		refused("published day key", changed)
	}
	all()
	l.start()
	all()

	leave := func(file string) {
		t.Helper()
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := localdb.LeaveTrust(l.db(), data); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); localdb.LeftTrust(l.db()); {
			if time.Now().After(deadline) {
				t.Fatalf("%s still waits", file)
			}
			l.paper()
		}
	}
	leave(changed)
	if code, out, _ := l.run("doctor", "--source", "stdin"); !strings.Contains(out, "! keys") || !strings.Contains(out, l.db()+"-refused") {
		t.Errorf("doctor does not tell of the refused file: %d\n%s", code, out)
	}

	// A destroyed key does not come back.
	if code, _, err := l.run("trust", "install", l.signedFile("destroyed", 6, destroyedDayKey)); code != 0 {
		t.Fatal(err)
	}
	back := l.file("back", 7, true, edKey(9))
	refused("destroyed and is back", back)
	leave(back)

	events := l.end()
	if n := count(events, record.EventTrustRefused); n != 2 {
		t.Errorf("%d rows of refused trust, want 2", n)
	}
	refused("destroyed and is back", back)
}

// A snapshot from the future would lift the gate's time for ever: a synced clock
// refuses it, any other warns.
func TestTrustFromTheFuture(t *testing.T) {
	l := newLiving(t)
	file := l.signedFile("future", 5, inTheFuture)
	_, quality := machineClock{now: time.Now}.Now()
	code, out, err := l.run("trust", "install", file)
	if !strings.Contains(err, "ahead of this machine's clock") || strings.Count(err, "\n") != 1 {
		t.Errorf("exit %d\n%s%s", code, out, err)
	}
	if synced := quality == verify.ClockSynced; synced && code != 4 || !synced && (code != 0 || !strings.Contains(out, "installed trust version 5")) {
		t.Errorf("clock %v, exit %d\n%s%s", quality, code, out, err)
	}
}

// The same holds for what a gate finds beside its file.
func TestGateAndTrustFromTheFuture(t *testing.T) {
	ctx := context.Background()
	l := newLiving(t)
	data, err := os.ReadFile(l.signedFile("future", 5, inTheFuture))
	if err != nil {
		t.Fatal(err)
	}
	for _, quality := range []verify.Quality{verify.ClockSynced, verify.ClockRTC} {
		stamp := record.Stamp{WallMS: time.Now().UnixMilli(), Quality: 3}
		db, err := localdb.Open(ctx, filepath.Join(l.home, quality.String()+".db"), localdb.Options{Now: func() record.Stamp { return stamp }})
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		s := &station{
			cfg: config{TrustKey: base64.StdEncoding.EncodeToString(edKey(9).Public().(ed25519.PublicKey))},
			log: slog.New(slog.NewTextHandler(&log, nil)), db: db,
			clock: gate.NewClock(machineClock{now: time.Now}, gate.Floor{}, time.Time{}),
		}
		_, err = s.takeTrust(ctx, data, time.Now(), quality)
		var no *refusal
		if refused := quality == verify.ClockSynced; errors.As(err, &no) != refused || !refused && err != nil {
			t.Errorf("clock %v: %v", quality, err)
		} else if refused && db.Clock().AnchorMS != 0 {
			t.Error("what was refused lifted the time")
		} else if !refused && !strings.Contains(log.String(), "ahead of this machine's clock") {
			t.Errorf("no warning: %s", &log)
		}
		if err := db.Close(ctx, stamp); err != nil {
			t.Fatal(err)
		}
	}
}
