package gateway

import (
	"errors"
	"time"
)

// An outage is the time in which a worker gets no requests because it failed.
type outage struct {
	reason error
	since  time.Time
}

// outageGrace is how long after a backend's failure requests still wait for it,
// when there is no other: for as long as a restart takes.
const outageGrace = 4 * time.Second

// errHung is why a worker fails that let RequestTimeout pass.
var errHung = errors.New("it did not answer in time")

// suspend has a worker get no request for a while: 100 ms after the first
// failure, twice that after each further one without an answer in between, at
// most 5 s. Then its checker looks at it; where there is none, the next request
// tries. p.mu is held.
func (p *Pool) suspend(m *member, reason error) {
	if m.pausing {
		return // others have met the same failure
	}
	pause := min(100*time.Millisecond<<min(m.failures, 10), 5*time.Second)
	m.failures++
	m.pausing = true
	if m.outage == nil {
		m.outage = &outage{since: time.Now()}
		if m.kill == nil { // what is supervised has a supervisor who tells
			p.logger.Error("worker dead", "worker", m.Name, "reason", reason)
		}
	}
	m.outage.reason = reason
	time.AfterFunc(pause, func() { p.endPause(m) })
}

func (p *Pool) endPause(m *member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.pausing = false
	if m.due == nil {
		p.resume(m)
		return
	}
	select {
	case m.due <- struct{}{}:
	default:
	}
}

// resume ends a worker's outage. p.mu is held.
func (p *Pool) resume(m *member) {
	if m.outage != nil && m.kill == nil {
		p.logger.Info("worker ready", "worker", m.Name, "after_ms", time.Since(m.outage.since).Milliseconds())
	}
	m.outage = nil
	p.serveWaiting()
}

// addChecked takes a worker in that gets requests when a check has found it up,
// or while there is no other. The channel tells that a check is due before its
// time.
func (p *Pool) addChecked(w *Worker) <-chan struct{} {
	p.add(w, processStarting)
	due := make(chan struct{}, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.memberOf(w).due = due
	return due
}

// borrow takes one of a worker's places for a check; false when none is free.
func (p *Pool) borrow(w *Worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.memberOf(w)
	switch {
	case m == nil || m.drained != nil:
		return false
	case m.busy >= m.Concurrency:
		if m.outage != nil {
			p.suspend(m, m.outage.reason) // until the next look
		}
		return false
	}
	m.busy++
	return true
}

// giveBack ends what borrow began.
func (p *Pool) giveBack(w *Worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.memberOf(w); m != nil {
		p.vacate(m)
	}
}

// checked notes what a check found: nil for a worker that is up.
func (p *Pool) checked(w *Worker, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.memberOf(w)
	switch {
	case m == nil || m.pausing: // a request has failed since the check began
	case err != nil:
		p.suspend(m, err)
	default:
		if m.process == processStarting && m.outage == nil {
			p.logger.Info("worker ready", "worker", m.Name)
		}
		m.process = processReady
		p.resume(m)
	}
}

// answered notes that the worker works.
func (l *lease) answered() {
	l.member.answered.Store(true)
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	l.member.failures = 0
}

// unreachable notes that a dial failed, and gives the worker back.
func (l *lease) unreachable(err error) {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	l.pool.suspend(l.member, err)
	l.pool.vacate(l.member)
}

// hung notes that the worker did not answer in time, and gives it back. It is
// still busy with the request: a supervised one is killed, one that is not
// ours is left alone for a while, as after a failed dial. One that is only
// starting and has not accepted the request is not at it yet: ended for it, it
// would have to begin anew for as long as requests come. How long it may take is
// the supervisor's matter.
func (l *lease) hung() {
	if l.member.kill == nil {
		l.unreachable(errHung)
		return
	}
	if !l.pool.isStarting(l.member) {
		l.pool.setProcess(l.member.Worker, processEnding)
		l.member.kill()
	}
	l.release()
}

// isStarting reports whether a member's process has shown no sign of life yet:
// it has not said that it is ready, answered nothing, and left what has been sent
// to it where it is.
func (p *Pool) isStarting(m *member) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return m.process == processStarting && !m.answered.Load() && m.backlog()
}
