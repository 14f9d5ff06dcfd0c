package directory_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"alforja/store"
	"alforja/store/directory"
	"alforja/store/storetest"
)

// pickled is a bytes string as CPython pickles it, n+8 bytes long.
func pickled(fill byte, n int) []byte {
	state := []byte{0x80, 4, 'B', byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}
	return append(append(state, bytes.Repeat([]byte{fill}, n)...), '.')
}

// open opens a store on a directory of its own and returns the directory.
func open(t testing.TB, opts directory.Options) (*directory.Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sessions")
	opts.Create = true
	return openAt(t, path, opts), path
}

func openAt(t testing.TB, path string, opts directory.Options) *directory.Store {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := directory.Open(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func wantFile(t testing.TB, path string, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s has %.30q (%d bytes), %v; want %.30q (%d bytes)", path, got, len(got), err, want, len(want))
	}
}

func TestConformance(t *testing.T) {
	for name, opts := range map[string]directory.Options{
		"flat":           {},
		"flat, power":    {Durability: directory.DurabilityPower},
		"fan-out":        {FanOut: true},
		"fan-out, power": {FanOut: true, Durability: directory.DurabilityPower},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of the time is spent waiting for the disk
			storetest.Run(t, func(t *testing.T) store.Store {
				s, _ := open(t, opts)
				return s
			})
		})
	}
}

func TestFilesAreSession3s(t *testing.T) {
	s, path := open(t, directory.Options{})
	must(t, s.Create(t.Context(), "abc", pickled('a', 100)))
	wantFile(t, filepath.Join(path, "abc"), pickled('a', 100))
	must(t, os.WriteFile(filepath.Join(path, "python"), pickled('p', 9000), 0o644))
	if got, found, err := s.Load(t.Context(), "python"); !found || err != nil || !bytes.Equal(got, pickled('p', 9000)) {
		t.Errorf("Load = %d bytes, %v, %v", len(got), found, err)
	}
}

// Up to a page the inode stays, so that a session3 process that waits for its flock
// gets the file that counts.
func TestUpdateInPlace(t *testing.T) {
	for _, test := range []struct {
		name       string
		durability directory.Durability
		from, to   int
		same       bool
	}{
		{"small", "", 100, 200, true},
		{"shorter", "", 4000, 1, true},
		{"a page", "", 4088, 4088, true},
		{"above a page", "", 4088, 4089, false},
		{"from above a page", "", 4089, 100, false},
		{"power", directory.DurabilityPower, 100, 200, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, path := open(t, directory.Options{Durability: test.durability})
			name := filepath.Join(path, "a")
			must(t, s.Create(t.Context(), "a", pickled('a', test.from)))
			before, err := os.Stat(name)
			must(t, err)
			_, err = s.Update(t.Context(), "a", pickled('b', test.to))
			must(t, err)
			after, err := os.Stat(name)
			must(t, err)
			if os.SameFile(before, after) != test.same {
				t.Errorf("same inode: %v, want %v", !test.same, test.same)
			}
			wantFile(t, name, pickled('b', test.to))
		})
	}
}

func TestOnlyRegularFiles(t *testing.T) {
	var log bytes.Buffer
	s, path := open(t, directory.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	outside := filepath.Join(t.TempDir(), "outside")
	must(t, os.WriteFile(outside, pickled('o', 10), 0o600))
	must(t, os.Symlink(outside, filepath.Join(path, "link-to-file")))
	must(t, os.Symlink("nowhere", filepath.Join(path, "dangling")))
	must(t, syscall.Mkfifo(filepath.Join(path, "fifo"), 0o600))
	must(t, os.Mkdir(filepath.Join(path, "directory"), 0o700))
	must(t, syscall.Mknod(filepath.Join(path, "socket"), syscall.S_IFSOCK|0o600, 0))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, id := range names(t, path) {
			testNoSession(t, s, id)
			if n := strings.Count(log.String(), "session="+id[:min(8, len(id))]); n != 1 {
				t.Errorf("%s was logged %d times, want once", id, n)
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("something is waited for")
	}
	wantFile(t, outside, pickled('o', 10))
	for info, err := range s.All(t.Context(), "") {
		t.Errorf("All lists %v, %v", info, err)
	}
	if deleted, remaining, err := s.DeleteIdle(t.Context(), -time.Hour); deleted != 0 || remaining != 0 || err != nil {
		t.Errorf("DeleteIdle = %d, %d, %v", deleted, remaining, err)
	}
	if n := len(names(t, path)); n != 5 {
		t.Errorf("%d names are left of 5", n)
	}
}

func testNoSession(t *testing.T, s *directory.Store, id string) {
	for range 2 {
		if state, found, err := s.Load(t.Context(), id); found || err != nil || state != nil {
			t.Errorf("Load(%s) = %q, %v, %v", id, state, found, err)
		}
	}
	for name, call := range map[string]func() (bool, error){
		"Update":   func() (bool, error) { return s.Update(t.Context(), id, pickled('x', 10)) },
		"Touch":    func() (bool, error) { return s.Touch(t.Context(), id) },
		"Delete":   func() (bool, error) { return s.Delete(t.Context(), id) },
		"SetAside": func() (bool, error) { return s.SetAside(t.Context(), id, pickled('o', 10)) },
	} {
		if found, err := call(); found || err != nil {
			t.Errorf("%s(%s) = %v, %v; want false, nil", name, id, found, err)
		}
	}
	if err := s.Create(t.Context(), id, pickled('x', 10)); !errors.Is(err, store.ErrExists) {
		t.Errorf("Create(%s) = %v, want ErrExists", id, err)
	}
}

func TestForeignNamesAreLeftOut(t *testing.T) {
	s, path := open(t, directory.Options{})
	for _, name := range []string{".hidden", "a.tmp", "name with space", "good-id"} {
		must(t, os.WriteFile(filepath.Join(path, name), pickled('x', 1), 0o600))
	}
	n := 0
	for info, err := range s.All(t.Context(), "") {
		must(t, err)
		if n++; info.ID != "good-id" {
			t.Errorf("All lists %q", info.ID)
		}
	}
	if deleted, remaining, err := s.DeleteIdle(t.Context(), -time.Hour); deleted != 1 || remaining != 0 || err != nil || n != 1 {
		t.Errorf("All %d; DeleteIdle = %d, %d, %v", n, deleted, remaining, err)
	}
	if got := len(names(t, path)); got != 3 {
		t.Errorf("%d foreign names are left of 3", got)
	}
}

// A file that Python made longer than the limit is refused, not read.
func TestLoadTooLarge(t *testing.T) {
	s, path := open(t, directory.Options{})
	must(t, os.WriteFile(filepath.Join(path, "a"), nil, 0o600))
	must(t, os.Truncate(filepath.Join(path, "a"), store.MaxStateBytes+1))
	if _, found, err := s.Load(t.Context(), "a"); !found || !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("Load = %v, %v; want ErrTooLarge", found, err)
	}
}

func TestSetAside(t *testing.T) {
	s, path := open(t, directory.Options{CorruptFiles: 3, CorruptBytes: 100})
	corrupt := filepath.Join(path+".alforja", "corrupt")
	put := func(id string, state []byte) {
		t.Helper()
		must(t, s.Create(t.Context(), id, state))
		if done, err := s.SetAside(t.Context(), id, state); !done || err != nil {
			t.Fatalf("SetAside(%s) = %v, %v", id, done, err)
		}
	}
	bad := []byte("garbage.")
	put("a", bad)
	// First 12 digits of sha256sum's answer.
	wantFile(t, filepath.Join(corrupt, "a.0e6dd7a9e15b"), bad)
	put("a", bad)                           // the same again
	put("b", bad)                           // of another session
	put("c", bytes.Repeat([]byte("."), 93)) // too much together
	put("d", bytes.Repeat([]byte("."), 92)) // just fits
	if got := names(t, corrupt); len(got) != 2 {
		t.Errorf("kept %v, want those of a and d", got)
	}
	must(t, os.Remove(filepath.Join(corrupt, names(t, corrupt)[1])))
	put("e", []byte("1."))
	put("f", []byte("2."))
	put("g", []byte("3.")) // one file too many
	if got := names(t, corrupt); len(got) != 3 {
		t.Errorf("kept %v, want 3 files", got)
	}
	if got := names(t, path); got != nil {
		t.Errorf("left among the sessions: %v", got)
	}
}

func TestSetAsideWaitsForWriter(t *testing.T) {
	s, path := open(t, directory.Options{Patience: time.Hour})
	name := filepath.Join(path, "a")
	must(t, os.WriteFile(name, nil, 0o600))
	if done, err := s.SetAside(t.Context(), "a", nil); done || err != nil {
		t.Errorf("SetAside of a file truncated just now = %v, %v; want false, nil", done, err)
	}
	past := time.Now().Add(-2 * time.Hour)
	must(t, os.Chtimes(name, past, past))
	if done, err := s.SetAside(t.Context(), "a", nil); !done || err != nil {
		t.Errorf("SetAside of an old empty file = %v, %v; want true, nil", done, err)
	}
}

// What a crash has left in tmp is removed when a store is opened, and by a gateway that stays
// open for months, when it expires sessions.
func TestSweep(t *testing.T) {
	for name, sweep := range map[string]func(s *directory.Store, path string){
		"open": func(_ *directory.Store, path string) { openAt(t, path, directory.Options{}) },
		"expire": func(s *directory.Store, _ string) {
			if _, _, err := s.DeleteIdle(t.Context(), time.Hour); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, path := open(t, directory.Options{})
			tmp := filepath.Join(path+".alforja", "tmp")
			for _, name := range []string{"old", "new"} {
				must(t, os.WriteFile(filepath.Join(tmp, name), nil, 0o600))
			}
			past := time.Now().Add(-time.Hour)
			must(t, os.Chtimes(filepath.Join(tmp, "old"), past, past))
			sweep(s, path)
			if got := names(t, tmp); len(got) != 1 || got[0] != "new" {
				t.Errorf("tmp has %v, want [new]", got)
			}
		})
	}
}

func TestTwoStoresOnOneDirectory(t *testing.T) {
	first, path := open(t, directory.Options{})
	link := path + "-link"
	must(t, os.Symlink(path, link)) // the same directory by another path
	stores := []*directory.Store{first, openAt(t, link, directory.Options{})}
	must(t, first.Create(t.Context(), "a", []byte("0.")))
	const clients, rounds = 8, 25
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			s := stores[i%2]
			for range rounds {
				unlock, err := s.Lock(t.Context(), "a")
				if err != nil {
					t.Error(err)
					return
				}
				var n int
				state, _, err := s.Load(t.Context(), "a")
				if _, scanErr := fmt.Sscanf(string(state), "%d.", &n); err != nil || scanErr != nil {
					t.Errorf("Load = %q, %v", state, err)
				}
				if _, err := s.Update(t.Context(), "a", fmt.Appendf(nil, "%d.", n+1)); err != nil {
					t.Error(err)
				}
				unlock()
			}
		})
	}
	wg.Wait()
	wantFile(t, filepath.Join(path, "a"), fmt.Appendf(nil, "%d.", clients*rounds))
}

func TestClosed(t *testing.T) {
	s, _ := open(t, directory.Options{})
	must(t, s.Create(t.Context(), "a", pickled('a', 1)))
	unlock, err := s.Lock(t.Context(), "a")
	must(t, err)
	must(t, s.Close())
	if _, _, err := s.Load(t.Context(), "a"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Load = %v, want fs.ErrClosed", err)
	}
	if _, err := s.Update(t.Context(), "a", pickled('a', 1)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Update = %v, want fs.ErrClosed", err)
	}
	if _, err := s.Touch(t.Context(), "a"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Touch = %v, want fs.ErrClosed", err)
	}
	unlock() // of a lock taken before
	must(t, s.Close())
}

// What 64 waiters for one session leave behind: nothing. Of goroutines goleak says so.
func TestCrowdLeavesNothing(t *testing.T) {
	count := func() int { return len(names(t, "/proc/self/fd")) }
	s, path := open(t, directory.Options{})
	other := openAt(t, path, directory.Options{})
	unlock, err := other.Lock(t.Context(), "first") // as many descriptors as it needs
	must(t, err)
	unlock()
	before := count()
	storetest.Crowd(t, s)
	if after := count(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if unlock, err = other.Lock(t.Context(), "crowded"); err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestDescriptors(t *testing.T) {
	count := func() int { return len(names(t, "/proc/self/fd")) }
	before := count()
	s, path := open(t, directory.Options{})
	for i := range 50 {
		id := fmt.Sprint(i)
		must(t, s.Create(t.Context(), id, pickled('a', i*200)))
		_, err := s.Update(t.Context(), id, pickled('b', i*300))
		must(t, err)
		_, _, err = s.Load(t.Context(), id)
		must(t, err)
		_, err = s.Touch(t.Context(), id)
		must(t, err)
		unlock, err := s.Lock(t.Context(), id)
		must(t, err)
		unlock()
		_, err = s.SetAside(t.Context(), id, pickled('b', i*300))
		must(t, err)
		_, err = s.Delete(t.Context(), id)
		must(t, err)
	}
	must(t, os.RemoveAll(path))
	if _, err := directory.Open(path, directory.Options{}); err == nil {
		t.Error("opened a directory that does not exist")
	}
	if _, _, err := s.Load(t.Context(), "a"); err == nil {
		t.Error("loaded from a directory that does not exist")
	}
	must(t, s.Close())
	if after := count(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
