package directory_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alforja/store"
	"alforja/store/directory"
)

// mount makes a small file system of its own.
func mount(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=700,"+options); err != nil {
		t.Fatalf("this test needs to mount a tmpfs (run as root, with CAP_SYS_ADMIN): %v", err)
	}
	t.Cleanup(func() {
		for unix.Unmount(dir, unix.MNT_DETACH) == nil { // a test may have mounted another over it
		}
	})
	return dir
}

// wantFault checks that err is an *Error with cause and a hint that has the word.
func wantFault(t *testing.T, err, cause error, word string) {
	t.Helper()
	var fault *directory.Error
	if !errors.As(err, &fault) || !errors.Is(err, cause) || !strings.Contains(fault.Hint, word) {
		t.Errorf("error %v, want an *Error that wraps %v and a hint with %q", err, cause, word)
	}
}

func TestDiskFull(t *testing.T) {
	top := mount(t, "size=64k")
	s := openAt(t, filepath.Join(top, "sessions"), directory.Options{Create: true})
	must(t, s.Create(t.Context(), "small", pickled('s', 100)))
	must(t, s.Create(t.Context(), "large", pickled('l', 20_000)))
	fill := filepath.Join(top, "fill")
	if err := os.WriteFile(fill, make([]byte, 64<<10), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the file system does not fill up: %v", err)
	}

	err := s.Create(t.Context(), "new", pickled('n', 100))
	wantFault(t, err, unix.ENOSPC, "full")
	_, err = s.Update(t.Context(), "large", pickled('L', 30_000))
	wantFault(t, err, unix.ENOSPC, "full")
	wantFile(t, filepath.Join(top, "sessions/large"), pickled('l', 20_000))
	if _, found, _ := s.Load(t.Context(), "new"); found {
		t.Error("a session is there that could not be created")
	}
	if got := names(t, filepath.Join(top, "sessions.alforja/tmp")); got != nil {
		t.Errorf("left in tmp: %v", got)
	}
	if found, err := s.Update(t.Context(), "small", pickled('S', 4000)); !found || err != nil {
		t.Errorf("Update within the page that it has = %v, %v", found, err)
	}

	must(t, os.Remove(fill))
	must(t, s.Create(t.Context(), "new", pickled('n', 100)))
}

// The kernel refuses to make a file system read-only while the lock file is
// open for writing, so another one that is read-only is mounted over it.
func TestReadOnly(t *testing.T) {
	top := mount(t, "")
	path := filepath.Join(top, "sessions")
	s := openAt(t, path, directory.Options{Create: true})
	must(t, s.Create(t.Context(), "a", pickled('a', 100)))

	must(t, unix.Mount("tmpfs", top, "tmpfs", 0, "mode=700"))
	must(t, os.Mkdir(path, 0o700))
	must(t, unix.Mount("", top, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	_, err := s.Update(t.Context(), "a", pickled('b', 100))
	wantFault(t, err, unix.EROFS, "read-write")
	wantFault(t, s.Create(t.Context(), "b", nil), unix.EROFS, "read-write")
	if _, err := directory.Open(path, directory.Options{}); err == nil {
		t.Error("opened a read-only directory")
	} else {
		wantFault(t, err, unix.EROFS, "read-write")
	}
	must(t, unix.Mount("", top, "", unix.MS_REMOUNT, ""))
	must(t, s.Create(t.Context(), "b", pickled('b', 100)))

	must(t, unix.Unmount(top, unix.MNT_DETACH))
	if found, err := s.Update(t.Context(), "a", pickled('b', 100)); !found || err != nil {
		t.Errorf("Update after the unmount = %v, %v", found, err)
	}
}

// A session directory that is a mount point has no sibling on its own mount.
func TestMountPoint(t *testing.T) {
	top := mount(t, "")
	_, err := directory.Open(top, directory.Options{})
	if err == nil || !strings.Contains(err.Error(), "folder inside") {
		t.Errorf("Open = %v, want what to do about a mount point", err)
	}
	os.RemoveAll(top + ".alforja")
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	_, err := directory.Open(filepath.Join(dir, "missing"), directory.Options{})
	wantFault(t, err, fs.ErrNotExist, "missing")
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	_, err = directory.Open(filepath.Join(dir, "file"), directory.Options{})
	wantFault(t, err, unix.ENOTDIR, "directory")
	_, err = directory.Open(dir, directory.Options{Durability: "forever"})
	wantFault(t, err, unix.EINVAL, "forever")
	for _, opts := range []directory.Options{
		{Patience: -1}, {ForeignPatience: -1}, {LockWait: -1}, {CorruptFiles: -1}, {CorruptBytes: -1},
	} {
		_, err = directory.Open(dir, opts)
		wantFault(t, err, unix.EINVAL, "more than 0")
	}
	must(t, os.Mkdir(filepath.Join(dir, "state"), 0o700))
	must(t, os.Chmod(filepath.Join(dir, "state"), 0o777))
	if _, err = directory.Open(dir, directory.Options{StateDir: filepath.Join(dir, "state")}); err == nil {
		t.Error("opened with a state directory that anyone may write to")
	}
}

func TestDirectoryReplaced(t *testing.T) {
	for _, test := range []struct {
		name  string
		leave func(path string) error
	}{
		{"removed", os.RemoveAll},
		{"moved", func(path string) error { return os.Rename(path, path+".old") }},
		{"removed with its state", func(path string) error {
			return errors.Join(os.RemoveAll(path), os.RemoveAll(path+".alforja"))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, path := open(t, directory.Options{})
			must(t, s.Create(t.Context(), "a", pickled('a', 100)))
			must(t, test.leave(path))
			_, _, err := s.Load(t.Context(), "a")
			wantFault(t, err, fs.ErrNotExist, "missing")
			wantFault(t, s.Create(t.Context(), "b", pickled('b', 1)), fs.ErrNotExist, "missing")

			must(t, os.Mkdir(path, 0o700))
			if _, found, err := s.Load(t.Context(), "a"); found || err != nil {
				t.Errorf("Load from the new directory = %v, %v", found, err)
			}
			must(t, s.Create(t.Context(), "b", pickled('b', 5000)))
			wantFile(t, filepath.Join(path, "b"), pickled('b', 5000))
		})
	}
}

// Replaced between two calls, so that nothing ever failed.
func TestDirectorySwapped(t *testing.T) {
	s, path := open(t, directory.Options{})
	must(t, s.Create(t.Context(), "a", pickled('a', 100)))
	must(t, os.Rename(path, path+".old"))
	must(t, os.Mkdir(path, 0o700))
	must(t, s.Create(t.Context(), "a", pickled('b', 100)))
	wantFile(t, filepath.Join(path, "a"), pickled('b', 100))
	wantFile(t, filepath.Join(path+".old", "a"), pickled('a', 100))
}

func TestStateDirectoryRemoved(t *testing.T) {
	s, path := open(t, directory.Options{})
	other := openAt(t, path, directory.Options{})
	for _, call := range []func() error{
		func() error { return s.Create(t.Context(), "a", pickled('a', 100)) },
		func() error { _, err := s.Update(t.Context(), "a", pickled('a', 5000)); return err },
		func() error { _, err := s.SetAside(t.Context(), "a", pickled('a', 5000)); return err },
		func() error {
			unlock, err := s.Lock(t.Context(), "a")
			if err != nil {
				return err
			}
			defer unlock()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if _, err := other.Lock(ctx, "a"); !errors.Is(err, store.ErrBusy) {
				t.Errorf("two stores have the lock: %v", err)
			}
			return nil
		},
	} {
		must(t, os.RemoveAll(path+".alforja"))
		must(t, call())
	}
}

// As a Python process stopped in the middle of a save.
func holdFlock(t *testing.T, path string) (release func()) {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	return func() { f.Close() }
}

func TestHeldFlock(t *testing.T) {
	calls := map[string]func(s *directory.Store, ctx context.Context) error{
		"load": func(s *directory.Store, ctx context.Context) error { _, _, err := s.Load(ctx, "a"); return err },
		"update": func(s *directory.Store, ctx context.Context) error {
			_, err := s.Update(ctx, "a", pickled('b', 9))
			return err
		},
		"touch": func(s *directory.Store, ctx context.Context) error { _, err := s.Touch(ctx, "a"); return err },
		"aside": func(s *directory.Store, ctx context.Context) error {
			_, err := s.SetAside(ctx, "a", pickled('a', 9))
			return err
		},
		"delete": func(s *directory.Store, ctx context.Context) error { _, err := s.Delete(ctx, "a"); return err },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			s, path := open(t, directory.Options{LockWait: 30 * time.Millisecond})
			must(t, s.Create(t.Context(), "a", pickled('a', 9)))
			release := holdFlock(t, filepath.Join(path, "a"))
			if err := call(s, t.Context()); !errors.Is(err, store.ErrBusy) || !errors.Is(err, store.ErrHeldElsewhere) {
				t.Errorf("error %v after LockWait, want ErrBusy and ErrHeldElsewhere", err)
			}
			if deleted, remaining, err := s.DeleteIdle(t.Context(), -time.Hour); deleted != 0 || remaining != 1 || err != nil {
				t.Errorf("DeleteIdle = %d, %d, %v; want 0, 1, nil", deleted, remaining, err)
			}
			release()

			patient := openAt(t, path, directory.Options{LockWait: time.Minute})
			release = holdFlock(t, filepath.Join(path, "a"))
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			defer cancel()
			if err := call(patient, ctx); !errors.Is(err, store.ErrBusy) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want ErrBusy and context.DeadlineExceeded", err)
			}
			time.AfterFunc(30*time.Millisecond, release)
			if err := call(patient, t.Context()); err != nil {
				t.Errorf("error %v once the lock is free", err)
			}
		})
	}
}

// Whoever waits for the lock of a file that is unlinked or replaced meanwhile
// must not go on with that file.
func TestFileChangesDuringWait(t *testing.T) {
	for _, test := range []struct {
		name      string
		meanwhile func(path string) error
		found     bool
	}{
		{"unlinked", os.Remove, false},
		{"moved", func(path string) error { return os.Rename(path, path+".away") }, false},
		{"replaced", func(path string) error {
			return errors.Join(os.WriteFile(path+".new", pickled('n', 50), 0o600), os.Rename(path+".new", path))
		}, true},
		{"replaced and kept", func(path string) error {
			return errors.Join(os.Rename(path, path+".away"), os.WriteFile(path, pickled('n', 50), 0o600))
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, path := open(t, directory.Options{LockWait: time.Minute})
			name := filepath.Join(path, "a")
			must(t, s.Create(t.Context(), "a", pickled('a', 9)))
			release := holdFlock(t, name)
			type result struct {
				found bool
				err   error
			}
			done := make(chan result)
			go func() {
				found, err := s.Update(t.Context(), "a", pickled('b', 9))
				done <- result{found, err}
			}()
			<-time.After(20 * time.Millisecond) // it waits by now, or is late and sees the change at once
			must(t, test.meanwhile(name))
			release()
			if got := <-done; got.found != test.found || got.err != nil {
				t.Errorf("Update = %v, %v; want %v", got.found, got.err, test.found)
			}
			if test.found {
				wantFile(t, name, pickled('b', 9))
			} else if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the session is back: %v", err)
			}
		})
	}
}

// session3's save_session: truncate, wait for the lock, unlock, and only then
// flush, in one piece or, above the buffer's size, in several.
func TestPythonWriter(t *testing.T) {
	for _, size := range []int{258, 10_000} {
		s, path := open(t, directory.Options{Patience: time.Minute})
		state := bytes.ReplaceAll(pickled('p', size), []byte("ppp"), []byte("pp."))
		must(t, s.Create(t.Context(), "a", pickled('o', size)))
		f, err := os.OpenFile(filepath.Join(path, "a"), os.O_WRONLY|os.O_TRUNC, 0)
		must(t, err)
		done := make(chan []byte)
		go func() {
			got, _, err := s.Load(t.Context(), "a")
			if err != nil {
				t.Error(err)
			}
			done <- got
		}()
		pause := func() {
			select {
			case got := <-done:
				t.Fatalf("Load did not wait: %d bytes", len(got))
			case <-time.After(30 * time.Millisecond):
			}
		}
		pause()
		if len(state) > 4096 {
			cut := 4096
			for state[cut-1] != '.' { // the worst place to cut
				cut++
			}
			_, err := f.Write(state[:cut])
			must(t, err)
			pause()
			_, err = f.Write(state[cut:])
			must(t, err)
		} else {
			_, err := f.Write(state)
			must(t, err)
		}
		if got := <-done; !bytes.Equal(got, state) {
			t.Errorf("Load = %d bytes, want %d", len(got), len(state))
		}
		f.Close()
	}
}

func TestLoadGivesUp(t *testing.T) {
	const patience = 200 * time.Millisecond
	now := time.Now()
	for _, test := range []struct {
		name     string
		state    []byte
		modified time.Time
		waits    bool
	}{
		{"empty, new", nil, now, true},
		{"cut, new", pickled('c', 200)[:100], now, true},
		{"empty, old", nil, now.Add(-time.Hour), false},
		{"cut, old", pickled('c', 200)[:100], now.Add(-time.Hour), false},
		{"empty, of the future", nil, now.Add(time.Hour), false},
		{"cut at a STOP, large, new, nobody has it open", pickled('.', 9000)[:8000], now, false},
		{"whole with a tail, new", append(pickled('w', 200), "tail"...), now, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, path := open(t, directory.Options{Patience: patience})
			name := filepath.Join(path, "a")
			must(t, os.WriteFile(name, test.state, 0o600))
			if test.modified != now {
				must(t, os.Chtimes(name, test.modified, test.modified))
			}
			start := time.Now()
			got, found, err := s.Load(t.Context(), "a")
			if !found || err != nil || !bytes.Equal(got, test.state) {
				t.Errorf("Load = %q, %v, %v; want what is there", got, found, err)
			}
			if took := time.Since(start); took > patience+time.Second || test.waits != (took > patience/2) {
				t.Errorf("Load took %v with a patience of %v, want to wait: %v", took, patience, test.waits)
			}
			if test.waits {
				return
			}
			if done, err := s.SetAside(t.Context(), "a", got); !done || err != nil {
				t.Errorf("SetAside = %v, %v: what was not waited for is final", done, err)
			}
		})
	}
}

func TestPermission(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test needs to be root, in order to be another user for a while")
	}
	s, path := open(t, directory.Options{})
	must(t, s.Create(t.Context(), "a", pickled('a', 9)))
	errs := make(chan error)
	go asUser(65534, 65534, func() {
		_, _, err := s.Load(t.Context(), "a")
		errs <- err
	})
	wantFault(t, <-errs, fs.ErrPermission, "user")
	if !strings.Contains((&directory.Error{Op: "load", Path: path, Err: unix.EIO}).Error(), path) {
		t.Error("the message does not name the directory")
	}
}
