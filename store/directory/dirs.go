package directory

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"alforja/store"
)

// leftoverAge is the age at which a file in tmp/ must be one that a crash left
// behind: no save takes that long.
const leftoverAge = 10 * time.Minute

// dirs is the session directory and the state directory, open. The store that
// it belongs to counts the references under its mutex; the last one closes it.
type dirs struct {
	dev, ino uint64 // of the session directory
	sessions int
	tmp      int
	corrupt  int
	lock     int
	ranges   rangeLocks // on lock
	released releases   // of ranges
	refs     int
}

// openDirs opens the session directory at path and makes, opens and
// tries out its state directory.
func openDirs(path, state string) (_ *dirs, err error) {
	d := &dirs{sessions: -1, tmp: -1, corrupt: -1, lock: -1, refs: 1}
	d.released.start = time.Now()
	defer func() {
		if err != nil {
			d.unref()
		}
	}()
	const dirFlags = unix.O_RDONLY | unix.O_DIRECTORY
	if d.sessions, err = openat(unix.AT_FDCWD, path, dirFlags, 0); err != nil {
		return nil, directoryError(err)
	}
	var st unix.Stat_t
	if err := fstat(d.sessions, &st); err != nil {
		return nil, err
	}
	d.dev, d.ino = st.Dev, st.Ino

	if state == "" {
		// Gateways that come by different links must meet at the same locks.
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil, directoryError(err)
		}
		state = path + ".alforja"
	}
	if err := d.openState(state); err != nil {
		return nil, stateError(state, err)
	}
	return d, nil
}

func (d *dirs) openState(path string) error {
	if err := mkdirPrivate(path); err != nil {
		return err
	}
	const dirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW
	top, err := openat(unix.AT_FDCWD, path, dirFlags, 0)
	if err != nil {
		return err
	}
	defer unix.Close(top)
	var st unix.Stat_t
	if err := fstat(top, &st); err != nil {
		return err
	}
	if st.Mode&0o002 != 0 {
		return errWorldWritable
	}
	for name, fd := range map[string]*int{"tmp": &d.tmp, "corrupt": &d.corrupt} {
		if err := unix.Mkdirat(top, name, 0o700); err != nil && err != unix.EEXIST {
			return err
		}
		if *fd, err = openat(top, name, dirFlags, 0); err != nil {
			return err
		}
	}
	if d.lock, err = openat(top, "lock", unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW, 0o600); err != nil {
		return err
	}
	d.ranges.fd = d.lock
	if err := d.tryOut(); err != nil {
		return err
	}
	return d.sweep()
}

var (
	errWorldWritable = errors.New("anyone may write to it")
	errNoExchange    = errors.New("the file system cannot exchange two files atomically (renameat2)")
	errNoLocks       = errors.New("the file system has no working locks")
	errOtherMount    = errors.New("it is not on the same mount as the session directory")
)

// tryOut finds out at once, and not at the first session, whether the file
// system has what the store rests on: exchange by rename, flock, byte-range
// locks, and renames from the state directory to the session directory.
func (d *dirs) tryOut() error {
	var names [2]string
	for i := range names {
		fd, name, err := d.createTemp(0o600)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		defer unix.Unlinkat(d.tmp, name, 0)
		names[i] = name
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return fmt.Errorf("%w: flock: %w", errNoLocks, err)
		}
	}
	if err := unix.Renameat2(d.tmp, names[0], d.tmp, names[1], unix.RENAME_EXCHANGE); err != nil {
		return fmt.Errorf("%w: %w", errNoExchange, err)
	}
	// The source is missing, so nothing can move; but the kernel compares the
	// mounts first, and two mounts of one file system count as two.
	missing := store.NewID()
	err := unix.Renameat2(d.tmp, missing, d.sessions, missing, unix.RENAME_NOREPLACE)
	if err == unix.EXDEV {
		return errOtherMount
	}
	if err != unix.ENOENT {
		return err
	}
	// One byte past all that sessions use. Two stores that open at the same
	// time may meet here, which shows that locks work.
	if _, err := d.ranges.try(maxOffset + 2); err != nil {
		return fmt.Errorf("%w: fcntl: %w", errNoLocks, err)
	}
	d.ranges.unlock(maxOffset + 2)
	return nil
}

// sweep removes what crashes have left in tmp.
func (d *dirs) sweep() error {
	return readNames(d.tmp, func(name string) error {
		var st unix.Stat_t
		if err := fstatat(d.tmp, name, &st); err != nil {
			return nil // another gateway's, gone by now
		}
		if time.Since(modified(&st)) > leftoverAge {
			unix.Unlinkat(d.tmp, name, 0)
		}
		return nil
	})
}

// createTemp makes an empty file in tmp, open for writing.
func (d *dirs) createTemp(mode uint32) (fd int, name string, err error) {
	name = store.NewID()
	fd, err = openat(d.tmp, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err == unix.ENOENT {
		return -1, "", errGone // only a removed directory cannot have a new file
	}
	if err != nil {
		return -1, "", err
	}
	if err = retry(func() error { return unix.Fchmod(fd, mode) }); err != nil { // past the umask
		unix.Close(fd)
		unix.Unlinkat(d.tmp, name, 0)
	}
	return fd, name, err
}

func (d *dirs) unref() {
	if d.refs--; d.refs > 0 {
		return
	}
	for _, fd := range []int{d.sessions, d.tmp, d.corrupt, d.lock} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// stateError says what to do about a state directory that cannot be used.
func stateError(path string, err error) error {
	hint := hintFor(err)
	switch {
	case errors.Is(err, errOtherMount):
		hint = "name a state directory on the session directory's mount; if the session directory" +
			" is itself a mount point, keep the sessions in a folder inside it"
	case errors.Is(err, errNoExchange), errors.Is(err, errNoLocks):
		hint = "keep the sessions on a local file system such as ext4, xfs, btrfs or tmpfs"
	case errors.Is(err, errWorldWritable):
		hint = "remove it, or take that permission away"
	case errors.Is(err, os.ErrPermission):
		hint = "name a state directory that this user may write to, on the same mount," +
			" or make this one by hand and give it to this user"
	}
	return &Error{Op: "open state directory", Path: path, Hint: hint, Err: err}
}
