package gateway

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func acquire(t *testing.T, p *Pool) *lease {
	t.Helper()
	l, err := p.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestPoolGivesNoBusyWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool([]*Worker{{Name: "1"}, {Name: "2", Concurrency: 2}}, PoolOptions{QueueWait: time.Minute})
		got := map[string]int{}
		var leases []*lease
		for range 3 {
			l := acquire(t, p)
			got[l.member.Name]++
			leases = append(leases, l)
		}
		if got["1"] != 1 || got["2"] != 2 {
			t.Errorf("three requests went to %v", got)
		}
		start := time.Now()
		if _, err := p.acquire(t.Context()); !errors.Is(err, ErrQueueWait) {
			t.Errorf("a fourth request: %v", err)
		}
		if waited := time.Since(start); waited != time.Minute {
			t.Errorf("it waited %v", waited)
		}
		leases[1].release()
		acquire(t, p)
	})
}

func TestPoolServesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool([]*Worker{{Name: "1"}}, PoolOptions{})
		first := acquire(t, p)
		var order []int
		var done sync.WaitGroup
		for i := range 20 {
			done.Go(func() {
				l, err := p.acquire(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, i) // one worker: one at a time
				l.release()
			})
			synctest.Wait() // i waits in the queue before i+1 comes
		}
		first.release()
		done.Wait()
		for i, who := range order {
			if i != who {
				t.Fatalf("served in order %v", order)
			}
		}
	})
}

func TestPoolQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool([]*Worker{{Name: "1"}}, PoolOptions{QueueLength: 1})
		l := acquire(t, p)
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := p.acquire(ctx)
			left <- err
		}()
		synctest.Wait()
		if _, err := p.acquire(t.Context()); !errors.Is(err, ErrQueueFull) {
			t.Errorf("over the queue's length: %v", err)
		}
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("who left the queue: %v", err)
		}
		l.release()
		acquire(t, p) // who left does not hold the worker
	})
}

func TestPoolLeavesUnreachableWorkersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool([]*Worker{{Name: "1"}}, PoolOptions{})
		var pauses []time.Duration
		for range 8 {
			l := acquire(t, p)
			l.unreachable(errHung)
			start := time.Now()
			l = acquire(t, p)
			pauses = append(pauses, time.Since(start))
			l.release()
		}
		want := []time.Duration{100e6, 200e6, 400e6, 800e6, 1600e6, 3200e6, 5e9, 5e9}
		for i := range want {
			if pauses[i] != want[i] {
				t.Fatalf("pauses %v, want %v", pauses, want)
			}
		}
		l := acquire(t, p)
		l.answered()
		l.unreachable(errHung)
		start := time.Now()
		acquire(t, p)
		if pause := time.Since(start); pause != 100*time.Millisecond {
			t.Errorf("after an answer the pause is %v", pause)
		}
	})
}

func TestPoolLeavesDeadWorkersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := &Worker{Name: "1"}
		p := NewPool([]*Worker{first, {Name: "2"}}, PoolOptions{})
		p.setProcess(first, processDead)
		if l := acquire(t, p); l.member.Name != "2" {
			t.Errorf("a request went to worker %s, which is dead", l.member.Name)
		}
		got := make(chan string)
		go func() {
			l, err := p.acquire(context.Background())
			if err != nil {
				t.Error(err)
			}
			got <- l.member.Name
		}()
		synctest.Wait()
		p.setProcess(first, processReady)
		if name := <-got; name != "1" {
			t.Errorf("the waiting request went to %s", name)
		}
	})
}

// TestPoolKeepsDeadAndPausedApart: the end of a pause does not put a worker
// back that its supervisor has taken out.
func TestPoolKeepsDeadAndPausedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worker := &Worker{Name: "1"}
		p := NewPool([]*Worker{worker}, PoolOptions{QueueWait: time.Minute})
		acquire(t, p).unreachable(errHung)
		p.setProcess(worker, processDead)
		start := time.Now()
		if _, err := p.acquire(t.Context()); !errors.Is(err, ErrNoWorker) || time.Since(start) != downWait {
			t.Errorf("with all workers down: %v after %v", err, time.Since(start))
		}
	})
}

func TestPoolGetsRidOfHungWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		killed, backlog := false, true
		ours := &Worker{Name: "ours", kill: func() { killed = true }, backlog: func() bool { return backlog }}
		p := NewPool([]*Worker{ours}, PoolOptions{QueueWait: time.Minute})
		acquire(t, p).hung()
		if _, err := p.acquire(t.Context()); !killed || !errors.Is(err, ErrQueueWait) {
			t.Errorf("killed %v; before it is started again: %v", killed, err)
		}
		p.setProcess(ours, processReady)
		acquire(t, p).release()

		killed = false
		p.startProcess(ours, processStarting, 0)
		acquire(t, p).hung()
		if l := acquire(t, p); killed {
			t.Errorf("killed while it was starting: %v", l)
		} else {
			l.release()
		}

		backlog = false
		if acquire(t, p).hung(); !killed {
			t.Error("not killed although it had accepted the request")
		}

		p = NewPool([]*Worker{{Name: "theirs"}}, PoolOptions{})
		acquire(t, p).hung()
		start := time.Now()
		acquire(t, p)
		if pause := time.Since(start); pause != 100*time.Millisecond {
			t.Errorf("a backend got the next request after %v", pause)
		}
	})
}
