package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"alforja/gateway/scgi"
)

// BoundStalls returns a handler that serves by next and breaks the connection
// off when the client sends nothing of a body for limit, or takes longer than that for
// 64 KiB of the response. Reading the request's body then fails with
// os.ErrDeadlineExceeded, writing the response with an error. What next leaves of a body, which
// net/http reads to keep the connection, is waited for no longer either. To requests that
// came by SCGI, scgi.Server does that itself.
func BoundStalls(limit time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if scgi.Env(r.Context()) != nil {
			next.ServeHTTP(w, r)
			return
		}
		s := &stallWriter{ResponseWriter: w, deadlines: http.NewResponseController(w), limit: limit, multiplexed: r.ProtoMajor > 1}
		// The connection may still have the deadline of the request before.
		_ = s.deadlines.SetWriteDeadline(time.Time{})
		if r.Body != nil && r.Body != http.NoBody {
			s.body = &stallBody{ReadCloser: r.Body, writer: s}
			r.Body = s.body
		}
		s.boundRest()
		next.ServeHTTP(s, r)
		if !s.hijacked { // then the connection is the handler's
			s.begin() // what is still buffered, net/http writes by itself
		}
	})
}

// A stallWriter has each piece of a response written in time.
//
// A deadline is set for each write by itself. In HTTP/1 it stays until the next, and means nothing in
// between. In HTTP/2 it must go: net/http resets the stream when it passes, whether or not anything is
// being written then, and an application may well pause.
type stallWriter struct {
	http.ResponseWriter
	deadlines   *http.ResponseController
	limit       time.Duration
	body        *stallBody // of the request; nil for none
	multiplexed bool       // the connection has other requests beside this one
	hijacked    bool
}

// begin is what comes before anything that may write.
func (w *stallWriter) begin() {
	limit := w.limit
	if w.boundRest() {
		limit *= 2 // that comes first
	}
	// A writer without deadlines is one that does not stall, as in tests.
	_ = w.deadlines.SetWriteDeadline(time.Now().Add(limit))
}

// end is what comes behind it.
func (w *stallWriter) end() {
	if w.multiplexed {
		_ = w.deadlines.SetWriteDeadline(time.Time{})
	}
}

// boundRest bounds the wait for what is not read of the body, if anything is: with the first bytes of a response,
// and at its end, net/http reads up to 256 KiB of that.
func (w *stallWriter) boundRest() bool {
	if w.body == nil || w.multiplexed || w.body.ended.Load() {
		return false
	}
	_ = w.deadlines.SetReadDeadline(time.Now().Add(w.limit))
	return true
}

func (w *stallWriter) Write(p []byte) (n int, err error) {
	for {
		w.begin()
		written, err := w.ResponseWriter.Write(p[n:min(len(p), n+copyBytes)])
		w.end()
		if n += written; err != nil || n == len(p) {
			return n, err
		}
	}
}

// FlushError is what http.ResponseController calls.
func (w *stallWriter) FlushError() error {
	w.begin()
	defer w.end()
	return w.deadlines.Flush()
}

// Hijack is what http.ResponseController calls.
func (w *stallWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := w.deadlines.Hijack()
	w.hijacked = w.hijacked || err == nil
	return conn, buffered, err
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (w *stallWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type stallBody struct {
	io.ReadCloser
	writer *stallWriter
	ended  atomic.Bool // read to its end, in whichever goroutine
}

func (b *stallBody) Read(p []byte) (int, error) {
	deadlines := b.writer.deadlines
	_ = deadlines.SetReadDeadline(time.Now().Add(b.writer.limit))
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.ended.Store(true)
	}
	// net/http goes on reading when the body has ended, to notice when the client leaves: that
	// must not time out. In HTTP/2 the deadline would end the body in a pause of the reader's.
	if err == io.EOF || err == nil && b.writer.multiplexed {
		_ = deadlines.SetReadDeadline(time.Time{})
	}
	return n, err
}
