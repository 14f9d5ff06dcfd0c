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
	"sync/atomic"
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

	mu      sync.Mutex // never held while the application is imported
	process *preloading
	slots   map[*slot]bool // that may still fork
	left    bool           // close when the last slot has gone
}

// preloading is one run of the process.
type preloading struct {
	cmd          *exec.Cmd
	conn         *net.UnixConn
	startTimeout time.Duration
	last         lastLines
	gone         chan struct{} // closed when the process has ended
	late         atomic.Bool   // it is ended because it did not answer

	asking sync.Mutex // has requests sent in the order of asked
	mu     sync.Mutex
	asked  []*forkRequest // not answered yet; the process answers in their order
	ended  map[int]chan syscall.WaitStatus
}

// forkRequest asks the process for a worker.
type forkRequest struct {
	answer    chan forked // of capacity 1
	abandoned bool        // nobody waits for the answer
}

// forked is a worker that the process has forked, or why it has not.
type forked struct {
	pid   int
	ended chan syscall.WaitStatus // of capacity 1
	err   error
}

// errPreloadLate is when the process has not answered for StartTimeout.
var errPreloadLate = errors.New("the preloading process was ended, for it had not answered within")

func (s *Supervisor) newPreloader() *preloader {
	if !s.opts.Preload {
		return nil
	}
	return &preloader{supervisor: s, opts: s.opts, slots: map[*slot]bool{}}
}

// fork has a worker forked for a slot, which waits until the application is
// imported, but no longer than StartTimeout: then the process is ended, so that
// the next attempt starts another.
func (p *preloader) fork(sl *slot, output *os.File) (pid int, wait func() syscall.WaitStatus, err error) {
	q, err := p.running(sl)
	if err != nil {
		return 0, nil, err
	}
	late := time.NewTimer(q.startTimeout)
	defer late.Stop()
	r, err := q.ask(sl, output)
	if err != nil {
		q.end()
		return 0, nil, q.failure()
	}
	select {
	case worker := <-r.answer:
		return worker.pid, func() syscall.WaitStatus { return <-worker.ended }, worker.err
	case <-q.gone:
		return 0, nil, q.failure()
	case <-late.C:
		q.late.Store(true)
		q.end()
		return 0, nil, q.failure()
	case <-sl.finishing:
		q.abandon(r)
		return 0, nil, errors.New("no longer needed")
	case <-p.supervisor.stop:
		q.abandon(r)
		return 0, nil, errors.New("stopping")
	}
}

// running returns the process, which is started if there is none.
func (p *preloader) running(sl *slot) (*preloading, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slots[sl] = true
	if p.process != nil && !p.process.over() {
		return p.process, nil
	}
	var err error
	p.process, err = p.start()
	return p.process, err
}

// ask sends a request. That takes long only when the socket is full of others.
func (q *preloading) ask(sl *slot, output *os.File) (*forkRequest, error) {
	q.asking.Lock()
	defer q.asking.Unlock()
	r := &forkRequest{answer: make(chan forked, 1)}
	q.mu.Lock()
	q.asked = append(q.asked, r)
	q.mu.Unlock()
	_ = q.conn.SetWriteDeadline(time.Now().Add(q.startTimeout)) // fails when it is closed
	text := sl.worker.Name + "\x00" + sl.notifyPath
	rights := unix.UnixRights(int(sl.socket.Fd()), int(output.Fd()))
	_, _, err := q.conn.WriteMsgUnix([]byte(text), rights, nil)
	return r, err
}

// abandon has the worker ended that is forked for a request.
func (q *preloading) abandon(r *forkRequest) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r.abandoned = true
	select {
	case worker := <-r.answer:
		q.kill(worker.pid)
	default:
	}
}

// kill ends a worker that runs. q.mu is held.
func (q *preloading) kill(pid int) {
	if q.ended[pid] != nil {
		_ = unix.Kill(-pid, unix.SIGKILL)
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
		startTimeout: p.opts.StartTimeout, gone: make(chan struct{}), ended: map[int]chan syscall.WaitStatus{},
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

// end has the process end.
func (q *preloading) end() { q.conn.Close() }

func (q *preloading) over() bool { return isClosed(q.gone) }

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

// note carries out "started PID", "failed REASON" and "ended PID STATUS".
func (q *preloading) note(words []string) {
	if len(words) < 2 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if words[0] == "failed" {
		q.answer(forked{err: fmt.Errorf("fork: %s", strings.Join(words[1:], " "))})
		return
	}
	pid, err := strconv.Atoi(words[1])
	if err != nil {
		return
	}
	switch {
	case words[0] == "started":
		q.ended[pid] = make(chan syscall.WaitStatus, 1)
		q.answer(forked{pid: pid, ended: q.ended[pid]})
	case words[0] == "ended" && len(words) == 3 && q.ended[pid] != nil:
		status, _ := strconv.ParseUint(words[2], 10, 32)
		q.ended[pid] <- syscall.WaitStatus(status)
		delete(q.ended, pid)
	}
}

// answer gives the first of the requests what is said of it. q.mu is held.
func (q *preloading) answer(worker forked) {
	r := &forkRequest{abandoned: true} // nobody has asked
	if len(q.asked) > 0 {
		r, q.asked = q.asked[0], q.asked[1:]
	}
	if r.abandoned {
		q.kill(worker.pid)
		return
	}
	r.answer <- worker
}

// failure says how the process has ended, when it has.
func (q *preloading) failure() error {
	<-q.gone
	if q.late.Load() {
		return fmt.Errorf("%w %v; it last said:\n%s", errPreloadLate, q.startTimeout, q.last.text())
	}
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
		p.process.end()
		<-p.process.gone
		p.process = nil
	}
}
