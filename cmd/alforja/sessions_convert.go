package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"alforja/store"
)

func convertSessionsCommand() *cobra.Command {
	var o operator
	c := conversion{operator: &o}
	var flat bool
	cmd := &cobra.Command{
		Use:   "convert --fan-out | --flat",
		Short: "Move sessions between the flat and the fanned-out layout",
		Long: `convert moves the sessions of a directory to where the other setting of
store_fan_out keeps them: --fan-out from the one flat directory into aa/bb/ID,
--flat back again. Gateways may serve from the directory meanwhile, and nobody
is logged out.

  1. Change store_fan_out in the configuration of every gateway on the directory.
  2. Stop all of them, then start them: with reload they keep the old setting, and
     one that runs with it would not find what others make. They serve
     from both layouts from then on.
  3. Run convert.

It can be interrupted and run again: a session is in one of the two places at
any time. One that stays locked is left where it is, and the exit code is 1 for
as long as any is left. Only a gateway finds fanned-out sessions; session3 does
not, so workers in shared mode have no use for them.

--fan-out wants to see that a gateway has been started with the new setting;
--offline goes without, where none runs. --dry-run counts, and moves nothing.`,
		Example: `  alforja sessions convert --config /etc/alforja.toml --fan-out --dry-run
  alforja sessions convert --config /etc/alforja.toml --fan-out --yes
  alforja sessions convert --store directory:/var/lib/app/sessions --flat`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.fanOut == flat {
				return usageError{errors.New("convert wants either --fan-out or --flat")}
			}
			if !c.dryRun {
				if err := o.mayAsk(cmd); err != nil {
					return err
				}
			}
			if err := o.prepare(); err != nil {
				return err
			}
			if said := o.config != "" || cmd.Flags().Changed("store-fan-out"); said && o.directory.fanOut != c.fanOut {
				return usageError{fmt.Errorf("the gateway's store_fan_out is %t: change it, and restart the gateway, first", o.directory.fanOut)}
			}
			c.cmd = cmd
			return c.run()
		},
	}
	flags := cmd.Flags()
	o.addStoreFlags(flags)
	o.addYesFlag(flags)
	flags.BoolVar(&c.fanOut, "fan-out", false, "move sessions into aa/bb/ID")
	flags.BoolVar(&flat, "flat", false, "move sessions into the one directory")
	flags.BoolVar(&c.offline, "offline", false, "no gateway runs on the directory")
	flags.BoolVar(&c.dryRun, "dry-run", false, "say how many would be moved")
	flags.BoolVar(&o.asJSON, "json", false, "print the counts as one object")
	return cmd
}

// A conversion moves sessions between the layouts of a directory.
type conversion struct {
	*operator
	cmd     *cobra.Command
	path    string
	fanOut  bool
	offline bool
	dryRun  bool
	counts  struct {
		Moved   int  `json:"moved"`
		InPlace int  `json:"in_place"` // before
		Left    int  `json:"left"`     // in the other layout
		DryRun  bool `json:"dry_run"`
	}
}

// A converter is a store with two layouts; see directory.Store.Convert.
type converter interface {
	Convert(ctx context.Context) (moved int, err error)
}

func (c *conversion) run() error {
	ctx := c.cmd.Context()
	_, c.path, _ = strings.Cut(c.store, ":")
	c.counts.DryRun = c.dryRun
	flat, fanned, err := c.count(ctx)
	if err != nil {
		return ended(ctx, err)
	}
	toMove := flat
	if c.counts.InPlace = fanned; !c.fanOut {
		toMove, c.counts.InPlace = fanned, flat
	}
	if c.dryRun {
		c.counts.Moved = toMove
		return c.print()
	}
	setting := fmt.Sprintf("store_fan_out = %t", c.fanOut)
	if c.fanOut && !c.offline && !c.markedForFanOut() {
		return fmt.Errorf("no gateway has been started on %s with %s: it would not find what is moved (--offline: none runs)", c.path, setting)
	}
	if err := c.confirm(c.cmd, fmt.Sprintf("Move %s of %s. Every gateway on it must have been restarted with %s.", plural(toMove, "session"), c.store, setting)); err != nil {
		return err
	}
	failure := c.convert(ctx, flat, toMove)
	c.counts.Left = max(toMove-c.counts.Moved, 0)
	if ctx.Err() == nil { // whoever interrupts it does not wait for an exact count
		if flat, fanned, err = c.count(ctx); err != nil {
			return firstOf(failure, err)
		}
		if c.counts.Left = fanned; c.fanOut {
			c.counts.Left = flat
		}
	}
	printed := c.print()
	if failure == nil && c.counts.Left > 0 {
		failure = fmt.Errorf("%s left in the other layout; where that repeats, a gateway with the other setting makes them", plural(c.counts.Left, "session"))
	}
	return firstOf(ended(ctx, failure), printed)
}

// count returns how many sessions each layout has. It opens the store as one
// that is flat, since opening it as one that fans out leaves a mark.
func (c *conversion) count(ctx context.Context) (flat, fanned int, err error) {
	c.directory.fanOut = false
	s, err := c.openPlain(c.cmd, c.store, false)
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	if _, ok := s.(converter); !ok {
		return 0, 0, usageError{fmt.Errorf("store %s has one layout", printable(c.store))}
	}
	for info, err := range s.All(ctx, "") {
		if err != nil {
			return flat, fanned, err
		}
		if strings.HasPrefix(info.Cursor, flatCursor) {
			flat++
		} else {
			fanned++
		}
	}
	return flat, fanned, nil
}

// flatCursor begins the cursor of a session in the flat layout: see "Listing"
// in docs/store.md.
const flatCursor = "-1."

// countNames counts the sessions of the flat layout without looking at their
// files, which is quick enough to be done again and again.
func countNames(path string) (n int, err error) {
	dir, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(1024)
		for _, entry := range entries {
			if entry.Type().IsRegular() && store.ValidID(entry.Name()) {
				n++
			}
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// markedForFanOut reports whether a store has been opened with the fanned-out
// layout: see docs/store.md.
func (c *conversion) markedForFanOut() bool {
	state := c.stateDir
	if state == "" {
		real, err := filepath.EvalSymlinks(c.path)
		if err != nil {
			return false
		}
		state = real + ".alforja"
	}
	_, err := os.Stat(filepath.Join(state, "fanout"))
	return !errors.Is(err, fs.ErrNotExist)
}

// convert moves the sessions. flat is how many the flat layout has before that.
func (c *conversion) convert(ctx context.Context, flat, toMove int) error {
	c.directory.fanOut = c.fanOut
	s, err := c.openPlain(c.cmd, c.store, false)
	if err != nil {
		return err
	}
	defer s.Close()
	ended := c.watch(flat, toMove)
	defer ended()
	c.counts.Moved, err = s.(converter).Convert(ctx)
	return err
}

// watch shows how far the conversion is, by what comes or goes in the flat
// layout, until the function that it returns is called.
func (c *conversion) watch(flat, toMove int) (stop func()) {
	p := newProgress(c.cmd, toMove)
	if p == nil {
		return func() {}
	}
	done := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		pause := time.Second / 4
		for {
			select {
			case <-done:
				return
			case <-time.After(pause):
			}
			start := time.Now()
			now, err := countNames(c.path)
			if err != nil {
				continue
			}
			if c.fanOut {
				p.at(flat - now)
			} else {
				p.at(now - flat)
			}
			pause = max(pause, 10*time.Since(start))
		}
	})
	return func() {
		close(done)
		watcher.Wait()
		p.clear()
	}
}

func (c *conversion) print() error {
	text := fmt.Sprintf("%d moved, %d were in place, %d left", c.counts.Moved, c.counts.InPlace, c.counts.Left)
	if c.dryRun {
		text = fmt.Sprintf("%d would be moved, %d are in place", c.counts.Moved, c.counts.InPlace)
	}
	return c.printCounts(c.cmd, c.counts, text)
}
