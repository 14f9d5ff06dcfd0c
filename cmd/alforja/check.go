package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"alforja/store/directory"
	"alforja/store/memory"
)

func checkCommand() *cobra.Command {
	s := settings{pool: defaultPool()}
	cmd := &cobra.Command{
		Use:   "check [flags] [-- COMMAND [ARG...]]",
		Short: "Say what is wrong with a configuration",
		Long: `check reads a configuration as serve does and says everything that is wrong with
it, by line where it is the file's. It looks for the workers' command, users,
directories and certificates that are named, but starts nothing, listens
nowhere and makes no directory.

The flags are those of serve. The exit code is 2 when something is wrong.`,
		Example: "  alforja check --config /etc/alforja.toml && systemctl reload alforja",
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() < 0 && len(args) > 0 || cmd.ArgsLenAtDash() > 0 {
				return usageError{fmt.Errorf("unexpected argument %q: the workers' command stands behind --", args[0])}
			}
			err := checkAll(func(ignored ...tableKey) (*settings, error) { return readSettings(cmd.Flags(), args, ignored...) })
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "good")
			return nil
		},
	}
	s.addServeFlags(cmd.Flags())
	return cmd
}

// check says what serve would refuse.
func (s *settings) check() error {
	logger, err := s.logger(io.Discard)
	if err != nil {
		return err
	}
	if err := s.checkAccessLog(); err != nil {
		return err
	}
	opts, err := s.options(logger)
	if err != nil {
		return err
	}
	path, isDirectory := strings.CutPrefix(s.store, "directory:")
	if !isDirectory || path == "" { // these open without leaving anything behind
		opened, err := s.openStore(logger)
		if err != nil {
			return err
		}
		defer opened.Close()
	} else {
		options, err := s.directoryOptions(logger)
		if err == nil {
			err = directory.Check(path, options)
		}
		if err != nil {
			return err
		}
	}
	opts.Sessions.Store = memory.New()
	return opts.Check()
}
