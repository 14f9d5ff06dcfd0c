package gateway

import (
	"context"
	"slices"
	"sync"

	"alforja/gateway/scgi"
)

// backends are the workers of a pool that others run.
type backends struct {
	pool      *Pool
	config    WorkerPool
	keep      bool                     // scgi.Transport's
	variables func() map[string]string // that a request without a session gets

	checks    sync.WaitGroup
	mu        sync.Mutex
	ctx       context.Context // of all checks, also of backends that finish what they are at
	end       context.CancelFunc
	byAddress map[string]backend
}

type backend struct {
	worker     *Worker
	stopChecks context.CancelFunc
}

// set has requests go to the addresses of a configuration, which is checked,
// and to no others. Backends that are no longer among them, and all where they
// are to be reached or looked at in another way, finish what they are at.
func (b *backends) set(config WorkerPool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	config.Health.setDefaults()
	otherwise := config.Health != b.config.Health || config.Concurrency != b.config.Concurrency ||
		config.Supervised.ScriptName != b.config.Supervised.ScriptName
	b.config = config
	for address, old := range b.byAddress {
		if otherwise || !slices.Contains(config.Backends, address) {
			b.pool.logger.Info("worker draining", "worker", address, "reason", "reload")
			b.pool.retire(old.worker, old.stopChecks)
			delete(b.byAddress, address)
		}
	}
	for _, address := range config.Backends {
		if _, known := b.byAddress[address]; known {
			continue
		}
		network, place, _ := ParseAddress(address) // it is checked
		b.byAddress[address] = b.add(address, &scgi.Transport{
			Network: network, Address: place, ScriptName: config.Supervised.ScriptName, Keep: b.keep,
			DialTimeout: config.Health.Timeout,
		})
	}
}

// add takes a backend in and has it looked at until close, or until it is no
// longer used.
func (b *backends) add(name string, transport *scgi.Transport) backend {
	w := &Worker{Name: name, Transport: transport, Concurrency: b.config.Concurrency}
	c := &checker{HealthCheck: b.config.Health, pool: b.pool, worker: w, due: b.pool.addChecked(w), variables: b.variables}
	ctx, cancel := context.WithCancel(b.ctx)
	b.checks.Go(func() { c.run(ctx) })
	return backend{worker: w, stopChecks: cancel}
}

// close ends all checks.
func (b *backends) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end()
	b.checks.Wait()
}
