package gateway

import (
	"io"
	"net/http"
	"time"

	"alforja/gateway/scgi"
)

// BoundStalls returns a handler that serves by next and breaks the connection
// off when the client sends nothing of a body for limit, or has not accepted
// what one Write gave it by then. Reading the request's body then fails with
// os.ErrDeadlineExceeded, writing the response with an error. To requests that
// came by SCGI, scgi.Server does that itself.
func BoundStalls(limit time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if scgi.Env(r.Context()) != nil {
			next.ServeHTTP(w, r)
			return
		}
		s := &stallWriter{ResponseWriter: w, deadlines: http.NewResponseController(w), limit: limit}
		// The connection may still have the deadline of the request before.
		_ = s.deadlines.SetWriteDeadline(time.Time{})
		if r.Body != nil {
			r.Body = &stallBody{ReadCloser: r.Body, deadlines: s.deadlines, limit: limit}
		}
		next.ServeHTTP(s, r)
	})
}

type stallWriter struct {
	http.ResponseWriter
	deadlines *http.ResponseController
	limit     time.Duration
}

func (w *stallWriter) Write(p []byte) (int, error) {
	// A writer without deadlines is one that does not stall, as in tests.
	_ = w.deadlines.SetWriteDeadline(time.Now().Add(w.limit))
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (w *stallWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type stallBody struct {
	io.ReadCloser
	deadlines *http.ResponseController
	limit     time.Duration
}

func (b *stallBody) Read(p []byte) (int, error) {
	_ = b.deadlines.SetReadDeadline(time.Now().Add(b.limit))
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		// net/http goes on reading while the handler runs, to notice when
		// the client leaves; that read must not time out.
		_ = b.deadlines.SetReadDeadline(time.Time{})
	}
	return n, err
}
