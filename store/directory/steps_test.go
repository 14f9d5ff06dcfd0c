package directory_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"alforja/store/directory"
)

// calls are the system calls that the store makes.
var calls = map[string]uint32{
	"openat": unix.SYS_OPENAT, "flock": unix.SYS_FLOCK, "fstat": unix.SYS_FSTAT, "newfstatat": unix.SYS_NEWFSTATAT,
	"pread64": unix.SYS_PREAD64, "pwrite64": unix.SYS_PWRITE64, "ftruncate": unix.SYS_FTRUNCATE,
	"fchmod": unix.SYS_FCHMOD, "fchown": unix.SYS_FCHOWN, "utimensat": unix.SYS_UTIMENSAT,
	"renameat2": unix.SYS_RENAMEAT2, "unlinkat": unix.SYS_UNLINKAT, "fsync": unix.SYS_FSYNC,
	"fcntl": unix.SYS_FCNTL, "getdents64": unix.SYS_GETDENTS64,
}

type step struct {
	do    func(ctx context.Context, s *directory.Store) (found bool, err error)
	needs string
	gone  bool
}

// steps are operations on session "a", whose state is before, and which of the
// calls they cannot do without. gone is for those that remove it.
var steps = map[string]step{
	"load": {func(ctx context.Context, s *directory.Store) (bool, error) {
		_, found, err := s.Load(ctx, "a")
		return found, err
	}, "openat flock fstat pread64", false},
	"update in place": {func(ctx context.Context, s *directory.Store) (bool, error) {
		return s.Update(ctx, "a", pickled('n', 600))
	}, "openat flock fstat newfstatat pwrite64", false},
	"update beside": {func(ctx context.Context, s *directory.Store) (bool, error) {
		return s.Update(ctx, "a", pickled('n', 9000))
	}, "openat flock fstat newfstatat fchown fchmod pwrite64 renameat2", false},
	"touch": {func(ctx context.Context, s *directory.Store) (bool, error) {
		return s.Touch(ctx, "a")
	}, "openat flock fstat utimensat", false},
	"create": {func(ctx context.Context, s *directory.Store) (bool, error) {
		return true, s.Create(ctx, "b", pickled('b', 10))
	}, "openat fchmod pwrite64 renameat2", false},
	"delete": {func(ctx context.Context, s *directory.Store) (bool, error) {
		return s.Delete(ctx, "a")
	}, "openat flock fstat newfstatat unlinkat", true},
	"set aside": {func(ctx context.Context, s *directory.Store) (bool, error) {
		return s.SetAside(ctx, "a", before)
	}, "openat flock fstat newfstatat pread64 getdents64 renameat2", true},
	"expire": {func(ctx context.Context, s *directory.Store) (bool, error) {
		deleted, _, err := s.DeleteIdle(ctx, -1<<62)
		return deleted > 0, err
	}, "openat flock fstat newfstatat unlinkat getdents64 fcntl", true},
	"lock": {func(ctx context.Context, s *directory.Store) (bool, error) {
		unlock, err := s.Lock(ctx, "a")
		if err == nil {
			unlock()
		}
		return true, err
	}, "fstat fcntl", false},
}

var before = pickled('o', 500)

// Whichever system call of an operation fails, and however: the error is
// that one, the session is as it was, nothing is left in tmp, and once the
// fault is over the operation succeeds.
func TestEverySystemCallFails(t *testing.T) {
	faults := []unix.Errno{unix.EIO, unix.ENOSPC, unix.EDQUOT, unix.EMFILE, unix.EROFS}
	for layout, opts := range map[string]directory.Options{
		"flat": {}, "power": {Durability: directory.DurabilityPower}, "fan-out": {FanOut: true},
	} {
		for name, step := range steps {
			for call, number := range calls {
				t.Run(fmt.Sprintf("%s/%s/%s", layout, name, call), func(t *testing.T) {
					needed := strings.Contains(" "+step.needs+" ", " "+call+" ")
					for _, fault := range faults {
						testCallFails(t, opts, step, rule{call: number, fault: fault}, needed)
					}
				})
			}
		}
	}
}

func testCallFails(t *testing.T, opts directory.Options, step step, fails rule, needed bool) {
	t.Helper()
	s, path := open(t, opts)
	defer s.Close()
	must(t, s.Create(t.Context(), "a", before))
	var found bool
	var err error
	withFaults(t, func() { found, err = step.do(t.Context(), s) }, fails)
	switch {
	case err != nil:
		wantFault(t, err, fails.fault, "")
	case needed:
		t.Errorf("no error although the call fails: %v", fails.fault)
	case !found:
		t.Errorf("not found: %v", fails.fault)
	}
	if err == nil {
		return
	}
	if !found || !step.gone {
		wantFile(t, fileOf(path, "a", opts), before)
	}
	if _, found, _ := s.Load(t.Context(), "b"); found {
		t.Errorf("a session is there that could not be created: %v", fails.fault)
	}
	if got := names(t, path+".alforja/tmp"); got != nil && fails.call != unix.SYS_UNLINKAT {
		t.Errorf("left in tmp: %v: %v", got, fails.fault)
	}
	if again, err := step.do(t.Context(), s); err != nil || again == (found && step.gone) {
		t.Errorf("after %v: %v, %v", fails.fault, again, err)
	}
}

// fileOf is where a session's file is; of ids, tests with fan-out use a and b only.
func fileOf(path, id string, opts directory.Options) string {
	if opts.FanOut {
		id = map[string]string{"a": "ca/97/a", "b": "3e/23/b"}[id] // by sha256sum
	}
	return filepath.Join(path, id)
}

// The disk fails when it has the new state already, but not yet the directory.
func TestDirectorySyncFails(t *testing.T) {
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			s, path := open(t, directory.Options{Durability: directory.DurabilityPower})
			must(t, s.Create(t.Context(), "a", before))
			var found bool
			var err error
			withFaults(t, func() { found, err = step.do(t.Context(), s) },
				rule{unix.SYS_FSYNC, unix.EIO, []argument{{0, descriptorOf(t, path)}}})
			switch name {
			case "load", "touch", "lock", "set aside":
				must(t, err)
				return
			case "delete", "expire": // gone, but perhaps not for ever
				if !found {
					t.Error("found = false")
				}
			default:
				wantFile(t, filepath.Join(path, "a"), before)
			}
			wantFault(t, err, unix.EIO, "disk")
			if got := names(t, path); len(got) > 1 {
				t.Errorf("sessions: %v", got)
			}
		})
	}
}

// descriptorOf returns the number under which this process has a file open.
func descriptorOf(t *testing.T, path string) uint32 {
	t.Helper()
	for _, name := range names(t, "/proc/self/fd") {
		if target, _ := os.Readlink("/proc/self/fd/" + name); target == path {
			n, err := strconv.Atoi(name)
			must(t, err)
			return uint32(n)
		}
	}
	t.Fatalf("%s is not open", path)
	return 0
}

// A file that cannot be shortened keeps bytes behind the pickle's STOP, which
// does no harm: the new state is in force, and that is no error.
func TestShortenFails(t *testing.T) {
	s, path := open(t, directory.Options{})
	must(t, s.Create(t.Context(), "a", before))
	state := pickled('n', 100)
	withFaults(t, func() {
		if found, err := s.Update(t.Context(), "a", state); !found || err != nil {
			t.Errorf("Update = %v, %v", found, err)
		}
	}, rule{call: unix.SYS_FTRUNCATE, fault: unix.EIO})
	wantFile(t, filepath.Join(path, "a"), append(state, before[len(state):]...))
	if _, err := s.Update(t.Context(), "a", pickled('m', 50)); err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(path, "a"), pickled('m', 50))
}

// What the store rests on is tried out when it is opened.
func TestFileSystemWithoutLocks(t *testing.T) {
	const ofdSetlk = unix.F_OFD_SETLK
	for _, test := range []struct {
		name string
		rule rule
		says string
	}{
		{"flock", rule{call: unix.SYS_FLOCK, fault: unix.ENOLCK}, "no working locks: flock"},
		{"byte ranges", rule{unix.SYS_FCNTL, unix.EINVAL, []argument{{1, ofdSetlk}}}, "no working locks: fcntl"},
		{"exchange", rule{unix.SYS_RENAMEAT2, unix.EINVAL, []argument{{4, unix.RENAME_EXCHANGE}}}, "cannot exchange two files"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sessions")
			withFaults(t, func() {
				_, err := directory.Open(path, directory.Options{Create: true})
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("Open = %v, want %q", err, test.says)
				}
				wantFault(t, err, test.rule.fault, "local file system")
			}, test.rule)
			if got := names(t, path+".alforja/tmp"); got != nil {
				t.Errorf("left in tmp: %v", got)
			}
		})
	}
}
