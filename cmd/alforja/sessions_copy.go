package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"alforja/store"
	"alforja/store/dated"
	"alforja/store/transfer"
)

func copySessionsCommand() *cobra.Command {
	var c copying
	cmd := &cobra.Command{
		Use:   "copy FROM TO",
		Short: "Copy all sessions from one store to another, while they are in use",
		Long: `copy makes one pass over the store FROM and brings to TO what is not there or
differs: the state, byte for byte, and the time at which it was last saved or
touched. TO is made if it is missing. A session that was saved later in TO than
in FROM stays there as it is; sessions whose pickle is malformed are named and
left out (exit code 1). What a policy refuses is copied: the gateway on TO judges
it by its own, as FROM's does.

copy can be interrupted and run again: it does what is left to do. To move a
running site:

  1. Run copy until a pass changes nothing or only what users did meanwhile;
     --repeat does that: it ends with the first pass that changes nothing, or
     no fewer sessions than the pass before.
  2. Stop the gateway. It ends the requests under way first.
  3. Run copy --delete once more. It takes seconds, and also deletes from TO
     what users have logged out of since the passes before.
  4. Start the gateway with --store TO. To go back, do the same the other way.

The files of TO are made as the flags and --to-config say, the configuration of
its gateway to be. As root, a TO that is missing is made for the owner of FROM
unless they name another. --from-config says how the gateway keeps FROM.

--delete deletes from TO every session that FROM does not have, whoever made it
there: not after the gateway has served from TO.

Each session is copied under its lock, as the gateway takes it. Programs that
write FROM without the gateway (session3 by itself, concurrency
last-write-wins, --skip paths) take no such lock: what they write during a pass
comes with the next one.`,
		Example: `  alforja sessions copy directory:/var/lib/app/sessions directory:/srv/sessions
  alforja sessions copy --repeat --to-config /etc/alforja-new.toml directory:/var/lib/app/sessions directory:/srv/sessions
  alforja sessions copy --delete --yes directory:/var/lib/app/sessions directory:/srv/sessions`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wantArguments(cmd, args, "FROM", "TO"); err != nil {
				return err
			}
			if err := apart(args[0], args[1]); err != nil {
				return err
			}
			if c.opts.Delete {
				if err := c.to.mayAsk(cmd); err != nil {
					return err
				}
			}
			c.cmd = cmd
			return c.run(args[0], args[1])
		},
	}
	flags := cmd.Flags()
	c.from.addSettings(flags, func(flags *pflag.FlagSet) {
		flags.StringVar(&c.from.stateDir, "from-state-dir", "", "`directory` for the locks of FROM (default: PATH.alforja)")
	})
	flags.StringVar(&c.from.config, "from-config", "", "take what is not given here of FROM from this configuration `file` of its gateway")
	c.to.addSettings(flags, func(flags *pflag.FlagSet) {
		flags.StringVar(&c.to.stateDir, "to-state-dir", "", "`directory` for the locks of TO (default: PATH.alforja)")
		c.to.addFileFlags(flags)
	})
	flags.StringVar(&c.to.config, "to-config", "", "take what is not given here of TO from this configuration `file` of its gateway")
	c.to.addLockFlag(flags)
	c.to.addYesFlag(flags)
	flags.BoolVar(&c.opts.Delete, "delete", false, "delete from TO what FROM does not have")
	flags.BoolVar(&c.repeat, "repeat", false, "make passes until one changes no state in TO, or no fewer than the one before")
	flags.BoolVar(&c.to.asJSON, "json", false, "print the counts of each pass as one object")
	return cmd
}

// apart returns the error of a copy between stores of which one is in the
// other: each copied session would be met again.
func apart(from, to string) error {
	a, b := placeOf(from), placeOf(to)
	switch {
	case a == "" || b == "": // to be opened, and refused there
		return nil
	case a == b:
		return usageError{fmt.Errorf("%s and %s are the same store", from, to)}
	case isBelow(a, b), isBelow(b, a):
		return usageError{fmt.Errorf("%s and %s: one is inside of the other", from, to)}
	}
	return nil
}

// placeOf returns where a store's directory is, links followed, be it there
// or not; "" for a store that is no directory.
func placeOf(spec string) string {
	where, ok := strings.CutPrefix(spec, "directory:")
	if !ok || where == "" {
		return ""
	}
	return realPath(where)
}

func realPath(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(realPath(parent), filepath.Base(path))
	}
	return path
}

// isBelow reports whether a path is in a directory, or below it.
func isBelow(path, directory string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(directory, "/")+"/")
}

// isMissing reports whether a store is a directory that is not there.
func isMissing(spec string) bool {
	_, where, _ := strings.Cut(spec, ":")
	_, err := os.Stat(where)
	return errors.Is(err, fs.ErrNotExist)
}

// ownerOf returns the number of the user that a store's directory belongs to.
func ownerOf(spec string) string {
	_, where, _ := strings.Cut(spec, ":")
	info, err := os.Stat(where)
	if err != nil {
		return ""
	}
	return strconv.FormatUint(uint64(info.Sys().(*syscall.Stat_t).Uid), 10)
}

// copying is copy's work. What both stores have in common is in to.
type copying struct {
	from, to operator
	cmd      *cobra.Command
	opts     transfer.Options
	repeat   bool
}

func (c *copying) run(fromSpec, toSpec string) error {
	for _, o := range []*operator{&c.from, &c.to} {
		if err := o.prepare(); err != nil {
			return err
		}
	}
	from, err := c.from.openAt(c.cmd, fromSpec, false)
	if err != nil {
		return err
	}
	defer from.Close()
	if c.opts.Delete {
		if err := c.to.confirm(c.cmd, fmt.Sprintf("Delete from %s every session that %s does not have.", toSpec, fromSpec)); err != nil {
			return err
		}
	}
	if c.to.directory.owner == "" && os.Geteuid() == 0 && isMissing(toSpec) {
		c.to.directory.owner = ownerOf(fromSpec)
	}
	to, err := c.to.openAt(c.cmd, toSpec, true)
	if err != nil {
		return err
	}
	defer to.Close()

	return c.passes(from, to)
}

// passes makes one pass, or as many as --repeat wants. Each after the first
// finds what users did during the one before: on a busy site some always, and
// fewer only as long as passes get shorter.
func (c *copying) passes(from, to dated.Store) error {
	for before := math.MaxInt; ; {
		counts, err := c.pass(from, to)
		if err := firstOf(ended(c.cmd.Context(), err), c.to.printCounts(c.cmd, &counts, countsText(&counts))); err != nil {
			return err
		}
		changed := counts.Changed()
		if !c.repeat || changed == 0 || changed >= before {
			if counts.Failed > 0 {
				return fmt.Errorf("%s could not be copied", plural(counts.Failed, "session"))
			}
			return nil
		}
		before = changed
	}
}

func (c *copying) pass(from, to dated.Store) (transfer.Counts, error) {
	total := 0
	if newProgress(c.cmd, 0) != nil { // the remaining time asks for a first look
		var err error
		if total, err = countSessions(c.cmd.Context(), from); err != nil {
			return transfer.Counts{}, err
		}
	}
	p := newProgress(c.cmd, total)
	defer p.clear()
	opts := c.opts
	opts.LockWait = c.to.lockWait
	opts.Progress = p.step
	opts.Report = func(id string, err error) { complain(c.cmd, p, "session "+shortened(id), err) }
	return transfer.Copy(c.cmd.Context(), from, to, opts)
}

func countSessions(ctx context.Context, s store.Store) (n int, err error) {
	for _, err := range s.All(ctx, "") {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func countsText(c *transfer.Counts) string {
	text := fmt.Sprintf("%d created, %d updated, %d touched, %d unchanged", c.Created, c.Updated, c.Touched, c.Unchanged)
	for _, more := range []struct {
		n    int
		what string
	}{{c.Deleted, "deleted"}, {c.Newer, "newer there and left"}, {c.Failed, "failed"}} {
		if more.n > 0 {
			text += fmt.Sprintf(", %d %s", more.n, more.what)
		}
	}
	return text
}
