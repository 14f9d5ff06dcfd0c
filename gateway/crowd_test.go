package gateway

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"alforja/store/memory"
)

// TestOneUserSlowsNobodyElse: 200 requests of one session at once, of which the
// first does not end. They occupy one of four workers; as many wait as may, and
// the rest are told at once.
func TestOneUserSlowsNobodyElse(t *testing.T) {
	const parallel, queue = 200, 50
	entered, leave := make(chan struct{}, parallel), make(chan struct{})
	s := newSite(t, func(w worker) {
		if w.env["ALFORJA_SESSION_ID"] == "own" {
			entered <- struct{}{}
			<-leave
		}
	}, func(s *Sessions) { s.LockQueue = queue })
	var all sync.WaitGroup
	var served atomic.Int32
	refused := make(chan struct{}, parallel)
	for range parallel {
		all.Go(func() {
			switch w := s.get("QX_session=own"); {
			case w.Code == 200:
				served.Add(1)
			case w.Code == 503 && w.Header().Get("Retry-After") != "":
				refused <- struct{}{}
			default:
				t.Errorf("status %d, %v", w.Code, w.Header())
			}
		})
	}
	<-entered
	for range parallel - queue {
		<-refused
	}
	for i := range 100 {
		if w := s.get(fmt.Sprintf("QX_session=other%d", i)); w.Code != 200 {
			t.Errorf("another user: %d", w.Code)
		}
	}
	if n := len(entered); n != 0 || served.Load() != 0 {
		t.Errorf("%d more of the one user's requests are at workers, %d are served", n, served.Load())
	}
	close(leave)
	all.Wait()
	if served.Load() != queue || len(refused) != 0 {
		t.Errorf("%d served, %d more refused", served.Load(), len(refused))
	}
	if w := s.get("QX_session=own"); w.Code != 200 {
		t.Errorf("when all is over: %d", w.Code)
	}
}

// sessionBehind runs requests of one session, each begun when those before it
// wait or are being served, and returns who is being served now.
func sessionBehind(t *testing.T, opts Sessions) (begin func(method, name string), serving func() []string, finish chan<- struct{}) {
	opts.Store, opts.Logger = memory.New(), slog.New(slog.DiscardHandler)
	var mu sync.Mutex
	var now []string
	leave := make(chan struct{})
	handler := opts.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		now = append(now, r.URL.Path[1:])
		mu.Unlock()
		<-leave
	}))
	begin = func(method, name string) {
		go func() {
			r := httptest.NewRequest(method, "/"+name, nil)
			r.Header.Set("Cookie", "QX_session=own")
			w := httptest.NewRecorder()
			if handler.ServeHTTP(w, r); w.Code != 200 {
				t.Errorf("%s: %d", name, w.Code)
			}
		}()
		synctest.Wait()
	}
	serving = func() []string {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(now)
	}
	return begin, serving, leave
}

// TestRequestsOfOneSessionAreServedInOrder: of those that wait, the first is next.
func TestRequestsOfOneSessionAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, serving, finish := sessionBehind(t, Sessions{})
		var want []string
		for i := range 20 {
			want = append(want, fmt.Sprint(i))
			begin("GET", want[i])
		}
		for i := range want {
			if got := serving(); !slices.Equal(got, want[:i+1]) {
				t.Fatalf("served %v, want %v", got, want[:i+1])
			}
			finish <- struct{}{}
		}
		synctest.Wait()
	})
}

// TestSharedMethodsTakeNoLock: pages that only read wait for nobody, and nobody
// for them; two that write are served one after the other.
func TestSharedMethodsTakeNoLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, serving, finish := sessionBehind(t, Sessions{SharedMethods: []string{"GET", "HEAD"}})
		begin("GET", "read-1")
		begin("POST", "write-1")
		begin("POST", "write-2")
		begin("GET", "read-2")
		begin("HEAD", "read-3")
		if got := serving(); !slices.Equal(got, []string{"read-1", "write-1", "read-2", "read-3"}) {
			t.Errorf("at once are served %v", got)
		}
		for range 4 {
			finish <- struct{}{}
		}
		if got := serving(); got[len(got)-1] != "write-2" {
			t.Errorf("served %v", got)
		}
		finish <- struct{}{}
		synctest.Wait()
	})
}

// TestLastWriteWinsWaitsForNobody: as session3 does.
func TestLastWriteWinsWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, serving, finish := sessionBehind(t, Sessions{Concurrency: LastWriteWins})
		begin("POST", "write-1")
		begin("POST", "write-2")
		if got := serving(); len(got) != 2 {
			t.Errorf("at once are served %v", got)
		}
		finish <- struct{}{}
		finish <- struct{}{}
		synctest.Wait()
	})
}
