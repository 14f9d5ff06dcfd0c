package gateway

import (
	"fmt"
	"log/slog"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// SupervisorOptions say which worker processes run, and how.
type SupervisorOptions struct {
	// Command and its arguments. Required.
	Command []string
	// Name stands before the workers' names: "shop" makes "shop-1".
	Name string
	// Workers is how many processes run it at most. Default: 4.
	Workers int
	// MinWorkers is how many run at least. Default: Workers, a pool of fixed
	// size.
	MinWorkers int
	// SpareWorkers is how many a pool between MinWorkers and Workers keeps
	// idle, ready for the next request. Default: 1.
	SpareWorkers int
	// WorkerIdle is how long one beyond SpareWorkers may be idle before it is
	// ended. Default: 1 min.
	WorkerIdle time.Duration
	// Recycle says when a process is replaced by a fresh one.
	Recycle Recycle
	// Process is what each process runs in.
	Process ProcessOptions
	// Preload has Command run once, import the application, and fork the
	// workers from there: they share its memory. The command must be
	// alforja.worker or speak what docs/protocol.md says of preloading.
	// Default: false.
	Preload bool
	// StartTimeout is how long a process that replaces another may take until
	// it is ready, and one that preloads until it forks. Default: 1 min.
	StartTimeout time.Duration
	// SocketDir is where the workers' sockets are made; nobody else may reach
	// into it. Required.
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

	hides *regexp.Regexp // in what processes print, or nil
}

func (o *SupervisorOptions) setDefaults() {
	if o.Workers == 0 {
		o.Workers = 4
	}
	if o.MinWorkers == 0 {
		o.MinWorkers = o.Workers
	}
	if o.SpareWorkers == 0 {
		o.SpareWorkers = 1
	}
	if o.WorkerIdle == 0 {
		o.WorkerIdle = time.Minute
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// A Supervisor runs the worker processes of a Pool, each with a listening
// socket as its descriptor 3 by the LISTEN_FDS convention of systemd. It starts
// them again when they die, replaces them when they are due, runs as many as
// the load asks for, and takes them along when it ends, whatever way it ends.
//
// All that it knows of its slots is touched by one goroutine, which Run is:
// others send it functions.
type Supervisor struct {
	fixed    SupervisorOptions // those that NewSupervisor was given
	opts     SupervisorOptions
	pool     *Pool
	slots    []*slot
	reload   *reload      // the one under way, or nil
	proven   bool         // a worker was ready once
	notifies *atomic.Bool // a worker of the present command has said something by sd_notify(3)
	failure  error        // why Run ends by itself
	starting int          // of the first workers, how many have not been ready

	preloader *preloader // of the present options, or nil

	groupsSeen map[int][]groupProcess // at the last look

	groups   *processGroups
	spawn    chan func()
	events   chan func()
	stop     chan struct{}
	stopOnce sync.Once
	up       chan struct{} // closed when all of the first workers have been ready
	done     chan struct{}
	running  sync.WaitGroup
}

// NewSupervisor makes the sockets and has the pool know of the workers.
// Connections are accepted by the kernel from now on; they are answered when
// Run has started the workers.
func NewSupervisor(opts SupervisorOptions, pool *Pool) (*Supervisor, error) {
	opts.setDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	s := &Supervisor{
		fixed: opts, opts: opts, pool: pool,
		spawn: make(chan func()), events: make(chan func()), stop: make(chan struct{}), done: make(chan struct{}),
		up: make(chan struct{}), notifies: new(atomic.Bool),
	}
	s.preloader = s.newPreloader()
	for range opts.MinWorkers {
		sl, err := s.newSlot()
		if err != nil {
			s.closeSockets()
			return nil, err
		}
		sl.first = true
		s.starting++
	}
	return s, nil
}

func (o *SupervisorOptions) check() error {
	if o.MinWorkers > o.Workers {
		return &OptionsError{fmt.Sprintf("min workers %d is more than workers %d", o.MinWorkers, o.Workers)}
	}
	if err := o.Process.check(); err != nil { // first: the command is looked for in its directory
		return err
	}
	if err := o.Process.find(o.Command[0]); err != nil {
		return fmt.Errorf("worker command: %w", err)
	}
	return nil
}

// newSlot makes one more worker known to the pool; its process is not started.
func (s *Supervisor) newSlot() (*slot, error) {
	name, number := "", 1
	for taken := true; taken; number++ {
		name = strings.TrimPrefix(s.opts.Name+"-"+strconv.Itoa(number), "-")
		taken = slices.ContainsFunc(s.slots, func(other *slot) bool { return other.worker.Name == name })
	}
	sl, err := newSlot(name, s)
	if err != nil {
		return nil, fmt.Errorf("socket of worker %s: %w", name, err)
	}
	s.slots = append(s.slots, sl)
	s.pool.add(sl.worker, processStarting)
	return sl, nil
}

// Run starts the workers and looks after them until Stop; then it returns when
// all have ended. The error says that no worker has ever started.
func (s *Supervisor) Run() error {
	defer close(s.done)
	s.groups = watchGroups(s.opts.Logger)
	defer s.groups.close()
	spawnerDone := make(chan struct{})
	go s.spawner(spawnerDone)
	for _, sl := range s.slots {
		s.keep(sl)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for stopped := false; !stopped; {
		select {
		case event := <-s.events:
			event()
		case <-s.pool.pressure:
		case <-tick.C:
			s.look()
		case <-s.stop:
			stopped = true
		}
		s.recycle()
		s.scale()
	}
	if s.failure != nil {
		close(s.pool.gone) // or requests would wait for what does not come
	}
	ended := make(chan struct{})
	go func() { s.running.Wait(); close(ended) }()
	for alive := true; alive; {
		select {
		case event := <-s.events:
			event()
		case <-ended:
			alive = false
		}
	}
	s.preloader.close()
	close(s.spawn)
	<-spawnerDone
	s.closeSockets()
	return s.failure
}

// keep has a slot's process started, again and again.
func (s *Supervisor) keep(sl *slot) {
	s.running.Go(func() {
		sl.keepRunning()
		s.do(func() { s.remove(sl) })
	})
}

// do has the goroutine of Run do something, unless Run has returned.
func (s *Supervisor) do(event func()) {
	select {
	case s.events <- event:
	case <-s.done:
	}
}

// Stop asks the workers to finish what they are doing and end.
func (s *Supervisor) Stop() { s.stopOnce.Do(func() { close(s.stop) }) }

func (s *Supervisor) closeSockets() {
	for _, sl := range s.slots {
		sl.close()
	}
	s.slots = nil
}

// remove forgets a slot whose process has ended for good.
func (s *Supervisor) remove(sl *slot) {
	s.slots = slices.DeleteFunc(s.slots, func(other *slot) bool { return other == sl })
	sl.close()
	sl.preloader.forget(sl)
}

// waitNoLonger has the start wait for one of the first workers no longer: it is
// ready, or others that are ready have taken its place.
func (s *Supervisor) waitNoLonger(sl *slot) {
	if !sl.first {
		return
	}
	sl.first = false
	if s.starting--; s.starting == 0 {
		close(s.up)
	}
}

// retire has a slot finish what it is at and end.
func (s *Supervisor) retire(sl *slot, reason string) {
	sl.leaving = true
	s.waitNoLonger(sl)
	s.opts.Logger.Info("worker draining", "worker", sl.worker.Name, "state", Draining, "reason", reason)
	s.pool.retire(sl.worker, sl.finish)
}

// ready notes that a slot's process can answer requests.
func (s *Supervisor) ready(sl *slot) {
	s.proven = true
	s.waitNoLonger(sl)
	if old := sl.replaces; old != nil {
		sl.replaces = nil
		s.retire(old, "replaced by worker "+sl.worker.Name)
	}
	s.reloadReady(sl)
}

// diedYoung notes that a slot's process has ended without having been ready,
// for the nth time in a row. At the start, when none has ever been, that is
// the end: a typing error in --factory is better told than repeated. Not so when
// a signal has ended it then: whoever ends all of us, such as a terminal, signals the
// workers too, which may be the first to go.
func (s *Supervisor) diedYoung(sl *slot, err error, signaled bool) {
	if sl.replaces != nil || s.reload.has(sl) {
		if sl.deaths++; sl.deaths >= maxYoungDeaths {
			s.giveUp(sl, err)
		}
		return
	}
	if signaled && !s.proven {
		return
	}
	sl.deaths++
	if s.proven || slices.ContainsFunc(s.slots, func(other *slot) bool { return other.deaths == 0 }) {
		return
	}
	s.failure = fmt.Errorf("the workers do not start: %w", err)
	s.Stop()
}

// maxYoungDeaths is how often a process that is to replace another may end
// before it is ready; then the other stays.
const maxYoungDeaths = 2

// giveUp ends the attempt to replace a slot's process.
func (s *Supervisor) giveUp(sl *slot, err error) {
	if s.reload.has(sl) {
		s.reloadFailed(err)
		return
	}
	s.opts.Logger.Error("the replacement does not start, the old worker stays", "worker", sl.replaces.worker.Name, "err", err)
	sl.replaces.due = time.Now().Add(retryReplacing)
	sl.replaces.replaced = false
	sl.replaces = nil
	s.retire(sl, "does not start")
}

// retryReplacing is how long a worker stays whose replacement did not start.
const retryReplacing = time.Minute

// addProcesses fills in what only the supervisor knows, unless that is at
// something that takes long: who looks at a gateway is not to wait with it.
func (s *Supervisor) addProcesses(workers []WorkerStatus) {
	done := make(chan struct{})
	add := func() {
		defer close(done)
		for i := range workers {
			for _, sl := range s.slots {
				if c := sl.child.Load(); c != nil && sl.worker.Name == workers[i].Name {
					workers[i].PID = c.pid
				}
			}
		}
	}
	select {
	case s.events <- add:
		<-done
	case <-s.done:
	case <-time.After(statusPatience):
	}
}

// statusPatience is how long the supervisor may take to tell of its processes.
const statusPatience = time.Second

// startOnThread starts a command on the spawner's thread.
func (s *Supervisor) startOnThread(cmd *exec.Cmd) error {
	started := make(chan error)
	s.spawn <- func() { started <- cmd.Start() }
	return <-started
}

// kernelTimerSlack is the kernel's default, in nanoseconds.
const kernelTimerSlack = 50_000

// spawner starts the children on one thread that lives as long as they do:
// the kernel sends a child its parent-death signal when the thread that
// started it ends, not when the process does (prctl(2), PR_SET_PDEATHSIG).
func (s *Supervisor) spawner(done chan<- struct{}) {
	runtime.LockOSThread()
	// What this program has set for itself is not for its workers: their sleeps
	// are to end when the kernel would end them.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, kernelTimerSlack, 0, 0, 0)
	for start := range s.spawn {
		start()
	}
	close(done)
}
