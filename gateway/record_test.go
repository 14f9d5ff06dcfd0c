package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alforja/gateway/scgi"
)

func TestCombinedLog(t *testing.T) {
	tests := []struct {
		name   string
		change func(*http.Request)
		want   string // without the time
	}{
		{"plain", func(*http.Request) {}, `192.0.2.1 - - [T] "GET /a%20b?c=d HTTP/1.1" 200 5 "-" "-"`},
		{"all", func(r *http.Request) {
			r.Header.Set("Referer", "http://example.org/")
			r.Header.Set("User-Agent", "Mozilla/5.0 (X11)")
			*r = *r.WithContext(scgi.WithEnv(r.Context(), map[string]string{"REMOTE_USER": "sancho panza"}))
		}, `192.0.2.1 - sancho\x20panza [T] "GET /a%20b?c=d HTTP/1.1" 200 5 "http://example.org/" "Mozilla/5.0 (X11)"`},
		{"forgery", func(r *http.Request) {
			r.Header.Set("User-Agent", "x\" 200\\ \x1b[2J\n127.0.0.1 - root")
			r.RemoteAddr = "@"
		}, `@ - - [T] "GET /a%20b?c=d HTTP/1.1" 200 5 "-" "x\x22 200\x5c \x1b[2J\x0a127.0.0.1 - root"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			handler := AccessLog(LogCombined(&out), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, "hello")
			}))
			r := httptest.NewRequest("GET", "/a%20b?c=d", nil)
			test.change(r)
			handler.ServeHTTP(httptest.NewRecorder(), r)
			time := regexp.MustCompile(`\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]`)
			if got := time.ReplaceAllString(out.String(), "[T]"); got != test.want+"\n" {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// What was not sent is not counted, and a handler that panics has not answered 200.
func TestAccessLogCountsWhatWasSent(t *testing.T) {
	for name, test := range map[string]struct {
		method string
		do     func(http.ResponseWriter)
		status int
		bytes  int64
		cut    bool
	}{
		"page":             {"GET", func(w http.ResponseWriter) { io.WriteString(w, "hello") }, 200, 5, false},
		"head":             {"HEAD", func(w http.ResponseWriter) { io.WriteString(w, "hello") }, 200, 0, false},
		"nothing":          {"GET", func(http.ResponseWriter) {}, 200, 0, false},
		"panic":            {"GET", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, 500, 0, true},
		"panic in a body":  {"GET", func(w http.ResponseWriter) { io.WriteString(w, "he"); panic(http.ErrAbortHandler) }, 200, 2, true},
		"panic behind 404": {"GET", func(w http.ResponseWriter) { w.WriteHeader(404); panic(http.ErrAbortHandler) }, 404, 0, true},
	} {
		var got *Access
		handler := AccessLog(func(_ context.Context, a *Access) { got = a }, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { test.do(w) }))
		func() {
			defer func() { _ = recover() }()
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(test.method, "/", nil))
		}()
		if got.Status != test.status || got.Bytes != test.bytes || got.Cut != test.cut {
			t.Errorf("%s: %d, %d bytes, cut %v", name, got.Status, got.Bytes, got.Cut)
		}
	}
}

func TestTraceparentIsLogged(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	tests := []struct{ sent, logged string }{
		{good, good},
		{"", ""},
		{"01" + good[2:] + "-more", "01" + good[2:] + "-more"}, // a later version
		{good + "-more", ""},
		{strings.ToUpper(good), ""},
		{good[:54], ""},
		{strings.Replace(good, "-", "_", 1), ""},
		{"nonsense", ""},
	}
	for _, test := range tests {
		var out bytes.Buffer
		handler := AccessLog(LogRequests(slog.New(slog.NewJSONHandler(&out, nil))), http.NotFoundHandler())
		r := httptest.NewRequest("GET", "/", nil)
		if test.sent != "" {
			r.Header.Set("traceparent", test.sent)
		}
		handler.ServeHTTP(httptest.NewRecorder(), r)
		var line struct {
			Status      int
			Traceparent string
		}
		if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Status != 404 {
			t.Fatal(err, out.String())
		}
		if line.Traceparent != test.logged {
			t.Errorf("%q: logged %q", test.sent, line.Traceparent)
		}
	}
}

// FuzzCombinedLog: one request, one line of nine fields, whatever the client sends.
func FuzzCombinedLog(f *testing.F) {
	f.Add("/", "agent", "referer", "1.2.3.4:5")
	f.Add("/\" 200", "\n", "\\\"", "[::1")
	shape := regexp.MustCompile(`^[!-~]+ - - \[[^]]+\] "GET [ -!#-~]* HTTP/1.1" 200 0 "[ -!#-~]*" "[ -!#-~]*"\n$`)
	f.Fuzz(func(t *testing.T, uri, agent, referer, remote string) {
		if strings.ContainsAny(remote, " ") {
			return // RemoteAddr is an address
		}
		var out bytes.Buffer
		r := httptest.NewRequest("GET", "/", nil)
		r.RequestURI, r.RemoteAddr = uri, remote
		r.Header["User-Agent"], r.Header["Referer"] = []string{agent}, []string{referer}
		AccessLog(LogCombined(&out), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(httptest.NewRecorder(), r)
		if !shape.MatchString(out.String()) {
			t.Errorf("%q", out.String())
		}
	})
}

// FuzzJSONLog: LogJSON says what LogRequests says by slog's own handler.
func FuzzJSONLog(f *testing.F) {
	f.Add("/", "192.0.2.1:5", "GET", "", int64(0), int64(0))
	f.Add("/a\"b\\c<&>\u2028\x7f", "[::1]:80", "POST", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", int64(1234567), int64(-1))
	f.Add(`/a"b`, `\`, "\t", "", int64(999), int64(1))
	f.Add("/\xff\x00\n\x1b[2J", "@", "caf\u00e9", "nonsense", int64(1)<<62, int64(1)<<40)
	f.Fuzz(func(t *testing.T, path, client, method, trace string, duration, bytes int64) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path, r.RemoteAddr, r.Method = path, client, method
		r.Header["Traceparent"] = []string{trace}
		access := &Access{
			Request: r, Start: time.Unix(1_700_000_000, 0), Duration: time.Duration(duration),
			Status: 200, Bytes: bytes, Cut: bytes < 0,
			record: record{requestID: "1f", session: client, worker: method, queueWait: time.Duration(bytes)},
		}
		lines := map[string]map[string]any{}
		for name, log := range map[string]func(io.Writer) RequestLog{
			"ours": LogJSON,
			"slog": func(w io.Writer) RequestLog { return LogRequests(slog.New(slog.NewJSONHandler(w, nil))) },
		} {
			var out strings.Builder
			log(&out)(t.Context(), access)
			line, more, _ := strings.Cut(out.String(), "\n")
			fields := map[string]any{}
			if err := json.Unmarshal([]byte(line), &fields); err != nil || more != "" {
				t.Fatalf("%s: %v: %q", name, err, out.String())
			}
			if _, err := time.Parse(time.RFC3339Nano, fields["time"].(string)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			delete(fields, "time") // slog's is when the line was written
			lines[name] = fields
		}
		if diff := cmp.Diff(lines["slog"], lines["ours"]); diff != "" {
			t.Errorf("-slog +ours\n%s", diff)
		}
	})
}

func BenchmarkAccessLog(b *testing.B) {
	access := &Access{
		Request: httptest.NewRequest("GET", "/counter", nil), Start: time.Now(), Duration: 1234 * time.Microsecond,
		Status: 200, Bytes: 3, record: record{requestID: "0123456789ab", session: "abcdefgh", action: actionSave, worker: "1"},
	}
	for name, log := range map[string]RequestLog{
		"json": LogJSON(io.Discard),
		"slog": LogRequests(slog.New(slog.NewJSONHandler(io.Discard, nil))),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				log(b.Context(), access)
			}
		})
	}
}
