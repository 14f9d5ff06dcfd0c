package directory

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"alforja/pickle"
	"alforja/store"
)

// Load implements store.Store. session3's save_session truncates the file
// before it locks it and writes the last buffer after it has unlocked it, so that a
// file may be empty or cut under the lock. Such a file is read again until
// it is whole or has not changed for Options.Patience, which is also the longest that Load
// waits for it.
//
// A file longer than store.MaxStateBytes is store.ErrTooLarge, with found true.
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
	writer := backoff{limit: s.opts.Patience, longest: 5 * time.Millisecond}
	for {
		f, err := s.open(ctx, d, id, unix.O_RDONLY, unix.LOCK_SH, s.opts.LockWait)
		if f == nil {
			return nil, false, err
		}
		state, err := f.read()
		f.close()
		if err != nil {
			return nil, true, err
		}
		if whole(state, &f.stat) || !s.fresh(&f.stat) {
			return state, true, nil
		}
		if err := writer.sleep(ctx); err != nil && ctx.Err() != nil {
			return nil, true, err
		} else if err != nil {
			return state, true, nil
		}
	}
}

// fresh reports whether a writer may still be about to finish the file. A
// time in the future is a clock set back, not a writer.
func (s *Store) fresh(st *unix.Stat_t) bool {
	age := time.Since(modified(st))
	return age >= 0 && age < s.opts.Patience
}

// whole reports whether state can be all that its writer meant to write. A
// pickle ends with STOP, and Python writes one that is shorter than its
// buffer, the file's block size, with one call. A longer one may be cut at a
// byte that happens to be STOP's, and bytes after STOP are left when an
// update in place is killed before it shortens the file.
func whole(state []byte, st *unix.Stat_t) bool {
	const stop = '.'
	ends := len(state) > 0 && state[len(state)-1] == stop
	if ends && int64(len(state)) < int64(st.Blksize) {
		return true
	}
	_, err := pickle.Verify(state, pickle.Limits{})
	return err == nil || ends && !errors.Is(err, io.ErrUnexpectedEOF)
}

// check is what every method that takes an id begins with.
func (s *Store) check(ctx context.Context, op, id string, state []byte) error {
	switch {
	case !store.ValidID(id):
		return store.ErrInvalidID
	case len(state) > store.MaxStateBytes:
		return store.ErrTooLarge
	case s.closed.Load():
		return fs.ErrClosed
	}
	return fail(op, s.path, id, ctx.Err())
}
