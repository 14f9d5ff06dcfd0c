package directory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alforja/store"
)

// A session is used after it was listed as idle and before its turn comes.
func TestExpireLooksAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	s := openStore(t, path)
	long := time.Now().Add(-time.Hour)
	for name, use := range map[string]func() error{
		"touched": func() error { _, err := s.Touch(t.Context(), "a"); return err },
		"saved":   func() error { _, err := s.Update(t.Context(), "a", []byte("N.")); return err },
		"beside": func() error {
			_, err := s.Update(t.Context(), "a", append(make([]byte, 2*pageBytes), '.'))
			return err
		},
		"by Python": func() error { return os.WriteFile(filepath.Join(path, "a"), []byte("N."), 0o600) },
		"made anew": func() error {
			_, err := s.Delete(t.Context(), "a")
			return errors.Join(err, s.Create(t.Context(), "a", []byte("N.")))
		},
		"not at all": func() error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Create(t.Context(), "a", []byte("N.")); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(filepath.Join(path, "a"), long, long); err != nil {
				t.Fatal(err)
			}
			err := s.with("test", "", func(d *dirs) error {
				return d.walk(t.Context(), start, func(e entry) error {
					if time.Since(modified(e.stat)) < time.Minute {
						t.Error("not idle when listed")
					}
					if err := use(); err != nil {
						return err
					}
					x := &expiry{store: s, dirs: d, idle: time.Minute, dir: -1}
					err := errors.Join(x.take(e), x.end())
					if deleted := x.deleted == 1; deleted != (name == "not at all") {
						t.Errorf("deleted: %v", deleted)
					}
					return err
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Delete(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// What becomes of a session that waits to be deleted: session3 asks for no lock before it truncates or
// unlinks its file.
func TestExpireLooksAtTheLastMoment(t *testing.T) {
	long := time.Now().Add(-time.Hour)
	for name, use := range map[string]func(path string) error{
		"truncated":  func(path string) error { return os.Truncate(path, 0) },
		"made anew":  func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, []byte("N."), 0o600)) },
		"not at all": func(string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sessions")
			s := openStore(t, path)
			if err := s.Create(t.Context(), "a", []byte("N.")); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(path, "a")
			if err := os.Chtimes(file, long, long); err != nil {
				t.Fatal(err)
			}
			err := s.with("test", "", func(d *dirs) error {
				x := &expiry{store: s, dirs: d, idle: time.Minute, dir: -1, deleting: startStage(), closing: startStage()}
				used := make(chan struct{})
				x.give(func() { <-used })
				err := d.walk(t.Context(), start, x.take)
				err = errors.Join(err, use(file))
				close(used)
				err = errors.Join(err, x.end())
				if deleted := x.deleted == 1; deleted != (name == "not at all") {
					t.Errorf("deleted: %v", deleted)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Before an expiry rests, all that it has taken is deleted: the goroutines work no longer than it does.
func TestExpireSettles(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "sessions"))
	x := &expiry{store: s, dir: -1}
	x.settle() // of nothing
	left := 0
	for range 3 * many {
		x.give(func() { x.delete(&doomed{id: "none", dir: s.dirs.sessions, fd: -1, leave: func() { left++ }}) })
	}
	x.settle()
	if left != 3*many {
		t.Errorf("%d of %d were done", left, 3*many)
	}
	if err := x.end(); !errors.Is(err, unix.EBADF) {
		t.Error(err)
	}
}

// An expiry that was ended goes on when it is called again, and a session
// that cannot be deleted does not keep it from the rest.
func TestExpireGoesOn(t *testing.T) {
	const sessions = 3 * paceSteps
	path := filepath.Join(t.TempDir(), "sessions")
	s := openStore(t, path)
	for i := range sessions {
		if err := s.Create(t.Context(), fmt.Sprint("session-", i), []byte("N.")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := s.with("test", "", func(d *dirs) error {
		n := 0
		x := &expiry{store: s, dirs: d, idle: -time.Hour, dir: -1}
		err := d.walk(ctx, start, func(e entry) error {
			if n++; n == paceSteps {
				cancel()
			}
			return x.take(e)
		})
		return errors.Join(x.end(), err)
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("walk = %v, want context.Canceled", err)
	}
	if deleted, remaining, err := s.DeleteIdle(t.Context(), -time.Hour); deleted != sessions-paceSteps || remaining != 0 || err != nil {
		t.Errorf("DeleteIdle = %d, %d, %v; want the %d that were left", deleted, remaining, err, sessions-paceSteps)
	}
}

// Sessions in many directories are deleted in each of them, the last ones too, and nothing stays open.
func TestExpireOfManyDirectories(t *testing.T) {
	const sessions = 3 * many
	path := filepath.Join(t.TempDir(), "sessions")
	s, err := Open(path, Options{Create: true, FanOut: true, Durability: DurabilityPower})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range sessions {
		if err := s.Create(t.Context(), fmt.Sprint("session-", i), []byte("N.")); err != nil {
			t.Fatal(err)
		}
	}
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := open()
	if deleted, remaining, err := s.DeleteIdle(t.Context(), -time.Hour); deleted != sessions || remaining != 0 || err != nil {
		t.Errorf("DeleteIdle = %d, %d, %v; want %d, 0, nil", deleted, remaining, err, sessions)
	}
	if now := open(); now != before {
		t.Errorf("%d files are open, %d before", now, before)
	}
	for info, err := range s.All(t.Context(), "") {
		t.Errorf("left: %v, %v", info, err)
	}
}

// What cannot be deleted is told at the end, by the goroutines too, and keeps it from nothing else.
func TestExpireTellsWhatItCannotDelete(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "sessions"))
	for _, before := range []int{0, many} {
		x, left := &expiry{store: s, dir: -1}, 0
		doom := func(id string, fd int) {
			x.give(func() { x.delete(&doomed{id: id, fd: fd, leave: func() { left++ }}) })
		}
		gone, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer gone.Close()
		if err := os.Remove(gone.Name()); err != nil {
			t.Fatal(err)
		}
		for range before {
			again, err := unix.Dup(int(gone.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			doom("gone", again)
		}
		doom("a", -1)
		doom("b", -1)
		err = x.end()
		if want := "expire session a"; !errors.Is(err, unix.EBADF) || !strings.Contains(err.Error(), want) {
			t.Errorf("after %d: %v, want %q and %v", before, err, want, unix.EBADF)
		}
		if left != before+2 || x.deleted != 0 || (x.deleting != nil) != (before == many) {
			t.Errorf("after %d: left %d locks, deleted %d", before, left, x.deleted)
		}
	}
}

// The list of a directory is read in pieces, each entry once, also from a
// place in its middle on.
func TestReadDir(t *testing.T) {
	const files = 2000 // more than one piece
	dir := t.TempDir()
	for i := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("session-", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := openat(unix.AT_FDCWD, dir, dirFlags, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var order []string
	var offsets []int64
	read := func(from int64, f func(string, int64) error) {
		t.Helper()
		if err := readDir(fd, from, f); err != nil && err != errStopped {
			t.Fatal(err)
		}
	}
	read(0, func(name string, next int64) error {
		order, offsets = append(order, name), append(offsets, next)
		return nil
	})
	if len(order) != files {
		t.Fatalf("%d names, want %d", len(order), files)
	}
	for i := 0; i < files-1; i += 37 {
		read(offsets[i], func(name string, _ int64) error {
			if name != order[i+1] {
				t.Errorf("behind %s is %s, want %s", order[i], name, order[i+1])
			}
			return errStopped
		})
	}
}

func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", "-1.0", "-1.7fffffffffffffff", "0.1f", "ffff.a", "10000.0", "-2.0", "1", "a.b.c", "../x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCursor(text)
		if err != nil {
			if err != store.ErrInvalidCursor {
				t.Errorf("parseCursor(%q) = %v", text, err)
			}
			return
		}
		if again, err := parseCursor(c.String()); again != c || err != nil || c.shard < flat || c.shard >= shards {
			t.Errorf("parseCursor(%q) = %v, and of its text %v, %v", text, c, again, err)
		}
	})
}

// A session that a request is using stays, in whichever process the request is.
func TestExpireLeavesWhatIsInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	s := openStore(t, path)
	for name, user := range map[string]*Store{"this gateway": s, "another gateway": openStore(t, path)} {
		t.Run(name, func(t *testing.T) {
			if err := s.Create(t.Context(), "a", []byte("N.")); err != nil {
				t.Fatal(err)
			}
			unlock, err := user.Lock(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			if deleted, remaining, err := s.DeleteIdle(t.Context(), -time.Hour); deleted != 0 || remaining != 1 || err != nil {
				t.Errorf("locked: DeleteIdle = %d, %d, %v; want 0, 1, nil", deleted, remaining, err)
			}
			unlock()
			if deleted, remaining, err := s.DeleteIdle(t.Context(), -time.Hour); deleted != 1 || remaining != 0 || err != nil {
				t.Errorf("free: DeleteIdle = %d, %d, %v; want 1, 0, nil", deleted, remaining, err)
			}
		})
	}
}
