package gateway

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A runDir is a private directory for the sockets between a gateway and its
// workers. A lock tells other gateways that it is in use; the kernel drops it
// with the process, however that ends.
type runDir struct {
	path string
	lock *os.File
}

const (
	runDirPrefix = "alforja-run-"
	runDirLock   = "lock"
	apiSocket    = "api%s.sock" // "" or "-" and the pool's name
	workerSocket = "worker-%s.sock"
	workerNotify = "worker-%s.notify"
)

// newRunDir makes a directory of mode 0700 in parent and removes those there
// that gateways which were killed have left.
func newRunDir(parent string) (*runDir, error) {
	parent, err := filepath.Abs(parent) // workers are told paths in it
	if err != nil {
		return nil, err
	}
	sweepRunDirs(parent)
	for {
		path, err := os.MkdirTemp(parent, runDirPrefix)
		if err != nil {
			return nil, fmt.Errorf("directory for worker sockets: %w", err)
		}
		lock, err := lockRunDir(path)
		if err == nil {
			return &runDir{path: path, lock: lock}, nil
		}
		// Another gateway that is just starting has taken it for a leftover.
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("directory for worker sockets: %w", err)
		}
	}
}

// sweepRunDirs removes what belongs to nobody any more. Where it may not, it
// leaves things as they are.
func sweepRunDirs(parent string) {
	paths, err := filepath.Glob(filepath.Join(parent, runDirPrefix+"*"))
	if err != nil {
		return
	}
	for _, path := range paths {
		// In a directory that all may write, only our own are trusted.
		var stat unix.Stat_t
		if err := unix.Lstat(path, &stat); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFDIR || int(stat.Uid) != os.Geteuid() {
			continue
		}
		if lock, err := lockRunDir(path); err == nil {
			(&runDir{path: path, lock: lock}).remove()
		}
	}
}

// lockRunDir takes the lock of a directory that is there. It fails when
// another process has it, or has just removed it.
func lockRunDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, runDirLock)
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	var stat unix.Stat_t
	if err == nil {
		err = unix.Fstat(int(lock.Fd()), &stat)
	}
	if err == nil && stat.Nlink == 0 {
		err = os.ErrNotExist
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return lock, nil
}

// admit lets processes of another user reach their sockets in the directory: it
// holds sockets only, each for its owner alone.
func (d *runDir) admit(process *ProcessOptions) error {
	if process.uid() < 0 {
		return nil
	}
	return os.Chmod(d.path, 0o711)
}

// remove removes what a gateway puts into the directory, by name, and the
// directory if nothing else is in it.
func (d *runDir) remove() {
	for _, pattern := range []string{workerSocket, workerNotify, apiSocket} {
		sockets, err := filepath.Glob(filepath.Join(d.path, fmt.Sprintf(pattern, "*")))
		if err != nil {
			continue
		}
		for _, path := range sockets {
			os.Remove(path)
		}
	}
	os.Remove(filepath.Join(d.path, runDirLock))
	os.Remove(d.path)
	d.lock.Close()
}
