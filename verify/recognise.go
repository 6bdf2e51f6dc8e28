package verify

import (
	"bytes"

	"checkpoint/healthcode"
	"checkpoint/verify/dcc"
)

// recognise says by its beginning what a text claims to be. name is set for
// what this program knows of but does not judge.
func recognise(text []byte) (f Format, name string) {
	starts := func(p string) bool { return bytes.HasPrefix(text, []byte(p)) }
	switch {
	case starts(healthcode.CredentialPrefix), starts(healthcode.PresentationPrefix):
		return FormatNative, ""
	case starts(dcc.Prefix):
		return FormatDCC, ""
	case starts(dcc.LightPrefix):
		return FormatCHLight, ""
	case len(text) > 5 && bytes.EqualFold(text[:5], []byte("shc:/")):
		return FormatSHC, "SMART Health Card"
	case starts("NZCP:/"):
		return FormatNZCP, "NZ COVID Pass"
	case dccVariant(text):
		return FormatUnsupported, string(text[:3])
	case starts("NL2:"), starts("NL3:"):
		return FormatUnsupported, string(text[:3])
	case starts("GHC"), starts("GHP"):
		if len(text) > 4 && text[3] >= '0' && text[3] <= '9' && text[4] == ':' {
			return FormatUnsupported, string(text[:4]) // a later version of our own
		}
	case starts("PK\x03\x04") && bytes.Contains(text, []byte("certificate.json")):
		return FormatUnsupported, "DIVOC"
	case starts("{"):
		return recogniseJSON(text)
	}
	return FormatNone, ""
}

// dccVariant reports another version of the DCC container: HC and a character.
func dccVariant(text []byte) bool {
	return len(text) > 3 && text[0] == 'H' && text[1] == 'C' && text[3] == ':' &&
		(text[2] >= '0' && text[2] <= '9' || text[2] >= 'A' && text[2] <= 'Z')
}

// recogniseJSON looks for marks only: nothing is judged, so nothing is parsed.
// The marks stand within the first few KiB of these documents.
func recogniseJSON(text []byte) (Format, string) {
	head := text[:min(len(text), 4096)]
	has := func(marks ...string) bool {
		for _, m := range marks {
			if !bytes.Contains(head, []byte(m)) {
				return false
			}
		}
		return true
	}
	switch {
	case has(`"data"`, `"hdr"`) && (has(`"icao.vacc"`) || has(`"icao.test"`)):
		return FormatVDSNC, "ICAO VDS-NC"
	case has(`"@context"`, "cowin") || has(`"@context"`, "VerifiableCredential", "credentialSubject"):
		return FormatUnsupported, "DIVOC"
	}
	return FormatNone, ""
}
