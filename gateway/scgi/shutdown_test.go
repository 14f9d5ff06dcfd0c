package scgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A request whose body is still coming is waited for, longer than a
// connection on which nothing has arrived.
func TestShutdownWaitsForRequestsInFlight(t *testing.T) {
	entered := make(chan struct{})
	s := &Server{HeaderTimeout: -1, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		io.Copy(w, r.Body)
	})}
	path := serve(t, s)
	idle := dial(t, path) // sends nothing
	c := dial(t, path)
	io.WriteString(c, netstring("CONTENT_LENGTH", "4", "SCGI", "1", "REQUEST_METHOD", "POST", "REQUEST_URI", "/")+"do")
	<-entered

	short, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown with a request in flight: %v", err)
	}
	if _, err := net.Dial("unix", path); err == nil {
		t.Error("still accepting")
	}
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	if n, err := idle.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("idle connection: %d bytes, %v", n, err)
	}
	io.WriteString(c, "ne")
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasSuffix(string(answer), "\r\n\r\ndone") {
		t.Errorf("answer %q, error %v", answer, err)
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// tellingListener tells of each connection that it hands to the server.
type tellingListener struct {
	net.Listener
	accepted chan struct{}
}

func (l tellingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted <- struct{}{}
	}
	return c, err
}

func TestShutdownServesWhatWaitsForMaxConns(t *testing.T) {
	entered, leave := make(chan struct{}, 2), make(chan struct{})
	s := &Server{MaxConns: 1, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-leave
		io.WriteString(w, r.URL.Path)
	})}
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	listener := tellingListener{l, make(chan struct{}, 2)}
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	first, second := dial(t, path), dial(t, path)
	io.WriteString(first, getRequest("GET", "/1"))
	<-entered
	io.WriteString(second, getRequest("GET", "/2"))
	<-listener.accepted
	<-listener.accepted

	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(context.Background()) }()
	<-entered
	select {
	case err := <-stopped:
		t.Errorf("Shutdown returned beside two requests: %v", err)
	default:
	}
	close(leave)
	for i, c := range []net.Conn{first, second} {
		want := fmt.Sprintf("\r\n\r\n/%d", i+1)
		if answer, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(answer), want) {
			t.Errorf("answer %q, error %v", answer, err)
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, ErrServerClosed) {
		t.Error(err)
	}
}
