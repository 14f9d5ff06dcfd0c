// Command alforja is an SCGI session gateway for Quixote applications.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes: what a script may branch on.
const (
	exitFailure = 1 // something went wrong while running
	exitUsage   = 2 // the command line or the configuration is wrong
)

// usageError marks errors of the command line and the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	if os.Getenv("GOGC") == "" {
		// Little is alive at a time: a larger heap between collections costs
		// some megabytes and spares 5 % of a small request.
		debug.SetGCPercent(400)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:]))
}

// run carries out one command line and returns the exit code.
func run(ctx context.Context, args []string) int {
	root := rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(root.ErrOrStderr(), "alforja:", err)
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "alforja",
		Short: "SCGI session gateway for Quixote applications",
		Long: `alforja stands between a web server (or browsers) and Quixote worker processes.
It resolves the session cookie against a store of pickled sessions, which
session3 reads and writes too, gives the request and the session to a worker,
and stores what the worker made of it before the client hears of it.

Exit codes: 0 success, 1 failure, 2 wrong command line or configuration.`,
		Example: `  alforja demo
  alforja serve --http :8080 --store directory:/var/lib/app/sessions -- \
      python3 -m alforja.worker --factory app.create_publisher`,
		Version:       versionLine(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q%s", args[0], didYouMean(args[0], commandNames(cmd), ""))}
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.SetVersionTemplate("alforja {{.Version}}\n")
	root.SetFlagErrorFunc(explainFlagError)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(serveCommand(), checkCommand(), statusCommand(), workersCommand(), reloadCommand(), drainCommand(), demoCommand(), pickleCommand(), sessionsCommand(), versionCommand())
	return root
}

// explainFlagError names the flag that was probably meant.
func explainFlagError(cmd *cobra.Command, err error) error {
	var missing *pflag.NotExistError
	if errors.As(err, &missing) {
		err = fmt.Errorf("%w%s", err, didYouMean(missing.GetSpecifiedName(), flagNames(cmd.Flags()), "--"))
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		err = fmt.Errorf("%w%s", err, unitsOf(invalid.GetFlag()))
	}
	hint := ""
	if cmd.Name() == "serve" && strings.Contains(err.Error(), "shorthand") {
		hint = "; the workers' command stands behind --"
	}
	if cmd.HasParent() && cmd.Parent().Name() == "sessions" && strings.Contains(err.Error(), "shorthand") {
		hint = "; an ID that begins with - stands behind --"
	}
	return usageError{fmt.Errorf("%w%s (see %s --help)", err, hint, cmd.CommandPath())}
}

// unitsOf says in what a flag's value is measured.
func unitsOf(flag *pflag.Flag) string {
	unit, _ := pflag.UnquoteUsage(flag)
	switch {
	case flag.Value.Type() == "duration":
		return "; want numbers with h, m, s or ms, such as 36h or 1m30s; a day is 24h"
	case unit == "bytes" && flag.Value.Type() != "bytes": // byteSize says it itself
		return "; want a number of bytes, such as 1048576"
	}
	return ""
}

// nameOf is what messages call a command: they begin with the program's name anyway.
func nameOf(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

func flagNames(flags *pflag.FlagSet) []string {
	var names []string
	flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

func commandNames(cmd *cobra.Command) []string {
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	return names
}
