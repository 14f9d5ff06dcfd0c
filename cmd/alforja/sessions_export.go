package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"alforja/store/catalog"
	"alforja/store/transfer"
)

func exportSessionsCommand() *cobra.Command {
	var o operator
	var asTar bool
	cmd := &cobra.Command{
		Use:   "export [FILE|-]",
		Short: "Write all sessions to a file",
		Long: `export writes every session, with its bytes as they are, to FILE, which must not
exist, or to standard output: as JSON Lines, or with --tar as a tar archive of
pickles, each with its time. import reads both, and gives the same sessions.

A line has the keys id, user, class, protocol, size, modified, created, error
(where the pickle is malformed) and pickle, in base64. No policy is asked: import
does that.

Whoever has the file has the sessions. FILE is made for its owner alone.`,
		Example: `  alforja sessions export --store directory:/var/lib/app/sessions backup.jsonl
  alforja sessions export --store directory:/var/lib/app/sessions | zstd > backup.jsonl.zst
  alforja sessions export --store directory:/var/lib/app/sessions --tar - | tar -tv`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := fileArgument(cmd, args)
			if err != nil {
				return err
			}
			if path == "-" && asTar && isTerminal(cmd.OutOrStdout()) {
				return usageError{fmt.Errorf("standard output is a terminal: name a FILE")}
			}
			s, err := o.open(cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			out, closeFile, err := o.createFile(cmd, path)
			if err != nil {
				return err
			}
			defer closeFile()
			buffered := bufio.NewWriterSize(out, 256<<10)
			writer := transfer.NewLineWriter(buffered)
			if asTar {
				writer = transfer.NewTarWriter(buffered)
			}
			var p *progress
			if path != "-" || !isTerminal(cmd.OutOrStdout()) {
				p = newProgress(cmd, 0)
			}
			defer p.clear()
			written, failed, err := transfer.Export(cmd.Context(), s, writer, catalog.Judge{}, transfer.Options{
				Progress: p.step,
				Report:   func(id string, err error) { complain(cmd, p, "session "+shortened(id), err) },
			})
			p.clear()
			err = firstOf(ended(cmd.Context(), err), buffered.Flush(), closeFile())
			fmt.Fprintf(cmd.ErrOrStderr(), "%s exported, %d failed\n", plural(written, "session"), failed)
			if err == nil && failed > 0 {
				err = fmt.Errorf("%s could not be read", plural(failed, "session"))
			}
			return err
		},
	}
	o.addStoreFlags(cmd.Flags())
	cmd.Flags().BoolVar(&asTar, "tar", false, "write a tar archive")
	return cmd
}

func importSessionsCommand() *cobra.Command {
	var o operator
	var opts transfer.Options
	var asTar bool
	cmd := &cobra.Command{
		Use:   "import [FILE|-]",
		Short: "Read sessions from a file into a store",
		Long: `import reads what export writes: JSON Lines with the keys id, modified and
pickle, others being ignored, or a tar archive whose entries are named by session
ids. The store is made if it is missing.

A session that the store has already is replaced if the file's was saved later,
or else with --overwrite. What is wrong with a line is named with its number and
stops nothing; the exit code is 1. An id that is none, and a pickle that a
gateway would not give to a worker, count as wrong.`,
		Example: `  alforja sessions import --store directory:/var/lib/app/sessions backup.jsonl
  zstd -dc backup.jsonl.zst | alforja sessions import --store directory:/var/lib/app/sessions
  tar -C old -cf - . | alforja sessions import --store directory:/var/lib/app/sessions`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := fileArgument(cmd, args)
			if err != nil {
				return err
			}
			if err := o.prepare(); err != nil {
				return err
			}
			if opts.Overwrite {
				if path == "-" && !o.yes {
					return usageError{fmt.Errorf("--overwrite with standard input: nobody can be asked: give --yes")}
				}
				if err := o.confirm(cmd, fmt.Sprintf("Replace sessions of %s by those of %s, even where they are newer.", o.store, path)); err != nil {
					return err
				}
			}
			in, err := openFile(cmd, path)
			if err != nil {
				return err
			}
			defer in.Close()
			if o.directory.owner == "" && os.Geteuid() == 0 && isMissing(o.store) {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s is made, and for root alone: --store-owner names another user's gateway\n", printable(o.store))
			}
			s, err := o.openAt(cmd, o.store, true)
			if err != nil {
				return err
			}
			defer s.Close()
			p := newProgress(cmd, 0)
			defer p.clear()
			opts.LockWait = o.lockWait
			opts.Check = o.judge.Check
			opts.Progress = p.step
			opts.Report = func(place string, err error) { complain(cmd, p, path+": "+place, err) }
			from := bufio.NewReaderSize(interruptible(cmd.Context(), in), 4<<10)
			items := transfer.Lines(from)
			if asTar || beginsTar(from) {
				items = transfer.Tar(from)
			}
			counts, err := transfer.Import(cmd.Context(), s, items, opts)
			p.clear()
			printed := o.printCounts(cmd, counts, countsText(&counts))
			if err == nil && counts.Failed > 0 {
				err = fmt.Errorf("%s could not be imported", plural(counts.Failed, "session"))
			}
			return firstOf(ended(cmd.Context(), err), printed)
		},
	}
	flags := cmd.Flags()
	o.addStoreFlags(flags)
	o.addPolicyFlags(flags)
	o.addLockFlag(flags)
	o.addYesFlag(flags)
	flags.BoolVar(&asTar, "tar", false, "read a tar archive, also of a kind so old that it does not say that it is one")
	flags.BoolVar(&opts.Overwrite, "overwrite", false, "replace sessions that are newer in the store, too")
	flags.BoolVar(&o.asJSON, "json", false, "print the counts as one object")
	return cmd
}

// fileArgument returns the one FILE of a command, - when there is none.
func fileArgument(cmd *cobra.Command, args []string) (string, error) {
	switch len(args) {
	case 0:
		return "-", nil
	case 1:
		return args[0], nil
	}
	return "", usageError{fmt.Errorf("%s takes one FILE, and got %q too", nameOf(cmd), args[1])}
}

// beginsTar reports whether what comes is a tar archive: since POSIX.1-1988 a header has "ustar" in it,
// and one of nothing begins with zeros. It waits for no more than it takes to tell: a line may be
// all that comes for a while.
func beginsTar(r *bufio.Reader) bool {
	first, err := r.Peek(1)
	if err != nil || bytes.ContainsAny(first, "{ \t\r\n") {
		return false
	}
	const magicAt = 257
	magic := "ustar"
	header, err := r.Peek(magicAt + len(magic))
	return err == nil && (header[0] == 0 || string(header[magicAt:]) == magic)
}

// interruptible reads as r does until ctx ends, even while r waits for a
// terminal or a pipe.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { out.CloseWithError(ctx.Err()) })
	go func() { // ends with the program at the latest
		_, err := io.CopyBuffer(in, r, make([]byte, 256<<10))
		in.CloseWithError(err)
	}()
	return out
}

func openFile(cmd *cobra.Command, path string) (io.ReadCloser, error) {
	if path != "-" {
		return os.Open(path)
	}
	if f, ok := cmd.InOrStdin().(*os.File); ok {
		return f, nil
	}
	return io.NopCloser(cmd.InOrStdin()), nil
}

// createFile makes a file that must not exist, readable by its owner alone, and
// not among the sessions, where session3 would take it for one. closeFile may be
// called again.
func (o *operator) createFile(cmd *cobra.Command, path string) (out io.Writer, closeFile func() error, err error) {
	if path == "-" {
		return cmd.OutOrStdout(), func() error { return nil }, nil
	}
	if place := placeOf(o.store); place != "" && isBelow(realPath(path), place) {
		return nil, nil, usageError{fmt.Errorf("%s is inside of %s: name a place outside of it", printable(path), o.store)}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, nil, err
	}
	closed := false
	return f, func() error {
		if closed {
			return nil
		}
		closed = true
		return firstOf(f.Sync(), f.Close())
	}, nil
}
