package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// ResponseLimits say how much of a response is taken from a worker before the
// client has taken it, so that slow readers hold no worker.
type ResponseLimits struct {
	// Memory is how much of one response is held in memory, in bytes. What
	// is longer goes to a file of the Spool, if its length is known and there
	// is room; else the worker waits. Default: 64 KiB.
	Memory int
	// File is how long a response may be that goes to a file, in bytes. What
	// is longer is passed on while the worker writes it. Default: 1 GiB.
	File int64
}

func (l ResponseLimits) check() error {
	if l.Memory < 0 || l.File < 0 {
		return &OptionsError{"response memory or response file is negative"}
	}
	return nil
}

func (l ResponseLimits) withDefaults() ResponseLimits {
	if l.Memory == 0 {
		l.Memory = 64 << 10
	}
	if l.File == 0 {
		l.File = 1 << 30
	}
	return l
}

const copyBytes = 64 << 10

// copyBuffers hold a small response, or a part of a longer one.
var copyBuffers = sync.Pool{New: func() any { return new([copyBytes]byte) }}

// drainTime is how long a worker may go on with a response whose client has
// left, before its connection is closed and it counts as free.
const drainTime = 10 * time.Second

// A workerBody is a response's body together with what its worker's request
// holds. Close gives everything back.
type workerBody struct {
	io.ReadCloser
	lease *lease
	timer *time.Timer   // ends the request at RequestTimeout
	pause time.Duration // that the worker may make in a stream; 0 for other responses
	ctx   context.Context
	end   context.CancelCauseFunc
	once  sync.Once
}

func (b *workerBody) Read(p []byte) (int, error) {
	if b.pause > 0 {
		b.timer.Reset(b.pause)
		defer b.timer.Stop()
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		if cause := context.Cause(b.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

// unread has data come first when the body is read on.
func (b *workerBody) unread(data []byte) {
	type readCloser struct {
		io.Reader
		io.Closer
	}
	b.ReadCloser = readCloser{io.MultiReader(bytes.NewReader(data), b.ReadCloser), b.ReadCloser}
}

// limitPauses lets the worker take as long as it likes with the rest, as long
// as it never says nothing for limit: one that hangs in a stream would be at it
// for ever. When the client is what is slow, nothing is read and nothing timed.
func (b *workerBody) limitPauses(limit time.Duration) {
	b.timer.Stop()
	b.pause = limit
}

// Close frees the worker. One that let RequestTimeout pass is still busy, and
// got rid of. The error is the transport's.
func (b *workerBody) Close() error {
	var err error
	b.once.Do(func() {
		b.timer.Stop()
		err = b.ReadCloser.Close()
		if context.Cause(b.ctx) == errTookTooLong {
			b.lease.hung()
		} else {
			b.lease.release()
		}
		b.end(nil)
	})
	return err
}

// copyResponse passes a response on. What has a known length is read whole
// first and its worker freed, within the limits of ResponseLimits. What has
// none is a stream, and flushed as it comes.
func (p *Proxy) copyResponse(w http.ResponseWriter, r *http.Request, resp *http.Response, body *workerBody) {
	limits := p.Buffer.withDefaults()
	if resp.ContentLength < 0 || resp.ContentLength > max(limits.File, int64(limits.Memory)) {
		p.stream(w, r, resp, body, limits.Memory)
		return
	}
	held, err := p.take(r, resp, body, limits.Memory)
	switch {
	case errors.Is(err, errNoSpool):
		// Slow, but the client has its page.
		p.stream(w, r, resp, body, limits.Memory)
	case err != nil:
		keepSessionCookie(w, r, resp)
		p.fail(w, r, err)
	default:
		if err := body.Close(); err != nil {
			rec := recordOf(r.Context())
			p.logger().Warn("response longer than announced", "request", rec.requestID, "worker", rec.worker, "err", err)
		}
		writeHeader(w, resp)
		held.writeTo(w) // a client that has left is no concern any more
		held.release()
	}
}

// keepSessionCookie has a response's session cookie go out with the error that takes its place: what
// the worker did to the session is stored by then, and a new id would be lost to the client.
func keepSessionCookie(w http.ResponseWriter, r *http.Request, resp *http.Response) {
	v := visitOf(r.Context())
	if v == nil || recordOf(r.Context()).action == "" {
		return
	}
	for _, line := range resp.Header["Set-Cookie"] {
		if strings.HasPrefix(line, v.sessions.CookieName+"=") {
			w.Header().Add("Set-Cookie", line)
		}
	}
}

// A heldBody is a body that was read whole: in memory, or in a file.
type heldBody struct {
	scratch *[copyBytes]byte // from copyBuffers, where data is a part of it
	data    []byte
	file    *spoolFile
}

func (h *heldBody) writeTo(w io.Writer) {
	if h.file == nil {
		if len(h.data) > 0 {
			_, _ = w.Write(h.data)
		}
		return
	}
	piece := pieces.Get().(*[pieceBytes]byte)
	defer pieces.Put(piece)
	_, _ = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{h.file}, piece[:]) // by nothing but piece
}

func (h *heldBody) release() {
	if h.scratch != nil {
		copyBuffers.Put(h.scratch)
	}
	if h.file != nil {
		h.file.Close()
	}
}

// pieces are what of a file a slow client makes the gateway hold in memory.
var pieces = sync.Pool{New: func() any { return new([pieceBytes]byte) }}

const pieceBytes = 16 << 10

// errNoSpool means that a body is too long for memory, and that there is no
// room for it on the disk. What was read of it comes first when it is read on.
var errNoSpool = errors.New("no room for a response on the disk")

// take reads a body whole, up to memory bytes of it into memory.
func (p *Proxy) take(r *http.Request, resp *http.Response, body *workerBody, memory int) (heldBody, error) {
	held := heldBody{scratch: copyBuffers.Get().(*[copyBytes]byte)}
	buf := held.scratch[:min(memory, copyBytes)]
	if memory > copyBytes && resp.ContentLength >= copyBytes {
		buf = make([]byte, min(int64(memory), resp.ContentLength+1))
	}
	n, err := readToEnd(body, buf)
	if err == nil {
		held.data = buf[:n]
		return held, nil
	}
	if err == errBufferFull {
		held.file, err = p.Spool.create(resp.ContentLength)
		if err != nil {
			p.logger().Warn("response not buffered", "request", recordOf(r.Context()).requestID, "err", err)
			body.unread(bytes.Clone(buf[:n]))
			err = errNoSpool
		} else {
			err = held.file.fill(io.MultiReader(bytes.NewReader(buf[:n]), body))
		}
	}
	if err != nil {
		held.release()
		return heldBody{}, err
	}
	copyBuffers.Put(held.scratch)
	held.scratch = nil
	return held, nil
}

var errBufferFull = errors.New("buffer full")

// readToEnd fills buf from a body until that ends, or returns errBufferFull.
func readToEnd(body io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) {
		m, err := body.Read(buf[n:])
		n += m
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, errBufferFull
}

func writeHeader(w http.ResponseWriter, resp *http.Response) {
	header := w.Header()
	for name, values := range resp.Header {
		header[name] = values
	}
	w.WriteHeader(resp.StatusCode)
}

// headerWait is how long a stream's header waits for the first of its body.
const headerWait = 20 * time.Millisecond

// stream passes a response on while it comes. The worker is ahead of the client
// by no more than limit bytes. A response that the worker cuts short is cut
// short for the client too, in a way that it notices. When the client leaves,
// the rest is read all the same: the worker is busy for that long.
func (p *Proxy) stream(w http.ResponseWriter, r *http.Request, resp *http.Response, body *workerBody, limit int) {
	body.limitPauses(p.requestTimeout())
	ahead := newReadAhead(body, limit)
	defer ahead.wait()
	writeHeader(w, resp)
	flush := http.NewResponseController(w).Flush
	// What comes at once goes out with the header, in one packet; it does not wait for long.
	soon := time.AfterFunc(headerWait, ahead.wake)
	defer soon.Stop()
	for {
		data, err := ahead.next()
		if len(data) == 0 && err == nil {
			_ = flush() // a client that has left is noticed when there is data for it
		}
		if len(data) > 0 {
			_, err := w.Write(data)
			if err == nil {
				err = flush()
			}
			if err != nil { // the client has left, or may not have a body (HEAD, 304)
				closing := time.AfterFunc(drainTime, func() { body.Close() })
				defer closing.Stop()
				ahead.discard()
				ahead.wait()
				return
			}
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			rec := recordOf(r.Context())
			p.logger().Error("response cut short", "request", rec.requestID, "worker", rec.worker, "err", err)
			panic(http.ErrAbortHandler)
		}
	}
}

// A readAhead reads a body in a goroutine, as far ahead of its consumer as its
// limit lets it, and closes it at its end.
type readAhead struct {
	body  io.ReadCloser
	limit int
	done  chan struct{} // closed at the end of the goroutine

	mu        sync.Mutex
	changed   sync.Cond
	pending   []byte // read and not yet consumed
	taken     []byte // what next returned last, to be used again
	err       error  // what ended the body
	discarded bool
	awake     bool // next is to return
}

func newReadAhead(body io.ReadCloser, limit int) *readAhead {
	a := &readAhead{body: body, limit: limit, done: make(chan struct{})}
	a.changed.L = &a.mu
	go a.fill()
	return a
}

func (a *readAhead) fill() {
	defer close(a.done)
	defer a.body.Close()
	buf := copyBuffers.Get().(*[copyBytes]byte)
	defer copyBuffers.Put(buf)
	for a.room() {
		n, err := a.body.Read(buf[:min(len(buf), a.limit)])
		a.mu.Lock()
		if !a.discarded {
			a.pending = append(a.pending, buf[:n]...)
		}
		a.err = err
		a.changed.Signal()
		a.mu.Unlock()
	}
}

// room waits until there is room for more; it reports false at the body's end.
func (a *readAhead) room() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.err == nil && len(a.pending) >= a.limit && !a.discarded {
		a.changed.Wait()
	}
	return a.err == nil
}

// next waits for more of the body and returns it, valid until the next call, or
// with the last of it what ended the body; or for wake, and returns nothing.
func (a *readAhead) next() ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.pending) == 0 && a.err == nil && !a.awake {
		a.changed.Wait()
	}
	a.awake = false
	a.pending, a.taken = a.taken[:0], a.pending
	a.changed.Signal()
	return a.taken, a.err
}

func (a *readAhead) wake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.awake = true
	a.changed.Broadcast()
}

// discard has the rest of the body read for nobody.
func (a *readAhead) discard() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.discarded, a.pending = true, nil
	a.changed.Signal()
}

// wait waits until the body has ended and is closed.
func (a *readAhead) wait() { <-a.done }
