package directory

import (
	"context"
	"time"
)

// A pace keeps a long job from slowing down requests: as long as there are
// any, it has the job rest for as long as it has worked.
type pace struct {
	traffic func() bool // since the last look
	settle  func()      // waits for what else works for the job; nil for nothing
	steps   int
	since   time.Time
}

const (
	paceSteps   = 64 // between two looks
	longestRest = 100 * time.Millisecond
)

func newPace(traffic func() bool) *pace {
	return &pace{traffic: traffic, since: time.Now()}
}

// step is called after each piece of work.
func (p *pace) step(ctx context.Context) error {
	if p.steps++; p.steps%paceSteps != 0 {
		return nil
	}
	var err error
	if p.traffic() {
		if p.settle != nil {
			p.settle()
		}
		rest := time.NewTimer(min(time.Since(p.since), longestRest))
		defer rest.Stop()
		select {
		case <-rest.C:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	p.since = time.Now()
	return err
}

// Pace implements dated.Store. The calls of this store count for nothing: they may be the job's own.
func (s *Store) Pace() (step func(context.Context) error) {
	return newPace(s.servedElsewhere).step
}

// served reports of each look whether requests have come since the last one.
func (s *Store) served() func() bool {
	seen := s.traffic.Load()
	return func() bool {
		before := seen
		seen = s.traffic.Load()
		return seen != before || s.servedElsewhere()
	}
}

// servedElsewhere reports whether another store on the directory has a session's lock at this
// moment, as gateways have for as long as a request takes.
func (s *Store) servedElsewhere() bool {
	d, err := s.acquire()
	if err != nil {
		return false // for the job to find out
	}
	defer s.release(d)
	held, err := d.ranges.heldByOthers(0, tryOutOffset)
	return held && err == nil
}
