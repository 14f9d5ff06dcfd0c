package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// WorkerPool says which workers answer the requests below a path.
type WorkerPool struct {
	// Name stands before the workers' names in logs: "shop" makes "shop-1".
	// Default: none.
	Name string
	// Prefix is the path that the pool answers, and all below it. Of several
	// the longest counts. Default: "/".
	Prefix string
	// Supervised are the processes to run. Its SocketDir, Keep and Logger are
	// set by the gateway. Either its Command or Backends.
	Supervised SupervisorOptions
	// Backends are addresses of workers started elsewhere.
	Backends []string
	// Health is how Backends are looked at.
	Health HealthCheck
	// Concurrency is how many requests one worker or backend gets at a time.
	// Default: 1.
	Concurrency int
	// Queue is for requests that find no worker free.
	Queue PoolOptions
	// RequestTimeout is Proxy's.
	RequestTimeout time.Duration
}

// check says what is wrong, and with which of several pools.
func (p *WorkerPool) check(sessions *Sessions) error {
	err := p.checkAll(sessions)
	if wrong := (*OptionsError)(nil); p.Name != "" && errors.As(err, &wrong) {
		return &OptionsError{fmt.Sprintf("pool %s: %s", p.Name, wrong.Reason)}
	}
	return err
}

func (p *WorkerPool) checkAll(sessions *Sessions) error {
	for name, value := range map[string]int64{
		"workers":            int64(p.Supervised.Workers),
		"min workers":        int64(p.Supervised.MinWorkers),
		"spare workers":      int64(p.Supervised.SpareWorkers),
		"worker idle":        int64(p.Supervised.WorkerIdle),
		"max requests":       int64(p.Supervised.Recycle.Requests),
		"max age":            int64(p.Supervised.Recycle.Age),
		"max memory":         p.Supervised.Recycle.Memory,
		"start timeout":      int64(p.Supervised.StartTimeout),
		"worker concurrency": int64(p.Concurrency),
		"queue length":       int64(p.Queue.QueueLength),
		"queue wait":         int64(p.Queue.QueueWait),
		"request timeout":    int64(p.RequestTimeout),
		"health interval":    int64(p.Health.Interval),
		"health timeout":     int64(p.Health.Timeout),
	} {
		if value < 0 {
			return &OptionsError{name + " is negative"}
		}
	}
	for _, path := range []string{p.Prefix, p.Supervised.ScriptName} {
		if path != "" && path[0] != '/' {
			return &OptionsError{fmt.Sprintf("path %q does not begin with a slash", path)}
		}
	}
	if err := p.Health.check(p.Supervised.ScriptName); err != nil {
		return err
	}
	switch {
	case len(p.Supervised.Command) > 0 && len(p.Backends) > 0:
		return &OptionsError{"both a worker command and a backend: set one of them"}
	case len(p.Supervised.Command)+len(p.Backends) == 0:
		return &OptionsError{"no workers: set a command or a backend"}
	}
	if len(p.Supervised.Command) > 0 {
		supervised := p.Supervised
		supervised.setDefaults()
		return supervised.check()
	}
	for _, backend := range p.Backends {
		network, _, err := ParseAddress(backend)
		if err != nil {
			return &OptionsError{err.Error()}
		}
		if network == "tcp" && sessions.Mode != Shared && sessions.Key == nil {
			return &OptionsError{fmt.Sprintf("backend %s gets session states over TCP: set a key, so that workers can tell them from a stranger's, or use a unix: address", backend)}
		}
	}
	return nil
}

// runningPool is a WorkerPool at work.
type runningPool struct {
	config     WorkerPool // that New was given: its name and prefix are the present ones
	pool       *Pool
	supervisor *Supervisor // nil with backends
	backends   *backends   // nil without
	apiPath    string      // "" in shared mode
}

// openPool makes a pool's sockets.
func (g *Gateway) openPool(ctx context.Context, config WorkerPool) (_ *runningPool, err error) {
	config.Queue.Logger = g.opts.Logger.With("pool", config.label())
	config.Health.setDefaults()
	p := &runningPool{config: config, pool: NewPool(nil, config.Queue)}
	process := config.Supervised.Process
	if err := process.check(); err != nil {
		return nil, err
	}
	if err := g.runDir.admit(&process); err != nil {
		return nil, err
	}
	keep := g.opts.Sessions.Mode != Shared // docs/protocol.md: no variables of ours
	if keep {
		if err := g.openAPI(ctx, p, &process); err != nil {
			return nil, err
		}
	}
	if len(config.Backends) == 0 {
		p.supervisor, err = NewSupervisor(g.supervised(&g.opts, config), p.pool)
		return p, err
	}
	p.backends = &backends{
		pool: p.pool, config: config, keep: keep, byAddress: map[string]backend{},
		variables: func() map[string]string {
			return (&visit{sessions: &g.opts.Sessions, nonce: newNonce()}).variables(p.apiPath)
		},
	}
	p.backends.ctx, p.backends.end = context.WithCancel(context.Background())
	p.backends.set(config)
	return p, nil
}

// status is Pool.Status with what is known of the workers' processes, which are
// among groups, but for WorkerStatus.Private.
func (p *runningPool) status(groups map[int][]groupProcess) (workers []WorkerStatus, waiting int) {
	workers, waiting = p.pool.Status()
	if p.supervisor == nil {
		return workers, waiting
	}
	p.supervisor.addProcesses(workers)
	for i := range workers {
		if w := &workers[i]; w.PID != 0 {
			w.Resident = residentBytes(groups[w.PID])
		}
	}
	return workers, waiting
}

// supervised returns the supervisor's options of a pool.
func (g *Gateway) supervised(opts *Options, config WorkerPool) SupervisorOptions {
	s := config.Supervised
	s.SocketDir = g.runDir.path
	s.Keep = g.opts.Sessions.Mode != Shared
	s.Concurrency = config.Concurrency
	s.Name = config.Name
	s.Logger = g.opts.Logger
	s.hides = idsBehind(cmp.Or(opts.Sessions.CookieName, standardCookie))
	return s
}

// openAPI opens the socket by which a pool's workers reach other sessions. It
// belongs to their user.
func (g *Gateway) openAPI(ctx context.Context, p *runningPool, process *ProcessOptions) error {
	suffix := ""
	if p.config.Name != "" {
		suffix = "-" + p.config.Name
	}
	p.apiPath = filepath.Join(g.runDir.path, fmt.Sprintf(apiSocket, suffix))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.now.Load().api.ServeHTTP(w, r) })
	if err := g.open(ctx, &front{kind: apiFront, server: httpServer(handler, g.opts.Logger)}, "unix:"+p.apiPath); err != nil {
		return err
	}
	if err := os.Chmod(p.apiPath, 0o600); err != nil {
		return err
	}
	return os.Chown(p.apiPath, process.uid(), -1)
}

// handler has the pool's workers answer.
func (p *runningPool) handler(g *Gateway, opts *Options, config *WorkerPool) http.Handler {
	return &Proxy{
		Pool:           p.pool,
		RequestTimeout: config.RequestTimeout,
		Buffer:         opts.Response,
		Spool:          g.spool,
		Sendfile:       opts.Sendfile,
		APIPath:        p.apiPath,
		Logger:         opts.Logger,
	}
}

// byPrefix is a handler that chooses among pools and handlers by path.
type byPrefix []prefixed

type prefixed struct {
	prefix  string // without a slash at its end
	handler http.Handler
}

// sorted puts the longest prefix first.
func (b byPrefix) sorted() byPrefix {
	slices.SortFunc(b, func(x, y prefixed) int { return len(y.prefix) - len(x.prefix) })
	return b
}

func (b byPrefix) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, p := range b {
		if rest, below := strings.CutPrefix(r.URL.Path, p.prefix); below && (rest == "" || rest[0] == '/') {
			p.handler.ServeHTTP(w, r)
			return
		}
	}
	fail(w, http.StatusNotFound, "nothing is mounted here")
}

// label is what messages call the pool.
func (p *WorkerPool) label() string {
	if p.Name == "" {
		return p.Prefix
	}
	return p.Name
}
