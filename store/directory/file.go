package directory

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"alforja/store"
)

// A file is a session's file, open and locked with flock, as session3 locks it.
type file struct {
	fd    int
	dir   int         // where its name is
	shard shard       // the same
	stat  unix.Stat_t // taken under the lock
	leave func()      // lets the next of this process in; nil for readers
}

// open opens and locks the file of a session, for dirs.close, or returns nil
// when there is none. how is unix.LOCK_SH or unix.LOCK_EX; patience is the
// longest wait for it. Under LOCK_EX the file is the one that the session's
// name means, until the lock is given up: others of this package only replace
// or remove a file whose lock they hold. (Python unlinks without asking.)
//
// Those of this process who want the lock stand in line, first come, first served, writers
// until they give it up and readers until they have it. Among many that poll for it one
// could be out of luck until its time is up: a logout among readers that leave no gap, say.
func (s *Store) open(ctx context.Context, d *dirs, id string, flags, how int, patience time.Duration) (*file, error) {
	wait := backoff{limit: patience, longest: 5 * time.Millisecond, start: time.Now()}
	leave, err := enter(ctx, &s.line, id, patience)
	if err != nil {
		return nil, err
	}
	f, err := s.openFile(ctx, d, id, flags, how, &wait)
	if f == nil || how == unix.LOCK_SH {
		leave()
		return f, err
	}
	f.leave = leave
	return f, nil
}

// enter takes a lock of this process, or waits for it.
func enter(ctx context.Context, m *store.KeyedMutex, key string, patience time.Duration) (leave func(), err error) {
	if leave, ok := m.TryLock(key); ok {
		return leave, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return m.Lock(ctx, key)
}

// fileFlags go with every opening of a session's file. An id is one path
// component and no "..", so O_NOFOLLOW is all that it takes to stay in the
// directory: openat2's RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS would refuse
// nothing more. O_NONBLOCK keeps a FIFO from being waited on.
const fileFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK

// openFile does the work of open but for the line.
func (s *Store) openFile(ctx context.Context, d *dirs, id string, flags, how int, wait *backoff) (*file, error) {
	for {
		f, err := s.find(d, id, flags)
		if err == unix.EAGAIN { // somebody has a lease for a moment, as openForWriting does
			if err = wait.sleep(ctx); err == nil {
				continue
			}
		}
		if f == nil {
			return nil, err
		}
		current, err := f.lock(ctx, f.dir, id, how, wait)
		if err == nil && current {
			if f.stat.Mode&unix.S_IFMT == unix.S_IFREG {
				return f, nil
			}
			s.logOdd(id)
			d.close(f)
			return nil, nil
		}
		d.close(f)
		if err == nil {
			err = wait.sleep(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
}

// find opens the file of a session, or returns nil when there is none.
func (s *Store) find(d *dirs, id string, flags int) (*file, error) {
	for _, shard := range d.layout.places(id) {
		dir, err := d.openShard(shard)
		if err == nil {
			var fd int
			if fd, err = openat(dir, id, flags|fileFlags, 0); err == nil {
				return &file{fd: fd, dir: dir, shard: shard}, nil
			}
			d.closeShard(dir)
		}
		switch err {
		case unix.ENOENT:
		case unix.ELOOP, unix.EISDIR, unix.ENXIO, unix.ENODEV, unix.ENOTDIR: // link, directory, socket or device
			s.logOdd(id)
		default:
			return nil, err
		}
	}
	return nil, nil
}

// lock takes the flock and the file's attributes. current is false when
// name in dir means another file by now, or none.
func (f *file) lock(ctx context.Context, dir int, name string, how int, wait *backoff) (current bool, err error) {
	for {
		lockErr := retry(func() error { return unix.Flock(f.fd, how|unix.LOCK_NB) })
		if lockErr != nil && lockErr != unix.EWOULDBLOCK {
			return false, lockErr
		}
		if err := fstat(f.fd, &f.stat); err != nil {
			return false, err
		}
		if f.stat.Nlink == 0 {
			return false, nil
		}
		if lockErr == nil {
			break
		}
		if err := wait.sleep(ctx); err != nil {
			return false, fmt.Errorf("%w: the lock of its file: %w", store.ErrHeldElsewhere, err)
		}
	}
	if how == unix.LOCK_SH {
		return true, nil // a reader that came just before the change is right too
	}
	var named unix.Stat_t
	err = fstatat(dir, name, &named)
	if err == unix.ENOENT {
		return false, nil
	}
	return named.Ino == f.stat.Ino && named.Dev == f.stat.Dev, err
}

// read returns the whole file. It may have grown since its attributes were
// taken: Python truncates before it locks, and writes the last of its
// buffer after it has unlocked.
func (f *file) read() ([]byte, error) {
	if f.stat.Size > store.MaxStateBytes {
		return nil, store.TooLarge(f.stat.Size)
	}
	state := make([]byte, 0, f.stat.Size+1) // one more, to see the end with one call
	for {
		n, err := pread(f.fd, state[len(state):cap(state)], int64(len(state)))
		if err != nil {
			return nil, err
		}
		state = state[:len(state)+n]
		switch {
		case len(state) > store.MaxStateBytes:
			return nil, store.TooLarge(int64(len(state)))
		case len(state) < cap(state):
			return state, nil
		}
		state = append(state, 0)[:len(state)]
	}
}

// close gives up the locks too.
func (d *dirs) close(f *file) {
	d.closeShard(f.dir)
	f.close()
}

func (f *file) close() {
	unix.Close(f.fd)
	if f.leave != nil {
		f.leave()
	}
}

func (s *Store) logOdd(id string) {
	if s.odd.first(id) {
		s.opts.Logger.Warn("not a regular file under a session's name: there is no such session",
			"directory", s.path, "session", short(id))
	}
}

func modified(st *unix.Stat_t) time.Time { return time.Unix(st.Mtim.Unix()) }

// A backoff spaces attempts at a lock that the kernel does not let one wait
// for with a bound.
type backoff struct {
	limit   time.Duration // of all sleeps together
	longest time.Duration // of one sleep
	next    time.Duration
	start   time.Time // of the first sleep, unless it is set before
}

// sleep returns an error that wraps store.ErrBusy when ctx has ended or the limit is reached.
func (b *backoff) sleep(ctx context.Context) error {
	if b.start.IsZero() {
		b.start = time.Now()
	}
	if b.next == 0 {
		b.next = 50 * time.Microsecond
	}
	if time.Since(b.start) >= b.limit {
		return fmt.Errorf("%w after %v", store.ErrBusy, b.limit)
	}
	timer := time.NewTimer(b.next)
	defer timer.Stop()
	b.next = min(2*b.next, b.longest)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", store.ErrBusy, ctx.Err())
	}
}

// The system calls, made again when a signal interrupts them, which happens on
// network file systems.

func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func openat(dir int, name string, flags int, mode uint32) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(dir, name, flags|unix.O_CLOEXEC, mode)
		return err
	})
	return fd, err
}

func fstat(fd int, st *unix.Stat_t) error {
	return retry(func() error { return unix.Fstat(fd, st) })
}

func fstatat(dir int, name string, st *unix.Stat_t) error {
	return retry(func() error { return unix.Fstatat(dir, name, st, unix.AT_SYMLINK_NOFOLLOW) })
}

func pread(fd int, p []byte, offset int64) (n int, err error) {
	err = retry(func() error {
		n, err = unix.Pread(fd, p, offset)
		return err
	})
	return n, err
}

// futimens sets the times of the file to now. It needs no name: a rename must
// not be in its way.
func futimens(fd int) error {
	return retry(func() error {
		_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, 0, 0, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
}

func pwrite(fd int, p []byte, offset int64) (n int, err error) {
	err = retry(func() error {
		n, err = unix.Pwrite(fd, p, offset)
		return err
	})
	return n, err
}

func writeAll(fd int, p []byte, offset int64) error {
	for len(p) > 0 {
		n, err := pwrite(fd, p, offset)
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrShortWrite
		}
		p, offset = p[n:], offset+int64(n)
	}
	return nil
}
