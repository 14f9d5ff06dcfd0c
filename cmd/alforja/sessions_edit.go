package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"alforja/pickle"
	"alforja/store"
	"alforja/store/catalog"
	"alforja/store/dated"
	"alforja/store/rewrite"
	"alforja/store/transfer"
)

func editClassCommand() *cobra.Command {
	var o operator
	e := edit{operator: &o}
	cmd := &cobra.Command{
		Use:   "edit-class OLD NEW",
		Short: "Rename a class in all sessions, when the application has renamed it",
		Long: `edit-class gives a class another name in the pickle of every session that holds
it: module.Class, module:Outer.Inner for a nested one, or module.* for all that
is in a module and below it. Pickles keep their protocol and their time; those
without the name are not written. Where the new names are among the old, as from
'shop.*' to 'shop.models.*', what is below the new one already stays: a second
run changes nothing.

Before a session is changed, it is written to the --undo file as export would;
"alforja sessions import --overwrite FILE" brings the old ones back.

--dry-run prints what would change, as a diff of what show prints, and changes
nothing. A renamed pickle that a gateway would not give to a worker is an error,
and the session stays as it is.

Stop the application first, or have it know both names: workers that run save
under the name that they know.`,
		Example: `  alforja sessions edit-class --store directory:/var/lib/app/sessions --dry-run shop.Cart shop.cart.Cart
  alforja sessions edit-class --store directory:/var/lib/app/sessions 'oldshop.*' 'shop.*'
  alforja sessions edit-class --config /etc/alforja.toml --undo undo.jsonl --yes app:User.Prefs app.prefs.Prefs`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wantArguments(cmd, args, "OLD", "NEW"); err != nil {
				return err
			}
			var err error
			if e.renaming, err = rewrite.ParseRenaming(args[0], args[1]); err != nil {
				return usageError{err}
			}
			if e.undoPath == "-" {
				return usageError{errors.New("--undo wants a file: what is printed is the counts")}
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
			e.cmd, e.store = cmd, s
			if e.undoPath == "" {
				e.undoPath = time.Now().UTC().Format("alforja-undo-20060102T150405Z.jsonl")
			}
			if e.dryRun {
				return e.run()
			}
			if err := o.confirm(cmd, fmt.Sprintf("Rename %s to %s in all sessions of %s; the old ones go to %s.", args[0], args[1], o.store, e.undoPath)); err != nil {
				return err
			}
			out, closeFile, err := o.createFile(cmd, e.undoPath)
			if err != nil {
				return fmt.Errorf("undo file: %w", err)
			}
			defer closeFile()
			e.undo = out
			return firstOf(e.run(), closeFile(), e.dropEmptyUndo())
		},
	}
	flags := cmd.Flags()
	o.addStoreFlags(flags)
	o.addPolicyFlags(flags)
	o.addLockFlag(flags)
	o.addYesFlag(flags)
	flags.BoolVar(&e.dryRun, "dry-run", false, "print what would change")
	flags.StringVar(&e.undoPath, "undo", "", "`file` for the old sessions, which must not exist (default: alforja-undo-TIME.jsonl, here)")
	flags.BoolVar(&o.asJSON, "json", false, "print the counts as one object")
	return cmd
}

// An edit renames what sessions hold.
type edit struct {
	*operator
	cmd      *cobra.Command
	store    dated.Store
	renaming rewrite.Renaming
	dryRun   bool

	undoPath string
	undoLock sync.Mutex
	undo     io.Writer

	counts struct {
		Changed   int  `json:"changed"`
		Unchanged int  `json:"unchanged"`
		Failed    int  `json:"failed"`
		DryRun    bool `json:"dry_run"`
	}
}

// edited is what became of one session.
type edited struct {
	id            string
	changed, gone bool
	diff          []byte
	err           error
}

func (e *edit) run() error {
	ctx := e.cmd.Context()
	p := newProgress(e.cmd, 0)
	defer p.clear()
	e.counts.DryRun = e.dryRun
	err := catalog.Scan(ctx, e.store, e.edit, func(r edited) error {
		p.step()
		switch {
		case r.err != nil && ctx.Err() == nil:
			e.counts.Failed++
			complain(e.cmd, p, "session "+shortened(r.id), r.err)
		case r.changed:
			e.counts.Changed++
		case r.err == nil && !r.gone:
			e.counts.Unchanged++
		}
		if len(r.diff) > 0 && !e.asJSON {
			p.clear()
			_, err := e.cmd.OutOrStdout().Write(r.diff)
			return err
		}
		return nil
	})
	p.clear()
	text := "%d changed, %d unchanged, %d failed"
	if e.dryRun {
		text = "%d would change, %d would not, %d would fail"
	}
	printed := e.printCounts(e.cmd, e.counts, fmt.Sprintf(text, e.counts.Changed, e.counts.Unchanged, e.counts.Failed))
	if err == nil && e.counts.Failed > 0 {
		err = fmt.Errorf("%s could not be renamed", plural(e.counts.Failed, "session"))
	}
	return firstOf(ended(ctx, err), printed)
}

// edit looks at one session, and if it holds the name, changes it under its
// lock.
func (e *edit) edit(ctx context.Context, info store.Info) edited {
	r := edited{id: info.ID}
	state, found, err := e.store.Load(ctx, info.ID)
	if err != nil || !found {
		r.gone, r.err = !found, err
		return r
	}
	renamed, err := e.rename(state)
	if err != nil || renamed == nil {
		r.err = err
		return r
	}
	if e.dryRun {
		r.changed = true
		r.diff, r.err = diff(info.ID, state, renamed)
		return r
	}
	unlock, err := dated.Lock(ctx, e.store, info.ID, e.lockWait)
	if err != nil {
		r.err = err
		return r
	}
	defer unlock()
	r.changed, r.err = e.change(ctx, info.ID)
	return r
}

// rename returns the renamed pickle, or nil if the name is not in it.
func (e *edit) rename(state []byte) ([]byte, error) {
	renamed, _, err := e.renaming.Apply(state)
	if err != nil || renamed == nil {
		return nil, err
	}
	if len(renamed) > store.MaxStateBytes {
		return nil, store.TooLarge(int64(len(renamed)))
	}
	if err := e.judge.Check(renamed); err != nil {
		return nil, fmt.Errorf("by its new name: %w", err)
	}
	return renamed, nil
}

// change renames what the session holds now, the lock being held.
func (e *edit) change(ctx context.Context, id string) (changed bool, err error) {
	info, found, err := e.store.Stat(ctx, id)
	if err != nil || !found {
		return false, err
	}
	state, found, err := e.store.Load(ctx, id)
	if err != nil || !found {
		return false, err
	}
	renamed, err := e.rename(state)
	if err != nil || renamed == nil {
		return false, err
	}
	if err := e.remember(info, state); err != nil {
		return false, err
	}
	if changed, err = e.store.Update(ctx, id, renamed); err != nil || !changed {
		return changed, err
	}
	if _, err := e.store.SetModified(context.WithoutCancel(ctx), id, info.Modified); err != nil {
		return true, fmt.Errorf("renamed, but its time is now: %w", err)
	}
	return true, nil
}

// remember writes a session to the undo file.
func (e *edit) remember(info store.Info, state []byte) error {
	line, err := transfer.AppendLine(nil, catalog.Describe(info, state, e.judge), state)
	if err != nil {
		return err
	}
	e.undoLock.Lock()
	defer e.undoLock.Unlock()
	if _, err := e.undo.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("undo file: %w", err)
	}
	return nil
}

// dropEmptyUndo removes the undo file if there is nothing to undo.
func (e *edit) dropEmptyUndo() error {
	info, err := os.Stat(e.undoPath)
	if err != nil || info.Size() > 0 {
		return err
	}
	return os.Remove(e.undoPath)
}

// diff returns the lines in which the trees of two pickles differ. Renaming
// changes no line's place.
func diff(id string, before, after []byte) ([]byte, error) {
	var trees [2][][]byte
	for i, state := range [][]byte{before, after} {
		v, err := pickle.Decode(state, pickle.DecodeOptions{})
		if err != nil {
			return nil, err
		}
		tree, err := pickle.AppendJSON(nil, v, pickle.JSONOptions{Indent: "  "})
		if err != nil {
			return nil, err
		}
		trees[i] = bytes.Split(tree, []byte("\n"))
	}
	if len(trees[0]) != len(trees[1]) {
		return nil, errors.New("the trees differ in more than names")
	}
	out := fmt.Appendf(nil, "--- %s\n+++ %s\n", id, id)
	for n := range trees[0] {
		if old, renamed := trees[0][n], trees[1][n]; !bytes.Equal(old, renamed) {
			out = fmt.Appendf(out, "@@ -%d +%d @@\n-%s\n+%s\n", n+1, n+1, old, renamed)
		}
	}
	return out, nil
}
