package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// A reload replaces all workers by processes of new options.
type reload struct {
	before          SupervisorOptions
	beforePreloader *preloader
	beforeNotifies  *atomic.Bool
	old             []*slot
	starting        []*slot // not ready yet
	started         []*slot
	ready           chan error // of capacity 1: nil when all of the new are ready, or why they are not
}

// has reports whether a reload depends on a slot.
func (r *reload) has(sl *slot) bool {
	return r != nil && len(r.starting) > 0 && (slices.Contains(r.starting, sl) || slices.Contains(r.started, sl))
}

// Reload starts workers by new options beside the present ones, and has these
// drain when all of the new are ready. When one of them ends before that, or
// takes longer than StartTimeout, the old ones stay and the error says why.
// Name, SocketDir, Keep and Logger remain as they are.
func (s *Supervisor) Reload(ctx context.Context, opts SupervisorOptions) error {
	r, err := s.prepareReload(ctx, opts)
	if err == nil {
		s.finishReload(r)
	}
	return err
}

// prepareReload starts the new workers and returns when they are ready; then
// finishReload or abandonReload is to be called.
func (s *Supervisor) prepareReload(ctx context.Context, opts SupervisorOptions) (*reload, error) {
	opts.Name, opts.SocketDir, opts.Keep, opts.Logger = s.fixed.Name, s.fixed.SocketDir, s.fixed.Keep, s.fixed.Logger
	opts.setDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	r := &reload{ready: make(chan error, 1)}
	s.do(func() { s.beginReload(r, opts) })
	select {
	case err := <-r.ready:
		if err != nil {
			return nil, err
		}
		return r, nil
	case <-s.done:
		return nil, errStopping
	case <-ctx.Done():
		s.abandonReload(r)
		return nil, context.Cause(ctx)
	}
}

func (s *Supervisor) beginReload(r *reload, opts SupervisorOptions) {
	if isClosed(s.stop) { // Run waits for the workers that there are
		r.ready <- errStopping
		return
	}
	if s.reload != nil {
		r.ready <- errReloading
		return
	}
	r.before, r.beforePreloader, r.beforeNotifies = s.opts, s.preloader, s.notifies
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
	if !slices.Equal(opts.Command, r.before.Command) {
		s.notifies = new(atomic.Bool)
	}
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
			if s.reload == r && len(r.starting) > 0 {
				s.reloadFailed(fmt.Errorf("not ready within %v", opts.StartTimeout))
			}
		})
	})
}

// reloadReady notes a slot of the reload; with the last of them the old ones may go.
func (s *Supervisor) reloadReady(sl *slot) {
	r := s.reload
	if r == nil || !slices.Contains(r.starting, sl) {
		return
	}
	r.starting = slices.DeleteFunc(r.starting, func(other *slot) bool { return other == sl })
	r.started = append(r.started, sl)
	if len(r.starting) == 0 {
		r.say(nil)
	}
}

// say tells prepareReload, unless it knows already.
func (r *reload) say(err error) {
	select {
	case r.ready <- err:
	default:
	}
}

// finishReload has the old workers go. A new one that has ended since it was
// ready is started again like any other.
func (s *Supervisor) finishReload(r *reload) {
	s.do(func() {
		if s.reload != r {
			return
		}
		for _, old := range r.old {
			s.retire(old, "reload")
		}
		r.beforePreloader.leave()
		s.reload = nil
	})
}

// abandonReload has the new workers go.
func (s *Supervisor) abandonReload(r *reload) {
	s.do(func() {
		if s.reload == r {
			s.reloadFailed(errors.New("given up"))
		}
	})
}

func (s *Supervisor) reloadFailed(err error) {
	r, preloader := s.reload, s.preloader
	s.opts, s.preloader, s.notifies, s.reload = r.before, r.beforePreloader, r.beforeNotifies, nil
	for _, sl := range append(r.starting, r.started...) {
		s.retire(sl, "reload failed")
	}
	preloader.leave()
	r.say(fmt.Errorf("the new workers do not start, the old ones stay: %w", err))
}
