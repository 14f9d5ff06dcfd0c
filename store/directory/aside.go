package directory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// SetAside implements store.Store. The file goes to corrupt/ in the state
// directory, named ID.HASH with the first 12 hexadecimal digits of the
// content's SHA-256. Content that is kept there already, and what would exceed
// Options.CorruptFiles or CorruptBytes, is deleted, and that is logged. A cut file that changed
// within Options.Patience, or ForeignPatience if it takes that, or any that a process has open
// for writing, stays where it is, and done is false.
func (s *Store) SetAside(ctx context.Context, id string, state []byte) (done bool, err error) {
	if err := s.check(ctx, "set aside", id, nil); err != nil {
		return false, err
	}
	err = s.with("set aside", id, func(d *dirs) error {
		f, err := s.open(ctx, d, id, unix.O_RDONLY, unix.LOCK_EX, s.opts.LockWait)
		if f == nil {
			return err
		}
		defer d.close(f)
		if err := d.rights.admit(&f.stat); err != nil {
			return err
		}
		if f.stat.Size != int64(len(state)) {
			return nil
		}
		now, isWhole, err := f.readWhole()
		if err != nil || !bytes.Equal(now, state) {
			return err
		}
		if open, _ := f.openForWriting(); open || !isWhole && s.unfinished(f) != written {
			return nil // else what is written next would be lost with the file
		}
		done, err = s.moveAside(ctx, d, f.dir, id, state)
		return err
	})
	return done, err
}

func (s *Store) moveAside(ctx context.Context, d *dirs, dir int, id string, state []byte) (done bool, err error) {
	sum := sha256.Sum256(state)
	hash := hex.EncodeToString(sum[:6])
	log := s.opts.Logger.With("directory", s.path, "session", short(id), "bytes", len(state), "sha256", hash)

	unlock, err := s.lockAside(ctx, d)
	if err != nil {
		return false, err
	}
	defer unlock()
	room, err := s.roomAside(d, hash, int64(len(state)))
	if err != nil {
		return false, err
	}
	if room == roomFree {
		name := id + "." + hash
		err := unix.Renameat2(dir, id, d.corrupt, name, unix.RENAME_NOREPLACE)
		if err == nil {
			return true, nil
		}
		switch err {
		case unix.EEXIST: // another gateway was quicker with the same
		case unix.ENOENT:
			return false, whoIsGone(dir, id)
		default:
			return false, err
		}
		room = roomSame
	}
	if done, err = unlink(dir, id); done && room == roomSame {
		log.Warn("session deleted: its state cannot be used, and the same is set aside already")
	} else if done {
		log.Warn("session deleted: its state cannot be used, and no more are set aside: empty corrupt/")
	}
	return done, err
}

// lockAside keeps others, also in other processes, from adding to corrupt/ between a look at what is there
// and a rename to it.
func (s *Store) lockAside(ctx context.Context, d *dirs) (unlock func(), err error) {
	wait := backoff{limit: s.opts.LockWait, longest: longestLook, start: time.Now()}
	leave, err := enter(ctx, &s.asides, "", s.opts.LockWait)
	if err != nil {
		return nil, err
	}
	if err := d.ranges.lock(ctx, asideOffset, &wait); err != nil {
		leave()
		return nil, err
	}
	return func() {
		d.ranges.unlock(asideOffset)
		leave()
	}, nil
}

type room int

const (
	roomFree room = iota
	roomSame      // the content is there already
	roomFull
)

// roomAside looks whether a state may be added to corrupt/.
func (s *Store) roomAside(d *dirs, hash string, size int64) (room, error) {
	files, total, same := 0, int64(0), false
	err := readDir(d.corrupt, 0, func(name string, _ int64) error {
		var st unix.Stat_t
		if err := fstatat(d.corrupt, name, &st); err != nil {
			return nil // taken away by the operator just now
		}
		files++
		total += st.Size
		same = same || strings.HasSuffix(name, "."+hash)
		return nil
	})
	switch {
	case err != nil:
		return roomFull, err
	case same:
		return roomSame, nil
	case files >= s.opts.CorruptFiles, total+size > s.opts.CorruptBytes:
		return roomFull, nil
	}
	return roomFree, nil
}
