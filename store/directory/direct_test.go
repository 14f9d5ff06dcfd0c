package directory

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alforja/store"
)

func openStore(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// What the direct way does, and what it leaves to the general one.
func TestDirectWay(t *testing.T) {
	regular := func(path string) error { return os.WriteFile(path, []byte("old."), 0o600) }
	for _, test := range []struct {
		name                string
		put                 func(path string) error
		load, update, touch bool
	}{
		{"a small state", regular, true, true, true},
		{"a large state", func(path string) error {
			return os.WriteFile(path, append(make([]byte, pageBytes), '.'), 0o600)
		}, true, false, true},
		{"two names", func(path string) error {
			return errors.Join(regular(path), os.Link(path, path+".snapshot"))
		}, false, false, false},
		{"nothing there", func(string) error { return nil }, false, false, false},
		{"truncated by Python", func(path string) error { return os.WriteFile(path, nil, 0o600) }, false, false, true},
		{"symbolic link", func(path string) error {
			return errors.Join(regular(path+".target"), os.Symlink(path+".target", path))
		}, false, false, false},
		{"fifo", func(path string) error { return unix.Mkfifo(path, 0o600) }, false, false, false},
		{"directory", func(path string) error { return os.Mkdir(path, 0o700) }, false, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sessions")
			s := openStore(t, path)
			if err := test.put(filepath.Join(path, "a")); err != nil {
				t.Fatal(err)
			}
			if state, done := s.loadDirect("a"); done != test.load || done && state[len(state)-1] != '.' {
				t.Errorf("loadDirect = %.20q, %v; want %v", state, done, test.load)
			}
			if done := s.touchDirect("a"); done != test.touch {
				t.Errorf("touchDirect = %v, want %v", done, test.touch)
			}
			if done, err := s.updateDirect("a", []byte("new.")); done != test.update || err != nil {
				t.Errorf("updateDirect = %v, %v; want %v", done, err, test.update)
			}
			if leave, free := s.line.TryLock("a"); !free {
				t.Error("later writers are locked out")
			} else {
				leave()
			}
			if !test.update {
				return // reading a FIFO would wait for ever
			}
			if state, err := os.ReadFile(filepath.Join(path, "a")); string(state) != "new." {
				t.Errorf("the file has %q, %v", state, err)
			}
		})
	}
}

// It is for others to wait.
func TestDirectWayDoesNotWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	s := openStore(t, path)
	name := filepath.Join(path, "a")
	if err := os.WriteFile(name, []byte("old."), 0o600); err != nil {
		t.Fatal(err)
	}
	none := func(why string) {
		t.Helper()
		if done, _ := s.updateDirect("a", []byte("new.")); done {
			t.Errorf("wrote over a file with %s", why)
		}
	}
	python, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(python.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	none("a held lock")
	if _, done := s.loadDirect("a"); done {
		t.Error("read a file with a held lock")
	}
	python.Close()
	leave, _ := s.line.TryLock("a")
	none("a writer of this process in line")
	leave()
	if done, _ := s.updateDirect("a", []byte("new.")); !done {
		t.Error("not done when all is free")
	}
}

// The name is looked up again under the lock: what became of the file, or of the
// directory, between the opening and the lock is noticed before anything is written.
func TestLockLooksUpThePathAgain(t *testing.T) {
	for name, meanwhile := range map[string]func(dir, file string) error{
		"unlinked":       func(_, file string) error { return os.Remove(file) },
		"unlinked, kept": func(_, file string) error { return errors.Join(os.Link(file, file+".kept"), os.Remove(file)) },
		"moved":          func(_, file string) error { return os.Rename(file, file+".aside") },
		"replaced": func(_, file string) error {
			return errors.Join(os.WriteFile(file+".new", nil, 0o600), os.Rename(file+".new", file))
		},
		"directory moved": func(dir, _ string) error { return os.Rename(dir, dir+".old") },
		"directory replaced": func(dir, file string) error {
			return errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o700), os.WriteFile(file, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "sessions")
			path := filepath.Join(dir, "a")
			if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			fd, err := openat(unix.AT_FDCWD, path, unix.O_WRONLY|fileFlags, 0)
			if err != nil {
				t.Fatal(err)
			}
			f := &file{fd: fd}
			defer f.close()
			if err := meanwhile(dir, path); err != nil {
				t.Fatal(err)
			}
			current, err := f.lock(t.Context(), unix.AT_FDCWD, path, unix.LOCK_EX, &backoff{})
			if current || err != nil {
				t.Errorf("lock = %v, %v; want false, nil", current, err)
			}
		})
	}
}

// Both directories have the session, so that nothing ever fails.
func TestDirectoryWithTheSameSessionSwapped(t *testing.T) {
	swaps := map[string]func(path, next string) error{
		"moved": func(path, next string) error {
			return errors.Join(os.Rename(path, path+".old"), os.Rename(next, path))
		},
		"exchanged": func(path, next string) error {
			return unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, next, unix.RENAME_EXCHANGE)
		},
		"mounted over": func(path, next string) error { return unix.Mount(next, path, "", unix.MS_BIND, "") },
		"link turned": func(path, next string) error {
			return errors.Join(os.Symlink(next, path+".link"), os.Rename(path+".link", path))
		},
	}
	for name, swap := range swaps {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			path, first, next := filepath.Join(top, "sessions"), filepath.Join(top, "first"), filepath.Join(top, "next")
			if name == "link turned" {
				if err := errors.Join(os.Mkdir(first, 0o700), os.Symlink(first, path)); err != nil {
					t.Fatal(err)
				}
			}
			s := openStore(t, path)
			if err := errors.Join(s.Create(t.Context(), "a", []byte("old.")), os.Mkdir(next, 0o700),
				os.WriteFile(filepath.Join(next, "a"), []byte("next."), 0o600)); err != nil {
				t.Fatal(err)
			}
			before, err := os.Open(filepath.Join(path, "a"))
			if err != nil {
				t.Fatal(err)
			}
			defer before.Close()
			if err := swap(path, next); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Unmount(path, unix.MNT_DETACH) })

			if state, _, err := s.Load(t.Context(), "a"); string(state) != "next." || err != nil {
				t.Errorf("Load = %q, %v; want the state in the new directory", state, err)
			}
			if found, err := s.Update(t.Context(), "a", []byte("written.")); !found || err != nil {
				t.Errorf("Update = %v, %v", found, err)
			}
			var old bytes.Buffer
			old.ReadFrom(before)
			now, _ := os.ReadFile(filepath.Join(path, "a"))
			if old.String() != "old." || string(now) != "written." {
				t.Errorf("the old directory has %q, the new one %q", old.String(), now)
			}
		})
	}
}

// A gateway that had a session lately lines up at the turnstile for it, and one
// that did not takes it if it is free.
func TestTurnstile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	s := openStore(t, path)
	waiting := openRanges(t, path+".alforja/lock")
	offset := lockOffset("a")
	if ok, err := waiting.try(offset); !ok || err != nil {
		t.Fatal(ok, err)
	}
	lock := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 3*longestLook)
		defer cancel()
		unlock, err := s.Lock(ctx, "a")
		if err == nil {
			unlock()
		}
		return err
	}
	if err := lock(); err != nil {
		t.Errorf("the first time: %v", err)
	}
	last := s.dirs.released.place(offset)
	if age := int64(time.Since(s.dirs.released.start)) - last.Load(); last.Load() == 0 || age > int64(time.Minute) {
		t.Errorf("the release was noted %v ago", time.Duration(age))
	}
	last.Store(int64(time.Since(s.dirs.released.start) + time.Minute)) // however slow this machine is
	if err := lock(); !errors.Is(err, store.ErrBusy) {
		t.Errorf("overtook who waits: %v, want ErrBusy", err)
	}
	last.Store(1) // long ago
	<-time.After(time.Until(s.dirs.released.start.Add(latelySpan)))
	if err := lock(); err != nil {
		t.Errorf("long after: %v", err)
	}
}
