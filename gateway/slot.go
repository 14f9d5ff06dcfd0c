package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"alforja/gateway/scgi"
)

// A slot is a worker's place: a socket that stays, and one process after
// another that accepts from it.
type slot struct {
	supervisor *Supervisor
	opts       *SupervisorOptions // those of its generation
	preloader  *preloader         // of its generation, or nil
	notifies   *atomic.Bool       // Supervisor.notifies, of its command
	worker     *Worker
	socket     *os.File
	address    string
	notifyPath string
	notify     *net.UnixConn // where processes say that they are ready
	log        *slog.Logger

	child      atomic.Pointer[child]
	saidReady  atomic.Bool   // the process has; it may do so before we know its number
	finishing  chan struct{} // closed when its process is to end for good
	finishOnce sync.Once

	// Of the supervisor's goroutine:
	replaces *slot     // is retired when this one is ready
	replaced bool      // another slot replaces this one
	leaving  bool      // drains
	first    bool      // one of those that were started first, and not ready yet
	deaths   int       // of processes, in a row, before they were ready
	due      time.Time // not to be replaced before; zero for at any time
}

// newSlot makes a slot's sockets.
func newSlot(name string, s *Supervisor) (*slot, error) {
	opts := s.opts
	sl := &slot{
		supervisor: s, opts: &opts, preloader: s.preloader, notifies: s.notifies,
		address:    filepath.Join(opts.SocketDir, fmt.Sprintf(workerSocket, name)),
		notifyPath: filepath.Join(opts.SocketDir, fmt.Sprintf(workerNotify, name)),
		log:        opts.Logger.With("worker", name),
		finishing:  make(chan struct{}),
	}
	socket, err := listenUnix(sl.address)
	if err != nil {
		return nil, err
	}
	sl.socket = socket
	if sl.notify, err = listenNotify(sl.notifyPath, opts.Process.uid()); err != nil {
		sl.close()
		return nil, err
	}
	sl.worker = &Worker{
		Name:        name,
		Transport:   &scgi.Transport{Network: "unix", Address: sl.address, ScriptName: opts.ScriptName, Keep: opts.Keep},
		Concurrency: opts.Concurrency,
		kill: func() {
			if c := sl.child.Load(); c != nil {
				c.abort()
			}
		},
		backlog: sl.backlog,
	}
	return sl, nil
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
	if err := unix.Chmod(path, 0o600); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("chmod", err)
	}
	if err := unix.Listen(fd, unix.SOMAXCONN); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("listen", err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// listenNotify makes the socket that sd_notify(3) writes to, for a process of
// user uid.
func listenNotify(path string, uid int) (*net.UnixConn, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	if err = os.Chmod(path, 0o600); err == nil {
		err = os.Chown(path, uid, -1)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (sl *slot) close() {
	sl.socket.Close()
	os.Remove(sl.address)
	if sl.notify != nil {
		sl.notify.Close()
		os.Remove(sl.notifyPath)
	}
}

// finish ends the slot's process for good.
func (sl *slot) finish() { sl.finishOnce.Do(func() { close(sl.finishing) }) }

// ended reports whether the slot's process is to end for good.
func (sl *slot) ended() bool { return isClosed(sl.finishing) || isClosed(sl.supervisor.stop) }

const (
	// A process that dies younger than this without having answered anything
	// is one that does not work.
	youngDeath = 30 * time.Second
	// probation is after what time a process counts as ready, where none has
	// ever said by itself that it is.
	probation = 5 * time.Second
)

// keepRunning starts one process after another: at once, but when one after
// the other dies without having answered anything, after a pause of 100 ms,
// twice that each time, at most 10 s.
func (sl *slot) keepRunning() {
	go sl.readNotifications()
	pool, died := sl.supervisor.pool, 0
	for {
		state := processStarting
		if died > 1 {
			state = processDead // gets no request before it is ready
		}
		lived, err := sl.runOnce(state)
		if sl.ended() {
			return
		}
		if sl.worker.answered.Load() || lived >= youngDeath {
			died = 0
		} else {
			died++
		}
		if died <= 1 {
			// What waits in the socket's backlog is answered by the next.
			sl.log.Warn("worker ended, starting it again", "state", Dead, "err", err)
			continue
		}
		pause := min(100*time.Millisecond<<min(died-2, 10), 10*time.Second)
		sl.log.Error("worker ended before it answered anything, once more", "state", Dead, "err", err, "again_in", pause)
		pool.setProcess(sl.worker, processDead)
		sl.refuseWaiting()
		select {
		case <-time.After(pause):
		case <-sl.finishing:
			return
		case <-sl.supervisor.stop:
			return
		}
	}
}

// backlog reports whether connections wait in the socket's backlog.
func (sl *slot) backlog() bool {
	fds := []unix.PollFd{{Fd: int32(sl.socket.Fd()), Events: unix.POLLIN}}
	for {
		ready, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return err == nil && ready > 0
		}
	}
}

// refuseWaiting closes the connections that wait in the socket's backlog:
// while no process runs, their clients are better told than left waiting.
func (sl *slot) refuseWaiting() {
	fd := int(sl.socket.Fd())
	for sl.backlog() {
		conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		unix.Close(conn)
	}
}

// runOnce runs one process to its end, which the error tells of.
func (sl *slot) runOnce(state processState) (lived time.Duration, err error) {
	s := sl.supervisor
	sl.worker.answered.Store(false)
	sl.saidReady.Store(false)
	s.pool.setProcess(sl.worker, state) // to start one may take long
	c, err := startChild(sl)
	if err != nil {
		if !sl.ended() && !errors.Is(err, errPreloadLate) {
			s.do(func() { s.diedYoung(sl, err, false) })
		}
		return 0, err
	}
	sl.log.Info("worker started", "state", Starting, "pid", c.pid)
	s.groups.add(c.pid)
	defer s.groups.remove(c.pid)
	s.pool.startProcess(sl.worker, state, sl.opts.Recycle.requests())
	sl.child.Store(c)
	defer sl.child.Store(nil)
	if sl.saidReady.Load() {
		sl.ready()
	}
	silent := sl.expectReady(c)
	defer silent.Stop()

	select {
	case <-c.ended:
		c.signal(unix.SIGKILL) // what it left behind
		// What has left its process group may hold them open, and nobody would answer there.
		sl.worker.Transport.CloseIdleConnections()
		err := c.failure()
		if !c.ready.Load() {
			s.do(func() { s.diedYoung(sl, err, c.status.Signaled()) })
		}
		return time.Since(c.started), err
	case <-sl.finishing:
	case <-s.stop:
	}
	c.finish()
	sl.log.Info("worker ended", "state", Dead, "pid", c.pid)
	return time.Since(c.started), nil
}

// expectReady waits for a process to be ready: until it says so, where one of
// this command has ever said anything by sd_notify(3); it is ended when that takes longer than
// StartTimeout. Of others it is assumed after a while.
func (sl *slot) expectReady(c *child) *time.Timer {
	return time.AfterFunc(min(probation, sl.opts.StartTimeout), func() {
		if !sl.notifies.Load() {
			sl.ready()
			return
		}
		time.AfterFunc(sl.opts.StartTimeout-min(probation, sl.opts.StartTimeout), func() {
			if !c.ready.Load() && !c.over() {
				sl.log.Error("worker is not ready in time, ending it", "pid", c.pid, "after_ms", sl.opts.StartTimeout.Milliseconds())
				c.abort()
			}
		})
	})
}

// ready notes, once, that the present process can answer requests.
func (sl *slot) ready() {
	c := sl.child.Load()
	if c == nil || !c.ready.CompareAndSwap(false, true) {
		return
	}
	s := sl.supervisor
	s.pool.setProcess(sl.worker, processReady)
	sl.log.Info("worker ready", "state", Idle, "pid", c.pid, "after_ms", time.Since(c.started).Milliseconds())
	go s.do(func() {
		sl.deaths = 0
		s.ready(sl)
	})
}

// readNotifications waits for READY=1 from process after process. Those that
// do not know of it are ready after a while.
func (sl *slot) readNotifications() {
	buf := make([]byte, 4096)
	for {
		n, err := sl.notify.Read(buf)
		if err != nil {
			return
		}
		// Whoever says anything, what it is at (STATUS=) for one, will also say READY=1.
		sl.notifies.Store(true)
		for line := range strings.Lines(string(buf[:n])) {
			if strings.TrimSpace(line) == "READY=1" {
				sl.saidReady.Store(true)
				sl.ready()
			}
		}
	}
}
