package directory

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// DeleteIdle implements store.Store after session3's delete_old_sessions: it
// goes by the time of modification, which Touch renews. It does not wait for
// locks: whoever holds one is using the session. A session that cannot be
// deleted does not keep it from the others; the first such error is returned at
// the end. While this store, or another on the directory, serves requests, it rests as long as it works. It also
// removes what crashes have left in tmp/.
func (s *Store) DeleteIdle(ctx context.Context, idle time.Duration) (deleted, remaining int, err error) {
	var first error
	pace := newPace(s.served())
	err = s.with("expire", "", func(d *dirs) error {
		if err := d.sweep(); isGone(err) {
			return err
		} else if err != nil {
			first = fail("sweep", s.path, "", err)
		}
		x := s.newExpiry(d, idle)
		defer x.end()
		return d.walk(ctx, start, func(e entry) error {
			gone := false
			if time.Since(modified(e.stat)) > idle {
				var err error
				if gone, err = x.delete(e); err != nil && first == nil {
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

// An expiry deletes idle sessions. The files that have lost their name are closed by
// a goroutine of their own: that is where the file system frees them, a third of the work.
type expiry struct {
	store   *Store
	dirs    *dirs
	idle    time.Duration
	unnamed chan int // file descriptors
	closed  chan struct{}
}

func (s *Store) newExpiry(d *dirs, idle time.Duration) *expiry {
	x := &expiry{store: s, dirs: d, idle: idle, unnamed: make(chan int, 64), closed: make(chan struct{})}
	go func() {
		defer close(x.closed)
		for fd := range x.unnamed {
			unix.Close(fd)
		}
	}()
	return x
}

// end waits until every file is closed.
func (x *expiry) end() {
	close(x.unnamed)
	<-x.closed
}

// delete deletes a session if it is idle and nobody uses it. Under the
// flock nobody of this package loads, saves or touches it, so it is enough to ask who holds
// its lock: who takes that from then on will find no session.
func (x *expiry) delete(e entry) (deleted bool, err error) {
	leave, ok := x.store.locks.TryLock(e.id)
	if !ok {
		return false, nil
	}
	defer leave()
	fd, err := openat(e.dir, e.id, unix.O_RDONLY|fileFlags, 0)
	switch err {
	case nil:
	case unix.ENOENT, unix.EAGAIN, unix.ELOOP, unix.ENXIO: // gone, under a lease, or another thing by now
		return false, nil
	default:
		return false, err
	}
	free, err := flockIf(fd, func(now *unix.Stat_t) (bool, error) { return x.mayDelete(now, e) })
	if !free {
		unix.Close(fd)
		return false, err
	}
	deleted, err = unlink(e.dir, e.id)
	x.unnamed <- fd
	if !deleted {
		return false, err
	}
	return true, x.store.sync(e.dir)
}

// mayDelete reports whether a file whose flock is ours is e's, still idle, and in nobody's use.
func (x *expiry) mayDelete(now *unix.Stat_t, e entry) (bool, error) {
	if held, err := x.dirs.ranges.heldByOthers(lockOffset(e.id)+1, 1); held || err != nil {
		return false, err
	}
	same := now.Ino == e.stat.Ino && now.Dev == e.stat.Dev
	return same && time.Since(modified(now)) > x.idle, nil
}

// flockIf takes the exclusive flock of an open file if it is free, the file still has a
// name, and may allows it by what the file is under the lock.
//
// Whoever replaced the file has unlinked it by the time its flock is free, unless a crash came
// in between: then the save was never acknowledged.
func flockIf(fd int, may func(now *unix.Stat_t) (bool, error)) (bool, error) {
	err := retry(func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if err != nil {
		if err == unix.EWOULDBLOCK {
			err = nil
		}
		return false, err
	}
	var now unix.Stat_t
	if err := fstat(fd, &now); err != nil || now.Nlink == 0 {
		return false, err
	}
	return may(&now)
}
