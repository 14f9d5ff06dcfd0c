package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"alforja/store"
	"alforja/store/catalog"
	"alforja/store/dated"
)

func deleteSessionsCommand() *cobra.Command {
	var o operator
	var user string
	cmd := &cobra.Command{
		Use:   "delete ID... | --user NAME",
		Short: "Delete sessions by id, or all of one user",
		Long: `delete deletes sessions under their locks: it waits for a request of the session
to end, and a gateway that serves meanwhile does not bring it back.

--user deletes all sessions of one user, named as list --json has it (list cuts
what is long, and escapes what no terminal shows): it logs someone out
everywhere. Someone who logs in while it runs may be missed; run it again, and
keep them from logging in first. Sessions that do not verify belong to nobody and
stay: no gateway gives them to a worker. A user that list shows as <shop.User> or
<tuple> may be anybody, and is refused.

An ID that begins with - stands behind --.`,
		Example: `  alforja sessions delete --store directory:/var/lib/app/sessions 4x1QZ...
  alforja sessions delete --store directory:/var/lib/app/sessions --user alonso
  alforja sessions delete --store directory:/var/lib/app/sessions --yes -- -x7...`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			byUser := cmd.Flags().Changed("user")
			switch {
			case byUser == (len(args) > 0):
				return usageError{errors.New("delete wants either IDs or --user NAME")}
			case byUser && (user == "" || user == "-"):
				return usageError{errors.New("--user wants a name: sessions of nobody are deleted by expire")}
			case byUser && user[0] == '<' && user[len(user)-1] == '>':
				return usageError{fmt.Errorf("--user %q: list shows every user so who is no text or number, whoever it is: delete their sessions by ID", user)}
			}
			for _, id := range args {
				if !store.ValidID(id) {
					return usageError{fmt.Errorf("%q is no session id", id)}
				}
			}
			if err := o.mayAsk(cmd); err != nil {
				return err
			}
			s, err := o.open(cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			d := deletion{operator: &o, cmd: cmd, store: s}
			if byUser {
				return d.ofUser(user)
			}
			return d.byID(args)
		},
	}
	o.addStoreFlags(cmd.Flags())
	o.addLockFlag(cmd.Flags())
	o.addYesFlag(cmd.Flags())
	cmd.Flags().StringVar(&user, "user", "", "delete the sessions of this user, by `name` as list --json has it")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print the counts as one object")
	return cmd
}

// A deletion deletes sessions and counts them.
type deletion struct {
	*operator
	cmd      *cobra.Command
	store    dated.Store
	progress *progress
	counts   struct {
		Deleted  int `json:"deleted"`
		NotFound int `json:"not_found"`
		Failed   int `json:"failed"`
	}
}

func (d *deletion) byID(ids []string) error {
	if err := d.confirm(d.cmd, fmt.Sprintf("Delete %s of %s.", plural(len(ids), "session"), d.operator.store)); err != nil {
		return err
	}
	ctx := d.cmd.Context()
	for _, id := range ids {
		err := ctx.Err()
		if err == nil {
			err = d.delete(ctx, id, nil)
		}
		d.count(id, err)
		if err != nil && !errors.Is(err, errNotFound) && ctx.Err() != nil {
			return d.report(ctx.Err())
		}
	}
	return d.report(nil)
}

func (d *deletion) ofUser(user string) error {
	ctx := d.cmd.Context()
	if !d.yes {
		n := 0
		err := catalog.Entries(ctx, d.store, catalog.DescribeAny, func(e catalog.Entry) error {
			if e.User == user {
				n++
			}
			return nil
		})
		if err != nil {
			return ended(ctx, err)
		}
		if err := d.confirm(d.cmd, fmt.Sprintf("Delete all sessions of %q, %d now, of %s.", user, n, d.operator.store)); err != nil {
			return err
		}
	}
	d.progress = newProgress(d.cmd, 0)
	defer d.progress.clear()
	type result struct {
		id      string
		matched bool
		err     error
	}
	theirs := func(state []byte) (bool, error) {
		e := catalog.DescribeAny(store.Info{}, state)
		if e.Err != nil && e.Protocol >= 0 { // it verifies, so that gateways serve it
			return false, fmt.Errorf("takes more memory to be looked into than it may, and may be theirs: %w", e.Err)
		}
		return e.User == user, nil
	}
	err := catalog.Scan(ctx, d.store, func(ctx context.Context, info store.Info) result {
		state, found, err := d.store.Load(ctx, info.ID)
		switch {
		case errors.Is(err, store.ErrTooLarge): // nobody can use it
			return result{}
		case err != nil:
			return result{info.ID, true, fmt.Errorf("cannot be read, and may be theirs: %w", err)}
		case !found:
			return result{}
		}
		matched, err := theirs(state)
		if matched {
			err = d.delete(ctx, info.ID, theirs)
		}
		return result{info.ID, matched || err != nil, err}
	}, func(r result) error {
		d.progress.step()
		if r.matched {
			d.count(r.id, r.err)
		}
		return nil
	})
	d.progress.clear()
	return d.report(err)
}

var errNotFound = errors.New("no such session")

// delete deletes one session under its lock, if it is still one to be deleted.
func (d *deletion) delete(ctx context.Context, id string, still func(state []byte) (bool, error)) error {
	unlock, err := dated.Lock(ctx, d.store, id, d.lockWait)
	if err != nil {
		return err
	}
	defer unlock()
	if still != nil {
		state, found, err := d.store.Load(ctx, id)
		if err == nil && found {
			found, err = still(state)
		}
		if err != nil {
			return err
		}
		if !found {
			return errNotFound
		}
	}
	found, err := d.store.Delete(ctx, id)
	if err == nil && !found {
		err = errNotFound
	}
	return err
}

func (d *deletion) count(id string, err error) {
	switch {
	case err == nil:
		d.counts.Deleted++
	case errors.Is(err, errNotFound):
		d.counts.NotFound++
	case d.cmd.Context().Err() == nil:
		d.counts.Failed++
		complain(d.cmd, d.progress, "session "+shortened(id), err)
	}
}

// report prints the counts. err is what ended the job early.
func (d *deletion) report(err error) error {
	printed := d.printCounts(d.cmd, d.counts,
		fmt.Sprintf("%d deleted, %d not found, %d failed", d.counts.Deleted, d.counts.NotFound, d.counts.Failed))
	switch {
	case err != nil:
		return ended(d.cmd.Context(), err)
	case printed != nil:
		return printed
	case d.counts.Failed > 0:
		return fmt.Errorf("%s could not be deleted", plural(d.counts.Failed, "session"))
	case d.counts.Deleted == 0 && d.counts.NotFound > 0:
		return errNotFound
	}
	return nil
}
