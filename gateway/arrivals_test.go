package gateway

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestShutdownAnswersWhatWasAccepted: a connection whose request comes when the
// server has been told to stop, one that waits for another's end, and one that
// never sends any.
func TestShutdownAnswersWhatWasAccepted(t *testing.T) {
	for _, test := range []struct {
		name, request string
		others        int // connections at the limit
	}{
		{"late", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
		{"over the limit", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1},
		{"silent", "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			accepted := make(chan struct{}, 1)
			s := newPatientServer(&http.Server{
				Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "page") }),
				ConnState: func(_ net.Conn, state http.ConnState) {
					if state == http.StateNew {
						accepted <- struct{}{}
					}
				},
			}, 1)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go s.Serve(l)
			var conns []net.Conn
			for range test.others + 1 {
				conn, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				<-accepted
				conns = append(conns, conn)
			}
			conn := conns[test.others]
			ended := make(chan error)
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), 2*arrivalWait)
				defer cancel()
				ended <- s.Shutdown(ctx)
				s.Close()
			}()
			<-s.accepted // now it is told to stop
			if test.request == "" {
				if err := <-ended; err != context.DeadlineExceeded {
					t.Errorf("with a silent connection Shutdown ended with %v", err)
				}
				return
			}
			if _, err := io.WriteString(conn, test.request); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			page, err := io.ReadAll(resp.Body)
			if err != nil || string(page) != "page" {
				t.Errorf("%q, %v", page, err)
			}
			for _, conn := range conns {
				conn.Close()
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestShutdownAnswersTheNextRequest: a client that asks for one page after the
// other is told to leave with an answer, not by a closed connection.
func TestShutdownAnswersTheNextRequest(t *testing.T) {
	s := newPatientServer(&http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }),
	}, 10)
	s.nextWait = 10 * time.Second // longer than anything takes here: Shutdown waits for arrivalWait
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	get := func(path string) *http.Response {
		t.Helper()
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if page, err := io.ReadAll(resp.Body); err != nil || string(page) != path {
			t.Fatalf("%q, %v", page, err)
		}
		return resp
	}
	if get("/1").Close {
		t.Error("told to leave at the first request")
	}
	ended := make(chan error)
	go func() { ended <- s.Shutdown(t.Context()) }()
	<-s.stopping
	if !get("/2").Close {
		t.Error("not told to leave")
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
