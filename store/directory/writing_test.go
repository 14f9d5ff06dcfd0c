package directory_test

import (
	"errors"
	"io/fs"
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

	if _, found, err := s.Load(t.Context(), "a"); !found || !errors.Is(err, store.ErrBusy) || !errors.Is(err, store.ErrHeldElsewhere) {
		t.Errorf("Load = %v, %v; want true, ErrBusy and ErrHeldElsewhere", found, err)
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

// To a gateway that is not root the kernel does not say whether another user has a file open. A
// cut one is a writer's for ForeignPatience then.
func TestSlowWriterOfAnotherUser(t *testing.T) {
	const gateway, worker, group = 4242, 4343, 7000
	for _, test := range []struct {
		name  string
		owner int
		age   time.Duration
		busy  bool
	}{
		{"changed a while ago", worker, 10 * time.Second, true},
		{"changed long ago", worker, time.Hour, false},
		{"the gateway's own, nobody has it open", gateway, 10 * time.Second, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			top := t.TempDir()
			must(t, os.Chmod(filepath.Dir(top), 0o755))
			must(t, os.Chown(top, 0, group))
			must(t, os.Chmod(top, 0o770|fs.ModeSetgid))
			path := filepath.Join(top, "sessions")
			done := make(chan struct{})
			go asUser(gateway, group, func() {
				defer close(done)
				s, err := directory.Open(path, directory.Options{Create: true, Mode: 0o660, Patience: time.Millisecond, LockWait: 50 * time.Millisecond})
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				then := time.Now().Add(-test.age)
				// This thread is the gateway's; others are root's.
				made := make(chan error)
				go func() {
					name := filepath.Join(path, "a")
					made <- errors.Join(os.WriteFile(name, []byte("\x80\x04C\x10cut"), 0o600), os.Chmod(name, 0o660),
						os.Chown(name, test.owner, group), os.Chtimes(name, then, then))
				}()
				if err := <-made; err != nil {
					t.Error(err)
					return
				}
				state, found, err := s.Load(t.Context(), "a")
				if !found || errors.Is(err, store.ErrBusy) != test.busy {
					t.Errorf("Load = %q, %v, %v; want ErrBusy: %v", state, found, err, test.busy)
				}
				if done, err := s.SetAside(t.Context(), "a", []byte("\x80\x04C\x10cut")); done == test.busy || err != nil {
					t.Errorf("SetAside = %v, %v; want %v", done, err, !test.busy)
				}
			})
			<-done
		})
	}
}
