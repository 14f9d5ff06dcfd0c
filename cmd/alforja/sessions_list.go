package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"alforja/store"
	"alforja/store/catalog"
)

func listSessionsCommand() *cobra.Command {
	var o operator
	var filter catalog.Filter
	var sortBy string
	var reverse bool
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List sessions",
		Long: `list prints a line for each session: id, user, class, protocol of the pickle,
size in bytes, when it was last saved or touched, and what is wrong with it. The
user is the session's attribute of that name: a text, a number, - for None, or
the class of what it is, as in <shop.User>; what is longer than 60 characters is
cut. The class is that of the session object. The age counts from session3's and
Quixote's _creation_time.

Without --sort, sessions come in the store's order and as they are read. With
it, they are sorted in a temporary file ($TMPDIR) of some 200 bytes a session.
Memory does not grow with their number either way.

--json prints an object a line with the keys id, user, class, protocol, size,
modified, created, and error where a session does not verify; null is what is
not known, and the user None.`,
		Example: `  alforja sessions list --store directory:/var/lib/app/sessions
  alforja sessions list --store directory:/var/lib/app/sessions --user alonso
  alforja sessions list --store directory:/var/lib/app/sessions --sort size --reverse --limit 20
  alforja sessions list --config /etc/alforja.toml --min-idle 24h --json | jq -r .id`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if sortBy != "" && !slices.Contains(catalog.SortKeys, sortBy) {
				return oneOf("sort", sortBy, catalog.SortKeys...)
			}
			if reverse && sortBy == "" {
				return usageError{fmt.Errorf("--reverse needs --sort")}
			}
			if limit < 0 || filter.MinSize < 0 || filter.MaxSize < 0 ||
				min(filter.MinAge, filter.MaxAge, filter.MinIdle, filter.MaxIdle) < 0 {
				return usageError{fmt.Errorf("sizes, times and --limit are not below 0")}
			}
			s, err := o.open(cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			l := newLister(&o, cmd, limit)
			if sortBy != "" || filter != (catalog.Filter{}) || !l.eager {
				l.progress = newProgress(cmd, 0) // else the list itself shows how far it is
			}
			if sortBy == "" {
				err = l.stream(s, &filter)
			} else {
				err = l.sorted(s, &filter, sortBy, reverse)
			}
			if flushed := l.out.Flush(); err == nil || err == errEnough {
				err = flushed
			}
			return ended(cmd.Context(), err)
		},
	}
	flags := cmd.Flags()
	o.addStoreFlags(flags)
	o.addPolicyFlags(flags)
	flags.StringVar(&filter.User, "user", "", "only sessions of this user, by `name` as --json has it")
	flags.StringVar(&filter.Class, "class", "", "only sessions of this class, `module.Class`")
	flags.DurationVar(&filter.MinAge, "min-age", 0, "only sessions made at least this long ago, such as 24h")
	flags.DurationVar(&filter.MaxAge, "max-age", 0, "only sessions made at most this long ago")
	flags.DurationVar(&filter.MinIdle, "min-idle", 0, "only sessions not saved or touched for at least this long")
	flags.DurationVar(&filter.MaxIdle, "max-idle", 0, "only sessions saved or touched at most this long ago")
	flags.Int64Var(&filter.MinSize, "min-size", 0, "only sessions of at least so many `bytes`")
	flags.Int64Var(&filter.MaxSize, "max-size", 0, "only sessions of at most so many `bytes`")
	flags.BoolVar(&filter.Broken, "broken", false, "only sessions that do not verify")
	flags.StringVar(&sortBy, "sort", "", "sort by this `key`: "+strings.Join(catalog.SortKeys, ", "))
	flags.BoolVar(&reverse, "reverse", false, "greatest first")
	flags.IntVar(&limit, "limit", 0, "print at most so many; 0 is all")
	flags.BoolVar(&o.asJSON, "json", false, "print an object a line")
	return cmd
}

// errEnough ends a list at --limit.
var errEnough = fmt.Errorf("enough")

// A lister prints entries.
type lister struct {
	cmd      *cobra.Command
	judge    catalog.Judge
	out      *bufio.Writer
	progress *progress
	asJSON   bool
	limit    int
	printed  int
	eager    bool // somebody watches: nothing waits in a buffer
}

func newLister(o *operator, cmd *cobra.Command, limit int) *lister {
	return &lister{
		cmd: cmd, judge: o.judge, out: bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10),
		asJSON: o.asJSON, limit: limit, eager: isTerminal(cmd.OutOrStdout()),
	}
}

// entries calls f with each entry that passes the filter.
func (l *lister) entries(s store.Store, filter *catalog.Filter, f func(*catalog.Entry) error) error {
	now := time.Now()
	describe := func(info store.Info, state []byte) catalog.Entry { return catalog.Describe(info, state, l.judge) }
	defer l.progress.clear()
	return catalog.Entries(l.cmd.Context(), s, describe, func(e catalog.Entry) error {
		l.progress.step()
		if !filter.Match(&e, now) {
			return nil
		}
		return f(&e)
	})
}

func (l *lister) stream(s store.Store, filter *catalog.Filter) error {
	if err := l.header(); err != nil {
		return err
	}
	return l.entries(s, filter, func(e *catalog.Entry) error {
		line, err := l.line(e)
		if err != nil {
			return err
		}
		return l.print(line)
	})
}

func (l *lister) sorted(s store.Store, filter *catalog.Filter, by string, reverse bool) error {
	sorter := catalog.Sorter{Reverse: reverse}
	defer sorter.Close()
	err := l.entries(s, filter, func(e *catalog.Entry) error {
		line, err := l.line(e)
		if err != nil {
			return err
		}
		return sorter.Add(catalog.SortKey(e, by), line)
	})
	if err != nil {
		return err
	}
	if err := l.header(); err != nil {
		return err
	}
	return sorter.Each(func(line []byte) error {
		if err := l.cmd.Context().Err(); err != nil {
			return err
		}
		return l.print(line)
	})
}

func (l *lister) print(line []byte) error {
	if l.eager {
		l.progress.clear()
	}
	if _, err := l.out.Write(append(line, '\n')); err != nil {
		return err
	}
	if l.printed++; l.printed == l.limit {
		return errEnough
	}
	if l.eager {
		return l.out.Flush()
	}
	return nil
}

func (l *lister) header() error {
	if l.asJSON {
		return nil
	}
	_, err := io.WriteString(l.out, row("ID", "USER", "CLASS", "PROTO", "SIZE", "MODIFIED", "")+"\n")
	return err
}

func (l *lister) line(e *catalog.Entry) ([]byte, error) {
	if l.asJSON {
		return e.MarshalJSON()
	}
	protocol, failure := "-", ""
	if e.Protocol >= 0 {
		protocol = strconv.Itoa(e.Protocol)
	}
	if e.Err != nil {
		failure = "  " + printable(e.Err.Error())
	}
	return []byte(row(e.ID, cut(orDash(e.User)), cut(orDash(e.Class)), protocol, strconv.FormatInt(e.Size, 10),
		e.Modified.Local().Format(time.DateTime), failure)), nil
}

// row aligns what usually fits. The widths are fixed, as lines are printed
// before all are known.
func row(id, user, class, protocol, size, modified, failure string) string {
	return fmt.Sprintf("%-22s  %-16s  %-28s %5s %9s  %s%s", id, user, class, protocol, size, modified, failure)
}

// cut shortens what would fill the screen.
func cut(s string) string {
	const most = 60
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return s
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return printable(s)
}
