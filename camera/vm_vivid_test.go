package camera

import (
	"strings"
	"testing"
	"time"

	"checkpoint/camera/camvm/vivid"
)

func TestVMVivid(t *testing.T) {
	for _, format := range []string{"YUYV", "GREY", "NV12", "UYVY"} {
		t.Run(format, func(t *testing.T) {
			ctx := inVM(t)
			start := time.Now()
			v := opened(t, ctx, "/dev/video10", Options{Format: format, Width: 640, Height: 360, MustOpen: true})
			f := good(t, ctx, v)
			t.Logf("first frame after %v: %s", time.Since(start).Round(time.Millisecond), v.Stats().Is)
			g := good(t, ctx, v)
			if f.Width != 640 || f.Height != 360 || g.Seq <= f.Seq || g.Captured.Before(f.Captured) {
				t.Errorf("frames %d and %d, %dx%d", f.Seq, g.Seq, f.Width, f.Height)
			}
			// The driver's picture is colour bars: the luma has steps.
			seen := map[byte]bool{}
			for _, y := range g.Luma[(g.Height/2)*g.Stride:][:g.Width] {
				seen[y/8] = true
			}
			if len(seen) < 4 {
				t.Errorf("%d grey levels in the middle row", len(seen))
			}
		})
	}
}

// A picture written to the output node arrives byte for byte.
func TestVMVividLoop(t *testing.T) {
	ctx := inVM(t)
	in, err := vivid.Open("/dev/video10")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := vivid.Open("/dev/video11")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for _, e := range []error{in.SetInput(1), in.Set("Loop Video", 1), in.Set("OSD Text Mode", 2)} {
		if e != nil {
			t.Fatal(e)
		}
	}
	defer func() { _ = in.Set("Loop Video", 0); _ = in.SetInput(0) }()
	if _, err := out.SetOutputFormat(vivid.Format{Width: 1280, Height: 720, FourCC: vivid.FourCC("YUYV"), Field: 1, Colorspace: 3}); err != nil {
		t.Fatal(err)
	}
	v := opened(t, ctx, "/dev/video10", Options{Format: "YUYV", Width: 1280, Height: 720, MustOpen: true})
	o, err := out.StartOutput()
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := o.Send(rampYUYV(1280, 720)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	defer func() { close(stop); <-done; _ = o.Stop() }()
	for {
		f := good(t, ctx, v)
		if f.Luma[0] == ramp(0, 0) && f.Luma[len(f.Luma)-1] == ramp(1279, 719) {
			wantRamp(t, f, 1280, 720, 0)
			return
		}
	}
}

// Each injected failure of a start leaves nothing mapped, and the next start
// works.
func TestVMVividStartFails(t *testing.T) {
	for _, control := range []string{"Inject VIDIOC_REQBUFS Error", "Inject VIDIOC_QBUF Error", "Inject VIDIOC_STREAMON Error"} {
		t.Run(control, func(t *testing.T) {
			ctx := inVM(t)
			ctl, err := vivid.Open("/dev/video20")
			if err != nil {
				t.Fatal(err)
			}
			defer ctl.Close()
			before := deviceMaps(t)
			if err := ctl.Set(control, 1); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenV4L2(ctx, "/dev/video20", Options{Format: "YUYV", MustOpen: true}); err == nil || !strings.Contains(err.Error(), "refused to start") {
				t.Fatalf("error = %v", err)
			} else {
				t.Log(err)
			}
			if got := deviceMaps(t); got != before {
				t.Errorf("%d maps after the failed start, %d before", got, before)
			}
			if err := ctl.Set(control, 1); err != nil {
				t.Fatal(err)
			}
			v := opened(t, ctx, "/dev/video20", Options{Format: "YUYV"}) // waits, tries again
			good(t, ctx, v)
		})
	}
}

func TestVMVividFails(t *testing.T) {
	for _, c := range []struct {
		control string
		value   int32
		loss    bool
	}{
		{"Percentage of Dropped Buffers", 100, true}, // a stall
		{"Inject Fatal Streaming Error", 1, false},   // back at once: no loss
		{"Disconnect", 1, true},
	} {
		t.Run(c.control, func(t *testing.T) {
			ctx := inVM(t)
			ctl, err := vivid.Open("/dev/video20")
			if err != nil {
				t.Fatal(err)
			}
			defer ctl.Close()
			v := opened(t, ctx, "/dev/video20", Options{Format: "YUYV", Stall: time.Second})
			good(t, ctx, v)
			if err := ctl.Set(c.control, c.value); err != nil {
				t.Fatal(err)
			}
			if c.control == "Disconnect" {
				_ = ctl.Close() // the node is back when its last user has closed it
			}
			if c.loss {
				t.Log(lost(t, ctx, v))
			} else {
				until(t, "reopened", func() bool { return v.Stats().Reopens > 0 })
			}
			if c.control == "Percentage of Dropped Buffers" {
				if err := ctl.Set(c.control, 0); err != nil {
					t.Fatal(err)
				}
			}
			f := good(t, ctx, v)
			t.Logf("frame %d again, %+v", f.Seq, v.Stats())
			if v.Stats().Lost != "" {
				t.Errorf("lost: %q", v.Stats().Lost)
			}
		})
	}
}
