// Package store says what a session store is: where the states of sessions
// live, found by session id, and locked one session at a time.
//
// A session's state is the bytes of a Python pickle. A store moves them and
// never looks inside. Package storetest holds the tests that every store
// passes; the packages below this one are the stores.
package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// MaxStateBytes is the size, in bytes, that a store refuses to exceed for one
// session's state: 4 MiB. A session is read and written with every request of
// its user; what is larger belongs elsewhere.
const MaxStateBytes = 4 << 20

var (
	// ErrExists is returned by Create when the id is taken.
	ErrExists = errors.New("session exists already")

	// ErrInvalidID is returned by every method that takes an id, when
	// ValidID does not hold for it.
	ErrInvalidID = errors.New("invalid session id")

	// ErrTooLarge is wrapped by what is returned when a state is longer than
	// MaxStateBytes.
	ErrTooLarge = errors.New("session state too large")

	// ErrInvalidCursor is returned by All for what can be no Info.Cursor of
	// the store.
	ErrInvalidCursor = errors.New("invalid cursor")

	// ErrBusy is returned when the wait for a lock has ended before the lock
	// was free: another request, or another process, holds the session.
	ErrBusy = errors.New("session is busy")

	// ErrHeldElsewhere is wrapped beside ErrBusy when it is not for a request of this
	// process that the wait was in vain, but for another process that holds the
	// session's file, or has not written it to its end.
	ErrHeldElsewhere = errors.New("another process holds the session")
)

// TooLarge returns an error that wraps ErrTooLarge for a state of size bytes.
func TooLarge(size int64) error {
	return fmt.Errorf("%w: %d bytes, and at most %d are allowed", ErrTooLarge, size, int64(MaxStateBytes))
}

// A Store keeps the states of sessions.
//
// A session that does not exist is never an error: methods say so in found.
// An error means that the store itself is at fault (a full disk, a lost
// directory, a server that does not answer) or that the caller is
// (ErrInvalidID, ErrTooLarge). All methods may be called from many goroutines
// at once, and each returns soon after its context ends.
type Store interface {
	// Load returns the state of a session. A state that another process is
	// visibly in the middle of writing is waited for, briefly and bounded;
	// after that Load returns ErrBusy, or what is there if nobody seems to be
	// at it any more. That may be empty or cut: the caller verifies it, and
	// sets aside what does not pass. The slice belongs to the caller.
	Load(ctx context.Context, id string) (state []byte, found bool, err error)

	// Create stores a session that does not exist yet, or returns ErrExists.
	Create(ctx context.Context, id string, state []byte) error

	// Update replaces the state of a session that exists. It never creates
	// one: a session deleted meanwhile stays deleted, and found is false.
	// After an error the old state is still there, whole.
	Update(ctx context.Context, id string, state []byte) (found bool, err error)

	// Touch sets the time at which the session counts as modified to now.
	Touch(ctx context.Context, id string) (found bool, err error)

	// Delete removes a session.
	Delete(ctx context.Context, id string) (found bool, err error)

	// SetAside takes a session that cannot be used out of the store and keeps
	// its bytes where the operator finds them, so that its user gets a fresh
	// session. It does so only while the store still holds exactly the state
	// given, the one that the caller has judged; otherwise done is false and
	// the caller loads again.
	SetAside(ctx context.Context, id string, state []byte) (done bool, err error)

	// Lock waits until no other holder has the session's lock, in this
	// process or in another gateway on the same store, and takes it. The id
	// need not exist. When ctx ends first, the error wraps ErrBusy and ctx's
	// own. Waiters of one process are served in the order of their arrival.
	// unlock is called once and does not fail.
	Lock(ctx context.Context, id string) (unlock func(), err error)

	// All lists the sessions in an order of the store's own, without holding
	// them all in memory. after is "" for the whole list, or the Cursor of the
	// last session seen, even by another process: the list goes on behind it,
	// also when that session is gone. Sessions that come or go meanwhile may
	// be seen or not. An error ends the sequence.
	All(ctx context.Context, after string) iter.Seq2[Info, error]

	// DeleteIdle deletes the sessions that have not been modified for longer
	// than idle, as session3's delete_old_sessions does, but for those whose
	// lock is held, and says how many it deleted and how many remain. Never
	// does it delete one that was saved or touched within idle before that.
	// When it ends early, calling it again goes on with what is left.
	DeleteIdle(ctx context.Context, idle time.Duration) (deleted, remaining int, err error)

	// Close releases what the store holds. Sessions stay.
	Close() error
}

// Info describes one session of a store without its state.
type Info struct {
	ID       string
	Size     int64     // length of the state in bytes
	Modified time.Time // when it was last written or touched
	Cursor   string    // its place in the list of Store.All
}
