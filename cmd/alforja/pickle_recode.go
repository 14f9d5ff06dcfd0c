package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"alforja/pickle"
)

type recode struct {
	pickleInput
	protocol int
	output   string
}

func recodeCommand() *cobra.Command {
	var r recode
	cmd := &cobra.Command{
		Use:   "recode FILE|-",
		Short: "Write a pickle again, in another protocol",
		Long: `recode reads a pickle and writes one of the same value, as CPython does, in the
protocol given. Bytes after the pickle's end are not kept. With --from-json it
reads what alforja pickle json --exact wrote.

A pickle of Python 2, written again in protocol 0, 1 or 2, is loaded by Python 2
as the same types: int and long, str and unicode, and by the same names.

With --jsonl the answer is {"name": ..., "hex": ...}; with --from-json too, the
lines are {"name": ..., "json": VALUE}.`,
		Example: `  alforja pickle recode --protocol 2 session -o session.2
  alforja pickle recode - < session > session.4
  alforja pickle json --exact --jsonl sessions.jsonl | alforja pickle recode --from-json --jsonl`,
		Args: cobra.ArbitraryArgs,
		RunE: r.run,
	}
	r.addFlags(cmd.Flags())
	cmd.Flags().IntVar(&r.protocol, "protocol", pickle.DefaultProtocol, "`protocol` to write, 0 to 5")
	cmd.Flags().BoolVar(&r.fromJSON, "from-json", false, "FILE holds exact JSON, and no pickle")
	cmd.Flags().StringVarP(&r.output, "output", "o", "", "write to this `file`, not to standard output")
	return cmd
}

func (r *recode) run(cmd *cobra.Command, args []string) error {
	path, err := r.oneFile(cmd, args)
	switch {
	case err != nil:
		return err
	case r.protocol < 0 || r.protocol > 5:
		return usageError{fmt.Errorf("--protocol %d: want 0 to 5", r.protocol)}
	case r.jsonl && r.output != "":
		return usageError{errors.New("--output goes with one pickle: with --jsonl redirect standard output")}
	case r.jsonl:
		return r.eachLine(cmd, path, r.line)
	case r.output == "" && isTerminal(cmd.OutOrStdout()):
		return usageError{errors.New("pickles are binary, and standard output is a terminal: redirect it, or give -o FILE")}
	}
	data, err := r.read(cmd, path)
	if err != nil {
		return err
	}
	v, err := r.value(data)
	var again []byte
	if err == nil {
		again, err = pickle.Append(nil, v, r.protocol)
	}
	if err != nil {
		return explained(path, err)
	}
	if r.output != "" {
		return replaceFile(r.output, again)
	}
	_, err = cmd.OutOrStdout().Write(again)
	return err
}

// replaceFile gives a file other content, all of it or, after an error, none: it
// may be the one that was read. What sessions hold is nobody else's business:
// a new file is its owner's alone.
func replaceFile(path string, data []byte) error {
	mode := os.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		if !info.Mode().IsRegular() { // a pipe, or /dev/stdout
			return os.WriteFile(path, data, mode)
		}
		mode = info.Mode().Perm()
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".alforja-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("%s stays as it was: %w", path, err)
	}
	return nil
}

func (r *recode) value(data []byte) (pickle.Value, error) {
	if r.fromJSON {
		return pickle.ParseJSON(data)
	}
	return pickle.Decode(data, pickle.DecodeOptions{Limits: r.limits(), Python2Types: true})
}

func (r *recode) line(l *pickleLine) answer {
	v := l.json
	switch {
	case r.fromJSON && v == nil:
		return answer{err: &lineError{`no "json" in the line`}}
	case !r.fromJSON:
		data, err := l.pickle()
		if err != nil {
			return answer{err: err}
		}
		if v, err = r.value(data); err != nil {
			return answer{err: err}
		}
	}
	again, err := pickle.Append(nil, v, r.protocol)
	if err != nil {
		return answer{err: err}
	}
	return answer{fields: append(hex.AppendEncode([]byte(`,"hex":"`), again), '"')}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
