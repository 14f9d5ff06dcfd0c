package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"alforja/store"
	"alforja/store/catalog"
	"alforja/store/dated"
)

func verifySessionsCommand() *cobra.Command {
	var o operator
	v := verification{operator: &o}
	var secondOpinion bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that every session is intact and imports nothing harmful",
		Long: `verify reads every session as a gateway does before it gives one to a worker,
and prints those that a gateway would set aside, with the reason. The exit code
is 1 when there are any.

--quarantine sets them aside now: they are taken out of the store and kept
beside it (PATH.alforja/corrupt), and their users start afresh.

--second-opinion has the library gopickle read every intact session too, and
prints those that it cannot read. It is known to be wrong about some that Python wrote; so
this changes no exit code and sets nothing aside.`,
		Example: `  alforja sessions verify --store directory:/var/lib/app/sessions
  alforja sessions verify --config /etc/alforja.toml --quarantine --yes
  alforja sessions verify --store directory:/var/lib/app/sessions --json | jq -r 'select(.id) | .id'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if v.quarantine {
				if err := o.mayAsk(cmd); err != nil {
					return err
				}
			}
			s, err := o.open(cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			v.cmd, v.store = cmd, s
			if v.quarantine {
				if err := o.confirm(cmd, fmt.Sprintf("Take every session that does not verify out of %s.", o.store)); err != nil {
					return err
				}
			}
			if secondOpinion {
				v.adviser = newAdviser(defaultMaxBytes)
				defer v.adviser.close()
			}
			return v.run()
		},
	}
	o.addStoreFlags(cmd.Flags())
	o.addPolicyFlags(cmd.Flags())
	o.addLockFlag(cmd.Flags())
	o.addYesFlag(cmd.Flags())
	cmd.Flags().BoolVar(&v.quarantine, "quarantine", false, "set aside the sessions that fail")
	cmd.Flags().BoolVar(&secondOpinion, "second-opinion", false, "have gopickle read the sessions too")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print an object for each session that fails, and one with the counts at the end")
	return cmd
}

// A verification reads all sessions of a store.
type verification struct {
	*operator
	cmd        *cobra.Command
	store      dated.Store
	quarantine bool
	adviser    *adviser // nil without --second-opinion
	counts     struct {
		Sessions int `json:"sessions"`
		Failed   int `json:"failed"`
		SetAside int `json:"set_aside"`
		Doubted  int `json:"doubted"` // by the second opinion
	}
}

// verified is what was found out about one session.
type verified struct {
	id       string
	err      error  // why it fails
	state    []byte // for the second opinion
	found    bool
	setAside bool
}

func (v *verification) run() error {
	p := newProgress(v.cmd, 0)
	defer p.clear()
	ctx := v.cmd.Context()
	err := catalog.Scan(ctx, v.store, v.verify, func(r verified) error {
		p.step()
		if !r.found {
			return nil
		}
		v.counts.Sessions++
		if r.setAside {
			v.counts.SetAside++
		}
		if r.err != nil {
			v.counts.Failed++
			p.clear()
			return v.print(&r, nil)
		}
		if v.adviser != nil {
			if said := v.adviser.ask(ctx, r.state, true); said.Differs && ctx.Err() == nil {
				v.counts.Doubted++
				p.clear()
				return v.print(&r, said)
			}
		}
		return nil
	})
	p.clear()
	printed := v.printCounts(v.cmd, v.counts, v.summary())
	if err == nil && v.counts.Failed > 0 {
		return fmt.Errorf("%s of %d failed", plural(v.counts.Failed, "session"), v.counts.Sessions)
	}
	return firstOf(ended(ctx, err), printed)
}

func (v *verification) verify(ctx context.Context, info store.Info) verified {
	state, found, err := v.store.Load(ctx, info.ID)
	if err != nil {
		return verified{id: info.ID, err: catalog.Unreadable(info, err).Err, found: ctx.Err() == nil}
	}
	if !found {
		return verified{}
	}
	r := verified{id: info.ID, err: v.judge.Check(state), state: state, found: true}
	if r.err != nil && v.quarantine {
		r.setAside, err = v.setAside(ctx, info.ID)
		if err != nil {
			r.err = fmt.Errorf("%w; not set aside: %w", r.err, err)
		}
	}
	return r
}

// setAside takes a session out under its lock, if it still fails there.
func (v *verification) setAside(ctx context.Context, id string) (done bool, err error) {
	unlock, err := dated.Lock(ctx, v.store, id, v.lockWait)
	if err != nil {
		return false, err
	}
	defer unlock()
	state, found, err := v.store.Load(ctx, id)
	if err != nil || !found || v.judge.Check(state) == nil {
		return false, err
	}
	return v.store.SetAside(ctx, id, state)
}

func (v *verification) print(r *verified, said *opinion) error {
	out := v.cmd.OutOrStdout()
	if v.asJSON {
		return printJSON(out, struct {
			ID            string   `json:"id"`
			Error         string   `json:"error,omitempty"`
			SetAside      bool     `json:"set_aside"`
			SecondOpinion *opinion `json:"second_opinion,omitempty"`
		}{r.id, errorText(r.err), r.setAside, said})
	}
	text := "second opinion: "
	if said != nil {
		text += said.String()
	} else {
		text = r.err.Error()
	}
	if r.setAside {
		text += " (set aside)"
	}
	_, err := fmt.Fprintf(out, "%s: %s\n", r.id, printable(text))
	return err
}

func (v *verification) summary() string {
	text := fmt.Sprintf("%s, %d failed", plural(v.counts.Sessions, "session"), v.counts.Failed)
	if v.quarantine {
		text += fmt.Sprintf(", %d set aside", v.counts.SetAside)
	}
	if v.adviser != nil {
		text += fmt.Sprintf(", %d doubted by the second opinion", v.counts.Doubted)
	}
	return text
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
