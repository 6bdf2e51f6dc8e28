// Package healthcode answers: what is a native health code?
//
// A credential is a colour that an authority assigned to a person, signed,
// small enough for a phone screen: a CBOR Web Token (RFC 8392) in a
// COSE_Sign1 (RFC 9052), written in Base45 (RFC 9285) behind "GHC1:". A phone
// shows it wrapped in a presentation of its own, "GHP1:", that it signs anew
// every 20 seconds with the key that the credential names (RFC 8747, cnf).
//
// Reading goes in steps, and the types keep the order: nothing of the content
// can be read before the issuer's signature holds.
//
//	c, err := healthcode.Parse(text)           // shape and key id only
//	proven, err := c.Verify(issuerKey)         // ErrSignature
//	claims, err := proven.Claims()             // ErrSchema
//
//	p, err := healthcode.ParsePresentation(text)
//	proven, err := p.Credential().Verify(issuerKey)
//	claims, err := proven.Claims()
//	shown, err := p.Verify(claims.Holder)      // ErrHolder; when it was made
//
// Each prefix has exactly one parser and there is no falling through from one
// to the other. A text that is not the one deterministic encoding (RFC 8949
// §4.2.1) of its content is refused.
//
// The package knows no trust, clocks or policy: whether the key is to be
// believed, and whether the code holds now and here, package verify says.
// Forms and limits stand in docs/formats.md, "Credential".
package healthcode
