package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ProcessOptions are what a worker process runs in.
type ProcessOptions struct {
	// Dir is its working directory. Default: the gateway's.
	Dir string
	// Env holds variables, NAME=value, beside the gateway's own.
	Env []string
	// User and Group, by name or number, are whose rights it has. The gateway
	// must be root. Default: the gateway's; the group that of the user.
	User, Group string
	// Umask is for the files that it makes, octal. Default: the gateway's.
	Umask string
	// Limits are resource limits as sh's ulimit takes them, by the names of
	// limitFlags: nofile, nproc, core, cpu, as, stack, memlock, fsize, data.
	// Default: the gateway's.
	Limits map[string]string

	credential *syscall.Credential
}

// limitFlags are the options of ulimit, by the names of setrlimit(2). as, stack,
// memlock and data are in units of 1,024 bytes, core and fsize of 512.
var limitFlags = map[string]string{
	"as": "-v", "core": "-c", "cpu": "-t", "data": "-d", "fsize": "-f",
	"memlock": "-l", "nofile": "-n", "nproc": "-u", "stack": "-s",
}

func (o *ProcessOptions) check() error {
	for _, name := range slices.Sorted(maps.Keys(o.Limits)) {
		if limitFlags[name] == "" {
			return &OptionsError{fmt.Sprintf("unknown limit %q (known: %s)", name, strings.Join(slices.Sorted(maps.Keys(limitFlags)), ", "))}
		}
		if value := o.Limits[name]; value != "unlimited" {
			if _, err := strconv.ParseUint(value, 10, 63); err != nil {
				return &OptionsError{fmt.Sprintf("limit %s=%s is neither a number nor unlimited", name, value)}
			}
		}
	}
	if _, err := strconv.ParseUint(o.Umask, 8, 9); o.Umask != "" && err != nil {
		return &OptionsError{fmt.Sprintf("umask %q is no octal mode such as 027", o.Umask)}
	}
	if o.Dir != "" {
		if info, err := os.Stat(o.Dir); err != nil {
			return fmt.Errorf("working directory of the workers: %w", err)
		} else if !info.IsDir() {
			return fmt.Errorf("working directory of the workers: %s is no directory", o.Dir)
		}
	}
	return o.resolveUser()
}

// find says why a process would not find a command, which it looks for in its
// own directory and PATH.
func (o *ProcessOptions) find(command string) error {
	in := func(dir string) error {
		if !filepath.IsAbs(dir) {
			dir = cmp.Or(o.Dir, ".") + "/" + dir
		}
		_, err := exec.LookPath(dir + "/" + command)
		return err
	}
	switch {
	case filepath.IsAbs(command):
		_, err := exec.LookPath(command)
		return err
	case strings.Contains(command, "/"):
		return in("")
	}
	path := os.Getenv("PATH")
	for _, variable := range o.Env {
		if value, found := strings.CutPrefix(variable, "PATH="); found {
			path = value // the last one counts
		}
	}
	for _, dir := range filepath.SplitList(path) {
		if in(dir) == nil {
			return nil
		}
	}
	return fmt.Errorf("%q is in no directory of PATH=%s", command, path)
}

// resolveUser finds the numbers of User and Group.
func (o *ProcessOptions) resolveUser() error {
	if o.User == "" && o.Group == "" {
		return nil
	}
	if os.Geteuid() != 0 {
		return &OptionsError{"workers can be run as another user or group by root only"}
	}
	o.credential = &syscall.Credential{Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid())}
	if o.User != "" {
		u, err := user.Lookup(o.User)
		if err != nil {
			if u, err = user.LookupId(o.User); err != nil {
				return fmt.Errorf("user of the workers: %w", err)
			}
		}
		o.credential.Uid, o.credential.Gid = number(u.Uid), number(u.Gid)
		groups, err := u.GroupIds()
		if err != nil {
			return fmt.Errorf("groups of user %s: %w", o.User, err)
		}
		for _, id := range groups {
			o.credential.Groups = append(o.credential.Groups, number(id))
		}
	}
	if o.Group != "" {
		g, err := user.LookupGroup(o.Group)
		if err != nil {
			if g, err = user.LookupGroupId(o.Group); err != nil {
				return fmt.Errorf("group of the workers: %w", err)
			}
		}
		o.credential.Gid = number(g.Gid)
	}
	return nil
}

// number reads an id that os/user has found.
func number(id string) uint32 {
	n, _ := strconv.ParseUint(id, 10, 32) // digits on every Unix
	return uint32(n)
}

// uid is whose the sockets for the process must be, or -1 for the gateway's.
func (o *ProcessOptions) uid() int {
	if o.credential == nil {
		return -1
	}
	return int(o.credential.Uid)
}

// A child is one process of a slot.
type child struct {
	slot    *slot
	pid     int
	started time.Time
	ready   atomic.Bool
	aborted atomic.Bool
	last    lastLines
	ended   chan struct{} // closed after status is set
	status  syscall.WaitStatus
}

const (
	// stopTimeout is how long a worker may take to end after SIGTERM before
	// it gets SIGKILL.
	stopTimeout = 10 * time.Second
	// abortTimeout is how long a hung one gets to print where it hangs.
	abortTimeout = 2 * time.Second
)

// startChild starts a process for a slot.
func startChild(sl *slot) (*child, error) {
	output, input, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	var pid int
	var wait func() syscall.WaitStatus
	if sl.preloader != nil {
		pid, wait, err = sl.preloader.fork(sl, input)
	} else {
		pid, wait, err = sl.execute(input)
	}
	input.Close()
	if err != nil {
		output.Close()
		return nil, err
	}
	c := &child{slot: sl, pid: pid, started: time.Now(), ended: make(chan struct{})}
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		c.last.readFrom(output, sl.opts.hides, sl.log)
	}()
	go func() {
		c.status = wait()
		// Its last words are read, unless what it forked holds the pipe open.
		select {
		case <-logged:
		case <-time.After(100 * time.Millisecond):
		}
		close(c.ended)
	}()
	return c, nil
}

// execute starts the slot's command.
func (sl *slot) execute(output *os.File) (pid int, wait func() syscall.WaitStatus, err error) {
	cmd := sl.opts.command(output, sl.socket)
	cmd.Env = append(cmd.Env, "LISTEN_FDS=1", "ALFORJA_WORKER="+sl.worker.Name, "NOTIFY_SOCKET="+sl.notifyPath)
	if err := sl.supervisor.startOnThread(cmd); err != nil {
		return 0, nil, err
	}
	return cmd.Process.Pid, func() syscall.WaitStatus {
		_ = cmd.Wait() // the status says more
		return cmd.ProcessState.Sys().(syscall.WaitStatus)
	}, nil
}

// command prepares the command with a socket as its descriptor 3. sh sets
// LISTEN_PID, which must be the process's own id (sd_listen_fds(3); scgi and
// Quixote check it) and so is known only between fork and exec.
func (o *SupervisorOptions) command(output, socket *os.File) *exec.Cmd {
	cmd := exec.Command("/bin/sh", append([]string{"-c", o.Process.script(), "sh"}, o.Command...)...)
	cmd.Dir = o.Process.Dir
	cmd.Env = append(os.Environ(), o.Process.Env...)
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: o.Process.credential}
	return cmd
}

// script is what sh does in the process, before it becomes the command.
func (o *ProcessOptions) script() string {
	var script strings.Builder
	if o.Umask != "" {
		fmt.Fprintf(&script, "umask %s && ", o.Umask)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Limits)) {
		set := fmt.Sprintf("ulimit %s %s", limitFlags[name], o.Limits[name])
		if name == "nproc" { // dash has -p for that, which in bash is the size of pipes
			set = fmt.Sprintf("{ %s 2>/dev/null || ulimit -p %s; }", set, o.Limits[name])
		}
		script.WriteString(set + " && ")
	}
	script.WriteString(`LISTEN_PID=$$ exec "$@"`)
	return script.String()
}

// signal signals the process and what it has forked. There may be nobody left.
func (c *child) signal(sig unix.Signal) { _ = unix.Kill(-c.pid, sig) }

func (c *child) over() bool { return isClosed(c.ended) }

// isClosed asks a channel on which nothing is sent.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// abort ends a process that hangs. Python's faulthandler, which alforja.worker
// switches on, prints the traceback of every thread at SIGABRT.
func (c *child) abort() {
	if c.over() || !c.aborted.CompareAndSwap(false, true) { // its number may be another's by now
		return
	}
	_ = unix.Kill(c.pid, unix.SIGABRT)
	go func() {
		select {
		case <-c.ended:
		case <-time.After(abortTimeout):
			c.signal(unix.SIGKILL)
			c.awaitKilled()
		}
	}()
}

// awaitKilled waits for the end of a process that has got SIGKILL. A preloading process that does
// not tell of it hangs itself, and is ended with all of its workers.
func (c *child) awaitKilled() {
	select {
	case <-c.ended:
	case <-time.After(abortTimeout):
		c.slot.preloader.close()
		<-c.ended
	}
}

// finish has the process finish its request and end, and waits for that.
func (c *child) finish() {
	c.signal(unix.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(stopTimeout):
		c.slot.log.Warn("worker does not end, killing it", "after_ms", stopTimeout.Milliseconds())
		c.signal(unix.SIGKILL)
		c.awaitKilled()
	}
	c.signal(unix.SIGKILL)
}

// failure says how the process has ended, with its last words.
func (c *child) failure() error {
	how := fmt.Sprintf("exit status %d", c.status.ExitStatus())
	if c.status.Signaled() {
		how = "signal: " + c.status.Signal().String()
	}
	if last := c.last.text(); last != "" {
		how += "; it last said:\n" + last
	}
	return errors.New(how)
}
