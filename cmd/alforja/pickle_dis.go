package main

import (
	"bytes"

	"github.com/spf13/cobra"

	"alforja/pickle"
)

func disCommand() *cobra.Command {
	var in pickleInput
	var plain bool
	cmd := &cobra.Command{
		Use:   "dis FILE|-",
		Short: "Disassemble a pickle",
		Long: `dis prints the opcodes of a pickle, as python3 -m pickletools does, and what it
imports: "# imports datetime.datetime, called" ends the line of the opcode that
does. The roles are class (instances are made), called, and loaded (held as a
value).

Of a pickle that is broken, what comes before the fault is printed. With
--jsonl the answer is {"name": ..., "dis": TEXT}.`,
		Example: `  alforja pickle dis session
  alforja pickle dis --plain session | diff - <(python3 -m pickletools session)
  curl -s https://example.org/x.pickle | alforja pickle dis -`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := in.oneFile(cmd, args)
			if err != nil {
				return err
			}
			options := pickle.DisassembleOptions{Limits: in.limits(), Plain: plain}
			if in.jsonl {
				return in.eachLine(cmd, path, func(l *pickleLine) answer { return disLine(l, options) })
			}
			data, err := in.read(cmd, path)
			if err != nil {
				return err
			}
			if err := pickle.Disassemble(cmd.OutOrStdout(), data, options); err != nil {
				return explained(path, err)
			}
			return nil
		},
	}
	in.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&plain, "plain", false, "exactly what pickletools prints")
	return cmd
}

func disLine(l *pickleLine, options pickle.DisassembleOptions) answer {
	data, err := l.pickle()
	if err != nil {
		return answer{err: err}
	}
	var text bytes.Buffer
	err = pickle.Disassemble(&text, data, options)
	return answer{append([]byte(`,"dis":`), jsonText(text.String())...), err}
}
