package directory_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"alforja/store/directory"
)

// Right between the write of an update and the cut after it, a session3
// process does what it does without a lock: it truncates the file, or it
// flushes what it has saved.
func TestPythonBetweenWriteAndCut(t *testing.T) {
	state := pickled('n', 100)
	for name, python := range map[string]func(path string) error{
		"truncates": func(path string) error { return os.Truncate(path, 0) },
		"flushes a longer state": func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.Write(pickled('p', 2000))
			return err
		},
		"deletes": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			s, path := open(t, directory.Options{})
			must(t, s.Create(t.Context(), "a", pickled('o', 500)))
			file := filepath.Join(path, "a")
			beforeCall(t, unix.SYS_FTRUNCATE, 1, func() {
				if err := python(file); err != nil {
					t.Error(err)
				}
			}, func() {
				if found, err := s.Update(t.Context(), "a", state); !found || err != nil {
					t.Errorf("Update = %v, %v", found, err)
				}
			})
			if name == "deletes" {
				if got := names(t, path); got != nil {
					t.Errorf("the session is back: %v", got)
				}
				return
			}
			if got, err := os.ReadFile(file); !bytes.HasPrefix(got, state) {
				t.Errorf("the file begins with %.20q, %v; want the new state, whole", got, err)
			}
		})
	}
}
