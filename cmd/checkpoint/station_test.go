package main

import (
	"strings"
	"testing"

	"checkpoint/camera"
)

func TestSourcesHideThePassword(t *testing.T) {
	s := &station{cfg: config{Source: []string{"v4l2:auto", "mjpeg:http://eye:sekret@10.0.0.9/video?x=1"}}}
	got := s.sources()
	if strings.Contains(got, "sekret") || !strings.Contains(got, "10.0.0.9/video") || !strings.HasPrefix(got, "v4l2:auto ") {
		t.Errorf("got %q", got)
	}
}

func TestCameraTestSeesAMissingCamera(t *testing.T) {
	missing, err := camera.Open(t.Context(), "v4l2:/dev/video-not-there", camera.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer missing.Close()
	s := &station{cfg: config{Source: []string{"v4l2:/dev/video-not-there"}}}
	s.pictures = append(s.pictures, missing)
	if got := s.cameraTest(); got.OK || got.Detail == "" {
		t.Errorf("got %+v, want a fault with words", got)
	}
}
