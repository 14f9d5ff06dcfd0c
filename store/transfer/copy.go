package transfer

import (
	"context"
	"time"

	"alforja/pickle"
	"alforja/store"
	"alforja/store/catalog"
	"alforja/store/dated"
)

// Options of Copy and Import. The zero value is good.
type Options struct {
	// Delete has Copy also delete from the target what the source does not
	// have. Default: false.
	Delete bool

	// Overwrite has Import replace sessions that were modified later than
	// what it reads. Default: false.
	Overwrite bool

	// LockWait bounds the wait for the lock of a session. Default: 30 s.
	LockWait time.Duration

	// Check refuses states that must not be stored; what it returns is
	// reported. Default: only what pickle.Verify refuses.
	Check func(state []byte) error

	// Report is told of each session that failed: where it stands in the input (its id
	// for Copy), and why. It is called by one goroutine at a time. Default:
	// nobody is told.
	Report func(place string, err error)

	// Progress is told of each session that is done with. It is called by one
	// goroutine at a time. Default: nobody is told.
	Progress func()
}

func (o Options) withDefaults() Options {
	if o.LockWait == 0 {
		o.LockWait = 30 * time.Second
	}
	if o.Check == nil {
		o.Check = func(state []byte) error {
			_, err := pickle.Verify(state, pickle.Limits{})
			return err
		}
	}
	if o.Report == nil {
		o.Report = func(string, error) {}
	}
	if o.Progress == nil {
		o.Progress = func() {}
	}
	return o
}

// Copy makes one pass over from, and brings to to what is not there or
// differs. Both may be in use meanwhile.
//
// Each session is copied under its locks in both stores, the source's first.
// So whoever holds the source's lock while changing a session, as a gateway
// does, changes it before it is copied or after; a change after that has a later time,
// and the next pass brings it. A session in the target that was modified
// later than the source's stays. A session that is not intact, or that cannot be read or written, is
// reported and left out. Copy can be interrupted anywhere and called again.
//
// It returns what it has done, with the error that ended it early.
func Copy(ctx context.Context, from, to dated.Store, opts Options) (Counts, error) {
	c := copier{from: from, to: to, opts: opts.withDefaults()}
	var counts Counts
	count := func(r copied) error {
		c.opts.Progress()
		switch {
		case r.err != nil && ctx.Err() != nil: // ended, not failed
		case r.err != nil:
			counts.Failed++
			c.opts.Report(r.id, r.err)
		case r.deleted:
			counts.Deleted++
		case !r.gone:
			counts.add(r.outcome)
		}
		return nil
	}
	if err := catalog.Scan(ctx, from, c.copy, count); err != nil {
		return counts, err
	}
	if !c.opts.Delete {
		return counts, nil
	}
	c.opts.Progress = func() {} // counts what the source has
	return counts, catalog.Scan(ctx, to, c.mirror, count)
}

type copier struct {
	from, to dated.Store
	opts     Options
}

// copied is what became of one session.
type copied struct {
	id      string
	outcome Outcome
	deleted bool
	gone    bool // nothing to do
	err     error
}

func (c *copier) copy(ctx context.Context, info store.Info) copied {
	r := copied{id: info.ID}
	if same, err := c.sameAlready(ctx, info); same || err != nil {
		r.err = err
		return r
	}
	unlock, err := dated.Lock(ctx, c.from, info.ID, c.opts.LockWait)
	if err != nil {
		r.err = err
		return r
	}
	defer unlock()
	// The time first: a state changed in between, by someone who takes no
	// lock, then has an older time than its own, and the next pass looks again.
	info, found, err := c.from.Stat(ctx, info.ID)
	var state []byte
	if err == nil && found {
		state, found, err = c.from.Load(ctx, info.ID)
	}
	if err == nil && found {
		err = c.opts.Check(state)
	}
	if err != nil || !found {
		r.gone, r.err = !found, err
		return r
	}
	record := Record{ID: info.ID, Modified: info.Modified, State: state, racy: time.Since(info.Modified) < racySpan}
	r.outcome, r.err = put(ctx, c.to, &record, c.opts.LockWait, false)
	return r
}

// sameAlready reports whether the target has a session of this time and size,
// which a pass has then copied.
func (c *copier) sameAlready(ctx context.Context, info store.Info) (bool, error) {
	there, found, err := c.to.Stat(ctx, info.ID)
	return found && there.Size == info.Size && there.Modified.Equal(info.Modified), err
}

// mirror deletes a session of the target that the source does not have.
func (c *copier) mirror(ctx context.Context, info store.Info) copied {
	r := copied{id: info.ID, gone: true}
	_, found, err := c.from.Stat(ctx, info.ID)
	if found || err != nil {
		r.err = err
		return r
	}
	unlock, err := dated.Lock(ctx, c.to, info.ID, c.opts.LockWait)
	if err != nil {
		r.err = err
		return r
	}
	defer unlock()
	r.deleted, r.err = c.to.Delete(ctx, info.ID)
	return r
}
