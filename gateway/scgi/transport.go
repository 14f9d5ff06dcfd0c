package scgi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Transport sends requests to one SCGI worker, or to several that accept on
// one address. It is an [http.RoundTripper] and safe for concurrent use. Each
// request has a connection of its own, as SCGI has it, unless Keep is set and
// the worker plays along.
//
// The CGI variables are made from the request, whichever way it came in.
// PATH_INFO is the decoded path; SCRIPT_NAME and PATH_INFO together are always
// the whole of it. SERVER_PROTOCOL is HTTP/1.0. Headers whose name holds an
// underscore, hop-by-hop headers and Proxy are left out. Variables of [Env] that
// have no HTTP form are sent on, and those of [NewContext] in place of any
// other.
//
// The length of a request's body must be known. It is sent while the response
// is read: a worker that answers without reading all of it is heard.
type Transport struct {
	// Network and Address are those of net.Dial: "unix" and a path, or
	// "tcp" and host:port.
	Network, Address string

	// ScriptName is the path at which the application is mounted, such as
	// "/app", or "/" for the root. A request for a path that is not below
	// it fails with ErrOutsideScriptName. Default "": the SCRIPT_NAME of
	// the front, if the path is below that, and otherwise the root.
	ScriptName string

	// Keep offers the worker to keep the connection for the next request, by
	// the variable ALFORJA_KEEP; see docs/protocol.md. Default: false.
	Keep bool

	// DialTimeout limits the time to connect. Default 10 s; negative means
	// no limit. All else is limited by the request's context alone.
	DialTimeout time.Duration

	// MaxResponseHeaderBytes limits the header of a response, in bytes.
	// Default 16 MiB.
	MaxResponseHeaderBytes int

	idle idleConns
}

const (
	defaultDialTimeout            = 10 * time.Second
	defaultMaxResponseHeaderBytes = 16 << 20

	// firstBodyBytes is how much of a body goes out with the header.
	firstBodyBytes = 16 << 10
	copyBytes      = 32 << 10
	maxPooledBytes = 64 << 10
)

// buffers hold a request's header and first bytes of body, a later part of its
// body, or a response's header.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, copyBytes)
	return &b
}}

func putBuffer(b *[]byte) {
	if cap(*b) <= maxPooledBytes {
		buffers.Put(b)
	}
}

// RoundTrip sends req and returns when the header of the response has
// arrived. The request's body is always closed. Closing the response's body closes the
// connection; so does the end of the request's context.
//
// The error is a *[RequestError] if the request cannot be sent as it is, or its
// body could not be read; one for which [SafeToRetry] holds if there was no
// connection; a *[ResponseError] if the worker's answer is at fault. When the
// context has ended, the error wraps the context's. Reading the response's
// body returns the same errors.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	x, err := t.start(req)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	limit := t.MaxResponseHeaderBytes
	if limit <= 0 {
		limit = defaultMaxResponseHeaderBytes
	}
	resp, err := x.receive(limit)
	if err != nil {
		err = x.cause(err)
		x.Close()
		return nil, err
	}
	return resp, nil
}

// CloseIdleConnections closes the connections that wait for a next request.
func (t *Transport) CloseIdleConnections() {
	for conn := t.idle.take(); conn != nil; conn = t.idle.take() {
		conn.Close()
	}
}

// start connects and sends the request, or as much of it as there is at once.
// After an error its body is still open.
func (t *Transport) start(req *http.Request) (*exchange, error) {
	length, err := contentLength(req)
	if err != nil {
		return nil, err
	}
	ctx := req.Context()
	x := &exchange{transport: t, req: req, hasBody: length > 0}
	if t.Keep {
		x.keep = newKeepToken()
	}
	buf := buffers.Get().(*[]byte)
	defer putBuffer(buf)
	header, err := appendHeader(*buf, req, length, t.ScriptName, x.keep)
	if err != nil {
		return nil, err
	}
	reused := false
	if x.conn = t.idle.take(); x.conn != nil {
		reused = true
	} else if x.conn, err = t.dial(ctx); err != nil {
		return nil, err
	}
	x.watch()
	if err := x.send(header, length, reused); err != nil {
		return nil, err
	}
	return x, nil
}

func (t *Transport) dial(ctx context.Context) (*workerConn, error) {
	timeout := t.DialTimeout
	if timeout == 0 {
		timeout = defaultDialTimeout
	}
	d := net.Dialer{Timeout: max(timeout, 0)}
	conn, err := d.DialContext(ctx, t.Network, t.Address)
	if err == nil {
		return newWorkerConn(conn), nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return nil, &dialError{err}
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// An exchange is one request and its response on one connection. It is the
// response's body.
type exchange struct {
	transport *Transport
	req       *http.Request
	conn      *workerConn
	keep      string      // what the worker says to keep the connection; "" for none
	hasBody   bool        // the request has one
	stop      func() bool // ends the watch over the context
	sent      atomic.Bool // all of the request
	ended     atomic.Bool // closed by the caller
	failed    atomic.Pointer[RequestError]

	mu     sync.Mutex // held while reading, so that br is not pooled meanwhile
	br     *bufio.Reader
	body   io.Reader // what is left of the response's body, framing undone
	toEOF  bool      // the end of the connection is the end of the body
	kept   bool      // the worker will read another request
	err    error     // what ended it
	closed bool
}

// watch has the end of the context close the connection.
func (x *exchange) watch() {
	conn := x.conn
	x.stop = context.AfterFunc(x.req.Context(), func() { conn.Close() })
}

// send writes the header with the beginning of the body, and leaves the rest,
// if there is any, to a goroutine.
//
// That the worker does not take it is no error here: it may have answered
// already, and if it has not, reading the response tells. But a reused
// connection that takes not a single byte was closed by the worker while it
// was idle, and a new one is dialled.
func (x *exchange) send(header []byte, length int64, reused bool) error {
	out, first := header, int(min(length, firstBodyBytes))
	if first > 0 {
		out = append(header, make([]byte, first)...)
		if _, err := io.ReadFull(x.req.Body, out[len(header):]); err != nil {
			x.fail(err)
			closeBody(x.req)
			return nil
		}
	}
	n, err := x.conn.Write(out)
	if err != nil && n == 0 && reused && x.stop() {
		x.conn.Close()
		conn, dialErr := x.transport.dial(x.req.Context())
		if dialErr != nil {
			// Some of the body is read: no reason to send it elsewhere.
			return &ResponseError{Err: dialErr.(*dialError).err}
		}
		x.conn = conn
		x.watch()
		_, err = x.conn.Write(out)
	}
	if err == nil && int64(first) < length {
		go x.sendRest(length - int64(first))
		return nil
	}
	x.sent.Store(err == nil)
	closeBody(x.req)
	return nil
}

func (x *exchange) sendRest(length int64) {
	defer closeBody(x.req)
	buf := buffers.Get().(*[]byte)
	defer putBuffer(buf)
	body := &errorKeeper{r: io.LimitReader(x.req.Body, length)}
	// Without its ReadFrom, the connection would not use this buffer.
	n, err := io.CopyBuffer(struct{ io.Writer }{x.conn}, body, (*buf)[:cap(*buf)])
	switch {
	case body.err != nil:
		x.fail(body.err)
	case err == nil && n < length:
		x.fail(io.ErrUnexpectedEOF)
	case err == nil:
		x.sent.Store(true)
	}
}

// errorKeeper tells a copy's failed read from its failed write.
type errorKeeper struct {
	r   io.Reader
	err error
}

func (k *errorKeeper) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	if err != nil && err != io.EOF {
		k.err = err
	}
	return n, err
}

// fail ends an exchange whose request cannot be sent whole. The worker would
// wait for the rest.
func (x *exchange) fail(err error) {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	x.failed.CompareAndSwap(nil, bodyError(err))
	x.conn.Close()
}

// cause finds what is behind the failure of a read.
func (x *exchange) cause(err error) error {
	if bad := x.failed.Load(); bad != nil {
		return bad
	}
	if ctx := x.req.Context(); ctx.Err() != nil {
		return fmt.Errorf("scgi: waiting for the worker: %w", ctx.Err())
	}
	var bad *ResponseError
	if errors.As(err, &bad) {
		return err
	}
	return &ResponseError{Err: err}
}

// receive reads the header of the response.
func (x *exchange) receive(limit int) (*http.Response, error) {
	x.br = readers.Get().(*bufio.Reader)
	x.br.Reset(x.conn)
	resp, body, err := readResponse(x.br, method(x.req), limit)
	if err != nil {
		return nil, err
	}
	x.body, x.toEOF = body, body == io.Reader(x.br)
	x.kept = x.keep != "" && resp.Header.Get(keepHeader) == x.keep && endsWhereTheWorkerSays(body)
	delete(resp.Header, keepHeader)
	resp.Request = x.req
	resp.Body = x
	return resp, nil
}

// endsWhereTheWorkerSays reports whether a body is none, or as long as its
// Content-Length, which the worker knows to be true. A value that ends its line
// can bring a Transfer-Encoding that the worker knows nothing of: then the body
// ends where who made it wants, and the rest would begin another's response.
func endsWhereTheWorkerSays(body io.Reader) bool {
	_, counted := body.(*lengthReader)
	return counted || body == io.Reader(http.NoBody)
}

func (x *exchange) Read(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	if x.err != nil {
		return 0, x.err
	}
	n, err := x.body.Read(p)
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF:
		// A context that ended, or a body that failed, closes the connection
		// on our side, which is never an EOF here.
	case x.toEOF && x.hasBody && errors.Is(err, syscall.ECONNRESET) && x.req.Context().Err() == nil:
		// A worker that closes with some of the request unread resets the
		// connection after the last byte of its response.
		err = io.EOF
	default:
		err = x.cause(err)
	}
	x.err = err
	return n, err
}

// Close closes the connection, whatever is still on its way; or keeps it, when
// nothing is and the worker waits for another request. The error is a
// *ResponseError when there was more than the Content-Length says, as far as
// that has arrived.
func (x *exchange) Close() error {
	if x.ended.Swap(true) {
		return nil // the connection may be another's by now
	}
	watched := x.stop() // false when the context has closed the connection
	if watched && x.keepConn() {
		return nil
	}
	err := x.conn.Close() // first, so that a Read gives up the lock
	if errors.Is(err, net.ErrClosed) {
		err = nil // the context was quicker
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, counted := x.body.(*lengthReader); counted && x.err == io.EOF && x.br.Buffered() > 0 {
		err = badResponse("it goes on behind its Content-Length")
	}
	x.finish()
	return err
}

// keepConn gives the connection back for the next request, if it can take one.
func (x *exchange) keepConn() bool {
	if !x.kept || !x.mu.TryLock() {
		return false
	}
	defer x.mu.Unlock()
	if x.err != io.EOF || x.br.Buffered() > 0 || !x.sent.Load() {
		return false
	}
	x.finish()
	x.transport.idle.put(x.conn)
	return true
}

// finish gives the reader back. x.mu is held.
func (x *exchange) finish() {
	x.closed = true
	x.body = nil
	x.br.Reset(nil)
	readers.Put(x.br)
	x.br = nil
}
