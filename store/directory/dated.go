package directory

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"alforja/store"
	"alforja/store/dated"
)

var _ dated.Store = (*Store)(nil)

// Stat implements dated.Store. It takes no lock.
func (s *Store) Stat(ctx context.Context, id string) (info store.Info, found bool, err error) {
	found, err = s.visit(ctx, "stat", id, func(_ int, st *unix.Stat_t) error {
		info = store.Info{ID: id, Size: st.Size, Modified: modified(st)}
		return nil
	})
	return info, found, err
}

// SetModified implements dated.Store. It takes no lock.
func (s *Store) SetModified(ctx context.Context, id string, modified time.Time) (found bool, err error) {
	t, err := unix.TimeToTimespec(modified)
	if err != nil {
		return false, err
	}
	return s.visit(ctx, "set time", id, func(dir int, _ *unix.Stat_t) error {
		return retry(func() error {
			return unix.UtimesNanoAt(dir, id, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
		})
	})
}

// visit calls f with the directory and the attributes of a session's file, if there is one.
func (s *Store) visit(ctx context.Context, op, id string, f func(dir int, st *unix.Stat_t) error) (found bool, err error) {
	if err := s.check(ctx, op, id, nil); err != nil {
		return false, err
	}
	err = s.with(op, id, func(d *dirs) error {
		for _, shard := range d.layout.places(id) {
			dir, err := d.openShard(shard)
			if err == nil {
				found, err = visitIn(dir, id, f)
				d.closeShard(dir)
			}
			if found || err != nil && !isNothing(err) {
				return err
			}
		}
		return nil
	})
	return found, err
}

func visitIn(dir int, id string, f func(dir int, st *unix.Stat_t) error) (found bool, err error) {
	var st unix.Stat_t
	if err := fstatat(dir, id, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return false, err
	}
	err = f(dir, &st)
	return err == nil, err
}

// isNothing reports whether an error says that there is no session, or no directory for it but
// another thing.
func isNothing(err error) bool {
	return err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP
}

// DeleteUnchanged implements dated.Store.
func (s *Store) DeleteUnchanged(ctx context.Context, info store.Info) (deleted bool, err error) {
	if err := s.check(ctx, "delete", info.ID, nil); err != nil {
		return false, err
	}
	err = s.with("delete", info.ID, func(d *dirs) error {
		f, err := s.find(d, info.ID, unix.O_RDONLY)
		if f == nil {
			if err == unix.EAGAIN { // somebody has a lease on it
				err = nil
			}
			return err
		}
		defer d.close(f)
		if free, err := tryFlock(f.fd); !free {
			return err
		}
		deleted, err = unlinkIf(f.dir, info.ID, f.fd, func(now *unix.Stat_t) bool {
			return now.Mode&unix.S_IFMT == unix.S_IFREG && now.Size == info.Size && modified(now).Equal(info.Modified)
		})
		if !deleted {
			return err
		}
		return s.sync(f.dir)
	})
	return deleted, err
}

// tryFlock takes the exclusive flock of an open file, or reports that somebody has one.
func tryFlock(fd int) (free bool, err error) {
	err = retry(func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if err == unix.EWOULDBLOCK {
		return false, nil
	}
	return err == nil, err
}

// unlinkIf unlinks an open file whose flock is ours, if it still has a name, and may allows it by
// what the file is now.
//
// Whoever replaced the file has unlinked it by the time its flock is free, unless a crash came
// in between: then the save was never acknowledged.
func unlinkIf(dir int, name string, fd int, may func(now *unix.Stat_t) bool) (deleted bool, err error) {
	var now unix.Stat_t
	if err := fstat(fd, &now); err != nil || now.Nlink == 0 || !may(&now) {
		return false, err
	}
	return unlink(dir, name)
}
