// Package dated adds to a store what moving and expiring sessions asks for and no
// request does: the time at which one session was modified can be read and set, and
// be the condition of its deletion. A session that is copied keeps its age, and one
// that was used a moment ago is not taken for idle.
package dated

import (
	"context"
	"time"

	"alforja/store"
)

// A Store is a store.Store that can say and set when a session was modified.
type Store interface {
	store.Store

	// Stat returns what All says of one session, but for the Cursor.
	Stat(ctx context.Context, id string) (info store.Info, found bool, err error)

	// SetModified sets the time at which the session counts as modified.
	SetModified(ctx context.Context, id string, modified time.Time) (found bool, err error)

	// DeleteUnchanged deletes a session that was neither saved nor touched since All or Stat
	// said info of it. It waits for nobody: what is being read or written at that moment
	// stays, as what has changed or is gone. deleted is false then. The caller has the
	// session's lock.
	DeleteUnchanged(ctx context.Context, info store.Info) (deleted bool, err error)

	// Pace returns what a job on many sessions calls after each of them, from one goroutine
	// at a time. While gateways serve requests from the store, that keeps the job waiting about as
	// long as it works.
	Pace() (step func(context.Context) error)
}

// Lock takes the lock of a session as store.Store has it, and waits for it no
// longer than wait; 0 waits until ctx ends.
func Lock(ctx context.Context, s store.Store, id string, wait time.Duration) (unlock func(), err error) {
	if wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
	}
	return s.Lock(ctx, id)
}
