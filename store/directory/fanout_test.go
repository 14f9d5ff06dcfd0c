package directory_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"alforja/store"
	"alforja/store/directory"
)

// files lists the session files below a directory, by their paths in it.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(dir, path)
			list = append(list, name)
		}
		return err
	}))
	return list
}

func TestFanOutPlaces(t *testing.T) {
	s, path := open(t, directory.Options{FanOut: true})
	for _, id := range []string{"a", "b", "Session-with_a-longer-1"} {
		must(t, s.Create(t.Context(), id, pickled('a', 10)))
	}
	// By: printf %s ID | sha256sum
	want := []string{"3e/23/b", "ca/97/a", "cc/59/Session-with_a-longer-1"}
	if got := files(t, path); !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
}

// Sessions in the other layout are in use all the same, wherever they are.
func TestOtherLayoutIsServed(t *testing.T) {
	for _, fanOut := range []bool{false, true} {
		t.Run(fmt.Sprintf("fan-out %v", fanOut), func(t *testing.T) {
			first, path := open(t, directory.Options{FanOut: !fanOut})
			must(t, first.Create(t.Context(), "a", pickled('a', 10)))
			before := files(t, path)
			s, ctx := openAt(t, path, directory.Options{FanOut: fanOut}), t.Context()
			if err := s.Create(ctx, "a", pickled('x', 10)); err != store.ErrExists {
				t.Errorf("Create = %v, want ErrExists", err)
			}
			if found, err := s.Touch(ctx, "a"); !found || err != nil {
				t.Errorf("Touch = %v, %v", found, err)
			}
			for _, size := range []int{20, 9000} {
				if found, err := s.Update(ctx, "a", pickled('b', size)); !found || err != nil {
					t.Errorf("Update = %v, %v", found, err)
				}
				wantFile(t, filepath.Join(path, before[0]), pickled('b', size))
				if state, found, err := s.Load(ctx, "a"); !bytes.Equal(state, pickled('b', size)) || !found || err != nil {
					t.Errorf("Load = %d bytes, %v, %v", len(state), found, err)
				}
			}
			must(t, s.Create(ctx, "b", pickled('b', 10)))
			ids := make(map[string]bool)
			for info, err := range s.All(ctx, "") {
				must(t, err)
				ids[info.ID] = true
			}
			if !maps.Equal(ids, map[string]bool{"a": true, "b": true}) {
				t.Errorf("All lists %v", ids)
			}
			if found, err := s.Delete(ctx, "a"); !found || err != nil {
				t.Errorf("Delete = %v, %v", found, err)
			}
			if got := files(t, path); len(got) != 1 {
				t.Errorf("left are %v", got)
			}
		})
	}
}

// Convert moves every session there and back while clients use all of them,
// without one of them being missed or one update being lost.
func TestConvertWhileRunning(t *testing.T) {
	const sessions, clients = 200, 4
	flat, path := open(t, directory.Options{})
	counter := func(n int) []byte { return fmt.Appendf(nil, "I%d\n.", n) }
	id := func(i int) string { return fmt.Sprintf("session-%d", i%sessions) }
	for i := range sessions {
		must(t, flat.Create(t.Context(), id(i), counter(0)))
	}
	must(t, flat.Close())
	var rounds atomic.Int64
	for _, fanOut := range []bool{true, false} {
		s := openAt(t, path, directory.Options{FanOut: fanOut})
		done, begun := make(chan struct{}), make(chan struct{}, clients)
		var wg sync.WaitGroup
		for client := range clients {
			wg.Go(func() {
				for i := client; ; i++ {
					select {
					case <-done:
						return
					default:
					}
					if err := increment(t.Context(), s, id(i), counter); err != nil {
						t.Error(err)
						return
					}
					rounds.Add(1)
					if i == client {
						begun <- struct{}{}
					}
				}
			})
		}
		for range clients {
			<-begun
		}
		moved, err := openAt(t, path, directory.Options{FanOut: fanOut}).Convert(t.Context())
		if moved != sessions || err != nil {
			t.Errorf("Convert = %d, %v; want %d", moved, err, sessions)
		}
		close(done)
		wg.Wait()
		for _, name := range files(t, path) {
			if strings.Contains(name, "/") != fanOut {
				t.Errorf("%s is where it was", name)
			}
		}
	}
	total := 0
	s := openAt(t, path, directory.Options{})
	for i := range sessions {
		var n int
		state, _, err := s.Load(t.Context(), id(i))
		must(t, err)
		if _, err := fmt.Sscanf(string(state), "I%d", &n); err != nil {
			t.Errorf("%s has %q", id(i), state)
		}
		total += n
	}
	if int64(total) != rounds.Load() {
		t.Errorf("%d increments are left of %d", total, rounds.Load())
	}
	if got := names(t, path); len(got) != sessions {
		t.Errorf("%d names in the directory, want the %d sessions alone", len(got), sessions)
	}
	if _, err := os.Stat(path + ".alforja/fanout"); err == nil {
		t.Error("stores will look for fanned-out sessions for ever")
	}
}

// A session comes home right between the look there and the look in the other
// place.
func TestConvertBetweenTwoLooks(t *testing.T) {
	first, path := open(t, directory.Options{})
	must(t, first.Create(t.Context(), "a", pickled('a', 10)))
	s, other := openAt(t, path, directory.Options{FanOut: true}), openAt(t, path, directory.Options{FanOut: true})
	beforeCall(t, unix.SYS_OPENAT, 2, func() {
		if moved, err := other.Convert(t.Context()); moved != 1 || err != nil {
			t.Errorf("Convert = %d, %v", moved, err)
		}
	}, func() {
		if _, found, err := s.Load(t.Context(), "a"); !found || err != nil {
			t.Errorf("Load = %v, %v", found, err)
		}
	})
}

func increment(ctx context.Context, s store.Store, id string, counter func(int) []byte) error {
	unlock, err := s.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	var n int
	state, found, err := s.Load(ctx, id)
	if !found || err != nil {
		return fmt.Errorf("%s: Load = %v, %w", id, found, err)
	}
	if _, err := fmt.Sscanf(string(state), "I%d", &n); err != nil {
		return fmt.Errorf("%s has %q: %w", id, state, err)
	}
	if found, err = s.Update(ctx, id, counter(n+1)); !found || err != nil {
		return fmt.Errorf("%s: Update = %v, %w", id, found, err)
	}
	return nil
}

// What cannot be moved stays, is named, and does not keep the rest.
func TestConvertLeaves(t *testing.T) {
	first, path := open(t, directory.Options{})
	for _, id := range []string{"a", "b", "both"} {
		must(t, first.Create(t.Context(), id, pickled('a', 10)))
	}
	s := openAt(t, path, directory.Options{FanOut: true, LockWait: 1})
	release := holdFlock(t, filepath.Join(path, "b"))
	if moved, err := s.Convert(t.Context()); moved != 2 || err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("Convert = %d, %v; want 2 and the session that is locked", moved, err)
	}
	release()
	must(t, os.WriteFile(filepath.Join(path, "both"), pickled('b', 10), 0o600)) // by session3
	if moved, err := s.Convert(t.Context()); moved != 1 || err == nil || !strings.Contains(err.Error(), "both layouts") {
		t.Errorf("Convert = %d, %v; want 1 and the session that is there twice", moved, err)
	}
	wantFile(t, filepath.Join(path, "both"), pickled('b', 10))
	if _, err := openAt(t, path, directory.Options{}).Convert(t.Context()); err == nil {
		t.Error("Convert back has overwritten a session")
	}
}

// A symbolic link in the place of a directory of the fan-out leads nowhere.
func TestFanOutFollowsNoLinks(t *testing.T) {
	for _, link := range []string{"ca", "ca/97"} { // of session "a"
		t.Run(link, func(t *testing.T) {
			outside := t.TempDir()
			s, path := open(t, directory.Options{FanOut: true})
			must(t, s.Create(t.Context(), "a", pickled('a', 10)))
			must(t, os.Rename(filepath.Join(path, link), filepath.Join(outside, "moved")))
			must(t, os.Symlink(filepath.Join(outside, "moved"), filepath.Join(path, link)))
			for name, call := range map[string]func() (bool, error){
				"Load":   func() (bool, error) { _, found, err := s.Load(t.Context(), "a"); return found, err },
				"Update": func() (bool, error) { return s.Update(t.Context(), "a", pickled('x', 10)) },
				"Touch":  func() (bool, error) { return s.Touch(t.Context(), "a") },
				"Delete": func() (bool, error) { return s.Delete(t.Context(), "a") },
			} {
				if found, err := call(); found || err != nil {
					t.Errorf("%s = %v, %v; want false, nil", name, found, err)
				}
			}
			wantFault(t, s.Create(t.Context(), "a", pickled('x', 10)), unix.ENOTDIR, "directory")
			for info, err := range s.All(t.Context(), "") {
				t.Errorf("All lists %q, %v", info.ID, err)
			}
			if got := files(t, outside); len(got) != 1 {
				t.Errorf("outside are %v", got)
			}
		})
	}
}
