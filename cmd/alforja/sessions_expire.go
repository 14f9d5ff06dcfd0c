package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"alforja/store"
	"alforja/store/catalog"
	"alforja/store/dated"
)

func expireSessionsCommand() *cobra.Command {
	var o operator
	var e expiry
	cmd := &cobra.Command{
		Use:   "expire --idle DURATION | --age DURATION",
		Short: "Delete sessions that are idle or old",
		Long: `expire deletes the sessions that have not been saved or touched for longer than
--idle, as session3's delete_old_sessions does, and those that were made longer
ago than --age, by session3's and Quixote's _creation_time. With both, either
is enough. A session without a readable _creation_time has no age.

A session that a request is using is left alone, and so is one that was used
between being listed and being deleted.

--dry-run counts, and deletes nothing.`,
		Example: `  alforja sessions expire --store directory:/var/lib/app/sessions --idle 30m --age 24h --dry-run
  alforja sessions expire --store directory:/var/lib/app/sessions --idle 30m --age 24h --yes`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if e.idle < 0 || e.age < 0 || e.idle == 0 && e.age == 0 {
				return usageError{errors.New("expire wants --idle or --age, longer than 0")}
			}
			if !e.dryRun {
				if err := o.mayAsk(cmd); err != nil {
					return err
				}
			}
			s, err := o.open(cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			e.operator, e.cmd, e.store = &o, cmd, s
			return e.run()
		},
	}
	o.addStoreFlags(cmd.Flags())
	o.addYesFlag(cmd.Flags())
	cmd.Flags().DurationVar(&e.idle, "idle", 0, "delete what was not saved or touched for longer, such as 30m")
	cmd.Flags().DurationVar(&e.age, "age", 0, "delete what was made longer ago, such as 24h")
	cmd.Flags().BoolVar(&e.dryRun, "dry-run", false, "say how many would be deleted")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print the counts as one object")
	return cmd
}

// expireLockWait is how long the lock of a session may take that nobody uses,
// on a machine that has much else to do.
const expireLockWait = time.Second

// An expiry deletes sessions that are idle or old.
type expiry struct {
	*operator
	cmd       *cobra.Command
	store     dated.Store
	idle, age time.Duration
	dryRun    bool
}

type expiryCounts struct {
	Deleted   int  `json:"deleted"`
	Remaining int  `json:"remaining"`
	InUse     int  `json:"in_use"` // expired, and left to a request that uses them
	Failed    int  `json:"failed"`
	DryRun    bool `json:"dry_run"`
}

func (e *expiry) run() error {
	if !e.dryRun && !e.yes {
		counts, err := e.pass(true)
		if err != nil {
			return ended(e.cmd.Context(), err)
		}
		what := fmt.Sprintf("Delete %s of %d in %s.", plural(counts.Deleted, "session"), counts.Deleted+counts.Remaining, e.operator.store)
		if err := e.confirm(e.cmd, what); err != nil {
			return err
		}
	}
	counts, err := e.pass(e.dryRun)
	text := fmt.Sprintf("%d deleted, %d remain (%d in use), %d failed", counts.Deleted, counts.Remaining, counts.InUse, counts.Failed)
	if e.dryRun {
		text = fmt.Sprintf("%d would be deleted, %d remain, %d failed", counts.Deleted, counts.Remaining, counts.Failed)
	}
	err = firstOf(ended(e.cmd.Context(), err), e.printCounts(e.cmd, counts, text))
	if err == nil && counts.Failed > 0 {
		err = fmt.Errorf("%s could not be read or deleted", plural(counts.Failed, "session"))
	}
	return err
}

// expired is what became of one session.
type expired struct {
	id                   string
	deleted, inUse, gone bool
	err                  error
}

func (e *expiry) pass(dryRun bool) (counts expiryCounts, err error) {
	counts.DryRun = dryRun
	p := newProgress(e.cmd, 0)
	defer p.clear()
	ctx, pace := e.cmd.Context(), e.store.Pace()
	err = catalog.Scan(ctx, e.store, func(ctx context.Context, info store.Info) expired {
		due, found, err := e.due(ctx, info)
		if err != nil || !due || dryRun {
			return expired{id: info.ID, deleted: due, gone: !found, err: err}
		}
		return e.delete(ctx, info.ID)
	}, func(r expired) error {
		p.step()
		switch {
		case r.err != nil && ctx.Err() == nil:
			counts.Failed++
			complain(e.cmd, p, "session "+shortened(r.id), r.err)
		case r.deleted:
			counts.Deleted++
			return pace(ctx)
		case r.gone:
			return pace(ctx)
		case r.inUse:
			counts.InUse++
		}
		counts.Remaining++
		return pace(ctx)
	})
	return counts, err
}

// due reports whether a session is to be deleted. found is false for one that
// is gone, as far as that was looked at.
func (e *expiry) due(ctx context.Context, info store.Info) (due, found bool, err error) {
	if e.idle > 0 && time.Since(info.Modified) > e.idle {
		return true, true, nil
	}
	if e.age == 0 {
		return false, true, nil
	}
	state, found, err := e.store.Load(ctx, info.ID)
	switch {
	case errors.Is(err, store.ErrTooLarge): // without an age
		return false, true, nil
	case err != nil || !found:
		return false, found, err
	}
	created := catalog.DescribeAny(info, state).Created
	return !created.IsZero() && time.Since(created) > e.age, true, nil
}

// delete deletes a session that is due, if that still holds under its lock. Who does not take that
// lock, as session3, may use the session while it is looked at: then it has changed, and stays.
func (e *expiry) delete(ctx context.Context, id string) expired {
	r := expired{id: id}
	unlock, err := dated.Lock(ctx, e.store, id, expireLockWait)
	if errors.Is(err, store.ErrBusy) {
		r.inUse = true
		return r
	}
	if err != nil {
		r.err = err
		return r
	}
	defer unlock()
	info, found, err := e.store.Stat(ctx, id)
	due := false
	if err == nil && found {
		due, found, err = e.due(ctx, info)
	}
	if err == nil && found && due {
		r.deleted, err = e.store.DeleteUnchanged(ctx, info)
		if err == nil && !r.deleted { // used meanwhile, or deleted
			_, found, err = e.store.Stat(ctx, id)
		}
	}
	r.err, r.gone = err, err == nil && !found
	r.inUse = err == nil && found && !r.deleted
	return r
}
