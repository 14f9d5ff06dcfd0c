package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"time"
)

// A record collects what the access log says of one request. Each step of the
// request's way fills in what it knows.
type record struct {
	requestID string
	session   string // shortened id
	action    action // what became of the session
	worker    string
	lockWait  time.Duration
	queueWait time.Duration
	failure   failure // why the gateway answered in the application's place, or ""
}

type recordKey struct{}

// recordOf returns the request's record. Outside of AccessLog it returns one
// that nobody reads, so that no step has to ask.
func recordOf(ctx context.Context) *record {
	if r, ok := ctx.Value(recordKey{}).(*record); ok {
		return r
	}
	return new(record)
}

// An Access is what is known of a request when it has been answered.
type Access struct {
	Request  *http.Request
	Start    time.Time
	Duration time.Duration
	Status   int
	Bytes    int64 // of the response's body
	Cut      bool  // the response was broken off

	record record
}

// A RequestLog writes the access log's line of one request.
type RequestLog func(context.Context, *Access)

// LogRequests has the access log written as structured lines: id, client,
// method, path, status, bytes of body sent, milliseconds, worker, what became of
// the session, how long the request waited for its session's lock and for a worker,
// and the traceparent where there is one. Of a session's id only the first 8
// characters are logged: who reads the log must not be able to be its user.
func LogRequests(logger *slog.Logger) RequestLog {
	return func(ctx context.Context, a *Access) {
		logger.LogAttrs(ctx, slog.LevelInfo, accessMessage, a.attrs(make([]slog.Attr, 0, maxAttrs))...)
	}
}

const (
	accessMessage = "request"
	maxAttrs      = 14
)

// attrs appends what the log says of the request: at most maxAttrs.
func (a *Access) attrs(attrs []slog.Attr) []slog.Attr {
	r, rec := a.Request, &a.record
	attrs = append(attrs,
		slog.String("request", rec.requestID),
		slog.String("client", r.RemoteAddr),
		slog.String("method", r.Method),
		slog.String("path", shorten(r.URL.Path, 2048)),
		slog.Int("status", a.Status),
		slog.Int64("bytes", a.Bytes),
		slog.Float64("ms", milliseconds(a.Duration)),
		slog.Float64("lock_ms", milliseconds(rec.lockWait)),
		slog.Float64("queue_ms", milliseconds(rec.queueWait)),
		slog.String("session", rec.session),
		slog.String("action", string(rec.action)),
		slog.String("worker", rec.worker),
	)
	if trace := traceparent(r.Header); trace != "" {
		attrs = append(attrs, slog.String("traceparent", trace))
	}
	if a.Cut {
		attrs = append(attrs, slog.Bool("cut", true))
	}
	return attrs
}

// AccessLog returns a handler that serves by next and has one line a request
// logged.
func AccessLog(log RequestLog, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		access := &Access{Request: r, Start: time.Now(), Cut: true, record: record{requestID: newRequestID()}}
		counted := &countingWriter{ResponseWriter: w, bodyless: r.Method == http.MethodHead}
		defer func() {
			access.Duration = time.Since(access.Start)
			access.Status, access.Bytes = counted.status, counted.bytes
			if access.Status == 0 {
				access.Status = http.StatusOK
				if access.Cut { // a handler that panicked before it answered
					access.Status = http.StatusInternalServerError
				}
			}
			log(r.Context(), access)
		}()
		recorded := r.WithContext(context.WithValue(r.Context(), recordKey{}, &access.record))
		defer removeForm(recorded)
		next.ServeHTTP(counted, recorded)
		access.Cut = false
	})
}

// countingWriter notes the status and the length of the body.
type countingWriter struct {
	http.ResponseWriter
	status   int
	bytes    int64
	bodyless bool // the server sends nothing of a body
}

func (w *countingWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	if !w.bodyless {
		w.bytes += int64(n)
	}
	return n, err
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// shorten makes a client's text fit for a log line.
func shorten(text string, limit int) string {
	if len(text) > limit {
		return text[:limit] + "..."
	}
	return text
}

func newRequestID() string {
	var b [6]byte
	rand.Read(b[:])
	var id [2 * len(b)]byte
	hex.Encode(id[:], b[:])
	return string(id[:])
}

// shortID is what a log shows of a session id: 8 characters, and never more
// than three quarters of it.
func shortID(id string) string { return id[:min(len(id)*3/4, 8)] }

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
