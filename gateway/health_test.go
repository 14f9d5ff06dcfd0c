package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"alforja/gateway/scgi"
)

func checkedPool(t *testing.T, w *Worker) (*Pool, <-chan struct{}) {
	t.Helper()
	p := NewPool(nil, PoolOptions{QueueWait: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	return p, p.addChecked(w)
}

func stateOf(p *Pool) WorkerStatus {
	workers, _ := p.Status()
	return workers[0]
}

func TestOnlyACheckBringsABackendBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &Worker{Name: "theirs"}
		p, due := checkedPool(t, w)
		if s := stateOf(p); s.State != Starting {
			t.Errorf("before the first check it is %v", s.State)
		}
		acquire(t, p).release() // there is no other
		p.checked(w, nil)
		if s := stateOf(p); s.State != Idle {
			t.Errorf("after it, %v", s.State)
		}
		acquire(t, p).unreachable(errHung)
		var pauses []time.Duration
		for range 8 {
			start := time.Now()
			<-due
			pauses = append(pauses, time.Since(start))
			p.checked(w, errors.New("still away"))
		}
		want := []time.Duration{100e6, 200e6, 400e6, 800e6, 1600e6, 3200e6, 5e9, 5e9}
		for i := range want {
			if pauses[i] != want[i] {
				t.Fatalf("looked at after %v, want %v", pauses, want)
			}
		}
		if s := stateOf(p); s.State != Dead || s.Reason != "still away" {
			t.Errorf("while it is away: %+v", s)
		}
		start := time.Now()
		if _, err := p.acquire(t.Context()); !errors.Is(err, ErrNoWorker) || time.Since(start) != downWait {
			t.Errorf("a request meanwhile: %v after %v", err, time.Since(start))
		}
		<-due
		p.checked(w, nil)
		acquire(t, p)
		if s := stateOf(p); s.State != Busy || s.Reason != "" {
			t.Errorf("when it is back: %+v", s)
		}
	})
}

// TestRequestsWaitForARestart: none is refused because the only backend is away
// for a moment.
func TestRequestsWaitForARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &Worker{Name: "theirs"}
		p, _ := checkedPool(t, w)
		acquire(t, p).unreachable(errHung)
		back := time.AfterFunc(2*time.Second, func() { p.checked(w, nil) })
		defer back.Stop()
		start := time.Now()
		acquire(t, p)
		if waited := time.Since(start); waited != 2*time.Second {
			t.Errorf("waited %v", waited)
		}
	})
}

// TestAFailureDuringACheckCounts: the check began before it.
func TestAFailureDuringACheckCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &Worker{Name: "theirs", Concurrency: 2}
		p, due := checkedPool(t, w)
		if !p.borrow(w) {
			t.Fatal("no place for a check")
		}
		acquire(t, p).unreachable(errHung)
		p.checked(w, nil)
		p.giveBack(w)
		if s := stateOf(p); s.State != Dead {
			t.Errorf("it is %v", s.State)
		}
		<-due
	})
}

// TestChecksTakeAPlace: never more requests at a backend than it takes.
func TestChecksTakeAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &Worker{Name: "theirs"}
		p, due := checkedPool(t, w)
		p.checked(w, nil)
		l := acquire(t, p)
		if p.borrow(w) {
			t.Error("a check beside the only request that it takes")
		}
		l.release()
		if !p.borrow(w) {
			t.Error("no check of an idle one")
		}
		got := make(chan *lease)
		go func() { got <- acquire(t, p) }()
		synctest.Wait()
		select {
		case <-got:
			t.Error("a request beside the check")
		default:
		}
		p.giveBack(w)
		l = <-got
		// It is at a request when it fails, and has no place for the check then.
		p.mu.Lock()
		p.suspend(p.members[0], errHung)
		p.mu.Unlock()
		for range 3 {
			<-due
			if p.borrow(w) {
				t.Fatal("a check beside the request that hangs")
			}
		}
		l.release()
		<-due
		if !p.borrow(w) {
			t.Error("no check when it is at nothing")
		}
	})
}

// TestListensMakesNoConnection: 50 looks, and of what is accepted almost all is
// none of theirs. (A kernel under load may complete one.)
func TestListensMakesNoConnection(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "socket")
			}
			l, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			address = l.Addr().String()
			c := &checker{worker: &Worker{Transport: &scgi.Transport{Network: network, Address: address}}}
			for range 50 {
				if err := c.listens(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			last, err := net.Dial(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer last.Close()
			if _, err := last.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			for strangers := 0; ; strangers++ {
				conn, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				n, _ := conn.Read(make([]byte, 1))
				conn.Close()
				if n == 1 {
					break
				}
				if strangers == 10 {
					t.Fatal("looks were accepted as connections")
				}
			}
		})
	}
}

func TestListensSaysWhyNot(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	dead := filepath.Join(t.TempDir(), "dead")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	for _, test := range []struct {
		network, address string
		want             error
	}{
		{"tcp", l.Addr().String(), syscall.ECONNREFUSED},
		{"unix", dead, syscall.ECONNREFUSED},
		{"unix", dead + "-none", os.ErrNotExist},
	} {
		c := &checker{worker: &Worker{Transport: &scgi.Transport{Network: test.network, Address: test.address}}}
		if err := c.listens(t.Context()); !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.address) {
			t.Errorf("%s: %v", test.address, err)
		}
	}
}

// TestCheckersAskThePath: against a server that answers as it is told.
func TestCheckersAskThePath(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var status atomic.Int32
	status.Store(http.StatusOK)
	hanging, seen := make(chan struct{}), make(chan map[string]string, 100)
	server := &scgi.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- scgi.Env(r.Context())
		if status.Load() == 0 {
			<-hanging
			return
		}
		w.WriteHeader(int(status.Load()))
	})}
	go server.Serve(l)
	defer server.Close()
	defer close(hanging)

	w := &Worker{Name: "theirs", Transport: &scgi.Transport{Network: "tcp", Address: l.Addr().String()}}
	pool := NewPool(nil, PoolOptions{Logger: slog.New(slog.DiscardHandler)})
	c := &checker{
		HealthCheck: HealthCheck{Path: "/health?full=1", Timeout: time.Second},
		pool:        pool, worker: w, due: pool.addChecked(w),
		variables: func() map[string]string { return map[string]string{"TEST": "told"} },
	}
	for _, test := range []struct {
		status int32
		want   WorkerState
		reason string
	}{
		{http.StatusOK, Idle, ""},
		{http.StatusFound, Idle, ""},
		{http.StatusServiceUnavailable, Dead, "GET /health?full=1: 503 Service Unavailable"},
		{http.StatusOK, Idle, ""},
		{0, Dead, "deadline exceeded"},
	} {
		status.Store(test.status)
		c.checkOnce(t.Context())
		s := stateOf(pool)
		if s.State != test.want || !strings.Contains(s.Reason, test.reason) || s.Busy != 0 || s.Requests != 0 {
			t.Errorf("status %d: %+v", test.status, s)
		}
		env := <-seen
		if env["QUERY_STRING"] != "full=1" || env["TEST"] != "told" || env["PATH_INFO"] != "/health" {
			t.Errorf("it was asked %v", env)
		}
		if test.want == Dead {
			<-c.due
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	status.Store(http.StatusOK)
	c.checkOnce(ctx)
	if s := stateOf(pool); s.State != Dead {
		t.Errorf("a check that was called off says %v", s.State)
	}
}

func TestHealthPathIsTheApplications(t *testing.T) {
	for _, test := range []struct {
		path, scriptName string
		good             bool
	}{
		{"", "", true},
		{"/", "", true},
		{"/health", "/", true},
		{"/app/health?x=1", "/app", true},
		{"/app/", "/app", true},
		{"/app", "/app", true},
		{"/application", "/app", false},
		{"/health", "/app", false},
		{"health", "", false},
		{"http://elsewhere/", "", false},
		{"/a\x00b", "", false},
	} {
		h := HealthCheck{Path: test.path}
		if err := h.check(test.scriptName); (err == nil) != test.good {
			t.Errorf("path %q below %q: %v", test.path, test.scriptName, err)
		}
	}
}
