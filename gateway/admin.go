package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// AdminOptions say what the operator can see and do, and where.
type AdminOptions struct {
	// Addresses are Unix sockets, made for their owner alone, or loopback
	// addresses: who reaches one may end the gateway. Default: none.
	Addresses []string
	// Profile serves /debug/pprof/ too. Default: false.
	Profile bool
	// Reload is what POST /reload does. Default: it is refused.
	Reload func(context.Context) error
}

func (o *AdminOptions) check() error {
	for _, address := range o.Addresses {
		network, place, err := ParseAddress(address)
		if err != nil {
			return &OptionsError{err.Error()}
		}
		if network == "unix" {
			continue
		}
		host, _, _ := net.SplitHostPort(place) // ParseAddress has
		if !isLoopback(host) {
			return &OptionsError{"admin address " + address + " can be reached from elsewhere: use unix:PATH or 127.0.0.1"}
		}
	}
	return nil
}

// Status is what GET /status of the admin address answers, as JSON.
type Status struct {
	PID        int          `json:"pid"`
	Started    time.Time    `json:"started"`
	Draining   bool         `json:"draining"`
	Goroutines int          `json:"goroutines"`
	Pools      []PoolStatus `json:"pools"`
}

// PoolStatus is one pool in a Status.
type PoolStatus struct {
	Name    string         `json:"name"`
	Prefix  string         `json:"prefix"`
	Waiting int            `json:"waiting"` // requests in the queue
	Workers []WorkerStatus `json:"workers"`
}

// Status tells how the gateway is.
func (g *Gateway) Status() Status {
	s := Status{PID: os.Getpid(), Started: g.started, Goroutines: runtime.NumGoroutine(), Draining: g.isDraining()}
	groups := processesByGroup()
	for _, p := range g.pools {
		status := PoolStatus{Name: p.config.Name, Prefix: p.config.Prefix}
		status.Workers, status.Waiting = p.status(groups)
		for i := range status.Workers {
			if w := &status.Workers[i]; w.PID != 0 {
				w.Private = privateBytes(groups[w.PID])
			}
		}
		s.Pools = append(s.Pools, status)
	}
	return s
}

func (g *Gateway) isDraining() bool { return isClosed(g.draining) }

// Drain has Run finish the running requests and return.
func (g *Gateway) Drain() { g.drainOnce.Do(func() { close(g.draining) }) }

// notReady says why the gateway should get no requests, or nil.
func (g *Gateway) notReady(ctx context.Context) error {
	if g.isDraining() {
		return errors.New("draining")
	}
	for _, p := range g.pools {
		workers, _ := p.pool.Status()
		able := func(w WorkerStatus) bool { return w.State == Idle || w.State == Busy }
		if !slices.ContainsFunc(workers, able) {
			return errors.New("pool " + p.config.Prefix + " has no worker that can answer")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	// An id that no session has: a look-up shows whether the store answers.
	_, _, err := g.opts.Sessions.Store.Load(ctx, "alforja-readyz")
	return err
}

// adminHandler answers the operator:
//
//	GET /healthz      200 while the process runs
//	GET /readyz       200 when it can answer requests, 503 and the reason when not
//	GET /status       a Status
//	GET /metrics      for Prometheus
//	POST /reload      fresh workers, and the configuration as it is now; 500 and the reason when refused
//	POST /drain       finish running requests and end
//	GET /debug/pprof/ when switched on
func (g *Gateway) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answerText(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := g.notReady(r.Context()); err != nil {
			answerText(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		answerText(w, http.StatusOK, "ready")
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(g.Status()) // only the connection can fail
	})
	mux.Handle("GET /metrics", g.metrics.handler())
	mux.HandleFunc("POST /reload", g.serveReload)
	mux.HandleFunc("POST /drain", func(w http.ResponseWriter, _ *http.Request) {
		answerText(w, http.StatusAccepted, "draining")
		g.Drain()
	})
	if g.opts.Admin.Profile {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return fromHereOnly(mux)
}

// fromHereOnly refuses what a page of another site has a browser on this machine
// ask for: every such page can send a POST to a loopback address (CSRF), and by
// a name of its own that resolves to it also read what is there (DNS rebinding).
func fromHereOnly(next http.Handler) http.Handler {
	sameOrigin := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, overTCP := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		if overTCP && !isLoopback(hostOnly(r.Host)) {
			answerText(w, http.StatusMisdirectedRequest, "not an address of this machine's own: "+r.Host)
			return
		}
		sameOrigin.ServeHTTP(w, r)
	})
}

// hostOnly is a host without its port.
func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (g *Gateway) serveReload(w http.ResponseWriter, r *http.Request) {
	if g.opts.Admin.Reload == nil {
		answerText(w, http.StatusNotImplemented, "this gateway cannot reload")
		return
	}
	if err := g.opts.Admin.Reload(context.WithoutCancel(r.Context())); err != nil {
		answerText(w, http.StatusInternalServerError, err.Error())
		return
	}
	answerText(w, http.StatusOK, "reloaded")
}

func answerText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}

// openAdmin opens the operator's addresses.
func (g *Gateway) openAdmin(ctx context.Context) error {
	for _, address := range g.opts.Admin.Addresses {
		f := &front{kind: adminFront, name: adminFront + " " + address, server: httpServer(g.adminHandler(), g.opts.Logger)}
		if err := g.open(ctx, f, address); err != nil {
			return err
		}
		if network, path, _ := ParseAddress(address); network == "unix" {
			if err := os.Chmod(path, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}
