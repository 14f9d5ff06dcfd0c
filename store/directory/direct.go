package directory

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"
)

// Nearly every Load, Update and Touch meets a regular file that nobody has
// locked. For them there is a direct way, with the session's full path and few
// system calls. It waits for nothing and explains nothing: when anything is in the way
// it reports that it is not done, and the general way starts afresh.
//
// It needs no look at the directory (see acquire). The kernel finds the file in
// the directory that the path means at that moment, and under LOCK_EX the path is looked
// up again: what is then written has its name in the directory that is there, not in one that
// was removed, replaced or mounted over.

// openDirect opens and locks the file of a session, as open does, or returns nil.
func (s *Store) openDirect(id string, flags, how int) *file {
	if s.opts.FanOut {
		return nil // its directories are to be gone through one by one
	}
	var leave func()
	if how == unix.LOCK_EX {
		var free bool
		if leave, free = s.line.TryLock(id); !free {
			return nil
		}
	} else if s.line.Held(id) {
		return nil // by a writer, or who waits for one
	}
	path := s.sessionPath(id)
	fd, err := openat(unix.AT_FDCWD, path, flags|fileFlags, 0)
	if err != nil {
		if leave != nil {
			leave()
		}
		return nil
	}
	f := &file{fd: fd, leave: leave}
	var once backoff // without a wait
	current, err := f.lock(context.Background(), unix.AT_FDCWD, path, how, &once)
	if err != nil || !current || f.stat.Mode&unix.S_IFMT != unix.S_IFREG || s.rights.Load().admit(&f.stat) != nil {
		f.close()
		return nil
	}
	return f
}

func (s *Store) sessionPath(id string) string { return s.path + "/" + id }

// loadDirect returns a state that is whole.
func (s *Store) loadDirect(id string) (state []byte, done bool) {
	f := s.openDirect(id, unix.O_RDONLY, unix.LOCK_SH)
	if f == nil {
		return nil, false
	}
	defer f.close()
	state, done, err := f.readWhole()
	return state, done && err == nil
}

// updateDirect writes a state in place. An error is one after which the
// general way must not be tried.
func (s *Store) updateDirect(id string, state []byte) (done bool, err error) {
	if !s.mayFitInPlace(len(state)) {
		return false, nil
	}
	f := s.openDirect(id, unix.O_RDWR, unix.LOCK_EX)
	if f == nil {
		return false, nil
	}
	defer f.close()
	if !s.fitsInPlace(&f.stat, len(state)) {
		return false, nil
	}
	if err := f.overwrite(state); errors.Is(err, ErrTorn) {
		return false, err
	} else if err != nil {
		return false, nil
	}
	return true, nil
}

func (s *Store) touchDirect(id string) (done bool) {
	f := s.openDirect(id, unix.O_RDONLY, unix.LOCK_SH)
	if f == nil {
		return false
	}
	defer f.close()
	return futimens(f.fd) == nil
}
