package gateway

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

func TestBoundStalls(t *testing.T) {
	t.Parallel()
	const limit = 400 * time.Millisecond
	result := make(chan error, 1)
	server := httptest.NewServer(BoundStalls(limit, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/big" {
			chunk := make([]byte, 1<<20)
			for err == nil {
				_, err = w.Write(chunk)
			}
		}
		result <- err
	})))
	t.Cleanup(server.Close)
	dial := func(request string) net.Conn { return dialled(t, server, request) }

	dial("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab")
	if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("who stops sending: %v", err)
	}

	dial("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
	if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("who stops reading: %v", err)
	}

	// Slow is not still: bytes that come within the limit each, together
	// beyond it; and a second request on the connection after a long pause.
	conn := dial("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
	answers := bufio.NewReader(conn)
	for range 5 {
		time.Sleep(limit / 2)
		if _, err := io.WriteString(conn, "x"); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := <-result; err != nil {
			t.Errorf("a slow sender: %v", err)
		}
		if _, err := http.ReadResponse(answers, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * limit)
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	<-result
}

// Whoever stands still is not only answered: the connection ends, whatever reads the rest of the body.
func TestStalledConnectionsEnd(t *testing.T) {
	t.Parallel()
	logger := slog.New(slog.DiscardHandler)
	server := httptest.NewUnstartedServer(nil)
	server.Config = httpServer(BoundStalls(100*time.Millisecond, RefuseMalformed(
		ServeStatic(map[string]string{"/static": t.TempDir()}, logger,
			BufferBodies(1<<20, NewSpool(1<<20), logger, http.NotFoundHandler())))), logger)
	server.Start()
	t.Cleanup(server.Close)
	for name, test := range map[string]struct {
		request string
		status  int
	}{
		"in the middle of a body":          {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab", 408},
		"before a body that nobody reads":  {"POST /static/a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n", 405},
		"behind a malformed request":       {"POST /%00 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n", 400},
		"behind a request for the server":  {"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n", 200},
		"in the middle of a chunk":         {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\nab", 408},
		"behind what the file has no room": {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\nab", 413},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dialled(t, server, test.request)
			conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != test.status {
				t.Errorf("status %d, want %d", answer.StatusCode, test.status)
			}
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection stays open")
			}
		})
	}
}

// An application may pause for longer than a client may, in HTTP/1 and HTTP/2, and end its page after that.
func TestPausesAreNoStalls(t *testing.T) {
	t.Parallel()
	const limit = 50 * time.Millisecond
	handler := BoundStalls(limit, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadFull(r.Body, make([]byte, 1)); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * limit)
		if rest, err := io.ReadAll(r.Body); string(rest) != "bc" || err != nil {
			t.Errorf("the rest of the body: %q, %v", rest, err)
		}
		for range 2 {
			io.WriteString(w, "part ")
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			time.Sleep(2 * limit)
		}
		io.WriteString(w, "end") // in net/http's buffer, and then
		time.Sleep(2 * limit)
	}))
	for version := 1; version <= 2; version++ {
		server := httptest.NewUnstartedServer(handler)
		server.EnableHTTP2 = version == 2
		server.StartTLS()
		t.Cleanup(server.Close)
		answer, err := server.Client().Post(server.URL, "text/plain", strings.NewReader("abc"))
		if err != nil {
			t.Fatalf("HTTP/%d: %v", version, err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if string(body) != "part part end" || err != nil || answer.ProtoMajor != version {
			t.Errorf("HTTP/%d: %q, %v by %s", version, body, err, answer.Proto)
		}
	}
}

// The limit is for 64 KiB, however much is written at once.
func TestLongWriteOfManyPieces(t *testing.T) {
	t.Parallel()
	const limit, long = 200 * time.Millisecond, 16 << 20
	result := make(chan error, 1)
	server := httptest.NewServer(BoundStalls(limit, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := w.Write(make([]byte, long))
		if n != long && err == nil {
			err = io.ErrShortWrite
		}
		result <- err
	})))
	t.Cleanup(server.Close)
	conn := dialled(t, server, "GET / HTTP/1.0\r\n\r\n")
	for range 16 { // together much longer than the limit
		if _, err := io.CopyN(io.Discard, conn, 1<<20); err != nil {
			t.Fatal(err)
		}
		time.Sleep(limit / 3)
	}
	go io.Copy(io.Discard, conn)
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func dialled(t *testing.T, server *httptest.Server, request string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn
}

// Who hijacks a connection has it for as long as it likes.
func TestHijackedConnectionHasNoDeadline(t *testing.T) {
	t.Parallel()
	const limit = 50 * time.Millisecond
	served := make(chan net.Conn, 1)
	handler := BoundStalls(limit, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
		}
		served <- conn
	}))
	returned := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r)
		close(returned)
	}))
	t.Cleanup(server.Close)
	dialled(t, server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	conn := <-served
	if conn == nil {
		t.FailNow()
	}
	defer conn.Close()
	<-returned
	time.Sleep(2 * limit)
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Error(err)
	}
}
