package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"alforja/store"
	"alforja/store/dated"
)

// An Outcome says what putting a session into a store did.
type Outcome int

const (
	Unchanged Outcome = iota // the store had it
	Created
	Updated
	Touched // the store had its state; only the time was older
	Newer   // the store has another state, written later, and keeps it
	outcomes
)

// Counts counts sessions by what became of them.
type Counts struct {
	Created   int `json:"created"`
	Updated   int `json:"updated"`
	Touched   int `json:"touched"`
	Unchanged int `json:"unchanged"`
	Newer     int `json:"newer"`
	Deleted   int `json:"deleted"`
	Failed    int `json:"failed"`
}

// Changed reports how many states in the target are other ones than before.
func (c *Counts) Changed() int { return c.Created + c.Updated + c.Deleted }

func (c *Counts) add(o Outcome) {
	*[outcomes]*int{&c.Unchanged, &c.Created, &c.Updated, &c.Touched, &c.Newer}[o]++
}

// put brings a session into the store, under its lock there. Unless overwrite
// is set, another state that was modified later stays. After an interruption
// the session may have the new state and count as modified then; what the
// source saves from then on is later still.
func put(ctx context.Context, to dated.Store, r *Record, wait time.Duration, overwrite bool) (Outcome, error) {
	unlock, err := dated.Lock(ctx, to, r.ID, wait)
	if err != nil {
		return 0, err
	}
	defer unlock()
	info, found, err := to.Stat(ctx, r.ID)
	if err != nil {
		return 0, err
	}
	var state []byte
	if found {
		state, found, err = to.Load(ctx, r.ID)
		if err != nil && !errors.Is(err, store.ErrTooLarge) {
			return 0, err
		}
	}
	if !found {
		return create(ctx, to, r)
	}
	later := info.Modified.After(r.Modified)
	switch {
	case bytes.Equal(state, r.State):
		if later && !overwrite || info.Modified.Equal(r.date()) || r.Modified.IsZero() {
			return Unchanged, nil
		}
		return Touched, setModified(ctx, to, r)
	case later && !overwrite && !bytes.HasPrefix(state, r.State): // later also than what has no time
		return Newer, nil
	}
	// With that prefix it is the same pickle, and what is behind its STOP was left by a kill in the middle of an
	// update in place, before this session got its time. Somebody may have used it since: the later time stays.
	if found, err = to.Update(ctx, r.ID, r.State); err != nil {
		return 0, err
	}
	if !found { // deleted by someone who takes no locks
		return create(ctx, to, r)
	}
	if later && !overwrite {
		r = &Record{ID: r.ID, Modified: info.Modified}
	}
	return Updated, setModified(ctx, to, r)
}

func create(ctx context.Context, to dated.Store, r *Record) (Outcome, error) {
	if err := to.Create(ctx, r.ID, r.State); err != nil {
		return 0, err
	}
	return Created, setModified(ctx, to, r)
}

func setModified(ctx context.Context, to dated.Store, r *Record) error {
	if r.Modified.IsZero() {
		return nil
	}
	// What has been written must get its time: an end of ctx is no reason to
	// leave the session dated now.
	if _, err := to.SetModified(context.WithoutCancel(ctx), r.ID, r.date()); err != nil {
		return fmt.Errorf("stored, but not its time of modification: %w", err)
	}
	return nil
}
