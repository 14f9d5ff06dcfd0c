package gateway

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
)

// errNotStored is what a handler's writes return once the commit has failed.
var errNotStored = errors.New("the session could not be stored, the response is withheld")

// A committingWriter has the session committed before the first byte of a
// response goes out.
type committingWriter struct {
	http.ResponseWriter
	ctx    context.Context
	visit  *visit
	failed bool
}

// commit commits what a Go handler did to the session, once, and lets the
// session's next request in. When the store fails it answers 500.
func (w *committingWriter) commit() error {
	v := w.visit
	if v.answered {
		if w.failed {
			return errNotStored
		}
		return nil
	}
	v.answered = true
	defer v.release()
	if v.session == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), commitTimeout)
	defer cancel()
	err := v.session.commit(ctx, w.Header())
	if err == nil {
		return nil
	}
	w.failed = true
	rec := recordOf(ctx)
	rec.failure = sessionStore
	v.sessions.Logger.Error("session not stored, response withheld",
		"request", rec.requestID, "session", shortID(v.id), "err", err)
	header := w.Header()
	connection := header["Connection"] // BufferBodies' word, not the handler's
	clear(header)                      // the rest spoke of a page that there is not
	if connection != nil {
		header["Connection"] = connection
	}
	fail(w.ResponseWriter, http.StatusInternalServerError, "the session could not be stored")
	return errNotStored
}

func (w *committingWriter) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		if w.commit() != nil {
			return
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *committingWriter) Write(p []byte) (int, error) {
	if err := w.commit(); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(p)
}

// FlushError is what http.ResponseController calls.
func (w *committingWriter) FlushError() error {
	if err := w.commit(); err != nil {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush implements http.Flusher.
func (w *committingWriter) Flush() { _ = w.FlushError() }

// Hijack is what http.ResponseController calls.
func (w *committingWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := w.commit(); err != nil {
		return nil, nil, err
	}
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (w *committingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
