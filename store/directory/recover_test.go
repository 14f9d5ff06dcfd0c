package directory_test

import (
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alforja/store/directory"
)

// The file system is unmounted, so that another directory appears or none,
// and mounted again.
func TestUnmounted(t *testing.T) {
	for _, under := range []bool{false, true} {
		top := mount(t, "")
		disk := mount(t, "")
		path := filepath.Join(top, "data", "sessions")
		must(t, os.MkdirAll(filepath.Join(top, "data"), 0o700))
		if under { // what the mount hides
			must(t, os.Mkdir(path, 0o700))
		}
		attach := func() { must(t, unix.Mount(disk, filepath.Join(top, "data"), "", unix.MS_BIND, "")) }
		detach := func() { must(t, unix.Unmount(filepath.Join(top, "data"), unix.MNT_DETACH)) }
		attach()
		s := openAt(t, path, directory.Options{Create: true})
		must(t, s.Create(t.Context(), "a", pickled('a', 100)))
		unlock, err := s.Lock(t.Context(), "a")
		must(t, err)

		detach()
		_, found, err := s.Load(t.Context(), "a")
		if found, updateErr := s.Update(t.Context(), "a", pickled('x', 100)); found || (updateErr != nil) == under {
			t.Errorf("Update of what is not there = %v, %v", found, updateErr)
		}
		if under && (found || err != nil) {
			t.Errorf("Load from the directory below = %v, %v", found, err)
		} else if !under {
			wantFault(t, err, fs.ErrNotExist, "mount")
		}
		unlock() // of the lock that was taken there

		attach()
		if found, err := s.Update(t.Context(), "a", pickled('b', 100)); !found || err != nil {
			t.Errorf("Update after the mount = %v, %v", found, err)
		}
		wantFile(t, filepath.Join(path, "a"), pickled('b', 100))
		detach()
	}
}

// The clock was set back an hour: all that was saved before is of the future.
func TestClockSetBack(t *testing.T) {
	s, path := open(t, directory.Options{})
	future := time.Now().Add(time.Hour)
	for _, id := range []string{"loaded", "updated", "touched", "left"} {
		must(t, s.Create(t.Context(), id, pickled('a', 10)))
		must(t, os.Chtimes(filepath.Join(path, id), future, future))
	}
	begun := time.Now()
	if _, found, err := s.Load(t.Context(), "loaded"); !found || err != nil {
		t.Errorf("Load = %v, %v", found, err)
	}
	if found, err := s.Update(t.Context(), "updated", pickled('b', 20)); !found || err != nil {
		t.Errorf("Update = %v, %v", found, err)
	}
	if found, err := s.Touch(t.Context(), "touched"); !found || err != nil {
		t.Errorf("Touch = %v, %v", found, err)
	}
	must(t, os.WriteFile(filepath.Join(path, "left"), []byte("cut"), 0o600))
	must(t, os.Chtimes(filepath.Join(path, "left"), future, future))
	if done, err := s.SetAside(t.Context(), "left", []byte("cut")); !done || err != nil {
		t.Errorf("SetAside of a cut file of the future = %v, %v", done, err)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("waited %v for the future", took)
	}
	// Nothing is taken for idle that was used a moment ago by the clock of then.
	if deleted, remaining, err := s.DeleteIdle(t.Context(), time.Minute); deleted != 0 || remaining != 3 || err != nil {
		t.Errorf("DeleteIdle = %d, %d, %v; want 0, 3, nil", deleted, remaining, err)
	}
	for _, id := range []string{"updated", "touched"} {
		info, err := os.Stat(filepath.Join(path, id))
		must(t, err)
		if info.ModTime().After(time.Now().Add(time.Second)) {
			t.Errorf("%s is still of the future", id)
		}
	}
}

// A limit on the length of files is the one thing that could stop a write in
// place half-way: it is refused at the start, and if it comes later, said.
func TestFileSizeLimit(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	limit := func(bytes uint64) (restore func()) {
		var old unix.Rlimit
		must(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &old))
		must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: old.Max}))
		return func() { must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &old)) }
	}
	s, path := open(t, directory.Options{})
	must(t, s.Create(t.Context(), "a", pickled('a', 600)))
	restore := limit(300)
	_, err := s.Update(t.Context(), "a", pickled('b', 700))
	_, beside := s.Update(t.Context(), "a", pickled('b', 9000))
	restore()
	wantFault(t, err, directory.ErrTorn, "ulimit")
	if !errors.Is(err, unix.EFBIG) || errors.Is(beside, directory.ErrTorn) || !errors.Is(beside, unix.EFBIG) {
		t.Errorf("Update = %v, beside %v; want EFBIG", err, beside)
	}
	defer limit(1 << 20)()
	_, err = directory.Open(path, directory.Options{})
	var fault *directory.Error
	if !errors.As(err, &fault) || fault.Hint == "" {
		t.Errorf("Open = %v, want a hint", err)
	}
}

// Out of descriptors, really.
func TestTooManyOpenFiles(t *testing.T) {
	s, path := open(t, directory.Options{})
	must(t, s.Create(t.Context(), "a", pickled('a', 100)))
	var old unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}))
	_, _, loadErr := s.Load(t.Context(), "a")
	_, updateErr := s.Update(t.Context(), "a", pickled('b', 100))
	_, besideErr := s.Update(t.Context(), "a", pickled('b', 9000))
	createErr := s.Create(t.Context(), "b", pickled('b', 100))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old))
	for _, err := range []error{loadErr, updateErr, besideErr, createErr} {
		wantFault(t, err, unix.EMFILE, "ulimit -n")
	}
	wantFile(t, filepath.Join(path, "a"), pickled('a', 100))
	if found, err := s.Update(t.Context(), "a", pickled('b', 9000)); !found || err != nil {
		t.Errorf("Update = %v, %v", found, err)
	}
}
