package signal

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"checkpoint/verify"
)

// bells plays a verdict for span, in a bubble whose clock only jumps, and gives
// when the bell rang.
func bells(t *testing.T, n verify.Name, m Mode, span time.Duration) (rang []time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		p := NewPlayer(Config{Mode: m, Beep: func() { rang = append(rang, time.Since(begun)) }})
		p.Play(n)
		time.Sleep(span)
		p.Close()
	})
	return rang
}

// TestRhythmsDiffer plays every verdict and compares what a listener gets:
// verdicts with one action sound alike, all others differ.
func TestRhythmsDiffer(t *testing.T) {
	actions := map[verify.Name]string{
		verify.Pass: "done", verify.PassGold: "done", verify.CheckID: "ask", verify.More: "ask",
		verify.Refresh: "code", verify.NotOurs: "code", verify.IssuerFault: "code",
		verify.Amber: "refuse", verify.Invalid: "invalid", verify.Red: "isolate", verify.Device: "device", verify.NoCheck: "none",
	}
	heard := map[verify.Name][]time.Duration{}
	for _, n := range verify.Names() {
		heard[n] = bells(t, n, Loud, 3*time.Second)
	}
	for a, as := range heard {
		for b, bs := range heard {
			if same := slices.Equal(as, bs); same != (actions[a] == actions[b]) {
				t.Errorf("%v (%s) rings at %v, %v (%s) at %v", a, actions[a], as, b, actions[b], bs)
			}
		}
	}
	for n, want := range map[verify.Name]int{verify.Pass: 1, verify.CheckID: 2, verify.Refresh: 2, verify.Amber: 3, verify.Invalid: 4, verify.Red: 6, verify.Device: 6, verify.NoCheck: 0} {
		if got := len(heard[n]); got != want {
			t.Errorf("%v has %d beeps, want %d", n, got, want)
		}
	}
}

func TestQuietIsOneSound(t *testing.T) {
	want := bells(t, verify.Pass, Quiet, time.Minute)
	if len(want) != 1 {
		t.Fatalf("quiet pass rings %d times, want once", len(want))
	}
	for _, n := range verify.Names() {
		if n == verify.NoCheck {
			continue
		}
		if got := bells(t, n, Quiet, time.Minute); !slices.Equal(got, want) {
			t.Errorf("quiet %v rings at %v, want %v", n, got, want)
		}
		if got := bells(t, n, Off, time.Minute); got != nil {
			t.Errorf("%v rings at %v although the sound is off", n, got)
		}
	}
}

func TestRedAgainEachFourSeconds(t *testing.T) {
	got := bells(t, verify.Red, Loud, 9*time.Second)
	if len(got) != 18 || got[6]-got[0] != 4*time.Second || got[12]-got[6] != 4*time.Second {
		t.Errorf("red rings at %v, want three times six beeps, 4 s apart", got)
	}
	got = bells(t, verify.Device, Loud, 12*time.Second)
	if len(got) != 12 || got[6]-got[0] != 10*time.Second {
		t.Errorf("device rings at %v, want twice six beeps, 10 s apart", got)
	}
}

func TestNewestWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rang []time.Duration
		begun := time.Now()
		p := NewPlayer(Config{Beep: func() { rang = append(rang, time.Since(begun)) }})
		defer p.Close()
		p.Play(verify.Red)
		time.Sleep(200 * time.Millisecond) // two beeps in
		p.Play(verify.Pass)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		want := []time.Duration{0, Short, 200 * time.Millisecond}
		if !slices.Equal(rang, want) {
			t.Errorf("rang at %v, want %v", rang, want)
		}
		rang = nil
		p.Play(verify.Red)
		time.Sleep(50 * time.Millisecond)
		p.Stop()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if len(rang) != 1 {
			t.Errorf("rang %d times after stop, want the one beep before it", len(rang))
		}
		p.Play(verify.Red)
		p.SetMode(Off)
		synctest.Wait()
		rang = nil
		p.Play(verify.Red)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if rang != nil {
			t.Errorf("rang at %v with the sound off", rang)
		}
	})
}

func TestModes(t *testing.T) {
	for _, m := range []Mode{Loud, Quiet, Off} {
		if got, err := ParseMode(m.String()); err != nil || got != m {
			t.Errorf("ParseMode(%q) = %v, %v", m, got, err)
		}
	}
	if _, err := ParseMode("louder"); err == nil {
		t.Error("ParseMode accepts an unknown word")
	}
}

func TestWAV(t *testing.T) {
	r := For(verify.Amber, Loud)
	b := WAV(r)
	if string(b[:4]) != "RIFF" || string(b[8:16]) != "WAVEfmt " || int(binary.LittleEndian.Uint32(b[4:])) != len(b)-8 || int(binary.LittleEndian.Uint32(b[40:])) != len(b)-44 {
		t.Fatalf("not a WAV of its length: % x", b[:44])
	}
	loud := func(at time.Duration) bool {
		i := 44 + samples(at)
		w := b[i : i+40] // 5 ms
		return slices.Max(w) > 150 && slices.Min(w) < 106
	}
	for i, at := range r.Starts {
		if !loud(at + Beep/2) {
			t.Errorf("no tone in beep %d", i)
		}
		if i > 0 && loud(at-20*time.Millisecond) {
			t.Errorf("a tone before beep %d", i)
		}
	}
	if len(WAV(Rhythm{})) != 44 {
		t.Error("silence has samples")
	}
}

// TestCommand plays through a real process, which keeps what it is given.
func TestCommand(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh to play with")
	}
	dir := t.TempDir()
	made := func(name string) bool { _, err := os.Stat(filepath.Join(dir, name)); return err == nil }
	p := NewPlayer(Config{Command: []string{sh, "-c", `cat > "$0"/part && mv "$0"/part "$0"/played`, dir}})
	p.Play(verify.Amber)
	wait(t, func() bool { return made("played") })
	p.Close()
	got, err := os.ReadFile(filepath.Join(dir, "played"))
	if err != nil || string(got) != string(WAV(For(verify.Amber, Loud))) {
		t.Errorf("the command got %d bytes, %v; want the WAV", len(got), err)
	}

	// A command that hangs is killed by the next verdict and by Close.
	p = NewPlayer(Config{Command: []string{sh, "-c", `echo x >> "$0"/begun; exec sleep 600`, dir}, Timeout: time.Hour})
	begun := func() int { b, _ := os.ReadFile(filepath.Join(dir, "begun")); return strings.Count(string(b), "x") }
	p.Play(verify.Pass)
	wait(t, func() bool { return begun() == 1 })
	p.Play(verify.Amber)
	wait(t, func() bool { return begun() == 2 })
	p.Close() // returns: the second one was killed too
}

// TestBrokenCommand falls back to the bell and says so once.
func TestBrokenCommand(t *testing.T) {
	var mu sync.Mutex
	var failed []error
	rang := 0
	p := NewPlayer(Config{
		Command: []string{filepath.Join(t.TempDir(), "nothing")},
		Failed:  func(err error) { mu.Lock(); failed = append(failed, err); mu.Unlock() },
		Beep:    func() { mu.Lock(); rang++; mu.Unlock() },
	})
	defer p.Close()
	state := func() (int, int) { mu.Lock(); defer mu.Unlock(); return len(failed), rang }
	p.Play(verify.Pass)
	wait(t, func() bool { n, _ := state(); return n == 1 })
	p.Play(verify.Pass)
	wait(t, func() bool { _, r := state(); return r == 1 })
	if !errors.Is(failed[0], os.ErrNotExist) {
		t.Errorf("failed with %v, want that there is no such file", failed[0])
	}
}

// wait waits for a condition that another goroutine or process brings about.
func wait(t *testing.T, done func() bool) {
	t.Helper()
	late := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-late:
			t.Fatal("waited for nothing")
		case <-tick.C:
		}
	}
}
