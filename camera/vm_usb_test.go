package camera

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"checkpoint/camera/camvm/usbcam"

	"golang.org/x/sys/unix"
)

func TestVMUSBFormats(t *testing.T) {
	const w, h = 320, 240
	plain := rampJPEG(w, h)
	for _, c := range []struct {
		name, format string
		data         []byte
		apart        int
	}{
		{"YUYV", usbcam.YUYV, rampYUYV(w, h), 0},
		{"GREY", usbcam.GREY, rampGREY(w, h), 0},
		{"MJPEG", usbcam.MJPEG, plain, 6},
		{"MJPEG without Huffman tables", usbcam.MJPEG, stripTables(plain), 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := inVM(t)
			_, node := plugged(t, usbcam.Config{
				Modes:  []usbcam.Mode{{Format: c.format, Width: w, Height: h, FPS: []int{15}}},
				Source: sends(func(usbcam.Mode) []byte { return c.data }),
			})
			start := time.Now()
			v := opened(t, ctx, node, Options{MustOpen: true})
			wantRamp(t, good(t, ctx, v), w, h, c.apart)
			t.Logf("first frame after %v: %s", time.Since(start).Round(time.Millisecond), v.Stats().Is)
		})
	}
}

// Broken frames are counted and passed over; the stream goes on.
func TestVMUSBBrokenFrames(t *testing.T) {
	ctx := inVM(t)
	const w, h = 320, 240
	plain := rampJPEG(w, h)
	broken := [][]byte{plain[:len(plain)/2], []byte("nothing like a picture"), bytes.Repeat([]byte{0xff}, 3000), plain[:3], rampJPEG(640, 480)}
	_, node := plugged(t, usbcam.Config{
		Modes: []usbcam.Mode{{Format: usbcam.MJPEG, Width: w, Height: h, FPS: []int{15}}},
		Source: func(n int, _ usbcam.Mode) usbcam.Frame {
			if n%2 == 0 {
				return usbcam.Frame{Data: broken[n/2%len(broken)]}
			}
			return usbcam.Frame{Data: plain}
		},
	})
	v := opened(t, ctx, node, Options{})
	for v.Stats().Corrupt < 5 {
		wantRamp(t, good(t, ctx, v), w, h, 6)
	}
	if s := v.Stats(); s.Reopens != 0 {
		t.Errorf("%+v", s)
	}
}

// A camera that sends nothing but rubbish is a lost camera.
func TestVMUSBOnlyRubbish(t *testing.T) {
	ctx := inVM(t)
	var mended atomic.Bool
	plain := rampJPEG(320, 240)
	_, node := plugged(t, usbcam.Config{
		Modes: []usbcam.Mode{{Format: usbcam.MJPEG, Width: 320, Height: 240, FPS: []int{15}}},
		Source: sends(func(usbcam.Mode) []byte {
			if mended.Load() {
				return plain
			}
			return []byte("rubbish")
		}),
	})
	v := opened(t, ctx, node, Options{Stall: time.Second})
	line := rubbishLine(t, ctx, v, &mended)
	t.Log(line)
	if !strings.Contains(line, "only broken pictures") {
		t.Errorf("line = %q", line)
	}
	wantRamp(t, good(t, ctx, v), 320, 240, 6)
}

// rubbishLine gives the line of the loss, waits until the stream was opened
// again, then mends the camera.
func rubbishLine(t *testing.T, ctx context.Context, v *V4L2, mended *atomic.Bool) string {
	t.Helper()
	line := lost(t, ctx, v)
	if v.Stats().Lost == "" {
		t.Error("the loss is not in the counters")
	}
	step, cancel := context.WithCancel(ctx)
	defer cancel()
	told := make(chan error, 1)
	go func() { _, err := v.Next(step); told <- err }()
	until(t, "opened twice again", func() bool { return v.Stats().Reopens >= 2 })
	cancel()
	if err := <-told; !errors.Is(err, context.Canceled) {
		t.Errorf("the same loss was told twice: %v", err)
	}
	mended.Store(true)
	return line
}

// The camera is pulled out and comes back under another node number, since
// somebody holds the old node open.
func TestVMUSBReplug(t *testing.T) {
	for _, auto := range []bool{false, true} {
		t.Run(fmt.Sprintf("auto %v", auto), func(t *testing.T) {
			ctx := inVM(t)
			const w, h = 320, 240
			cam, node := plugged(t, usbcam.Config{
				Modes:  []usbcam.Mode{{Format: usbcam.YUYV, Width: w, Height: h, FPS: []int{15}}},
				Source: sends(func(usbcam.Mode) []byte { return rampYUYV(w, h) }),
			})
			target := node
			if auto {
				target = "auto"
			}
			v := opened(t, ctx, target, Options{})
			wantRamp(t, good(t, ctx, v), w, h, 0)
			for round := range 2 {
				hold, err := unix.Open(node, unix.O_RDWR|unix.O_CLOEXEC, 0)
				if err != nil {
					t.Fatal(err)
				}
				pulled := time.Now()
				if err := cam.Unplug(); err != nil {
					t.Fatal(err)
				}
				line := lost(t, ctx, v)
				t.Logf("round %d: %v after the pull: %s", round, time.Since(pulled).Round(time.Millisecond), line)
				// A slow machine may look for another camera before it reads on.
				if !strings.Contains(line, "unplugged") && !(auto && strings.Contains(line, "no camera found")) {
					t.Errorf("line = %q", line)
				}
				// Once per loss: now it waits.
				short, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
				before := cpu(t)
				if _, err := v.Next(short); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("while lost: %v", err)
				}
				cancel()
				spent := cpu(t) - before
				t.Logf("processor time in 1.5 s without a camera: %v", spent)
				if spent > 1300*time.Millisecond { // a spin takes all of it
					t.Errorf("it spins: %v of processor time in 1.5 s", spent)
				}
				old := node
				if err := cam.Plug(); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				wantRamp(t, good(t, ctx, v), w, h, 0)
				node = node0(t, cam)
				t.Logf("back as %s after %v", node, time.Since(start).Round(time.Millisecond))
				if node == old {
					t.Errorf("the node is %s again: nothing tested", node)
				}
				_ = unix.Close(hold)
			}
			if s := v.Stats(); s.Reopens < 2 || s.Lost != "" {
				t.Errorf("%+v", s)
			}
		})
	}
}

// cpu is the processor time of this process.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestVMUSBStall(t *testing.T) {
	ctx := inVM(t)
	const w, h = 320, 240
	data := rampGREY(w, h)
	cam, node := plugged(t, usbcam.Config{
		Modes:  []usbcam.Mode{{Format: usbcam.GREY, Width: w, Height: h, FPS: []int{15}}},
		Source: sends(func(usbcam.Mode) []byte { return data }),
	})
	v := opened(t, ctx, node, Options{Stall: time.Second})
	good(t, ctx, v)
	cam.SetSource(func(int, usbcam.Mode) usbcam.Frame { return usbcam.Frame{Skip: true} })
	before := cpu(t)
	t.Log(lost(t, ctx, v), "; processor time", cpu(t)-before)
	cam.SetSource(sends(func(usbcam.Mode) []byte { return data }))
	wantRamp(t, good(t, ctx, v), w, h, 0)
}

// Two hundred starts that the camera refuses leave no map and no goroutine.
func TestVMUSBRefusedStart(t *testing.T) {
	ctx := inVM(t)
	_, node := plugged(t, usbcam.Config{
		Modes:      []usbcam.Mode{{Format: usbcam.MJPEG, Width: 320, Height: 240, FPS: []int{15}}},
		FailCommit: true, Source: sends(func(usbcam.Mode) []byte { return nil }),
	})
	before, fds := deviceMaps(t), openFiles(t)
	var err error
	for range 200 {
		if _, err = OpenV4L2(ctx, node, Options{MustOpen: true}); err == nil {
			t.Fatal("it started")
		}
	}
	t.Log(err)
	if !strings.Contains(err.Error(), "refused to start") {
		t.Errorf("error = %v", err)
	}
	if got := deviceMaps(t); got != before {
		t.Errorf("%d maps after 200 refused starts, %d before", got, before)
	}
	if got := openFiles(t); got != fds {
		t.Errorf("%d open files, %d before", got, fds)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	e, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(e)
}

func TestVMBusyAndClose(t *testing.T) {
	ctx := inVM(t)
	first := opened(t, ctx, "/dev/video20", Options{Format: "YUYV"})
	good(t, ctx, first)
	if _, err := OpenV4L2(ctx, "/dev/video20", Options{Format: "YUYV", MustOpen: true}); !errors.Is(err, unix.EBUSY) {
		t.Errorf("a second reader: %v", err)
	} else {
		t.Log(err)
	}
	// A second gate waits for the first to go.
	second := opened(t, ctx, "/dev/video20", Options{Format: "YUYV"})
	t.Log(lost(t, ctx, second))
	got := make(chan error, 1)
	go func() { _, err := second.Next(ctx); got <- err }()
	first.Close()
	if err := <-got; err != nil {
		t.Errorf("after the first closed: %v", err)
	}
	// Close ends a Next that waits.
	third := opened(t, ctx, "/dev/video99", Options{})
	t.Log(lost(t, ctx, third))
	go func() { _, err := third.Next(ctx); got <- err }()
	third.Close()
	if err := <-got; !errors.Is(err, ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

// The device is kept from child processes, with four buffers, all given back.
func TestVMDevice(t *testing.T) {
	inVM(t)
	before := deviceMaps(t)
	d, err := openDevice("/dev/video20", Options{Format: "YUYV"})
	if err != nil {
		t.Fatal(err)
	}
	if flags, err := unix.FcntlInt(uintptr(d.fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the descriptor goes to child processes (%v)", err)
	}
	if got := deviceMaps(t) - before; got != buffers {
		t.Errorf("%d buffers mapped, want %d", got, buffers)
	}
	// SetImageFormat returns what was asked for; the kernel knows better.
	if d.layout.Width != d.mode.Width || d.layout.Size < d.layout.need() {
		t.Errorf("%+v, %v", d.layout, d.mode)
	}
	d.close()
	if got := deviceMaps(t); got != before {
		t.Errorf("%d maps after close, %d before", got, before)
	}
}

func TestVMList(t *testing.T) {
	inVM(t)
	_, node := plugged(t, usbcam.Config{
		Serial: "0042", Name: "Gate Camera",
		Modes: []usbcam.Mode{
			{Format: usbcam.MJPEG, Width: 1280, Height: 720, FPS: []int{30}},
			{Format: usbcam.YUYV, Width: 640, Height: 480, FPS: []int{30, 15}},
			{Format: usbcam.YUYV, Width: 1280, Height: 720, FPS: []int{10}},
		},
		Source: sends(func(usbcam.Mode) []byte { return nil }),
	})
	all, err := List()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		t.Logf("%s %q %s %s, %d modes, %q", d.Node, d.Name, d.Driver, d.Bus, len(d.Modes), d.Problem)
	}
	if len(all) == 0 || all[0].Node != node || all[0].Serial != "0042" || len(all[0].Modes) != 3 {
		t.Fatalf("the USB camera is not the first: %+v", all)
	}
	if m, _ := choose(all[0].Modes, Options{}); m.Format != "YUYV" || m.Width != 640 || m.FPS != 30 {
		t.Errorf("chosen: %v of %v", m, all[0].Modes)
	}
}
