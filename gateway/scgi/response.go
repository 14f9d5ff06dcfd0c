package scgi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// responseBufferBytes is how much of a body is held back, so that a small
// response goes out with its length and in one write.
const responseBufferBytes = 8 << 10

// responseBuffers are what a response needs while it is written.
type responseBuffers struct {
	head bytes.Buffer
	body []byte
}

var responsePool = sync.Pool{New: func() any {
	return &responseBuffers{body: make([]byte, 0, responseBufferBytes)}
}}

var errHandlerReturned = errors.New("scgi: write after the handler returned")

// notSent are the headers that a CGI response does not carry: those of one
// connection, which is the web server's own, and Status, which would set the
// status line (RFC 3875, 6.3.3).
var notSent = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true,
	"Status": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// A response is the http.ResponseWriter of one request. What it writes is a
// CGI document response (RFC 3875, 6.2.1).
type response struct {
	conn   *conn
	req    *http.Request
	header http.Header
	*responseBuffers

	wroteHeader bool
	status      int
	length      int64 // declared by the handler, or -1
	hasType     bool  // Content-Type is set, or deliberately nil
	sent        bool  // the head is out
	written     int64 // bytes of the body that the handler wrote
	err         error // the first failed write
}

func newResponse(c *conn, req *http.Request) *response {
	return &response{
		conn:            c,
		req:             req,
		header:          make(http.Header),
		responseBuffers: responsePool.Get().(*responseBuffers),
		length:          -1,
	}
}

// release gives the buffers back; later writes by a stray goroutine fail.
func (w *response) release() {
	b := w.responseBuffers
	w.err = errHandlerReturned
	w.responseBuffers = &responseBuffers{}
	if b.head.Cap() > 64<<10 {
		return
	}
	b.head.Reset()
	b.body = b.body[:0]
	responsePool.Put(b)
}

func (w *response) Header() http.Header { return w.header }

// WriteHeader fixes status and headers; later changes to Header are not seen.
// CGI has no interim responses: 1xx are ignored.
func (w *response) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("scgi: invalid status %d", status))
	}
	if w.wroteHeader {
		w.conn.server.logger().Warn("scgi: second WriteHeader", "path", w.req.URL.Path, "first", w.status, "second", status)
		return
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	w.wroteHeader = true
	w.status = status
	_, w.hasType = w.header["Content-Type"]
	if v := w.header.Get("Content-Length"); v != "" {
		n, err := parseLength(v)
		if err != nil || !w.bodyAllowed() {
			w.header.Del("Content-Length")
		} else {
			w.length = n
		}
	}
	text := http.StatusText(status)
	if text == "" {
		text = "Status " + strconv.Itoa(status)
	}
	w.head.WriteString("Status: ")
	w.head.WriteString(strconv.Itoa(status))
	w.head.WriteByte(' ')
	w.head.WriteString(text)
	w.head.WriteString("\r\n")
	w.header.WriteSubset(&w.head, notSent)
}

// bodyAllowed reports whether the status admits a body (RFC 9110, 6.4.1). A
// response to HEAD pretends to have one.
func (w *response) bodyAllowed() bool {
	return w.status >= 200 && w.status != http.StatusNoContent && w.status != http.StatusNotModified
}

func (w *response) Write(p []byte) (int, error) { return writeBody(w, p) }

// WriteString saves io.WriteString a copy.
func (w *response) WriteString(s string) (int, error) { return writeBody(w, s) }

func writeBody[T []byte | string](w *response, p T) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if !w.wroteHeader {
		w.WriteHeader(http.StatusOK)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if !w.bodyAllowed() {
		return 0, http.ErrBodyNotAllowed
	}
	w.written += int64(len(p))
	if w.length >= 0 && w.written > w.length {
		return 0, http.ErrContentLength
	}
	if len(w.body)+len(p) <= cap(w.body) {
		w.body = append(w.body, p...)
		return len(p), nil
	}
	if err := w.send([]byte(p), false); err != nil {
		return 0, err
	}
	return len(p), nil
}

// send puts out the head, if it is not out, what is held back, and p.
func (w *response) send(p []byte, last bool) error {
	if !w.sent {
		w.sent = true
		w.finishHead(p, last)
	}
	if w.req.Method != http.MethodHead {
		// Copied, so that a page is one piece, and written as one.
		w.head.Write(w.body)
	} else {
		p = nil
	}
	w.err = w.conn.write(w.head.Bytes(), p)
	w.head.Reset()
	w.body = w.body[:0]
	return w.err
}

// finishHead adds the headers that depend on the body.
func (w *response) finishHead(p []byte, last bool) {
	if w.bodyAllowed() {
		start := w.body
		if len(start) == 0 {
			start = p
		}
		if !w.hasType && len(start) > 0 && w.header.Get("Content-Encoding") == "" {
			w.head.WriteString("Content-Type: " + http.DetectContentType(start) + "\r\n")
		}
		// The answer to a HEAD that wrote no body says nothing about it.
		if last && w.length < 0 && (w.written > 0 || w.req.Method != http.MethodHead) {
			w.head.WriteString("Content-Length: " + strconv.FormatInt(w.written, 10) + "\r\n")
		}
	}
	w.head.WriteString("\r\n")
}

// finish sends what is left after the handler returned, and reports whether
// the response is whole.
func (w *response) finish() bool {
	if !w.wroteHeader {
		w.WriteHeader(http.StatusOK)
	}
	if w.err == nil && (!w.sent || len(w.body) > 0) {
		w.send(nil, true)
	}
	short := w.length >= 0 && w.written < w.length && w.req.Method != http.MethodHead
	return w.err == nil && !short
}

// Flush and FlushError send what is held back, for streams.
func (w *response) Flush() { w.FlushError() }

func (w *response) FlushError() error {
	if w.err != nil {
		return w.err
	}
	if !w.wroteHeader {
		w.WriteHeader(http.StatusOK)
	}
	if w.sent && len(w.body) == 0 {
		return nil
	}
	return w.send(nil, false)
}

// SetReadDeadline, SetWriteDeadline and EnableFullDuplex are found by
// http.ResponseController. SCGI is full duplex as it is.
func (w *response) SetReadDeadline(t time.Time) error  { return w.conn.setReadDeadline(t) }
func (w *response) SetWriteDeadline(t time.Time) error { return w.conn.setWriteDeadline(t) }
func (w *response) EnableFullDuplex() error            { return nil }

var (
	_ http.Flusher    = (*response)(nil)
	_ io.StringWriter = (*response)(nil)
)
