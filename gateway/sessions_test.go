package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"alforja/store"
	"alforja/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestCookieHeadersAreOne: HTTP/2 sends cookies in several headers. One that is
// refused is taken out of all of them.
func TestCookieHeadersAreOne(t *testing.T) {
	var cookie string
	s := newSite(t, func(w worker) { cookie = w.env["HTTP_COOKIE"] }, nil)
	r := httptest.NewRequest("GET", "/page", nil)
	r.Header["Cookie"] = []string{"a=1", `QX_session="../evil"; b=2`, "c=3"}
	s.handler.ServeHTTP(httptest.NewRecorder(), r)
	if cookie != "a=1; b=2; c=3" {
		t.Errorf("the worker got %q", cookie)
	}
}

func TestDirectivesAreCommitted(t *testing.T) {
	tests := []struct {
		name       string
		do         func(worker)
		cookie     string
		own, other string // states afterwards
		action     string // in the access log
	}{
		{"none", func(worker) {}, "QX_session=own", "before", "", ""},
		{"save", func(w worker) { w.save("save", "own", "after") }, "QX_session=own", "after", "", "save"},
		{"keep", func(w worker) { w.say("keep", "own") }, "QX_session=own", "before", "", "keep"},
		{"delete", func(w worker) { w.say("delete", "own") }, "QX_session=own", "", "", "delete"},
		{"create", func(w worker) { w.save("create", "other", "new") }, "", "before", "new", "create"},
		{"create beside one's own", func(w worker) { w.save("create", "other", "new") }, "QX_session=own", "before", "new", "create"},
		{"renew", func(w worker) { w.save("renew", "other", "new") }, "QX_session=own", "", "new", "renew"},
		{"renew without a session", func(w worker) { w.save("renew", "other", "new") }, "", "before", "", ""},
		{"renew of one that is not there", func(w worker) { w.save("renew", "other", "new") }, "QX_session=nobody", "before", "", "renew"},
		{"save without a session", func(w worker) { w.save("save", "own", "after") }, "", "before", "", ""},
		{"save of another", func(w worker) { w.save("save", "own", "after") }, "QX_session=other", "before", "", ""},
		{"save of one that is not there", func(w worker) { w.save("save", "other", "after") }, "QX_session=other", "before", "", "save"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, test.do, nil)
			s.put(t, "own", "before")
			w := s.get(test.cookie)
			if w.Code != 200 || w.Header().Get(DirectiveHeader) != "" {
				t.Errorf("status %d, headers %v", w.Code, w.Header())
			}
			if own, other := s.state(t, "own"), s.state(t, "other"); own != test.own || other != test.other {
				t.Errorf("own %q, other %q; want %q, %q", own, other, test.own, test.other)
			}
			if want := fmt.Sprintf("action=%s ", orQuotes(test.action)); !strings.Contains(s.log.String(), want) {
				t.Errorf("no %q in the log:\n%s", want, s.log)
			}
		})
	}
}

func orQuotes(s string) string {
	if s == "" {
		return `""`
	}
	return s
}

// A response that breaks off behind a new id still tells the client of that: the old one is gone.
func TestCutResponseKeepsTheNewID(t *testing.T) {
	for action, want := range map[string]string{"renew": `[QX_session="other"]`, "": "[]"} {
		s := newSite(t, func(w worker) {
			if action != "" {
				w.save(action, "other", "new")
			}
			w.header["Set-Cookie"] = []string{`QX_session="other"`, "secret=1"}
			w.header.Set("Content-Length", "100") // of which nothing comes
		}, nil)
		s.put(t, "own", "before")
		w := s.get("QX_session=own")
		if got := fmt.Sprint(w.Header()["Set-Cookie"]); w.Code != 502 || got != want {
			t.Errorf("%q: status %d, cookies %s, want %s", action, w.Code, got, want)
		}
	}
}

// TestForeignCookie: an application that keeps its sessions elsewhere is
// noticed, once.
func TestForeignCookie(t *testing.T) {
	s := newSite(t, func(w worker) { w.header.Set("Set-Cookie", `QX_session="abc"; path=/`) }, nil)
	for range 3 {
		s.get("")
	}
	if n := strings.Count(s.log.String(), "shared mode"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, s.log)
	}
	s = newSite(t, func(w worker) { w.header.Set("Set-Cookie", `QX_session=""; max-age=0`) }, nil)
	if s.get(""); strings.Contains(s.log.String(), "shared mode") {
		t.Errorf("a revoked cookie was taken for one:\n%s", s.log)
	}
}

func TestWorkerGetsItsVariables(t *testing.T) {
	var got worker
	key := []byte("0123456789abcdef")
	s := newSite(t, func(w worker) { got = w }, func(s *Sessions) { s.Key = key })
	s.put(t, "own", "before")

	s.get("a=b; QX_session=own")
	if got.env["ALFORJA_SESSION_ID"] != "own" || !bytes.Equal(got.state, pickled("before")) || got.env["ALFORJA_API"] != "/run/api.sock" {
		t.Errorf("variables %v", got.env)
	}
	first := got.env["ALFORJA_NONCE"]
	if want := sign(key, first, "own", got.env["ALFORJA_SESSION"]); got.env["ALFORJA_SIGNATURE"] != want {
		t.Errorf("signature %q, want %q", got.env["ALFORJA_SIGNATURE"], want)
	}

	s.get("QX_session=nobody")
	if _, ok := got.env["ALFORJA_SESSION"]; ok || got.env["ALFORJA_SESSION_ID"] != "nobody" {
		t.Errorf("for a session that is not there: %v", got.env)
	}
	if len(first) != 22 || first == got.env["ALFORJA_NONCE"] {
		t.Errorf("nonces %q and %q", first, got.env["ALFORJA_NONCE"])
	}

	s.get("a=b; QX_session=../evil; c=d")
	if _, ok := got.env["ALFORJA_SESSION_ID"]; ok || got.env["HTTP_COOKIE"] != "a=b; c=d" {
		t.Errorf("for a refused cookie: %v", got.env)
	}
}

// TestSignature: an independent computation of the text that docs/protocol.md
// has signed (printf 'n\nid\nstate' | openssl dgst -sha256 -hmac k).
func TestSignature(t *testing.T) {
	const want = "9c7ff4ed650152b8c539f5012690b7224adb71947fc59fc6ecd57e0f7b0c4437"
	if got := sign([]byte("k"), "n", "id", "state"); got != want {
		t.Errorf("got %s", got)
	}
}

func TestSharedMode(t *testing.T) {
	var got worker
	s := newSite(t, func(w worker) { got = w; w.say("delete", "own") }, func(s *Sessions) { s.Mode = Shared })
	s.put(t, "own", "before")
	w := s.get("QX_session=own")
	for name := range got.env {
		if strings.HasPrefix(name, "ALFORJA_") {
			t.Errorf("the worker got %s", name)
		}
	}
	if w.Header().Get(DirectiveHeader) != "" || s.state(t, "own") != "before" {
		t.Error("a directive was followed, or shown to the client")
	}
	if !strings.Contains(s.log.String(), "dropped") {
		t.Error("nothing in the log")
	}
}

// TestCommitFails: the client does not get a page, nor a cookie, for a session
// that was not stored.
func TestCommitFails(t *testing.T) {
	tests := []struct {
		name string
		do   func(worker)
		says string
	}{
		{"id taken", func(w worker) { w.save("create", "taken", "x") }, "exists already"},
		{"new id taken", func(w worker) { w.save("renew", "taken", "x") }, "exists already"},
		{"renewed harmfully", func(w worker) {
			w.say("renew", "other", base64.StdEncoding.EncodeToString([]byte("cos\nsystem\n(S'true'\ntR.")))
		}, "os.system"},
		{"too large", func(w worker) {
			state := bytes.Repeat([]byte{'N', '0'}, store.MaxStateBytes/2)
			w.say("save", "own", base64.StdEncoding.EncodeToString(append(state, 'N', '.')))
		}, "too large"},
		{"harmful", func(w worker) {
			w.say("save", "own", base64.StdEncoding.EncodeToString([]byte("cos\nsystem\n(S'true'\ntR.")))
		}, "os.system"},
		{"cut", func(w worker) {
			w.say("save", "own", base64.StdEncoding.EncodeToString(pickled("x")[:3]))
		}, "would not load"},
		{"trailing bytes", func(w worker) {
			w.say("save", "own", base64.StdEncoding.EncodeToString(append(pickled("x"), 'N')))
		}, "behind its pickle"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, func(w worker) {
				w.header.Set("Set-Cookie", "QX_session=taken")
				test.do(w)
			}, nil)
			s.put(t, "own", "before")
			s.put(t, "taken", "before")
			w := s.get("QX_session=own")
			if w.Code != 500 || w.Header().Get("Set-Cookie") != "" {
				t.Errorf("status %d, headers %v", w.Code, w.Header())
			}
			if s.state(t, "own") != "before" || s.state(t, "taken") != "before" {
				t.Error("a session was changed")
			}
			if !strings.Contains(s.log.String(), test.says) {
				t.Errorf("no %q in the log:\n%s", test.says, s.log)
			}
			if again := s.get("QX_session=own"); again.Code != 500 {
				t.Errorf("afterwards: %d", again.Code) // and not 503: the lock was released
			}
		})
	}
}

// TestRequestsOfOneSessionAreSerialized: a counter that is read, and written
// back, by many at once.
func TestRequestsOfOneSessionAreSerialized(t *testing.T) {
	s := newSite(t, func(w worker) { w.save("save", "own", string(w.state[4:len(w.state)-1])+"x") }, nil)
	s.put(t, "own", "")
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if w := s.get("QX_session=own"); w.Code != 200 {
				t.Errorf("status %d", w.Code)
			}
		})
	}
	all.Wait()
	if got := s.state(t, "own"); got != strings.Repeat("x", 100) {
		t.Errorf("%d of 100 updates kept", len(got))
	}
}

func TestLockWait(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := newSite(t, func(w worker) {
		if w.env["ALFORJA_SESSION_ID"] == "own" {
			entered <- struct{}{}
			<-leave
		}
	}, func(s *Sessions) { s.LockWait = 100 * time.Millisecond; s.Skip = []string{"/free/"} })
	var first sync.WaitGroup
	first.Go(func() { s.get("QX_session=own") })
	<-entered
	if w := s.get("QX_session=own"); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("a second request of the session: %d, %v", w.Code, w.Header())
	}
	if w := s.get("QX_session=other"); w.Code != 200 {
		t.Errorf("another session's: %d", w.Code)
	}
	first.Go(func() {
		r := httptest.NewRequest("GET", "/free/page", nil)
		r.Header.Set("Cookie", "QX_session=own")
		s.handler.ServeHTTP(httptest.NewRecorder(), r)
	})
	<-entered // a path that takes no lock gets through
	close(leave)
	first.Wait()
}

// TestLockIsReleased: by a commit, before the body; and at the end at the
// latest, when no worker has answered.
func TestLockIsReleased(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	sessions := Sessions{Store: memory.New(), LockWait: 300 * time.Millisecond, Logger: logger}
	get := func(next http.HandlerFunc) int {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", "QX_session=own")
		w := httptest.NewRecorder()
		sessions.Handler(next).ServeHTTP(w, r)
		return w.Code
	}
	done := func(w http.ResponseWriter, r *http.Request) {}
	status := get(func(w http.ResponseWriter, r *http.Request) {
		if during := get(done); during != 503 {
			t.Errorf("before the commit another request got %d", during)
		}
		if err := visitOf(r.Context()).commit(r.Context(), http.Header{}); err != nil {
			t.Error(err)
		}
		if during := get(done); during != 200 {
			t.Errorf("after the commit another request got %d", during)
		}
	})
	if status != 200 {
		t.Fatal(status)
	}
	for range 2 {
		if status := get(func(w http.ResponseWriter, r *http.Request) { fail(w, 502, "no answer") }); status != 502 {
			t.Errorf("after a request that did not commit: %d", status)
		}
	}
}

// TestBadStates: what must not be unpickled is set aside, once, and the user
// is served without a session.
func TestBadStates(t *testing.T) {
	for name, state := range map[string][]byte{
		"empty":   {},
		"cut":     pickled("abc")[:5],
		"garbage": []byte("<html>"),
		"harmful": []byte("cos\nsystem\n(S'true'\ntR."),
	} {
		t.Run(name, func(t *testing.T) {
			var got worker
			s := newSite(t, func(w worker) { got = w }, nil)
			if err := s.store.Create(t.Context(), "own", state); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if w := s.get("QX_session=own"); w.Code != 200 || got.state != nil {
					t.Errorf("status %d, state %q", w.Code, got.state)
				}
			}
			if n := strings.Count(s.log.String(), "set aside"); n != 1 {
				t.Errorf("logged %d times:\n%s", n, s.log)
			}
			if aside := s.store.(*memory.Store).Aside(); !bytes.Equal(aside["own"], state) {
				t.Errorf("kept %q", aside)
			}
		})
	}
}

// TestReportOnly: what policy refuses passes, what is malformed does not.
func TestReportOnly(t *testing.T) {
	var got worker
	s := newSite(t, func(w worker) { got = w }, func(s *Sessions) { s.ReportOnly = true })
	harmful := []byte("cos\nsystem\n(S'true'\ntR.")
	if err := s.store.Create(t.Context(), "own", harmful); err != nil {
		t.Fatal(err)
	}
	s.get("QX_session=own")
	if !bytes.Equal(got.state, harmful) || !strings.Contains(s.log.String(), "would refuse") {
		t.Errorf("state %q, log:\n%s", got.state, s.log)
	}
}

// TestSessionLimits: a session beyond the limits is set aside, and one within is
// not.
func TestSessionLimits(t *testing.T) {
	lists := []byte("(" + strings.Repeat("]", 100_000) + "t.")
	for most, passes := range map[int]bool{0: true, 8 << 20: true, 1 << 20: false} {
		var got worker
		s := newSite(t, func(w worker) { got = w }, func(s *Sessions) { s.Limits.MaxMemory = most })
		if err := s.store.Create(t.Context(), "own", lists); err != nil {
			t.Fatal(err)
		}
		s.get("QX_session=own")
		if passes != (got.state != nil) || passes == strings.Contains(s.log.String(), "MaxMemory") {
			t.Errorf("%d: state of %d bytes, log:\n%s", most, len(got.state), s.log)
		}
	}
}

// TestOnlyThePickleIsForwarded: bytes behind STOP stay where they are.
func TestOnlyThePickleIsForwarded(t *testing.T) {
	var got worker
	s := newSite(t, func(w worker) { got = w }, nil)
	if err := s.store.Create(t.Context(), "own", append(pickled("abc"), "trailing"...)); err != nil {
		t.Fatal(err)
	}
	s.get("QX_session=own")
	if !bytes.Equal(got.state, pickled("abc")) {
		t.Errorf("forwarded %q", got.state)
	}
}

func TestStoreFaults(t *testing.T) {
	s := newSite(t, func(worker) { t.Error("the request reached a worker") }, func(s *Sessions) {
		s.Store = brokenStore{s.Store}
	})
	w := s.get("QX_session=own")
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(s.log.String(), "broken") {
		t.Errorf("status %d, log:\n%s", w.Code, s.log)
	}
}

// TestTooLarge: a session that cannot be read, and so not be verified, is not
// left to a worker in shared mode either.
func TestTooLarge(t *testing.T) {
	var got worker
	s := newSite(t, func(w worker) { got = w }, func(s *Sessions) {
		s.Mode, s.Store = Shared, tooLargeStore{s.Store}
	})
	if w := s.get("a=b; QX_session=own"); w.Code != 200 || got.env["HTTP_COOKIE"] != "a=b" {
		t.Errorf("status %d, cookie %q", w.Code, got.env["HTTP_COOKIE"])
	}
}

type brokenStore struct{ store.Store }

func (brokenStore) Load(context.Context, string) ([]byte, bool, error) {
	return nil, false, errors.New("broken")
}

type tooLargeStore struct{ store.Store }

func (tooLargeStore) Load(context.Context, string) ([]byte, bool, error) {
	return nil, true, store.ErrTooLarge
}

func TestAPI(t *testing.T) {
	s := newSite(t, func(worker) {}, func(s *Sessions) { s.LockWait = 100 * time.Millisecond })
	s.put(t, "a", "1")
	api := s.sessions.API()
	steps := []struct {
		method, path, body, ifNoneMatch string
		status                          int
		want                            string
	}{
		{"GET", "/sessions/a", "", "", 200, string(pickled("1"))},
		{"HEAD", "/sessions/a", "", "", 200, ""},
		{"GET", "/sessions/b", "", "", 404, ""},
		{"GET", "/sessions/..%2fevil", "", "", 404, ""},
		{"PUT", "/sessions/a", string(pickled("2")), "", 204, ""},
		{"GET", "/sessions/a", "", "", 200, string(pickled("2"))},
		{"PUT", "/sessions/b", string(pickled("3")), "", 404, ""},
		{"PUT", "/sessions/b", string(pickled("3")), "*", 201, ""},
		{"PUT", "/sessions/b", string(pickled("3")), "*", 412, ""},
		{"PUT", "/sessions/..%2fevil", string(pickled("3")), "*", 404, ""},
		{"PUT", "/sessions/a", "cos\nsystem\n.", "", 422, ""},
		{"PUT", "/sessions/a", strings.Repeat("N", store.MaxStateBytes+1), "", 413, ""},
		{"DELETE", "/sessions/a", "", "", 204, ""},
		{"DELETE", "/sessions/a", "", "", 404, ""},
		{"GET", "/sessions", "", "", 200, "b\n"},
		{"DELETE", "/sessions?idle=3600", "", "", 200, `{"deleted":0,"remaining":1}` + "\n"},
		{"DELETE", "/sessions?idle=soon", "", "", 400, ""},
		{"DELETE", "/sessions?idle=0", "", "", 200, `{"deleted":1,"remaining":0}` + "\n"},
	}
	for _, step := range steps {
		r := httptest.NewRequest(step.method, step.path, strings.NewReader(step.body))
		r.Header.Set("If-None-Match", step.ifNoneMatch)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		if w.Code != step.status || step.want != "" && w.Body.String() != step.want {
			t.Errorf("%s %s: %d %q; want %d %q", step.method, step.path, w.Code, w.Body, step.status, step.want)
		}
	}

	s.put(t, "busy", "1")
	unlock, err := s.store.Lock(t.Context(), "busy")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	w := httptest.NewRecorder()
	api.ServeHTTP(w, httptest.NewRequest("DELETE", "/sessions/busy", nil))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("a locked session: %d", w.Code)
	}
}

// lockedBuffer is a log that many write to.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
