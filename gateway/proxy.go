package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"alforja/gateway/scgi"
)

// Proxy is an http.Handler that has requests answered by a pool of workers.
// Inside Sessions it hands the session's state over and commits what comes
// back before the client hears of it.
type Proxy struct {
	// Pool of workers. Required.
	Pool *Pool
	// RequestTimeout is how long a worker may take until its response's
	// headers are complete. Default: 5 min.
	RequestTimeout time.Duration
	// Logger. Default: slog.Default().
	Logger *slog.Logger
}

// ServeHTTP answers 503 with Retry-After when no worker is free in time, 502
// when a worker dies or answers nonsense, 504 when it takes too long, 500 when
// the session could not be stored, 400 and 404 as *scgi.RequestError says.
// A request is sent again, to another worker, only when nothing of it was sent.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	resp, lease, err := p.roundTrip(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	defer lease.release()
	defer resp.Body.Close()
	v := visitOf(r.Context())
	if v == nil {
		delete(resp.Header, DirectiveHeader)
	} else if err := v.commit(r.Context(), resp.Header); err != nil {
		p.logger().Error("session not stored, response withheld",
			"request", recordOf(r.Context()).requestID, "err", err)
		fail(w, http.StatusInternalServerError, "the session could not be stored")
		return
	}
	p.copyResponse(w, r, resp)
}

// roundTrip has the request answered up to the response's headers. The
// client's leaving does not end it: a worker that has the request runs it to
// its end, and what it did to the session is committed.
func (p *Proxy) roundTrip(r *http.Request) (*http.Response, *lease, error) {
	ctx := context.WithoutCancel(r.Context())
	if v := visitOf(ctx); v != nil {
		if vars := v.variables(); vars != nil {
			ctx = scgi.NewContext(ctx, vars)
		}
	}
	rec := recordOf(ctx)
	var unreachable error
	for start := time.Now(); ; {
		lease, err := p.Pool.acquire(ctx)
		rec.queueWait = time.Since(start)
		if err != nil {
			return nil, nil, errors.Join(err, unreachable)
		}
		rec.worker = lease.member.Name
		resp, err := p.send(ctx, r, lease)
		if err == nil {
			lease.answered()
			return resp, lease, nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			lease.hung()
			return nil, nil, err
		}
		if !scgi.SafeToRetry(err) {
			lease.release()
			return nil, nil, err
		}
		lease.unreachable()
		unreachable = err
		p.logger().Warn("worker cannot be reached, trying again",
			"request", rec.requestID, "worker", rec.worker, "err", err)
		if time.Since(start) > p.Pool.queueWait {
			return nil, nil, fmt.Errorf("%w: %w", ErrQueueWait, err)
		}
	}
}

// send is one round trip, ended by RequestTimeout until the response's headers
// are there.
func (p *Proxy) send(ctx context.Context, r *http.Request, lease *lease) (*http.Response, error) {
	timeout := p.RequestTimeout
	if timeout == 0 {
		timeout = 5 * time.Minute
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(timeout, func() { cancel(os.ErrDeadlineExceeded) })
	out := r.WithContext(ctx)
	// A RoundTripper closes the body even when it has sent nothing of it; the
	// next worker that is tried needs it open.
	out.Body = io.NopCloser(r.Body)
	resp, err := lease.member.Transport.RoundTrip(out)
	timer.Stop()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		cancel(nil)
		return nil, err
	}
	resp.Body = &cancelingBody{ReadCloser: resp.Body, cancel: cancel}
	return resp, nil
}

// cancelingBody frees its request's context when it is closed.
type cancelingBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *cancelingBody) Close() error {
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}

// fail answers a request that got no response from a worker.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	rec := recordOf(r.Context())
	var request *scgi.RequestError
	switch {
	case errors.As(err, &request):
		fail(w, request.Status, request.Err.Error())
		return
	case errors.Is(err, ErrNoWorker), scgi.SafeToRetry(err):
		w.Header().Set("Retry-After", "5")
		fail(w, http.StatusServiceUnavailable, "the application does not run")
	case errors.Is(err, ErrQueueFull), errors.Is(err, ErrQueueWait):
		w.Header().Set("Retry-After", "1")
		fail(w, http.StatusServiceUnavailable, "all workers are busy")
	case errors.Is(err, os.ErrDeadlineExceeded):
		fail(w, http.StatusGatewayTimeout, "the application took too long")
	default:
		fail(w, http.StatusBadGateway, "the application broke off")
	}
	p.logger().Error("request not answered by a worker", "request", rec.requestID,
		"method", r.Method, "path", r.URL.Path, "worker", rec.worker, "err", err)
}

var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// drainTime is how long a worker may go on with a response whose client has
// left, before its connection is closed and it counts as free.
const drainTime = 10 * time.Second

// copyResponse passes the response on. What has no known length is a stream
// and is flushed as it comes. A response that the worker cuts short is cut
// short for the client too, in a way that it notices. When the client leaves,
// the rest is read all the same: the worker is busy for that long.
func (p *Proxy) copyResponse(w http.ResponseWriter, r *http.Request, resp *http.Response) {
	header := w.Header()
	for name, values := range resp.Header {
		header[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	buf := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(buf)
	var flush func() error
	if resp.ContentLength < 0 {
		flush = http.NewResponseController(w).Flush
	}
	for {
		n, err := resp.Body.Read(buf[:])
		if n > 0 {
			_, err := w.Write(buf[:n])
			if err == nil && flush != nil {
				err = flush()
			}
			if err != nil { // the client has left, or may not have a body (HEAD, 304)
				closing := time.AfterFunc(drainTime, func() { resp.Body.Close() })
				defer closing.Stop()
				_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buf[:])
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

func (p *Proxy) logger() *slog.Logger {
	if p.Logger == nil {
		return slog.Default()
	}
	return p.Logger
}
