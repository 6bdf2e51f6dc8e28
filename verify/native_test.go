package verify_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"testing"
	"time"

	"checkpoint/healthcode"
	"checkpoint/trust"
	"checkpoint/verify"
)

const hour = 3600

// green is a code issued an hour before noon for a day, bound to a phone.
func green(t testing.TB) healthcode.Claims {
	iat := noon.Unix() - hour
	return healthcode.Claims{
		Issuer: "CN-420100", Subject: [12]byte{9, 9, 9}, Issued: iat, Expires: iat + 24*hour, CTI: [8]byte{1, 2, 3, 4, 5, 6, 7, 8},
		Holder: &testKey(t, "holder").PublicKey, Name: "张*三", Document: healthcode.Document{Type: 1, Last: "123X"},
	}
}

// red is the same for a contact of a case, 14 days.
func red(t testing.TB) healthcode.Claims {
	c := green(t)
	c.Colour, c.Until, c.Reason, c.Basis = healthcode.Red, c.Issued+14*24*hour, healthcode.ReasonContact, "HB2026"
	return c
}

func issue(t testing.TB, c healthcode.Claims) *healthcode.Credential {
	t.Helper()
	cred, err := healthcode.Sign(nil, testKey(t, "issuer"), &c)
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

// show is the phone's presentation at noon plus some seconds; paper shows itself.
func show(t testing.TB, c healthcode.Claims, late int64) []byte {
	t.Helper()
	if c.Holder == nil {
		return []byte(issue(t, c).Text())
	}
	text, err := healthcode.Present(nil, testKey(t, "holder"), issue(t, c), noon.Unix()+late)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(text)
}

func issuerKey(t testing.TB, key *ecdsa.PublicKey) trust.IssuerKey {
	der := spki(t, key)
	sum := sha256.Sum256(der)
	return trust.IssuerKey{
		KID: trust.ID(sum[:8]), Algorithm: "ES256", SPKI: der, Name: "Wuhan", Country: "CN", Regions: []string{"CN-42"},
		Colours:   []trust.Colour{trust.Green, trust.Amber, trust.Red, trust.Gold},
		NotBefore: noon.AddDate(0, -1, 0), NotAfter: noon.AddDate(0, 1, 0),
	}
}

// nativeTrust is an hour old at noon and trusts the issuer.
func nativeTrust(t testing.TB, edits ...func(*trust.Snapshot)) *verify.Verifier {
	t.Helper()
	s := &trust.Snapshot{Form: trust.Form, Version: 3, Issued: noon.Add(-time.Hour)}
	s.Issuers = trust.Issuers{Issued: s.Issued, Keys: []trust.IssuerKey{issuerKey(t, &testKey(t, "issuer").PublicKey)}}
	for _, e := range edits {
		e(s)
	}
	return verify.New(s)
}

// policy puts one policy in force.
func policy(edit func(*trust.Policy)) func(*trust.Snapshot) {
	return func(s *trust.Snapshot) {
		p := trust.DefaultPolicy()
		p.From = noon.AddDate(0, -1, 0)
		edit(&p)
		s.Policy.Rules = append(s.Policy.Rules, p)
	}
}

type want struct {
	name   verify.Name
	reason verify.Reason
	under  verify.Name
	why    verify.IDWhy
}

func expect(t *testing.T, got verify.Verdict, w want) {
	t.Helper()
	if got.Name != w.name || got.Reason != w.reason || got.Under != w.under || got.IDWhy != w.why {
		t.Errorf("%v/%v under %v why %v, want %v/%v under %v why %v", got.Name, got.Reason, got.Under, got.IDWhy, w.name, w.reason, w.under, w.why)
		for _, c := range got.Checks {
			t.Logf("%s: %v %s", c.Name, c.State, c.Detail)
		}
	}
	sound(t, got)
}

// sound holds what is true of every verdict.
func sound(t *testing.T, v verify.Verdict) {
	t.Helper()
	if v.Admit() && (v.Reason != verify.OK && v.Reason != verify.NoCheckRequired) {
		t.Errorf("%v for %v", v.Name, v.Reason)
	}
	if v.Admit() && v.Name != verify.NoCheck {
		for _, c := range v.Checks {
			if c.State != verify.Passed {
				t.Errorf("%v although %s is %v", v.Name, c.Name, c.State)
			}
		}
	}
	failed := -1
	for i, c := range v.Checks {
		if failed >= 0 && c.State != verify.NotReached {
			t.Errorf("%s is %v after %s failed", c.Name, c.State, v.Checks[failed].Name)
		}
		if c.State == verify.Failed {
			failed = i
		}
	}
	if (v.Name == verify.Refresh || v.Name == verify.Invalid || v.Name == verify.NotOurs || v.Name == verify.Device) && v.Subject != nil {
		t.Errorf("%v with a subject", v.Name)
	}
	if v.Name != verify.CheckID && v.Person != (verify.Person{}) {
		t.Errorf("%v with a person line", v.Name)
	}
	if v.Subject != nil && v.Signature != verify.SignatureValid {
		t.Error("a subject without a valid signature")
	}
	if verify.Action(v) == "" {
		t.Error("no action")
	}
}

var pass = want{name: verify.Pass, reason: verify.OK}

func refused(n verify.Name, r verify.Reason) want { return want{name: n, reason: r} }

func checkID(under verify.Name, why verify.IDWhy) want {
	return want{verify.CheckID, verify.OK, under, why}
}

func TestNativeColours(t *testing.T) {
	day := noon.Unix() / 86400
	gold := func(c *healthcode.Claims) {
		c.Colour, c.Vaccinated = healthcode.Gold, healthcode.Vaccination{Doses: 2, Last: int32(day - 30)}
	}
	rule := policy(func(p *trust.Policy) {
		p.Vaccination, p.TestAgeH = &trust.Vaccination{Doses: 2, MinDays: 14, MaxDays: 180}, 48
	})
	tests48 := policy(func(p *trust.Policy) { p.TestAgeH = 48 })
	tested := func(h int64) func(*healthcode.Claims) {
		return func(c *healthcode.Claims) { c.Tested = noon.Unix() - h*hour }
	}
	both := func(f ...func(*healthcode.Claims)) func(*healthcode.Claims) {
		return func(c *healthcode.Claims) {
			for _, f := range f {
				f(c)
			}
		}
	}
	for _, tc := range []struct {
		name string
		of   func(testing.TB) healthcode.Claims
		edit func(*healthcode.Claims)
		with func(*trust.Snapshot)
		want want
	}{
		{"green", green, nil, nil, pass},
		{"gold", green, gold, nil, want{name: verify.PassGold, reason: verify.OK}},
		{"gold that meets the rule", green, gold, rule, want{name: verify.PassGold, reason: verify.OK}},
		{"gold of one dose is green, and lacks a test", green, both(gold, func(c *healthcode.Claims) { c.Vaccinated.Doses = 1 }), rule, refused(verify.More, verify.TestTooOld)},
		{"gold of one dose, tested", green, both(gold, func(c *healthcode.Claims) { c.Vaccinated.Doses = 1 }, tested(20)), rule, pass},
		{"gold 181 days ago, tested", green, both(gold, func(c *healthcode.Claims) { c.Vaccinated.Last = int32(day - 181) }, tested(20)), rule, pass},
		{"gold 180 days ago", green, both(gold, func(c *healthcode.Claims) { c.Vaccinated.Last = int32(day - 180) }), rule, want{name: verify.PassGold, reason: verify.OK}},
		{"gold of long ago, no end in the rule", green, both(gold, func(c *healthcode.Claims) { c.Vaccinated.Last = int32(day - 3000) }), policy(func(p *trust.Policy) { p.Vaccination, p.TestAgeH = &trust.Vaccination{Doses: 2}, 48 }), want{name: verify.PassGold, reason: verify.OK}},
		{"gold 13 days ago", green, both(gold, func(c *healthcode.Claims) { c.Vaccinated.Last = int32(day - 13) }), rule, refused(verify.More, verify.TestTooOld)},
		{"tested 48 h ago", green, tested(48), tests48, pass},
		{"tested 49 h ago", green, tested(49), tests48, refused(verify.More, verify.TestTooOld)},
		{"not tested", green, nil, tests48, refused(verify.More, verify.TestTooOld)},
		{"red", red, nil, nil, refused(verify.Red, verify.Contact)},
		{"red where no native code is taken", red, nil, policy(func(p *trust.Policy) { p.Formats = []string{"dcc"} }), refused(verify.Red, verify.Contact)},
		{"green where no native code is taken", green, nil, policy(func(p *trust.Policy) { p.Formats = []string{"dcc"} }), refused(verify.More, verify.NotAcceptedHere)},
		{"amber", red, func(c *healthcode.Claims) { c.Colour, c.Reason = healthcode.Amber, healthcode.ReasonTestOverdue }, nil, refused(verify.Amber, verify.TestOverdue)},
		{"red on paper", red, func(c *healthcode.Claims) { c.Holder = nil }, nil, refused(verify.Red, verify.Contact)},
		{"red without reason", red, func(c *healthcode.Claims) { c.Reason = 0 }, nil, refused(verify.IssuerFault, verify.ReasonMissing)},
		{"red with an unknown reason", red, func(c *healthcode.Claims) { c.Reason = 13 }, nil, refused(verify.IssuerFault, verify.ReasonMissing)},
		{"red without basis", red, func(c *healthcode.Claims) { c.Basis = "" }, nil, refused(verify.IssuerFault, verify.ReasonMissing)},
		{"red without end", red, func(c *healthcode.Claims) { c.Until = 0 }, nil, refused(verify.IssuerFault, verify.UntilMissing)},
		{"red for 28 days and a second", red, func(c *healthcode.Claims) { c.Until = c.Issued + 28*24*hour + 1 }, nil, refused(verify.IssuerFault, verify.UntilMissing)},
		{"red until now", red, func(c *healthcode.Claims) { c.Until = noon.Unix() }, nil, refused(verify.Red, verify.Contact)},
		{"red until a second ago", red, func(c *healthcode.Claims) { c.Until = noon.Unix() - 1 }, nil, refused(verify.Refresh, verify.Renew)},
		{"paper", green, func(c *healthcode.Claims) { c.Holder = nil }, nil, checkID(verify.Pass, verify.IDPaper)},
		{"gold paper", green, both(gold, func(c *healthcode.Claims) { c.Holder = nil }), nil, checkID(verify.PassGold, verify.IDPaper)},
		{"card asked of everybody", green, nil, policy(func(p *trust.Policy) { p.IDCheck = true }), checkID(verify.Pass, verify.IDPolicy)},
		{"paper where the card is asked of everybody", green, func(c *healthcode.Claims) { c.Holder = nil }, policy(func(p *trust.Policy) { p.IDCheck = true }), checkID(verify.Pass, verify.IDPaper)},
		{"red where no code is asked for", red, nil, policy(func(p *trust.Policy) { p.NoCheck = true }), refused(verify.NoCheck, verify.NoCheckRequired)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := tc.of(t)
			if tc.edit != nil {
				tc.edit(&c)
			}
			v := nativeTrust(t)
			if tc.with != nil {
				v = nativeTrust(t, tc.with)
			}
			expect(t, v.Check(show(t, c, 0), synced(noon)), tc.want)
		})
	}
}

func TestEveryReasonHasItsWord(t *testing.T) {
	for code, reason := range map[uint64]verify.Reason{
		10: verify.Contact, 11: verify.SamePlace, 12: verify.Symptoms, 20: verify.Case, 21: verify.Suspected,
		30: verify.RiskArea, 31: verify.Entry, 40: verify.TestOverdue, 41: verify.DeclarationMissing,
	} {
		for colour, name := range map[healthcode.Colour]verify.Name{healthcode.Amber: verify.Amber, healthcode.Red: verify.Red} {
			c := red(t)
			c.Reason, c.Colour = code, colour
			expect(t, nativeTrust(t).Check(show(t, c, 0), synced(noon)), refused(name, reason))
		}
	}
}

func TestNativeTimes(t *testing.T) {
	life := func(iat, exp, nbf int64) []byte { // relative to noon
		c := green(t)
		c.Issued, c.Expires, c.NotBefore = noon.Unix()+iat, noon.Unix()+exp, 0
		if nbf != 0 {
			c.NotBefore = noon.Unix() + nbf
		}
		return show(t, c, 0)
	}
	needTime := policy(func(p *trust.Policy) { p.NeedTime = true })
	sync, rtc, est, unk := verify.ClockSynced, verify.ClockRTC, verify.ClockEstimated, verify.ClockUnknown
	for _, tc := range []struct {
		name string
		text []byte
		q    verify.Quality
		with func(*trust.Snapshot)
		want want
	}{
		{"at the last second", life(-hour, 0, 0), sync, nil, pass},
		{"a second after the end", life(-hour, -1, 0), sync, nil, refused(verify.Refresh, verify.Expired)},
		{"a second after the end, clock estimated", life(-hour, -1, 0), est, nil, refused(verify.Refresh, verify.Expired)},
		{"issued 60 s ahead", life(60, hour, 0), sync, nil, pass},
		{"issued 61 s ahead", life(61, hour, 0), sync, nil, refused(verify.Refresh, verify.NotYetValid)},
		{"issued 61 s ahead, clock chip", life(61, hour, 0), rtc, nil, refused(verify.Refresh, verify.NotYetValid)},
		{"issued 61 s ahead, clock estimated", life(61, hour, 0), est, nil, checkID(verify.Pass, verify.IDClock)},
		{"issued 61 s ahead, clock unknown", life(61, hour, 0), unk, nil, checkID(verify.Pass, verify.IDClock)},
		{"begins now", life(-hour, hour, 0), sync, nil, pass},
		{"begins in a second", life(-hour, hour, 1), sync, nil, refused(verify.Refresh, verify.NotYetValid)},
		{"begins in a second, clock estimated", life(-hour, hour, 1), est, nil, checkID(verify.Pass, verify.IDClock)},
		{"nothing ahead, clock estimated", life(-hour, hour, 0), est, nil, pass},
		{"clock estimated, policy needs time", life(-hour, hour, 0), est, needTime, refused(verify.Device, verify.NoTime)},
		{"clock unknown, policy needs time", life(-hour, hour, 0), unk, needTime, refused(verify.Device, verify.NoTime)},
		{"clock chip, policy needs time", life(-hour, hour, 0), rtc, needTime, pass},
		{"shown 60 s ago", show(t, green(t), -60), sync, nil, pass},
		{"shown 61 s ago", show(t, green(t), -61), sync, nil, refused(verify.Refresh, verify.PresentationOld)},
		{"shown 61 s ago, clock estimated", show(t, green(t), -61), est, nil, refused(verify.Refresh, verify.PresentationOld)},
		{"shown 30 s ahead", show(t, green(t), 30), sync, nil, pass},
		{"shown 31 s ahead", show(t, green(t), 31), sync, nil, refused(verify.Refresh, verify.PresentationFuture)},
		{"shown 31 s ahead, clock estimated", show(t, green(t), 31), est, nil, checkID(verify.Pass, verify.IDClock)},
		{"red shown 31 s ahead, clock estimated", show(t, red(t), 31), est, nil, refused(verify.Red, verify.Contact)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := nativeTrust(t)
			if tc.with != nil {
				v = nativeTrust(t, tc.with)
			}
			expect(t, v.Check(tc.text, verify.Instant{Time: noon, Quality: tc.q}), tc.want)
		})
	}
}

// A key that was no longer valid at the time the code itself gives is certain,
// also for a clock that is behind.
func TestKeyEndedBeforeTheIssueWhateverTheClock(t *testing.T) {
	c := green(t)
	c.Issued, c.Expires = noon.Unix()+2*hour, noon.Unix()+3*hour
	v := nativeTrust(t, func(s *trust.Snapshot) { s.Issuers.Keys[0].NotAfter = noon.Add(time.Hour) })
	est := verify.Instant{Time: noon, Quality: verify.ClockEstimated}
	expect(t, v.Check(show(t, c, 2*hour), est), refused(verify.Invalid, verify.KeyExpired))
	expect(t, nativeTrust(t).Check(show(t, c, 2*hour), est), checkID(verify.Pass, verify.IDClock))
}

func TestNativeTrust(t *testing.T) {
	code := show(t, green(t), 0)
	first := func(f func(*trust.IssuerKey)) func(*trust.Snapshot) {
		return func(s *trust.Snapshot) { f(&s.Issuers.Keys[0]) }
	}
	none := func(s *trust.Snapshot) { s.Issuers.Keys = nil }
	age := func(h int) func(*trust.Snapshot) {
		return func(s *trust.Snapshot) { s.Issued = noon.Add(-time.Duration(h) * time.Hour) }
	}
	other := func(t testing.TB) trust.IssuerKey {
		k := issuerKey(t, &testKey(t, "other").PublicKey)
		k.KID = issuerKey(t, &testKey(t, "issuer").PublicKey).KID
		return k
	}
	cti := trust.ID{1, 2, 3, 4, 5, 6, 7, 8}
	for _, tc := range []struct {
		name  string
		edits []func(*trust.Snapshot)
		want  want
		sig   verify.Signature
	}{
		{"known", nil, pass, verify.SignatureValid},
		{"unknown, list fresh", []func(*trust.Snapshot){none}, refused(verify.Invalid, verify.UnknownKey), verify.SignatureUnknownKey},
		{"unknown, list 24 h old", []func(*trust.Snapshot){none, age(24)}, refused(verify.Invalid, verify.UnknownKey), verify.SignatureUnknownKey},
		{"unknown, list 25 h old", []func(*trust.Snapshot){none, age(25)}, refused(verify.Device, verify.UnknownKeyListStale), verify.SignatureUnknownKey},
		{"known, list 25 h old", []func(*trust.Snapshot){age(25)}, pass, verify.SignatureValid},
		{"known, list at the limit", []func(*trust.Snapshot){age(168)}, pass, verify.SignatureValid},
		{"known, list past the limit", []func(*trust.Snapshot){age(169)}, refused(verify.Device, verify.KeysStale), verify.SignatureNone},
		{"revocations past the limit", []func(*trust.Snapshot){func(s *trust.Snapshot) { s.Revoked.Issued = noon.Add(-169 * time.Hour) }}, refused(verify.Device, verify.KeysStale), verify.SignatureNone},
		{"the place's own limits", []func(*trust.Snapshot){age(13), policy(func(p *trust.Policy) { p.FreshH, p.LimitH = 6, 12 })}, refused(verify.Device, verify.KeysStale), verify.SignatureNone},
		{"no code asked for, list past the limit", []func(*trust.Snapshot){age(169), policy(func(p *trust.Policy) { p.NoCheck = true })}, refused(verify.Device, verify.KeysStale), verify.SignatureNone},
		{"list issued ahead of the clock", []func(*trust.Snapshot){age(-48)}, pass, verify.SignatureValid},
		{"another key has that kid", []func(*trust.Snapshot){func(s *trust.Snapshot) { s.Issuers.Keys[0] = other(t) }}, refused(verify.Invalid, verify.BadSignature), verify.SignatureInvalid},
		{"the second key with that kid", []func(*trust.Snapshot){func(s *trust.Snapshot) { s.Issuers.Keys = append([]trust.IssuerKey{other(t)}, s.Issuers.Keys...) }}, pass, verify.SignatureValid},
		{"another province", []func(*trust.Snapshot){first(func(k *trust.IssuerKey) { k.Regions = []string{"CN-43"} })}, refused(verify.IssuerFault, verify.IssuerNotAllowed), verify.SignatureValid},
		{"half a digit pair", []func(*trust.Snapshot){first(func(k *trust.IssuerKey) { k.Regions = []string{"CN-4"} })}, refused(verify.IssuerFault, verify.IssuerNotAllowed), verify.SignatureValid},
		{"one of several regions", []func(*trust.Snapshot){first(func(k *trust.IssuerKey) { k.Regions = []string{"CN-11", "CN-4201"} })}, pass, verify.SignatureValid},
		{"the first of several regions", []func(*trust.Snapshot){first(func(k *trust.IssuerKey) { k.Regions = []string{"CN-4201", "CN-11"} })}, pass, verify.SignatureValid},
		{"the rights of another key with that kid", []func(*trust.Snapshot){func(s *trust.Snapshot) {
			s.Issuers.Keys[0].Colours = []trust.Colour{trust.Red}
			s.Issuers.Keys = append([]trust.IssuerKey{other(t)}, s.Issuers.Keys...)
		}}, refused(verify.IssuerFault, verify.IssuerNotAllowed), verify.SignatureValid},
		{"a colour it may not assign", []func(*trust.Snapshot){first(func(k *trust.IssuerKey) { k.Colours = []trust.Colour{trust.Red} })}, refused(verify.IssuerFault, verify.IssuerNotAllowed), verify.SignatureValid},
		{"key from after the issue", []func(*trust.Snapshot){first(func(k *trust.IssuerKey) { k.NotBefore = noon.Add(-30 * time.Minute) })}, refused(verify.Invalid, verify.KeyExpired), verify.SignatureValid},
		{"key until before the issue", []func(*trust.Snapshot){first(func(k *trust.IssuerKey) { k.NotAfter = noon.Add(-2 * time.Hour) })}, refused(verify.Invalid, verify.KeyExpired), verify.SignatureValid},
		{"key until a second ago", []func(*trust.Snapshot){first(func(k *trust.IssuerKey) { k.NotAfter = noon.Add(-time.Second) })}, refused(verify.Invalid, verify.KeyExpired), verify.SignatureValid},
		{"superseded", []func(*trust.Snapshot){func(s *trust.Snapshot) { s.Revoked.Superseded = []trust.ID{cti} }}, refused(verify.Refresh, verify.Superseded), verify.SignatureValid},
		{"withdrawn", []func(*trust.Snapshot){func(s *trust.Snapshot) { s.Revoked.Withdrawn = []trust.ID{cti} }}, refused(verify.Invalid, verify.Revoked), verify.SignatureValid},
		{"superseded and withdrawn", []func(*trust.Snapshot){func(s *trust.Snapshot) { s.Revoked.Withdrawn, s.Revoked.Superseded = []trust.ID{cti}, []trust.ID{cti} }}, refused(verify.Invalid, verify.Revoked), verify.SignatureValid},
		{"another code withdrawn", []func(*trust.Snapshot){func(s *trust.Snapshot) { s.Revoked.Withdrawn = []trust.ID{{1}} }}, pass, verify.SignatureValid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := nativeTrust(t, tc.edits...).Check(code, synced(noon))
			expect(t, got, tc.want)
			if got.Signature != tc.sig {
				t.Errorf("signature %v, want %v", got.Signature, tc.sig)
			}
		})
	}
	expect(t, verify.New(nil).Check(code, synced(noon)), refused(verify.Device, verify.KeysStale))
}
