package scgi

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// readToken reads the header of a request and returns the token in it.
func readToken(r *bufio.Reader) (string, error) {
	block, err := readNetstring(r, 1<<20)
	_, rest, _ := strings.Cut(block, keepVariable+"\x00")
	token, _, _ := strings.Cut(rest, "\x00")
	return token, err
}

// keeper is a worker that answers as many requests on a connection as come, by
// what say makes of the token, and counts its connections.
func keeper(t *testing.T, say func(token string) string) (tr *Transport, connections *int) {
	connections = new(int)
	tr = worker(t, func(c *net.UnixConn) {
		*connections++
		reader := bufio.NewReader(c)
		for {
			token, err := readToken(reader)
			if err != nil {
				return
			}
			if _, err := io.WriteString(c, say(token)); err != nil || !strings.Contains(say(token), keepHeader) {
				return
			}
		}
	})
	tr.Keep = true
	t.Cleanup(tr.CloseIdleConnections)
	return tr, connections
}

// fetch sends a request and returns the body of its response, read to the end.
func fetch(t *testing.T, tr *Transport) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://x/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get(keepHeader) != "" {
		t.Errorf("the header is shown: %v", resp.Header)
	}
	resp.Body.Close()
	resp.Body.Close() // a second time closes nobody else's connection
	return string(body)
}

func TestKeep(t *testing.T) {
	page := func(format string) func(string) string {
		return func(token string) string { return fmt.Sprintf("Status: 200 OK\r\n"+format, token) }
	}
	tests := []struct {
		name        string
		say         func(string) string
		body        string
		connections int
	}{
		{"kept", page("Alforja-Keep: %s\r\nContent-Length: 2\r\n\r\nok"), "ok", 1},
		{"not asked for", page("X: %s\r\nContent-Length: 2\r\n\r\nok"), "ok", 3},
		{"another token", page("Alforja-Keep: x%s\r\nContent-Length: 2\r\n\r\nok"), "ok", 3},
		{"in chunks", page("Alforja-Keep: %s\r\nX: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n"), "", 3},
		{"no body", page("Alforja-Keep: %s\r\nContent-Length: 0\r\n\r\n"), "", 1},
		{"status without a body", func(token string) string {
			return "Status: 304 Not Modified\r\nAlforja-Keep: " + token + "\r\n\r\n"
		}, "", 1},
		{"bytes behind the body", page("Alforja-Keep: %s\r\nContent-Length: 2\r\n\r\nokStatus: 500 Evil\r\n\r\n"), "ok", 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tr, connections := keeper(t, test.say)
			for range 3 {
				if got := fetch(t, tr); got != test.body {
					t.Errorf("body %q", got)
				}
			}
			if *connections != test.connections {
				t.Errorf("%d connections, want %d", *connections, test.connections)
			}
		})
	}
}

// TestKeepWithoutLength: a response that ends with its connection ends it.
func TestKeepWithoutLength(t *testing.T) {
	tr := worker(t, func(c *net.UnixConn) {
		token, err := readToken(bufio.NewReader(c))
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(c, "Status: 200 OK\r\nAlforja-Keep: %s\r\n\r\nok", token)
	})
	tr.Keep = true
	for range 2 {
		if got := fetch(t, tr); got != "ok" || len(tr.idle.conns) != 0 {
			t.Errorf("body %q, %d connections kept", got, len(tr.idle.conns))
		}
	}
}

// TestKeptConnectionThatTheWorkerClosed: a worker that ended while it was idle
// costs no request.
func TestKeptConnectionThatTheWorkerClosed(t *testing.T) {
	closed := make(chan struct{})
	tr := worker(t, func(c *net.UnixConn) {
		token, err := readToken(bufio.NewReader(c))
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(c, "Status: 200 OK\r\nAlforja-Keep: %s\r\nContent-Length: 2\r\n\r\nok", token)
		c.Close()
		closed <- struct{}{}
	})
	tr.Keep = true
	for range 3 {
		if got := fetch(t, tr); got != "ok" {
			t.Errorf("body %q", got)
		}
		<-closed
	}
}

func TestKeepIsNotOfferedByDefault(t *testing.T) {
	tr := worker(t, func(c *net.UnixConn) {
		block, err := readNetstring(bufio.NewReader(c), 1<<20)
		if err != nil || strings.Contains(block, keepVariable) {
			t.Errorf("%v, block %q", err, block)
		}
		io.WriteString(c, "Status: 200 OK\r\n\r\n")
	})
	fetch(t, tr)
}

// TestKeptConnectionWithBytesUnasked: what a worker says between two requests
// is not the answer to the next.
func TestKeptConnectionWithBytesUnasked(t *testing.T) {
	idle, said := make(chan struct{}), make(chan struct{})
	tr := worker(t, func(c *net.UnixConn) {
		token, err := readToken(bufio.NewReader(c))
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(c, "Status: 200 OK\r\nAlforja-Keep: %s\r\nContent-Length: 2\r\n\r\nok", token)
		<-idle
		io.WriteString(c, "Status: 200 OK\r\nContent-Length: 4\r\n\r\nevil")
		said <- struct{}{}
		io.Copy(io.Discard, c)
	})
	tr.Keep = true
	t.Cleanup(tr.CloseIdleConnections)
	for range 3 {
		if got := fetch(t, tr); got != "ok" {
			t.Fatalf("body %q", got)
		}
		idle <- struct{}{}
		<-said
	}
}

// Who adds variables can neither choose the token nor offer to keep a
// connection that will not be kept.
func TestTokenIsTheTransports(t *testing.T) {
	req := newTestRequest(t, "GET", "http://x/", nil)
	req = req.WithContext(NewContext(req.Context(), map[string]string{keepVariable: "forged"}))
	for _, token := range []string{"", "0123456789abcdef"} {
		block, err := appendHeader(nil, req, 0, "", token)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readToken(bufio.NewReader(bytes.NewReader(block)))
		if err != nil || got != token || strings.Contains(string(block), "forged") {
			t.Errorf("token %q, %v: %q", got, err, block)
		}
	}
}
