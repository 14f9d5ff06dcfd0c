package directory_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alforja/store"
	"alforja/store/directory"
)

func TestTimes(t *testing.T) {
	for _, fanOut := range []bool{false, true} {
		s, _ := open(t, directory.Options{FanOut: fanOut})
		ctx := t.Context()
		if err := s.Create(ctx, "a", []byte("N.")); err != nil {
			t.Fatal(err)
		}
		modified := time.Unix(1700000000, 123456789)
		if found, err := s.SetModified(ctx, "a", modified); !found || err != nil {
			t.Fatalf("fan-out %v: SetModified: %v, %v", fanOut, found, err)
		}
		info, found, err := s.Stat(ctx, "a")
		if !found || err != nil || !info.Modified.Equal(modified) || info.Size != 2 || info.ID != "a" {
			t.Errorf("fan-out %v: Stat: %+v, %v, %v", fanOut, info, found, err)
		}
		for listed, err := range s.All(ctx, "") {
			if err != nil || !listed.Modified.Equal(modified) {
				t.Errorf("fan-out %v: All: %+v, %v", fanOut, listed, err)
			}
		}
		if found, err := s.SetModified(ctx, "none", modified); found || err != nil {
			t.Errorf("SetModified of none: %v, %v", found, err)
		}
		if _, found, err := s.Stat(ctx, "none"); found || err != nil {
			t.Errorf("Stat of none: %v, %v", found, err)
		}
		if _, _, err := s.Stat(ctx, "../a"); !errors.Is(err, store.ErrInvalidID) {
			t.Errorf("Stat of no id: %v", err)
		}
	}
}

// Under a session's name, only a regular file is a session.
func TestTimesFollowNothing(t *testing.T) {
	s, path := open(t, directory.Options{})
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(outside)
	if err != nil {
		t.Fatal(err)
	}
	for name, made := range map[string]error{
		"link": os.Symlink(outside, filepath.Join(path, "link")),
		"dir":  os.Mkdir(filepath.Join(path, "dir"), 0o700),
		"fifo": unix.Mkfifo(filepath.Join(path, "fifo"), 0o600),
	} {
		if made != nil {
			t.Fatal(made)
		}
		if _, found, err := s.Stat(t.Context(), name); found || err != nil {
			t.Errorf("Stat of %s: %v, %v", name, found, err)
		}
		if found, err := s.SetModified(t.Context(), name, time.Unix(1, 0)); found || err != nil {
			t.Errorf("SetModified of %s: %v, %v", name, found, err)
		}
	}
	if after, err := os.Stat(outside); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the time of a file outside was set")
	}
}

// In the fanned-out layout a session's file is two directories down, and neither of
// them may be a way out.
func TestTimesFollowNoShard(t *testing.T) {
	for _, level := range []int{1, 2} {
		s, path := open(t, directory.Options{FanOut: true})
		must(t, s.Create(t.Context(), "a", pickled('a', 10)))
		shard, err := filepath.Glob(filepath.Join(path, "*", "*", "a"))
		if err != nil || len(shard) != 1 {
			t.Fatalf("the session is in %v, %v", shard, err)
		}
		link := filepath.Dir(shard[0])
		if level == 1 {
			link = filepath.Dir(link)
		}
		outside := filepath.Join(t.TempDir(), "outside")
		must(t, os.Rename(link, outside))
		must(t, os.Symlink(outside, link))
		listed := store.Info{ID: "a", Size: 18, Modified: time.Now()}
		if info, found, err := s.Stat(t.Context(), "a"); found || err != nil {
			t.Errorf("level %d: Stat = %v, %v, %v; want nothing found", level, info, found, err)
		}
		if found, err := s.SetModified(t.Context(), "a", time.Unix(1, 0)); found || err != nil {
			t.Errorf("level %d: SetModified = %v, %v; want nothing found", level, found, err)
		}
		if deleted, err := s.DeleteUnchanged(t.Context(), listed); deleted || err != nil {
			t.Errorf("level %d: DeleteUnchanged = %v, %v; want nothing deleted", level, deleted, err)
		}
	}
}

// A session that is used after somebody has looked at it is not deleted by what was seen then. Nor
// is one waited for: what it is afterwards nobody has judged.
func TestDeleteUnchanged(t *testing.T) {
	for name, test := range map[string]struct {
		use     func(t *testing.T, s *directory.Store, file string) error
		deleted bool
	}{
		"not used": {func(*testing.T, *directory.Store, string) error { return nil }, true},
		"touched": {func(t *testing.T, s *directory.Store, _ string) error {
			_, err := s.Touch(t.Context(), "a")
			return err
		}, false},
		"saved": {func(t *testing.T, s *directory.Store, _ string) error {
			_, err := s.Update(t.Context(), "a", pickled('b', 10))
			return err
		}, false},
		"saved beside": {func(t *testing.T, s *directory.Store, _ string) error {
			_, err := s.Update(t.Context(), "a", pickled('b', 9000))
			return err
		}, false},
		"saved by Python": {func(_ *testing.T, _ *directory.Store, file string) error {
			return os.WriteFile(file, pickled('p', 10), 0o600)
		}, false},
		"made anew": {func(t *testing.T, s *directory.Store, _ string) error {
			_, err := s.Delete(t.Context(), "a")
			return errors.Join(err, s.Create(t.Context(), "a", pickled('b', 10)))
		}, false},
		"gone":        {func(_ *testing.T, _ *directory.Store, file string) error { return os.Remove(file) }, false},
		"in a writer": {func(t *testing.T, _ *directory.Store, file string) error { t.Cleanup(holdFlock(t, file)); return nil }, false},
		"replaced by a link": {func(t *testing.T, _ *directory.Store, file string) error {
			return errors.Join(os.Rename(file, file+".old"), os.Symlink(file+".old", file))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, path := open(t, directory.Options{LockWait: time.Minute})
			must(t, s.Create(t.Context(), "a", pickled('a', 10)))
			found, err := s.SetModified(t.Context(), "a", time.Now().Add(-time.Hour))
			if !found || err != nil {
				t.Fatal(found, err)
			}
			info, _, err := s.Stat(t.Context(), "a")
			must(t, err)
			must(t, test.use(t, s, filepath.Join(path, "a")))
			if deleted, err := s.DeleteUnchanged(t.Context(), info); deleted != test.deleted || err != nil {
				t.Errorf("DeleteUnchanged = %v, %v; want %v", deleted, err, test.deleted)
			}
			_, err = os.Lstat(filepath.Join(path, "a"))
			if there := err == nil; there == (test.deleted || name == "gone") {
				t.Errorf("there afterwards: %v", there)
			}
		})
	}
}

// The file is judged under its lock: a save that comes between the opening and the lock counts.
func TestDeleteUnchangedLooksUnderTheLock(t *testing.T) {
	s, path := open(t, directory.Options{})
	must(t, s.Create(t.Context(), "a", pickled('a', 10)))
	if _, err := s.SetModified(t.Context(), "a", time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	info, _, err := s.Stat(t.Context(), "a")
	must(t, err)
	save := func() { must(t, os.WriteFile(filepath.Join(path, "a"), pickled('b', 10), 0o600)) }
	beforeCall(t, unix.SYS_FLOCK, 1, save, func() {
		if deleted, err := s.DeleteUnchanged(t.Context(), info); deleted || err != nil {
			t.Errorf("DeleteUnchanged = %v, %v; want false, nil", deleted, err)
		}
	})
	wantFile(t, filepath.Join(path, "a"), pickled('b', 10))
}
