package gateway

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
)

// What a page of another site can have a browser on this machine send gets no
// further: a POST across sites, or a request under a name that resolves to here.
func TestAdminIsForThisMachine(t *testing.T) {
	reached := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	tcp := httptest.NewServer(fromHereOnly(reached))
	defer tcp.Close()
	unix := httptest.NewUnstartedServer(fromHereOnly(reached))
	unix.Listener.Close()
	path := filepath.Join(t.TempDir(), "admin")
	var err error
	if unix.Listener, err = net.Listen("unix", path); err != nil {
		t.Fatal(err)
	}
	unix.Start()
	defer unix.Close()
	byPath := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	defer byPath.CloseIdleConnections()

	for _, test := range []struct {
		name         string
		client       *http.Client
		method, host string
		header       http.Header
		want         int
	}{
		{"a command", http.DefaultClient, "POST", "", nil, http.StatusNoContent},
		{"localhost", http.DefaultClient, "GET", "localhost:9000", nil, http.StatusNoContent},
		{"IPv6", http.DefaultClient, "GET", "[::1]:9000", nil, http.StatusNoContent},
		{"IPv6 without a port", http.DefaultClient, "GET", "[::1]", nil, http.StatusNoContent},
		{"a page of another site", http.DefaultClient, "POST", "", http.Header{"Sec-Fetch-Site": {"cross-site"}}, http.StatusForbidden},
		{"an old browser's", http.DefaultClient, "POST", "", http.Header{"Origin": {"https://elsewhere.example"}}, http.StatusForbidden},
		{"a name that resolves to here", http.DefaultClient, "GET", "elsewhere.example", nil, http.StatusMisdirectedRequest},
		{"any name at a Unix socket", byPath, "POST", "elsewhere.example", nil, http.StatusNoContent},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := http.NewRequest(test.method, tcp.URL+"/drain", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = test.host
			if test.header != nil {
				r.Header = test.header
			}
			resp, err := test.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != test.want {
				t.Errorf("status %d, want %d", resp.StatusCode, test.want)
			}
		})
	}
}
