package gateway

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A preloader is a process that has imported the application and forks the
// workers of a generation of slots. The two speak over a SOCK_SEQPACKET socket,
// as docs/protocol.md says. The process is started with the first worker, and
// again when it has ended; its workers end with it. A nil *preloader is none.
type preloader struct {
	supervisor *Supervisor
	opts       SupervisorOptions

	mu      sync.Mutex // one fork at a time
	process *preloading
	slots   map[*slot]bool // that may still fork
	left    bool           // close when the last slot has gone
}

// preloading is one run of the process.
type preloading struct {
	cmd     *exec.Cmd
	conn    *net.UnixConn
	started chan forked // the answer to a request
	last    lastLines
	gone    chan struct{} // closed when the process has ended

	mu    sync.Mutex
	ended map[int]chan syscall.WaitStatus
}

// forked is a worker that the process has forked.
type forked struct {
	pid   int
	ended chan syscall.WaitStatus // of capacity 1
}

func (s *Supervisor) newPreloader() *preloader {
	if !s.opts.Preload {
		return nil
	}
	return &preloader{supervisor: s, opts: s.opts, slots: map[*slot]bool{}}
}

// fork has a worker forked for a slot, which waits until the application is
// imported.
func (p *preloader) fork(sl *slot, output *os.File) (pid int, wait func() syscall.WaitStatus, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slots[sl] = true
	if p.process != nil && p.process.over() {
		p.process = nil
	}
	if p.process == nil {
		if p.process, err = p.start(); err != nil {
			return 0, nil, err
		}
	}
	q := p.process
	request := sl.worker.Name + "\x00" + sl.notifyPath
	rights := unix.UnixRights(int(sl.socket.Fd()), int(output.Fd()))
	if _, _, err := q.conn.WriteMsgUnix([]byte(request), rights, nil); err != nil {
		return 0, nil, q.failure()
	}
	select {
	case worker := <-q.started:
		return worker.pid, func() syscall.WaitStatus { return <-worker.ended }, nil
	case <-q.gone:
		return 0, nil, q.failure()
	case <-sl.finishing:
		return 0, nil, errors.New("no longer needed")
	case <-p.supervisor.stop:
		return 0, nil, errors.New("stopping")
	}
}

// start runs the command with one end of a socket pair as descriptor 3.
func (p *preloader) start() (*preloading, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "preload"), os.NewFile(uintptr(pair[1]), "preload")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	output, input, err := os.Pipe()
	if err != nil {
		conn.Close()
		return nil, err
	}
	defer input.Close()
	q := &preloading{
		cmd: p.opts.command(input, theirs), conn: conn.(*net.UnixConn),
		started: make(chan forked), gone: make(chan struct{}), ended: map[int]chan syscall.WaitStatus{},
	}
	q.cmd.Env = append(q.cmd.Env, "ALFORJA_PRELOAD=3")
	if err := p.supervisor.startOnThread(q.cmd); err != nil {
		conn.Close()
		output.Close()
		return nil, err
	}
	log := p.opts.Logger.With("worker", "preload")
	log.Info("preloading the application", "pid", q.cmd.Process.Pid)
	p.supervisor.groups.add(q.cmd.Process.Pid)
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		q.last.readFrom(output, p.opts.hides, log)
	}()
	go q.watch(p.supervisor.groups, logged)
	return q, nil
}

func (q *preloading) over() bool {
	select {
	case <-q.gone:
		return true
	default:
		return false
	}
}

// watch reads what the process says until it has ended.
func (q *preloading) watch(groups *processGroups, logged <-chan struct{}) {
	buf := make([]byte, 128)
	for {
		n, err := q.conn.Read(buf)
		if n == 0 || err != nil {
			break
		}
		q.note(strings.Fields(string(buf[:n])))
	}
	q.conn.Close()
	_ = unix.Kill(-q.cmd.Process.Pid, unix.SIGKILL)
	_ = q.cmd.Wait()
	groups.remove(q.cmd.Process.Pid)
	select {
	case <-logged:
	case <-time.After(100 * time.Millisecond):
	}
	close(q.gone)
	q.mu.Lock()
	defer q.mu.Unlock()
	for pid, ended := range q.ended {
		_ = unix.Kill(-pid, unix.SIGKILL) // what its parent's death has left of it
		ended <- syscall.WaitStatus(unix.SIGKILL)
	}
}

// note carries out "started PID" and "ended PID STATUS".
func (q *preloading) note(words []string) {
	if len(words) < 2 {
		return
	}
	pid, err := strconv.Atoi(words[1])
	if err != nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case words[0] == "started":
		q.ended[pid] = make(chan syscall.WaitStatus, 1)
		select {
		case q.started <- forked{pid, q.ended[pid]}:
		case <-time.After(time.Second): // who has asked has left
			_ = unix.Kill(-pid, unix.SIGKILL)
		}
	case words[0] == "ended" && len(words) == 3 && q.ended[pid] != nil:
		status, _ := strconv.ParseUint(words[2], 10, 32)
		q.ended[pid] <- syscall.WaitStatus(status)
		delete(q.ended, pid)
	}
}

func (q *preloading) failure() error {
	<-q.gone
	return fmt.Errorf("the preloading process has ended (%v); it last said:\n%s", q.cmd.ProcessState, q.last.text())
}

// leave ends the process when its last slot has gone.
func (p *preloader) leave() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.left = true
	unused := len(p.slots) == 0
	p.mu.Unlock()
	if unused {
		p.close()
	}
}

// forget notes that a slot has gone.
func (p *preloader) forget(sl *slot) {
	if p == nil {
		return
	}
	p.mu.Lock()
	delete(p.slots, sl)
	unused := p.left && len(p.slots) == 0
	p.mu.Unlock()
	if unused {
		p.close()
	}
}

// close ends the process.
func (p *preloader) close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process != nil {
		p.process.conn.Close() // which ends it
		<-p.process.gone
		p.process = nil
	}
}
