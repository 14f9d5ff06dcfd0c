package dated

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"alforja/store"
)

// Directory returns s, a store of package directory that is open at path, as
// a Store. It goes to the files by their names: PATH/ID, or PATH/aa/bb/ID
// where that store fans out. What is not a regular file is not found.
func Directory(s store.Store, path string) Store {
	return &onDirectory{Store: s, path: path}
}

type onDirectory struct {
	store.Store
	path string
}

func (d *onDirectory) Stat(ctx context.Context, id string) (info store.Info, found bool, err error) {
	found, err = d.visit(ctx, "stat", id, func(_ string, st *unix.Stat_t) error {
		info = store.Info{ID: id, Size: st.Size, Modified: time.Unix(st.Mtim.Unix())}
		return nil
	})
	return info, found, err
}

func (d *onDirectory) SetModified(ctx context.Context, id string, modified time.Time) (found bool, err error) {
	t, err := unix.TimeToTimespec(modified)
	if err != nil {
		return false, err
	}
	return d.visit(ctx, "set time", id, func(name string, _ *unix.Stat_t) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// visit calls f with the session's file, if there is one.
func (d *onDirectory) visit(ctx context.Context, op, id string, f func(name string, st *unix.Stat_t) error) (found bool, err error) {
	if !store.ValidID(id) {
		return false, store.ErrInvalidID
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	for _, name := range d.names(id) {
		var st unix.Stat_t
		err := unix.Lstat(name, &st)
		if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
			continue
		}
		if err == nil {
			err = f(name, &st)
		}
		switch {
		case err == nil:
			return true, nil
		case err != unix.ENOENT && err != unix.ENOTDIR:
			return false, &fs.PathError{Op: op, Path: d.path, Err: err} // not the name, which is a secret
		}
	}
	return false, nil
}

func (d *onDirectory) names(id string) []string {
	sum := sha256.Sum256([]byte(id))
	return []string{
		filepath.Join(d.path, id),
		filepath.Join(d.path, hex.EncodeToString(sum[:1]), hex.EncodeToString(sum[1:2]), id),
	}
}
