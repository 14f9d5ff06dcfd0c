package store

import (
	"container/list"
	"context"
	"fmt"
	"sync"
)

// A KeyedMutex is a set of mutual exclusion locks, one for each key. Waiters
// for one key are served in the order of their arrival. A key that nobody
// holds takes no memory and a waiter takes no goroutine. The zero value is
// ready for use; it must not be copied after that.
type KeyedMutex struct {
	mu   sync.Mutex
	keys map[string]*list.List // a key that is present is held; its list has the waiters
}

// Lock takes the lock of key, or waits for it until ctx ends; the error then
// wraps ErrBusy and ctx.Err(). A ctx that has ended already never gets the
// lock, not even a free one. unlock must be called exactly once, from any
// goroutine.
func (m *KeyedMutex) Lock(ctx context.Context, key string) (unlock func(), err error) {
	if ctx.Err() != nil {
		return nil, busy(ctx)
	}
	m.mu.Lock()
	waiters, held := m.keys[key]
	if !held {
		m.hold(key)
		m.mu.Unlock()
		return func() { m.unlock(key) }, nil
	}
	granted := make(chan struct{})
	place := waiters.PushBack(granted)
	m.mu.Unlock()

	select {
	case <-granted:
		return func() { m.unlock(key) }, nil
	case <-ctx.Done():
	}
	m.mu.Lock()
	select {
	case <-granted:
		// The lock came at the same moment: it goes on to the next in line.
		m.mu.Unlock()
		m.unlock(key)
	default:
		waiters.Remove(place)
		m.mu.Unlock()
	}
	return nil, busy(ctx)
}

// TryLock takes the lock of key if it is free.
func (m *KeyedMutex) TryLock(key string) (unlock func(), ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, held := m.keys[key]; held {
		return nil, false
	}
	m.hold(key)
	return func() { m.unlock(key) }, true
}

// Held reports whether somebody holds the lock of key.
func (m *KeyedMutex) Held(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, held := m.keys[key]
	return held
}

func (m *KeyedMutex) hold(key string) {
	if m.keys == nil {
		m.keys = make(map[string]*list.List)
	}
	m.keys[key] = list.New()
}

func (m *KeyedMutex) unlock(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	waiters, held := m.keys[key]
	if !held {
		panic("store: unlock of a key that is not locked")
	}
	first := waiters.Front()
	if first == nil {
		delete(m.keys, key)
		return
	}
	waiters.Remove(first)
	close(first.Value.(chan struct{}))
}

func busy(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
}
