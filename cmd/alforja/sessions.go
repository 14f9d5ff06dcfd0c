package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"alforja/pickle"
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
is no --yes, they end with exit code 2.`,
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
		verifySessionsCommand(), globalsCommand(), copySessionsCommand(),
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
	asJSON bool
	yes    bool

	judge *pickle.Policy // by --policy and --allow; nil refuses nothing
}

func (o *operator) addStoreFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.store, "store", "", "session store, directory:`PATH`")
	flags.StringVar(&o.stateDir, "state-dir", "", "`directory` for the directory store's locks (default: PATH.alforja)")
	flags.StringVar(&o.config, "config", "", "take what is not given here from this configuration `file` of alforja serve")
}

func (o *operator) addPolicyFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.policy, "policy", "enforce", "whether sessions whose pickle imports something harmful count as bad: enforce, or report (they do not)")
	o.addAllowFlag(flags)
}

func (o *operator) addAllowFlag(flags *pflag.FlagSet) {
	flags.StringArrayVar(&o.allow, "allow", nil, "a class or function that sessions may hold although policy refuses it, `package.module.Name`; may be repeated")
}

func (o *operator) addLockFlag(flags *pflag.FlagSet) {
	flags.DurationVar(&o.lockWait, "lock-wait", 30*time.Second, "how long to wait for a request of the session to end")
}

func (o *operator) addYesFlag(flags *pflag.FlagSet) {
	flags.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
}

// prepare puts the command line and the configuration file together, and
// compiles the policy.
func (o *operator) prepare(cmd *cobra.Command) error {
	if o.config != "" {
		if err := o.addConfig(cmd); err != nil {
			return err
		}
	}
	policy, err := pickle.NewPolicy(pickle.PolicyOptions{Allow: o.allow})
	if err != nil {
		return usageError{fmt.Errorf("--allow: %w", err)}
	}
	switch o.policy {
	case "enforce":
		o.judge = policy
	case "report", "": // "": the command takes no policy
	default:
		return oneOf("policy", o.policy, "enforce", "report")
	}
	return nil
}

// addConfig takes all settings from the configuration file, but for what the
// command line gives.
func (o *operator) addConfig(cmd *cobra.Command) error {
	line := pflag.NewFlagSet("", pflag.ContinueOnError)
	line.String("config", "", "")
	if err := line.Set("config", o.config); err != nil {
		return err
	}
	file, err := readSettings(line, nil)
	if err != nil {
		return err
	}
	given := o.settings
	o.settings = *file
	for name, take := range map[string]func(){
		"store":      func() { o.store = given.store },
		"state-dir":  func() { o.stateDir = given.stateDir },
		"durability": func() { o.durability = given.durability },
		"policy":     func() { o.policy = given.policy },
		"allow":      func() { o.allow = given.allow },
		"lock-wait":  func() { o.lockWait = given.lockWait },
	} {
		if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed {
			take()
		}
	}
	return nil
}

// open opens the store that --store names, which must exist.
func (o *operator) open(cmd *cobra.Command) (dated.Store, error) {
	if err := o.prepare(cmd); err != nil {
		return nil, err
	}
	return o.openAt(cmd, o.store, false)
}

// openAt opens a store by its name. Only what is going to be written may be
// made: a mistyped name must not become a new store.
func (o *operator) openAt(cmd *cobra.Command, spec string, create bool) (dated.Store, error) {
	kind, where, _ := strings.Cut(spec, ":")
	switch {
	case kind == "memory":
		return nil, usageError{errors.New("store memory: ends with its process: there is nothing in it for another")}
	case kind == "directory" && where != "" && !create:
		if _, err := os.Stat(where); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("store %s: there is no such directory", printable(spec))
		}
	}
	s := o.settings
	s.store, s.logFormat = spec, "text"
	if s.durability == "" {
		s.durability = "process"
	}
	logger, err := s.logger(cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	opened, err := s.openStore(logger)
	if err != nil {
		return nil, err
	}
	if store, ok := opened.(dated.Store); ok {
		return store, nil
	}
	return dated.Directory(opened, where), nil
}

// check judges a state by policy.
func check(state []byte, policy *pickle.Policy) error {
	report, err := pickle.Verify(state, pickle.Limits{})
	if err == nil && policy != nil {
		err = policy.Check(report)
	}
	return err
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
