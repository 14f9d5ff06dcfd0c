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
// count as no session, which is logged once.
//
// Beside the session directory PATH there is the state directory, PATH.alforja
// by default:
//
//	lock       byte-range locks, one byte pair a session (Store.Lock)
//	tmp/       states on their way; none of them outlives a save, but for crashes
//	corrupt/   what SetAside took out: ID.<start of the content's SHA-256>
//
// It is not inside PATH because session3's delete_old_sessions tries to unlink
// whatever it finds there.
package directory

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"alforja/store"
)

// Durability says what a saved session outlives.
type Durability string

const (
	// DurabilityProcess: a crash of any process, at any point. After a power
	// failure a session may be as it was some seconds earlier, or damaged.
	DurabilityProcess Durability = "process"

	// DurabilityPower: a power failure too. Each save waits for the disk.
	DurabilityPower Durability = "power"
)

// Options of Open. The zero value is good.
type Options struct {
	// Create makes the session directory, mode 0700, if it is missing when
	// the store is opened. Default: a missing directory is an error.
	Create bool

	// Durability of what is saved. Default: DurabilityProcess.
	Durability Durability

	// Patience is how long after its last change an empty or cut file may be
	// one that a Python process has truncated and is about to write. Load
	// waits for it that long. Default: 500 ms; busy writers were seen to take
	// over 250 ms.
	Patience time.Duration

	// LockWait bounds the wait for the flock of one session file, which
	// other processes hold while they read or write it. After that an
	// operation returns store.ErrBusy. Default: 2 s.
	LockWait time.Duration

	// StateDir is the state directory. It must be on the same mount as the
	// session directory, and gateways that share sessions share it too.
	// It is made, mode 0700, if it is missing. Default: the session
	// directory's path, symbolic links resolved, with ".alforja" appended.
	StateDir string

	// CorruptFiles bounds the number of files that SetAside keeps; what
	// comes after that is deleted and logged. Default: 1000.
	CorruptFiles int

	// CorruptBytes bounds their size together, in bytes. Default: 64 MiB.
	CorruptBytes int64

	// Logger gets what an operator should look into. Default: slog.Default().
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Durability == "" {
		o.Durability = DurabilityProcess
	}
	if o.Patience == 0 {
		o.Patience = 500 * time.Millisecond
	}
	if o.LockWait == 0 {
		o.LockWait = 2 * time.Second
	}
	if o.CorruptFiles == 0 {
		o.CorruptFiles = 1000
	}
	if o.CorruptBytes == 0 {
		o.CorruptBytes = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// A Store is a store.Store on a directory. Errors of the file system come as
// *Error.
type Store struct {
	path    string // absolute
	opts    Options
	locks   store.KeyedMutex // of Lock
	writers store.KeyedMutex // of one file's writers, for the time of a system call or some
	odd     firstTimes       // ids whose name is not a regular file, logged

	closed atomic.Bool

	mu   sync.Mutex
	dirs *dirs // nil until opened, and after what it refers to was removed
}

var _ store.Store = (*Store)(nil)

// Open opens the session directory at path. Like session3 it wants the
// directory to exist, but for Options.Create. Open fails when the file system
// lacks something that the store's promises rest on.
func Open(path string, opts Options) (*Store, error) {
	switch opts.Durability {
	case "", DurabilityProcess, DurabilityPower:
	default:
		return nil, &Error{Op: "open", Path: path, Err: unix.EINVAL,
			Hint: `durability is "process" or "power", not "` + string(opts.Durability) + `"`}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, &Error{Op: "open", Path: path, Err: err}
	}
	if opts.Create {
		if err := mkdirPrivate(abs); err != nil {
			return nil, fail("open", abs, "", err)
		}
	}
	s := &Store{path: abs, opts: opts.withDefaults()}
	d, err := s.acquire()
	if err != nil {
		return nil, fail("open", abs, "", err)
	}
	s.release(d)
	return s, nil
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
		d, err := openDirs(s.path, s.opts.StateDir)
		if err != nil {
			return nil, err
		}
		s.replaceLocked(d)
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

func mkdirPrivate(path string) error {
	err := os.Mkdir(path, 0o700)
	if os.IsExist(err) {
		return nil
	}
	if err == nil {
		err = os.Chmod(path, 0o700) // whatever the umask took away
	}
	return err
}
