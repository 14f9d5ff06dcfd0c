// Package memory keeps sessions in the memory of the process: for tests and
// for trying things out. They end with the process.
package memory

import (
	"bytes"
	"context"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"alforja/store"
)

// maxAside is how many set-aside states a Store keeps; more are dropped.
const maxAside = 1000

// A Store is a store.Store in memory. Make one with New.
type Store struct {
	locks store.KeyedMutex

	mu       sync.RWMutex
	sessions map[string]session // nil after Close
	aside    map[string][]byte
}

type session struct {
	state    []byte // never changed in place
	modified time.Time
}

var _ store.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store {
	return &Store{sessions: make(map[string]session), aside: make(map[string][]byte)}
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, id string) ([]byte, bool, error) {
	if err := check(ctx, id, nil); err != nil {
		return nil, false, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.sessions == nil {
		return nil, false, fs.ErrClosed
	}
	entry, found := s.sessions[id]
	return bytes.Clone(entry.state), found, nil
}

// Create implements store.Store.
func (s *Store) Create(ctx context.Context, id string, state []byte) error {
	var exists bool
	err := s.change(ctx, id, state, func(_ session, found bool) {
		if exists = found; !exists {
			s.put(id, state)
		}
	})
	if err == nil && exists {
		return store.ErrExists
	}
	return err
}

// Update implements store.Store.
func (s *Store) Update(ctx context.Context, id string, state []byte) (found bool, err error) {
	err = s.change(ctx, id, state, func(_ session, exists bool) {
		if found = exists; found {
			s.put(id, state)
		}
	})
	return found, err
}

// Touch implements store.Store.
func (s *Store) Touch(ctx context.Context, id string) (found bool, err error) {
	err = s.change(ctx, id, nil, func(old session, exists bool) {
		if found = exists; found {
			s.sessions[id] = session{old.state, time.Now()}
		}
	})
	return found, err
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, id string) (found bool, err error) {
	err = s.change(ctx, id, nil, func(_ session, exists bool) {
		found = exists
		delete(s.sessions, id)
	})
	return found, err
}

// SetAside implements store.Store; Aside has what it took out.
func (s *Store) SetAside(ctx context.Context, id string, state []byte) (done bool, err error) {
	err = s.change(ctx, id, nil, func(old session, found bool) {
		if done = found && bytes.Equal(old.state, state); !done {
			return
		}
		delete(s.sessions, id)
		if _, known := s.aside[id]; known || len(s.aside) < maxAside {
			s.aside[id] = old.state
		}
	})
	return done, err
}

// Aside returns the states that SetAside took out, by session id: the last
// one of each, at most 1000.
func (s *Store) Aside() map[string][]byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.aside)
}

// Lock implements store.Store.
func (s *Store) Lock(ctx context.Context, id string) (unlock func(), err error) {
	if !store.ValidID(id) {
		return nil, store.ErrInvalidID
	}
	return s.locks.Lock(ctx, id)
}

// All implements store.Store, in the order of ids. A cursor is an id. It holds
// the ids, not the states, while it runs.
func (s *Store) All(ctx context.Context, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		ids, err := s.ids(after)
		if err != nil {
			yield(store.Info{}, err)
			return
		}
		for _, id := range ids {
			if err := ctx.Err(); err != nil {
				yield(store.Info{}, err)
				return
			}
			s.mu.RLock()
			entry, found := s.sessions[id]
			s.mu.RUnlock()
			info := store.Info{ID: id, Size: int64(len(entry.state)), Modified: entry.modified, Cursor: id}
			if found && !yield(info, nil) {
				return
			}
		}
	}
}

// ids returns the ids behind a cursor, sorted.
func (s *Store) ids(after string) ([]string, error) {
	if after != "" && !store.ValidID(after) {
		return nil, store.ErrInvalidCursor
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.sessions == nil {
		return nil, fs.ErrClosed
	}
	ids := slices.Sorted(maps.Keys(s.sessions))
	at, found := slices.BinarySearch(ids, after)
	if found {
		at++
	}
	return ids[at:], nil
}

// DeleteIdle implements store.Store.
func (s *Store) DeleteIdle(ctx context.Context, idle time.Duration) (deleted, remaining int, err error) {
	for info, err := range s.All(ctx, "") {
		if err != nil {
			return deleted, remaining, err
		}
		if s.deleteIfIdle(info.ID, idle) {
			deleted++
		} else {
			remaining++
		}
	}
	return deleted, remaining, nil
}

func (s *Store) deleteIfIdle(id string, idle time.Duration) bool {
	unlock, ok := s.locks.TryLock(id)
	if !ok {
		return false
	}
	defer unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	entry, found := s.sessions[id]
	if !found || time.Since(entry.modified) <= idle {
		return false
	}
	delete(s.sessions, id)
	return true
}

// Close implements store.Store. The sessions are gone; every method but Lock
// returns fs.ErrClosed from now on.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions = nil
	return nil
}

// change runs f, which may change the sessions, on what is stored under id.
func (s *Store) change(ctx context.Context, id string, state []byte, f func(old session, found bool)) error {
	if err := check(ctx, id, state); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions == nil {
		return fs.ErrClosed
	}
	old, found := s.sessions[id]
	f(old, found)
	return nil
}

func (s *Store) put(id string, state []byte) {
	s.sessions[id] = session{bytes.Clone(state), time.Now()}
}

func check(ctx context.Context, id string, state []byte) error {
	switch {
	case !store.ValidID(id):
		return store.ErrInvalidID
	case len(state) > store.MaxStateBytes:
		return store.TooLarge(int64(len(state)))
	}
	return ctx.Err()
}
