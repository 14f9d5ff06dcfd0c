package directory

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"alforja/store"
)

// Convert moves the sessions that are in the other layout to where
// Options.FanOut says they belong, and says how many it has moved. Requests go
// on meanwhile, here and in other stores that are open on the directory with
// the same FanOut. What stops it leaves each session in one of the two places,
// and calling it again goes on. A session whose file stays locked, or that is
// in both places, is left where it is and is the error in the end. To the flat
// layout it also removes the directories that have become empty.
func (s *Store) Convert(ctx context.Context) (moved int, err error) {
	var first error
	pace := newPace(s.served())
	err = s.with("convert", "", func(d *dirs) error {
		err := d.walk(ctx, start, func(e entry) error {
			if e.shard == d.layout.home(e.id) {
				return nil
			}
			done, err := s.bringHome(ctx, d, e.id)
			if err != nil && first == nil {
				first = fail("convert", s.path, e.id, err)
			}
			if done {
				moved++
			}
			return pace.step(ctx)
		})
		if err != nil || first != nil || d.layout.fanOut {
			return err
		}
		return d.removeShards(ctx)
	})
	if err == nil {
		err = first
	}
	return moved, err
}

// bringHome moves a session's file to its home. Its writers wait for that.
func (s *Store) bringHome(ctx context.Context, d *dirs, id string) (done bool, err error) {
	f, err := s.open(ctx, d, id, unix.O_RDONLY, unix.LOCK_EX, s.opts.LockWait)
	if f == nil {
		return false, err
	}
	defer d.close(f)
	home := d.layout.home(id)
	if f.shard == home {
		there, err := d.exists(id, d.layout.away(id))
		if there {
			err = fmt.Errorf("in both layouts: %w", store.ErrExists)
		}
		return false, err
	}
	dir, err := s.makeShard(d, home)
	if err != nil {
		return false, err
	}
	defer d.closeShard(dir)
	if err := unix.Renameat2(f.dir, id, dir, id, unix.RENAME_NOREPLACE); err != nil {
		if err == unix.ENOENT { // Python has unlinked it
			err = nil
		}
		return false, err
	}
	if err := s.sync(dir); err != nil {
		return true, err
	}
	return true, s.sync(f.dir)
}

// removeShards removes the directories of the fanned-out layout that are empty.
// Stores that are open look there still; stores opened later do not, if none is
// left.
func (d *dirs) removeShards(ctx context.Context) error {
	left := false
	for n := shard(0); n < shards; n += branches {
		branch, err := openat(d.sessions, n.names()[0], dirFlags, 0)
		if err == unix.ENOENT || err == unix.ENOTDIR { // ENOTDIR: a session's file
			continue
		}
		if err != nil {
			return err
		}
		for i := range shard(branches) {
			unix.Unlinkat(branch, (n + i).names()[1], unix.AT_REMOVEDIR)
		}
		unix.Close(branch)
		if unix.Unlinkat(d.sessions, n.names()[0], unix.AT_REMOVEDIR) != nil {
			left = true
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if left {
		return nil
	}
	_, err := unlink(d.state, fanOutMark)
	return err
}
