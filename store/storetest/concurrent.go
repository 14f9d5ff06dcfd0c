package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"alforja/store"
)

func lock(t *testing.T, s store.Store, id string) (unlock func()) {
	t.Helper()
	unlock, err := s.Lock(t.Context(), id)
	if err != nil {
		t.Fatalf("Lock(%s): %v", id, err)
	}
	return unlock
}

// callAll calls every method that takes an id, and returns the errors by
// the methods' names.
func callAll(t *testing.T, s store.Store, id string) map[string]error {
	return callAllContext(t.Context(), s, id)
}

func callAllContext(ctx context.Context, s store.Store, id string) map[string]error {
	errs := make(map[string]error)
	state := pickled('c', 10)
	_, _, errs["Load"] = s.Load(ctx, id)
	errs["Create"] = s.Create(ctx, id, state)
	_, errs["Update"] = s.Update(ctx, id, state)
	_, errs["Touch"] = s.Touch(ctx, id)
	_, errs["SetAside"] = s.SetAside(ctx, id, state)
	_, errs["Delete"] = s.Delete(ctx, id)
	unlock, err := s.Lock(ctx, id)
	if err == nil {
		unlock()
	}
	errs["Lock"] = err
	return errs
}

func testEndedContext(t *testing.T, s store.Store) {
	create(t, s, "a", pickled('1', 10))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range callAllContext(ctx, s, "a") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s = %v, want context.Canceled", name, err)
		}
	}
	for _, err := range s.All(ctx, "") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("All = %v, want context.Canceled", err)
		}
	}
	if _, _, err := s.DeleteIdle(ctx, -time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("DeleteIdle = %v, want context.Canceled", err)
	}
	wantState(t, s, "a", pickled('1', 10))
}

func testLockExcludes(t *testing.T, s store.Store) {
	var inside atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				unlock, err := s.Lock(t.Context(), "a")
				if err != nil {
					t.Error(err)
					return
				}
				if inside.Add(1) != 1 {
					t.Error("two hold the lock")
				}
				runtime.Gosched() // let another in, if it can
				inside.Add(-1)
				unlock()
			}
		})
	}
	wg.Wait()
}

func testLocksApart(t *testing.T, s store.Store) {
	var unlocks []func()
	for i := range 100 {
		unlocks = append(unlocks, lock(t, s, fmt.Sprint(i)))
	}
	for _, unlock := range unlocks {
		unlock()
	}
}

func testLockNeedsNoSession(t *testing.T, s store.Store) {
	lock(t, s, "nobody")()
	wantMissing(t, s, "nobody")
	if n := len(list(t, s)); n != 0 {
		t.Errorf("the lock has made %d sessions", n)
	}
}

// waiters starts n goroutines that wait for the lock one after the other, so
// that their order is known, and returns what they write their numbers to.
// It waits for the clock between them: from outside a waiter cannot be seen.
func waiters(t *testing.T, s store.Store, n int) <-chan int {
	served := make(chan int, n)
	for i := range n {
		started := make(chan struct{})
		go func() {
			close(started)
			unlock, err := s.Lock(t.Context(), "a")
			if err != nil {
				t.Error(err)
			} else {
				served <- i
				unlock()
			}
			if i == n-1 {
				close(served)
			}
		}()
		<-started
		awaitClock(time.Now(), 20*time.Millisecond)
	}
	return served
}

func testLockOrder(t *testing.T, s store.Store) {
	unlock := lock(t, s, "a")
	served := waiters(t, s, 8)
	unlock()
	var order []int
	for i := range served {
		order = append(order, i)
	}
	if !slices.IsSorted(order) || len(order) != 8 {
		t.Errorf("served in the order %v", order)
	}
}

func testLockCancel(t *testing.T, s store.Store) {
	defer lock(t, s, "a")()
	cancelled, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	timeout, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	for _, ctx := range []context.Context{cancelled, timeout} {
		unlock, err := s.Lock(ctx, "a")
		if !errors.Is(err, store.ErrBusy) || !errors.Is(err, ctx.Err()) || unlock != nil {
			t.Errorf("Lock = %v, want ErrBusy and %v", err, ctx.Err())
		}
	}
}

func testLockLeave(t *testing.T, s store.Store) {
	unlock := lock(t, s, "a")
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := s.Lock(ctx, "a")
		left <- err
	}()
	served := waiters(t, s, 1)
	cancel()
	if err := <-left; !errors.Is(err, store.ErrBusy) {
		t.Errorf("Lock = %v, want ErrBusy", err)
	}
	unlock()
	if _, ok := <-served; !ok {
		t.Error("the next in line was not served")
	}
}

// counter is a number as a state of 9 bytes.
func counter(n uint32) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0x80, 4, 'C', 4}, n), '.')
}

func testNoLostUpdate(t *testing.T, s store.Store) {
	const clients, rounds = 32, 20
	create(t, s, "a", counter(0))
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range rounds {
				unlock, err := s.Lock(t.Context(), "a")
				if err != nil {
					t.Error(err)
					return
				}
				state, _, err := s.Load(t.Context(), "a")
				runtime.Gosched()
				if err != nil || len(state) != 9 {
					t.Errorf("Load = %q, %v", state, err)
				} else if _, err := s.Update(t.Context(), "a", counter(binary.BigEndian.Uint32(state[4:])+1)); err != nil {
					t.Error(err)
				}
				unlock()
			}
		})
	}
	wg.Wait()
	wantState(t, s, "a", counter(clients*rounds))
}

// Crowd has 64 waiters ask for one session again and again, until each has had ten turns, and others among
// them who give up. Nobody waits long for a turn, however often others ask, and none is lost.
// Run does this for each store; the tests of a store with descriptors count those before and after.
func Crowd(t *testing.T, s store.Store) {
	const waiters, leavers, turns, longest = 64, 8, 10, 5 * time.Second // 64 turns take a tenth of a second
	create(t, s, "crowded", counter(0))
	var waiting, total atomic.Int64
	waiting.Store(waiters)
	turn := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), longest)
		defer cancel()
		unlock, err := s.Lock(ctx, "crowded")
		if err != nil {
			return err
		}
		defer unlock()
		state, _, err := s.Load(ctx, "crowded")
		if err != nil || len(state) != 9 {
			return errors.Join(fmt.Errorf("load of %q", state), err)
		}
		awaitClock(time.Now(), 500*time.Microsecond) // a request, in which those before line up again
		_, err = s.Update(ctx, "crowded", counter(binary.BigEndian.Uint32(state[4:])+1))
		return err
	}
	var wg sync.WaitGroup
	for i := range waiters {
		wg.Go(func() {
			for had := 0; waiting.Load() > 0; {
				if err := turn(); err != nil {
					t.Errorf("waiter %d after %d turns: %v", i, had, err)
					waiting.Store(0)
					return
				}
				total.Add(1)
				if had++; had == turns {
					waiting.Add(-1)
				}
			}
		})
	}
	for range leavers {
		wg.Go(func() {
			for waiting.Load() > 0 {
				impatient, leave := context.WithTimeout(t.Context(), time.Millisecond)
				if unlock, err := s.Lock(impatient, "crowded"); err == nil {
					unlock()
				}
				leave()
			}
		})
	}
	wg.Wait()
	wantState(t, s, "crowded", counter(uint32(total.Load())))
}

func testCreateRace(t *testing.T, s store.Store) {
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			switch err := s.Create(t.Context(), "a", pickled(byte('a'+i), 5000)); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, store.ErrExists):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := won.Load(); n != 1 {
		t.Errorf("%d creates won", n)
	}
}

// testNeverMixed has writers of different sizes race without the lock: a
// reader sees one of the states, whole.
func testNeverMixed(t *testing.T, s store.Store) {
	create(t, s, "a", pickled('a', 100))
	want := make(map[string]bool)
	var wg sync.WaitGroup
	for i, n := range []int{100, 258, 4000, 5000, 70_000} {
		state := pickled(byte('a'+i), n)
		want[string(state)] = true
		wg.Go(func() {
			for range 40 {
				if found, err := s.Update(t.Context(), "a", state); !found || err != nil {
					t.Errorf("Update = %v, %v", found, err)
				}
			}
		})
	}
	for range 4 {
		wg.Go(func() {
			for range 100 {
				if state, found, err := s.Load(t.Context(), "a"); err != nil || !found || !want[string(state)] {
					t.Errorf("Load = %.40q (%d bytes), %v, %v", state, len(state), found, err)
				}
			}
		})
	}
	wg.Wait()
}

func testLogout(t *testing.T, s store.Store) {
	for round := range 10 {
		id := fmt.Sprintf("user%d", round)
		create(t, s, id, pickled('a', 100))
		var loggedOut atomic.Bool
		var wg sync.WaitGroup
		for i := range 32 {
			state := pickled(byte('a'+i%26), 100+i%2*5000)
			wg.Go(func() {
				for {
					late := loggedOut.Load()
					found, err := s.Update(t.Context(), id, state)
					if err != nil && !errors.Is(err, store.ErrBusy) {
						t.Error(err)
					}
					if late && found {
						t.Error("Update has found a session that was deleted before")
					}
					if late {
						return
					}
				}
			})
		}
		if found, err := s.Delete(t.Context(), id); !found || err != nil {
			t.Errorf("Delete = %v, %v", found, err)
		}
		loggedOut.Store(true)
		wg.Wait()
		wantMissing(t, s, id)
	}
	if n := len(list(t, s)); n != 0 {
		t.Errorf("%d sessions are back", n)
	}
}

// testWriterAmongReaders has readers who leave no gap between them: a save, a touch and a logout
// get their turn all the same.
func testWriterAmongReaders(t *testing.T, s store.Store) {
	const readers, rounds, longest = 16, 10, 5 * time.Second // of a machine that has much else to do
	create(t, s, "a", pickled('a', 100))
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	var all sync.WaitGroup // are reading
	all.Add(readers)
	for range readers {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if _, _, err := s.Load(t.Context(), "a"); err != nil {
					t.Errorf("Load: %v", err)
				}
				if n == 0 {
					all.Done()
				}
			}
		})
	}
	all.Wait()
	do := func(name string, call func() (bool, error)) {
		begun := time.Now()
		found, err := call()
		if took := time.Since(begun); !found || err != nil || took > longest {
			t.Errorf("%s = %v, %v after %v", name, found, err, took)
		}
	}
	for range rounds {
		for _, n := range []int{100, 9000} {
			do("Update", func() (bool, error) { return s.Update(t.Context(), "a", pickled('b', n)) })
		}
		do("Touch", func() (bool, error) { return s.Touch(t.Context(), "a") })
	}
	do("Delete", func() (bool, error) { return s.Delete(t.Context(), "a") })
}
