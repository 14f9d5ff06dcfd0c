package gateway

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCookiesAsQuixote holds our parser against what Quixote's own made of the
// same headers; testdata/cookies.py wrote the file.
func TestCookiesAsQuixote(t *testing.T) {
	file, err := os.Open("testdata/cookies.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	count := 0
	for lines.Scan() {
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
		got := map[string]string{}
		for _, c := range parseCookies(latin1(header)).cookies {
			got[c.name] = c.value
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-Quixote +ours):\n%s", header, diff)
		}
		count++
	}
	if count < 3000 {
		t.Errorf("only %d headers in testdata/cookies.jsonl", count)
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

// FuzzCookies: what is taken out is gone, whatever the header.
func FuzzCookies(f *testing.F) {
	f.Add(`a=1; QX_session="x\"; QX_session=y`)
	f.Fuzz(func(t *testing.T, header string) {
		parsed := parseCookies(header)
		rest := parsed.without("QX_session")
		if value, found := parseCookies(rest).get("QX_session"); found {
			t.Errorf("%q: %q is still in %q", header, value, rest)
		}
	})
}
