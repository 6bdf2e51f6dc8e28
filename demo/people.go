package demo

import (
	"fmt"
	"math/rand/v2"
	"time"

	"checkpoint/camera/synth"
	"checkpoint/healthcode"
	"checkpoint/verify"
)

// act is what somebody shows.
type act uint8

const (
	actPass act = iota
	actGold
	actScreenshot
	actOldPresentation
	actExpired
	actAmber
	actAmberTest
	actRed
	actRedCase
	actPaper
	actPaperGold
	actDCC
	actStranger
	actForged
	actUnknownKey
	numActs
)

// acts says for each act what it looks like, what the gate must answer, and
// how often it comes in a thousand after the opening.
var acts = [numActs]struct {
	expect Expect
	kind   synth.Kind
	header uint8
	often  int
}{
	actPass:            {Expect{verify.Pass, verify.OK, "green on a phone"}, synth.Phone, 132, 765},
	actGold:            {Expect{verify.PassGold, verify.OK, "gold on a phone"}, synth.Phone, 176, 130},
	actScreenshot:      {Expect{verify.Refresh, verify.PresentationMissing, "a screenshot of a green code"}, synth.Phone, 132, 18},
	actOldPresentation: {Expect{verify.Refresh, verify.PresentationOld, "a screen that stopped renewing"}, synth.Phone, 132, 12},
	actExpired:         {Expect{verify.Refresh, verify.Expired, "yesterday's code"}, synth.Phone, 132, 8},
	actAmber:           {Expect{verify.Amber, verify.Contact, "amber, contact of a case"}, synth.Phone, 168, 6},
	actAmberTest:       {Expect{verify.Amber, verify.TestOverdue, "amber, test overdue"}, synth.Phone, 168, 6},
	actRed:             {Expect{verify.Red, verify.SamePlace, "red, same place and time as a case"}, synth.Phone, 84, 3},
	actRedCase:         {Expect{verify.Red, verify.Case, "red, confirmed case"}, synth.Phone, 84, 1},
	actPaper:           {Expect{verify.CheckID, verify.OK, "green on paper"}, synth.Paper, 70, 22},
	actPaperGold:       {Expect{verify.CheckID, verify.OK, "gold on paper"}, synth.Paper, 70, 6},
	actDCC:             {Expect{verify.CheckID, verify.OK, "an EU vaccination certificate"}, synth.Paper, 50, 8},
	actStranger:        {Expect{verify.NotOurs, verify.NotAHealthCode, "an advertisement"}, synth.Phone, 110, 11},
	actForged:          {Expect{verify.Invalid, verify.BadSignature, "a changed colour"}, synth.Phone, 132, 2},
	actUnknownKey:      {Expect{verify.Invalid, verify.UnknownKey, "a made-up issuer"}, synth.Phone, 132, 2},
}

// opening is the first people of the morning: one of everything that leaves
// the screen by itself, then one of everything that asks for a key.
var opening = [...]act{
	actPass, actGold, actScreenshot, actAmber, actPass, actRed, actStranger, actPaper, actForged,
	actPass, actDCC, actOldPresentation, actUnknownKey,
}

// person is somebody in the line.
type person struct {
	n          uint64
	act        act
	difficulty synth.Difficulty
	inverted   bool
	claims     healthcode.Claims // without times and holder
	phone      int
	rng        *rand.Rand
}

var surnames = []string{"张", "王", "李", "赵", "陈", "刘", "杨", "黄", "周", "吴", "徐", "孙", "马", "朱", "胡"}
var lastNames = []string{"三", "敏", "伟", "娜", "强", "芳", "军", "丽", "洋", "静", "杰", "超"}
var initials = "ABCDEFGHJKLMNPRSTVW"

// person draws the n-th person; the same n is the same person.
func (w *World) person(n uint64) *person {
	r := rand.New(rand.NewPCG(w.cfg.Seed, n))
	p := &person{n: n, rng: r, phone: r.IntN(len(w.keys.phone))}
	// All draws happen whatever comes out, so that one table entry more does
	// not change every other person.
	lot, hard, dark := r.IntN(1000), r.IntN(100), r.IntN(100)
	if n >= 1 && n <= uint64(len(opening)) {
		p.act = opening[n-1]
		// The first minute is for looking at verdicts: nobody fumbles.
		p.difficulty = synth.Difficulty(min(hard/60, 1))
	} else {
		for a, left := act(0), lot; a < numActs; a++ {
			if left < acts[a].often {
				p.act = a
				break
			}
			left -= acts[a].often
		}
		switch {
		case hard >= 85:
			p.difficulty = synth.Hard
		case hard >= 45:
			p.difficulty = synth.Normal
		}
	}
	p.inverted = dark < 10
	p.claims = w.claims(p, r)
	return p
}

// claims are those that do not depend on the time.
func (w *World) claims(p *person, r *rand.Rand) healthcode.Claims {
	c := healthcode.Claims{Issuer: []string{"CN-420100", "CN-420102", "CN-420500"}[r.IntN(3)]}
	var number [12]byte
	for i := range number {
		number[i] = byte(r.IntN(256))
	}
	for i := range c.CTI {
		c.CTI[i] = byte(r.IntN(256))
	}
	c.Subject = healthcode.Subject(number, w.keys.sub, c.CTI)
	if r.IntN(12) == 0 {
		c.Name = fmt.Sprintf("%c**** %c****", initials[r.IntN(len(initials))], initials[r.IntN(len(initials))])
		c.Document = healthcode.Document{Type: 2, Last: fmt.Sprintf("%04d", r.IntN(10000))}
		c.Nationality = []string{"FRA", "DEU", "JPN", "KOR", "BRA"}[r.IntN(5)]
	} else {
		c.Name = surnames[r.IntN(len(surnames))] + "*"
		if r.IntN(3) > 0 {
			c.Name += lastNames[r.IntN(len(lastNames))]
		}
		c.Document = healthcode.Document{Type: 1, Last: fmt.Sprintf("%03d%c", r.IntN(1000), "0123456789X"[r.IntN(11)])}
	}
	return c
}

// code is the text that a person shows at the instant now.
func (w *World) code(p *person, now time.Time) ([]byte, error) {
	if p.act == actStranger {
		return []byte([]string{
			"https://example.com/menu?table=12", "https://example.org/bike/40817", "WIFI:T:WPA;S:guest;P:12345678;;",
		}[p.rng.IntN(3)]), nil
	}
	if p.act == actDCC {
		return w.dcc(p, now)
	}
	c := p.claims
	// Issued some time this morning, for a day; papers for a week.
	issued := now.Add(-time.Duration(10+p.rng.IntN(180)) * time.Minute)
	life, paper := 24*time.Hour, p.act == actPaper || p.act == actPaperGold
	if paper {
		life = 7 * 24 * time.Hour
	} else {
		c.Holder = &w.keys.phone[p.phone].PublicKey
	}
	if p.act == actExpired {
		issued = now.Add(-25 * time.Hour)
	}
	c.Issued, c.Expires = issued.Unix(), issued.Add(life).Unix()
	c.Tested = issued.Add(-time.Duration(2+p.rng.IntN(30)) * time.Hour).Unix()
	measure := func(colour healthcode.Colour, reason uint64, days int) {
		c.Colour, c.Reason, c.Basis = colour, reason, "WH-2026-03"
		c.Until = issued.AddDate(0, 0, days).Unix()
	}
	switch p.act {
	case actGold, actPaperGold:
		c.Colour = healthcode.Gold
		c.Vaccinated = healthcode.Vaccination{Doses: uint8(2 + p.rng.IntN(2)), Last: int32(now.Unix()/86400) - int32(30+p.rng.IntN(200))}
	case actAmber:
		measure(healthcode.Amber, healthcode.ReasonContact, 1+p.rng.IntN(6))
	case actAmberTest:
		measure(healthcode.Amber, healthcode.ReasonTestOverdue, 1+p.rng.IntN(6))
	case actRed:
		measure(healthcode.Red, healthcode.ReasonSamePlace, 5+p.rng.IntN(9))
	case actRedCase:
		measure(healthcode.Red, healthcode.ReasonCase, 5+p.rng.IntN(9))
	}
	signer := w.keys.issuer
	if p.act == actUnknownKey {
		signer = w.keys.forger
	}
	credential, err := healthcode.Issue(nil, signer, &c)
	if err != nil {
		return nil, err
	}
	if p.act == actForged {
		if credential, err = forge(credential); err != nil {
			return nil, err
		}
	}
	if paper || p.act == actScreenshot {
		return []byte(credential.Text()), nil
	}
	made := now
	if p.act == actOldPresentation {
		made = now.Add(-time.Duration(3+p.rng.IntN(20)) * time.Minute)
	}
	text, err := healthcode.Present(nil, w.keys.phone[p.phone], credential, made.Unix())
	return []byte(text), err
}
