package directory

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"alforja/store"
)

// All implements store.Store, in directory order: first the flat layout, then
// the shards. It reads directories in pieces; names that are not session ids
// and what is not a regular file are left out. A cursor is a place in a
// directory as the file system gives it (telldir), good for as long as the
// directory is.
func (s *Store) All(ctx context.Context, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		from, err := parseCursor(after)
		if err != nil {
			yield(store.Info{}, err)
			return
		}
		stopped := false
		err = s.with("list", "", func(d *dirs) error {
			return d.walk(ctx, from, func(e entry) error {
				info := store.Info{ID: e.id, Size: e.stat.Size, Modified: modified(e.stat), Cursor: e.next.String()}
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

// A cursor is a place in the list of all sessions.
type cursor struct {
	shard  shard
	offset int64 // in its directory, as getdents64 gives it
}

var start = cursor{shard: flat}

func (c cursor) String() string { return fmt.Sprintf("%x.%x", int(c.shard), c.offset) }

func parseCursor(text string) (cursor, error) {
	if text == "" {
		return start, nil
	}
	first, second, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(first, 16, 32)
	offset, err2 := strconv.ParseInt(second, 16, 64)
	if err != nil || err2 != nil || n < int64(flat) || n >= shards {
		return cursor{}, store.ErrInvalidCursor
	}
	return cursor{shard(n), offset}, nil
}

// An entry is a session's file met on a walk.
type entry struct {
	id    string
	shard shard
	stat  *unix.Stat_t // until the next entry
	next  cursor       // behind it
}

// walk calls f with the files from a place on, until f returns an error.
func (d *dirs) walk(ctx context.Context, from cursor, f func(entry) error) error {
	if from.shard == flat {
		if err := d.walkShard(ctx, from, f); err != nil {
			return err
		}
		from = cursor{}
	}
	if !d.layout.mixed { // then it is flat
		return nil
	}
	for branch := int(from.shard) / branches; branch < branches; branch++ {
		present, err := d.shardsOf(branch)
		if err != nil {
			return err
		}
		for _, n := range present {
			if n < from.shard {
				continue
			}
			at := cursor{shard: n}
			if n == from.shard {
				at = from
			}
			if err := d.walkShard(ctx, at, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// shardsOf returns the shards of a branch that are there, in order.
func (d *dirs) shardsOf(branch int) (present []shard, err error) {
	dir, err := openat(d.sessions, hexadecimal(branch), dirFlags, 0)
	if err == unix.ENOENT || err == unix.ENOTDIR { // ENOTDIR: a link, or a session's file
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	err = readDir(dir, 0, func(name string, _ int64) error {
		b, err := hex.DecodeString(name)
		if err == nil && len(b) == 1 && hexadecimal(int(b[0])) == name {
			present = append(present, shard(branch*branches+int(b[0])))
		}
		return nil
	})
	slices.Sort(present)
	return present, err
}

func (d *dirs) walkShard(ctx context.Context, from cursor, f func(entry) error) error {
	dir, err := d.openShard(from.shard)
	if err == unix.ENOENT || err == unix.ENOTDIR { // removed just now, or a link
		return nil
	}
	if err != nil {
		return err
	}
	defer d.closeShard(dir)
	var st unix.Stat_t
	err = readDir(dir, from.offset, func(name string, next int64) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !store.ValidID(name) {
			return nil
		}
		switch err := fstatat(dir, name, &st); {
		case err == unix.ENOENT, err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG:
			return nil
		case err != nil:
			return err
		}
		return f(entry{id: name, shard: from.shard, stat: &st, next: cursor{from.shard, next}})
	})
	if err == errGone && from.shard != flat {
		err = nil // it was empty, and was removed meanwhile
	}
	return err
}

// readDir calls f with each name in a directory, but . and .., and the offset
// behind it, from an offset on, until f returns an error. It holds one piece
// of the directory at a time.
func readDir(dir int, offset int64, f func(name string, next int64) error) error {
	fd, err := openat(dir, ".", dirFlags, 0) // a read position of its own
	if err == unix.ENOENT {
		return errGone
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if offset != 0 {
		if _, err := unix.Seek(fd, offset, unix.SEEK_SET); err != nil {
			return store.ErrInvalidCursor // of another directory
		}
	}
	buf := make([]byte, 32<<10)
	for {
		var n int
		err := retry(func() (err error) {
			n, err = unix.Getdents(fd, buf)
			return err
		})
		if err == unix.ENOENT {
			return errGone
		}
		if err != nil || n <= 0 {
			return err
		}
		if err := eachName(buf[:n], f); err != nil {
			return err
		}
	}
}

// eachName takes apart what getdents64(2) has filled in: records of inode (8
// bytes), offset (8), length of the record (2), type (1) and the name, which ends
// with a zero.
func eachName(records []byte, f func(name string, next int64) error) error {
	const nameAt = 19
	for len(records) > nameAt {
		record := records[:binary.NativeEndian.Uint16(records[16:])]
		records = records[len(record):]
		name, _, _ := bytes.Cut(record[nameAt:], []byte{0})
		if string(name) == "." || string(name) == ".." {
			continue
		}
		if err := f(string(name), int64(binary.NativeEndian.Uint64(record[8:]))); err != nil {
			return err
		}
	}
	return nil
}
