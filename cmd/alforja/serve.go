package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"alforja/gateway"
	"alforja/pickle"
)

// settings are what the flags and the configuration file say.
type settings struct {
	config         string
	http, scgi     []string
	store          string
	durability     string
	workers        int
	workerLimit    int
	backends       []string
	mode           string
	concurrency    string
	cookie         string
	scriptName     string
	policy         string
	allow          []string
	skip           []string
	keyFile        string
	lockWait       time.Duration
	queueWait      time.Duration
	queueLength    int
	requestTimeout time.Duration
	drainTimeout   time.Duration
	maxBody        int64
	runDir         string
	stateDir       string
	socketMode     string
	logFormat      string
	command        []string
}

func serveCommand() *cobra.Command {
	var s settings
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
			s.command = args
			if s.config != "" {
				if err := s.addConfig(cmd.Flags()); err != nil {
					return err
				}
			}
			return serve(cmd.Context(), &s, cmd.ErrOrStderr(), nil)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&s.config, "config", "", "read settings from this TOML `file`")
	flags.StringArrayVar(&s.http, "http", nil, "listen for HTTP at this `address`, host:port or unix:PATH; may be repeated")
	flags.StringArrayVar(&s.scgi, "scgi", nil, "listen for SCGI at this `address`; may be repeated")
	flags.StringArrayVar(&s.backends, "backend", nil, "`address` of a worker started elsewhere; may be repeated")
	flags.StringVar(&s.scriptName, "script-name", "", "`path` that the application is mounted at, / or /app (default: what an SCGI front server says)")
	flags.StringVar(&s.socketMode, "socket-mode", "", "octal `mode` of unix: addresses, such as 0660; the web server must be able to write (default: by the umask)")
	flags.StringVar(&s.mode, "mode", "managed", "managed: states travel with requests; shared: workers use session3 on the same directory")
	addSharedFlags(flags, &s)
	return cmd
}

// addConfig reads the configuration file. Workers that the command line names,
// by a command or by --backend, replace both kinds of the file's.
func (s *settings) addConfig(flags *pflag.FlagSet) error {
	named := len(s.command) > 0 || flags.Changed("backend")
	backends := s.backends
	command, err := readConfig(s.config, flags)
	if err != nil {
		return err
	}
	if named {
		s.backends = backends
	} else {
		s.command = command
	}
	return nil
}

// addSharedFlags adds the flags that serve and demo have in common.
func addSharedFlags(flags *pflag.FlagSet, s *settings) {
	flags.StringVar(&s.store, "store", s.store, "session store, directory:`PATH`")
	flags.StringVar(&s.durability, "durability", "process", "what a stored session survives: process (a killed process) or power (a power cut)")
	flags.IntVar(&s.workers, "workers", 4, "how many worker processes to run")
	flags.IntVar(&s.workerLimit, "worker-concurrency", 1, "how many requests one worker gets at a time")
	flags.StringVar(&s.concurrency, "concurrency", "serialize", "requests of one session at one time: serialize, or last-write-wins")
	flags.StringVar(&s.cookie, "cookie", "QX_session", "`name` of the session cookie")
	flags.StringVar(&s.policy, "policy", "enforce", "what becomes of sessions whose pickle imports something harmful: enforce (set aside) or report (log only)")
	flags.StringArrayVar(&s.allow, "allow", nil, "a class or function that sessions may hold although policy refuses it, `package.module.Name`; may be repeated")
	flags.StringArrayVar(&s.skip, "skip", nil, "`path` that takes no session lock, and all below it; may be repeated")
	flags.StringVar(&s.keyFile, "key-file", "", "`file` with the key that signs states on their way to workers")
	flags.DurationVar(&s.lockWait, "lock-wait", 30*time.Second, "how long a request waits for another of its session")
	flags.DurationVar(&s.queueWait, "queue-wait", 30*time.Second, "how long a request waits for a worker")
	flags.IntVar(&s.queueLength, "queue-length", 1000, "how many requests may wait for a worker")
	flags.DurationVar(&s.requestTimeout, "request-timeout", 5*time.Minute, "how long a worker may take to begin its answer")
	flags.DurationVar(&s.drainTimeout, "drain-timeout", 30*time.Second, "how long running requests may take when stopping")
	flags.Int64Var(&s.maxBody, "max-body", 1<<30, "longest request body in `bytes`")
	flags.StringVar(&s.runDir, "run-dir", "", "`directory` for the workers' sockets (default: the system's temporary directory)")
	flags.StringVar(&s.stateDir, "state-dir", "", "`directory` for the directory store's locks and for sessions set aside, on the same mount (default: PATH.alforja)")
	flags.StringVar(&s.logFormat, "log-format", "text", "text or json")
}

// serve runs a gateway until ctx ends. ready, where given, is called with it
// when it listens.
func serve(ctx context.Context, s *settings, logTo io.Writer, ready func(*gateway.Gateway)) error {
	logger, err := s.logger(logTo)
	if err != nil {
		return err
	}
	opts, err := s.options(logger)
	if err != nil {
		return err
	}
	defer opts.Sessions.Store.Close()
	g, err := gateway.New(ctx, opts)
	var wrong *gateway.OptionsError
	if errors.As(err, &wrong) {
		return usageError{fmt.Errorf("%w (see alforja serve --help)", err)}
	}
	if err != nil {
		return err
	}
	if ready != nil {
		ready(g)
	}
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

// options turns settings into what the gateway takes, the store opened.
func (s *settings) options(logger *slog.Logger) (opts gateway.Options, err error) {
	for _, choice := range []struct {
		flag, value string
		among       []string
	}{
		{"mode", s.mode, []string{"managed", "shared"}},
		{"concurrency", s.concurrency, []string{"serialize", "last-write-wins"}},
		{"policy", s.policy, []string{"enforce", "report"}},
		{"durability", s.durability, []string{"process", "power"}},
	} {
		if !slices.Contains(choice.among, choice.value) {
			return opts, oneOf(choice.flag, choice.value, choice.among...)
		}
	}
	switch {
	case s.workers == 0:
		return opts, usageError{errors.New("--workers must be at least 1")}
	case !cookieName.MatchString(s.cookie):
		return opts, usageError{fmt.Errorf("--cookie %q is no name of a cookie", s.cookie)}
	case s.mode == "shared" && s.keyFile != "":
		return opts, usageError{errors.New("--key-file has no effect in shared mode: no states travel")}
	case s.mode == "shared" && !strings.HasPrefix(s.store, "directory:"):
		return opts, usageError{errors.New("shared mode needs --store directory:PATH, the directory that workers use")}
	}
	policy, err := pickle.NewPolicy(pickle.PolicyOptions{Allow: s.allow})
	if err != nil {
		return opts, usageError{fmt.Errorf("--allow: %w", err)}
	}
	var key []byte
	if s.keyFile != "" {
		if key, err = readKey(s.keyFile); err != nil {
			return opts, usageError{fmt.Errorf("--key-file: %w", err)}
		}
	}
	var socketMode uint64
	if s.socketMode != "" {
		if socketMode, err = strconv.ParseUint(s.socketMode, 8, 9); err != nil {
			return opts, usageError{fmt.Errorf("--socket-mode %q is no octal mode such as 0660", s.socketMode)}
		}
	}
	sessions, err := s.openStore(logger)
	if err != nil {
		return opts, err
	}
	return gateway.Options{
		HTTP:              s.http,
		SCGI:              s.scgi,
		Command:           s.command,
		Workers:           s.workers,
		Backends:          s.backends,
		WorkerConcurrency: s.workerLimit,
		Sessions: gateway.Sessions{
			Store:       sessions,
			CookieName:  s.cookie,
			Mode:        gateway.Mode(s.mode),
			Concurrency: gateway.Concurrency(s.concurrency),
			LockWait:    s.lockWait,
			Skip:        s.skip,
			Policy:      policy,
			ReportOnly:  s.policy == "report",
			Key:         key,
		},
		SocketMode:     os.FileMode(socketMode),
		ScriptName:     s.scriptName,
		MaxBody:        s.maxBody,
		QueueLength:    s.queueLength,
		QueueWait:      s.queueWait,
		RequestTimeout: s.requestTimeout,
		DrainTimeout:   s.drainTimeout,
		RunDir:         s.runDir,
		Logger:         logger,
	}, nil
}

// cookieName is a token of RFC 6265 section 4.1.1.
var cookieName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

func oneOf(flag, value string, among ...string) error {
	return usageError{fmt.Errorf("--%s %q: want one of %q", flag, value, among)}
}

// readKey reads the file that holds the signing key. White space around the
// key does not count, so that an editor's last newline makes no difference.
func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s may be read by others: chmod 600 %s", path, path)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key = bytes.TrimSpace(key)
	if len(key) < 16 {
		return nil, errors.New("the key has fewer than 16 bytes; make one with: openssl rand -hex 32")
	}
	return key, nil
}
