package gateway

import (
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

const runDirPrefix = "alforja-"

// newRunDir makes a directory of mode 0700 in parent and removes those there
// that gateways which were killed have left.
func newRunDir(parent string) (*runDir, error) {
	sweepRunDirs(parent)
	path, err := os.MkdirTemp(parent, runDirPrefix)
	if err != nil {
		return nil, fmt.Errorf("directory for worker sockets: %w", err)
	}
	lock, err := lockRunDir(path)
	if err != nil {
		os.RemoveAll(path)
		return nil, fmt.Errorf("directory for worker sockets: %w", err)
	}
	return &runDir{path: path, lock: lock}, nil
}

// sweepRunDirs removes what belongs to nobody any more. Where it may not, it
// leaves things as they are.
func sweepRunDirs(parent string) {
	paths, err := filepath.Glob(filepath.Join(parent, runDirPrefix+"*", "lock"))
	if err != nil {
		return
	}
	for _, path := range paths {
		dir := filepath.Dir(path)
		// In a directory that all may write, only our own are trusted.
		var stat unix.Stat_t
		if err := unix.Lstat(dir, &stat); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFDIR || int(stat.Uid) != os.Geteuid() {
			continue
		}
		lock, err := lockRunDir(dir)
		if err != nil {
			continue
		}
		os.RemoveAll(dir)
		lock.Close()
	}
}

func lockRunDir(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

func (d *runDir) remove() {
	os.RemoveAll(d.path)
	d.lock.Close()
}
