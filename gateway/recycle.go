package gateway

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Recycle says when a worker process is replaced by a fresh one: the new one is
// ready before the old one drains, and none is ended in the middle of a
// request. One is replaced at a time.
type Recycle struct {
	// Requests is how many a process answers, give or take a tenth, so that
	// not all are due at once. Default: any number.
	Requests int
	// Age is how long a process runs. Default: for ever.
	Age time.Duration
	// Memory is how much of it, in bytes, a process may occupy together with
	// those that it has forked into its process group: the sum of their
	// resident sets, in which what they share counts for each, looked at
	// once a second. Default: any amount.
	Memory int64
}

// requests draws after how many requests a process is due; 0 for never.
func (r *Recycle) requests() uint64 {
	if r.Requests <= 0 {
		return 0
	}
	spread := r.Requests / 10
	return uint64(max(1, r.Requests-spread+rand.IntN(2*spread+1)))
}

// recycle replaces a worker that is due, one at a time.
func (s *Supervisor) recycle() {
	if s.reload != nil {
		return
	}
	for _, sl := range s.slots {
		if sl.replaces != nil {
			return
		}
	}
	for _, sl := range s.slots {
		if reason := s.dueReason(sl); reason != "" {
			s.replace(sl, reason)
			return
		}
	}
}

// dueReason says why a slot's process is to be replaced, or "".
func (s *Supervisor) dueReason(sl *slot) string {
	c := sl.child.Load()
	if sl.leaving || sl.replaced || c == nil || !c.ready.Load() || time.Now().Before(sl.due) {
		return ""
	}
	r := &sl.opts.Recycle
	if s.pool.spent(sl.worker) {
		return "its number of requests is reached"
	}
	if r.Age > 0 && time.Since(c.started) > r.Age {
		return fmt.Sprintf("it runs for more than %v", r.Age)
	}
	if used := residentBytes(s.groupsSeen[c.pid]); r.Memory > 0 && used > r.Memory {
		return fmt.Sprintf("it occupies %d bytes of memory", used)
	}
	return ""
}

// look notes what memory the workers occupy, where that counts. It reads a file
// of every process of the system.
func (s *Supervisor) look() {
	s.groupsSeen = nil
	if slices.ContainsFunc(s.slots, func(sl *slot) bool { return sl.opts.Recycle.Memory > 0 }) {
		s.groupsSeen = processesByGroup()
	}
}

func (s *Supervisor) replace(old *slot, reason string) {
	sl, err := s.newSlot()
	if err != nil {
		s.opts.Logger.Error("worker cannot be replaced", "worker", old.worker.Name, "err", err)
		old.due = time.Now().Add(retryReplacing)
		return
	}
	s.opts.Logger.Info("worker is replaced", "worker", old.worker.Name, "by", sl.worker.Name, "reason", reason)
	sl.replaces, old.replaced = old, true
	s.keep(sl)
}

// scale starts one more worker when requests wait or fewer than SpareWorkers
// are idle, and ends one that has been idle for long when there are more.
func (s *Supervisor) scale() {
	if s.opts.MinWorkers == s.opts.Workers || s.reload != nil {
		return
	}
	running, starting := 0, 0
	for _, sl := range s.slots {
		if sl.leaving || sl.replaces != nil {
			continue
		}
		running++
		if c := sl.child.Load(); c == nil || !c.ready.Load() {
			starting++
		}
	}
	load := s.pool.load()
	switch {
	case running < s.opts.Workers && (starting < load.waiting || load.idle+starting < s.opts.SpareWorkers):
		sl, err := s.newSlot()
		if err != nil {
			s.opts.Logger.Error("no further worker", "err", err)
			return
		}
		s.opts.Logger.Info("one more worker", "worker", sl.worker.Name, "waiting", load.waiting, "idle", load.idle)
		s.keep(sl)
	case running > s.opts.MinWorkers && load.idle >= s.opts.SpareWorkers && time.Since(load.idleSince) > s.opts.WorkerIdle:
		s.retireOne(load, starting)
	}
}

// retireOne ends one of more workers than the load asks for: one that does not
// start, or else, when none is starting, the idlest.
func (s *Supervisor) retireOne(load load, starting int) {
	var idlest *slot
	for _, sl := range s.slots {
		switch {
		case sl.leaving || sl.replaced || sl.replaces != nil:
		case sl.deaths > 1:
			s.retire(sl, "does not start and is not needed")
			return
		case sl.worker == load.idlest:
			idlest = sl
		}
	}
	if idlest != nil && starting == 0 && load.idle > s.opts.SpareWorkers {
		s.retire(idlest, "idle")
	}
}
