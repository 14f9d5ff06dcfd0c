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
// the end. While this store, or another on the directory, serves requests, it
// rests as long as it works. It also removes what crashes have left in tmp/.
func (s *Store) DeleteIdle(ctx context.Context, idle time.Duration) (deleted, remaining int, err error) {
	var first error
	pace := newPace(s.served())
	err = s.with("expire", "", func(d *dirs) error {
		if err := d.sweep(); isGone(err) {
			return err
		} else if err != nil {
			first = fail("sweep", s.path, "", err)
		}
		x := &expiry{store: s, dirs: d, idle: idle, dir: -1}
		pace.settle = x.settle
		seen := 0
		err := d.walk(ctx, start, func(e entry) error {
			seen++
			if time.Since(modified(e.stat)) > idle {
				if err := x.take(e); err != nil && first == nil {
					first = fail("expire", s.path, e.id, err)
				}
			}
			return pace.step(ctx)
		})
		failed := x.end()
		if first == nil {
			first = failed
		}
		deleted, remaining = deleted+x.deleted, remaining+seen-x.deleted
		return err
	})
	if err == nil {
		err = first
	}
	return deleted, remaining, err
}

// An expiry deletes idle sessions. What it has locked goes to a goroutine that unlinks it, and
// on to one that closes the file, which is when the file system frees it: each takes as long as all
// before. They are started when there are many.
type expiry struct {
	store *Store
	dirs  *dirs
	idle  time.Duration

	shard    shard // of dir
	dir      int   // where the last session was found, or -1
	taken    int
	deleting *stage // nil until there are many, as is closing
	closing  *stage

	deleted int   // by what is given, as is first
	first   error // of what could not be deleted
}

// A doomed session was idle, and its file is locked.
type doomed struct {
	id       string
	dir      int
	fd       int
	dev, ino uint64
	leave    func()
}

// many is how many sessions are deleted before a goroutine is started for more.
const many = 64

// take locks a session, and has it deleted, unless somebody else has it.
func (x *expiry) take(e entry) error {
	if err := x.enter(e.shard); x.dir < 0 {
		return err
	}
	leave, ok := x.store.locks.TryLock(e.id)
	if !ok {
		return nil
	}
	fd, err := x.lock(e.id)
	if fd < 0 {
		leave()
		return err
	}
	d := &doomed{id: e.id, dir: x.dir, fd: fd, dev: e.stat.Dev, ino: e.stat.Ino, leave: leave}
	x.give(func() { x.delete(d) })
	return nil
}

// enter opens the directory that a session is in, once for all of them. There is none where it has
// just been removed.
func (x *expiry) enter(n shard) (err error) {
	if x.dir >= 0 && n == x.shard {
		return nil
	}
	x.leaveDir()
	if x.dir, err = x.dirs.openShard(n); err != nil {
		x.dir = -1
		if err == unix.ENOENT || err == unix.ENOTDIR {
			err = nil
		}
		return err
	}
	x.shard = n
	return nil
}

// leaveDir has the directory closed behind its last session. A session that a power failure brings
// back before the disk has that is idle still.
func (x *expiry) leaveDir() {
	if x.dir < 0 {
		return
	}
	dir := x.dir
	x.dir = -1
	x.give(func() {
		x.note("", x.store.sync(dir))
		x.dirs.closeShard(dir)
	})
}

// lock returns the open and locked file of a session that nobody uses, or -1. Under the
// flock nobody of this package loads, saves or touches it, so it is enough to ask who holds
// its lock: who takes that from then on will find no session.
func (x *expiry) lock(id string) (fd int, err error) {
	fd, err = openat(x.dir, id, unix.O_RDONLY|fileFlags, 0)
	switch err {
	case nil:
	case unix.ENOENT, unix.EAGAIN, unix.ELOOP, unix.ENXIO: // gone, under a lease, or another thing by now
		return -1, nil
	default:
		return -1, err
	}
	free, err := tryFlock(fd)
	if free {
		var held bool
		held, err = x.dirs.ranges.heldByOthers(lockOffset(id)+1, 1)
		free = !held && err == nil
	}
	if !free {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// give has work done behind all that was given before.
func (x *expiry) give(work func()) {
	if x.deleting != nil {
		x.deleting.queue <- work
		return
	}
	work()
	if x.taken++; x.taken == many {
		x.closing, x.deleting = startStage(), startStage()
	}
}

// A stage is a goroutine that does what it is given, in order.
type stage struct {
	queue chan func()
	ended chan struct{}
}

func startStage() *stage {
	s := &stage{queue: make(chan func(), many), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		for work := range s.queue {
			work()
		}
	}()
	return s
}

// end waits until all is done.
func (s *stage) end() {
	close(s.queue)
	<-s.ended
}

// delete deletes a session if it is the one that was listed, and still idle. session3 does not ask for
// the flock before it truncates or unlinks a file: this looks at the last moment.
func (x *expiry) delete(d *doomed) {
	deleted, err := unlinkIf(d.dir, d.id, d.fd, func(now *unix.Stat_t) bool {
		same := now.Ino == d.ino && now.Dev == d.dev
		return same && time.Since(modified(now)) > x.idle
	})
	if deleted {
		x.deleted++
	}
	x.note(d.id, err)
	if x.closing != nil {
		x.closing.queue <- d.close
	} else {
		d.close()
	}
}

func (d *doomed) close() {
	unix.Close(d.fd)
	d.leave()
}

func (x *expiry) note(id string, err error) {
	if err != nil && x.first == nil {
		x.first = fail("expire", x.store.path, id, err)
	}
}

// settle waits until all that was given is done.
func (x *expiry) settle() {
	if x.deleting == nil {
		return
	}
	settled := make(chan struct{})
	x.deleting.queue <- func() { x.closing.queue <- func() { close(settled) } }
	<-settled
}

// end waits until all is deleted, and returns the first error of that.
func (x *expiry) end() error {
	x.leaveDir()
	if x.deleting != nil {
		x.deleting.end()
		x.closing.end()
	}
	return x.first
}
