package scgi

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs s on a Unix socket until the test ends and returns its path.
func serve(t testing.TB, s *Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
	return path
}

func dial(t testing.TB, path string) *net.UnixConn {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.UnixConn)
}

// netstring makes an SCGI header of names and values.
func netstring(vars ...string) string {
	block := strings.Join(vars, "\x00") + "\x00"
	return fmt.Sprintf("%d:%s,", len(block), block)
}

func getRequest(method, uri string) string {
	return netstring("CONTENT_LENGTH", "0", "SCGI", "1", "REQUEST_METHOD", method, "REQUEST_URI", uri)
}

// ask sends raw bytes, and returns all that comes back.
func ask(t testing.TB, path, raw string) string {
	t.Helper()
	c := dial(t, path)
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %q: %v", answer, err)
	}
	return string(answer)
}

func TestResponseBytes(t *testing.T) {
	tests := []struct {
		name, method string
		handler      http.HandlerFunc
		want         string
	}{
		{"small body has its length", "GET", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "<html>")
		}, "Status: 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 6\r\n\r\n<html>"},
		{"nothing written", "GET", func(w http.ResponseWriter, r *http.Request) {},
			"Status: 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"headers after WriteHeader are not seen", "GET", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("A", "1")
			w.WriteHeader(404)
			w.Header().Set("A", "2")
			w.WriteHeader(500)
		}, "Status: 404 Not Found\r\nA: 1\r\nContent-Length: 0\r\n\r\n"},
		{"HEAD", "HEAD", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, "body")
		}, "Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\n"},
		{"HEAD with declared length", "HEAD", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "99")
		}, "Status: 200 OK\r\nContent-Length: 99\r\n\r\n"},
		{"HEAD of a large body", "HEAD", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Write(make([]byte, 3*responseBufferBytes))
		}, "Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n"},
		{"204", "GET", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "3")
			w.WriteHeader(204)
			if _, err := io.WriteString(w, "abc"); !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Errorf("write to a 204: %v", err)
			}
		}, "Status: 204 No Content\r\n\r\n"},
		{"304", "GET", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"x"`)
			w.WriteHeader(304)
		}, "Status: 304 Not Modified\r\nEtag: \"x\"\r\n\r\n"},
		{"connection headers and Status stay here", "GET", func(w http.ResponseWriter, r *http.Request) {
			for _, key := range []string{"Status", "Connection", "Transfer-Encoding", "Trailer:X"} {
				w.Header()[key] = []string{"x"}
			}
			w.WriteHeader(200)
		}, "Status: 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"no header injection", "GET", func(w http.ResponseWriter, r *http.Request) {
			w.Header()["A"] = []string{"1\r\nEvil: 2"}
		}, "Status: 200 OK\r\nA: 1  Evil: 2\r\nContent-Length: 0\r\n\r\n"},
		{"1xx ignored", "GET", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(103)
			w.WriteHeader(201)
		}, "Status: 201 Created\r\nContent-Length: 0\r\n\r\n"},
		{"flushed before more", "GET", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, "a")
			w.(http.Flusher).Flush()
			io.WriteString(w, "b")
		}, "Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nab"},
		{"more than declared", "GET", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", "2")
			io.WriteString(w, "ab")
			if _, err := io.WriteString(w, "c"); !errors.Is(err, http.ErrContentLength) {
				t.Errorf("write beyond the length: %v", err)
			}
		}, "Status: 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nab"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := serve(t, &Server{Handler: tt.handler})
			if got := ask(t, path, getRequest(tt.method, "/")); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	path := serve(t, &Server{
		Handler:        http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("handler called") }),
		MaxHeaderBytes: 1000,
	})
	for raw, status := range map[string]string{
		"GET / HTTP/1.1\r\n\r\n": "400 Bad Request",
		"1001:":                  "431 Request Header Fields Too Large",
		netstring("CONTENT_LENGTH", "x", "SCGI", "1"): "400 Bad Request",
		// More than a socket buffer is still to come: it must not cost the
		// client the answer.
		netstring("CONTENT_LENGTH", "9", "SCGI", "0") + strings.Repeat("x", 1<<20): "400 Bad Request",
	} {
		c := dial(t, path)
		go func() {
			io.WriteString(c, raw)
			c.CloseWrite()
		}()
		answer, err := io.ReadAll(c)
		head, body, _ := strings.Cut(string(answer), "\r\n\r\n")
		if err != nil || !strings.HasPrefix(head, "Status: "+status+"\r\n") || strings.Count(body, "\n") != 1 {
			t.Errorf("%.40q: answer %q, error %v", raw, answer, err)
		}
	}
}

func TestSilentConnectionIsClosedQuietly(t *testing.T) {
	path := serve(t, &Server{HeaderTimeout: 20 * time.Millisecond})
	if got := ask(t, path, ""); got != "" {
		t.Errorf("answer %q", got)
	}
}

func TestSlowHeader(t *testing.T) {
	path := serve(t, &Server{HeaderTimeout: 20 * time.Millisecond})
	c := dial(t, path)
	io.WriteString(c, "70:CONTENT_LENGTH")
	resp, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || resp != "Status: 408 Request Timeout\r\n" {
		t.Errorf("answer %q, error %v", resp, err)
	}
}

func TestSlowBody(t *testing.T) {
	path := serve(t, &Server{
		BodyTimeout: 20 * time.Millisecond,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			fmt.Fprint(w, bodyError(err).Status)
		}),
	})
	c := dial(t, path)
	io.WriteString(c, netstring("CONTENT_LENGTH", "9", "SCGI", "1", "REQUEST_METHOD", "POST", "REQUEST_URI", "/")+"abc")
	answer := make([]byte, 1000)
	n, err := c.Read(answer)
	if err != nil || !strings.HasSuffix(string(answer[:n]), "\r\n\r\n408") {
		t.Errorf("answer %q, error %v", answer[:n], err)
	}
}

func TestBodyCutShort(t *testing.T) {
	got := make(chan error, 1)
	path := serve(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		got <- err
	})})
	c := dial(t, path)
	io.WriteString(c, netstring("CONTENT_LENGTH", "9", "SCGI", "1", "REQUEST_METHOD", "POST", "REQUEST_URI", "/")+"abc")
	c.CloseWrite()
	if err := <-got; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("body error %v", err)
	}
}

// A client that has sent all may close its side: the response still comes,
// and the handler's context lives on.
func TestHalfClose(t *testing.T) {
	closed := make(chan struct{})
	path := serve(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-closed
		select {
		case <-r.Context().Done():
			t.Error("the half-close ended the context")
		case <-time.After(20 * time.Millisecond):
		}
		io.WriteString(w, "still here")
	})})
	c := dial(t, path)
	io.WriteString(c, getRequest("GET", "/"))
	c.CloseWrite()
	close(closed)
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasSuffix(string(answer), "still here") {
		t.Errorf("answer %q, error %v", answer, err)
	}
}

// TestUnreadBody: a connection that is closed with some of the request unread
// is reset by the kernel, and the response may be lost with it.
func TestUnreadBody(t *testing.T) {
	sent := make(chan struct{})
	path := serve(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-sent
		io.WriteString(w, "not read")
	})})
	c := dial(t, path)
	const length = 32 << 10 // more than the server reads at once, less than a socket holds
	io.WriteString(c, netstring("CONTENT_LENGTH", fmt.Sprint(length), "SCGI", "1", "REQUEST_METHOD", "POST", "REQUEST_URI", "/"))
	if _, err := c.Write(make([]byte, length)); err != nil {
		t.Fatal(err)
	}
	close(sent)
	answer := make([]byte, 4096)
	n, err := c.Read(answer)
	if err != nil || !strings.HasSuffix(string(answer[:n]), "not read") {
		t.Errorf("answer %q, error %v", answer[:n], err)
	}
	if _, err := c.Read(answer); err != io.EOF {
		t.Errorf("after the response: %v", err)
	}
}

func TestWriteAfterClientLeft(t *testing.T) {
	left, got := make(chan struct{}), make(chan error, 1)
	path := serve(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-left
		io.WriteString(w, "x")
		err := http.NewResponseController(w).Flush()
		if _, again := io.WriteString(w, "y"); again == nil {
			t.Error("a write after the failed one succeeds")
		}
		got <- err
	})})
	c := dial(t, path)
	io.WriteString(c, getRequest("GET", "/"))
	c.Close()
	close(left)
	if err := <-got; err == nil {
		t.Error("no error")
	}
}

func TestStalledReaderEndsTheWrite(t *testing.T) {
	got := make(chan error, 1)
	path := serve(t, &Server{
		WriteTimeout: 20 * time.Millisecond,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := w.Write(make([]byte, 8<<20))
			got <- err
		}),
	})
	c := dial(t, path)
	io.WriteString(c, getRequest("GET", "/"))
	var timeout net.Error
	if err := <-got; !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("error %v", err)
	}
}

func TestResponseControllerDeadlines(t *testing.T) {
	got := make(chan error, 2)
	path := serve(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := errors.Join(rc.SetReadDeadline(time.Now()), rc.EnableFullDuplex()); err != nil {
			t.Error(err)
		}
		_, err := r.Body.Read(make([]byte, 1))
		got <- err
		rc.SetWriteDeadline(time.Now())
		_, err = w.Write(make([]byte, 8<<20))
		got <- err
	})})
	c := dial(t, path)
	io.WriteString(c, netstring("CONTENT_LENGTH", "9", "SCGI", "1", "REQUEST_METHOD", "POST", "REQUEST_URI", "/"))
	for range 2 {
		var timeout net.Error
		if err := <-got; !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("error %v", err)
		}
	}
}

func TestPanics(t *testing.T) {
	var log strings.Builder
	s := &Server{
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "lost")
			if r.URL.Path == "/quiet" {
				panic(http.ErrAbortHandler)
			}
			panic("oh")
		}),
	}
	path := serve(t, s)
	for _, p := range []string{"/quiet", "/loud"} {
		if got := ask(t, path, getRequest("GET", p)); got != "" {
			t.Errorf("%s: answer %q", p, got)
		}
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); strings.Count(got, "panic=oh") != 1 || strings.Contains(got, "/quiet") {
		t.Errorf("log:\n%s", got)
	}
}

// A proxy's goroutine may still read the body when the handler returns.
func TestReadLeftBehindEnds(t *testing.T) {
	read := make(chan error, 1)
	path := serve(t, &Server{BodyTimeout: -1, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Body.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		started := make(chan struct{})
		go func() {
			close(started)
			_, err := r.Body.Read(make([]byte, 1))
			read <- err
		}()
		<-started
		io.WriteString(w, "early")
	})})
	c := dial(t, path)
	io.WriteString(c, netstring("CONTENT_LENGTH", "9", "SCGI", "1", "REQUEST_METHOD", "POST", "REQUEST_URI", "/")+"a")
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasSuffix(string(answer), "early") {
		t.Errorf("answer %q, error %v", answer, err)
	}
	if err := <-read; err == nil {
		t.Error("the read succeeds")
	}
}

func TestCloseEndsContexts(t *testing.T) {
	entered, ended := make(chan struct{}), make(chan struct{})
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(ended)
	})}
	c := dial(t, serve(t, s))
	io.WriteString(c, getRequest("GET", "/"))
	<-entered
	s.Close()
	<-ended
	if err := s.Serve(nopListener{}); !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve after Close: %v", err)
	}
}

type nopListener struct{ net.Listener }

func (nopListener) Close() error { return nil }

func TestMaxConns(t *testing.T) {
	entered, leave := make(chan string, 2), make(chan struct{})
	path := serve(t, &Server{MaxConns: 1, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- r.URL.Path
		<-leave
	})})
	first, second := dial(t, path), dial(t, path)
	io.WriteString(first, getRequest("GET", "/1"))
	<-entered
	io.WriteString(second, getRequest("GET", "/2"))
	select {
	case p := <-entered:
		t.Errorf("%s is served beside another", p)
	case <-time.After(30 * time.Millisecond):
	}
	close(leave)
	if p := <-entered; p != "/2" {
		t.Errorf("served %s", p)
	}
	io.ReadAll(second)
}

func TestEnvAndNewContext(t *testing.T) {
	ctx := context.Background()
	if Env(ctx) != nil {
		t.Error("variables from nowhere")
	}
	ctx = NewContext(NewContext(ctx, map[string]string{"A": "1", "B": "1"}), map[string]string{"B": "2"})
	if v := extra(ctx); len(v) != 2 || v["A"] != "1" || v["B"] != "2" {
		t.Errorf("variables %v", v)
	}
}

func hash(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
