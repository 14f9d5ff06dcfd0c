package directory

import (
	"bytes"
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"alforja/store"
)

// pageBytes is the most that is written in place. A kill does not tear a
// write within one page of the page cache, and no machine has smaller pages.
const pageBytes = 4096

// Create implements store.Store. The file is written beside and appears whole,
// with the mode that Options has.
func (s *Store) Create(ctx context.Context, id string, state []byte) error {
	if err := s.check(ctx, "create", id, state); err != nil {
		return err
	}
	return s.with("create", id, func(d *dirs) error {
		if d.layout.mixed {
			if there, err := d.exists(id, d.layout.away(id)); err != nil {
				return err
			} else if there {
				return store.ErrExists
			}
		}
		dir, err := s.makeShard(d, d.layout.home(id))
		if err != nil {
			return err
		}
		defer d.closeShard(dir)
		name, err := s.writeTemp(d, nil, state)
		if err != nil {
			return err
		}
		err = unix.Renameat2(d.tmp, name, dir, id, unix.RENAME_NOREPLACE)
		if err != nil {
			unix.Unlinkat(d.tmp, name, 0)
			switch err {
			case unix.EEXIST:
				return store.ErrExists
			case unix.ENOENT: // the new file was taken away, or the directory it is for
				return errGone
			}
			return err
		}
		if err := s.sync(dir); err != nil {
			unix.Unlinkat(dir, id, 0)
			return err
		}
		return nil
	})
}

// exists reports whether a shard has something under a session's name.
func (d *dirs) exists(id string, n shard) (bool, error) {
	dir, err := d.openShard(n)
	if err == nil {
		var st unix.Stat_t
		err = fstatat(dir, id, &st)
		d.closeShard(dir)
	}
	if err == unix.ENOENT {
		return false, nil
	}
	return err == nil, err
}

// Update implements store.Store. Up to a page it writes in place, which keeps
// the inode and thereby the flock that session3 processes may be waiting for;
// else beside.
func (s *Store) Update(ctx context.Context, id string, state []byte) (found bool, err error) {
	if err := s.check(ctx, "update", id, state); err != nil {
		return false, err
	}
	if done, err := s.updateDirect(id, state); done || err != nil {
		return done, fail("update", s.path, id, err)
	}
	err = s.with("update", id, func(d *dirs) error {
		f, err := s.open(ctx, d, id, unix.O_RDWR, unix.LOCK_EX, s.opts.LockWait)
		if f == nil {
			return err
		}
		defer d.close(f)
		if err := d.rights.admit(&f.stat); err != nil {
			return err
		}
		if s.fitsInPlace(&f.stat, len(state)) {
			err = f.overwrite(state)
			found = err == nil
			return err
		}
		found, err = s.exchange(d, f, id, state)
		return err
	})
	return found, err
}

// fitsInPlace reports whether a state of n bytes may be written over the old
// one. The disk blocks must be there already, or a full disk could tear the
// state.
func (s *Store) fitsInPlace(st *unix.Stat_t, n int) bool {
	return s.mayFitInPlace(n) && st.Size <= pageBytes && int64(n) <= st.Blocks*512
}

// mayFitInPlace reports whether there can be a file that a state of n bytes
// fits in.
func (s *Store) mayFitInPlace(n int) bool {
	return s.opts.Durability == DurabilityProcess && n > 0 && n <= pageBytes
}

// overwrite writes state over the file's content. An error has changed
// nothing, unless it is ErrTorn.
func (f *file) overwrite(state []byte) error {
	n, err := pwrite(f.fd, state, 0)
	if err != nil {
		return err
	}
	if n < len(state) {
		// Within a page that has its blocks no local file system does this.
		if err := writeAll(f.fd, state[n:], int64(n)); err != nil {
			return fmt.Errorf("%w: %w", ErrTorn, err)
		}
	}
	if f.stat.Size > int64(len(state)) {
		f.shorten(state)
	}
	return nil
}

// shorten cuts the file after state, which has been written over a longer one.
// Whatever it meets, state stays in force: Python's load stops at a pickle's
// STOP, and what is behind is harmless.
//
// session3 has no lock when it truncates the file, and none any more when it
// flushes its buffer. After such a truncation the cut would fill the file
// with zeros, and it would tear a longer state that was flushed just before.
// So what the file has afterwards is looked at, and written again.
func (f *file) shorten(state []byte) {
	now, length := make([]byte, len(state)), int64(len(state))
	for range 3 {
		if err := retry(func() error { return unix.Ftruncate(f.fd, length) }); err != nil {
			return
		}
		n, err := pread(f.fd, now, 0)
		if err != nil || bytes.Equal(now[:n], state) {
			return
		}
		if _, err := pwrite(f.fd, state, 0); err != nil {
			return
		}
	}
}

// exchange puts a new file in the place of f, which is locked. Unlike a plain
// rename an exchange fails when the name is gone, so that it brings back
// nothing that Python has unlinked meanwhile.
func (s *Store) exchange(d *dirs, f *file, id string, state []byte) (found bool, err error) {
	name, err := s.writeTemp(d, &f.stat, state)
	if err != nil {
		return false, err
	}
	defer unix.Unlinkat(d.tmp, name, 0) // the new file after an error, the old one else
	exchange := func() error { return unix.Renameat2(d.tmp, name, f.dir, id, unix.RENAME_EXCHANGE) }
	err = exchange()
	if err == unix.ENOENT {
		return false, whoIsGone(f.dir, id)
	}
	if err != nil {
		return false, err
	}
	if err := s.sync(f.dir); err != nil {
		back := exchange()
		if back == unix.ENOENT {
			back = whoIsGone(f.dir, id)
		}
		if back != nil {
			return true, fmt.Errorf("%w, and the old state does not come back: %v", err, back) // errGone would begin anew
		}
		return false, err
	}
	return true, nil
}

// whoIsGone says whether a rename that found nothing (ENOENT) missed the session, which is no
// error, or its other end: somebody has emptied or removed the state directory, and the
// operation begins anew.
func whoIsGone(dir int, id string) error {
	var st unix.Stat_t
	err := fstatat(dir, id, &st)
	switch err {
	case nil:
		return errGone
	case unix.ENOENT:
		return nil
	}
	return err
}

// writeTemp writes state to a new file in tmp, with the mode and owner of
// like, or those of new files when that is nil.
func (s *Store) writeTemp(d *dirs, like *unix.Stat_t, state []byte) (name string, err error) {
	fd, name, err := d.createTemp()
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	if like != nil {
		err = keepRights(fd, like)
	} else {
		err = d.rights.give(fd, d.rights.mode)
	}
	if err == nil {
		err = writeAll(fd, state, 0)
	}
	if err == nil {
		err = s.sync(fd)
	}
	if err != nil {
		unix.Unlinkat(d.tmp, name, 0)
	}
	return name, err
}

// keepRights gives a file the owner, group and mode of another. Only root may
// give to another user; where the group has all that the owner has, the group
// is enough.
func keepRights(fd int, like *unix.Stat_t) error {
	err := retry(func() error { return unix.Fchown(fd, int(like.Uid), int(like.Gid)) })
	if err == unix.EPERM && like.Mode&0o060 == 0o060 {
		err = retry(func() error { return unix.Fchown(fd, -1, int(like.Gid)) })
	}
	if err != nil {
		return err
	}
	return retry(func() error { return unix.Fchmod(fd, like.Mode&0o777) })
}

// sync waits for the disk if the store outlives power failures.
func (s *Store) sync(fd int) error {
	if s.opts.Durability != DurabilityPower {
		return nil
	}
	return retry(func() error { return unix.Fsync(fd) })
}

// Touch implements store.Store. It takes the shared flock, so that it does
// not touch what DeleteIdle is just deleting.
func (s *Store) Touch(ctx context.Context, id string) (found bool, err error) {
	if err := s.check(ctx, "touch", id, nil); err != nil {
		return false, err
	}
	if s.touchDirect(id) {
		return true, nil
	}
	err = s.with("touch", id, func(d *dirs) error {
		f, err := s.open(ctx, d, id, unix.O_RDONLY, unix.LOCK_SH, s.opts.LockWait)
		if f == nil {
			return err
		}
		defer d.close(f)
		if err := d.rights.admit(&f.stat); err != nil {
			return err
		}
		err = futimens(f.fd)
		found = err == nil
		return err
	})
	return found, err
}

// Delete implements store.Store. After an error with found true, the session
// is gone, but may be back after a power failure.
func (s *Store) Delete(ctx context.Context, id string) (found bool, err error) {
	if err := s.check(ctx, "delete", id, nil); err != nil {
		return false, err
	}
	err = s.with("delete", id, func(d *dirs) error {
		f, err := s.open(ctx, d, id, unix.O_RDONLY, unix.LOCK_EX, s.opts.LockWait)
		if f == nil {
			return err
		}
		defer d.close(f)
		if found, err = unlink(f.dir, id); !found {
			return err
		}
		return s.sync(f.dir)
	})
	return found, err
}

func unlink(dir int, name string) (found bool, err error) {
	err = retry(func() error { return unix.Unlinkat(dir, name, 0) })
	if err == unix.ENOENT {
		return false, nil
	}
	return err == nil, err
}
