package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A front turns what arrives at a socket into calls of an http.Handler.
type front struct {
	kind   string // for logs
	server server

	// name and socket are what a gateway that replaces this one inherits; ""
	// for what is made anew.
	name   string
	socket net.Listener

	address  string        // as the options have it
	lent     *lentListener // the socket, for this front's server
	listener net.Listener  // that, with TLS and the PROXY protocol
	leaving  atomic.Bool   // another front has the socket
}

// isForClients tells fronts of the application from those of workers and the
// operator.
func (f *front) isForClients() bool { return f.kind != apiFront && f.kind != adminFront }

// apiFront and adminFront are kinds of fronts.
const (
	apiFront   = "api"
	adminFront = "admin"
)

// server is what http.Server and scgi.Server have in common.
type server interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
	Close() error
}

func httpServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		// net/http's own answer to "OPTIONS *" waits for a body for ever, and is not logged.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

// open adds a front that is not for clients at an address.
func (g *Gateway) open(ctx context.Context, f *front, address string) error {
	listeners, err := g.inherited.takeAll(f.name)
	if len(listeners) == 0 && err == nil {
		var listener net.Listener
		listener, err = listen(ctx, address)
		listeners = []net.Listener{listener}
	}
	if err != nil {
		return fmt.Errorf("listening for %s: %w", f.kind, err)
	}
	f.socket = listeners[0]
	f.listener = &lentListener{Listener: f.socket}
	g.fronts = append(g.fronts, f)
	return nil
}

// frontsNow are those that accept connections.
func (g *Gateway) frontsNow() []*front {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.fronts)
}

// Addrs returns the addresses at which the gateway listens, those of HTTP
// first, in the order of the options.
func (g *Gateway) Addrs() []net.Addr {
	var addrs []net.Addr
	for _, f := range g.frontsNow() {
		if f.isForClients() {
			addrs = append(addrs, f.socket.Addr())
		}
	}
	return addrs
}

// serve has a front accept connections, until its server is shut down or
// another front takes its socket.
func (g *Gateway) serve(f *front) {
	go func() {
		err := f.server.Serve(f.listener)
		if f.leaving.Load() {
			return
		}
		select {
		case g.failed <- err:
		default: // another has failed before
		}
	}()
}

// handlerOf returns the handler of a front's requests: that of the generation
// that is there when they arrive. While another front, or another gateway, takes
// over, it has clients close their connections: what net/http closes under them
// would look like a failure.
func (g *Gateway) handlerOf(f *front) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.leaving.Load() || g.lingering.Load() {
			w.Header().Set("Connection", "close")
		}
		g.now.Load().handler.ServeHTTP(w, r)
	})
}

// replaceFronts has other fronts accept from the sockets of those of the same
// names. Connections that these have stay with them: for a moment they are
// asked to leave, then closed where they are idle.
func (g *Gateway) replaceFronts(others []*front) {
	var old []*front
	for _, f := range others {
		i := slices.IndexFunc(g.fronts, func(was *front) bool { return was.socket == f.socket })
		was := g.fronts[i]
		was.leaving.Store(true)
		was.lent.takeBack()
		g.fronts[i] = f
		g.serve(f)
		old = append(old, was)
	}
	g.replaced = append(g.replaced, old...)
	for _, f := range old {
		go func() {
			select {
			case <-time.After(lingerTime):
			case <-g.draining:
			}
			_ = f.server.Shutdown(context.Background()) // Run bounds it
			g.mu.Lock()
			defer g.mu.Unlock()
			g.replaced = slices.DeleteFunc(g.replaced, func(other *front) bool { return other == f })
		}()
	}
}

// shutDown stops the chosen fronts at once and waits for their requests.
func (g *Gateway) shutDown(ctx context.Context, chosen func(*front) bool) {
	g.mu.Lock()
	all := slices.Concat(g.fronts, g.replaced)
	g.mu.Unlock()
	var stopping sync.WaitGroup
	for _, f := range all {
		if !chosen(f) {
			continue
		}
		stopping.Go(func() {
			if err := f.server.Shutdown(ctx); err != nil {
				g.opts.Logger.Warn("requests cut off", "kind", f.kind, "err", err)
				f.server.Close()
			}
		})
	}
	stopping.Wait()
}

// A lentListener is a socket while one server accepts from it. It can be taken
// back: the server sees it closed, and the socket goes on listening.
type lentListener struct {
	net.Listener
	accepting sync.Mutex // held by Accept
	taken     atomic.Bool
}

func (l *lentListener) Accept() (net.Conn, error) {
	l.accepting.Lock()
	defer l.accepting.Unlock()
	if l.taken.Load() {
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	switch {
	case err != nil && l.taken.Load():
		return nil, net.ErrClosed
	case errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
		return nil, memoryError{err}
	}
	return conn, err
}

// A memoryError is a lack of memory, which net/http waits out only if it is told that this passes:
// of itself it does so for a lack of descriptors. scgi.Server knows both.
type memoryError struct{ error }

func (e memoryError) Unwrap() error { return e.error }

// Timeout and Temporary make it a net.Error.
func (memoryError) Timeout() bool   { return false }
func (memoryError) Temporary() bool { return true }

func (l *lentListener) Close() error {
	if l.taken.Load() {
		return nil
	}
	return l.Listener.Close()
}

// takeBack ends an Accept that is under way.
func (l *lentListener) takeBack() {
	l.taken.Store(true)
	socket := l.Listener.(interface{ SetDeadline(time.Time) error }) // TCP or Unix: both have it
	_ = socket.SetDeadline(time.Unix(1, 0))
	l.accepting.Lock()
	defer l.accepting.Unlock()
	_ = socket.SetDeadline(time.Time{})
}
