package directory_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"alforja/store"
	"alforja/store/directory"
)

// A process in Python has truncated the file, and does not get on for longer
// than anybody's patience. What it writes in the end must not go to a file
// that was taken away.
func TestSlowWriter(t *testing.T) {
	s, path := open(t, directory.Options{Patience: time.Millisecond, LockWait: 50 * time.Millisecond})
	state := pickled('a', 258)
	must(t, s.Create(t.Context(), "a", state))
	name := filepath.Join(path, "a")
	writer, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	must(t, err)
	defer writer.Close()
	past := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(name, past, past))

	if _, found, err := s.Load(t.Context(), "a"); !found || !errors.Is(err, store.ErrBusy) {
		t.Errorf("Load = %v, %v; want true, ErrBusy", found, err)
	}
	if done, err := s.SetAside(t.Context(), "a", nil); done || err != nil {
		t.Errorf("SetAside = %v, %v; want false, nil", done, err)
	}
	_, err = writer.Write(state)
	must(t, err)
	must(t, writer.Close())
	if got, found, err := s.Load(t.Context(), "a"); !found || err != nil || string(got) != string(state) {
		t.Errorf("Load = %.20q, %v, %v; want what was written", got, found, err)
	}
}

// A state may be refused for other reasons than its being cut. While somebody
// has it open for writing it stays all the same.
func TestSetAsideWhileOpenForWriting(t *testing.T) {
	s, path := open(t, directory.Options{})
	state := []byte("not a pickle.")
	must(t, s.Create(t.Context(), "a", state))
	writer, err := os.OpenFile(filepath.Join(path, "a"), os.O_WRONLY, 0)
	must(t, err)
	if done, err := s.SetAside(t.Context(), "a", state); done || err != nil {
		t.Errorf("SetAside = %v, %v; want false, nil", done, err)
	}
	must(t, writer.Close())
	if done, err := s.SetAside(t.Context(), "a", state); !done || err != nil {
		t.Errorf("SetAside = %v, %v; want true, nil", done, err)
	}
}
