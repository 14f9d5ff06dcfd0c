package gateway

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
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
	// Memory is how much of it, in bytes, a process may occupy (its resident
	// set, looked at once a second). Default: any amount.
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
	if r.Memory > 0 {
		if used := residentBytes(c.pid); used > r.Memory {
			return fmt.Sprintf("it occupies %d bytes of memory", used)
		}
	}
	return ""
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

// residentBytes reads a process's resident set, proc(5); 0 when it has gone.
func residentBytes(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// privateBytes reads what memory a process shares with no other, the Private
// lines of proc(5), smaps_rollup: of a forked worker, what it has added to the
// preloaded application. 0 when it has gone. The kernel walks all of the
// process's pages for it.
func privateBytes(pid int) int64 {
	file, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	defer file.Close()
	var kilobytes int64
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var kind string
		var n int64
		if _, err := fmt.Sscanf(lines.Text(), "Private_%s %d kB", &kind, &n); err == nil {
			kilobytes += n
		}
	}
	return kilobytes << 10
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
	case running > s.opts.MinWorkers && starting == 0 && load.idle > s.opts.SpareWorkers && time.Since(load.idleSince) > s.opts.WorkerIdle:
		for _, sl := range s.slots {
			if sl.worker == load.idlest && !sl.leaving && !sl.replaced && sl.replaces == nil {
				s.retire(sl, "idle")
				return
			}
		}
	}
}
