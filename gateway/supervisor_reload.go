package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A reload replaces all workers by processes of new options.
type reload struct {
	before          SupervisorOptions
	beforePreloader *preloader
	old             []*slot
	starting        []*slot // not ready yet
	started         []*slot
	result          chan error
}

func (r *reload) has(sl *slot) bool {
	return r != nil && (slices.Contains(r.starting, sl) || slices.Contains(r.started, sl))
}

var errReloading = errors.New("another reload is under way")

// Reload starts workers by new options beside the present ones, and has these
// drain when all of the new are ready. When one of them ends before that, or
// takes longer than StartTimeout, the old ones stay and the error says why.
// Name, SocketDir, ScriptName, Keep, Concurrency and Logger remain as they are.
func (s *Supervisor) Reload(ctx context.Context, opts SupervisorOptions) error {
	opts.Name, opts.SocketDir, opts.ScriptName = s.opts.Name, s.opts.SocketDir, s.opts.ScriptName
	opts.Keep, opts.Concurrency, opts.Logger = s.opts.Keep, s.opts.Concurrency, s.opts.Logger
	opts.setDefaults()
	if err := opts.check(); err != nil {
		return err
	}
	result := make(chan error, 1)
	s.do(func() { s.beginReload(opts, result) })
	select {
	case err := <-result:
		return err
	case <-s.done:
		return errors.New("the gateway is stopping")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Supervisor) beginReload(opts SupervisorOptions, result chan error) {
	if s.reload != nil {
		result <- errReloading
		return
	}
	r := &reload{before: s.opts, beforePreloader: s.preloader, result: result}
	for _, sl := range s.slots {
		if sl.leaving {
			continue
		}
		if sl.replaces != nil { // itself not ready yet
			sl.replaces.replaced, sl.replaces = false, nil
			s.retire(sl, "reload")
			continue
		}
		r.old = append(r.old, sl)
	}
	s.opts, s.reload = opts, r
	s.preloader = s.newPreloader()
	for range min(max(len(r.old), opts.MinWorkers), opts.Workers) {
		sl, err := s.newSlot()
		if err != nil {
			s.reloadFailed(err)
			return
		}
		r.starting = append(r.starting, sl)
		s.keep(sl)
	}
	time.AfterFunc(opts.StartTimeout, func() {
		s.do(func() {
			if s.reload == r {
				s.reloadFailed(fmt.Errorf("not ready within %v", opts.StartTimeout))
			}
		})
	})
}

// reloadReady notes a slot of the reload; with the last of them the old ones go.
func (s *Supervisor) reloadReady(sl *slot) {
	r := s.reload
	if r == nil || !slices.Contains(r.starting, sl) {
		return
	}
	r.starting = slices.DeleteFunc(r.starting, func(other *slot) bool { return other == sl })
	r.started = append(r.started, sl)
	if len(r.starting) > 0 {
		return
	}
	for _, old := range r.old {
		s.retire(old, "reload")
	}
	r.beforePreloader.leave()
	s.reload = nil
	r.result <- nil
}

func (s *Supervisor) reloadFailed(err error) {
	r := s.reload
	s.preloader.leave()
	s.opts, s.preloader, s.reload = r.before, r.beforePreloader, nil
	for _, sl := range append(r.starting, r.started...) {
		s.retire(sl, "reload failed")
	}
	r.result <- fmt.Errorf("the new workers do not start, the old ones stay: %w", err)
}
