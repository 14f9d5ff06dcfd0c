package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"alforja/gateway"
)

// poolSettings are what flags, the configuration file, and each [[pool]] in
// it, say of workers.
type poolSettings struct {
	flags          *pflag.FlagSet // what all else was read from, of a [[pool]]
	name, prefix   string         // of a [[pool]]
	command        []string
	backends       []string
	health         gateway.HealthCheck
	workers        int
	minWorkers     int
	spareWorkers   int
	idle           time.Duration
	concurrency    int
	scriptName     string
	preload        bool
	maxRequests    int
	maxAge         time.Duration
	maxMemory      byteSize
	startTimeout   time.Duration
	dir            string
	env            []string
	user, group    string
	umask          string
	limits         []string
	queueLength    int
	queueWait      time.Duration
	requestTimeout time.Duration
}

func defaultPool() poolSettings {
	return poolSettings{
		prefix: "/", workers: 4, spareWorkers: 1, idle: time.Minute, concurrency: 1, startTimeout: time.Minute,
		queueLength: 1000, queueWait: 30 * time.Second, requestTimeout: 5 * time.Minute,
		health: gateway.HealthCheck{Interval: 5 * time.Second, Timeout: 2 * time.Second},
	}
}

// addFlags adds the flags of a pool, whose defaults are what p holds.
func (p *poolSettings) addFlags(flags *pflag.FlagSet) {
	flags.IntVar(&p.workers, "workers", p.workers, "how many worker processes to run at most")
	flags.IntVar(&p.minWorkers, "min-workers", p.minWorkers, "how many to run at least (default: --workers)")
	flags.IntVar(&p.spareWorkers, "spare-workers", p.spareWorkers, "between --min-workers and --workers: how many to keep idle")
	flags.DurationVar(&p.idle, "worker-idle", p.idle, "how long a worker beyond those may be idle before it is ended")
	flags.IntVar(&p.concurrency, "worker-concurrency", p.concurrency, "how many requests one worker gets at a time")
	flags.BoolVar(&p.preload, "preload", p.preload, "import the application once and fork the workers from there; the command must be alforja.worker")
	flags.IntVar(&p.maxRequests, "worker-max-requests", p.maxRequests, "replace a worker after so many requests, give or take a tenth (0: never)")
	flags.DurationVar(&p.maxAge, "worker-max-age", p.maxAge, "replace a worker after so long (0: never)")
	flags.Var(&p.maxMemory, "worker-max-memory", "replace a worker that, with what it has forked, occupies more memory than this, in `bytes` or as 200M (0: never)")
	flags.DurationVar(&p.startTimeout, "worker-start-timeout", p.startTimeout, "how long a worker that replaces another may take to be ready")
	flags.StringVar(&p.dir, "worker-dir", p.dir, "working `directory` of workers")
	flags.StringArrayVar(&p.env, "worker-env", p.env, "environment variable for workers, `NAME=value`; may be repeated")
	flags.StringVar(&p.user, "worker-user", p.user, "`user` to run workers as; only as root")
	flags.StringVar(&p.group, "worker-group", p.group, "`group` to run workers as; only as root")
	flags.StringVar(&p.umask, "worker-umask", p.umask, "octal `umask` of workers, such as 027")
	flags.StringArrayVar(&p.limits, "worker-limit", p.limits, "resource limit of workers, `NAME=number` as ulimit has it, such as nofile=1024; may be repeated")
	flags.DurationVar(&p.queueWait, "queue-wait", p.queueWait, "how long a request waits for a worker")
	flags.IntVar(&p.queueLength, "queue-length", p.queueLength, "how many requests may wait for a worker")
	flags.DurationVar(&p.requestTimeout, "request-timeout", p.requestTimeout, "how long a worker may take to complete its answer, or to begin a stream, and then for each part of it")
}

// addServeFlags adds those that make no sense for the demonstration.
func (p *poolSettings) addServeFlags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&p.backends, "backend", p.backends, "`address` of a worker started elsewhere; may be repeated")
	flags.StringVar(&p.health.Path, "health-path", p.health.Path, "`path` that a --backend must answer a GET of with a status below 400 (default: that it listens is enough)")
	flags.DurationVar(&p.health.Interval, "health-interval", p.health.Interval, "how often to look at a --backend that is up; one that is down is looked at after 100ms, then twice that each time, at most 5s")
	flags.DurationVar(&p.health.Timeout, "health-timeout", p.health.Timeout, "how long that may take, and a connection to a --backend")
	flags.StringVar(&p.scriptName, "script-name", p.scriptName, "`path` that the application is mounted at, / or /app (default: what an SCGI front server says)")
}

// addPoolFlags adds the keys that only a [[pool]] has.
func (p *poolSettings) addPoolFlags(flags *pflag.FlagSet) {
	flags.StringVar(&p.name, "name", "", "the pool's `name`, which stands before those of its workers")
	flags.StringVar(&p.prefix, "prefix", "", "the `path` that the pool answers, and all below it; the longest counts")
}

// readPools reads the file's [[pool]] tables. What one does not say is as the
// rest of the file and the command line have it, but for the workers
// themselves.
func readPools(file configFile, base poolSettings) ([]poolSettings, error) {
	base.command, base.backends = nil, nil
	var pools []poolSettings
	var wrong []error
	for i, table := range file.pools {
		p := base
		p.env, p.limits = slices.Clone(base.env), slices.Clone(base.limits)
		flags := pflag.NewFlagSet("pool", pflag.ContinueOnError)
		p.flags = flags
		p.addFlags(flags)
		p.addServeFlags(flags)
		p.addPoolFlags(flags)
		var err error
		where := file.lines.of(i+1, "")
		if p.command, err = applyKeys(file.lines, i+1, table, flags); err != nil {
			wrong = append(wrong, err)
		}
		switch {
		case p.prefix == "":
			wrong = append(wrong, fmt.Errorf("%s: the pool has no prefix: which path is it for?", where))
		case !poolName.MatchString(p.name):
			wrong = append(wrong, fmt.Errorf("%s: the pool's name %q: want letters, digits and _", where, p.name))
		case slices.ContainsFunc(pools, func(other poolSettings) bool { return other.name == p.name }):
			wrong = append(wrong, fmt.Errorf("%s: a second pool of the name %q", where, p.name))
		}
		pools = append(pools, p)
	}
	if len(wrong) > 0 {
		return nil, usageError{errors.Join(wrong...)}
	}
	return pools, nil
}

// options turns the settings into what the gateway takes.
func (p *poolSettings) options() (gateway.WorkerPool, error) {
	limits := map[string]string{}
	for _, limit := range p.limits {
		name, value, ok := strings.Cut(limit, "=")
		if !ok {
			return gateway.WorkerPool{}, usageError{fmt.Errorf("--worker-limit %q: want NAME=number", limit)}
		}
		limits[name] = value
	}
	for _, variable := range p.env {
		if name, _, ok := strings.Cut(variable, "="); !ok || name == "" {
			return gateway.WorkerPool{}, usageError{fmt.Errorf("--worker-env %q: want NAME=value", variable)}
		}
	}
	if p.flags != nil {
		if err := refuseZeros(p.flags); err != nil {
			return gateway.WorkerPool{}, err
		}
	}
	if p.workers == 0 && len(p.backends) == 0 {
		return gateway.WorkerPool{}, usageError{errors.New("--workers must be at least 1")}
	}
	return gateway.WorkerPool{
		Name:   p.name,
		Prefix: p.prefix,
		Supervised: gateway.SupervisorOptions{
			Command:      p.command,
			Workers:      p.workers,
			MinWorkers:   p.minWorkers,
			SpareWorkers: p.spareWorkers,
			WorkerIdle:   p.idle,
			Recycle:      gateway.Recycle{Requests: p.maxRequests, Age: p.maxAge, Memory: int64(p.maxMemory)},
			Process: gateway.ProcessOptions{
				Dir: p.dir, Env: p.env, User: p.user, Group: p.group, Umask: p.umask, Limits: limits,
			},
			Preload:      p.preload,
			StartTimeout: p.startTimeout,
			ScriptName:   p.scriptName,
		},
		Backends:       p.backends,
		Health:         p.health,
		Concurrency:    p.concurrency,
		Queue:          gateway.PoolOptions{QueueLength: p.queueLength, QueueWait: p.queueWait},
		RequestTimeout: p.requestTimeout,
	}, nil
}

// zeroAllowed are flags of which 0 means something that is not their default.
var zeroAllowed = []string{"port", "workers", "worker-max-requests", "worker-max-age", "worker-max-memory"}

// refuseZeros refuses 0 where it would pass for something else: in
// gateway.Options a zero stands for the default.
func refuseZeros(flags *pflag.FlagSet) (wrong error) {
	flags.VisitAll(func(f *pflag.Flag) {
		zero := f.Value.String()
		if (zero == "0" || zero == "0s") && zero != f.DefValue && !slices.Contains(zeroAllowed, f.Name) {
			wrong = cmp.Or(wrong, error(usageError{fmt.Errorf("--%s must be more than 0", f.Name)}))
		}
	})
	return wrong
}

// byteSize is a flag's value: a number of bytes, or of K, M or G of 1,024.
type byteSize int64

var sizeUnits = map[string]int{"K": 10, "M": 20, "G": 30}

func (b *byteSize) Set(text string) error {
	digits, shift := text, 0
	for _, unit := range slices.Sorted(maps.Keys(sizeUnits)) {
		if number, ok := strings.CutSuffix(text, unit); ok {
			digits, shift = number, sizeUnits[unit]
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return fmt.Errorf("%q is no number of bytes, such as 1048576 or 200M", text)
	}
	*b = byteSize(n << shift)
	return nil
}

func (b *byteSize) String() string {
	for _, unit := range []string{"G", "M", "K"} {
		if n := int64(*b) >> sizeUnits[unit]; n > 0 && n<<sizeUnits[unit] == int64(*b) {
			return strconv.FormatInt(n, 10) + unit
		}
	}
	return strconv.FormatInt(int64(*b), 10)
}

func (b *byteSize) Type() string { return "bytes" }
