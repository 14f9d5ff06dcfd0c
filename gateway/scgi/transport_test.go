package scgi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func transport(path string) *Transport { return &Transport{Network: "unix", Address: path} }

// worker serves one connection after the other by f.
func worker(t testing.TB, f func(c *net.UnixConn)) *Transport {
	t.Helper()
	path := filepath.Join(t.TempDir(), "w")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(c.(*net.UnixConn))
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return transport(path)
}

// answer is a worker that reads the header of a request and prints text.
func answer(t testing.TB, text string) *Transport {
	return worker(t, func(c *net.UnixConn) {
		if _, err := readNetstring(bufio.NewReader(c), 32<<20); err != nil {
			t.Error(err)
		}
		io.WriteString(c, text)
	})
}

func newTestRequest(t testing.TB, method, target string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// do sends a request and reads the whole response.
func do(t testing.TB, tr *Transport, req *http.Request) (*http.Response, []byte, error) {
	t.Helper()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

func TestLoop(t *testing.T) {
	path := serve(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
		io.Copy(w, r.Body) // echoed while it still arrives
	})})
	for _, size := range []int{0, 1, firstBodyBytes, firstBodyBytes + 1, 1 << 20, 20 << 20} {
		body := make([]byte, size)
		rand.NewChaCha8([32]byte{}).Read(body)
		for name, r := range map[string]io.Reader{"bytes": bytes.NewReader(body), "one by one": iotest.HalfReader(bytes.NewReader(body))} {
			req := newTestRequest(t, "POST", "http://x/", r)
			req.ContentLength = int64(size)
			resp, got, err := do(t, transport(path), req)
			if err != nil {
				t.Fatalf("%d %s: %v", size, name, err)
			}
			if hash(got) != hash(body) || resp.Header.Get("X-Length") != fmt.Sprint(size) {
				t.Errorf("%d %s: other bytes came back: %d, %v", size, name, len(got), resp.Header)
			}
		}
	}
}

// sent returns the variables that a Transport sends for req.
func sent(req *http.Request, scriptName string) (map[string]string, error) {
	b, err := appendHeader(nil, req, 0, scriptName, "")
	if err != nil {
		return nil, err
	}
	block, err := readNetstring(bufio.NewReader(bytes.NewReader(b)), 32<<20)
	if err != nil {
		return nil, err
	}
	vars := make(map[string]string)
	items := strings.Split(block, "\x00")
	for i := 0; i+1 < len(items); i += 2 {
		if _, twice := vars[items[i]]; twice {
			return nil, fmt.Errorf("%s twice", items[i])
		}
		vars[items[i]] = items[i+1]
	}
	return vars, nil
}

func TestVariables(t *testing.T) {
	req := newTestRequest(t, "POST", "http://example.com:8080/app/a%20b?x=%2F", nil)
	req.RemoteAddr = "192.0.2.1:4000"
	req.Header = http.Header{
		"Content-Type": {"text/plain"}, "Content-Length": {"7"}, "Cookie": {"a=1", "b=2"}, "Accept": {"a", "b"},
		"X_user": {"evil"}, "Proxy": {"evil"}, "PROXY": {"evil"}, "Alforja-Session": {"evil"}, "alforja-nonce": {"evil"},
		"Connection": {"close, X-Forwarded-For"}, "Te": {"trailers"}, "Upgrade": {"h2c"}, "Transfer-Encoding": {"chunked"},
		"X-Forwarded-For": {"192.0.2.9"}, "X-Empty": nil,
	}
	got, err := sent(req, "/app/")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"CONTENT_LENGTH": "0", "SCGI": "1", "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "POST",
		"SCRIPT_NAME": "/app", "PATH_INFO": "/a b", "QUERY_STRING": "x=%2F", "REQUEST_URI": "/app/a%20b?x=%2F",
		"SERVER_PROTOCOL": "HTTP/1.0", "SERVER_SOFTWARE": "alforja", "REQUEST_SCHEME": "http",
		"SERVER_NAME": "example.com", "SERVER_PORT": "8080", "REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "4000",
		"CONTENT_TYPE": "text/plain", "HTTP_HOST": "example.com:8080", "HTTP_COOKIE": "a=1; b=2", "HTTP_ACCEPT": "a, b",
		"HTTP_X_FORWARDED_FOR": "192.0.2.9",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Only what a NewContext has sent is kept, and apart from the rest.
func TestReserved(t *testing.T) {
	for _, keep := range []bool{false, true} {
		path := serve(t, &Server{KeepReserved: keep, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%v %q %v", Reserved(r.Context()), Env(r.Context())["ALFORJA_NONCE"], r.Header["Alforja-Nonce"])
		})})
		req := newTestRequest(t, "GET", "http://x/", nil)
		req.Header = http.Header{"Alforja-Nonce": {"evil"}, "Alforja_nonce": {"evil"}}
		req = req.WithContext(NewContext(WithEnv(req.Context(), map[string]string{"ALFORJA_API": "evil"}), map[string]string{"ALFORJA_NONCE": "n"}))
		_, got, err := do(t, transport(path), req)
		if want := map[bool]string{false: `map[] "" []`, true: `map[ALFORJA_NONCE:n] "" []`}[keep]; err != nil || string(got) != want {
			t.Errorf("keep %v: got %q, want %q, %v", keep, got, want, err)
		}
	}
}

// What an SCGI front said reaches the worker, unless the request says it.
func TestVariablesOfFront(t *testing.T) {
	front, env, err := readRequest(bufio.NewReader(strings.NewReader(netstring(
		"CONTENT_LENGTH", "0", "SCGI", "1", "REQUEST_METHOD", "GET", "REQUEST_URI", "/app/x", "SCRIPT_NAME", "/app", "PATH_INFO", "/x",
		"HTTPS", "on", "SERVER_NAME", "front.example", "SERVER_PORT", "8443", "REMOTE_USER", "ann", "SSL_CIPHER", "c",
		"SERVER_SOFTWARE", "Microsoft-IIS/10", "SERVER_PROTOCOL", "HTTP/1.1", "HTTP_COOKIE", "old", "ALFORJA_NONCE", "evil",
	))), 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	front.Header.Set("Cookie", "new")
	ctx := context.WithValue(context.Background(), envKey{}, env)
	ctx = NewContext(ctx, map[string]string{"ALFORJA_NONCE": "ours", "REMOTE_USER": "bob", "HTTP_X": "y", "CONTENT_LENGTH": "9", "SCGI": "2"})
	front.Header.Set("X", "replaced")
	got, err := sent(front.WithContext(ctx), "")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"CONTENT_LENGTH": "0", "SCGI": "1", "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET",
		"SCRIPT_NAME": "/app", "PATH_INFO": "/x", "QUERY_STRING": "", "REQUEST_URI": "/app/x",
		"SERVER_PROTOCOL": "HTTP/1.0", "SERVER_SOFTWARE": "alforja", "REQUEST_SCHEME": "https", "HTTPS": "on",
		"SERVER_NAME": "front.example", "SERVER_PORT": "8443", "REMOTE_ADDR": "",
		"REMOTE_USER": "bob", "SSL_CIPHER": "c", "HTTP_COOKIE": "new", "HTTP_X": "y", "ALFORJA_NONCE": "ours",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestServerNameAndPort(t *testing.T) {
	tests := []struct {
		host       string
		local      net.Addr
		name, port string
	}{
		{"example.com", nil, "example.com", "80"},
		{"example.com:81", &net.TCPAddr{Port: 82}, "example.com", "82"},
		{"[2001:db8::1]:81", nil, "[2001:db8::1]", "81"},
		{"[2001:db8::1]", nil, "[2001:db8::1]", "80"},
		{"", &net.TCPAddr{IP: net.IPv6loopback, Port: 82}, "[::1]", "82"},
		{"", &net.UnixAddr{Name: "/s"}, "localhost", "80"},
	}
	for _, tt := range tests {
		ctx := context.WithValue(context.Background(), http.LocalAddrContextKey, tt.local)
		req := (&http.Request{Host: tt.host, URL: &url.URL{Path: "/"}}).WithContext(ctx)
		vars, err := sent(req, "")
		if err != nil || vars["SERVER_NAME"] != tt.name || vars["SERVER_PORT"] != tt.port {
			t.Errorf("%q: %q %q, %v", tt.host, vars["SERVER_NAME"], vars["SERVER_PORT"], err)
		}
	}
}

func TestSplitPath(t *testing.T) {
	tests := []struct {
		path, configured, front string
		script, info            string
		outside                 bool
	}{
		{"/a/b", "", "", "", "/a/b", false},
		{"/a/b", "/", "/a", "", "/a/b", false},
		{"/a/b", "/a", "", "/a", "/b", false},
		{"/a/b", "/a/", "", "/a", "/b", false},
		{"/a", "/a", "", "/a", "", false},
		{"/a/", "/a", "", "/a", "/", false},
		{"/ab", "/a", "", "", "", true},
		{"/b", "/a", "/b", "", "", true},
		{"/a/b", "", "/a", "/a", "/b", false},
		{"/ab", "", "/a", "", "/ab", false},
		{"/a/b", "", "/", "", "/a/b", false},
		{"*", "", "", "", "*", false},
		{"*", "/a", "", "", "", true},
	}
	for _, tt := range tests {
		script, info, err := splitPath(tt.path, tt.configured, map[string]string{"SCRIPT_NAME": tt.front})
		if script != tt.script || info != tt.info || errors.Is(err, ErrOutsideScriptName) != tt.outside {
			t.Errorf("%q below %q or %q: %q %q %v", tt.path, tt.configured, tt.front, script, info, err)
		}
	}
}

// Nothing is sent for a request that cannot be: there is no worker here.
func TestRequestErrors(t *testing.T) {
	nul := func(f func(*http.Request)) *http.Request {
		req := newTestRequest(t, "GET", "http://x/", nil)
		f(req)
		return req
	}
	tests := map[string]struct {
		req    *http.Request
		status int
	}{
		"NUL in path":   {nul(func(r *http.Request) { r.URL.Path = "/\x00SCGI" }), 400},
		"NUL in query":  {nul(func(r *http.Request) { r.URL.RawQuery = "\x00" }), 400},
		"NUL in header": {nul(func(r *http.Request) { r.Header["X"] = []string{"a\x00b"} }), 400},
		"NUL in key":    {nul(func(r *http.Request) { r.Header["X\x00"] = []string{"a"} }), 400},
		"NUL in host":   {nul(func(r *http.Request) { r.Host = "\x00" }), 400},
		"NUL in extra": {nul(func(r *http.Request) {
			*r = *r.WithContext(NewContext(r.Context(), map[string]string{"A\x00": "1"}))
		}), 400},
		"length unknown":    {newTestRequest(t, "POST", "http://x/", struct{ io.Reader }{strings.NewReader("x")}), 411},
		"length negative":   {nul(func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), -1 }), 411},
		"body fails":        {newTestRequest(t, "POST", "http://x/", iotest.ErrReader(&http.MaxBytesError{})), 413},
		"outside the mount": {newTestRequest(t, "GET", "http://x/other", nil), 404},
	}
	for name, tt := range tests {
		tr := &Transport{Network: "unix", Address: "/nowhere"}
		if tt.status == 404 {
			tr.ScriptName = "/app"
		}
		var bad *RequestError
		if _, err := tr.RoundTrip(tt.req); !errors.As(err, &bad) || bad.Status != tt.status || SafeToRetry(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An empty body in a wrapper is no body.
func TestWrappedNoBody(t *testing.T) {
	req := newTestRequest(t, "POST", "http://x/", struct{ io.Reader }{strings.NewReader("")})
	_, body, err := do(t, answer(t, "Status: 200 OK\r\n\r\nok"), req)
	if err != nil || string(body) != "ok" {
		t.Errorf("%q %v", body, err)
	}
}

type closeRecorder struct {
	io.Reader
	closed chan struct{}
}

func (c *closeRecorder) Close() error { close(c.closed); return nil }

func TestDialError(t *testing.T) {
	body := &closeRecorder{iotest.ErrReader(errors.New("was read")), make(chan struct{})}
	req := newTestRequest(t, "POST", "http://x/", body)
	req.ContentLength = 1
	if _, err := transport("/nowhere").RoundTrip(req); !SafeToRetry(err) {
		t.Errorf("error %v", err)
	}
	<-body.closed
	if SafeToRetry(&ResponseError{errNoAnswer}) || SafeToRetry(nil) {
		t.Error("safe to retry though something was sent")
	}
}

func TestNoAnswer(t *testing.T) {
	tr := worker(t, func(c *net.UnixConn) {}) // closes at once
	_, err := tr.RoundTrip(newTestRequest(t, "GET", "http://x/", nil))
	var bad *ResponseError
	if !errors.As(err, &bad) || !errors.Is(err, errNoAnswer) || SafeToRetry(err) {
		t.Errorf("error %v", err)
	}
}

// A worker may answer and close before it has read the body: with a length or
// without, the response comes whole.
func TestResponseBeforeBodyIsRead(t *testing.T) {
	page := strings.Repeat("page", 10000)
	for _, head := range []string{"Status: 413 Too Large\r\n\r\n", fmt.Sprintf("Status: 413 Too Large\r\nContent-Length: %d\r\n\r\n", len(page))} {
		for _, size := range []int64{10, firstBodyBytes, 20 << 20} {
			tr := answer(t, head+page)
			req := newTestRequest(t, "POST", "http://x/", io.LimitReader(zeros{}, size))
			req.ContentLength = size
			resp, body, err := do(t, tr, req)
			if err != nil || resp.StatusCode != 413 || string(body) != page {
				t.Errorf("%d bytes: %v, %d of %d bytes, %v", size, resp, len(body), len(page), err)
			}
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A client that leaves while it sends is at fault, not the worker, which must
// not wait for the rest.
func TestRequestBodyCutShort(t *testing.T) {
	for _, size := range []int64{10, firstBodyBytes, 10 * firstBodyBytes} {
		released := make(chan struct{})
		tr := worker(t, func(c *net.UnixConn) {
			io.Copy(io.Discard, c)
			close(released)
		})
		req := newTestRequest(t, "POST", "http://x/", io.LimitReader(zeros{}, size))
		req.ContentLength = size + 1
		_, err := tr.RoundTrip(req)
		var bad *RequestError
		if !errors.As(err, &bad) || bad.Status != 400 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: %v", size, err)
		}
		<-released
	}
}

func TestContextEndsTheExchange(t *testing.T) {
	for _, head := range []string{"", "Status: 200 OK\r\n\r\nsome"} {
		gone := make(chan struct{})
		ctx, cancel := context.WithCancel(context.Background())
		tr := worker(t, func(c *net.UnixConn) {
			readNetstring(bufio.NewReader(c), 1<<20)
			io.WriteString(c, head)
			if head == "" {
				cancel()
			}
			io.Copy(io.Discard, c)
			close(gone)
		})
		req := newTestRequest(t, "GET", "http://x/", nil).WithContext(ctx)
		resp, err := tr.RoundTrip(req)
		if err == nil {
			buf := make([]byte, 4)
			if _, err := io.ReadFull(resp.Body, buf); err != nil {
				t.Fatal(err)
			}
			cancel()
			_, err = resp.Body.Read(buf)
			resp.Body.Close()
			if !errors.Is(err, context.Canceled) {
				t.Errorf("body: %v", err)
			}
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("header: %v", err)
		}
		<-gone
	}
}

func TestCloseEndsARead(t *testing.T) {
	gone := make(chan struct{})
	tr := worker(t, func(c *net.UnixConn) {
		readNetstring(bufio.NewReader(c), 1<<20)
		io.WriteString(c, "Status: 200 OK\r\n\r\n")
		io.Copy(io.Discard, c)
		close(gone)
	})
	resp, err := tr.RoundTrip(newTestRequest(t, "GET", "http://x/", nil))
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() { _, err := resp.Body.Read(make([]byte, 1)); read <- err }()
	resp.Body.Close()
	<-gone
	if err := <-read; err == nil {
		t.Error("no error")
	}
	if err := resp.Body.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Errorf("read after Close: %v", err)
	}
}

func TestResponseCutShort(t *testing.T) {
	for _, text := range []string{"Content-Length: 9\r\n\r\nbody", "Transfer-Encoding: chunked\r\n\r\n9\r\nbody"} {
		_, body, err := do(t, answer(t, "Status: 200 OK\r\n"+text), newTestRequest(t, "GET", "http://x/", nil))
		var bad *ResponseError
		if !errors.As(err, &bad) || !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != "body" {
			t.Errorf("%q: %q, %v", text, body, err)
		}
	}
}

// TestResponseTooLong: closing tells of it, but not where a body has no business to be.
func TestResponseTooLong(t *testing.T) {
	tests := []struct {
		method, text string
		told         bool
	}{
		{"GET", "Content-Length: 4\r\n\r\nbody", false},
		{"GET", "Content-Length: 4\r\n\r\nbody and more", true},
		{"HEAD", "Content-Length: 4\r\n\r\nbody", false},
		{"GET", "\r\nbody", false},
	}
	for _, test := range tests {
		resp, err := answer(t, "Status: 200 OK\r\n"+test.text).RoundTrip(newTestRequest(t, test.method, "http://x/", nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(resp.Body); err != nil {
			t.Errorf("%s %q: %v", test.method, test.text, err)
		}
		var bad *ResponseError
		if err := resp.Body.Close(); errors.As(err, &bad) != test.told {
			t.Errorf("%s %q: Close says %v", test.method, test.text, err)
		}
	}
}

func TestHeadKeepsLength(t *testing.T) {
	resp, body, err := do(t, answer(t, "Status: 200 OK\r\nContent-Length: 4\r\n\r\nbody"), newTestRequest(t, "HEAD", "http://x/", nil))
	if err != nil || resp.ContentLength != 4 || len(body) != 0 {
		t.Errorf("%v %q %v", resp, body, err)
	}
}

// A session's state may ride in a header of several MiB, both ways.
func TestLargeHeaders(t *testing.T) {
	state := strings.Repeat("QUJD", 5<<20/4)
	tr := answer(t, "Status: 200 OK\r\nAlforja-Session: "+state+"\r\n\r\nok")
	req := newTestRequest(t, "GET", "http://x/", nil)
	req = req.WithContext(NewContext(req.Context(), map[string]string{"ALFORJA_SESSION": state}))
	resp, _, err := do(t, tr, req)
	if err != nil || resp.Header.Get("Alforja-Session") != state {
		t.Fatalf("%v", err)
	}
	tr.MaxResponseHeaderBytes = 1 << 20
	var bad *ResponseError
	if _, _, err := do(t, tr, req); !errors.As(err, &bad) {
		t.Errorf("over the limit: %v", err)
	}
}

// A front's request comes out of the Transport as it came in.
func TestEnvSurvivesTheLoop(t *testing.T) {
	arrived := make(chan map[string]string, 1)
	back := serve(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- Env(r.Context())
	})})
	front := serve(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := transport(back).RoundTrip(r)
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
	})})
	ask(t, front, netstring("CONTENT_LENGTH", "0", "SCGI", "1", "REQUEST_METHOD", "GET", "REQUEST_URI", "/a%2fb", "DOCUMENT_URI", "/a/b",
		"AUTH_TYPE", "Basic", "HTTP_X_USER", "1", "HTTP_X_USER", "2", "REMOTE_ADDR", "unix:"))
	got := <-arrived
	for name, value := range map[string]string{"PATH_INFO": "/a/b", "REQUEST_URI": "/a%2fb", "AUTH_TYPE": "Basic", "HTTP_X_USER": "1, 2", "REMOTE_ADDR": "unix:"} {
		if got[name] != value {
			t.Errorf("%s = %q, want %q", name, got[name], value)
		}
	}
}
