package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"alforja/gateway/scgi"
)

// seen is what the application would be told.
type seen struct {
	Remote string
	HTTPS  bool
	Host   string
	Local  bool // the port at which the gateway was reached still counts
}

// forwardedCase is one request from one peer. Headers are lines.
type forwardedCase struct {
	name    string
	trusted string // words
	peer    string
	headers []string
	want    seen
}

func (c forwardedCase) request() *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Host = "inner"
	r.RemoteAddr = c.peer
	for _, line := range c.headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{Port: 8080}))
}

func (c forwardedCase) check(t *testing.T, header ForwardedHeader) {
	t.Helper()
	trusted, err := ParseTrustedProxies(strings.Fields(c.trusted))
	if err != nil {
		t.Fatal(err)
	}
	var got seen
	r := c.request()
	before := r.Header.Clone()
	trusted.Handler(header, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = seen{r.RemoteAddr, r.TLS != nil, r.Host, r.Context().Value(http.LocalAddrContextKey) != nil}
		if diff := cmp.Diff(before, r.Header); diff != "" {
			t.Errorf("headers (-before +after):\n%s", diff)
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
	if diff := cmp.Diff(c.want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestXForwarded(t *testing.T) {
	untouched := seen{"10.0.0.1:5000", false, "inner", true}
	tests := []forwardedCase{
		{"nobody is trusted", "", "10.0.0.1:5000", []string{"X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https"}, untouched},
		{"another is trusted", "10.0.0.2", "10.0.0.1:5000", []string{"X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil"}, untouched},
		{"nothing said", "10.0.0.0/8", "10.0.0.1:5000", nil, untouched},
		{"address", "10.0.0.0/8", "10.0.0.1:5000", []string{"X-Forwarded-For: 192.0.2.7"}, seen{"192.0.2.7:0", false, "inner", true}},
		{"all three", "10.0.0.1", "10.0.0.1:5000", []string{"X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: example.org:444"},
			seen{"192.0.2.7:0", true, "example.org:444", false}},
		{"scheme alone", "10.0.0.1", "10.0.0.1:5000", []string{"X-Forwarded-Proto: HTTPS"}, seen{"10.0.0.1:5000", true, "inner", false}},
		{"what the client wrote first does not count", "10.0.0.1", "10.0.0.1:5000", []string{"X-Forwarded-For: 6.6.6.6, 192.0.2.7"},
			seen{"192.0.2.7:0", false, "inner", true}},
		{"two lines", "10.0.0.1", "10.0.0.1:5000", []string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 192.0.2.7"},
			seen{"192.0.2.7:0", false, "inner", true}},
		{"two proxies", "10.0.0.0/8", "10.0.0.1:5000", []string{"X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.0.0.9", "X-Forwarded-Proto: https, http"},
			seen{"192.0.2.7:0", true, "inner", false}},
		{"two proxies, one scheme", "10.0.0.0/8", "10.0.0.1:5000", []string{"X-Forwarded-For: 192.0.2.7, 10.0.0.9", "X-Forwarded-Proto: https"},
			seen{"192.0.2.7:0", true, "inner", false}},
		{"one proxy, and a scheme that the client wrote", "10.0.0.1", "10.0.0.1:5000", []string{"X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https, http"},
			seen{"192.0.2.7:0", false, "inner", false}},
		{"all trusted", "10.0.0.0/8", "10.0.0.1:5000", []string{"X-Forwarded-For: 10.0.0.7, 10.0.0.9"}, seen{"10.0.0.7:0", false, "inner", true}},
		{"nonsense stops", "10.0.0.0/8", "10.0.0.1:5000", []string{"X-Forwarded-For: 192.0.2.7, nonsense, 10.0.0.9"}, seen{"10.0.0.9:0", false, "inner", true}},
		{"unknown", "10.0.0.0/8", "10.0.0.1:5000", []string{"X-Forwarded-For: unknown"}, untouched},
		{"empty", "10.0.0.0/8", "10.0.0.1:5000", []string{"X-Forwarded-For: "}, untouched},
		{"with a port", "10.0.0.0/8", "10.0.0.1:5000", []string{"X-Forwarded-For: 192.0.2.7:1234"}, seen{"192.0.2.7:1234", false, "inner", true}},
		{"IPv6", "fd00::/8", "[fd00::1]:5000", []string{"X-Forwarded-For: 2001:db8::7"}, seen{"[2001:db8::7]:0", false, "inner", true}},
		{"IPv6 in brackets", "fd00::/8", "[fd00::1]:5000", []string{"X-Forwarded-For: [2001:db8::7]:80"}, seen{"[2001:db8::7]:80", false, "inner", true}},
		{"IPv4 in IPv6", "10.0.0.0/8", "[::ffff:10.0.0.1]:5000", []string{"X-Forwarded-For: ::ffff:192.0.2.7"}, seen{"192.0.2.7:0", false, "inner", true}},
		{"a zone is no address of a client's", "10.0.0.0/8", "10.0.0.1:5000", []string{"X-Forwarded-For: fe80::1%eth0"}, untouched},
		{"scheme unknown", "10.0.0.1", "10.0.0.1:5000", []string{"X-Forwarded-Proto: ftp"}, untouched},
		{"host with a blank", "10.0.0.1", "10.0.0.1:5000", []string{"X-Forwarded-Host: a b"}, untouched},
		{"host with markup", "10.0.0.1", "10.0.0.1:5000", []string{"X-Forwarded-Host: <b>"}, untouched},
		{"unix", "unix", "@", []string{"X-Forwarded-For: 192.0.2.7"}, seen{"192.0.2.7:0", false, "inner", true}},
		{"unix by SCGI", "unix", "[unix:]:0", []string{"X-Forwarded-For: 192.0.2.7"}, seen{"192.0.2.7:0", false, "inner", true}},
		{"unix not trusted", "10.0.0.0/8", "@", []string{"X-Forwarded-For: 192.0.2.7"}, seen{"@", false, "inner", true}},
		{"the other header", "10.0.0.0/8", "10.0.0.1:5000", []string{"Forwarded: for=192.0.2.7"}, untouched},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.check(t, XForwarded) })
	}
}

func TestForwardedRFC7239(t *testing.T) {
	untouched := seen{"10.0.0.1:5000", false, "inner", true}
	tests := []forwardedCase{
		{"all", "10.0.0.1", "10.0.0.1:5000", []string{`Forwarded: for=192.0.2.7;proto=https;by=203.0.113.43;host=example.org`}, seen{"192.0.2.7:0", true, "example.org", false}},
		{"quoted", "10.0.0.1", "10.0.0.1:5000", []string{`Forwarded: For="[2001:db8:cafe::17]:4711"; Host="a.example:81"`}, seen{"[2001:db8:cafe::17]:4711", false, "a.example:81", false}},
		{"quoted pairs", "10.0.0.1", "10.0.0.1:5000", []string{`Forwarded: for="\1\9\2.0.2.7"`}, seen{"192.0.2.7:0", false, "inner", true}},
		{"obfuscated port", "10.0.0.1", "10.0.0.1:5000", []string{`Forwarded: for="192.0.2.7:_p"`}, seen{"192.0.2.7:0", false, "inner", true}},
		{"obfuscated", "10.0.0.1", "10.0.0.1:5000", []string{`Forwarded: for=_hidden;proto=https`}, seen{"10.0.0.1:5000", true, "inner", false}},
		{"two proxies", "10.0.0.0/8", "10.0.0.1:5000", []string{`Forwarded: for=192.0.2.7;proto=https, for=10.0.0.9;proto=http`}, seen{"192.0.2.7:0", true, "inner", false}},
		{"the client's own", "10.0.0.1", "10.0.0.1:5000", []string{`Forwarded: for=6.6.6.6;proto=https, for=192.0.2.7;proto=http`}, seen{"192.0.2.7:0", false, "inner", false}},
		{"the client's open quote on a line of its own", "10.0.0.1", "10.0.0.1:5000", []string{`Forwarded: for="6.6.6.6`, `Forwarded: for=192.0.2.7`}, seen{"192.0.2.7:0", false, "inner", true}},
		{"the client's open quote", "10.0.0.1", "10.0.0.1:5000", []string{`Forwarded: for="6.6.6.6, for=192.0.2.7`}, untouched},
		{"the client's nonsense", "10.0.0.0/8", "10.0.0.1:5000", []string{`Forwarded: for=6.6.6.6, ;=, for=10.0.0.9`}, seen{"10.0.0.9:0", false, "inner", true}},
		{"for twice", "10.0.0.1", "10.0.0.1:5000", []string{`Forwarded: for=6.6.6.6;for=192.0.2.7`}, untouched},
		{"the other headers", "10.0.0.1", "10.0.0.1:5000", []string{"X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https"}, untouched},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.check(t, Forwarded) })
	}
}

func TestForwardedHTTPOverTLS(t *testing.T) {
	trusted, _ := ParseTrustedProxies([]string{"10.0.0.1"})
	r := forwardedCase{peer: "10.0.0.1:1", headers: []string{"X-Forwarded-Proto: http"}}.request()
	r.TLS = &tls.ConnectionState{}
	if got := trusted.seenFrom(r, xForwardedHops(r.Header)); got.TLS != nil {
		t.Error("the client came by http")
	}
}

// TestForwardedPutsOutTheFrontsServer: an SCGI front's port is not the one
// that the client reached at the proxy before it.
func TestForwardedPutsOutTheFrontsServer(t *testing.T) {
	trusted, _ := ParseTrustedProxies([]string{"10.0.0.1"})
	env := map[string]string{"SERVER_NAME": "front", "SERVER_PORT": "80", "REMOTE_USER": "u"}
	for _, test := range []struct {
		header string
		want   map[string]string
	}{
		{"X-Forwarded-For: 192.0.2.1", env},
		{"X-Forwarded-Proto: https", map[string]string{"SERVER_NAME": "front", "REMOTE_USER": "u"}},
		{"X-Forwarded-Host: example.org", map[string]string{"REMOTE_USER": "u"}},
	} {
		r := forwardedCase{peer: "10.0.0.1:1", headers: []string{test.header}}.request()
		r = r.WithContext(scgi.WithEnv(r.Context(), env))
		got := scgi.Env(trusted.seenFrom(r, xForwardedHops(r.Header)).Context())
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.header, diff)
		}
	}
}

func TestParseTrustedProxiesRefuses(t *testing.T) {
	for _, text := range []string{"", "example.org", "10.0.0.0/33", "10.0.0.1:80", "unix:/x", "fe80::1%eth0"} {
		if _, err := ParseTrustedProxies([]string{text}); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// FuzzForwarded: whatever a client wrote before it, what the trusted proxy has
// added decides, unless an open quote has made nonsense of it.
func FuzzForwarded(f *testing.F) {
	f.Add(`for=6.6.6.6;proto=https`, `for="[2001:db8::1]:80";host="a\"b"`)
	f.Add(`for="`, `for=192.0.2.7`)
	f.Add(`,;="\`, `_x`)
	trusted, _ := ParseTrustedProxies([]string{"10.0.0.1"})
	f.Fuzz(func(t *testing.T, client, line string) {
		for _, header := range []http.Header{
			{"Forwarded": {client + ", for=192.0.2.7", line}},
			{"X-Forwarded-For": {line}, "X-Forwarded-Host": {client}, "X-Forwarded-Proto": {line}},
		} {
			for _, hops := range [][]hop{forwardedHops(header), xForwardedHops(header)} {
				for _, h := range hops {
					if h.proto != "" && h.proto != "http" && h.proto != "https" || strings.ContainsAny(h.host, " \"<>/\r\n") {
						t.Fatalf("%q: %+v", header, h)
					}
				}
			}
		}
		own := forwardedHops(http.Header{"Forwarded": {client, "for=192.0.2.7;proto=http"}})
		r := httptest.NewRequest("GET", "/", nil)
		if got := trusted.seenFrom(r, own).RemoteAddr; got != "192.0.2.7:0" {
			t.Fatalf("%q before the proxy's: %s", client, got)
		}
		both := xForwardedHops(http.Header{"X-Forwarded-For": {client + ", 192.0.2.7"}})
		if got := trusted.seenFrom(r, both).RemoteAddr; got != "192.0.2.7:0" {
			t.Fatalf("%q before the proxy's: %s", client, got)
		}
	})
}
