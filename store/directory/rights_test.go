package directory_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alforja/store/directory"
)

func TestModes(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("to give files away this test needs to be root")
	}
	const (
		private = fs.ModeDir | 0o700
		group   = fs.ModeDir | fs.ModeSetgid
	)
	for _, test := range []struct {
		name           string
		opts           directory.Options
		file, dir      fs.FileMode
		user, of       uint32
		umask          int
		fileInPrepared uint32 // the file's group in a directory of group 4321
	}{
		{"default", directory.Options{}, 0o600, private, 0, 0, 0o777, 0},
		{"default, open umask", directory.Options{}, 0o600, private, 0, 0, 0, 0},
		{"group may write", directory.Options{Mode: 0o660, Group: "1234"}, 0o660, group | 0o770, 0, 1234, 0o777, 1234},
		{"group may read", directory.Options{Mode: 0o640, Group: "1234"}, 0o640, group | 0o750, 0, 1234, 0o077, 1234},
		{"the directory's group", directory.Options{Mode: 0o660}, 0o660, group | 0o770, 0, 0, 0o022, 4321},
		{"owner", directory.Options{Owner: "4242"}, 0o600, private, 4242, 0, 0o777, 0},
		{"by name", directory.Options{Owner: "nobody", Group: "nogroup"}, 0o600, private, 65534, 65534, 0, 65534},
		{"fan-out", directory.Options{FanOut: true, Mode: 0o660, Group: "1234"}, 0o660, group | 0o770, 0, 1234, 0o777, 1234},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer syscall.Umask(syscall.Umask(test.umask))
			s, path := open(t, test.opts)
			must(t, s.Create(t.Context(), "a", pickled('a', 10)))
			file := filepath.Join(path, "a")
			if test.opts.FanOut { // echo -n a | sha256sum
				wantMode(t, filepath.Join(path, "ca"), test.dir, test.user, test.of)
				wantMode(t, filepath.Join(path, "ca/97"), test.dir, test.user, test.of)
				file = filepath.Join(path, "ca/97/a")
			}
			wantMode(t, file, test.file, test.user, test.of)
			for _, name := range []string{"", ".alforja", ".alforja/tmp", ".alforja/corrupt"} {
				wantMode(t, path+name, test.dir, test.user, test.of)
			}
			wantMode(t, path+".alforja/lock", test.file, test.user, test.of)
			for _, size := range []int{20, 9000} {
				_, err := s.Update(t.Context(), "a", pickled('b', size))
				must(t, err)
				wantMode(t, file, test.file, test.user, test.of)
			}

			prepared := filepath.Join(t.TempDir(), "prepared")
			must(t, os.Mkdir(prepared, 0o700))
			must(t, os.Chmod(prepared, 0o770))
			must(t, os.Chown(prepared, 0, 4321))
			test.opts.FanOut = false
			must(t, openAt(t, prepared, test.opts).Create(t.Context(), "a", pickled('a', 10)))
			wantMode(t, prepared, fs.ModeDir|0o770, 0, 4321) // what exists is left as it is
			wantMode(t, filepath.Join(prepared, "a"), test.file, test.user, test.fileInPrepared)
		})
	}
}

func wantMode(t *testing.T, path string, mode fs.FileMode, uid, gid uint32) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	st := info.Sys().(*syscall.Stat_t)
	if info.Mode() != mode || st.Uid != uid || st.Gid != gid {
		t.Errorf("%s: mode %v, owner %d, group %d; want %v, %d, %d", path, info.Mode(), st.Uid, st.Gid, mode, uid, gid)
	}
}

// As root, sessions are the directory's owner's: Python workers run as that.
func TestRootGivesToTheDirectorysOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	must(t, os.Mkdir(path, 0o700))
	must(t, os.Chown(path, 4242, 4243))
	s := openAt(t, path, directory.Options{})
	must(t, s.Create(t.Context(), "a", pickled('a', 10)))
	wantMode(t, filepath.Join(path, "a"), 0o600, 4242, 0)
}

func TestUpdateKeepsModeAndOwner(t *testing.T) {
	for _, size := range []int{100, 10_000} {
		s, path := open(t, directory.Options{Owner: "1234"})
		name := filepath.Join(path, "a")
		must(t, os.WriteFile(name, pickled('a', 10), 0o600))
		must(t, os.Chmod(name, 0o664))
		must(t, os.Chown(name, 1234, 5678))
		if found, err := s.Update(t.Context(), "a", pickled('b', size)); !found || err != nil {
			t.Fatal(found, err)
		}
		wantMode(t, name, 0o664, 1234, 5678)
	}
}

// Sessions of foreign users and files with a second name are refused, but can
// be deleted.
func TestFilesRefused(t *testing.T) {
	chown := func(uid, gid int) func(string) error {
		return func(name string) error { return os.Chown(name, uid, gid) }
	}
	link := func(name string) error { return os.Link(name, filepath.Dir(name)+".elsewhere") }
	for _, test := range []struct {
		name  string
		opts  directory.Options
		spoil func(name string) error
		want  error
		hint  string
	}{
		{"foreign owner", directory.Options{}, chown(1234, 0), directory.ErrOwner, "chown"},
		{"foreign owner, fan-out", directory.Options{FanOut: true}, chown(1234, 0), directory.ErrOwner, "chown"},
		{"foreign owner of the group", directory.Options{Mode: 0o660, Group: "5678"}, chown(1234, 5678), nil, ""},
		{"foreign group too", directory.Options{Mode: 0o660, Group: "5678"}, chown(1234, 1234), directory.ErrOwner, "chown"},
		{"the group, but not shared", directory.Options{Group: "5678"}, chown(1234, 5678), directory.ErrOwner, "chown"},
		{"named owner", directory.Options{Owner: "1234"}, chown(1234, 1234), nil, ""},
		{"two names", directory.Options{}, link, directory.ErrLinked, "copies"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, path := open(t, test.opts)
			must(t, s.Create(t.Context(), "a", pickled('a', 10)))
			name := filepath.Join(path, "a")
			if test.opts.FanOut {
				name = filepath.Join(path, "ca/97/a")
			}
			must(t, test.spoil(name))
			ctx := t.Context()
			for method, call := range map[string]func() (bool, error){
				"Load":           func() (bool, error) { _, found, err := s.Load(ctx, "a"); return found, err },
				"Update":         func() (bool, error) { return s.Update(ctx, "a", pickled('b', 20)) },
				"Update, beside": func() (bool, error) { return s.Update(ctx, "a", pickled('b', 9000)) },
				"Touch":          func() (bool, error) { return s.Touch(ctx, "a") },
				"SetAside":       func() (bool, error) { return s.SetAside(ctx, "a", pickled('x', 10)) },
			} {
				_, err := call()
				switch {
				case test.want != nil:
					wantFault(t, err, test.want, test.hint)
				case err != nil:
					t.Errorf("%s: %v", method, err)
				}
			}
			if test.want != nil {
				wantFile(t, name, pickled('a', 10))
			}
			if found, err := s.Delete(ctx, "a"); !found || err != nil {
				t.Errorf("Delete = %v, %v", found, err)
			}
		})
	}
}

// What cannot work is said at the start, with what to do about it.
func TestRightsThatCannotWork(t *testing.T) {
	top := t.TempDir()
	must(t, os.Chmod(filepath.Dir(top), 0o755))
	must(t, os.Chmod(top, 0o755))
	directoryOf := func(uid int, mode fs.FileMode) string {
		path := filepath.Join(top, t.Name(), time.Now().Format("150405.000000000"))
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.Mkdir(path, 0o700))
		must(t, os.Chmod(path, mode))
		must(t, os.Chown(path, uid, 0))
		state := path + ".alforja"
		must(t, os.Mkdir(state, 0o700))
		must(t, os.Chown(state, 4242, 0))
		return path
	}
	for _, test := range []struct {
		name string
		opts directory.Options
		uid  int // whose the directory is
		mode fs.FileMode
		want error
		hint string
	}{
		{"foreign directory", directory.Options{}, 1234, 0o700, fs.ErrPermission, "read and write"},
		{"readable directory", directory.Options{}, 1234, 0o755, fs.ErrPermission, "read and write"},
		{"open directory", directory.Options{}, 4242, 0o777, nil, "chmod o-w"},
		{"owner not root's to give", directory.Options{Owner: "1234"}, 4242, 0o700, unix.EPERM, "only root"},
		{"group that it is not in", directory.Options{Group: "1234"}, 4242, 0o700, unix.EPERM, "groups that it is in"},
		{"unknown owner", directory.Options{Owner: "no-such-user"}, 4242, 0o700, nil, "system knows"},
		{"unknown group", directory.Options{Group: "no-such-group"}, 4242, 0o700, nil, "system knows"},
		{"open files", directory.Options{Mode: 0o666}, 4242, 0o700, unix.EINVAL, "0660"},
		{"closed files", directory.Options{Mode: 0o060}, 4242, 0o700, unix.EINVAL, "0660"},
		{"good", directory.Options{}, 4242, 0o700, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := directoryOf(test.uid, test.mode)
			err := openAs(4242, path, test.opts)
			var fault *directory.Error
			switch {
			case test.hint == "":
				must(t, err)
			case !errors.As(err, &fault) || !strings.Contains(fault.Hint, test.hint) || test.want != nil && !errors.Is(err, test.want):
				t.Errorf("Open = %v, want %v and a hint with %q", err, test.want, test.hint)
			}
		})
	}
}

// A gateway, or Python, of another user in the same group.
func TestTwoUsersOfOneGroup(t *testing.T) {
	const group = 7000
	top := t.TempDir()
	must(t, os.Chmod(filepath.Dir(top), 0o755))
	must(t, os.Chown(top, 0, group))
	must(t, os.Chmod(top, 0o770|fs.ModeSetgid))
	path := filepath.Join(top, "sessions")
	use := func(uid uintptr, f func(*directory.Store) error) {
		t.Helper()
		done := make(chan error)
		go asUser(uid, group, func() {
			s, err := directory.Open(path, directory.Options{Create: true, Mode: 0o660})
			if err == nil {
				err = errors.Join(f(s), s.Close())
			}
			done <- err
		})
		must(t, <-done)
	}
	ctx := t.Context()
	use(4242, func(s *directory.Store) error { return s.Create(ctx, "a", pickled('a', 10)) })
	for i, uid := range []uintptr{4343, 4242, 4343} {
		for _, size := range []int{20, 9000, 30} {
			use(uid, func(s *directory.Store) error {
				unlock, err := s.Lock(ctx, "a")
				if err != nil {
					return err
				}
				defer unlock()
				_, loadErr := s.Touch(ctx, "a")
				found, err := s.Update(ctx, "a", pickled(byte('b'+i), size))
				if !found {
					t.Errorf("user %d does not find the session", uid)
				}
				return errors.Join(loadErr, err)
			})
			wantFile(t, filepath.Join(path, "a"), pickled(byte('b'+i), size))
		}
	}
	use(4343, func(s *directory.Store) error { _, err := s.Delete(ctx, "a"); return err })
}

// A foreign user's file that was planted shows up as such, whatever is in it.
func TestPlantedSession(t *testing.T) {
	s, path := open(t, directory.Options{Mode: 0o660})
	must(t, os.WriteFile(filepath.Join(path, "admin"), pickled('a', 10), 0o644))
	must(t, os.Chown(filepath.Join(path, "admin"), 4242, 4242))
	_, _, err := s.Load(context.Background(), "admin")
	wantFault(t, err, directory.ErrOwner, "chown")
	for info, err := range s.All(t.Context(), "") {
		if info.ID != "admin" || err != nil {
			t.Errorf("All lists %q, %v", info.ID, err)
		}
	}
}
