package directory

import (
	"context"

	"golang.org/x/sys/unix"

	"alforja/store"
)

// pageBytes is the most that is written in place. A kill does not tear a
// write within one page of the page cache, and no machine has smaller pages.
const pageBytes = 4096

// Create implements store.Store. The file is written beside and appears whole, with mode 0600.
func (s *Store) Create(ctx context.Context, id string, state []byte) error {
	if err := s.check(ctx, "create", id, state); err != nil {
		return err
	}
	return s.with("create", id, func(d *dirs) error {
		name, err := s.writeTemp(d, nil, state)
		if err != nil {
			return err
		}
		err = unix.Renameat2(d.tmp, name, d.sessions, id, unix.RENAME_NOREPLACE)
		if err != nil {
			unix.Unlinkat(d.tmp, name, 0)
			if err == unix.EEXIST {
				return store.ErrExists
			}
			return err
		}
		return s.sync(d.sessions)
	})
}

// Update implements store.Store. Up to a page it writes in place, which keeps the inode
// and thereby the flock that session3 processes may be waiting for; else beside.
func (s *Store) Update(ctx context.Context, id string, state []byte) (found bool, err error) {
	if err := s.check(ctx, "update", id, state); err != nil {
		return false, err
	}
	if s.updateDirect(id, state) {
		return true, nil
	}
	err = s.with("update", id, func(d *dirs) error {
		f, err := s.open(ctx, d, id, unix.O_WRONLY, unix.LOCK_EX, s.opts.LockWait)
		if f == nil {
			return err
		}
		defer f.close()
		if s.fitsInPlace(&f.stat, len(state)) {
			done, err := f.overwrite(state)
			if done || err != nil {
				found = done
				return err
			}
		}
		found, err = s.exchange(d, f, id, state)
		return err
	})
	return found, err
}

// fitsInPlace reports whether a state of n bytes may be written over the old one.
// The disk blocks must be there already, or a full disk could tear the state.
// A file that has another name elsewhere (a snapshot made with cp -l) must
// not change there.
func (s *Store) fitsInPlace(st *unix.Stat_t, n int) bool {
	return s.mayFitInPlace(n) && st.Size <= pageBytes && int64(n) <= st.Blocks*512 && st.Nlink == 1
}

// mayFitInPlace reports whether there can be a file that a state of n bytes
// fits in.
func (s *Store) mayFitInPlace(n int) bool {
	return s.opts.Durability == DurabilityProcess && n > 0 && n <= pageBytes
}

// overwrite writes state over the file's content. A kill before the file is
// shortened leaves bytes after the pickle's STOP, which Python's load ignores.
// It is not done when the file system took a part only: then the state must
// go beside. An error has changed nothing.
func (f *file) overwrite(state []byte) (done bool, err error) {
	n, err := pwrite(f.fd, state, 0)
	if err != nil {
		return false, err
	}
	if n < len(state) {
		return false, nil
	}
	if f.stat.Size > int64(n) {
		err = retry(func() error { return unix.Ftruncate(f.fd, int64(n)) })
	}
	return err == nil, nil
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
	err = unix.Renameat2(d.tmp, name, d.sessions, id, unix.RENAME_EXCHANGE)
	if err == unix.ENOENT {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, s.sync(d.sessions)
}

// writeTemp writes state to a new file in tmp, with the mode and owner of like,
// or 0600 when that is nil.
func (s *Store) writeTemp(d *dirs, like *unix.Stat_t, state []byte) (name string, err error) {
	mode := uint32(0o600)
	if like != nil {
		mode = like.Mode & 0o777
	}
	fd, name, err := d.createTemp(mode)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	if like != nil {
		err = keepOwner(fd, like)
	}
	if err == nil {
		err = writeAll(fd, state)
	}
	if err == nil {
		err = s.sync(fd)
	}
	if err != nil {
		unix.Unlinkat(d.tmp, name, 0)
	}
	return name, err
}

// keepOwner gives a file the owner and group of another. Only root may give to another
// user; where the group has all that the owner has, the group is enough.
func keepOwner(fd int, like *unix.Stat_t) error {
	err := retry(func() error { return unix.Fchown(fd, int(like.Uid), int(like.Gid)) })
	if err == unix.EPERM && like.Mode&0o060 == 0o060 {
		err = retry(func() error { return unix.Fchown(fd, -1, int(like.Gid)) })
	}
	return err
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
		defer f.close()
		err = touch(d.sessions, id)
		if err == unix.ENOENT { // Python unlinks without a lock
			return nil
		}
		found = err == nil
		return err
	})
	return found, err
}

func touch(dir int, name string) error {
	return retry(func() error { return unix.UtimesNanoAt(dir, name, nil, unix.AT_SYMLINK_NOFOLLOW) })
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, id string) (found bool, err error) {
	if err := s.check(ctx, "delete", id, nil); err != nil {
		return false, err
	}
	err = s.with("delete", id, func(d *dirs) error {
		f, err := s.open(ctx, d, id, unix.O_RDONLY, unix.LOCK_EX, s.opts.LockWait)
		if f == nil {
			return err
		}
		defer f.close()
		if found, err = unlink(d.sessions, id); !found {
			return err
		}
		return s.sync(d.sessions)
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
