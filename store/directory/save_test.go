package directory

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
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
