package gateway

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"alforja/gateway/scgi"
)

var (
	// ErrQueueFull is returned when as many requests as the queue holds
	// already wait for a worker.
	ErrQueueFull = errors.New("too many requests wait for a worker")

	// ErrQueueWait is returned when no worker became free in time.
	ErrQueueWait = errors.New("no worker became free in time")

	// ErrNoWorker is returned when all workers are down: they do not start.
	ErrNoWorker = errors.New("no worker runs")
)

// A Worker is one place where requests are answered: a process that the
// gateway supervises, or an address where others run one.
type Worker struct {
	// Name stands in logs: "1", or the address.
	Name string
	// Transport reaches the worker. Required.
	Transport *scgi.Transport
	// Concurrency is how many requests it gets at a time. Default: 1, which
	// is what a Quixote process serves; a stock scgi_server forks children
	// of its own and takes more.
	Concurrency int

	// answered is set when a request was answered; the supervisor resets it
	// with each new process.
	answered atomic.Bool
	// kill ends the process behind it, so that a new one is started. Nil for
	// a worker that is not ours.
	kill func()
}

// PoolOptions are the limits of a Pool.
type PoolOptions struct {
	// QueueLength is how many requests may wait for a worker. Default: 1000.
	QueueLength int
	// QueueWait is how long each may wait. Default: 30 s.
	QueueWait time.Duration
}

// A Pool hands requests to workers: to each no more at a time than it takes,
// from one queue, in the order of their arrival.
type Pool struct {
	queueLength int
	queueWait   time.Duration

	mu      sync.Mutex
	members []*member
	waiting []chan *member // each of capacity 1; first in, first out
}

// member is a worker with what the pool knows of it.
type member struct {
	*Worker
	busy     int
	down     bool // its supervisor says so
	paused   bool // after a failure, for a while
	failures int  // in a row
}

// NewPool returns a pool of these workers.
func NewPool(workers []*Worker, opts PoolOptions) *Pool {
	p := &Pool{queueLength: opts.QueueLength, queueWait: opts.QueueWait}
	if p.queueLength == 0 {
		p.queueLength = 1000
	}
	if p.queueWait == 0 {
		p.queueWait = 30 * time.Second
	}
	for _, w := range workers {
		w.Concurrency = max(w.Concurrency, 1)
		p.members = append(p.members, &member{Worker: w})
	}
	return p
}

func (p *Pool) closeIdleConnections() {
	for _, m := range p.members {
		m.Transport.CloseIdleConnections()
	}
}

// A lease is the right to send one request to a worker.
type lease struct {
	pool   *Pool
	member *member
}

// downWait is how long a request waits when all workers are down, which one
// that is being started again is for a moment.
const downWait = time.Second

// acquire waits for a free worker. It returns ErrQueueFull at once, and
// ErrQueueWait, ErrNoWorker or the context's error when the wait ends without
// one.
func (p *Pool) acquire(ctx context.Context) (*lease, error) {
	p.mu.Lock()
	if m := p.freest(); m != nil && len(p.waiting) == 0 {
		m.busy++
		p.mu.Unlock()
		return &lease{pool: p, member: m}, nil
	}
	if len(p.waiting) >= p.queueLength {
		p.mu.Unlock()
		return nil, ErrQueueFull
	}
	turn := make(chan *member, 1)
	p.waiting = append(p.waiting, turn)
	wait, late := p.queueWait, ErrQueueWait
	if p.allDown() {
		wait, late = min(wait, downWait), ErrNoWorker
	}
	p.mu.Unlock()

	timer := time.NewTimer(wait)
	defer timer.Stop()
	var err error
	select {
	case m := <-turn:
		return &lease{pool: p, member: m}, nil
	case <-timer.C:
		err = late
	case <-ctx.Done():
		err = ctx.Err()
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, turn); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		return nil, err
	}
	// Its turn came in the same moment.
	return &lease{pool: p, member: <-turn}, nil
}

// allDown reports whether no worker is expected to become free. p.mu is held.
func (p *Pool) allDown() bool {
	for _, m := range p.members {
		if !m.down {
			return false
		}
	}
	return true
}

// freest returns the worker with the most room, or nil when all are busy or
// down. Among equals the first: its caches are warm. p.mu is held.
func (p *Pool) freest() *member {
	var best *member
	for _, m := range p.members {
		if m.down || m.paused || m.busy >= m.Concurrency {
			continue
		}
		if best == nil || m.busy*best.Concurrency < best.busy*m.Concurrency {
			best = m
		}
	}
	return best
}

// serveWaiting gives free workers to those who wait. p.mu is held.
func (p *Pool) serveWaiting() {
	for len(p.waiting) > 0 {
		m := p.freest()
		if m == nil {
			return
		}
		m.busy++
		p.waiting[0] <- m
		p.waiting[0] = nil
		p.waiting = p.waiting[1:]
	}
}

// release gives the worker back.
func (l *lease) release() {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	l.member.busy--
	l.pool.serveWaiting()
}

// answered notes that the worker works.
func (l *lease) answered() {
	l.member.answered.Store(true)
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	l.member.failures = 0
}

// unreachable notes that a dial failed, and gives the worker back. It gets no
// request for a while: 100 ms after the first failure, twice that after each
// further one, at most 5 s.
func (l *lease) unreachable() {
	l.pool.mu.Lock()
	m := l.member
	if !m.paused {
		pause := min(100*time.Millisecond<<min(m.failures, 10), 5*time.Second)
		m.failures++
		m.paused = true
		time.AfterFunc(pause, func() {
			l.pool.mu.Lock()
			defer l.pool.mu.Unlock()
			m.paused = false
			l.pool.serveWaiting()
		})
	}
	l.pool.mu.Unlock()
	l.release()
}

// hung notes that the worker did not answer in time, and gives it back. It is
// still busy with the request: a supervised one is killed, one that is not
// ours is left alone for a while, as after a failed dial.
func (l *lease) hung() {
	if l.member.kill == nil {
		l.unreachable()
		return
	}
	l.pool.SetDown(l.member.Worker, true)
	l.member.kill()
	l.release()
}

// SetDown takes a worker out of the pool, or puts it back: its supervisor
// knows whether it runs. Requests that it has go on.
func (p *Pool) SetDown(w *Worker, down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.members {
		if m.Worker == w {
			m.down = down
		}
	}
	p.serveWaiting()
}
