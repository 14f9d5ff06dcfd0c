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
	rights   rights
	layout   layout
	sessions int
	state    int
	tmp      int
	corrupt  int
	lock     int
	ranges   rangeLocks // on lock
	released releases   // of ranges
	refs     int
}

// dirFlags go with every opening of a directory, but for the session
// directory's path, which may lead over a symbolic link.
const dirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW

// openDirs opens the session directory at path and makes, opens and
// tries out its state directory.
func openDirs(path string, opts Options, asked rights) (_ *dirs, err error) {
	d := &dirs{sessions: -1, state: -1, tmp: -1, corrupt: -1, lock: -1, refs: 1}
	d.released.start = time.Now()
	defer func() {
		if err != nil {
			d.unref()
		}
	}()
	if d.sessions, err = openat(unix.AT_FDCWD, path, dirFlags&^unix.O_NOFOLLOW, 0); err != nil {
		return nil, directoryError(err)
	}
	var st unix.Stat_t
	if err := fstat(d.sessions, &st); err != nil {
		return nil, err
	}
	d.dev, d.ino = st.Dev, st.Ino
	d.rights = asked.on(&st)
	if st.Mode&0o002 != 0 {
		return nil, errWorldWritable
	}
	if err := unix.Faccessat(d.sessions, ".", unix.R_OK|unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return nil, err
	}

	state := opts.StateDir
	if state == "" {
		// Gateways that come by different links must meet at the same locks.
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil, directoryError(err)
		}
		state = path + ".alforja"
	}
	if err := d.openState(state, opts.FanOut); err != nil {
		return nil, stateError(state, err)
	}
	return d, nil
}

func (d *dirs) openState(path string, fanOut bool) error {
	if _, err := d.rights.makeDir(unix.AT_FDCWD, path); err != nil {
		return err
	}
	top, err := openat(unix.AT_FDCWD, path, dirFlags, 0)
	if err != nil {
		return err
	}
	d.state = top
	var st unix.Stat_t
	if err := fstat(top, &st); err != nil {
		return err
	}
	if st.Mode&0o002 != 0 {
		return errWorldWritable
	}
	for name, fd := range map[string]*int{"tmp": &d.tmp, "corrupt": &d.corrupt} {
		if _, err := d.rights.makeDir(top, name); err != nil {
			return err
		}
		if *fd, err = openat(top, name, dirFlags, 0); err != nil {
			return err
		}
	}
	if d.lock, err = d.openLock(); err != nil {
		return err
	}
	d.ranges.fd = d.lock
	if d.layout, err = openLayout(top, fanOut); err != nil {
		return err
	}
	if err := d.tryOut(); err != nil {
		return err
	}
	return d.sweep()
}

// openLock opens the lock file, and makes it if it is missing.
func (d *dirs) openLock() (fd int, err error) {
	const flags = unix.O_RDWR | unix.O_NOFOLLOW
	for {
		if fd, err = openat(d.state, "lock", flags, 0); err != unix.ENOENT {
			return fd, err
		}
		fd, err = openat(d.state, "lock", flags|unix.O_CREAT|unix.O_EXCL, 0o600)
		if err == unix.EEXIST { // made by another gateway just now
			continue
		}
		if err != nil {
			return -1, err
		}
		if err := d.rights.give(fd, d.rights.mode); err != nil {
			unix.Close(fd)
			return -1, err
		}
		return fd, nil
	}
}

var (
	errWorldWritable = errors.New("anyone may write to it")
	errNoExchange    = errors.New("the file system cannot exchange two files atomically (renameat2)")
	errNoLocks       = errors.New("the file system has no working locks")
	errOtherMount    = errors.New("it is not on the same mount as the session directory")
	errFileSize      = errors.New("this process may not write files as large as a session may be")
)

// tryOut finds out at once, and not at the first session, whether the file
// system has what the store rests on: exchange by rename, flock, byte-range
// locks, and renames from the state directory to the session directory.
func (d *dirs) tryOut() error {
	var names [2]string
	for i := range names {
		fd, name, err := d.createTemp()
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		defer unix.Unlinkat(d.tmp, name, 0)
		if err := d.rights.give(fd, d.rights.mode); err != nil {
			return err
		}
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
	// Two stores that open at the same time may meet here, which shows that locks work too.
	if _, err := d.ranges.try(tryOutOffset); err != nil {
		return fmt.Errorf("%w: fcntl: %w", errNoLocks, err)
	}
	d.ranges.unlock(tryOutOffset)
	return nil
}

// sweep removes what crashes have left in tmp.
func (d *dirs) sweep() error {
	return readDir(d.tmp, 0, func(name string, _ int64) error {
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
func (d *dirs) createTemp() (fd int, name string, err error) {
	name = store.NewID()
	fd, err = openat(d.tmp, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err == unix.ENOENT {
		return -1, "", errGone // only a removed directory cannot have a new file
	}
	return fd, name, err
}

func (d *dirs) unref() {
	if d.refs--; d.refs > 0 {
		return
	}
	for _, fd := range []int{d.sessions, d.state, d.tmp, d.corrupt, d.lock} {
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
	case errors.Is(err, errGive):
	case errors.Is(err, os.ErrPermission):
		hint = "name a state directory that this user may write to, on the same mount," +
			" or make this one by hand and give it to this user"
	}
	return &Error{Op: "open state directory", Path: path, Hint: hint, Err: err}
}
