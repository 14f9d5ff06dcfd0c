package scgi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Server serves HTTP requests that a web server passes on by SCGI. The zero
// value is ready to use; fields must not be changed once Serve was called.
//
// For a duration of zero its default holds; a negative one means no limit.
//
// A handler's request is like one of net/http's server, with these differences.
// Its variables are at [Env]. TLS is non-nil, but empty, when the client came
// by https. Its context ends when the handler returns or at Close, not when the peer
// closes its side: that may be a half-close, after which it still reads.
// A client that left shows in a failed Write. [http.ResponseController]
// knows Flush and both deadlines, which then replace the timeouts below.
//
// A request that breaks the protocol is answered with a 4xx of one line.
type Server struct {
	// Handler answers the requests; nil means http.DefaultServeMux.
	Handler http.Handler

	// HeaderTimeout limits the time from accepting a connection until all
	// variables are read. Default 10 s.
	HeaderTimeout time.Duration

	// BodyTimeout limits each wait for more of a request's body, not the
	// whole of it. Default 60 s.
	BodyTimeout time.Duration

	// WriteTimeout limits each wait until the web server takes more of the
	// response, not the whole of it. Default 60 s.
	WriteTimeout time.Duration

	// MaxHeaderBytes limits the variables of one request, names and values,
	// in bytes. Default 1 MiB.
	MaxHeaderBytes int

	// KeepReserved keeps the reserved variables for [Reserved] instead of
	// dropping them: for a program that serves behind another that sends them,
	// and whom nobody else can reach. Default false.
	KeepReserved bool

	// MaxConns limits the connections served at a time; more wait. Default
	// 0, which is no limit.
	MaxConns int

	// Logger takes what goes wrong. Default slog.Default().
	Logger *slog.Logger

	mu        sync.Mutex
	listeners map[*net.Listener]struct{}
	conns     map[*conn]struct{}
	slots     chan struct{}      // one held by each connection; nil without MaxConns
	closing   chan struct{}      // closed by Shutdown and Close
	idle      chan *conn         // to goroutines that wait for another
	waiting   atomic.Int64       // how many they are
	drained   chan struct{}      // closed when the last connection and listener are gone; nil when no one waits
	base      context.Context    // of all requests
	cancel    context.CancelFunc // ends base
}

const (
	defaultHeaderTimeout  = 10 * time.Second
	defaultBodyTimeout    = 60 * time.Second
	defaultWriteTimeout   = 60 * time.Second
	defaultMaxHeaderBytes = 1 << 20

	// shutdownGrace is how long Shutdown waits for the first byte of a
	// connection: web servers send at once, or they opened it in advance.
	shutdownGrace = 500 * time.Millisecond

	maxAcceptDelay = time.Second
)

// Serve accepts connections on l and calls h for each request; it returns when
// accepting fails. It is short for a [Server] with that Handler.
func Serve(l net.Listener, h http.Handler) error {
	return (&Server{Handler: h}).Serve(l)
}

// Serve accepts connections on l, which it closes in the end, until accepting
// fails, or returns ErrServerClosed after Shutdown or Close. A lack of file
// descriptors or memory is waited out.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if !s.addListener(&l) {
		return ErrServerClosed
	}
	defer s.removeListener(&l)

	var delay time.Duration
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			delay = 0
			s.start(c)
		case s.isClosing():
			return ErrServerClosed
		case temporary(err):
			delay = min(max(2*delay, 5*time.Millisecond), maxAcceptDelay)
			s.logger().Warn("scgi: accept failed, trying again", "error", err, "delay", delay)
			select {
			case <-time.After(delay):
			case <-s.closing:
			}
		default:
			return fmt.Errorf("scgi: accept: %w", err)
		}
	}
}

// temporary reports whether accepting can succeed later.
func temporary(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Shutdown stops accepting, lets the requests in flight come to their end and
// returns; connections on which nothing has arrived are closed after half a second.
// One that was accepted and waits for another's end, see MaxConns, is served now.
// When ctx ends first, Shutdown returns its error and the rest goes on: call
// Close to end it.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopAccepting()
	grace := time.Now().Add(shutdownGrace)
	for c := range s.conns {
		if !c.heard {
			c.rwc.SetReadDeadline(grace)
		}
	}
	if s.isDrained() {
		s.mu.Unlock()
		return nil
	}
	if s.drained == nil {
		s.drained = make(chan struct{})
	}
	drained := s.drained
	s.mu.Unlock()

	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close stops accepting, ends the contexts of the requests in flight and
// closes their connections. It does not wait for their handlers.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopAccepting()
	s.cancel()
	for c := range s.conns {
		c.rwc.Close()
	}
	return nil
}

// stopAccepting needs s.mu.
func (s *Server) stopAccepting() {
	s.init()
	select {
	case <-s.closing:
	default:
		close(s.closing)
	}
	for l := range s.listeners {
		(*l).Close()
	}
}

// init needs s.mu.
func (s *Server) init() {
	if s.closing != nil {
		return
	}
	s.closing = make(chan struct{})
	s.idle = make(chan *conn)
	s.base, s.cancel = context.WithCancel(context.Background())
	s.listeners = make(map[*net.Listener]struct{})
	s.conns = make(map[*conn]struct{})
	if s.MaxConns > 0 {
		s.slots = make(chan struct{}, s.MaxConns)
	}
}

func (s *Server) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

func (s *Server) addListener(l *net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	if s.isClosing() {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) removeListener(l *net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
	s.noteDrained()
}

// start serves a connection in a goroutine once there is a slot. While the
// server shuts down it needs none: the connection is accepted, and dropped its
// request would be lost.
func (s *Server) start(rwc net.Conn) {
	if s.slots != nil {
		select {
		case s.slots <- struct{}{}:
		case <-s.closing:
		}
	}
	c := &conn{server: s, rwc: rwc}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.base.Err() != nil: // by Close
		rwc.Close()
		return
	case s.isClosing():
		rwc.SetReadDeadline(time.Now().Add(shutdownGrace))
	default:
		c.setHeaderDeadline()
	}
	s.conns[c] = struct{}{}
	select {
	case s.idle <- c:
	default:
		go s.serveOneByOne(c)
	}
}

// maxIdle is how many goroutines wait for another connection.
const maxIdle = 64

// serveOneByOne serves c and, as long as there are not too many goroutines that
// wait, others after it. The stack of a new one is copied several times until
// it is large enough for the handlers, which took 6 % of a small request.
func (s *Server) serveOneByOne(c *conn) {
	for c != nil {
		c.serve(s.base)
		c = s.nextConn()
	}
}

// nextConn waits for a connection, or returns nil.
func (s *Server) nextConn() *conn {
	if s.waiting.Add(1) > maxIdle {
		s.waiting.Add(-1)
		return nil
	}
	defer s.waiting.Add(-1)
	select {
	case c := <-s.idle:
		return c
	case <-s.closing:
		return nil
	}
}

// markHeard notes that a request has begun to arrive on c, so that Shutdown
// waits for it, and undoes the deadline of a Shutdown that came just before.
func (s *Server) markHeard(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.heard = true
	if s.isClosing() {
		c.setHeaderDeadline()
	}
}

// forget closes a connection that was served.
func (s *Server) forget(c *conn) {
	c.rwc.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	select {
	case <-s.slots:
	default: // no limit, or it was accepted while the server shut down
	}
	s.noteDrained()
}

// isDrained reports whether nothing is served and nothing more can come: while
// Serve runs, it may just have accepted a connection. s.mu is held.
func (s *Server) isDrained() bool {
	return len(s.conns) == 0 && len(s.listeners) == 0
}

// noteDrained ends the waiting of Shutdown when it has come to its end. s.mu is held.
func (s *Server) noteDrained() {
	if s.drained != nil && s.isDrained() {
		close(s.drained)
		s.drained = nil
	}
}

func (s *Server) logger() *slog.Logger {
	if s.Logger != nil {
		return s.Logger
	}
	return slog.Default()
}

func (s *Server) handler() http.Handler {
	if s.Handler != nil {
		return s.Handler
	}
	return http.DefaultServeMux
}

func (s *Server) maxHeaderBytes() int {
	if s.MaxHeaderBytes > 0 {
		return s.MaxHeaderBytes
	}
	return defaultMaxHeaderBytes
}

// deadline returns the time at which a wait that begins now ends; the zero
// time means never.
func deadline(timeout, byDefault time.Duration) time.Time {
	switch {
	case timeout == 0:
		return time.Now().Add(byDefault)
	case timeout < 0:
		return time.Time{}
	}
	return time.Now().Add(timeout)
}
