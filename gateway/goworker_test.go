package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alforja/gateway/scgi"
)

// inWorker has a worker of its own serve a handler, until stop is called.
func (s *goSite) inWorker(handler http.Handler) (_ http.Handler, stop func()) {
	listener := listenForGateway(s.t)
	ctx, cancel := context.WithCancel(s.t.Context())
	opts := WorkerOptions{Sessions: s.sessions, Listener: listener}
	ended := make(chan error)
	go func() { ended <- ServeWorker(ctx, handler, opts) }()
	return proxyTo(listener), func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("ServeWorker: %v", err)
		}
	}
}

func listenForGateway(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "w"))
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func proxyTo(listener net.Listener) *Proxy {
	address := listener.Addr()
	worker := &Worker{Name: "go", Transport: &scgi.Transport{Network: address.Network(), Address: address.String()}}
	return &Proxy{Pool: NewPool([]*Worker{worker}, PoolOptions{}), Logger: slog.New(slog.DiscardHandler)}
}

func isInWorker(t *testing.T) bool { return strings.HasPrefix(t.Name(), "TestSessionsInWorkers/") }

// What holds of a session inside the gateway holds in a worker.
func TestSessionsInWorkers(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"reads":             TestSessionReads,
		"asked twice":       TestSessionOfIsOneForTheRequest,
		"no session":        TestSessionOfWhatIsNoSession,
		"writes":            TestSessionWrites,
		"own attributes":    TestSessionRefusesItsOwnAttributes,
		"items":             TestItemsAreApartFromAttributes,
		"form tokens":       TestFormTokens,
		"has info":          TestHasInfo,
		"new":               TestNewSessionIsStoredOnceItHasInfo,
		"class":             TestClassOfNewSessions,
		"new share nothing": TestNewSessionsShareNothing,
		"expire":            TestExpire,
		"read only":         TestReadingKeepsSessionsOfOwnClasses,
		"renew":             TestRenew,
		"deleted meanwhile": TestLoggedOutMeanwhileStaysLoggedOut,
		"information":       TestInformationIsNoResponse,
		"asked too late":    TestSessionAskedForTooLateIsClosed,
		"verified":          TestCommitIsVerified,
		"panic":             TestPanicChangesNothing,
		"access time":       TestAccessTime,
		"concurrent":        TestConcurrentHandlersLoseNothing,
		"large":             TestLargeSession,
	} {
		t.Run(name, test)
	}
}

// To a worker and back, a state is longer than any header of a client's.
func TestLargeSession(t *testing.T) {
	s := newGoSite(t)
	s.put("session-4")
	large := strings.Repeat("saddlebag", 300<<10)
	set := s.visit("own", func(session *Session) { s.must(session.Set("text", large)) })
	got := s.visit("own", func(session *Session) {
		if text, err := Get[string](session, "text"); text != large || err != nil {
			t.Errorf("%d bytes of %d, %v", len(text), len(large), err)
		}
	})
	if set.Code != 200 || got.Code != 200 {
		t.Errorf("status %d, then %d", set.Code, got.Code)
	}
}

// A page that tells of what could not be stored does not reach the client.
func TestFailedCommitWithholdsAWorkersPage(t *testing.T) {
	s := newGoSite(t)
	s.put("session-4")
	s.sessions.Store = readOnly{s.sessions.Store}
	worker, stop := s.inWorker(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := SessionOf(r.Context())
		s.must(err)
		s.must(session.SetUser("sancho"))
		w.Header().Set("ETag", `"page"`)
		io.WriteString(w, "welcome")
	}))
	defer stop()
	w := s.answer("own", worker)
	if w.Code != 500 || strings.Contains(w.Body.String(), "welcome") || w.Header().Get("ETag") != "" {
		t.Errorf("status %d, header %v, body %q", w.Code, w.Header(), w.Body)
	}
}

func TestWorkerRefusesWhatIsNotSigned(t *testing.T) {
	key := []byte("a key of 16 bytes")
	for _, test := range []struct {
		name            string
		gateway, worker []byte
		status          int
	}{
		{"the same key", key, key, 200},
		{"another", []byte("another, as long"), key, 403},
		{"none", nil, key, 403},
		{"nobody asks", key, nil, 200},
	} {
		s := newGoSite(t)
		s.put("session-4")
		s.sessions.Key = test.worker
		worker, stop := s.inWorker(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			session, err := SessionOf(r.Context())
			s.must(err)
			if session.User() != "quijote" {
				t.Errorf("%s: user %v", test.name, session.User())
			}
		}))
		s.sessions.Key = test.gateway
		if w := s.answer("own", worker); w.Code != test.status {
			t.Errorf("%s: status %d, want %d", test.name, w.Code, test.status)
		}
		stop()
	}
}

// A worker's key is in the file that its environment names.
func TestWorkersKeyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("a key of 16 bytes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ALFORJA_KEY_FILE", file)
	s := newGoSite(t)
	worker, stop := s.inWorker(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer stop()
	for key, status := range map[string]int{"": 403, "a key of 16 bytes": 200} {
		if s.sessions.Key = nil; key != "" {
			s.sessions.Key = []byte(key)
		}
		if w := s.answer("", worker); w.Code != status {
			t.Errorf("key %q: status %d, want %d", key, w.Code, status)
		}
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := ServeWorker(t.Context(), nil, WorkerOptions{}); err == nil || !strings.Contains(err.Error(), "read by others") {
		t.Errorf("a key that others may read: %v", err)
	}
}

// The variables are the gateway's alone, and not for pages.
func TestWorkersPagesDoNotSeeTheVariables(t *testing.T) {
	s := newGoSite(t)
	s.put("session-4")
	worker, stop := s.inWorker(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range scgi.Env(r.Context()) {
			if strings.Contains(name, "ALFORJA") {
				t.Errorf("%s=%s", name, value)
			}
		}
	}))
	defer stop()
	s.answer("own", worker)
}

func TestWorkerWithoutSessions(t *testing.T) {
	s := newGoSite(t)
	worker, stop := s.inWorker(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := SessionOf(r.Context()); !errors.Is(err, ErrNoSessions) {
			t.Errorf("error %v", err)
		}
	}))
	defer stop()
	w := httptest.NewRecorder()
	worker.ServeHTTP(w, httptest.NewRequest("GET", "/", nil)) // not by way of Sessions
	if w.Code != 200 {
		t.Errorf("status %d", w.Code)
	}
}

// A worker that is asked to end finishes what it is at.
func TestWorkerDrains(t *testing.T) {
	for _, test := range []struct {
		name    string
		timeout time.Duration
		status  int
		err     error
	}{
		{"in time", time.Minute, 200, nil},
		{"cut off", time.Millisecond, 502, context.DeadlineExceeded},
	} {
		listener := listenForGateway(t)
		ctx, end := context.WithCancel(t.Context())
		begun, ended, goOn := make(chan struct{}), make(chan error, 1), make(chan struct{})
		go func() {
			ended <- ServeWorker(ctx, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				close(begun)
				<-goOn
			}), WorkerOptions{Listener: listener, DrainTimeout: test.timeout})
		}()
		answered := make(chan int)
		go func() {
			w := httptest.NewRecorder()
			proxyTo(listener).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			answered <- w.Code
		}()
		<-begun
		end()
		if test.err == nil {
			close(goOn)
		}
		if err := <-ended; !errors.Is(err, test.err) {
			t.Errorf("%s: %v", test.name, err)
		}
		if status := <-answered; status != test.status {
			t.Errorf("%s: status %d, want %d", test.name, status, test.status)
		}
		if test.err != nil {
			close(goOn)
		}
	}
}

func TestWorkerNeedsASocket(t *testing.T) {
	if err := ServeWorker(t.Context(), nil, WorkerOptions{}); !errors.Is(err, ErrNoListener) {
		t.Errorf("without one: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var options *OptionsError
	if err := ServeWorker(t.Context(), nil, WorkerOptions{Listener: listener}); !errors.As(err, &options) {
		t.Errorf("over TCP without a key: %v", err)
	}
}
