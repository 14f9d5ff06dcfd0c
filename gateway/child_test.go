package gateway

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// What a worker printed long before its end, about another request say, does
// not explain that.
func TestLastWordsAreRecent(t *testing.T) {
	now := time.Now()
	last := lastLines{lines: []printedLine{
		{"an earlier request's traceback", now.Add(-keepTime)},
		{"Fatal Python error", now.Add(-keepTime / 2)},
		{"Aborted", now},
	}}
	if got, want := last.text(), "Fatal Python error\nAborted"; got != want {
		t.Errorf("last words %q, want %q", got, want)
	}
}

// One that has ended is not said to be ended for being late.
func TestEndedIsNotLate(t *testing.T) {
	for ended, want := range map[bool]bool{true: false, false: true} {
		synctest.Test(t, func(t *testing.T) {
			var said strings.Builder
			notifies := new(atomic.Bool)
			notifies.Store(true)
			sl := &slot{
				opts: &SupervisorOptions{StartTimeout: time.Minute}, notifies: notifies,
				log: slog.New(slog.NewTextHandler(&said, nil)),
			}
			c := &child{slot: sl, ended: make(chan struct{})}
			c.aborted.Store(true) // there is no process to signal
			if ended {
				close(c.ended)
			}
			sl.expectReady(c)
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if late := strings.Contains(said.String(), "not ready in time"); late != want {
				t.Errorf("ended %v: said to be late %v", ended, late)
			}
		})
	}
}

// Whatever shell /bin/sh is.
func TestLimits(t *testing.T) {
	limits := map[string]string{
		"as": "4000000", "core": "20", "cpu": "3000", "data": "3000000", "fsize": "2000", "memlock": "32", "nofile": "90", "nproc": "4000", "stack": "4096",
	}
	want := map[string]string{
		"Max address space": "4096000000", "Max core file size": "10240", "Max cpu time": "3000", "Max data size": "3072000000", "Max file size": "1024000",
		"Max locked memory": "32768", "Max open files": "90", "Max processes": "4000", "Max stack size": "4194304",
	}
	for _, shell := range []string{"dash", "bash"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("no %s here", shell)
			continue
		}
		process := ProcessOptions{Umask: "027", Limits: limits}
		cmd := exec.Command(path, "-c", process.script(), "sh", "cat", "/proc/self/limits")
		cmd.Args[0] = "sh"
		output, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", shell, err, output)
		}
		for line := range strings.Lines(string(output)) {
			for name, value := range want {
				if rest, ok := strings.CutPrefix(line, name); ok && strings.Fields(rest)[0] != value {
					t.Errorf("%s: %s, want %s", shell, strings.TrimSpace(line), value)
				}
			}
		}
		if n := strings.Count(string(output), "\n"); n < len(want) {
			t.Errorf("%s: %d lines", shell, n)
		}
	}
}

// TestCommandIsFoundWhereItRuns: from the process's directory and by its PATH.
func TestCommandIsFoundWhereItRuns(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"here", "bin/there"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		command, dir, path string
		found              bool
	}{
		{"./here", dir, "", true},
		{"bin/there", dir, "", true},
		{"bin/there", "", "", false},
		{"there", dir, "", false},
		{"there", "", filepath.Join(dir, "bin"), true},
		{"there", dir, "/nowhere:bin", true},
		{"true", dir, "", true},
		{"true", dir, "bin", false},
		{dir + "/here", "/", "/nowhere", true},
		{"./bin", dir, "", false},
	} {
		opts := SupervisorOptions{Command: []string{test.command}, Process: ProcessOptions{Dir: test.dir}}
		if test.path != "" {
			opts.Process.Env = []string{"PATH=/overruled", "PATH=" + test.path}
		}
		opts.setDefaults()
		if err := opts.check(); (err == nil) != test.found {
			t.Errorf("%s in %q by %q: %v", test.command, test.dir, test.path, err)
		}
		cmd := opts.command(nil, os.Stdin)
		cmd.Stdout, cmd.Stderr = nil, nil
		if err := cmd.Run(); (err == nil) != test.found {
			t.Errorf("run: %s in %q by %q: %v", test.command, test.dir, test.path, err)
		}
	}
}
