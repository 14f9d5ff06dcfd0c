package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"alforja/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestKeyedMutexCancelledBeforehand(t *testing.T) {
	var m store.KeyedMutex
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Lock(ctx, "a"); !errors.Is(err, store.ErrBusy) || !errors.Is(err, context.Canceled) {
		t.Errorf("Lock = %v, want ErrBusy and context.Canceled", err)
	}
	if unlock, ok := m.TryLock("a"); !ok {
		t.Error("the key is held after a Lock that failed")
	} else {
		unlock()
	}
}

func TestKeyedMutexUnlockTwice(t *testing.T) {
	var m store.KeyedMutex
	unlock, _ := m.TryLock("a")
	unlock()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	unlock()
}

// Waiters that leave at any moment, the one of being served included,
// neither hold up the others nor break the exclusion.
func TestKeyedMutexUnderCancellation(t *testing.T) {
	var m store.KeyedMutex
	counts := make([]int, 3) // guarded by the lock of its key
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 300 {
				key := (g + i) % len(counts)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%7*20)*time.Microsecond)
				if unlock, err := m.Lock(ctx, fmt.Sprint(key)); err == nil {
					counts[key]++
					unlock()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	for key := range counts {
		if _, ok := m.TryLock(fmt.Sprint(key)); !ok {
			t.Errorf("key %d is still held", key)
		}
	}
}

// TryLock agrees with a plain map of what is held.
func TestKeyedMutexModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m store.KeyedMutex
		held := make(map[string]func())
		keys := rapid.SampledFrom([]string{"a", "b", "c"})
		t.Repeat(map[string]func(*rapid.T){
			"lock": func(t *rapid.T) {
				key := keys.Draw(t, "key")
				unlock, ok := m.TryLock(key)
				if _, already := held[key]; ok == already {
					t.Fatalf("TryLock(%s) = %v with the key held: %v", key, ok, already)
				}
				if ok {
					held[key] = unlock
				}
			},
			"unlock": func(t *rapid.T) {
				key := keys.Draw(t, "key")
				if unlock := held[key]; unlock != nil {
					unlock()
					delete(held, key)
				}
			},
		})
	})
}
