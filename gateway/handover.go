package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// handoverVariable tells a process that replaces another which sockets it
// inherits: a JSON list of names, for the descriptors from 4 on. Descriptor 3
// is where it says that it is ready.
const handoverVariable = "ALFORJA_HANDOVER"

const (
	handoverReady = 3
	handoverFirst = 4
	// lingerTime is how long clients may go on to use their connections to a
	// gateway that another replaces; each answer asks them to leave.
	lingerTime = 2 * time.Second
)

// Handover starts argv, a gateway that takes over the listening sockets of this
// one, and, when its workers are ready, has this one drain: no connection is
// refused. After an error this gateway goes on as before. The new process has
// to be given the same addresses; sockets that it does not ask for are closed.
func (g *Gateway) Handover(ctx context.Context, argv []string) error {
	g.changing.Lock()
	defer g.changing.Unlock()
	if g.isDraining() {
		return errStopping
	}
	ctx, cancel := g.untilDraining(ctx)
	defer cancel()
	ready, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	files := []*os.File{tell}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	var names []string
	fronts := g.frontsNow()
	for _, f := range fronts {
		if f.name == "" {
			continue
		}
		file, err := heritable(f.socket, f.name)
		if err != nil {
			return fmt.Errorf("socket of %s: %w", f.name, err)
		}
		files, names = append(files, file), append(names, f.name)
	}
	inherited, err := json.Marshal(names)
	if err != nil {
		return err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(withoutActivation(os.Environ()), handoverVariable+"="+string(inherited))
	cmd.ExtraFiles = files
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	g.opts.Logger.Info("another gateway takes over", "pid", cmd.Process.Pid)
	tell.Close()
	if err := awaitReady(ctx, ready, g.startTimeout()); err != nil {
		_ = cmd.Process.Kill()
		return errors.Join(fmt.Errorf("the new gateway is not ready: %w", err), cmd.Wait())
	}
	go func() { _ = cmd.Wait() }()
	for _, f := range fronts {
		if l, ok := f.socket.(*net.UnixListener); ok && f.name != "" {
			l.SetUnlinkOnClose(false) // its path is the other's now
		}
	}
	g.lingering.Store(true)
	g.Drain()
	return nil
}

// heritable duplicates a listener's descriptor for a process to be started. The
// listener's own File is not for that: os/exec asks it for its Fd, which puts the
// socket, that is this process's too, into blocking mode, and nothing but a
// further connection would end an Accept.
func heritable(listener net.Listener, name string) (*os.File, error) {
	raw, err := listener.(syscall.Conn).SyscallConn() // TCP or Unix: both have it
	if err != nil {
		return nil, err
	}
	var dup int
	var failed error
	err = raw.Control(func(fd uintptr) { dup, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err = cmp.Or(err, os.NewSyscallError("fcntl", failed)); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(dup), name), nil
}

// withoutActivation removes what systemd meant for this process alone, and an
// earlier handover.
func withoutActivation(env []string) []string {
	var kept []string
	for _, variable := range env {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "LISTEN_") && name != "WATCHDOG_PID" && name != handoverVariable {
			kept = append(kept, variable)
		}
	}
	return kept
}

// awaitReady waits for a byte; the other process's end is an end of file.
func awaitReady(ctx context.Context, ready *os.File, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Now()) })()
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return errors.New("it has ended")
	}
	return nil
}

// startTimeout is how long another gateway may take: as long as its workers.
func (g *Gateway) startTimeout() time.Duration {
	longest := time.Minute
	for _, p := range g.now.Load().opts.Pools {
		longest = max(longest, p.Supervised.StartTimeout)
	}
	return longest + 10*time.Second
}

// inheritance is what a gateway gets from the one that it replaces.
type inheritance struct {
	sockets map[string][]*os.File
	ready   *os.File // nil where there is none
}

// inherit looks once for what this process was given.
func inherit() (inheritance, error) {
	text, given := os.LookupEnv(handoverVariable)
	if !given {
		return inheritance{}, nil
	}
	os.Unsetenv(handoverVariable) // it is not for the workers
	var names []string
	if err := json.Unmarshal([]byte(text), &names); err != nil {
		return inheritance{}, fmt.Errorf("%s: %w", handoverVariable, err)
	}
	in := inheritance{sockets: map[string][]*os.File{}, ready: inheritedFile(handoverReady, "ready")}
	for i, name := range names {
		in.sockets[name] = append(in.sockets[name], inheritedFile(handoverFirst+i, name))
	}
	return in, nil
}

// takeAll returns the listeners that were inherited for a front.
func (in *inheritance) takeAll(name string) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, file := range in.sockets[name] {
		listener, err := net.FileListener(file)
		file.Close()
		if err != nil {
			return listeners, fmt.Errorf("inherited socket %s: %w", name, err)
		}
		listeners = append(listeners, listener)
	}
	delete(in.sockets, name)
	return listeners, nil
}

// inheritedFile is a descriptor that the workers shall not inherit too.
func inheritedFile(fd int, name string) *os.File {
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name)
}

// closeRest closes what no front asks for.
func (in *inheritance) closeRest() {
	for _, files := range in.sockets {
		for _, f := range files {
			f.Close()
		}
	}
}

// tellReady lets the gateway that this one replaces drain.
func (in *inheritance) tellReady() {
	if in.ready != nil {
		_, _ = in.ready.Write([]byte{1}) // it may have ended by itself
		in.ready.Close()
	}
}

// linger stops accepting, for the operator too, and gives clients time to leave.
func (g *Gateway) linger() {
	for _, f := range g.frontsNow() {
		if f.name != "" { // the other one's by now
			f.listener.Close()
		}
	}
	time.Sleep(lingerTime)
}
