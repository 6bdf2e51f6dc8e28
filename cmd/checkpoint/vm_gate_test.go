package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"checkpoint/camera/camvm/usbcam"
	"checkpoint/healthcode"
	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/trust"
	"checkpoint/verify"
)

// These tests run the built program, as an installed gate runs, before cameras
// of a real kernel: codes are held up, the camera is pulled out, stalls and
// refuses, and every verdict must be in the gate's file. They run as root in
// the virtual machine that .ci/camvm starts.

const (
	vmWidth, vmHeight = 640, 480
	vmPatience        = 40 * time.Second // emulated processors are slow
)

// authority issues the codes and signs what the gate trusts.
type authority struct {
	issuer *ecdsa.PrivateKey
	signer ed25519.PrivateKey
	signed []byte // the snapshot
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().UTC().Truncate(time.Second)
	issuer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(err)
	_, signer, err := ed25519.GenerateKey(rand.Reader)
	ok(err)
	kid, err := healthcode.KeyID(&issuer.PublicKey)
	ok(err)
	spki, err := x509.MarshalPKIXPublicKey(&issuer.PublicKey)
	ok(err)
	day, err := hpke.MLKEM768X25519().GenerateKey()
	ok(err)
	today := now.Truncate(24 * time.Hour)
	policy := trust.DefaultPolicy()
	policy.From, policy.Venue = today.AddDate(0, 0, -7), trust.AnyVenue
	s := &trust.Snapshot{
		Form: trust.Form, Version: 1, Issued: now.Add(-time.Minute),
		Issuers: trust.Issuers{Issued: now, Keys: []trust.IssuerKey{{
			KID: trust.ID(kid), Algorithm: "ES256", SPKI: spki, Name: "Test Health Commission", Country: "CN",
			Regions: []string{"CN-42"}, Colours: []trust.Colour{trust.Green},
			NotBefore: today.AddDate(0, -1, 0), NotAfter: today.AddDate(0, 1, 0),
		}}},
		Policy:  trust.Policies{Issued: now, Rules: []trust.Policy{policy}},
		Revoked: trust.Revocations{Issued: now},
		DayKeys: trust.DayKeys{Issued: now, Keys: []trust.DayKey{
			{ID: today.Format(time.DateOnly), From: today, To: today.AddDate(0, 0, 1), PublicKey: day.PublicKey().Bytes()},
			{ID: today.AddDate(0, 0, 1).Format(time.DateOnly), From: today.AddDate(0, 0, 1), To: today.AddDate(0, 0, 2), PublicKey: day.PublicKey().Bytes()},
		}},
	}
	signed, err := trust.Sign(s, signer)
	ok(err)
	return &authority{issuer, signer, signed}
}

// paper issues a green code on paper: the gate must ask for the identity card.
func (a *authority) paper(t *testing.T) string {
	t.Helper()
	now := time.Now().Unix()
	c := &healthcode.Claims{Issuer: "CN-420100", Issued: now - 3600, Expires: now + 86400, Name: "张*"}
	for _, b := range [][]byte{c.Subject[:], c.CTI[:]} {
		if _, err := rand.Read(b); err != nil {
			t.Fatal(err)
		}
	}
	cred, err := healthcode.Issue(rand.Reader, a.issuer, c)
	if err != nil {
		t.Fatal(err)
	}
	return cred.Text()
}

// vmDrawn is a code as a camera sees it, in each of its formats.
type vmDrawn map[string][]byte

func vmDraw(t *testing.T, text string, w, h int) vmDrawn {
	t.Helper()
	m, err := qrcode.NewQRCodeWriter().Encode(text, gozxing.BarcodeFormat_QR_CODE, h-40, h-40, nil)
	if err != nil {
		t.Fatal(err)
	}
	left, top := (w-m.GetWidth())/2, (h-m.GetHeight())/2
	grey, yuyv := bytes.Repeat([]byte{210}, w*h), make([]byte, 2*w*h)
	for y := range m.GetHeight() {
		for x := range m.GetWidth() {
			if m.Get(x, y) {
				grey[(top+y)*w+left+x] = 40
			}
		}
	}
	colour := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	copy(colour.Y, grey)
	for i := range colour.Cb {
		colour.Cb[i], colour.Cr[i] = 128, 128
	}
	for i, v := range grey {
		yuyv[2*i], yuyv[2*i+1] = v, 128
	}
	var jpg bytes.Buffer
	if err := jpeg.Encode(&jpg, colour, nil); err != nil {
		t.Fatal(err)
	}
	// Webcams leave the Huffman tables out.
	b := jpg.Bytes()
	at := bytes.Index(b, []byte{0xff, 0xc4})
	bare := append(bytes.Clone(b[:at]), b[at+2+int(b[at+2])<<8+int(b[at+3]):]...)
	return vmDrawn{usbcam.GREY: grey, usbcam.YUYV: yuyv, usbcam.MJPEG: bare}
}

func (d vmDrawn) source() usbcam.Source {
	return func(_ int, m usbcam.Mode) usbcam.Frame { return usbcam.Frame{Data: d[m.Format]} }
}

// running is the program at work.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	db     string
	log    string
	errs   bytes.Buffer
	events chan map[string]any
	seqs   []uint64 // rows that its verdicts named
}

// vmProgram copies the built program out of the shared folder, once: paging it
// in from there takes the machine many seconds at each start.
func vmProgram(t *testing.T) string {
	t.Helper()
	const to = "/tmp/checkpoint-under-test"
	if _, err := os.Stat(to); err == nil {
		return to
	}
	b, err := os.ReadFile("checkpoint")
	if err != nil {
		t.Fatalf("the built program must lie in the start directory: %v", err)
	}
	if err := os.WriteFile(to+".part", b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(to+".part", to); err != nil {
		t.Fatal(err)
	}
	return to
}

// startGate installs trust and starts the gate before the source.
func startGate(t *testing.T, a *authority, source string, flags ...string) *running {
	t.Helper()
	dir := t.TempDir()
	program := vmProgram(t)
	snapshot := filepath.Join(dir, "trust.signed")
	if err := os.WriteFile(snapshot, a.signed, 0o600); err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, log: filepath.Join(dir, "log"), db: filepath.Join(dir, "gate.db"), events: make(chan map[string]any, 1000)}
	pin := base64.StdEncoding.EncodeToString(a.signer.Public().(ed25519.PublicKey))
	if out, err := exec.Command(program, "trust", "install", snapshot, "--db", r.db, "--trust-key", pin).CombinedOutput(); err != nil {
		t.Fatalf("trust install: %v: %s", err, out)
	}
	r.cmd = exec.Command(program, append([]string{"run", "--headless", "--source", source, "--db", r.db, "--trust-key", pin,
		"--log-path", r.log, "--sound", "off", "--latch", "200ms"}, flags...)...)
	r.cmd.Stderr = &r.errs
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // when a step failed before stop
		_ = r.cmd.Process.Kill()
		if t.Failed() {
			log, _ := os.ReadFile(r.log)
			t.Logf("standard error: %s\nlog: %s", r.errs.String(), log)
		}
	})
	go func() {
		defer close(r.events)
		for sc := bufio.NewScanner(out); sc.Scan(); {
			var e map[string]any
			if json.Unmarshal(sc.Bytes(), &e) != nil {
				e = map[string]any{"event": "not JSON", "line": sc.Text()}
			}
			r.events <- e
		}
	}()
	return r
}

// until waits for an event.
func (r *running) until(what string, ok func(map[string]any) bool) map[string]any {
	r.t.Helper()
	limit := time.NewTimer(vmPatience)
	defer limit.Stop()
	for {
		select {
		case e, open := <-r.events:
			if !open {
				r.t.Fatalf("the gate ended before: %s", what)
			}
			if e["event"] == "not JSON" {
				r.t.Errorf("line %q", e["line"])
			}
			if ok(e) {
				return e
			}
		case <-limit.C:
			r.t.Fatalf("not in %v: %s", vmPatience, what)
		}
	}
}

// reads waits for the verdict on the paper code in view.
func (r *running) reads(what string) {
	r.t.Helper()
	start := time.Now()
	e := r.until("verdict: "+what, func(e map[string]any) bool {
		return e["event"] == "verdict" && e["reason"] != "no_camera" // the gate on itself, not on a code
	})
	seq, _ := e["seq"].(float64)
	if e["recording"] == true { // the disk was slow: the row follows
		done := r.until("recorded: "+what, func(r map[string]any) bool { return r["event"] == "recorded" && r["card"] == e["card"] })
		if done["failed"] != false {
			r.t.Fatalf("%s: %v", what, done)
		}
		seq, _ = done["seq"].(float64)
	}
	if e["verdict"] != "check_id" || e["reason"] != "ok" || e["format"] != "native" || seq == 0 {
		r.t.Fatalf("%s: %v", what, e)
	}
	r.seqs = append(r.seqs, uint64(seq))
	r.t.Logf("%s: row %v after %v; read %.0f ms, check %.0f ms, durable %v ms", what, seq, time.Since(start).Round(time.Millisecond), e["read_ms"], e["check_ms"], e["durable_ms"])
}

// loses waits until the gate says that its camera is gone.
func (r *running) loses(what string) {
	r.t.Helper()
	start := time.Now()
	e := r.until("loss: "+what, func(e map[string]any) bool { return e["event"] == "state" && e["camera"] != "ok" })
	r.t.Logf("%s: camera is %q after %v", what, e["camera"], time.Since(start).Round(time.Millisecond))
}

// logs waits until the gate's log has the words.
func (r *running) logs(words string) {
	r.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(vmPatience); time.Now().Before(end); <-tick.C {
		if b, err := os.ReadFile(r.log); err == nil && bytes.Contains(b, []byte(words)) {
			return
		}
	}
	r.t.Fatalf("not in the log: %s", words)
}

// stop ends the gate and compares its verdicts with the rows in its file.
func (r *running) stop() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	e := r.until("end", func(e map[string]any) bool { return e["event"] == "end" })
	for range r.events { // to the end of its output
	}
	if err := r.cmd.Wait(); err != nil {
		r.t.Errorf("exit: %v: %s", err, r.errs.String())
	}
	if got, _ := e["scans"].(float64); int(got) != len(r.seqs) {
		r.t.Errorf("end says %v scans, seen %d", got, len(r.seqs))
	}
	ctx := context.Background()
	stamp := record.Stamp{WallMS: time.Now().UnixMilli()}
	db, err := localdb.Open(ctx, r.db, localdb.Options{Now: func() record.Stamp { return stamp }})
	if err != nil {
		r.t.Fatal(err)
	}
	defer db.Close(ctx, stamp)
	if _, err := db.VerifyChain(ctx); err != nil {
		r.t.Errorf("the chain: %v", err)
	}
	var scans []uint64
	for row, err := range db.Rows(ctx, 1) {
		if err != nil {
			r.t.Fatal(err)
		}
		s, ok := row.Body.(record.Scan)
		if !ok {
			continue
		}
		scans = append(scans, row.Seq)
		if verify.Name(s.Verdict) != verify.CheckID || verify.Reason(s.Reason) != verify.OK || len(s.Sealed.Box) == 0 {
			r.t.Errorf("row %d: verdict %v, reason %v, %d sealed bytes", row.Seq, verify.Name(s.Verdict), verify.Reason(s.Reason), len(s.Sealed.Box))
		}
	}
	if len(scans) != len(r.seqs) {
		r.t.Fatalf("scan rows %v, verdicts named %v", scans, r.seqs)
	}
	for i, seq := range r.seqs {
		if scans[i] != seq {
			r.t.Errorf("scan rows %v, verdicts named %v", scans, r.seqs)
			break
		}
	}
}

func inCameraVM(t *testing.T) {
	t.Helper()
	if os.Getenv("CAMVM") != "1" {
		t.Skip("only inside the camera virtual machine (.ci/camvm)")
	}
}

func plugIn(t *testing.T, cam *usbcam.Camera) string {
	t.Helper()
	if err := cam.Plug(); err != nil {
		t.Fatal(err)
	}
	node, err := cam.WaitNode(20 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return node
}
