package gateway

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// TestSpoolLimit: the files of all requests together stay within it, the next
// is refused before it is written, and what ends makes room.
func TestSpoolLimit(t *testing.T) {
	const size = 100_000
	spool := NewSpool(size * 3 / 2)
	entered, leave := make(chan struct{}), make(chan struct{})
	handler := BufferBodies(1<<20, spool, slog.New(slog.DiscardHandler), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			entered <- struct{}{}
			<-leave
		}
		if n, err := io.Copy(io.Discard, r.Body); err != nil || n != r.ContentLength {
			t.Errorf("%d bytes of %d, %v", n, r.ContentLength, err)
		}
	}))
	post := func(path string, size int, announce int64) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", path, strings.NewReader(strings.Repeat("x", size)))
		r.ContentLength = announce
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	first := make(chan int)
	go func() { first <- post("/wait", size, size).Code }()
	<-entered
	if used := spool.used.Load(); used != size {
		t.Errorf("%d bytes of one body of %d", used, size)
	}
	for _, announce := range []int64{size, -1} {
		if w := post("/", size, announce); w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("a second body: %d, %v", w.Code, w.Header())
		}
	}
	if w := post("/", 1000, 1000); w.Code != 200 {
		t.Errorf("one for memory: %d", w.Code)
	}
	if w := post("/", 2*size, 2*size); w.Code != 413 {
		t.Errorf("one that never fits: %d", w.Code)
	}
	if used := spool.used.Load(); used != size {
		t.Errorf("%d bytes after the refused ones", used)
	}
	close(leave)
	if code := <-first; code != 200 {
		t.Errorf("the first body: %d", code)
	}
	if w := post("/", size, -1); w.Code != 200 {
		t.Errorf("a body later: %d", w.Code)
	}
	if used, refused := spool.used.Load(), spool.refused.Load(); used != 0 || refused != 2 {
		t.Errorf("in the end %d bytes, %d refused", used, refused)
	}
}

// TestResponsesBeyondTheSpool reach their clients all the same.
func TestResponsesBeyondTheSpool(t *testing.T) {
	const size = 200_000
	for _, limit := range []int64{size, size - 1} {
		p := newRawProxy(t, func(w io.Writer) {
			fmt.Fprintf(w, "Status: 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
		})
		p.Spool = NewSpool(limit)
		most := int64(0)
		w := &noteWriter{ResponseRecorder: httptest.NewRecorder()}
		w.before = func() { most = max(most, p.Spool.used.Load()) }
		p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		want := int64(0)
		if limit == size {
			want = size
		}
		if w.Body.Len() != size || most != want || p.Spool.used.Load() != 0 || busy(p.Pool) != 0 {
			t.Errorf("limit %d: %d bytes, %d in files and %d afterwards, %d busy", limit, w.Body.Len(), most, p.Spool.used.Load(), busy(p.Pool))
		}
	}
}

// TestSpoolFileClosedTwiceAtOnce: a transport and a handler may close one request's body at one time.
func TestSpoolFileClosedTwiceAtOnce(t *testing.T) {
	s := NewSpool(1 << 20)
	for range 500 {
		f, err := s.create(100)
		if err != nil {
			t.Fatal(err)
		}
		var closing sync.WaitGroup
		for range 2 {
			closing.Go(func() { _ = f.Close() })
		}
		closing.Wait()
		if used := s.used.Load(); used != 0 {
			t.Fatalf("%d bytes are in use", used)
		}
	}
}
