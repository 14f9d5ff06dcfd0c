package main

import (
	"github.com/spf13/cobra"

	"alforja/pickle"
)

func jsonCommand() *cobra.Command {
	var in pickleInput
	var exact, compact bool
	cmd := &cobra.Command{
		Use:   "json FILE|-",
		Short: "Show what a pickle holds as JSON",
		Long: `json prints the value of a pickle as JSON: instances by their class and
attributes, dates and the like as text. What occurs twice is {"$ref": N} the
second time.

With --exact nothing is lost, and alforja pickle recode --from-json makes the
pickle again: numbers to the bit, text with lone surrogates, the order of
dicts, what is the same object, how objects are made.

With --jsonl the answer is {"name": ..., "json": VALUE}.`,
		Example: `  alforja pickle json session
  alforja pickle json session | jq .user
  alforja pickle json --exact session > session.json
  alforja pickle recode --from-json session.json -o session`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := in.oneFile(cmd, args)
			if err != nil {
				return err
			}
			options := pickle.JSONOptions{Exact: exact}
			if in.jsonl {
				return in.eachLine(cmd, path, func(l *pickleLine) answer { return in.jsonLine(l, options) })
			}
			if !compact {
				options.Indent = "  "
			}
			data, err := in.read(cmd, path)
			if err != nil {
				return err
			}
			text, err := in.toJSON(data, options)
			if err != nil {
				return explained(path, err)
			}
			_, err = cmd.OutOrStdout().Write(append(text, '\n'))
			return err
		},
	}
	in.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&exact, "exact", false, "the form of which the same pickle can be made again")
	cmd.Flags().BoolVar(&compact, "compact", false, "all on one line")
	return cmd
}

func (in *pickleInput) toJSON(data []byte, options pickle.JSONOptions) ([]byte, error) {
	v, err := pickle.Decode(data, pickle.DecodeOptions{Limits: in.limits(), Python2Types: options.Exact})
	if err != nil {
		return nil, err
	}
	return pickle.AppendJSON(nil, v, options)
}

func (in *pickleInput) jsonLine(l *pickleLine, options pickle.JSONOptions) answer {
	data, err := l.pickle()
	if err != nil {
		return answer{err: err}
	}
	text, err := in.toJSON(data, options)
	if err != nil {
		return answer{err: err}
	}
	return answer{fields: append([]byte(`,"json":`), text...)}
}
