package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkDemo runs the program itself, as a user would: the demo for twenty
// seconds without a screen, drawn camera included. It reports
//
//	first-frame-ms   process start to the first frame looked at
//	view-p50-ms, view-p95-ms   whole code in view to verdict, easy to hard mixed
//	missed   things held up that were never read
//	rss-MB   largest resident memory
//	cpu-%    of one core, drawing the pictures included
func BenchmarkDemo(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "checkpoint")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	seed := 0
	for b.Loop() {
		seed++
		demoOnce(b, binary, seed)
	}
}

func demoOnce(b *testing.B, binary string, seed int) {
	const seconds = 20
	cmd := exec.Command(binary, "demo", "--headless", "--seconds", strconv.Itoa(seconds), "--seed", strconv.Itoa(seed))
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	var views []float64
	first, rss, missed := -1.0, 0.0, -1.0
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var e struct {
			Event  string   `json:"event"`
			Frames uint64   `json:"frames"`
			Missed float64  `json:"missed"`
			View   *float64 `json:"view_to_verdict_ms"`
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			b.Fatalf("%s: %v", lines.Text(), err)
		}
		switch {
		case e.Event == "state" && e.Frames > 0 && first < 0:
			first = float64(time.Since(began).Microseconds()) / 1000
		case e.Event == "verdict" && e.View != nil:
			views = append(views, *e.View)
		case e.Event == "end":
			missed = e.Missed
		}
		rss = max(rss, peakMB(cmd.Process.Pid))
	}
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	if len(views) == 0 || missed < 0 {
		b.Fatal("the demo gave no verdict or no end")
	}
	slices.Sort(views)
	u := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	b.ReportMetric(first, "first-frame-ms")
	b.ReportMetric(views[len(views)/2], "view-p50-ms")
	b.ReportMetric(views[min(len(views)-1, len(views)*95/100)], "view-p95-ms")
	b.ReportMetric(missed, "missed")
	b.ReportMetric(rss, "rss-MB")
	b.ReportMetric(100*float64(u.Utime.Nano()+u.Stime.Nano())/1e9/seconds, "cpu-%")
}

// peakMB is the largest resident memory of a process so far.
func peakMB(pid int) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, ok := strings.Cut(string(text), "VmHWM:")
	if !ok {
		return 0
	}
	kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	return kb / 1024
}
