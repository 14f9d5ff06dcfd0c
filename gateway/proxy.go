package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"alforja/gateway/scgi"
)

// Proxy is an http.Handler that has requests answered by a pool of workers.
// Inside Sessions it hands the session's state over and commits what comes
// back before the client hears of it.
type Proxy struct {
	// Pool of workers. Required.
	Pool *Pool
	// RequestTimeout is how long a worker may take until its response is
	// complete, or, of a stream, the response's headers and then each further
	// part. Default: 5 min.
	RequestTimeout time.Duration
	// Buffer says how much of a response is held for slow clients.
	Buffer ResponseLimits
	// Spool has the files for that. Default: one without a limit.
	Spool *Spool
	// Sendfile are the directories, absolute paths, from which applications
	// may have files sent by an X-Sendfile header. Default: none, and the
	// header is passed on.
	Sendfile []string
	// APIPath is the Unix socket of Sessions.API, which workers are told of.
	// Default: they are told of none.
	APIPath string
	// Logger. Default: slog.Default().
	Logger *slog.Logger
}

// ServeHTTP answers 503 with Retry-After when no worker is free in time, 502
// when a worker dies or answers nonsense, 504 when it takes too long, 500 when
// the session could not be stored, 400 and 404 as *scgi.RequestError says.
// A request is sent again, to another worker, only when nothing of it was sent.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	resp, body, err := p.roundTrip(r)
	v := visitOf(r.Context())
	if err != nil {
		if v != nil {
			v.handOn(r.Context())
			v.release()
		}
		p.fail(w, r, err)
		return
	}
	defer body.Close()
	if v == nil {
		delete(resp.Header, DirectiveHeader)
	} else if err := v.commit(r.Context(), resp.Header); err != nil {
		rec := recordOf(r.Context())
		rec.failure = sessionStore
		p.logger().Error("session not stored, response withheld", "request", rec.requestID, "err", err)
		fail(w, http.StatusInternalServerError, "the session could not be stored")
		return
	}
	if file := p.fileOf(resp); file != "" {
		p.sendFile(w, r, resp, body, file)
		return
	}
	p.copyResponse(w, r, resp, body)
}

// roundTrip has the request answered up to the response's headers. The
// client's leaving does not end it: a worker that has the request runs it to
// its end, and what it did to the session is committed.
func (p *Proxy) roundTrip(r *http.Request) (*http.Response, *workerBody, error) {
	ctx, rec := context.WithoutCancel(r.Context()), recordOf(r.Context())
	if v := visitOf(r.Context()); v != nil {
		if vars := v.variables(p.APIPath); vars != nil {
			ctx = scgi.NewContext(ctx, vars)
		}
	}
	var unreachable error
	for start := time.Now(); ; {
		lease, err := p.Pool.acquire(ctx)
		rec.queueWait = time.Since(start)
		if err != nil {
			return nil, nil, errors.Join(err, unreachable)
		}
		rec.worker = lease.member.Name
		resp, body, err := p.send(ctx, r, lease)
		if err == nil {
			lease.answered()
			return resp, body, nil
		}
		if errors.Is(err, errTookTooLong) {
			lease.hung()
			return nil, nil, err
		}
		if !scgi.SafeToRetry(err) {
			lease.release()
			return nil, nil, err
		}
		lease.unreachable(err)
		unreachable = err
		p.logger().Warn("worker cannot be reached, trying again",
			"request", rec.requestID, "worker", rec.worker, "err", err)
		if time.Since(start) > p.Pool.longestWait() {
			return nil, nil, fmt.Errorf("%w: %w", ErrQueueWait, err)
		}
	}
}

// errTookTooLong means that a worker has let RequestTimeout pass.
var errTookTooLong = errors.New("the worker took longer than the request timeout")

func (p *Proxy) requestTimeout() time.Duration {
	if p.RequestTimeout == 0 {
		return 5 * time.Minute
	}
	return p.RequestTimeout
}

// send is one round trip. RequestTimeout ends it until the body is closed, or
// limits the pauses only.
func (p *Proxy) send(ctx context.Context, r *http.Request, lease *lease) (*http.Response, *workerBody, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(p.requestTimeout(), func() { cancel(errTookTooLong) })
	out := r.WithContext(ctx)
	// A RoundTripper closes the body even when it has sent nothing of it; the
	// next worker that is tried needs it open.
	out.Body = io.NopCloser(r.Body)
	resp, err := lease.member.Transport.RoundTrip(out)
	if err != nil {
		timer.Stop()
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, nil, err
	}
	return resp, &workerBody{ReadCloser: resp.Body, lease: lease, timer: timer, ctx: ctx, end: cancel}, nil
}

// fail answers a request that got no response from a worker.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	rec := recordOf(r.Context())
	var request *scgi.RequestError
	var disk *os.PathError
	switch {
	case errors.As(err, &disk): // of a response, or of a request's body, which reads as the client's fault else
		rec.failure = diskFailed
		fail(w, http.StatusInternalServerError, "the disk failed")
	case errors.As(err, &request):
		fail(w, request.Status, request.Err.Error())
		return
	case errors.Is(err, ErrNoWorker), scgi.SafeToRetry(err):
		rec.failure = noWorker
		w.Header().Set("Retry-After", "5")
		fail(w, http.StatusServiceUnavailable, "the application does not run")
	case errors.Is(err, ErrQueueFull), errors.Is(err, ErrQueueWait):
		rec.failure = queueWait
		if errors.Is(err, ErrQueueFull) {
			rec.failure = queueFull
		}
		w.Header().Set("Retry-After", "1")
		fail(w, http.StatusServiceUnavailable, "all workers are busy")
	case errors.Is(err, errTookTooLong):
		rec.failure = workerTimeout
		fail(w, http.StatusGatewayTimeout, "the application took too long")
	default:
		rec.failure = workerBrokeOff
		fail(w, http.StatusBadGateway, "the application broke off")
	}
	p.logger().Error("request not answered by a worker", "request", rec.requestID,
		"method", r.Method, "path", r.URL.Path, "worker", rec.worker, "err", err)
}

func (p *Proxy) logger() *slog.Logger {
	if p.Logger == nil {
		return slog.Default()
	}
	return p.Logger
}
