package directory_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// mutants are this package with one mistake each, and the tests that must find it.
var mutants = map[string]struct {
	file, right, wrong string
	found              string // a pattern of tests
}{
	"skips the session's lock": {"lock.go",
		"	leave, err := s.locks.Lock(ctx, id)\n", "	if ctx.Err() == nil {\n		return func() {}, nil\n	}\n	leave, err := s.locks.Lock(ctx, id)\n",
		"TestConformance/flat$/(a-lock-excludes|no-update-is-lost-under-the-lock)"},
	"skips the lock between gateways": {"lock.go",
		"		err := r.set(offset, unix.F_WRLCK)\n", "		err := error(nil)\n",
		"TestRangesShareAnOffset|TestTurnstile|TestTwoStoresOnOneDirectory"},
	"skips the file's lock": {"file.go",
		"lockErr := retry(func() error { return unix.Flock(f.fd, how|unix.LOCK_NB) })", "lockErr := error(nil)",
		"TestHeldFlock"},
	"does not look again under the lock": {"file.go",
		"	return named.Ino == f.stat.Ino && named.Dev == f.stat.Dev, err\n", "	return err == nil, err\n",
		"TestLockLooksUpThePathAgain|TestFileChangesDuringWait"},
	"saves by upsert": {"save.go",
		"	err = s.with(\"update\", id, func(d *dirs) error {\n",
		"	defer func() {\n		if err == nil && !found {\n			err = s.Create(ctx, id, state)\n			found = err == nil\n		}\n	}()\n	err = s.with(\"update\", id, func(d *dirs) error {\n",
		"TestConformance/flat$/(update-never-creates|logged-out-stays-logged-out)"},
	"replaces by plain rename": {"save.go",
		"unix.RENAME_EXCHANGE) }", "0) }",
		"TestExchangeBringsNothingBack"},
	"truncates first": {"save.go",
		"	n, err := pwrite(f.fd, state, 0)\n	if err != nil {\n		return err\n", "	unix.Ftruncate(f.fd, 0)\n	n, err := pwrite(f.fd, state, 0)\n	if err != nil {\n		return err\n",
		"TestEverySystemCallFails/flat/update_in_place/pwrite64"},
	"follows a symbolic link to a file": {"file.go",
		"const fileFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK", "const fileFlags = unix.O_NONBLOCK",
		"TestOnlyRegularFiles|TestDirectWay"},
	"follows a symbolic link to a directory": {"dirs.go",
		"const dirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW", "const dirFlags = unix.O_RDONLY | unix.O_DIRECTORY",
		"TestFanOutFollowsNoLinks"},
	"waits on a FIFO": {"file.go",
		"const fileFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK", "const fileFlags = unix.O_NOFOLLOW",
		"TestOnlyRegularFiles"},
	"lists, then deletes as idle": {"expire.go",
		"		return same && time.Since(modified(now)) > x.idle\n", "		return same\n",
		"TestExpireLooksAgain"},
	"looks, then deletes": {"dated.go",
		"now.Size == info.Size && modified(now).Equal(info.Modified)", "now.Size >= 0",
		"TestDeleteUnchanged"},
}

// TestMutantsAreFound makes one mistake after the other in this package, and has the tests find each.
// That they pass without a mistake they show by themselves.
func TestMutantsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the package anew for each mistake")
	}
	for name, mutant := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if out, passed := runMutated(t, mutant.file, mutant.right, mutant.wrong, mutant.found); passed {
				t.Errorf("the tests pass:\n%s", out)
			} else if !regexp.MustCompile(`(?m)^--- FAIL: Test|^panic: test timed out`).MatchString(out) {
				t.Errorf("no test has failed, but:\n%s", out)
			}
		})
	}
}

// runMutated runs tests of this package with a file of it changed, which go test takes from elsewhere.
func runMutated(t *testing.T, file, right, wrong, tests string) (out string, passed bool) {
	t.Helper()
	source, err := os.ReadFile(file)
	must(t, err)
	if n := strings.Count(string(source), right); n != 1 {
		t.Fatalf("%s has %q %d times, want once: the mistake is to be made where that has gone", file, right, n)
	}
	dir := t.TempDir()
	changed, overlay := filepath.Join(dir, file), filepath.Join(dir, "overlay.json")
	path, err := filepath.Abs(file)
	must(t, err)
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
	must(t, err)
	must(t, os.WriteFile(changed, []byte(strings.Replace(string(source), right, wrong, 1)), 0o600))
	must(t, os.WriteFile(overlay, replace, 0o600))
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-timeout=20s", fmt.Sprintf("-overlay=%s", overlay), "-run="+tests, ".")
	answer, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(answer), err == nil
}
