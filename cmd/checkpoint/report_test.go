package main

import (
	"bytes"
	"flag"
	"image"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"checkpoint/trust"
	"checkpoint/verify"
)

var update = flag.Bool("update", false, "write the example anew")

// The example of docs/formats.md is what scan --json prints, but for the times
// that reading took.
func TestScanExample(t *testing.T) {
	path, err := filepath.Abs(filepath.Join("..", "..", "docs", "examples", "scan.json"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := newScene(t, morning)
	plain, err := trust.Marshal(s.snapshot(5))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"trust.json": plain,
		"red.png":    picture(t, []byte(s.texts()["red"])),
		"wall.png":   encoded(t, image.NewGray(image.Rect(0, 0, 64, 64))),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	var out, failures bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, err: &failures, now: time.Now}
	args := []string{"scan", "--json", "--at", morning.Format(time.RFC3339), "--insecure-trust", "trust.json", "red.png", "wall.png"}
	if code := a.run(t.Context(), args); code != exitNotAdmitted || failures.Len() > 0 {
		t.Fatalf("exit code %d, %s", code, failures.Bytes())
	}
	took := regexp.MustCompile(`"(read|check)_ms":[0-9.]+`)
	got := took.ReplaceAll(out.Bytes(), []byte(`"${1}_ms":0.5`))

	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Details are for the operator and may be worded anew.
	details := regexp.MustCompile(`"detail":"[^"]*"`)
	if !bytes.Equal(details.ReplaceAll(got, nil), details.ReplaceAll(want, nil)) {
		t.Errorf("docs/examples/scan.json is not what is printed (-update writes it):\n%s", got)
	}
}

// What stands in a code may be anything; what is printed of it may not.
func TestReportIsSanitised(t *testing.T) {
	v := verify.Verdict{
		Name: verify.Red, Reason: verify.Contact, Issuer: "\x1b]0;x\aCN\u202e" + strings.Repeat("é", 100),
		ValidUntil: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC),
		Checks:     []verify.Check{{Name: "content", State: verify.Failed, Detail: "\x1b[2J\n" + strings.Repeat("x", 1000)}},
		Person:     verify.Person{Name: secretName, Document: secretLast},
		ID:         secretCTI, Subject: []byte(secretCTI),
	}
	at := verify.Instant{Time: morning, Quality: verify.ClockRTC}
	r := judged("a\x1b[31m.png", &symbolReport{Index: 1}, time.Second, time.Millisecond, v, at)
	r.Trust = trustOf(newScene(t, morning).snapshot(1), "", morning)
	var b bytes.Buffer
	if err := printJSON(&b, r); err != nil {
		t.Fatal(err)
	}
	b.WriteString(r.line() + "\n" + r.lines(at))
	text := b.String()
	for _, no := range []string{"\x1b", "\u202e", "\\u001b", "\a", secretName, secretLast, secretCTI, strings.Repeat("é", 41), strings.Repeat("x", 201)} {
		if strings.Contains(text, no) {
			t.Errorf("%q came through: %s", no, text)
		}
	}
	if !strings.Contains(text, `"read_ms":1000,"check_ms":1,`) || !strings.Contains(text, `"valid_until":null`) {
		t.Errorf("times are wrong: %s", text)
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 59 * time.Second: "59 s", 3 * time.Minute: "3 min", 3*time.Hour + 5*time.Minute: "3 h 5 min", 73 * time.Hour: "3 days 1 h",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for payload, want := range map[string]string{
		"HC1:A b": "HC1:A b", "健康": "健康", `a"b`: `a"b`, "\x00\xff\x1b[2J\r\n": `\x00\xff\x1b[2J\r\n`, "a\u202eb\u200b": `a\u202eb\u200b`,
	} {
		if got := printable([]byte(payload)); got != want {
			t.Errorf("printable(%q) = %s, want %s", payload, got, want)
		}
	}
}

func TestClockOfThisMachine(t *testing.T) {
	a := &app{now: time.Now}
	at, quality := a.machineClock().Now()
	if time.Since(at) < 0 || time.Since(at) > time.Minute || quality > verify.ClockSynced {
		t.Errorf("clock says %v, %v", at, quality)
	}
	dir := t.TempDir()
	if hasClockChip(dir) {
		t.Error("a chip in an empty folder")
	}
	if err := os.MkdirAll(filepath.Join(dir, "rtc0"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rtc0", "since_epoch"), []byte("1800000000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !hasClockChip(dir) {
		t.Error("the chip was not found")
	}
	// A machine that nobody keeps in time never says that it is synced.
	if q := qualityOf(false, false); q != verify.ClockUnknown {
		t.Errorf("no service, no chip: %v", q)
	}
	if q := qualityOf(false, true); q != verify.ClockRTC {
		t.Errorf("a chip alone: %v", q)
	}
	if q := qualityOf(true, false); q != verify.ClockSynced {
		t.Errorf("a service: %v", q)
	}
}
