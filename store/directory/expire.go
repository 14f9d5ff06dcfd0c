package directory

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"alforja/store"
)

// DeleteIdle implements store.Store after session3's delete_old_sessions: it
// goes by the time of modification, which Touch renews. It does not wait for
// locks: whoever holds one is using the session. A session that cannot be
// deleted does not keep it from the others; the first such error is returned at
// the end. While this store serves requests, it rests as long as it works.
func (s *Store) DeleteIdle(ctx context.Context, idle time.Duration) (deleted, remaining int, err error) {
	var first error
	pace := newPace(&s.traffic)
	err = s.with("expire", "", func(d *dirs) error {
		return d.walk(ctx, start, func(e entry) error {
			gone := false
			if time.Since(modified(e.stat)) > idle {
				var err error
				if gone, err = s.deleteIfIdle(ctx, d, e, idle); err != nil && first == nil {
					first = fail("expire", s.path, e.id, err)
				}
			}
			if gone {
				deleted++
			} else {
				remaining++
			}
			return pace.step(ctx)
		})
	})
	if err == nil {
		err = first
	}
	return deleted, remaining, err
}

func (s *Store) deleteIfIdle(ctx context.Context, d *dirs, e entry, idle time.Duration) (deleted bool, err error) {
	unlock, ok, err := s.tryLock(d, e.id)
	if !ok {
		return false, err
	}
	defer unlock()
	f, err := s.open(ctx, d, e.id, unix.O_RDONLY, unix.LOCK_EX, 0)
	if errors.Is(err, store.ErrBusy) {
		return false, nil
	}
	if f == nil {
		return false, err
	}
	defer d.close(f)
	if time.Since(modified(&f.stat)) <= idle { // used since it was listed
		return false, nil
	}
	if deleted, err = unlink(f.dir, e.id); !deleted {
		return false, err
	}
	return true, s.sync(f.dir)
}

// A pace keeps a long job from slowing down requests: as long as there are
// any, it has the job rest for as long as it has worked.
type pace struct {
	traffic *atomic.Int64
	seen    int64 // of traffic, at the last look
	steps   int
	since   time.Time
}

const (
	paceSteps   = 64 // between two looks
	longestRest = 100 * time.Millisecond
)

func newPace(traffic *atomic.Int64) *pace {
	return &pace{traffic: traffic, seen: traffic.Load(), since: time.Now()}
}

// step is called after each piece of work.
func (p *pace) step(ctx context.Context) error {
	if p.steps++; p.steps%paceSteps != 0 {
		return nil
	}
	var err error
	if now := p.traffic.Load(); now != p.seen {
		p.seen = now
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
