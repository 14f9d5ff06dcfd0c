package scgi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// lingerTimeout is how long a connection whose request was not read to its end
// stays open after the response. Closed at once, the kernel would answer the bytes that
// still come with a reset, and TCP would drop the response because of it.
const lingerTimeout = 5 * time.Second

const readBufferBytes = 8 << 10

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBufferBytes) }}

// A conn is one connection from a web server: one request, one response.
type conn struct {
	server *Server
	rwc    net.Conn
	br     *bufio.Reader
	heard  bool // the first byte has arrived; guarded by server.mu

	finished      atomic.Bool // the handler has returned: reads end
	ownReadLimit  atomic.Bool // the handler set a read deadline
	ownWriteLimit atomic.Bool // the handler set a write deadline
}

func (c *conn) setHeaderDeadline() {
	c.rwc.SetReadDeadline(deadline(c.server.HeaderTimeout, defaultHeaderTimeout))
}

func (c *conn) serve(base context.Context) {
	defer c.server.forget(c)
	c.br = readers.Get().(*bufio.Reader)
	c.br.Reset(c.rwc)
	defer func() {
		c.br.Reset(nil)
		readers.Put(c.br)
	}()

	if _, err := c.br.Peek(1); err != nil {
		return // a probe, or a connection opened in advance
	}
	c.server.markHeard(c)
	var kept map[string]string
	if c.server.KeepReserved {
		kept = map[string]string{}
	}
	req, env, err := readRequest(c.br, c.server.maxHeaderBytes(), kept)
	if err != nil {
		c.refuse(err)
		return
	}
	if kept != nil {
		base = context.WithValue(base, reservedKey{}, kept)
	}
	ctx, cancel := context.WithCancel(context.WithValue(base, envKey{}, env))
	defer cancel()
	req = req.WithContext(ctx)

	var body *requestBody
	if req.Body = http.NoBody; req.ContentLength > 0 {
		body = &requestBody{conn: c, left: req.ContentLength}
		req.Body = body
	}
	w := newResponse(c, req)
	ok := c.call(w, req) && w.finish()
	w.release()
	c.finished.Store(true)
	unread := body != nil && body.abandon()
	switch {
	case !ok:
		c.cut()
	case unread:
		c.linger()
	}
}

// call runs the handler and reports whether it returned without a panic.
func (c *conn) call(w *response, req *http.Request) (ok bool) {
	defer func() {
		v := recover()
		if ok {
			return
		}
		if err, is := v.(error); is && errors.Is(err, http.ErrAbortHandler) {
			return
		}
		c.server.logger().Error("scgi: panic in handler",
			"method", req.Method, "path", req.URL.Path, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	}()
	defer func() { // as net/http does
		if req.MultipartForm != nil {
			_ = req.MultipartForm.RemoveAll()
		}
	}()
	c.server.handler().ServeHTTP(w, req)
	return true
}

// refuse answers a request that could not be read.
func (c *conn) refuse(err error) {
	var bad *RequestError
	if !errors.As(err, &bad) {
		return // the connection broke
	}
	c.server.logger().Info("scgi: request refused", "status", bad.Status, "reason", bad.Err.Error())
	text := http.StatusText(bad.Status)
	body := text + ": " + bad.Err.Error() + "\n"
	c.rwc.SetWriteDeadline(deadline(c.server.WriteTimeout, defaultWriteTimeout))
	fmt.Fprintf(c.rwc, "Status: %d %s\r\nContent-Type: text/plain; charset=utf-8\r\n"+
		"X-Content-Type-Options: nosniff\r\nContent-Length: %d\r\n\r\n%s", bad.Status, text, len(body), body)
	c.linger()
}

// linger waits for the peer to close after the response was sent.
func (c *conn) linger() {
	half, ok := c.rwc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.rwc.SetReadDeadline(time.Now().Add(lingerTimeout))
	io.Copy(io.Discard, c.rwc)
}

// cut ends a response that is not whole such that the peer notices, as far as
// the network can say so: a Unix socket knows no reset.
func (c *conn) cut() {
	if tcp, ok := c.rwc.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
}

// write sends two byte slices, either of which may be empty and the second as
// long as it may be; a slow peer has WriteTimeout for every piece of it.
func (c *conn) write(first, rest []byte) error {
	const piece = 256 << 10
	for len(first)+len(rest) > 0 {
		now := rest[:min(len(rest), piece)]
		rest = rest[len(now):]
		if !c.ownWriteLimit.Load() {
			c.rwc.SetWriteDeadline(deadline(c.server.WriteTimeout, defaultWriteTimeout))
		}
		var err error
		switch {
		case len(now) == 0:
			_, err = c.rwc.Write(first)
		case len(first) == 0:
			_, err = c.rwc.Write(now)
		default:
			_, err = (&net.Buffers{first, now}).WriteTo(c.rwc)
		}
		if err != nil {
			return err
		}
		first = nil
	}
	return nil
}

// requestBody reads the CONTENT_LENGTH bytes after the header.
type requestBody struct {
	conn   *conn
	mu     sync.Mutex // held while reading, so that the buffer is not pooled meanwhile
	left   int64
	closed bool
}

// Read returns io.ErrUnexpectedEOF when the body ends early, and an error that
// is os.ErrDeadlineExceeded when it does not come.
func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return 0, http.ErrBodyReadAfterClose
	case b.left == 0:
		return 0, io.EOF
	}
	c := b.conn
	if !c.ownReadLimit.Load() {
		c.rwc.SetReadDeadline(deadline(c.server.BodyTimeout, defaultBodyTimeout))
	}
	if c.finished.Load() { // after the deadline was set: see abandon
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := c.br.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	switch {
	case b.left == 0:
		err = io.EOF
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close is the handler's; what is unread stays unread.
func (b *requestBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// abandon ends a Read that a handler left running in another goroutine, and
// reports whether the peer has more to send.
func (b *requestBody) abandon() (unread bool) {
	b.conn.rwc.SetReadDeadline(time.Unix(1, 0))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.left > 0
}

// setReadDeadline and setWriteDeadline serve http.ResponseController.
func (c *conn) setReadDeadline(t time.Time) error {
	if c.finished.Load() {
		return os.ErrClosed
	}
	c.ownReadLimit.Store(true)
	return c.rwc.SetReadDeadline(t)
}

func (c *conn) setWriteDeadline(t time.Time) error {
	c.ownWriteLimit.Store(true)
	return c.rwc.SetWriteDeadline(t)
}
