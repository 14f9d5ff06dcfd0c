package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"alforja/gateway"
	"alforja/pickle"
)

// settings are what the flags and the configuration file say.
type settings struct {
	frontSettings
	flags         *pflag.FlagSet // what all else was read from
	file          configFile     // what of it is the file's
	config        string
	store         string
	durability    string
	pool          poolSettings   // what flags and the file's own keys say
	pools         []poolSettings // the file's [[pool]] tables
	mode          string
	concurrency   string
	cookie        string
	policy        string
	allow         []string
	sessionMemory byteSize
	skip          []string
	keyFile       string
	lockWait      time.Duration
	lockQueue     int
	sharedMethods []string
	drainTimeout  time.Duration
	runDir        string
	stateDir      string
	directory     directorySettings
	logFormat     string
	admin         []string
	adminProfile  bool
}

func serveCommand() *cobra.Command {
	s := settings{pool: defaultPool()}
	cmd := &cobra.Command{
		Use:   "serve [flags] [-- COMMAND [ARG...]]",
		Short: "Serve a Quixote application with persistent sessions",
		Long: `serve listens for HTTP and SCGI and has requests answered by Quixote workers.

With a command behind --, it runs --workers processes of it, each with a
listening socket as descriptor 3 (LISTEN_FDS), starts them again when they die,
and takes them along when it ends. With --backend it uses workers that are
started elsewhere.

Every flag is also a key of the --config file, with '_' for '-'; the words
behind -- are the key "command". The command line wins.`,
		Example: `  # A Quixote application that uses alforja.SessionStore, on port 8080
  alforja serve --http :8080 --store directory:/var/lib/app/sessions -- \
      python3 -m alforja.worker --factory app.create_publisher

  # An unchanged session3 application, behind nginx (scgi_pass unix:/run/app.sock)
  alforja serve --scgi unix:/run/app.sock --mode shared \
      --store directory:/var/lib/app/sessions -- \
      python3 -m quixote.server.scgi_server --factory app.create_publisher

  # Workers that run already
  alforja serve --scgi 127.0.0.1:4000 --mode shared --backend 127.0.0.1:3000 \
      --worker-concurrency 5 --store directory:/var/lib/app/sessions

  alforja serve --config /etc/alforja.toml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() < 0 && len(args) > 0 || cmd.ArgsLenAtDash() > 0 {
				return usageError{fmt.Errorf("unexpected argument %q: the workers' command stands behind --", args[0])}
			}
			again := func() (*settings, error) { return readSettings(cmd.Flags(), args) }
			s, err := again()
			if err != nil {
				return err
			}
			relaxTimers()
			return serve(cmd.Context(), s, cmd.ErrOrStderr(), again, nil)
		},
	}
	s.addServeFlags(cmd.Flags())
	return cmd
}

// addServeFlags adds the flags of serve.
func (s *settings) addServeFlags(flags *pflag.FlagSet) {
	flags.StringVar(&s.config, "config", "", "read settings from this TOML `file`")
	s.frontSettings.addFlags(flags)
	s.pool.addServeFlags(flags)
	flags.StringVar(&s.mode, "mode", "managed", "managed: states travel with requests; shared: workers use session3 on the same directory")
	flags.StringArrayVar(&s.admin, "admin", nil, "`address` for the operator, unix:PATH or on loopback: /metrics, /healthz, /readyz, and for the commands status, workers, reload, drain; may be repeated")
	flags.BoolVar(&s.adminProfile, "admin-profile", false, "serve /debug/pprof/ there too")
	addSharedFlags(flags, s)
}

// readSettings puts the command line, its flags and the workers' command, and
// the configuration file together. The command line wins; workers that it
// names, by a command or by --backend, replace both kinds of the file's. Keys of
// the file that are to be ignored count as absent.
func readSettings(commandLine *pflag.FlagSet, command []string, ignored ...tableKey) (*settings, error) {
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	s := &settings{pool: defaultPool(), flags: flags}
	s.addServeFlags(flags)
	var err error
	commandLine.Visit(func(f *pflag.Flag) {
		if list, ok := f.Value.(pflag.SliceValue); ok {
			flag := flags.Lookup(f.Name)
			flag.Changed = true
			err = errors.Join(err, flag.Value.(pflag.SliceValue).Replace(list.GetSlice()))
		} else {
			err = errors.Join(err, flags.Set(f.Name, f.Value.String()))
		}
	})
	if err != nil {
		return nil, err
	}
	s.pool.command = command
	if s.config == "" {
		return s, nil
	}
	named, backends := len(command) > 0 || flags.Changed("backend"), s.pool.backends
	file, err := readConfig(s.config, flags, ignored...)
	if err != nil {
		return nil, err
	}
	s.file = file
	if named {
		s.pool.backends = backends
	} else {
		s.pool.command = file.command
	}
	if s.pools, err = readPools(file, s.pool); err != nil {
		return nil, err
	}
	return s, nil
}

// addSharedFlags adds the flags that serve and demo have in common.
func addSharedFlags(flags *pflag.FlagSet, s *settings) {
	flags.StringVar(&s.store, "store", s.store, "session store: directory:`PATH`, or memory: for sessions that end with the gateway")
	flags.StringVar(&s.durability, "durability", "process", "what a stored session survives: process (a killed process) or power (a power cut)")
	s.pool.addFlags(flags)
	flags.StringVar(&s.concurrency, "concurrency", "serialize", "requests of one session at one time: serialize, or last-write-wins")
	flags.StringVar(&s.cookie, "cookie", "QX_session", "`name` of the session cookie")
	flags.StringVar(&s.policy, "policy", "enforce", "what becomes of sessions whose pickle imports something harmful: enforce (set aside), strict (set aside, and so is what is not allowed by name) or report (log only)")
	flags.StringArrayVar(&s.allow, "allow", nil, "a class or function that sessions may hold although policy refuses it, `package.module.Name`; may be repeated")
	s.sessionMemory = 64 << 20
	flags.Var(&s.sessionMemory, "session-memory", "how much memory checking one session may take, in `bytes` or as 200M; a session that needs more is set aside")
	flags.StringArrayVar(&s.skip, "skip", nil, "`path` that takes no session lock, and all below it; may be repeated")
	flags.StringVar(&s.keyFile, "key-file", "", "`file` with the key that signs states on their way to workers")
	flags.DurationVar(&s.lockWait, "lock-wait", 30*time.Second, "how long a request waits for another of its session")
	flags.IntVar(&s.lockQueue, "lock-queue", 100, "how many requests may wait for one session; more are answered 503")
	flags.StringArrayVar(&s.sharedMethods, "shared-method", nil, "`method`, such as GET, whose requests take no session lock: what they change in a session may get lost; may be repeated")
	flags.DurationVar(&s.drainTimeout, "drain-timeout", 30*time.Second, "how long running requests may take when stopping")
	s.frontSettings.addSharedFlags(flags)
	flags.StringVar(&s.runDir, "run-dir", "", "`directory` for the workers' sockets (default: the system's temporary directory)")
	flags.StringVar(&s.stateDir, "state-dir", "", "`directory` for the directory store's locks and for sessions set aside, on the same mount (default: PATH.alforja)")
	s.directory.addFlags(flags)
	flags.StringVar(&s.logFormat, "log-format", "text", "text or json")
}

// serve runs a gateway until ctx ends. At SIGHUP it goes on by the settings
// that again, where given, then returns. ready, where given, is called with the
// gateway when it listens.
func serve(ctx context.Context, s *settings, logTo io.Writer, again func() (*settings, error), ready func(*gateway.Gateway)) error {
	// From the first moment: by default each of these ends the program.
	reopen := caught(syscall.SIGUSR1)
	caught(syscall.SIGPIPE) // without a reader of its log it serves on: the write fails. Children do not inherit this
	var hangup, replace <-chan os.Signal
	if again != nil {
		hangup, replace = caught(syscall.SIGHUP), caught(syscall.SIGUSR2)
	}
	logger, err := s.logger(logTo)
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
	if opts.Sessions.Store, err = s.openStore(logger); err != nil {
		return err
	}
	defer opts.Sessions.Store.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	run := &serving{settings: s, logger: logger, logTo: logTo}
	if run.access, err = s.openAccessLog(logger, logTo, s.logFormat); err != nil {
		return err
	}
	defer run.access.close()
	opts.AccessLog = run.access.request
	if again != nil {
		opts.Admin.Reload = func(ctx context.Context) error { return run.reload(ctx, again) }
	}
	g, err := gateway.New(ctx, opts)
	var wrong *gateway.OptionsError
	if errors.As(err, &wrong) {
		return usageError{fmt.Errorf("%w (see alforja serve --help)", err)}
	}
	if err != nil {
		return err
	}
	run.gateway = g
	if ready != nil {
		ready(g)
	}
	if again != nil {
		go run.onSignal(ctx, hangup, func() { _ = opts.Admin.Reload(ctx) }) // it is logged
		go run.onSignal(ctx, replace, func() { run.handOver(ctx) })
	}
	go run.onSignal(ctx, reopen, run.reopenAccessLog)
	return g.Run(ctx)
}

func (s *settings) logger(to io.Writer) (*slog.Logger, error) {
	switch s.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(to, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(to, nil)), nil
	}
	return nil, oneOf("log-format", s.logFormat, "text", "json")
}

// options turns settings into what the gateway takes, but for the store.
func (s *settings) options(logger *slog.Logger) (opts gateway.Options, err error) {
	if err := refuseZeros(s.flags); err != nil {
		return opts, err
	}
	for _, choice := range []struct {
		flag, value string
		among       []string
	}{
		{"mode", s.mode, []string{"managed", "shared"}},
		{"concurrency", s.concurrency, []string{"serialize", "last-write-wins"}},
		{"policy", s.policy, []string{"enforce", "strict", "report"}},
		{"durability", s.durability, []string{"process", "power"}},
	} {
		if !slices.Contains(choice.among, choice.value) {
			return opts, oneOf(choice.flag, choice.value, choice.among...)
		}
	}
	switch {
	case !cookieName.MatchString(s.cookie):
		return opts, usageError{fmt.Errorf("--cookie %q is no name of a cookie", s.cookie)}
	case s.mode == "shared" && s.keyFile != "":
		return opts, usageError{errors.New("--key-file has no effect in shared mode: no states travel")}
	case s.mode == "shared" && !strings.HasPrefix(s.store, "directory:"):
		return opts, usageError{errors.New("shared mode needs --store directory:PATH, the directory that workers use")}
	}
	policy, err := gateway.NewPolicy(s.allow, s.policy == "strict")
	if err != nil {
		return opts, usageError{fmt.Errorf("--allow: %w", err)}
	}
	var key []byte
	if s.keyFile != "" {
		if key, err = gateway.ReadKey(s.keyFile); err != nil {
			return opts, usageError{fmt.Errorf("--key-file: %w", err)}
		}
	}
	if err := s.frontSettings.addTo(&opts); err != nil {
		return opts, err
	}
	pools, err := s.workerPools()
	if err != nil {
		return opts, err
	}
	opts.Pools = pools
	opts.Sessions = gateway.Sessions{
		CookieName:    s.cookie,
		Mode:          gateway.Mode(s.mode),
		Concurrency:   gateway.Concurrency(s.concurrency),
		LockWait:      s.lockWait,
		LockQueue:     s.lockQueue,
		SharedMethods: s.sharedMethods,
		Skip:          s.skip,
		Policy:        policy,
		ReportOnly:    s.policy == "report",
		Limits:        pickle.Limits{MaxMemory: int(s.sessionMemory)},
		Key:           key,
	}
	opts.Admin.Addresses, opts.Admin.Profile = s.admin, s.adminProfile
	opts.DrainTimeout = s.drainTimeout
	opts.RunDir = s.runDir
	opts.Logger = logger
	return opts, nil
}

// workerPools returns what the gateway takes. The pool of the flags is there
// when it has workers, or when there is no other, whose lack is then told.
func (s *settings) workerPools() ([]gateway.WorkerPool, error) {
	all := s.pools
	if len(s.pool.command)+len(s.pool.backends) > 0 || len(all) == 0 {
		all = append([]poolSettings{s.pool}, all...)
	}
	var pools []gateway.WorkerPool
	healthPath, backends := "", 0
	for i := range all {
		p, err := all[i].options()
		if err != nil {
			return nil, err
		}
		healthPath = cmp.Or(healthPath, p.Health.Path)
		backends += len(p.Backends)
		pools = append(pools, p)
	}
	if healthPath != "" && backends == 0 {
		return nil, usageError{fmt.Errorf("--health-path %s is for a --backend, and there is none", healthPath)}
	}
	return pools, nil
}

// poolName is what stands in the names of sockets.
var poolName = regexp.MustCompile("^[A-Za-z0-9_]{1,32}$")

// cookieName is a token of RFC 6265 section 4.1.1.
var cookieName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

func oneOf(flag, value string, among ...string) error {
	return usageError{fmt.Errorf("--%s %q: want one of %q", flag, value, among)}
}
