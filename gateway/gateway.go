package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"alforja/gateway/scgi"
)

// Options say what a Gateway does.
type Options struct {
	// HTTP and SCGI are the addresses to listen at, as ParseAddress reads
	// them. At least one of either.
	HTTP, SCGI []string
	// Command is run by Workers processes. Either it or Backends.
	Command []string
	// Workers is how many processes run Command. Default: 4.
	Workers int
	// Backends are addresses of workers started elsewhere.
	Backends []string
	// WorkerConcurrency is how many requests one worker or backend gets at a
	// time. Default: 1.
	WorkerConcurrency int
	// Sessions resolves and commits sessions. Its APIPath and Logger are set
	// by the gateway.
	Sessions Sessions
	// SocketMode is the mode of the Unix sockets among HTTP and SCGI; who may
	// write to one may send requests. Default: what the umask leaves of 0777.
	SocketMode os.FileMode
	// ScriptName is the path that the application is mounted at, "/" or
	// "/app"; what is not below it is answered 404. Default: what an SCGI
	// front server says, or "/".
	ScriptName string
	// MaxBody is how long a request body may be, in bytes. Default: 1 GiB.
	MaxBody int64
	// QueueLength and QueueWait are those of PoolOptions.
	QueueLength int
	QueueWait   time.Duration
	// RequestTimeout is Proxy's.
	RequestTimeout time.Duration
	// DrainTimeout is how long requests may take to finish when the gateway
	// is asked to stop. Default: 30 s.
	DrainTimeout time.Duration
	// RunDir is where the directory for the workers' sockets is made.
	// Default: the system's temporary directory.
	RunDir string
	// Logger gets everything, the access log too. Default: slog.Default().
	Logger *slog.Logger
}

// A Gateway listens, and answers requests by Quixote workers with their
// sessions.
type Gateway struct {
	opts       Options
	runDir     *runDir
	supervisor *Supervisor // nil with Backends
	pool       *Pool
	fronts     []front
}

// A front turns what arrives at a listener into calls of an http.Handler.
type front struct {
	kind     string // for logs
	listener net.Listener
	server   server
}

// server is what http.Server and scgi.Server have in common.
type server interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
	Close() error
}

// New opens the listeners and makes everything ready that can fail. Requests
// that arrive are answered once Run is called.
func New(ctx context.Context, opts Options) (_ *Gateway, err error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	opts.setDefaults()
	g := &Gateway{opts: opts}
	defer func() {
		if err != nil {
			g.release()
		}
	}()
	if g.runDir, err = newRunDir(opts.RunDir); err != nil {
		return nil, err
	}
	workers, err := g.workers()
	if err != nil {
		return nil, err
	}
	g.pool = NewPool(workers, PoolOptions{QueueLength: opts.QueueLength, QueueWait: opts.QueueWait})
	sessions := &g.opts.Sessions
	sessions.Logger = opts.Logger
	if sessions.Mode != Shared {
		sessions.APIPath = filepath.Join(g.runDir.path, apiSocket)
		if err := g.open(ctx, "api", "unix:"+sessions.APIPath, httpServer(sessions.API(), opts.Logger)); err != nil {
			return nil, err
		}
		if err := os.Chmod(sessions.APIPath, 0o600); err != nil {
			return nil, err
		}
	}
	handler := g.handler()
	for _, address := range opts.HTTP {
		if err := g.openFront(ctx, "http", address, httpServer(handler, opts.Logger)); err != nil {
			return nil, err
		}
	}
	for _, address := range opts.SCGI {
		if err := g.openFront(ctx, "scgi", address, &scgi.Server{Handler: handler, Logger: opts.Logger}); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// An OptionsError says which options do not make a gateway.
type OptionsError struct{ Reason string }

func (e *OptionsError) Error() string { return e.Reason }

// check refuses options that do not make a gateway.
func (o *Options) check() error {
	for name, value := range map[string]int64{
		"workers":            int64(o.Workers),
		"worker concurrency": int64(o.WorkerConcurrency),
		"max body":           o.MaxBody,
		"queue length":       int64(o.QueueLength),
		"queue wait":         int64(o.QueueWait),
		"request timeout":    int64(o.RequestTimeout),
		"drain timeout":      int64(o.DrainTimeout),
		"lock wait":          int64(o.Sessions.LockWait),
	} {
		if value < 0 {
			return &OptionsError{name + " is negative"}
		}
	}
	for _, path := range append([]string{o.ScriptName}, o.Sessions.Skip...) {
		if path != "" && path[0] != '/' {
			return &OptionsError{fmt.Sprintf("path %q does not begin with a slash", path)}
		}
	}
	switch {
	case len(o.HTTP)+len(o.SCGI) == 0:
		return &OptionsError{"no address to listen at: set http or scgi"}
	case len(o.Command) > 0 && len(o.Backends) > 0:
		return &OptionsError{"both a worker command and a backend: set one of them"}
	case len(o.Command)+len(o.Backends) == 0:
		return &OptionsError{"no workers: set a command or a backend"}
	case o.Sessions.Store == nil:
		return &OptionsError{"no session store: set store"}
	}
	for _, address := range slices.Concat(o.HTTP, o.SCGI) {
		if _, _, err := ParseAddress(address); err != nil {
			return &OptionsError{err.Error()}
		}
	}
	for _, backend := range o.Backends {
		network, _, err := ParseAddress(backend)
		if err != nil {
			return &OptionsError{err.Error()}
		}
		if network == "tcp" && o.Sessions.Mode != Shared && o.Sessions.Key == nil {
			return &OptionsError{fmt.Sprintf("backend %s gets session states over TCP: set a key, so that workers can tell them from a stranger's, or use a unix: address", backend)}
		}
	}
	return nil
}

func (o *Options) setDefaults() {
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
}

// workers returns the pool's workers: supervised ones, or backends.
func (g *Gateway) workers() ([]*Worker, error) {
	keep := g.opts.Sessions.Mode != Shared // docs/protocol.md: no variables of ours
	if len(g.opts.Backends) == 0 {
		supervisor, err := NewSupervisor(SupervisorOptions{
			Command:     g.opts.Command,
			Workers:     g.opts.Workers,
			SocketDir:   g.runDir.path,
			ScriptName:  g.opts.ScriptName,
			Keep:        keep,
			Concurrency: g.opts.WorkerConcurrency,
			Logger:      g.opts.Logger,
		})
		if err != nil {
			return nil, err
		}
		g.supervisor = supervisor
		return supervisor.Workers(), nil
	}
	var workers []*Worker
	for _, backend := range g.opts.Backends {
		network, address, err := ParseAddress(backend)
		if err != nil {
			return nil, err
		}
		workers = append(workers, &Worker{
			Name:        backend,
			Transport:   &scgi.Transport{Network: network, Address: address, ScriptName: g.opts.ScriptName, Keep: keep},
			Concurrency: g.opts.WorkerConcurrency,
		})
	}
	return workers, nil
}

// handler is a request's way, from the outside in.
func (g *Gateway) handler() http.Handler {
	proxy := &Proxy{Pool: g.pool, RequestTimeout: g.opts.RequestTimeout, Logger: g.opts.Logger}
	return AccessLog(g.opts.Logger,
		BoundStalls(stallLimit,
			RefuseMalformed(
				BufferBodies(g.opts.MaxBody, g.opts.Logger,
					g.opts.Sessions.Handler(proxy)))))
}

// RefuseMalformed returns a handler that answers 400 to requests that no
// application is meant to see: a path that is not absolute (CONNECT,
// "OPTIONS *") or holds a NUL, which would forge variables in the SCGI block.
func RefuseMalformed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "" && r.Method != http.MethodConnect {
			r.URL.Path = "/" // RFC 9112 section 3.2.2: "GET http://host"
		}
		if !strings.HasPrefix(r.URL.Path, "/") || strings.IndexByte(r.URL.Path, 0) >= 0 {
			w.Header().Set("Connection", "close")
			fail(w, http.StatusBadRequest, "malformed path")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func httpServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

// openFront adds a front for clients.
func (g *Gateway) openFront(ctx context.Context, kind, address string, server server) error {
	if err := g.open(ctx, kind, address, server); err != nil {
		return err
	}
	network, path, err := ParseAddress(address)
	if err != nil || network != "unix" || g.opts.SocketMode == 0 {
		return err
	}
	return os.Chmod(path, g.opts.SocketMode)
}

// open adds a front at an address.
func (g *Gateway) open(ctx context.Context, kind, address string, server server) error {
	listener, err := listen(ctx, address)
	if err != nil {
		return fmt.Errorf("listening for %s: %w", kind, err)
	}
	g.fronts = append(g.fronts, front{kind: kind, listener: listener, server: server})
	return nil
}

// Addrs returns the addresses at which the gateway listens, those of HTTP
// first, in the order of the options.
func (g *Gateway) Addrs() []net.Addr {
	var addrs []net.Addr
	for _, f := range g.fronts {
		if f.kind != "api" {
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
	workersDone := make(chan struct{})
	go func() {
		defer close(workersDone)
		if g.supervisor != nil {
			g.supervisor.Run(g.pool)
		}
	}()
	failed := make(chan error, len(g.fronts))
	for _, f := range g.fronts {
		g.opts.Logger.Info("listening", "kind", f.kind, "address", f.listener.Addr().String())
		go func() { failed <- f.server.Serve(f.listener) }()
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	g.opts.Logger.Info("stopping: waiting for running requests", "at_most", g.opts.DrainTimeout)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.opts.DrainTimeout)
	defer cancel()
	g.shutDown(drain, func(f front) bool { return f.kind != "api" })
	// The API goes last: requests that were finishing may have needed it.
	g.shutDown(drain, func(f front) bool { return f.kind == "api" })
	g.pool.closeIdleConnections()
	if g.supervisor != nil {
		g.supervisor.Stop()
	}
	<-workersDone
	g.opts.Logger.Info("stopped")
	return err
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
	if g.supervisor != nil {
		g.supervisor.closeSockets()
	}
	if g.runDir != nil {
		g.runDir.remove()
	}
}
