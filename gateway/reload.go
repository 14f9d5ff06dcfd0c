package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// A generation is what a reload replaces as a whole. A request is answered by
// that in which it has begun.
type generation struct {
	opts    Options
	trusted *TrustedProxies
	handler http.Handler
	api     http.Handler // of the workers
}

// generation makes one of options that are checked and complete.
func (g *Gateway) generation(opts Options) (*generation, error) {
	trusted, err := ParseTrustedProxies(opts.TrustedProxies)
	if err != nil {
		return nil, err
	}
	handler := trusted.Handler(opts.ForwardedHeader, g.handler(&opts))
	return &generation{opts: opts, trusted: trusted, handler: handler, api: opts.Sessions.API()}, nil
}

// handler is a request's way, from the outside in.
func (g *Gateway) handler(opts *Options) http.Handler {
	var mounted byPrefix
	for i, p := range g.pools {
		mounted = append(mounted, prefixed{strings.TrimSuffix(p.config.Prefix, "/"), p.handler(g, opts, &opts.Pools[i])})
	}
	for prefix, handler := range opts.Handlers {
		mounted = append(mounted, prefixed{strings.TrimSuffix(prefix, "/"), handler})
	}
	return AccessLog(opts.AccessLog,
		BoundStalls(opts.StallTimeout,
			RefuseMalformed(
				ServeStatic(opts.Static, opts.Logger,
					BufferBodies(opts.MaxBody, g.spool, opts.Logger,
						opts.Sessions.Handler(mounted.sorted()))))))
}

// complete adds to options what is the gateway's.
func (g *Gateway) complete(opts *Options) {
	opts.Sessions.Logger = g.opts.Logger
	opts.Sessions.Store, opts.Sessions.queues = g.opts.Sessions.Store, g.opts.Sessions.queues
	if g.metrics != nil {
		opts.AccessLog = g.metrics.log(opts.AccessLog)
		opts.Sessions.refused = func(err error) { g.metrics.refused.WithLabelValues(refusedReason(err)).Inc() }
	}
}

var errReloading = errors.New("another reload, or a replacement of the program, is under way")

// Reload replaces the workers of all pools by fresh ones, as Supervisor.Reload
// does, and has requests that arrive from then on answered by other options;
// those that run end by the old ones. After an error everything is as it was.
//
// HTTP, HTTPS, SCGI, ProxyProtocol and what Unix sockets are like, Admin, RunDir,
// Logger and Sessions.Store stay as New was given them. Pools that are new,
// gone, or run as another user, another Mode and another Key are an error:
// half of that cannot be had.
//
// The options are those that read returns. The service manager is told of the
// reload while it lasts, and of its end, whatever that is.
func (g *Gateway) Reload(ctx context.Context, read func() (Options, error)) error {
	err := g.reload(ctx, read)
	if g.metrics != nil {
		g.metrics.reloaded(err)
	}
	return err
}

func (g *Gateway) reload(ctx context.Context, read func() (Options, error)) error {
	if !g.changing.TryLock() {
		return errReloading
	}
	defer g.changing.Unlock()
	ctx, cancel := g.untilDraining(ctx)
	defer cancel()
	select {
	case <-g.running:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if g.isDraining() { // another may speak to the service manager by now
		return errStopping
	}
	if g.announced.Load() { // the end of a reload says READY=1, which the start has yet to say
		defer notifyReloading(g.opts.Logger)()
	}
	opts, err := read()
	if err != nil {
		return err
	}
	opts.Sessions.Store = g.opts.Sessions.Store
	if err := opts.Check(); err != nil {
		return err
	}
	if err := g.refuseRestart(&opts); err != nil {
		return err
	}
	g.keepFixed(&opts)
	opts.setDefaults()
	g.complete(&opts)
	next, err := g.generation(opts)
	if err != nil {
		return err
	}
	fronts, err := g.otherFronts(next)
	if err != nil {
		return err
	}
	return g.reloadPools(ctx, &opts, func() error {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.isDraining() {
			return errStopping
		}
		g.now.Store(next)
		g.spool.limit.Store(opts.MaxSpool)
		g.replaceFronts(fronts)
		return nil
	})
}

// untilDraining ends a context, by errStopping, when the gateway is asked to stop.
func (g *Gateway) untilDraining(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-g.draining:
			cancel(errStopping)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

var errStopping = errors.New("the gateway is stopping")

// refuseRestart refuses options of which no half would do.
func (g *Gateway) refuseRestart(opts *Options) error {
	if len(opts.Pools) != len(g.pools) {
		return errors.New("pools were added or removed: that needs a restart")
	}
	for i := range opts.Pools {
		is, was := &opts.Pools[i], &g.pools[i].config
		if is.Name != was.Name || is.Prefix != was.Prefix || (len(is.Backends) > 0) != (len(was.Backends) > 0) {
			return fmt.Errorf("pool %q is another one: that needs a restart", is.Name)
		}
		if is.Supervised.Process.User != was.Supervised.Process.User { // whose the API socket is
			return errors.New("workers run as another user: that needs a restart")
		}
	}
	is, was := &opts.Sessions, &g.opts.Sessions
	switch {
	case (is.Mode == Shared) != (was.Mode == Shared):
		return errors.New("another mode, of which the old workers know nothing: that needs a restart")
	case !bytes.Equal(is.Key, was.Key):
		return errors.New("another key, which the old workers do not have: that needs a restart")
	}
	return nil
}

// keepFixed puts what cannot change while the gateway runs back to what it was.
func (g *Gateway) keepFixed(opts *Options) {
	is, was := &opts.FrontOptions, &g.opts.FrontOptions
	if !slices.Equal(is.HTTPS, was.HTTPS) {
		is.TLSCert, is.TLSKey = was.TLSCert, was.TLSKey
	}
	if !slices.Equal(is.ProxyProtocol, was.ProxyProtocol) { // whom to trust was meant for others
		is.TrustedProxies = g.now.Load().opts.TrustedProxies
	}
	is.HTTP, is.HTTPS, is.SCGI, is.ProxyProtocol = was.HTTP, was.HTTPS, was.SCGI, was.ProxyProtocol
	is.SocketMode, is.SocketOwner, is.SocketGroup = was.SocketMode, was.SocketOwner, was.SocketGroup
	opts.Admin, opts.RunDir, opts.Logger = g.opts.Admin, g.opts.RunDir, g.opts.Logger
}

// otherFronts makes fronts for the sockets of the present ones, by options of a
// generation that their servers cannot take while they run; none where those are
// the same.
func (g *Gateway) otherFronts(next *generation) ([]*front, error) {
	ofServers := func(o FrontOptions) FrontOptions {
		o.ForwardedHeader = ""
		if len(o.ProxyProtocol) == 0 {
			o.TrustedProxies = nil
		}
		return o
	}
	if reflect.DeepEqual(ofServers(next.opts.FrontOptions), ofServers(g.now.Load().opts.FrontOptions)) {
		return nil, nil
	}
	var others []*front
	for _, f := range g.frontsNow() {
		if f.isForClients() {
			others = append(others, &front{kind: f.kind, name: f.name, socket: f.socket, address: f.address})
		}
	}
	return others, g.equip(others, next)
}

// reloadPools has the workers of all pools replaced; swap is called when all
// of the new ones are ready and all of the old ones are still there.
func (g *Gateway) reloadPools(ctx context.Context, opts *Options, swap func() error) error {
	pools := opts.Pools
	reloads := make([]*reload, len(pools))
	failures := make([]error, len(pools))
	var starting sync.WaitGroup
	for i, p := range g.pools {
		if p.supervisor == nil {
			continue
		}
		starting.Go(func() {
			var err error
			if reloads[i], err = p.supervisor.prepareReload(ctx, g.supervised(opts, pools[i])); err != nil {
				failures[i] = fmt.Errorf("pool %s: %w", p.config.label(), err)
			}
		})
	}
	starting.Wait()
	err := errors.Join(failures...)
	if err == nil {
		err = swap()
	}
	for i, p := range g.pools {
		switch {
		case p.supervisor != nil && reloads[i] == nil:
		case p.supervisor != nil && err != nil:
			p.supervisor.abandonReload(reloads[i])
		case p.supervisor != nil:
			p.supervisor.finishReload(reloads[i])
		case err == nil:
			p.backends.set(pools[i])
		}
		if err == nil {
			p.pool.setLimits(pools[i].Queue)
		}
	}
	return err
}
