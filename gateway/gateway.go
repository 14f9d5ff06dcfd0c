package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Options say what a Gateway does.
type Options struct {
	FrontOptions
	// Pools are the workers. At least one, or a handler of Handlers.
	Pools []WorkerPool
	// Handlers answer the requests below a path in Go, with the same sessions
	// as the pools, between which the longest path decides. Default: none.
	Handlers map[string]http.Handler
	// Sessions resolves and commits sessions. Its Logger is set by the
	// gateway.
	Sessions Sessions
	// Static are directories whose files are served below a path without a
	// worker: {"/static": "/srv/app/static"}. Default: none.
	Static map[string]string
	// Sendfile is Proxy's.
	Sendfile []string
	// Response is Proxy's Buffer.
	Response ResponseLimits
	// Admin is for the operator.
	Admin AdminOptions
	// MaxBody is how long a request body may be, in bytes. Default: 1 GiB.
	MaxBody int64
	// MaxSpool is what the request bodies and responses that are too long for
	// memory may take of the system's temporary directory, all together, in
	// bytes. A request that finds no room is answered 503, a response holds its
	// worker instead. Default: 8 GiB.
	MaxSpool int64
	// DrainTimeout is how long requests may take to finish when the gateway
	// is asked to stop. Default: 30 s.
	DrainTimeout time.Duration
	// RunDir is where the directory for the workers' sockets is made.
	// Default: the system's temporary directory.
	RunDir string
	// AccessLog writes one line a request. Default: LogRequests(Logger).
	AccessLog RequestLog
	// Logger gets everything else. Default: slog.Default().
	Logger *slog.Logger
}

// A Gateway listens, and answers requests by Quixote workers with their
// sessions.
type Gateway struct {
	opts    Options // that New was given: read for what no reload changes
	now     atomic.Pointer[generation]
	runDir  *runDir
	pools   []*runningPool
	metrics *metrics
	spool   *Spool
	started time.Time

	mu       sync.Mutex
	fronts   []*front
	replaced []*front // that finish what they have
	failed   chan error

	running   chan struct{} // closed when all fronts accept connections
	draining  chan struct{} // closed by Drain
	drainOnce sync.Once
	inherited inheritance
	changing  sync.Mutex  // held by a reload or a handover
	lingering atomic.Bool // another gateway has taken over
	announced atomic.Bool // the service manager knows that the workers are up
}

// New opens the listeners and makes everything ready that can fail. Requests
// that arrive are answered once Run is called.
func New(ctx context.Context, opts Options) (_ *Gateway, err error) {
	if err := opts.Check(); err != nil {
		return nil, err
	}
	opts.setDefaults()
	g := &Gateway{opts: opts, spool: NewSpool(opts.MaxSpool), started: time.Now(), failed: make(chan error, 1), running: make(chan struct{}), draining: make(chan struct{})}
	if len(opts.Admin.Addresses) > 0 { // figures cost time: only where somebody can read them
		g.metrics = newMetrics(g)
		g.opts.Sessions.Store = timedStore{opts.Sessions.Store, g.metrics}
	}
	g.opts.Sessions.queues = newLockQueues()
	g.complete(&g.opts)
	defer func() {
		if err != nil {
			g.release()
		}
	}()
	if g.inherited, err = inherit(); err != nil {
		return nil, err
	}
	defer g.inherited.closeRest()
	if g.runDir, err = newRunDir(opts.RunDir); err != nil {
		return nil, err
	}
	for _, config := range opts.Pools {
		p, err := g.openPool(ctx, config)
		if err != nil {
			return nil, err
		}
		g.pools = append(g.pools, p)
	}
	first, err := g.generation(g.opts)
	if err != nil {
		return nil, err
	}
	g.now.Store(first)
	if err := g.openFronts(ctx, first); err != nil {
		return nil, err
	}
	if err := g.openAdmin(ctx); err != nil {
		return nil, err
	}
	return g, nil
}

// methods are those of RFC 9110 section 9.3 and RFC 5789 that an application
// answers.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
}

// An OptionsError says which options do not make a gateway.
type OptionsError struct{ Reason string }

func (e *OptionsError) Error() string { return e.Reason }

// Check says why New would refuse these options: an *OptionsError, or what the
// system says of a file or a command that they name. It opens nothing that New
// then finds taken.
func (o *Options) Check() error {
	for name, value := range map[string]int64{
		"max body":      o.MaxBody,
		"max spool":     o.MaxSpool,
		"drain timeout": int64(o.DrainTimeout),
		"lock wait":     int64(o.Sessions.LockWait),
		"lock queue":    int64(o.Sessions.LockQueue),
	} {
		if value < 0 {
			return &OptionsError{name + " is negative"}
		}
	}
	for _, path := range slices.Concat(o.Sessions.Skip, slices.Collect(maps.Keys(o.Handlers))) {
		if path != "" && path[0] != '/' {
			return &OptionsError{fmt.Sprintf("path %q does not begin with a slash", path)}
		}
	}
	for _, method := range o.Sessions.SharedMethods {
		if !slices.Contains(methods, method) {
			return &OptionsError{fmt.Sprintf("shared method %q: want one of %s", method, strings.Join(methods, ", "))}
		}
	}
	switch {
	case len(o.Pools)+len(o.Handlers) == 0:
		return &OptionsError{"no workers: set a command or a backend"}
	case o.Sessions.Store == nil:
		return &OptionsError{"no session store: set store"}
	}
	if err := errors.Join(o.FrontOptions.check(), o.checkFiles(), o.Response.check(), o.Admin.check()); err != nil {
		return err
	}
	mounted := map[string]bool{}
	for i := range o.Pools {
		p := &o.Pools[i]
		if err := p.check(&o.Sessions); err != nil {
			return err
		}
		if at := strings.TrimSuffix(p.Prefix, "/"); mounted[at] {
			return &OptionsError{fmt.Sprintf("two pools answer %q", at+"/")}
		} else {
			mounted[at] = true
		}
	}
	return nil
}

func (o *Options) setDefaults() {
	o.FrontOptions.setDefaults()
	if o.MaxBody == 0 {
		o.MaxBody = 1 << 30
	}
	if o.MaxSpool == 0 {
		o.MaxSpool = 8 << 30
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = 30 * time.Second
	}
	if o.RunDir == "" {
		o.RunDir = os.TempDir()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.AccessLog == nil {
		o.AccessLog = LogRequests(o.Logger)
	}
}

// Run serves until ctx ends, then lets running requests finish, for at most
// DrainTimeout, and stops the workers. The error is that of a listener that
// failed.
func (g *Gateway) Run(ctx context.Context) error {
	defer g.release()
	workersEnded := make(chan error, len(g.pools))
	supervised := 0
	for _, p := range g.pools {
		if p.supervisor != nil {
			supervised++
			go func() { workersEnded <- p.supervisor.Run() }()
		}
	}
	for _, f := range g.frontsNow() {
		g.opts.Logger.Info("listening", "kind", f.kind, "address", f.socket.Addr().String())
	}
	replaces := g.inherited.ready != nil
	g.serveFronts(func(f *front) bool { return !replaces || f.name == "" })
	if !replaces {
		close(g.running)
	}
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	go feedWatchdog(watching, g.opts.Logger, g.alive)
	go g.announceReady()
	var err error
	select {
	case err = <-g.failed:
	case err = <-workersEnded:
		supervised--
	case <-ctx.Done():
	case <-g.draining:
	}
	g.Drain()
	if g.lingering.Load() {
		g.linger()
	} else {
		notify(g.opts.Logger, daemon.SdNotifyStopping)
	}
	timeout := g.now.Load().opts.DrainTimeout
	g.opts.Logger.Info("stopping: waiting for running requests", "at_most_ms", timeout.Milliseconds())
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	g.shutDown(drain, (*front).isForClients)
	// These go last: requests that were finishing may have needed the API, and
	// the operator may have wanted to see that.
	g.shutDown(drain, func(f *front) bool { return !f.isForClients() })
	for _, p := range g.pools {
		p.pool.closeIdleConnections()
		if p.supervisor != nil {
			p.supervisor.Stop()
		}
	}
	for range supervised {
		err = errors.Join(err, <-workersEnded)
	}
	g.changing.Lock() // a handover that this cuts short has to end what it has started
	defer g.changing.Unlock()
	g.opts.Logger.Info("stopped")
	return err
}

// serveFronts has the chosen fronts accept connections.
func (g *Gateway) serveFronts(chosen func(*front) bool) {
	for _, f := range g.frontsNow() {
		if chosen(f) {
			g.serve(f)
		}
	}
}

// announceReady tells systemd, and the gateway that this one replaces, when
// the workers are up. Only now does it accept connections that the other one
// could: should the workers not start, none is lost.
func (g *Gateway) announceReady() {
	for _, p := range g.pools {
		if p.supervisor == nil {
			continue
		}
		select {
		case <-p.supervisor.up:
		case <-p.supervisor.done:
			return
		}
	}
	if g.inherited.ready != nil {
		g.serveFronts(func(f *front) bool { return f.name != "" })
		close(g.running)
	}
	notify(g.opts.Logger, fmt.Sprintf("MAINPID=%d\n%s", os.Getpid(), daemon.SdNotifyReady))
	g.announced.Store(true)
	g.inherited.tellReady()
}

// release gives back what New has taken.
func (g *Gateway) release() {
	for _, f := range g.frontsNow() {
		f.socket.Close()
	}
	for _, p := range g.pools {
		if p.supervisor != nil {
			p.supervisor.closeSockets()
		}
		if p.backends != nil {
			p.backends.close()
		}
	}
	if g.runDir != nil {
		g.runDir.remove()
	}
}
