// Package verify answers: what is the verdict on this text at this instant
// under this trust?
//
//	v := verify.New(snapshot).At("subway")
//	verdict := v.Check(text, verify.Instant{Time: now, Quality: verify.ClockSynced})
//	if verdict.Admit() { … }
//
// Check is pure: it reads no clock, no file and no network, remembers nothing,
// and gives the same verdict for the same text, trust, venue and instant. What
// was seen before (replay, the same code held up twice) is the gate's.
//
// A verdict is a name (what the guard does), a reason (why), and the list of
// all steps of the format with pass, fail or not reached. The first step that
// fails ends the judging, and what comes after it stays not reached. Doubt
// falls to a refusal or to a look at the identity card, never to green; a
// foreign certificate is never red.
//
//	text ─ prefix ─ Base45 ─ CBOR ─ COSE ─ kid ─ age of trust ─ key ─ signature
//	     ─ content ─ issuer's right ─ times ─ holder ─ window ─ revocation
//	     ─ colour ─ policy
//
// Nothing is read from the content before the issuer's signature holds: the
// types of healthcode and of verify/dcc do not allow it. The algorithm is that
// of the trusted key, never that of the message.
//
// An Instant carries how far its time can be trusted. While it is estimated or
// unknown it is only known to be not too late: what has expired has expired,
// but what lies ahead may be valid, so it is not failed; a pass then becomes a
// look at the card.
//
// The words and numbers stand in docs/formats.md, "Words".
package verify
