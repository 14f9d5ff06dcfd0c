package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"alforja/gateway/scgi"
)

// SupervisorOptions say how workers are started.
type SupervisorOptions struct {
	// Command and its arguments. Required.
	Command []string
	// Workers is how many processes run it. Default: 4.
	Workers int
	// SocketDir is where their sockets are made; nobody else may reach into
	// it. Required.
	SocketDir string
	// ScriptName is what Transport.ScriptName is for them.
	ScriptName string
	// Keep is what Transport.Keep is for them.
	Keep bool
	// Concurrency is how many requests each process gets at a time.
	// Default: 1.
	Concurrency int
	// Logger. Default: slog.Default().
	Logger *slog.Logger
}

const (
	// stopTimeout is how long a worker may take to end after SIGTERM before
	// it gets SIGKILL.
	stopTimeout = 10 * time.Second
	// A worker that dies younger than this without having answered anything
	// is one that does not work.
	youngDeath = 30 * time.Second
	// probation is how long such a one must run before it gets a request.
	probation = time.Second
)

// A Supervisor runs worker processes, each with a listening socket as its
// descriptor 3 by the LISTEN_FDS convention of systemd, starts them again when
// they die, and takes them along when it ends, whatever way it ends.
type Supervisor struct {
	opts      SupervisorOptions
	processes []*process
	groups    *processGroups
	spawn     chan func()
	stop      chan struct{}
	stopOnce  sync.Once
	running   sync.WaitGroup
}

// process is one worker: a socket that stays, and one child after another
// that accepts from it.
type process struct {
	worker  *Worker
	socket  *os.File
	address string
	child   atomic.Pointer[os.Process]
	died    int // how many children in a row have died young
}

// NewSupervisor makes the sockets. Connections to them are accepted by the
// kernel from now on; they are answered when Run has started the workers.
func NewSupervisor(opts SupervisorOptions) (*Supervisor, error) {
	if opts.Workers == 0 {
		opts.Workers = 4
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if _, err := exec.LookPath(opts.Command[0]); err != nil {
		return nil, fmt.Errorf("worker command: %w", err)
	}
	s := &Supervisor{opts: opts, spawn: make(chan func()), stop: make(chan struct{})}
	for i := range opts.Workers {
		p, err := s.newProcess(strconv.Itoa(i + 1))
		if err != nil {
			s.closeSockets()
			return nil, fmt.Errorf("socket of worker %d: %w", i+1, err)
		}
		s.processes = append(s.processes, p)
	}
	return s, nil
}

func (s *Supervisor) newProcess(name string) (*process, error) {
	p := &process{address: filepath.Join(s.opts.SocketDir, fmt.Sprintf(workerSocket, name))}
	socket, err := listenUnix(p.address)
	if err != nil {
		return nil, err
	}
	p.socket = socket
	p.worker = &Worker{
		Name:        name,
		Transport:   &scgi.Transport{Network: "unix", Address: p.address, ScriptName: s.opts.ScriptName, Keep: s.opts.Keep},
		Concurrency: s.opts.Concurrency,
		kill: func() {
			if child := p.child.Load(); child != nil {
				_ = child.Kill() // it may have ended by itself
			}
		},
	}
	return p, nil
}

// listenUnix returns a listening socket in blocking mode. net.Listen makes
// non-blocking ones, and the mode belongs to the socket and not to the
// descriptor: a worker's accept would fail with EAGAIN.
func listenUnix(path string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(fd, unix.SOMAXCONN); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("listen", err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Workers returns the workers for a pool.
func (s *Supervisor) Workers() []*Worker {
	var workers []*Worker
	for _, p := range s.processes {
		workers = append(workers, p.worker)
	}
	return workers
}

// Run starts the workers, tells pool which of them are up, and returns after
// Stop when all have ended.
func (s *Supervisor) Run(pool *Pool) {
	s.groups = watchGroups(s.opts.Logger)
	defer s.groups.close()
	for _, p := range s.processes {
		s.running.Go(func() { s.keepRunning(p, pool) })
	}
	spawnerDone := make(chan struct{})
	go s.spawner(spawnerDone)
	s.running.Wait()
	close(s.spawn)
	<-spawnerDone
	s.closeSockets()
}

// Stop asks the workers to finish what they are doing and end.
func (s *Supervisor) Stop() { s.stopOnce.Do(func() { close(s.stop) }) }

func (s *Supervisor) closeSockets() {
	for _, p := range s.processes {
		p.socket.Close()
		os.Remove(p.address)
	}
}

// spawner starts the children on one thread that lives as long as they do:
// the kernel sends a child its parent-death signal when the thread that
// started it ends, not when the process does (prctl(2), PR_SET_PDEATHSIG).
func (s *Supervisor) spawner(done chan<- struct{}) {
	runtime.LockOSThread()
	for start := range s.spawn {
		start()
	}
	close(done)
}

// keepRunning starts p's child again and again until Stop: at once, but when
// one after another dies without having answered anything, after a pause of
// 100 ms, twice that each time, at most 10 s.
func (s *Supervisor) keepRunning(p *process, pool *Pool) {
	log := s.opts.Logger.With("worker", p.worker.Name)
	for {
		start := time.Now()
		err := s.runOnce(p, pool, log)
		select {
		case <-s.stop:
			return
		default:
		}
		if p.worker.answered.Load() || time.Since(start) >= youngDeath {
			p.died = 0
		} else {
			p.died++
		}
		if p.died <= 1 {
			// What waits in the socket's backlog is answered by the next.
			log.Warn("worker ended, starting it again", "err", err)
			continue
		}
		pause := min(100*time.Millisecond<<min(p.died-2, 10), 10*time.Second)
		log.Error("worker ended before it answered anything, once more", "err", err, "again_in", pause)
		pool.SetDown(p.worker, true)
		p.refuseWaiting()
		select {
		case <-time.After(pause):
		case <-s.stop:
			return
		}
	}
}

// refuseWaiting closes the connections that wait in the socket's backlog:
// while no worker runs, their clients are better told than left waiting.
func (p *process) refuseWaiting() {
	fd := int(p.socket.Fd())
	for {
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil || ready == 0 {
			return
		}
		conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		unix.Close(conn)
	}
}

// runOnce runs one child to its end.
func (s *Supervisor) runOnce(p *process, pool *Pool, log *slog.Logger) error {
	cmd, output, err := s.command(p)
	if err != nil {
		return err
	}
	started := make(chan error)
	s.spawn <- func() { started <- cmd.Start() }
	err = <-started
	cmd.Stdout.(*os.File).Close()
	if err != nil {
		output.Close()
		return err
	}
	log.Info("worker started", "pid", cmd.Process.Pid)
	s.groups.add(cmd.Process.Pid)
	defer s.groups.remove(cmd.Process.Pid)
	p.child.Store(cmd.Process)
	defer p.child.Store(nil)
	p.worker.answered.Store(false)
	up := time.AfterFunc(p.probation(), func() { pool.SetDown(p.worker, false) })
	defer up.Stop()
	go logLines(output, log)

	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		killGroup(cmd, unix.SIGKILL) // children that it left behind
		if err == nil {
			err = errors.New("exit status 0")
		}
		return err
	case <-s.stop:
		killGroup(cmd, unix.SIGTERM)
		kill := time.AfterFunc(stopTimeout, func() {
			log.Warn("worker does not end, killing it", "after", stopTimeout)
			killGroup(cmd, unix.SIGKILL)
		})
		<-ended
		kill.Stop()
		killGroup(cmd, unix.SIGKILL)
		return nil
	}
}

// probation is how long a child must run before it gets requests.
func (p *process) probation() time.Duration {
	if p.died > 1 {
		return probation
	}
	return 0
}

// command prepares a child. sh sets LISTEN_PID, which must be the child's own
// process id (sd_listen_fds(3); scgi and Quixote check it) and so is known
// only between fork and exec.
func (s *Supervisor) command(p *process) (cmd *exec.Cmd, output *os.File, err error) {
	output, input, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	args := append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, s.opts.Command...)
	cmd = exec.Command("/bin/sh", args...)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "ALFORJA_WORKER="+p.worker.Name)
	cmd.ExtraFiles = []*os.File{p.socket}
	cmd.Stdout, cmd.Stderr = input, input
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd, output, nil
}

// killGroup signals the child and what it has forked. There may be nobody left.
func killGroup(cmd *exec.Cmd, sig unix.Signal) { _ = unix.Kill(-cmd.Process.Pid, sig) }

// logLines logs what a worker writes, a line at a time.
func logLines(output io.ReadCloser, log *slog.Logger) {
	defer output.Close()
	lines := bufio.NewReaderSize(output, 8<<10)
	for {
		line, _, err := lines.ReadLine()
		if err != nil {
			return
		}
		log.LogAttrs(context.Background(), slog.LevelInfo, "worker says", slog.String("line", string(line)))
	}
}
