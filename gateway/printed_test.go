package gateway

import "testing"

// What Quixote prints when a page fails has the cookie in it, several times.
func TestHideIDs(t *testing.T) {
	found := idsBehind("QX_session")
	for _, test := range []struct{ name, line, want string }{
		{"a header", "HTTP_COOKIE     a=1; QX_session=abcdefghijk; b=2", "HTTP_COOKIE     a=1; QX_session=abcdefgh...; b=2"},
		{"quoted", `Cookie: QX_session="abcdefghijk"`, `Cookie: QX_session="abcdefgh..."`},
		{"a table", "QX_session      abcdefghijklmnop_-", "QX_session      abcdefgh..."},
		{"a dict", "{'QX_session': 'abcdefghijk'}", "{'QX_session': 'abcdefgh...'}"},
		{"twice", "QX_session=abcdefghijk QX_session=bcdefghijkl", "QX_session=abcdefgh... QX_session=bcdefghi..."},
		{"a cookie of another name", "other=abcdefghijk", "other=abcdefghijk"},
		{"no id", "no cookie QX_session is set", "no cookie QX_session is set"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := string(hideIDs(found, []byte(test.line))); got != test.want {
				t.Errorf("hideIDs = %q, want %q", got, test.want)
			}
		})
	}
}
