package gateway

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
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
	dial := func(request string) net.Conn {
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
