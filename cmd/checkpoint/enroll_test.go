package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"checkpoint/enroll"
	"checkpoint/hub/store"
	"checkpoint/record"
	"checkpoint/uplink"
)

// A gate enrols by its code, as text or before its camera, and what it says of
// its trust is from then on the hub's.
func TestEnrol(t *testing.T) {
	t.Parallel()
	h := newHeadquarters(t)
	p := h.newPost()
	p.want(3, "no trust is installed", "trust", "show")
	token := h.invite("A1", false)
	said := p.want(0, "enrolled as A1 at Line 2 (subway) with https://127.0.0.1", "enroll", "--token-file", p.code(token))
	if strings.Contains(said, "pending") || !strings.Contains(said, "trust version") {
		t.Errorf("said %q", said)
	}
	g := h.gate("A1")
	if e := p.enrolled(); g.State != store.Active || e.State != "active" || e.Gate != "A1" || e.Venue != "Line 2" {
		t.Errorf("the hub has %+v, the gate %+v", g, e)
	}

	p.want(0, "signed by the signers of root ", "trust", "show")
	p.want(0, "policy     subway:", "trust", "show")
	if s := p.want(0, `"signer":"root `, "trust", "show", "--json"); !strings.Contains(s, `"name":"issuers"`) {
		t.Errorf("trust show: %s", s)
	}
	code := filepath.Join(p.home, "code.txt")
	h.check(os.WriteFile(code, []byte(h.scene.texts()["paper"]), 0o600))
	p.want(1, "signers of root", "explain", code) // not admitted before the card is compared
	p.want(1, "check_id", "scan", "--json", "--texts", code)
	p.want(2, "takes its trust from its hub", "trust", "install", code)
	said = p.want(0, "A1 at Line 2 (subway), active, certificate until ", "doctor", "--source", "stdin")
	if !strings.Contains(said, "✓ hub") || !strings.Contains(said, "127.0.0.1") || !strings.Contains(said, "answers") || !strings.Contains(said, "✓ queue") {
		t.Errorf("doctor: %s", said)
	}
	h.down()
	if said = p.want(0, "not reached: ", "doctor", "--source", "stdin"); !strings.Contains(said, "! hub") {
		t.Errorf("doctor without a line: %s", said)
	}
	// What holds needs no line.
	p.want(0, "signers of root", "trust", "show")
}

func TestEnrolBeforeTheCamera(t *testing.T) {
	t.Parallel()
	h := newHeadquarters(t)
	p := h.newPost()
	pictures := filepath.Join(p.home, "pictures")
	h.check(os.Mkdir(pictures, 0o700))
	h.check(os.WriteFile(filepath.Join(pictures, "1.png"), picture(t, []byte("https://example.org/menu")), 0o600))
	p.want(4, "no enrolment code in the pictures", "enroll", "--scan", "--source", "dir:"+pictures)
	if said := p.want(4, "none for enrolling", "enroll", "--scan", "--source", "dir:"+pictures); strings.Contains(said, "example.org") {
		t.Errorf("what the code said was printed: %s", said)
	}
	h.check(os.WriteFile(filepath.Join(pictures, "2.png"), picture(t, []byte(h.invite("A1", false).Text())), 0o600))
	p.want(0, "enrolled as A1", "enroll", "--scan", "--source", "dir:"+pictures)
	p.want(2, "one camera", "enroll", "--scan", "--source", "stdin")
}

// A code counts once; its gate, whose answer got lost, may show it again.
func TestCodeCountsOnce(t *testing.T) {
	t.Parallel()
	h := newHeadquarters(t)
	p, thief := h.newPost(), h.newPost()
	token := h.invite("A1", false)
	before := enrolLosingTheAnswer(t, p, token, false)
	if p.enrolled().URL != "" {
		t.Fatal("the gate is enrolled without an answer")
	}
	p.want(0, "enrolled as A1", "enroll", "--token-file", p.code(token))
	if g := h.gate("A1"); string(g.CertSPKI) != string(before.CertSPKI) || g.Device != before.Device {
		t.Error("asked again, the gate used other keys")
	}
	// Again, with the answer in its file.
	p.want(0, "enrolled as A1", "enroll", "--token-file", p.code(token))

	thief.want(4, "this code has enrolled another device", "enroll", "--token-file", thief.code(token))
	if thief.enrolled().URL != "" || h.gate("A1").Device != before.Device {
		t.Error("a used code made a gate of another device")
	}
	alarms, err := h.store.ListAlarms(context.Background(), nil, true, 0, 10)
	h.check(err)
	if !slices.ContainsFunc(alarms, func(a store.Alarm) bool { return a.Kind == "token_reused" && a.Gate == "A1" }) {
		t.Errorf("alarms %+v", alarms)
	}
	// Another code is for another gate: this one says so itself.
	p.want(2, "enrolled already, as A1 at Line 2", "enroll", "--token-file", p.code(h.invite("A2", false)))
	if e := p.enrolled(); e.Gate != "A1" || h.gate("A2").State != store.Invited {
		t.Error("it took the other code")
	}
}

// A gate that its hub took and revoked without its knowing becomes a new device
// by the next code, the one that said that it must.
func TestRevokedBeforeItKnew(t *testing.T) {
	t.Parallel()
	h := newHeadquarters(t)
	p := h.newPost()
	before := enrolLosingTheAnswer(t, p, h.invite("A1", false), false)
	h.technician("A1/revoke", "{}")
	token, err := h.InviteAgain(context.Background(), "A1", false, 0)
	h.check(err)
	p.want(4, "checkpoint enroll --new-device", "enroll", "--token-file", p.code(token))
	p.want(0, "enrolled as A1", "enroll", "--new-device", "--token-file", p.code(token))
	if g := h.gate("A1"); g.Device == before.Device || g.State != store.Active {
		t.Errorf("the gate is %+v", g)
	}
}

// enrolLosingTheAnswer asks the hub as the program does, and forgets what it
// answered.
func enrolLosingTheAnswer(t *testing.T, p *post, token enroll.Token, newDevice bool) store.Gate {
	t.Helper()
	p.station(func(ctx context.Context, s *station, _ *upstream) {
		client, err := uplink.New(uplink.Config{URL: token.URL, Pins: func() [][32]byte { return [][32]byte{token.Pin} },
			Clock: func() (time.Time, bool) { return p.h.now(), true }})
		p.h.check(err)
		defer client.Close()
		key, segment, err := s.enrolKeys(ctx, client, token, newDevice)
		p.h.check(err)
		request, err := enroll.NewRequest(&token, s.db.Identity().Device, key, segment, "test")
		p.h.check(err)
		_, err = client.Enroll(ctx, request)
		p.h.check(err)
	})
	return p.h.gate("A1")
}

func TestCodesThatOpenNothing(t *testing.T) {
	t.Parallel()
	h := newHeadquarters(t)
	p := h.newPost()
	token := h.invite("A1", false)
	wrong := token
	wrong.Pin[0] ^= 1
	p.want(3, "who answers is not this gate's hub", "enroll", "--token-file", p.code(wrong))
	if h.gate("A1").State != store.Invited {
		t.Error("the code was shown to somebody else")
	}
	wrong = token
	wrong.Secret[0] ^= 1
	p.want(4, "gave no such code", "enroll", "--token-file", p.code(wrong))
	text := filepath.Join(p.home, "text")
	h.check(os.WriteFile(text, []byte("GHC1:ABC"), 0o600))
	p.want(4, "not an enrolment code", "enroll", "--token-file", text)
	p.want(3, "no such file", "enroll", "--token-file", filepath.Join(p.home, "none"))

	h.ahead.Store(int64(time.Hour))
	p.want(4, "this code is over", "enroll", "--token-file", p.code(token))
	if p.enrolled().URL != "" {
		t.Error("it is enrolled")
	}
	h.down()
	p.want(3, "nobody answers", "enroll", "--token-file", p.code(token))
}

// A gate from a sheet waits until the technician has compared the word.
func TestEnrolFromASheet(t *testing.T) {
	t.Parallel()
	h := newHeadquarters(t)
	p := h.newPost()
	said := p.enrol("A1", true)
	word := h.gate("A1").Word
	if len(word) != 6 || !strings.Contains(said, spaced(word)) {
		t.Fatalf("the hub shows %q, the gate said %q", word, said)
	}
	p.want(0, "pending", "doctor", "--source", "stdin")
	p.start()
	p.said("the word", func(e hubLine) bool { return e.Hub == "pending" && e.Word == spaced(word) })
	if v := p.paper(); v.Verdict != "check_id" {
		t.Errorf("while pending: %+v", v)
	}
	p.stop()
	if h.last("A1") != 0 {
		t.Error("rows were taken from a gate whose word nobody compared")
	}

	// Away from its hub it still knows.
	h.down()
	p.start()
	p.said("the word", func(e hubLine) bool { return e.Uplink == "offline" && e.Word == spaced(word) })
	p.stop()
	h.up()
	h.technician("A1/confirm", `{"word":"`+word+`"}`)
	p.start()
	p.said("that it is online", func(e hubLine) bool { return e.Uplink == "online" && e.Hub == "" && e.Word == "" })
	h.until("the rows arrived", func() bool { return h.last("A1") > 0 })
	p.stop()
	if s := p.enrolled().State; s != "active" {
		t.Errorf("it is %s in its file", s)
	}
}

// Who enrols a gate that runs is told to stop it.
func TestEnrolWhileTheGateRuns(t *testing.T) {
	t.Parallel()
	h := newHeadquarters(t)
	p := h.newPost()
	living := &living{t: t, home: p.home, scene: h.scene}
	living.start() // a process of its own: two in one would share their locks
	p.want(3, "stop the gate first", "enroll", "--token-file", p.code(h.invite("A1", false)))
	p.want(3, "stop the gate first", "stick", "export", p.home)
	if h.gate("A1").State != store.Invited {
		t.Error("the code is spent")
	}
	living.end()
}

// A gate that was revoked scans on and says so, also at a start without a line;
// as a new device it is a gate again.
func TestRevoked(t *testing.T) {
	t.Parallel()
	h := newHeadquarters(t)
	p := h.newPost()
	p.enrol("A1", false)
	p.start()
	p.said("that it is online", isUplink("online"))
	h.technician("A1/revoke", "{}")
	p.said("that it is revoked", func(e hubLine) bool {
		return e.Hub == "revoked" && strings.Contains(e.Problem, "call the technician")
	})
	if v := p.paper(); v.Verdict != "check_id" || v.Seq == 0 {
		t.Errorf("a revoked gate: %+v", v)
	}
	p.stop()
	p.want(3, "revoked, certificate until", "doctor", "--source", "stdin")
	h.down()
	p.start()
	p.said("that it is revoked", func(e hubLine) bool { return e.Hub == "revoked" })
	if v := p.paper(); v.Verdict != "check_id" {
		t.Errorf("a revoked gate without a line: %+v", v)
	}
	p.stop()
	old := p.enrolled()

	// A code for a hub that cannot be reached takes nothing from it.
	h.up()
	ctx := context.Background()
	token, err := h.InviteAgain(ctx, "A1", false, 0)
	h.check(err)
	h.down()
	p.want(3, "nothing was changed", "enroll", "--new-device", "--token-file", p.code(token))
	if e := p.enrolled(); e.URL != old.URL {
		t.Fatal("the gate gave up its hub for none")
	}
	h.up()
	p.want(2, "--new-device", "enroll", "--token-file", p.code(token))
	device := h.gate("A1").Device

	// Nor does a code that is refused stop it from judging, though it is no hub's.
	wrong := token
	wrong.Secret[0] ^= 1
	p.want(4, "gave no such code", "enroll", "--new-device", "--token-file", p.code(wrong))
	p.want(0, "signers of root", "trust", "show")
	p.start()
	if v := p.paper(); v.Verdict != "check_id" {
		t.Errorf("between two enrolments: %+v", v)
	}
	p.stop()
	lost := enrolLosingTheAnswer(t, p, token, true)
	p.want(0, "enrolled as A1", "enroll", "--new-device", "--token-file", p.code(token))
	p.want(0, "enrolled as A1", "enroll", "--new-device", "--token-file", p.code(token)) // once more changes nothing
	if g := h.gate("A1"); g.Device == device || g.Device != lost.Device || g.State != store.Active {
		t.Errorf("the gate is %+v", g)
	}
	p.start()
	seq := p.paper().Seq
	h.until("rows of the new device arrived", func() bool { return h.last("A1") >= seq })
	p.stop()
}

// The file of a gate that comes to another hub, whose trust begins elsewhere,
// takes that one's.
func TestNewDeviceAtAnotherHub(t *testing.T) {
	t.Parallel()
	h, other := newHeadquarters(t), newHeadquarters(t)
	p := h.newPost()
	p.enrol("A1", false)
	root := p.want(0, "signers of root", "trust", "show")
	token := other.invite("B1", false)
	p.want(2, "enrolled already", "enroll", "--token-file", p.code(token))
	p.want(0, "enrolled as B1", "enroll", "--new-device", "--token-file", p.code(token))
	if line, _, _ := strings.Cut(p.want(0, "signers of root", "trust", "show"), "\n"); strings.Contains(root, line) {
		t.Errorf("it goes by the trust of the hub before: %s", line)
	}
	p.start()
	seq := p.paper().Seq
	other.until("rows arrived", func() bool { return other.last("B1") >= seq })
	p.stop()
	if n := h.last("A1"); n != 0 {
		t.Errorf("the hub before got rows up to %d", n)
	}
}

// A certificate is renewed before and after its end, also when the answer to
// the first try got lost.
func TestRenewal(t *testing.T) {
	t.Parallel()
	h := newHeadquarters(t)
	p := h.newPost()
	p.enrol("A1", false)
	for _, step := range []struct {
		name    string
		ahead   time.Duration
		expired bool
	}{
		{"from a third of its life on", 7 * 24 * time.Hour, false},
		{"after its end", 40 * 24 * time.Hour, true},
	} {
		t.Run(step.name, func(t *testing.T) {
			h.ahead.Store(int64(step.ahead))
			before := p.enrolled()
			p.station(func(ctx context.Context, s *station, u *upstream) {
				lost := ecKey(t, 77)
				_, err := u.askAnew(ctx, lost, step.expired)
				h.check(err)
				h.check(u.renew(ctx, step.expired))
				if _, until, _ := u.lifetime(); !until.After(h.now()) {
					t.Errorf("the certificate that is used ended at %v", until)
				}
				r, err := u.report(ctx)
				h.check(err)
				if _, err := u.client.Report(ctx, r); err != nil {
					t.Errorf("the hub does not take the new certificate: %v", err)
				}
			})
			after := p.enrolled()
			if string(before.Chain[0]) == string(after.Chain[0]) || before.Pin != after.Pin || string(before.FirstRoot) != string(after.FirstRoot) {
				t.Error("what is in the file is not the next certificate of the same enrolment")
			}
		})
	}
	if n := p.rows(record.EventEnrolled); n != 1 {
		t.Errorf("%d rows of enrolment, want 1", n)
	}
}
