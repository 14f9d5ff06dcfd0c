package gateway

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cookieRow is a line of testdata/cookies.jsonl, which testdata/cookies.py wrote.
type cookieRow struct {
	header  string
	quixote map[string]string // what Quixote's own parser made of it
}

func readCookieRows(t testing.TB) (rows []cookieRow) {
	file, err := os.Open("testdata/cookies.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var row [2]json.RawMessage
		var header string
		var quixote map[string]string
		for _, err := range []error{
			json.Unmarshal(lines.Bytes(), &row),
			json.Unmarshal(row[0], &header),
			json.Unmarshal(row[1], &quixote),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		want := map[string]string{}
		for name, value := range quixote {
			want[latin1(name)] = latin1(value)
		}
		rows = append(rows, cookieRow{latin1(header), want})
	}
	if len(rows) < 3000 {
		t.Fatalf("only %d headers in testdata/cookies.jsonl", len(rows))
	}
	return rows
}

// TestCookiesAsQuixote holds our parser against what Quixote's own made of the
// same headers.
func TestCookiesAsQuixote(t *testing.T) {
	for _, row := range readCookieRows(t) {
		got := map[string]string{}
		for _, c := range parseCookies(row.header).cookies {
			got[c.name] = c.value
		}
		if diff := cmp.Diff(row.quixote, got); diff != "" {
			t.Errorf("%q (-Quixote +ours):\n%s", row.header, diff)
		}
	}
}

// latin1 gives the bytes that the characters of a decoded header came from.
func latin1(text string) string {
	var b []byte
	for _, r := range text {
		b = append(b, byte(r))
	}
	return string(b)
}

func TestCookieWithout(t *testing.T) {
	tests := []struct{ header, want string }{
		{"QX_session=../evil", ""},
		{"a=1; QX_session=../evil; b=2", "a=1; b=2"},
		{"QX_session=x, a=1, QX_session=y", "a=1"},
		{`QX_session="x;y"; a="1;2"`, `a="1;2"`},
		{"QX_session", ""},
		{"QX_sessionx=1", "QX_sessionx=1"},
	}
	for _, test := range tests {
		if got := parseCookies(test.header).without("QX_session"); got != test.want {
			t.Errorf("without(%q) = %q, want %q", test.header, got, test.want)
		}
	}
}

func TestCookieBomb(t *testing.T) {
	tests := []struct {
		header string
		bomb   bool
	}{
		{`a="` + strings.Repeat(`\a`, 24), true},
		{`a="\"` + strings.Repeat(`\a`, 4000), true},
		{`x=1; a = "` + strings.Repeat(`\a`, 24), true},
		{`a="` + strings.Repeat(`\a`, 4000) + `"`, false},
		{`a="` + strings.Repeat(`\"`, 4000), false},
		{`a=` + strings.Repeat(`\a`, 4000), false},
		{`a="\a\a`, false},
	}
	for _, test := range tests {
		if got := parseCookies(test.header).bomb(); got != test.bomb {
			t.Errorf("bomb(%.20q...) = %v, want %v", test.header, got, test.bomb)
		}
	}
}

// FuzzCookies: what is taken out is gone, whatever the header, and all else is
// there, if anything is left.
func FuzzCookies(f *testing.F) {
	for i, row := range readCookieRows(f) {
		if i%30 == 0 { // all of them would take longer than most runs do
			f.Add(row.header)
		}
	}
	f.Fuzz(func(t *testing.T, header string) {
		parsed := parseCookies(header)
		rest := parseCookies(parsed.without("QX_session"))
		if value, found := rest.get("QX_session"); found {
			t.Errorf("%q: %q is still in %q", header, value, rest.text)
		}
		if rest.text == "" {
			return
		}
		for _, c := range parsed.cookies {
			want, _ := parsed.get(c.name)
			if got, found := rest.get(c.name); c.name != "QX_session" && (!found || got != want) {
				t.Errorf("%q: cookie %q was %q, and is %q in %q", header, c.name, want, got, rest.text)
			}
		}
	})
}
