// Package directory keeps sessions in the files of session3's
// DirectorySessionStore: one flat directory, one pickle a file, the file's
// name is the session id. Python's session3 may read and write the same
// directory at the same time. The package needs Linux.
//
// What it adds to session3's own store: a process killed at any moment leaves
// the old state or the new one; a deleted session stays deleted; every wait
// is bounded; an empty or damaged file locks nobody out; and a session's name
// leads to a regular file in the directory or to nothing at all: symbolic
// links, FIFOs, devices and directories under such a name are left alone and
// count as no session, which is logged once. Files of foreign users, and files
// with a second name elsewhere, are refused with an error.
//
// Beside the session directory PATH there is the state directory, PATH.alforja
// by default:
//
//	lock       byte-range locks, one byte pair a session (Store.Lock)
//	tmp/       states on their way; none of them outlives a save, but for crashes
//	corrupt/   what SetAside took out: ID.<start of the content's SHA-256>
//	fanout     a mark that there may be sessions in the layout of Options.FanOut
//
// It is not inside PATH because session3's delete_old_sessions tries to unlink
// whatever it finds there.
//
// docs/store.md has the format, the locks and the promises in full.
package directory

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"alforja/store"
)

// A Store is a store.Store on a directory. Errors of the file system come as
// *Error.
type Store struct {
	path    string // absolute
	opts    Options
	asked   rights                 // by the options
	rights  atomic.Pointer[rights] // those and what the directory said when it was opened
	traffic atomic.Int64           // calls of the methods that requests make
	locks   store.KeyedMutex       // of Lock
	line    store.KeyedMutex       // of those who want one file's flock, for the time of a system call or some
	asides  store.KeyedMutex       // with one key: of who adds to corrupt/
	odd     firstTimes             // ids whose name is not a regular file, logged

	closed atomic.Bool

	mu   sync.Mutex
	dirs *dirs // nil until opened, and after what it refers to was removed
}

var _ store.Store = (*Store)(nil)

// Open opens the session directory at path. Like session3 it wants the
// directory to exist, but for Options.Create. Open fails when the file system
// lacks something that the store's promises rest on.
func Open(path string, opts Options) (*Store, error) {
	s, err := newStore(path, opts)
	if err != nil {
		return nil, fail("open", path, "", err)
	}
	return s, nil
}

// Check says why Open would refuse the directory or the options, as far as that
// shows without making anything.
func Check(path string, opts Options) error {
	opts = opts.withDefaults()
	if _, err := opts.check(path); err != nil {
		return fail("open", path, "", err)
	}
	for _, dir := range []string{path, opts.StateDir} {
		if dir == "" {
			continue
		}
		var is unix.Stat_t
		err := unix.Stat(dir, &is)
		if err == unix.ENOENT && opts.Create { // Open makes it, but not what it is in
			err = unix.Stat(filepath.Dir(filepath.Clean(dir)), &is)
		}
		if err == nil && is.Mode&unix.S_IFMT != unix.S_IFDIR {
			err = unix.ENOTDIR
		}
		if err != nil {
			return fail("open", dir, "", err)
		}
	}
	return nil
}

func newStore(path string, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	asked, err := opts.check(path)
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	s := &Store{path: abs, opts: opts, asked: asked}
	if opts.Create {
		if err := s.makeSessions(); err != nil {
			return nil, err
		}
	}
	d, err := s.acquire()
	if err != nil {
		return nil, err
	}
	s.release(d)
	return s, nil
}

// makeSessions makes the session directory if it is missing.
func (s *Store) makeSessions() error {
	made, err := s.asked.makeDir(unix.AT_FDCWD, s.path)
	if err != nil || !made || s.opts.Durability != DurabilityPower {
		return err
	}
	// Else a power failure could take the directory away, with all that is in it.
	parent, err := openat(unix.AT_FDCWD, filepath.Dir(s.path), dirFlags&^unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	return s.sync(parent)
}

// checkFileSize refuses a limit (ulimit -f) that could stop a write half-way.
func checkFileSize() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	if limit.Cur < store.MaxStateBytes {
		return fmt.Errorf("%w: %d bytes", errFileSize, limit.Cur)
	}
	return nil
}

// Close closes the directory. Operations under way and locks held end as
// usual; new ones return fs.ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed.Store(true)
	s.replaceLocked(nil)
	return nil
}

// with runs f on the directory as it is now. Once per call it starts over when f
// finds that what it works on has been removed.
func (s *Store) with(op, id string, f func(*dirs) error) error {
	var err error
	for range 2 {
		var d *dirs
		if d, err = s.acquire(); err != nil {
			break
		}
		err = f(d)
		s.release(d)
		if !isGone(err) {
			break
		}
		s.forget(d)
	}
	return fail(op, s.path, id, err)
}

// acquire returns the open directories. It costs one stat of the path in order to
// notice that the session directory was removed, replaced or mounted over.
func (s *Store) acquire() (*dirs, error) {
	var st unix.Stat_t
	statErr := retry(func() error { return unix.Stat(s.path, &st) })

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return nil, fs.ErrClosed
	}
	if statErr != nil {
		if s.dirs != nil {
			s.replaceLocked(nil)
		}
		return nil, directoryError(statErr)
	}
	if s.dirs == nil || s.dirs.dev != st.Dev || s.dirs.ino != st.Ino {
		d, err := openDirs(s.path, s.opts, s.asked)
		if err != nil {
			return nil, err
		}
		s.replaceLocked(d)
		s.rights.Store(&d.rights)
	}
	s.dirs.refs++
	return s.dirs, nil
}

func (s *Store) release(d *dirs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.unref()
}

// forget makes the next acquire open the directories again.
func (s *Store) forget(d *dirs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dirs == d {
		s.replaceLocked(nil)
	}
}

func (s *Store) replaceLocked(d *dirs) {
	if s.dirs != nil {
		s.dirs.unref()
	}
	s.dirs = d
}
