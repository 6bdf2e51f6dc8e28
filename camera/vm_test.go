package camera

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"checkpoint/camera/camvm/usbcam"
)

// These tests need real kernel drivers: vivid and an emulated USB bus. They
// run as root inside the virtual machine that .ci/camvm starts.
func inVM(t *testing.T) context.Context {
	t.Helper()
	if os.Getenv("CAMVM") != "1" {
		t.Skip("only inside the camera virtual machine (.ci/camvm)")
	}
	before := runtime.NumGoroutine()
	maps := deviceMaps(t)
	t.Cleanup(func() {
		until(t, "the goroutines ended", func() bool { return runtime.NumGoroutine() <= before })
		if got := deviceMaps(t); got != maps {
			t.Errorf("%d maps of video devices stay, %d before", got, maps)
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func deviceMaps(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), "/dev/video")
}

// good gives the next frame; a loss on the way is no failure.
func good(t *testing.T, ctx context.Context, v *V4L2) Frame {
	t.Helper()
	for {
		f, err := v.Next(ctx)
		if err == nil {
			return f
		}
		if !errors.Is(err, ErrLost) {
			t.Fatalf("next: %v (%+v)", err, v.Stats())
		}
	}
}

// lost waits for the one ErrLost and gives its line.
func lost(t *testing.T, ctx context.Context, v *V4L2) string {
	t.Helper()
	for {
		switch _, err := v.Next(ctx); {
		case errors.Is(err, ErrLost):
			return err.Error()
		case err != nil:
			t.Fatalf("next: %v", err)
		}
	}
}

func opened(t *testing.T, ctx context.Context, target string, o Options) *V4L2 {
	t.Helper()
	v, err := OpenV4L2(ctx, target, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func plugged(t *testing.T, c usbcam.Config) (*usbcam.Camera, string) {
	t.Helper()
	cam := usbcam.New(c)
	if err := cam.Plug(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cam.Unplug() })
	return cam, node0(t, cam)
}

func node0(t *testing.T, cam *usbcam.Camera) string {
	t.Helper()
	n, err := cam.WaitNode(20 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func sends(frame func(m usbcam.Mode) []byte) usbcam.Source {
	return func(_ int, m usbcam.Mode) usbcam.Frame { return usbcam.Frame{Data: frame(m)} }
}
