package storetest_test

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"alforja/store"
	"alforja/store/memory"
	"alforja/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// faultVariable has TestFault run the suite on a store with that fault.
const faultVariable = "STORETEST_FAULT"

// faults are mistakes that stores have been made with, and the tests that
// must find them.
var faults = map[string]struct {
	broken func(store.Store) store.Store
	found  []string
}{
	"no lock": {func(s store.Store) store.Store { return noLock{s} },
		[]string{"a-lock-excludes", "no-update-is-lost-under-the-lock"}},
	"upsert": {func(s store.Store) store.Store { return upsert{s} },
		[]string{"update-never-creates", "logged-out-stays-logged-out", "calls-happen-in-an-order"}},
	"truncate first": {func(s store.Store) store.Store { return truncateFirst{s} },
		[]string{"states-are-never-mixed", "calls-happen-in-an-order"}},
	"list then delete": {func(s store.Store) store.Store { return listThenDelete{s} },
		[]string{"a-session-saved-just-now-is-not-deleted-as-idle"}},
	"stale reads": {func(s store.Store) store.Store { return &staleReads{Store: s} },
		[]string{"calls-happen-in-an-order"}},
}

func TestFaultsAreFound(t *testing.T) {
	if os.Getenv(faultVariable) != "" {
		return // this is the process that TestFault runs in
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestFault$", "-test.v")
			cmd.Env = append(os.Environ(), faultVariable+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatal("the suite passes")
			}
			failed := regexp.MustCompile(`--- FAIL: TestFault/(\S+)`).FindAllStringSubmatch(string(out), -1)
			// Which of them depends on which calls happened to meet.
			if !slices.ContainsFunc(failed, func(f []string) bool { return slices.Contains(fault.found, f[1]) }) {
				t.Errorf("none of %v failed, but only %v", fault.found, failed)
			}
		})
	}
}

func TestFault(t *testing.T) {
	name := os.Getenv(faultVariable)
	if name == "" {
		return
	}
	storetest.Run(t, func(*testing.T) store.Store { return faults[name].broken(memory.New()) })
}

type noLock struct{ store.Store }

func (noLock) Lock(context.Context, string) (func(), error) { return func() {}, nil }

type upsert struct{ store.Store }

func (s upsert) Update(ctx context.Context, id string, state []byte) (bool, error) {
	found, err := s.Store.Update(ctx, id, state)
	if err == nil && !found {
		err = s.Create(ctx, id, state)
	}
	return found, err
}

type truncateFirst struct{ store.Store }

func (s truncateFirst) Update(ctx context.Context, id string, state []byte) (bool, error) {
	if len(state) > store.MaxStateBytes {
		return false, store.ErrTooLarge
	}
	if found, err := s.Store.Update(ctx, id, nil); !found || err != nil {
		return found, err
	}
	runtime.Gosched()
	return s.Store.Update(ctx, id, state)
}

type listThenDelete struct{ store.Store }

func (s listThenDelete) DeleteIdle(ctx context.Context, idle time.Duration) (deleted, remaining int, err error) {
	var old []string
	for info, err := range s.All(ctx, "") {
		if err != nil {
			return 0, 0, err
		}
		if time.Since(info.Modified) > idle {
			old = append(old, info.ID)
		} else {
			remaining++
		}
	}
	<-time.After(5 * time.Millisecond) // what a million sessions take longer
	for _, id := range old {
		if _, err := s.Delete(ctx, id); err != nil {
			return deleted, remaining, err
		}
		deleted++
	}
	return deleted, remaining, nil
}

// staleReads has a cache from which a writer removes the old state before it
// writes the new one, so that a reader may put the old one back.
type staleReads struct {
	store.Store
	cache sync.Map // of states by id
}

func (s *staleReads) Load(ctx context.Context, id string) ([]byte, bool, error) {
	if state, ok := s.cache.Load(id); ok {
		return state.([]byte), true, nil
	}
	state, found, err := s.Store.Load(ctx, id)
	runtime.Gosched()
	if found {
		s.cache.Store(id, state)
	}
	return state, found, err
}

func (s *staleReads) Update(ctx context.Context, id string, state []byte) (bool, error) {
	s.cache.Delete(id)
	return s.Store.Update(ctx, id, state)
}

func (s *staleReads) Delete(ctx context.Context, id string) (bool, error) {
	s.cache.Delete(id)
	return s.Store.Delete(ctx, id)
}
