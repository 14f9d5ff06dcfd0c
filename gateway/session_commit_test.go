package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"alforja/gateway/scgi"
	"alforja/pickle"
	"alforja/store"
)

func TestNewSessionIsStoredOnceItHasInfo(t *testing.T) {
	tests := []struct {
		name   string
		do     func(*Session) error
		stored bool
	}{
		{"looked at", func(*Session) error { return nil }, false},
		{"counted without a user", func(s *Session) error { return s.Set("counter", 1) }, false},
		{"logged in", func(s *Session) error { return s.SetUser("quijote") }, true},
		{"logged in and renewed", func(s *Session) error { return errors.Join(s.SetUser("quijote"), s.Renew()) }, true},
	}
	for _, test := range tests {
		for _, stale := range []string{"", "gone"} {
			t.Run(test.name+" "+stale, func(t *testing.T) {
				s := newGoSite(t)
				w := s.visit(stale, func(session *Session) {
					if session.ID() != "" || session.RemoteAddr() != "198.51.100.4" || session.User() != nil {
						t.Errorf("id %q, address %q, user %v", session.ID(), session.RemoteAddr(), session.User())
					}
					s.must(test.do(session))
				})
				if !test.stored {
					if w.Header().Get("Set-Cookie") != "" {
						t.Errorf("Set-Cookie %q", w.Header()["Set-Cookie"])
					}
					return
				}
				id := s.cookieID(w)
				stored := s.view(id)
				if got, _ := stored.Get("id"); got != pickle.Str(id) || stored.Class() != session3Class || id == stale {
					t.Errorf("id %v, class %v", got, stored.Class())
				}
			})
		}
	}
}

func TestClassOfNewSessions(t *testing.T) {
	own := pickle.Import{Module: "shop", Name: "ShopSession"}
	tests := []struct {
		class SessionClass
		want  pickle.Import
		extra string // the attribute that it has beside
	}{
		{SessionClass{}, session3Class, ""},
		{SessionClass{Import: dictClass}, dictClass, "data"},
		{SessionClass{Import: quixoteClass}, quixoteClass, "_csrf_token"},
		{SessionClass{Import: own, Attributes: []pickle.Item{{Key: pickle.Str("cart"), Value: new(pickle.List)}}}, own, "cart"},
	}
	for _, test := range tests {
		s := newGoSite(t)
		s.sessions.Class = test.class
		stored := s.view(s.cookieID(s.visit("", func(session *Session) { s.must(session.SetUser("a")) })))
		names := []string{"id", "user", "_remote_address", "_creation_time", "_access_time", "_form_tokens"}
		if test.extra != "" {
			names = append(names, test.extra)
		}
		if got := strings.Join(stored.Names(), " "); got != strings.Join(names, " ") || stored.Class() != test.want {
			t.Errorf("%v: %v with %s", test.class.Import, stored.Class(), got)
		}
	}
}

// Two new sessions share no attribute, whatever the handler does to one.
func TestNewSessionsShareNothing(t *testing.T) {
	s := newGoSite(t)
	s.sessions.Class.Import = dictClass
	for range 2 {
		s.visit("", func(session *Session) {
			items, _ := session.Items()
			if len(items.Keys()) != 0 {
				t.Errorf("a new session holds %v", items.Keys())
			}
			s.must(items.Set("a", 1))
		})
	}
}

// The cookie's path is where the application is, unless another is set. What
// Quixote writes is compared in integration/test_go_handlers.py.
func TestCookiePath(t *testing.T) {
	tests := []struct{ path, script, want string }{
		{"", "", "/"},
		{"", "/", "/"},
		{"", "/shop", "/shop/"},
		{"", "/shop/", "/shop/"},
		{"", "/elsewhere", "/"}, // not where the request is
		{"/all", "/shop", "/all"},
	}
	for _, test := range tests {
		s := newGoSite(t)
		s.sessions.Cookie.Path = test.path
		handler := s.sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			session, err := SessionOf(r.Context())
			s.must(err)
			s.must(session.SetUser("a"))
		}))
		r := httptest.NewRequest("GET", "/shop/page", nil)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r.WithContext(scgi.WithEnv(r.Context(), map[string]string{"SCRIPT_NAME": test.script})))
		if _, path, _ := strings.Cut(w.Header().Get("Set-Cookie"), "; path="); path != test.want {
			t.Errorf("%+v: %q", test, w.Header()["Set-Cookie"])
		}
	}
}

func TestExpire(t *testing.T) {
	const revoked = `QX_session=""; path=/; max-age=0`
	tests := []struct {
		name string
		id   string
		do   func(*Session) error
	}{
		{"logout", "own", (*Session).Expire},
		{"of a new session", "", (*Session).Expire},
		{"without info", "own", func(s *Session) error { return s.SetUser(nil) }},
	}
	for _, test := range tests {
		s := newGoSite(t)
		s.put("session-4")
		w := s.visit(test.id, func(session *Session) { s.must(test.do(session)) })
		if got := w.Header().Get("Set-Cookie"); got != revoked {
			t.Errorf("%s: Set-Cookie %q", test.name, got)
		}
		if gone := s.state("own") == nil; gone != (test.id == "own") {
			t.Errorf("%s: the session is gone: %v", test.name, gone)
		}
	}
	s := newGoSite(t)
	s.put("session-4")
	s.visit("own", func(session *Session) {
		s.must(session.Expire())
		for _, err := range []error{session.SetUser("a"), session.Renew(), session.Expire(), session.Delete("counter")} {
			if !errors.Is(err, ErrSessionClosed) {
				t.Errorf("after Expire: %v", err)
			}
		}
	})
}

// What an application's own class finds worth keeping is not known in Go: a
// page that only reads keeps it, and one that takes the last thing away does not.
func TestReadingKeepsSessionsOfOwnClasses(t *testing.T) {
	own := pickle.Import{Module: "shop", Name: "ShopSession"}
	never := func(*Session) bool { return false }
	tests := []struct {
		name    string
		class   pickle.Import
		hasInfo func(*Session) bool
		do      func(*Session) error
		kept    bool
	}{
		{"own class, read", own, nil, func(*Session) error { return nil }, true},
		{"own class, renewed", own, nil, (*Session).Renew, true},
		{"own class, changed", own, nil, func(s *Session) error { return errors.Join(s.SetUser("a"), s.SetUser(nil)) }, false},
		{"own class, set to what it is", own, nil, func(s *Session) error { return s.SetUser(nil) }, true},
		{"own class, without what is deleted", own, nil, func(s *Session) error { return s.Delete("nothing") }, true},
		{"own class, expired", own, nil, (*Session).Expire, false},
		{"own class, by HasInfo", own, never, func(*Session) error { return nil }, false},
		{"session3", session3Class, nil, func(*Session) error { return nil }, false},
		{"DictSession", dictClass, nil, func(*Session) error { return nil }, false},
		{"Quixote", quixoteClass, nil, func(*Session) error { return nil }, false},
	}
	for _, test := range tests {
		s := newGoSite(t)
		s.sessions.HasInfo = test.hasInfo
		made := SessionClass{Import: test.class}.newView("198.51.100.4", time.Unix(1700000000, 0))
		state, err := made.State()
		s.must(err)
		s.must(s.sessions.Store.Create(t.Context(), "own", state))
		w := s.visit("own", func(session *Session) { s.must(test.do(session)) })
		kept := false
		for range s.sessions.Store.All(t.Context(), "") {
			kept = true
		}
		revoked := strings.HasPrefix(w.Header().Get("Set-Cookie"), `QX_session="";`)
		if kept != test.kept || revoked == test.kept {
			t.Errorf("%s: kept %v, cookie %q", test.name, kept, w.Header().Get("Set-Cookie"))
		}
	}
}

func TestRenew(t *testing.T) {
	s := newGoSite(t)
	before := s.put("shop-4")
	w := s.visit("own", func(session *Session) {
		s.must(session.Renew())
		s.must(session.SetUser("Sancho"))
	})
	id := s.cookieID(w)
	if s.state("own") != nil || id == "own" {
		t.Errorf("the old session %q is there", id)
	}
	renewed := s.view(id)
	user, _ := renewed.Get("user")
	if got, _ := renewed.Get("id"); got != pickle.Str(id) || user != pickle.Str("Sancho") {
		t.Errorf("id %v, user %v", got, user)
	}
	// The cart and all behind it: the same bytes.
	if got := s.state(id); !bytes.Equal(got[bytes.Index(got, []byte("cart")):], before[bytes.Index(before, []byte("cart")):]) {
		t.Errorf("state %q", got)
	}
}

// gone is a store in which another process logs the user out while the request runs.
type gone struct{ store.Store }

func (g gone) Create(ctx context.Context, id string, state []byte) error {
	if _, err := g.Delete(ctx, "own"); err != nil {
		return err
	}
	return g.Store.Create(ctx, id, state)
}

func (g gone) Update(ctx context.Context, id string, state []byte) (bool, error) {
	if _, err := g.Delete(ctx, id); err != nil {
		return false, err
	}
	return g.Store.Update(ctx, id, state)
}

func TestLoggedOutMeanwhileStaysLoggedOut(t *testing.T) {
	for name, do := range map[string]func(*Session) error{
		"save":  func(s *Session) error { return s.Set("counter", 8) },
		"renew": (*Session).Renew,
	} {
		s := newGoSite(t)
		s.put("session-4")
		s.sessions.Store = gone{s.sessions.Store}
		w := s.visit("own", func(session *Session) { s.must(do(session)) })
		for info, err := range s.sessions.Store.All(t.Context(), "") {
			t.Errorf("%s: session %q is there, %v", name, info.ID, err)
		}
		if cookies := w.Header()["Set-Cookie"]; w.Code != 200 || cookies != nil {
			t.Errorf("%s: status %d, cookies %q", name, w.Code, cookies)
		}
	}
}

// The store has the session, and the next request may come in, before the first
// byte or flush is behind.
func TestCommitComesBeforeTheResponse(t *testing.T) {
	tests := map[string]func(http.ResponseWriter){
		"write":      func(w http.ResponseWriter) { io.WriteString(w, "page") },
		"status":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusAccepted) },
		"flush":      func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"controller": func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
	}
	for name, begin := range tests {
		s := newGoSite(t)
		s.put("session-4")
		s.serve("own", func(w http.ResponseWriter, r *http.Request) {
			session, err := SessionOf(r.Context())
			s.must(err)
			s.must(session.Set("counter", 8))
			begin(w)
			if n, _ := s.view("own").Get("counter"); n != pickle.Int(8) {
				t.Errorf("%s: counter %v is stored", name, n)
			}
			if err := session.Set("counter", 9); !errors.Is(err, ErrSessionClosed) {
				t.Errorf("%s: set afterwards: %v", name, err)
			}
			soon, cancel := context.WithTimeout(r.Context(), 2*time.Second)
			defer cancel()
			if unlock, err := s.sessions.Store.Lock(soon, "own"); err != nil {
				t.Errorf("%s: the session is still locked: %v", name, err)
			} else {
				unlock()
			}
			if n, _ := Get[int](session, "counter"); n != 8 {
				t.Errorf("%s: counter %d", name, n)
			}
		})
	}
}

// Early hints are no response: they come while the session is still open.
func TestInformationIsNoResponse(t *testing.T) {
	s := newGoSite(t)
	s.put("session-4")
	s.serve("own", func(w http.ResponseWriter, r *http.Request) {
		session, err := SessionOf(r.Context())
		s.must(err)
		w.WriteHeader(http.StatusEarlyHints)
		s.must(session.Set("counter", 8))
	})
	if n, _ := s.view("own").Get("counter"); n != pickle.Int(8) {
		t.Errorf("counter %v", n)
	}
}

func TestSessionAskedForTooLateIsClosed(t *testing.T) {
	s := newGoSite(t)
	state := s.put("session-4")
	s.serve("own", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "page")
		session, err := SessionOf(r.Context())
		s.must(err)
		if err := session.SetUser("a"); !errors.Is(err, ErrSessionClosed) || session.User() != "quijote" {
			t.Errorf("error %v, user %v", err, session.User())
		}
		if err := session.RemoveFormToken("first"); !errors.Is(err, ErrSessionClosed) || !session.HasFormToken("first") {
			t.Errorf("error %v, tokens %v", err, session.formTokens())
		}
	})
	if !bytes.Equal(s.state("own"), state) {
		t.Error("the session has changed")
	}
}

// readOnly is a store on a disk that takes no more.
type readOnly struct{ store.Store }

var errFull = errors.New("disk full")

func (readOnly) Create(context.Context, string, []byte) error         { return errFull }
func (readOnly) Update(context.Context, string, []byte) (bool, error) { return false, errFull }
func (readOnly) Touch(context.Context, string) (bool, error)          { return false, errFull }
func (readOnly) Delete(context.Context, string) (bool, error)         { return false, errFull }

func TestFailedCommitWithholdsTheResponse(t *testing.T) {
	login := func(s *Session) error { return s.SetUser("quijote") }
	tests := []struct {
		name, id string
		do       func(*Session) error
	}{
		{"create", "", login},
		{"update", "own", login},
		{"renew", "own", (*Session).Renew},
		{"delete", "own", (*Session).Expire},
	}
	for _, test := range tests {
		s := newGoSite(t)
		s.put("session-4")
		s.sessions.Store = readOnly{s.sessions.Store}
		w := s.serve(test.id, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"page"`)
			w.Header().Set("Connection", "close")
			session, err := SessionOf(r.Context())
			s.must(err)
			s.must(test.do(session))
			for range 2 {
				if _, err := io.WriteString(w, "welcome"); err == nil {
					t.Errorf("%s: the write is no error", test.name)
				}
			}
		})
		header := w.Header()
		if w.Code != 500 || strings.Contains(w.Body.String(), "welcome") || header.Get("Set-Cookie") != "" || header.Get("ETag") != "" {
			t.Errorf("%s: status %d, header %v, body %q", test.name, w.Code, header, w.Body)
		}
		if header.Get("Connection") != "close" {
			t.Errorf("%s: the connection is kept", test.name)
		}
	}
}

// What policy would not let anybody load again is not stored.
func TestCommitIsVerified(t *testing.T) {
	s := newGoSite(t)
	state := s.put("session-4")
	w := s.visit("own", func(session *Session) {
		s.must(session.Set("run", &pickle.Object{
			How: pickle.Reduce, Callable: pickle.Import{Module: "os", Name: "system"},
			Args: &pickle.Tuple{Items: []pickle.Value{pickle.Str("true")}},
		}))
	})
	if w.Code != 500 || !bytes.Equal(s.state("own"), state) {
		t.Errorf("status %d", w.Code)
	}
}

func TestPanicChangesNothing(t *testing.T) {
	s := newGoSite(t)
	state := s.put("session-4")
	func() {
		defer func() { recover() }()
		s.visit("own", func(session *Session) {
			s.must(session.SetUser("a"))
			panic("page failed")
		})
	}()
	if !bytes.Equal(s.state("own"), state) {
		t.Error("the session has changed")
	}
	s.visit("own", func(session *Session) {}) // its lock is free
}

// As session3 does: a visit is noted at most once a second.
func TestAccessTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newGoSite(t)
		id := s.cookieID(s.visit("", func(session *Session) { s.must(session.SetUser("a")) }))
		first := s.state(id)
		time.Sleep(900 * time.Millisecond)
		s.visit(id, func(*Session) {})
		if !bytes.Equal(s.state(id), first) {
			t.Error("noted within a second")
		}
		time.Sleep(200 * time.Millisecond)
		s.visit(id, func(*Session) {})
		if accessed, _ := s.view(id).Get("_access_time"); accessed != pythonTime(time.Now()) {
			t.Errorf("accessed %v, now %v", accessed, pythonTime(time.Now()))
		}
		noted := s.state(id)
		time.Sleep(time.Minute)
		s.serve(id, func(http.ResponseWriter, *http.Request) {})
		s.sessions.SharedMethods = []string{"GET"}
		s.visit(id, func(*Session) {})
		if !bytes.Equal(s.state(id), noted) {
			t.Error("noted by a handler that did not ask for the session, or without the lock")
		}
	})
}

func TestConcurrentHandlersLoseNothing(t *testing.T) {
	for _, mode := range []Mode{Managed, Shared} {
		s := newGoSite(t)
		s.sessions.Mode = mode
		s.put("session-4")
		handler := s.sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			session, err := SessionOf(r.Context())
			s.must(err)
			n, err := Get[int](session, "counter")
			s.must(err)
			s.must(session.Set("counter", n+1))
			io.WriteString(w, "counted")
		}))
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for range 50 {
					r := httptest.NewRequest("GET", "/", nil)
					r.Header.Set("Cookie", "QX_session=own")
					handler.ServeHTTP(httptest.NewRecorder(), r)
				}
			})
		}
		clients.Wait()
		if n, _ := s.view("own").Get("counter"); n != pickle.Int(7+8*50) {
			t.Errorf("%s: counter %v", mode, n)
		}
	}
}

// What a Go handler changes before it leaves the request to a worker is not
// stored over what the worker did.
func TestHandlerInFrontOfWorkers(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "w"))
	if err != nil {
		t.Fatal(err)
	}
	serveWorker(t, listener, func(w worker) { w.save("save", "own", "after") })
	proxy := &Proxy{Pool: NewPool([]*Worker{{Transport: &scgi.Transport{Network: "unix", Address: listener.Addr().String()}}}, PoolOptions{})}
	s := newGoSite(t)
	s.put("session-4")
	w := s.serve("own", func(w http.ResponseWriter, r *http.Request) {
		session, err := SessionOf(r.Context())
		s.must(err)
		s.must(session.SetUser("dropped"))
		proxy.ServeHTTP(w, r)
		if err := session.SetUser("late"); !errors.Is(err, ErrSessionClosed) {
			t.Errorf("afterwards: %v", err)
		}
	})
	if got := s.state("own"); w.Code != 200 || !bytes.Equal(got, pickled("after")) {
		t.Errorf("status %d, state %q", w.Code, got)
	}
	if !strings.Contains(s.log.String(), "is dropped") {
		t.Errorf("not logged:\n%s", s.log)
	}
}

// Whether what a Go handler changes is stored must not depend on how the
// worker fares that it left the request to.
func TestHandlerInFrontOfFailingWorkers(t *testing.T) {
	gone := &Worker{Transport: &scgi.Transport{Network: "unix", Address: filepath.Join(t.TempDir(), "none")}}
	for status, worker := range map[int]*Worker{
		http.StatusBadGateway:         newRawWorker(t, func(io.Writer) {}),
		http.StatusGatewayTimeout:     newRawWorker(t, func(io.Writer) { time.Sleep(100 * time.Millisecond) }),
		http.StatusServiceUnavailable: gone,
	} {
		proxy := &Proxy{
			Pool:           NewPool([]*Worker{worker}, PoolOptions{QueueWait: time.Millisecond}),
			RequestTimeout: 50 * time.Millisecond,
			Logger:         slog.New(slog.DiscardHandler),
		}
		s := newGoSite(t)
		before := s.put("session-4")
		w := s.serve("own", func(w http.ResponseWriter, r *http.Request) {
			session, err := SessionOf(r.Context())
			s.must(err)
			s.must(session.SetUser("dropped"))
			proxy.ServeHTTP(w, r)
		})
		if got := s.state("own"); w.Code != status || !bytes.Equal(got, before) {
			t.Errorf("status %d, want %d, state %q", w.Code, status, got)
		}
		if !strings.Contains(s.log.String(), "is dropped") {
			t.Errorf("%d: not logged:\n%s", status, s.log)
		}
	}
}
