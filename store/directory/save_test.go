package directory

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alforja/pickle"
)

// Python's delete_session unlinks without a lock, so it may do so at the last
// moment before a new file takes the place of the old.
func TestExchangeBringsNothingBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	s, err := Open(path, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Create(t.Context(), "a", []byte("old.")); err != nil {
		t.Fatal(err)
	}
	err = s.with("test", "a", func(d *dirs) error {
		f, err := s.open(t.Context(), d, "a", unix.O_WRONLY, unix.LOCK_EX, 0)
		if err != nil {
			return err
		}
		defer f.close()
		if err := os.Remove(filepath.Join(path, "a")); err != nil {
			return err
		}
		if found, err := s.exchange(d, f, "a", []byte("new.")); found || err != nil {
			t.Errorf("exchange = %v, %v; want false, nil", found, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(path, "a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the deleted session is back: %v", err)
	}
	if left, _ := os.ReadDir(path + ".alforja/tmp"); len(left) > 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

// What a session3 process does without a lock while the file is being
// shortened: it truncates it, or it flushes what it has saved.
func TestShorten(t *testing.T) {
	state := []byte("\x80\x04C\x04ours.")
	longer := []byte("\x80\x04C\x10longer of Python.")
	for _, test := range []struct{ name, file, want string }{
		{"nobody else", string(state) + "old tail.", string(state)},
		{"truncated", "", string(state)},
		{"truncated, then a longer one", string(longer), string(state)},
		{"a shorter one over it", "\x80\x04N." + string(state[4:]) + "tail.", string(state)},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a")
			if err := os.WriteFile(path, []byte(test.file), 0o600); err != nil {
				t.Fatal(err)
			}
			fd, err := openat(unix.AT_FDCWD, path, unix.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			f := &file{fd: fd}
			defer f.close()
			f.shorten(state)
			got, _ := os.ReadFile(path)
			if !bytes.HasPrefix(got, []byte(test.want)) {
				t.Errorf("the file has %q, want %q", got, test.want)
			}
		})
	}
}

// Two session3 processes save while the store shortens the file. Whoever comes
// last, the file begins with a whole pickle, or it is empty until the next
// flush.
func TestShortenAmongPythonWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	s := openStore(t, path)
	name := filepath.Join(path, "a")
	if err := s.Create(t.Context(), "a", pickledOf('0', 1000)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range 2 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := saveLikePython(name, pickledOf(byte('A'+i), 900-n%700)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range 5000 {
		if _, err := s.Update(t.Context(), "a", pickledOf('0', 1000-n%900)); err != nil {
			t.Fatal(err)
		}
		// Python may be in the middle of a write, of which a look can see the
		// bytes before the new length; but nothing torn stays.
		var torn error
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); runtime.Gosched() {
			state, _ := os.ReadFile(name)
			if _, torn = pickle.Verify(state, pickle.Limits{}); torn == nil || len(state) == 0 {
				torn = nil
				break
			}
		}
		if torn != nil {
			t.Fatalf("torn: %v", torn)
		}
	}
	close(stop)
	wg.Wait()
	state, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pickle.Verify(state, pickle.Limits{}); err != nil {
		t.Errorf("in the end: %v: %.30q (%d bytes)", err, state, len(state))
	}
}

// saveLikePython does what session3's save_session does, call by call:
// open("wb"), LOCK_EX, dump into a buffer, LOCK_UN, and flush at close.
func saveLikePython(name string, state []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
		return err
	}
	_, err = f.Write(state)
	return err
}

// pickledOf is a bytes string as CPython pickles it, n+8 bytes long.
func pickledOf(fill byte, n int) []byte {
	state := []byte{0x80, 4, 'B', byte(n), byte(n >> 8), 0, 0}
	return append(append(state, bytes.Repeat([]byte{fill}, n)...), '.')
}
