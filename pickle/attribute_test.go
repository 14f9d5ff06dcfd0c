package pickle

import "testing"

// TestAttributeNames: the names that getattr is given are known however a
// pickler writes them, and in no other spelling.
func TestAttributeNames(t *testing.T) {
	for text, want := range map[string]string{
		"VInner\n":                  "Inner",
		"V\xc9\n":                   "É", // as protocol 0 does
		"V\\u0416\n":                "Ж",
		"V\\U00010400\n":            "\U00010400",
		"X\x02\x00\x00\x00\xd0\x96": "Ж",
		"S'Inner'\n":                "Inner",
		"V\\u005f_mro__\n":          "",
		"V\\u0049nner\n":            "",
		"S'\\x49nner'\n":            "",
		"V\\ud800\n":                "",
		"V\\u000a\n":                "",
		"V\\n\n":                    "",
		"VInner\\u002ex\n":          "",
		"VInner.x\n":                "",
		"V\n":                       "",
		"K\x01":                     "",
		"C\x05Inner":                "",
	} {
		r, err := Verify([]byte("c__builtin__\ngetattr\nca\nB\n"+text+"\x86R."), Limits{})
		got := ""
		if err == nil {
			got = r.Globals[len(r.Globals)-1].Name
		}
		if want != "" {
			want = "B." + want
		}
		if got != want {
			t.Errorf("%q: got %q, want %q: %v", text, got, want, err)
		}
	}
}
