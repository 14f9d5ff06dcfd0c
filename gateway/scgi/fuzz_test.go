package scgi

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func addSeeds(f *testing.F, pattern string) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds %s: %v", pattern, err)
	}
	for _, file := range files {
		f.Add(readEscaped(f, file))
	}
}

// What the server accepts, the transport can send on, and it arrives as the
// same request.
func FuzzReadRequest(f *testing.F) {
	addSeeds(f, "testdata/requests/*.scgi")
	f.Fuzz(func(t *testing.T, input string) {
		req, env, err := readRequest(bufio.NewReader(strings.NewReader(input)), 1<<20, nil)
		if err != nil {
			var bad *RequestError
			if !errors.As(err, &bad) || bad.Status < 400 || bad.Status > 499 {
				t.Fatalf("error %v", err)
			}
			return
		}
		for name := range env {
			if reserved(name) || name == "HTTP_PROXY" {
				t.Fatalf("%q was let in", name)
			}
		}
		again, err := appendHeader(nil, req, req.ContentLength, "", "")
		if err != nil {
			t.Fatalf("cannot be sent on: %v", err)
		}
		second, _, err := readRequest(bufio.NewReader(strings.NewReader(string(again))), 1<<21, nil)
		if err != nil {
			t.Fatalf("does not arrive: %v", err)
		}
		if second.Method != req.Method || second.URL.Path != req.URL.Path || second.URL.RawQuery != req.URL.RawQuery ||
			second.Host != req.Host || second.ContentLength != req.ContentLength || (second.TLS == nil) != (req.TLS == nil) {
			t.Fatalf("another request arrives:\n%+v\n%+v", req, second)
		}
	})
}

func FuzzReadResponse(f *testing.F) {
	addSeeds(f, "testdata/responses/*.cgi")
	f.Fuzz(func(t *testing.T, input string) {
		resp, body, err := readResponse(bufio.NewReader(strings.NewReader(input)), "GET", 1<<16)
		if err != nil {
			var bad *ResponseError
			if !errors.As(err, &bad) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if resp.StatusCode < 200 || resp.StatusCode > 999 {
			t.Fatalf("status %d", resp.StatusCode)
		}
		for key, values := range resp.Header {
			if !validToken(key) || hopByHop(key) || key != http.CanonicalHeaderKey(key) {
				t.Fatalf("header %q", key)
			}
			for _, v := range values {
				if !validFieldValue(v) {
					t.Fatalf("value %q", v)
				}
			}
		}
		data, err := io.ReadAll(body)
		if err == nil && resp.ContentLength >= 0 && int64(len(data)) != resp.ContentLength {
			t.Fatalf("%d bytes of %d", len(data), resp.ContentLength)
		}
	})
}

// Whatever variables are sent, these arrive and no others, and the path is
// the one that was asked for.
func TestVariablesArrive(t *testing.T) {
	text := rapid.StringOf(rapid.RuneFrom([]rune("aZ09_-/%=&?:, \tä\x00")))
	rapid.Check(t, func(t *rapid.T) {
		vars := rapid.MapOf(text, text).Draw(t, "vars")
		path := "/" + text.Draw(t, "path")
		script := rapid.SampledFrom([]string{"", "/", "/a", "/a/"}).Draw(t, "script")
		req := newTestRequestAt(path)
		req = req.WithContext(NewContext(req.Context(), vars))
		clean := !strings.Contains(path, "\x00")
		for name, value := range vars {
			clean = clean && name != "" && !strings.Contains(name+value, "\x00")
		}
		got, err := sent(req, script)
		if errors.Is(err, ErrOutsideScriptName) {
			if script == "" || script == "/" || path == "/a" || strings.HasPrefix(path, "/a/") {
				t.Fatalf("%q is below %q", path, script)
			}
			return
		}
		if (err == nil) != clean {
			t.Fatalf("error %v", err)
		}
		if err != nil {
			return
		}
		for name, value := range vars {
			if got[name] != value {
				t.Fatalf("%q is %q, want %q", name, got[name], value)
			}
		}
		if whole := got["SCRIPT_NAME"] + got["PATH_INFO"]; whole != path {
			t.Fatalf("path %q became %q", path, whole)
		}
	})
}

func newTestRequestAt(path string) *http.Request {
	req, _ := http.NewRequest("GET", "http://example.com/", nil)
	req.URL.Path = path
	return req
}

// bytesConn is a connection whose peer has sent all that it will, and ended
// its side.
type bytesConn struct {
	net.Conn
	in     *strings.Reader
	out    strings.Builder
	closed bool
}

func (c *bytesConn) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *bytesConn) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *bytesConn) SetReadDeadline(time.Time) error  { return nil }
func (c *bytesConn) SetWriteDeadline(time.Time) error { return nil }
func (c *bytesConn) CloseWrite() error                { return nil }
func (c *bytesConn) Close() error                     { c.closed = true; return nil }

// Whatever arrives, a connection gets one response, which a Transport
// understands, and is closed; a handler reads as many bytes of body as were
// announced, or is told that they did not come.
func FuzzServer(f *testing.F) {
	addSeeds(f, "testdata/requests/*.scgi")
	f.Fuzz(func(t *testing.T, input string) {
		called := 0
		s := &Server{Logger: slog.New(slog.DiscardHandler), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			called++
			body, err := io.ReadAll(r.Body)
			if int64(len(body)) > r.ContentLength || (err == nil) != (int64(len(body)) == r.ContentLength) {
				t.Errorf("%d bytes of %d, %v", len(body), r.ContentLength, err)
			}
			if !strings.HasPrefix(r.URL.Path, "/") && r.URL.Path != "*" || strings.Contains(r.URL.Path, "\x00") {
				t.Errorf("path %q", r.URL.Path)
			}
			io.WriteString(w, r.URL.Path)
		})}
		peer := &bytesConn{in: strings.NewReader(input)}
		c := &conn{server: s, rwc: peer}
		s.mu.Lock()
		s.init()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		c.serve(s.base)
		s.cancel()
		if !peer.closed || called > 1 || len(s.conns) > 0 {
			t.Fatalf("closed %v, %d calls, %d connections left", peer.closed, called, len(s.conns))
		}
		if called == 0 && peer.out.Len() == 0 {
			return // it broke off
		}
		resp, body, err := readResponse(bufio.NewReader(strings.NewReader(peer.out.String())), "GET", 1<<16)
		if err != nil {
			t.Fatalf("response %q: %v", peer.out.String(), err)
		}
		if _, err := io.ReadAll(body); err != nil || called == 0 && (resp.StatusCode < 400 || resp.StatusCode > 499) {
			t.Fatalf("%d calls, status %d, %v", called, resp.StatusCode, err)
		}
	})
}
