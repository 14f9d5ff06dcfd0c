package gateway

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// arrivalWait is how long Shutdown waits for the first request of connections
// that were accepted: some never send one.
const arrivalWait = time.Second

// defaultNextWait is how long after an answer Shutdown leaves a connection open:
// a client that asks for one page after the other may have sent the next request.
const defaultNextWait = 100 * time.Millisecond

// A patientServer is an http.Server that answers what it has accepted. By
// itself, http.Server drops a request without an answer when Shutdown is called
// before all of the header has been read. It limits the connections, too.
type patientServer struct {
	*http.Server

	nextWait time.Duration
	slots    chan struct{} // one held by each connection
	stopping chan struct{} // closed by Shutdown
	stop     func()        // closes stopping
	accepted chan struct{} // closed when Serve has accepted its last connection

	mu       sync.Mutex
	listener net.Listener
	arriving map[net.Conn]bool      // accepted, and its first request not begun
	none     chan struct{}          // closed when there is none; nil when nobody waits
	answered map[net.Conn]time.Time // between two requests, and since when; or zero: being answered
}

type connKey struct{}

// newPatientServer takes over the server's handler and hooks. One that is told
// of a connection's states by the server goes on being told. The server accepts
// no more than maxConnections and one that waits; the kernel's queue has the
// rest.
func newPatientServer(s *http.Server, maxConnections int) *patientServer {
	p := &patientServer{
		Server:   s,
		nextWait: defaultNextWait,
		slots:    make(chan struct{}, maxConnections),
		stopping: make(chan struct{}),
		accepted: make(chan struct{}),
		arriving: map[net.Conn]bool{},
		answered: map[net.Conn]time.Time{},
	}
	p.stop = sync.OnceFunc(func() { close(p.stopping) })
	states, handler := s.ConnState, s.Handler
	s.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, sync.OnceFunc(func() { p.arrived(conn) }))
	}
	s.ConnState = func(conn net.Conn, state http.ConnState) {
		if states != nil {
			states(conn, state)
		}
		switch state {
		case http.StateNew:
			p.arrive(conn)
		case http.StateActive:
			p.note(conn, time.Time{})
		case http.StateIdle:
			p.note(conn, time.Now())
		case http.StateClosed, http.StateHijacked:
			p.arrived(conn)
			p.forget(conn)
			select {
			case <-p.slots:
			default: // it was accepted while the server stopped
			}
		}
	}
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if arrived, ok := r.Context().Value(connKey{}).(func()); ok {
			arrived()
		}
		if isClosed(p.stopping) {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
	return p
}

// arrive waits until one more connection may be served. net/http calls it
// before it accepts the next one.
func (p *patientServer) arrive(conn net.Conn) {
	p.mu.Lock()
	p.arriving[conn] = true
	p.mu.Unlock()
	select {
	case p.slots <- struct{}{}:
	case <-p.stopping: // it is accepted, and dropped its request would be lost
	}
}

func (p *patientServer) arrived(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.arriving, conn)
	if len(p.arriving) == 0 && p.none != nil {
		close(p.none)
		p.none = nil
	}
}

func (p *patientServer) note(conn net.Conn, answered time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered[conn] = answered
}

func (p *patientServer) forget(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.answered, conn)
}

// untilQuiet is how long it takes until no connection has had an answer within
// nextWait, if none sends a request meanwhile. One that is being answered may
// have all of the answer already, but its request may also take long: it is
// waited for as if it were answered at the stop.
func (p *patientServer) untilQuiet(stop time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	var wait time.Duration
	for _, since := range p.answered {
		if since.IsZero() {
			since = stop
		}
		wait = max(wait, p.nextWait-time.Since(since))
	}
	return wait
}

// Serve is http.Server's, for one listener and once.
func (p *patientServer) Serve(l net.Listener) error {
	defer close(p.accepted)
	p.mu.Lock()
	p.listener = l
	p.mu.Unlock()
	return p.Server.Serve(l)
}

// Shutdown is http.Server's, but connections that it has accepted have a moment
// to bring their request, and those that were just answered to bring the next:
// http.Server closes them with the request unread. They are told to leave
// with its answer.
func (p *patientServer) Shutdown(ctx context.Context) error {
	begun := time.Now()
	waiting, cancel := context.WithTimeout(ctx, arrivalWait)
	defer cancel()
	p.mu.Lock()
	listener := p.listener
	p.mu.Unlock()
	if listener != nil {
		_ = listener.Close() // or it was closed before
		p.stop()
		select {
		case <-p.accepted:
		case <-waiting.Done():
		}
	}
	select {
	case <-p.arrivals():
	case <-waiting.Done():
	}
	for wait := p.untilQuiet(begun); wait > 0 && waiting.Err() == nil; wait = p.untilQuiet(begun) {
		select {
		case <-time.After(wait):
		case <-waiting.Done():
		}
	}
	return p.Server.Shutdown(ctx)
}

// arrivals returns a channel that is closed when no connection is arriving.
func (p *patientServer) arrivals() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	none := make(chan struct{})
	if len(p.arriving) == 0 {
		close(none)
	} else {
		p.none = none
	}
	return none
}
