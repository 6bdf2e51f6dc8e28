package main

import (
	"os"
	"strings"
	"testing"

	"checkpoint/camera/camvm/usbcam"
	"checkpoint/camera/camvm/vivid"
)

// A gate before a USB camera of each format reads, judges and records.
func TestVMGateFormats(t *testing.T) {
	inCameraVM(t)
	a := newAuthority(t)
	for _, format := range []string{usbcam.YUYV, usbcam.GREY} {
		t.Run(format, func(t *testing.T) {
			cam := usbcam.New(usbcam.Config{
				Modes:  []usbcam.Mode{{Format: format, Width: vmWidth, Height: vmHeight, FPS: []int{15}}},
				Source: vmDraw(t, a.paper(t), vmWidth, vmHeight).source(),
			})
			node := plugIn(t, cam)
			defer cam.Unplug()
			g := startGate(t, a, "v4l2:"+node)
			g.reads("first code")
			cam.SetSource(vmDraw(t, a.paper(t), vmWidth, vmHeight).source())
			g.reads("second code")
			g.stop()
		})
	}
}

// The same over MJPEG, through a day of trouble: the camera is pulled out and
// comes back as another node, stalls, and refuses to start.
func TestVMGateTrouble(t *testing.T) {
	inCameraVM(t)
	a := newAuthority(t)
	config := usbcam.Config{
		Modes:  []usbcam.Mode{{Format: usbcam.MJPEG, Width: vmWidth, Height: vmHeight, FPS: []int{15}}},
		Source: vmDraw(t, a.paper(t), vmWidth, vmHeight).source(),
	}
	cam := usbcam.New(config)
	config.FailCommit = true
	refusing := usbcam.New(config) // the same camera, in a bad mood
	node := plugIn(t, cam)
	defer func() { _, _ = cam.Unplug(), refusing.Unplug() }()
	g := startGate(t, a, "v4l2:"+node)
	g.reads("first code")

	hold, err := os.OpenFile(node, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := cam.Unplug(); err != nil {
		t.Fatal(err)
	}
	g.loses("unplugged")
	cam.SetSource(vmDraw(t, a.paper(t), vmWidth, vmHeight).source())
	if again := plugIn(t, cam); again == node {
		t.Errorf("the node is %s again: nothing tested", node)
	}
	g.reads("after the replug under another number")
	_ = hold.Close()

	cam.SetSource(func(int, usbcam.Mode) usbcam.Frame { return usbcam.Frame{Skip: true} })
	g.loses("stalled")
	cam.SetSource(vmDraw(t, a.paper(t), vmWidth, vmHeight).source())
	g.reads("after the stall")

	if err := cam.Unplug(); err != nil {
		t.Fatal(err)
	}
	g.loses("unplugged")
	plugIn(t, refusing)
	g.logs("refused to start")
	if err := refusing.Unplug(); err != nil {
		t.Fatal(err)
	}
	cam.SetSource(vmDraw(t, a.paper(t), vmWidth, vmHeight).source())
	plugIn(t, cam)
	g.reads("after the refused start")
	g.stop()
}

// A camera of another driver, its picture fed through the kernel's test device.
func TestVMGateVivid(t *testing.T) {
	inCameraVM(t)
	a := newAuthority(t)
	const w, h = 1280, 720
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
	yuyv := vivid.Format{Width: w, Height: h, FourCC: vivid.FourCC("YUYV"), Field: 1, Colorspace: 3}
	for _, err := range []error{in.SetInput(1), in.Set("Loop Video", 1), in.Set("OSD Text Mode", 2)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	defer func() { _, _ = in.Set("Loop Video", 0), in.SetInput(0) }()
	for _, set := range []func(vivid.Format) (vivid.Format, error){out.SetOutputFormat, in.SetCaptureFormat} {
		if _, err := set(yuyv); err != nil {
			t.Fatal(err)
		}
	}
	o, err := out.StartOutput()
	if err != nil {
		t.Fatal(err)
	}
	picture := vmDraw(t, a.paper(t), w, h)[usbcam.YUYV]
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := o.Send(picture); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	defer func() { close(stop); <-done; _ = o.Stop() }()
	g := startGate(t, a, "v4l2:/dev/video10", "--camera-format", "yuyv", "--camera-width", "1280", "--camera-height", "720")
	g.reads("code on the test device")
	g.stop()
	if s := g.errs.String(); strings.TrimSpace(s) != "" {
		t.Errorf("standard error: %s", s)
	}
}
