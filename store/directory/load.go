package directory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"alforja/pickle"
	"alforja/store"
)

// Load implements store.Store. session3's save_session truncates the file
// before it locks it and writes the last buffer after it has unlocked it, so
// that a file may be empty or cut under the lock. Such a file is read again
// until it is whole. Load waits for it as long as it has changed within
// Options.Patience, or as a process has it open for writing; when one still
// has after Options.LockWait, the error is store.ErrBusy. Where the kernel does
// not say whether one has, that counts as long as the file has changed within
// Options.ForeignPatience.
//
// A file longer than store.MaxStateBytes is store.ErrTooLarge, with found
// true. It is not read, so not judged, and stays until it is idle or replaced.
func (s *Store) Load(ctx context.Context, id string) (state []byte, found bool, err error) {
	if err := s.check(ctx, "load", id, nil); err != nil {
		return nil, false, err
	}
	if state, done := s.loadDirect(id); done {
		return state, true, nil
	}
	err = s.with("load", id, func(d *dirs) error {
		state, found, err = s.load(ctx, d, id)
		return err
	})
	return state, found, err
}

func (s *Store) load(ctx context.Context, d *dirs, id string) (state []byte, found bool, err error) {
	writer := backoff{limit: max(s.opts.Patience, s.opts.LockWait), longest: 5 * time.Millisecond}
	for {
		f, err := s.open(ctx, d, id, unix.O_RDONLY, unix.LOCK_SH, s.opts.LockWait)
		if f == nil {
			return nil, false, err
		}
		state, writing, err := s.readState(d, f)
		if err != nil {
			return nil, true, err
		}
		if writing == written {
			return state, true, nil
		}
		if err := writer.sleep(ctx); err != nil && (writing != changedLately || ctx.Err() != nil) {
			return nil, true, fmt.Errorf("%w: its file is not written to its end: %w", store.ErrHeldElsewhere, err)
		} else if err != nil {
			return state, true, nil
		}
	}
}

// readState reads a session's file and closes it.
func (s *Store) readState(d *dirs, f *file) (state []byte, w writing, err error) {
	defer d.close(f)
	if err := d.rights.admit(&f.stat); err != nil {
		return nil, written, err
	}
	state, isWhole, err := f.readWhole()
	if err != nil || isWhole {
		return state, written, err
	}
	return state, s.unfinished(f), nil
}

// readWhole reads a file, open for reading only, and reports whether the state can be all that its writer
// meant to write. Of a large one that is seen by its pickle; but when nobody has the file open for writing
// before it is read, nor until then, its last byte is enough. That is three to seven times cheaper.
func (f *file) readWhole() (state []byte, isWhole bool, err error) {
	leased := f.stat.Size >= int64(f.stat.Blksize) && f.lease(unix.F_RDLCK) == nil
	state, err = f.read()
	if leased {
		f.lease(unix.F_UNLCK)
	}
	if err != nil {
		return nil, false, err
	}
	return state, leased && endsWithStop(state) || whole(state, &f.stat), nil
}

// writing says how far a writer is with a file.
type writing int

const (
	written        writing = iota // nothing shows that more is to come
	changedLately                 // cut, and changed within Options.Patience
	openForWriting                // cut, and a process has it open for writing
	maybeOpen                     // cut, changed within Options.ForeignPatience, and the kernel does not say
)

// unfinished says how far a writer is with a file that is cut. It is open for reading only.
func (s *Store) unfinished(f *file) writing {
	open, known := f.openForWriting()
	switch {
	case open:
		return openForWriting
	case !known && fresh(&f.stat, s.opts.ForeignPatience):
		return maybeOpen
	case fresh(&f.stat, s.opts.Patience):
		return changedLately
	}
	return written
}

// openForWriting reports whether any process has the file open for writing, as
// one in Python has that has truncated it and gets no processor, or waits for
// the flock. The kernel grants a read lease (fcntl, F_SETLEASE) only when there
// is none. It grants leases only on files of the user who asks, but to root, and
// on some file systems none: then this is not known.
func (f *file) openForWriting() (open, known bool) {
	err := f.lease(unix.F_RDLCK)
	if err == nil {
		f.lease(unix.F_UNLCK)
	}
	return err == unix.EAGAIN, err == nil || err == unix.EAGAIN
}

// lease takes a lease on the file, or gives it up. As long as it is there, nobody can open the file for
// writing: who tries waits, or is refused with EAGAIN if he has said O_NONBLOCK, as this package does.
func (f *file) lease(kind int) error {
	return retry(func() error {
		_, err := unix.FcntlInt(uintptr(f.fd), unix.F_SETLEASE, kind)
		return err
	})
}

// fresh reports whether a writer may still be about to finish the file. A
// time in the future is a clock set back, not a writer.
func fresh(st *unix.Stat_t, patience time.Duration) bool {
	age := time.Since(modified(st))
	return age >= 0 && age < patience
}

// whole reports whether state can be all that its writer meant to write. A
// pickle ends with STOP, and Python writes one that is shorter than its
// buffer, the file's block size, with one call. A longer one may be cut at a
// byte that happens to be STOP's, and bytes after STOP are left when an
// update in place is killed before it shortens the file.
func whole(state []byte, st *unix.Stat_t) bool {
	ends := endsWithStop(state)
	if ends && int64(len(state)) < int64(st.Blksize) {
		return true
	}
	_, err := pickle.Verify(state, pickle.Limits{})
	return err == nil || ends && !errors.Is(err, io.ErrUnexpectedEOF)
}

func endsWithStop(state []byte) bool { return len(state) > 0 && state[len(state)-1] == '.' }

// check is what every method that takes an id begins with.
func (s *Store) check(ctx context.Context, op, id string, state []byte) error {
	switch {
	case !store.ValidID(id):
		return store.ErrInvalidID
	case len(state) > store.MaxStateBytes:
		return store.TooLarge(int64(len(state)))
	case s.closed.Load():
		return fs.ErrClosed
	}
	s.traffic.Add(1)
	return fail(op, s.path, id, ctx.Err())
}
