package directory

import (
	"context"
	"errors"
	"iter"
	"time"

	"golang.org/x/sys/unix"

	"alforja/store"
)

// All implements store.Store, in directory order. It reads the directory in
// pieces; names that are not session ids and what is not a regular file are
// left out.
func (s *Store) All(ctx context.Context) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		stopped := false
		err := s.with("list", "", func(d *dirs) error {
			return readNames(d.sessions, func(name string) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				info, ok, err := d.info(name)
				if err != nil || !ok {
					return err
				}
				if stopped = !yield(info, nil); stopped {
					return errStopped
				}
				return nil
			})
		})
		if err != nil && !stopped {
			yield(store.Info{}, err)
		}
	}
}

var errStopped = errors.New("the caller has seen enough")

func (d *dirs) info(name string) (info store.Info, ok bool, err error) {
	if !store.ValidID(name) {
		return info, false, nil
	}
	var st unix.Stat_t
	switch err := fstatat(d.sessions, name, &st); {
	case err == unix.ENOENT, err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG:
		return info, false, nil
	case err != nil:
		return info, false, err
	}
	return store.Info{ID: name, Size: st.Size, Modified: modified(&st)}, true, nil
}

// DeleteIdle implements store.Store after session3's delete_old_sessions: it
// goes by the time of modification, which Touch renews. It does not wait for
// locks: whoever holds one is using the session. A session that cannot be
// deleted does not keep it from the others; the first such error is returned
// at the end.
func (s *Store) DeleteIdle(ctx context.Context, idle time.Duration) (deleted, remaining int, err error) {
	for info, listErr := range s.All(ctx) {
		if listErr != nil {
			return deleted, remaining, listErr
		}
		gone := false
		if time.Since(info.Modified) > idle {
			var one error
			if gone, one = s.deleteIfIdle(ctx, info.ID, idle); err == nil {
				err = one
			}
		}
		if gone {
			deleted++
		} else {
			remaining++
		}
	}
	return deleted, remaining, err
}

func (s *Store) deleteIfIdle(ctx context.Context, id string, idle time.Duration) (deleted bool, err error) {
	err = s.with("expire", id, func(d *dirs) error {
		unlock, ok, err := s.tryLock(d, id)
		if !ok {
			return err
		}
		defer unlock()
		f, err := s.open(ctx, d, id, unix.O_RDONLY, unix.LOCK_EX, 0)
		if errors.Is(err, store.ErrBusy) {
			return nil
		}
		if f == nil {
			return err
		}
		defer f.close()
		if time.Since(modified(&f.stat)) <= idle { // used since it was listed
			return nil
		}
		if deleted, err = unlink(d.sessions, id); !deleted {
			return err
		}
		return s.sync(d.sessions)
	})
	return deleted, err
}

// readNames calls f with each name in a directory, but . and .., until f
// returns an error.
func readNames(dir int, f func(name string) error) error {
	fd, err := openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0) // a read position of its own
	if err == unix.ENOENT {
		return errGone
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buf := make([]byte, 32<<10)
	var names []string
	for {
		var n int
		err := retry(func() (err error) {
			n, err = unix.ReadDirent(fd, buf)
			return err
		})
		if err == unix.ENOENT {
			return errGone
		}
		if err != nil || n <= 0 {
			return err
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names[:0])
		for _, name := range names {
			if err := f(name); err != nil {
				return err
			}
		}
	}
}
