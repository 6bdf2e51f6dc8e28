package clean

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

func TestString(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"plain", "M**** S****", "M**** S****"},
		{"Chinese", "张*三", "张*三"},
		{"Vietnamese, decomposed", "Nguye\u0302\u0303n", "Nguye\u0302\u0303n"},
		{"escape sequence", "\x1b[2Jgone\x07", "[2Jgone"},
		{"C1 control", "a\u009bb", "ab"},
		{"line breaks and tabs", " a\r\n\tb \n", "a b"},
		{"bidi override", "abc\u202e321", "abc321"},
		{"bidi isolate and mark", "\u2066a\u2069\u200f\u061cb", "ab"},
		{"zero width", "a\u200b\u200d\ufeffb\u2060c", "abc"},
		{"soft hyphen", "a\u00adb", "ab"},
		{"tag characters", "a\U000e0041\U000e007f", "a"},
		{"variation selectors", "a\ufe0f\U000e0100b", "ab"},
		{"private use", "a\ue000\U000f0000b", "ab"},
		{"unassigned and noncharacters", "a\u0378\uffff\U0001fffeb", "ab"},
		{"Hangul filler", "\u3164\u115fa", "a"},
		{"many marks", "a" + strings.Repeat("\u0301", 50) + "b", "a\u0301\u0301b"},
		{"marks with nothing under them", "\u0301\u0301a", "a"},
		{"mark after a space", "a \u0301b", "a b"},
		{"skin tone with nothing under it", "\U0001F3FFa\U0001F3FF", "a"},
		{"halfwidth voiced mark", "\uff9eｶ\uff9e \uff9e", "ｶ\uff9e"},
		{"letter that leans on the next", "a\u0d4e", "a"},
		{"not UTF-8", "a\xff\xfe\xfdb", "a\ufffdb"},
		{"no-break and ideographic spaces", "a\u00a0\u3000b", "a b"},
		{"41 graphemes", strings.Repeat("字", 41), strings.Repeat("字", 40)},
		{"cut before a space", strings.Repeat("x", 39) + " y", strings.Repeat("x", 39)},
		{"nothing", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := String(tc.in); got != tc.want {
				t.Errorf("String(%q) = %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}

func TestBounded(t *testing.T) {
	if got := Bounded("abcdef", 3); got != "abc" {
		t.Errorf("Bounded = %q, want abc", got)
	}
	if got := Bounded("abc", 0); got != "" {
		t.Errorf("Bounded to nothing = %q", got)
	}
}

func FuzzString(f *testing.F) {
	for _, s := range []string{"张*三", "a\u202eb", "\xff", "e\u0301\u0301\u0301", "\U0001f468\u200d\U0001f469", " a ", strings.Repeat("\u0e33", 90), "\u1100\u1161\u11a8", "\U0001f1e6\U0001f1e7\U0001f1e8"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := String(s)
		if !utf8.ValidString(got) {
			t.Errorf("%q is not UTF-8", got)
		}
		if n := uniseg.GraphemeClusterCount(got); n > Graphemes {
			t.Errorf("%q has %d graphemes", got, n)
		}
		if len(got) > Graphemes*(2+marksEach)*utf8.UTFMax*8 {
			t.Errorf("%d bytes", len(got))
		}
		marks := 0
		for _, r := range got {
			if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
				t.Errorf("%q holds %U", got, r)
			}
			if !unicode.Is(unicode.M, r) {
				marks = 0
			} else if marks++; marks > marksEach {
				t.Errorf("%q has %d marks in a row", got, marks)
			}
		}
		if strings.TrimSpace(got) != got || strings.Contains(got, "  ") {
			t.Errorf("%q has spaces to spare", got)
		}
		if again := String(got); again != got {
			t.Errorf("cleaned twice: %q, then %q", got, again)
		}
	})
}
