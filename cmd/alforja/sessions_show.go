package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"alforja/pickle"
	"alforja/store"
	"alforja/store/catalog"
)

func showSessionCommand() *cobra.Command {
	var o operator
	var raw, dis bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one session",
		Long: `show prints what a session holds: a head that says what list says, and a tree in
JSON of the form for people of alforja pickle json: instances by class and
attributes, tuples as lists, dates as text.

--json prints one object: what list --json says of it, and value, in the exact
form, of which the pickle can be made again. --raw writes the bytes of the pickle, --dis its
opcodes as pickletools does.

The exit code is 1 when there is no such session, and when it does not verify;
what can be shown is shown.`,
		Example: `  alforja sessions show --store directory:/var/lib/app/sessions 4x1QZ...
  alforja sessions show --store directory:/var/lib/app/sessions --json 4x1QZ... | jq .value
  alforja sessions show --store directory:/var/lib/app/sessions --raw 4x1QZ... > session.pickle`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wantArguments(cmd, args, "an ID"); err != nil {
				return err
			}
			if raw && dis || raw && o.asJSON || dis && o.asJSON {
				return usageError{fmt.Errorf("--raw, --dis and --json exclude each other")}
			}
			if raw && isTerminal(cmd.OutOrStdout()) { // which would obey what is in it
				return usageError{fmt.Errorf("pickles are binary, and standard output is a terminal: redirect it, or use --dis")}
			}
			if !store.ValidID(args[0]) {
				return usageError{fmt.Errorf("%q is no session id", args[0])}
			}
			s, err := o.open(cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			info, found, err := s.Stat(cmd.Context(), args[0])
			var state []byte
			if err == nil && found {
				state, found, err = s.Load(cmd.Context(), args[0])
			}
			switch {
			case err != nil:
				return ended(cmd.Context(), err)
			case !found:
				return fmt.Errorf("no session %s", shortened(args[0]))
			}
			out := cmd.OutOrStdout()
			switch {
			case raw:
				_, err = out.Write(state)
				return err
			case dis:
				err = pickle.Disassemble(out, state, pickle.DisassembleOptions{})
			case o.asJSON:
				err = showJSON(out, info, state, o.judge)
			default:
				err = showTree(out, info, state, o.judge)
			}
			if err != nil {
				return fmt.Errorf("session %s: %s", shortened(info.ID), explain(err))
			}
			return nil
		},
	}
	o.addStoreFlags(cmd.Flags())
	o.addPolicyFlags(cmd.Flags())
	cmd.Flags().BoolVar(&raw, "raw", false, "write the bytes of the pickle")
	cmd.Flags().BoolVar(&dis, "dis", false, "print the opcodes of the pickle")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print one object")
	return cmd
}

func showTree(out io.Writer, info store.Info, state []byte, judge catalog.Judge) error {
	e := catalog.Describe(info, state, judge)
	protocol := "-"
	if e.Protocol >= 0 {
		protocol = fmt.Sprint(e.Protocol)
	}
	created := "-"
	if !e.Created.IsZero() {
		created = e.Created.Local().Format(time.DateTime)
	}
	fmt.Fprintf(out, "id        %s\nuser      %s\nclass     %s\nprotocol  %s\nsize      %d bytes\nmodified  %s\ncreated   %s\n",
		e.ID, orDash(e.User), orDash(e.Class), protocol, e.Size, e.Modified.Local().Format(time.DateTime), created)
	v, err := pickle.Decode(state, pickle.DecodeOptions{})
	if err != nil {
		return firstOf(e.Err, err)
	}
	tree, err := pickle.AppendJSON([]byte("\n"), v, pickle.JSONOptions{Indent: "  "})
	if err != nil {
		return firstOf(e.Err, err)
	}
	if _, err := out.Write(append(tree, '\n')); err != nil {
		return err
	}
	return e.Err
}

func showJSON(out io.Writer, info store.Info, state []byte, judge catalog.Judge) error {
	e := catalog.Describe(info, state, judge)
	line, err := e.MarshalJSON()
	if err != nil {
		return err
	}
	line = append(line[:len(line)-1], `,"value":`...)
	v, err := pickle.Decode(state, pickle.DecodeOptions{})
	if err == nil {
		line, err = pickle.AppendJSON(line, v, pickle.JSONOptions{Exact: true})
	}
	if err != nil {
		line = append(line, "null"...)
	}
	if _, err := out.Write(append(line, "}\n"...)); err != nil {
		return err
	}
	return firstOf(e.Err, err)
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// wantArguments checks that there are as many arguments as names for them.
func wantArguments(cmd *cobra.Command, args []string, names ...string) error {
	if len(args) == len(names) {
		return nil
	}
	text := names[0]
	for _, name := range names[1:] {
		text += " and " + name
	}
	return usageError{fmt.Errorf("%s wants %s, and got %q (see %s --help)", nameOf(cmd), text, args, cmd.CommandPath())}
}
