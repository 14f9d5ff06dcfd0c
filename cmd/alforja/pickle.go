package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"alforja/pickle"
)

func pickleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pickle",
		Short: "Look into Python pickles, judge and rewrite them, without running them",
		Long: `pickle reads Python pickles of every protocol. Nothing that they name is
imported or called.

With --jsonl, FILE holds many of them: a line {"name": ..., "hex": ...} for
each, which is answered by a line with the same name. A line that cannot be
answered gives {"name": ..., "line": NUMBER, "error": ...}, stops nothing, and
makes the exit code 1.`,
		Example: `  alforja pickle dis session
  alforja pickle verify /var/lib/app/sessions/*
  alforja pickle json session | less
  alforja pickle recode --protocol 2 session -o session.2`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q%s", "pickle "+args[0], didYouMean(args[0], commandNames(cmd), ""))}
			}
			return cmd.Help()
		},
		PersistentPreRun: func(*cobra.Command, []string) {
			// These commands hold nothing that must be put in order: a signal
			// ends them even while they wait for input.
			signal.Reset(os.Interrupt, syscall.SIGTERM)
		},
	}
	cmd.AddCommand(disCommand(), verifyCommand(), jsonCommand(), recodeCommand(), opinionCommand())
	return cmd
}

// pickleInput is where the pickles come from.
type pickleInput struct {
	jsonl    bool
	maxBytes int64
	digits   int  // the most of an integer in text
	fromJSON bool // it holds exact JSON, and no pickles
}

// defaultMaxBytes is the default of pickle.Limits.
const defaultMaxBytes = 4 << 20

// defaultMaxDigits is that of Python too.
const defaultMaxDigits = 4300

func (in *pickleInput) addFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&in.jsonl, "jsonl", false, `FILE holds lines {"name": ..., "hex": ...}, and so does the output`)
	flags.Int64Var(&in.maxBytes, "max-bytes", defaultMaxBytes, "longest pickle in `bytes`")
	flags.IntVar(&in.digits, "max-digits", defaultMaxDigits, "most `digits` of an integer in protocols 0 and 1; what has more, Python loads only after sys.set_int_max_str_digits")
}

// check is for what flags and arguments can be wrong in.
func (in *pickleInput) check(cmd *cobra.Command, args []string) error {
	const most = 1<<31 - 1
	switch {
	case in.maxBytes < 1 || in.maxBytes > most:
		return usageError{fmt.Errorf("--max-bytes %d: want 1 to %d", in.maxBytes, most)}
	case in.digits < 1:
		return usageError{fmt.Errorf("--max-digits %d: want 1 or more", in.digits)}
	case len(args) == 0:
		return usageError{fmt.Errorf("%s wants a FILE, or - for standard input (see %s --help)", nameOf(cmd), cmd.CommandPath())}
	}
	return nil
}

// oneFile checks that args name one file, which with --jsonl is standard
// input when they name none.
func (in *pickleInput) oneFile(cmd *cobra.Command, args []string) (path string, err error) {
	if in.jsonl && len(args) == 0 {
		args = []string{"-"}
	}
	if err := in.check(cmd, args); err != nil {
		return "", err
	}
	return fileArgument(cmd, args)
}

// limits are the defaults as long as --max-bytes is; more bytes may do more.
func (in *pickleInput) limits() pickle.Limits {
	limits := pickle.Limits{MaxBytes: int(in.maxBytes), MaxDigits: in.digits}
	if in.maxBytes > defaultMaxBytes {
		limits.MaxMemo = int(in.maxBytes / 4)
		limits.MaxHashed = int(in.maxBytes / 4)
	}
	return limits
}

// spelled returns how many bytes of JSON or hex may stand for maxBytes.
func (in *pickleInput) spelled() int64 {
	if in.fromJSON {
		return 8 * in.maxBytes
	}
	return 2 * in.maxBytes
}

// open opens a file, or standard input for "-".
func (in *pickleInput) open(cmd *cobra.Command, path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(cmd.InOrStdin()), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory: name the files in it", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// read reads a file as a whole.
func (in *pickleInput) read(cmd *cobra.Command, path string) ([]byte, error) {
	most := in.maxBytes
	if in.fromJSON {
		most = in.spelled()
	}
	f, err := in.open(cmd, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s: longer than %d bytes: raise --max-bytes", path, most)
	}
	return data, err
}

// explain says what to do about an error of package pickle.
func explain(err error) string {
	hint := ""
	var limit *pickle.LimitError
	var text *pickle.JSONError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		hint = "; it was cut off, or is no pickle"
	case errors.As(err, &limit) && (limit.Limit == "MaxBytes" || limit.Limit == "MaxMemory" || limit.Limit == "MaxMemo" || limit.Limit == "MaxHashed"):
		hint = "; raise --max-bytes"
	case errors.As(err, &limit) && limit.Limit == "MaxDigits":
		hint = "; raise --max-digits"
	case errors.As(err, &limit) && limit.Limit == "MaxDepth", errors.As(err, &text) && text.Offset < 0:
		hint = "; alforja pickle dis shows it"
	}
	return printable(err.Error()) + hint
}

// explained is an error about one file.
func explained(path string, err error) error {
	return fmt.Errorf("%s: %s", printable(path), explain(err))
}

// printable escapes what could make a terminal show something else: names in
// a hostile pickle may hold it.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
		} else {
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}
