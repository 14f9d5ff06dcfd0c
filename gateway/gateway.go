package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
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
	opts    Options
	runDir  *runDir
	pools   []*runningPool
	fronts  []front
	metrics *metrics
	started time.Time

	draining  chan struct{} // closed by Drain
	drainOnce sync.Once
	inherited inheritance
	handover  sync.Mutex
	lingering atomic.Bool // another gateway has taken over
}

// A front turns what arrives at a listener into calls of an http.Handler.
type front struct {
	kind     string // for logs
	listener net.Listener
	server   server

	// name and socket are what a gateway that replaces this one inherits; ""
	// for what is made anew.
	name   string
	socket net.Listener
}

// isForClients tells fronts of the application from those of workers and the
// operator.
func (f front) isForClients() bool { return f.kind != apiFront && f.kind != adminFront }

// apiFront and adminFront are kinds of fronts.
const (
	apiFront   = "api"
	adminFront = "admin"
)

// server is what http.Server and scgi.Server have in common.
type server interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
	Close() error
}

// New opens the listeners and makes everything ready that can fail. Requests
// that arrive are answered once Run is called.
func New(ctx context.Context, opts Options) (_ *Gateway, err error) {
	if err := opts.Check(); err != nil {
		return nil, err
	}
	opts.setDefaults()
	g := &Gateway{opts: opts, started: time.Now(), draining: make(chan struct{})}
	if len(opts.Admin.Addresses) > 0 { // figures cost time: only where somebody can read them
		g.metrics = newMetrics(g)
		g.opts.AccessLog = g.metrics.log(opts.AccessLog)
		g.opts.Sessions.Store = timedStore{opts.Sessions.Store, g.metrics}
		g.opts.Sessions.refused = func(err error) { g.metrics.refused.WithLabelValues(refusedReason(err)).Inc() }
	}
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
	g.opts.Sessions.Logger = opts.Logger
	for _, config := range opts.Pools {
		p, err := g.openPool(ctx, config)
		if err != nil {
			return nil, err
		}
		g.pools = append(g.pools, p)
	}
	if err := g.openFronts(ctx, g.handler()); err != nil {
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

// handler is a request's way, from the outside in.
func (g *Gateway) handler() http.Handler {
	var mounted byPrefix
	for _, p := range g.pools {
		mounted = append(mounted, prefixed{strings.TrimSuffix(p.config.Prefix, "/"), p.handler(g)})
	}
	for prefix, handler := range g.opts.Handlers {
		mounted = append(mounted, prefixed{strings.TrimSuffix(prefix, "/"), handler})
	}
	return AccessLog(g.opts.AccessLog,
		g.askToLeave(
			BoundStalls(g.opts.StallTimeout,
				RefuseMalformed(
					ServeStatic(g.opts.Static,
						BufferBodies(g.opts.MaxBody, g.opts.Logger,
							g.opts.Sessions.Handler(mounted.sorted())))))))
}

func httpServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

// open adds a front that is not for clients at an address.
func (g *Gateway) open(ctx context.Context, f front, address string) error {
	listeners, err := g.inherited.takeAll(f.name)
	if len(listeners) == 0 && err == nil {
		var listener net.Listener
		listener, err = listen(ctx, address)
		listeners = []net.Listener{listener}
	}
	if err != nil {
		return fmt.Errorf("listening for %s: %w", f.kind, err)
	}
	f.listener, f.socket = listeners[0], listeners[0]
	g.fronts = append(g.fronts, f)
	return nil
}

// Addrs returns the addresses at which the gateway listens, those of HTTP
// first, in the order of the options.
func (g *Gateway) Addrs() []net.Addr {
	var addrs []net.Addr
	for _, f := range g.fronts {
		if f.isForClients() {
			addrs = append(addrs, f.listener.Addr())
		}
	}
	return addrs
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
	failed := make(chan error, len(g.fronts))
	for _, f := range g.fronts {
		g.opts.Logger.Info("listening", "kind", f.kind, "address", f.listener.Addr().String())
		go func() { failed <- f.server.Serve(f.listener) }()
	}
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	go feedWatchdog(watching, g.opts.Logger, g.alive)
	go g.announceReady()
	var err error
	select {
	case err = <-failed:
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
	g.opts.Logger.Info("stopping: waiting for running requests", "at_most_ms", g.opts.DrainTimeout.Milliseconds())
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.opts.DrainTimeout)
	defer cancel()
	g.shutDown(drain, front.isForClients)
	// These go last: requests that were finishing may have needed the API, and
	// the operator may have wanted to see that.
	g.shutDown(drain, func(f front) bool { return !f.isForClients() })
	for _, p := range g.pools {
		p.pool.closeIdleConnections()
		if p.supervisor != nil {
			p.supervisor.Stop()
		}
	}
	for range supervised {
		err = errors.Join(err, <-workersEnded)
	}
	g.opts.Logger.Info("stopped")
	return err
}

// announceReady tells systemd, and the gateway that this one replaces, when
// the workers are up.
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
	notify(g.opts.Logger, fmt.Sprintf("MAINPID=%d\n%s", os.Getpid(), daemon.SdNotifyReady))
	g.inherited.tellReady()
}

// shutDown stops the chosen fronts at once and waits for their requests.
func (g *Gateway) shutDown(ctx context.Context, chosen func(front) bool) {
	var stopping sync.WaitGroup
	for _, f := range g.fronts {
		if !chosen(f) {
			continue
		}
		stopping.Go(func() {
			if err := f.server.Shutdown(ctx); err != nil {
				g.opts.Logger.Warn("requests cut off", "kind", f.kind, "err", err)
				f.server.Close()
			}
		})
	}
	stopping.Wait()
}

// release gives back what New has taken.
func (g *Gateway) release() {
	for _, f := range g.fronts {
		f.listener.Close()
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
