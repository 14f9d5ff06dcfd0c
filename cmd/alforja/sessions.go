package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"alforja/gateway"
	"alforja/store"
	"alforja/store/catalog"
	"alforja/store/dated"
)

func sessionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "List, inspect, move and delete the sessions of a store",
		Long: `sessions works on a store while a gateway serves from it, or without one.
Nothing that a session names is imported or called.

Session ids are printed whole: whoever has one has the session.

Commands that change sessions take each session's lock as a gateway does, say
what they will do, and ask; --yes answers. Where nobody can be asked and there
is no --yes, they end with exit code 2.

--config FILE has them find the store, and make files in it, as the gateway
does. As root, give it, or the same --store flags as to serve: what a command
makes then belongs to the owner of the session directory, and to the group of
--store-mode.`,
		Example: `  alforja sessions list --store directory:/var/lib/app/sessions
  alforja sessions show --store directory:/var/lib/app/sessions 4x1QZ...
  alforja sessions delete --store directory:/var/lib/app/sessions --user alonso
  alforja sessions copy directory:/var/lib/app/sessions directory:/srv/sessions`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q%s", "sessions "+args[0], didYouMean(args[0], commandNames(cmd), ""))}
			}
			return cmd.Help()
		},
		PersistentPreRun: func(*cobra.Command, []string) { boundMemory() },
	}
	cmd.AddCommand(
		listSessionsCommand(), showSessionCommand(), deleteSessionsCommand(), expireSessionsCommand(),
		verifySessionsCommand(), globalsCommand(), copySessionsCommand(), convertSessionsCommand(),
		exportSessionsCommand(), importSessionsCommand(), editClassCommand(),
	)
	return cmd
}

// boundMemory has the collector keep the program small: what these commands
// hold at a time does not grow with the store, and the rest is garbage.
func boundMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(100)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(32 << 20)
	}
}

// An operator is what the commands have in common: where the sessions are,
// and how to talk to whoever works on them.
type operator struct {
	settings
	given  []*pflag.Flag // that say what the settings are, and win over the configuration file
	asJSON bool
	yes    bool

	judge catalog.Judge // by --policy and --allow, and the configuration file's session_memory
}

// addSettings adds flags that have a key in the configuration file.
func (o *operator) addSettings(flags *pflag.FlagSet, add func(*pflag.FlagSet)) {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	add(set)
	flags.AddFlagSet(set)
	set.VisitAll(func(f *pflag.Flag) { o.given = append(o.given, f) })
}

func (o *operator) addStoreFlags(flags *pflag.FlagSet) {
	o.addSettings(flags, func(flags *pflag.FlagSet) {
		flags.StringVar(&o.store, "store", "", "session store, directory:`PATH`")
		flags.StringVar(&o.stateDir, "state-dir", "", "`directory` for the directory store's locks (default: PATH.alforja)")
		o.addFileFlags(flags)
	})
	flags.StringVar(&o.config, "config", "", "take what is not given here from this configuration `file` of alforja serve")
}

// addFileFlags adds what serve is told about the store's files too. A command
// that makes some makes them as the gateway does.
func (o *operator) addFileFlags(flags *pflag.FlagSet) {
	o.directory.addFlags(flags)
	flags.StringVar(&o.durability, "durability", "process", "what a stored session survives: process (a killed process) or power (a power cut)")
}

func (o *operator) addPolicyFlags(flags *pflag.FlagSet) {
	o.addSettings(flags, func(flags *pflag.FlagSet) {
		flags.StringVar(&o.policy, "policy", "enforce", "whether sessions whose pickle imports something harmful count as bad: enforce, strict (so does what is not allowed by name), or report (they do not)")
	})
	o.addAllowFlag(flags)
}

func (o *operator) addAllowFlag(flags *pflag.FlagSet) {
	o.addSettings(flags, func(flags *pflag.FlagSet) {
		flags.StringArrayVar(&o.allow, "allow", nil, "a class or function that sessions may hold although policy refuses it, `package.module.Name`; may be repeated")
	})
}

func (o *operator) addLockFlag(flags *pflag.FlagSet) {
	o.addSettings(flags, func(flags *pflag.FlagSet) {
		flags.DurationVar(&o.lockWait, "lock-wait", 30*time.Second, "how long to wait for a request of the session to end")
	})
}

func (o *operator) addYesFlag(flags *pflag.FlagSet) {
	flags.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
}

// prepare puts the command line and the configuration file together, and
// compiles the policy.
func (o *operator) prepare() error {
	if err := o.addConfig(); err != nil {
		return err
	}
	policy, err := gateway.NewPolicy(o.allow, o.policy == "strict")
	if err != nil {
		return usageError{fmt.Errorf("--allow: %w", err)}
	}
	o.judge.Limits.MaxMemory = int(o.sessionMemory) // 0 is its default
	switch o.policy {
	case "enforce", "strict":
		o.judge.Policy = policy
	case "report", "": // "": the command takes no policy
	default:
		return oneOf("policy", o.policy, "enforce", "strict", "report")
	}
	return nil
}

// addConfig takes all settings from the configuration file, if there is one,
// but for what the command line gives.
func (o *operator) addConfig() error {
	if o.config == "" {
		return nil
	}
	line := pflag.NewFlagSet("", pflag.ContinueOnError)
	line.String("config", "", "")
	if err := line.Set("config", o.config); err != nil {
		return err
	}
	file, err := readSettings(line, nil)
	if err != nil {
		return err
	}
	var restore []func() error
	for _, flag := range o.given {
		if flag.Changed {
			restore = append(restore, setterOf(flag.Value))
		}
	}
	o.settings = *file
	for _, set := range restore {
		if err := set(); err != nil {
			return err
		}
	}
	return nil
}

// setterOf returns what gives a flag the value again that it has now.
func setterOf(value pflag.Value) func() error {
	if list, ok := value.(pflag.SliceValue); ok {
		words := list.GetSlice()
		return func() error { return list.Replace(words) }
	}
	text := value.String()
	return func() error { return value.Set(text) }
}

// open opens the store that --store names, which must exist.
func (o *operator) open(cmd *cobra.Command) (dated.Store, error) {
	if err := o.prepare(); err != nil {
		return nil, err
	}
	return o.openAt(cmd, o.store, false)
}

func (o *operator) openAt(cmd *cobra.Command, spec string, create bool) (dated.Store, error) {
	opened, err := o.openPlain(cmd, spec, create)
	if err != nil {
		return nil, err
	}
	s, ok := opened.(dated.Store)
	if !ok {
		opened.Close()
		return nil, usageError{fmt.Errorf("store %s keeps no times of its sessions", printable(spec))}
	}
	return s, nil
}

// openPlain opens a store by its name. Only what is going to be written may be
// made: a mistyped name must not become a new store.
func (o *operator) openPlain(cmd *cobra.Command, spec string, create bool) (store.Store, error) {
	kind, where, _ := strings.Cut(spec, ":")
	switch {
	case kind == "memory":
		return nil, usageError{errors.New("store memory: ends with its process: there is nothing in it for another")}
	case kind == "directory" && where != "" && !create && isMissing(spec):
		return nil, fmt.Errorf("store %s: there is no such directory", printable(spec))
	}
	s := o.settings
	s.store, s.logFormat = spec, "text"
	logger, err := s.logger(cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	return s.openStore(logger)
}

// ended is the error for a job that err has ended early. What was done so far
// has been printed.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

// printJSON prints one object on a line.
func printJSON(w io.Writer, v any) error {
	line, err := catalog.MarshalLine(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// printCounts prints what a command has done: as one object, or as text.
func (o *operator) printCounts(cmd *cobra.Command, counts any, text string) error {
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), counts)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

// shortened is as much of a session's id as messages show: they may be kept
// where more people read them.
func shortened(id string) string { return id[:min(len(id)*3/4, 8)] }

// plural is "1 session", "2 sessions".
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
