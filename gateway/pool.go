package gateway

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
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

// PoolOptions are the limits of a Pool.
type PoolOptions struct {
	// QueueLength is how many requests may wait for a worker. Default: 1000.
	QueueLength int
	// QueueWait is how long each may wait. Default: 30 s.
	QueueWait time.Duration
	// Logger is told when workers that are not supervised fail and come back.
	// Default: slog.Default().
	Logger *slog.Logger
}

// A Pool hands requests to workers: to each no more at a time than it takes,
// from one queue, in the order of their arrival.
type Pool struct {
	logger *slog.Logger

	// pressure gets something when a request finds no worker free.
	pressure chan struct{}

	// gone is closed when no worker will ever run.
	gone chan struct{}

	mu          sync.Mutex
	queueLength int
	queueWait   time.Duration

	started uint64 // processes, of all workers together
	members []*member
	waiting []chan *member // each of capacity 1; first in, first out
}

// member is a worker with what the pool knows of it.
type member struct {
	*Worker
	process  processState
	busy     int
	requests uint64
	left     uint64        // 1 + requests until its process is to be replaced; 0 for any number
	idle     time.Time     // since when it has been at nothing
	outage   *outage       // the present one, or nil
	pausing  bool          // in an outage: it is not tried before a pause has ended
	failures int           // in a row
	due      chan struct{} // tells its checker that a pause has ended; nil without one
	drained  func()        // set when it is to leave; called when it is at nothing
}

// processState is what a worker's supervisor says of it.
type processState int

const (
	processReady processState = iota
	processStarting
	processEnding // it hangs and is being killed; another follows
	processDead
)

func (m *member) state() WorkerState {
	switch {
	case m.drained != nil:
		return Draining
	case m.process >= processEnding || m.outage != nil && m.kill == nil:
		return Dead
	case m.busy > 0:
		return Busy
	case m.process == processStarting:
		return Starting
	}
	return Idle
}

// NewPool returns a pool of these workers.
func NewPool(workers []*Worker, opts PoolOptions) *Pool {
	p := &Pool{logger: opts.Logger, pressure: make(chan struct{}, 1), gone: make(chan struct{})}
	p.setLimits(opts)
	if p.logger == nil {
		p.logger = slog.Default()
	}
	for _, w := range workers {
		p.add(w, processReady)
	}
	return p
}

// setLimits changes what NewPool was told of the queue. Requests that wait
// already do so as they began.
func (p *Pool) setLimits(opts PoolOptions) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queueLength, p.queueWait = cmp.Or(opts.QueueLength, 1000), cmp.Or(opts.QueueWait, 30*time.Second)
}

// longestWait is how long a request may wait for a worker.
func (p *Pool) longestWait() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queueWait
}

// add takes a worker in.
func (p *Pool) add(w *Worker, process processState) {
	w.Concurrency = max(w.Concurrency, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.members = append(p.members, &member{Worker: w, process: process, idle: time.Now()})
	p.serveWaiting()
}

// retire has a worker finish what it is at. It gets no further request, and
// drained is called when it is at none; then it is no longer in the pool.
func (p *Pool) retire(w *Worker, drained func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.memberOf(w); m != nil && m.drained == nil {
		m.drained = drained
		p.leave(m)
	}
}

// leave takes a member out that is to leave and is at nothing. p.mu is held.
func (p *Pool) leave(m *member) {
	if m.drained == nil || m.busy > 0 {
		return
	}
	p.members = slices.DeleteFunc(p.members, func(other *member) bool { return other == m })
	m.Transport.CloseIdleConnections()
	go m.drained()
}

// memberOf returns what stands for a worker, or nil. p.mu is held.
func (p *Pool) memberOf(w *Worker) *member {
	for _, m := range p.members {
		if m.Worker == w {
			return m
		}
	}
	return nil
}

// Status tells of each worker, in the order in which they joined, and how many
// requests wait.
func (p *Pool) Status() (workers []WorkerStatus, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.members {
		w := WorkerStatus{Name: m.Name, State: m.state(), Busy: m.busy, Requests: m.requests}
		if w.State == Dead && m.outage != nil {
			w.Reason = m.outage.reason.Error()
		}
		workers = append(workers, w)
	}
	return workers, len(p.waiting)
}

// processesStarted counts the processes of supervised workers, those that have
// ended too.
func (p *Pool) processesStarted() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.started
}

func (p *Pool) closeIdleConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
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
		p.take(m)
		p.mu.Unlock()
		return &lease{pool: p, member: m}, nil
	}
	p.press()
	if isClosed(p.gone) {
		p.mu.Unlock()
		return nil, ErrNoWorker
	}
	if len(p.waiting) >= p.queueLength {
		p.mu.Unlock()
		return nil, ErrQueueFull
	}
	turn := make(chan *member, 1)
	p.waiting = append(p.waiting, turn)
	wait, late := p.patience()
	p.mu.Unlock()

	timer := time.NewTimer(wait)
	defer timer.Stop()
	var err error
	select {
	case m := <-turn:
		return &lease{pool: p, member: m}, nil
	case <-timer.C:
		err = late
	case <-p.gone:
		err = ErrNoWorker
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

// patience is how long a request may wait for a worker now, and what to say
// then. p.mu is held.
func (p *Pool) patience() (time.Duration, error) {
	wait := downWait
	for _, m := range p.members {
		switch {
		case m.drained != nil || m.process == processDead:
		case m.outage != nil && m.due != nil:
			wait = max(wait, outageGrace-time.Since(m.outage.since))
		default:
			return p.queueWait, ErrQueueWait
		}
	}
	return min(wait, p.queueWait), ErrNoWorker
}

// freest returns the worker with the most room, or nil when none can take a
// request. One that is only starting gets requests into its socket's backlog
// while no other is up: at the very start, they need not be turned away. Among
// equals the first: its caches are warm. p.mu is held.
func (p *Pool) freest() *member {
	var best *member
	anyReady := false
	for _, m := range p.members {
		if m.process >= processEnding || m.drained != nil || m.outage != nil {
			continue
		}
		ready := m.process == processReady
		if ready && !anyReady {
			anyReady, best = true, nil
		}
		if ready != anyReady || m.busy >= m.Concurrency {
			continue
		}
		if best == nil || m.busy*best.Concurrency < best.busy*m.Concurrency {
			best = m
		}
	}
	return best
}

// take gives the member one more request. p.mu is held.
func (p *Pool) take(m *member) {
	m.busy++
	m.requests++
	if m.left > 1 {
		if m.left--; m.left == 1 {
			p.press()
		}
	}
}

// press has the supervisor look at the pool.
func (p *Pool) press() {
	select {
	case p.pressure <- struct{}{}:
	default:
	}
}

// startProcess notes that a worker has a new process, which is to be replaced
// after so many requests, or never for 0.
func (p *Pool) startProcess(w *Worker, state processState, requests uint64) {
	p.mu.Lock()
	p.started++
	if m := p.memberOf(w); m != nil && requests > 0 {
		m.left = requests + 1
	}
	p.mu.Unlock()
	p.setProcess(w, state)
}

// spent reports whether a worker's process has had its number of requests.
func (p *Pool) spent(w *Worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.memberOf(w)
	return m != nil && m.left == 1
}

// load is what the size of a pool is chosen by.
type load struct {
	waiting, idle int
	idlest        *Worker   // of the idle ones, that which has been so for longest
	idleSince     time.Time // since when
}

func (p *Pool) load() load {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := load{waiting: len(p.waiting)}
	for _, m := range p.members {
		if m.state() != Idle {
			continue
		}
		l.idle++
		if l.idlest == nil || m.idle.Before(l.idleSince) {
			l.idlest, l.idleSince = m.Worker, m.idle
		}
	}
	return l
}

// serveWaiting gives free workers to those who wait. p.mu is held.
func (p *Pool) serveWaiting() {
	for len(p.waiting) > 0 {
		m := p.freest()
		if m == nil {
			return
		}
		p.take(m)
		p.waiting[0] <- m
		p.waiting[0] = nil
		p.waiting = p.waiting[1:]
	}
}

// release gives the worker back.
func (l *lease) release() {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	l.pool.vacate(l.member)
}

// vacate gives one of a worker's places to the next. p.mu is held.
func (p *Pool) vacate(m *member) {
	m.busy--
	if m.busy == 0 {
		m.idle = time.Now()
	}
	p.leave(m)
	p.serveWaiting()
}

// setProcess notes what a worker's supervisor says of it. Requests that it has
// go on.
func (p *Pool) setProcess(w *Worker, state processState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.memberOf(w); m != nil {
		m.process = state
	}
	p.serveWaiting()
}
