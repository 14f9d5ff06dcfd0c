package gateway

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newFiles makes root with what may be had, and beside it what may not.
func newFiles(t *testing.T) (root string) {
	t.Helper()
	dir := t.TempDir()
	root = filepath.Join(dir, "root")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(root, "sub"), 0o755),
		os.WriteFile(filepath.Join(root, "a.css"), []byte("0123456789"), 0o644),
		os.WriteFile(filepath.Join(root, "sub", "b c.txt"), []byte("b"), 0o644),
		os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o644),
		os.WriteFile(filepath.Join(dir, "rootsecret"), []byte("secret"), 0o644),
		os.Symlink("a.css", filepath.Join(root, "inside")),
		os.Symlink("../secret", filepath.Join(root, "outside")),
		os.Symlink("/etc/passwd", filepath.Join(root, "absolute")),
		os.Symlink("..", filepath.Join(root, "up")),
		syscall.Mkfifo(filepath.Join(root, "pipe"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestServeStatic(t *testing.T) {
	root := newFiles(t)
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "a.css"), []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	handler := ServeStatic(map[string]string{"/static": root, "/static/other/": other}, slog.New(slog.DiscardHandler), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "application")
	}))
	tests := []struct {
		method, path, header string
		status               int
		body                 string
	}{
		{"GET", "/static/a.css", "", 200, "0123456789"},
		{"HEAD", "/static/a.css", "", 200, ""},
		{"GET", "/static/sub/b%20c.txt", "", 200, "b"},
		{"GET", "/static/inside", "", 200, "0123456789"},
		{"GET", "/static/other/a.css", "", 200, "other"},
		{"GET", "/static/a.css", "Range: bytes=2-4", 206, "234"},
		{"GET", "/static/a.css", "Range: bytes=-3", 206, "789"},
		{"GET", "/static/a.css", "Range: bytes=10-", 416, ""},
		{"GET", "/", "", 200, "application"},
		{"GET", "/static", "", 200, "application"},
		{"GET", "/staticx", "", 200, "application"},
		{"POST", "/static/a.css", "", 405, ""},
		{"GET", "/static/", "", 404, ""},
		{"GET", "/static/sub", "", 404, ""},
		{"GET", "/static/sub/", "", 404, ""},
		{"GET", "/static/a.css/", "", 404, ""},
		{"GET", "/static/no", "", 404, ""},
		{"GET", "/static/../secret", "", 404, ""},
		{"GET", "/static/sub/../../secret", "", 404, ""},
		{"GET", "/static/%2e%2e/secret", "", 404, ""},
		{"GET", "/static//etc/passwd", "", 404, ""},
		{"GET", "/static/outside", "", 404, ""},
		{"GET", "/static/absolute", "", 404, ""},
		{"GET", "/static/up/secret", "", 404, ""},
		{"GET", "/static/pipe", "", 404, ""},
		{"GET", "/static/a.css%00", "", 404, ""},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			r := httptest.NewRequest(test.method, test.path, nil)
			if name, value, found := strings.Cut(test.header, ": "); found {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != test.status || test.status < 300 && w.Body.String() != test.body {
				t.Errorf("%d %q", w.Code, w.Body)
			}
		})
	}
}

// What cannot be read is no missing file, and is logged.
func TestStaticThatCannotBeRead(t *testing.T) {
	var log strings.Builder
	gone := filepath.Join(t.TempDir(), "gone")
	handler := ServeStatic(map[string]string{"/static": gone}, slog.New(slog.NewTextHandler(&log, nil)), http.NotFoundHandler())
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/static/f", nil))
	if w.Code != 500 || !strings.Contains(log.String(), gone) {
		t.Errorf("%d, logged %q", w.Code, log.String())
	}
}

func TestStaticIsNotSentTwice(t *testing.T) {
	root := newFiles(t)
	handler := ServeStatic(map[string]string{"/static": root}, slog.New(slog.DiscardHandler), http.NotFoundHandler())
	get := func(header, value string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/static/a.css", nil)
		if header != "" {
			r.Header.Set(header, value)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	first := get("", "")
	tag := first.Header().Get("Etag")
	if !strings.HasPrefix(first.Header().Get("Content-Type"), "text/css") {
		t.Errorf("type %q", first.Header().Get("Content-Type"))
	}
	if w := get("If-None-Match", tag); w.Code != 304 || tag == "" {
		t.Errorf("ETag %s: %d", tag, w.Code)
	}
	if w := get("If-Modified-Since", first.Header().Get("Last-Modified")); w.Code != 304 {
		t.Errorf("If-Modified-Since: %d", w.Code)
	}
	if err := os.Chtimes(filepath.Join(root, "a.css"), time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if w := get("If-None-Match", tag); w.Code != 200 {
		t.Errorf("changed: %d", w.Code)
	}
}

// TestStaticFollowsDeployments: another directory in the place of the first is
// served without a restart.
func TestStaticFollowsDeployments(t *testing.T) {
	dir := t.TempDir()
	current := filepath.Join(dir, "current")
	handler := ServeStatic(map[string]string{"/static": current}, slog.New(slog.DiscardHandler), http.NotFoundHandler())
	for _, release := range []string{"1", "2"} {
		os.Mkdir(filepath.Join(dir, release), 0o755)
		os.WriteFile(filepath.Join(dir, release, "f"), []byte(release), 0o644)
		os.Remove(current)
		os.Symlink(release, current)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/static/f", nil))
		if w.Body.String() != release {
			t.Errorf("release %s: %q", release, w.Body)
		}
	}
}

func TestSendfile(t *testing.T) {
	root := newFiles(t)
	tests := []struct {
		name, path string
		status     int
	}{
		{"file", root + "/a.css", 200},
		{"link within", root + "/inside", 200},
		{"link out of it", root + "/outside", 404},
		{"beside it", filepath.Dir(root) + "/secret", 404},
		{"beside it, with its name before", filepath.Dir(root) + "/rootsecret", 404},
		{"up", root + "/../secret", 404},
		{"relative", "a.css", 404},
		{"the directory", root, 404},
		{"missing", root + "/no", 404},
		{"pipe", root + "/pipe", 404},
		{"system", "/etc/passwd", 404},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newRawProxy(t, func(w io.Writer) {
				fmt.Fprintf(w, "Status: 200 OK\r\nX-Sendfile: %s\r\nContent-Type: text/x\r\nSet-Cookie: a=b\r\nContent-Length: 4\r\n\r\nbody", test.path)
			})
			log := new(lockedBuffer)
			p.Logger = slog.New(slog.NewTextHandler(log, nil))
			p.Sendfile = []string{"/nonexistent", root + "/"}
			w := httptest.NewRecorder()
			p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if w.Code != test.status || w.Header().Get("X-Sendfile") != "" || busy(p.Pool) != 0 {
				t.Errorf("status %d, %v, %d busy", w.Code, w.Header(), busy(p.Pool))
			}
			if test.status == 200 {
				if w.Body.String() != "0123456789" || w.Header().Get("Content-Type") != "text/x" || w.Header().Get("Set-Cookie") != "a=b" {
					t.Errorf("%q, %v", w.Body, w.Header())
				}
			} else if !strings.Contains(log.String(), "file not sent") || w.Header().Get("Set-Cookie") != "" {
				t.Errorf("%v, log:\n%s", w.Header(), log)
			}
		})
	}
}

func TestSendfileLeftAlone(t *testing.T) {
	root := newFiles(t)
	answer := "Status: %s\r\nX-Sendfile: " + root + "/a.css\r\nContent-Length: 4\r\n\r\nbody"
	for name, test := range map[string]struct {
		roots  []string
		status string
	}{
		"no directory": {nil, "200 OK"},
		"an error":     {[]string{root}, "403 Forbidden"},
	} {
		p := newRawProxy(t, func(w io.Writer) { fmt.Fprintf(w, answer, test.status) })
		p.Sendfile = test.roots
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Body.String() != "body" || w.Header().Get("X-Sendfile") == "" {
			t.Errorf("%s: %q %v", name, w.Body, w.Header())
		}
	}
	p := newRawProxy(t, func(w io.Writer) { fmt.Fprintf(w, answer, "200 OK") })
	p.Sendfile = []string{root}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Range", "bytes=1-2")
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if w.Code != 206 || w.Body.String() != "12" {
		t.Errorf("range: %d %q", w.Code, w.Body)
	}
}
